/*
 * What a C worker is written against: one file with a description, a table of its options, and three
 * functions. src/workers/sleep.c is the model.
 *
 * The functions run in a process of their own, a child of the runner (with `--debug` in the foreground,
 * without any connection). All that they do goes through `struct worker`. They may block, fork, exec and
 * take as long as they like.
 *
 * Depends on core/data, core/system/cli, log's levels. Knows no rules.
 */
#ifndef NOWCAST_CORE_WORK_WORKER_H
#define NOWCAST_CORE_WORK_WORKER_H

#include "core/data/value.h"
#include "core/system/applet.h"
#include "core/system/cli.h"
#include "core/system/config.h"
#include "core/system/log.h"

struct worker;

enum worker_result {
	WORKER_SUCCESS,
	WORKER_FAILURE,
	WORKER_TRY_AGAIN, /* exit status 75: by the retry rule, then as a failure */
	WORKER_SKIPPED,   /* exit status 77 */
};

struct worker_description {
	/*
	 * Do the work. `checklist` is an empty mapping to fill with what was done (value_map_put()); left
	 * empty, the payload of the message is null.
	 */
	enum worker_result (*work)(struct worker *worker, struct value *checklist);
	/* Log what became of it, and name the message type (`success`, `success nowcast`). The text must
	 * stay until the process ends: a constant, or of worker_text(). */
	const char *(*success)(struct worker *worker);
	const char *(*failure)(struct worker *worker);
};

/* The command line; getters in core/system/cli.h. */
const struct cli_args *worker_args(const struct worker *worker);
/* The configuration that this launch uses. */
const struct config *worker_config(const struct worker *worker);
const char *worker_name(const struct worker *worker);
bool worker_is_debug(const struct worker *worker);

/* One log line; level of enum log_level. */
void worker_log(struct worker *worker, int level, const char *format, ...) NC_PRINTF(3, 4);

/* A text that stays until the process ends; NULL: out of memory. */
const char *worker_text(struct worker *worker, const char *format, ...) NC_PRINTF(2, 3);

/*
 * Send a message at once and wait for the manager's answer: *ret_type (of worker_text()) is the type of
 * the reply, *ret_payload (may be NULL) its payload, the caller's. With --debug it is logged and answered
 * with NC_ERR_CLOSED. NC_ERR_REFUSED: answered by an error type; NC_ERR_CLOSED, NC_ERR_TIMEOUT: nobody
 * answered.
 */
enum nc_err worker_tell(struct worker *worker, const char *type, const struct value *payload,
	const char **ret_type, struct value **ret_payload, struct error *error);

/* Ask for a part of the checklist; *ret_value is the caller's. NC_ERR_NOT_FOUND: no such key. */
enum nc_err worker_need(
	struct worker *worker, const char *key, struct value **ret_value, struct error *error);

/* 0 to 1: shown by `nowcast status`. */
void worker_progress(struct worker *worker, double fraction);

/* The run() of every worker's applet. */
int worker_main(const struct applet *self, int argc, char **argv);

#endif
