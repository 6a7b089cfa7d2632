/*
 * The manager's judgement, without the manager: a message comes in; what it changes is written into the
 * store, and a transaction comes out that says what is to be done: the reply, the log lines to write, the
 * launches to make. The daemon then does it, in the order of promises.md ("Order in the manager"): COMMIT,
 * reply, launches. `next` and `simulate` use it as it is, with no system running and a store in memory.
 *
 * The state is the store's. What is kept here beside it (the checklist as a tree, how far workers are) can
 * be made again, and is when something fails: so nothing has to be taken back by hand.
 *
 * Order of calls: brain_create(); then brain_handle() for each message, and the other functions for what
 * the daemon has seen. Each is a transaction of its own, committed when it returns NC_OK; between
 * brain_begin() and brain_commit() several share one, and nothing of it counts before the commit.
 * brain_configure() swaps configuration and rules between two messages.
 *
 * Errors of all functions: NC_ERR_NOMEM and NC_ERR_SYSTEM (no random bytes; the store cannot be written):
 * nothing has changed, and it can be tried again; NC_ERR_INVALID: the store is damaged.
 *
 * Depends on core/data, core/system (config, message, id, log's levels), core/decide/rules, store. No clock,
 * socket, process or file: the caller says what time it is.
 */
#ifndef NOWCAST_CORE_DECIDE_BRAIN_H
#define NOWCAST_CORE_DECIDE_BRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data/value.h"
#include "core/decide/rules.h"
#include "core/decide/store.h"
#include "core/system/config.h"
#include "core/system/id.h"
#include "core/system/message.h"

struct brain;

/* One line to log. `logger` NULL: the manager's own. */
struct brain_note {
	int level; /* enum log_level */
	const char *logger;
	char *text;
	bool block; /* of several lines, for people */
};

/* One launch to make. */
struct brain_launch {
	char id[ID_TEXT_SIZE];
	char token[TOKEN_TEXT_SIZE];
	char *worker;
	char **arguments; /* ends with NULL */
	size_t arguments_count;
	char *host;
	char *why; /* `success of sleep, rule on line 3`, `schedule ...` */
};

/* One launch to end: another takes its place (`if running: replace`). */
struct brain_end {
	char id[ID_TEXT_SIZE];
	int64_t pid; /* of its runner */
};

struct transaction {
	struct message reply;
	bool checklist_changed;
	bool groups_changed; /* look at brain_next_deadline() again */
	bool programs_added; /* look at store_next_program() again */
	struct brain_note *notes;
	size_t notes_count;
	struct brain_launch *launches;
	size_t launches_count;
	struct brain_end *ends;
	size_t ends_count;
};

void transaction_finish(struct transaction *transaction); /* accepts a zeroed struct */

/*
 * Configuration, rules and store stay the caller's; the first two until the next brain_configure(). `boot`
 * names the boot of this machine, and is copied.
 */
enum nc_err brain_create(const struct config *config, const struct rules *rules,
	struct store *store, const char *boot, struct brain **ret_brain, struct error *error);
void brain_destroy(struct brain *brain); /* accepts NULL */
void brain_configure(struct brain *brain, const struct config *config, const struct rules *rules);

/* --- several messages in one commit --- */

enum nc_err brain_begin(struct brain *brain, struct error *error);
/* On failure nothing since brain_begin() has happened. */
enum nc_err brain_commit(struct brain *brain, struct error *error);
void brain_rollback(struct brain *brain);

/* --- the checklist --- */

/* NULL: it cannot be read now. Valid until the next call of another function here. */
const struct value *brain_checklist(struct brain *brain);
/* All of it is replaced; `words` say by what (`imported from FILE`). Takes over `checklist`, a mapping. */
enum nc_err brain_import_checklist(struct brain *brain, struct value *checklist, const char *words,
	struct transaction *ret_transaction, struct error *error);
/* `value` NULL: take it out; NC_ERR_NOT_FOUND: there is no such key. */
enum nc_err brain_change_checklist(struct brain *brain, const struct value *key,
	const struct value *value, struct transaction *ret_transaction, struct error *error);

/* --- messages --- */

/*
 * Judge the bytes of one message, received at `real_ns`. Bad ones, unknown workers and types, a rule that
 * fails: all of it ends in a transaction with a reply. On failure the caller answers `retry later`.
 */
enum nc_err brain_handle(struct brain *brain, const char *bytes, size_t len, int64_t real_ns,
	struct transaction *ret_transaction, struct error *error);

/* --- launches: what the daemon has seen --- */

/*
 * A launch could not be started, `reason` says why; the rules then see `crash`. After 20 of these, the rules
 * are not asked any more until a process has spoken or a runner has ended: rules that launch again after a
 * crash would never come to an end.
 */
enum nc_err brain_launch_failed(struct brain *brain, const char *launch_id, const char *reason,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error);
/* The runner of a launch has ended without a report: the rules see `crash`. */
enum nc_err brain_runner_ended(struct brain *brain, const char *launch_id, const char *reason,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error);
/* Nobody knows what became of it: the rules see `lost`, and it is made again by `if lost: launch again`. */
enum nc_err brain_launch_lost(struct brain *brain, const char *launch_id, const char *reason,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error);
/* Its runner holds the claim, and has not spoken yet. */
enum nc_err brain_launch_claimed(
	struct brain *brain, const char *launch_id, int64_t real_ns, struct error *error);
/* A launch of the store, to be made (again): into `ret_launch`, which brain_launch_finish() frees. */
enum nc_err brain_launch_from(
	const struct store_launch *launch, struct brain_launch *ret_launch, struct error *error);
void brain_launch_finish(struct brain_launch *launch); /* accepts a zeroed struct */

/* --- groups --- */

/* When the first open group is given up; INT64_MAX: none is open. */
enum nc_err brain_next_deadline(struct brain *brain, int64_t *ret_real_ns, struct error *error);
/* Give up those whose time is over. */
enum nc_err brain_time_passed(struct brain *brain, int64_t real_ns,
	struct transaction *ret_transaction, struct error *error);
/* `name`: its number, or the rule that declared it. NC_ERR_NOT_FOUND: no such group is open. */
enum nc_err brain_end_group(struct brain *brain, const char *name, bool release, int64_t real_ns,
	struct transaction *ret_transaction, struct error *error);

/* --- programs that decide --- */

/*
 * The program of the store with this number has printed `output`, or (NULL) has failed for `reason`.
 */
enum nc_err brain_program_ended(struct brain *brain, int64_t program, const char *output,
	size_t len, const char *reason, int64_t real_ns, struct transaction *ret_transaction,
	struct error *error);

/* --- for people --- */

/* Launches that have not ended: a list of mappings {launch, worker, arguments, host, pid, since, by hand,
 * state, why}; the caller's. NULL: `error`. */
struct value *brain_running(struct brain *brain, struct error *error);
/* {launches, failed, groups, alarms}; what failed since `since_ns`. */
struct value *brain_status(struct brain *brain, int64_t since_ns, struct error *error);

#endif
