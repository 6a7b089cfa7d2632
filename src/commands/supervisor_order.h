/*
 * What the commands that give orders to the supervisor share (up, down, restart, start, stop): their
 * arguments, asking and waiting, and what they print.
 *
 *	if (!order_begin(&order, self, argc, argv, NEEDS_NAME, &status))
 *		return status;
 *	status = order_...(&order, ...);
 *	return order_finish(&order, status);
 *
 * Depends on core, commands/supervisor_client.
 */
#ifndef NOWCAST_COMMANDS_SUPERVISOR_ORDER_H
#define NOWCAST_COMMANDS_SUPERVISOR_ORDER_H

#include "commands/supervisor_client.h"
#include "core/system/applet.h"

struct order {
	const char *command; /* of nowcast */
	struct cli_args *args;
	struct config *config;
	const char *file; /* of the configuration */
	const char *name; /* of a daemon or program, or NULL */
	bool json;
	int64_t wait_ms;
	struct value *answer; /* the latest one to SUPERVISOR_STATUS, or NULL */
	struct buffer out;    /* for the standard output */
};

enum order_name {
	ORDER_NO_NAME,
	ORDER_MAY_NAME,
	ORDER_MUST_NAME,
};

/*
 * Parse and load the configuration. Of two words the one that ends in .yaml or .yml is the configuration,
 * whichever comes first; one word that does not is the name. false: end with *ret_status.
 */
bool order_begin(struct order *order, const struct applet *self, int argc, char **argv,
	enum order_name needs, int *ret_status);

/*
 * Ask for the status until `is_done` says so, which may be called with order->answer NULL: nobody answers.
 * It returns the exit status, or -1: go on waiting. EXIT_TIME_LIMIT when the time is over.
 */
int order_wait(
	struct order *order, int (*is_done)(struct order *order, void *argument), void *argument);

/* Give the order SUPERVISOR_... about order->name (or all); EXIT_DONE, or what was wrong has been said. */
int order_give(struct order *order, const char *ask, struct value **ret_answer);

/* Something is wrong: on stderr, and with --json on stdout too. Returns `status`. */
int order_fail(struct order *order, int status, const char *format, ...) NC_PRINTF(3, 4);
/* The same, with what is not ready, and where to read of it. */
int order_fail_not_ready(struct order *order, int status, const char *what);
/* What is done, for people or as {"ok": true, ...}. */
void order_done(struct order *order, const char *format, ...) NC_PRINTF(2, 3);

/* Show what is to be shown, free all; the exit status. */
int order_finish(struct order *order, int status);

/* The tables of options. */
extern const struct cli_option order_options[];      /* without a name */
extern const struct cli_option order_name_options[]; /* with one */

#endif
