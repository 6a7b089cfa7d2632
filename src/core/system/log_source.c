#include "core/system/log_source.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/log_internal.h"
#include "core/system/sys.h"

enum {
	READ_SIZE = 64 << 10,
	NUMBERS_MOST = 100000,
	GAPS_MOST = 3,  /* numbers that an interrupted rotation may have left out */
	LATE_MS = 100,  /* how long a renamed file may still be written to */
	AT_CURRENT = 0, /* the number of FILE itself */
};

struct log_source {
	char *path;
	int64_t number; /* of the file that is read */
	int fd;         /* -1: it is not there (yet) */
	pid_t child;    /* that uncompresses it, or 0 */
	dev_t device;
	ino_t inode;
	int64_t renamed_ms; /* when we found that FILE is another one; 0: it is ours */
	struct buffer in;
	size_t start; /* of what has not been given, in `in` */
};

/* --- names --- */

/* In which form is FILE.N there? false: in none. */
static bool find_form(
	const char *path, int64_t number, enum log_compress *ret_form, struct stat *ret_status)
{
	struct buffer name;
	bool found = false;

	buffer_init(&name);
	for (int form = 0; form < LOG_COMPRESS_COUNT && !found; form++) {
		if (number == AT_CURRENT && form != LOG_COMPRESS_NONE)
			break;
		log_numbered_name(&name, path, number, form);
		found = !name.failed && stat(name.data, ret_status) == 0 &&
			S_ISREG(ret_status->st_mode);
		if (found)
			*ret_form = form;
	}
	buffer_finish(&name);
	return found;
}

/* The number of the oldest file that was written to since then. */
static int64_t find_oldest(const char *path, int64_t since_s)
{
	int64_t oldest = AT_CURRENT;

	for (int64_t number = 1; number - oldest <= GAPS_MOST && number < NUMBERS_MOST; number++) {
		enum log_compress form;
		struct stat status;

		if (!find_form(path, number, &form, &status))
			continue;
		if (status.st_mtime < since_s)
			break;
		oldest = number;
	}
	return oldest;
}

/* --- files --- */

