/*
 * The process of the worker: its descriptors, its group, its environment; for a program, exec, and why that
 * failed.
 */
#include "core/work/runner_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/system/sys.h"
#include "core/work/claim.h"

/* An entry `default:` has <worker> in its words. */
static char *expand(const char *word, const char *name)
{
	struct buffer out;
	const char *mark;

	buffer_init(&out);
	while ((mark = strstr(word, "<worker>")) != NULL) {
		buffer_append(&out, word, (size_t)(mark - word));
		buffer_append_text(&out, name);
		word = mark + strlen("<worker>");
	}
	buffer_append_text(&out, word);
	return buffer_steal(&out);
}

void start_free_argv(char **texts)
{
	for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
		free(texts[i]);
	free(texts);
}

/* The configuration file as the worker is told it: absolute. */
static char *config_path(const struct runner *r)
{
	return path_join(r->config->directory, path_base(r->config->file));
}

char **start_make_argv(const struct runner *r)
{
	const struct config_program *program = r->program;
	size_t count = program->command_count + 1 + r->launch.arguments_count, n = 0;
	char **argv = calloc(count + 1, sizeof(*argv));

	if (argv == NULL)
		return NULL;
	for (size_t i = 0; i < program->command_count; i++)
		argv[n++] = expand(program->command[i], r->name);
	argv[n++] = config_path(r);
	for (size_t i = 0; i < r->launch.arguments_count; i++)
		argv[n++] = strdup(r->launch.arguments[i]);
	for (size_t i = 0; i < n; i++) {
		if (argv[i] != NULL)
			continue;
		for (size_t k = 0; k < n; k++)
			free(argv[k]);
		free(argv);
		return NULL;
	}
	return argv;
}

static bool set_environment(const struct runner *r)
{
	char *file = config_path(r);
	bool good = file != NULL && setenv("NOWCAST_CONFIG", file, 1) == 0 &&
		    setenv("NOWCAST_WORKER", r->name, 1) == 0 &&
		    setenv("NOWCAST_LAUNCH", r->launch.id, 1) == 0 &&
		    unsetenv("NOWCAST_READY_FD") == 0;

	free(file);
	return good;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int signo = 1; signo < NSIG; signo++)
		(void)signal(signo, SIG_DFL); /* KILL and STOP say no */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What a program could not be started for; the child writes it, through a pipe that exec closes. */
struct start_error {
	enum {
		START_PROCESS,
		START_DIRECTORY,
		START_COMMAND
	} step;
	int sys_errno;
};

enum {
	START_FD = CONTRACT_CLAIM_FD + 1, /* the start pipe, in the child */
};

/* The worker's descriptors, in the child. */
struct worker_fds {
	int out, err, channel;
	int claim;      /* -1: there is none (--debug) */
	int start_pipe; /* to write a start_error to; -1 for one built in */
};

/* In the child: descriptors 0 to 4, and the start pipe. The sources are all above (move_above()). false: errno
 * says why. */
static bool set_descriptors(const struct runner *r, const struct worker_fds *fds)
{
	if (!r->debug) {
		int null = sys_open("/dev/null", O_RDONLY, 0);

		/* It is descriptor 0 already when we were started without one. */
		if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
			fcntl(STDIN_FILENO, F_SETFD, 0) < 0 || dup2(fds->out, STDOUT_FILENO) < 0 ||
			dup2(fds->err, STDERR_FILENO) < 0)
			return false;
	}
	if (dup2(fds->channel, CONTRACT_FD) < 0)
		return false;
	if (fds->claim < 0)
		(void)sys_close(CONTRACT_CLAIM_FD); /* mostly it is not open */
	else if (dup2(fds->claim, CONTRACT_CLAIM_FD) < 0)
		return false;
	if (fds->start_pipe < 0)
		return close_range(START_FD, ~0U, 0) == 0;
	return dup3(fds->start_pipe, START_FD, O_CLOEXEC) >= 0 &&
	       close_range(START_FD + 1, ~0U, 0) == 0;
}

/* It dies with its runner. The runner may have died before this was said. */
static bool set_process(const struct runner *r, pid_t runner_pid)
{
	if (!r->debug && setpgid(0, 0) < 0)
		return false;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return false;
	if (getppid() != runner_pid)
		_exit(EXIT_FAILED);
	reset_signals();
	return true;
}

/* exec() says ENOENT also for the interpreter that a script's first line names. */
static int command_status(int sys_errno)
{
	return sys_errno == ENOENT || sys_errno == ENOTDIR ? 127 : 126;
}

