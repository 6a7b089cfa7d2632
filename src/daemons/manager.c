/*
 * The manager: the one that knows. It carries out what the brain (core/decide/brain.h) judges, in this
 * order for each message: the checklist that is cleared into its log, checklist file, reply, log lines,
 * launches. One thread owns the state; the message library only queues.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/decide/brain.h"
#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/system/net.h"
#include "core/system/sys.h"
#include "core/work/contract.h"
#include "core/work/launch.h"
#include "daemons/daemon.h"
#include "daemons/manager_checklist.h"
#include "daemons/supervisor.h"

enum {
	CONTEXTS = 64,
	RETRY_WRITE_MS = 5000,
	RULES_BYTES_MOST = 16 << 20,
};

struct manager {
	struct daemon daemon;
	struct brain *brain;
	struct rules *rules;
	struct stat rules_status; /* of the file that was read last; all zero: none */
	struct net_replier *replier;
	int lock_fd;
	struct loop_timer *write_timer; /* while the checklist file cannot be written */
	struct runner_child *runners;
};

/* A runner of ours. */
struct runner_child {
	struct manager *manager;
	char launch_id[ID_TEXT_SIZE];
	struct runner_child *next;
};

/* --- the checklist file --- */

static void write_checklist(void *argument)
{
	struct manager *m = argument;
	struct error error;
	enum nc_err err = checklist_write(
		m->daemon.config->checklist_file, brain_checklist(m->brain), &error);

	if (err == NC_OK && m->write_timer != NULL) {
		loop_timer_cancel(m->write_timer);
		m->write_timer = NULL;
		log_info(m->daemon.log, "the checklist file is written again");
	} else if (err != NC_OK && m->write_timer == NULL) {
		log_critical(m->daemon.log,
			"the checklist file cannot be written: %s; the checklist is kept in "
			"memory, and the file is tried again every %d s",
			error.text, RETRY_WRITE_MS / 1000);
		(void)loop_timer_start(m->daemon.loop, RETRY_WRITE_MS, true, write_checklist, m,
			&m->write_timer, NULL);
	}
}

/* true: go on. */
static bool read_checklist(struct manager *m)
{
	const char *file = m->daemon.config->checklist_file;
	struct value *checklist = NULL;
	struct error error;
	enum nc_err err;

	if (cli_flag(m->daemon.args, "--ignore-checklist"))
		return true;
	err = checklist_read(file, &checklist, &error);
	if (err == NC_OK) {
		brain_set_checklist(m->brain, checklist);
		log_info(m->daemon.log, "checklist read from %s", file);
		return true;
	}
	if (err == NC_ERR_NOT_FOUND) {
		log_warning(m->daemon.log, "checklist load failed: %s", error.text);
		log_warning(m->daemon.log, "running with empty checklist");
		return true;
	}
	log_critical(m->daemon.log,
		"the checklist file is damaged and was not touched: %s; mend it, or move it away "
		"to begin with an empty one",
		error.text);
	m->daemon.status = EXIT_STATE_DAMAGED;
	return false;
}

/* --- the rules file --- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum nc_err load_rules(const struct config *config, struct rules **ret_rules,
	struct findings *findings, struct error *error)
{
	struct buffer text;
	enum nc_err err;

	buffer_init(&text);
	err = file_read(config->rules_file, RULES_BYTES_MOST, &text, error);
	if (err == NC_OK)
		err = rules_read(config->rules_file, text.data, text.len, config, ret_rules,
			findings, error);
	buffer_finish(&text);
	return err;
}

/* Of what is no error. Where and what is for `nowcast check` to tell. */
static void log_findings(struct manager *m, const struct findings *findings)
{
	size_t warnings = findings_count(findings, SEVERITY_WARNING);
	size_t left_out = findings_count(findings, SEVERITY_NOTE);

	if (warnings > 0)
		log_warning(m->daemon.log,
			"the rules have %zu warning%s; `nowcast check` lists them", warnings,
			warnings == 1 ? "" : "s");
	if (left_out > 0)
		log_warning(m->daemon.log,
			"at %zu place%s the rules use what this version does not know, and these "
			"rules are not used; `nowcast check` lists them",
			left_out, left_out == 1 ? "" : "s");
}

/* NULL: they cannot be used, and it was said why, unless there is no such file: NC_ERR_NOT_FOUND. */
static struct rules *read_rules(
	struct manager *m, const struct config *config, enum nc_err *ret_err, struct error *error)
{
	struct rules *rules = NULL;
	struct findings findings;

