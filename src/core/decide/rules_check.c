/* Rules against the message registry, and against each other. */
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

/* --- the list of a worker --- */

struct sort_entry {
	const char *worker;
	size_t position;
};

static int compare_entries(const void *a, const void *b)
{
	return strcmp(
		((const struct sort_entry *)a)->worker, ((const struct sort_entry *)b)->worker);
}

bool rules_sort(struct rules *rules)
{
	struct sort_entry *entries = calloc(rules->count + 1, sizeof(*entries));

	rules->by_worker = calloc(rules->count + 1, sizeof(*rules->by_worker));
	if (entries == NULL || rules->by_worker == NULL) {
		free(entries);
		return false;
	}
	for (size_t i = 0; i < rules->count; i++)
		entries[i] = (struct sort_entry){ rules->lists[i].worker, i };
	qsort(entries, rules->count, sizeof(*entries), compare_entries);
	for (size_t i = 0; i < rules->count; i++)
		rules->by_worker[i] = entries[i].position;
	free(entries);
	return true;
}

const struct rule_list *rules_find_list(const struct rules *rules, const char *worker)
{
	size_t from = 0, to = rules->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		const struct rule_list *list = &rules->lists[rules->by_worker[middle]];
		int order = strcmp(worker, list->worker);

		if (order == 0)
			return list;
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return NULL;
}

/* --- workers --- */

static int compare_name(const void *name, const void *element)
{
	return strcmp(name, *(char *const *)element);
}

bool rules_know_worker(const struct rules *rules, const char *worker)
{
	return bsearch(worker, rules->workers, rules->workers_count, sizeof(*rules->workers),
		       compare_name) != NULL;
}

/* NULL: out of memory, and there is no suggestion. To be freed. */
static const char **registered_names(const struct parse *p)
{
	const char **names = calloc(p->config->workers_count + 1, sizeof(*names));

	for (unsigned i = 0; names != NULL && i < p->config->workers_count; i++)
		names[i] = p->config->workers[i].name;
	return names;
}

static const char *near_worker(const struct parse *p, const char *name, char near[120])
{
	const char **names = registered_names(p);
	const char *words =
		names != NULL ? rules_suggest(name, names, p->config->workers_count, near) : "";

	free(names);
	return words;
}

void check_entry(struct parse *p, const struct value *key)
{
	const char *name = value_as_text(key, "");
	char near[120];

	p->worker = config_find_worker(p->config, name);
	p->any_worker = strcmp(name, ANY_WORKER) == 0;
	if (p->worker == NULL && !p->any_worker)
		rules_warning_at(p, value_line(key), value_column(key), "unregistered-entry",
			"the worker of these rules, `%.60s`, is not in the message registry%s",
			name, near_worker(p, name, near));
}

static bool is_launchable(const struct parse *p, const char *worker)
{
	return (p->worker == NULL && !p->any_worker) || rules_know_worker(p->rules, worker);
}

void check_command(struct parse *p, const struct command *command, const struct value *at)
{
	const struct template *first = &command->words[0].template;
	const char *name = NULL; /* it is looked up */
	char near[120];

	if (first->count <= 1)
		name = first->count == 1 ? first->parts[0].literal : "";
	if (name != NULL && !is_launchable(p, name))
		rules_error(p, at, "unknown-worker",
			"the worker to launch, `%.60s`, is not in the message registry%s%s", name,
			near_worker(p, name, near), p->flow_item ? CUT_BY_YAML : "");
}

/* --- message types --- */

static bool matches_type_of(const struct pattern *pattern, const struct config_worker *worker)
{
	for (unsigned i = 0; i < worker->types_count; i++)
		if (pattern_matches(pattern, worker->types[i].name))
			return true;
	return false;
}

/* `worker` NULL: any. */
static bool matches_registered(
	const struct parse *p, const struct pattern *pattern, const struct config_worker *worker)
{
	if (pattern_matches(pattern, "crash") || pattern_matches(pattern, "lost"))
		return true;
	if (worker != NULL)
		return matches_type_of(pattern, worker);
	for (unsigned i = 0; i < p->config->workers_count; i++)
		if (matches_type_of(pattern, &p->config->workers[i]))
			return true;
	return false;
}

