/*
 * Is a program ready? By a port or a file, looked at from outside.
 *
 *	probe_begin(&probe, program, directory);   before it is started
 *	while (!probe_is_ready(&probe)) ...        each fraction of a second
 *
 * Depends on core/system/config.
 */
#ifndef NOWCAST_DAEMONS_SUPERVISOR_PROBE_H
#define NOWCAST_DAEMONS_SUPERVISOR_PROBE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "core/system/config.h"

struct probe {
	int ready; /* enum config_ready */
	int port;
	char *path;         /* absolute */
	struct stat before; /* of the file; all zero: there was none */
};

/* A relative file starts at `directory`. NC_ERR_NOMEM. */
enum nc_err probe_begin(struct probe *probe, const struct config_supervised *program,
	const char *directory, struct error *error);
void probe_finish(struct probe *probe); /* accepts a zeroed struct */

/* Waits some milliseconds at most. Always false when it is to be told by a descriptor. */
bool probe_is_ready(const struct probe *probe);

#endif
