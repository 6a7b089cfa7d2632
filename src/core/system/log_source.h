/*
 * Reads the lines of a log file, those of the old ones first if that is wanted, and goes on when the file is
 * rotated meanwhile: so that each line is given once, and in order. Compressed old files are read through
 * the program that made them.
 *
 * Depends on core/data, core/system/log.
 */
#ifndef NOWCAST_CORE_SYSTEM_LOG_SOURCE_H
#define NOWCAST_CORE_SYSTEM_LOG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/data/error.h"

struct log_source;

struct log_source_from {
	bool old_files;     /* FILE.N to FILE.1 too, */
	int64_t since_s;    /* but those that nobody wrote to since then are left out */
	int64_t last_bytes; /* > 0: of FILE alone, only about so many at its end, whole lines */
};

/* The file need not be there yet. */
enum nc_err log_source_create(const char *path, const struct log_source_from *from,
	struct log_source **ret_source, struct error *error);
void log_source_destroy(struct log_source *source); /* accepts NULL */

/*
 * The next line, without its end: valid until the next call. NC_ERR_NOT_FOUND: there is none now; later there
 * may be. `to_end` says that nobody will ask again: a last line without an end is then given too. Never
 * waits, but for a program that uncompresses.
 */
enum nc_err log_source_next(struct log_source *source, bool to_end, const char **ret_line,
	size_t *ret_len, struct error *error);

#endif
