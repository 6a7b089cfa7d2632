/*
 * What the commands that speak to the manager share (status, group, checklist, backup): their arguments,
 * asking at its local door, and what they print.
 *
 *	if (!manager_order_begin(&order, self, argc, argv, &status))
 *		return status;
 *	... order.words, order.count ...
 *	status = manager_order_ask(&order, question, &answer);
 *	return manager_order_finish(&order, status);
 *
 * Depends on core.
 */
#ifndef NOWCAST_COMMANDS_MANAGER_ORDER_H
#define NOWCAST_COMMANDS_MANAGER_ORDER_H

#include "core/data/value.h"
#include "core/system/applet.h"
#include "core/system/config.h"

enum {
	MANAGER_ORDER_WORDS = 4
};

struct manager_order {
	const char *command; /* of nowcast */
	struct cli_args *args;
	struct config *config;
	bool json;
	const char *words[MANAGER_ORDER_WORDS]; /* without the configuration file */
	size_t count;
	struct buffer out; /* for the standard output */
};

/*
 * Parse and load the configuration: the first word, when it ends in .yaml or .yml. The table of options must
 * have `--json` and the repeated positional `words`. false: end with *ret_status.
 */
bool manager_order_begin(struct manager_order *order, const struct applet *self, int argc,
	char **argv, int *ret_status);

/*
 * A question: what to ask, then keys, each with its text. NULL: out of memory. The macro ends the list with a
 * NULL that is a pointer on every platform.
 */
#define manager_question(...) manager_question_of(__VA_ARGS__, (const char *)NULL)
struct value *manager_question_of(const char *ask, ...) __attribute__((sentinel));

/*
 * Ask the manager; takes over `question`. EXIT_DONE: *ret_answer is the caller's; else what was wrong has
 * been said.
 */
int manager_order_ask(
	struct manager_order *order, struct value *question, struct value **ret_answer);

/* The same, without a word when nobody answers: EXIT_UNREACHABLE. */
int manager_ask_quietly(const struct config *config, struct value *question,
	struct value **ret_answer, struct error *error);

/* Something is wrong: on stderr, and with --json on stdout too. Returns `status`. */
int manager_order_fail(struct manager_order *order, int status, const char *format, ...)
	NC_PRINTF(3, 4);
/* Print the value as JSON. */
void manager_order_json(struct manager_order *order, const struct value *value);

/* Append a moment, in seconds since the epoch, as people read it: `11-24 04:00:02`. */
void manager_print_time(int64_t seconds, struct buffer *out);

/* Show what is to be shown, free all; the exit status. */
int manager_order_finish(struct manager_order *order, int status);

/* The option table of one that has only words; `help` says which. */
#define MANAGER_ORDER_OPTIONS(help_)                                                               \
	{ .name = "words",                                                                         \
		.kind = CLI_KIND_TEXT,                                                             \
		.metavar = "argument",                                                             \
		.optional = true,                                                                  \
		.repeated = true,                                                                  \
		.help = help_ " The first one may be the configuration file (.yaml); when it "     \
			      "is absent, $NOWCAST_YAML, and without that ./nowcast.yaml." },      \
	{                                                                                          \
		.name = "--json", .kind = CLI_KIND_FLAG,                                           \
		.help = "print the result as one JSON object, for programs"                        \
	}

#endif
