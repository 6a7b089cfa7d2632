/*
 * What is left of a launch whose runner was killed: the worker dies with it, but not what the worker has
 * started. Nothing of that may outlive a crash (promises.md, R8), nor run beside a second copy. (While the
 * runner lives, that is its own task.)
 *
 * Depends on core/data, core/system.
 */
#ifndef NOWCAST_CORE_WORK_LEFTOVERS_H
#define NOWCAST_CORE_WORK_LEFTOVERS_H

#include <stddef.h>

#include "core/data/error.h"

/*
 * Send `signo` to each process that belongs to the launch `id`: it was started with NOWCAST_LAUNCH=ID in its
 * environment, or has inherited the claim (claim.h). *ret_count: how many there are; 0: nothing is left. Call
 * it again until then: a process may have forked meanwhile. NC_ERR_INVALID: no such id; NC_ERR_SYSTEM,
 * NC_ERR_NOMEM.
 */
enum nc_err leftovers_signal(const char *state_directory, const char *id, int signo,
	size_t *ret_count, struct error *error);

#endif
