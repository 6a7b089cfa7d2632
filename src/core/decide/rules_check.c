/* Rules against the message registry: workers, message types, and the names that are looked up. */
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/decide/rules_internal.h"

/* --- workers --- */

static void check_worker(struct parse *p, const char *name, enum severity severity,
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

void check_entry(struct parse *p, const struct value *key)
{
	const char *name = value_as_text(key, "");

	p->worker = config_find_worker(p->config, name);
	p->any_worker = strcmp(name, ANY_WORKER) == 0;
	if (p->worker == NULL && !p->any_worker)
		check_worker(p, name, SEVERITY_WARNING, "unregistered-entry", key,
			"the worker of these rules");
}

/* --- message types --- */

static bool matches_type_of(const struct pattern *pattern, const struct config_worker *worker)
{
	for (unsigned i = 0; i < worker->types_count; i++)
		if (pattern_matches(pattern, worker->types[i].name))
			return true;
	return false;
}

static bool matches_registered(const struct parse *p, const struct pattern *pattern)
{
	if (pattern_matches(pattern, "crash") || pattern_matches(pattern, "lost"))
		return true;
	if (!p->any_worker)
		return p->worker == NULL || matches_type_of(pattern, p->worker);
	for (unsigned i = 0; i < p->config->workers_count; i++)
		if (matches_type_of(pattern, &p->config->workers[i]))
			return true;
	return false;
}

void check_pattern(struct parse *p, const struct pattern *pattern, const struct value *at)
{
	unsigned count = p->worker != NULL ? p->worker->types_count : 0;
	const char *near;
	const char **names;

	if (matches_registered(p, pattern))
		return;
	names = calloc(count + 1, sizeof(*names));
	for (unsigned i = 0; names != NULL && i < count; i++)
		names[i] = p->worker->types[i].name;
	near = names != NULL ? suggest(value_as_text(at, ""), names, count) : NULL;
	FIND(p, SEVERITY_ERROR, "unmatched-type", at,
		"`%s` matches no message type that is registered for %s%s%s%s",
		value_as_text(at, ""), p->worker != NULL ? p->worker->name : ANY_WORKER,
		near != NULL ? "; did you mean `" : "", near != NULL ? near : "",
		near != NULL ? "`?" : "");
	free(names);
}

static bool is_matched(const struct rule *rules, size_t count, const char *type)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < rules[i].patterns_count; j++)
			if (pattern_matches(&rules[i].patterns[j], type))
				return true;
	return false;
}

void check_successes(
	struct parse *p, const struct rule *rules, size_t count, const struct value *key)
{
	struct buffer unmatched;

	if (p->worker == NULL || count == 0)
		return;
	buffer_init(&unmatched);
	for (unsigned i = 0; i < p->worker->types_count; i++) {
		const char *type = p->worker->types[i].name;

		if (strncmp(type, "success", strlen("success")) == 0 &&
			!is_matched(rules, count, type))
			buffer_printf(&unmatched, "%s`%s`", unmatched.len > 0 ? ", " : "", type);
	}
	if (unmatched.len > 0)
		FIND(p, SEVERITY_WARNING, "unmatched-success", key,
			"no rule of %s is for its %s; a rule without `launch` says that nothing is "
			"to follow",
			p->worker->name, unmatched.data);
	buffer_finish(&unmatched);
}

/* --- names --- */

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

bool check_template(struct parse *p, const struct rule *rule, const struct template *template,
	const struct value *at)
{
	struct name_check check = { rule, NULL };

	if (template_each_lookup(template, check_lookup, &check))
		return true;
	FIND(p, SEVERITY_ERROR, "unknown-name", at,
		"there is nothing called `%.60s` for the placeholder <%.150s>; there are payload, "
		"config, checklist, launch, today and the words that `on` captures",
		check.unknown->name, check.unknown->text);
	return false;
}

bool check_command(struct parse *p, const struct rule *rule, const struct command *command,
	const struct value *at)
{
	const struct template *first = &command->words[0].template;

	for (size_t i = 0; i < command->count; i++)
		if (!check_template(p, rule, &command->words[i].template, at))
			return false;
	if ((p->worker != NULL || p->any_worker) && first->count == 1 &&
		first->parts[0].literal != NULL)
		check_worker(p, first->parts[0].literal, SEVERITY_ERROR, "unknown-worker", at,
			"the worker to launch");
	return true;
}
