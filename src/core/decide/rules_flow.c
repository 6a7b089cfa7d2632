/*
 * The tree of next_workers.yaml to the flow: each rule, its steps and the steps in them, gone through once.
 * What is found at the bottom (a launch, an alarm, a program, a group) is written down with all that stands
 * above it: conditions, loops, the host.
 */
#include <stdlib.h>
#include <string.h>

#include "core/data/yaml.h"
#include "core/decide/rules_flow_internal.h"

enum {
	SAME_AS_DEPTH_MOST = 32
};

/* Rules found elsewhere, by `same as after`; innermost first. */
struct found_by {
	const struct found_by *outer;
	const char *worker;
};

static void walk_step(struct flow_walk *walk, const struct flow_scope *outer,
	const struct value *step, bool otherwise, unsigned depth);

static bool visit(struct flow_walk *walk)
{
	if (walk->err == NC_OK && ++walk->visits > FLOW_VISITS_MOST)
		walk->err = NC_ERR_LIMIT;
	return walk->err == NC_OK;
}

static void skip(struct flow_walk *walk, const struct value *at)
{
	if (walk->flow->skipped++ == 0) {
		walk->flow->first_skipped_line = value_line(at);
		walk->flow->first_skipped_column = value_column(at);
	}
}

/* --- what is done --- */

static void step_finish(struct flow_step *step)
{
	flow_when_finish(&step->when);
	free(step->to);
	free(step->arguments);
	free(step->host);
}

static const char *host_of(const struct flow_scope *scope)
{
	const struct value *host = NULL;

	for (; scope != NULL && host == NULL; scope = scope->outer)
		host = value_map_get(scope->step, "on host");
	return value_as_text(host, NULL);
}

/* `to` and `arguments` may be empty spans. */
static void add_step(struct flow_walk *walk, const struct flow_scope *scope, const struct value *at,
	enum flow_kind kind, struct span to, struct span arguments)
{
	struct flow_step *steps =
		reallocarray(walk->flow->steps, walk->flow->steps_count + 1, sizeof(*steps));
	struct flow_step *step;

	if (steps == NULL) {
		walk->err = NC_ERR_NOMEM;
		return;
	}
	walk->flow->steps = steps;
	step = &steps[walk->flow->steps_count++];
	*step = (struct flow_step){ .kind = kind };
	if (!flow_when_init(walk, scope, at, &step->when))
		walk->err = NC_ERR_NOMEM;
	step->to = strndup(to.text, to.len);
	arguments = span_trim(arguments);
	if (arguments.len > 0)
		step->arguments = strndup(arguments.text, arguments.len);
	if (step->to == NULL || (arguments.len > 0 && step->arguments == NULL))
		walk->err = NC_ERR_NOMEM;
	if (kind == FLOW_LAUNCH && !flow_copy_text(host_of(scope), &step->host))
		walk->err = NC_ERR_NOMEM;
}

static void walk_launch(struct flow_walk *walk, const struct flow_scope *scope,
	const struct value *item, unsigned depth)
{
	const char *text = value_as_text(item, NULL);
	struct span rest, worker;

	if (value_is(item, VALUE_MAP)) {
		walk_step(walk, scope, item, false, depth);
		return;
	}
	if (!visit(walk))
		return;
	rest = (struct span){ text, text != NULL ? strlen(text) : 0 };
	if (text != NULL && span_next_word(&rest, &worker))
		add_step(walk, scope, item, FLOW_LAUNCH, worker, rest);
	else
		skip(walk, item);
}

static void group_finish(struct flow_group *group)
{
	for (size_t i = 0; i < group->members_count; i++) {
		free(group->members[i].worker);
		free(group->members[i].pattern);
	}
	free(group->members);
	flow_when_finish(&group->when);
}

static bool add_member(struct flow_group *group, struct span worker, struct span pattern)
{
	struct flow_member *members =
		reallocarray(group->members, group->members_count + 1, sizeof(*members));
	struct flow_member *member;

	if (members == NULL)
		return false;
	group->members = members;
	member = &members[group->members_count++];
	*member = (struct flow_member){ .worker = strndup(worker.text, worker.len) };
	if (pattern.len > 0)
		member->pattern = strndup(pattern.text, pattern.len);
	return member->worker != NULL && (pattern.len == 0 || member->pattern != NULL);
}

static void walk_group(
	struct flow_walk *walk, const struct flow_scope *scope, const struct value *members)
{
	struct flow_group *groups;
	struct flow_group *group;

	if (!visit(walk))
		return;
	groups = reallocarray(walk->flow->groups, walk->flow->groups_count + 1, sizeof(*groups));
	if (groups == NULL) {
		walk->err = NC_ERR_NOMEM;
		return;
	}
	walk->flow->groups = groups;
	group = &groups[walk->flow->groups_count++];
	*group = (struct flow_group){ 0 };
	if (!flow_when_init(walk, scope, members, &group->when))
		walk->err = NC_ERR_NOMEM;
	for (size_t i = 0; i < flow_items_count(members) && visit(walk); i++) {
		const char *text = value_as_text(flow_item_at(members, i), NULL);
		struct span rest = { text, text != NULL ? strlen(text) : 0 }, worker;

		if (text == NULL || !span_next_word(&rest, &worker))
			skip(walk, flow_item_at(members, i));
		else if (!add_member(group, worker, span_trim(rest)))
			walk->err = NC_ERR_NOMEM;
	}
}

