#include "daemons/supervisor_spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/data/buffer.h"
#include "core/data/value.h"
#include "core/system/sys.h"

/*
 * NOWCAST_SUPERVISED in the environment of what we start: KIND GROUP STATE. What has that, with the process
 * group that it is in, is ours, however the supervisor that has started it ended. (A daemon takes it out of
 * its environment, so that workers do not have it.)
 */
#define MARK_VARIABLE "NOWCAST_SUPERVISED"

enum {
	ENVIRONMENT_MOST = 1 << 20,
	PROGRAM_READY_FD = 3, /* of a program: some shells know descriptors of one digit only */
};

enum nc_err spawn_state_mark(
	const char *state_directory, char mark[SPAWN_MARK_SIZE], struct error *error)
{
	struct stat status;

	if (stat(state_directory, &status) < 0)
		return error_errno(error, errno, "cannot look at %s", state_directory);
	(void)snprintf(mark, SPAWN_MARK_SIZE, "%" PRIxMAX ":%" PRIxMAX, (uintmax_t)status.st_dev,
		(uintmax_t)status.st_ino);
	return NC_OK;
}

/* --- in the child --- */

static bool set_number(const char *variable, int number)
{
	char text[16];

	if (number < 0)
		return unsetenv(variable) == 0;
	(void)snprintf(text, sizeof(text), "%d", number);
	return setenv(variable, text, 1) == 0;
}

static bool set_environment(const struct spawn *spawn)
{
	char mark[SPAWN_MARK_SIZE + 32];

	(void)snprintf(mark, sizeof(mark), "%s %d %s", spawn->daemon ? "daemon" : "program",
		(int)getpid(), spawn->state);
	return set_number("NOWCAST_READY_FD", spawn->daemon ? spawn->ready_fd : PROGRAM_READY_FD) &&
	       set_number("NOWCAST_LIFE_FD", spawn->life_fd) &&
	       setenv(MARK_VARIABLE, mark, 1) == 0 &&
	       (!spawn->daemon || setenv("NOWCAST_SUPERVISOR_VERSION", NOWCAST_VERSION, 1) == 0);
}

static bool inherit(int fd)
{
	return fd < 0 || fcntl(fd, F_SETFD, 0) == 0;
}

/* *error_fd gives way when it is in the place. */
static bool place_ready_fd(const struct spawn *spawn, int *error_fd)
{
	if (spawn->daemon || spawn->ready_fd == PROGRAM_READY_FD)
		return inherit(spawn->ready_fd);
	if (*error_fd == PROGRAM_READY_FD) {
		int moved = fcntl(*error_fd, F_DUPFD_CLOEXEC, PROGRAM_READY_FD + 1);

		if (moved < 0)
			return false;
		*error_fd = moved;
	}
	return dup2(spawn->ready_fd, PROGRAM_READY_FD) >= 0;
}

static bool set_descriptors(const struct spawn *spawn, int *error_fd)
{
	/* It runs in the background of the terminal, and would be stopped if it read from there. */
	int null_fd = sys_open("/dev/null", O_RDONLY, 0);
	bool well = null_fd >= 0 && dup2(null_fd, STDIN_FILENO) >= 0 &&
		    (spawn->out_fd < 0 || dup2(spawn->out_fd, STDOUT_FILENO) >= 0) &&
		    (spawn->err_fd < 0 || dup2(spawn->err_fd, STDERR_FILENO) >= 0) &&
		    place_ready_fd(spawn, error_fd) && inherit(spawn->life_fd);

	for (size_t i = 0; well && i < spawn->holds_count; i++)
		well = inherit(spawn->holds[i]);
	return well;
}

