#include "commands/supervisor_order.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/json.h"
#include "core/system/clock.h"
#include "core/system/exit_status.h"

enum {
	LOOK_MS = 50,
	WAIT_S = 60,
	WAIT_MOST_S = 86400,
};

#define CONFIG_OPTION                                                                                \
	{                                                                                            \
		.name = "config_file", .kind = CLI_KIND_TEXT, .optional = true,                      \
		.help = "Path/name of YAML configuration file for NEMO nowcast; when it is absent, " \
			"$NOWCAST_YAML, and without that ./nowcast.yaml"                             \
	}
#define WAIT_OPTION                                                                                \
	{                                                                                          \
		.name = "--wait", .kind = CLI_KIND_INT, .metavar = "SECONDS",                      \
		.default_int = WAIT_S, .least = 0, .most = WAIT_MOST_S,                            \
		.help = "how long to wait until it is done; it goes on when the time is over "     \
			"(default: 60)"                                                            \
	}
#define JSON_OPTION                                                                                \
	{                                                                                          \
		.name = "--json", .kind = CLI_KIND_FLAG,                                           \
		.help = "print the result as one JSON object, for programs"                        \
	}

const struct cli_option order_options[] = { CONFIG_OPTION, WAIT_OPTION, JSON_OPTION, CLI_END };

const struct cli_option order_name_options[] = {
	CONFIG_OPTION,
	{ .name = "name",
		.kind = CLI_KIND_TEXT,
		.optional = true,
		.help = "the daemon or program, as `nowcast status` names it" },
	WAIT_OPTION,
	JSON_OPTION,
	CLI_END,
};

/* --- arguments --- */

static bool take_words(struct order *order, enum order_name needs)
{
	const char *first = cli_text(order->args, "config_file");
	const char *second = needs != ORDER_NO_NAME ? cli_text(order->args, "name") : NULL;
	const char *file;
	bool swapped = second != NULL && text_ends_in_yaml(second) && !text_ends_in_yaml(first);
	bool name_only = second == NULL && needs != ORDER_NO_NAME && first != NULL &&
			 !text_ends_in_yaml(first);

	/* Otherwise any name of a file will do: there can be no doubt. */
	if (swapped || name_only) {
		file = second;
		order->name = first;
	} else {
		file = first;
		order->name = second;
	}
	order->file = applet_config_file(file);
	return order->name != NULL || needs != ORDER_MUST_NAME;
}

bool order_begin(struct order *order, const struct applet *self, int argc, char **argv,
	enum order_name needs, int *ret_status)
{
	*order = (struct order){ .command = self->name };
	buffer_init(&order->out);
	if (!applet_parse(self, argc, argv, &order->args, ret_status))
		return false;
	order->json = cli_flag(order->args, "--json");
	order->wait_ms = cli_int(order->args, "--wait") * MS_PER_S;
	if (!take_words(order, needs)) {
		(void)fprintf(stderr,
			"nowcast %s: error: the following arguments are required: name (of a "
			"daemon or program; `nowcast status` shows them)\n",
			self->name);
		*ret_status = EXIT_USAGE;
		cli_args_destroy(order->args);
		return false;
	}
	order->config = applet_load_config(self->name, order->file, ret_status);
	if (order->config != NULL)
		return true;
	cli_args_destroy(order->args);
	return false;
}

int order_finish(struct order *order, int status)
{
	if (applet_show(&order->out) != EXIT_DONE)
		status = EXIT_FAILED;
	buffer_finish(&order->out);
	value_destroy(order->answer);
	config_destroy(order->config);
	cli_args_destroy(order->args);
	return status;
}

/* --- what is printed --- */

static enum nc_err put_programs(const struct order *order, struct value *map)
{
	const struct value *programs = value_map_get(order->answer, "programs");
	const struct value *one =
		order->name != NULL ? supervisor_find_program(order->answer, order->name) : NULL;

	if (one != NULL)
		return value_map_merge(map, one);
	return programs != NULL ? value_map_put(map, "programs", value_copy(programs)) : NC_OK;
}

static void print_json(struct order *order, bool ok, const char *words)
{
	struct value *map = value_map();
	bool well = map != NULL && value_map_put(map, "ok", value_bool(ok)) == NC_OK &&
		    value_map_put(map, ok ? "done" : "error", value_text(words)) == NC_OK &&
		    put_programs(order, map) == NC_OK;

	if (well)
		json_write(map, JSON_WRITE_INDENT, &order->out);
	else
		order->out.failed = true;
	buffer_append_char(&order->out, '\n');
	value_destroy(map);
}

NC_PRINTF(2, 0)
static char *print_words(struct order *order, const char *format, va_list arguments)
{
	char *words;

	if (vasprintf(&words, format, arguments) >= 0)
		return words;
	order->out.failed = true;
	return NULL;
}

int order_fail(struct order *order, int status, const char *format, ...)
{
	va_list arguments;
	char *words;

	va_start(arguments, format);
	words = print_words(order, format, arguments);
	va_end(arguments);
	if (words != NULL) {
		(void)fprintf(stderr, "nowcast %s: %s\n", order->command, words);
		if (order->json)
			print_json(order, false, words);
	}
	free(words);
	return status;
}

int order_fail_not_ready(struct order *order, int status, const char *what)
{
	const struct value *programs = value_map_get(order->answer, "programs");
	const char *log_file = supervisor_text(value_at(programs, 0), "log");
	struct buffer text;

	buffer_init(&text);
	(void)supervisor_print_not_ready(order->answer, &text);
	buffer_append_text(&text, "  Why is in the log");
	if (log_file[0] != '\0')
		buffer_printf(&text, ", %s", log_file);
	buffer_printf(&text, "; what was said before it was open is in %s/%s",
		order->config->state_directory, SUPERVISOR_CONSOLE);
	(void)order_fail(order, status, "%s\n%s", what, text.data);
	buffer_finish(&text);
	return status;
}

void order_done(struct order *order, const char *format, ...)
{
	va_list arguments;
	char *words;

	va_start(arguments, format);
	words = print_words(order, format, arguments);
	va_end(arguments);
	if (words != NULL && order->json)
		print_json(order, true, words);
	else if (words != NULL)
		buffer_printf(&order->out, "%s\n", words);
	free(words);
}

/* --- asking and waiting --- */

int order_give(struct order *order, const char *ask, struct value **ret_answer)
{
	struct error error;
	int status;
	enum nc_err err =
		supervisor_ask(order->config, ask, order->name, ret_answer, &status, &error);

	if (err == NC_OK)
		return EXIT_DONE;
	if (err == NC_ERR_CLOSED)
		return order_fail(order, status,
			"no supervisor runs for the state in %s; `nowcast up` starts one",
			order->config->state_directory);
	return order_fail(order, status, "%s", error.text);
}

int order_wait(
	struct order *order, int (*is_done)(struct order *order, void *argument), void *argument)
{
	int64_t end_ms = clock_mono_ms() + order->wait_ms;
	int status, ignored;

	for (;;) {
		struct value *answer = NULL;

		(void)supervisor_ask(
			order->config, SUPERVISOR_STATUS, NULL, &answer, &ignored, NULL);
		value_destroy(order->answer);
		order->answer = answer;
		status = is_done(order, argument);
		if (status >= 0)
			return status;
		if (clock_mono_ms() >= end_ms)
			return EXIT_TIME_LIMIT;
		(void)poll(NULL, 0, LOOK_MS);
	}
}
