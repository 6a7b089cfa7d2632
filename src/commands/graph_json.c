/* The flow as one JSON object, for programs. */
#include "commands/graph_view.h"
#include "core/data/json.h"

static bool put_text(struct value *map, const char *key, const char *text)
{
	return value_map_put(map, key, text != NULL ? value_text(text) : value_null()) == NC_OK;
}

static bool put_list(struct value *map, const char *key, char **texts, size_t count)
{
	struct value *list = value_list();
	bool well = true;

	for (size_t i = 0; i < count; i++)
		well = value_list_append(list, value_text(texts[i])) == NC_OK && well;
	return value_map_put(map, key, list) == NC_OK && well;
}

static bool put_when(struct value *map, const struct flow_when *when)
{
	return put_text(map, "after", when->from) && put_text(map, "on", when->pattern) &&
	       put_list(map, "types", when->types, when->types_count) &&
	       put_text(map, "when", when->condition) && put_text(map, "for each", when->each) &&
	       put_text(map, "same as after", when->same_as) &&
	       value_map_put(map, "line", value_int(when->line)) == NC_OK &&
	       value_map_put(map, "column", value_int(when->column)) == NC_OK;
}

static struct value *step_value(const struct flow_step *step)
{
	static const char *const keys[FLOW_KIND_COUNT] = {
		[FLOW_LAUNCH] = "launch",
		[FLOW_ALARM] = "alarm",
		[FLOW_PROGRAM] = "decide with",
	};
	struct value *map = value_map();

	if (put_text(map, keys[step->kind], step->to) && put_when(map, &step->when) &&
		(step->kind != FLOW_LAUNCH || (put_text(map, "arguments", step->arguments) &&
						      put_text(map, "host", step->host))))
		return map;
	value_destroy(map);
	return NULL;
}

static struct value *group_value(const struct flow_group *group)
{
	struct value *map = value_map(), *members = value_list();
	bool well = true;

	for (size_t i = 0; i < group->members_count; i++) {
		struct value *member = value_map();

		well = put_text(member, "worker", group->members[i].worker) &&
		       put_text(member, "on", group->members[i].pattern) && well;
		well = value_list_append(members, member) == NC_OK && well;
	}
	well = value_map_put(map, "members", members) == NC_OK && well;
	if (well && put_when(map, &group->when))
		return map;
	value_destroy(map);
	return NULL;
}

static struct value *worker_value(const struct graph_view *view, const struct graph_node *node)
{
	struct value *map = value_map();
	struct buffer schedule;
	bool well;

	buffer_init(&schedule);
	graph_print_schedule(view, node->name, &schedule);
	well = put_text(map, "worker", node->name) &&
	       value_map_put(map, "registered", value_bool(node->kind == GRAPH_WORKER)) == NC_OK &&
	       put_text(map, "scheduled", schedule.len > 0 ? schedule.data : NULL) &&
	       !schedule.failed;
	buffer_finish(&schedule);
	if (well)
		return map;
	value_destroy(map);
	return NULL;
}

/* Put what is shown of one kind of step. */
static bool put_steps(
	const struct graph_view *view, struct value *map, const char *key, enum flow_kind kind)
{
	struct value *list = value_list();
	bool well = true;

	for (size_t i = 0; i < view->flow->steps_count; i++)
		if (view->flow->steps[i].kind == kind &&
			graph_link_is_shown(view, &view->links[view->step_links[i]]))
			well = value_list_append(list, step_value(&view->flow->steps[i])) ==
				       NC_OK &&
			       well;
	return value_map_put(map, key, list) == NC_OK && well;
}

void graph_print_json(const struct graph_view *view, struct buffer *out)
{
	struct value *map = value_map(), *workers = value_list(), *groups = value_list();
	bool well = true;

	for (size_t i = 0; i < view->nodes_count; i++)
		if ((view->nodes[i].kind == GRAPH_WORKER ||
			    view->nodes[i].kind == GRAPH_UNREGISTERED) &&
			view->nodes[i].distance != GRAPH_FAR)
			well = value_list_append(workers, worker_value(view, &view->nodes[i])) ==
				       NC_OK &&
			       well;
	for (size_t i = 0; i < view->flow->groups_count; i++)
		if (graph_group_is_shown(view, &view->flow->groups[i]))
			well = value_list_append(groups, group_value(&view->flow->groups[i])) ==
				       NC_OK &&
			       well;
	well = value_map_put(map, "workers", workers) == NC_OK && well;
	well = put_steps(view, map, "launches", FLOW_LAUNCH) && well;
	well = value_map_put(map, "groups", groups) == NC_OK && well;
	well = put_steps(view, map, "alarms", FLOW_ALARM) && well;
	well = put_steps(view, map, "programs", FLOW_PROGRAM) && well;
	well = value_map_put(map, "skipped", value_int((int64_t)view->flow->skipped)) == NC_OK &&
	       well;
	if (well)
		json_write(map, JSON_WRITE_INDENT, out);
	else
		out->failed = true;
	buffer_append_char(out, '\n');
	value_destroy(map);
}
