/*
 * The supervisor: starts daemons and programs, each when those that it comes after are ready, watches them,
 * starts again what ends, and stops them in the reverse order. What one's states are is in
 * supervisor_child.c.
 *
 * When the supervisor itself is killed, its daemons see that by a pipe, and end in the reverse order too:
 * each has the reading end of a pipe of its own, whose writing end the supervisor and all later daemons
 * hold. Programs get a TERM from the kernel. Workers go on. A new supervisor waits for what is left of the
 * old one (by a mark in its environment), kills what does not end, and starts all anew.
 */
#include "daemons/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/system/sys.h"
#include "daemons/supervisor_internal.h"

enum {
	LEFTOVERS_MOST = 256,
	LEFTOVER_LOOK_MS = 50,
	STRANGER_LOOK_MS = 200,
	LOCK_WAIT_MS = 1000,
};

/* --- who comes after whom --- */

static size_t index_of(const struct supervisor *s, const struct child *child)
{
	size_t i = 0;

	while (s->children[i] != child)
		i++;
	return i;
}

static bool is_after(const struct supervisor *s, const struct child *a, const struct child *b)
{
	if (a->daemon)
		return b->daemon && index_of(s, b) < index_of(s, a);
	for (unsigned i = 0; a->program != NULL && i < a->program->after_count; i++)
		if (strcmp(a->program->after[i], b->name) == 0)
			return true;
	return false;
}

const struct child *supervisor_waits_for(const struct supervisor *s, const struct child *child)
{
	if (child->state != CHILD_STOPPED || !child->wanted)
		return NULL;
	for (size_t i = 0; i < s->count; i++) {
		const struct child *other = s->children[i];

		/* One that was stopped by hand is nothing to wait for. */
		if (other->wanted && other->state != CHILD_RUNNING && is_after(s, child, other))
			return other;
	}
	return NULL;
}

static bool has_to_wait_for_end(const struct supervisor *s, const struct child *child)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->children[i]->state != CHILD_STOPPED && is_after(s, s->children[i], child))
			return true;
	return false;
}

struct child *supervisor_find(const struct supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->children[i]->name, name) == 0 &&
			(s->children[i]->daemon || s->children[i]->program != NULL))
			return s->children[i];
	return NULL;
}

bool supervisor_shows(const struct child *child)
{
	return child->daemon || child->program != NULL || child->state != CHILD_STOPPED;
}

/* --- start and stop --- */

static void look_whether_all_are_ready(struct supervisor *s)
{
	size_t daemons = 0, programs = 0;
	bool all = true;

	for (size_t i = 0; i < s->count; i++) {
		const struct child *child = s->children[i];

		if (!child->wanted)
			continue;
		*(child->daemon ? &daemons : &programs) += 1;
		all = all && child->state == CHILD_RUNNING;
	}
	if (all && !s->all_ready && daemons > 0 && programs == 0)
		log_info(s->daemon.log, "all %zu daemons are ready", daemons);
	else if (all && !s->all_ready && programs > 0)
		log_info(s->daemon.log, "all %zu daemons and %zu programs are ready", daemons,
			programs);
	s->all_ready = all;
	if (all && !s->was_ready) {
		s->was_ready = true;
		daemon_ready(&s->daemon);
	}
}

/*
 * Start those whose turn it is. One that has ended starts again by itself, and holds up nobody who runs;
 * those that have never run wait for it.
 */
static void start_some(struct supervisor *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct child *child = s->children[i];

		if (s->started && child->wanted && child->state == CHILD_STOPPED &&
			supervisor_waits_for(s, child) == NULL)
			child_start(child);
	}
	if (s->started)
		look_whether_all_are_ready(s);
}

/* Stop those that nobody runs after; when there is none, the supervisor is done. */
static void stop_some(struct supervisor *s)
{
	bool all_stopped = true;

	for (size_t i = s->count; i > 0; i--) {
		struct child *child = s->children[i - 1];

		if (child->state != CHILD_STOPPED && child->state != CHILD_STOPPING &&
			!has_to_wait_for_end(s, child))
			child_stop(child);
		all_stopped = all_stopped && child->state == CHILD_STOPPED;
	}
	if (all_stopped)
		loop_stop(s->daemon.loop, EXIT_DONE);
}

static void child_changed(void *argument, struct child *child)
{
	struct supervisor *s = argument;

	if (s->stopping)
		stop_some(s);
	else
		start_some(s);
}

