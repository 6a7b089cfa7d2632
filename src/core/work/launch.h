/*
 * Launches: the one interface by which the manager starts workers, and what is handed to the runner.
 *
 * Local launches spawn this very binary again (/proc/self/exe, so that a binary replaced on disk harms
 * nobody) as `nowcast WORKER CONFIG ARGS...`. The launch id, its token and the configuration in force go
 * along as a sealed memory file on descriptor 3, never by environment or arguments (design.md, "The
 * contract"); what has no such descriptor is a launch by hand. Other hosts join behind the same
 * interface later.
 *
 * Depends on core/data, core/system. Knows no rules.
 */
#ifndef NOWCAST_CORE_WORK_LAUNCH_H
#define NOWCAST_CORE_WORK_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/data/error.h"
#include "core/system/config.h"
#include "core/system/id.h"

enum {
	LAUNCH_FD = 3
};

struct launch {
	char id[ID_TEXT_SIZE];
	char token[TOKEN_TEXT_SIZE];
	char *worker;
	char **arguments; /* ends with NULL */
	size_t arguments_count;
	char *why;       /* or NULL */
	int64_t attempt; /* from 1 */
	bool by_hand;

	/* Of a launch that was received: */
	char *state_directory;
	char *version;     /* of the manager that made it, or NULL */
	char *config_file; /* its name, and its text in `file`: for launch_load_config() */
	struct buffer file;
	size_t config_at;
};

void launch_finish(struct launch *launch); /* accepts a zeroed struct */

struct launcher {
	/* Start it. Never blocks for long. NC_OK: *ret_pid is the runner's, and the caller reaps it. */
	enum nc_err (*start)(void *argument, const struct launch *launch,
		const struct config *config, pid_t *ret_pid, struct error *error);
	void *argument;
};

/* The launcher for this host. */
extern const struct launcher launcher_local;

/*
 * In a new process: is this a launch of the manager's? Takes the sealed file from descriptor 3 (and
 * closes it). NC_OK: `launch` is filled. NC_ERR_NOT_FOUND: no, by hand; nothing was touched. Others: a file
 * that is not as it must be, or of a manager whose version this one does not understand.
 *
 * What comes next is to claim it (claim.h), before anything else is read; then its configuration.
 */
enum nc_err launch_receive(struct launch *launch, struct error *error);

/* The configuration that a received launch carries; once. *ret_config is the caller's. */
enum nc_err launch_load_config(
	struct launch *launch, struct config **ret_config, struct error *error);

#endif
