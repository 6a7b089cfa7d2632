/* nowcast up: start a system in the background, and wait until all of it is ready. */
#include "commands/supervisor_order.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/system/sys.h"
#include "core/work/contract.h"

enum {
	CONSOLE_SHOWN_MOST = 1 << 20,
};

struct started {
	pid_t pid;  /* of the supervisor that was started here; 0: it ran already, or has ended */
	int status; /* of its end */
};

/* --- the supervisor --- */

static enum nc_err set_actions(
	posix_spawn_file_actions_t *actions, int console_fd, struct error *error)
{
	int code =
		posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	if (code == 0)
		code = posix_spawn_file_actions_adddup2(actions, console_fd, STDOUT_FILENO);
	if (code == 0)
		code = posix_spawn_file_actions_adddup2(actions, console_fd, STDERR_FILENO);
	return code == 0 ? NC_OK : error_errno(error, code, "cannot start the supervisor");
}

/* A session of its own: it goes on when the terminal is closed. */
static enum nc_err spawn_supervisor(
	const struct order *order, int console_fd, pid_t *ret_pid, struct error *error)
{
	char name[] = "nowcast", supervisor[] = "supervisor";
	char *argv[] = { name, supervisor, (char *)(uintptr_t)order->file, NULL };
	/* By the path by which this was started: it is the one that `restart` looks at. */
	const char *given = (const char *)(uintptr_t)getauxval(AT_EXECFN);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	enum nc_err err;
	int code = posix_spawn_file_actions_init(&actions);

	if (code != 0)
		return error_errno(error, code, "cannot start the supervisor");
	code = posix_spawnattr_init(&attributes);
	if (code == 0)
		code = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	err = code == 0 ? set_actions(&actions, console_fd, error)
			: error_errno(error, code, "cannot start the supervisor");
	if (err == NC_OK) {
		code = posix_spawn(ret_pid,
			given != NULL && access(given, X_OK) == 0 ? given : "/proc/self/exe",
			&actions, &attributes, argv, environ);
		if (code != 0)
			err = error_errno(error, code, "cannot start the supervisor");
	}
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return err;
}

static char *console_path(const struct order *order)
{
	return path_join(order->config->state_directory, SUPERVISOR_CONSOLE);
}

static enum nc_err start_supervisor(struct order *order, pid_t *ret_pid, struct error *error)
{
	enum nc_err err = config_prepare_state(order->config, error);
	char *path;
	int fd = -1;

	if (err != NC_OK)
		return err;
	path = console_path(order);
	if (path == NULL)
		return error_nomem(error);
	/* A new file: an old supervisor may still have the one before. */
	if ((sys_unlink(path) < 0 && errno != ENOENT) ||
		(fd = sys_open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600)) < 0)
		err = error_errno(error, errno, "cannot make %s", path);
	else
		err = spawn_supervisor(order, fd, ret_pid, error);
	if (fd >= 0)
		(void)sys_close(fd);
	free(path);
	return err;
}

/* --- waiting --- */

static int is_up(struct order *order, void *argument)
{
	struct started *started = argument;

	if (started->pid > 0 && waitpid(started->pid, &started->status, WNOHANG) == started->pid) {
		started->pid = 0;
		return EXIT_FAILED;
	}
	if (order->answer == NULL)
		return -1;
	if (value_as_bool(value_map_get(order->answer, "ready"), false))
		return EXIT_DONE;
	return supervisor_is_hopeless(order->answer) ? EXIT_FAILED : -1;
}

/* The supervisor that was started has ended: what it said, and its status. */
static int fail_ended(struct order *order, int status)
{
	char *path = console_path(order);
	struct buffer said, words;

	buffer_init(&said);
	buffer_init(&words);
	contract_end_words(status, &words);
	if (path != NULL)
		(void)file_read(path, CONSOLE_SHOWN_MOST, &said, NULL);
	while (said.len > 0 && said.data[said.len - 1] == '\n')
		said.data[--said.len] = '\0';
	status = WIFEXITED(status) && WEXITSTATUS(status) != EXIT_DONE ? WEXITSTATUS(status)
								       : EXIT_FAILED;
	(void)order_fail(order, status, "the supervisor has ended: %s%s%s", words.data,
		said.len > 0 ? "; it said:\n" : "", said.data);
	buffer_finish(&said);
	buffer_finish(&words);
	free(path);
	return status;
}

static int up(struct order *order)
{
	struct started started = { 0 };
	struct value *answer = NULL;
	struct error error;
	bool was_up = true;
	int status;
	enum nc_err err =
		supervisor_ask(order->config, SUPERVISOR_STATUS, NULL, &answer, &status, &error);

	value_destroy(answer);
	if (err == NC_ERR_CLOSED) {
		was_up = false;
		status = EXIT_FAILED;
		err = start_supervisor(order, &started.pid, &error);
	}
	if (err != NC_OK)
		return order_fail(order, status, "%s", error.text);
	status = order_wait(order, is_up, &started);
	if (status == EXIT_FAILED && order->answer == NULL && !was_up)
		return fail_ended(order, started.status);
	if (order->answer == NULL)
		return order_fail(order, status, "the supervisor does not answer");
	if (status != EXIT_DONE)
		return order_fail_not_ready(order, status, "not all is ready:");
	if (strcmp(supervisor_text(order->answer, "version"), NOWCAST_VERSION) != 0)
		(void)fprintf(stderr,
			"nowcast up: what runs is version %s, and this is %s; `nowcast restart` "
			"starts all anew\n",
			supervisor_text(order->answer, "version"), NOWCAST_VERSION);
	order_done(order, "nowcast is up%s: all %zu are ready (supervisor: process %d)",
		was_up ? " already" : "", value_count(value_map_get(order->answer, "programs")),
		(int)value_as_int(value_map_get(order->answer, "pid"), 0));
	return EXIT_DONE;
}

static int up_run(const struct applet *self, int argc, char **argv)
{
	struct order order;
	int status;

	if (!order_begin(&order, self, argc, argv, ORDER_NO_NAME, &status))
		return status;
	return order_finish(&order, up(&order));
}

const struct applet applet_up = {
	.name = "up",
	.kind = APPLET_COMMAND,
	.summary = "start a system in the background, and wait until it is ready",
	.description =
		"Start the supervisor in the background, and with it all daemons and programs; wait "
		"until all are ready, or say which are not and where to read why. A system that "
		"runs already is left alone.",
	.options = order_options,
	.run = up_run,
};
