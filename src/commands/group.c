/* nowcast group: which groups (`hold until all have ended`) are open; release or drop one. */
#include <string.h>

#include "commands/manager_order.h"
#include "core/system/exit_status.h"

static void print_list(const struct value *list, const char *head, struct buffer *out)
{
	for (size_t i = 0; i < value_count(list); i++)
		buffer_printf(
			out, "%s%s", i == 0 ? head : ", ", value_as_text(value_at(list, i), ""));
	if (value_count(list) > 0)
		buffer_append_char(out, '\n');
}

static void print_groups(const struct value *groups, struct buffer *out)
{
	if (value_count(groups) == 0)
		buffer_append_text(out, "no group is open\n");
	for (size_t i = 0; i < value_count(groups); i++) {
		const struct value *group = value_at(groups, i);

		buffer_printf(out, "%lld %s since ",
			(long long)value_as_int(value_map_get(group, "group"), 0),
			value_as_text(value_map_get(group, "rule"), ""));
		manager_print_time(value_as_int(value_map_get(group, "since"), 0), out);
		buffer_append_text(out, ", given up ");
		manager_print_time(value_as_int(value_map_get(group, "give up"), 0), out);
		buffer_append_char(out, '\n');
		print_list(value_map_get(group, "waits for"), "  waits for: ", out);
		print_list(value_map_get(group, "ended"), "  ended:     ", out);
		print_list(value_map_get(group, "holds"), "  holds:     ", out);
	}
}

static int list_groups(struct manager_order *order)
{
	struct value *answer = NULL;
	int status = manager_order_ask(order, manager_question("status"), &answer);
	const struct value *groups = value_map_get(answer, "groups");

	if (status == EXIT_DONE && order->json)
		manager_order_json(order, groups);
	else if (status == EXIT_DONE)
		print_groups(groups, &order->out);
	value_destroy(answer);
	return status;
}

static int end_group(struct manager_order *order, const char *ask, const char *done)
{
	struct value *answer = NULL;
	int status =
		manager_order_ask(order, manager_question(ask, "name", order->words[1]), &answer);

	if (status == EXIT_DONE && order->json)
		manager_order_json(order, answer);
	else if (status == EXIT_DONE)
		buffer_printf(&order->out, "group %s is %s\n", order->words[1], done);
	value_destroy(answer);
	return status;
}

static int group(struct manager_order *order)
{
	if (order->count == 0)
		return list_groups(order);
	if (order->count == 2 && strcmp(order->words[0], "release") == 0)
		return end_group(order, "release group", "released: what it held is launched");
	if (order->count == 2 && strcmp(order->words[0], "drop") == 0)
		return end_group(order, "drop group", "dropped: what it held is not launched");
	return manager_order_fail(order, EXIT_USAGE,
		"it is `nowcast group`, `nowcast group release NAME` or `nowcast group drop NAME`");
}

static int group_run(const struct applet *self, int argc, char **argv)
{
	struct manager_order order;
	int status;

	if (!manager_order_begin(&order, self, argc, argv, &status))
		return status;
	return manager_order_finish(&order, group(&order));
}

static const struct cli_option group_options[] = {
	MANAGER_ORDER_OPTIONS(
		"What to do, and with which group: its number, or the rule that declared it."),
	CLI_END,
};

const struct applet applet_group = {
	.name = "group",
	.kind = APPLET_COMMAND,
	.summary = "list the groups that are open; release or drop one",
	.description =
		"List the groups that rules have declared with `hold until all have ended`: what "
		"each waits for, what has ended, and the launches that it holds. `release` "
		"launches what a group holds, `drop` does not; both close it.",
	.options = group_options,
	.run = group_run,
};
