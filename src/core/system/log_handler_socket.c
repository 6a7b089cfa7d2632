/*
 * Lines to the syslog daemon (a local socket or UDP) and to systemd's journal (its native protocol). All is
 * datagrams, or a local stream when the syslog daemon has only that.
 *
 * Nobody waits for them: a socket that has no room holds one line for 200 ms, and the next ones not at all
 * until there is room again. The name of a host is looked up when the handler is opened, never for a line.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/log_internal.h"
#include "core/system/sys.h"

enum {
	CONNECT_PAUSE_MS = 1000,
	ROOM_WAIT_MS = 200,
};

/* --- connecting --- */

static int connect_local(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int why = errno;

		(void)sys_close(fd);
		errno = why;
		return -1;
	}
	return fd;
}

static int connect_udp(const char *host, int64_t port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
	struct addrinfo *found = NULL;
	char service[24];
	int fd = -1;

	(void)snprintf(service, sizeof(service), "%d", (int)port);
	if (getaddrinfo(host, service, &hints, &found) != 0) {
		errno = EHOSTUNREACH;
		return -1;
	}
	for (const struct addrinfo *one = found; one != NULL && fd < 0; one = one->ai_next) {
		fd = socket(one->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0 && connect(fd, one->ai_addr, one->ai_addrlen) < 0) {
			(void)sys_close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	if (fd < 0)
		errno = EHOSTUNREACH;
	return fd;
}

void log_socket_close(struct log_handler *handler)
{
	if (handler->fd >= 0)
		(void)sys_close(handler->fd);
	handler->fd = -1;
}

static void connect_again(struct log_handler *handler)
{
	handler->checked_ms = clock_mono_ms();
	handler->fd = connect_local(handler->path, SOCK_DGRAM);
	if (handler->fd < 0 && errno == EPROTOTYPE && handler->kind == HANDLER_SYSLOG)
		handler->fd = connect_local(handler->path, SOCK_STREAM);
	handler->lost_errno = errno;
}

void log_socket_open(struct log_handler *handler)
{
	if (handler->host == NULL) {
		connect_again(handler);
		return;
	}
	handler->fd = connect_udp(handler->host, handler->port);
	handler->lost_errno = errno;
}

/* --- sending --- */

/* What a stream took a part of, it gets the rest of. false: errno. */
static bool send_once(struct log_handler *handler, struct msghdr message)
{
	struct iovec rest = message.msg_iovlen > 0 ? message.msg_iov[0] : (struct iovec){ 0 };

	if (message.msg_iovlen > 0)
		message.msg_iov = &rest;
	for (;;) {
		struct pollfd room = { .fd = handler->fd, .events = POLLOUT };
		ssize_t sent = sendmsg(handler->fd, &message, MSG_NOSIGNAL);

		if (sent >= 0) {
			handler->full = false;
			rest.iov_base = (char *)rest.iov_base + sent;
			rest.iov_len -= (size_t)sent;
			if (rest.iov_len == 0)
				return true;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || handler->full)
			return false;
		handler->full = true;
		if (poll(&room, 1, ROOM_WAIT_MS) <= 0) {
			errno = EAGAIN;
			return false;
		}
	}
}

static bool try_to_send(struct log_handler *handler, const struct msghdr *message)
{
	if (handler->fd < 0)
		return false;
	if (send_once(handler, *message))
		return true;
	handler->lost_errno = errno;
	return false;
}

static bool send_message(struct log_handler *handler, const struct msghdr *message)
{
	if (try_to_send(handler, message))
		return true;
	if (handler->host != NULL)
		/* What a datagram before this one met is told now, once. */
		return handler->lost_errno == ECONNREFUSED && try_to_send(handler, message);
	if (handler->fd >= 0 && (handler->lost_errno == EAGAIN || handler->lost_errno == EMSGSIZE))
		return false;
	/* The daemon was started again, or is not there. */
	if (handler->fd < 0 && clock_mono_ms() - handler->checked_ms < CONNECT_PAUSE_MS)
		return false;
	log_socket_close(handler);
	connect_again(handler);
	return try_to_send(handler, message);
}

/* The journal takes what is too long for a datagram as a sealed memory file. */
static bool send_as_file(struct log_handler *handler, const char *bytes, size_t len)
{
	static const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct msghdr message = {
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int fd = memfd_create("nowcast-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	bool sent;

	if (fd < 0)
		return false;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	sent = sys_write_all(fd, bytes, len) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0 &&
	       send_message(handler, &message);
	(void)sys_close(fd);
	return sent;
}

static bool send_bytes(struct log_handler *handler, char *bytes, size_t len)
{
	struct iovec vector = { .iov_base = bytes, .iov_len = len };
	const struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };

	if (send_message(handler, &message))
		return true;
	return handler->kind == HANDLER_JOURNAL && handler->lost_errno == EMSGSIZE &&
	       send_as_file(handler, bytes, len);
}

/* --- the two forms --- */

/* 0 (emergency) to 7 (debug). Levels of other numbers are warnings for Python's SysLogHandler. */
static int severity_of(int level, bool between)
{
	switch (level) {
	case LEVEL_DEBUG:
		return 7;
	case LEVEL_INFO:
		return 6;
	case LEVEL_WARNING:
		return 4;
	case LEVEL_ERROR:
		return 3;
	case LEVEL_CRITICAL:
		return 2;
	default:
		break;
	}
	if (!between)
		return 4;
	return level > LEVEL_CRITICAL  ? 2
	       : level > LEVEL_ERROR   ? 3
	       : level > LEVEL_WARNING ? 4
	       : level > LEVEL_INFO    ? 5
	       : level > LEVEL_DEBUG   ? 6
				       : 7;
}

/* A field of the journal. With a newline in it, its length stands in front, so that it ends where we say. */
static void print_field(struct buffer *out, const char *name, const char *text, size_t len)
{
	buffer_append_text(out, name);
	if (memchr(text, '\n', len) == NULL) {
		buffer_append_char(out, '=');
	} else {
		buffer_append_char(out, '\n');
		for (int shift = 0; shift < 64; shift += 8)
			buffer_append_char(out, (char)((uint64_t)len >> shift & 0xff));
	}
	buffer_append(out, text, len);
	buffer_append_char(out, '\n');
}

static void print_journal(
	struct buffer *out, const struct log_view *view, const char *line, size_t len)
{
	buffer_printf(out, "PRIORITY=%d\n", severity_of(view->level, true));
	print_field(out, "MESSAGE", line, len);
	print_field(out, "SYSLOG_IDENTIFIER", view->process_name, strlen(view->process_name));
	print_field(out, "LOGGER", view->logger, strlen(view->logger));
	buffer_printf(out, "SYSLOG_PID=%lld\n", (long long)view->process_id);
}

bool log_socket_write(
	struct log_handler *handler, const struct log_view *view, const char *line, size_t len)
{
	struct buffer out;
	bool sent;

	len--; /* its newline */
	buffer_init(&out);
	if (handler->kind == HANDLER_JOURNAL) {
		print_journal(&out, view, line, len);
	} else {
		buffer_printf(
			&out, "<%d>", handler->facility << 3 | severity_of(view->level, false));
		buffer_append(&out, line, len);
		buffer_append(&out, "", 1); /* as Python ends it, for old daemons */
	}
	sent = !out.failed && send_bytes(handler, out.data, out.len);
	if (out.failed)
		handler->lost_errno = ENOMEM;
	buffer_finish(&out);
	if (!sent)
		handler->lost++;
	return sent;
}
