/* `message registry`: the types of the manager, the rules, and the workers with their types. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/config_internal.h"

enum {
	NAME_LONGEST = 100,
};

static void take_rules(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	section_take_text(reading, key, value, "rules");
}

/* A key that people name a worker or type with, as it is written; NULL: out of memory. */
static char *name_of_key(struct reading *reading, const struct value *key)
{
	char *name = section_print(key);

	if (name == NULL)
		reading->nomem = true;
	else if (!value_is(key, VALUE_TEXT))
		config_warning(reading, "name-is-no-text", key,
			"YAML reads the name `%s` as %s; it is taken as it is written, and should "
			"be quoted",
			name, value_kind_words(value_kind(key)));
	return name;
}

static void take_type(struct reading *reading, const struct value *key, const struct value *meaning)
{
	char *name = name_of_key(reading, key);
	char *words = NULL;

	if (name == NULL)
		return;
	if (value_is(meaning, VALUE_NULL)) {
		config_warning(reading, "no-meaning", key,
			"the message type `%s` has no text that says what it means", name);
	} else if (value_kind(meaning) >= VALUE_SET) {
		config_error(reading, "wrong-kind", meaning,
			"the message type `%s` must have a text that says what it means, not %s",
			name, value_kind_words(value_kind(meaning)));
	} else {
		words = section_print(meaning);
		if (words == NULL)
			reading->nomem = true;
	}
	normal_at(&reading->normal, key);
	normal_open(&reading->normal, '{');
	normal_key(&reading->normal, "name");
	normal_text(&reading->normal, name);
	normal_key(&reading->normal, "meaning");
	normal_text(&reading->normal, words != NULL ? words : "");
	normal_close(&reading->normal, '}');
	free(words);
	free(name);
}

static void take_manager_types(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	if (value_is(value, VALUE_NULL) || !expect_map(reading, key, value))
		return;
	normal_at(&reading->normal, key);
	normal_key(&reading->normal, "manager types");
	normal_open(&reading->normal, '[');
	for (size_t i = 0; i < value_count(value); i++)
		take_type(reading, value_map_key_at(value, i), value_map_value_at(value, i));
	normal_close(&reading->normal, ']');
}

static bool may_name_worker(const char *name)
{
	if (!isalnum((unsigned char)name[0]) && name[0] != '_')
		return false;
	for (const char *c = name; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && strchr("_-.", *c) == NULL)
			return false;
	return strlen(name) <= NAME_LONGEST;
}

static void take_checklist_key(struct reading *reading, const struct value *worker,
	const char *name, const struct value *entry)
{
	const struct value *key = value_map_get(entry, "checklist key");
	char *text;

	if (value_is(key, VALUE_NULL)) {
		config_note(reading, "no-checklist-key", worker,
			"the worker `%s` has no `checklist key`: what it reports is not kept",
			name);
		return;
	}
	if (value_kind(key) >= VALUE_SET) {
		config_error(reading, "wrong-kind", key,
			"`checklist key` of the worker `%s` must be a text, not %s", name,
			value_kind_words(value_kind(key)));
		return;
	}
	text = section_print(key);
	if (text == NULL) {
		reading->nomem = true;
		return;
	}
	normal_at(&reading->normal, key);
	normal_key(&reading->normal, "checklist key");
	normal_text(&reading->normal, text);
	free(text);
}

static void take_worker_types(struct reading *reading, const struct value *entry)
{
	normal_key(&reading->normal, "types");
	normal_open(&reading->normal, '[');
	for (size_t i = 0; i < value_count(entry); i++) {
		const struct value *type = value_map_key_at(entry, i);

		if (strcmp(value_as_text(type, ""), "checklist key") != 0)
			take_type(reading, type, value_map_value_at(entry, i));
	}
	normal_close(&reading->normal, ']');
}

static void take_worker(struct reading *reading, const struct value *key, const struct value *entry)
{
	char *name = name_of_key(reading, key);

	if (name == NULL)
		return;
	if (!may_name_worker(name)) {
		config_error(reading, "bad-name", key,
			"`%s` cannot name a worker: at most %d letters, digits, `_`, `-` and `.`, "
			"the first one a letter, digit or `_`",
			name, NAME_LONGEST);
	} else if (!value_is(entry, VALUE_MAP)) {
		config_error(reading, "wrong-kind", entry,
			"the worker `%s` must have a mapping with its `checklist key` and message "
			"types, not %s",
			name, value_kind_words(value_kind(entry)));
	} else {
		normal_at(&reading->normal, key);
		normal_open(&reading->normal, '{');
		normal_key(&reading->normal, "name");
		normal_text(&reading->normal, name);
		normal_key(&reading->normal, "node");
		normal_int(&reading->normal, value_line(key));
		take_checklist_key(reading, key, name, entry);
		take_worker_types(reading, entry);
		normal_close(&reading->normal, '}');
	}
	free(name);
}

static void take_registered_workers(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	if (!expect_map(reading, key, value))
		return;
	normal_at(&reading->normal, key);
	normal_key(&reading->normal, "registry");
	normal_open(&reading->normal, '[');
	for (size_t i = 0; i < value_count(value); i++)
		take_worker(reading, value_map_key_at(value, i), value_map_value_at(value, i));
	normal_close(&reading->normal, ']');
}

void take_registry(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	static const struct section_key keys[] = {
		{ "manager", take_manager_types, false },
		{ "next workers module", take_rules, false },
		{ "workers", take_registered_workers, true },
	};

	read_section(reading, "`message registry`", key, value, keys, ARRAY_LEN(keys), context);
}
