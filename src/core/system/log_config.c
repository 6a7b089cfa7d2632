/*
 * The `logging` section as logging.config.dictConfig takes it, read into a struct log_setup. All problems
 * are found in one pass: a reader goes on after an error, and leaves out what was wrong.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/system/file.h"
#include "core/system/log_internal.h"

/* The names of findings; nowcast-check(1) explains them. Keep the two together. */
static const char bad_value[] = "bad-value";
static const char missing_key[] = "missing-key";
static const char unknown_key[] = "unknown-key";
static const char unknown_handler_class[] = "unknown-handler-class";
static const char unknown_handler[] = "unknown-handler";
static const char unknown_formatter[] = "unknown-formatter";
static const char unknown_level[] = "unknown-log-level";
static const char bad_format[] = "bad-log-format";
static const char foreign_field[] = "log-field-empty";
static const char not_supported[] = "logging-not-supported";
static const char not_in_force[] = "logging-no-effect";
static const char no_mail[] = "log-mail-not-sent";
static const char no_aggregator[] = "log-aggregator-missing";
static const char unused_handler[] = "unused-handler";

struct reader {
	const struct config *config;
	struct findings *findings;
	struct log_setup *setup;
	enum log_mode mode;
	bool wrong; /* at least one error */
	bool nomem;
};

static void say(struct reader *reader, enum severity severity, const char *name,
	const struct value *at, const char *format, ...) NC_PRINTF(5, 6);

static void say(struct reader *reader, enum severity severity, const char *name,
	const struct value *at, const char *format, ...)
{
	char text[400];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	findings_add(reader->findings, severity, name, reader->config->file, value_line(at),
		value_column(at), "%s", text);
	if (severity == SEVERITY_ERROR)
		reader->wrong = true;
}

#define say_error(reader, name, at, ...) say(reader, SEVERITY_ERROR, name, at, __VA_ARGS__)

/* --- small readers --- */

/* The key at `index` as people wrote it; the text is the caller's, "" when it is no scalar. */
static char *key_text(const struct value *map, size_t index)
{
	struct buffer text;

	buffer_init(&text);
	if (value_print_scalar(value_map_key_at(map, index), &text) != NC_OK)
		buffer_clear(&text);
	return buffer_steal(&text);
}

/* `map`, when it is a mapping. Absent or null: NULL. Else an error and NULL. */
static const struct value *a_mapping(
	struct reader *reader, const struct value *map, const char *what)
{
	if (map == NULL || value_is(map, VALUE_NULL))
		return NULL;
	if (value_is(map, VALUE_MAP))
		return map;
	say_error(reader, bad_value, map, "%s must be a mapping, not %s", what,
		value_kind_words(value_kind(map)));
	return NULL;
}

static void check_keys(struct reader *reader, const struct value *map, const char *what,
	const char *const *known, size_t count)
{
	for (size_t i = 0; i < value_count(map); i++) {
		char *key = key_text(map, i);
		const char *nearest;
		bool found = false;

		if (key == NULL) {
			reader->nomem = true;
			return;
		}
		for (size_t k = 0; k < count && !found; k++)
			found = strcmp(key, known[k]) == 0;
		nearest = found ? NULL : suggest(key, known, count);
		if (nearest != NULL)
			say(reader, SEVERITY_WARNING, unknown_key, value_map_key_at(map, i),
				"%s has no key %s; did you mean %s?", what, key, nearest);
		else if (!found)
			say(reader, SEVERITY_WARNING, unknown_key, value_map_key_at(map, i),
				"%s has no key %s; it has no effect", what, key);
		free(key);
	}
}

/* The text of `key`, or NULL: absent, null, or wrong (which is then said). */
static const char *text_of(
	struct reader *reader, const struct value *map, const char *key, const char *what)
{
	const struct value *value = value_map_get(map, key);

