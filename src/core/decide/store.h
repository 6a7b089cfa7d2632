/*
 * What the manager knows, on disk: one SQLite database, `state.db` in the state directory (promises.md,
 * "Store"). WAL, synchronous FULL, one connection, locked for itself: nobody else opens it, readers ask
 * the manager.
 *
 * Order of calls: store_open(); then, for all that one message changes, store_begin() ...
 * store_commit(). What is committed survives a kill and a power failure (R1). Inside of it
 * store_mark() and store_back_to_mark() undo one message of several that share a commit. Everything
 * that is read or written between is part of the transaction.
 *
 * Errors of all functions: NC_ERR_NOMEM; NC_ERR_SYSTEM (disk full, read-only, I/O: what was begun has
 * to be rolled back, and can be tried again later, R20); NC_ERR_INVALID: the database is damaged, R22.
 * store_must_end() tells whether the process has to end and start again, since a sync has failed: what
 * the kernel has then forgotten cannot be written by trying again.
 *
 * Texts and values that are given back are the caller's. Times are nanoseconds since the epoch.
 *
 * Depends on core/data, core/system (file, id), SQLite.
 */
#ifndef NOWCAST_CORE_DECIDE_STORE_H
#define NOWCAST_CORE_DECIDE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data/error.h"
#include "core/data/value.h"
#include "core/system/id.h"

struct store;

#define STORE_FILE "state.db"
/* Beside it: a file with the name of the state. A database without that name is not ours (R22). */
#define STORE_NAME_FILE "state.id"

enum {
	STORE_SCHEMA = 1
};

/* --- beginning and end --- */

/*
 * Open, or make, the database in `directory`; NULL: in memory (for rehearsals). NC_ERR_INVALID: damaged,
 * or missing although this directory held one; nothing was touched. NC_ERR_REFUSED: made by a newer
 * version, or held by another process.
 */
enum nc_err store_open(const char *directory, struct store **ret_store, struct error *error);
/* Rolls back what is open. Accepts NULL. */
void store_close(struct store *store);
bool store_must_end(const struct store *store);

/* --- transactions --- */

enum nc_err store_begin(struct store *store, struct error *error);
enum nc_err store_commit(struct store *store, struct error *error);
void store_rollback(struct store *store);
bool store_is_open(const struct store *store); /* a transaction is */
/* One mark at a time. */
enum nc_err store_mark(struct store *store, struct error *error);
enum nc_err store_forget_mark(struct store *store, struct error *error);
enum nc_err store_back_to_mark(struct store *store, struct error *error);

/* --- facts: single values with a name --- */

/* *ret_text NULL: there is none. */
enum nc_err store_fact(struct store *store, const char *name, char **ret_text, struct error *error);
enum nc_err store_set_fact(
	struct store *store, const char *name, const char *text, struct error *error);

/* --- messages that were judged (R2) --- */

struct store_answer {
	char *digest; /* of the message's bytes */
	char *reply;  /* NULL: none is kept */
	size_t reply_len;
};

/* NC_ERR_NOT_FOUND: not seen before. */
enum nc_err store_find_message(
	struct store *store, const char *id, struct store_answer *ret_answer, struct error *error);
void store_answer_finish(struct store_answer *answer);

struct store_message {
	const char *id, *source, *type, *digest;
	const char *bytes; /* of the message */
	size_t len;
	const char *reply;
	size_t reply_len;
};
enum nc_err store_add_message(struct store *store, const struct store_message *message,
	int64_t received_ns, struct error *error);

/* --- the checklist --- */

/* A mapping. */
enum nc_err store_checklist(struct store *store, struct value **ret_checklist, struct error *error);
/* `value` NULL: take the key out. A key that is there keeps its place. */
enum nc_err store_put_checklist(struct store *store, const struct value *key,
	const struct value *value, struct error *error);
enum nc_err store_clear_checklist(struct store *store, struct error *error);
/* All of it at once. */
enum nc_err store_replace_checklist(
	struct store *store, const struct value *checklist, struct error *error);
