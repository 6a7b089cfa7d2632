/* nowcast restart [NAME]: start one anew, or all of the system, from the binary that is there now. */
#include "commands/supervisor_order.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/sys.h"

enum {
	VERSION_MS = 10000,
};

/* --- does the binary that the supervisor would become run at all? --- */

static int spawn_version(const char *binary, int out_fd, pid_t *ret_pid)
{
	char name[] = "nowcast", option[] = "--version";
	char *argv[] = { name, option, NULL };
	posix_spawn_file_actions_t actions;
	int code = posix_spawn_file_actions_init(&actions);

	if (code != 0)
		return code;
	code = posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
	if (code == 0)
		code = posix_spawn(ret_pid, binary, &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return code;
}

/* What it says until it ends or the time is over. */
static void read_version(int fd, struct buffer *out)
{
	int64_t end_ms = clock_mono_ms() + VERSION_MS;

	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		int64_t left_ms = end_ms - clock_mono_ms();
		char text[128];
		ssize_t count;

		if (left_ms <= 0 || out->len > sizeof(text))
			return;
		if (poll(&poll_fd, 1, (int)left_ms) <= 0)
			continue;
		count = sys_read(fd, text, sizeof(text));
		if (count <= 0)
			return;
		buffer_append(out, text, (size_t)count);
	}
}

static bool is_nowcast(const char *binary)
{
	static const char name[] = "nowcast ";
	struct buffer said;
	int fds[2], status = -1;
	bool well = false;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	buffer_init(&said);
	if (spawn_version(binary, fds[1], &pid) == 0) {
		(void)sys_close(fds[1]);
		fds[1] = -1;
		read_version(fds[0], &said);
		(void)sys_kill(pid, SIGKILL); /* no more than a zombie, when all is well */
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		well = strncmp(said.data, name, strlen(name)) == 0;
	}
	if (fds[1] >= 0)
		(void)sys_close(fds[1]);
	(void)sys_close(fds[0]);
	buffer_finish(&said);
	return well;
}

/* --- one --- */

static int is_new(struct order *order, void *argument)
{
	const int64_t *before = argument;
	const struct value *program = supervisor_find_program(order->answer, order->name);
	const char *state = supervisor_text(program, "state");

	if (strcmp(state, "running") == 0 &&
		value_as_int(value_map_get(program, "pid"), 0) != *before)
		return EXIT_DONE;
	if (strcmp(state, "backoff") == 0 && supervisor_text(program, "alarm")[0] != '\0')
		return EXIT_FAILED;
	return -1;
}

static int restart_one(struct order *order)
{
	struct value *answer = NULL;
	const struct value *program;
	int64_t before;
	int status = order_give(order, SUPERVISOR_RESTART, &answer);

	if (status != EXIT_DONE)
		return status;
	before = value_as_int(value_map_get(answer, "pid"), 0);
	value_destroy(answer);
	status = order_wait(order, is_new, &before);
	if (status != EXIT_DONE)
		return order_fail_not_ready(order, status, "it is not ready again:");
	program = supervisor_find_program(order->answer, order->name);
	order_done(order, "%s is running (process %d)", order->name,
		(int)value_as_int(value_map_get(program, "pid"), 0));
	return EXIT_DONE;
}

/* --- all --- */

static int all_are_new(struct order *order, void *argument)
{
	const char *since = argument;

	/* While it begins anew nobody answers, or the one before. */
	if (order->answer == NULL || strcmp(supervisor_text(order->answer, "since"), since) == 0)
		return -1;
	if (value_as_bool(value_map_get(order->answer, "ready"), false))
		return EXIT_DONE;
	return supervisor_is_hopeless(order->answer) ? EXIT_FAILED : -1;
}

static int restart_all(struct order *order)
{
	struct value *before = NULL, *answer = NULL;
	char *since = NULL;
	int status = order_give(order, SUPERVISOR_STATUS, &before);

	if (status != EXIT_DONE)
		return status;
	if (!is_nowcast(supervisor_text(before, "binary"))) {
		status = order_fail(order, EXIT_FAILED,
			"%s cannot be started, or is not nowcast (`%s --version` shows it); "
			"nothing was stopped",
			supervisor_text(before, "binary"), supervisor_text(before, "binary"));
	} else {
		since = strdup(supervisor_text(before, "since"));
		status = since != NULL ? order_give(order, SUPERVISOR_RESTART, &answer)
				       : order_fail(order, EXIT_FAILED, "out of memory");
	}
	value_destroy(before);
	value_destroy(answer);
	if (status == EXIT_DONE) {
		status = order_wait(order, all_are_new, since);
		if (status != EXIT_DONE)
			(void)order_fail_not_ready(order, status, "not all is ready again:");
		else
			order_done(order, "nowcast is up again: all %zu are ready, version %s",
				value_count(value_map_get(order->answer, "programs")),
				supervisor_text(order->answer, "version"));
	}
	free(since);
	return status;
}

static int restart_run(const struct applet *self, int argc, char **argv)
{
	struct order order;
	int status;

	if (!order_begin(&order, self, argc, argv, ORDER_MAY_NAME, &status))
		return status;
	status = order.name != NULL ? restart_one(&order) : restart_all(&order);
	return order_finish(&order, status);
}

const struct applet applet_restart = {
	.name = "restart",
	.kind = APPLET_COMMAND,
	.summary = "stop and start a daemon or program, or all of a running system",
	.description =
		"Have the supervisor stop a daemon or program and start it anew; without a name all "
		"of them, and the supervisor itself too. They are started from the binary that is "
		"there now at the path by which the supervisor was started. Workers that are "
		"running go on.",
	.options = order_name_options,
	.run = restart_run,
};