static const char *near_type(const struct config_worker *worker, const char *typed, char near[120])
{
	unsigned count = worker != NULL ? worker->types_count : 0;
	const char **names = calloc(count + 1, sizeof(*names));
	const char *words;

	for (unsigned i = 0; names != NULL && i < count; i++)
		names[i] = worker->types[i].name;
	words = names != NULL ? rules_suggest(typed, names, count, near) : "";
	free(names);
	return words;
}

void check_pattern(struct parse *p, const struct pattern *pattern, const struct value *at)
{
	const char *text = value_as_text(at, "");
	char near[120];

	if ((p->worker == NULL && !p->any_worker) || matches_registered(p, pattern, p->worker))
		return;
	rules_error(p, at, "unmatched-type",
		"`%.80s` matches no message type that is registered for %.60s%s", text,
		p->worker != NULL ? p->worker->name : ANY_WORKER, near_type(p->worker, text, near));
}

void check_member(struct parse *p, const struct member *member, const struct pattern *pattern,
	const struct value *at)
{
	const struct config_worker *worker = config_find_worker(p->config, member->worker);
	char near[120];

	if (!is_launchable(p, member->worker))
		rules_error(p, at, "unknown-worker",
			"the worker to wait for, `%.60s`, is not in the message registry%s",
			member->worker, near_worker(p, member->worker, near));
	else if (worker != NULL && pattern != NULL && !matches_registered(p, pattern, worker))
		rules_error(p, at, "unmatched-type",
			"`%.80s` matches no message type that is registered for %.60s, and so is "
			"waited for in vain%s",
			member->pattern, worker->name, near_type(worker, member->pattern, near));
}

/* --- `with` --- */

bool expression_each_lookup(
	const struct expression *expression, lookup_function *function, void *argument)
{
	if (!template_each_lookup(&expression->template, function, argument))
		return false;
	for (size_t i = 0; i < expression->count; i++)
		if (!expression_each_lookup(&expression->values[i], function, argument))
			return false;
	return true;
}

enum mark {
	MARK_NEW,
	MARK_OPEN, /* on the way from the first */
	MARK_DONE,
};

struct walk {
	const struct step *step;
	enum mark marks[SLOTS_MOST];
	const struct declaration *again; /* it needs itself */
};

static bool walk_declaration(struct walk *walk, const struct declaration *declaration);

static bool walk_lookup(void *argument, const struct lookup *lookup)
{
	struct walk *walk = argument;
	const struct declaration *declaration = lookup->declaration;

	/* Those of the steps around it cannot need this one. */
	if (declaration == NULL || declaration < walk->step->with ||
		declaration >= walk->step->with + walk->step->with_count)
		return true;
	return walk_declaration(walk, declaration);
}

static bool walk_declaration(struct walk *walk, const struct declaration *declaration)
{
	enum mark *mark = &walk->marks[declaration - walk->step->with];

	if (*mark == MARK_DONE)
		return true;
	if (*mark == MARK_OPEN) {
		walk->again = declaration;
		return false;
	}
	*mark = MARK_OPEN;
	if (!expression_each_lookup(&declaration->value, walk_lookup, walk))
		return false;
	*mark = MARK_DONE;
	return true;
}

bool check_declarations(struct parse *p, const struct step *step)
{
	struct walk walk = { .step = step };

	for (size_t i = 0; i < step->with_count; i++) {
		if (walk_declaration(&walk, &step->with[i]))
			continue;
		rules_error_at(p, walk.again->line, walk.again->column, "needs-itself",
			"the value of `%.60s` needs itself", walk.again->name);
		return false;
	}
	return true;
}

/* --- between the lists --- */

static void check_reference(struct parse *p, struct rule *rule)
{
	const struct rule_list *list = rules_find_list(p->rules, rule->same_as);
	const char **names;
	char near[120];

	if (list != NULL && strcmp(list->worker, ANY_WORKER) != 0) {
		rule->same_as_list = (size_t)(list - p->rules->lists);
		return;
	}
	if (list != NULL) {
		rules_error_at(p, rule->step.line, rule->step.column, "unknown-worker",
			"the rules of `any worker` are tried after those of every worker anyway");
		return;
	}
	names = calloc(p->rules->count + 1, sizeof(*names));
	for (size_t i = 0; names != NULL && i < p->rules->count; i++)
		names[i] = p->rules->lists[i].worker;
	rules_error_at(p, rule->step.line, rule->step.column, "unknown-worker",
		"there are no rules for `%.60s` in this file, so nothing can be the same%s",
		rule->same_as,
		names != NULL ? rules_suggest(rule->same_as, names, p->rules->count, near) : "");
	free(names);
}

