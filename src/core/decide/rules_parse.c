/*
 * next_workers.yaml to checked rules. Every scalar is read as the text that it is (YAML_READ_ALL_TEXT), and
 * every finding has its line and column. A rule that uses what this version of the language lacks is left
 * out whole, with a note: half a rule would launch what nobody asked for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/data/yaml.h"
#include "core/decide/rules_internal.h"

struct parse {
	const char *name;
	const struct config *config;
	struct findings *findings;
	struct rules *rules;
	bool nomem;
};

static void rule_finish(struct rule *rule)
{
	for (size_t i = 0; i < rule->patterns_count; i++)
		pattern_finish(&rule->patterns[i]);
	for (size_t i = 0; i < rule->commands_count; i++)
		command_finish(&rule->commands[i]);
	template_finish(&rule->host);
	free(rule->patterns);
	free(rule->commands);
	*rule = (struct rule){ 0 };
}

static void rule_list_finish(struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		rule_finish(&list->rules[i]);
	free(list->rules);
	free(list->worker);
}

void rules_destroy(struct rules *rules)
{
	if (rules == NULL)
		return;
	for (size_t i = 0; i < rules->count; i++)
		rule_list_finish(&rules->lists[i]);
	free(rules->lists);
	free(rules->name);
	free(rules);
}

struct rules *rules_none(void)
{
	struct rules *rules = calloc(1, sizeof(*rules));

	if (rules == NULL)
		return NULL;
	rules->name = strdup("no rules");
	if (rules->name == NULL) {
		free(rules);
		return NULL;
	}
	return rules;
}

/* A finding at the place of `at`. */
#define FIND(p, severity, name_, at, ...)                                                          \
	findings_add((p)->findings, severity, name_, (p)->name, value_line(at), value_column(at),  \
		__VA_ARGS__)

enum parsed {
	PARSED,
	PARSED_WRONG,   /* found and said */
	PARSED_NOT_YET, /* noted */
};

static enum parsed note_not_yet(struct parse *p, const struct value *at, const char *what)
{
	FIND(p, SEVERITY_NOTE, "rule-not-yet", at,
		"%s is part of the language but not of this version; the rule is not used", what);
	return PARSED_NOT_YET;
}

static enum parsed judge(
	struct parse *p, enum template_result result, const struct value *at, const char *why)
{
	switch (result) {
	case TEMPLATE_OK:
		return PARSED;
	case TEMPLATE_WRONG:
		FIND(p, SEVERITY_ERROR, "bad-syntax", at, "%s", why);
		return PARSED_WRONG;
	case TEMPLATE_NOT_YET:
		return note_not_yet(p, at, "a filter or a date calculation");
	case TEMPLATE_NOMEM:
		p->nomem = true;
		return PARSED_WRONG;
	}
	return PARSED_WRONG;
}

/* --- checks against the registry --- */

static bool matches_registered(const struct pattern *pattern, const struct config_worker *worker)
{
	if (pattern_matches(pattern, "crash", NULL) || pattern_matches(pattern, "lost", NULL))
		return true;
	for (unsigned i = 0; i < worker->types_count; i++)
		if (pattern_matches(pattern, worker->types[i].name, NULL))
			return true;
	return false;
}

static void check_pattern(struct parse *p, const struct config_worker *worker,
	const struct pattern *pattern, const struct value *at)
{
	const char *near;
	const char **names;

	if (worker == NULL || matches_registered(pattern, worker))
		return;
	names = calloc(worker->types_count + 1, sizeof(*names));
	for (unsigned i = 0; names != NULL && i < worker->types_count; i++)
		names[i] = worker->types[i].name;
	near = names != NULL ? suggest(value_as_text(at, ""), names, worker->types_count) : NULL;
	FIND(p, SEVERITY_ERROR, "unmatched-type", at,
		"`%s` matches no message type that is registered for %s%s%s%s",
		value_as_text(at, ""), worker->name, near != NULL ? "; did you mean `" : "",
		near != NULL ? near : "", near != NULL ? "`?" : "");
	free(names);
}

