/*
 * What the parts of core/system/log share: format (a line from a record), setup (the `logging` section
 * as data), handlers (where a line goes), and the shipper (lines to the log aggregator). For log*.c only.
 *
 * None of it locks: log.c holds the log's mutex around everything here that changes.
 */
#ifndef NOWCAST_CORE_SYSTEM_LOG_INTERNAL_H
#define NOWCAST_CORE_SYSTEM_LOG_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "core/data/buffer.h"
#include "core/data/value.h"
#include "core/system/log.h"

#define LOG_USUAL_FORMAT "%(asctime)s %(levelname)s [%(name)s] %(message)s"

enum {
	LOG_FILE_MODE = 0664, /* promises.md, S2 */
};

/* --- log_format.c: the `%`-style of Python's logging.Formatter --- */

struct log_format;

/* A record as a format sees it. The texts are escaped already. */
struct log_view {
	const char *logger;
	int level;
	int64_t real_ns;
	int64_t start_ns; /* when this process set logging up */
	int64_t process_id;
	const char *process_name;
	const char *host;
	const char *message;
};

/*
 * NC_ERR_INVALID: `error` says what is wrong with the format, without a place. *ret_foreign (may be
 * NULL) is set to the first field that only a Python program can fill (`lineno`), else to NULL: it
 * shows as `-` or 0. `date_format` may be NULL.
 */
enum nc_err log_format_create(const char *text, const char *date_format,
	struct log_format **ret_format, const char **ret_foreign, struct error *error);
void log_format_destroy(struct log_format *format); /* accepts NULL */

/* Append the line, without a newline at its end. */
void log_format_apply(
	const struct log_format *format, const struct log_view *view, struct buffer *out);

/* Append `text` so that it cannot forge a line or command a terminal: control characters, line and
 * paragraph separators, and bytes that are not UTF-8, as `\n`, `\x1b`, `\u2028`. Tabs stay. */
void log_escape(const char *text, bool keep_newlines, struct buffer *out);

/* `INFO`, `Level 15` */
void log_print_level(int level, struct buffer *out);

/* --- log_setup.c: the section as data --- */

enum log_handler_kind {
	HANDLER_NULL,
	HANDLER_STREAM,
	HANDLER_FILE,
	HANDLER_AGGREGATOR, /* zmq.log.handlers.PUBHandler */
	HANDLER_MAIL,       /* accepted; nothing is sent yet */
};

/*
 * A handler with its file. `fd` is -1 while nothing is open. A line that could not be written is
 * counted in `lost` until the count has been logged.
 */
struct log_handler {
	char *name;
	enum log_handler_kind kind;
	int level;
	const struct log_format *format; /* the setup's */
	char *path;                      /* of HANDLER_FILE: absolute */
	bool rotating;
	bool delayed; /* opened with the first line */
	int64_t backup_count;
	unsigned line, column; /* in the configuration file */

	int fd;
	dev_t device;
	ino_t inode;
	int64_t checked_ms; /* when the path was last compared */
	bool torn;          /* the last write stopped in the middle of a line */
	bool dead;          /* of HANDLER_STREAM: nobody reads it any more */
	uint64_t lost;
	int lost_errno;
};

struct log_logger {
	char *name; /* root: "" */
	int level;
	bool propagate;
	struct log_handler **handlers; /* the setup's */
	size_t handlers_count;
};

struct log_named_format {
	char *name;
	struct log_format *format; /* NULL: it was wrong, and that has been said */
};

struct log_setup {
	struct log_handler **handlers;
	size_t handlers_count;
	struct log_logger *loggers; /* the first one is root */
	size_t loggers_count;
	struct log_named_format
		*formats; /* the first one is `%(message)s`, of handlers that name none */
	size_t formats_count;
};

/* Add one with this name; NULL: out of memory. The pointer to a format or a logger is valid until the
 * next one is added. */
struct log_named_format *log_setup_add_format(struct log_setup *setup, const char *name);
struct log_handler *log_setup_add_handler(struct log_setup *setup, const char *name);
struct log_logger *log_setup_add_logger(struct log_setup *setup, const char *name);

/* One handler on a stream, in the usual form. */
enum nc_err log_setup_console(struct log_setup **ret_setup, int level);
void log_setup_destroy(struct log_setup *setup); /* accepts NULL; closes the files */

/* The logger of exactly this name, or of `len` bytes of it; NULL: none is configured. */
const struct log_logger *log_setup_find(
	const struct log_setup *setup, const char *name, size_t len);
/* The logger that rules over `name`: itself, else the nearest above it in the dotted hierarchy. *len
 * (the part of `name` looked at; at first strlen(name) + 1) is set to what to go on from. */
const struct log_logger *log_setup_next(
	const struct log_setup *setup, const char *name, size_t *len);
int log_setup_effective_level(const struct log_setup *setup, const char *name);
/* Does any logger name this handler? */
bool log_setup_uses(const struct log_setup *setup, const struct log_handler *handler);

/* --- log_config.c: from the configuration --- */

/* Does it have the parts `aggregator` and `publisher`? */
bool log_section_is_distributed(const struct value *section);

/*
 * The form of the section that `mode` uses, as data; nothing is opened. What is wrong goes to
 * `findings`; NC_ERR_INVALID: at least one is an error. NC_ERR_NOT_FOUND: there is no such form.
 */
enum nc_err log_setup_read(const struct config *config, enum log_mode mode,
	struct log_setup **ret_setup, struct findings *findings);

/* The same with the first error in words, its place in front. */
enum nc_err log_setup_load(const struct config *config, enum log_mode mode,
	struct log_setup **ret_setup, struct error *error);

/* --- log_handler.c: where a line goes --- */

/* Open the file of a HANDLER_FILE, look whether the stream of a HANDLER_STREAM is there. */
enum nc_err log_handler_open(struct log_handler *handler, struct error *error);
void log_handler_close(struct log_handler *handler);

/* Open the file again when it is not the one at its path any more. */
void log_handler_check(struct log_handler *handler);

/* Write a line (with its newline) at once. true: the kernel has it. false: it is counted in `lost`. */
bool log_handler_write(struct log_handler *handler, const char *line, size_t len);

/* Open a log file for appending, making it with exactly LOG_FILE_MODE when it is absent. -1: errno. */
int log_file_open(const char *path);

/* --- log_ship.c: to the aggregator, in acknowledged batches --- */

struct log_shipper;

enum nc_err log_shipper_create(const struct config *config, const char *process_name,
	const char *host, struct log_shipper **ret_shipper, struct error *error);
/* Ships or spools what waits; blocks at most `timeout_ms`. Accepts NULL. */
void log_shipper_destroy(struct log_shipper *shipper, int64_t timeout_ms);

/* Queue a record, and ship when it is time for it. Blocks at most 250 ms, and then not again for 1 s
 * or more. */
void log_shipper_add(struct log_shipper *shipper, const struct log_view *view, bool keep_newlines);
/* true: nothing is waiting. */
bool log_shipper_flush(struct log_shipper *shipper, int64_t timeout_ms);
bool log_shipper_is_waiting(const struct log_shipper *shipper);

#endif
