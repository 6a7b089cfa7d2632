/* nowcast stop NAME: have the supervisor stop one daemon or program, and not start it again. */
#include "commands/supervisor_order.h"

#include <string.h>

#include "core/system/exit_status.h"

static int is_stopped(struct order *order, void *argument)
{
	const struct value *program = supervisor_find_program(order->answer, order->name);

	return strcmp(supervisor_text(program, "state"), "stopped") == 0 ? EXIT_DONE : -1;
}

static int stop(struct order *order)
{
	struct value *answer = NULL;
	int status = order_give(order, SUPERVISOR_STOP, &answer);

	value_destroy(answer);
	if (status != EXIT_DONE)
		return status;
	status = order_wait(order, is_stopped, NULL);
	if (status != EXIT_DONE)
		return order_fail_not_ready(order, status, "it has not ended yet:");
	order_done(order, "%s is stopped", order->name);
	return EXIT_DONE;
}

static int stop_run(const struct applet *self, int argc, char **argv)
{
	struct order order;
	int status;

	if (!order_begin(&order, self, argc, argv, ORDER_MUST_NAME, &status))
		return status;
	return order_finish(&order, stop(&order));
}

const struct applet applet_stop = {
	.name = "stop",
	.kind = APPLET_COMMAND,
	.summary = "stop one daemon or program of a running system",
	.description =
		"Have the supervisor stop a daemon, or a program of its own, and wait until it "
		"has ended. It stays stopped until `nowcast start`, or until the supervisor "
		"is started anew; all others go on. `nowcast down` stops all.",
	.options = order_name_options,
	.run = stop_run,
};
