/*
 * States of a daemon, and what moves it from one to the other:
 *
 *	stopped   start:    spawn -> starting
 *	starting  `ready`:  -> running                 30 s without it: KILL (it ends: -> backoff)
 *	          reload:   HUP once it is ready       stop: TERM -> stopping
 *	running   `alive`:  the watch begins anew      60 s without it: TERM -> stopping (still wanted)
 *	          reload:   HUP                        stop: TERM -> stopping
 *	backoff   the wait is over, or reload: spawn -> starting        stop: -> stopped
 *	stopping  10 s:     KILL
 *	any       it ends:  -> backoff when it is wanted, else -> stopped
 *
 * Waits (promises.md, R10): half a second first, doubling up to 60 s, for ever; short again after it ran
 * well for a minute. The exit statuses 8, 75 and 78 are of a kind that time does not heal: an alarm at once,
 * and a start each minute.
 */
#include "daemons/supervisor_child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/sys.h"
#include "core/work/contract.h"

enum {
	WAIT_FIRST_MS = 500,
	WAIT_MOST_MS = 60000,
	RAN_WELL_MS = 60000,
	READY_MS = 30000,
	ALIVE_MS = 60000,
	STOP_MS = 10000,
	OFTEN_MS = 600000, /* CHILD_ENDS_REMEMBERED ends in this time are an alarm */
	CHILD_READY_FD = 3,
};

static const char *const child_state_names[] = {
	[CHILD_STOPPED] = "stopped",
	[CHILD_STARTING] = "starting",
	[CHILD_RUNNING] = "running",
	[CHILD_BACKOFF] = "backoff",
	[CHILD_STOPPING] = "stopping",
};
static_assert(ARRAY_LEN(child_state_names) == CHILD_STATE_COUNT, "name every child state");

const char *child_state_name(enum child_state state)
{
	return child_state_names[state];
}

void child_init(struct child *child, const char *name, struct loop *loop, struct log **log,
	void (*changed)(void *argument, struct child *child), void *argument)
{
	*child = (struct child){ .name = name,
		.loop = loop,
		.log = log,
		.ready_fd = -1,
		.wait_ms = WAIT_FIRST_MS,
		.changed = changed,
		.argument = argument };
}

/* --- the timer of the state --- */

static void time_is_over(void *argument);

static void watch_time(struct child *child, int64_t ms)
{
	struct error error;

	loop_timer_cancel(child->timer);
	child->timer = NULL;
	if (ms > 0 && loop_timer_start(child->loop, ms, false, time_is_over, child, &child->timer,
			      &error) != NC_OK)
		log_critical(*child->log, "%s is not watched: %s", child->name, error.text);
}

static void enter(struct child *child, enum child_state state, int64_t ms)
{
	log_debug(*child->log, "%s: %s -> %s", child->name, child_state_name(child->state),
		child_state_name(state));
	child->state = state;
	watch_time(child, ms);
}

static void kill_child(struct child *child, int signo)
{
	/* Its own process group: what it started with it, but no workers: they have sessions of their own. */
	if (child->pid > 0 && sys_kill(-child->pid, signo) < 0 && errno != ESRCH)
		log_error(*child->log, "cannot send signal %d to %s: %s", signo, child->name,
			strerror(errno));
}

static void time_is_over(void *argument)
{
	struct child *child = argument;

	child->timer = NULL;
	switch (child->state) {
	case CHILD_STARTING:
		log_error(*child->log, "%s is not ready after %d s; it is killed and started again",
			child->name, READY_MS / 1000);
		kill_child(child, SIGKILL);
		break;
	case CHILD_RUNNING:
		log_critical(*child->log,
			"%s gave no sign of life for %d s; it is ended and started again",
			child->name, ALIVE_MS / 1000);
		kill_child(child, SIGTERM);
		enter(child, CHILD_STOPPING, STOP_MS);
		break;
	case CHILD_STOPPING:
		log_warning(*child->log, "%s does not end; it is killed", child->name);
		kill_child(child, SIGKILL);
		break;
	case CHILD_BACKOFF:
		if (child->wanted)
			child_start(child);
		break;
	case CHILD_STOPPED:
	case CHILD_STATE_COUNT:
		break;
	}
}

/* --- its end --- */

