/*
 * The flow for a terminal: a block for each worker that leads to something, in the order in which the day
 * goes through them; in it, after which message, what is launched.
 */
#include <string.h>

#include "commands/graph_view.h"
#include "core/system/cli.h"

enum {
	NAME_INDENT = 4,
	NOTES_COLUMN_MOST = 36,
};

/* Outside text, that a terminal must not obey. */
static void append(struct buffer *out, const char *before, const char *text)
{
	buffer_append_text(out, before);
	cli_append_safe(out, text);
}

static bool is_same_text(const char *a, const char *b)
{
	return (a == NULL && b == NULL) || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Do two of them stand under one heading? */
static bool is_same_when(const struct flow_when *a, const struct flow_when *b)
{
	if (strcmp(a->from, b->from) != 0 || !is_same_text(a->pattern, b->pattern) ||
		a->types_count != b->types_count)
		return false;
	for (size_t i = 0; i < a->types_count; i++)
		if (strcmp(a->types[i], b->types[i]) != 0)
			return false;
	return true;
}

/* --- lines --- */

/* `success <run type>: forecast, forecast2` */
static void print_heading(
	const struct graph_view *view, const struct flow_when *when, struct buffer *out)
{
	struct buffer types;

	buffer_init(&types);
	if (when->types_count > 0)
		flow_types_print(config_find_worker(view->config, when->from),
			(const char *const *)when->types, when->types_count, &types);
	append(out, "  ", when->pattern != NULL ? when->pattern : "?");
	if (when->pattern == NULL || (types.len > 0 && strcmp(types.data, when->pattern) != 0))
		append(out, "  = ", types.data);
	else if (when->types_count == 0 && config_find_worker(view->config, when->from) != NULL)
		append(out, "  = ", "no registered type");
	buffer_append_char(out, '\n');
	out->failed = out->failed || types.failed;
	buffer_finish(&types);
}

static bool is_alternative(const char *condition)
{
	return strncmp(condition, "otherwise", strlen("otherwise")) == 0;
}

static void print_notes(const struct flow_step *step, struct buffer *out)
{
	const struct flow_when *when = &step->when;

	if (step->arguments != NULL)
		append(out, "", step->arguments);
	if (step->host != NULL)
		append(out, out->len > 0 ? ", on " : "on ", step->host);
	if (when->each != NULL)
		append(out, out->len > 0 ? ", for each " : "for each ", when->each);
	if (when->condition != NULL) {
		buffer_append_text(out, out->len > 0 ? ", " : "");
		append(out, is_alternative(when->condition) ? "" : "when ", when->condition);
	}
}

/* `    -> worker      arguments, for each host, when ...`, wrapped at its column. */
static void print_step(
	const struct flow_step *step, size_t column, unsigned width, struct buffer *out)
{
	static const char *const arrows[FLOW_KIND_COUNT] = {
		[FLOW_LAUNCH] = "-> ",
		[FLOW_ALARM] = "!! alarm: ",
		[FLOW_PROGRAM] = "?? decide with: ",
	};
	struct buffer line, notes;
	size_t len;

	buffer_init(&line);
	buffer_init(&notes);
	buffer_printf(&line, "%*s%s", NAME_INDENT, "", arrows[step->kind]);
	cli_append_safe(&line, step->to);
	print_notes(step, &notes);
	len = line.len;
	buffer_append(out, line.data, line.len);
	if (notes.len == 0) {
		buffer_append_char(out, '\n');
	} else {
		if (len + 2 > column) {
			buffer_append_char(out, '\n');
			len = 0;
		}
		buffer_printf(out, "%*s", (int)(column - len), "");
		cli_wrap(notes.data, (unsigned)column, (unsigned)column, width, out);
	}
	out->failed = out->failed || line.failed || notes.failed;
	buffer_finish(&line);
	buffer_finish(&notes);
}

static void print_group(const struct flow_group *group, unsigned width, struct buffer *out)
{
	static const char bar[] = "|| hold what follows until all have ended: ";
	struct buffer members;

	buffer_init(&members);
	for (size_t i = 0; i < group->members_count; i++) {
		append(&members, i > 0 ? ", " : "", group->members[i].worker);
		if (group->members[i].pattern != NULL)
			append(&members, " ", group->members[i].pattern);
	}
	if (group->when.condition != NULL)
		append(&members, is_alternative(group->when.condition) ? "; " : "; when ",
			group->when.condition);
	buffer_printf(out, "%*s%s", NAME_INDENT, "", bar);
	cli_wrap(members.data, NAME_INDENT + 3, NAME_INDENT + (unsigned)strlen(bar), width, out);
	out->failed = out->failed || members.failed;
	buffer_finish(&members);
}

/* --- blocks --- */

static bool is_step_of(const struct graph_view *view, size_t step, size_t node)
{
	return view->links[view->step_links[step]].from == node;
}

/* Is it the first under its heading? */
static bool begins_heading(const struct graph_view *view, size_t step)
{
	for (size_t i = 0; i < step; i++)
		if (is_same_when(&view->flow->steps[i].when, &view->flow->steps[step].when))
			return false;
	return true;
}

static void print_under_heading(const struct graph_view *view, const struct flow_when *when,
	size_t column, unsigned width, struct buffer *out)
{
	const struct flow *flow = view->flow;

	print_heading(view, when, out);
	for (size_t i = 0; i < flow->steps_count; i++)
		if (is_same_when(&flow->steps[i].when, when))
			print_step(&flow->steps[i], column, width, out);
	for (size_t i = 0; i < flow->groups_count; i++)
		if (is_same_when(&flow->groups[i].when, when))
			print_group(&flow->groups[i], width, out);
}

static bool group_has_steps(const struct flow *flow, const struct flow_group *group)
{
	for (size_t i = 0; i < flow->steps_count; i++)
		if (is_same_when(&flow->steps[i].when, &group->when))
			return true;
	return false;
}

/* Groups of a rule that does nothing else. */
static void print_lone_groups(
	const struct graph_view *view, const char *worker, unsigned width, struct buffer *out)
{
	const struct flow *flow = view->flow;

	for (size_t i = 0; i < flow->groups_count; i++)
		if (strcmp(flow->groups[i].when.from, worker) == 0 &&
			!group_has_steps(flow, &flow->groups[i])) {
			print_heading(view, &flow->groups[i].when, out);
			print_group(&flow->groups[i], width, out);
		}
}

/* The column of the notes in a block: behind its longest name, when that is not too long. */
static size_t notes_column(const struct graph_view *view, size_t node)
{
	size_t column = 0;

	for (size_t i = 0; i < view->flow->steps_count; i++) {
		const struct flow_step *step = &view->flow->steps[i];
		size_t len = NAME_INDENT + strlen("-> ") + strlen(step->to) + 2;

		if (is_step_of(view, i, node) && step->kind == FLOW_LAUNCH &&
			len <= NOTES_COLUMN_MOST && len > column)
			column = len;
	}
	return column > 0 ? column : NOTES_COLUMN_MOST;
}

/* `worker  (every day at 12:30; launched by this, that)` */
static void print_title(
	const struct graph_view *view, size_t node, unsigned width, struct buffer *out)
{
	const char *name = view->nodes[node].name;
	struct buffer notes;
	const char *between = "launched by ";

	buffer_init(&notes);
	graph_print_schedule(view, name, &notes);
	if (notes.len > 0)
		between = "; launched by ";
	for (size_t i = 0; i < view->links_count; i++) {
		if (view->links[i].to != node)
			continue;
		append(&notes, between,
			view->links[i].from == node ? "itself"
						    : view->nodes[view->links[i].from].name);
		between = ", ";
	}
	append(out, out->len > 0 ? "\n" : "", name);
	if (notes.len > 0) {
		buffer_append_text(out, "  -- ");
		cli_wrap(notes.data, NAME_INDENT, (unsigned)strlen(name) + 5, width, out);
	} else {
		buffer_append_char(out, '\n');
	}
	out->failed = out->failed || notes.failed;
	buffer_finish(&notes);
}

static void print_block(
	const struct graph_view *view, size_t node, unsigned width, struct buffer *out)
{
	size_t column = notes_column(view, node);

	print_title(view, node, width, out);
	for (size_t i = 0; i < view->flow->steps_count; i++)
		if (is_step_of(view, i, node) && begins_heading(view, i))
			print_under_heading(view, &view->flow->steps[i].when, column, width, out);
	print_lone_groups(view, view->nodes[node].name, width, out);
}

static bool has_block(const struct graph_view *view, size_t node)
{
	for (size_t i = 0; i < view->links_count; i++)
		if (view->links[i].from == node)
			return true;
	for (size_t i = 0; i < view->flow->groups_count; i++)
		if (strcmp(view->flow->groups[i].when.from, view->nodes[node].name) == 0)
			return true;
	return false;
}

/* Those without a block: `alone`, or launched by others. */
static void print_rest(const struct graph_view *view, const char *title, bool alone, unsigned width,
	struct buffer *out)
{
	struct buffer names;

	buffer_init(&names);
	for (size_t i = 0; i < view->nodes_count && view->order[i] != SIZE_MAX; i++) {
		const struct graph_node *node = &view->nodes[view->order[i]];

		if ((node->kind == GRAPH_WORKER || node->kind == GRAPH_UNREGISTERED) &&
			node->expanded && !has_block(view, view->order[i]) &&
			graph_is_alone(node) == alone)
			append(&names, names.len > 0 ? ", " : "", node->name);
	}
	if (names.len > 0) {
		buffer_printf(out, "\n%s:\n", title);
		buffer_printf(out, "%*s", NAME_INDENT, "");
		cli_wrap(names.data, NAME_INDENT, NAME_INDENT, width, out);
	}
	out->failed = out->failed || names.failed;
	buffer_finish(&names);
}

void graph_print_text(const struct graph_view *view, unsigned width, struct buffer *out)
{
	for (size_t i = 0; i < view->nodes_count && view->order[i] != SIZE_MAX; i++)
		if (view->nodes[view->order[i]].expanded && has_block(view, view->order[i]))
			print_block(view, view->order[i], width, out);
	print_rest(view, "launched, and nothing follows them", false, width, out);
	print_rest(view, "neither launched by a rule nor launching another", true, width, out);
}