static void reset_signals(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	for (int signo = 1; signo < NSIG; signo++)
		(void)signal(signo, SIG_DFL); /* fails for those that cannot be changed */
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void execute(const struct spawn *spawn)
{
	char path[32] = "/proc/self/exe";

	if (spawn->search) {
		(void)execvp(spawn->argv[0], spawn->argv);
		return;
	}
	if (spawn->binary_fd >= 0)
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", spawn->binary_fd);
	(void)execv(path, spawn->argv);
}

__attribute__((noreturn)) static void be_child(
	const struct spawn *spawn, pid_t supervisor, int error_fd)
{
	int code;

	reset_signals();
	/* The group first: who sees our mark finds us in it. */
	if (setpgid(0, 0) == 0 && set_environment(spawn) && set_descriptors(spawn, &error_fd) &&
		(spawn->directory == NULL || chdir(spawn->directory) == 0) &&
		(spawn->daemon || prctl(PR_SET_PDEATHSIG, SIGTERM) == 0)) {
		/* It may have died before it could be asked to tell. */
		if (getppid() != supervisor)
			_exit(1);
		execute(spawn);
	}
	code = errno;
	(void)sys_write_all(error_fd, &code, sizeof(code));
	_exit(127);
}

/* --- in the supervisor --- */

/* 0: the child runs its program; else errno of what it could not do. */
static int read_child_error(int fd)
{
	int code = 0;

	/* Ends at the exec, which closes the other end. */
	return sys_read(fd, &code, sizeof(code)) == (ssize_t)sizeof(code) ? code : 0;
}

enum nc_err spawn_process(const struct spawn *spawn, pid_t *ret_pid, struct error *error)
{
	const char *what = spawn->search ? spawn->argv[0] : spawn->argv[1];
	pid_t self = getpid(), pid;
	int fds[2], code;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_errno(error, errno, "cannot make a pipe");
	(void)fflush(NULL); /* or the child would write it again */
	pid = fork();
	if (pid == 0)
		be_child(spawn, self, fds[1]);
	code = errno;
	(void)sys_close(fds[1]);
	if (pid > 0)
		code = read_child_error(fds[0]);
	(void)sys_close(fds[0]);
	if (pid < 0)
		return error_errno(error, code, "cannot start a process for %s", what);
	if (code != 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return error_errno(error, code, "cannot run %s", what);
	}
	*ret_pid = pid;
	return NC_OK;
}

/* --- what another supervisor has left --- */

/* false: it is gone, or not ours to read. */
static bool read_environment(pid_t pid, struct buffer *out)
{
	char path[40];
	ssize_t count = 0;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	fd = sys_open(path, O_RDONLY, 0);
	if (fd < 0)
		return false;
	buffer_clear(out);
	while (out->len < ENVIRONMENT_MOST && buffer_reserve(out, 8192)) {
		count = sys_read(fd, out->data + out->len, 8192);
		if (count <= 0)
			break;
		out->len += (size_t)count;
		out->data[out->len] = '\0';
	}
	(void)sys_close(fd);
	return count >= 0 && !out->failed;
}

/* The value of our variable in an environment as the kernel shows it: texts with NULs between. */
static const char *find_mark(const struct buffer *environment)
{
	static const char name[] = MARK_VARIABLE "=";
	const char *at = environment->data, *end = at + environment->len;

	for (; at < end; at += strlen(at) + 1)
		if (strncmp(at, name, strlen(name)) == 0)
			return at + strlen(name);
	return NULL;
}

/* Is it of this state, and in the group that it was started with? */
static bool is_leftover(
	pid_t pid, const char *mark, struct buffer *environment, struct spawn_leftover *ret)
{
	const char *kind, *group, *state;
	char number[16];
	int64_t group_id;

	if (!read_environment(pid, environment))
		return false;
	kind = find_mark(environment);
	group = kind != NULL ? strchr(kind, ' ') : NULL;
	state = group != NULL ? strchr(group + 1, ' ') : NULL;
	if (state == NULL || (size_t)(state - group) > sizeof(number) ||
		strcmp(state + 1, mark) != 0)
		return false;
	(void)snprintf(number, sizeof(number), "%.*s", (int)(state - group - 1), group + 1);
	if (!text_to_int64(number, &group_id) || getpgid(pid) != group_id)
		return false;
	*ret = (struct spawn_leftover){ pid, (pid_t)group_id, strncmp(kind, "daemon ", 7) == 0 };
	return true;
}

size_t spawn_find_leftovers(const char *mark, struct spawn_leftover *ret_leftovers, size_t most)
{
	struct buffer environment;
	struct dirent *entry;
	size_t count = 0;
	DIR *directory = opendir("/proc");

	if (directory == NULL)
		return 0;
	buffer_init(&environment);
	while (count < most && (entry = readdir(directory)) != NULL) {
		int64_t pid;

		if (text_to_int64(entry->d_name, &pid) && pid > 0 && pid != getpid() &&
			is_leftover((pid_t)pid, mark, &environment, &ret_leftovers[count]))
			count++;
	}
	/* There may have been secrets in it. */
	explicit_bzero(environment.data, environment.capacity);
	buffer_finish(&environment);
	(void)closedir(directory);
	return count;
}
