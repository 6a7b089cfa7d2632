/*
 * The manager's judgement, without the manager: a message and the state go in; a transaction comes out,
 * which holds all that the message changes: the reply, the checklist, the launches to make, and the log
 * lines to write. The daemon then does what it says, in the order of promises.md ("Order in the
 * manager"). `next` and `simulate` use it as it is, with no system running.
 *
 * The state is the checklist and the table of launches. Here both are in memory; the store (part C) will
 * hold them.
 *
 * Order of calls: brain_create(); brain_set_checklist() at the start; then brain_handle() for each
 * message, and brain_runner_ended() for each runner that the daemon has reaped; brain_configure() swaps
 * configuration and rules between two messages.
 *
 * Depends on core/data, core/system (config, message, id, log's levels), core/decide/rules. No clock,
 * socket, process or file: the caller says what time it is.
 */
#ifndef NOWCAST_CORE_DECIDE_BRAIN_H
#define NOWCAST_CORE_DECIDE_BRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data/value.h"
#include "core/decide/rules.h"
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

struct transaction {
	struct message reply;
	bool checklist_changed;
	struct brain_note *notes;
	size_t notes_count;
	struct brain_launch *launches;
	size_t launches_count;
};

void transaction_finish(struct transaction *transaction); /* accepts a zeroed struct */

/* Configuration and rules stay the caller's until the next brain_configure() or the destroy. */
enum nc_err brain_create(const struct config *config, const struct rules *rules,
	struct brain **ret_brain, struct error *error);
void brain_destroy(struct brain *brain); /* accepts NULL */
void brain_configure(struct brain *brain, const struct config *config, const struct rules *rules);

/* Takes over `checklist`, a mapping. */
void brain_set_checklist(struct brain *brain, struct value *checklist);
const struct value *brain_checklist(const struct brain *brain);

/*
 * Judge the bytes of one message, received at `real_ns`. Bad ones, unknown workers and types, a rule that
 * fails: all of it ends in a transaction with a reply. Only NC_ERR_NOMEM and NC_ERR_SYSTEM (no random
 * bytes) are failures: then nothing has changed, and the caller answers `retry later`.
 */
enum nc_err brain_handle(struct brain *brain, const char *bytes, size_t len, int64_t real_ns,
	struct transaction *ret_transaction, struct error *error);

/*
 * A launch was started, or could not be: `pid` < 0, and `reason` says why; the rules then see `crash`. After
 * 20 that could not be, the rules are not asked any more until a process has spoken or a runner has ended:
 * rules that launch again after a crash would never come to an end.
 */
enum nc_err brain_launch_started(struct brain *brain, const char *launch_id, int64_t pid,
	const char *reason, int64_t real_ns, struct transaction *ret_transaction,
	struct error *error);

/* The runner of a launch has ended. When the launch has not reported, the rules see `crash`. */
enum nc_err brain_runner_ended(struct brain *brain, const char *launch_id, const char *reason,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error);

/* What runs or is wanted: a list of mappings {launch, worker, arguments, host, pid, since, by hand,
 * state}; the caller's. NULL: out of memory. */
struct value *brain_running(const struct brain *brain);

#endif