/* In the child of the fork. Does not return. */
static void be_worker(struct runner *r, const struct worker_fds *fds, char **argv, pid_t runner_pid)
{
	struct start_error failure = { .step = START_PROCESS };
	int start_pipe = fds->start_pipe, status;

	if (set_process(r, runner_pid) && set_environment(r) && set_descriptors(r, fds)) {
		if (start_pipe >= 0)
			start_pipe = START_FD;
		failure.step = START_DIRECTORY;
		if (chdir(r->config->directory) == 0) {
			if (argv == NULL) {
				status = worker_child_main(
					r->applet, r->args, r->config, CONTRACT_FD);
				(void)fflush(NULL);
				_exit(status);
			}
			failure.step = START_COMMAND;
			(void)execvp(argv[0], argv);
		}
	}
	failure.sys_errno = errno;
	if (start_pipe >= 0)
		(void)sys_write_all(start_pipe, &failure, sizeof(failure));
	_exit(failure.step == START_COMMAND ? command_status(failure.sys_errno) : 126);
}

static void explain_start(struct runner *r, const struct start_error *failure, const char *command)
{
	const char *words = strerror(failure->sys_errno);
	char *path;

	switch (failure->step) {
	case START_PROCESS:
		(void)snprintf(r->reason, sizeof(r->reason),
			"cannot set up the process of the worker: %s", words);
		return;
	case START_DIRECTORY:
		(void)snprintf(r->reason, sizeof(r->reason), "cannot go to %s: %s",
			r->config->directory, words);
		return;
	case START_COMMAND:
		break;
	}
	if (command_status(failure->sys_errno) != 127) {
		(void)snprintf(r->reason, sizeof(r->reason), "cannot run %s: %s", command, words);
		return;
	}
	path = strchr(command, '/') != NULL ? path_join(r->config->directory, command) : NULL;
	(void)snprintf(r->reason, sizeof(r->reason), "%s: %s",
		path != NULL && access(path, F_OK) == 0
			? "interpreter not found (first line of the script)"
			: "command not found",
		command);
	free(path);
}

/* Until exec() closes the pipe, or the child has said why not. */
static void read_start_error(struct runner *r, int fd, const char *command)
{
	struct start_error failure;

	if (sys_read(fd, &failure, sizeof(failure)) == (ssize_t)sizeof(failure))
		explain_start(r, &failure, command);
}

/* Descriptors up to START_FD are given meanings in the child: what goes there must not stand in the way. */
static enum nc_err move_above(int *fd, struct error *error)
{
	int moved;

	if (*fd < 0 || *fd > START_FD)
		return NC_OK;
	moved = fcntl(*fd, F_DUPFD_CLOEXEC, START_FD + 1);
	if (moved < 0)
		return error_errno(error, errno, "cannot duplicate a descriptor");
	(void)sys_close(*fd);
	*fd = moved;
	return NC_OK;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		(void)sys_close(fd);
}

static enum nc_err open_worker_fds(
	struct runner *r, struct worker_fds *fds, int *ret_pipe, struct error *error)
{
	int pipe_ends[2];
	enum nc_err err = NC_OK;

	if (!r->debug)
		err = output_open(r, &fds->out, &fds->err, error);
	if (err == NC_OK)
		err = channel_open(r, &fds->channel, error);
	if (err == NC_OK && r->claim_fd >= 0)
		err = claim_share(r->claim_fd, &fds->claim, error);
	if (err == NC_OK && r->applet == NULL) {
		if (pipe2(pipe_ends, O_CLOEXEC) < 0) {
			err = error_errno(error, errno, "cannot make a pipe");
		} else {
			*ret_pipe = pipe_ends[0];
			fds->start_pipe = pipe_ends[1];
		}
	}
	if (err == NC_OK)
		err = move_above(&fds->out, error);
	if (err == NC_OK)
		err = move_above(&fds->err, error);
	if (err == NC_OK)
		err = move_above(&fds->channel, error);
	if (err == NC_OK)
		err = move_above(&fds->claim, error);
	if (err == NC_OK)
		err = move_above(&fds->start_pipe, error);
	return err;
}

static void close_worker_fds(const struct worker_fds *fds)
{
	close_fd(fds->out);
	close_fd(fds->err);
	close_fd(fds->channel);
	close_fd(fds->claim);
	close_fd(fds->start_pipe);
}

enum nc_err start_process(struct runner *r, struct error *error)
{
	struct worker_fds fds = { -1, -1, -1, -1, -1 };
	char **argv = r->applet == NULL ? start_make_argv(r) : NULL;
	pid_t runner_pid = getpid();
	int start_pipe = -1;
	enum nc_err err = open_worker_fds(r, &fds, &start_pipe, error);

	if (r->applet == NULL && argv == NULL && err == NC_OK)
		err = error_nomem(error);
	if (err == NC_OK) {
		r->started_ms = clock_mono_ms();
		(void)fflush(NULL); /* or the child would write it again */
		r->pid = fork();
		if (r->pid == 0)
			be_worker(r, &fds, argv, runner_pid);
		if (r->pid < 0)
			err = error_errno(error, errno, "cannot fork");
	}
	close_worker_fds(&fds);
	if (err == NC_OK) {
		r->running = true;
		if (!r->debug) {
			(void)setpgid(r->pid, r->pid); /* the child says it too: whoever is first */
			r->group = r->pid;
		}
		if (start_pipe >= 0)
			read_start_error(r, start_pipe, argv[0]);
	}
	close_fd(start_pipe);
	start_free_argv(argv);
	return err;
}