	findings_init(&findings);
	memset(&m->rules_status, 0, sizeof(m->rules_status));
	(void)stat(config->rules_file, &m->rules_status);
	*ret_err = load_rules(config, &rules, &findings, error);
	if (*ret_err == NC_OK) {
		log_info(m->daemon.log, "next workers module loaded from %s", config->rules_file);
		log_findings(m, &findings);
	} else if (*ret_err != NC_ERR_NOT_FOUND) {
		size_t errors = findings_count(&findings, SEVERITY_ERROR);

		log_critical(m->daemon.log, "the rules cannot be used: %s", error->text);
		if (errors > 1)
			log_critical(m->daemon.log,
				"that is the first of %zu errors; `nowcast check` lists them",
				errors);
	}
	findings_finish(&findings);
	return rules;
}

/* At the start, and for a new configuration: where there is no file, there are no rules. */
static struct rules *read_rules_first(struct manager *m, const struct config *config)
{
	struct error error = { 0 };
	enum nc_err err;
	struct rules *rules = read_rules(m, config, &err, &error);

	if (err != NC_ERR_NOT_FOUND)
		return rules;
	log_warning(m->daemon.log,
		"there are no rules for what to launch next: %s; workers are heard, and nothing is "
		"launched after them",
		error.text);
	return rules_none();
}

/* Before each message: a file that has changed is read again; a bad one changes nothing, said once. One that
 * has gone or is empty is half way through somebody's editor: it does not say that nothing be launched. */
static void refresh_rules(struct manager *m)
{
	struct stat status = { 0 };
	struct rules *rules = NULL;
	struct error error = { 0 };
	enum nc_err err = NC_OK;

	(void)stat(m->daemon.config->rules_file, &status);
	if (same_file(&status, &m->rules_status))
		return;
	if (status.st_nlink > 0 && status.st_size == 0) {
		m->rules_status = status;
		log_critical(m->daemon.log, "the rules cannot be used: %s is empty",
			m->daemon.config->rules_file);
	} else {
		rules = read_rules(m, m->daemon.config, &err, &error);
	}
	if (err == NC_ERR_NOT_FOUND)
		log_critical(m->daemon.log, "the rules cannot be used: %s", error.text);
	if (rules == NULL) {
		log_critical(m->daemon.log, "the rules that were in force stay in force");
		return;
	}
	brain_configure(m->brain, m->daemon.config, rules);
	rules_destroy(m->rules);
	m->rules = rules;
}

/* --- carrying out --- */

static void carry_out(struct manager *m, struct transaction *t);

static void carry_out_end(
	struct manager *m, enum nc_err err, struct transaction *t, const struct error *error)
{
	if (err != NC_OK) {
		log_critical(
			m->daemon.log, "the end of a launch could not be handled: %s", error->text);
		return;
	}
	carry_out(m, t);
}

static void remove_runner(struct runner_child *child)
{
	struct runner_child **at = &child->manager->runners;

	while (*at != NULL && *at != child)
		at = &(*at)->next;
	if (*at != NULL)
		*at = child->next;
	free(child);
}

/* At the end: they run on, and report by themselves. */
static void forget_runners(struct manager *m)
{
	struct runner_child *child = m->runners, *next;

	for (; child != NULL; child = next) {
		next = child->next;
		free(child);
	}
	m->runners = NULL;
}

/* Of a runner that has not reported: what its end means for whoever reads the log. */
static void print_runner_end(int status, struct buffer *out)
{
	buffer_append_text(out, WIFSIGNALED(status) ? "runner " : "runner ended with ");
	contract_end_words(status, out);
	if (WIFSIGNALED(status))
		return;
	buffer_append_text(out, " and without a report");
	if (WEXITSTATUS(status) == EXIT_USAGE)
		buffer_append_text(
			out, ": the arguments are wrong; the same command by hand says why");
	else if (WEXITSTATUS(status) == EXIT_BAD_CONFIG)
		buffer_append_text(
			out, ": it cannot run by this configuration; `nowcast check` says why");
}

static void runner_ended(void *argument, pid_t pid, int status, const struct rusage *usage)
{
	struct runner_child *child = argument;
	struct manager *m = child->manager;
	struct transaction t;
	struct error error;
	struct buffer reason;

	buffer_init(&reason);
	print_runner_end(status, &reason);
	carry_out_end(m,
		brain_runner_ended(m->brain, child->launch_id,
			reason.failed ? "runner ended" : reason.data, clock_real_ns(), &t, &error),
		&t, &error);
	buffer_finish(&reason);
	remove_runner(child);
}

static enum nc_err start_runner(
	struct manager *m, const struct brain_launch *wanted, struct error *error)
{
	struct launch launch = { .worker = wanted->worker,
		.arguments = wanted->arguments,
		.arguments_count = wanted->arguments_count,
		.why = wanted->why,
		.attempt = 1 };
	struct runner_child *child = calloc(1, sizeof(*child));
	struct transaction started;
	enum nc_err err;
	pid_t pid;

