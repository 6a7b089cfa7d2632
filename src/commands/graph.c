/*
 * nowcast graph: the flow of the whole rules file, as a picture or a listing. Read by core/decide/rules_flow,
 * so that a file with errors can be drawn too, as far as it can be read; `nowcast check` judges.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands/graph_view.h"
#include "core/data/yaml.h"
#include "core/system/applet.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"

static const char *const formats[] = { "text", "svg", "dot", "json", NULL };

static const struct cli_option graph_options[] = {
	{ .name = "config_file",
		.kind = CLI_KIND_TEXT,
		.optional = true,
		.help = "Path/name of YAML configuration file for NEMO nowcast; when it is absent, "
			"$NOWCAST_YAML, and without that ./nowcast.yaml" },
	{ .name = "--format",
		.kind = CLI_KIND_TEXT,
		.choices = formats,
		.default_text = "text",
		.help = "text for the terminal; svg for a picture, which needs the program dot of "
			"Graphviz; dot for the input of that program; json for programs; default: "
			"text" },
	{ .name = "--from",
		.kind = CLI_KIND_TEXT,
		.metavar = "WORKER",
		.help = "show only what can follow this worker" },
	{ .name = "--depth",
		.kind = CLI_KIND_INT,
		.metavar = "N",
		.least = 1,
		.most = 1000,
		.help = "with --from: go this many launches far; without it, to the end" },
	{ .name = "--json", .kind = CLI_KIND_FLAG, .help = "the same as --format json" },
	CLI_END,
};

static int refuse(const struct error *error, int status)
{
	(void)fprintf(stderr, "nowcast graph: %s\n", error->text);
	return error->code == NC_ERR_NOMEM ? EXIT_FAILED : status;
}

/* --- the rules --- */

static void say_skipped(const struct config *config, const struct flow *flow)
{
	if (flow->skipped > 0)
		(void)fprintf(stderr,
			"nowcast graph: %s:%u:%u: this%s cannot be shown, because it is not of the "
			"form that rules have; `nowcast check %s` says what is wrong\n",
			path_base(config->rules_file), flow->first_skipped_line,
			flow->first_skipped_column, flow->skipped > 1 ? " and more" : "",
			config->file);
}

/* The exit status. */
static int load_flow(const struct config *config, struct flow *ret_flow)
{
	const char *name = path_base(config->rules_file);
	struct value *tree = NULL;
	struct error error = { 0 }, why = { 0 };
	struct buffer text;
	enum nc_err err;
	int status = EXIT_DONE;

	buffer_init(&text);
	err = file_read(config->rules_file, yaml_file_limits.bytes, &text, &error);
	if (err == NC_ERR_NOT_FOUND) {
		(void)error_set(&error, NC_ERR_NOT_FOUND,
			"there is no %s, so no worker launches another; next_workers.yaml(5) says "
			"how rules are written",
			config->rules_file);
		status = refuse(&error, EXIT_NO_SUCH_THING);
	} else if (err != NC_OK) {
		status = refuse(&error, EXIT_BAD_CONFIG);
	} else {
		err = yaml_read(
			text.data, text.len, YAML_READ_ALL_TEXT, &yaml_file_limits, &tree, &why);
		if (err == NC_OK)
			err = flow_read(tree, config, ret_flow, &why);
		if (err != NC_OK) {
			(void)error_set(&error, why.code, "%s:%u:%u: %s", name, why.line,
				why.column, why.text);
			status = refuse(&error, EXIT_BAD_CONFIG);
		}
	}
	value_destroy(tree);
	buffer_finish(&text);
	return status;
}

/* --- the command --- */

static int print(const struct graph_view *view, const char *format, struct buffer *out)
{
	struct buffer picture;
	struct error error = { 0 };
	int status = EXIT_DONE;

	if (strcmp(format, "json") == 0) {
		graph_print_json(view, out);
	} else if (strcmp(format, "text") == 0) {
		graph_print_text(view, applet_terminal_width(STDOUT_FILENO), out);
	} else {
		graph_print_dot(view, out);
	}
	if (strcmp(format, "svg") != 0 || out->failed)
		return status;
	buffer_init(&picture);
	if (graph_run_dot(out, &picture, &error) != NC_OK)
		status = refuse(&error, EXIT_FAILED);
	buffer_clear(out);
	buffer_append(out, picture.data, picture.len);
	buffer_finish(&picture);
	return status;
}

static int draw(const struct config *config, const struct flow *flow, const struct cli_args *args)
{
	const char *from = cli_text(args, "--from");
	struct graph_view view = { 0 };
	struct error error = { 0 };
	struct buffer out;
	int status = EXIT_DONE;

	buffer_init(&out);
	if (graph_view_init(&view, config, flow, &error) != NC_OK ||
		(from != NULL &&
			graph_view_from(&view, from,
				cli_given(args, "--depth") ? (unsigned)cli_int(args, "--depth")
							   : GRAPH_FAR,
				&error) != NC_OK))
		status = refuse(&error, EXIT_NO_SUCH_THING);
	else
		status = print(&view,
			cli_flag(args, "--json") ? "json" : cli_text(args, "--format"), &out);
	if (status == EXIT_DONE)
		status = applet_show(&out);
	buffer_finish(&out);
	graph_view_finish(&view);
	return status;
}

static int graph_run(const struct applet *self, int argc, char **argv)
{
	struct cli_args *args = NULL;
	struct config *config;
	struct flow flow = { 0 };
	int status;

	if (!applet_parse(self, argc, argv, &args, &status))
		return status;
	if (cli_given(args, "--depth") && !cli_given(args, "--from")) {
		(void)fprintf(stderr, "nowcast graph: error: --depth counts from a worker: give it "
				      "with --from WORKER\n");
		cli_args_destroy(args);
		return EXIT_USAGE;
	}
	config = applet_load_config(
		"graph", applet_config_file(cli_text(args, "config_file")), &status);
	if (config != NULL) {
		status = load_flow(config, &flow);
		if (status == EXIT_DONE) {
			status = draw(config, &flow, args);
			say_skipped(config, &flow);
		}
		flow_finish(&flow);
		config_destroy(config);
	}
	cli_args_destroy(args);
	return status;
}

const struct applet applet_graph = {
	.name = "graph",
	.kind = APPLET_COMMAND,
	.summary = "draw which worker launches which, after what message",
	.description =
		"Show the flow of the whole day as the rules have it: workers, what each launches "
		"after which message, what is held until others have ended, and what the clock "
		"starts. Nothing is changed and nothing of the system needs to run.",
	.options = graph_options,
	.run = graph_run,
};
