/*
 * The spool: log lines on their way from the processes of this host to the log aggregator.
 *
 * A process appends its records (log_batch.h) to a file of its own in STATE/log-spool, through a shared
 * mapping: a line is with the kernel when the call returns, whatever becomes of the process, and costs no
 * system call. The aggregator reads the file, writes the lines, and acknowledges in the head of the file how
 * far it came. So a process neither connects nor waits, whether there is an aggregator or not.
 *
 * A source (one process, or one fork of it) has files SOURCE-000001.spool, -000002, ..., each of a fixed
 * size whose blocks are allocated when it is made, so that a full disk is met there and not in a line. The
 * owner holds a lock on the file it writes; the aggregator removes a file that nobody holds and that is
 * acknowledged to its end.
 *
 * To wake the aggregator up, the owner touches its file by a write() (inotify), and only when the
 * aggregator has said in the head that it sleeps.
 *
 * Kills: a record counts when `written` has been moved behind it, which is one store. Lines that could not
 * be kept (no room) are counted by `next_number`, in the head that is allocated already.
 *
 * Here are the layout and the reader; log_ship.c is the writer. Depends on core/data, core/system/id, sys.
 */
#ifndef NOWCAST_CORE_SYSTEM_LOG_SPOOL_H
#define NOWCAST_CORE_SYSTEM_LOG_SPOOL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/data/buffer.h"
#include "core/data/error.h"
#include "core/system/id.h"

#define STATE_LOG_SPOOL  "log-spool" /* in the state directory */
#define LOG_SPOOL_SUFFIX ".spool"
#define LOG_SPOOL_MAGIC  "NCSPOOL1"

enum {
	LOG_SPOOL_NAME_SIZE = ID_TEXT_SIZE + 7 + 6, /* SOURCE-NNNNNN.spool */
	LOG_SPOOL_SEGMENT_MOST = 999999,
	LOG_SPOOL_DATA = 512, /* where the records begin */
};

/* The head of a file. Its words are written by one side each, and read by both. */
struct log_spool_head {
	/* Set when the file is made. */
	char magic[8];
	char source[40];
	uint32_t segment;
	uint32_t size; /* of the file */
	int64_t process_id;
	uint64_t first_number;
	char name[96]; /* of the process, and its host: for words about lines that are missing */
	char host[96];
	/* The owner's. */
	uint64_t written; /* offset behind the last whole record */
	uint64_t next_number;
	int64_t lost_ns; /* when a line was last lost, and why */
	int64_t lost_errno;
	/* The aggregator's; written together. */
	uint64_t acked; /* offset */
	uint64_t acked_number;
	uint32_t asleep;  /* 1: wake me up. The owner sets it to 0 before it does. */
	uint32_t touched; /* what the owner writes to wake the aggregator up */
};

static_assert(
	sizeof(struct log_spool_head) <= LOG_SPOOL_DATA, "the head fits in front of the data");

/* SOURCE-NNNNNN.spool into `name`. */
void log_spool_name(const char *source, uint32_t segment, char name[LOG_SPOOL_NAME_SIZE]);
bool log_spool_is_name(const char *name);

struct log_spool {
	int fd;
	struct log_spool_head head; /* as it was at the last look */
	bool abandoned;             /* the owner has ended, or writes another file by now */
};

/*
 * Open a file of anybody who may write there: all of its head is checked, and again at each look.
 * NC_ERR_NOT_FOUND, NC_ERR_SYNTAX, NC_ERR_SYSTEM.
 */
enum nc_err log_spool_open(const char *path, struct log_spool *ret_spool, struct error *error);
void log_spool_close(struct log_spool *spool);
/* How far is it now? */
enum nc_err log_spool_look(struct log_spool *spool, struct error *error);
/* Append up to `most` bytes of records, from `acked` on. */
enum nc_err log_spool_read(
	struct log_spool *spool, size_t most, struct buffer *out, struct error *error);
/* So far all is done; and from here on we sleep: look again afterwards. */
enum nc_err log_spool_acknowledge(
	struct log_spool *spool, uint64_t offset, uint64_t number, struct error *error);

#endif
