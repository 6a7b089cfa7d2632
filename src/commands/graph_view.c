/* The flow as nodes and links, and which of them are shown. */
#include "commands/graph_view.h"

#include <stdlib.h>
#include <string.h>

enum {
	HUB_LEAST = 6, /* links of a node through which much goes */
};

/* --- nodes --- */

size_t graph_find_node(const struct graph_view *view, const char *name)
{
	for (size_t i = 0; i < view->nodes_count; i++)
		if (view->nodes[i].kind != GRAPH_ALARM && view->nodes[i].kind != GRAPH_PROGRAM &&
			strcmp(view->nodes[i].name, name) == 0)
			return i;
	return view->nodes_count;
}

/* Found, or added; false: out of memory. */
static bool put_node(
	struct graph_view *view, const char *name, enum graph_kind kind, size_t *ret_node)
{
	struct graph_node *nodes;
	size_t at = 0;

	if (kind != GRAPH_ALARM && kind != GRAPH_PROGRAM)
		at = graph_find_node(view, name);
	else
		while (at < view->nodes_count &&
			(view->nodes[at].kind != kind || strcmp(view->nodes[at].name, name) != 0))
			at++;
	*ret_node = at;
	if (at < view->nodes_count)
		return true;
	nodes = reallocarray(view->nodes, view->nodes_count + 1, sizeof(*nodes));
	if (nodes == NULL)
		return false;
	view->nodes = nodes;
	nodes[view->nodes_count++] = (struct graph_node){
		.name = name, .kind = kind, .worker = config_find_worker(view->config, name)
	};
	return true;
}

static enum graph_kind source_kind(const struct graph_view *view, const char *name)
{
	if (config_find_worker(view->config, name) != NULL)
		return GRAPH_WORKER;
	return strcmp(name, FLOW_ANY_WORKER) == 0 ? GRAPH_ANY : GRAPH_UNREGISTERED;
}

static enum graph_kind target_kind(const struct graph_view *view, const struct flow_step *step)
{
	if (step->kind == FLOW_ALARM)
		return GRAPH_ALARM;
	if (step->kind == FLOW_PROGRAM)
		return GRAPH_PROGRAM;
	return config_find_worker(view->config, step->to) != NULL ? GRAPH_WORKER
								  : GRAPH_UNREGISTERED;
}

static bool add_link(struct graph_view *view, size_t step, size_t from, size_t to)
{
	struct graph_link *links;
	size_t at = 0;

	while (at < view->links_count && (view->links[at].from != from || view->links[at].to != to))
		at++;
	view->step_links[step] = at;
	if (at < view->links_count)
		return true;
	links = reallocarray(view->links, view->links_count + 1, sizeof(*links));
	if (links == NULL)
		return false;
	view->links = links;
	links[view->links_count++] = (struct graph_link){ from, to, step };
	if (from != to) {
		view->nodes[from].out++;
		view->nodes[to].in++;
	}
	return true;
}

static bool add_all(struct graph_view *view)
{
	const struct flow *flow = view->flow;
	size_t from, to;

	for (unsigned i = 0; i < view->config->workers_count; i++)
		if (!put_node(view, view->config->workers[i].name, GRAPH_WORKER, &from))
			return false;
	for (size_t i = 0; i < flow->steps_count; i++) {
		const struct flow_step *step = &flow->steps[i];

		if (!put_node(view, step->when.from, source_kind(view, step->when.from), &from) ||
			!put_node(view, step->to, target_kind(view, step), &to) ||
			!add_link(view, i, from, to))
			return false;
	}
	for (size_t i = 0; i < flow->groups_count; i++) {
		const struct flow_group *group = &flow->groups[i];

		if (!put_node(view, group->when.from, source_kind(view, group->when.from), &from))
			return false;
		for (size_t j = 0; j < group->members_count; j++) {
			const char *name = group->members[j].worker;

			if (!put_node(view, name, source_kind(view, name), &to))
				return false;
			view->nodes[to].grouped = true;
		}
		view->nodes[from].grouped = true;
	}
	return true;
}

/* --- order and distance --- */

