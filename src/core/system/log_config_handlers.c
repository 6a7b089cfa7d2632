/*
 * Handlers of the `logging` section; those that write streams and files are read here, the others in
 * log_config_remote.c. To add a handler class: a line in handler_classes with the function that reads its
 * keys, and its kind in log_internal.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/data/suggest.h"
#include "core/system/file.h"
#include "core/system/log_reader.h"

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
	log_read_file_group(reader, map, what, handler);
}

static void read_rotating_file(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	read_file(reader, map, what, handler);
	handler->rotating = true;
	handler->backup_count = log_reader_count(reader, map, "backupCount", what);
	handler->most_bytes = log_reader_size(reader, map, "maxBytes", what);
	if (handler->backup_count == 0) {
		log_reader_say(reader, SEVERITY_NOTE, FINDING_NOT_IN_FORCE, map,
			"%s has no `backupCount`: its file is never rotated, and grows", what);
		handler->most_bytes = 0;
	}
	log_read_archive(reader, map, what, handler);
}

static void read_json_file(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	struct log_setup *setup = reader->setup;

	read_rotating_file(reader, map, what, handler);
	if (setup->json == NULL && log_format_create_json(&setup->json, NULL) != NC_OK)
		reader->nomem = true;
	handler->format = setup->json;
	if (!log_reader_is_default(map, "formatter"))
		log_reader_say(reader, SEVERITY_WARNING, FINDING_NOT_IN_FORCE,
			value_map_get(map, "formatter"),
			"the formatter of %s has no effect: its lines are JSON objects", what);
}

/* `W0` to `W6`, `midnight`, or a unit of time: false when it is none of them. */
static bool read_when(const char *text, struct log_when *when)
{
	static const struct {
		const char *name;
		int64_t seconds;
		const char *suffix;
	} units[] = {
		{ "S", 1, "%Y-%m-%d_%H-%M-%S" },
		{ "M", 60, "%Y-%m-%d_%H-%M" },
		{ "H", 3600, "%Y-%m-%d_%H" },
		{ "D", 86400, "%Y-%m-%d" },
	};

	when->suffix = "%Y-%m-%d";
	when->at_s = 86400;
	if (strcasecmp(text, "midnight") == 0) {
		when->kind = WHEN_DAILY;
		when->days = 1;
		return true;
	}
	if ((text[0] == 'W' || text[0] == 'w') && text[1] >= '0' && text[1] <= '6' &&
		text[2] == '\0') {
		when->kind = WHEN_WEEKLY;
		when->days = 7;
		when->weekday = text[1] - '0';
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcasecmp(text, units[i].name) == 0) {
			when->kind = WHEN_INTERVAL;
			when->interval_s = units[i].seconds;
			when->suffix = units[i].suffix;
			return true;
		}
	}
	return false;
}

/* HH:MM or HH:MM:SS as seconds of the day; -1: it is none. */
static int read_time_of_day(const char *text)
{
	int parts[3] = { 0 };
	size_t count = 0;

	for (;;) {
		if (count == ARRAY_LEN(parts) || text[0] < '0' || text[0] > '9' || text[1] < '0' ||
			text[1] > '9')
			return -1;
		parts[count++] = (text[0] - '0') * 10 + (text[1] - '0');
		text += 2;
		if (*text == '\0')
			break;
		if (*text++ != ':')
			return -1;
	}
	if (count < 2 || parts[0] > 23 || parts[1] > 59 || parts[2] > 59)
		return -1;
	return (parts[0] * 60 + parts[1]) * 60 + parts[2];
}

static void read_timed_file(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	const char *unit = log_reader_text(reader, map, "when", what);
	const char *at = log_reader_text(reader, map, "atTime", what);
	int64_t interval = log_reader_is_default(map, "interval")
				   ? 1
				   : log_reader_count(reader, map, "interval", what);
	struct log_when *when = &handler->when;

	read_file(reader, map, what, handler);
	handler->backup_count = log_reader_count(reader, map, "backupCount", what);
	when->utc = log_reader_bool(reader, map, "utc", what, false);
	if (!read_when(unit != NULL ? unit : "H", when)) {
		log_reader_error(reader, FINDING_BAD_CHOICE, value_map_get(map, "when"),
			"`when` of %s is %s; it can be S, M, H, D, midnight, or W0 (Monday) to W6",
			what, unit);
		return;
	}
	if (interval < 1 || interval > 10000) {
		if (!reader->wrong)
			log_reader_error(reader, FINDING_BAD_NUMBER, value_map_get(map, "interval"),
				"the interval of %s must be a number from 1 to 10000", what);
		interval = 1;
	}
	when->interval_s *= interval;
	when->days *= (int)interval;
	if (at == NULL)
		return;
	when->at_s = read_time_of_day(at);
	if (when->at_s < 0)
		log_reader_error(reader, FINDING_BAD_TIME, value_map_get(map, "atTime"),
			"`atTime` of %s must be a time of day in quotes, as in '04:00'", what);
	else if (when->kind == WHEN_INTERVAL)
		log_reader_say(reader, SEVERITY_WARNING, FINDING_NOT_IN_FORCE,
			value_map_get(map, "atTime"),
			"`atTime` of %s has an effect only with `when: midnight` or W0 to W6",
			what);
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

static void read_nothing(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
}

#define KEYS_OF_ALL      "class", "level", "formatter", "filters", "()"
#define KEYS_OF_FILE     KEYS_OF_ALL, "filename", "mode", "encoding", "delay", "errors", "file group"
#define KEYS_OF_ROTATING KEYS_OF_FILE, "maxBytes", "backupCount", "compress", "keep at most"

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
		{ KEYS_OF_ROTATING } },
	{ "logging.handlers.TimedRotatingFileHandler", HANDLER_FILE, read_timed_file,
		{ KEYS_OF_FILE, "when", "interval", "backupCount", "utc", "atTime" } },
	{ "nowcast.JsonFile", HANDLER_FILE, read_json_file, { KEYS_OF_ROTATING } },
	{ "logging.NullHandler", HANDLER_NULL, read_nothing, { KEYS_OF_ALL } },
	{ "zmq.log.handlers.PUBHandler", HANDLER_AGGREGATOR, read_aggregator,
		{ KEYS_OF_ALL, "interface_or_socket", "context", "root_topic" } },
	{ "logging.handlers.SysLogHandler", HANDLER_SYSLOG, log_read_syslog,
		{ KEYS_OF_ALL, "address", "facility", "socktype" } },
	{ "nowcast.Journal", HANDLER_JOURNAL, log_read_journal, { KEYS_OF_ALL, "address" } },
	/* The names that Python programs know it by. */
	{ "systemd.journal.JournalHandler", HANDLER_JOURNAL, log_read_journal, { KEYS_OF_ALL } },
	{ "cysystemd.journal.JournaldLogHandler", HANDLER_JOURNAL, log_read_journal,
		{ KEYS_OF_ALL } },
	{ "logging.handlers.SMTPHandler", HANDLER_MAIL, log_read_mail,
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
			"logging.handlers.WatchedFileHandler, .RotatingFileHandler, "
			".TimedRotatingFileHandler, .SysLogHandler, .SMTPHandler, "
			"zmq.log.handlers.PUBHandler, nowcast.JsonFile and nowcast.Journal",
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
	handler->format = log_reader_format(reader, map, what);
	log_read_filter_names(reader, map, what, &handler->filters, &handler->filters_count);
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
