/*
 * The log aggregator: one log of the whole system. Processes put their lines into the spool
 * (core/system/log_spool.h); it takes them from there (log_intake.h), and writes them by the part
 * `aggregator` of the `logging` section. It sleeps until inotify tells of something new in the spool.
 */
#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "core/system/exit_status.h"
#include "core/system/log_collect.h"
#include "core/system/sys.h"
#include "daemons/daemon.h"
#include "daemons/log_intake.h"

enum {
	HELD_MS = 250,      /* a full disk is tried again */
	LATER_MS = 250,     /* so is what cannot be read; meanwhile the rest is */
	SYNC_MS = 1000,     /* what a power failure may cost (promises.md, R15) */
	SCAN_MS = 60000,    /* in case the kernel has told us less than all */
	NO_EVENTS_MS = 500, /* the same when it tells us nothing */
};

struct aggregator {
	struct daemon daemon;
	struct intake *intake;
	int events_fd; /* of inotify; -1: there is none */
	struct loop_fd *watch;
	struct loop_timer *scan_timer, *held_timer, *later_timer, *sync_timer;
	struct loop_post more;
	bool more_posted;
	bool held_said;
};

static void fail(struct aggregator *aggregator, const char *what)
{
	log_critical(
		aggregator->daemon.log, "%s: ending, so that the next start can recover", what);
	loop_stop(aggregator->daemon.loop, EXIT_FAILED);
}

static void sync_files(void *argument)
{
	struct aggregator *aggregator = argument;

	aggregator->sync_timer = NULL;
	if (log_collect_sync(aggregator->daemon.log) != LOG_COLLECTED_WRITTEN)
		log_critical(
			aggregator->daemon.log, "a log file cannot be synced: %s", strerror(errno));
	else
		return;
	fail(aggregator, "log lines cannot be written safely");
}

static void work(struct aggregator *aggregator);

static void work_again(void *argument)
{
	struct aggregator *aggregator = argument;

	aggregator->more_posted = false;
	work(aggregator);
}

static void work_after_pause(void *argument)
{
	struct aggregator *aggregator = argument;

	aggregator->held_timer = NULL;
	work(aggregator);
}

static void work_later(void *argument)
{
	struct aggregator *aggregator = argument;

	aggregator->later_timer = NULL;
	work(aggregator);
}

static void hold(struct aggregator *aggregator)
{
	struct daemon *d = &aggregator->daemon;

	if (!aggregator->held_said)
		log_error(d->log, "a disk with log files is full; log lines wait in the spool");
	aggregator->held_said = true;
	if (loop_timer_start(d->loop, HELD_MS, false, work_after_pause, aggregator,
		    &aggregator->held_timer, NULL) != NC_OK)
		fail(aggregator, "out of memory");
}

static void work(struct aggregator *aggregator)
{
	struct daemon *d = &aggregator->daemon;
	enum intake_state state;

	/* While we wait for room, what happens is noted only; and at the end nothing is begun. */
	if (aggregator->held_timer != NULL || aggregator->intake == NULL)
		return;
	state = intake_work(aggregator->intake);
	if (state == INTAKE_HELD) {
		hold(aggregator);
		return;
	}
	if (state == INTAKE_FAILED) {
		fail(aggregator, "log lines cannot be written safely");
		return;
	}
	aggregator->held_said = false;
	if (state == INTAKE_MORE && !aggregator->more_posted) {
		aggregator->more_posted = true;
		loop_post(d->loop, &aggregator->more);
	}
	/* Without memory for a timer, the next lines bring it. */
	if (state == INTAKE_LATER && aggregator->later_timer == NULL)
		(void)loop_timer_start(d->loop, LATER_MS, false, work_later, aggregator,
			&aggregator->later_timer, NULL);
	if (state == INTAKE_MORE && aggregator->sync_timer == NULL)
		(void)loop_timer_start(d->loop, SYNC_MS, false, sync_files, aggregator,
			&aggregator->sync_timer, NULL);
}

/* --- what happens in the spool --- */

