/*
 * Files that are rolled over by those who write them: at a size (RotatingFileHandler with `maxBytes`), or at
 * a time (TimedRotatingFileHandler).
 *
 * Several processes write the same file. One of them is the first to find it due; it takes the lock of the
 * directory, looks whether the path still is the file that it has open, and only then renames. Nobody waits
 * for the lock: who does not get it writes on, into a file that others keep under another name. So no line is
 * lost, no file is truncated, and one file is rolled over once (promises.md, R15, R16).
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/file.h"
#include "core/system/log_internal.h"
#include "core/system/sys.h"

enum {
	/* What could not be done is not tried again with every line. */
	ROLL_PAUSE_MS = 60000,
	SAME_NAME_MOST = 1000,
	DAY_S = 86400,
};

/* --- when --- */

static void split(const struct log_when *when, int64_t at_s, struct tm *tm)
{
	time_t at = (time_t)at_s;

	if ((when->utc ? gmtime_r(&at, tm) : localtime_r(&at, tm)) == NULL)
		memset(tm, 0, sizeof(*tm)); /* beyond any calendar */
}

static int64_t join(const struct log_when *when, struct tm *tm)
{
	tm->tm_isdst = -1;
	return (int64_t)(when->utc ? timegm(tm) : mktime(tm));
}

int64_t log_when_next(const struct log_when *when, int64_t after_s)
{
	struct tm tm;
	int weekday; /* 0: Monday */
	int days = 0;

	if (when->kind == WHEN_INTERVAL)
		return after_s + when->interval_s;
	split(when, after_s, &tm);
	weekday = (tm.tm_wday + 6) % 7;
	if ((tm.tm_hour * 60 + tm.tm_min) * 60 + tm.tm_sec >= when->at_s)
		days = 1;
	if (when->kind == WHEN_WEEKLY)
		days += (when->weekday - (weekday + days) % 7 + 7) % 7;
	tm.tm_mday += days + when->days - (when->kind == WHEN_WEEKLY ? 7 : 1);
	tm.tm_hour = when->at_s / 3600;
	tm.tm_min = when->at_s / 60 % 60;
	tm.tm_sec = when->at_s % 60;
	return join(when, &tm);
}

