/*
 * Formatters and filters of the `logging` section.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/system/log_reader.h"

/* --- formatters --- */

static void read_format_text(struct log_reader *reader, const struct value *map, const char *what,
	struct log_named_format *named)
{
	const char *text = log_reader_text(reader, map, "format", what);
	const char *date_format = log_reader_text(reader, map, "datefmt", what);
	const char *class = log_reader_text(reader, map, "class", what);
	const struct value *style = value_map_get(map, "style");
	const char *foreign = NULL;
	struct error error;
	enum nc_err err;

	if (value_map_get(map, "()") != NULL) {
		log_reader_error(reader, FINDING_NOT_SUPPORTED, value_map_get(map, "()"),
			"%s is made by a Python function, which is not possible here; give its "
			"`format:`",
			what);
		return;
	}
	if (class != NULL && strcmp(class, "logging.Formatter") != 0) {
		log_reader_error(reader, FINDING_NOT_SUPPORTED, value_map_get(map, "class"),
			"%s is of the Python class %s, which is not possible here; give its "
			"`format:`, or use the handler class nowcast.JsonFile for JSON lines",
			what, class);
		return;
	}
	if (style != NULL && strcmp(value_as_text(style, "%"), "%") != 0) {
		log_reader_error(reader, FINDING_NOT_SUPPORTED, style,
			"the style of %s is not `%%`; write the format with %%(name)s fields",
			what);
		return;
	}
	err = log_format_create(
		text != NULL ? text : "%(message)s", date_format, &named->format, &foreign, &error);
	if (err == NC_ERR_NOMEM) {
		reader->nomem = true;
	} else if (err != NC_OK) {
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

const struct log_format *log_reader_format(
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

/* --- filters --- */

static void read_filter(
	struct log_reader *reader, const struct value *entry, const char *name, const char *what)
{
	static const char *const keys[] = { "name", "()" };
	const struct value *map = log_reader_mapping(reader, entry, what);
	const char *logger;

	log_reader_check_keys(reader, map, what, keys, ARRAY_LEN(keys));
	if (value_map_get(map, "()") != NULL) {
		log_reader_error(reader, FINDING_NOT_SUPPORTED, value_map_get(map, "()"),
			"%s is made by a Python function, which is not possible here; give "
			"`name: LOGGER`: what that logger and those below it log passes",
			what);
		return;
	}
	logger = log_reader_text(reader, map, "name", what);
	if (log_setup_add_filter(reader->setup, name, logger != NULL ? logger : "") == NULL)
		reader->nomem = true;
}

void log_read_filters(struct log_reader *reader, const struct value *section)
{
	const struct value *map =
		log_reader_mapping(reader, value_map_get(section, "filters"), "`filters`");

	for (size_t i = 0; i < value_count(map) && !reader->nomem; i++) {
		char *name = log_reader_key(map, i);
		char what[120];

		if (name == NULL) {
			reader->nomem = true;
			return;
		}
		(void)snprintf(what, sizeof(what), "the filter %s", name);
		read_filter(reader, value_map_value_at(map, i), name, what);
		free(name);
	}
}

static struct log_filter *find_filter(
	struct log_reader *reader, const struct value *at, const char *name, const char *what)
{
	const struct log_setup *setup = reader->setup;
	const char **names = calloc(setup->filters_count + 1, sizeof(*names));
	const char *nearest;

	if (names == NULL) {
		reader->nomem = true;
		return NULL;
	}
	for (size_t i = 0; i < setup->filters_count; i++) {
		names[i] = setup->filters[i]->name;
		if (strcmp(names[i], name) == 0) {
			free(names);
			return setup->filters[i];
		}
	}
	nearest = suggest(name, names, setup->filters_count);
	log_reader_error(reader, FINDING_UNKNOWN_FILTER, at,
		"%s names the filter %s, which is not under `filters`%s%s%s", what, name,
		nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
		nearest != NULL ? "?" : "");
	free(names);
	return NULL;
}

void log_read_filter_names(struct log_reader *reader, const struct value *map, const char *what,
	struct log_filter ***ret_filters, size_t *ret_count)
{
	const struct value *list = value_map_get(map, "filters");
	struct log_filter **filters;
	size_t count = 0;

	if (list == NULL || value_is(list, VALUE_NULL))
		return;
	if (!value_is(list, VALUE_LIST)) {
		log_reader_error(reader, FINDING_WRONG_KIND, list,
			"`filters` of %s must be a list of names, not %s", what,
			value_kind_words(value_kind(list)));
		return;
	}
	filters = calloc(value_count(list) + 1, sizeof(struct log_filter *));
	if (filters == NULL) {
		reader->nomem = true;
		return;
	}
	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *item = value_at(list, i);
		struct log_filter *filter = NULL;

		if (value_is(item, VALUE_TEXT))
			filter = find_filter(reader, item, value_as_text(item, ""), what);
		else
			log_reader_error(reader, FINDING_WRONG_KIND, item,
				"`filters` of %s must be a list of names", what);
		if (filter != NULL)
			filters[count++] = filter;
	}
	*ret_filters = filters;
	*ret_count = count;
}
