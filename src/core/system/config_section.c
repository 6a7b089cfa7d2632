/* What all sections use: their keys, the kinds of values, and names that people may have mistyped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/system/config_internal.h"

bool expect_map(struct reading *reading, const struct value *key, const struct value *value)
{
	if (value_is(value, VALUE_MAP))
		return true;
	config_error(reading, "wrong-kind", value, "`%s` must be a mapping, not %s",
		value_as_text(key, "this"), value_kind_words(value_kind(value)));
	return false;
}

bool expect_list(struct reading *reading, const struct value *key, const struct value *value)
{
	if (value_is(value, VALUE_LIST))
		return true;
	config_error(reading, "wrong-kind", value, "`%s` must be a list, not %s",
		value_as_text(key, "this"), value_kind_words(value_kind(value)));
	return false;
}

char *section_print(const struct value *value)
{
	struct buffer text;

	buffer_init(&text);
	(void)value_print_scalar(value, &text);
	return buffer_steal(&text);
}

char *scalar_text(struct reading *reading, const struct value *key, const struct value *value)
{
	char *text;

	if (value_is(value, VALUE_NULL) || value_kind(value) >= VALUE_SET) {
		config_error(reading, "wrong-kind", value, "`%s` must be a text, not %s",
			value_as_text(key, "this"), value_kind_words(value_kind(value)));
		return NULL;
	}
	text = section_print(value);
	if (text == NULL) {
		reading->nomem = true;
	} else if (text[0] == '\0') {
		config_error(reading, "empty-value", value, "`%s` must not be empty",
			value_as_text(key, "this"));
		free(text);
		text = NULL;
	}
	return text;
}

struct hint did_you_mean(const char *typed, const char *const *candidates, size_t count)
{
	const char *meant = suggest(typed, candidates, count);
	struct hint hint = { "" };

	if (meant != NULL)
		(void)snprintf(hint.text, sizeof(hint.text), "; did you mean `%.60s`?", meant);
	return hint;
}

const struct section_key *section_find_key(
	const struct section_key *keys, size_t count, const char *name)
{
	for (size_t i = 0; name != NULL && i < count; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static void warn_unknown_key(struct reading *reading, const char *words, const struct value *key,
	const struct section_key *keys, size_t count)
{
	const char *names[32];
	char *typed = section_print(key);

	for (size_t i = 0; i < count && i < ARRAY_LEN(names); i++)
		names[i] = keys[i].name;
	if (typed != NULL)
		config_warning(reading, "unknown-key", key, "%s has no key `%s`%s", words, typed,
			did_you_mean(typed, names, count).text);
	else
		reading->nomem = true;
	free(typed);
}

void section_report_missing(struct reading *reading, const char *words, const struct value *section,
	const struct value *map, const struct section_key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (keys[i].required && value_map_get(map, keys[i].name) == NULL)
			config_error(reading, "missing-key", section, "%s must have the key `%s`",
				words, keys[i].name);
}

void read_section(struct reading *reading, const char *words, const struct value *section,
	const struct value *map, const struct section_key *keys, size_t count, void *context)
{
	if (!value_is(map, VALUE_NULL) && !expect_map(reading, section, map))
		return;
	for (size_t i = 0; i < value_count(map); i++) {
		const struct value *key = value_map_key_at(map, i);
		const struct section_key *known =
			section_find_key(keys, count, value_as_text(key, NULL));

		if (known == NULL)
			warn_unknown_key(reading, words, key, keys, count);
		else if (known->take != NULL)
			known->take(reading, key, value_map_value_at(map, i), context);
	}
	section_report_missing(reading, words, section, map, keys, count);
}

static const struct value *registered_workers(const struct reading *reading)
{
	return value_map_get(value_map_get(reading->tree, "message registry"), "workers");
}

bool is_registered(const struct reading *reading, const char *worker)
{
	return value_map_find_written(registered_workers(reading), worker) != NULL;
}

void warn_unregistered(struct reading *reading, const struct value *at, const char *worker)
{
	const struct value *workers = registered_workers(reading);
	size_t count = value_count(workers);
	const char **names = calloc(count + 1, sizeof(*names));

	if (names == NULL) {
		reading->nomem = true;
		return;
	}
	for (size_t i = 0; i < count; i++)
		names[i] = value_as_text(value_map_key_at(workers, i), NULL);
	config_warning(reading, "unregistered-worker", at,
		"the worker `%s` is not in the message registry%s", worker,
		did_you_mean(worker, names, count).text);
	free(names);
}

void section_take_text(struct reading *reading, const struct value *key, const struct value *value,
	const char *normal_name)
{
	char *text = scalar_text(reading, key, value);

	if (text == NULL)
		return;
	normal_at(&reading->normal, value);
	normal_key(&reading->normal, normal_name);
	normal_text(&reading->normal, text);
	free(text);
}
