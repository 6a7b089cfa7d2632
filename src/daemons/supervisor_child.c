/*
 * States of a daemon or program, and what moves it from one to the other:
 *
 *	stopped   start:    spawn -> starting
 *	starting  `ready`:  -> running                 too late: KILL (it ends: -> backoff)
 *	          reload:   HUP once it is ready       stop: TERM -> stopping
 *	running   `alive`:  the watch begins anew      60 s without it: TERM -> stopping (still wanted)
 *	          reload:   HUP                        stop: TERM -> stopping
 *	backoff   the wait is over, or reload: spawn -> starting        stop: -> stopped
 *	stopping  too late: KILL
 *	any       it ends:  -> backoff when it is wanted, else -> stopped
 *
 * `ready` of a program can be a port or a file, which are looked at ten times a second, or nothing; a
 * program is watched for `alive` from the first one that it says. A daemon always is.
 *
 * Waits (promises.md, R10): half a second first, doubling up to 60 s, for ever; short again after it ran
 * well for a minute. The exit statuses 8, 75 and 78 (and 7, of a daemon of another version) are of a kind
 * that time does not heal: an alarm at once, and a start each minute.
 */
#include "daemons/supervisor_child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/sys.h"
#include "core/work/contract.h"
#include "daemons/supervisor_spawn.h"

enum {
	HOPELESS_WAIT_MS = 60000,
	RAN_WELL_MS = 60000,
	ALIVE_MS = 60000,
	OFTEN_MS = 600000, /* CHILD_ENDS_REMEMBERED ends in this time are an alarm */
	PROBE_MS = 100,
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

enum nc_err child_create(const char *name, bool daemon, struct loop *loop, struct log **log,
	void (*changed)(void *argument, struct child *child), void *argument,
	struct child **ret_child, struct error *error)
{
	struct child *child = calloc(1, sizeof(*child));

	if (child == NULL)
		return error_nomem(error);
	*child = (struct child){ .name = strdup(name),
		.loop = loop,
		.log = log,
		.changed = changed,
		.argument = argument,
		.daemon = daemon,
		.life_fds = { -1, -1 },
		.ready_fd = -1,
		.binary_fd = -1,
		.new_binary_fd = -1 };
	program_output_init(&child->out);
	program_output_init(&child->err);
	if (child->name == NULL) {
		child_destroy(child);
		return error_nomem(error);
	}
	if (daemon && pipe2(child->life_fds, O_CLOEXEC) < 0) {
		child_destroy(child);
		return error_errno(error, errno, "cannot make a pipe");
	}
	*ret_child = child;
	return NC_OK;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)sys_close(*fd);
	*fd = -1;
}

static void close_ready(struct child *child)
{
	loop_unwatch(child->ready_watch);
	child->ready_watch = NULL;
	close_fd(&child->ready_fd);
}

static void stop_probe(struct child *child)
{
	loop_timer_cancel(child->probe_timer);
	child->probe_timer = NULL;
	probe_finish(&child->probe);
}

void child_destroy(struct child *child)
{
	if (child == NULL)
		return;
	loop_timer_cancel(child->timer);
	stop_probe(child);
	close_ready(child);
	program_output_close(&child->out);
	program_output_close(&child->err);
	close_fd(&child->life_fds[0]);
	close_fd(&child->life_fds[1]);
	close_fd(&child->binary_fd);
	close_fd(&child->new_binary_fd);
	free(child->name);
	free(child);
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
		log_error(*child->log,
			"%s is not ready after %lld s; it is killed and started again", child->name,
			(long long)child->times.ready_ms / 1000);
		kill_child(child, SIGKILL);
		break;
	case CHILD_RUNNING:
		log_critical(*child->log,
			"%s gave no sign of life for %d s; it is ended and started again",
			child->name, ALIVE_MS / 1000);
		kill_child(child, SIGTERM);
		enter(child, CHILD_STOPPING, child->times.stop_ms);
		break;
	case CHILD_STOPPING:
		log_warning(*child->log, "%s does not end; it is killed", child->name);
		kill_child(child, SIGKILL);
		break;
	case CHILD_BACKOFF:
		if (child->wanted) {
			child->restarts++;
			child_start(child);
		}
		break;
	case CHILD_STOPPED:
	case CHILD_STATE_COUNT:
		break;
	}
}

