/*
 * One binary, many entry points: `nowcast NAME ...`, or a link called NAME. This file finds the entry point
 * in the static table (applets.def) and runs it; it knows nothing of what they do.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "applets.h"
#include "core/data/suggest.h"
#include "core/system/config.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/work/runner.h"
#include "install_links.h"

enum {
	SUMMARY_COLUMN = 20
};

static const char *const kind_titles[APPLET_KIND_COUNT] = {
	[APPLET_DAEMON] = "daemons",
	[APPLET_WORKER] = "workers",
	[APPLET_COMMAND] = "commands",
};
static const char *const kind_names[APPLET_KIND_COUNT] = {
	[APPLET_DAEMON] = "daemon",
	[APPLET_WORKER] = "worker",
	[APPLET_COMMAND] = "command",
};

static const char usage[] = "usage: nowcast NAME [ARGUMENT ...]\n"
			    "       nowcast [-h | --list | --version | help NAME]\n"
			    "       nowcast --install-links DIR [--all]\n"
			    "       nowcast --remove-links DIR\n";

static int show(struct buffer *text)
{
	int status = applet_show(text);

	buffer_finish(text);
	return status;
}

static int show_help(void)
{
	unsigned width = applet_terminal_width(STDOUT_FILENO);
	struct buffer text;

	buffer_init(&text);
	buffer_append_text(&text, usage);
	buffer_append_char(&text, '\n');
	cli_wrap("Automates a daily ocean or weather forecast: daemons that keep the state of the "
		 "day, and workers, small programs that each do one thing and say what became of "
		 "it. A link called NAME does what `nowcast NAME` does.",
		0, 0, width - 2, &text);
	for (size_t kind = 0; kind < APPLET_KIND_COUNT; kind++) {
		buffer_printf(&text, "\n%s:\n", kind_titles[kind]);
		for (size_t i = 0; i < applets_count; i++) {
			if ((size_t)applets[i]->kind != kind)
				continue;
			buffer_printf(&text, "  %-*s", SUMMARY_COLUMN - 2, applets[i]->name);
			cli_wrap(applets[i]->summary, SUMMARY_COLUMN, SUMMARY_COLUMN, width - 2,
				&text);
		}
	}
	buffer_append_text(&text,
		"\noptions:\n"
		"  -h, --help        show this help message and exit\n"
		"  --list            print name, kind and summary of all of these, with tabs "
		"between\n"
		"  --version         print the version\n"
		"  --install-links   make links to this binary in DIR; those that would hide "
		"another\n"
		"                    command on PATH are named, and made only with --all\n"
		"  --remove-links    remove the links in DIR that lead to this binary\n"
		"\n");
	cli_wrap("`nowcast NAME -h` says more of each. A worker that a configuration file names is "
		 "run like those built in: nowcast NAME nowcast.yaml. The manual begins with "
		 "nowcast(1); nowcast.yaml(5) and nowcast-worker(7) are the next to read.",
		0, 0, width - 2, &text);
	return show(&text);
}

static int show_list(void)
{
	struct buffer text;

	buffer_init(&text);
	for (size_t i = 0; i < applets_count; i++)
		buffer_printf(&text, "%s\t%s\t%s\n", applets[i]->name, kind_names[applets[i]->kind],
			applets[i]->summary);
	return show(&text);
}

static int show_version(void)
{
	struct buffer text;

	buffer_init(&text);
	buffer_append_text(&text, "nowcast " NOWCAST_VERSION "\n");
	return show(&text);
}

/* Say what is wrong with the command line, with a word of it. */
static int wrong(const char *problem, const char *word, const char *near)
{
	struct buffer text;

	buffer_init(&text);
	buffer_printf(&text, "%snowcast: error: %s", usage, problem);
	cli_append_safe(&text, word);
	if (near != NULL)
		buffer_printf(&text, "; did you mean %s?", near);
	(void)fprintf(stderr, "%s\n", text.data);
	buffer_finish(&text);
	return EXIT_USAGE;
}

static int unknown_option(const char *word)
{
	static const char *const names[] = { "--help", "--install-links", "--list",
		"--remove-links", "--version" };

	return wrong("unrecognized arguments: ", word, suggest(word, names, ARRAY_LEN(names)));
}

static int unknown_name(const char *name, bool is_link)
{
	const char *near = applet_suggest(name);
	struct buffer text;

	buffer_init(&text);
	buffer_printf(&text, "nowcast: %sthere is no daemon, worker or command `",
		is_link ? "it was started by a link, but " : "");
	cli_append_safe(&text, name);
	buffer_append_char(&text, '`');
	if (near != NULL)
		buffer_printf(&text, "; did you mean `%s`?", near);
	else
		buffer_append_text(&text,
			"; `nowcast --list` names all there are, and a worker that a "
			"configuration file names is run as: nowcast NAME nowcast.yaml");
	(void)fprintf(stderr, "%s\n", text.data);
	buffer_finish(&text);
	return EXIT_USAGE;
}

