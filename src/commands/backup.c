/* nowcast backup DIR: a whole copy of the manager's state, while it runs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands/manager_order.h"
#include "core/system/exit_status.h"

static int backup(struct manager_order *order)
{
	struct value *answer = NULL;
	char *directory;
	int status;

	if (order->count != 1)
		return manager_order_fail(
			order, EXIT_USAGE, "it is `nowcast backup [config_file] DIRECTORY`");
	/* The manager runs in another directory. */
	directory = realpath(order->words[0], NULL);
	if (directory == NULL)
		return manager_order_fail(order, EXIT_NO_SUCH_THING,
			"%s: %s; make the directory first", order->words[0], strerror(errno));
	status = manager_order_ask(
		order, manager_question("backup", "directory", directory), &answer);
	free(directory);
	if (status == EXIT_DONE && order->json)
		manager_order_json(order, answer);
	else if (status == EXIT_DONE)
		buffer_printf(
			&order->out, "%s\n", value_as_text(value_map_get(answer, "path"), ""));
	value_destroy(answer);
	return status;
}

static int backup_run(const struct applet *self, int argc, char **argv)
{
	struct manager_order order;
	int status;

	if (!manager_order_begin(&order, self, argc, argv, &status))
		return status;
	return manager_order_finish(&order, backup(&order));
}

static const struct cli_option backup_options[] = {
	MANAGER_ORDER_OPTIONS("Where the copy is made."),
	CLI_END,
};

const struct applet applet_backup = {
	.name = "backup",
	.kind = APPLET_COMMAND,
	.summary = "copy the state of a running manager",
	.description =
		"Have the manager write a whole and consistent copy of its state into a "
		"directory, while it goes on working, and print the name of the file. `nowcast "
		"restore` puts it back. The manager makes such a copy every hour by itself, in "
		"`backups` in the state directory, and keeps 48 of them.",
	.options = backup_options,
	.run = backup_run,
};