	if (child == NULL)
		return error_nomem(error);
	child->manager = m;
	(void)snprintf(child->launch_id, sizeof(child->launch_id), "%s", wanted->id);
	(void)snprintf(launch.id, sizeof(launch.id), "%s", wanted->id);
	(void)snprintf(launch.token, sizeof(launch.token), "%s", wanted->token);
	err = launcher_local.start(launcher_local.argument, &launch, m->daemon.config, &pid, error);
	if (err != NC_OK) {
		free(child);
		return err;
	}
	log_debug(m->daemon.log, "%s runs in process %d", wanted->worker, (int)pid);
	(void)brain_launch_started(
		m->brain, wanted->id, pid, NULL, clock_real_ns(), &started, NULL);
	if (loop_child_watch(m->daemon.loop, pid, runner_ended, child, NULL, error) != NC_OK) {
		/* It runs and will report by itself; only a runner that is killed would go unseen. */
		log_error(m->daemon.log, "%s runs unwatched: %s", wanted->worker, error->text);
		free(child);
	} else {
		child->next = m->runners;
		m->runners = child;
	}
	return NC_OK;
}

static void print_command(const struct brain_launch *launch, struct buffer *out)
{
	buffer_append_text(out, launch->worker);
	for (size_t i = 0; i < launch->arguments_count; i++) {
		bool blank = launch->arguments[i][0] == '\0' ||
			     strpbrk(launch->arguments[i], " \t") != NULL;

		buffer_printf(out, blank ? " \"%s\"" : " %s", launch->arguments[i]);
	}
	if (strcmp(launch->host, "localhost") != 0)
		buffer_printf(out, " on %s", launch->host);
}

static void make_launch(struct manager *m, const struct brain_launch *launch)
{
	struct transaction t;
	struct buffer command;
	struct error error = { 0 };
	enum nc_err err;

	buffer_init(&command);
	print_command(launch, &command);
	if (strcmp(launch->host, "localhost") != 0) {
		err = error_set(&error, NC_ERR_INVALID,
			"launches on other hosts than localhost are not possible yet (%s)",
			launch->host);
	} else {
		log_info(m->daemon.log, "launching %s", command.data);
		err = start_runner(m, launch, &error);
	}
	if (err != NC_OK) {
		log_critical(m->daemon.log, "%s was not launched: %s", command.data, error.text);
		err = brain_launch_started(
			m->brain, launch->id, -1, error.text, clock_real_ns(), &t, &error);
		carry_out_end(m, err, &t, &error);
	}
	buffer_finish(&command);
}

/* All that a transaction asks for, but its reply. */
/* The blocks among the notes (the checklist that is being cleared), or the other ones. */
static void log_notes(struct manager *m, const struct transaction *t, bool blocks)
{
	for (size_t i = 0; i < t->notes_count; i++) {
		const struct brain_note *note = &t->notes[i];
		const struct log_record record = {
			.logger = note->logger != NULL ? note->logger : "manager",
			.level = note->level,
			.message = note->text,
			.keep_newlines = note->block,
		};

		if (note->block == blocks &&
			(note->logger == NULL || log_has_handlers(m->daemon.log, record.logger)))
			log_record(m->daemon.log, &record);
	}
}

/* What comes behind the reply. */
static void carry_out(struct manager *m, struct transaction *t)
{
	log_notes(m, t, false);
	for (size_t i = 0; i < t->launches_count; i++)
		make_launch(m, &t->launches[i]);
	transaction_finish(t);
}

static void answer_retry_later(struct net_request *request)
{
	static const char words[] =
		"{source: manager, type: retry later, payload: out of memory}\n";

	net_answer(request, words, strlen(words));
}

static void message_came(void *argument, struct net_request *request, const char *bytes, size_t len)
{
	struct manager *m = argument;
	struct transaction t;
	struct buffer reply;
	struct error error;

	refresh_rules(m);
	if (brain_handle(m->brain, bytes, len, clock_real_ns(), &t, &error) != NC_OK) {
		log_critical(m->daemon.log,
			"a message could not be handled: %s; the sender is told to "
			"come again later",
			error.text);
		answer_retry_later(request);
		return;
	}
	buffer_init(&reply);
	message_write(&t.reply, &reply);
	/* What is cleared is kept in the log only: it is there before it is nowhere else. */
	log_notes(m, &t, true);
	if (t.checklist_changed)
		write_checklist(m);
	if (reply.failed)
		answer_retry_later(request);
	else
		net_answer(request, reply.data, reply.len);
	buffer_finish(&reply);
	carry_out(m, &t);
}

/* --- beginning and end --- */

