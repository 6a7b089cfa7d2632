/* Ask the manager to clear the checklist: usually the last worker but one of a day. */
#include "core/work/worker.h"

static const struct cli_option clear_checklist_options[] = { CLI_END };

/* The checklist of this worker stays empty: what it put there would be in the one just cleared. */
static enum worker_result work(struct worker *worker, struct value *checklist)
{
	struct error error;

	worker_log(worker, LEVEL_INFO, "requesting that manager clear system state checklist");
	if (worker_tell(worker, "clear checklist", NULL, NULL, NULL, &error) == NC_OK ||
		worker_is_debug(worker))
		return WORKER_SUCCESS;
	worker_log(worker, LEVEL_ERROR, "%s", error.text);
	return WORKER_FAILURE;
}

static const char *success(struct worker *worker)
{
	worker_log(worker, LEVEL_INFO, "nowcast system checklist cleared");
	return "success";
}

static const char *failure(struct worker *worker)
{
	worker_log(worker, LEVEL_CRITICAL, "failed to clear nowcast system checklist");
	return "failure";
}

static const struct worker_description description = {
	.work = work,
	.success = success,
	.failure = failure,
};

const struct applet applet_clear_checklist = {
	.name = "clear_checklist",
	.kind = APPLET_WORKER,
	.summary = "ask the manager to clear the checklist",
	.description = "Send a message to the manager that asks it to clear the checklist, the "
		       "state of the system.\n\n"
		       "It is normally launched at the end of a day's work, just before "
		       "rotate_logs. It can also be run by hand.",
	.options = clear_checklist_options,
	.run = worker_main,
	.worker = &description,
};
