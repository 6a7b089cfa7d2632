/*
 * The manager, inside: one struct, and what its files do for each other.
 *
 *	manager.c            beginning, end, reload
 *	manager_messages.c   messages, several in one commit; what a transaction asks for
 *	manager_launches.c   starting runners, watching those of ours
 *	manager_recovery.c   launches that are not our children: at the start, and while there are any
 *	manager_rules.c      the rules file
 *	manager_programs.c   programs that decide
 *	manager_export.c     the checklist file: written, and changed by hands
 *	manager_checklist.c  reading and writing that file
 *	manager_copies.c     copies of the state, and what is old
 *	manager_door.c       questions of operators
 */
#ifndef NOWCAST_DAEMONS_MANAGER_INTERNAL_H
#define NOWCAST_DAEMONS_MANAGER_INTERNAL_H

#include <sys/stat.h>

#include "core/decide/brain.h"
#include "core/system/door.h"
#include "core/system/net.h"
#include "daemons/daemon.h"
#include "daemons/manager_checklist.h"

struct manager;

/* A message that is judged, and waits for the commit. */
struct pending {
	struct net_request *request; /* NULL: out of the spool */
	struct transaction t;
};

enum {
	BATCH_MOST = 64, /* messages in one commit */
};

/* A runner of ours. */
struct runner_child {
	struct manager *manager;
	char launch_id[ID_TEXT_SIZE];
	pid_t pid;
	struct loop_child *watch; /* NULL: it could not be watched, and is looked after */
	struct runner_child *next;
};

/* A launch whose runner ended before its claim: how often, and when again. */
struct retry {
	char launch_id[ID_TEXT_SIZE];
	unsigned starts;
	int64_t again_ms; /* on the monotonic clock */
	struct retry *next;
};

struct export
{
	bool dirty;
	int64_t last_ms, took_ms; /* the last time it was written, and how long that took */
	struct stat written;      /* of the file as we wrote it; all zero: not yet */
	bool failing;
	struct loop_timer *timer;
	struct loop_timer *look; /* has somebody changed it? */
};

struct program_run;
struct copying;

struct manager {
	struct daemon daemon;
	struct store *store;
	struct brain *brain;
	struct rules *rules;
	struct stat rules_status; /* of the file that was read last; all zero: none */
	struct net_replier *replier;
	struct door_server *door;
	int lock_fd;
	char boot[64];

	struct pending batch[BATCH_MOST];
	size_t batch_count;
	bool trouble; /* the state cannot be written, and that was said */

	struct runner_child *runners;
	struct retry *retries;
	struct loop_timer *reconcile_timer;
	bool reconcile_wanted; /* there was no memory for the timer */
	int64_t spool_looked_ms;

	struct loop_timer *deadline_timer;
	struct program_run *programs;
	struct export export;
	struct copying *copying;
	struct loop_timer *minute_timer;
	int64_t next_copy_ns;
};

/* --- manager_messages.c --- */

void messages_came(void *argument, struct net_request *request, const char *bytes, size_t len);
/* Commit what has been judged, answer it and do what it asks for: before the loop waits, and before anything
 * else is done to the state. */
void messages_settle(struct manager *m);
/* A call of the brain, outside of a batch, that gave `t`; `what` names it for the log. false: it failed. */
bool messages_carry_out(struct manager *m, enum nc_err err, struct transaction *t, const char *what,
	const struct error *error);
/* A message out of the spool: as if it had come. */
enum nc_err messages_take(struct manager *m, const char *bytes, size_t len);
/* The state could not be read or written: said once; when it is damaged or a sync failed, the manager ends. */
void messages_trouble(struct manager *m, enum nc_err err, const struct error *error);
/* Groups are given up by the clock. */
void messages_set_deadline(struct manager *m);

/* --- manager_launches.c --- */

void launches_make(struct manager *m, const struct brain_launch *launch);
/* End a runner, for the one that takes its place. */
void launches_end(struct manager *m, const struct brain_end *end);
bool launches_is_ours(const struct manager *m, const char *launch_id);
/* Reap those that could not be watched and have ended (R8); true: some run. */
bool launches_reap_unwatched(struct manager *m);
/* The manager ends; they run on, and report by themselves. */
void launches_forget(struct manager *m);

/* --- manager_recovery.c --- */

/* Look at all launches that have not ended and are not our children; again and again while there are any. */
void recovery_look(struct manager *m);
/* Soon: something has changed that it has to look at. */
void recovery_soon(struct manager *m);
/* Before the loop waits. */
void recovery_when_idle(struct manager *m);
void recovery_finish(struct manager *m);

/* --- manager_rules.c --- */

/* NULL: they cannot be used, and it was said why. Where there is no file, there are no rules. */
struct rules *manager_rules_read(struct manager *m, const struct config *config);
/* Before a message: a file that has changed is read again; a bad one changes nothing, said once. */
void manager_rules_refresh(struct manager *m);

/* --- manager_programs.c --- */

/* Run those of the store that have not decided yet. */
void programs_start(struct manager *m);
/* End them; they are run again by the next manager. */
void programs_finish(struct manager *m);

/* --- manager_export.c --- */

/* At the start: take over what was edited by hand meanwhile. false: the manager cannot go on. */
bool export_begin(struct manager *m);
/* The checklist has changed. */
void export_mark(struct manager *m);
/* A new configuration names another file: it is written, and what is there now is not ours. */
void export_elsewhere(struct manager *m);
/* Nothing waits: write it now, unless it was written just before. */
void export_when_idle(struct manager *m);
/* The manager ends. */
void export_finish(struct manager *m);

/* --- manager_copies.c --- */

bool copies_begin(struct manager *m);
void copies_finish(struct manager *m);
/* Called with NC_OK and the name of the file, or why not. */
typedef void copies_done_function(
	void *argument, enum nc_err err, const char *path, const struct error *error);
/* A whole copy of the state into `directory`, made between the messages. NC_ERR_REFUSED: one is being made. */
enum nc_err copies_make(struct manager *m, const char *directory, copies_done_function *done,
	void *argument, struct error *error);

/* --- manager_door.c --- */

bool door_open(struct manager *m);

#endif