static void close_file(struct log_source *source)
{
	if (source->fd >= 0)
		(void)sys_close(source->fd);
	source->fd = -1;
	if (source->child > 0) {
		/* It ends with its pipe. */
		while (waitpid(source->child, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	source->child = 0;
	source->renamed_ms = 0;
}

/* Read `in` through the program: `in` is closed. */
static enum nc_err start_program(
	struct log_source *source, const char *program, int in, struct error *error)
{
	char *const argv[] = { (char *)program, (char *)"-dc", NULL };
	posix_spawn_file_actions_t actions;
	int ends[2] = { -1, -1 };
	int result = pipe2(ends, O_CLOEXEC) < 0 ? errno : 0;

	if (result == 0)
		result = posix_spawn_file_actions_init(&actions);
	if (result == 0) {
		result = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
		if (result == 0)
			result = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
		if (result == 0)
			result = posix_spawnp(
				&source->child, program, &actions, NULL, argv, environ);
		(void)posix_spawn_file_actions_destroy(&actions);
	}
	(void)sys_close(in);
	if (ends[1] >= 0)
		(void)sys_close(ends[1]);
	if (result != 0) {
		source->child = 0;
		if (ends[0] >= 0)
			(void)sys_close(ends[0]);
		return error_errno(error, result, "cannot start %s", program);
	}
	source->fd = ends[0];
	return NC_OK;
}

/* Open the file of `number`, if it is there. */
static enum nc_err open_number(struct log_source *source, int64_t number, struct error *error)
{
	enum log_compress form = LOG_COMPRESS_NONE;
	enum nc_err err = NC_OK;
	struct stat status;
	struct buffer name;
	int fd = -1;

	close_file(source);
	source->number = number;
	if (!find_form(source->path, number, &form, &status))
		return NC_OK;
	buffer_init(&name);
	log_numbered_name(&name, source->path, number, form);
	if (!name.failed)
		fd = sys_open(name.data, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
	if (name.failed)
		err = error_nomem(error);
	else if (fd < 0 && errno != ENOENT)
		err = error_errno(error, errno, "cannot open %s", name.data);
	else if (fd >= 0 && form != LOG_COMPRESS_NONE)
		err = start_program(source, form == LOG_COMPRESS_GZIP ? "gzip" : "zstd", fd, error);
	else if (fd >= 0 && fstat(fd, &status) == 0) {
		source->fd = fd;
		source->device = status.st_dev;
		source->inode = status.st_ino;
	} else if (fd >= 0) {
		(void)sys_close(fd);
	}
	buffer_finish(&name);
	return err;
}

static bool is_later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

/*
 * Where is the file that we read, now? A plain one is known by its inode. When it is gone (removed, or
 * compressed by now), it stood behind all files that were written to later.
 */
static int64_t number_now(const struct log_source *source)
{
	int64_t last = source->number, later = AT_CURRENT;
	struct stat ours;

	if (source->child > 0 || fstat(source->fd, &ours) < 0)
		return source->number;
	for (int64_t number = source->number; number - last <= GAPS_MOST; number++) {
		enum log_compress form;
		struct stat status;

		if (!find_form(source->path, number, &form, &status))
			continue;
		if (status.st_dev == source->device && status.st_ino == source->inode)
			return number;
		if (is_later(status.st_mtim, ours.st_mtim))
			later = number;
		last = number;
	}
	return later + 1;
}

/* FILE is not the one that we read any more. */
static bool is_renamed(const struct log_source *source)
{
	enum log_compress form;
	struct stat status;

	return find_form(source->path, AT_CURRENT, &form, &status) &&
	       (status.st_dev != source->device || status.st_ino != source->inode);
}

/* At the end of a file: is there a next one? true: it is open (or there is none of that number). */
static bool go_on(struct log_source *source, struct error *error, enum nc_err *ret_err)
{
	int64_t number = source->number;

	if (source->fd < 0 && number == AT_CURRENT) {
		*ret_err = open_number(source, AT_CURRENT, error);
		return source->fd >= 0;
	}
	if (source->fd >= 0 && number == AT_CURRENT) {
		if (!is_renamed(source))
			return false;
		if (source->renamed_ms == 0)
			source->renamed_ms = clock_mono_ms();
		/* Its writers notice soon; what they wrote until then is read first. */
		if (clock_mono_ms() - source->renamed_ms < LATE_MS)
			return false;
	}
	if (source->fd >= 0)
		number = number_now(source);
	*ret_err = open_number(source, number > AT_CURRENT ? number - 1 : AT_CURRENT, error);
	return *ret_err == NC_OK;
}

/* --- from outside --- */

static enum nc_err skip_to_end(struct log_source *source, int64_t last_bytes, struct error *error)
{
	struct stat status;
	const char *line;
	size_t len;

	if (last_bytes <= 0 || source->fd < 0 || source->child > 0 ||
		fstat(source->fd, &status) < 0 || status.st_size <= last_bytes)
		return NC_OK;
	if (lseek(source->fd, status.st_size - last_bytes, SEEK_SET) < 0)
		return error_errno(error, errno, "cannot read %s", source->path);
	/* The rest of a line. */
	return log_source_next(source, false, &line, &len, error) == NC_ERR_NOMEM
		       ? error_nomem(error)
		       : NC_OK;
}

enum nc_err log_source_create(const char *path, const struct log_source_from *from,
	struct log_source **ret_source, struct error *error)
{
	struct log_source *source = calloc(1, sizeof(*source));
	enum nc_err err;

	if (source == NULL)
		return error_nomem(error);
	source->fd = -1;
	buffer_init(&source->in);
	source->path = strdup(path);
	if (source->path == NULL)
		err = error_nomem(error);
	else
		err = open_number(source,
			from->old_files ? find_oldest(path, from->since_s) : AT_CURRENT, error);
	if (err == NC_OK)
		err = skip_to_end(source, from->last_bytes, error);
	if (err != NC_OK) {
		log_source_destroy(source);
		return err;
	}
	*ret_source = source;
	return NC_OK;
}

void log_source_destroy(struct log_source *source)
{
	if (source == NULL)
		return;
	close_file(source);
	buffer_finish(&source->in);
	free(source->path);
	free(source);
}

/* A line that is in the buffer. */
static bool take_line(struct log_source *source, const char **ret_line, size_t *ret_len)
{
	char *begin = source->in.data + source->start;
	char *end = memchr(begin, '\n', source->in.len - source->start);

	if (end == NULL)
		return false;
	*end = '\0';
	*ret_line = begin;
	*ret_len = (size_t)(end - begin);
	source->start += *ret_len + 1;
	return true;
}

/* What stands at the end of a file without a newline. */
static bool take_rest(struct log_source *source, const char **ret_line, size_t *ret_len)
{
	*ret_len = source->in.len - source->start;
	*ret_line = source->in.data + source->start;
	source->start = source->in.len;
	return *ret_len > 0;
}

/* More bytes; 0: the end of the file. -1: error. */
static ssize_t read_more(struct log_source *source, struct error *error, enum nc_err *ret_err)
{
	ssize_t count;

	buffer_consume(&source->in, source->start);
	source->start = 0;
	if (source->fd < 0)
		return 0;
	if (!buffer_reserve(&source->in, READ_SIZE)) {
		*ret_err = error_nomem(error);
		return -1;
	}
	count = sys_read(source->fd, source->in.data + source->in.len, READ_SIZE);
	if (count < 0) {
		*ret_err = error_errno(error, errno, "cannot read %s", source->path);
		return -1;
	}
	source->in.len += (size_t)count;
	source->in.data[source->in.len] = '\0';
	return count;
}

enum nc_err log_source_next(struct log_source *source, bool to_end, const char **ret_line,
	size_t *ret_len, struct error *error)
{
	enum nc_err err = NC_OK;

	for (;;) {
		int64_t number = source->number;
		ssize_t count;

		if (take_line(source, ret_line, ret_len))
			return NC_OK;
		count = read_more(source, error, &err);
		if (count < 0)
			return err;
		if (count > 0)
			continue;
		if (to_end && number == AT_CURRENT)
			return take_rest(source, ret_line, ret_len) ? NC_OK : NC_ERR_NOT_FOUND;
		if (!go_on(source, error, &err))
			return err != NC_OK ? err : NC_ERR_NOT_FOUND;
		/* The rest of the file before, which nobody completes any more. */
		if (take_rest(source, ret_line, ret_len))
			return NC_OK;
	}
}
