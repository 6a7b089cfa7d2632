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
#define FINDING_BAD_FORMAT            "bad-log-format"
#define FINDING_FOREIGN_FIELD         "log-field-empty"
#define FINDING_NOT_SUPPORTED         "logging-not-supported"
#define FINDING_NOT_IN_FORCE          "logging-no-effect"
#define FINDING_NO_MAIL               "log-mail-not-sent"
#define FINDING_NO_AGGREGATOR         "log-aggregator-missing"
#define FINDING_UNUSED_HANDLER        "unused-handler"

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
int log_reader_level(
	struct log_reader *reader, const struct value *map, const char *what, int otherwise);

/* Filters would hold lines back; we cannot, so we do not pretend to. */
void log_reader_refuse_filters(
	struct log_reader *reader, const struct value *map, const char *what);

/* log_config_handlers.c: fill the setup's formats and handlers. */
void log_read_formatters(struct log_reader *reader, const struct value *section);
void log_read_handlers(struct log_reader *reader, const struct value *section);

#endif