void supervisor_stop_all(struct supervisor *s, bool restart)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->restarting = restart;
	if (!restart)
		daemon_stopping(&s->daemon);
	/* One that ends by itself while others are being stopped is not started again. */
	for (size_t i = 0; i < s->count; i++)
		s->children[i]->wanted = s->children[i]->restart_wanted = false;
	stop_some(s);
}

static void stop_on_signal(void *argument, int signo)
{
	struct supervisor *s = argument;

	if (s->stopping) {
		s->restarting = false;
		return;
	}
	log_info(s->daemon.log,
		signo == SIGINT ? "interrupt signal (SIGINT or Ctrl-C) received; shutting down"
				: "termination signal (SIGTERM) received; shutting down");
	supervisor_stop_all(s, false);
}

/* --- the binary --- */

int supervisor_open_binary(struct supervisor *s)
{
	struct stat on_disk, own;
	int fd;

	if (stat("/proc/self/exe", &own) == 0 && stat(s->binary, &on_disk) == 0 &&
		own.st_dev == on_disk.st_dev && own.st_ino == on_disk.st_ino)
		return -1;
	fd = access(s->binary, X_OK) == 0 ? sys_open(s->binary, O_PATH, 0) : -1;
	if (fd < 0)
		log_warning(s->daemon.log,
			"%s cannot be executed (%s); the binary that runs is used again", s->binary,
			strerror(errno));
	return fd;
}

/* The path by which this process was started, absolute; to be freed. NULL: out of memory. */
static char *own_path(void)
{
	/* The kernel puts it there; a number, by the way of its kind. */
	const char *given = (const char *)(uintptr_t)getauxval(AT_EXECFN);
	char target[4096], *here, *path;
	ssize_t len;

	if (given != NULL && strncmp(given, "/proc/", 6) != 0) {
		if (given[0] == '/')
			return strdup(given);
		here = getcwd(NULL, 0);
		path = here != NULL ? path_join(here, given) : NULL;
		free(here);
		return path;
	}
	len = readlink("/proc/self/exe", target, sizeof(target) - 1);
	if (len < 0)
		return strdup("/proc/self/exe");
	target[len] = '\0';
	return strdup(target);
}

void supervisor_restart_child(struct supervisor *s, struct child *child, int binary_fd)
{
	s->all_ready = false;
	child_restart(child, binary_fd);
}

/* --- what another supervisor has left --- */

static void start_all(struct supervisor *s)
{
	s->started = true;
	start_some(s);
}

static void kill_leftover(struct supervisor *s, const struct spawn_leftover *leftover, int signo)
{
	if (sys_kill(leftover->pid, signo) < 0 && errno != ESRCH)
		log_error(s->daemon.log, "cannot send signal %d to process %d: %s", signo,
			(int)leftover->pid, strerror(errno));
}

static void wait_for_leftovers(void *argument);

static void look_for_leftovers(struct supervisor *s, bool first)
{
	struct spawn_leftover leftovers[LEFTOVERS_MOST];
	size_t count = spawn_find_leftovers(s->mark, leftovers, ARRAY_LEN(leftovers));
	bool late = !first && clock_mono_ms() >= s->leftover_end_ms;
	struct error error;

	if (count == 0) {
		if (!first)
			log_info(s->daemon.log, "all of them have ended");
		start_all(s);
		return;
	}
	if (first)
		log_warning(s->daemon.log,
			"%zu process%s of a supervisor that was killed %s still there; waiting for "
			"their end",
			count, count == 1 ? "" : "es", count == 1 ? "is" : "are");
	for (size_t i = 0; i < count; i++) {
		/* Daemons end by themselves, in order. */
		if (first && !leftovers[i].daemon)
			kill_leftover(s, &leftovers[i], SIGTERM);
		if (!late)
			continue;
		log_warning(s->daemon.log, "process %d does not end; it is killed",
			(int)leftovers[i].pid);
		kill_leftover(s, &leftovers[i], SIGKILL);
	}
	if (loop_timer_start(s->daemon.loop, LEFTOVER_LOOK_MS, false, wait_for_leftovers, s,
		    &s->leftover_timer, &error) != NC_OK) {
		log_critical(s->daemon.log, "%s", error.text);
		loop_stop(s->daemon.loop, EXIT_FAILED);
	}
}