static void close_ready(struct child *child)
{
	loop_unwatch(child->ready_watch);
	child->ready_watch = NULL;
	if (child->ready_fd >= 0)
		(void)sys_close(child->ready_fd);
	child->ready_fd = -1;
}

static const char *hopeless_words(int status)
{
	if (!WIFEXITED(status))
		return NULL;
	switch (WEXITSTATUS(status)) {
	case EXIT_BAD_CONFIG:
		return "its configuration cannot be used";
	case EXIT_TRY_AGAIN:
		return "another one holds its place";
	case EXIT_STATE_DAMAGED:
		return "its state is damaged";
	default:
		return NULL;
	}
}

/* How long until the next start; tells of alarms. */
static int64_t next_wait_ms(struct child *child, int status)
{
	int64_t now_ms = clock_mono_ms(), wait_ms, oldest_ms;
	const char *hopeless = hopeless_words(status);

	child->ends_ms[child->ends++ % CHILD_ENDS_REMEMBERED] = now_ms;
	if (hopeless != NULL) {
		log_critical(*child->log, "%s: %s; it is tried again each minute", child->name,
			hopeless);
		return WAIT_MOST_MS;
	}
	if (now_ms - child->started_ms >= RAN_WELL_MS)
		child->wait_ms = WAIT_FIRST_MS;
	wait_ms = child->wait_ms;
	child->wait_ms = wait_ms * 2 < WAIT_MOST_MS ? wait_ms * 2 : WAIT_MOST_MS;
	oldest_ms = child->ends_ms[child->ends % CHILD_ENDS_REMEMBERED];
	if (child->ends >= CHILD_ENDS_REMEMBERED && now_ms - oldest_ms < OFTEN_MS)
		log_critical(*child->log, "%s has ended %d times in ten minutes", child->name,
			CHILD_ENDS_REMEMBERED);
	return wait_ms;
}

static void child_ended(void *argument, pid_t pid, int status, const struct rusage *usage)
{
	struct child *child = argument;
	struct buffer words;
	int64_t wait_ms;

	/* What it may have left in its group goes with it. */
	kill_child(child, SIGKILL);
	child->pid = 0;
	close_ready(child);
	buffer_init(&words);
	contract_end_words(status, &words);
	if (!child->wanted) {
		log_info(*child->log, "%s ended: %s", child->name, words.data);
		enter(child, CHILD_STOPPED, 0);
	} else {
		wait_ms = next_wait_ms(child, status);
		log_error(*child->log, "%s ended: %s; starting again in %.1f s", child->name,
			words.data, (double)wait_ms / 1000);
		enter(child, CHILD_BACKOFF, wait_ms);
	}
	buffer_finish(&words);
	child->changed(child->argument, child);
}

/* --- its beginning --- */

static void ready_or_alive(void *argument, unsigned events)
{
	struct child *child = argument;
	char text[256];
	ssize_t count = sys_read(child->ready_fd, text, sizeof(text));

	if (count <= 0) {
		if (count < 0 && errno == EAGAIN)
			return;
		close_ready(child); /* its end tells the rest */
		return;
	}
	if (child->state == CHILD_STARTING && memmem(text, (size_t)count, "ready", 5) != NULL) {
		log_info(*child->log, "%s is ready (process %d, %lld ms)", child->name,
			(int)child->pid, (long long)(clock_mono_ms() - child->started_ms));
		child->first_option = NULL;
		enter(child, CHILD_RUNNING, ALIVE_MS);
		if (child->reload_wanted)
			child_reload(child);
		child->changed(child->argument, child);
	} else if (child->state == CHILD_RUNNING) {
		watch_time(child, ALIVE_MS);
	}
}

