/* nowcast down: stop a running system, the supervisor too. */
#include "commands/supervisor_order.h"

#include "core/system/exit_status.h"

static int is_down(struct order *order, void *argument)
{
	return order->answer == NULL && supervisor_has_ended(order->config) ? EXIT_DONE : -1;
}

static int down(struct order *order)
{
	struct value *answer = NULL;
	struct error error;
	int status;
	enum nc_err err =
		supervisor_ask(order->config, SUPERVISOR_DOWN, NULL, &answer, &status, &error);

	value_destroy(answer);
	if (err == NC_ERR_CLOSED && supervisor_has_ended(order->config)) {
		order_done(order, "nowcast is down: no supervisor runs for the state in %s",
			order->config->state_directory);
		return EXIT_DONE;
	}
	if (err != NC_OK && err != NC_ERR_CLOSED)
		return order_fail(order, status, "%s", error.text);
	status = order_wait(order, is_down, NULL);
	if (status != EXIT_DONE)
		return order_fail(
			order, status, "it is still stopping; `nowcast down` again waits longer");
	order_done(order, "nowcast is down");
	return EXIT_DONE;
}

static int down_run(const struct applet *self, int argc, char **argv)
{
	struct order order;
	int status;

	if (!order_begin(&order, self, argc, argv, ORDER_NO_NAME, &status))
		return status;
	return order_finish(&order, down(&order));
}

const struct applet applet_down = {
	.name = "down",
	.kind = APPLET_COMMAND,
	.summary = "stop a running system",
	.description = "Have the supervisor stop all daemons and programs in the reverse order of "
		       "their start, and end itself; and wait until it has. Workers that are "
		       "running go on. When no supervisor runs there is nothing to do.",
	.options = order_options,
	.run = down_run,
};