/* --- its end --- */

static const char *hopeless_words(const struct child *child, int status)
{
	/* What a program means by its exit status is its own business. */
	if (!WIFEXITED(status) || !child->daemon)
		return NULL;
	switch (WEXITSTATUS(status)) {
	case EXIT_BAD_CONFIG:
		return "its configuration cannot be used";
	case EXIT_TRY_AGAIN:
		return "another one holds its place";
	case EXIT_STATE_DAMAGED:
		return "its state is damaged";
	case EXIT_REFUSED:
		return "it is of another version than this supervisor; `nowcast restart` starts all anew";
	default:
		return NULL;
	}
}

NC_PRINTF(3, 4)
static void raise_alarm(struct child *child, bool until_ready, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(child->alarm, sizeof(child->alarm), format, arguments);
	va_end(arguments);
	child->alarm_until_ready = until_ready;
}

const char *child_alarm(struct child *child)
{
	bool runs = child->state == CHILD_RUNNING;

	if (runs && (child->alarm_until_ready || clock_mono_ms() - child->ready_ms >= RAN_WELL_MS))
		child->alarm[0] = '\0';
	return child->alarm[0] != '\0' ? child->alarm : NULL;
}

static void double_wait(struct child *child)
{
	int64_t most_ms = child->times.wait_most_ms;

	child->wait_ms = child->wait_ms * 2 < most_ms ? child->wait_ms * 2 : most_ms;
}

/* It has ended, or could not be started. Returns how long until the next start; tells of alarms. */
static int64_t next_wait_ms(struct child *child, const char *hopeless)
{
	int64_t now_ms = clock_mono_ms(), wait_ms, oldest_ms;

	child->ends_ms[child->ends++ % CHILD_ENDS_REMEMBERED] = now_ms;
	if (hopeless != NULL) {
		raise_alarm(child, true, "%s", hopeless);
		log_critical(*child->log, "%s: %s; it is tried again each minute", child->name,
			hopeless);
		return HOPELESS_WAIT_MS;
	}
	if (child->wait_ms == 0 || now_ms - child->started_ms >= RAN_WELL_MS)
		child->wait_ms = child->times.wait_ms;
	wait_ms = child->wait_ms;
	double_wait(child);
	oldest_ms = child->ends_ms[child->ends % CHILD_ENDS_REMEMBERED];
	if (child->ends >= CHILD_ENDS_REMEMBERED && now_ms - oldest_ms < OFTEN_MS) {
		raise_alarm(child, false, "it has ended %d times in ten minutes",
			CHILD_ENDS_REMEMBERED);
		log_critical(*child->log, "%s has ended %d times in ten minutes", child->name,
			CHILD_ENDS_REMEMBERED);
	}
	return wait_ms;
}

/* A new binary that has never been ready is not tried again. */
static void drop_new_binary(struct child *child)
{
	if (child->new_binary_fd < 0)
		return;
	close_fd(&child->new_binary_fd);
	log_error(*child->log,
		"%s could not be started from the new binary; it is started from the one before",
		child->name);
}

static void begin_anew(struct child *child)
{
	child->restart_wanted = false;
	child->ends = 0;
	child->wait_ms = 0;
	child->alarm[0] = '\0';
}

static void child_ended(void *argument, pid_t pid, int status, const struct rusage *usage)
{
	struct child *child = argument;
	struct buffer words;
	int64_t wait_ms;

	/* What it may have left in its group goes with it. */
	kill_child(child, SIGKILL);
	child->pid = 0;
	child->has_ended = true;
	child->last_status = status;
	child->last_end_real_ns = clock_real_ns();
	close_ready(child);
	stop_probe(child);
	program_output_close(&child->out);
	program_output_close(&child->err);
	buffer_init(&words);
	contract_end_words(status, &words);
	if (child->restart_wanted) {
		log_info(*child->log, "%s ended: %s", child->name, words.data);
		enter(child, CHILD_STOPPED, 0);
		begin_anew(child);
		child->wanted = true;
	} else if (!child->wanted) {
		log_info(*child->log, "%s ended: %s", child->name, words.data);
		enter(child, CHILD_STOPPED, 0);
	} else {
		/* What was wrong with a new binary is not wrong with the one before. */
		wait_ms = next_wait_ms(
			child, child->new_binary_fd < 0 ? hopeless_words(child, status) : NULL);
		drop_new_binary(child);
		log_error(*child->log, "%s ended: %s; starting again in %.1f s", child->name,
			words.data, (double)wait_ms / 1000);
		enter(child, CHILD_BACKOFF, wait_ms);
	}
	buffer_finish(&words);
	child->changed(child->argument, child);
}