static void check_worker_name(struct parse *p, const char *name, enum severity severity,
	const char *finding, const struct value *at, const char *what)
{
	const char **names;
	const char *near;

	if (config_find_worker(p->config, name) != NULL)
		return;
	names = calloc(p->config->workers_count + 1, sizeof(*names));
	for (unsigned i = 0; names != NULL && i < p->config->workers_count; i++)
		names[i] = p->config->workers[i].name;
	near = names != NULL ? suggest(name, names, p->config->workers_count) : NULL;
	FIND(p, severity, finding, at, "%s `%s` is not in the message registry%s%s%s", what, name,
		near != NULL ? "; did you mean `" : "", near != NULL ? near : "",
		near != NULL ? "`?" : "");
	free(names);
}

struct name_check {
	const struct rule *rule;
	const struct lookup *unknown;
};

static bool is_captured(const struct rule *rule, const char *name)
{
	/* In every pattern: a launch uses the word whichever of them matched. */
	for (size_t i = 0; i < rule->patterns_count; i++) {
		bool found = false;

		for (size_t j = 0; j < rule->patterns[i].count; j++)
			found = found ||
				(rule->patterns[i].words[j].capture != NULL &&
					strcmp(rule->patterns[i].words[j].capture, name) == 0);
		if (!found)
			return false;
	}
	return true;
}

static bool check_lookup(void *argument, const struct lookup *lookup)
{
	struct name_check *check = argument;

	if (is_builtin_name(lookup->name) || is_captured(check->rule, lookup->name))
		return true;
	check->unknown = lookup;
	return false;
}

static enum parsed unknown_name(
	struct parse *p, const struct lookup *lookup, const struct value *at)
{
	FIND(p, SEVERITY_ERROR, "unknown-name", at,
		"there is nothing called `%s` for the placeholder <%s>; there are payload, config, "
		"checklist, "
		"launch, today and the words that `on` captures",
		lookup->name, lookup->text);
	return PARSED_WRONG;
}

static enum parsed check_command(struct parse *p, const struct config_worker *worker,
	const struct rule *rule, const struct command *command, const struct value *at)
{
	struct name_check check = { rule, NULL };
	const struct template *first = &command->words[0].template;

	for (size_t i = 0; i < command->count && check.unknown == NULL; i++)
		(void)template_each_lookup(&command->words[i].template, check_lookup, &check);
	if (check.unknown != NULL)
		return unknown_name(p, check.unknown, at);
	/* Rules of a worker that is not registered are never asked: their entry has its warning. */
	if (worker != NULL && first->count == 1 && first->parts[0].literal != NULL)
		check_worker_name(p, first->parts[0].literal, SEVERITY_ERROR, "unknown-worker", at,
			"the worker to launch");
	return PARSED;
}

/* --- rules --- */

static enum parsed parse_pattern(struct parse *p, const struct config_worker *worker,
	const struct value *at, struct rule *rule)
{
	struct pattern *patterns =
		reallocarray(rule->patterns, rule->patterns_count + 1, sizeof(*patterns));
	char why[160];
	enum parsed parsed;

	if (patterns == NULL) {
		p->nomem = true;
		return PARSED_WRONG;
	}
	rule->patterns = patterns;
	patterns[rule->patterns_count] =
		(struct pattern){ .line = value_line(at), .column = value_column(at) };
	if (!value_is(at, VALUE_TEXT)) {
		FIND(p, SEVERITY_ERROR, "bad-syntax", at,
			"`on` takes a message type or a list of them, not %s",
			value_kind_words(value_kind(at)));
		return PARSED_WRONG;
	}
	parsed =
		judge(p, pattern_parse(value_as_text(at, ""), &patterns[rule->patterns_count], why),
			at, why);
	if (parsed != PARSED)
		return parsed;
	rule->patterns_count++;
	check_pattern(p, worker, &patterns[rule->patterns_count - 1], at);
	return PARSED;
}

static enum parsed parse_item(struct parse *p, const struct config_worker *worker,
	const struct value *at, struct rule *rule)
{
	struct command *commands;
	char why[160];
	enum parsed parsed;

	if (value_is(at, VALUE_MAP))
		return note_not_yet(p, at, "a step inside `launch`");
	if (!value_is(at, VALUE_TEXT)) {
		FIND(p, SEVERITY_ERROR, "bad-syntax", at,
			"`launch` takes command lines, not %s; what has brackets or commas in it "
			"is written "
			"as a block list, one item a line",
			value_kind_words(value_kind(at)));
		return PARSED_WRONG;
	}
	commands = reallocarray(rule->commands, rule->commands_count + 1, sizeof(*commands));
	if (commands == NULL) {
		p->nomem = true;
		return PARSED_WRONG;
	}
	rule->commands = commands;
	commands[rule->commands_count] =
		(struct command){ .line = value_line(at), .column = value_column(at) };
	parsed =
		judge(p, command_parse(value_as_text(at, ""), &commands[rule->commands_count], why),
			at, why);
	if (parsed != PARSED)
		return parsed;
	rule->commands_count++;
	return check_command(p, worker, rule, &commands[rule->commands_count - 1], at);
}

