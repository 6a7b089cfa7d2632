#include "core/system/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system/sys.h"

static enum nc_err read_all(
	int fd, const char *path, size_t limit, struct buffer *out, struct error *error)
{
	size_t before = out->len;

	for (;;) {
		ssize_t count;

		if (!buffer_reserve(out, 65536))
			return error_nomem(error);
		count = sys_read(fd, out->data + out->len, 65536);
		if (count < 0)
			return error_errno(error, errno, "cannot read %s", path);
		out->len += (size_t)count;
		out->data[out->len] = '\0';
		if (out->len - before > limit)
			return error_set(
				error, NC_ERR_LIMIT, "%s is larger than %zu bytes", path, limit);
		if (count == 0)
			return NC_OK;
	}
}

enum nc_err file_read(const char *path, size_t limit, struct buffer *out, struct error *error)
{
	struct stat status;
	enum nc_err err;
	int fd;

	/* O_NONBLOCK: a FIFO in the file's place must not hold us. */
	fd = sys_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0) {
		err = error_errno(error, errno, "cannot open %s", path);
		if (errno == ENOENT || errno == ENOTDIR) {
			err = NC_ERR_NOT_FOUND;
			if (error != NULL)
				error->code = err;
		}
		return err;
	}
	if (fstat(fd, &status) < 0)
		err = error_errno(error, errno, "cannot look at %s", path);
	else if (!S_ISREG(status.st_mode))
		err = error_set(error, NC_ERR_INVALID, "%s is not a regular file", path);
	else
		err = read_all(fd, path, limit, out, error);
	(void)sys_close(fd); /* opened for reading: nothing to lose */
	return err;
}

static enum nc_err sync_directory(const char *path, struct error *error)
{
	char *directory = path_directory(path);
	enum nc_err err = NC_OK;
	int fd;

	if (directory == NULL)
		return error_nomem(error);
	fd = sys_open(directory, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || sys_fsync(fd) < 0)
		err = error_errno(error, errno, "cannot sync the directory %s", directory);
	if (fd >= 0)
		(void)sys_close(fd);
	free(directory);
	return err;
}

static enum nc_err write_new(const char *path, const void *bytes, size_t len, mode_t mode,
	bool sync, struct stat *status, struct error *error)
{
	enum nc_err err = NC_OK;
	int fd;

	/* A file of this name was left by a process that died half way. */
	if (sys_unlink(path) < 0 && errno != ENOENT)
		return error_errno(error, errno, "cannot remove %s", path);
	fd = sys_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(error, errno, "cannot create %s", path);
	if (sys_write_all(fd, bytes, len) < 0 || fchmod(fd, mode) < 0 ||
		(sync && sys_fsync(fd) < 0) || (status != NULL && fstat(fd, status) < 0))
		err = error_errno(error, errno, "cannot write %s", path);
	if (sys_close(fd) < 0 && err == NC_OK)
		err = error_errno(error, errno, "cannot write %s", path);
	if (err != NC_OK)
		(void)sys_unlink(path);
	return err;
}

static enum nc_err replace(const char *path, const void *bytes, size_t len, mode_t mode, bool sync,
	struct stat *status, struct error *error)
{
	struct buffer temporary;
	enum nc_err err;

	buffer_init(&temporary);
	buffer_printf(&temporary, "%s.new", path);
	if (temporary.failed)
		return error_nomem(error);
	err = write_new(temporary.data, bytes, len, mode, sync, status, error);
	if (err == NC_OK && sys_rename(temporary.data, path) < 0) {
		err = error_errno(error, errno, "cannot rename %s to %s", temporary.data, path);
		(void)sys_unlink(temporary.data);
	}
	if (err == NC_OK && sync)
		err = sync_directory(path, error);
	buffer_finish(&temporary);
	return err;
}

enum nc_err file_replace(
	const char *path, const void *bytes, size_t len, mode_t mode, struct error *error)
{
	return replace(path, bytes, len, mode, true, NULL, error);
}

enum nc_err file_replace_known(const char *path, const void *bytes, size_t len, mode_t mode,
	struct stat *ret_status, struct error *error)
{
	return replace(path, bytes, len, mode, true, ret_status, error);
}

enum nc_err file_replace_unsynced(
	const char *path, const void *bytes, size_t len, mode_t mode, struct error *error)
{
	return replace(path, bytes, len, mode, false, NULL, error);
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

char *path_directory(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strdup(".");
	if (slash == path)
		return strdup("/");
	return strndup(path, (size_t)(slash - path));
}

char *path_join(const char *directory, const char *name)
{
	struct buffer path;

	if (name[0] == '/')
		return strdup(name);
	buffer_init(&path);
	buffer_printf(&path, "%s/%s", directory, name);
	return buffer_steal(&path);
}
