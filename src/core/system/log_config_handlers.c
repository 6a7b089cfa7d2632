/*
 * Formatters and handlers of the `logging` section. To add a handler class: a line in handler_classes
 * with the function that reads its keys, and its kind in log_internal.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/data/suggest.h"
#include "core/system/file.h"
#include "core/system/log_reader.h"

/* --- formatters --- */

static void read_format_text(struct log_reader *reader, const struct value *map, const char *what,
	struct log_named_format *named)
{
	const char *text = log_reader_text(reader, map, "format", what);
	const char *date_format = log_reader_text(reader, map, "datefmt", what);
	const struct value *style = value_map_get(map, "style");
	const char *foreign = NULL;
	struct error error;

	if (value_map_get(map, "()") != NULL) {
		log_reader_error(reader, FINDING_NOT_SUPPORTED, value_map_get(map, "()"),
			"%s is made by a Python function, which is not possible here; give its "
			"`format:`",
			what);
		return;
	}
	if (style != NULL && strcmp(value_as_text(style, "%"), "%") != 0) {
		log_reader_error(reader, FINDING_NOT_SUPPORTED, style,
			"the style of %s is not `%%`; write the format with %%(name)s fields",
			what);
		return;
	}
	if (log_format_create(text != NULL ? text : "%(message)s", date_format, &named->format,
		    &foreign, &error) != NC_OK) {
		const struct value *at = value_map_get(map, "format");

		log_reader_error(reader, FINDING_BAD_FORMAT, at != NULL ? at : map, "in %s: %s",
			what, error.text);
	} else if (foreign != NULL) {
		log_reader_say(reader, SEVERITY_WARNING, FINDING_FOREIGN_FIELD,
			value_map_get(map, "format"),
			"in %s: %%(%s) is known to Python programs only; it shows as `-` or 0",
			what, foreign);
	}
}

void log_read_formatters(struct log_reader *reader, const struct value *section)
{
	static const char *const keys[] = { "format", "datefmt", "style", "validate", "class",
		"()" };
	const struct value *map =
		log_reader_mapping(reader, value_map_get(section, "formatters"), "`formatters`");
	struct log_named_format *named = log_setup_add_format(reader->setup, "");

	if (named == NULL ||
		log_format_create("%(message)s", NULL, &named->format, NULL, NULL) != NC_OK)
		reader->nomem = true;
	for (size_t i = 0; i < value_count(map) && !reader->nomem; i++) {
		const struct value *entry = value_map_value_at(map, i);
		char *name = log_reader_key(map, i);
		char what[120];

		named = name != NULL ? log_setup_add_format(reader->setup, name) : NULL;
		(void)snprintf(what, sizeof(what), "the formatter %s", name != NULL ? name : "");
		free(name);
		if (named == NULL) {
			reader->nomem = true;
			return;
		}
		entry = log_reader_mapping(reader, entry, what);
		log_reader_check_keys(reader, entry, what, keys, ARRAY_LEN(keys));
		read_format_text(reader, entry, what, named);
	}
}

static const struct log_format *find_format(
	struct log_reader *reader, const struct value *map, const char *what)
{
	const struct log_setup *setup = reader->setup;
	const char *name = log_reader_text(reader, map, "formatter", what);
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
	log_reader_error(reader, FINDING_UNKNOWN_FORMATTER, value_map_get(map, "formatter"),
		"%s names the formatter %s, which is not under `formatters`%s%s%s", what, name,
		nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
		nearest != NULL ? "?" : "");
	free(names);
	return NULL;
}

/* --- handlers --- */

static void read_stream(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	const char *stream = log_reader_text(reader, map, "stream", what);

	handler->fd = 2;
	if (stream == NULL || strcmp(stream, "ext://sys.stderr") == 0)
		return;
	if (strcmp(stream, "ext://sys.stdout") == 0)
		handler->fd = 1;
	else
		log_reader_error(reader, FINDING_BAD_CHOICE, value_map_get(map, "stream"),
			"the stream of %s is %s; it can be ext://sys.stdout or ext://sys.stderr",
			what, stream);
}

static void read_file(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	const struct value *file_value = value_map_get(map, "filename");
	const char *filename = log_reader_text(reader, map, "filename", what);
	const char *mode = log_reader_text(reader, map, "mode", what);
	const char *encoding = log_reader_text(reader, map, "encoding", what);

	handler->delayed = log_reader_bool(reader, map, "delay", what, false);
	if (file_value == NULL || value_is(file_value, VALUE_NULL) ||
		(filename != NULL && *filename == '\0'))
		log_reader_error(reader, FINDING_MISSING_KEY, map,
			"%s has no file; give `filename: PATH`", what);
	if (filename == NULL || *filename == '\0')
		return;
	handler->path = path_join(reader->config->directory, filename);
	if (handler->path == NULL)
		reader->nomem = true;
	if (mode != NULL && mode[0] != 'a')
		log_reader_say(reader, SEVERITY_WARNING, FINDING_NOT_IN_FORCE,
			value_map_get(map, "mode"),
			"`mode: %s` of %s has no effect: log files are only ever appended to, so "
			"that no process cuts off what another one wrote",
			mode, what);
	if (encoding != NULL && strcasecmp(encoding, "utf-8") != 0 &&
		strcasecmp(encoding, "utf8") != 0)
		log_reader_say(reader, SEVERITY_WARNING, FINDING_NOT_IN_FORCE,
			value_map_get(map, "encoding"),
			"`encoding: %s` of %s has no effect: log files are UTF-8", encoding, what);
}

