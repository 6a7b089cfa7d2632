/*
 * What a process sends to the log aggregator: a batch of records, as one line of JSON.
 *
 *	{"source": UUID, "sequence": 7, "records": [[LOGGER, LEVEL, REAL_NS, PID, HOST, MESSAGE, BLOCK], ...]}
 *
 * A process picks its source once and counts its batches; a batch that is sent again has the same
 * number, so that the aggregator can drop it. The answer is {"written": 7} once the lines are written, or
 * {"error": "..."}. The same lines stand in spool files (log_ship.c), one batch a line.
 *
 * Depends on core/data, core/system/log, id. No files, no sockets.
 */
#ifndef NOWCAST_CORE_SYSTEM_LOG_BATCH_H
#define NOWCAST_CORE_SYSTEM_LOG_BATCH_H

#include <stdint.h>

#include "core/data/buffer.h"
#include "core/data/value.h"
#include "core/system/id.h"
#include "core/system/log.h"

/* Inside the state directory: what could not be shipped. */
#define STATE_LOG_SPOOL  "log-spool"
#define LOG_SPOOL_SUFFIX ".batches"

enum {
	LOG_BATCH_RECORDS = 100,            /* a batch is closed with so many records, */
	LOG_BATCH_BYTES = 64 << 10,         /* or when it is that long */
	LOG_BATCH_MESSAGE_MOST = 128 << 10, /* a longer message is cut into several records */
	LOG_BATCH_PAUSE_MS = 200,           /* a line so long after the last batch goes at once */
};

/* Append a record as one element of `records`. Its texts are UTF-8; time, process and host are given.
 * Failure: out->failed. */
void log_batch_write_record(const struct log_record *record, struct buffer *out);
/* Append a batch; `records` are elements with commas between them. */
void log_batch_write(
	const char *source, uint64_t sequence, const char *records, size_t len, struct buffer *out);

struct log_batch {
	struct value *tree;
	const char *source; /* an UUID */
	uint64_t sequence;  /* from 1 */
	const struct value *records;
};

/*
 * A batch of any peer: NC_ERR_SYNTAX, NC_ERR_INVALID, NC_ERR_LIMIT with words, all of it checked.
 * With NC_OK the caller ends it by log_batch_finish().
 */
enum nc_err log_batch_read(
	const char *text, size_t len, struct log_batch *ret_batch, struct error *error);
void log_batch_finish(struct log_batch *batch); /* accepts a zeroed struct */
size_t log_batch_count(const struct log_batch *batch);
/* The texts are the batch's. */
struct log_record log_batch_at(const struct log_batch *batch, size_t index);

#endif
