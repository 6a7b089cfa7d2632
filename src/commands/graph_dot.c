/*
 * The flow in the language of Graphviz. What makes the picture legible was found by looking at the day of a
 * real deployment (41 workers) at 1920 by 1080: from top to bottom; all launches between two workers as one
 * edge, with one label; labels without the word `success`, in short lines; ranks close together.
 */
#include <stdlib.h>
#include <string.h>

#include "commands/graph_view.h"

enum {
	LABEL_COLUMNS = 26,
	BAR_COLUMNS = 40,
	CONDITION_MOST =
		26, /* letters of a condition that is shown; longer ones are in the tooltip */
	ALONE_IN_COLUMN = 4,
};

/* --- outside text --- */

/* Inside of double quotes. Neither quotes nor backslashes do anything, `&` begins no entity, and no character
 * is one that XML does not have. */
static void append_safe(struct buffer *out, const char *text)
{
	while (*text != '\0') {
		size_t len = 1;

		if (strncmp(text, "\xef\xbf\xbe", 3) == 0 || strncmp(text, "\xef\xbf\xbf", 3) == 0)
			len = 3;
		if (len == 3 || (unsigned char)*text < 0x20 || *text == 0x7f)
			buffer_append_char(out, '?');
		else if (*text == '"' || *text == '\\')
			buffer_printf(out, "\\%c", *text);
		else if (*text == '&')
			buffer_append_text(out, "&amp;");
		else
			buffer_append_char(out, *text);
		text += len;
	}
}

/* The same in lines of about so many letters, broken at blanks; `pad` stands at both ends of each: an edge may
 * run close by. */
static void append_wrapped(struct buffer *out, const char *text, size_t columns, const char *pad)
{
	size_t column = 0;
	struct buffer word;

	buffer_init(&word);
	buffer_append_text(out, pad);
	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		buffer_clear(&word);
		buffer_append(&word, text, len);
		if (column > 0 && column + 1 + len > columns) {
			buffer_printf(out, "%s\\n%s", pad, pad);
			column = 0;
		} else if (column > 0) {
			buffer_append_char(out, ' ');
			column++;
		}
		append_safe(out, word.data);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	buffer_append_text(out, pad);
	out->failed = out->failed || word.failed;
	buffer_finish(&word);
}

/* Without the word `success`, which most of them begin with; a plain `success` is no word at all. */
static void append_type_words(struct buffer *out, const char *words)
{
	static const char success[] = "success";
	size_t len = strlen(success);

	if (strcmp(words, success) == 0)
		return;
	for (bool begins = true; *words != '\0'; words++) {
		if (begins && strncmp(words, success, len) == 0 && words[len] == ' ')
			words += len + 1;
		begins = *words == ' ' && words[-1] == ',';
		buffer_append_char(out, *words);
	}
}

/* --- nodes --- */

/* What stands for a node: the name of a worker is its own; those of other things have a blank in them. */
static void append_id(const struct graph_view *view, size_t node, struct buffer *out)
{
	if (view->nodes[node].kind == GRAPH_ALARM || view->nodes[node].kind == GRAPH_PROGRAM) {
		buffer_printf(out, "\"node %zu\"", node);
		return;
	}
	buffer_append_char(out, '"');
	append_safe(out, view->nodes[node].name);
	buffer_append_char(out, '"');
}

static const char *const looks[GRAPH_KIND_COUNT] = {
	[GRAPH_WORKER] = "",
	[GRAPH_UNREGISTERED] = ", style=\"rounded,dashed\", color=\"#b3261e\"",
	[GRAPH_ANY] = ", shape=ellipse, style=dashed",
	[GRAPH_ALARM] = ", shape=octagon, style=filled, fillcolor=\"#f9dedc\", color=\"#b3261e\"",
	[GRAPH_PROGRAM] = ", shape=component, style=filled, fillcolor=\"#fff8e1\"",
};

