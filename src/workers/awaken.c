/* An example: it only sends its message. It shows how a worker is launched after another one. */
#include "core/work/worker.h"

static const struct cli_option awaken_options[] = { CLI_END };

static enum worker_result work(struct worker *worker, struct value *checklist)
{
	if (value_map_put(checklist, "awoke", value_bool(true)) != NC_OK)
		return WORKER_FAILURE;
	return WORKER_SUCCESS;
}

static const char *success(struct worker *worker)
{
	worker_log(worker, LEVEL_INFO, "awoke");
	return "success";
}

static const char *failure(struct worker *worker)
{
	worker_log(worker, LEVEL_CRITICAL, "failed to awaken");
	return "failure";
}

static const struct worker_description description = {
	.work = work,
	.success = success,
	.failure = failure,
};

const struct applet applet_awaken = {
	.name = "awaken",
	.kind = APPLET_WORKER,
	.summary = "report having awoken (an example of a worker)",
	.description = "Example of a worker that does nothing other than send messages to the "
		       "manager.\n\n"
		       "It shows how a worker is launched after the sleep worker has finished "
		       "successfully.",
	.options = awaken_options,
	.run = worker_main,
	.worker = &description,
};
