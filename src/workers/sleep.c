/*
 * The model of a worker: it sleeps for some seconds. To write your own, copy this file; core/work/worker.h
 * is the manual, and CONTRIBUTING.md says what else is needed.
 */
#include <inttypes.h>
#include <time.h>

#include "core/work/worker.h"

static const struct cli_option sleep_options[] = {
	{ .name = "--sleep-time",
		.kind = CLI_KIND_INT,
		.default_int = 5,
		.least = 0,
		.most = 86400,
		.help = "number of seconds to sleep for; defaults to 5" },
	CLI_END,
};

/* Do the work, and put into the checklist what was done. */
static enum worker_result work(struct worker *worker, struct value *checklist)
{
	int64_t seconds = cli_int(worker_args(worker), "--sleep-time");
	struct timespec left = { .tv_sec = seconds };

	if (nanosleep(&left, NULL) != 0)
		return WORKER_FAILURE;
	if (value_map_put(checklist, "sleep time", value_int(seconds)) != NC_OK)
		return WORKER_FAILURE;
	return WORKER_SUCCESS;
}

/* Log what became of it, and name the message type: one of those in the message registry. */
static const char *success(struct worker *worker)
{
	worker_log(worker, LEVEL_INFO, "slept for %" PRId64 " seconds",
		cli_int(worker_args(worker), "--sleep-time"));
	return "success";
}

static const char *failure(struct worker *worker)
{
	worker_log(worker, LEVEL_CRITICAL, "failed to sleep for %" PRId64 " seconds",
		cli_int(worker_args(worker), "--sleep-time"));
	return "failure";
}

static const struct worker_description description = {
	.work = work,
	.success = success,
	.failure = failure,
};

const struct applet applet_sleep = {
	.name = "sleep",
	.kind = APPLET_WORKER,
	.summary = "sleep for some seconds (an example of a worker)",
	.description = "Example of a worker that does nothing other than sleep for a specified "
		       "number of seconds.",
	.options = sleep_options,
	.run = worker_main,
	.worker = &description,
};
