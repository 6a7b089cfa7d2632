#include "daemons/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/system/exit_status.h"
#include "core/system/sys.h"

enum {
	ALIVE_MS = 20000,
	DESCRIPTORS_WANTED = 4096,
};

/* The descriptor that the supervisor gave; -1: none. It is for this process alone. */
static int take_ready_fd(void)
{
	const char *text = getenv("NOWCAST_READY_FD");
	int64_t number;
	int flags;

	if (text == NULL)
		return -1;
	if (!text_to_int64(text, &number) || number < 3 || number > 1000000)
		number = -1;
	/* `text` is gone with it. */
	(void)unsetenv("NOWCAST_READY_FD");
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

static void start_mailer(struct daemon *d)
{
	struct error error;

	if (d->log_mode != LOG_MODE_DEBUG &&
		mailer_start(&d->mailer, d->loop, d->config, &error) != NC_OK)
		log_error(d->log, "%s; `nowcast send_mail` sends it", error.text);
}

static void reload_on_signal(void *argument, int signo)
{
	struct daemon *d = argument;
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
	log_info(d->log, "read config from %s", config->file);
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
	d->ready_fd = take_ready_fd();
	if (!applet_parse(self, argc, argv, &d->args, &d->status))
		return false;
	d->log_mode = cli_flag(d->args, "--debug") ? LOG_MODE_DEBUG : log_mode;
	d->config = applet_load_config(d->name, cli_text(d->args, "config_file"), &d->status);
	if (d->config == NULL)
		goto fail;
	d->status = EXIT_FAILED;
	raise_descriptor_limit();
	/* The loop blocks the signals, and so comes before whatever may start a thread. */
	err = loop_create(&d->loop, &error);
	if (err == NC_OK)
		err = watch_signals(d, &error);
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
	log_flusher_start(&d->flusher, d->loop, &d->log);
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
	say(d, "ready\n");
	if (d->ready_fd >= 0)
		(void)loop_timer_start(
			d->loop, ALIVE_MS, true, say_alive, d, &d->alive_timer, NULL);
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
	memset(d, 0, sizeof(*d));
	d->status = status;
	d->ready_fd = -1;
	return status;
}
