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

/* --- rules --- */

/* Behind what is not of the kind that it must be. */
#define CUT_BY_YAML                                                                                \
	"; in [...] a comma ends an item and brackets are YAML's: what has either in it is "       \
	"written as a block list, one item a line"

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

/* A step in the place of a command line. */
static enum parsed parse_inner_step(struct parse *p, const struct value *map)
{
	enum parsed parsed = PARSED;

	for (size_t i = 0; i < value_count(map); i++) {
		const struct value *key = value_map_key_at(map, i);

		if (strcmp(value_as_text(key, ""), "launch") != 0 &&
			strcmp(value_as_text(key, ""), "on host") != 0)
			parsed = worse(parsed, other_key(p, key));
	}
	return worse(parsed, note_not_yet(p, map, "a step inside `launch`"));
}

static enum parsed parse_pattern(struct parse *p, const struct value *at, struct rule *rule)
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
			"`on` takes a message type or a list of them, not %s" CUT_BY_YAML,
			value_kind_words(value_kind(at)));
		return PARSED_WRONG;
	}
	parsed =
		judge(p, pattern_parse(value_as_text(at, ""), &patterns[rule->patterns_count], why),
			at, why);
	if (parsed != PARSED)
		return parsed;
	rule->patterns_count++;
	check_pattern(p, &patterns[rule->patterns_count - 1], at);
	return PARSED;
}

static enum parsed parse_item(struct parse *p, const struct value *at, struct rule *rule)
{
	struct command *commands;
	char why[160];
	enum parsed parsed;

	if (value_is(at, VALUE_MAP))
		return parse_inner_step(p, at);
	if (!value_is(at, VALUE_TEXT)) {
		FIND(p, SEVERITY_ERROR, "bad-syntax", at,
			"`launch` takes command lines, not %s" CUT_BY_YAML,
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
	return check_command(p, rule, &commands[rule->commands_count - 1], at) ? PARSED
									       : PARSED_WRONG;
}

typedef enum parsed item_function(struct parse *p, const struct value *at, struct rule *rule);

/* One of something, or a list of them. */
static enum parsed each_item(
	struct parse *p, const struct value *value, struct rule *rule, item_function *function)
{
	enum parsed parsed = PARSED;

	if (!value_is(value, VALUE_LIST))
		return function(p, value, rule);
	for (size_t i = 0; i < value_count(value); i++)
		parsed = worse(parsed, function(p, value_at(value, i), rule));
	return parsed;
}

/* `on host: TEMPLATE`, for all launches of the rule. */
static enum parsed parse_host(struct parse *p, const struct value *at, struct rule *rule)
{
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
	return check_template(p, rule, &rule->host, at) ? PARSED : PARSED_WRONG;
}

static enum parsed parse_rule(struct parse *p, const struct value *map, struct rule *rule)
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
	if ((on == NULL && value_map_get(map, "same as after") == NULL) ||
		(value_is(on, VALUE_LIST) && value_count(on) == 0)) {
		FIND(p, SEVERITY_ERROR, "missing-key", map,
			"the rule does not say after which message type: `on: success`");
		return PARSED_WRONG;
	}
	if (on != NULL)
		parsed = worse(parsed, each_item(p, on, rule, parse_pattern));
	if (value_map_get(map, "on host") != NULL && parsed == PARSED)
		parsed = worse(parsed, parse_host(p, value_map_get(map, "on host"), rule));
	/* The words that a launch may use are those of the patterns: these come first. */
	if (launch != NULL && parsed == PARSED)
		parsed = worse(parsed, each_item(p, launch, rule, parse_item));
	return parsed;
}

/* Keep the rules that can be used, in their order. */
static void leave_out(struct rule_list *list, const enum parsed *parsed)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (parsed[i] == PARSED)
			list->rules[kept++] = list->rules[i];
		else
			rule_finish(&list->rules[i]);
	}
	list->count = kept;
}

static void parse_rules(
	struct parse *p, const struct value *key, const struct value *value, struct rule_list *list)
{
	size_t count = value_count(value);
	enum parsed *parsed = calloc(count + 1, sizeof(*parsed));
	size_t errors_before = findings_count(p->findings, SEVERITY_ERROR);
	bool all_known = true;

	list->worker = strdup(value_as_text(key, ""));
	list->rules = calloc(count + 1, sizeof(*list->rules));
	if (parsed == NULL || list->worker == NULL || list->rules == NULL) {
		free(parsed);
		p->nomem = true;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		parsed[i] = parse_rule(p, value_at(value, i), &list->rules[i]);
		list->count++;
		/* `same as after` may match anything. */
		all_known = all_known && list->rules[i].patterns_count > 0;
	}
	/* An error hides what its rule is meant for. */
	if (all_known && findings_count(p->findings, SEVERITY_ERROR) == errors_before)
		check_successes(p, list->rules, list->count, key);
	leave_out(list, parsed);
	free(parsed);
}

static void parse_entry(struct parse *p, const struct value *key, const struct value *value)
{
	struct rules *rules = p->rules;
	struct rule_list *lists;

	check_entry(p, key);
	if (!value_is(value, VALUE_LIST)) {
		FIND(p, SEVERITY_ERROR, "bad-syntax", key,
			"`%s` takes a list of rules, each behind a dash; `[]` for none",
			value_as_text(key, ""));
		return;
	}
	lists = reallocarray(rules->lists, rules->count + 1, sizeof(*lists));
	if (lists == NULL) {
		p->nomem = true;
		return;
	}
	rules->lists = lists;
	lists[rules->count] = (struct rule_list){ 0 };
	parse_rules(p, key, value, &lists[rules->count++]);
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
			parse_entry(&p, value_map_key_at(tree, i), value_map_value_at(tree, i));
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
