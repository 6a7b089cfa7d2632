/* Rules and the steps in them: from the tree that YAML gave to ours. */
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

/* --- names in force --- */

unsigned scope_find(const struct parse *p, const char *name)
{
	for (size_t i = p->scope_count; i > 0; i--)
		if (strcmp(p->scope[i - 1].name, name) == 0)
			return (unsigned)(i - 1);
	return NO_SLOT;
}

void scope_leave(struct parse *p, size_t count_before)
{
	p->scope_count = count_before;
}

unsigned scope_add(struct parse *p, const struct value *at, const char *name,
	const struct declaration *declaration)
{
	if (base_find(name) != BASE_COUNT) {
		rules_error(p, at, "name-taken",
			"`%s` is a name of the language and cannot be given to anything else",
			name);
		return NO_SLOT;
	}
	if (name[0] == '\0' || strpbrk(name, "<>[]|") != NULL || strstr(name, " + ") != NULL ||
		strstr(name, " - ") != NULL) {
		rules_error(p, at, "bad-syntax",
			"`%.60s` cannot be a name: it would not be found in a placeholder", name);
		return NO_SLOT;
	}
	if (p->scope_count == SLOTS_MOST) {
		rules_error(
			p, at, "limit", "more than %d names are in force in one rule", SLOTS_MOST);
		return NO_SLOT;
	}
	p->scope[p->scope_count] = (struct scope_name){ name, declaration };
	return (unsigned)p->scope_count++;
}

/* --- values --- */

static bool parse_values(struct parse *p, const struct value *list, struct expression *expression)
{
	expression->kind = EXPRESSION_LIST;
	for (size_t i = 0; i < value_count(list); i++) {
		struct expression *values =
			grow(p, expression->values, expression->count, sizeof(*values));

		if (values == NULL)
			return false;
		expression->values = values;
		if (!template_parse_value(p, value_at(list, i), "an element of a list",
			    &values[expression->count++].template))
			return false;
	}
	return true;
}

static bool parse_branch(struct parse *p, const struct value *key, const struct value *value,
	struct expression *expression)
{
	const char *text = value_as_text(key, "");
	struct expression *values;
	char **keys;

	keys = grow(p, expression->keys, expression->count, sizeof(*keys));
	if (keys == NULL)
		return false;
	expression->keys = keys;
	values = grow(p, expression->values, expression->count, sizeof(*values));
	if (values == NULL)
		return false;
	expression->values = values;
	expression->count++;
	if (strcmp(text, "otherwise") != 0) {
		keys[expression->count - 1] = keep_text(p, text, strlen(text));
		if (keys[expression->count - 1] == NULL)
			return false;
	}
	return expression_parse(
		p, value, "a value of `depending on`", &values[expression->count - 1]);
}

static bool parse_depending(struct parse *p, const struct value *map, struct expression *expression)
{
	const struct value *on = value_map_get(map, "depending on");
	bool well = true;

	expression->kind = EXPRESSION_DEPENDING;
	if (on == NULL) {
		rules_error(p, map, "missing-key",
			"a mapping as a value needs the key `depending on`, which says what it "
			"depends on" CUT_BY_YAML);
		return false;
	}
	if (value_count(map) == 1) {
		rules_error(p, map, "missing-key",
			"nothing depends on it: the texts and their values stand beside `depending "
			"on`");
		return false;
	}
	well = template_parse_value(p, on, "`depending on`", &expression->template);
	if (well && !template_has_lookup(&expression->template)) {
		rules_error(p, on, "bad-syntax",
			"`depending on` takes a <...>: on a text alone nothing can depend");
		return false;
	}
	for (size_t i = 0; well && i < value_count(map); i++)
		if (value_map_value_at(map, i) != on)
			well = parse_branch(p, value_map_key_at(map, i), value_map_value_at(map, i),
				expression);
	return well;
}

bool expression_parse(
	struct parse *p, const struct value *value, const char *what, struct expression *expression)
{
	/* The place, for an error when it is evaluated. */
	expression->template.line = value_line(value);
	expression->template.column = value_column(value);
	if (value_is(value, VALUE_LIST))
		return parse_values(p, value, expression);
	if (value_is(value, VALUE_MAP))
		return parse_depending(p, value, expression);
	return template_parse_value(p, value, what, &expression->template);
}

/* --- the parts of a step --- */

/* `for each NAME in`: the name, and its length; NULL: it is another key. */
static const char *each_name(const char *key, size_t *ret_len)
{
	size_t len = strlen(key);

	if (len <= strlen("for each  in") || strncmp(key, "for each ", strlen("for each ")) != 0 ||
		strcmp(key + len - strlen(" in"), " in") != 0)
		return NULL;
	*ret_len = len - strlen("for each  in");
	return trim(key + strlen("for each "), ret_len);
}

