/*
 * Log lines by the `logging` section of the configuration, as Python's logging.config.dictConfig takes
 * it: formatters, handlers, loggers, root.
 *
 * A line is one write() of the whole line to an O_APPEND descriptor, or one record in a batch to the
 * log aggregator. A newline or control character in a message cannot forge a line: it is escaped
 * (`\n`, `\x1b`), except that a record with `keep_newlines` keeps its lines.
 *
 * Order of calls: log_create() when the configuration is there; until then, and when it fails,
 * log_create_console(). log_*() from any thread of the process at any time; never from a signal handler.
 * log_reopen() looks which files were rotated (it is also done before a write). Nothing waits in memory,
 * so a process may end in any way.
 *
 * A secret (core/system/secrets.h) in a message is written as `***`.
 *
 * `log` may be NULL wherever a line is made: nothing is logged then.
 *
 * Lines for the aggregator (a handler of the class zmq.log.handlers.PUBHandler) go into the spool of the
 * process, from where the aggregator takes them (log_spool.h); nobody waits for it, at the end neither.
 *
 * After a fork both processes may log.
 *
 * Depends on core/data, core/system/sys, file, clock, config, id, secrets.
 */
#ifndef NOWCAST_CORE_SYSTEM_LOG_H
#define NOWCAST_CORE_SYSTEM_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data/error.h"
#include "core/data/finding.h"
#include "core/system/config.h"
#include "core/system/secrets.h"

/* Numbers as in Python. (Not LOG_DEBUG and so on: syslog.h has those.) */
enum log_level {
	LEVEL_NOTSET = 0,
	LEVEL_DEBUG = 10,
	LEVEL_INFO = 20,
	LEVEL_WARNING = 30,
	LEVEL_ERROR = 40,
	LEVEL_CRITICAL = 50,
	LEVEL_OFF = 100,
};

const char *log_level_name(int level);                  /* `Level 15` is not among them: NULL */
bool log_level_parse(const char *text, int *ret_level); /* a name or a number */

struct log;

enum log_mode {
	LOG_MODE_NORMAL,     /* local, or the `publisher` form when the section has it */
	LOG_MODE_AGGREGATOR, /* the `aggregator` form: the log_aggregator itself; log_collect.h */
	LOG_MODE_DEBUG,      /* console only, all levels (`--debug`) */
};

/*
 * Set logging up for this process. `process_name` is the default logger (`manager`, `sleep`).
 * NC_ERR_INVALID: the section cannot be used (`error` has FILE:LINE:COLUMN in its text); NC_ERR_SYSTEM:
 * a log file cannot be opened.
 */
enum nc_err log_create(const struct config *config, const char *process_name, enum log_mode mode,
	struct log **ret_log, struct error *error);

/* Lines to stderr at INFO and above (DEBUG when `debug`), in the usual form. */
enum nc_err log_create_console(
	const char *process_name, bool debug, struct log **ret_log, struct error *error);

void log_destroy(struct log *log); /* accepts NULL */

/* Check the section without opening anything (`nowcast check`). */
void log_check(const struct config *config, struct findings *findings);

/*
 * One line of the process's own logger. Never fails for the caller: what cannot be written is counted,
 * and the count is logged when writing works again.
 */
void log_line(struct log *log, int level, const char *format, ...) NC_PRINTF(3, 4);
#define log_debug(log, ...)    log_line(log, LEVEL_DEBUG, __VA_ARGS__)
#define log_info(log, ...)     log_line(log, LEVEL_INFO, __VA_ARGS__)
#define log_warning(log, ...)  log_line(log, LEVEL_WARNING, __VA_ARGS__)
#define log_error(log, ...)    log_line(log, LEVEL_ERROR, __VA_ARGS__)
#define log_critical(log, ...) log_line(log, LEVEL_CRITICAL, __VA_ARGS__)

