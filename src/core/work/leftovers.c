#include "core/work/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system/config.h"
#include "core/system/file.h"
#include "core/system/sys.h"
#include "core/work/contract.h"
#include "core/work/state_file.h"

enum {
	ENVIRONMENT_MOST = 4 << 20,
};

/* A mark that a process carries: it cannot lose the first by accident, nor the second. */
struct mark {
	char variable[16 + ID_TEXT_SIZE]; /* NOWCAST_LAUNCH=ID */
	struct stat claim;                /* all zero: there is none */
};

static bool has_variable(pid_t pid, const char *variable)
{
	size_t len = strlen(variable) + 1; /* with its NUL */
	char path[40];
	struct buffer text;
	bool found = false;

	(void)snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
	buffer_init(&text);
	/* Of another user, ended meanwhile, or a thread of the kernel: not ours. */
	if (file_read(path, ENVIRONMENT_MOST, &text, NULL) == NC_OK) {
		const char *at = text.data, *end = text.data + text.len;

		while (!found && at < end) {
			size_t left = (size_t)(end - at);

			found = left >= len && memcmp(at, variable, len) == 0;
			at += strnlen(at, left) + 1;
		}
	}
	buffer_finish(&text);
	return found;
}

static bool has_claim(pid_t pid, const struct stat *claim)
{
	struct stat status;
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)pid, CONTRACT_CLAIM_FD);
	return claim->st_ino != 0 && stat(path, &status) == 0 && status.st_dev == claim->st_dev &&
	       status.st_ino == claim->st_ino;
}

static pid_t pid_of(const char *name)
{
	int64_t number;

	return name[0] >= '1' && name[0] <= '9' && text_to_int64(name, &number) ? (pid_t)number : 0;
}

static enum nc_err make_mark(
	const char *state_directory, const char *id, struct mark *mark, struct error *error)
{
	struct buffer path;
	enum nc_err err;

	buffer_init(&path);
	err = state_file_path(state_directory, STATE_CLAIMS, id, &path, error);
	if (err == NC_OK) {
		(void)snprintf(mark->variable, sizeof(mark->variable), "NOWCAST_LAUNCH=%s", id);
		if (stat(path.data, &mark->claim) < 0)
			memset(&mark->claim, 0, sizeof(mark->claim));
	}
	buffer_finish(&path);
	return err;
}

enum nc_err leftovers_signal(const char *state_directory, const char *id, int signo,
	size_t *ret_count, struct error *error)
{
	const struct dirent *entry;
	struct mark mark;
	size_t count = 0;
	enum nc_err err = make_mark(state_directory, id, &mark, error);
	DIR *processes;

	if (err != NC_OK)
		return err;
	processes = opendir("/proc");
	if (processes == NULL)
		return error_errno(error, errno, "cannot open /proc");
	while ((entry = readdir(processes)) != NULL) {
		pid_t pid = pid_of(entry->d_name);

		if (pid == 0 || pid == getpid())
			continue;
		if (has_claim(pid, &mark.claim) || has_variable(pid, mark.variable)) {
			(void)sys_kill(pid, signo); /* it may have ended meanwhile */
			count++;
		}
	}
	(void)closedir(processes);
	*ret_count = count;
	return NC_OK;
}
