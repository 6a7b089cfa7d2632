/*
 * next_workers.yaml: which workers to launch next. Parser and evaluator apart: rules_parse*.c makes the
 * checked tree of rules, rules_eval.c works it. The language is in next_workers.yaml(5).
 *
 * A struct rules is never changed once it is there; a reload makes a new one. Evaluation is a pure
 * function of its input: no clock, no file, no log, no state.
 *
 * Depends on core/data, core/system/config (the registry). Knows no daemon, socket or process.
 */
#ifndef NOWCAST_CORE_DECIDE_RULES_H
#define NOWCAST_CORE_DECIDE_RULES_H

#include <stddef.h>

#include "core/data/calendar.h"
#include "core/data/finding.h"
#include "core/data/value.h"
#include "core/system/config.h"

struct rules;

/*
 * Read and check the rules in `text`; `name` is how people name the file. `config` gives the registered
 * workers and types; it is not kept. All problems go to `findings`; NC_OK when there is no error among
 * them (then *ret_rules is the caller's), else NC_ERR_SYNTAX, NC_ERR_INVALID, NC_ERR_LIMIT or
 * NC_ERR_NOMEM, and `error` is the first one, `NAME:LINE:COLUMN: ...`.
 */
enum nc_err rules_read(const char *name, const char *text, size_t len, const struct config *config,
	struct rules **ret_rules, struct findings *findings, struct error *error);

/* Rules without a rule: every message launches nothing. NULL: out of memory. */
struct rules *rules_none(void);

void rules_destroy(struct rules *rules); /* accepts NULL */

/* What a message is judged by. All of it stays the caller's. */
struct rules_input {
	const char *worker, *type;
	const struct value *payload;   /* NULL: null */
	const struct value *config;    /* the whole tree */
	const struct value *checklist; /* after the payload was merged */
	const struct value *launch; /* {worker, arguments, host, date, attempt, reason}, or NULL */
	struct date today;
};

/* One launch that the rules ask for. */
struct rules_launch {
	char *worker;
	char **arguments; /* ends with NULL */
	size_t arguments_count;
	char *host;            /* `localhost` */
	unsigned line, column; /* of the rule */
};

struct rules_decision {
	struct rules_launch *launches;
	size_t count;
	/* Groups and alarms join here (part B). */
};

void rules_decision_finish(struct rules_decision *decision); /* accepts a zeroed struct */

/*
 * All launches of all rules that match, in order. A rule that fails launches nothing at all for this
 * message: then `ret_decision` is as zeroed and `error` says `NAME:LINE:COLUMN: what is wrong`.
 */
enum nc_err rules_apply(const struct rules *rules, const struct rules_input *input,
	struct rules_decision *ret_decision, struct error *error);

#endif
