/*
 * The manager: the one that knows. It carries out what the brain (core/decide/brain.h) judges, in this
 * order for each message: COMMIT, reply, log lines, launches; the checklist file when nothing waits. One
 * thread owns the state; the message library only queues.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/system/state_lock.h"
#include "core/system/sys.h"
#include "daemons/manager_internal.h"
#include "daemons/supervisor.h"

enum {
	CONTEXTS = 64,
};

/* --- beginning and end --- */

/* One manager on one state (R11). */
static bool take_lock(struct manager *m)
{
	struct error error;
	enum nc_err err = state_lock_take(m->daemon.config, &m->lock_fd, &error);

	if (err == NC_OK)
		return true;
	log_critical(m->daemon.log, "%s", error.text);
	if (err == NC_ERR_REFUSED)
		m->daemon.status = EXIT_TRY_AGAIN;
	return false;
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
		err = net_replier_create(m->daemon.loop, url.data, NET_DIAL, CONTEXTS,
			messages_came, m, &m->replier, &error);
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

	messages_settle(m);
	/* Sockets, lock and launches are in the old one. */
	if (strcmp(config->state_directory, m->daemon.config->state_directory) != 0) {
		log_error(m->daemon.log,
			"another state directory (%s) needs a restart; the configuration before "
			"stays in force",
			config->state_directory);
		return false;
	}
	rules = manager_rules_read(m, config);
	if (rules == NULL) {
		log_error(m->daemon.log, "the configuration and rules before stay in force");
		return false;
	}
	if (strcmp(config->checklist_file, m->daemon.config->checklist_file) != 0)
		export_elsewhere(m);
	brain_configure(m->brain, config, rules);
	rules_destroy(m->rules);
	m->rules = rules;
	return true;
}

static bool read_boot(struct manager *m)
{
	struct buffer text;
	struct error error = { 0 };
	enum nc_err err;

	buffer_init(&text);
	err = file_read("/proc/sys/kernel/random/boot_id", 4096, &text, &error);
	if (err == NC_OK)
		(void)snprintf(
			m->boot, sizeof(m->boot), "%.*s", (int)strcspn(text.data, "\n"), text.data);
	else
		log_critical(m->daemon.log, "it is not known which boot of the machine this is: %s",
			error.text);
	buffer_finish(&text);
	return err == NC_OK;
}

static bool open_state(struct manager *m)
{
	struct error error = { 0 };
	enum nc_err err = store_open(m->daemon.config->state_directory, &m->store, &error);

	if (err == NC_OK)
		err = brain_create(
			m->daemon.config, m->rules, m->store, m->boot, &m->brain, &error);
	if (err == NC_OK)
		return true;
	log_critical(m->daemon.log, "%s", error.text);
	if (err == NC_ERR_INVALID) {
		log_critical(m->daemon.log,
			"nothing was changed: `nowcast restore` puts a copy into its place; copies "
			"of each hour are in %s/backups",
			m->daemon.config->state_directory);
		m->daemon.status = EXIT_STATE_DAMAGED;
	} else if (err == NC_ERR_REFUSED) {
		m->daemon.status = EXIT_STATE_DAMAGED;
	}
	return false;
}

/* When something has happened: what waits is committed and answered, then the export is made. */
static void before_wait(void *argument)
{
	struct manager *m = argument;

	messages_settle(m);
	export_when_idle(m);
	recovery_when_idle(m);
}

/* From here on the daemon stands: its parts one by one. */
static bool begin(struct manager *m)
{
	m->daemon.status = EXIT_FAILED;
	if (!take_lock(m))
		return false;
	m->rules = manager_rules_read(m, m->daemon.config);
	if (m->rules == NULL) {
		m->daemon.status = EXIT_BAD_CONFIG;
		return false;
	}
	if (!read_boot(m) || !open_state(m) || !export_begin(m) || !copies_begin(m) ||
		!door_open(m) || !connect_to_broker(m))
		return false;
	loop_before_wait(m->daemon.loop, before_wait, m);
	recovery_look(m);
	messages_set_deadline(m);
	programs_start(m);
	m->daemon.status = EXIT_DONE;
	return true;
}

static void end(struct manager *m)
{
	if (m->brain != NULL) {
		messages_settle(m);
		export_finish(m);
	}
	copies_finish(m);
	programs_finish(m);
	recovery_finish(m);
	launches_forget(m);
	loop_timer_cancel(m->deadline_timer);
	door_server_destroy(m->door);
	net_replier_destroy(m->replier);
	brain_destroy(m->brain);
	store_close(m->store);
	rules_destroy(m->rules);
	if (m->lock_fd >= 0)
		(void)sys_close(m->lock_fd);
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
	}
	end(&m);
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