	if (value == NULL || value_is(value, VALUE_NULL))
		return NULL;
	if (!value_is(value, VALUE_TEXT))
		say_error(reader, bad_value, value, "%s of %s must be a text, not %s", key, what,
			value_kind_words(value_kind(value)));
	return value_as_text(value, NULL);
}

static bool bool_of(struct reader *reader, const struct value *map, const char *key,
	const char *what, bool otherwise)
{
	const struct value *value = value_map_get(map, key);

	if (value == NULL || value_is(value, VALUE_NULL))
		return otherwise;
	if (value_is(value, VALUE_INT))
		return value_as_int(value, 0) != 0; /* `propagate: 0`, as in Python's examples */
	if (!value_is(value, VALUE_BOOL))
		say_error(reader, bad_value, value, "%s of %s must be true or false, not %s", key,
			what, value_kind_words(value_kind(value)));
	return value_as_bool(value, otherwise);
}

static int64_t count_of(
	struct reader *reader, const struct value *map, const char *key, const char *what)
{
	const struct value *value = value_map_get(map, key);
	int64_t count = value_as_int(value, -1);

	if (value == NULL || value_is(value, VALUE_NULL))
		return 0;
	if (count < 0) {
		say_error(reader, bad_value, value, "%s of %s must be a whole number of 0 or more",
			key, what);
		return 0;
	}
	return count;
}

static int level_of(struct reader *reader, const struct value *map, const char *what, int otherwise)
{
	static const char *const names[] = { "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL",
		"NOTSET" };
	const struct value *value = value_map_get(map, "level");
	const char *nearest;
	struct buffer text;
	int level = otherwise;

	if (value == NULL || value_is(value, VALUE_NULL))
		return otherwise;
	buffer_init(&text);
	if (value_print_scalar(value, &text) != NC_OK) {
		say_error(reader, unknown_level, value,
			"the level of %s must be a name or a number", what);
	} else if (!log_level_parse(text.data, &level)) {
		nearest = suggest(text.data, names, ARRAY_LEN(names));
		say_error(reader, unknown_level, value,
			"the level of %s is %s: %s%s; levels are DEBUG, INFO, WARNING, ERROR, "
			"CRITICAL, or a number from 0 to 1000 (100: off)",
			what, text.data,
			nearest != NULL ? "did you mean " : "there is no such level",
			nearest != NULL ? nearest : "");
	}
	buffer_finish(&text);
	return level;
}

/* --- formatters --- */

static void read_format_text(struct reader *reader, const struct value *map, const char *what,
	struct log_named_format *named)
{
	const char *text = text_of(reader, map, "format", what);
	const char *date_format = text_of(reader, map, "datefmt", what);
	const struct value *style = value_map_get(map, "style");
	const char *foreign = NULL;
	struct error error;

	if (value_map_get(map, "()") != NULL) {
		say_error(reader, not_supported, value_map_get(map, "()"),
			"%s is made by a Python function, which is not possible here; give its "
			"`format:`",
			what);
		return;
	}
	if (style != NULL && strcmp(value_as_text(style, "%"), "%") != 0) {
		say_error(reader, not_supported, style,
			"the style of %s is not `%%`; write the format with %%(name)s fields",
			what);
		return;
	}
	if (log_format_create(text != NULL ? text : "%(message)s", date_format, &named->format,
		    &foreign, &error) != NC_OK) {
		const struct value *at = value_map_get(map, "format");

		say_error(reader, bad_format, at != NULL ? at : map, "in %s: %s", what, error.text);
	} else if (foreign != NULL) {
		say(reader, SEVERITY_WARNING, foreign_field, value_map_get(map, "format"),
			"in %s: %%(%s) is known to Python programs only; it shows as `-` or 0",
			what, foreign);
	}
}