static void wait_for_leftovers(void *argument)
{
	struct supervisor *s = argument;

	s->leftover_timer = NULL;
	if (!s->stopping)
		look_for_leftovers(s, false);
}

/* --- other people's children --- */

static bool is_own_child(const struct supervisor *s, pid_t pid)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->children[i]->pid == pid)
			return true;
	return false;
}

/*
 * As process 1 of a container, or as the subreaper that somebody has made of us, we get the children of
 * those that have ended. They are reaped; our own are by their watches.
 */
static void reap_strangers(struct supervisor *s)
{
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		if (is_own_child(s, info.si_pid))
			break;
		(void)waitpid(info.si_pid, NULL, WNOHANG);
	}
}

static void look_for_strangers(void *argument)
{
	struct supervisor *s = argument;

	s->stranger_timer = NULL;
	reap_strangers(s);
}

static void somebody_ended(void *argument, int signo)
{
	struct supervisor *s = argument;

	reap_strangers(s);
	/* One of our own may have been in the way. */
	if (s->stranger_timer == NULL)
		(void)loop_timer_start(s->daemon.loop, STRANGER_LOOK_MS, false, look_for_strangers,
			s, &s->stranger_timer, NULL);
}

/* --- children by the configuration --- */

static bool is_distributed(const struct config *config)
{
	return value_map_get(config->logging, "aggregator") != NULL;
}

static void set_times(struct child *child, const struct config *config)
{
	const struct config_supervisor *section = &config->supervisor;

	child->times = (struct child_times){ section->restart_wait_ms, section->restart_at_most_ms,
		section->ready_time_ms, section->stop_time_ms };
	if (child->program != NULL) {
		child->times.ready_ms = child->program->ready_time_ms;
		child->times.stop_ms = child->program->stop_time_ms;
	}
}

static enum nc_err add_child(
	struct supervisor *s, const char *name, bool daemon, struct error *error)
{
	struct child **children = reallocarray(s->children, s->count + 1, sizeof(struct child *));
	struct child *child;
	enum nc_err err;

	if (children == NULL)
		return error_nomem(error);
	s->children = children;
	err = child_create(
		name, daemon, s->daemon.loop, &s->daemon.log, child_changed, s, &child, error);
	if (err != NC_OK)
		return err;
	child->start = (struct child_start){ .config = s->config_file,
		.debug = s->daemon.log_mode == LOG_MODE_DEBUG,
		.directory = s->daemon.config->directory,
		.mark = s->mark };
	/* Those before it live as long as it does. */
	for (size_t i = 0; daemon && i < s->count && i < CHILD_HOLDS_MOST; i++)
		child->start.holds[child->start.holds_count++] = s->children[i]->life_fds[1];
	s->children[s->count++] = child;
	return NC_OK;
}

static struct child *find_program(const struct supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (!s->children[i]->daemon && strcmp(s->children[i]->name, name) == 0)
			return s->children[i];
	return NULL;
}

/* A child for each program of the configuration; what one is comes later. */
static enum nc_err add_programs(
	struct supervisor *s, const struct config *config, struct error *error)
{
	const struct config_supervisor *section = &config->supervisor;
	enum nc_err err = NC_OK;

	for (unsigned i = 0; err == NC_OK && i < section->programs_count; i++)
		if (find_program(s, section->programs[i].name) == NULL)
			err = add_child(s, section->programs[i].name, false, error);
	return err;
}

static bool same_words(char *const *a, unsigned a_count, char *const *b, unsigned b_count)
{
	bool same = a_count == b_count;

	for (unsigned i = 0; same && i < a_count; i++)
		same = strcmp(a[i], b[i]) == 0;
	return same;
}

static void tell_of_change(const struct supervisor *s, const struct child *child,
	const struct config_supervised *new_program)
{
	const struct config_supervised *old_program = child->program;

	if (old_program != NULL && child->pid != 0 &&
		!same_words(old_program->command, old_program->command_count, new_program->command,
			new_program->command_count))
		log_warning(s->daemon.log,
			"the command of %s has changed in the configuration; `nowcast restart %s` "
			"acts on it",
			child->name, child->name);
}