enum {
	HEIGHT_OPEN = -1, /* on the way from the first */
};

/* How many lists deep `same as after` leads from this one; 0: too deep, or back to it, which has been said. */
static int walk_list(struct parse *p, int *heights, size_t position, unsigned depth)
{
	struct rule_list *list = &p->rules->lists[position];
	int height = 1;

	if (heights[position] > 0)
		return heights[position];
	heights[position] = HEIGHT_OPEN;
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];
		int other;

		if (rule->same_as == NULL)
			continue;
		if (heights[rule->same_as_list] == HEIGHT_OPEN) {
			rules_error_at(p, rule->step.line, rule->step.column, "needs-itself",
				"the rules of `%.60s` are the same as those of `%.60s`, which come "
				"back to it",
				list->worker, rule->same_as);
			return 0;
		}
		other = depth < SAME_MOST ? walk_list(p, heights, rule->same_as_list, depth + 1)
					  : SAME_MOST;
		if (other == 0)
			return 0;
		if (other >= SAME_MOST) {
			rules_error_at(p, rule->step.line, rule->step.column, "limit",
				"`same as after` leads on more than %d times", SAME_MOST);
			return 0;
		}
		if (other + 1 > height)
			height = other + 1;
	}
	heights[position] = height;
	return height;
}

void check_references(struct parse *p)
{
	struct rules *rules = p->rules;
	int *heights = calloc(rules->count + 1, sizeof(*heights));
	bool well = true;

	if (heights == NULL) {
		p->nomem = true;
		return;
	}
	for (size_t i = 0; i < rules->count; i++) {
		struct rule_list *list = &rules->lists[i];
		size_t errors_before = findings_count(p->findings, SEVERITY_ERROR);

		for (size_t j = 0; j < list->count; j++)
			if (list->rules[j].same_as != NULL)
				check_reference(p, &list->rules[j]);
		if (findings_count(p->findings, SEVERITY_ERROR) > errors_before)
			well = false;
	}
	for (size_t i = 0; well && i < rules->count; i++)
		well = walk_list(p, heights, i, 0) > 0;
	if (!well)
		rules->faulty = true;
	free(heights);
}

/* --- forgotten successes --- */

static bool is_matched(
	const struct rules *rules, const struct rule_list *list, const char *type, bool *seen)
{
	/* The same list twice has nothing new to say. */
	if (seen[list - rules->lists])
		return false;
	seen[list - rules->lists] = true;
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];

		if (rule->same_as != NULL &&
			is_matched(rules, &rules->lists[rule->same_as_list], type, seen))
			return true;
		for (size_t j = 0; j < rule->patterns_count; j++)
			if (pattern_matches(&rule->patterns[j], type))
				return true;
	}
	return false;
}

static void check_list(struct parse *p, const struct rule_list *list, bool *seen)
{
	const struct config_worker *worker = config_find_worker(p->config, list->worker);
	struct buffer unmatched;

	if (worker == NULL || list->count == 0)
		return;
	buffer_init(&unmatched);
	for (unsigned i = 0; i < worker->types_count; i++) {
		const char *type = worker->types[i].name;

		memset(seen, 0, p->rules->count * sizeof(*seen));
		if (strncmp(type, "success", strlen("success")) == 0 &&
			!is_matched(p->rules, list, type, seen))
			buffer_printf(&unmatched, "%s`%s`", unmatched.len > 0 ? ", " : "", type);
	}
	if (unmatched.failed)
		p->nomem = true;
	else if (unmatched.len > 0)
		rules_warning_at(p, list->line, list->column, "unmatched-success",
			"no rule of %.60s is for its %.500s; a rule without `launch` says that "
			"nothing is to follow",
			worker->name, unmatched.data);
	buffer_finish(&unmatched);
}

void check_successes(struct parse *p)
{
	bool *seen = calloc(p->rules->count + 1, sizeof(*seen));

	if (seen == NULL)
		p->nomem = true;
	for (size_t i = 0; seen != NULL && !p->rules->faulty && i < p->rules->count; i++)
		if (!p->rules->lists[i].faulty)
			check_list(p, &p->rules->lists[i], seen);
	free(seen);
}
