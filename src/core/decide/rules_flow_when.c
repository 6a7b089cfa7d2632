/* After which messages a step of the rules is done: patterns, and the conditions and loops around it. */
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_flow_internal.h"

size_t flow_items_count(const struct value *value)
{
	if (value_is(value, VALUE_LIST))
		return value_count(value);
	return value != NULL ? 1 : 0;
}

const struct value *flow_item_at(const struct value *value, size_t index)
{
	return value_is(value, VALUE_LIST) ? value_at(value, index) : value;
}

/* The name in a key `for each NAME in`; false: it is another key. */
static bool each_name(const struct value *key, struct span *ret_name)
{
	static const char begin[] = "for each ", end[] = " in";
	const char *text = value_as_text(key, "");
	size_t len = strlen(text), around = strlen(begin) + strlen(end);

	if (len <= around || strncmp(text, begin, strlen(begin)) != 0 ||
		strcmp(text + len - strlen(end), end) != 0)
		return false;
	*ret_name = span_trim((struct span){ text + strlen(begin), len - around });
	return true;
}

/* Does `with` or `for each` give the name another meaning than `on` does? */
static bool is_redefined(const struct flow_scope *scope, struct span name)
{
	for (; scope != NULL; scope = scope->outer) {
		const struct value *with = value_map_get(scope->step, "with");
		struct span own;

		for (size_t i = 0; i < value_count(with) && value_is(with, VALUE_MAP); i++) {
			const char *text = value_as_text(value_map_key_at(with, i), "");

			if (span_is(name, text))
				return true;
		}
		for (size_t i = 0; i < value_count(scope->step); i++)
			if (each_name(value_map_key_at(scope->step, i), &own) &&
				span_equal(own, name))
				return true;
	}
	return false;
}

/* Is it a condition on a word that all patterns of the rule capture? */
static bool is_about_type(const struct flow_walk *walk, const struct flow_scope *scope,
	struct flow_condition *ret, const char *text)
{
	if (walk->worker == NULL || !flow_condition_read(text, ret) ||
		is_redefined(scope, ret->name))
		return false;
	for (size_t i = 0; i < flow_items_count(walk->patterns); i++)
		if (!flow_pattern_captures(
			    value_as_text(flow_item_at(walk->patterns, i), ""), ret->name))
			return false;
	return flow_items_count(walk->patterns) > 0;
}

/* Does the step follow a message of this type, whose pattern matches it? */
static bool conditions_allow(const struct flow_walk *walk, const struct flow_scope *scope,
	const char *pattern, const char *type)
{
	for (const struct flow_scope *at = scope; at != NULL; at = at->outer) {
		const struct value *when = value_map_get(at->step, "when");

		for (size_t i = 0; i < flow_items_count(when); i++) {
			struct flow_condition condition;
			struct span captured;

			if (is_about_type(walk, scope, &condition,
				    value_as_text(flow_item_at(when, i), "")) &&
				flow_pattern_matches(pattern, type, &condition.name, &captured) &&
				!flow_condition_holds(&condition, captured))
				return false;
		}
	}
	return true;
}

/* Put the type in when a pattern matches and the conditions allow it; false: out of memory. */
static bool add_type(const struct flow_walk *walk, const struct flow_scope *scope, const char *type,
	struct flow_when *when)
{
	for (size_t i = 0; i < flow_items_count(walk->patterns); i++) {
		const char *pattern = value_as_text(flow_item_at(walk->patterns, i), "");
		char **types;

		if (!flow_pattern_matches(pattern, type, NULL, NULL))
			continue;
		if (!conditions_allow(walk, scope, pattern, type)) {
			when->narrowed = true;
			continue;
		}
		types = reallocarray(when->types, when->types_count + 1, sizeof(*types));
		if (types == NULL)
			return false;
		when->types = types;
		types[when->types_count] = strdup(type);
		return types[when->types_count++] != NULL;
	}
	return true;
}

