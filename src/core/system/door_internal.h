/* Shared by door_server.c and door_client.c only. */
#ifndef NOWCAST_CORE_SYSTEM_DOOR_INTERNAL_H
#define NOWCAST_CORE_SYSTEM_DOOR_INTERNAL_H

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/system/door.h"

enum {
	DOOR_HEADER_SIZE = 4
};

static inline void door_put_length(unsigned char header[DOOR_HEADER_SIZE], size_t len)
{
	header[0] = (unsigned char)(len >> 24);
	header[1] = (unsigned char)(len >> 16);
	header[2] = (unsigned char)(len >> 8);
	header[3] = (unsigned char)len;
}

static inline size_t door_get_length(const char *header)
{
	const unsigned char *h = (const unsigned char *)header;

	return (size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];
}

/* false: the path is too long for a socket address. */
static inline bool door_address(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path))
		return false;
	memcpy(address->sun_path, path, strlen(path) + 1);
	return true;
}

#endif
