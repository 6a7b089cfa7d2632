/*
 * The log of one launch: what its worker printed and logged, of all levels, in the usual form. It is the file
 * STATE/launches/ID/WORKER.log, and stays when the launch has ended, until it is removed for its age.
 *
 * Depends on core/data, core/system, core/work/claim.
 */
#ifndef NOWCAST_CORE_WORK_LAUNCH_LOG_H
#define NOWCAST_CORE_WORK_LAUNCH_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "core/data/error.h"
#include "core/system/id.h"
#include "core/system/log.h"

/* Of the runner: from here on the lines of `log` go there, too. */
enum nc_err launch_log_start(const char *state_directory, const char *id, const char *worker,
	struct log *log, struct error *error);

struct launch_log {
	char id[ID_TEXT_SIZE];
	char *worker;
	char *path;
};

struct launch_logs {
	struct launch_log *items; /* in the order of time */
	size_t count;
};

/* All that are there; none is no error. The caller ends it by launch_logs_finish(). */
enum nc_err launch_logs_find(
	const char *state_directory, struct launch_logs *ret_logs, struct error *error);
void launch_logs_finish(struct launch_logs *logs); /* accepts a zeroed struct */

/* Is the launch still running? */
bool launch_log_is_running(const char *state_directory, const char *id);

/* Remove those of launches that have ended and wrote nothing for `age_s` seconds: how many. */
unsigned launch_logs_remove_old(const char *state_directory, int64_t age_s);

#endif
