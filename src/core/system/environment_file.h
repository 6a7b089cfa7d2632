/*
 * The environment file of a deployment: lines `NAME=value` and `export NAME=value`, as a shell would read
 * them, read without a shell (promises.md, S3).
 *
 * A value is made of parts without blanks between: plain characters, `'...'` as it is, `"..."` with
 * \" \\ \$ \` in it. `$NAME` and `${NAME}`, outside of single quotes, stand for a name that the file has
 * set above, else for the variable of this process. Blank lines and comments are skipped. Whatever only a
 * shell could do (`$(...)`, backquotes, `;`, several names on a line, a value over several lines) is an
 * error, never a guess. A name that is set twice has the last value.
 *
 * Pure but for getenv(). Depends on core/data.
 */
#ifndef NOWCAST_CORE_SYSTEM_ENVIRONMENT_FILE_H
#define NOWCAST_CORE_SYSTEM_ENVIRONMENT_FILE_H

#include <stddef.h>

#include "core/data/error.h"

struct environment_entry {
	char *name;
	char *value;
};

struct environment_file {
	struct environment_entry *entries; /* in the order of the file, each name once */
	size_t count;
};

/*
 * NC_OK: *ret_file is the caller's to finish. NC_ERR_SYNTAX: `error` has the line, in its text too;
 * NC_ERR_NOT_FOUND: a value uses a variable that is not set; NC_ERR_NOMEM. No text of a value is in an
 * error: it may be a secret.
 */
enum nc_err environment_file_read(
	const char *text, size_t len, struct environment_file *ret_file, struct error *error);
void environment_file_finish(struct environment_file *file); /* accepts a zeroed struct */

/* NULL: the file does not set it. */
const char *environment_file_get(const struct environment_file *file, const char *name);

/* Set all of it in the environment of this process. What is as it should be is left alone. */
enum nc_err environment_file_apply(const struct environment_file *file, struct error *error);

#endif
