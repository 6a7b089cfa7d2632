/*
 * System calls that fail on demand, for tests: the N-th call from now that changes a file fails (open with
 * O_CREAT or O_TMPFILE, write, rename, linkat, unlink, mkdir), or that locks one or looks at its lock (those of open
 * files, F_OFD_...). Include it in one source file of a test
 * program: it defines these functions for the whole process. Beside it, what tests of files need: how many
 * descriptors are open.
 */
#ifndef NOWCAST_TESTS_FAILING_SYS_H
#define NOWCAST_TESTS_FAILING_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static long calls_countdown;
static int calls_errno;

/* From now on the `nth` call (1: the next one) fails with `sys_errno`, and no other. */
static void calls_fail_at(long nth, int sys_errno)
{
	calls_countdown = nth;
	calls_errno = sys_errno;
}

/* No more failures. true: one has happened. */
static bool calls_have_failed(void)
{
	bool failed = calls_countdown < 0;

	calls_countdown = 0;
	return failed;
}

static bool call_fails_now(void)
{
	if (calls_countdown <= 0 || --calls_countdown > 0)
		return false;
	calls_countdown = -1; /* it has happened, and happens no more */
	errno = calls_errno;
	return true;
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
		va_list arguments;

		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
		if (call_fails_now())
			return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	return call_fails_now() ? -1 : (ssize_t)syscall(SYS_write, fd, bytes, len);
}

int rename(const char *from, const char *to)
{
	return call_fails_now() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* Called when a link has just been made; NULL: nothing. */
static void (*calls_after_link)(void);

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
	int result;

	if (call_fails_now())
		return -1;
	result = (int)syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
	if (result == 0 && calls_after_link != NULL)
		calls_after_link();
	return result;
}

int unlink(const char *path)
{
	return call_fails_now() ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int mkdir(const char *path, mode_t mode)
{
	return call_fails_now() ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int fcntl(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *); /* an int is passed in the same way */
	va_end(arguments);
	if ((command == F_OFD_SETLK || command == F_OFD_GETLK) && call_fails_now())
		return -1;
	return (int)syscall(SYS_fcntl, fd, command, argument);
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			count++;
	}
	return count;
}

#endif