/* Is it a key of the language that this version does not act on? Else it is nobody's. */
static enum parsed other_key(struct parse *p, const struct value *key)
{
	static const char *const later[] = { "when", "with", "first of",
		"hold until all have ended", "if one fails", "give up after", "when given up",
		"alarm", "decide with", "time limit", "same as after", "stop" };
	static const char *const all[] = { "on", "launch", "when", "with", "first of", "on host",
		"hold until all have ended", "if one fails", "give up after", "when given up",
		"alarm", "decide with", "time limit", "same as after", "stop" };
	const char *name = value_as_text(key, "");
	char what[80];
	const char *near;

	for (size_t i = 0; i < ARRAY_LEN(later); i++) {
		if (strcmp(name, later[i]) == 0 || strncmp(name, "for each ", 9) == 0) {
			(void)snprintf(what, sizeof(what), "the key `%.60s`", name);
			return note_not_yet(p, key, what);
		}
	}
	near = suggest(name, all, ARRAY_LEN(all));
	FIND(p, SEVERITY_ERROR, "unknown-key", key, "a rule has no key `%s`%s%s%s", name,
		near != NULL ? "; did you mean `" : "; it has `on` and `launch`",
		near != NULL ? near : "", near != NULL ? "`?" : "");
	return PARSED_WRONG;
}

/* The worse of two. */
static enum parsed worse(enum parsed a, enum parsed b)
{
	if (a == PARSED_WRONG || b == PARSED_WRONG)
		return PARSED_WRONG;
	return a == PARSED_NOT_YET || b == PARSED_NOT_YET ? PARSED_NOT_YET : PARSED;
}

typedef enum parsed item_function(struct parse *p, const struct config_worker *worker,
	const struct value *at, struct rule *rule);

/* One of something, or a list of them. */
static enum parsed each_item(struct parse *p, const struct config_worker *worker,
	const struct value *value, struct rule *rule, item_function *function)
{
	enum parsed parsed = PARSED;

	if (!value_is(value, VALUE_LIST))
		return function(p, worker, value, rule);
	for (size_t i = 0; i < value_count(value); i++)
		parsed = worse(parsed, function(p, worker, value_at(value, i), rule));
	return parsed;
}

/* `on host: TEMPLATE`, for all launches of the rule. */
static enum parsed parse_host(struct parse *p, const struct value *at, struct rule *rule)
{
	struct name_check check = { rule, NULL };
	const char *text = value_as_text(at, "");
	char why[160];
	enum parsed parsed;

	if (text[0] == '\0') {
		FIND(p, SEVERITY_ERROR, "bad-syntax", at,
			"`on host` takes the name of a host, not %s",
			value_kind_words(value_kind(at)));
		return PARSED_WRONG;
	}
	parsed = judge(p, template_parse(text, strlen(text), &rule->host, why), at, why);
	if (parsed != PARSED)
		return parsed;
	(void)template_each_lookup(&rule->host, check_lookup, &check);
	return check.unknown == NULL ? PARSED : unknown_name(p, check.unknown, at);
}

static enum parsed parse_rule(struct parse *p, const struct config_worker *worker,
	const struct value *map, struct rule *rule)
{
	const struct value *on = value_map_get(map, "on"), *launch = value_map_get(map, "launch");
	enum parsed parsed = PARSED;

	*rule = (struct rule){ .line = value_line(map), .column = value_column(map) };
	if (!value_is(map, VALUE_MAP)) {
		FIND(p, SEVERITY_ERROR, "bad-syntax", map,
			"a rule is a mapping with `on` and `launch`, not %s",
			value_kind_words(value_kind(map)));
		return PARSED_WRONG;
	}
	for (size_t i = 0; i < value_count(map); i++) {
		const char *key = value_as_text(value_map_key_at(map, i), "");

		if (strcmp(key, "on") != 0 && strcmp(key, "launch") != 0 &&
			strcmp(key, "on host") != 0)
			parsed = worse(parsed, other_key(p, value_map_key_at(map, i)));
	}
	if (on == NULL && value_map_get(map, "same as after") == NULL) {
		FIND(p, SEVERITY_ERROR, "missing-key", map,
			"the rule does not say after which message type: `on: success`");
		return PARSED_WRONG;
	}
	if (on != NULL)
		parsed = worse(parsed, each_item(p, worker, on, rule, parse_pattern));
	if (value_map_get(map, "on host") != NULL && parsed == PARSED)
		parsed = worse(parsed, parse_host(p, value_map_get(map, "on host"), rule));
	/* The words that a launch may use are those of the patterns: these come first. */
	if (launch != NULL && parsed == PARSED)
		parsed = worse(parsed, each_item(p, worker, launch, rule, parse_item));
	return parsed;
}

