/*
 * A log record as bytes: what a process puts into its spool (log_spool.h), and the log aggregator reads.
 *
 * A record has a fixed head, then three texts (logger, host, message), each with a NUL behind it, and zeros
 * up to a multiple of 8. Numbers are in the order of bytes of the machine: a spool does not leave it. The
 * records of a source are numbered; a line that could not be kept has a number too, so that a gap in the
 * numbers is a gap in the lines.
 *
 * Depends on core/data, core/system/log. No files.
 */
#ifndef NOWCAST_CORE_SYSTEM_LOG_BATCH_H
#define NOWCAST_CORE_SYSTEM_LOG_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "core/data/error.h"
#include "core/system/log.h"

enum {
	LOG_BATCH_LOGGER_MOST = 1 << 10, /* a longer name is cut */
	LOG_BATCH_HOST_MOST = 256,
	LOG_BATCH_MESSAGE_MOST = 128
				 << 10, /* the caller cuts a longer message into several records */
	LOG_BATCH_RECORD_MOST =
		LOG_BATCH_LOGGER_MOST + LOG_BATCH_HOST_MOST + LOG_BATCH_MESSAGE_MOST + 64,
};

/* How many bytes log_batch_write() will write. */
size_t log_batch_size(const struct log_record *record);
/* `out` has room for them, and begins at a multiple of 8. Time, process and host are given. */
void log_batch_write(const struct log_record *record, uint64_t number, char *out);

/*
 * The record at the beginning of `len` bytes of anybody. NC_ERR_SYNTAX: this is none, and so nothing behind
 * it can be read either. NC_ERR_LIMIT: the bytes end before the record does. Its texts point into `bytes`.
 * Bytes that are read are those that would be written.
 */
enum nc_err log_batch_read(const char *bytes, size_t len, struct log_record *ret_record,
	uint64_t *ret_number, size_t *ret_size, struct error *error);

#endif
