#include "core/system/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int sys_open(const char *path, int flags, mode_t mode)
{
	int fd;

	do {
		fd = open(path, flags | O_CLOEXEC, mode);
	} while (fd < 0 && errno == EINTR);
	return fd;
}

int sys_close(int fd)
{
	/* Linux frees the descriptor even when it says EINTR: never called again. */
	return close(fd);
}

ssize_t sys_read(int fd, void *bytes, size_t size)
{
	ssize_t count;

	do {
		count = read(fd, bytes, size);
	} while (count < 0 && errno == EINTR);
	return count;
}

ssize_t sys_write(int fd, const void *bytes, size_t len)
{
	ssize_t count;

	do {
		count = write(fd, bytes, len);
	} while (count < 0 && errno == EINTR);
	return count;
}

int sys_fsync(int fd)
{
	int result;

	do {
		result = fsync(fd);
	} while (result < 0 && errno == EINTR);
	return result;
}

int sys_fdatasync(int fd)
{
	int result;

	do {
		result = fdatasync(fd);
	} while (result < 0 && errno == EINTR);
	return result;
}

ssize_t sys_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	ssize_t count;

	do {
		count = pwrite(fd, bytes, len, offset);
	} while (count < 0 && errno == EINTR);
	return count;
}

int sys_rename(const char *from, const char *to)
{
	return rename(from, to);
}

int sys_link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

int sys_unlink(const char *path)
{
	return unlink(path);
}

int sys_mkdir(const char *path, mode_t mode)
{
	return mkdir(path, mode);
}

int sys_kill(pid_t pid, int signo)
{
	return kill(pid, signo);
}

int sys_write_all(int fd, const void *bytes, size_t len)
{
	const char *next = bytes;

	while (len > 0) {
		ssize_t count = sys_write(fd, next, len);

		if (count < 0)
			return -1;
		next += count;
		len -= (size_t)count;
	}
	return 0;
}

int sys_pwrite_all(int fd, const void *bytes, size_t len, off_t offset)
{
	const char *next = bytes;

	while (len > 0) {
		ssize_t count = sys_pwrite(fd, next, len, offset);

		if (count < 0)
			return -1;
		next += count;
		offset += count;
		len -= (size_t)count;
	}
	return 0;
}

ssize_t sys_pread_all(int fd, void *bytes, size_t size, off_t offset)
{
	char *next = bytes;
	size_t done = 0;

	while (done < size) {
		ssize_t count = pread(fd, next + done, size - done, offset + (off_t)done);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -1;
		if (count == 0)
			break;
		done += (size_t)count;
	}
	return (ssize_t)done;
}
