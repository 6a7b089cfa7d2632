/*
 * The contract between runner and worker (nowcast-worker(7)): what a worker writes on descriptor 3, one
 * JSON object (or YAML flow mapping) a line, and what its end means.
 *
 * Pure: text in, meaning out. Depends on core/data and the level names of core/system/log.
 */
#ifndef NOWCAST_CORE_WORK_CONTRACT_H
#define NOWCAST_CORE_WORK_CONTRACT_H

#include <stdbool.h>

#include "core/data/value.h"

enum {
	CONTRACT_FD = 3,
	CONTRACT_CLAIM_FD = 4, /* the claim of the launch (claim.h), for the worker to keep open */
	CONTRACT_LINE_MOST = 1 << 20, /* bytes, without the newline */
};

enum contract_kind {
	CONTRACT_NEED,     /* key: in `text` */
	CONTRACT_TELL,     /* type: in `text`; payload */
	CONTRACT_TYPE,     /* the final message: type in `text`; payload */
	CONTRACT_LOG,      /* `level`; message in `message` */
	CONTRACT_PROGRESS, /* number, 0 to 1 */
};

struct contract_line {
	enum contract_kind kind;
	char *text;
	char *message;
	struct value *payload; /* or NULL */
	int level;
	double number;
};

void contract_line_finish(struct contract_line *line); /* accepts a zeroed struct */

/*
 * The final message may be `success...`, `failure...` or `skipped...`; another type is NC_ERR_INVALID, as
 * is a key that does not belong to the line. A level may be a number.
 * NC_ERR_SYNTAX, NC_ERR_INVALID, NC_ERR_LIMIT, NC_ERR_NOMEM: `error` says what is wrong with the line.
 */
enum nc_err contract_read(
	const char *text, size_t len, struct contract_line *line, struct error *error);

/* How a worker ended, by its wait status (design.md, the table). */
enum contract_end {
	CONTRACT_SUCCESS,
	CONTRACT_SKIPPED,
	CONTRACT_TRY_AGAIN,
	CONTRACT_FAILURE,
	CONTRACT_CRASH
};
enum contract_end contract_end(int wait_status);

/* Does `type` begin with `stem`: is `success nowcast` a `success...`? */
bool contract_type_is(const char *type, const char *stem);

/* `exit status 3`, `killed by signal 11 (SIGSEGV), core dumped`: appended. */
void contract_end_words(int wait_status, struct buffer *out);

#endif
