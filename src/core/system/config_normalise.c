/* The sections of the framework, each checked and written in normal form (config_internal.h). */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/system/config_internal.h"

enum {
	NAME_LONGEST = 100,
	PORT_MOST = 65535,
};

/* --- what all sections use --- */

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

/* To be freed; NULL: out of memory. */
static char *print_scalar(const struct value *value)
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
	text = print_scalar(value);
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

static const struct section_key *find_key(
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
	char *typed = print_scalar(key);

	for (size_t i = 0; i < count && i < ARRAY_LEN(names); i++)
		names[i] = keys[i].name;
	if (typed != NULL)
		config_warning(reading, "unknown-key", key, "%s has no key `%s`%s", words, typed,
			did_you_mean(typed, names, count).text);
	else
		reading->nomem = true;
	free(typed);
}

static void report_missing(struct reading *reading, const char *words, const struct value *section,
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
		const struct section_key *known = find_key(keys, count, value_as_text(key, NULL));

		if (known == NULL)
			warn_unknown_key(reading, words, key, keys, count);
		else if (known->take != NULL)
			known->take(reading, key, value_map_value_at(map, i), context);
	}
	report_missing(reading, words, section, map, keys, count);
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

/* --- single values --- */

/* `context`: the key of the normal form. */
static void take_text(struct reading *reading, const struct value *key, const struct value *value,
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

static void take_checklist_file(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	take_text(reading, key, value, "checklist file");
}

static void take_state_directory(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	take_text(reading, key, value, "state directory");
}

static void take_state_group(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	take_text(reading, key, value, "state group");
}

/* Read and not used. */
static void take_python(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	if (!value_is(value, VALUE_NULL))
		free(scalar_text(reading, key, value));
}

static void take_rules(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	take_text(reading, key, value, "rules");
}

/* Its content is the business of core/system/log. */
static void take_logging(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	(void)expect_map(reading, key, value);
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

/* --- zmq, or messaging --- */

struct messaging {
	bool has_host, has_manager_port, has_workers_port;
	const struct value *tcp; /* NULL: not allowed */
};

static void take_host(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct messaging *messaging = context;

	messaging->has_host = true;
	take_text(reading, key, value, "host");
}

static void take_port(struct reading *reading, const struct value *key, const struct value *value,
	const char *normal_name)
{
	int64_t port = value_as_int(value, 0);

	/* Python would put a quoted number into the address as it is. */
	if (value_is(value, VALUE_TEXT) && !text_to_int64(value_as_text(value, ""), &port))
		port = 0;
	if (port < 1 || port > PORT_MOST) {
		config_error(reading, "bad-port", value,
			"the port `%s` must be a number from 1 to %d", value_as_text(key, ""),
			PORT_MOST);
		return;
	}
	normal_at(&reading->normal, value);
	normal_key(&reading->normal, normal_name);
	normal_int(&reading->normal, port);
}

static void take_manager_port(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct messaging *messaging = context;

	messaging->has_manager_port = true;
	take_port(reading, key, value, "manager port");
}

static void take_workers_port(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct messaging *messaging = context;

	messaging->has_workers_port = true;
	take_port(reading, key, value, "workers port");
}

static void take_ports(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	static const struct section_key keys[] = {
		{ "manager", take_manager_port, false }, { "workers", take_workers_port, false },
		{ "logging", NULL, false }, /* as the Python framework has it; not used */
	};

	read_section(reading, "`ports`", key, value, keys, ARRAY_LEN(keys), context);
}

static void take_tcp(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct messaging *messaging = context;

	if (strcmp(value_as_text(value, ""), "allowed") != 0) {
		config_error(reading, "bad-choice", value,
			"`tcp` must be the word `allowed`, or be left out");
		return;
	}
	messaging->tcp = value;
	normal_at(&reading->normal, value);
	normal_key(&reading->normal, "tcp");
	normal_int(&reading->normal, 1);
}

static void check_tcp(
	struct reading *reading, const struct value *key, const struct messaging *messaging)
{
	if (messaging->tcp == NULL) {
		config_note(reading, "no-tcp", key,
			"messages stay on this host, in the state directory; no port is opened "
			"unless "
			"`tcp: allowed` stands here");
		return;
	}
	if (!messaging->has_host || !messaging->has_manager_port || !messaging->has_workers_port)
		config_error(reading, "missing-key", messaging->tcp,
			"with `tcp: allowed` this section must have `host`, and in `ports` both "
			"`manager` and `workers`");
	config_warning(reading, "tcp-allowed", messaging->tcp,
		"the ports are neither encrypted nor authenticated: whoever can reach them can "
		"command this system");
}

static void take_messaging(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	static const struct section_key keys[] = {
		{ "host", take_host, false },
		{ "ports", take_ports, false },
		{ "tcp", take_tcp, false },
	};
	struct messaging messaging = { 0 };
	bool *seen = context;

	if (*seen) {
		config_error(reading, "duplicate-section", key,
			"`zmq` and `messaging` are two names of one section; one of them must go");
		return;
	}
	*seen = true;
	read_section(reading, "the section of the message system", key, value, keys,
		ARRAY_LEN(keys), &messaging);
	check_tcp(reading, key, &messaging);
}

/* --- message registry --- */

/* A key that people name a worker or type with, as it is written; NULL: out of memory. */
static char *name_of_key(struct reading *reading, const struct value *key)
{
	char *name = print_scalar(key);

	if (name == NULL)
		reading->nomem = true;
	else if (!value_is(key, VALUE_TEXT))
		config_warning(reading, "name-is-no-text", key,
			"YAML reads the name `%s` as %s; it is taken as it is written, and should "
			"be "
			"quoted",
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
		words = print_scalar(meaning);
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
	text = print_scalar(key);
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
			"the "
			"first one a letter, digit or `_`",
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

static void take_registry(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	static const struct section_key keys[] = {
		{ "manager", take_manager_types, false },
		{ "next workers module", take_rules, false },
		{ "workers", take_registered_workers, true },
	};

	read_section(reading, "`message registry`", key, value, keys, ARRAY_LEN(keys), context);
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
	{ "supervisor", take_map, false },
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
			find_key(sections, ARRAY_LEN(sections), value_as_text(key, NULL));

		if (known != NULL)
			known->take(reading, key, value_map_value_at(tree, i), &messaging_seen);
		else
			warn_near_section(reading, key);
	}
	normal_at(&reading->normal, tree);
	normal_close(&reading->normal, '}');
	report_missing(reading, "the file", tree, tree, sections, ARRAY_LEN(sections));
}
