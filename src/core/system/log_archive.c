/*
 * What becomes of rotated log files: compressed by a program of the system, and removed beyond a total size.
 * Used by the worker rotate_logs, after log_file_rotate().
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/system/log_internal.h"
#include "core/system/sys.h"

enum {
	FIRST_COMPRESSED = 2, /* FILE.1 may have writers for some milliseconds more */
};

static const char *const programs[] = {
	[LOG_COMPRESS_NONE] = NULL,
	[LOG_COMPRESS_GZIP] = "gzip",
	[LOG_COMPRESS_ZSTD] = "zstd",
};

/* --- compressing --- */

/* Has any process the file open for writing? Where the kernel does not say (some file systems, a file of
 * another user), no: nobody writes to FILE.2 as a rule. */
static bool has_writers(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		(void)fcntl(fd, F_SETLEASE, F_UNLCK);
		return false;
	}
	return errno == EAGAIN;
}

/* Run `PROGRAM -c` from `in` to `out`, and wait for it. */
static enum nc_err run_program(const char *program, int in, int out, struct error *error)
{
	char *const argv[] = { (char *)program, (char *)"-c", (char *)"-q", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	pid_t pid = -1, ended;
	int status = 0, result;

	(void)sigemptyset(&none);
	result = posix_spawn_file_actions_init(&actions);
	if (result != 0)
		return error_errno(error, result, "cannot start %s", program);
	result = posix_spawnattr_init(&attributes);
	if (result != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return error_errno(error, result, "cannot start %s", program);
	}
	if (result == 0)
		result = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (result == 0)
		result = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (result == 0)
		result = posix_spawnattr_setsigmask(&attributes, &none);
	if (result == 0)
		result = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	if (result == 0)
		result = posix_spawnp(&pid, program, &actions, &attributes, argv, environ);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (result != 0)
		return error_errno(error, result, "cannot start %s", program);
	do {
		ended = waitpid(pid, &status, 0);
	} while (ended < 0 && errno == EINTR);
	if (ended != pid)
		return error_errno(error, errno, "cannot wait for %s", program);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return error_set(error, NC_ERR_SYSTEM, "%s has failed (%s %d)", program,
			WIFEXITED(status) ? "exit status" : "signal",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return NC_OK;
}

/* The same people may read it, and it is as old as the lines in it. */
static enum nc_err finish_copy(
	int out, const struct stat *status, const char *path, struct error *error)
{
	const struct timespec times[] = { status->st_atim, status->st_mtim };

	if (fchown(out, (uid_t)-1, status->st_gid) < 0 && errno != EPERM)
		return error_errno(error, errno, "cannot give %s to its group", path);
	if (fchmod(out, status->st_mode & 0777) < 0 || futimens(out, times) < 0 ||
		sys_fsync(out) < 0)
		return error_errno(error, errno, "cannot write %s", path);
	return NC_OK;
}

/* The plain file at `path` into `target`, by way of `temporary`. *ret_done: it was no file in use. */
static enum nc_err compress_to(const char *path, const char *target, const char *temporary,
	const char *program, bool *ret_done, struct error *error)
{
	struct stat status;
	enum nc_err err = NC_OK;
	int in = sys_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW, 0);
	int out = -1;

	*ret_done = false;
	if (in < 0)
		return errno == ENOENT ? NC_OK : error_errno(error, errno, "cannot open %s", path);
	if (fstat(in, &status) < 0 || !S_ISREG(status.st_mode) || has_writers(in)) {
		(void)sys_close(in);
		return NC_OK;
	}
	/* One is left where a process was killed half way. */
	if (sys_unlink(temporary) < 0 && errno != ENOENT)
		err = error_errno(error, errno, "cannot remove %s", temporary);
	if (err == NC_OK) {
		out = sys_open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
		err = out < 0 ? error_errno(error, errno, "cannot create %s", temporary)
			      : run_program(program, in, out, error);
	}
	if (err == NC_OK)
		err = finish_copy(out, &status, temporary, error);
	if (err == NC_OK && sys_rename(temporary, target) < 0)
		err = error_errno(error, errno, "cannot rename %s to %s", temporary, target);
	if (err == NC_OK && sys_unlink(path) < 0)
		err = error_errno(error, errno, "cannot remove %s", path);
	if (err != NC_OK && out >= 0)
		(void)sys_unlink(temporary); /* if it is the target already, that is not it */
	if (out >= 0)
		(void)sys_close(out);
	(void)sys_close(in);
	*ret_done = err == NC_OK;
	return err;
}

static enum nc_err compress_number(
	const struct log_file_info *info, int64_t number, bool *ret_done, struct error *error)
{
	struct buffer path, target, temporary;
	enum nc_err err;

	buffer_init(&path);
	buffer_init(&target);
	buffer_init(&temporary);
	log_numbered_name(&path, info->path, number, LOG_COMPRESS_NONE);
	log_numbered_name(&target, info->path, number, info->compress);
	buffer_printf(&temporary, "%s.new", target.data);
	if (path.failed || target.failed || temporary.failed)
		err = error_nomem(error);
	else
		err = compress_to(path.data, target.data, temporary.data, programs[info->compress],
			ret_done, error);
	buffer_finish(&temporary);
	buffer_finish(&target);
	buffer_finish(&path);
	return err;
}

/* --- the total size --- */

/* Bytes of all forms of one number; `remove`: they go. */
static int64_t look_at_number(const char *path, int64_t number, bool remove)
{
	struct buffer name;
	int64_t sum = 0;

	buffer_init(&name);
	for (int form = 0; form < LOG_COMPRESS_COUNT; form++) {
		struct stat status;

		if (number == 0 && form != LOG_COMPRESS_NONE)
			break;
		log_numbered_name(&name, path, number, form);
		if (name.failed || lstat(name.data, &status) < 0 || !S_ISREG(status.st_mode))
			continue;
		sum += status.st_size;
		if (remove && sys_unlink(name.data) < 0)
			sum -= status.st_size;
	}
	buffer_finish(&name);
	return sum;
}

/* The oldest go until the rest fits. FILE itself never does. */
static unsigned keep_budget(const struct log_file_info *info)
{
	int64_t sum = 0;
	unsigned removed = 0;

	for (int64_t number = 0; number <= info->backup_count; number++)
		sum += look_at_number(info->path, number, false);
	for (int64_t number = info->backup_count; number > 0 && sum > info->keep_most; number--) {
		int64_t freed = look_at_number(info->path, number, true);

		sum -= freed;
		removed += freed > 0 ? 1 : 0;
	}
	return removed;
}

enum nc_err log_file_archive(const struct log_file_info *info, unsigned *ret_compressed,
	unsigned *ret_removed, struct error *error)
{
	enum nc_err first = NC_OK;

	*ret_compressed = *ret_removed = 0;
	for (int64_t number = FIRST_COMPRESSED;
		info->compress != LOG_COMPRESS_NONE && number <= info->backup_count; number++) {
		struct error why;
		bool done = false;
		enum nc_err err = compress_number(info, number, &done, &why);

		*ret_compressed += done ? 1 : 0;
		if (err != NC_OK && first == NC_OK) {
			first = err;
			if (error != NULL)
				*error = why;
		}
	}
	if (info->keep_most > 0)
		*ret_removed = keep_budget(info);
	return first;
}