/* Counts the changes. */
enum nc_err store_checklist_version(struct store *store, int64_t *ret_version, struct error *error);

/* --- launches --- */

enum store_state {
	STORE_WANTED,  /* written down; a runner may have been started */
	STORE_CLAIMED, /* a runner holds its claim, and has not spoken yet */
	STORE_RUNNING, /* its runner has said so */
	STORE_ENDED,   /* `end` is the type of its last message */
	STORE_LOST,    /* ... and nobody knows what became of it */
	STORE_WAITING  /* written down; it is wanted when its copy has ended (`if running: wait`) */
};
const char *store_state_name(enum store_state state);

struct store_launch {
	char id[ID_TEXT_SIZE];
	char token[TOKEN_TEXT_SIZE]; /* empty: by hand, without one */
	char *worker;
	struct value *arguments; /* a list of texts */
	char *host;
	char *boot; /* id of the boot of this machine in which it was wanted */
	char *why;  /* or NULL */
	enum store_state state;
	int64_t wanted_ns, running_ns, ended_ns; /* 0: not yet */
	int64_t pid;                             /* of the runner; 0: not known */
	int64_t attempt;
	bool by_hand;
	char *end;            /* or NULL */
	struct value *report; /* or NULL */
};
void store_launch_finish(struct store_launch *launch); /* accepts a zeroed struct */

enum nc_err store_add_launch(
	struct store *store, const struct store_launch *launch, struct error *error);
/* NC_ERR_NOT_FOUND */
enum nc_err store_find_launch(
	struct store *store, const char *id, struct store_launch *ret_launch, struct error *error);
enum nc_err store_launch_runs(struct store *store, const char *id, enum store_state state,
	int64_t pid, int64_t attempt, int64_t at_ns, struct error *error);
enum nc_err store_launch_ended(struct store *store, const char *id, enum store_state state,
	const char *end, const struct value *report, int64_t at_ns, struct error *error);

/* Called for each; false stops. The launch is the caller's during the call only. */
typedef bool store_launch_function(void *argument, const struct store_launch *launch);
/* Those that have not ended, in the order in which they were wanted. */
enum nc_err store_open_launches(
	struct store *store, store_launch_function *function, void *argument, struct error *error);
/* The same, of one worker. */
enum nc_err store_open_launches_of(struct store *store, const char *worker,
	store_launch_function *function, void *argument, struct error *error);
/* Those of a worker that are STORE_WAITING. */
enum nc_err store_waiting_launches(struct store *store, const char *worker,
	store_launch_function *function, void *argument, struct error *error);
/* The latest ends of what did not succeed, newest first, at most `most`. */
enum nc_err store_failed_launches(struct store *store, int64_t since_ns, size_t most,
	store_launch_function *function, void *argument, struct error *error);

/* --- slots of schedules (R18) --- */

/* NC_ERR_REFUSED: it is there already. */
enum nc_err store_add_slot(
	struct store *store, const char *name, int64_t at_ns, struct error *error);

/* --- groups: `hold until all have ended` --- */

struct store_member {
	char *worker;
	char *pattern; /* or NULL: any end */
	bool ended;
	char *end; /* or NULL: the type with which it ended */
};

struct store_group {
	int64_t id;
	char *rule; /* which rule declared it: worker and number */
	char *why;  /* for people */
	int64_t opened_ns, give_up_ns;
	bool drop_if_one_fails, release_when_given_up;
	struct store_member *members;
	size_t members_count;
};
void store_group_finish(struct store_group *group);

enum nc_err store_add_group(
	struct store *store, const struct store_group *group, int64_t *ret_id, struct error *error);
/* All that are open, oldest first; an array that store_groups_free() frees. */
enum nc_err store_open_groups(struct store *store, struct store_group **ret_groups,
	size_t *ret_count, struct error *error);
void store_groups_free(struct store_group *groups, size_t count);
enum nc_err store_member_ended(
	struct store *store, int64_t group, size_t member, const char *end, struct error *error);
/* `outcome`: `released`, `dropped`, ... The group is no longer open. */
enum nc_err store_close_group(struct store *store, int64_t group, const char *outcome,
	int64_t at_ns, struct error *error);

