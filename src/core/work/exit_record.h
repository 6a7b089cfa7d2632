/*
 * The exit record of a launch: what its runner knows of the end of its worker, in STATE/ends/ID, written
 * whole before the final message is sent and removed when that is answered (promises.md, R5, "Runner"). Who
 * finds one while nobody holds the claim knows that the worker has ended, and how.
 *
 * It is a mapping {launch, worker, type, status, signal, reason, report}: `type` is that of the final message;
 * `status` the exit status or null; `signal` its number or null; `reason` that of a crash or null; `report` as
 * in the message. The final message itself is in the spool (spool.h), which is written first: look there
 * before here.
 *
 * Depends on core/data, core/system.
 */
#ifndef NOWCAST_CORE_WORK_EXIT_RECORD_H
#define NOWCAST_CORE_WORK_EXIT_RECORD_H

#include "core/data/value.h"

/* NC_ERR_INVALID: no such id, or `record` is not of this launch. NC_ERR_SYSTEM, NC_ERR_NOMEM: what was there
 * before is still there. */
enum nc_err exit_record_write(const char *state_directory, const char *id,
	const struct value *record, struct error *error);

/*
 * *ret_record is the caller's. NC_ERR_NOT_FOUND: there is none. NC_ERR_SYNTAX, NC_ERR_INVALID, NC_ERR_LIMIT:
 * the file is damaged (after a power failure it may be empty); it is left as it is.
 */
enum nc_err exit_record_read(const char *state_directory, const char *id, struct value **ret_record,
	struct error *error);

/* One that is not there is no error. */
enum nc_err exit_record_remove(const char *state_directory, const char *id, struct error *error);

#endif
