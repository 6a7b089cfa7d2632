/*
 * The supervisor: starts the daemons in order, each when the one before is ready, watches them, starts again
 * what ends, and stops them in the reverse order. What a daemon's states are is in supervisor_child.c.
 *
 * When the supervisor itself is killed, its daemons and all workers go on. A new one finds the door and the
 * lock of the old daemons held (exit status 75), says so, and tries again each minute.
 */
#include "daemons/supervisor.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/exit_status.h"
#include "daemons/daemon.h"
#include "daemons/supervisor_child.h"

enum {
	CHILDREN_MOST = 4
};

struct supervisor {
	struct daemon daemon;
	char *config_file;
	struct child children[CHILDREN_MOST];
	size_t count;
	bool ready; /* all were ready once */
	bool stopping;
};

/* Start the first one that has not been started, when all before it are ready. */
static void start_next(struct supervisor *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct child *child = &s->children[i];

		if (child->state == CHILD_RUNNING)
			continue;
		/* One that was started before and has ended starts again by itself, and holds up nobody who
		 * runs; those that have never run wait for it. */
		if (child->state == CHILD_STOPPED && !child->wanted)
			child_start(child);
		return;
	}
	log_info(s->daemon.log, "all %zu daemons are ready", s->count);
	if (!s->ready)
		daemon_ready(&s->daemon);
	s->ready = true;
}

/* Stop the last one that runs; when there is none, the supervisor is done. */
static void stop_next(struct supervisor *s)
{
	for (size_t i = s->count; i > 0; i--) {
		struct child *child = &s->children[i - 1];

		if (child->state == CHILD_STOPPED)
			continue;
		if (child->state != CHILD_STOPPING)
			child_stop(child);
		return;
	}
	loop_stop(s->daemon.loop, EXIT_DONE);
}

static void child_changed(void *argument, struct child *child)
{
	struct supervisor *s = argument;

	if (s->stopping)
		stop_next(s);
	else if (child->state == CHILD_RUNNING)
		start_next(s);
}

static void stop_on_signal(void *argument, int signo)
{
	struct supervisor *s = argument;

	if (s->stopping)
		return;
	log_info(s->daemon.log,
		signo == SIGINT ? "interrupt signal (SIGINT or Ctrl-C) received; shutting down"
				: "termination signal (SIGTERM) received; shutting down");
	s->stopping = true;
	/* One that ends by itself while others are being stopped is not started again. */
	for (size_t i = 0; i < s->count; i++)
		s->children[i].wanted = false;
	stop_next(s);
}

static bool is_distributed(const struct config *config)
{
	return value_map_get(config->logging, "aggregator") != NULL;
}

/* The daemon base has read the configuration: each of the daemons reads it too. */
static bool reload(void *argument, struct config *config)
{
	struct supervisor *s = argument;

	if (is_distributed(config) != is_distributed(s->daemon.config))
		log_warning(s->daemon.log,
			"whether there is a log aggregator has changed in the configuration; "
			"restart the supervisor to act on it");
	for (size_t i = 0; i < s->count && !s->stopping; i++)
		child_reload(&s->children[i]);
	return true;
}

static void run_children(struct supervisor *s)
{
	struct error error;

	/* A reload replaces the configuration, and with it the text of the name. */
	s->config_file = strdup(s->daemon.config->file);
	s->daemon.reload = reload;
	s->daemon.reload_argument = s;
	if (s->config_file == NULL ||
		loop_signal(s->daemon.loop, SIGTERM, stop_on_signal, s, &error) != NC_OK ||
		loop_signal(s->daemon.loop, SIGINT, stop_on_signal, s, &error) != NC_OK) {
		log_critical(s->daemon.log, "the supervisor cannot begin");
		s->daemon.status = EXIT_FAILED;
		return;
	}
	for (size_t i = 0; i < s->count; i++) {
		s->children[i].config = s->config_file;
		s->children[i].debug = s->daemon.log_mode == LOG_MODE_DEBUG;
	}
	start_next(s);
	daemon_run(&s->daemon);
}

/* `first_option`: of the first one, until it has been ready once. */
static int run(
	struct supervisor *s, const char *const *names, size_t count, const char *first_option)
{
	for (size_t i = 0; i < count; i++)
		child_init(&s->children[s->count++], names[i], s->daemon.loop, &s->daemon.log,
			child_changed, s);
	s->children[0].first_option = first_option;
	run_children(s);
	for (size_t i = 0; i < s->count; i++)
		loop_timer_cancel(s->children[i].timer);
	free(s->config_file);
	return daemon_finish(&s->daemon);
}

static int supervisor_run(const struct applet *self, int argc, char **argv)
{
	static const char *const names[] = { "log_aggregator", "message_broker", "manager",
		"scheduler" };
	struct supervisor s = { 0 };
	size_t skip;

	static_assert(ARRAY_LEN(names) <= CHILDREN_MOST, "room for all of them");
	if (!daemon_start(&s.daemon, self, argc, argv, LOG_MODE_NORMAL))
		return s.daemon.status;
	skip = is_distributed(s.daemon.config) ? 0 : 1;
	return run(&s, names + skip, ARRAY_LEN(names) - skip, NULL);
}

extern const struct applet applet_supervisor;
extern const struct applet applet_manager;

int supervisor_run_manager_only(int argc, char **argv)
{
	static const char *const names[] = { "manager" };
	static const char ignore_checklist[] = "--ignore-checklist";
	struct supervisor s = { 0 };
	struct cli_args *args;
	bool ignore;
	int kept = 1, status;

	/* Help and errors are the manager's. */
	if (!applet_parse(&applet_manager, argc, argv, &args, &status))
		return status;
	/* A manager that is started again has to know what the one before knew. */
	ignore = cli_flag(args, ignore_checklist);
	cli_args_destroy(args);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], ignore_checklist) != 0)
			argv[kept++] = argv[i];
	}
	if (!daemon_start(&s.daemon, &applet_supervisor, kept, argv, LOG_MODE_NORMAL))
		return s.daemon.status;
	return run(&s, names, ARRAY_LEN(names), ignore ? ignore_checklist : NULL);
}

const struct applet applet_supervisor = {
	.name = "supervisor",
	.kind = APPLET_DAEMON,
	.summary = "start, watch and restart all daemons from one command",
	.description =
		"Starts the log aggregator (when the logging is distributed), the message broker, "
		"the manager and the scheduler, in this order, each when the one before is ready; "
		"starts again what ends, and stops all of them when it gets SIGTERM or SIGINT. "
		"SIGHUP is passed on to all.",
	.run = supervisor_run,
};