static bool add_types(
	const struct flow_walk *walk, const struct flow_scope *scope, struct flow_when *when)
{
	static const char *const always[] = { "crash", "lost" };
	bool well = true;

	if (walk->worker == NULL)
		return true;
	for (unsigned i = 0; i < walk->worker->types_count; i++)
		well = well && add_type(walk, scope, walk->worker->types[i].name, when);
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		if (config_find_type(walk->worker, always[i]) == NULL)
			well = well && add_type(walk, scope, always[i], when);
	return well;
}

/* `first and second`, `first and otherwise, third` */
static void append_condition(struct buffer *out, const char *text)
{
	static const char otherwise[] = "otherwise";
	size_t len = strlen(otherwise);

	if (out->len >= len && strcmp(out->data + out->len - len, otherwise) == 0)
		buffer_append_text(out, ", ");
	else if (out->len > 0)
		buffer_append_text(out, " and ");
	buffer_append_text(out, text);
}

/* The outermost first, as they are tried. */
static void print_conditions(const struct flow_walk *walk, const struct flow_scope *inner,
	const struct flow_scope *scope, struct buffer *out)
{
	const struct value *when;

	if (scope == NULL)
		return;
	print_conditions(walk, inner, scope->outer, out);
	if (scope->otherwise)
		append_condition(out, "otherwise");
	when = value_map_get(scope->step, "when");
	for (size_t i = 0; i < flow_items_count(when); i++) {
		const char *text = value_as_text(flow_item_at(when, i), "");
		struct flow_condition condition;

		if (text[0] != '\0' && !is_about_type(walk, inner, &condition, text))
			append_condition(out, text);
	}
}

static void print_each(const struct flow_scope *scope, struct buffer *out)
{
	if (scope == NULL)
		return;
	print_each(scope->outer, out);
	for (size_t i = 0; i < value_count(scope->step); i++) {
		struct span name;

		if (each_name(value_map_key_at(scope->step, i), &name))
			buffer_printf(
				out, "%s%.*s", out->len > 0 ? ", " : "", (int)name.len, name.text);
	}
}

/* What is in the buffer, or NULL when it is empty; false: out of memory. */
static bool take_text(struct buffer *text, char **ret_text)
{
	bool well = !text->failed;

	*ret_text = well && text->len > 0 ? buffer_steal(text) : NULL;
	well = well && !text->failed;
	buffer_finish(text);
	return well;
}

bool flow_copy_text(const char *text, char **ret_text)
{
	*ret_text = text != NULL ? strdup(text) : NULL;
	return text == NULL || *ret_text != NULL;
}

void flow_when_finish(struct flow_when *when)
{
	for (size_t i = 0; i < when->types_count; i++)
		free(when->types[i]);
	free(when->types);
	free(when->from);
	free(when->pattern);
	free(when->condition);
	free(when->each);
	free(when->same_as);
}

/* false: out of memory; the caller finishes it in both cases. */
bool flow_when_init(const struct flow_walk *walk, const struct flow_scope *scope,
	const struct value *at, struct flow_when *ret_when)
{
	struct buffer pattern, condition, each;
	bool well;

	*ret_when = (struct flow_when){ .line = value_line(at), .column = value_column(at) };
	buffer_init(&pattern);
	buffer_init(&condition);
	buffer_init(&each);
	for (size_t i = 0; i < flow_items_count(walk->patterns); i++)
		buffer_printf(&pattern, "%s%s", i > 0 ? " or " : "",
			value_as_text(flow_item_at(walk->patterns, i), "?"));
	print_conditions(walk, scope, scope, &condition);
	print_each(scope, &each);
	well = take_text(&pattern, &ret_when->pattern);
	well = take_text(&condition, &ret_when->condition) && well;
	well = take_text(&each, &ret_when->each) && well;
	well = flow_copy_text(walk->from, &ret_when->from) && well;
	well = flow_copy_text(walk->same_as, &ret_when->same_as) && well;
	return well && add_types(walk, scope, ret_when);
}
