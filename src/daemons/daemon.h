/*
 * What every daemon does at its start and at its end: parse the command line, block the signals, read the
 * configuration, prepare the state directory, set up logging and the loop, say that it is ready.
 *
 *	if (!daemon_start(&d, self, argc, argv, LOG_MODE_NORMAL))
 *		return d.status;
 *	... its own doors, timers ...
 *	daemon_ready(&d);
 *	daemon_run(&d);
 *	... close its own ...
 *	return daemon_finish(&d);
 *
 * TERM and INT stop the loop (exit status 0); HUP calls `reload` with the new configuration, which is
 * read and checked before: a bad one is reported and changes nothing.
 *
 * Readiness: NOWCAST_READY_FD in the environment is a descriptor on which `ready\n` is written once and
 * `alive\n` every 20 s (the supervisor's watch, promises.md R10). Under systemd the same is told by
 * sd_notify: READY, STOPPING, RELOADING, WATCHDOG.
 *
 * Under a supervisor of ours: NOWCAST_LIFE_FD is a descriptor that is read to its end when the supervisor,
 * and all daemons that were started after this one, are gone; the daemon then ends too. So those of a
 * supervisor that was killed end in the usual order, and make room for a new one. And
 * NOWCAST_SUPERVISOR_VERSION is its version: a daemon of another one refuses to run under it (exit status 7).
 */
#ifndef NOWCAST_DAEMONS_DAEMON_H
#define NOWCAST_DAEMONS_DAEMON_H

#include <stdbool.h>

#include "core/system/applet.h"
#include "core/system/config.h"
#include "core/system/log.h"
#include "core/system/loop.h"
#include "core/system/notify.h"
#include "daemons/mailer.h"

struct daemon {
	const char *name;
	struct cli_args *args;
	struct config *config;
	struct log *log;
	struct loop *loop;
	int status; /* exit status so far */
	enum log_mode log_mode;
	bool ready;   /* daemon_ready() was called, daemon_stopping() was not */
	int ready_fd; /* or -1 */
	struct loop_timer *alive_timer;
	int life_fd; /* or -1 */
	struct loop_fd *life_watch;
	struct notify notify;
	struct loop_timer *watchdog_timer;
	struct mailer mailer;
	/*
	 * HUP: may be NULL. Take over `config` and return true (daemon->config is then it, and the old
	 * one is destroyed after the call), or log why not and return false.
	 */
	bool (*reload)(void *argument, struct config *config);
	void *reload_argument;
};

/* false: end with d->status; what was wrong has been said. */
bool daemon_start(
	struct daemon *d, const struct applet *self, int argc, char **argv, enum log_mode log_mode);
void daemon_ready(struct daemon *d);
/* Until TERM, INT or loop_stop(). */
void daemon_run(struct daemon *d);
/* It begins to stop: daemon_run() says so at its end, a longer end says it before. */
void daemon_stopping(struct daemon *d);
/* Another program is to take the place of this process (exec): whoever waits for readiness waits on. */
bool daemon_hand_over(struct daemon *d);
/* Frees all and returns the exit status. */
int daemon_finish(struct daemon *d);

/* For door_handler.crowded; `door` names it. */
void daemon_door_crowded(struct daemon *d, const char *door, int sys_errno);

#endif