static void read_rotating_file(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	read_file(reader, map, what, handler);
	handler->rotating = true;
	handler->backup_count = log_reader_count(reader, map, "backupCount", what);
	if (log_reader_count(reader, map, "maxBytes", what) > 0)
		log_reader_say(reader, SEVERITY_NOTE, FINDING_NOT_IN_FORCE,
			value_map_get(map, "maxBytes"),
			"`maxBytes` of %s does not rotate the file; the worker rotate_logs does, "
			"when it is launched",
			what);
	if (handler->backup_count == 0)
		log_reader_say(reader, SEVERITY_NOTE, FINDING_NOT_IN_FORCE, map,
			"%s has no `backupCount`: its file is never rotated, and grows", what);
}

static void read_aggregator(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	if (reader->mode == LOG_MODE_AGGREGATOR) {
		log_reader_say(reader, SEVERITY_WARNING, FINDING_NOT_IN_FORCE, map,
			"%s sends lines to the log aggregator, which has them already: it has no "
			"effect under `aggregator`",
			what);
		handler->kind = HANDLER_NULL;
	} else if (log_reader_mapping(reader, value_map_get(reader->config->logging, "aggregator"),
			   "`aggregator`") == NULL) {
		log_reader_say(reader, SEVERITY_WARNING, FINDING_NO_AGGREGATOR, map,
			"%s sends lines to the log aggregator, but `logging` has no part "
			"`aggregator`: they are dropped",
			what);
		handler->kind = HANDLER_NULL;
	}
}

static void read_mail(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	log_reader_say(reader, SEVERITY_NOTE, FINDING_NO_MAIL, map,
		"%s would send mail, which is not there yet: its lines are not sent", what);
}

static void read_nothing(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
}

#define KEYS_OF_ALL  "class", "level", "formatter", "filters", "()"
#define KEYS_OF_FILE KEYS_OF_ALL, "filename", "mode", "encoding", "delay", "errors"

static const struct handler_class {
	const char *name;
	enum log_handler_kind kind;
	void (*read)(struct log_reader *reader, const struct value *map, const char *what,
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
	struct log_reader *reader, const struct value *map, const char *what)
{
	const struct value *class_value = value_map_get(map, "class");
	const char *name = log_reader_text(reader, map, "class", what);
	const char *names[ARRAY_LEN(handler_classes)];
	const char *nearest;

	if (value_map_get(map, "()") != NULL) {
		log_reader_error(reader, FINDING_NOT_SUPPORTED, value_map_get(map, "()"),
			"%s is made by a Python function, which is not possible here; give its "
			"`class:`",
			what);
		return NULL;
	}
	if (class_value == NULL) {
		log_reader_error(reader, FINDING_MISSING_KEY, map,
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
		log_reader_error(reader, FINDING_UNKNOWN_HANDLER_CLASS, class_value,
			"%s has the class %s, which is not known here; did you mean %s?", what,
			name, nearest);
	else
		log_reader_error(reader, FINDING_UNKNOWN_HANDLER_CLASS, class_value,
			"%s has the class %s, which is not known here; there are "
			"logging.StreamHandler, .FileHandler, .NullHandler, "
			"logging.handlers.WatchedFileHandler, .RotatingFileHandler, .SMTPHandler, "
			"and zmq.log.handlers.PUBHandler",
			what, name);
	return NULL;
}

static void read_handler(struct log_reader *reader, const struct value *entry, const char *what,
	struct log_handler *handler)
{
	const struct value *map = log_reader_mapping(reader, entry, what);
	const struct handler_class *class;
	size_t keys = 0;

	if (map == NULL) {
		if (entry == NULL || value_is(entry, VALUE_NULL))
			log_reader_error(reader, FINDING_MISSING_KEY, entry,
				"%s is empty; give its `class:`", what);
		return;
	}
	handler->line = value_line(map);
	handler->column = value_column(map);
	handler->level = log_reader_level(reader, map, what, LEVEL_NOTSET);
	handler->format = find_format(reader, map, what);
	log_reader_refuse_filters(reader, map, what);
	class = find_class(reader, map, what);
	if (class == NULL)
		return;
	while (keys < ARRAY_LEN(class->keys) && class->keys[keys] != NULL)
		keys++;
	log_reader_check_keys(reader, map, what, class->keys, keys);
	handler->kind = class->kind;
	class->read(reader, map, what, handler);
}

void log_read_handlers(struct log_reader *reader, const struct value *section)
{
	const struct value *map =
		log_reader_mapping(reader, value_map_get(section, "handlers"), "`handlers`");

	for (size_t i = 0; i < value_count(map) && !reader->nomem; i++) {
		char *name = log_reader_key(map, i);
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