/* --- its beginning --- */

static void become_ready(struct child *child)
{
	stop_probe(child);
	log_info(*child->log, "%s is ready (process %d, %lld ms)", child->name, (int)child->pid,
		(long long)(clock_mono_ms() - child->started_ms));
	child->ready_ms = clock_mono_ms();
	child->start.first_option = NULL;
	if (child->new_binary_fd >= 0) {
		close_fd(&child->binary_fd);
		child->binary_fd = child->new_binary_fd;
		child->new_binary_fd = -1;
	}
	enter(child, CHILD_RUNNING, child->says_alive ? ALIVE_MS : 0);
	(void)child_alarm(child);
	if (child->reload_wanted)
		child_reload(child);
	child->changed(child->argument, child);
}

static void ready_or_alive(void *argument, unsigned events)
{
	struct child *child = argument;
	bool by_descriptor = child->daemon || child->probe.ready == CONFIG_READY_DESCRIPTOR;
	char text[256];
	ssize_t count = sys_read(child->ready_fd, text, sizeof(text));

	if (count <= 0) {
		if (count < 0 && errno == EAGAIN)
			return;
		close_ready(child); /* its end tells the rest */
		return;
	}
	if (memmem(text, (size_t)count, "alive", 5) != NULL)
		child->says_alive = true;
	if (child->state == CHILD_STARTING && by_descriptor &&
		memmem(text, (size_t)count, "ready", 5) != NULL)
		become_ready(child);
	else if (child->state == CHILD_RUNNING && child->says_alive)
		watch_time(child, ALIVE_MS);
}

static void look_whether_ready(void *argument)
{
	struct child *child = argument;

	if (child->state == CHILD_STARTING && probe_is_ready(&child->probe))
		become_ready(child);
}

static enum nc_err begin_probe(struct child *child, struct error *error)
{
	enum nc_err err;

	if (child->program == NULL)
		return NC_OK;
	err = probe_begin(&child->probe, child->program, child->start.directory, error);
	if (err == NC_OK && child->probe.ready != CONFIG_READY_NONE &&
		child->probe.ready != CONFIG_READY_DESCRIPTOR)
		err = loop_timer_start(child->loop, PROBE_MS, true, look_whether_ready, child,
			&child->probe_timer, error);
	return err;
}

/* What it is started with; the descriptors of ours that it gets are closed when it runs. */
static enum nc_err spawn(
	struct child *child, int ready_fd, int out_fd, int err_fd, struct error *error)
{
	const struct child_start *start = &child->start;
	/* exec takes texts that it could change, and does not change them. */
	char program[] = "nowcast", debug[] = "--debug";
	char *config = (char *)(uintptr_t)start->config;
	char *daemon_argv[6] = { program, child->name, config };
	char **argv = daemon_argv, **words = NULL;
	size_t count = 3;
	struct spawn spawn = { .binary_fd = child->new_binary_fd >= 0 ? child->new_binary_fd
								      : child->binary_fd,
		.search = !child->daemon,
		.directory = child->daemon ? NULL : start->directory,
		.ready_fd = ready_fd,
		.life_fd = child->life_fds[0],
		.out_fd = out_fd,
		.err_fd = err_fd,
		.holds = start->holds,
		.holds_count = start->holds_count,
		.daemon = child->daemon,
		.state = start->mark };
	enum nc_err err;

	if (start->debug)
		daemon_argv[count++] = debug;
	if (start->first_option != NULL)
		daemon_argv[count++] = (char *)(uintptr_t)start->first_option;
	if (!child->daemon) {
		words = calloc(child->program->command_count + 1, sizeof(*words));
		if (words == NULL)
			return error_nomem(error);
		memcpy(words, child->program->command,
			child->program->command_count * sizeof(*words));
		argv = words;
	}
	spawn.argv = argv;
	err = spawn_process(&spawn, &child->pid, error);
	free(words);
	return err;
}