static void read_formatters(struct reader *reader, const struct value *section)
{
	static const char *const keys[] = { "format", "datefmt", "style", "validate", "class",
		"()" };
	const struct value *map =
		a_mapping(reader, value_map_get(section, "formatters"), "`formatters`");
	struct log_named_format *named = log_setup_add_format(reader->setup, "");

	if (named == NULL ||
		log_format_create("%(message)s", NULL, &named->format, NULL, NULL) != NC_OK)
		reader->nomem = true;
	for (size_t i = 0; i < value_count(map) && !reader->nomem; i++) {
		const struct value *entry = value_map_value_at(map, i);
		char *name = key_text(map, i);
		char what[120];

		named = name != NULL ? log_setup_add_format(reader->setup, name) : NULL;
		(void)snprintf(what, sizeof(what), "the formatter %s", name != NULL ? name : "");
		free(name);
		if (named == NULL) {
			reader->nomem = true;
			return;
		}
		entry = a_mapping(reader, entry, what);
		check_keys(reader, entry, what, keys, ARRAY_LEN(keys));
		read_format_text(reader, entry, what, named);
	}
}

static const struct log_format *find_format(
	struct reader *reader, const struct value *map, const char *what)
{
	const struct log_setup *setup = reader->setup;
	const char *name = text_of(reader, map, "formatter", what);
	const char *nearest;
	const char **names;

	if (name == NULL)
		return setup->formats[0].format;
	for (size_t i = 1; i < setup->formats_count; i++) {
		if (strcmp(setup->formats[i].name, name) == 0)
			return setup->formats[i].format;
	}
	names = calloc(setup->formats_count, sizeof(*names));
	if (names == NULL) {
		reader->nomem = true;
		return NULL;
	}
	for (size_t i = 1; i < setup->formats_count; i++)
		names[i] = setup->formats[i].name;
	nearest = suggest(name, names, setup->formats_count);
	say_error(reader, unknown_formatter, value_map_get(map, "formatter"),
		"%s names the formatter %s, which is not under `formatters`%s%s%s", what, name,
		nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
		nearest != NULL ? "?" : "");
	free(names);
	return NULL;
}

/* --- handlers --- */

static void read_stream(struct reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	const char *stream = text_of(reader, map, "stream", what);

	handler->fd = 2;
	if (stream == NULL || strcmp(stream, "ext://sys.stderr") == 0)
		return;
	if (strcmp(stream, "ext://sys.stdout") == 0)
		handler->fd = 1;
	else
		say_error(reader, bad_value, value_map_get(map, "stream"),
			"the stream of %s is %s; it can be ext://sys.stdout or ext://sys.stderr",
			what, stream);
}

static void read_file(struct reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	const struct value *file_value = value_map_get(map, "filename");
	const char *filename = text_of(reader, map, "filename", what);
	const char *mode = text_of(reader, map, "mode", what);
	const char *encoding = text_of(reader, map, "encoding", what);

	handler->delayed = bool_of(reader, map, "delay", what, false);
	if (file_value == NULL || value_is(file_value, VALUE_NULL) ||
		(filename != NULL && *filename == '\0'))
		say_error(reader, missing_key, map, "%s has no file; give `filename: PATH`", what);
	if (filename == NULL || *filename == '\0')
		return;
	handler->path = path_join(reader->config->directory, filename);
	if (handler->path == NULL)
		reader->nomem = true;
	if (mode != NULL && mode[0] != 'a')
		say(reader, SEVERITY_WARNING, not_in_force, value_map_get(map, "mode"),
			"`mode: %s` of %s has no effect: log files are only ever appended to, so "
			"that no process cuts off what another one wrote",
			mode, what);
	if (encoding != NULL && strcasecmp(encoding, "utf-8") != 0 &&
		strcasecmp(encoding, "utf8") != 0)
		say(reader, SEVERITY_WARNING, not_in_force, value_map_get(map, "encoding"),
			"`encoding: %s` of %s has no effect: log files are UTF-8", encoding, what);
}