/* One manager on one state (R11). The lock goes with the process, however it ends. */
static bool take_lock(struct manager *m)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct buffer path;
	struct error error;
	bool taken = false;

	buffer_init(&path);
	if (config_state_path(m->daemon.config, "manager.lock", &path, &error) != NC_OK) {
		log_critical(m->daemon.log, "%s", error.text);
	} else {
		m->lock_fd = sys_open(path.data, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
		taken = m->lock_fd >= 0 && fcntl(m->lock_fd, F_OFD_SETLK, &lock) == 0;
		if (!taken && m->lock_fd >= 0 && (errno == EAGAIN || errno == EACCES)) {
			log_critical(m->daemon.log, "another manager holds the state in %s",
				m->daemon.config->state_directory);
			m->daemon.status = EXIT_TRY_AGAIN;
		} else if (!taken) {
			log_critical(
				m->daemon.log, "cannot lock %s: %s", path.data, strerror(errno));
		}
	}
	buffer_finish(&path);
	return taken;
}

static bool connect_to_broker(struct manager *m)
{
	struct buffer url;
	struct error error;
	enum nc_err err;

	buffer_init(&url);
	buffer_append_text(&url, "ipc://");
	err = config_state_path(m->daemon.config, STATE_BROKER_NET, &url, &error);
	if (err == NC_OK)
		err = net_replier_create(m->daemon.loop, url.data, NET_DIAL, CONTEXTS, message_came,
			m, &m->replier, &error);
	if (err == NC_OK)
		log_info(m->daemon.log, "connecting to the message broker at %s", url.data);
	else
		log_critical(m->daemon.log, "%s", error.text);
	buffer_finish(&url);
	return err == NC_OK;
}

static bool reload(void *argument, struct config *config)
{
	struct manager *m = argument;
	struct rules *rules;

	/* Sockets, lock and launches are in the old one. */
	if (strcmp(config->state_directory, m->daemon.config->state_directory) != 0) {
		log_error(m->daemon.log,
			"another state directory (%s) needs a restart; the configuration before "
			"stays in force",
			config->state_directory);
		return false;
	}
	rules = read_rules_first(m, config);
	if (rules == NULL) {
		log_error(m->daemon.log, "the configuration and rules before stay in force");
		return false;
	}
	brain_configure(m->brain, config, rules);
	rules_destroy(m->rules);
	m->rules = rules;
	return true;
}

/* From here on the daemon stands: its parts one by one. */
static bool begin(struct manager *m)
{
	struct error error;

	m->daemon.status = EXIT_FAILED;
	if (!take_lock(m))
		return false;
	m->rules = read_rules_first(m, m->daemon.config);
	if (m->rules == NULL) {
		m->daemon.status = EXIT_BAD_CONFIG;
		return false;
	}
	if (brain_create(m->daemon.config, m->rules, &m->brain, &error) != NC_OK) {
		log_critical(m->daemon.log, "%s", error.text);
		return false;
	}
	if (!read_checklist(m) || !connect_to_broker(m))
		return false;
	m->daemon.status = EXIT_DONE;
	return true;
}

static int manager_run(const struct applet *self, int argc, char **argv)
{
	struct manager m = { .lock_fd = -1 };
	int kept = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--supervised") != 0)
			argv[kept++] = argv[i];
	}
	if (kept < argc)
		return supervisor_run_manager_only(kept, argv);
	if (!daemon_start(&m.daemon, self, argc, argv, LOG_MODE_NORMAL))
		return m.daemon.status;
	m.daemon.reload = reload;
	m.daemon.reload_argument = &m;
	if (begin(&m)) {
		log_debug(m.daemon.log, "listening...");
		daemon_ready(&m.daemon);
		daemon_run(&m.daemon);
		if (m.write_timer != NULL)
			write_checklist(&m);
	}
	forget_runners(&m);
	net_replier_destroy(m.replier);
	brain_destroy(m.brain);
	rules_destroy(m.rules);
	if (m.lock_fd >= 0)
		(void)sys_close(m.lock_fd);
	return daemon_finish(&m.daemon);
}

static const struct cli_option manager_options[] = {
	{ .name = "--ignore-checklist",
		.kind = CLI_KIND_FLAG,
		.help = "Don't load the serialized checklist left by a previously running manager "
			"instance." },
	{ .name = "--supervised",
		.kind = CLI_KIND_FLAG,
		.help = "Run the manager as the only child of a supervisor, which starts it again "
			"whenever it ends." },
	CLI_END,
};

const struct applet applet_manager = {
	.name = "manager",
	.kind = APPLET_DAEMON,
	.summary = "keep the checklist, hear workers, launch the next ones",
	.description =
		"Keeps the state of the system in the checklist, hears from each worker what "
		"became of it, and launches the workers that the rules say are next. Runs in the "
		"foreground until it gets SIGTERM or SIGINT; SIGHUP makes it read its "
		"configuration and rules again.",
	.options = manager_options,
	.run = manager_run,
};
