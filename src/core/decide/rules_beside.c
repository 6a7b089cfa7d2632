/* What a step does beside its launches: a group to wait for, an alarm, a program that decides. */
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

enum {
	GIVE_UP_AFTER_MS = 24 * 3600 * 1000,
	TIME_LIMIT_MS = 10 * 1000,
};

static bool parse_duration(struct parse *p, const struct value *map, const char *key,
	int64_t otherwise, int64_t *ret_ms)
{
	const struct value *at = value_map_get(map, key);

	*ret_ms = otherwise;
	if (at == NULL)
		return true;
	if (duration_parse(value_as_text(at, ""), ret_ms) && *ret_ms > 0)
		return true;
	rules_error(p, at, "bad-duration",
		"`%s` takes a duration such as `90 s`, `5 min` or `4 h`, not `%.60s`", key,
		value_as_text(at, ""));
	return false;
}

/* Which of two words is it? `otherwise` when the key is absent. */
static bool parse_choice(struct parse *p, const struct value *map, const char *key,
	const char *usual, const char *other, bool *ret_is_other)
{
	const struct value *at = value_map_get(map, key);
	const char *text = value_as_text(at, "");

	*ret_is_other = strcmp(text, other) == 0;
	if (at == NULL || *ret_is_other || strcmp(text, usual) == 0)
		return true;
	rules_error(
		p, at, "bad-choice", "`%s` is `%s` or `%s`, not `%.60s`", key, usual, other, text);
	return false;
}

/* A key that only has a meaning beside another one. */
static bool check_lonely(struct parse *p, const struct value *map, const char *const *keys,
	size_t count, const char *missed)
{
	for (size_t i = 0; i < count; i++) {
		const struct value *at = value_map_get(map, keys[i]);

		if (at == NULL)
			continue;
		rules_error(
			p, at, "missing-key", "`%s` says nothing without `%s`", keys[i], missed);
		return false;
	}
	return true;
}

/* --- hold until all have ended --- */

static bool parse_member(struct parse *p, const struct value *at, struct hold *hold)
{
	const char *text = value_as_text(at, ""), *pattern_text;
	size_t len = strlen(text), worker_len;
	struct member *members = grow(p, hold->members, hold->count, sizeof(*members));
	struct pattern pattern = { 0 };
	bool well;

	if (members == NULL)
		return false;
	hold->members = members;
	text = trim(text, &len);
	worker_len = strcspn(text, " \t\n");
	if (!value_is(at, VALUE_TEXT) || len == 0 || memchr(text, '<', worker_len) != NULL) {
		rules_error(p, at, "bad-syntax",
			"a member is the name of a worker, or that and a pattern for its message "
			"type" CUT_BY_YAML);
		return false;
	}
	members += hold->count++;
	members->worker = keep_text(p, text, worker_len);
	pattern_text = text + worker_len;
	len -= worker_len;
	pattern_text = trim(pattern_text, &len);
	if (len > 0)
		members->pattern = keep_text(p, pattern_text, len);
	if (members->worker == NULL || (len > 0 && members->pattern == NULL))
		return false;
	well = len == 0 || pattern_parse(p, at, members->pattern, &pattern);
	if (well)
		check_member(p, members, len > 0 ? &pattern : NULL, at);
	pattern_finish(&pattern);
	return well;
}

bool hold_parse(struct parse *p, const struct value *map, struct step *step)
{
	static const char *const keys[] = { "if one fails", "give up after", "when given up" };
	const char *const key = "hold until all have ended";
	const struct value *list = value_map_get(map, key);
	struct hold *hold;
	bool well = true;

	if (list == NULL)
		return check_lonely(p, map, keys, ARRAY_LEN(keys), key);
	hold = grow(p, NULL, 0, sizeof(*hold));
	if (hold == NULL)
		return false;
	step->hold = hold;
	hold->line = value_line(list);
	hold->column = value_column(list);
	if (!value_is(list, VALUE_LIST) || value_count(list) == 0) {
		rules_error(p, list, "bad-syntax", "`%s` takes a list of workers", key);
		return false;
	}
	for (size_t i = 0; i < value_count(list); i++)
		well = parse_member(p, value_at(list, i), hold) && well;
	well = parse_choice(p, map, keys[0], "go on", "drop", &hold->drop_if_one_fails) && well;
	well = parse_duration(p, map, keys[1], GIVE_UP_AFTER_MS, &hold->give_up_after_ms) && well;
	return parse_choice(p, map, keys[2], "drop", "release", &hold->release_when_given_up) &&
	       well;
}

/* --- alarm --- */

bool alarm_parse(struct parse *p, const struct value *at, struct step *step)
{
	step->alarm = grow(p, NULL, 0, sizeof(*step->alarm));
	if (step->alarm == NULL || !template_parse_value(p, at, "`alarm`", step->alarm))
		return false;
	if (step->alarm->count == 0) {
		rules_error(p, at, "bad-syntax", "an alarm has to say something");
		return false;
	}
	return true;
}

/* --- decide with --- */

bool program_parse(struct parse *p, const struct value *map, struct step *step)
{
	static const char *const keys[] = { "time limit" };
	const char *const key = "decide with";
	const struct value *list = value_map_get(map, key);
	struct program *program;

	if (list == NULL)
		return check_lonely(p, map, keys, ARRAY_LEN(keys), key);
	program = grow(p, NULL, 0, sizeof(*program));
	if (program == NULL)
		return false;
	step->program = program;
	program->line = value_line(list);
	program->column = value_column(list);
	if (!value_is(list, VALUE_LIST) || value_count(list) == 0 ||
		value_as_text(value_at(list, 0), "")[0] == '\0') {
		rules_error(p, list, "bad-syntax",
			"`%s` takes a list of the program and its arguments, [./after.py]", key);
		return false;
	}
	for (size_t i = 0; i < value_count(list); i++) {
		struct template *words = grow(p, program->words, program->count, sizeof(*words));

		if (words == NULL)
			return false;
		program->words = words;
		if (!template_parse_value(p, value_at(list, i), "a word of `decide with`",
			    &words[program->count++]))
			return false;
	}
	return parse_duration(p, map, keys[0], TIME_LIMIT_MS, &program->time_limit_ms);
}