/* What the file that is due at `due_s` is called by: the start of its time. */
static void print_suffix(const struct log_when *when, int64_t due_s, char *suffix, size_t size)
{
	struct tm tm;

	split(when, when->kind == WHEN_INTERVAL ? due_s - when->interval_s : due_s, &tm);
	if (when->kind != WHEN_INTERVAL) {
		tm.tm_mday -= when->days;
		(void)join(when, &tm);
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (strftime(suffix, size, when->suffix, &tm) == 0)
		suffix[0] = '\0';
#pragma GCC diagnostic pop
}

void log_handler_roll_start(struct log_handler *handler, const struct stat *status)
{
	int64_t started_s =
		status->st_size > 0 ? (int64_t)status->st_mtim.tv_sec : clock_real_ns() / NS_PER_S;

	if (handler->when.kind != WHEN_NEVER)
		handler->roll_at_s = log_when_next(&handler->when, started_s);
}

/* --- by time --- */

static bool exists(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0 || errno != ENOENT;
}

/* FILE.SUFFIX, or FILE.SUFFIX.1 and so on when that is there already. */
static enum nc_err find_name(
	const char *path, const char *suffix, struct buffer *name, struct error *error)
{
	for (int i = 0; i < SAME_NAME_MOST; i++) {
		buffer_clear(name);
		buffer_printf(name, i == 0 ? "%s.%s" : "%s.%s.%d", path, suffix, i);
		if (name->failed)
			return error_nomem(error);
		if (!exists(name->data))
			return NC_OK;
	}
	return error_set(error, NC_ERR_LIMIT, "there are %d files %s.%s already", SAME_NAME_MOST,
		path, suffix);
}

/* Is it FILE. and a time as `suffix` prints it, and maybe `.` and letters or digits? */
static bool is_old_name(const char *name, const char *base, const char *suffix)
{
	size_t base_len = strlen(base);
	const char *at;

	if (strncmp(name, base, base_len) != 0 || name[base_len] != '.')
		return false;
	at = name + base_len + 1;
	for (const char *like = suffix; *like != '\0'; like++, at++) {
		if (isdigit((unsigned char)*like) ? !isdigit((unsigned char)*at) : *at != *like)
			return false;
	}
	if (*at == '\0')
		return true;
	if (*at++ != '.' || *at == '\0')
		return false;
	while (isalnum((unsigned char)*at) || *at == '_')
		at++;
	return *at == '\0';
}

/* Remove the oldest of the old files, so that `backup_count` stay. */
static enum nc_err remove_oldest(
	const struct log_handler *handler, const char *suffix, struct error *error)
{
	char *directory = path_directory(handler->path);
	struct dirent **entries = NULL;
	int count = directory != NULL ? scandir(directory, &entries, NULL, versionsort) : -1;
	int64_t old = 0;
	enum nc_err err = NC_OK;

	if (count < 0)
		err = error_errno(error, errno, "cannot look for old files of %s", handler->path);
	for (int i = 0; i < count; i++)
		old += is_old_name(entries[i]->d_name, path_base(handler->path), suffix);
	for (int i = 0; i < count; i++) {
		if (old > handler->backup_count &&
			is_old_name(entries[i]->d_name, path_base(handler->path), suffix)) {
			char *path = path_join(directory, entries[i]->d_name);

			old--;
			if (path == NULL)
				err = error_nomem(error);
			else if (sys_unlink(path) < 0 && errno != ENOENT)
				err = error_errno(error, errno, "cannot remove %s", path);
			free(path);
		}
		free(entries[i]);
	}
	free(entries);
	free(directory);
	return err;
}

static enum nc_err rename_file(
	const struct log_handler *handler, const char *suffix, struct error *error)
{
	struct buffer name;
	enum nc_err err;
	int fd;

	buffer_init(&name);
	err = find_name(handler->path, suffix, &name, error);
	if (err == NC_OK && sys_rename(handler->path, name.data) < 0)
		err = error_errno(error, errno, "cannot rename %s to %s", handler->path, name.data);
	if (err == NC_OK) {
		fd = log_file_open(handler->path);
		if (fd < 0) {
			err = error_errno(error, errno, "cannot make a new %s", handler->path);
			/* Its name back, unless another writer has made the file meanwhile. */
			if (link(name.data, handler->path) == 0)
				(void)sys_unlink(name.data);
		} else {
			(void)sys_close(fd);
		}
	}
	buffer_finish(&name);
	return err;
}

static enum nc_err roll_by_time(const struct log_handler *handler, struct error *error)
{
	struct stat status;
	char suffix[64];
	enum nc_err err;
	int lock = -1;

	print_suffix(&handler->when, handler->roll_at_s, suffix, sizeof(suffix));
	err = log_directory_lock(handler->path, &lock, error);
	if (err != NC_OK)
		return err;
	if (stat(handler->path, &status) < 0 || status.st_dev != handler->device ||
		status.st_ino != handler->inode)
		err = error_set(error, NC_ERR_REFUSED, "%s is a new file already", handler->path);
	else
		err = rename_file(handler, suffix, error);
	if (err == NC_OK && handler->backup_count > 0)
		err = remove_oldest(handler, suffix, error);
	(void)sys_close(lock);
	return err;
}

/* --- a file that is due --- */

static void note_problem(struct log_handler *handler, const char *why)
{
	struct buffer text;

	buffer_init(&text);
	buffer_printf(&text, "the log file could not be rolled over, and goes on: %s", why);
	free(handler->roll_problem);
	handler->roll_problem = buffer_steal(&text);
	handler->roll_pause_until_ms = clock_mono_ms() + ROLL_PAUSE_MS;
}

static bool is_due(const struct log_handler *handler, const struct stat *status, size_t len)
{
	if (handler->when.kind != WHEN_NEVER)
		return clock_real_ns() / NS_PER_S >= handler->roll_at_s;
	/* An empty file would only be followed by another one. */
	return status->st_size > 0 && status->st_size + (int64_t)len >= handler->most_bytes;
}

void log_handler_roll(struct log_handler *handler, size_t len)
{
	struct stat status;
	struct error error;
	enum nc_err err;

	if (handler->most_bytes == 0 && handler->when.kind == WHEN_NEVER)
		return;
	if (!handler->regular || fstat(handler->fd, &status) < 0 ||
		!is_due(handler, &status, len) || clock_mono_ms() < handler->roll_pause_until_ms)
		return;
	/* An old file that is kept open by us alone is not the one to roll over. */
	if (handler->when.kind == WHEN_NEVER)
		err = log_file_rotate_if(handler->path, handler->backup_count, &status, &error);
	else
		err = roll_by_time(handler, &error);
	/* Refused: somebody else is at it, or has done it. */
	if (err != NC_OK && err != NC_ERR_REFUSED && err != NC_ERR_NOT_FOUND)
		note_problem(handler, error.text);
	log_handler_check(handler);
}