/* From here on the programs are those of `config`; what is new is to run, what is gone to end. */
static void take_programs(struct supervisor *s, const struct config *config)
{
	const struct config_supervisor *section = &config->supervisor;

	for (size_t i = 0; i < s->count; i++) {
		struct child *child = s->children[i];
		const struct config_supervised *program = NULL;

		for (unsigned k = 0; k < section->programs_count; k++)
			if (!child->daemon && strcmp(section->programs[k].name, child->name) == 0)
				program = &section->programs[k];
		if (program != NULL) {
			child->wanted = child->wanted || child->program == NULL;
			tell_of_change(s, child, program);
		}
		child->program = program;
		child->start.directory = config->directory;
		set_times(child, config);
	}
	for (size_t i = 0; i < s->count; i++)
		if (!s->children[i]->daemon && s->children[i]->program == NULL &&
			(s->children[i]->wanted || s->children[i]->pid != 0))
			child_stop(s->children[i]);
}

/* The daemon base has read the configuration: each of the daemons reads it too. */
static bool reload(void *argument, struct config *config)
{
	struct supervisor *s = argument;
	struct error error;

	if (strcmp(config->state_directory, s->daemon.config->state_directory) != 0) {
		log_error(s->daemon.log,
			"another state directory (%s) needs a restart of all (`nowcast down`, with "
			"the configuration as it was); the configuration before stays in force",
			config->state_directory);
		return false;
	}
	if (s->stopping || add_programs(s, config, &error) != NC_OK) {
		log_error(s->daemon.log, "the configuration before stays in force: %s",
			s->stopping ? "the supervisor is ending" : error.text);
		return false;
	}
	if (is_distributed(config) != is_distributed(s->daemon.config))
		log_warning(s->daemon.log,
			"whether there is a log aggregator has changed in the configuration; "
			"restart the supervisor to act on it");
	take_programs(s, config);
	for (size_t i = 0; i < s->count; i++)
		child_reload(s->children[i]);
	start_some(s);
	return true;
}

/* --- beginning and end --- */

/*
 * A supervisor that was killed while it was starting a process leaves the lock, and the door, to that process
 * until its exec, a moment later. After that it has the mark by which we know what is left.
 */
static bool lock_soon(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int64_t end_ms = clock_mono_ms() + LOCK_WAIT_MS;

	while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if ((errno != EAGAIN && errno != EACCES) || clock_mono_ms() >= end_ms)
			return false;
		(void)poll(NULL, 0, 10); /* before the loop runs: nobody waits */
	}
	return true;
}

/* One supervisor on one state. The lock goes with the process, however it ends. */
static enum nc_err take_lock(struct supervisor *s, struct error *error)
{
	const struct config *config = s->daemon.config;
	char *path = path_join(config->state_directory, "supervisor.lock");
	enum nc_err err = NC_OK;

	if (path == NULL)
		return error_nomem(error);
	s->lock_fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0 || !lock_soon(s->lock_fd))
		err = s->lock_fd >= 0 && (errno == EAGAIN || errno == EACCES)
			      ? error_set(error, NC_ERR_REFUSED,
					"another supervisor runs for the state in %s; `nowcast "
					"status` shows it, `nowcast down` ends it",
					config->state_directory)
			      : error_errno(error, errno, "cannot lock %s", path);
	free(path);
	return err;
}

static enum nc_err begin(
	struct supervisor *s, const char *const *names, size_t count, struct error *error)
{
	const struct config *config = s->daemon.config;
	enum nc_err err = take_lock(s, error);

	if (err == NC_OK)
		err = spawn_state_mark(config->state_directory, s->mark, error);
	/* A reload replaces the configuration, and with it the text of the name. */
	s->config_file = strdup(config->file);
	s->binary = own_path();
	if (err == NC_OK && (s->config_file == NULL || s->binary == NULL))
		err = error_nomem(error);
	for (size_t i = 0; err == NC_OK && i < count; i++)
		err = add_child(s, names[i], true, error);
	if (err == NC_OK)
		err = add_programs(s, config, error);
	if (err == NC_OK)
		err = supervisor_open_door(s, error);
	if (err == NC_OK)
		err = loop_signal(s->daemon.loop, SIGTERM, stop_on_signal, s, error);
	if (err == NC_OK)
		err = loop_signal(s->daemon.loop, SIGINT, stop_on_signal, s, error);
	if (err == NC_OK)
		err = loop_signal(s->daemon.loop, SIGCHLD, somebody_ended, s, error);
	return err;
}

static void run_children(struct supervisor *s)
{
	s->daemon.reload = reload;
	s->daemon.reload_argument = s;
	s->leftover_end_ms = clock_mono_ms() + s->daemon.config->supervisor.stop_time_ms;
	for (size_t i = 0; i < s->count; i++)
		s->children[i]->wanted = s->children[i]->daemon;
	take_programs(s, s->daemon.config);
	look_for_leftovers(s, true);
	daemon_run(&s->daemon);
}

