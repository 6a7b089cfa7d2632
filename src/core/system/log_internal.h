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
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "core/data/buffer.h"
#include "core/data/value.h"
#include "core/system/log.h"
#include "core/system/log_collect.h"

#define LOG_USUAL_FORMAT "%(asctime)s %(levelname)s [%(name)s] %(message)s"

enum {
	LOG_FILE_MODE = 0664, /* promises.md, S2 */
};

/* --- log_format.c, log_format_print.c: the `%`-style of Python's logging.Formatter --- */

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
	const char *raw_message; /* not escaped: what a JSON text escapes in its own way */
};

/*
 * NC_ERR_INVALID: `error` says what is wrong with the format, without a place. *ret_foreign (may be
 * NULL) is set to the first field that only a Python program can fill (`lineno`), else to NULL: it
 * shows as `-` or 0. `date_format` may be NULL.
 */
enum nc_err log_format_create(const char *text, const char *date_format,
	struct log_format **ret_format, const char **ret_foreign, struct error *error);
/* One JSON object: time, level, logger, message, process, host. */
enum nc_err log_format_create_json(struct log_format **ret_format, struct error *error);
void log_format_destroy(struct log_format *format); /* accepts NULL */

/* Append the line, without a newline at its end. */
void log_format_apply(
	const struct log_format *format, const struct log_view *view, struct buffer *out);

/* --- log_escape.c: what others wrote, made harmless --- */

/* Append `text` so that it cannot forge a line or command a terminal: control characters, line and
 * paragraph separators, and bytes that are not UTF-8, as `\n`, `\x1b`, `\u2028`. Tabs stay. */
void log_escape(const char *text, bool keep_newlines, struct buffer *out);

/* Append `text` as a JSON text with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void log_escape_json(const char *text, struct buffer *out);

/* --- log_level.c --- */

enum {
	LEVEL_MOST = 1000
};

/* `INFO`, `Level 15` */
void log_print_level(int level, struct buffer *out);

/* --- log_setup.c: the section as data --- */

enum log_handler_kind {
	HANDLER_NULL,
	HANDLER_STREAM,
	HANDLER_FILE,
	HANDLER_AGGREGATOR, /* zmq.log.handlers.PUBHandler */
	HANDLER_SYSLOG,
	HANDLER_JOURNAL,
	HANDLER_MAIL,
};

/* An entry of `filters`: records of this logger and of those below it pass. */
struct log_filter {
	char *name;
	char *logger; /* "": all pass */
};

/* When a file is rolled over by time (TimedRotatingFileHandler). */
struct log_when {
	enum {
		WHEN_NEVER,
		WHEN_INTERVAL, /* every `interval_s` */
		WHEN_DAILY,    /* every `days`, `at_s` after the day's start */
		WHEN_WEEKLY,   /* the same, on `weekday` */
	} kind;
	int64_t interval_s;
	int days;
	int weekday; /* 0: Monday */
	int at_s;    /* 86400: at the day's end */
	bool utc;
	const char *suffix; /* for strftime(): what old files are called by */
};

/* The mail that a HANDLER_MAIL makes; how it is sent is looked up by whoever sends it. */
struct log_mail {
	char *from;
	char **to;
	size_t to_count;
	char *subject;
	char *host;
	int64_t port;   /* 0: 25 */
	char *user;     /* or NULL */
	char *password; /* or NULL */
	bool secure;    /* STARTTLS, or nothing is sent */
	int64_t timeout_ms;
	char *spool; /* the directory */
};

/*
 * A handler with its file or socket. `fd` is -1 while nothing is open. A line that could not be written is
 * counted in `lost` until the count has been logged.
 */
struct log_handler {
	char *name;
	enum log_handler_kind kind;
	int level;
	const struct log_format *format; /* the setup's */
	struct log_filter **filters;     /* the setup's; the list is the handler's */
	size_t filters_count;
	unsigned line, column; /* in the configuration file */

	char *path;    /* of HANDLER_FILE: absolute; of the socket of a syslog or journal */
	bool rotating; /* rotate_logs rolls it over */
	bool delayed;  /* opened with the first line */
	int64_t backup_count;
	enum log_compress compress;
	int64_t keep_most; /* bytes of the file and all old ones; 0: no matter */
	bool has_group;    /* the file is made with this one */
	gid_t group;
	int64_t most_bytes; /* 0: size is no reason to roll over */
	struct log_when when;
	char *host; /* of HANDLER_SYSLOG, by UDP; else NULL */
	int64_t port;
	int facility;
	struct log_mail *mail;

	int fd;
	dev_t device;
	ino_t inode;
	bool regular;       /* a file that can be rolled over */
	int64_t checked_ms; /* when the path was last compared, or the socket last connected */
	int64_t roll_at_s;  /* of `when`: real time, seconds */
	int64_t roll_pause_until_ms;
	char *roll_problem; /* why it could not be rolled over; NULL: nothing to say */
	bool sync_fails;    /* and that was said */
	bool torn;          /* the last write stopped in the middle of a line */
	bool dead;          /* of HANDLER_STREAM: nobody reads it any more */
	bool full;          /* of a socket: the last line found no room; do not wait again */
	uint64_t lost;
	int lost_errno;

