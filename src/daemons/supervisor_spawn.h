/*
 * Starting one process for the supervisor: descriptors, environment, process group, exec.
 *
 * A fork and an exec, not posix_spawn(): a program that is no daemon of ours has to get a signal when the
 * supervisor dies (PR_SET_PDEATHSIG), which only the child itself can ask for. The supervisor has one
 * thread and uses no nng, so between the two any call may be made.
 *
 * Depends on core/system.
 */
#ifndef NOWCAST_DAEMONS_SUPERVISOR_SPAWN_H
#define NOWCAST_DAEMONS_SUPERVISOR_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/data/error.h"

struct spawn {
	/* What to run: the binary behind this descriptor (-1: this very one), or, when `search`, argv[0]
	 * as a shell would find it. */
	int binary_fd;
	bool search;
	char *const *argv;
	const char *directory; /* to run in; NULL: this one */
	/* Descriptors that it inherits, or -1. All stay the caller's. */
	int ready_fd;       /* named in NOWCAST_READY_FD; of a program it becomes 3 */
	int life_fd;        /* named in NOWCAST_LIFE_FD */
	int out_fd, err_fd; /* standard output and error; -1: ours */
	const int *holds;   /* more, which it only keeps open */
	size_t holds_count;
	bool daemon;       /* one of ours: it is told our version; others get TERM when we die */
	const char *state; /* supervisor_state_mark() */
};

enum {
	SPAWN_MARK_SIZE = 64
};

/* What identifies a state directory in the environment of what runs for it. NC_ERR_SYSTEM. */
enum nc_err spawn_state_mark(
	const char *state_directory, char mark[SPAWN_MARK_SIZE], struct error *error);

/*
 * NC_OK: it runs, in a process group of its own, and the caller must reap *ret_pid. NC_ERR_SYSTEM: the
 * program does not exist, cannot be executed, there is no room for a process.
 */
enum nc_err spawn_process(const struct spawn *spawn, pid_t *ret_pid, struct error *error);

/*
 * What a supervisor that was killed has left: the processes that were started by spawn_process() for this
 * state, and what is left of their process groups. Daemons among them end by themselves, in order.
 */
struct spawn_leftover {
	pid_t pid, group;
	bool daemon;
};
/* At most `most` of them; the number. */
size_t spawn_find_leftovers(const char *mark, struct spawn_leftover *ret_leftovers, size_t most);

#endif
