/* nowcast checklist: show the manager's checklist; change it while the manager runs. */
#include <string.h>

#include "commands/manager_order.h"
#include "core/data/yaml.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"

enum {
	IMPORT_BYTES_MOST = 900 << 10, /* what fits into one question */
};

static int show(struct manager_order *order)
{
	struct value *answer = NULL, *checklist = NULL;
	int status = manager_order_ask(order, manager_question("checklist"), &answer);
	const char *text = value_as_text(value_map_get(answer, "checklist"), "");
	struct error error;

	if (status == EXIT_DONE && order->json) {
		if (yaml_read(text, strlen(text), 0, &yaml_file_limits, &checklist, &error) !=
			NC_OK)
			status = manager_order_fail(order, EXIT_FAILED, "%s", error.text);
		else
			manager_order_json(order, checklist);
	} else if (status == EXIT_DONE) {
		buffer_append_text(&order->out, text);
	}
	value_destroy(checklist);
	value_destroy(answer);
	return status;
}

static int change(struct manager_order *order, struct value *question, const char *done)
{
	struct value *answer = NULL;
	int status = manager_order_ask(order, question, &answer);

	if (status == EXIT_DONE && order->json)
		manager_order_json(order, answer);
	else if (status == EXIT_DONE)
		buffer_printf(&order->out, "%s\n", done);
	value_destroy(answer);
	return status;
}

static int import(struct manager_order *order, const char *file)
{
	struct buffer text;
	struct error error;
	int status;

	buffer_init(&text);
	if (file_read(file, IMPORT_BYTES_MOST, &text, &error) == NC_OK)
		status = change(order, manager_question("import checklist", "text", text.data),
			"the checklist is replaced");
	else
		status = manager_order_fail(order, EXIT_FAILED, "%s", error.text);
	buffer_finish(&text);
	return status;
}

static int checklist(struct manager_order *order)
{
	const char *verb = order->count > 0 ? order->words[0] : "";
	const char *from = cli_text(order->args, "--from");

	if (order->count == 0 && from == NULL)
		return show(order);
	if (strcmp(verb, "import") == 0 && order->count == 1 && from != NULL)
		return import(order, from);
	if (strcmp(verb, "set") == 0 && order->count == 3)
		return change(order,
			manager_question(
				"set checklist", "key", order->words[1], "value", order->words[2]),
			"the checklist is changed");
	if (strcmp(verb, "delete") == 0 && order->count == 2)
		return change(order, manager_question("delete checklist", "key", order->words[1]),
			"the key is deleted");
	return manager_order_fail(order, EXIT_USAGE,
		"it is `nowcast checklist`, `... set KEY VALUE`, `... delete KEY` or `... import "
		"--from FILE`");
}

static int checklist_run(const struct applet *self, int argc, char **argv)
{
	struct manager_order order;
	int status;

	if (!manager_order_begin(&order, self, argc, argv, &status))
		return status;
	return manager_order_finish(&order, checklist(&order));
}

static const struct cli_option checklist_options[] = {
	MANAGER_ORDER_OPTIONS("What to do; nothing: show the checklist. VALUE is YAML."),
	{ .name = "--from",
		.kind = CLI_KIND_TEXT,
		.metavar = "FILE",
		.help = "the file that `import` puts into the place of the checklist" },
	CLI_END,
};

const struct applet applet_checklist = {
	.name = "checklist",
	.kind = APPLET_COMMAND,
	.summary = "show the checklist of the manager, or change it",
	.description =
		"Show the checklist as the running manager has it, or change it: the file that "
		"the manager writes is for reading, and what is written into it while the "
		"manager runs is set aside. Every change is logged.",
	.options = checklist_options,
	.run = checklist_run,
};
