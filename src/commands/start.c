/* nowcast start NAME: have the supervisor start a daemon or program that was stopped. */
#include "commands/supervisor_order.h"

#include <string.h>

#include "core/system/exit_status.h"

static int is_running(struct order *order, void *argument)
{
	const struct value *program = supervisor_find_program(order->answer, order->name);

	if (strcmp(supervisor_text(program, "state"), "running") == 0)
		return EXIT_DONE;
	if (strcmp(supervisor_text(program, "state"), "backoff") == 0 &&
		supervisor_text(program, "alarm")[0] != '\0')
		return EXIT_FAILED;
	return -1;
}

static int start(struct order *order)
{
	struct value *answer = NULL;
	const struct value *program;
	int status = order_give(order, SUPERVISOR_START, &answer);

	value_destroy(answer);
	if (status != EXIT_DONE)
		return status;
	status = order_wait(order, is_running, NULL);
	if (status != EXIT_DONE)
		return order_fail_not_ready(order, status, "it is not ready:");
	program = supervisor_find_program(order->answer, order->name);
	order_done(order, "%s is running (process %d)", order->name,
		(int)value_as_int(value_map_get(program, "pid"), 0));
	return EXIT_DONE;
}

static int start_run(const struct applet *self, int argc, char **argv)
{
	struct order order;
	int status;

	if (!order_begin(&order, self, argc, argv, ORDER_MUST_NAME, &status))
		return status;
	return order_finish(&order, start(&order));
}

const struct applet applet_start = {
	.name = "start",
	.kind = APPLET_COMMAND,
	.summary = "start a daemon or program that was stopped",
	.description = "Have the supervisor start a daemon, or a program of its own, that "
		       "`nowcast stop` has stopped, or that waits to be started again; and wait "
		       "until it is ready. One that runs is left alone.",
	.options = order_name_options,
	.run = start_run,
};