static void print_node(const struct graph_view *view, size_t index, struct buffer *out)
{
	const struct graph_node *node = &view->nodes[index];
	struct buffer schedule;

	buffer_init(&schedule);
	graph_print_schedule(view, node->name, &schedule);
	buffer_append_char(out, '\t');
	append_id(view, index, out);
	buffer_append_text(out, " [label=\"");
	append_wrapped(out, node->name, LABEL_COLUMNS, "");
	if (schedule.len > 0) {
		buffer_append_text(out, "\\n");
		append_safe(out, schedule.data);
	}
	buffer_printf(out, "\"%s", looks[node->kind]);
	if (graph_is_hub(node) && node->kind == GRAPH_WORKER)
		buffer_append_text(
			out, ", fillcolor=\"#ffd98a\", color=\"#8a5a00\", penwidth=2, fontsize=17");
	else if (graph_is_alone(node))
		buffer_append_text(out, ", fillcolor=\"#f4f4f4\", color=\"#9a9a9a\"");
	buffer_append_text(out, "];\n");
	out->failed = out->failed || schedule.failed;
	buffer_finish(&schedule);
}

/* Under each other: side by side they would make the picture wide. */
static void print_alone(const struct graph_view *view, struct buffer *out)
{
	size_t before = view->nodes_count, count = 0;

	for (size_t i = 0; i < view->nodes_count; i++) {
		if (!graph_is_alone(&view->nodes[i]) || view->nodes[i].distance == GRAPH_FAR)
			continue;
		if (count++ % ALONE_IN_COLUMN != 0) {
			buffer_append_char(out, '\t');
			append_id(view, before, out);
			buffer_append_text(out, " -> ");
			append_id(view, i, out);
			buffer_append_text(out, " [style=invis];\n");
		}
		before = i;
	}
}

/* --- edges --- */

/* What is known of all steps of one link. */
struct link_words {
	const char *condition; /* of all of them; NULL: they differ, or one has none */
	bool conditional;      /* each has one */
	bool bad;              /* none of them follows a success */
};

static bool is_of(const struct graph_view *view, size_t step, size_t link)
{
	return view->step_links[step] == link;
}

static struct link_words judge_link(const struct graph_view *view, size_t link)
{
	struct link_words words = { NULL, true, true };
	bool first = true;

	for (size_t i = view->links[link].first_step; i < view->flow->steps_count; i++) {
		const struct flow_when *when = &view->flow->steps[i].when;

		if (!is_of(view, i, link))
			continue;
		words.conditional = words.conditional && when->condition != NULL;
		if (first)
			words.condition = when->condition;
		else if (words.condition != NULL &&
			 (when->condition == NULL || strcmp(words.condition, when->condition) != 0))
			words.condition = NULL;
		for (size_t t = 0; t < when->types_count; t++)
			words.bad = words.bad && strncmp(when->types[t], "success", 7) != 0;
		words.bad = words.bad && when->types_count > 0;
		first = false;
	}
	return words;
}

static bool link_has_type(const struct graph_view *view, size_t link, const char *type)
{
	for (size_t i = view->links[link].first_step; i < view->flow->steps_count; i++)
		for (size_t t = 0;
			is_of(view, i, link) && t < view->flow->steps[i].when.types_count; t++)
			if (strcmp(view->flow->steps[i].when.types[t], type) == 0)
				return true;
	return false;
}

/* The types of all steps of a link, in the order of the registry; of a worker that is not in it, the patterns
 * as they are written. */
static void append_link_types(const struct graph_view *view, size_t link, struct buffer *out)
{
	static const char *const always[] = { "crash", "lost" };
	const struct config_worker *worker = view->nodes[view->links[link].from].worker;
	struct buffer words;
	const char **types;
	size_t count = 0;

	buffer_init(&words);
	types = calloc(
		(worker != NULL ? worker->types_count : 0) + ARRAY_LEN(always), sizeof(*types));
	for (unsigned i = 0; types != NULL && worker != NULL && i < worker->types_count; i++)
		if (link_has_type(view, link, worker->types[i].name))
			types[count++] = worker->types[i].name;
	for (size_t i = 0; types != NULL && i < ARRAY_LEN(always); i++)
		if (worker != NULL && config_find_type(worker, always[i]) == NULL &&
			link_has_type(view, link, always[i]))
			types[count++] = always[i];
	if (count > 0)
		flow_types_print(worker, types, count, &words);
	for (size_t i = view->links[link].first_step; count == 0 && i < view->flow->steps_count;
		i++)
		if (is_of(view, i, link) && view->flow->steps[i].when.pattern != NULL)
			buffer_printf(&words, "%s%s", words.len > 0 ? ", " : "",
				view->flow->steps[i].when.pattern);
	append_type_words(out, words.data);
	out->failed = out->failed || words.failed || types == NULL;
	buffer_finish(&words);
	free(types);
}