/* The nearest of the names built in and those that the configuration has; NULL: none is near. */
static const char *suggest_worker(const struct config *config, const char *name)
{
	size_t count = 0;
	const char **names = calloc(
		applets_count + config->workers_count + config->programs_count, sizeof(*names));
	const char *near;

	if (names == NULL)
		return NULL;
	for (size_t i = 0; i < applets_count; i++)
		names[count++] = applets[i]->name;
	for (size_t i = 0; i < config->workers_count; i++)
		names[count++] = config->workers[i].name;
	for (size_t i = 0; i < config->programs_count; i++)
		names[count++] = config->programs[i].name;
	near = suggest(name, names, count);
	free(names);
	return near;
}

/*
 * A worker that only the configuration can know. When it does not have the name either, it was most likely
 * meant to be another one.
 */
static int run_configured(const char *config_file, int argc, char **argv)
{
	int status = runner_main(NULL, argv[0], argc, argv);
	struct config *config = NULL;
	const char *near;

	if (status != EXIT_NO_SUCH_THING || config_load(config_file, &config, NULL, NULL) != NC_OK)
		return status;
	if (config_find_worker(config, argv[0]) == NULL &&
		config_find_program(config, argv[0])->command_count == 0) {
		near = suggest_worker(config, argv[0]);
		(void)fprintf(stderr, "nowcast: %s has no worker of that name%s%s%s\n", config_file,
			near != NULL ? "; did you mean `" : "", near != NULL ? near : "",
			near != NULL ? "`?" : "");
	}
	config_destroy(config);
	return status;
}

/* Can a worker have this name at all? No option, and nothing that a terminal would obey. */
static bool may_be_worker(const char *name)
{
	struct buffer safe;
	bool may;

	buffer_init(&safe);
	cli_append_safe(&safe, name);
	may = name[0] != '-' && name[0] != '\0' && strcmp(safe.data, name) == 0;
	buffer_finish(&safe);
	return may;
}

/* `NAME ...`; argv[0] is the name. */
static int run_applet(int argc, char **argv, bool is_link)
{
	const struct applet *applet = applet_find(argv[0]);

	if (applet != NULL)
		return applet->run(applet, argc, argv);
	for (int i = 1; i < argc && may_be_worker(argv[0]); i++)
		if (text_ends_in_yaml(argv[i]))
			return run_configured(argv[i], argc, argv);
	if (argv[0][0] == '-')
		return unknown_option(argv[0]);
	return unknown_name(argv[0], is_link);
}

static int run_help(int argc, char **argv)
{
	char help[] = "-h";
	char *arguments[] = { NULL, help, NULL };

	if (argc < 3)
		return show_help();
	if (argc > 3)
		return wrong("unrecognized arguments: ", argv[3], NULL);
	arguments[0] = argv[2];
	return run_applet(2, arguments, false);
}

static int run_links(int argc, char **argv)
{
	bool install = strcmp(argv[1], "--install-links") == 0, all = false;
	const char *directory = NULL;

	for (int i = 2; i < argc; i++) {
		if (install && strcmp(argv[i], "--all") == 0)
			all = true;
		else if (argv[i][0] == '-' || directory != NULL)
			return wrong("unrecognized arguments: ", argv[i], NULL);
		else
			directory = argv[i];
	}
	if (directory == NULL || directory[0] == '\0')
		return wrong("the following arguments are required: DIR", "", NULL);
	return install ? install_links(directory, all) : remove_links(directory);
}

static int run_own(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} options[] = {
		{ "-h", show_help },
		{ "--help", show_help },
		{ "--list", show_list },
		{ "--version", show_version },
	};

	if (argc < 2)
		return show_help();
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strcmp(argv[1], options[i].name) == 0)
			return argc == 2 ? options[i].run()
					 : wrong("unrecognized arguments: ", argv[2], NULL);
	if (strcmp(argv[1], "help") == 0)
		return run_help(argc, argv);
	if (strcmp(argv[1], "--install-links") == 0 || strcmp(argv[1], "--remove-links") == 0)
		return run_links(argc, argv);
	return run_applet(argc - 1, argv + 1, false);
}

/*
 * A file that we open must not become the standard output because that was closed: what is written there
 * is to fail instead. Not by sys_open(): children inherit these.
 */
static void hold_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", O_RDONLY);
}

int main(int argc, char **argv)
{
	char *name;

	hold_standard_descriptors();
	/* What is started through /proc/self/exe would show as `exe` in ps and top. Fails for a bad pointer only. */
	(void)prctl(PR_SET_NAME, "nowcast");
	if (argc < 1)
		return show_help();
	/* argv[0] is the entry point's name, whatever the path of the link was. */
	name = argv[0] + (path_base(argv[0]) - argv[0]);
	if (strcmp(name, "nowcast") == 0)
		return run_own(argc, argv);
	argv[0] = name;
	return run_applet(argc, argv, true);
}
