#include "core/work/runner_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/data/yaml.h"
#include "core/system/exit_status.h"
#include "core/system/sys.h"
#include "core/work/launch_log.h"

void runner_say(const struct runner *r, const char *format, ...)
{
	va_list arguments;
	char text[1024];

	/* Of the manager's launches there is the log. */
	if (!r->launch.by_hand)
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, "nowcast %s: %s\n", r->name, text);
}

/* --- the command line --- */

struct command_line {
	const char *config_file;
	char **arguments; /* of the worker; the texts are argv's */
	size_t arguments_count;
	bool debug, help;
};

static int usage(const char *name)
{
	(void)fprintf(stderr,
		"usage: nowcast %s config_file [arguments] [--debug]\n"
		"nowcast %s: the configuration file is missing\n",
		name, name);
	return EXIT_USAGE;
}

/* What the worker is given: all but CONFIG and --debug, which are the runner's. */
static bool take_arguments(struct command_line *line, int argc, char **argv)
{
	bool options = true;

	line->arguments = calloc((size_t)argc + 1, sizeof(*line->arguments));
	if (line->arguments == NULL)
		return false;
	for (int i = 1; i < argc; i++) {
		if (argv[i] == line->config_file)
			continue;
		if (strcmp(argv[i], "--") == 0)
			options = false;
		if (options && strcmp(argv[i], "--debug") == 0)
			continue;
		line->arguments[line->arguments_count++] = argv[i];
	}
	return true;
}

/* The arguments of a program are its own; only CONFIG and --debug are known here. */
static int parse_program(const char *name, int argc, char **argv, struct command_line *line)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--debug") == 0)
			line->debug = true;
		else if (line->config_file == NULL)
			line->config_file = argv[i];
		else if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			line->help = true;
	}
	return line->config_file != NULL ? EXIT_DONE : usage(name);
}

/* --- the worker --- */

static bool command_has_name(const struct config_program *program)
{
	return program->command_count > 0 && program->command[0][0] != '\0';
}

static void worker_ended(void *argument, pid_t pid, int status, const struct rusage *usage)
{
	end_worker_ended(argument, status, usage);
}

static void time_is_over(void *argument)
{
	struct runner *r = argument;

	r->limit = NULL;
	r->timed_out = true;
	(void)snprintf(r->reason, sizeof(r->reason), "timed out");
	log_error(r->log, "time limit of %.3g s is over; ending the worker",
		(double)r->program->time_limit_ms / 1e3);
	runner_end_worker(r);
}

void runner_start_worker(struct runner *r)
{
	struct loop_child *child;
	struct error error;
	enum nc_err err = start_process(r, &error);

	if (err == NC_OK)
		err = loop_child_watch(r->loop, r->pid, worker_ended, r, &child, &error);
	if (err == NC_OK)
		err = channel_start(r, &error);
	if (err == NC_OK && r->program->time_limit_ms > 0 && !r->debug)
		err = loop_timer_start(r->loop, r->program->time_limit_ms, false, time_is_over, r,
			&r->limit, &error);
	if (err == NC_OK) {
		if (!r->debug)
			output_start(r);
		return;
	}
	/* Descriptors, processes, memory or disk are short. */
	if (r->running)
		processes_signal(r, SIGKILL);
	r->running = false;
	(void)snprintf(r->reason, sizeof(r->reason), "cannot start the worker: %s", error.text);
	runner_say(r, "%s", r->reason);
	end_not_started(r);
}

/* --- ending it --- */

static void grace_is_over(void *argument)
{
	struct runner *r = argument;

	r->grace = NULL;
	r->killing = true;
	processes_signal(r, SIGKILL);
}

void runner_end_worker(struct runner *r)
{
	struct error error;

	if (r->ending)
		return;
	r->ending = true;
	processes_signal(r, SIGTERM);
	if (loop_timer_start(r->loop, r->program->grace_time_ms, false, grace_is_over, r, &r->grace,
		    &error) != NC_OK) {
		log_error(r->log, "%s", error.text);
		r->killing = true;
		processes_signal(r, SIGKILL);
	}
}