/* Each launch as it is written, for those who point at the edge. */
static void append_tooltip(const struct graph_view *view, size_t link, struct buffer *out)
{
	const char *between = "";

	for (size_t i = view->links[link].first_step; i < view->flow->steps_count; i++) {
		const struct flow_step *step = &view->flow->steps[i];
		const char *const parts[][2] = {
			{ "", step->when.pattern },
			{ ": ", step->to },
			{ " ", step->arguments },
			{ ", on ", step->host },
			{ ", for each ", step->when.each },
			{ ", if ", step->when.condition },
		};

		if (!is_of(view, i, link))
			continue;
		buffer_append_text(out, between);
		for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
			if (parts[p][1] == NULL)
				continue;
			buffer_append_text(out, parts[p][0]);
			append_safe(out, parts[p][1]);
		}
		between = "\\n";
	}
}

static void append_label(const struct graph_view *view, size_t link, const struct link_words *words,
	struct buffer *out)
{
	struct buffer types, condition;

	buffer_init(&types);
	buffer_init(&condition);
	append_link_types(view, link, &types);
	if (words->condition != NULL)
		flow_short_print(words->condition, &condition);
	if (condition.len > CONDITION_MOST)
		buffer_clear(&condition);
	if (types.len > 0)
		append_wrapped(out, types.data, LABEL_COLUMNS, " ");
	if (condition.len > 0) {
		buffer_append_text(out, types.len > 0 ? "\\n " : " ");
		if (strncmp(condition.data, "otherwise", strlen("otherwise")) != 0)
			buffer_append_text(out, "if ");
		append_safe(out, condition.data);
		buffer_append_char(out, ' ');
	}
	out->failed = out->failed || types.failed || condition.failed;
	buffer_finish(&types);
	buffer_finish(&condition);
}

static void print_link(const struct graph_view *view, size_t index, struct buffer *out)
{
	const struct graph_link *link = &view->links[index];
	struct link_words words = judge_link(view, index);
	struct buffer label, tooltip;

	buffer_init(&label);
	buffer_init(&tooltip);
	append_label(view, index, &words, &label);
	append_tooltip(view, index, &tooltip);
	buffer_append_char(out, '\t');
	append_id(view, link->from, out);
	buffer_append_text(out, " -> ");
	append_id(view, link->to, out);
	buffer_printf(out, " [label=\"%s\", tooltip=\"%s\", labeltooltip=\"%s\"%s%s];\n",
		label.data, tooltip.data, tooltip.data, words.conditional ? ", style=dashed" : "",
		words.bad ? ", color=\"#b3261e\"" : "");
	out->failed = out->failed || label.failed || tooltip.failed;
	buffer_finish(&label);
	buffer_finish(&tooltip);
}

/* --- groups --- */

/* `same as after` declares a group again: the same place in the file. */
static bool is_drawn_before(const struct graph_view *view, size_t index)
{
	const struct flow_when *when = &view->flow->groups[index].when;

	for (size_t i = 0; i < index; i++)
		if (view->flow->groups[i].when.line == when->line &&
			view->flow->groups[i].when.column == when->column &&
			graph_group_is_shown(view, &view->flow->groups[i]))
			return true;
	return false;
}

static void append_bar_label(const struct graph_view *view, size_t index, struct buffer *out)
{
	const struct flow *flow = view->flow;
	struct buffer types, label;

	buffer_init(&types);
	buffer_init(&label);
	for (size_t i = index; i < flow->groups_count; i++) {
		const struct flow_when *when = &flow->groups[i].when;

		if (when->line != flow->groups[index].when.line ||
			when->column != flow->groups[index].when.column)
			continue;
		buffer_append_text(&label, label.len > 0 ? ", " : "from ");
		buffer_append_text(&label, when->from);
	}
	graph_print_when(view, &flow->groups[index].when, &types);
	buffer_append_char(&label, ' ');
	append_type_words(&label, types.data);
	buffer_append_text(out, "hold until all have ended\\n");
	append_wrapped(out, label.data, BAR_COLUMNS, "");
	out->failed = out->failed || types.failed || label.failed;
	buffer_finish(&types);
	buffer_finish(&label);
}

