/*
 * One daemon or program under the supervisor: a state machine (supervisor_child.c, states and what moves
 * them).
 *
 *	child_create(...)                  then its owner sets `start`, `times`, and of a program `program`
 *	child_start(), child_stop(), child_restart(), child_reload()      in any state
 *	child_destroy()                    stopped
 *
 * Depends on core/system, and on core/work/contract for the words of an end.
 */
#ifndef NOWCAST_DAEMONS_SUPERVISOR_CHILD_H
#define NOWCAST_DAEMONS_SUPERVISOR_CHILD_H

#include <stdbool.h>

#include "core/system/config.h"
#include "core/system/log.h"
#include "core/system/loop.h"
#include "daemons/supervisor_output.h"
#include "daemons/supervisor_probe.h"

enum child_state {
	CHILD_STOPPED,  /* not started, or ended as it was told */
	CHILD_STARTING, /* runs, has not said that it is ready */
	CHILD_RUNNING,  /* has said so */
	CHILD_BACKOFF,  /* ended, and waits to be started again */
	CHILD_STOPPING, /* has been told to end */
	CHILD_STATE_COUNT
};

const char *child_state_name(enum child_state state);

enum {
	CHILD_ENDS_REMEMBERED = 5,
	CHILD_HOLDS_MOST = 4,
};

/* How to start it. All pointers stay the owner's. */
struct child_start {
	const char *config; /* file, of a daemon */
	bool debug;         /* a daemon: with --debug */
	/* One more option, until it has been ready once; NULL: none. */
	const char *first_option;
	const char *directory; /* of a program */
	const char *mark;      /* spawn_state_mark() */
	int holds[CHILD_HOLDS_MOST];
	size_t holds_count;
};

struct child_times {
	int64_t wait_ms, wait_most_ms, ready_ms, stop_ms;
};

struct child {
	char *name;
	struct loop *loop;
	struct log **log; /* the supervisor's, which a reload replaces */
	/* Called when it becomes ready, and when it has ended. */
	void (*changed)(void *argument, struct child *child);
	void *argument;
	bool daemon;
	const struct config_supervised
		*program; /* in the configuration in force; NULL: a daemon, or gone */
	struct child_start start;
	struct child_times times;
	/* Its end tells a daemon that the supervisor, and all that come after it, are gone. For the life of
	 * the supervisor; -1: of a program. */
	int life_fds[2];

	enum child_state state;
	bool wanted;         /* start it when it is its turn, and again when it ends */
	bool restart_wanted; /* it was told to end in order to be started again */
	bool reload_wanted;  /* it was starting when a HUP came: it gets it when it is ready */
	pid_t pid;
	int ready_fd; /* our end of its readiness pipe, or -1 */
	struct loop_fd *ready_watch;
	bool says_alive; /* it is expected to say that it is alive */
	/* Of the state: ready in time? start again; still alive; stopped in time? */
	struct loop_timer *timer;
	struct probe probe;
	struct loop_timer *probe_timer; /* while a program is starting */
	struct program_output out, err;
	int binary_fd;     /* that it is started from; -1: this very binary */
	int new_binary_fd; /* the next start tries this one; -1: none */

	int64_t started_ms, started_real_ns, ready_ms;
	int64_t wait_ms;                        /* before the next start */
	int64_t ends_ms[CHILD_ENDS_REMEMBERED]; /* the latest ones, a ring */
	unsigned ends;
	unsigned restarts; /* by itself */
	bool has_ended;
	int last_status; /* wait status of the latest end */
	int64_t last_end_real_ns;
	char alarm[160];        /* empty: none */
	bool alarm_until_ready; /* else until it has run well for a minute */
};

/* NC_ERR_NOMEM, NC_ERR_SYSTEM. `log` stays the caller's. */
enum nc_err child_create(const char *name, bool daemon, struct loop *loop, struct log **log,
	void (*changed)(void *argument, struct child *child), void *argument,
	struct child **ret_child, struct error *error);
void child_destroy(struct child *child); /* accepts NULL; a process is left as it is */

void child_start(struct child *child);
/* TERM, and KILL when it has not ended after the stop time. It then stays away. */
void child_stop(struct child *child);
/* By hand: what happened before does not count. `binary_fd` is taken over: the binary to try, or -1. */
void child_restart(struct child *child, int binary_fd);
/* There is a new configuration: HUP to a daemon; one that waits to be started again is started now. */
void child_reload(struct child *child);
/* NULL: no reason for one. */
const char *child_alarm(struct child *child);

#endif
