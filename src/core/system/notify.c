#include "core/system/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/data/value.h"
#include "core/system/sys.h"

static int64_t number_of(const char *name)
{
	const char *text = getenv(name);
	int64_t number;

	return text != NULL && text_to_int64(text, &number) && number > 0 ? number : 0;
}

void notify_take(struct notify *notify)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int64_t usec = number_of("WATCHDOG_USEC"), pid = number_of("WATCHDOG_PID");
	size_t len = path != NULL ? strlen(path) : 0;

	*notify = (struct notify){ .address.sun_family = AF_UNIX };
	/* A path, or behind an @ the name of an abstract socket. */
	if (len > 1 && len < sizeof(notify->address.sun_path) &&
		(path[0] == '/' || path[0] == '@')) {
		memcpy(notify->address.sun_path, path, len);
		if (path[0] == '@')
			notify->address.sun_path[0] = '\0';
		notify->address_len = (unsigned)(offsetof(struct sockaddr_un, sun_path) + len);
		if (usec >= 1000 && (pid == 0 || pid == getpid()))
			notify->watchdog_ms = usec / 1000;
	}
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

bool notify_put_back(const struct notify *notify)
{
	char path[sizeof(notify->address.sun_path) + 1] = "", number[32];
	size_t len = notify->address_len;

	if (len == 0)
		return true;
	memcpy(path, notify->address.sun_path, len - offsetof(struct sockaddr_un, sun_path));
	if (path[0] == '\0')
		path[0] = '@';
	if (setenv("NOTIFY_SOCKET", path, 1) < 0)
		return false;
	if (notify->watchdog_ms == 0)
		return true;
	(void)snprintf(number, sizeof(number), "%" PRId64, notify->watchdog_ms * 1000);
	if (setenv("WATCHDOG_USEC", number, 1) < 0)
		return false;
	(void)snprintf(number, sizeof(number), "%d", (int)getpid());
	return setenv("WATCHDOG_PID", number, 1) == 0;
}

void notify_say(const struct notify *notify, const char *text)
{
	int fd;

	if (notify->address_len == 0)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL,
		(const struct sockaddr *)&notify->address, notify->address_len);
	(void)sys_close(fd);
}
