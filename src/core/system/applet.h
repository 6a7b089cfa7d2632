/*
 * An entry point of the binary: what `nowcast NAME`, or a link called NAME, runs.
 *
 * Steps for a new one: its file, which defines `const struct applet applet_NAME`; a line in
 * src/applets.def, sorted; the file in src/meson.build; man/nowcast-NAME.SECTION; a test. The build
 * fails when one is missing (tests/tools/check_lists.py).
 *
 * Depends on core/system/cli, config.
 */
#ifndef NOWCAST_CORE_SYSTEM_APPLET_H
#define NOWCAST_CORE_SYSTEM_APPLET_H

#include "core/system/cli.h"

enum applet_kind {
	APPLET_DAEMON,  /* man section 8 */
	APPLET_WORKER,  /* man section 1 */
	APPLET_COMMAND, /* man section 1 */
	APPLET_KIND_COUNT
};

struct config;
struct worker_description;

struct applet {
	const char *name;
	enum applet_kind kind;
	const char *summary;              /* a phrase without a capital and full stop, for --list */
	const char *description;          /* paragraphs, for the help */
	const struct cli_option *options; /* its own; those of its kind join them */
	/* Returns the exit status. argv[0] is the applet's name. Of a worker: worker_main. */
	int (*run)(const struct applet *self, int argc, char **argv);
	const struct worker_description *worker; /* of a worker */
};

/* `config_file` and `--debug`: the tables that every daemon and worker, and every command that takes
 * a configuration, puts in front of its own (core/system/applet.c). */
extern const struct cli_option cli_config_file_option[];
extern const struct cli_option cli_debug_option[];

/*
 * The usual beginning of run(): parse; show the help on stdout, or what is wrong and the usage on
 * stderr. true: go on with *ret_args. false: return *ret_status.
 */
bool applet_parse(const struct applet *self, int argc, char **argv, struct cli_args **ret_args,
	int *ret_status);

/* The spec that applet_parse() uses, filled in place; valid as long as `storage`. */
struct applet_cli {
	char command[80];
	const struct cli_option *tables[4];
	struct cli_spec spec;
};
void applet_cli_init(struct applet_cli *storage, const struct applet *self);

/*
 * Load the configuration of a process called `name`. NULL: it cannot be used; all that is wrong with it has
 * been said on stderr, and *ret_status is the exit status. The variables of its environment file are then set in
 * this process, which has one thread yet.
 */
struct config *applet_load_config(const char *name, const char *file, int *ret_status);

/* The configuration file of a command: what was given, else $NOWCAST_YAML, else ./nowcast.yaml. */
const char *applet_config_file(const char *given);
/* Does a word name a configuration file (`.yaml`, `.yml`)? */
bool text_ends_in_yaml(const char *text);
/* COLUMNS, else the terminal's, else 80. */
unsigned applet_terminal_width(int fd);
/* Write a result to standard output; the exit status: a full disk or a closed pipe is EXIT_FAILED. */
int applet_show(const struct buffer *text);

#endif
