/*
 * The flow of a day, read out of next_workers.yaml: which worker launches which, after what message, and who
 * waits for whom. For pictures, listings and stories; what is really launched is for rules.h to say.
 *
 * The reading is tolerant: it takes what it can from the YAML tree, and counts what it cannot. `same as after`
 * is followed, so that all that a worker launches is found under its name; patterns are spelled out over the
 * types that are registered for the worker, and conditions on captured words leave only the types they hold
 * for. All other conditions are kept as they are written.
 *
 * Depends on core/data and core/system/config (the registry). Knows neither the evaluator nor any process.
 */
#ifndef NOWCAST_CORE_DECIDE_RULES_FLOW_H
#define NOWCAST_CORE_DECIDE_RULES_FLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "core/data/buffer.h"
#include "core/data/value.h"
#include "core/system/config.h"

/* The worker of rules that are for all of them. */
#define FLOW_ANY_WORKER "any worker"

enum flow_kind {
	FLOW_LAUNCH,  /* `to` is a worker */
	FLOW_ALARM,   /* `to` is the text */
	FLOW_PROGRAM, /* `decide with`: `to` is its command line */
	FLOW_KIND_COUNT
};

/* After which messages something is done. */
struct flow_when {
	char *from;    /* the worker that reports, or FLOW_ANY_WORKER */
	char *pattern; /* as written; of several, joined by ` or ` */
	/* Those of its types, in the order of the registry, that it can be; none for FLOW_ANY_WORKER and for a
	 * worker that is not registered, of which nobody knows. */
	char **types;
	size_t types_count;
	bool narrowed; /* `pattern` matches more types than these */
	/* What must hold besides, joined by ` and `; `otherwise`: no alternative before it in `first of` does.
	 * NULL: nothing. */
	char *condition;
	char *each; /* `host`, `host, river`: the names of `for each`; NULL: once */
	char *same_as; /* the rule is found under this worker, by `same as after`; NULL: under `from` */
	unsigned line, column;
};

struct flow_step {
	enum flow_kind kind;
	struct flow_when when;
	char *to;        /* as written: a name may hold placeholders */
	char *arguments; /* the words behind the worker, as written; NULL: none */
	char *host;      /* as written; NULL: localhost */
};

struct flow_member {
	char *worker;
	char *pattern; /* NULL: any end */
};

/* `hold until all have ended` */
struct flow_group {
	struct flow_when when;
	struct flow_member *members;
	size_t members_count;
};

struct flow {
	struct flow_step *steps;
	size_t steps_count;
	struct flow_group *groups;
	size_t groups_count;
	size_t skipped; /* parts that are not of the language, or not of this form */
	unsigned first_skipped_line, first_skipped_column;
};

/*
 * Read the flow out of `tree`, the rules file as yaml_read() gives it with YAML_READ_ALL_TEXT. Nothing of
 * `tree` and `config` is kept. NC_OK: the caller finishes *ret_flow; NC_ERR_INVALID: the tree is no mapping;
 * NC_ERR_LIMIT: over FLOW_VISITS_MOST rules, steps and launches, aliases and `same as after` counted as
 * often as they are met; NC_ERR_NOMEM.
 */
enum nc_err flow_read(const struct value *tree, const struct config *config, struct flow *ret_flow,
	struct error *error);
void flow_finish(struct flow *flow); /* accepts a zeroed struct */

enum {
	FLOW_VISITS_MOST = 20000
};

/*
 * Append `types`, message types of `worker` (may be NULL), in few words: `success 2.5km 06, 12`; all its
 * successes: `any success`.
 */
void flow_types_print(const struct config_worker *worker, const char *const *types, size_t count,
	struct buffer *out);

/* Append a condition or template with each placeholder cut to its last key or name: of
 * `not <config[run][<host>][shared storage]>`, `not shared storage`. */
void flow_short_print(const char *text, struct buffer *out);

#endif