static void read_rotating_file(struct reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	read_file(reader, map, what, handler);
	handler->rotating = true;
	handler->backup_count = count_of(reader, map, "backupCount", what);
	if (count_of(reader, map, "maxBytes", what) > 0)
		say(reader, SEVERITY_NOTE, not_in_force, value_map_get(map, "maxBytes"),
			"`maxBytes` of %s does not rotate the file; the worker rotate_logs does, "
			"when it is launched",
			what);
	if (handler->backup_count == 0)
		say(reader, SEVERITY_NOTE, not_in_force, map,
			"%s has no `backupCount`: its file is never rotated, and grows", what);
}

static void read_aggregator(struct reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	if (reader->mode == LOG_MODE_AGGREGATOR) {
		say(reader, SEVERITY_WARNING, not_in_force, map,
			"%s sends lines to the log aggregator, which has them already: it has no "
			"effect under `aggregator`",
			what);
		handler->kind = HANDLER_NULL;
	} else if (a_mapping(reader, value_map_get(reader->config->logging, "aggregator"),
			   "`aggregator`") == NULL) {
		say(reader, SEVERITY_WARNING, no_aggregator, map,
			"%s sends lines to the log aggregator, but `logging` has no part "
			"`aggregator`: they are dropped",
			what);
		handler->kind = HANDLER_NULL;
	}
}

static void read_mail(struct reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	say(reader, SEVERITY_NOTE, no_mail, map,
		"%s would send mail, which is not there yet: its lines are not sent", what);
}

static void read_nothing(struct reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
}

#define KEYS_OF_ALL  "class", "level", "formatter", "filters", "()"
#define KEYS_OF_FILE KEYS_OF_ALL, "filename", "mode", "encoding", "delay", "errors"

static const struct handler_class {
	const char *name;
	enum log_handler_kind kind;
	void (*read)(struct reader *reader, const struct value *map, const char *what,
		struct log_handler *handler);
	const char *keys[16];
} handler_classes[] = {
	{ "logging.StreamHandler", HANDLER_STREAM, read_stream, { KEYS_OF_ALL, "stream" } },
	{ "logging.FileHandler", HANDLER_FILE, read_file, { KEYS_OF_FILE } },
	{ "logging.handlers.WatchedFileHandler", HANDLER_FILE, read_file, { KEYS_OF_FILE } },
	{ "logging.handlers.RotatingFileHandler", HANDLER_FILE, read_rotating_file,
		{ KEYS_OF_FILE, "maxBytes", "backupCount" } },
	{ "logging.NullHandler", HANDLER_NULL, read_nothing, { KEYS_OF_ALL } },
	{ "zmq.log.handlers.PUBHandler", HANDLER_AGGREGATOR, read_aggregator,
		{ KEYS_OF_ALL, "interface_or_socket", "context", "root_topic" } },
	{ "logging.handlers.SMTPHandler", HANDLER_MAIL, read_mail,
		{ KEYS_OF_ALL, "mailhost", "fromaddr", "toaddrs", "subject", "credentials",
			"secure", "timeout" } },
};

static const struct handler_class *find_class(
	struct reader *reader, const struct value *map, const char *what)
{
	const struct value *class_value = value_map_get(map, "class");
	const char *name = text_of(reader, map, "class", what);
	const char *names[ARRAY_LEN(handler_classes)];
	const char *nearest;

	if (value_map_get(map, "()") != NULL) {
		say_error(reader, not_supported, value_map_get(map, "()"),
			"%s is made by a Python function, which is not possible here; give its "
			"`class:`",
			what);
		return NULL;
	}
	if (class_value == NULL) {
		say_error(reader, missing_key, map,
			"%s has no class; give `class: logging.StreamHandler` or another", what);
		return NULL;
	}
	if (name == NULL)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(handler_classes); i++) {
		if (strcmp(name, handler_classes[i].name) == 0)
			return &handler_classes[i];
		names[i] = handler_classes[i].name;
	}
	nearest = suggest(name, names, ARRAY_LEN(names));
	if (nearest != NULL)
		say_error(reader, unknown_handler_class, class_value,
			"%s has the class %s, which is not known here; did you mean %s?", what,
			name, nearest);
	else
		say_error(reader, unknown_handler_class, class_value,
			"%s has the class %s, which is not known here; there are "
			"logging.StreamHandler, .FileHandler, .NullHandler, "
			"logging.handlers.WatchedFileHandler, .RotatingFileHandler, .SMTPHandler, "
			"and zmq.log.handlers.PUBHandler",
			what, name);
	return NULL;
}