static enum nc_err open_and_spawn(struct child *child, struct error *error)
{
	int fds[2], out_fd = -1, err_fd = -1;
	enum nc_err err = NC_OK;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return error_errno(error, errno, "cannot make a pipe");
	if (!child->daemon) {
		err = program_output_open(&child->out, child->loop, child->log, child->name,
			LEVEL_INFO, &out_fd, error);
		if (err == NC_OK)
			err = program_output_open(&child->err, child->loop, child->log, child->name,
				LEVEL_WARNING, &err_fd, error);
	}
	if (err == NC_OK)
		err = spawn(child, fds[1], out_fd, err_fd, error);
	(void)sys_close(fds[1]);
	close_fd(&out_fd);
	close_fd(&err_fd);
	child->ready_fd = fds[0];
	return err;
}

static enum nc_err begin(struct child *child, struct error *error)
{
	enum nc_err err = begin_probe(child, error);

	if (err == NC_OK)
		err = open_and_spawn(child, error);
	if (err == NC_OK)
		err = loop_watch(child->loop, child->ready_fd, LOOP_READ, ready_or_alive, child,
			&child->ready_watch, error);
	if (err == NC_OK)
		err = loop_child_watch(child->loop, child->pid, child_ended, child, NULL, error);
	if (err == NC_OK)
		return NC_OK;
	if (child->pid > 0) {
		/* Unwatched it would be started a second time: it goes. */
		kill_child(child, SIGKILL);
		(void)waitpid(child->pid, NULL, 0);
		child->pid = 0;
	}
	close_ready(child);
	stop_probe(child);
	program_output_close(&child->out);
	program_output_close(&child->err);
	return err;
}

void child_start(struct child *child)
{
	struct error error;
	int64_t wait_ms;

	child->wanted = true;
	if (child->pid != 0 || (!child->daemon && child->program == NULL))
		return;
	child->reload_wanted = false;
	child->says_alive = child->daemon;
	child->started_ms = clock_mono_ms();
	child->started_real_ns = clock_real_ns();
	log_info(*child->log, "starting %s", child->name);
	if (begin(child, &error) == NC_OK) {
		enter(child, CHILD_STARTING, child->times.ready_ms);
		if (child->program != NULL && child->probe.ready == CONFIG_READY_NONE)
			become_ready(child);
		return;
	}
	drop_new_binary(child);
	wait_ms = next_wait_ms(child, NULL);
	log_error(*child->log, "%s was not started: %s; trying again in %.1f s", child->name,
		error.text, (double)wait_ms / 1000);
	enter(child, CHILD_BACKOFF, wait_ms);
}

void child_stop(struct child *child)
{
	child->wanted = child->restart_wanted = false;
	if (child->pid == 0) {
		enter(child, CHILD_STOPPED, 0);
		child->changed(child->argument, child);
		return;
	}
	if (child->state == CHILD_STOPPING)
		return;
	log_info(*child->log, "stopping %s", child->name);
	kill_child(child, SIGTERM);
	enter(child, CHILD_STOPPING, child->times.stop_ms);
}

void child_restart(struct child *child, int binary_fd)
{
	close_fd(&child->new_binary_fd);
	child->new_binary_fd = binary_fd;
	if (child->pid == 0) {
		begin_anew(child);
		enter(child, CHILD_STOPPED, 0);
		child->wanted = true;
		child->changed(child->argument, child);
		return;
	}
	child_stop(child);
	child->restart_wanted = true;
}

void child_reload(struct child *child)
{
	switch (child->state) {
	case CHILD_STARTING:
		/* It may have read the old file already, and not yet be able to take a signal. */
		child->reload_wanted = child->daemon;
		break;
	case CHILD_RUNNING:
		child->reload_wanted = false;
		/* To a program that knows nothing of it, it would be the end. */
		if (child->daemon)
			kill_child(child, SIGHUP);
		break;
	case CHILD_BACKOFF:
		/* What made it end may have been mended. */
		child->wait_ms = 0;
		child_start(child);
		break;
	case CHILD_STOPPED:
	case CHILD_STOPPING:
	case CHILD_STATE_COUNT:
		break;
	}
}
