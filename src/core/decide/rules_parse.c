/*
 * next_workers.yaml to checked rules. Every scalar is read as the text that it is (YAML_READ_ALL_TEXT), and
 * every finding has its line and column. A file with an error in it gives no rules at all: half of them would
 * launch what nobody asked for.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/data/yaml.h"
#include "core/decide/rules_internal.h"

/* --- findings --- */

static void add_finding(struct parse *p, enum severity severity, unsigned line, unsigned column,
	const char *name, const char *format, va_list arguments)
	__attribute__((format(printf, 6, 0)));

static void add_finding(struct parse *p, enum severity severity, unsigned line, unsigned column,
	const char *name, const char *format, va_list arguments)
{
	char text[800];

	(void)vsnprintf(text, sizeof(text), format, arguments);
	findings_add(p->findings, severity, name, p->name, line, column, "%s", text);
}

void rules_error(struct parse *p, const struct value *at, const char *name, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_finding(p, SEVERITY_ERROR, value_line(at), value_column(at), name, format, arguments);
	va_end(arguments);
}

void rules_error_at(
	struct parse *p, unsigned line, unsigned column, const char *name, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_finding(p, SEVERITY_ERROR, line, column, name, format, arguments);
	va_end(arguments);
}

void rules_warning_at(
	struct parse *p, unsigned line, unsigned column, const char *name, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_finding(p, SEVERITY_WARNING, line, column, name, format, arguments);
	va_end(arguments);
}

const char *rules_suggest(
	const char *typed, const char *const *candidates, size_t count, char buffer[120])
{
	const char *near = suggest(typed, candidates, count);

	if (near == NULL)
		return "";
	(void)snprintf(buffer, 120, "; did you mean `%.90s`?", near);
	return buffer;
}

int shown_length(size_t len)
{
	return (int)(len < 60 ? len : 60);
}

/* --- rules --- */

static bool parse_pattern(struct parse *p, const struct value *at, struct rule *rule)
{
	struct pattern *patterns = grow(p, rule->patterns, rule->patterns_count, sizeof(*patterns));

	if (patterns == NULL)
		return false;
	rule->patterns = patterns;
	patterns += rule->patterns_count++;
	if (!value_is(at, VALUE_TEXT)) {
		rules_error(p, at, "bad-syntax",
			"`on` takes a message type or a list of them, not %s" CUT_BY_YAML,
			value_kind_words(value_kind(at)));
		return false;
	}
	if (!pattern_parse(p, at, value_as_text(at, ""), patterns))
		return false;
	check_pattern(p, patterns, at);
	return true;
}

static struct pattern_word *find_capture(const struct pattern *pattern, const char *name)
{
	for (size_t i = 0; i < pattern->count; i++)
		if (pattern->words[i].capture != NULL &&
			strcmp(pattern->words[i].capture, name) == 0)
			return &pattern->words[i];
	return NULL;
}

/* Put the captured words in force, those that all patterns have: whichever of them matches, a word is there. */
static bool take_captures(struct parse *p, const struct value *at, struct rule *rule)
{
	const struct pattern *first = &rule->patterns[0];

	for (size_t i = 0; i < first->count; i++) {
		const char *name = first->words[i].capture;
		bool in_all = name != NULL;
		unsigned slot;

		for (size_t j = 1; in_all && j < rule->patterns_count; j++)
			in_all = find_capture(&rule->patterns[j], name) != NULL;
		if (!in_all)
			continue;
		slot = scope_add(p, at, name, NULL);
		if (slot == NO_SLOT)
			return false;
		for (size_t j = 0; j < rule->patterns_count; j++) {
			struct pattern_word *word = find_capture(&rule->patterns[j], name);

			if (word != NULL)
				word->slot = slot;
		}
	}
	return true;
}

static bool parse_on(struct parse *p, const struct value *map, struct rule *rule)
{
	const struct value *on = value_map_get(map, "on");
	bool well = true;

	if (on == NULL || (value_is(on, VALUE_LIST) && value_count(on) == 0)) {
		rules_error(p, map, "missing-key",
			"the rule does not say after which message type: `on: success`");
		return false;
	}
	if (!value_is(on, VALUE_LIST))
		return parse_pattern(p, on, rule) && take_captures(p, on, rule);
	for (size_t i = 0; i < value_count(on); i++)
		well = parse_pattern(p, value_at(on, i), rule) && well;
	return well && take_captures(p, on, rule);
}

static bool parse_stop(struct parse *p, const struct value *map, struct rule *rule)
{
	const struct value *stop = value_map_get(map, "stop");
	const char *text = value_as_text(stop, "");

	if (stop == NULL)
		return true;
	rule->stop = strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;
	if (rule->stop || strcmp(text, "no") == 0 || strcmp(text, "false") == 0)
		return true;
	rules_error(p, stop, "bad-choice", "`stop` is `yes` or `no`, not `%.60s`", text);
	return false;
}

