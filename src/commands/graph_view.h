/*
 * What of the flow is to be shown: nodes (workers, and what else rules can lead to), links between two of
 * them with all the steps that they stand for, and groups. Shared by the graph*.c files only.
 *
 * Order of calls: graph_view_init(), graph_view_from() for a part of it, then one of the printers, and
 * graph_view_finish(). Points into `config` and `flow`, which stay the caller's and must outlive it.
 */
#ifndef NOWCAST_COMMANDS_GRAPH_VIEW_H
#define NOWCAST_COMMANDS_GRAPH_VIEW_H

#include <limits.h>

#include "core/decide/rules_flow.h"

enum graph_kind {
	GRAPH_WORKER,
	GRAPH_UNREGISTERED, /* launched or waited for, and not in the message registry */
	GRAPH_ANY,          /* `any worker` */
	GRAPH_ALARM,
	GRAPH_PROGRAM,
	GRAPH_KIND_COUNT
};

struct graph_node {
	const char *name;
	enum graph_kind kind;
	const struct config_worker *worker; /* of GRAPH_WORKER */
	size_t in, out;                     /* other nodes that lead to it, that it leads to */
	unsigned distance;                  /* launches from the beginning; GRAPH_FAR: not shown */
	bool expanded;                      /* what it leads to is shown too */
	bool grouped;                       /* a member of a group */
};

#define GRAPH_FAR UINT_MAX

struct graph_link {
	size_t from, to; /* nodes */
	size_t first_step;
};

struct graph_view {
	const struct config *config;
	const struct flow *flow;
	struct graph_node *nodes;
	size_t nodes_count;
	struct graph_link *links; /* in the order of the file */
	size_t links_count;
	size_t *step_links; /* the link of each step of the flow */
	size_t *order;      /* nodes in the order of the flow: what launches first */
};

/* NC_ERR_NOMEM. All of it is shown at first. */
enum nc_err graph_view_init(struct graph_view *view, const struct config *config,
	const struct flow *flow, struct error *error);
void graph_view_finish(struct graph_view *view); /* accepts a zeroed struct */

/* Show what can follow `worker` within `depth` launches only. NC_ERR_NOT_FOUND: there is no such worker. */
enum nc_err graph_view_from(
	struct graph_view *view, const char *worker, unsigned depth, struct error *error);

bool graph_link_is_shown(const struct graph_view *view, const struct graph_link *link);
bool graph_group_is_shown(const struct graph_view *view, const struct flow_group *group);
size_t graph_find_node(const struct graph_view *view, const char *name); /* nodes_count: none */
/* Neither launches nor is launched, nor waited for. */
bool graph_is_alone(const struct graph_node *node);
/* Much goes through it. */
bool graph_is_hub(const struct graph_node *node);
/* Append when the clock starts the worker: `every day at 12:30`; nothing when it does not. */
void graph_print_schedule(const struct graph_view *view, const char *worker, struct buffer *out);
/* Append after which messages, in few words. */
void graph_print_when(
	const struct graph_view *view, const struct flow_when *when, struct buffer *out);

/* The printers; out->failed: out of memory. */
void graph_print_json(const struct graph_view *view, struct buffer *out);
void graph_print_text(const struct graph_view *view, unsigned width, struct buffer *out);
void graph_print_dot(const struct graph_view *view, struct buffer *out);

/*
 * Have Graphviz' `dot` make a picture of `source`, and append it. It is started without a shell, and is
 * ended with us. NC_ERR_NOT_FOUND: it is not installed; NC_ERR_SYSTEM, NC_ERR_REFUSED (what it said is in
 * `error`), NC_ERR_NOMEM.
 */
enum nc_err graph_run_dot(const struct buffer *source, struct buffer *out, struct error *error);

#endif
