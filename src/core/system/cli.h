/*
 * Command lines by table: parsing, help in the look of Python's argparse, usage errors, and the list of
 * options that man pages are held against.
 *
 * An entry point describes its options once, in a constant table that ends with CLI_END. `-h, --help`
 * is in every table by itself. Order of calls: cli_parse(); when it gives CLI_SHOW_HELP, cli_help();
 * then the getters by option name; cli_args_destroy().
 *
 * Options may stand before, between and after the positionals, as `--name value` or `--name=value`,
 * with a short name also as `-nvalue`; `-ab` is `-a -b`; `--` ends them. A negative number, or a word
 * with a blank in it, is a value. An option may not be abbreviated. All this is as in argparse.
 *
 * Depends on core/data. Prints nothing itself.
 */
#ifndef NOWCAST_CORE_SYSTEM_CLI_H
#define NOWCAST_CORE_SYSTEM_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/data/buffer.h"
#include "core/data/calendar.h"
#include "core/data/error.h"

enum cli_kind {
	CLI_KIND_END,
	CLI_KIND_FLAG, /* no value */
	CLI_KIND_INT,  /* a whole number, between `least` and `most` when most > least */
	CLI_KIND_TEXT,
	CLI_KIND_DATE, /* YYYY-MM-DD */
};

/* Of CLI_KIND_DATE: what it is when it is not given. The help says the date. */
enum cli_date_default {
	CLI_DATE_NONE,
	CLI_DATE_TODAY,
	CLI_DATE_YESTERDAY,
	CLI_DATE_TOMORROW,
};

struct cli_option {
	/* `--sleep-time`; without dashes, a positional: `config_file`. */
	const char *name;
	const char *short_name; /* `-f`, or NULL */
	enum cli_kind kind;
	const char *help;           /* one sentence or more; wrapped when shown */
	const char *metavar;        /* NULL: from the name, as argparse does; or the choices */
	const char *const *choices; /* of CLI_KIND_TEXT: ends with NULL; or NULL: any */
	int64_t default_int;
	const char *default_text; /* NULL: none */
	enum cli_date_default default_date;
	int64_t least, most;
	bool optional; /* of a positional: may be absent */
	bool repeated; /* may come often; of a positional: takes all that are left */
};

#define CLI_END                                                                                    \
	{                                                                                          \
		.name = NULL, .kind = CLI_KIND_END                                                 \
	}

struct cli_spec {
	const char *command;                    /* `nowcast rotate_logs` */
	const char *description;                /* paragraphs, separated by empty lines */
	const struct cli_option *const *tables; /* ends with NULL; taken together, in this order */
	const char *epilog;                     /* or NULL */
};

struct cli_args;

enum cli_result {
	CLI_PARSED,
	CLI_SHOW_HELP, /* -h was among the arguments; no args are returned */
	CLI_WRONG,     /* `error` says what; EXIT_USAGE */
	CLI_NOMEM,
};

/*
 * argv[0] is not looked at. `today` is what the date defaults count from. With CLI_PARSED *ret_args is
 * the caller's; it keeps pointers into `argv` and `spec`.
 */
enum cli_result cli_parse(const struct cli_spec *spec, int argc, char *const *argv,
	struct date today, struct cli_args **ret_args, struct error *error);
void cli_args_destroy(struct cli_args *args); /* accepts NULL */

/*
 * Getters; `name` as in the table. Asking for a name that is in no table is a bug of ours: they then
 * answer as if it were not given.
 */
bool cli_flag(const struct cli_args *args, const char *name);
bool cli_given(
	const struct cli_args *args, const char *name); /* on the command line, not by default */
int64_t cli_int(const struct cli_args *args, const char *name);
const char *cli_text(const struct cli_args *args, const char *name); /* NULL: absent, no default */
bool cli_date(const struct cli_args *args, const char *name, struct date *ret_date);
/* Of a repeated one: the index-th value, or NULL beyond the last. */
const char *cli_text_at(const struct cli_args *args, const char *name, size_t index);

/* Append the help text, or the usage lines only. `width` in columns; 0: 80. */
void cli_help(const struct cli_spec *spec, struct date today, unsigned width, struct buffer *out);
void cli_usage(const struct cli_spec *spec, unsigned width, struct buffer *out);

/* Append what somebody typed, so that no byte of it can do anything to a terminal: \n, \x1b. */
void cli_append_safe(struct buffer *out, const char *text);

/* Append text wrapped to `width` columns (11 at least behind the blanks), each line behind `indent`
 * blanks; the first one, when `column` > 0, goes on at that column. Ends with a newline. */
void cli_wrap(
	const char *text, unsigned indent, unsigned column, unsigned width, struct buffer *out);

#endif