static bool parse_same_as(struct parse *p, const struct value *map, struct rule *rule)
{
	const struct value *at = value_map_get(map, "same as after");
	const char *text = value_as_text(at, "");

	if (value_count(map) != 1) {
		rules_error(p, map, "unknown-key",
			"`same as after` stands alone in its rule: it takes the rules of the other "
			"worker as they are");
		return false;
	}
	if (text[0] == '\0') {
		rules_error(p, at, "bad-syntax", "`same as after` takes the name of a worker");
		return false;
	}
	rule->step.line = value_line(at);
	rule->step.column = value_column(at);
	rule->same_as = keep_text(p, text, strlen(text));
	return rule->same_as != NULL;
}

static bool parse_rule(struct parse *p, const struct value *map, struct rule *rule)
{
	bool well;

	rule->line = value_line(map);
	rule->column = value_column(map);
	if (!value_is(map, VALUE_MAP)) {
		rules_error(p, map, "bad-syntax",
			"a rule is a mapping with keys such as `on` and `launch`, not %s",
			value_kind_words(value_kind(map)));
		return false;
	}
	if (value_map_get(map, "same as after") != NULL)
		return parse_same_as(p, map, rule);
	scope_leave(p, 0);
	well = parse_on(p, map, rule) && parse_stop(p, map, rule);
	/* Without its names much in it would seem unknown. */
	return well && step_parse(p, map, true, &rule->step);
}

static void parse_rules(
	struct parse *p, const struct value *key, const struct value *value, struct rule_list *list)
{
	size_t errors_before = findings_count(p->findings, SEVERITY_ERROR);

	list->line = value_line(key);
	list->column = value_column(key);
	list->worker = keep_text(p, value_as_text(key, ""), strlen(value_as_text(key, "")));
	list->rules = calloc(value_count(value) + 1, sizeof(*list->rules));
	if (list->worker == NULL || list->rules == NULL) {
		p->nomem = true;
		return;
	}
	for (size_t i = 0; i < value_count(value); i++) {
		list->rules[i].number = (unsigned)i + 1;
		list->count++;
		(void)parse_rule(p, value_at(value, i), &list->rules[i]);
	}
	list->faulty = findings_count(p->findings, SEVERITY_ERROR) > errors_before;
}

static void parse_entry(struct parse *p, const struct value *key, const struct value *value)
{
	struct rules *rules = p->rules;
	struct rule_list *lists;

	check_entry(p, key);
	if (!value_is(value, VALUE_LIST)) {
		rules_error(p, key, "bad-syntax",
			"`%.60s` takes a list of rules, each behind a dash; `[]` for none",
			value_as_text(key, ""));
		return;
	}
	lists = grow(p, rules->lists, rules->count, sizeof(*lists));
	if (lists == NULL)
		return;
	rules->lists = lists;
	parse_rules(p, key, value, &lists[rules->count++]);
}

/* --- the file --- */

static int compare_workers(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Launches are checked when they are made, too: the name of a worker can come from a message. */
static bool keep_workers(struct parse *p)
{
	struct rules *rules = p->rules;

	rules->workers = calloc(p->config->workers_count + 1, sizeof(*rules->workers));
	if (rules->workers == NULL)
		return false;
	for (unsigned i = 0; i < p->config->workers_count; i++) {
		rules->workers[i] = strdup(p->config->workers[i].name);
		if (rules->workers[i] == NULL)
			return false;
		rules->workers_count++;
	}
	qsort(rules->workers, rules->workers_count, sizeof(*rules->workers), compare_workers);
	return true;
}

static void parse_file(struct parse *p, const struct value *tree)
{
	if (!value_is(tree, VALUE_MAP)) {
		/* A file of comments is a file without rules. */
		if (!value_is(tree, VALUE_NULL))
			rules_error(p, tree, "bad-syntax",
				"the file is a mapping from a worker's name to its list of rules, not %s",
				value_kind_words(value_kind(tree)));
		return;
	}
	for (size_t i = 0; i < value_count(tree); i++)
		parse_entry(p, value_map_key_at(tree, i), value_map_value_at(tree, i));
	p->nomem = p->nomem || !rules_sort(p->rules);
	if (p->nomem)
		return;
	check_references(p);
	check_successes(p);
}

/* What YAML found wrong. Often it is our brackets in a flow list, or a colon in a text. */
static void not_yaml(struct parse *p, const struct error *why)
{
	const char *hint = "";

	if (strstr(why->text, "expected ',' or") != NULL ||
		strstr(why->text, "cannot start any token") != NULL)
		hint = CUT_BY_YAML;
	else if (strstr(why->text, "mapping values are not allowed") != NULL)
		hint = "; a text with a colon and a blank in it, such as 'success <cycle: 00 | 06>', "
		       "stands in quotes";
	rules_error_at(p, why->line, why->column, "bad-yaml", "%s%s", why->text, hint);
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
	p.rules = calloc(1, sizeof(*p.rules));
	err = yaml_read(text, len, YAML_READ_ALL_TEXT, &yaml_file_limits, &tree, &why);
	if (err == NC_ERR_NOMEM || p.rules == NULL) {
		p.nomem = true;
	} else if (err != NC_OK) {
		not_yaml(&p, &why);
	} else {
		p.rules->name = keep_text(&p, name, strlen(name));
		p.nomem = p.nomem || !keep_workers(&p);
		parse_file(&p, tree);
	}
	value_destroy(tree);
	err = NC_OK;
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
