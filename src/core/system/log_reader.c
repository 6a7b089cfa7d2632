#include "core/system/log_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"

void log_reader_say(struct log_reader *reader, enum severity severity, const char *name,
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

char *log_reader_key(const struct value *map, size_t index)
{
	struct buffer text;

	buffer_init(&text);
	if (value_print_scalar(value_map_key_at(map, index), &text) != NC_OK)
		buffer_clear(&text);
	return buffer_steal(&text);
}

const struct value *log_reader_mapping(
	struct log_reader *reader, const struct value *map, const char *what)
{
	if (map == NULL || value_is(map, VALUE_NULL))
		return NULL;
	if (value_is(map, VALUE_MAP))
		return map;
	log_reader_error(reader, FINDING_WRONG_KIND, map, "%s must be a mapping, not %s", what,
		value_kind_words(value_kind(map)));
	return NULL;
}

void log_reader_check_keys(struct log_reader *reader, const struct value *map, const char *what,
	const char *const *known, size_t count)
{
	for (size_t i = 0; i < value_count(map); i++) {
		char *key = log_reader_key(map, i);
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
			log_reader_say(reader, SEVERITY_WARNING, FINDING_UNKNOWN_KEY,
				value_map_key_at(map, i), "%s has no key %s; did you mean %s?",
				what, key, nearest);
		else if (!found)
			log_reader_say(reader, SEVERITY_WARNING, FINDING_UNKNOWN_KEY,
				value_map_key_at(map, i), "%s has no key %s; it has no effect",
				what, key);
		free(key);
	}
}

const char *log_reader_text(
	struct log_reader *reader, const struct value *map, const char *key, const char *what)
{
	const struct value *value = value_map_get(map, key);

	if (value == NULL || value_is(value, VALUE_NULL))
		return NULL;
	if (!value_is(value, VALUE_TEXT))
		log_reader_error(reader, FINDING_WRONG_KIND, value,
			"%s of %s must be a text, not %s", key, what,
			value_kind_words(value_kind(value)));
	return value_as_text(value, NULL);
}

bool log_reader_bool(struct log_reader *reader, const struct value *map, const char *key,
	const char *what, bool otherwise)
{
	const struct value *value = value_map_get(map, key);

	if (value == NULL || value_is(value, VALUE_NULL))
		return otherwise;
	if (value_is(value, VALUE_INT))
		return value_as_int(value, 0) != 0; /* `propagate: 0`, as in Python's examples */
	if (!value_is(value, VALUE_BOOL))
		log_reader_error(reader, FINDING_WRONG_KIND, value,
			"%s of %s must be true or false, not %s", key, what,
			value_kind_words(value_kind(value)));
	return value_as_bool(value, otherwise);
}

int64_t log_reader_count(
	struct log_reader *reader, const struct value *map, const char *key, const char *what)
{
	const struct value *value = value_map_get(map, key);
	int64_t count = value_as_int(value, -1);

	if (value == NULL || value_is(value, VALUE_NULL))
		return 0;
	if (count < 0) {
		log_reader_error(reader, FINDING_BAD_NUMBER, value,
			"%s of %s must be a whole number of 0 or more", key, what);
		return 0;
	}
	return count;
}

int log_reader_level(
	struct log_reader *reader, const struct value *map, const char *what, int otherwise)
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
	if (value_print_scalar(value, &text) != NC_OK && text.failed) {
		reader->nomem = true;
	} else if (value_kind(value) >= VALUE_SET) {
		log_reader_error(reader, FINDING_UNKNOWN_LEVEL, value,
			"the level of %s must be a name or a number", what);
	} else if (!log_level_parse(text.data, &level)) {
		nearest = suggest(text.data, names, ARRAY_LEN(names));
		log_reader_error(reader, FINDING_UNKNOWN_LEVEL, value,
			"the level of %s is %s: %s%s; levels are DEBUG, INFO, WARNING, ERROR, "
			"CRITICAL, or a number from 0 to 1000 (100: off)",
			what, text.data,
			nearest != NULL ? "did you mean " : "there is no such level",
			nearest != NULL ? nearest : "");
	}
	buffer_finish(&text);
	return level;
}

bool log_reader_is_default(const struct value *map, const char *key)
{
	const struct value *value = value_map_get(map, key);

	return value == NULL || value_is(value, VALUE_NULL);
}

int64_t log_reader_size(
	struct log_reader *reader, const struct value *map, const char *key, const char *what)
{
	const struct value *value = value_map_get(map, key);
	int64_t bytes = 0;

	if (!value_is(value, VALUE_TEXT))
		return log_reader_count(reader, map, key, what);
	if (!size_parse(value_as_text(value, ""), &bytes))
		log_reader_error(reader, FINDING_BAD_NUMBER, value,
			"%s of %s must be a size, as in 500 kB, 100 MB, 2 GB or 64 MiB", key, what);
	return bytes;
}

char *log_reader_copy(struct log_reader *reader, const char *text)
{
	char *copy = text != NULL ? strdup(text) : NULL;

	if (text != NULL && copy == NULL)
		reader->nomem = true;
	return copy;
}