static void signalled(void *argument, int signo)
{
	struct runner *r = argument;
	const char *name = sigabbrev_np(signo);

	if (signo == SIGHUP && !r->launch.by_hand)
		return;
	log_info(r->log, "%s signal (SIG%s) received; shutting down",
		signo == SIGTERM ? "termination" : "interrupt", name);
	if (r->retry.due) {
		r->ended_by = signo;
		retry_cancel(r);
		return;
	}
	if (!r->running) {
		/* Before the worker, or after it: then its message is all there is to wait for. */
		r->status = EXIT_SIGNAL_BASE + signo;
		end_give_up(r);
		if (!r->end.decided || r->end.alone)
			loop_stop(r->loop, r->status);
		return;
	}
	if (r->ended_by == 0 && !r->timed_out) {
		r->ended_by = signo;
		(void)snprintf(r->reason, sizeof(r->reason),
			"ended by signal %d (SIG%s) sent to the runner", signo, name);
	}
	runner_end_worker(r);
}

/* What was left running, or was adopted, has ended: it is no zombie while a message waits (R8). */
static void child_ended(void *argument, int signo)
{
	processes_reap(argument);
}

static enum nc_err watch_signals(struct runner *r, struct error *error)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	enum nc_err err = NC_OK;

	for (size_t i = 0; i < ARRAY_LEN(signals) && err == NC_OK; i++)
		err = loop_signal(r->loop, signals[i], signalled, r, error);
	if (err == NC_OK)
		err = loop_signal(r->loop, SIGCHLD, child_ended, r, error);
	return err;
}

/* --- the course --- */

static void log_beginning(const struct runner *r)
{
	log_info(r->log, "running in process %ld", (long)getpid());
	log_info(r->log, "read config from %s", r->config->file);
	if (r->debug)
		log_debug(r->log, "**debug mode** no connection to manager");
	else
		log_info(r->log, value_map_get(r->config->logging, "publisher") != NULL
					 ? "publishing log messages to the log aggregator"
					 : "writing log messages to local file system");
}

/* A launch has a log of its own, too. Without one it runs all the same. */
static void keep_log(struct runner *r)
{
	struct error error;

	if (launch_log_start(r->config->state_directory, r->launch.id, r->name, r->log, &error) !=
		NC_OK)
		log_warning(r->log, "this launch has no log of its own: %s", error.text);
}