/* Put the nodes that can follow `node` into the queue, each once, with their distance. */
static void spread(struct graph_view *view, size_t node, unsigned depth)
{
	size_t first = 0, last = 0;

	while (first < view->nodes_count && view->order[first] != SIZE_MAX)
		first++;
	last = first;
	view->order[last++] = node;
	for (; first < last; first++) {
		struct graph_node *at = &view->nodes[view->order[first]];

		at->expanded = at->distance < depth;
		for (size_t i = 0; i < view->links_count && at->expanded; i++) {
			struct graph_node *to = &view->nodes[view->links[i].to];

			if (view->links[i].from != view->order[first] || to->distance != GRAPH_FAR)
				continue;
			to->distance = at->distance + 1;
			view->order[last++] = view->links[i].to;
		}
	}
}

static void forget_order(struct graph_view *view)
{
	for (size_t i = 0; i < view->nodes_count; i++) {
		view->order[i] = SIZE_MAX;
		view->nodes[i].distance = GRAPH_FAR;
		view->nodes[i].expanded = false;
	}
}

/* First what nothing launches, with all that follows; then what is left: circles, and what is alone. */
static void order_all(struct graph_view *view)
{
	forget_order(view);
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < view->nodes_count; i++) {
			struct graph_node *node = &view->nodes[i];

			if (node->distance != GRAPH_FAR || (round == 0 && node->in > 0) ||
				(round < 2 && node->out == 0))
				continue;
			node->distance = 0;
			spread(view, i, GRAPH_FAR);
		}
}

enum nc_err graph_view_init(struct graph_view *view, const struct config *config,
	const struct flow *flow, struct error *error)
{
	*view = (struct graph_view){ .config = config, .flow = flow };
	view->step_links = calloc(flow->steps_count + 1, sizeof(*view->step_links));
	if (view->step_links != NULL && add_all(view))
		view->order = calloc(view->nodes_count + 1, sizeof(*view->order));
	if (view->order == NULL) {
		graph_view_finish(view);
		return error_nomem(error);
	}
	order_all(view);
	return NC_OK;
}

void graph_view_finish(struct graph_view *view)
{
	free(view->nodes);
	free(view->links);
	free(view->step_links);
	free(view->order);
	*view = (struct graph_view){ 0 };
}

enum nc_err graph_view_from(
	struct graph_view *view, const char *worker, unsigned depth, struct error *error)
{
	size_t node = graph_find_node(view, worker);
	size_t last = 0;

	if (node == view->nodes_count)
		return error_set(error, NC_ERR_NOT_FOUND, "there is no worker `%s`", worker);
	forget_order(view);
	view->nodes[node].distance = 0;
	spread(view, node, depth);
	/* Who is waited for is shown, though not what it leads to. */
	while (last < view->nodes_count && view->order[last] != SIZE_MAX)
		last++;
	for (size_t i = 0; i < view->flow->groups_count; i++) {
		const struct flow_group *group = &view->flow->groups[i];

		if (!graph_group_is_shown(view, group))
			continue;
		for (size_t j = 0; j < group->members_count; j++) {
			size_t member = graph_find_node(view, group->members[j].worker);

			if (view->nodes[member].distance != GRAPH_FAR)
				continue;
			view->nodes[member].distance = depth;
			view->order[last++] = member;
		}
	}
	return NC_OK;
}

bool graph_link_is_shown(const struct graph_view *view, const struct graph_link *link)
{
	return view->nodes[link->from].expanded;
}

bool graph_group_is_shown(const struct graph_view *view, const struct flow_group *group)
{
	return view->nodes[graph_find_node(view, group->when.from)].expanded;
}

bool graph_is_alone(const struct graph_node *node)
{
	return node->in == 0 && node->out == 0 && !node->grouped;
}

bool graph_is_hub(const struct graph_node *node)
{
	return node->in + node->out >= HUB_LEAST;
}

/* --- words --- */

void graph_print_schedule(const struct graph_view *view, const char *worker, struct buffer *out)
{
	const char *between = "";

	for (unsigned i = 0; i < view->config->schedules_count; i++) {
		const struct config_schedule *schedule = &view->config->schedules[i];

		if (strcmp(schedule->worker, worker) != 0)
			continue;
		buffer_printf(out, "%severy %s at %s", between, schedule->every, schedule->at);
		between = ", ";
	}
}

void graph_print_when(
	const struct graph_view *view, const struct flow_when *when, struct buffer *out)
{
	if (when->types_count == 0)
		buffer_append_text(out, when->pattern != NULL ? when->pattern : "?");
	else
		flow_types_print(config_find_worker(view->config, when->from),
			(const char *const *)when->types, when->types_count, out);
}