/* A list of filters that is not empty would hold lines back; we cannot, so we do not pretend to. */
static void refuse_filters(struct reader *reader, const struct value *map, const char *what)
{
	const struct value *filters = value_map_get(map, "filters");

	if (value_count(filters) > 0)
		say_error(reader, not_supported, filters,
			"%s has filters, which are not supported; use levels and loggers", what);
}

static void read_handler(struct reader *reader, const struct value *entry, const char *what,
	struct log_handler *handler)
{
	const struct value *map = a_mapping(reader, entry, what);
	const struct handler_class *class;
	size_t keys = 0;

	if (map == NULL) {
		if (entry == NULL || value_is(entry, VALUE_NULL))
			say_error(
				reader, missing_key, entry, "%s is empty; give its `class:`", what);
		return;
	}
	handler->line = value_line(map);
	handler->column = value_column(map);
	handler->level = level_of(reader, map, what, LEVEL_NOTSET);
	handler->format = find_format(reader, map, what);
	refuse_filters(reader, map, what);
	class = find_class(reader, map, what);
	if (class == NULL)
		return;
	while (keys < ARRAY_LEN(class->keys) && class->keys[keys] != NULL)
		keys++;
	check_keys(reader, map, what, class->keys, keys);
	handler->kind = class->kind;
	class->read(reader, map, what, handler);
}

static void read_handlers(struct reader *reader, const struct value *section)
{
	const struct value *map =
		a_mapping(reader, value_map_get(section, "handlers"), "`handlers`");

	for (size_t i = 0; i < value_count(map) && !reader->nomem; i++) {
		char *name = key_text(map, i);
		struct log_handler *handler =
			name != NULL ? log_setup_add_handler(reader->setup, name) : NULL;
		char what[120];

		if (handler == NULL) {
			reader->nomem = true;
		} else {
			(void)snprintf(what, sizeof(what), "the handler %s", name);
			read_handler(reader, value_map_value_at(map, i), what, handler);
		}
		free(name);
	}
}

/* --- loggers --- */

static struct log_handler *find_handler(
	struct reader *reader, const struct value *at, const char *name, const char *what)
{
	const struct log_setup *setup = reader->setup;
	const char **names = calloc(setup->handlers_count + 1, sizeof(*names));
	const char *nearest;

	if (names == NULL) {
		reader->nomem = true;
		return NULL;
	}
	for (size_t i = 0; i < setup->handlers_count; i++) {
		names[i] = setup->handlers[i]->name;
		if (strcmp(names[i], name) == 0) {
			free(names);
			return setup->handlers[i];
		}
	}
	nearest = suggest(name, names, setup->handlers_count);
	say_error(reader, unknown_handler, at,
		"%s names the handler %s, which is not under `handlers`%s%s%s", what, name,
		nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
		nearest != NULL ? "?" : "");
	free(names);
	return NULL;
}

static void read_logger_handlers(
	struct reader *reader, const struct value *map, const char *what, struct log_logger *logger)
{
	const struct value *list = value_map_get(map, "handlers");
	size_t count = value_count(list);

