/*
 * The claim of a launch: which runner, of perhaps several that were started for it, runs it (promises.md,
 * R3, "Launch"). STATE/claims/ID is a file, empty, that its owner has locked before anybody could see it; so
 * a claim that can be seen and is not locked is one whose owner has ended, however it ended.
 *
 * There are two locks in it, of open files (OFD locks), which go with the last process that has the file open:
 * the runner's own, which nobody inherits, and a shared one for the worker and all that it starts. So one can
 * tell a runner that lives from a worker, or what it left running, that has lost its runner; and that no
 * second copy is started beside a living one.
 *
 * The file stays when the locks go: it is what stops a runner that was started for the same launch and comes
 * late. Whoever removes it must know that no such runner can come any more.
 *
 * Depends on core/data, core/system.
 */
#ifndef NOWCAST_CORE_WORK_CLAIM_H
#define NOWCAST_CORE_WORK_CLAIM_H

#include "core/data/error.h"

enum claim_state {
	CLAIM_NONE, /* nobody has ever claimed it */
	CLAIM_HELD, /* its runner lives */
	/* The runner is gone; the worker is just dying with it, or something that the worker started lives on.
	 * After the end of a worker that is as it should be; else leftovers.h ends it. */
	CLAIM_ORPHANED,
	CLAIM_FREE, /* it was claimed, and nobody of it is left */
};

/*
 * Claim the launch `id`. NC_OK: *ret_fd is the caller's (close-on-exec); the claim is held until it
 * is closed, also by the end of the process. NC_ERR_REFUSED: somebody has claimed it before.
 * NC_ERR_INVALID: no such id. NC_ERR_SYSTEM, NC_ERR_NOMEM: nothing was claimed.
 */
enum nc_err claim_take(
	const char *state_directory, const char *id, int *ret_fd, struct error *error);

/* For the worker: *ret_fd (close-on-exec; the caller's) has the shared lock of the claim that is open as `fd`.
 * It is held until all that was duplicated and inherited from it is closed. */
enum nc_err claim_share(int fd, int *ret_fd, struct error *error);

/* Without disturbing it: no lock is taken. NC_ERR_INVALID, NC_ERR_SYSTEM, NC_ERR_NOMEM: not known. */
enum nc_err claim_look(const char *state_directory, const char *id, enum claim_state *ret_state,
	struct error *error);

/* One that is not there is no error. */
enum nc_err claim_remove(const char *state_directory, const char *id, struct error *error);

#endif
