/* The sections of the framework, each checked and written in normal form (config_internal.h). */
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/system/config_internal.h"

/* --- single values --- */

static void take_checklist_file(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	section_take_text(reading, key, value, "checklist file");
}

static void take_state_directory(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	section_take_text(reading, key, value, "state directory");
}

static void take_state_group(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	section_take_text(reading, key, value, "state group");
}

/* Read and not used. */
static void take_python(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	if (!value_is(value, VALUE_NULL))
		free(scalar_text(reading, key, value));
}

/* Its content is the business of core/system/log. */
static void take_logging(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	(void)expect_map(reading, key, value);
}

/* Patterns of names; what they are for is the business of core/system/secrets. */
static void take_secrets(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	if (value_is(value, VALUE_NULL))
		return;
	if (value_is(value, VALUE_TEXT)) {
		free(scalar_text(reading, key, value));
		return;
	}
	if (!expect_list(reading, key, value))
		return;
	for (size_t i = 0; i < value_count(value); i++) {
		if (!value_is(value_at(value, i), VALUE_TEXT) ||
			*value_as_text(value_at(value, i), "") == '\0')
			config_error(reading, "wrong-kind", value_at(value, i),
				"`secrets` must be a list of names of environment variables, as "
				"in [ONC_USER_TOKEN, 'SLACK*']");
	}
}

/* A section that another part defines, or nothing: it stays in the tree. */
static void take_map(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	if (!value_is(value, VALUE_NULL))
		(void)expect_map(reading, key, value);
}

/* `run` is shared with the deployment; only its hosts are the framework's. */
static void take_run(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	const struct value *hosts = value_map_get(value, "enabled hosts");

	take_map(reading, key, value, context);
	if (value_is(hosts, VALUE_NULL))
		return;
	if (!value_is(hosts, VALUE_MAP)) {
		config_error(reading, "wrong-kind", hosts,
			"`enabled hosts` must be a mapping of host names, not %s",
			value_kind_words(value_kind(hosts)));
		return;
	}
	for (size_t i = 0; i < value_count(hosts); i++)
		take_map(reading, value_map_key_at(hosts, i), value_map_value_at(hosts, i), NULL);
}

/* --- the whole file --- */

static const struct section_key sections[] = {
	{ "checklist file", take_checklist_file, true },
	{ "state directory", take_state_directory, false },
	{ "state group", take_state_group, false },
	{ "python", take_python, false },
	{ "logging", take_logging, true },
	{ "zmq", take_messaging, false },
	{ "messaging", take_messaging, false },
	{ "message registry", take_registry, true },
	{ "scheduled workers", take_schedules, false },
	{ "workers", take_programs, false },
	{ "supervisor", take_supervisor, false },
	{ "secrets", take_secrets, false },
	{ "slack notifications", take_map, false },
	{ "run", take_run, false },
};

/*
 * A section that is not ours belongs to the deployment, except when it is most likely a slip: near the
 * name of one that the file does not have. (`run` and `zmq` are near to too much.)
 */
static void warn_near_section(struct reading *reading, const struct value *key)
{
	const char *names[ARRAY_LEN(sections)] = { NULL };
	const char *typed = value_as_text(key, ""), *meant;

	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if (strlen(sections[i].name) > 3 &&
			value_map_get(reading->tree, sections[i].name) == NULL)
			names[i] = sections[i].name;
	meant = suggest(typed, names, ARRAY_LEN(names));
	if (meant != NULL)
		config_warning(reading, "unknown-section", key,
			"the section `%s` is not one of the framework; did you mean `%s`?", typed,
			meant);
}

void config_normalise(struct reading *reading)
{
	const struct value *tree = reading->tree;
	bool messaging_seen = false;

	if (!value_is(tree, VALUE_MAP)) {
		config_error(reading, "wrong-kind", tree,
			"a configuration is a mapping of sections, not %s",
			value_kind_words(value_kind(tree)));
		return;
	}
	normal_open(&reading->normal, '{');
	for (size_t i = 0; i < value_count(tree); i++) {
		const struct value *key = value_map_key_at(tree, i);
		const struct section_key *known =
			section_find_key(sections, ARRAY_LEN(sections), value_as_text(key, NULL));

		if (known != NULL)
			known->take(reading, key, value_map_value_at(tree, i), &messaging_seen);
		else
			warn_near_section(reading, key);
	}
	normal_at(&reading->normal, tree);
	normal_close(&reading->normal, '}');
	section_report_missing(reading, "the file", tree, tree, sections, ARRAY_LEN(sections));
}
