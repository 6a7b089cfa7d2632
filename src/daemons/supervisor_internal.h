/*
 * Shared by supervisor*.c only: the supervisor as its parts see it.
 *
 *	supervisor.c            the role: order of start and stop, signals, reload
 *	supervisor_child.c      one daemon or program: its states
 *	supervisor_spawn.c      starting a process; what another supervisor has left
 *	supervisor_probe.c      is a program ready?
 *	supervisor_output.c     what a program writes, into the log
 *	supervisor_door.c       questions and orders at the local door
 */
#ifndef NOWCAST_DAEMONS_SUPERVISOR_INTERNAL_H
#define NOWCAST_DAEMONS_SUPERVISOR_INTERNAL_H

#include "core/system/door.h"
#include "daemons/daemon.h"
#include "daemons/supervisor_child.h"
#include "daemons/supervisor_spawn.h"

struct supervisor {
	struct daemon daemon;
	char *config_file;
	char *binary; /* the path by which it was started, absolute */
	char mark[SPAWN_MARK_SIZE];
	int64_t since_real_ns;
	int lock_fd; /* or -1 */
	struct door_server *door;
	/* Daemons first, then programs. One that a reload took away stays, without `program`. */
	struct child **children;
	size_t count;
	bool started;    /* what another one had left is gone, and children are started */
	bool was_ready;  /* all were ready once */
	bool all_ready;  /* now */
	bool stopping;   /* on the way to its end */
	bool restarting; /* at its end it begins anew, by exec */
	struct loop_timer *leftover_timer, *stranger_timer;
	int64_t leftover_end_ms; /* those that have not ended then are killed */
};

/* NULL: nobody of that name, or one that a reload took away. */
struct child *supervisor_find(const struct supervisor *s, const char *name);
/* Is it there for whoever asks: not one that a reload took away, and that has ended? */
bool supervisor_shows(const struct child *child);
/* The first one that `child` waits for, or NULL. */
const struct child *supervisor_waits_for(const struct supervisor *s, const struct child *child);
/* Stop all and end; `restart`: and begin anew. */
void supervisor_stop_all(struct supervisor *s, bool restart);
/* The binary at the path by which this one was started, as a descriptor for child_restart(); -1: it is this
 * very one, or cannot be executed (said in the log). */
int supervisor_open_binary(struct supervisor *s);
/* The program of that name is to run; `binary_fd` as in child_restart(). */
void supervisor_restart_child(struct supervisor *s, struct child *child, int binary_fd);

/* supervisor_door.c. NC_ERR_REFUSED: another supervisor has the door. */
enum nc_err supervisor_open_door(struct supervisor *s, struct error *error);

#endif