static bool is_member(
	const struct graph_view *view, const struct flow_group *group, size_t members, size_t node)
{
	for (size_t i = 0; i < members; i++)
		if (graph_find_node(view, group->members[i].worker) == node)
			return true;
	return false;
}

/* Has a link before this one, from a member too, the same end? */
static bool is_held_before(
	const struct graph_view *view, const struct flow_group *group, size_t link)
{
	for (size_t i = 0; i < link; i++)
		if (view->links[i].to == view->links[link].to &&
			view->links[i].from != view->links[i].to &&
			is_member(view, group, group->members_count, view->links[i].from))
			return true;
	return false;
}

static void print_group(const struct graph_view *view, size_t index, struct buffer *out)
{
	const struct flow_group *group = &view->flow->groups[index];

	buffer_printf(out,
		"\t\"group %zu\" [shape=box, style=filled, color=\"#3c3c3c\", "
		"fillcolor=\"#3c3c3c\", fontcolor=white, fontsize=11, margin=\"0.15,0.03\", "
		"height=0.2, label=\"",
		index);
	append_bar_label(view, index, out);
	buffer_append_text(out, "\"];\n");
	for (size_t i = 0; i < group->members_count; i++) {
		size_t node = graph_find_node(view, group->members[i].worker);

		if (is_member(view, group, i, node))
			continue;
		buffer_append_char(out, '\t');
		append_id(view, node, out);
		buffer_printf(out, " -> \"group %zu\" [color=\"#a03050\", arrowhead=none, label=\"",
			index);
		if (group->members[i].pattern != NULL)
			append_wrapped(out, group->members[i].pattern, LABEL_COLUMNS, " ");
		buffer_append_text(out, "\"];\n");
	}
	for (size_t i = 0; i < view->links_count; i++) {
		const struct graph_link *link = &view->links[i];

		if (link->from == link->to || view->nodes[link->to].distance == GRAPH_FAR ||
			!is_member(view, group, group->members_count, link->from) ||
			is_held_before(view, group, i))
			continue;
		buffer_printf(out, "\t\"group %zu\" -> ", index);
		append_id(view, link->to, out);
		buffer_append_text(out, " [color=\"#a03050\"];\n");
	}
}

void graph_print_dot(const struct graph_view *view, struct buffer *out)
{
	buffer_append_text(out,
		"digraph nowcast {\n"
		"\tgraph [rankdir=TB, ranksep=0.2, nodesep=0.2, charset=\"UTF-8\", "
		"fontname=\"DejaVu Sans,Verdana,sans-serif\", fontsize=12, labelloc=b, "
		"label=\"On the arrows: the message type, without the word success; no word: a "
		"plain success. Dashed: only on a condition.\\nDark bar: what its members launch is "
		"held until all of them have ended.\"];\n"
		"\tnode [shape=box, style=\"rounded,filled\", fillcolor=\"#eef3f8\", "
		"color=\"#5b7690\", fontname=\"DejaVu Sans,Verdana,sans-serif\", fontsize=14, "
		"margin=\"0.10,0.05\", height=0.3];\n"
		"\tedge [fontname=\"DejaVu Sans,Verdana,sans-serif\", fontsize=12, "
		"color=\"#5b7690\", fontcolor=\"#333333\", arrowsize=0.7];\n");
	for (size_t i = 0; i < view->nodes_count; i++)
		if (view->nodes[i].distance != GRAPH_FAR)
			print_node(view, i, out);
	print_alone(view, out);
	for (size_t i = 0; i < view->links_count; i++)
		if (graph_link_is_shown(view, &view->links[i]))
			print_link(view, i, out);
	for (size_t i = 0; i < view->flow->groups_count; i++)
		if (graph_group_is_shown(view, &view->flow->groups[i]) && !is_drawn_before(view, i))
			print_group(view, i, out);
	buffer_append_text(out, "}\n");
}
