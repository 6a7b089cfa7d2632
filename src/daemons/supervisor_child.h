/*
 * One daemon under the supervisor: a state machine (supervisor_child.c, states and what moves them).
 *
 * Depends on core/system, and on core/work/contract for the words of an end.
 */
#ifndef NOWCAST_DAEMONS_SUPERVISOR_CHILD_H
#define NOWCAST_DAEMONS_SUPERVISOR_CHILD_H

#include <stdbool.h>

#include "core/system/log.h"
#include "core/system/loop.h"

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
	CHILD_ENDS_REMEMBERED = 5
};

struct child {
	const char *name;   /* of the daemon */
	const char *config; /* file */
	bool debug;         /* starts it with --debug */
	/* One more option, until it has been ready once; NULL: none. */
	const char *first_option;
	struct loop *loop;
	struct log **log; /* the supervisor's, which a reload replaces */
	enum child_state state;
	bool wanted;        /* start it again when it ends */
	bool reload_wanted; /* it was starting when a HUP came: it gets it when it is ready */
	pid_t pid;
	int ready_fd; /* our end of its readiness pipe, or -1 */
	struct loop_fd *ready_watch;
	struct loop_timer
		*timer; /* of the state: ready in time? again; still alive; stopped in time? */
	int64_t started_ms;
	int64_t wait_ms;                        /* before the next start */
	int64_t ends_ms[CHILD_ENDS_REMEMBERED]; /* the latest ones, a ring */
	unsigned ends;
	/* Called when it becomes ready, and when it has ended. */
	void (*changed)(void *argument, struct child *child);
	void *argument;
};

/* `config`, `debug` and `first_option` are to be set before the start; they and `log` stay the caller's. */
void child_init(struct child *child, const char *name, struct loop *loop, struct log **log,
	void (*changed)(void *argument, struct child *child), void *argument);
void child_start(struct child *child);
/* TERM, and KILL when it has not ended after the stop time. */
void child_stop(struct child *child);
/* There is a new configuration: HUP; one that waits to be started again is started now. */
void child_reload(struct child *child);

#endif