static int spawn(struct child *child, int write_fd)
{
	/* posix_spawn() takes texts that it could change, and does not change them. */
	char program[] = "nowcast", debug[] = "--debug", *name = (char *)(uintptr_t)child->name;
	char *config = (char *)(uintptr_t)child->config;
	char *argv[6] = { program, name, config };
	size_t count = 3;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int code;

	if (child->debug)
		argv[count++] = debug;
	if (child->first_option != NULL)
		argv[count++] = (char *)(uintptr_t)child->first_option;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	code = posix_spawn_file_actions_init(&actions);
	if (code != 0)
		return code;
	code = posix_spawnattr_init(&attributes);
	if (code != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return code;
	}
	code = posix_spawn_file_actions_adddup2(&actions, write_fd, CHILD_READY_FD);
	/* It runs in the background of the terminal, and would be stopped if it read from there. */
	if (code == 0)
		code = posix_spawn_file_actions_addopen(
			&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (code == 0)
		code = posix_spawnattr_setsigmask(&attributes, &none);
	if (code == 0)
		code = posix_spawnattr_setsigdefault(&attributes, &all);
	if (code == 0)
		code = posix_spawnattr_setpgroup(&attributes, 0);
	if (code == 0)
		code = posix_spawnattr_setflags(&attributes,
			POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	/* One thread: the environment is ours to change. */
	if (code == 0 && setenv("NOWCAST_READY_FD", "3", 1) < 0)
		code = errno;
	/* This very binary, also when the file on disk was replaced. */
	if (code == 0)
		code = posix_spawn(
			&child->pid, "/proc/self/exe", &actions, &attributes, argv, environ);
	(void)unsetenv("NOWCAST_READY_FD");
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return code;
}

static enum nc_err start(struct child *child, struct error *error)
{
	int fds[2], code;
	enum nc_err err;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return error_errno(error, errno, "cannot make a pipe");
	/* Descriptor 3 must not be the pipe itself: dup2() onto itself would keep its close-on-exec. */
	if (fds[1] == CHILD_READY_FD) {
		int moved = fcntl(fds[1], F_DUPFD_CLOEXEC, CHILD_READY_FD + 1);

		(void)sys_close(fds[1]);
		fds[1] = moved;
	}
	code = fds[1] >= 0 ? spawn(child, fds[1]) : errno;
	if (fds[1] >= 0)
		(void)sys_close(fds[1]);
	if (code != 0) {
		(void)sys_close(fds[0]);
		child->pid = 0;
		return error_errno(error, code, "cannot start a process");
	}
	child->ready_fd = fds[0];
	err = loop_watch(child->loop, child->ready_fd, LOOP_READ, ready_or_alive, child,
		&child->ready_watch, error);
	if (err == NC_OK)
		err = loop_child_watch(child->loop, child->pid, child_ended, child, NULL, error);
	if (err != NC_OK) {
		/* Unwatched it would be started a second time: it goes. */
		kill_child(child, SIGKILL);
		(void)waitpid(child->pid, NULL, 0);
		child->pid = 0;
		close_ready(child);
	}
	return err;
}

void child_start(struct child *child)
{
	struct error error;

	child->wanted = true;
	if (child->pid != 0)
		return;
	child->reload_wanted = false;
	child->started_ms = clock_mono_ms();
	log_info(*child->log, "starting %s", child->name);
	if (start(child, &error) == NC_OK) {
		enter(child, CHILD_STARTING, READY_MS);
		return;
	}
	log_error(*child->log, "%s was not started: %s; trying again in %.1f s", child->name,
		error.text, (double)child->wait_ms / 1000);
	enter(child, CHILD_BACKOFF, child->wait_ms);
	child->wait_ms = child->wait_ms * 2 < WAIT_MOST_MS ? child->wait_ms * 2 : WAIT_MOST_MS;
}

void child_stop(struct child *child)
{
	child->wanted = false;
	if (child->pid == 0) {
		enter(child, CHILD_STOPPED, 0);
		child->changed(child->argument, child);
		return;
	}
	log_info(*child->log, "stopping %s", child->name);
	kill_child(child, SIGTERM);
	enter(child, CHILD_STOPPING, STOP_MS);
}

void child_reload(struct child *child)
{
	switch (child->state) {
	case CHILD_STARTING:
		/* It may have read the old file already, and not yet be able to take a signal. */
		child->reload_wanted = true;
		break;
	case CHILD_RUNNING:
		child->reload_wanted = false;
		kill_child(child, SIGHUP);
		break;
	case CHILD_BACKOFF:
		/* What made it end may have been mended. */
		child->wait_ms = WAIT_FIRST_MS;
		child_start(child);
		break;
	case CHILD_STOPPED:
	case CHILD_STOPPING:
	case CHILD_STATE_COUNT:
		break;
	}
}