	if (list == NULL || value_is(list, VALUE_NULL))
		return;
	if (!value_is(list, VALUE_LIST)) {
		say_error(reader, bad_value, list,
			"`handlers` of %s must be a list of names, as in [console], not %s", what,
			value_kind_words(value_kind(list)));
		return;
	}
	logger->handlers = calloc(count + 1, sizeof(struct log_handler *));
	if (logger->handlers == NULL) {
		reader->nomem = true;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const struct value *item = value_at(list, i);
		struct buffer name;
		struct log_handler *handler = NULL;

		buffer_init(&name);
		if (value_print_scalar(item, &name) == NC_OK)
			handler = find_handler(reader, item, name.data, what);
		else
			say_error(reader, bad_value, item,
				"`handlers` of %s must be a list of names", what);
		buffer_finish(&name);
		/* Python adds a handler to a logger once, however often it is named. */
		for (size_t k = 0; k < logger->handlers_count; k++)
			handler = logger->handlers[k] == handler ? NULL : handler;
		if (handler != NULL)
			logger->handlers[logger->handlers_count++] = handler;
	}
}

/* The entry's keys into `logger`, whose name is there. */
static void read_logger(struct reader *reader, const struct value *entry, const char *what,
	struct log_logger *logger)
{
	static const char *const keys[] = { "level", "handlers", "propagate", "filters", "qualname",
		"formatter" };
	const struct value *map = a_mapping(reader, entry, what);

	if (map == NULL)
		return;
	check_keys(reader, map, what, keys, ARRAY_LEN(keys));
	logger->level = level_of(reader, map, what, logger->level);
	logger->propagate = bool_of(reader, map, "propagate", what, true);
	refuse_filters(reader, map, what);
	read_logger_handlers(reader, map, what, logger);
}

static void read_loggers(struct reader *reader, const struct value *section)
{
	const struct value *map = a_mapping(reader, value_map_get(section, "loggers"), "`loggers`");
	struct log_logger *logger = log_setup_add_logger(reader->setup, "");

	if (logger == NULL) {
		reader->nomem = true;
		return;
	}
	logger->level = LEVEL_WARNING; /* Python's root, when nothing is said */
	read_logger(reader, value_map_get(section, "root"), "`root`", logger);
	for (size_t i = 0; i < value_count(map) && !reader->nomem; i++) {
		char *name = key_text(map, i);
		char what[120];

		logger = name != NULL ? log_setup_add_logger(reader->setup, name) : NULL;
		if (logger == NULL) {
			reader->nomem = true;
		} else {
			(void)snprintf(what, sizeof(what), "the logger %s", name);
			read_logger(reader, value_map_value_at(map, i), what, logger);
		}
		free(name);
	}
}

static void note_unused_handlers(struct reader *reader, const struct value *section)
{
	const struct value *map = value_map_get(section, "handlers");

	for (size_t i = 0; i < reader->setup->handlers_count; i++) {
		const struct log_handler *handler = reader->setup->handlers[i];

		if (!log_setup_uses(reader->setup, handler))
			say(reader, SEVERITY_NOTE, unused_handler, value_map_key_at(map, i),
				"no logger uses the handler %s", handler->name);
	}
}

/* --- a form, and the section --- */

static void read_form(struct reader *reader, const struct value *form, const char *what)
{
	static const char *const keys[] = { "version", "disable_existing_loggers", "incremental",
		"formatters", "filters", "handlers", "loggers", "root" };
	const struct value *version = value_map_get(form, "version");

	check_keys(reader, form, what, keys, ARRAY_LEN(keys));
	if (version == NULL)
		say_error(reader, missing_key, form, "%s has no version; give `version: 1`", what);
	else if (value_as_int(version, 0) != 1)
		say_error(reader, bad_value, version, "the version of %s must be 1", what);
	if (bool_of(reader, form, "incremental", what, false))
		say_error(reader, not_supported, value_map_get(form, "incremental"),
			"`incremental: true` is not supported; a reload reads the whole section");
	(void)bool_of(reader, form, "disable_existing_loggers", what, true);
	read_formatters(reader, form);
	if (!reader->nomem)
		read_handlers(reader, form);
	if (!reader->nomem)
		read_loggers(reader, form);
	if (!reader->nomem)
		note_unused_handlers(reader, form);
}

bool log_section_is_distributed(const struct value *section)
{
	return value_map_get(section, "aggregator") != NULL ||
	       value_map_get(section, "publisher") != NULL;
}