/* From here on there is a log. Returns the exit status. */
static int run(struct runner *r)
{
	struct error error;
	enum nc_err err;
	int status = EXIT_FAILED;

	if (!r->debug)
		keep_log(r);
	log_beginning(r);
	(void)signal(
		SIGCHLD, SIG_DFL); /* if our parent ignores it, ends of children would be lost */
	err = loop_create(&r->loop, &error);
	if (err == NC_OK)
		err = watch_signals(r, &error);
	if (err == NC_OK && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		err = error_errno(&error, errno, "cannot become a subreaper");
	if (err == NC_OK && !r->debug)
		err = system_open(r, &error);
	if (err == NC_OK)
		err = begin(r, &error);
	if (err == NC_OK) {
		status = loop_run(r->loop, &error);
		if (status < 0) {
			err = NC_ERR_SYSTEM;
			status = EXIT_FAILED;
		}
	}
	if (err != NC_OK) {
		log_critical(r->log, "%s", error.text);
		runner_say(r, "%s", error.text);
	}
	/* Of what was started by hand and did not begin, nothing need stay. */
	if (r->launch.by_hand && !r->debug && r->pid == 0 && !r->end.decided)
		keep_forget(r);
	log_debug(r->log, "shutting down");
	return status;
}

static void finish(struct runner *r)
{
	end_finish(r);
	system_close(r);
	output_close(r, r->pid > 0); /* after its end that has been done */
	loop_timer_cancel(r->retry.timer);
	loop_destroy(r->loop);
	log_destroy(r->log);
	if (r->claim_fd >= 0)
		(void)sys_close(r->claim_fd); /* the file stays */
	config_destroy(r->config);
	cli_args_destroy(r->args);
	launch_finish(&r->launch);
}

/* A launch of its own, for what is started by hand. */
static enum nc_err make_launch(
	struct runner *r, const struct command_line *line, struct error *error)
{
	struct launch *launch = &r->launch;
	enum nc_err err = id_make(launch->id, error);

	launch->by_hand = true;
	launch->attempt = 1;
	if (err == NC_OK)
		err = token_make(launch->token, error);
	launch->worker = strdup(r->name);
	launch->arguments = calloc(line->arguments_count + 1, sizeof(*launch->arguments));
	if (err == NC_OK && (launch->worker == NULL || launch->arguments == NULL))
		err = error_nomem(error);
	for (size_t i = 0; i < line->arguments_count && err == NC_OK; i++) {
		const char *text = line->arguments[i];

		if (text == NULL || !utf8_is_valid(text, strlen(text), NULL))
			return error_set(error, NC_ERR_INVALID, "argument %zu is not UTF-8", i + 1);
		launch->arguments[i] = strdup(text);
		if (launch->arguments[i] == NULL)
			return error_nomem(error);
		launch->arguments_count++;
	}
	return err;
}

/* The help of a program is its own. */
static int show_program_help(struct runner *r)
{
	char **argv = start_make_argv(r);

	if (argv == NULL || chdir(r->config->directory) < 0) {
		(void)fprintf(stderr, "nowcast %s: %s\n", r->name, strerror(errno));
	} else {
		(void)execvp(argv[0], argv);
		(void)fprintf(stderr, "nowcast %s: cannot run %s: %s\n", r->name, argv[0],
			strerror(errno));
	}
	start_free_argv(argv);
	return EXIT_FAILED;
}

/* Without memory it is neither the command nor the configuration that is wrong: the manager tries again. */
static int fail(const struct runner *r, const struct error *error, int status)
{
	(void)fprintf(stderr, "nowcast %s: %s\n", r->name, error->text);
	return error->code == NC_ERR_NOMEM ? EXIT_FAILED : status;
}

/* What has to be there before the log is. EXIT_DONE: go on. */
static int prepare(struct runner *r, const struct command_line *line)
{
	struct error error;
	int status;

	if (r->launch.by_hand) {
		if (make_launch(r, line, &error) != NC_OK)
			return fail(r, &error, EXIT_USAGE);
		r->config = applet_load_config(r->name, line->config_file, &status);
		if (r->config == NULL)
			return status;
	}
	r->program = config_find_program(r->config, r->name);
	if (r->applet == NULL && !command_has_name(r->program)) {
		if (config_find_worker(r->config, r->name) == NULL)
			return EXIT_NO_SUCH_THING;
		(void)error_set(&error, NC_ERR_INVALID,
			"%s: there is no program for this worker: it is not built in, and "
			"`workers:` has no command for it",
			r->config->file);
		return fail(r, &error, EXIT_BAD_CONFIG);
	}
	if (line->help)
		return show_program_help(r);
	if (!r->debug && config_prepare_state(r->config, &error) != NC_OK)
		return fail(r, &error, EXIT_FAILED);
	if (log_create(r->config, r->name, r->debug ? LOG_MODE_DEBUG : LOG_MODE_NORMAL, &r->log,
		    &error) != NC_OK)
		return fail(r, &error, EXIT_BAD_CONFIG);
	if (!r->debug && r->launch.by_hand)
		keep_claim(r, r->config->state_directory);
	return keep_claim_status(r);
}

/* A launch of the manager's is claimed before anything else is read: the second runner of one ends here, or
 * where it can say so. Returns EXIT_DONE, or the exit status. */
static int receive(struct runner *r)
{
	struct error error;
	enum nc_err err = launch_receive(&r->launch, &error);

	r->launch.by_hand = err == NC_ERR_NOT_FOUND;
	if (r->launch.by_hand)
		return EXIT_DONE;
	if (err == NC_OK) {
		keep_claim(r, r->launch.state_directory);
		err = launch_load_config(&r->launch, &r->config, &error);
	}
	return err == NC_OK ? EXIT_DONE : fail(r, &error, EXIT_FAILED);
}

int runner_main(const struct applet *applet, const char *name, int argc, char **argv)
{
	struct runner r = { .name = name, .applet = applet, .claim_fd = -1 };
	struct command_line line = { 0 };
	int status;

	r.output.standard = (struct follower){ .fd = -1, .level = LEVEL_INFO };
	r.output.errors = (struct follower){ .fd = -1, .level = LEVEL_WARNING };
	buffer_init(&r.output.standard.line);
	buffer_init(&r.output.errors.line);
	r.channel.fd = -1;
	status = receive(&r);
	if (status != EXIT_DONE) {
		finish(&r);
		return status;
	}
	if (applet != NULL) {
		if (!applet_parse(applet, argc, argv, &r.args, &status)) {
			finish(&r);
			return status;
		}
		line.config_file = cli_text(r.args, "config_file");
	} else {
		status = parse_program(name, argc, argv, &line);
		if (status != EXIT_DONE) {
			finish(&r);
			return status;
		}
	}
	r.debug = line.debug;
	if (take_arguments(&line, argc, argv))
		status = prepare(&r, &line);
	else
		status = fail(&r, &(struct error){ .text = "out of memory" }, EXIT_FAILED);
	if (status == EXIT_DONE && r.log != NULL && r.claim_err == NC_OK)
		status = run(&r);
	finish(&r);
	free(line.arguments);
	return status;
}
