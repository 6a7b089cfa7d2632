/*
 * nowcast send_mail: send the mail that waits in the spool (core/system/log_mail.h). The daemons start it when
 * a line that is to be mailed was logged; it ends when nothing is left.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "core/system/applet.h"
#include "core/system/clock.h"
#include "core/system/config.h"
#include "core/system/exit_status.h"
#include "core/system/log.h"
#include "core/system/log_mail.h"
#include "core/system/sys.h"

enum {
	WAIT_MS = 10000, /* after a round in which a mail was left; doubled each time, */
	WAIT_MOST_MS = 600000,
	LOOK_MS = 5000, /* how often it is looked for new mail meanwhile */
};

static const struct cli_option send_mail_options[] = {
	{ .name = "config_file",
		.kind = CLI_KIND_TEXT,
		.optional = true,
		.help = "Path/name of YAML configuration file for NEMO nowcast; when it is absent, "
			"$NOWCAST_YAML, and without that ./nowcast.yaml" },
	{ .name = "--once",
		.kind = CLI_KIND_FLAG,
		.help = "try each mail once, and do not wait to try again" },
	CLI_END,
};

/* Until it is time to try again, or more has come than what was left. true: asked to end. */
static bool wait_for_signal(
	const sigset_t *signals, int64_t timeout_ms, const char *spool, size_t left)
{
	const struct timespec slice = { .tv_sec = LOOK_MS / MS_PER_S };

	for (; timeout_ms > 0 && log_mail_waiting(spool) <= left; timeout_ms -= LOOK_MS) {
		if (sigtimedwait(signals, NULL, &slice) > 0)
			return true;
	}
	return false;
}

/* The exit status. */
static int send_all(const struct config *config, const char *spool, struct log *log, bool once)
{
	int64_t wait_ms = WAIT_MS;
	sigset_t signals;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	/* Started by a daemon, it does not outlive that one for long; what is left stays in the spool. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (;;) {
		size_t left = 0;
		struct error error;

		if (log_mail_send(config, spool, log, &left, &error) != NC_OK) {
			log_error(log, "mail cannot be sent: %s", error.text);
			return EXIT_FAILED;
		}
		if (left == 0 && log_mail_waiting(spool) > 0)
			continue; /* some have come meanwhile */
		if (left == 0 || once)
			return left == 0 ? EXIT_DONE : EXIT_FAILED;
		if (wait_for_signal(&signals, wait_ms, spool, left))
			return EXIT_FAILED;
		wait_ms = 2 * wait_ms < WAIT_MOST_MS ? 2 * wait_ms : WAIT_MOST_MS;
	}
}

static int run(const struct config *config, bool once)
{
	struct log *log = NULL;
	char *spool = NULL;
	struct error error;
	int status = EXIT_FAILED, lock = -1;
	enum nc_err err = log_mail_spool(config, &spool, &error);

	if (err == NC_OK)
		err = log_mail_lock(spool, &lock, &error);
	if (err == NC_ERR_REFUSED) {
		free(spool);
		return EXIT_DONE; /* it will be sent */
	}
	if (err == NC_OK) {
		err = log_create(config, LOG_MAIL_SENDER, LOG_MODE_NORMAL, &log, &error);
		status = err == NC_ERR_INVALID ? EXIT_BAD_CONFIG : EXIT_FAILED;
	}
	if (err == NC_OK)
		status = send_all(config, spool, log, once);
	else
		(void)fprintf(stderr, "nowcast send_mail: %s\n", error.text);
	log_destroy(log);
	if (lock >= 0)
		(void)sys_close(lock);
	free(spool);
	return status;
}

static int send_mail_run(const struct applet *self, int argc, char **argv)
{
	struct cli_args *args;
	struct config *config;
	int status;

	if (!applet_parse(self, argc, argv, &args, &status))
		return status;
	config = applet_load_config(
		self->name, applet_config_file(cli_text(args, "config_file")), &status);
	if (config != NULL)
		status = run(config, cli_flag(args, "--once"));
	config_destroy(config);
	cli_args_destroy(args);
	return status;
}

const struct applet applet_send_mail = {
	.name = "send_mail",
	.kind = APPLET_COMMAND,
	.summary = "send the mail of log lines that waits to be sent",
	.description =
		"Send the mail that lines of the log are to be sent as (a handler of the class "
		"logging.handlers.SMTPHandler), and try again what could not be sent, after 10 "
		"seconds and then after doubling waits up to 10 minutes. A mail that could not be "
		"sent within a day is given up, and its text logged.\n\n"
		"The daemons start this command by themselves; by hand it is of use when none of "
		"them runs. When it is running already, this does nothing.",
	.options = send_mail_options,
	.run = send_mail_run,
};
