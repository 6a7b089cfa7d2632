/*
 * The lock of the manager's state (promises.md, R11): who holds it may change what is in the state directory.
 * It goes with the process, however that ends.
 *
 * Depends on core/data, core/system (config, sys).
 */
#ifndef NOWCAST_CORE_SYSTEM_STATE_LOCK_H
#define NOWCAST_CORE_SYSTEM_STATE_LOCK_H

#include "core/system/config.h"

/* *ret_fd is the caller's, who lets the lock go by closing it. NC_ERR_REFUSED: another process holds it;
 * NC_ERR_SYSTEM, NC_ERR_LIMIT, NC_ERR_NOMEM. */
enum nc_err state_lock_take(const struct config *config, int *ret_fd, struct error *error);

#endif
