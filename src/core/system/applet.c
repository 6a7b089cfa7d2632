#include "core/system/applet.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/data/value.h"
#include "core/system/clock.h"
#include "core/system/config.h"
#include "core/system/exit_status.h"
#include "core/system/sys.h"

const struct cli_option cli_config_file_option[] = {
	{ .name = "config_file",
		.kind = CLI_KIND_TEXT,
		.help = "Path/name of YAML configuration file for NEMO nowcast." },
	CLI_END,
};

const struct cli_option cli_debug_option[] = {
	{ .name = "--debug",
		.kind = CLI_KIND_FLAG,
		.help = "Send logging output to the console instead of the log file, and suppress "
			"messages to the nowcast manager process. Nowcast system messages that "
			"would normally be sent to the manager are logged to the console, "
			"suppressing interactions with the manager such as launching other "
			"workers. Intended only for use when the worker is run in foreground "
			"from the command-line." },
	CLI_END,
};

static const struct cli_option daemon_debug_option[] = {
	{ .name = "--debug",
		.kind = CLI_KIND_FLAG,
		.help = "Send logging output of every level to the console instead of where the "
			"configuration says." },
	CLI_END,
};

void applet_cli_init(struct applet_cli *storage, const struct applet *self)
{
	static const struct cli_option none[] = { CLI_END };
	size_t count = 0;

	memset(storage, 0, sizeof(*storage));
	(void)snprintf(storage->command, sizeof(storage->command), "nowcast %s", self->name);
	if (self->kind != APPLET_COMMAND) {
		storage->tables[count++] = cli_config_file_option;
		storage->tables[count++] =
			self->kind == APPLET_WORKER ? cli_debug_option : daemon_debug_option;
	}
	storage->tables[count++] = self->options != NULL ? self->options : none;
	storage->spec = (struct cli_spec){
		.command = storage->command,
		.description = self->description,
		.tables = storage->tables,
	};
}

unsigned applet_terminal_width(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	int64_t width;

	if (columns != NULL && text_to_int64(columns, &width) && width > 0 && width <= INT_MAX)
		return (unsigned)width;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

int applet_show(const struct buffer *text)
{
	if (text->failed) {
		(void)fprintf(stderr, "nowcast: out of memory\n");
		return EXIT_FAILED;
	}
	if (sys_write_all(STDOUT_FILENO, text->data, text->len) < 0) {
		(void)fprintf(
			stderr, "nowcast: cannot write to standard output: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

bool applet_parse(const struct applet *self, int argc, char **argv, struct cli_args **ret_args,
	int *ret_status)
{
	struct date today = date_local(clock_real_ns());
	struct applet_cli storage;
	struct buffer text;
	struct error error;

	applet_cli_init(&storage, self);
	buffer_init(&text);
	*ret_status = EXIT_FAILED;
	switch (cli_parse(&storage.spec, argc, argv, today, ret_args, &error)) {
	case CLI_PARSED:
		return true;
	case CLI_SHOW_HELP:
		cli_help(&storage.spec, today, applet_terminal_width(STDOUT_FILENO), &text);
		*ret_status = applet_show(&text);
		break;
	case CLI_WRONG:
		cli_usage(&storage.spec, applet_terminal_width(STDERR_FILENO), &text);
		(void)fprintf(stderr, "%s%s: error: %s\n", text.data, storage.command, error.text);
		*ret_status = EXIT_USAGE;
		break;
	case CLI_NOMEM:
		(void)fprintf(stderr, "%s: out of memory\n", storage.command);
		break;
	}
	buffer_finish(&text);
	return false;
}

struct config *applet_load_config(const char *name, const char *file, int *ret_status)
{
	struct config *config = NULL;
	struct findings findings;
	struct error error = { 0 };
	struct buffer text;
	enum nc_err err;

	findings_init(&findings);
	buffer_init(&text);
	err = config_load(file, &config, &findings, &error);
	/* The process is to run with the variables that its configuration was read with. */
	if (err == NC_OK)
		err = environment_file_apply(&config->environment, &error);
	for (size_t i = 0; err != NC_OK && i < findings.count; i++) {
		if (findings.items[i].severity != SEVERITY_ERROR)
			continue;
		finding_print(&findings.items[i], &text);
		buffer_append_char(&text, '\n');
	}
	/* Not through the buffer, which may be what there is no memory for. */
	if (err != NC_OK && text.len == 0)
		(void)fprintf(stderr, "nowcast %s: %s\n", name, error.text);
	(void)fputs(text.data, stderr);
	buffer_finish(&text);
	findings_finish(&findings);
	*ret_status = err == NC_OK          ? EXIT_DONE
		      : err == NC_ERR_NOMEM ? EXIT_FAILED
					    : EXIT_BAD_CONFIG;
	if (err == NC_OK)
		return config;
	config_destroy(config);
	return NULL;
}

bool text_ends_in_yaml(const char *text)
{
	size_t len = strlen(text);

	return (len > 5 && strcmp(text + len - 5, ".yaml") == 0) ||
	       (len > 4 && strcmp(text + len - 4, ".yml") == 0);
}

const char *applet_config_file(const char *given)
{
	const char *from_environment = getenv("NOWCAST_YAML");

	if (given != NULL)
		return given;
	return from_environment != NULL && from_environment[0] != '\0' ? from_environment
								       : "nowcast.yaml";
}
