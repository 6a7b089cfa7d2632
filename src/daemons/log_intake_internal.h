/*
 * What the files log_intake*.c share: log_intake.c has the batches, and recovery; log_intake_table.c the files
 * of the spool; log_intake_lines.c the lines of a batch.
 */
#ifndef NOWCAST_DAEMONS_LOG_INTAKE_INTERNAL_H
#define NOWCAST_DAEMONS_LOG_INTAKE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/data/buffer.h"
#include "core/system/log_collect.h"
#include "core/system/log_spool.h"
#include "daemons/log_intake.h"

/* A file of the spool. */
struct entry {
	char name[LOG_SPOOL_NAME_SIZE];
	struct log_spool spool; /* its `fd` is -1 as long as it is not open */
	bool ready;             /* something may be in it */
	bool suspect;           /* what stands next was no record at the last look */
	int64_t retry_ms;       /* not before this time, of the monotonic clock */
};

/* Some records of a file. */
struct batch {
	char name[LOG_SPOOL_NAME_SIZE];
	uint32_t with_rest; /* 1: and the lines that were lost behind its last record */
	uint64_t from, to;  /* offsets */
	uint64_t number_to; /* of the line behind */
};

/* The file STATE_LOG_WRITTEN. */
struct written {
	char magic[8];
	struct batch batch;
	struct log_place places[LOG_PLACES_MOST];
};

struct intake {
	struct log **log;
	char *directory;
	int written_fd;
	struct entry **entries; /* by name: by source, and then in the order of writing */
	size_t entries_count;
	struct buffer bytes;
	struct written written;
	bool held; /* the batch in `written` waits for room */
	bool sync; /* it has a line that must be on the disk before it is acknowledged */
	bool said; /* that something has to be tried again */
};

/* --- the table --- */

struct entry *intake_find(
	const struct intake *intake, const char *name); /* NULL: it is not there */
/* `name` is not there yet. NULL: out of memory; a later scan finds the file again. */
struct entry *intake_add(struct intake *intake, const char *name);
/* The next file of the source has its turn then. */
void intake_remove(struct intake *intake, struct entry *entry);
void intake_free_entry(struct entry *entry); /* which is in no table */
bool intake_is_same_source(const struct entry *a, const struct entry *b);

/* --- the lines --- */

/*
 * Log the records in `bytes`, which begin with the line `*number`. Returns how many bytes that were; what
 * follows is no record, or none that is there whole. `*number` and `*sync` are brought up to date.
 */
size_t intake_log_records(
	struct intake *intake, const struct log_spool_head *head, uint64_t *number, bool *sync);
/* What the owner lost behind its last record, once it is certain that none follows. false: nothing. */
bool intake_log_rest(struct intake *intake, const struct log_spool_head *head, uint64_t *number);

#endif