static void parse_list(struct parse *p, const struct value *key, const struct value *value)
{
	const char *name = value_as_text(key, "");
	const struct config_worker *worker = config_find_worker(p->config, name);
	struct rules *rules = p->rules;
	struct rule_list *lists, *list;

	if (worker == NULL && strcmp(name, ANY_WORKER) != 0)
		check_worker_name(p, name, SEVERITY_WARNING, "unregistered-entry", key,
			"the worker of these rules");
	if (!value_is(value, VALUE_LIST)) {
		FIND(p, SEVERITY_ERROR, "bad-syntax", key,
			"`%s` takes a list of rules, each behind a dash; `[]` for none", name);
		return;
	}
	lists = reallocarray(rules->lists, rules->count + 1, sizeof(*lists));
	if (lists == NULL) {
		p->nomem = true;
		return;
	}
	rules->lists = lists;
	list = &lists[rules->count++];
	*list = (struct rule_list){ .worker = strdup(name) };
	list->rules = calloc(value_count(value) + 1, sizeof(*list->rules));
	if (list->worker == NULL || list->rules == NULL) {
		p->nomem = true;
		return;
	}
	for (size_t i = 0; i < value_count(value); i++) {
		struct rule *rule = &list->rules[list->count];

		if (parse_rule(p, worker, value_at(value, i), rule) == PARSED)
			list->count++;
		else
			rule_finish(rule);
	}
}

static enum nc_err refuse(const struct parse *p, struct error *error)
{
	const struct finding *first = findings_first_error(p->findings);

	if (p->nomem || p->findings->failed || first == NULL)
		return error_nomem(error);
	return error_at(error, NC_ERR_INVALID, first->line, first->column, "%s:%u:%u: %s", p->name,
		first->line, first->column, first->text);
}

enum nc_err rules_read(const char *name, const char *text, size_t len, const struct config *config,
	struct rules **ret_rules, struct findings *findings, struct error *error)
{
	struct findings own;
	struct parse p = { .name = name, .config = config };
	struct value *tree = NULL;
	struct error why = { 0 };
	size_t errors_before;
	enum nc_err err;

	findings_init(&own);
	p.findings = findings != NULL ? findings : &own;
	errors_before = findings_count(p.findings, SEVERITY_ERROR);
	p.rules = rules_none();
	err = yaml_read(text, len, YAML_READ_ALL_TEXT, &yaml_file_limits, &tree, &why);
	if (err == NC_ERR_NOMEM || p.rules == NULL) {
		p.nomem = true;
	} else if (err != NC_OK) {
		findings_add(p.findings, SEVERITY_ERROR, "bad-yaml", name, why.line, why.column,
			"%s", why.text);
	} else if (value_is(tree, VALUE_MAP)) {
		for (size_t i = 0; i < value_count(tree); i++)
			parse_list(&p, value_map_key_at(tree, i), value_map_value_at(tree, i));
	} else if (value_count(tree) > 0 || !value_is(tree, VALUE_NULL)) {
		FIND(&p, SEVERITY_ERROR, "bad-syntax", tree,
			"the file is a mapping from a worker's name to its list of rules, not %s",
			value_kind_words(value_kind(tree)));
	}
	value_destroy(tree);
	err = NC_OK;
	if (!p.nomem) {
		free(p.rules->name);
		p.rules->name = strdup(name);
		p.nomem = p.rules->name == NULL;
	}
	if (p.nomem || p.findings->failed ||
		findings_count(p.findings, SEVERITY_ERROR) > errors_before) {
		err = refuse(&p, error);
		rules_destroy(p.rules);
	} else {
		*ret_rules = p.rules;
	}
	findings_finish(&own);
	return err;
}
