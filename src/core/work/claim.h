/*
 * The claim of a launch: which runner, of perhaps several that were started for it, runs it (promises.md,
 * R3, "Launch"). STATE/claims/ID is a file, empty, that its owner has locked before anybody could see it, so
 * a claim that can be seen and is not locked is one whose owner has ended, however it ended. The lock belongs
 * to the open file (an OFD lock): the runner holds it for life, the worker inherits it, and it goes when the
 * last of them has ended. So a claim may be CLAIM_HELD for some milliseconds after the death of a runner,
 * while the kernel ends its worker; and for as long as what the worker left running lives.
 *
 * The file stays when the lock goes: it is what stops a runner that was started for the same launch and comes
 * late. Whoever removes it must know that no such runner can come any more.
 *
 * Depends on core/data, core/system.
 */
#ifndef NOWCAST_CORE_WORK_CLAIM_H
#define NOWCAST_CORE_WORK_CLAIM_H

#include "core/data/error.h"

enum claim_state {
	CLAIM_NONE, /* nobody has ever claimed it */
	CLAIM_HELD,
	CLAIM_FREE, /* it was claimed, and nobody holds the lock any more */
};

/*
 * Claim the launch `id`. NC_OK: *ret_fd is the caller's (close-on-exec); the claim is held until it, and all
 * that was duplicated or inherited from it, is closed. NC_ERR_REFUSED: somebody has claimed it before.
 * NC_ERR_INVALID: no such id. NC_ERR_SYSTEM, NC_ERR_NOMEM: nothing was claimed.
 */
enum nc_err claim_take(
	const char *state_directory, const char *id, int *ret_fd, struct error *error);

/* Without disturbing it: no lock is taken. NC_ERR_INVALID, NC_ERR_SYSTEM, NC_ERR_NOMEM: not known. */
enum nc_err claim_look(const char *state_directory, const char *id, enum claim_state *ret_state,
	struct error *error);

/* One that is not there is no error. */
enum nc_err claim_remove(const char *state_directory, const char *id, struct error *error);

#endif