/* A launch that waits for groups. */
struct store_held {
	int64_t id;
	char *worker;
	struct value *arguments;
	char *host;
	char *why;
};
void store_held_finish(struct store_held *held);

enum nc_err store_hold(struct store *store, const struct store_held *held, const int64_t *groups,
	size_t groups_count, int64_t at_ns, struct error *error);
/* Called for each that waits for `group`, in order. */
typedef bool store_held_function(void *argument, const struct store_held *held);
enum nc_err store_held_by(struct store *store, int64_t group, store_held_function *function,
	void *argument, struct error *error);
/* Those that wait for no open group any more; they are taken out. An array to be freed with
 * store_held_free(). */
enum nc_err store_take_free_held(
	struct store *store, struct store_held **ret_held, size_t *ret_count, struct error *error);
/* Those that wait for `group` are taken out, whatever else they wait for. */
enum nc_err store_take_held_by(struct store *store, int64_t group, struct store_held **ret_held,
	size_t *ret_count, struct error *error);
void store_held_free(struct store_held *held, size_t count);

/* --- alarms and rule errors, until somebody acknowledges them --- */

struct store_alarm {
	int64_t id;
	int64_t at_ns;
	char *kind; /* `alarm`, `rule error` */
	char *text;
	char *message; /* id of the message that led to it, or NULL */
};
void store_alarm_finish(struct store_alarm *alarm);
enum nc_err store_add_alarm(
	struct store *store, const struct store_alarm *alarm, struct error *error);
typedef bool store_alarm_function(void *argument, const struct store_alarm *alarm);
/* Newest first. */
enum nc_err store_alarms(struct store *store, size_t most, store_alarm_function *function,
	void *argument, struct error *error);

/* --- programs that decide (`decide with`), until they have --- */

struct store_program {
	int64_t id;
	struct value *argv; /* a list of texts */
	int64_t time_limit_ms;
	char *input;   /* JSON, for its standard input */
	char *source;  /* the worker that reported, and */
	char *type;    /* what */
	char *message; /* id of the message, or NULL */
	char *place;   /* of the rule, for messages */
	int64_t received_ns;
};
void store_program_finish(struct store_program *program);
enum nc_err store_add_program(struct store *store, const struct store_program *program,
	int64_t *ret_id, struct error *error);
/* NC_ERR_NOT_FOUND */
enum nc_err store_find_program(
	struct store *store, int64_t id, struct store_program *ret_program, struct error *error);
/* Those with an id above `after`, the lowest first; NC_ERR_NOT_FOUND: no more. */
enum nc_err store_next_program(
	struct store *store, int64_t after, struct store_program *ret_program, struct error *error);
enum nc_err store_remove_program(struct store *store, int64_t id, struct error *error);
/* How many of this message's programs have not decided yet? */
enum nc_err store_count_programs(
	struct store *store, const char *message, size_t *ret_count, struct error *error);

/* --- keeping it small --- */

struct store_retention {
	int64_t messages_before_ns, launches_before_ns;
	unsigned most; /* rows of each kind in one call */
};
/* In a transaction of its own. *ret_rows: how many went. */
enum nc_err store_forget_old(struct store *store, const struct store_retention *retention,
	size_t *ret_rows, struct error *error);

/* --- copies --- */

struct store_copy;

/* Copy the whole database, consistent, to the file `path` (which must not be there), in steps: so that
 * messages are handled between. */
enum nc_err store_copy_begin(
	struct store *store, const char *path, struct store_copy **ret_copy, struct error *error);
/* *ret_done: it is whole and on the disk. On failure the copy is to be cancelled. */
enum nc_err store_copy_step(
	struct store_copy *copy, unsigned pages, bool *ret_done, struct error *error);
/* Ends it; a copy that is not done is removed. */
void store_copy_end(struct store_copy *copy);

/* Is the file a whole database of ours? NC_ERR_INVALID and why not. */
enum nc_err store_check_file(const char *path, struct error *error);

#endif
