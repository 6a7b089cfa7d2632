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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/*
 * Append the rules as a file: read again, it gives the same rules. Comments and the look of the original are not
 * kept. NC_ERR_NOMEM.
 */
enum nc_err rules_print(const struct rules *rules, struct buffer *out, struct error *error);

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

/* `hold until all have ended`: a worker, with a pattern for its message type or NULL for any end. */
struct rules_member {
	char *worker;
	char *pattern; /* as it is written, captures allowed: rules_pattern_matches() */
};

struct rules_group {
	struct rules_member *members;
	size_t members_count;
	bool drop_if_one_fails;
	int64_t give_up_after_ms;
	bool release_when_given_up; /* else what is held is dropped */
	/* The rule that declares it, the same after a reload: its worker and its number there, `make_x#2`. */
	char *rule;
	unsigned line, column;
};

struct rules_alarm {
	char *text;
	unsigned line, column;
};

/* `decide with`: a program that says what is next, to be run when the message has been answered. */
struct rules_program {
	char **argv; /* ends with NULL */
	size_t argc;
	int64_t time_limit_ms;
	unsigned line, column;
};

struct rules_decision {
	struct rules_launch *launches;
	size_t count;
	struct rules_group *groups;
	size_t groups_count;
	struct rules_alarm *alarms;
	size_t alarms_count;
	struct rules_program *programs;
	size_t programs_count;
};

void rules_decision_finish(struct rules_decision *decision); /* accepts a zeroed struct */

/*
 * All launches of all rules that match, in order, with the groups, alarms and programs. A rule that fails
 * launches nothing at all for this message: then `ret_decision` is as zeroed and `error` says `NAME:LINE:COLUMN: what is wrong`.
 */
enum nc_err rules_apply(const struct rules *rules, const struct rules_input *input,
	struct rules_decision *ret_decision, struct error *error);

/* Does the message type match the pattern of a group's member? A pattern that is none matches nothing. NC_ERR_NOMEM. */
enum nc_err rules_pattern_matches(const char *pattern, const char *type, bool *ret_matches);

/*
 * The form of `nowcast next --json`: {"next": [{"worker", "args", "host"}], "hold until": [...], "alarms": [...]}.
 * NULL: out of memory.
 */
struct value *rules_decision_to_value(const struct rules_decision *decision);

/*
 * The same form as text, from a program of `decide with`. NC_ERR_SYNTAX, NC_ERR_INVALID (also a worker that
 * is not registered), NC_ERR_LIMIT, NC_ERR_NOMEM: *ret_decision is untouched.
 */
enum nc_err rules_decision_from_json(const char *text, size_t len, const struct config *config,
	struct rules_decision *ret_decision, struct error *error);

#endif
