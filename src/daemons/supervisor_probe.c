#include "daemons/supervisor_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/system/file.h"
#include "core/system/sys.h"

enum {
	CONNECT_MS = 20,
};

enum nc_err probe_begin(struct probe *probe, const struct config_supervised *program,
	const char *directory, struct error *error)
{
	*probe = (struct probe){ .ready = program->ready, .port = (int)program->ready_port };
	if (program->ready != CONFIG_READY_FILE)
		return NC_OK;
	probe->path = path_join(directory, program->ready_file);
	if (probe->path == NULL)
		return error_nomem(error);
	if (stat(probe->path, &probe->before) < 0)
		memset(&probe->before, 0, sizeof(probe->before));
	return NC_OK;
}

void probe_finish(struct probe *probe)
{
	free(probe->path);
	*probe = (struct probe){ 0 };
}

static bool has_changed(const struct probe *probe)
{
	const struct stat *before = &probe->before;
	struct stat now;

	if (stat(probe->path, &now) < 0)
		return false;
	return before->st_nlink == 0 || now.st_ino != before->st_ino ||
	       now.st_dev != before->st_dev || now.st_size != before->st_size ||
	       now.st_ctim.tv_sec != before->st_ctim.tv_sec ||
	       now.st_ctim.tv_nsec != before->st_ctim.tv_nsec;
}

/* To this host a connection is made or refused at once; only a listener that is busy takes longer. */
static bool can_connect(const struct sockaddr *address, socklen_t size, in_port_t port)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	socklen_t code_size = sizeof(int);
	struct sockaddr_in own = { 0 }; /* in both families the port stands at the same place */
	socklen_t own_size = sizeof(own);
	int code = 0;
	bool connected;

	if (fd < 0)
		return false;
	connected = connect(fd, address, size) == 0;
	if (!connected && errno == EINPROGRESS && poll(&poll_fd, 1, CONNECT_MS) == 1)
		connected =
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &code_size) == 0 && code == 0;
	/* With a port that the system gives away itself, one can get hold of oneself. */
	if (connected && getsockname(fd, (struct sockaddr *)&own, &own_size) == 0 &&
		own.sin_port == port)
		connected = false;
	(void)sys_close(fd);
	return connected;
}

static bool port_is_open(const struct probe *probe)
{
	const struct sockaddr_in four = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)probe->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in6 six = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)probe->port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };

	return can_connect((const struct sockaddr *)&four, sizeof(four), four.sin_port) ||
	       can_connect((const struct sockaddr *)&six, sizeof(six), six.sin6_port);
}

bool probe_is_ready(const struct probe *probe)
{
	switch ((enum config_ready)probe->ready) {
	case CONFIG_READY_NONE:
		return true;
	case CONFIG_READY_PORT:
		return port_is_open(probe);
	case CONFIG_READY_FILE:
		return has_changed(probe);
	case CONFIG_READY_DESCRIPTOR:
		break;
	}
	return false;
}