static void on_events(void *argument, unsigned events)
{
	/* As inotify(7) has it: the events are aligned. */
	alignas(struct inotify_event) char bytes[16384];
	struct aggregator *aggregator = argument;
	const struct inotify_event *event;
	ssize_t count;

	while ((count = sys_read(aggregator->events_fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t at = 0; at < count; at += (ssize_t)sizeof(*event) + event->len) {
			event = (const void *)(bytes + at);
			if ((event->mask & IN_Q_OVERFLOW) != 0)
				intake_scan(aggregator->intake);
			else if (event->len > 0)
				intake_saw(aggregator->intake, event->name);
		}
	}
	work(aggregator);
}

static void scan(void *argument)
{
	struct aggregator *aggregator = argument;

	intake_scan(aggregator->intake);
	work(aggregator);
}

static enum nc_err watch_spool(struct aggregator *aggregator, struct error *error)
{
	struct daemon *d = &aggregator->daemon;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd >= 0 && inotify_add_watch(fd, intake_directory(aggregator->intake),
			       IN_MODIFY | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR) < 0) {
		int sys_errno = errno;

		(void)sys_close(fd);
		errno = sys_errno;
		fd = -1;
	}
	aggregator->events_fd = fd;
	if (fd < 0)
		log_warning(d->log,
			"the spool is looked at every %d ms, because inotify cannot be used: %s",
			NO_EVENTS_MS, strerror(errno));
	else if (loop_watch(d->loop, fd, LOOP_READ, on_events, aggregator, &aggregator->watch,
			 error) != NC_OK)
		return NC_ERR_SYSTEM;
	return loop_timer_start(d->loop, fd >= 0 ? SCAN_MS : NO_EVENTS_MS, true, scan, aggregator,
		&aggregator->scan_timer, error);
}

/* --- the daemon --- */

static bool on_reload(void *argument, struct config *config)
{
	struct aggregator *aggregator = argument;
	struct daemon *d = &aggregator->daemon;

	/* The new log begins by collecting, because files may end within a line: these do not. */
	(void)log_collect_write(d->log, false);
	if (strcmp(config->state_directory, d->config->state_directory) != 0)
		log_error(d->log,
			"the state directory cannot change while the system runs: stop it first");
	else if (intake_is_held(aggregator->intake))
		log_error(d->log,
			"log lines wait for room on a disk: reload the configuration after that");
	else
		return true;
	return false;
}

static enum nc_err start(struct aggregator *aggregator, struct error *error)
{
	struct daemon *d = &aggregator->daemon;
	enum nc_err err =
		intake_create(d->config->state_directory, &d->log, &aggregator->intake, error);

	if (err != NC_OK)
		return err;
	err = intake_recover(aggregator->intake, error);
	if (err == NC_OK)
		err = watch_spool(aggregator, error);
	if (err != NC_OK)
		return err;
	scan(aggregator);
	return NC_OK;
}

static int log_aggregator_run(const struct applet *self, int argc, char **argv)
{
	struct aggregator aggregator = { .events_fd = -1 };
	struct daemon *d = &aggregator.daemon;
	struct error error;

	aggregator.more = (struct loop_post){ .function = work_again, .argument = &aggregator };
	if (!daemon_start(d, self, argc, argv, LOG_MODE_AGGREGATOR))
		return d->status;
	d->reload = on_reload;
	d->reload_argument = &aggregator;
	if (start(&aggregator, &error) == NC_OK) {
		daemon_ready(d);
		daemon_run(d);
	} else {
		log_critical(d->log, "%s", error.text);
		d->status = error.code == NC_ERR_REFUSED ? EXIT_TRY_AGAIN : EXIT_FAILED;
	}
	loop_timer_cancel(aggregator.scan_timer);
	loop_timer_cancel(aggregator.held_timer);
	loop_timer_cancel(aggregator.later_timer);
	loop_timer_cancel(aggregator.sync_timer);
	loop_unwatch(aggregator.watch);
	if (aggregator.events_fd >= 0)
		(void)sys_close(aggregator.events_fd);
	intake_destroy(aggregator.intake);
	aggregator.intake = NULL;
	return daemon_finish(d);
}

static const struct cli_option options[] = { CLI_END };

const struct applet applet_log_aggregator = {
	.name = "log_aggregator",
	.kind = APPLET_DAEMON,
	.summary = "write the log lines of all processes into one log",
	.description =
		"Receive the log lines that the processes of the system publish, and write them as "
		"the part `aggregator` of the `logging` section of the configuration says.\n\n"
		"Only a configuration with that part has use for it.",
	.options = options,
	.run = log_aggregator_run,
};