static bool parse_each(
	struct parse *p, const struct value *key, const struct value *value, struct step *step)
{
	size_t len = 0;
	const char *name = each_name(value_as_text(key, ""), &len);

	if (step->each_name != NULL) {
		rules_error(p, key, "unknown-key",
			"a step goes through one thing: write the second `for each` as a step in "
			"`launch`");
		return false;
	}
	step->each_name = keep_text(p, name, len);
	if (step->each_name == NULL || !expression_parse(p, value, "`for each`", &step->each))
		return false;
	if (step->each.kind == EXPRESSION_TEMPLATE &&
		(step->each.template.count != 1 || step->each.template.parts[0].lookup == NULL)) {
		rules_error(p, value, "bad-syntax",
			"`for each` goes through a list, a set or a mapping, and this is a text; a "
			"list is written [a, b]");
		return false;
	}
	step->each_slot = scope_add(p, key, step->each_name, NULL);
	return step->each_slot != NO_SLOT;
}

static bool parse_with(struct parse *p, const struct value *map, struct step *step)
{
	bool well = true;

	if (!value_is(map, VALUE_MAP)) {
		rules_error(p, map, "bad-syntax", "`with` takes names and their values, not %s",
			value_kind_words(value_kind(map)));
		return false;
	}
	step->with = calloc(value_count(map) + 1, sizeof(*step->with));
	if (step->with == NULL) {
		p->nomem = true;
		return false;
	}
	/* All names first: a value may use one that stands below it. */
	for (size_t i = 0; well && i < value_count(map); i++) {
		const struct value *key = value_map_key_at(map, i);
		struct declaration *declaration = &step->with[step->with_count++];
		const char *name = value_as_text(key, "");

		declaration->line = value_line(key);
		declaration->column = value_column(key);
		declaration->name = keep_text(p, name, strlen(name));
		well = declaration->name != NULL;
		if (well && step->each_name != NULL && strcmp(name, step->each_name) == 0) {
			rules_error(p, key, "name-taken",
				"`%.60s` is the name of `for each` and of `with` in one step",
				name);
			well = false;
		}
		if (well)
			declaration->slot = scope_add(p, key, declaration->name, declaration);
		well = well && declaration->slot != NO_SLOT;
	}
	for (size_t i = 0; well && i < value_count(map); i++)
		well = expression_parse(
			p, value_map_value_at(map, i), "a value of `with`", &step->with[i].value);
	return well && check_declarations(p, step);
}

typedef bool one_function(struct parse *p, const struct value *at, struct step *step);

/* One of something, or a list of them. All are read, so that all errors are found. */
static bool each_one(
	struct parse *p, const struct value *value, struct step *step, one_function *function)
{
	bool well = true;

	if (!value_is(value, VALUE_LIST))
		return function(p, value, step);
	for (size_t i = 0; i < value_count(value); i++) {
		const struct value *item = value_at(value, i);

		p->flow_item = i > 0 && value_line(item) == value_line(value_at(value, i - 1));
		well = function(p, item, step) && well;
	}
	p->flow_item = false;
	return well;
}

static bool parse_when(struct parse *p, const struct value *at, struct step *step)
{
	struct condition *when = grow(p, step->when, step->when_count, sizeof(*when));

	if (when == NULL)
		return false;
	step->when = when;
	return condition_parse(p, at, &when[step->when_count++]);
}

static bool parse_item(struct parse *p, const struct value *at, struct step *step)
{
	struct item *launch = grow(p, step->launch, step->launch_count, sizeof(*launch));

	if (launch == NULL)
		return false;
	step->launch = launch;
	launch += step->launch_count++;
	if (value_is(at, VALUE_MAP)) {
		launch->step = grow(p, NULL, 0, sizeof(*launch->step));
		return launch->step != NULL && step_parse(p, at, false, launch->step);
	}
	if (!value_is(at, VALUE_TEXT)) {
		rules_error(p, at, "bad-syntax",
			"`launch` takes command lines and steps, not %s" CUT_BY_YAML,
			value_kind_words(value_kind(at)));
		return false;
	}
	launch->command = grow(p, NULL, 0, sizeof(*launch->command));
	if (launch->command == NULL || !command_parse(p, at, launch->command))
		return false;
	check_command(p, launch->command, at);
	return true;
}