/*
 * A record of any logger and time: of a worker that speaks through its runner, or of another process
 * through the aggregator. `real_ns` 0: now. `process_id` 0: this one.
 */
struct log_record {
	const char *logger;
	int level;
	int64_t real_ns;
	int64_t process_id;
	const char *host; /* NULL: this one */
	const char *message;
	bool keep_newlines; /* a block for people (the checklist) */
};
void log_record(struct log *log, const struct log_record *record);

/* Would a line of this logger and level go anywhere? */
bool log_is_enabled(const struct log *log, const char *logger, int level);

/* Has this logger handlers of its own (`checklist`)? */
bool log_has_handlers(const struct log *log, const char *logger);

/* What must not be shown: for whoever else shows texts to people. The log's; NULL when `log` is. */
const struct secrets *log_secrets(const struct log *log);

/*
 * From here on every line, of any level, goes to the file `path` too, in the usual form: the log of one
 * launch. At most once. On failure nothing is changed.
 */
enum nc_err log_keep(struct log *log, const char *path, struct error *error);

/* Open the files again that were renamed or removed. */
void log_reopen(struct log *log);

/*
 * The log files that rotation concerns: those of every RotatingFileHandler that a logger uses, each path
 * once, of all parts of the section (local; or aggregator, then publisher). Opens nothing. The texts
 * belong to the list.
 */
enum log_compress {
	LOG_COMPRESS_NONE,
	LOG_COMPRESS_GZIP, /* FILE.N.gz */
	LOG_COMPRESS_ZSTD, /* FILE.N.zst */
	LOG_COMPRESS_COUNT
};
struct log_file_info {
	const char *handler;
	const char *path;     /* absolute */
	int64_t backup_count; /* FILE.1 to FILE.N are kept; 0: the file is not rotated */
	enum log_compress compress;
	int64_t keep_most; /* bytes of the file and its old ones together; 0: no matter */
};
struct log_files;
/* NC_ERR_INVALID as log_create(); a configuration without the section has no files. */
enum nc_err log_files_create(
	const struct config *config, struct log_files **ret_files, struct error *error);
void log_files_destroy(struct log_files *files); /* accepts NULL */
/* `index` from 0; false beyond the last. */
bool log_files_at(const struct log_files *files, size_t index, struct log_file_info *ret_info);

/*
 * The file that has the lines of the whole system: of the file handlers of root (local; or of the part
 * `aggregator`) the one with the lowest level, to be freed. NC_ERR_NOT_FOUND: root has none.
 */
enum nc_err log_main_file(const struct config *config, char **ret_path, struct error *error);

/*
 * Roll `path` over: FILE becomes FILE.1, FILE.1 becomes FILE.2, ..., FILE.`backup_count` is replaced;
 * then a new FILE with mode rw-rw-r-- and the group of the old one. Compressed files (FILE.2.gz) move in the
 * same way. By renaming only: what a writer still has open loses nothing, and a kill at any moment leaves
 * every file under some name (a gap in the numbers is filled by the next rotation). NC_ERR_NOT_FOUND: there
 * is no such file; NC_ERR_REFUSED: another process is rotating in that directory; NC_ERR_SYSTEM: FILE is
 * still the one that is written to.
 */
enum nc_err log_file_rotate(const char *path, int64_t backup_count, struct error *error);

/*
 * Compress the old files from FILE.2 on (FILE.1 may still be written to), as the handler says, by the
 * program gzip or zstd, which runs to its end in the call; then remove the oldest ones beyond `keep_most`.
 * A file that some process still has open for writing is left to the next time. A kill at any moment leaves
 * each line in one whole file at least. `error` is of the first thing that could not be done; the others
 * are done all the same. *ret_compressed and *ret_removed count files; untouched never.
 */
enum nc_err log_file_archive(const struct log_file_info *info, unsigned *ret_compressed,
	unsigned *ret_removed, struct error *error);

#endif
