/*
 * Where a line goes: streams and files here, the rest in log_handler_*.c. Every line is one write() to a descriptor that appends, so that lines of many
 * processes do not mix (promises.md, R15), and the file is looked up again before a write, so that the
 * new one is used when it was rotated (R16).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "core/system/clock.h"
#include "core/system/log_internal.h"
#include "core/system/sys.h"

enum {
	/* A burst of lines does not look at the path each time. */
	CHECK_INTERVAL_MS = 10,
	OPEN_TRIES = 4,
	/* How long a line waits for a terminal or pipe that is set not to block. */
	STREAM_WAIT_MS = 200,
};

int log_file_open(const char *path)
{
	/* O_NONBLOCK: a FIFO in the file's place must not hold us. */
	const int flags = O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK;

	for (int i = 0; i < OPEN_TRIES; i++) {
		int fd = sys_open(path, flags, 0);

		if (fd >= 0 || errno != ENOENT)
			return fd;
		fd = sys_open(path, flags | O_CREAT | O_EXCL, LOG_FILE_MODE);
		if (fd >= 0) {
			/* Whatever the umask is. Others may have it open already: never replaced. */
			(void)fchmod(fd, LOG_FILE_MODE);
			return fd;
		}
		if (errno != EEXIST)
			return -1;
		/* Somebody else made it in between; or it is a link to nothing. */
	}
	return sys_open(path, flags | O_CREAT, LOG_FILE_MODE);
}

/* Take over a descriptor that was opened just now. */
static void use_descriptor(struct log_handler *handler, int fd)
{
	struct stat status;

	log_handler_close(handler);
	handler->fd = fd;
	handler->torn = false;
	handler->regular = false;
	if (fstat(fd, &status) == 0) {
		handler->device = status.st_dev;
		handler->inode = status.st_ino;
		handler->regular = S_ISREG(status.st_mode);
		log_handler_roll_start(handler, &status);
	}
	log_handler_give_to_group(handler);
	handler->checked_ms = clock_mono_ms();
}

enum nc_err log_handler_open(struct log_handler *handler, struct error *error)
{
	int fd;

	if (handler->kind == HANDLER_STREAM) {
		/* With a closed standard stream, the number may soon belong to something else. */
		handler->dead = fcntl(handler->fd, F_GETFD) < 0;
		return NC_OK;
	}
	if (handler->kind == HANDLER_SYSLOG || handler->kind == HANDLER_JOURNAL)
		log_socket_open(handler);
	if (handler->kind != HANDLER_FILE)
		return NC_OK;
	fd = log_file_open(handler->path);
	if (fd < 0)
		return error_errno(error, errno, "cannot open the log file %s", handler->path);
	use_descriptor(handler, fd);
	return NC_OK;
}

void log_handler_close(struct log_handler *handler)
{
	if (handler->kind == HANDLER_SYSLOG || handler->kind == HANDLER_JOURNAL)
		log_socket_close(handler);
	if (handler->kind == HANDLER_FILE && handler->fd >= 0) {
		(void)sys_close(handler->fd); /* each write was checked */
		handler->fd = -1;
	}
}

static bool is_current(const struct log_handler *handler)
{
	struct stat status;

	return handler->fd >= 0 && stat(handler->path, &status) == 0 &&
	       status.st_dev == handler->device && status.st_ino == handler->inode;
}

void log_handler_check(struct log_handler *handler)
{
	int fd;

	if (handler->kind != HANDLER_FILE || is_current(handler))
		return;
	handler->checked_ms = clock_mono_ms();
	fd = log_file_open(handler->path);
	/* When it cannot be opened, the old file goes on: it is still somebody's FILE.1. */
	if (fd >= 0)
		use_descriptor(handler, fd);
}

static bool failed(struct log_handler *handler, int sys_errno)
{
	handler->lost++;
	handler->lost_errno = sys_errno;
	return false;
}

/* Has the file that we write to lost its last name? */
static bool is_removed(const struct log_handler *handler)
{
	struct stat status;

	return fstat(handler->fd, &status) == 0 && status.st_nlink == 0 && S_ISREG(status.st_mode);
}

static bool append(struct log_handler *handler, const char *line, size_t len)
{
	ssize_t written = sys_write(handler->fd, line, len);

	if (written == (ssize_t)len)
		return true;
	if (written < 0)
		return failed(handler, errno);
	/* The device is full, as a rule. Cutting the piece off again would be for nobody to do: others
	 * write to this file, too. So the next line starts behind a newline. */
	handler->torn = handler->torn || written > 0;
	return failed(handler, ENOSPC);
}

static bool write_file(struct log_handler *handler, const char *line, size_t len)
{
	if (handler->fd < 0 || clock_mono_ms() - handler->checked_ms >= CHECK_INTERVAL_MS) {
		log_handler_check(handler);
		handler->checked_ms = clock_mono_ms();
	}
	if (handler->fd < 0)
		return failed(handler, ENOENT);
	log_handler_roll(handler, len);
	if (handler->torn) {
		/* A newline of its own: the end of the torn line, wherever others wrote meanwhile. */
		if (sys_write(handler->fd, "\n", 1) != 1)
			return failed(handler, errno);
		handler->torn = false;
	}
	if (!append(handler, line, len))
		return false;
	/* A line in a file that nobody can open any more is lost; written again, it is there once. */
	if (!is_removed(handler))
		return true;
	log_handler_check(handler);
	if (is_removed(handler))
		return failed(handler, ENOENT);
	return append(handler, line, len);
}

static bool write_stream(struct log_handler *handler, const char *line, size_t len)
{
	while (len > 0) {
		ssize_t written = sys_write(handler->fd, line, len);

		if (written < 0 && errno == EAGAIN) {
			struct pollfd wait = { .fd = handler->fd, .events = POLLOUT };

			if (poll(&wait, 1, STREAM_WAIT_MS) > 0 && (wait.revents & POLLOUT) != 0)
				continue;
			return failed(handler, EAGAIN);
		}
		if (written < 0) {
			/* Nobody will ever read it. (SIGPIPE is blocked or ignored; loop.h.) */
			handler->dead = errno == EPIPE || errno == EBADF;
			return failed(handler, errno);
		}
		line += written;
		len -= (size_t)written;
	}
	return true;
}

bool log_filters_pass(struct log_filter *const *filters, size_t count, const char *logger)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(filters[i]->logger);

		if (len > 0 && (strncmp(filters[i]->logger, logger, len) != 0 ||
				       (logger[len] != '\0' && logger[len] != '.')))
			return false;
	}
	return true;
}

bool log_handler_write(
	struct log_handler *handler, const struct log_view *view, const char *line, size_t len)
{
	switch (handler->kind) {
	case HANDLER_STREAM:
		return handler->dead ? failed(handler, EPIPE) : write_stream(handler, line, len);
	case HANDLER_FILE:
		return write_file(handler, line, len);
	case HANDLER_SYSLOG:
	case HANDLER_JOURNAL:
		return log_socket_write(handler, view, line, len);
	case HANDLER_MAIL:
		return log_mail_write(handler, view, line, len);
	case HANDLER_AGGREGATOR:
	case HANDLER_NULL:
		break;
	}
	return true;
}
