/*
 * Words to a service manager that started this process (systemd, Type=notify): one datagram each to
 * $NOTIFY_SOCKET, as sd_notify(3) describes. Without such a manager every call does nothing.
 *
 *	notify_take(&notify);                      at the start, before anything is started from here
 *	notify_say(&notify, "READY=1");
 *	... each notify.watchdog_ms / 2: notify_say(&notify, "WATCHDOG=1");
 *
 * Depends on core/data, core/system/sys.
 */
#ifndef NOWCAST_CORE_SYSTEM_NOTIFY_H
#define NOWCAST_CORE_SYSTEM_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

struct notify {
	struct sockaddr_un address;
	unsigned address_len; /* 0: there is no such manager */
	/* How often it wants a sign of life at least; 0: it does not. */
	int64_t watchdog_ms;
};

/*
 * Read $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID, and take them out of the environment: they are
 * for this process, not for what it starts. An address that is none counts as absent.
 */
void notify_take(struct notify *notify);
/* Put them back, for a program that takes the place of this one (exec). false: out of memory. */
bool notify_put_back(const struct notify *notify);

/* `text`: one assignment or more, a line each. Never blocks; a manager that does not listen is left alone. */
void notify_say(const struct notify *notify, const char *text);

#endif
