/*
 * Parses command lines by option tables that it is told, for tests/system/command_line.py, which holds the
 * answers against Python's argparse.
 *
 * One JSON object a line comes in: {"command", "description", "epilog", "width", "argv": [...],
 * "options": [{"name", "short", "kind", "help", "metavar", "choices", "default", "optional", "repeated"}]}.
 * One goes out for each: {"usage", "help", "result", "error", "values": {NAME: [...]}}. Dates count from
 * 2026-11-24.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/json.h"
#include "core/system/cli.h"

enum {
	OPTIONS_MOST = 40,
	CHOICES_MOST = 10,
	ARGUMENTS_MOST = 60,
};

static const struct date today = { 2026, 11, 24 };

/* A table and a command line, made from one line of input. The texts stay the input's. */
struct demo {
	struct cli_option options[OPTIONS_MOST + 1];
	const char *choices[OPTIONS_MOST][CHOICES_MOST + 1];
	const struct cli_option *tables[2];
	struct cli_spec spec;
	char *argv[ARGUMENTS_MOST + 1];
	int argc;
};

static const char *text_of(const struct value *map, const char *key)
{
	return value_as_text(value_map_get(map, key), NULL);
}

static enum cli_kind kind_of(const char *name)
{
	static const char *const names[] = {
		[CLI_KIND_FLAG] = "flag",
		[CLI_KIND_INT] = "int",
		[CLI_KIND_TEXT] = "text",
		[CLI_KIND_DATE] = "date",
	};

	for (size_t kind = 1; kind < ARRAY_LEN(names); kind++)
		if (name != NULL && strcmp(names[kind], name) == 0)
			return (enum cli_kind)kind;
	(void)fprintf(stderr, "cli_demo: a kind that is not known\n");
	exit(1);
}

static void take_option(struct demo *demo, size_t at, const struct value *told)
{
	struct cli_option *option = &demo->options[at];
	const struct value *choices = value_map_get(told, "choices");

	*option = (struct cli_option){
		.name = text_of(told, "name"),
		.short_name = text_of(told, "short"),
		.kind = kind_of(text_of(told, "kind")),
		.help = text_of(told, "help"),
		.metavar = text_of(told, "metavar"),
		.default_int = value_as_int(value_map_get(told, "default"), 0),
		.default_text = text_of(told, "default"),
		.default_date =
			(enum cli_date_default)value_as_int(value_map_get(told, "default"), 0),
		.optional = value_as_bool(value_map_get(told, "optional"), false),
		.repeated = value_as_bool(value_map_get(told, "repeated"), false),
	};
	for (size_t i = 0; i < value_count(choices) && i < CHOICES_MOST; i++) {
		demo->choices[at][i] = value_as_text(value_at(choices, i), "");
		option->choices = demo->choices[at];
	}
}

static void take_line(struct demo *demo, const struct value *told)
{
	const struct value *options = value_map_get(told, "options");
	const struct value *arguments = value_map_get(told, "argv");

	memset(demo, 0, sizeof(*demo));
	for (size_t i = 0; i < value_count(options) && i < OPTIONS_MOST; i++)
		take_option(demo, i, value_at(options, i));
	demo->argv[demo->argc++] = (char *)(uintptr_t) "demo";
	for (size_t i = 0; i < value_count(arguments) && demo->argc < ARGUMENTS_MOST; i++)
		demo->argv[demo->argc++] =
			(char *)(uintptr_t)value_as_text(value_at(arguments, i), "");
	demo->tables[0] = demo->options;
	demo->spec = (struct cli_spec){
		.command = value_as_text(value_map_get(told, "command"), "demo"),
		.description = text_of(told, "description"),
		.epilog = text_of(told, "epilog"),
		.tables = demo->tables,
	};
}

static struct value *values_of(const struct demo *demo, const struct cli_args *args)
{
	struct value *values = value_map();
	char day[DATE_TEXT_SIZE];
	struct date date;

	for (const struct cli_option *o = demo->options; o->name != NULL; o++) {
		struct value *all = value_list();

		if (o->kind == CLI_KIND_FLAG)
			(void)value_list_append(all, value_bool(cli_flag(args, o->name)));
		else if (o->repeated)
			for (size_t i = 0; cli_text_at(args, o->name, i) != NULL; i++)
				(void)value_list_append(
					all, value_text(cli_text_at(args, o->name, i)));
		else if (o->kind == CLI_KIND_INT)
			(void)value_list_append(all, value_int(cli_int(args, o->name)));
		else if (o->kind == CLI_KIND_DATE)
			(void)value_list_append(all, cli_date(args, o->name, &date)
							     ? value_text(date_print(date, day))
							     : value_null());
		else
			(void)value_list_append(all, cli_text(args, o->name) != NULL
							     ? value_text(cli_text(args, o->name))
							     : value_null());
		(void)value_map_put(values, o->name, all);
	}
	return values;
}

static void answer(const struct value *told)
{
	static const char *const results[] = {
		[CLI_PARSED] = "parsed",
		[CLI_SHOW_HELP] = "help",
		[CLI_WRONG] = "wrong",
		[CLI_NOMEM] = "out of memory",
	};
	unsigned width = (unsigned)value_as_int(value_map_get(told, "width"), 0);
	struct value *reply = value_map();
	struct cli_args *args = NULL;
	struct error error = { 0 };
	enum cli_result result;
	struct demo demo;
	struct buffer text;

	take_line(&demo, told);
	buffer_init(&text);
	cli_usage(&demo.spec, width, &text);
	(void)value_map_put(reply, "usage", value_text(text.data));
	buffer_clear(&text);
	cli_help(&demo.spec, today, width, &text);
	(void)value_map_put(reply, "help", value_text(text.data));
	result = cli_parse(&demo.spec, demo.argc, demo.argv, today, &args, &error);
	(void)value_map_put(reply, "result", value_text(results[result]));
	if (result == CLI_WRONG)
		(void)value_map_put(reply, "error", value_text(error.text));
	if (result == CLI_PARSED)
		(void)value_map_put(reply, "values", values_of(&demo, args));
	buffer_clear(&text);
	json_write(reply, 0, &text);
	(void)printf("%s\n", text.data);
	buffer_finish(&text);
	cli_args_destroy(args);
	value_destroy(reply);
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0) {
		struct value *told = NULL;
		struct error error;

		if (json_read(line, (size_t)len, &yaml_file_limits, &told, &error) != NC_OK) {
			(void)fprintf(stderr, "cli_demo: %s\n", error.text);
			return 1;
		}
		answer(told);
		value_destroy(told);
	}
	free(line);
	return fflush(stdout) == 0 ? 0 : 1;
}
