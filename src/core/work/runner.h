/*
 * The runner: every worker has one. It is the parent of the worker and stands between it and the system:
 * starts it, follows its output and its descriptor 3, ends it at its time limit, delivers its messages
 * and log lines, and reports its end (design.md, "The contract between runner and worker").
 *
 * One thread, no nng: it speaks to the broker's local door.
 *
 * Depends on core/data, core/system, core/work/launch, contract. Knows no rules.
 */
#ifndef NOWCAST_CORE_WORK_RUNNER_H
#define NOWCAST_CORE_WORK_RUNNER_H

#include "core/system/applet.h"

/*
 * Run a worker; returns the exit status of the whole process. argv: NAME CONFIG ARGS... For one built in
 * (`applet` with a description) the worker is forked; else the program that the configuration names for
 * `name` is spawned. worker_main() comes here when it is not --debug.
 *
 * EXIT_NO_SUCH_THING before anything was said: the configuration has no worker of that name. Which one was
 * meant is for the caller to guess, who knows those that are built in. (A worker may end with that status,
 * too: the configuration has its name.)
 */
int runner_main(const struct applet *applet, const char *name, int argc, char **argv);

/*
 * In the child of a fork for a C worker: do its work and return its exit status. `channel` is the stream
 * to the runner (descriptor 3 of the contract). In worker.c; the runner calls it.
 */
int worker_child_main(const struct applet *applet, struct cli_args *args,
	const struct config *config, int channel);

#endif
