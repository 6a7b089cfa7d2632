/*
 * The commands' side of the supervisor's local door. What is asked and answered is in
 * supervisor_protocol.h.
 *
 *	struct value *answer;
 *	switch (supervisor_ask(config, SUPERVISOR_STATUS, NULL, &answer, &status, &error)) ...
 *	... supervisor_find_program(answer, "manager") ...
 *	value_destroy(answer);
 *
 * Depends on core.
 */
#ifndef NOWCAST_COMMANDS_SUPERVISOR_CLIENT_H
#define NOWCAST_COMMANDS_SUPERVISOR_CLIENT_H

#include "core/data/value.h"
#include "core/system/config.h"
#include "supervisor_protocol.h"

/*
 * Ask, and wait for the answer, 5 s at most. `name` NULL: the question is about none. NC_OK: *ret_answer is
 * the caller's. NC_ERR_CLOSED: no supervisor runs for this state. NC_ERR_REFUSED: it said no, or does not
 * let us in. NC_ERR_TIMEOUT, NC_ERR_SYSTEM, ...: it could not be asked. *ret_status is always the exit
 * status for a command that ends with this.
 */
enum nc_err supervisor_ask(const struct config *config, const char *ask, const char *name,
	struct value **ret_answer, int *ret_status, struct error *error);

/* The entry of a name in the answer to SUPERVISOR_STATUS, or NULL. */
const struct value *supervisor_find_program(const struct value *answer, const char *name);
/* The text of a key, or "". */
const char *supervisor_text(const struct value *map, const char *key);

/*
 * Append a line for each of the programs that are wanted and not running: what it does instead, how it
 * ended last, what it waits for. false: all run.
 */
bool supervisor_print_not_ready(const struct value *answer, struct buffer *out);

/* Has one of those an alarm, so that waiting longer makes no sense? */
bool supervisor_is_hopeless(const struct value *answer);

/* Has the supervisor with this state really ended (not only closed its door)? */
bool supervisor_has_ended(const struct config *config);

#endif