	struct buffer collected; /* lines that wait to be written (log_collect.c), */
	size_t collected_done;   /* and so much of them has been */
	size_t mark;             /* where the batch begins that may be in the file already */
	bool unsynced;           /* something was written since the last sync */
};

struct log_logger {
	char *name; /* root: "" */
	int level;
	bool propagate;
	struct log_handler **handlers; /* the setup's */
	size_t handlers_count;
	struct log_filter **filters; /* the setup's */
	size_t filters_count;
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
	struct log_format *json; /* of nowcast.JsonFile; NULL: nobody uses it */
	struct log_filter **filters;
	size_t filters_count;
};

/* Add one with this name; NULL: out of memory. The pointer to a format or a logger is valid until the
 * next one is added. */
struct log_named_format *log_setup_add_format(struct log_setup *setup, const char *name);
struct log_handler *log_setup_add_handler(struct log_setup *setup, const char *name);
struct log_logger *log_setup_add_logger(struct log_setup *setup, const char *name);
struct log_filter *log_setup_add_filter(
	struct log_setup *setup, const char *name, const char *logger);

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

/* Open the file of a HANDLER_FILE, look whether the stream of a HANDLER_STREAM is there, connect the socket
 * of the others. Only a file that cannot be opened is an error. May block for the name of a host. */
enum nc_err log_handler_open(struct log_handler *handler, struct error *error);
void log_handler_close(struct log_handler *handler);
/* Give the file, just opened, to `file group`, as far as we may. */
void log_handler_give_to_group(const struct log_handler *handler);

/* Open the file again when it is not the one at its path any more. */
void log_handler_check(struct log_handler *handler);

/* Do all filters let a record of this logger pass? */
bool log_filters_pass(struct log_filter *const *filters, size_t count, const char *logger);

/* Write a line (`len` bytes, a newline at the end) at once. true: the kernel has it. false: it is counted in
 * `lost`. */
bool log_handler_write(
	struct log_handler *handler, const struct log_view *view, const char *line, size_t len);

/* Open a log file for appending, making it with exactly LOG_FILE_MODE when it is absent. -1: errno. */
int log_file_open(const char *path);

/* --- log_handler_roll.c: a file that is rolled over by its writers --- */

/* The file was opened: when is it due? */
void log_handler_roll_start(struct log_handler *handler, const struct stat *status);
/*
 * Roll the file over when it is due, with `len` bytes to come. Whoever is first does it; the others find the
 * new file. What cannot be done is in `roll_problem`, and the file goes on.
 */
void log_handler_roll(struct log_handler *handler, size_t len);
/* The first moment after `after_s` at which a file is due. */
int64_t log_when_next(const struct log_when *when, int64_t after_s);

/* --- log_rotate.c --- */

/* log_file_rotate() when `path` still is the file `expected` (may be NULL: any); else NC_ERR_REFUSED. */
enum nc_err log_file_rotate_if(
	const char *path, int64_t backup_count, const struct stat *expected, struct error *error);
/* Lock the directory of `path` against other rotations, until *ret_fd is closed. NC_ERR_REFUSED. */
enum nc_err log_directory_lock(const char *path, int *ret_fd, struct error *error);

/* --- log_handler_socket.c: syslog and journald --- */

void log_socket_open(struct log_handler *handler);
void log_socket_close(struct log_handler *handler);
/* As log_handler_write(). Waits at most 200 ms for a reader that is slow, and then not for the next line. */
bool log_socket_write(
	struct log_handler *handler, const struct log_view *view, const char *line, size_t len);

/* --- log_handler_mail.c: lines that are mailed --- */

/* Put the line as a mail into the spool. */
bool log_mail_write(
	struct log_handler *handler, const struct log_view *view, const char *line, size_t len);

/* --- log_rotate.c, log_archive.c --- */

/* FILE.N with an ending for how it is compressed; N 0: FILE. */
void log_numbered_name(
	struct buffer *name, const char *path, int64_t number, enum log_compress compress);

/* --- log_ship.c: to the aggregator, through the spool --- */

struct log_shipper;

enum nc_err log_shipper_create(const struct config *config, const char *process_name,
	const char *host, struct log_shipper **ret_shipper, struct error *error);
/* What is in the spool stays there for the aggregator. Accepts NULL. */
void log_shipper_destroy(struct log_shipper *shipper);
/* Keep a record for the aggregator, or count it as lost. Never waits for anybody. */
void log_shipper_add(struct log_shipper *shipper, const struct log_view *view, bool keep_newlines);

/* --- log_collect.c: the lines of the log aggregator, many in one write --- */

/* Forget what is collected. */
void log_handler_forget(struct log_handler *handler);

/* Append a line to what is collected for `handler`. false: out of memory, and it is counted as lost. */
bool log_handler_collect(
	struct log_handler *handler, const struct log_format *format, const struct log_view *view);
/* Is there room for a line that waits for a full disk? */
bool log_handler_may_wait(const struct log_handler *handler);
/* log_collect.h, for one handler. */
void log_handler_place(struct log_handler *handler, struct log_place *ret_place);
enum log_collected log_handler_write_collected(struct log_handler *handler);
enum log_collected log_handler_sync(struct log_handler *handler);
void log_handler_recover(struct log_handler *handler, const struct log_place *place);

#endif
