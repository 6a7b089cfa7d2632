/*
 * One binary, many entry points: `nowcast NAME ...`, or a link called NAME. This file finds the entry point
 * in the static table (applets.def) and runs it; it knows nothing of what they do.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "applets.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/work/runner.h"
#include "install_links.h"

static const char *const kind_titles[] = {
	[APPLET_DAEMON] = "Daemons",
	[APPLET_WORKER] = "Workers",
	[APPLET_COMMAND] = "Commands",
};
static const char *const kind_names[] = {
	[APPLET_DAEMON] = "daemon",
	[APPLET_WORKER] = "worker",
	[APPLET_COMMAND] = "command",
};

static int show_help(void)
{
	struct buffer text;
	int status;

	buffer_init(&text);
	buffer_append_text(&text,
		"usage: nowcast NAME [ARGUMENT ...]\n"
		"       nowcast help NAME | --help | --list | --version\n"
		"       nowcast --install-links DIR [--all] | --remove-links DIR\n"
		"\n"
		"Automates a daily ocean or weather forecast: a message broker, a manager, a "
		"scheduler, a\n"
		"log aggregator and workers, in one program. A link called NAME does what `nowcast "
		"NAME`\n"
		"does.\n");
	for (size_t kind = 0; kind < ARRAY_LEN(kind_titles); kind++) {
		buffer_printf(&text, "\n%s:\n", kind_titles[kind]);
		for (size_t i = 0; i < applets_count; i++)
			if ((size_t)applets[i]->kind == kind)
				buffer_printf(&text, "  %-18s%s\n", applets[i]->name,
					applets[i]->summary);
	}
	buffer_append_text(&text,
		"\nWorkers that the configuration file names are run the same way: nowcast NAME "
		"nowcast.yaml.\n"
		"`nowcast NAME -h` says more of each; the manual begins with nowcast(1).\n");
	status = applet_show(&text);
	buffer_finish(&text);
	return status;
}

static int show_list(void)
{
	struct buffer text;
	int status;

	buffer_init(&text);
	for (size_t i = 0; i < applets_count; i++)
		buffer_printf(&text, "%s\t%s\t%s\n", applets[i]->name, kind_names[applets[i]->kind],
			applets[i]->summary);
	status = applet_show(&text);
	buffer_finish(&text);
	return status;
}

static int unknown(const char *name)
{
	const char *near = applet_suggest(name);

	(void)fprintf(stderr, "nowcast: there is no entry point `%s`", name);
	if (near != NULL)
		(void)fprintf(stderr, "; did you mean `%s`?\n", near);
	else
		(void)fprintf(stderr,
			"; `nowcast --list` names all of them. A worker of a deployment "
			"is run as: nowcast %s nowcast.yaml\n",
			name);
	return EXIT_USAGE;
}

/* `NAME ...`; argv[0] is the name. */
static int run_applet(int argc, char **argv)
{
	const struct applet *applet = applet_find(argv[0]);

	if (applet != NULL)
		return applet->run(applet, argc, argv);
	/* A worker that the configuration names; the runner says so when it does not. */
	for (int i = 1; i < argc; i++)
		if (text_ends_in_yaml(argv[i]))
			return runner_main(NULL, argv[0], argc, argv);
	return unknown(argv[0]);
}

static int run_help(int argc, char **argv)
{
	char help[] = "-h";
	char *arguments[] = { NULL, help, NULL };

	if (argc < 3)
		return show_help();
	arguments[0] = argv[2];
	return run_applet(2, arguments);
}

static int run_links(int argc, char **argv)
{
	bool all = argc == 4 && strcmp(argv[3], "--all") == 0;
	bool install = strcmp(argv[1], "--install-links") == 0;

	if (argc < 3 || argc > 4 || (argc == 4 && (!all || !install))) {
		(void)fprintf(stderr,
			"usage: nowcast --install-links DIR [--all] | --remove-links DIR\n");
		return EXIT_USAGE;
	}
	return install ? install_links(argv[2], all) : remove_links(argv[2]);
}

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? path_base(argv[0]) : "nowcast";
	char link_name[64];
	struct buffer text;
	int status;

	/* argv[0] is the entry point's name, whatever the path of the link was. */
	if (strcmp(name, "nowcast") != 0 && applet_find(name) != NULL) {
		(void)snprintf(link_name, sizeof(link_name), "%s", name);
		argv[0] = link_name;
		return run_applet(argc, argv);
	}
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return show_help();
	if (strcmp(argv[1], "--list") == 0)
		return show_list();
	if (strcmp(argv[1], "help") == 0)
		return run_help(argc, argv);
	if (strcmp(argv[1], "--install-links") == 0 || strcmp(argv[1], "--remove-links") == 0)
		return run_links(argc, argv);
	if (strcmp(argv[1], "--version") == 0) {
		buffer_init(&text);
		buffer_append_text(&text, "nowcast " NOWCAST_VERSION "\n");
		status = applet_show(&text);
		buffer_finish(&text);
		return status;
	}
	return run_applet(argc - 1, argv + 1);
}