static void finish(struct supervisor *s)
{
	loop_timer_cancel(s->leftover_timer);
	loop_timer_cancel(s->stranger_timer);
	door_server_destroy(s->door);
	for (size_t i = 0; i < s->count; i++)
		child_destroy(s->children[i]);
	free(s->children);
	free(s->config_file);
	if (s->lock_fd >= 0)
		(void)sys_close(s->lock_fd);
}

/* The new one gets the arguments of this one. Returns when it cannot be: the exit status. */
static int begin_anew(const char *binary, const char *const *words, int argc, char **argv)
{
	char **all = calloc((size_t)argc + 4, sizeof(*all));
	size_t count = 0;

	if (all == NULL) {
		(void)fprintf(stderr, "nowcast supervisor: out of memory\n");
		return EXIT_FAILED;
	}
	for (size_t i = 0; words[i] != NULL; i++)
		all[count++] = (char *)(uintptr_t)words[i]; /* exec changes none */
	for (int i = 1; i < argc; i++)
		all[count++] = argv[i];
	(void)execv(binary, all);
	(void)execv("/proc/self/exe", all);
	(void)fprintf(
		stderr, "nowcast supervisor: cannot run %s again: %s\n", binary, strerror(errno));
	free(all);
	return EXIT_FAILED;
}

/*
 * `first_option`: of the first daemon, until it has been ready once. `words`: how the command line of this
 * process begins, for begin_anew().
 */
static int run(struct supervisor *s, const char *const *names, size_t count,
	const char *first_option, const char *const *words, int argc, char **argv)
{
	struct error error;
	bool restart = false;
	int status;

	s->lock_fd = -1;
	s->since_real_ns = clock_real_ns();
	if (begin(s, names, count, &error) == NC_OK) {
		s->children[0]->start.first_option = first_option;
		run_children(s);
		restart = s->restarting && s->daemon.status == EXIT_DONE;
	} else {
		log_critical(s->daemon.log, "the supervisor cannot begin: %s", error.text);
		(void)fprintf(stderr, "nowcast supervisor: %s\n", error.text);
		s->daemon.status = error.code == NC_ERR_REFUSED ? EXIT_TRY_AGAIN : EXIT_FAILED;
	}
	finish(s);
	if (restart) {
		log_info(s->daemon.log, "beginning anew, from %s", s->binary);
		restart = daemon_hand_over(&s->daemon);
	}
	status = daemon_finish(&s->daemon);
	if (restart)
		status = begin_anew(s->binary, words, argc, argv);
	free(s->binary);
	return status;
}

static int supervisor_run(const struct applet *self, int argc, char **argv)
{
	static const char *const names[] = { "log_aggregator", "message_broker", "manager",
		"scheduler" };
	static const char *const words[] = { "nowcast", "supervisor", NULL };
	struct supervisor s = { 0 };
	size_t skip;

	static_assert(ARRAY_LEN(names) <= CHILD_HOLDS_MOST, "each holds those before it");
	if (!daemon_start(&s.daemon, self, argc, argv, LOG_MODE_NORMAL))
		return s.daemon.status;
	skip = is_distributed(s.daemon.config) ? 0 : 1;
	return run(&s, names + skip, ARRAY_LEN(names) - skip, NULL, words, argc, argv);
}

extern const struct applet applet_supervisor;
extern const struct applet applet_manager;

int supervisor_run_manager_only(int argc, char **argv)
{
	static const char *const names[] = { "manager" };
	static const char *const words[] = { "nowcast", "manager", "--supervised", NULL };
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
	return run(
		&s, names, ARRAY_LEN(names), ignore ? ignore_checklist : NULL, words, kept, argv);
}

const struct applet applet_supervisor = {
	.name = "supervisor",
	.kind = APPLET_DAEMON,
	.summary = "start, watch and restart all daemons from one command",
	.description =
		"Starts the log aggregator (when the logging is distributed), the message broker, "
		"the manager and the scheduler, in this order, each when the one before is ready, "
		"and the programs that the configuration names; "
		"starts again what ends, and stops all of them when it gets SIGTERM or SIGINT. "
		"SIGHUP is passed on to all daemons.",
	.run = supervisor_run,
};
