/*
 * How the `logging` section is read: small readers of one value each, which say what is wrong where it
 * stands, and go on. For log_config*.c only.
 */
#ifndef NOWCAST_CORE_SYSTEM_LOG_READER_H
#define NOWCAST_CORE_SYSTEM_LOG_READER_H

#include "core/system/log_internal.h"

/* The names of findings; nowcast-check(1) explains them. Keep the two together. Some are those of
 * core/system/config too. */
#define FINDING_WRONG_KIND            "wrong-kind"
#define FINDING_BAD_NUMBER            "bad-number"
#define FINDING_BAD_CHOICE            "bad-choice"
#define FINDING_MISSING_KEY           "missing-key"
#define FINDING_UNKNOWN_KEY           "unknown-key"
#define FINDING_UNKNOWN_HANDLER_CLASS "unknown-handler-class"
#define FINDING_UNKNOWN_HANDLER       "unknown-handler"
#define FINDING_UNKNOWN_FORMATTER     "unknown-formatter"
#define FINDING_UNKNOWN_LEVEL         "unknown-log-level"
#define FINDING_UNKNOWN_FILTER        "unknown-filter"
#define FINDING_BAD_TIME              "bad-time"
#define FINDING_BAD_ADDRESS           "bad-log-address"
#define FINDING_NO_JOURNAL            "journal-missing"
#define FINDING_BAD_FORMAT            "bad-log-format"
#define FINDING_FOREIGN_FIELD         "log-field-empty"
#define FINDING_NOT_SUPPORTED         "logging-not-supported"
#define FINDING_NOT_IN_FORCE          "logging-no-effect"
#define FINDING_NO_AGGREGATOR         "log-aggregator-missing"
#define FINDING_UNUSED_HANDLER        "unused-handler"
#define FINDING_UNKNOWN_GROUP         "unknown-group"
#define FINDING_NO_COMPRESSOR         "compressor-missing"

struct log_reader {
	const struct config *config;
	struct findings *findings;
	struct log_setup *setup;
	enum log_mode mode;
	bool wrong; /* at least one error */
	bool nomem;
};

void log_reader_say(struct log_reader *reader, enum severity severity, const char *name,
	const struct value *at, const char *format, ...) NC_PRINTF(5, 6);
#define log_reader_error(reader, name, at, ...)                                                    \
	log_reader_say(reader, SEVERITY_ERROR, name, at, __VA_ARGS__)

/* The key at `index` as people wrote it; the text is the caller's, "" when it is no scalar. NULL: out of
 * memory. */
char *log_reader_key(const struct value *map, size_t index);

/* `map`, when it is a mapping. Absent or null: NULL. Else an error and NULL. `what`, here and below, is
 * how messages call it: "the handler console". */
const struct value *log_reader_mapping(
	struct log_reader *reader, const struct value *map, const char *what);
/* A warning for each key that is not among the known ones. */
void log_reader_check_keys(struct log_reader *reader, const struct value *map, const char *what,
	const char *const *known, size_t count);

/* The value of `key`. Absent or null: NULL, `otherwise`, 0. Wrong: the same, and an error. */
const char *log_reader_text(
	struct log_reader *reader, const struct value *map, const char *key, const char *what);
bool log_reader_bool(struct log_reader *reader, const struct value *map, const char *key,
	const char *what, bool otherwise);
int64_t log_reader_count(
	struct log_reader *reader, const struct value *map, const char *key, const char *what);
/* A whole number, or a text with a unit (`100 MB`): in bytes. */
int64_t log_reader_size(
	struct log_reader *reader, const struct value *map, const char *key, const char *what);
int log_reader_level(
	struct log_reader *reader, const struct value *map, const char *what, int otherwise);

/* Is the key absent, or null? */
bool log_reader_is_default(const struct value *map, const char *key);
/* A copy, which is the caller's; NULL when `text` is, or when memory runs out, which is noted. */
char *log_reader_copy(struct log_reader *reader, const char *text);

/* log_config_formats.c: the formatter that a handler names; that of the message alone when it names none. */
const struct log_format *log_reader_format(
	struct log_reader *reader, const struct value *map, const char *what);
/* The filters that a handler or logger names; *ret_filters is the caller's, the filters are the setup's. Both
 * untouched when it names none. */
void log_read_filter_names(struct log_reader *reader, const struct value *map, const char *what,
	struct log_filter ***ret_filters, size_t *ret_count);

/* Fill the setup's formats, filters and handlers. */
void log_read_formatters(struct log_reader *reader, const struct value *section);
void log_read_filters(struct log_reader *reader, const struct value *section);
void log_read_handlers(struct log_reader *reader, const struct value *section);

/* log_config_remote.c: the keys of handlers that send lines elsewhere. */
void log_read_syslog(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler);
void log_read_journal(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler);
void log_read_mail(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler);

/* log_config_files.c: `file group` of any file, `compress` and `keep at most` of one that is rotated. */
void log_read_file_group(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler);
void log_read_archive(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler);

#endif