/* The part of the section that `mode` uses; `what` is its name for messages. */
static const struct value *find_form(
	const struct value *section, enum log_mode mode, const char **what)
{
	if (mode == LOG_MODE_AGGREGATOR) {
		*what = "`aggregator`";
		return value_map_get(section, "aggregator");
	}
	if (log_section_is_distributed(section)) {
		*what = "`publisher`";
		return value_map_get(section, "publisher");
	}
	*what = "`logging`";
	return section;
}

enum nc_err log_setup_read(const struct config *config, enum log_mode mode,
	struct log_setup **ret_setup, struct findings *findings)
{
	struct reader reader = { .config = config, .findings = findings, .mode = mode };
	const char *what;
	const struct value *form = find_form(config->logging, mode, &what);

	form = a_mapping(&reader, form, what);
	if (reader.wrong)
		return NC_ERR_INVALID;
	if (form == NULL)
		return NC_ERR_NOT_FOUND;
	reader.setup = calloc(1, sizeof(*reader.setup));
	if (reader.setup == NULL)
		return NC_ERR_NOMEM;
	read_form(&reader, form, what);
	if (reader.nomem || reader.wrong) {
		log_setup_destroy(reader.setup);
		return reader.nomem ? NC_ERR_NOMEM : NC_ERR_INVALID;
	}
	*ret_setup = reader.setup;
	return NC_OK;
}

static enum nc_err explain(const struct config *config, enum nc_err err, enum log_mode mode,
	const struct findings *findings, struct error *error)
{
	const struct finding *first = findings_first_error(findings);

	if (err == NC_ERR_NOMEM)
		return error_nomem(error);
	if (err == NC_ERR_NOT_FOUND)
		return error_set(error, NC_ERR_NOT_FOUND,
			mode == LOG_MODE_AGGREGATOR
				? "%s: there is nothing to aggregate: `logging` has no part "
				  "`aggregator`"
				: "%s: `logging` has a part `aggregator`, so it needs a part "
				  "`publisher` too",
			config->file);
	if (first == NULL)
		return error_set(
			error, NC_ERR_INVALID, "%s: the `logging` section is wrong", config->file);
	return error_at(error, NC_ERR_INVALID, first->line, first->column, "%s:%u:%u: %s",
		first->file, first->line, first->column, first->text);
}

enum nc_err log_setup_load(const struct config *config, enum log_mode mode,
	struct log_setup **ret_setup, struct error *error)
{
	struct findings findings;
	enum nc_err err;

	findings_init(&findings);
	err = log_setup_read(config, mode, ret_setup, &findings);
	if (err != NC_OK)
		err = explain(config, err, mode, &findings, error);
	findings_finish(&findings);
	return err;
}

void log_check(const struct config *config, struct findings *findings)
{
	static const char *const parts[] = { "aggregator", "publisher" };
	static const enum log_mode modes[] = { LOG_MODE_AGGREGATOR, LOG_MODE_NORMAL };
	bool distributed = log_section_is_distributed(config->logging);
	struct reader reader = { .config = config, .findings = findings };

	if (a_mapping(&reader, config->logging, "`logging`") == NULL) {
		if (!reader.wrong)
			say(&reader, SEVERITY_WARNING, missing_key, config->tree,
				"there is no `logging` section: lines of INFO and above go to "
				"standard error");
		return;
	}
	if (distributed)
		check_keys(&reader, config->logging, "`logging`", parts, ARRAY_LEN(parts));
	for (size_t i = distributed ? 0 : 1; i < ARRAY_LEN(modes); i++) {
		struct log_setup *setup = NULL;

		if (log_setup_read(config, modes[i], &setup, findings) == NC_ERR_NOT_FOUND)
			say_error(&reader, missing_key, config->logging,
				"`logging` has a part `%s`, so it needs a part `%s` too",
				parts[1 - i], parts[i]);
		log_setup_destroy(setup);
	}
}