static void walk_program(
	struct flow_walk *walk, const struct flow_scope *scope, const struct value *command)
{
	struct buffer words;

	buffer_init(&words);
	for (size_t i = 0; i < flow_items_count(command); i++)
		buffer_printf(&words, "%s%s", i > 0 ? " " : "",
			value_as_text(flow_item_at(command, i), "?"));
	if (words.failed)
		walk->err = NC_ERR_NOMEM;
	else
		add_step(walk, scope, command, FLOW_PROGRAM, (struct span){ words.data, words.len },
			(struct span){ "", 0 });
	buffer_finish(&words);
}

static void walk_step(struct flow_walk *walk, const struct flow_scope *outer,
	const struct value *step, bool otherwise, unsigned depth)
{
	const struct flow_scope scope = { outer, step, otherwise };
	const struct value *launch = value_map_get(step, "launch");
	const struct value *first_of = value_map_get(step, "first of");
	const struct value *members = value_map_get(step, "hold until all have ended");
	const struct value *alarm = value_map_get(step, "alarm");
	const struct value *program = value_map_get(step, "decide with");

	if (!visit(walk))
		return;
	if (!value_is(step, VALUE_MAP) || depth > yaml_file_limits.depth) {
		skip(walk, step);
		return;
	}
	for (size_t i = 0; i < flow_items_count(launch) && walk->err == NC_OK; i++)
		walk_launch(walk, &scope, flow_item_at(launch, i), depth + 1);
	for (size_t i = 0; i < flow_items_count(first_of) && walk->err == NC_OK; i++)
		walk_step(walk, &scope, flow_item_at(first_of, i), i > 0, depth + 1);
	if (members != NULL)
		walk_group(walk, &scope, members);
	if (value_is(alarm, VALUE_TEXT)) {
		const char *text = value_as_text(alarm, "");

		add_step(walk, &scope, alarm, FLOW_ALARM, (struct span){ text, strlen(text) },
			(struct span){ "", 0 });
	}
	if (program != NULL)
		walk_program(walk, &scope, program);
}

/* --- rules --- */

static void walk_rules(struct flow_walk *walk, const struct found_by *by);

static void walk_same_as(
	struct flow_walk *walk, const struct value *name, const struct found_by *outer)
{
	const char *other = value_as_text(name, "");
	struct found_by by = { outer, other };
	unsigned depth = 0;

	for (const struct found_by *at = outer; at != NULL; at = at->outer)
		if (strcmp(at->worker, other) == 0 || ++depth > SAME_AS_DEPTH_MOST)
			other = NULL; /* a circle: its rules are there already */
	if (other == NULL || strcmp(other, walk->from) == 0 ||
		value_map_get(walk->tree, other) == NULL)
		skip(walk, name);
	else
		walk_rules(walk, &by);
}

static void walk_rule(struct flow_walk *walk, const struct value *rule, const struct found_by *by)
{
	const struct value *same_as = value_map_get(rule, "same as after");
	const struct value *on = value_map_get(rule, "on");

	if (same_as != NULL) {
		walk_same_as(walk, same_as, by);
	} else if (on == NULL || value_is(on, VALUE_MAP)) {
		skip(walk, rule);
	} else {
		walk->patterns = on;
		walk->same_as = by != NULL ? by->worker : NULL;
		walk_step(walk, NULL, rule, false, 0);
	}
}

static void walk_rules(struct flow_walk *walk, const struct found_by *by)
{
	const struct value *rules = value_map_get(walk->tree, by != NULL ? by->worker : walk->from);

	if (!value_is(rules, VALUE_LIST))
		skip(walk, rules);
	for (size_t i = 0; value_is(rules, VALUE_LIST) && i < value_count(rules); i++)
		if (visit(walk))
			walk_rule(walk, value_at(rules, i), by);
}

/* --- the flow --- */

void flow_finish(struct flow *flow)
{
	for (size_t i = 0; i < flow->steps_count; i++)
		step_finish(&flow->steps[i]);
	for (size_t i = 0; i < flow->groups_count; i++)
		group_finish(&flow->groups[i]);
	free(flow->steps);
	free(flow->groups);
	*flow = (struct flow){ 0 };
}

enum nc_err flow_read(const struct value *tree, const struct config *config, struct flow *ret_flow,
	struct error *error)
{
	struct flow flow = { 0 };
	struct flow_walk walk = { .tree = tree, .config = config, .flow = &flow };

	if (!value_is(tree, VALUE_MAP) && !value_is(tree, VALUE_NULL))
		return error_at(error, NC_ERR_INVALID, value_line(tree), value_column(tree),
			"the rules are a mapping from a worker's name to its list of rules, not %s",
			value_kind_words(value_kind(tree)));
	for (size_t i = 0; i < value_count(tree) && walk.err == NC_OK; i++) {
		walk.from = value_as_text(value_map_key_at(tree, i), "");
		walk.worker = config_find_worker(config, walk.from);
		walk_rules(&walk, NULL);
	}
	if (walk.err == NC_OK) {
		*ret_flow = flow;
		return NC_OK;
	}
	flow_finish(&flow);
	if (walk.err == NC_ERR_NOMEM)
		return error_nomem(error);
	return error_set(error, NC_ERR_LIMIT,
		"there are more than %d rules, steps and launches, what aliases and `same as "
		"after` repeat counted each time",
		FLOW_VISITS_MOST);
}