static bool parse_first_of(struct parse *p, const struct value *list, struct step *step)
{
	bool well = true;

	if (!value_is(list, VALUE_LIST) || value_count(list) == 0) {
		rules_error(p, list, "bad-syntax",
			"`first of` takes a list of steps, each behind a dash");
		return false;
	}
	step->first_of = calloc(value_count(list), sizeof(*step->first_of));
	if (step->first_of == NULL) {
		p->nomem = true;
		return false;
	}
	for (size_t i = 0; i < value_count(list); i++) {
		well = step_parse(p, value_at(list, i), false, &step->first_of[i]) && well;
		step->first_of_count++;
	}
	return well;
}

static bool parse_host(struct parse *p, const struct value *at, struct step *step)
{
	if (!value_is(at, VALUE_TEXT) || value_as_text(at, "")[0] == '\0') {
		rules_error(p, at, "bad-syntax", "`on host` takes the name of a host, not %s",
			value_is(at, VALUE_TEXT) ? "an empty text"
						 : value_kind_words(value_kind(at)));
		return false;
	}
	return template_parse_value(p, at, "`on host`", &step->host);
}

/* --- a step --- */

static const char *const step_keys[] = { "with", "when", "launch", "first of", "on host",
	"hold until all have ended", "if one fails", "give up after", "when given up", "alarm",
	"decide with", "time limit", "for each ... in" };
static const char *const rule_keys[] = { "on", "stop", "same as after" };

static bool is_among(const char *text, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(texts[i], text) == 0)
			return true;
	return false;
}

static bool check_key(
	struct parse *p, const struct value *key, const struct value *value, bool is_rule)
{
	const char *name = value_as_text(key, "");
	const char *names[ARRAY_LEN(step_keys) + ARRAY_LEN(rule_keys)];
	size_t count = ARRAY_LEN(step_keys), len;
	char near[120];

	if (each_name(name, &len) != NULL || is_among(name, step_keys, count - 1) ||
		(is_rule && is_among(name, rule_keys, ARRAY_LEN(rule_keys))))
		return true;
	memcpy(names, step_keys, sizeof(step_keys));
	if (is_rule) {
		memcpy(names + count, rule_keys, sizeof(rule_keys));
		count += ARRAY_LEN(rule_keys);
	}
	/* `{when: <a> is one of b, c}`: YAML makes a key of what stands behind the comma. */
	rules_error(p, key, "unknown-key", "a %s has no key `%.60s`%s%s", is_rule ? "rule" : "step",
		name, rules_suggest(name, names, count, near),
		value_is(value, VALUE_TEXT) && value_as_text(value, "")[0] != '\0' ? ""
										   : CUT_BY_YAML);
	return false;
}

/* Read the value of a key, when it is there. */
static bool parse_key(struct parse *p, const struct value *map, const char *key, struct step *step,
	one_function *function, bool many)
{
	const struct value *value = value_map_get(map, key);

	if (value == NULL)
		return true;
	return many ? each_one(p, value, step, function) : function(p, value, step);
}

static bool parse_parts(struct parse *p, const struct value *map, struct step *step)
{
	bool well = true;

	for (size_t i = 0; well && i < value_count(map); i++) {
		const struct value *key = value_map_key_at(map, i);
		size_t len;

		if (each_name(value_as_text(key, ""), &len) != NULL)
			well = parse_each(p, key, value_map_value_at(map, i), step);
	}
	/* What a name stands for has to be known before it is used; the rest is read in any case, so that
	 * all errors are found. */
	if (!well || !parse_key(p, map, "with", step, parse_with, false))
		return false;
	well = parse_key(p, map, "when", step, parse_when, true);
	well = parse_key(p, map, "launch", step, parse_item, true) && well;
	well = parse_key(p, map, "first of", step, parse_first_of, false) && well;
	well = parse_key(p, map, "on host", step, parse_host, false) && well;
	well = parse_key(p, map, "alarm", step, alarm_parse, false) && well;
	well = hold_parse(p, map, step) && well;
	return program_parse(p, map, step) && well;
}

bool step_parse(struct parse *p, const struct value *map, bool is_rule, struct step *step)
{
	size_t names_before = p->scope_count;
	bool well = true;

	step->line = value_line(map);
	step->column = value_column(map);
	if (!value_is(map, VALUE_MAP)) {
		rules_error(p, map, "bad-syntax",
			"a step is a mapping with keys such as `when` and `launch`, not %s",
			value_kind_words(value_kind(map)));
		return false;
	}
	for (size_t i = 0; i < value_count(map); i++)
		well = check_key(
			       p, value_map_key_at(map, i), value_map_value_at(map, i), is_rule) &&
		       well;
	well = parse_parts(p, map, step) && well;
	scope_leave(p, names_before);
	return well;
}
