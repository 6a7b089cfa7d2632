/*
 * How the log aggregator writes: the lines of a batch are collected for each file, and written to it
 * together, whole, and once, also when the aggregator is killed in between or the disk is full.
 *
 * A log of LOG_MODE_AGGREGATOR begins by collecting: what is logged before the first log_collect_write()
 * waits in memory, because the files may end within a line of the process before.
 *
 *	log_collect_recover()                     the batch that was under way, if one was; see below
 *	log_collect_write()                       from here on, log_record() writes at once
 *	for each batch:
 *		log_collect_begin()
 *		log_record() ...                  lines for files are collected
 *		log_collect_places()              where they will be; to be remembered by the caller
 *		log_collect_write()
 *
 * A process that finds the places of a batch that may have been written, in part or not at all, makes the
 * same lines again and calls log_collect_recover(): it compares them with what is in the files (also in
 * those that were rotated since), and leaves what is missing to be written.
 *
 * Depends on core/system/log.
 */
#ifndef NOWCAST_CORE_SYSTEM_LOG_COLLECT_H
#define NOWCAST_CORE_SYSTEM_LOG_COLLECT_H

#include <stdint.h>

#include "core/system/log.h"

enum {
	LOG_PLACES_MOST = 64, /* files; of more than that the others may get a line twice */
};

/* A file, and its size before the batch. Zeroed: nothing was to be written. */
struct log_place {
	uint64_t device, inode, size;
};

enum log_collected {
	LOG_COLLECTED_WRITTEN, /* or lost and counted, for another reason than a full disk */
	LOG_COLLECTED_NO_ROOM, /* a disk is full: call log_collect_write() again, later */
	LOG_COLLECTED_SYNC_FAILED, /* errno; what is on the disk is not known: end, start again, recover */
};

void log_collect_begin(struct log *log);
/* One for each handler of the section, in their order, the rest zeroed. */
void log_collect_places(struct log *log, struct log_place places[LOG_PLACES_MOST]);
/* The places could not be remembered: the lines that were collected are to come again later. */
void log_collect_drop(struct log *log);
/* `sync`: and onto the disk. */
enum log_collected log_collect_write(struct log *log, bool sync);
/* Sync what was written without. */
enum log_collected log_collect_sync(struct log *log);

/* What follows, to log_collect_recover(), is the batch; what was collected before is written behind it. */
void log_collect_mark(struct log *log);
void log_collect_recover(struct log *log, const struct log_place places[LOG_PLACES_MOST]);

#endif
