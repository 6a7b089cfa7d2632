#include "daemons/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/sys.h"

enum {
	ALIVE_MS = 20000,
	DESCRIPTORS_WANTED = 4096,
};

/* A descriptor that whoever started us has given; -1: none. It is for this process alone. */
static int take_fd(const char *variable)
{
	const char *text = getenv(variable);
	int64_t number;
	int flags;

	if (text == NULL)
		return -1;
	if (!text_to_int64(text, &number) || number < 3 || number > 1000000)
		number = -1;
	/* `text` is gone with it. */
	(void)unsetenv(variable);
	if (number < 0 || fcntl((int)number, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	/* A supervisor that does not read must not stop a daemon when the pipe is full. */
	flags = fcntl((int)number, F_GETFL);
	if (flags < 0 || fcntl((int)number, F_SETFL, flags | O_NONBLOCK) < 0)
		return -1;
	return (int)number;
}

static void say(struct daemon *d, const char *word)
{
	/* A supervisor that is gone is no reason to stop. */
	if (d->ready_fd >= 0 && sys_write(d->ready_fd, word, strlen(word)) < 0 && errno == EPIPE) {
		(void)sys_close(d->ready_fd);
		d->ready_fd = -1;
		loop_timer_cancel(d->alive_timer);
		d->alive_timer = NULL;
	}
}

static void say_alive(void *argument)
{
	say(argument, "alive\n");
}

static void say_watchdog(void *argument)
{
	struct daemon *d = argument;

	notify_say(&d->notify, "WATCHDOG=1");
}

/* The ends of pipes that other daemons' lives hang on are ours to hold, and nobody's whom we start. */
static void keep_descriptors(void)
{
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return;
	/* A kernel before 5.11. */
	for (int fd = 3; fd < DESCRIPTORS_WANTED; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void take_surroundings(struct daemon *d)
{
	d->ready_fd = take_fd("NOWCAST_READY_FD");
	d->life_fd = take_fd("NOWCAST_LIFE_FD");
	if (d->life_fd >= 0)
		keep_descriptors();
	notify_take(&d->notify);
	(void)unsetenv("NOWCAST_SUPERVISED");
}

/* Two versions may differ in what they say to each other: better none than a wrong one. */
static bool fits_supervisor(struct daemon *d)
{
	const char *version = getenv("NOWCAST_SUPERVISOR_VERSION");
	bool fits = version == NULL || strcmp(version, NOWCAST_VERSION) == 0;

	if (!fits) {
		d->status = EXIT_REFUSED;
		log_critical(d->log,
			"this is nowcast %s, and its supervisor is %.40s: they do not run "
			"together; `nowcast restart` starts all anew, the supervisor too",
			NOWCAST_VERSION, version);
	}
	(void)unsetenv("NOWCAST_SUPERVISOR_VERSION");
	return fits;
}

static void supervisor_gone(void *argument, unsigned events)
{
	struct daemon *d = argument;

	log_warning(d->log, "the supervisor has ended without stopping this process; shutting "
			    "down, so that a new one can take over");
	loop_unwatch(d->life_watch);
	d->life_watch = NULL;
	loop_stop(d->loop, EXIT_DONE);
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS_WANTED)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* `check` tells of a limit that is too low */
}

static void stop_on_signal(void *argument, int signo)
{
	struct daemon *d = argument;

	if (signo == SIGINT)
		log_info(d->log, "interrupt signal (SIGINT or Ctrl-C) received; shutting down");
	else
		log_info(d->log, "termination signal (SIGTERM) received; shutting down");
	loop_stop(d->loop, EXIT_DONE);
}

static void say_reloading(const struct daemon *d)
{
	struct timespec now = { 0 };
	char text[80];

	/* systemd compares it with its own clock of that kind. */
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		(int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	notify_say(&d->notify, text);
}

static void start_mailer(struct daemon *d)
{
	struct error error;

	if (d->log_mode != LOG_MODE_DEBUG &&
		mailer_start(&d->mailer, d->loop, d->config, &error) != NC_OK)
		log_error(d->log, "%s; `nowcast send_mail` sends it", error.text);
}

static void reload(struct daemon *d)
{
	struct config *config = NULL, *before = d->config;
	struct log *log = NULL, *log_before = d->log;
	struct error error = { 0 };

	log_info(d->log, "hangup signal (SIGHUP) received; reloading configuration");
	log_reopen(d->log);
	if (config_load(before->file, &config, NULL, &error) != NC_OK ||
		log_create(config, d->name, d->log_mode, &log, &error) != NC_OK) {
		log_error(d->log,
			"the new configuration cannot be used, the one before stays in "
			"force: %s",
			error.text);
		config_destroy(config);
		return;
	}
	d->log = log;
	if (d->reload != NULL && !d->reload(d->reload_argument, config)) {
		d->log = log_before;
		log_destroy(log);
		config_destroy(config);
		return;
	}
	d->config = config;
	start_mailer(d);
	log_destroy(log_before);
	config_destroy(before);
	/* What is started from now on has it. A variable that the file sets no more stays. */
	if (environment_file_apply(&config->environment, &error) != NC_OK)
		log_error(d->log, "%s", error.text);
	log_info(d->log, "read config from %s", config->file);
}

static void reload_on_signal(void *argument, int signo)
{
	struct daemon *d = argument;

	if (d->ready)
		say_reloading(d);
	reload(d);
	if (d->ready)
		notify_say(&d->notify, "READY=1");
}

static enum nc_err watch_signals(struct daemon *d, struct error *error)
{
	enum nc_err err = loop_signal(d->loop, SIGTERM, stop_on_signal, d, error);

	if (err == NC_OK)
		err = loop_signal(d->loop, SIGINT, stop_on_signal, d, error);
	if (err == NC_OK)
		err = loop_signal(d->loop, SIGHUP, reload_on_signal, d, error);
	return err;
}

static bool ships_lines(const struct daemon *d)
{
	return d->log_mode == LOG_MODE_NORMAL &&
	       value_map_get(d->config->logging, "publisher") != NULL;
}

bool daemon_start(
	struct daemon *d, const struct applet *self, int argc, char **argv, enum log_mode log_mode)
{
	struct error error = { 0 };
	enum nc_err err;

	memset(d, 0, sizeof(*d));
	d->name = self->name;
	take_surroundings(d);
	if (!applet_parse(self, argc, argv, &d->args, &d->status))
		return false;
	d->log_mode = cli_flag(d->args, "--debug") ? LOG_MODE_DEBUG : log_mode;
	raise_descriptor_limit();
	/* The loop blocks the signals, and so comes before whatever may start a thread, and before the configuration
	 * is read: a hangup meanwhile is no reason to end, and is looked at afterwards. */
	err = loop_create(&d->loop, &error);
	if (err == NC_OK)
		err = watch_signals(d, &error);
	if (err == NC_OK) {
		d->config =
			applet_load_config(d->name, cli_text(d->args, "config_file"), &d->status);
		if (d->config == NULL)
			goto fail;
	}
	d->status = EXIT_FAILED;
	if (err == NC_OK)
		err = config_prepare_state(d->config, &error);
	if (err == NC_OK) {
		err = log_create(d->config, d->name, d->log_mode, &d->log, &error);
		if (err == NC_ERR_INVALID)
			d->status = EXIT_BAD_CONFIG;
	}
	if (err != NC_OK) {
		(void)fprintf(stderr, "nowcast %s: %s\n", d->name, error.text);
		goto fail;
	}
	if (!fits_supervisor(d))
		goto fail;
	if (d->life_fd >= 0 && loop_watch(d->loop, d->life_fd, LOOP_READ, supervisor_gone, d,
				       &d->life_watch, &error) != NC_OK)
		log_error(d->log, "the end of the supervisor would go unseen: %s", error.text);
	start_mailer(d);
	log_info(d->log, "running in process %d", (int)getpid());
	log_info(d->log, "read config from %s", d->config->file);
	log_info(d->log, d->log_mode == LOG_MODE_DEBUG
				 ? "**debug mode** writing log messages to console"
			 : ships_lines(d) ? "publishing logging messages to the log aggregator"
					  : "writing logging messages to local file system");
	d->status = EXIT_DONE;
	return true;
fail:
	(void)daemon_finish(d);
	return false;
}

void daemon_ready(struct daemon *d)
{
	d->ready = true;
	say(d, "ready\n");
	notify_say(&d->notify, "READY=1");
	if (d->notify.watchdog_ms > 0) {
		say_watchdog(d);
		(void)loop_timer_start(d->loop, d->notify.watchdog_ms / 2, true, say_watchdog, d,
			&d->watchdog_timer, NULL);
	}
	if (d->ready_fd >= 0)
		(void)loop_timer_start(
			d->loop, ALIVE_MS, true, say_alive, d, &d->alive_timer, NULL);
}

void daemon_stopping(struct daemon *d)
{
	d->ready = false;
	notify_say(&d->notify, "STOPPING=1");
}

void daemon_run(struct daemon *d)
{
	struct error error;
	int status = loop_run(d->loop, &error);

	if (status < 0) {
		log_critical(d->log, "the event loop has failed: %s", error.text);
		status = EXIT_FAILED;
	}
	d->status = status;
	daemon_stopping(d);
}

bool daemon_hand_over(struct daemon *d)
{
	char number[16];

	(void)snprintf(number, sizeof(number), "%d", d->ready_fd);
	if (d->ready_fd >= 0 &&
		(fcntl(d->ready_fd, F_SETFD, 0) < 0 || setenv("NOWCAST_READY_FD", number, 1) < 0))
		return false;
	d->ready_fd = -1;
	return notify_put_back(&d->notify);
}

int daemon_finish(struct daemon *d)
{
	int status = d->status;

	mailer_stop(&d->mailer);
	log_destroy(d->log);
	loop_destroy(d->loop);
	config_destroy(d->config);
	cli_args_destroy(d->args);
	if (d->ready_fd >= 0)
		(void)sys_close(d->ready_fd);
	if (d->life_fd >= 0)
		(void)sys_close(d->life_fd);
	memset(d, 0, sizeof(*d));
	d->status = status;
	d->ready_fd = d->life_fd = -1;
	return status;
}

void daemon_door_crowded(struct daemon *d, const char *door, int sys_errno)
{
	if (sys_errno != 0)
		log_warning(d->log,
			"not all are let in at the %s for now: %s; connections that are idle are "
			"closed, and those who come have to wait%s",
			door, strerror(sys_errno),
			sys_errno == EMFILE ? " (the limit is that of `ulimit -n`)" : "");
	else
		log_info(d->log, "all are let in at the %s again", door);
}
