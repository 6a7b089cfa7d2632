/*
 * A message: the YAML mapping {source, type, payload} of the Python framework, and what ours adds.
 *
 *   id      UUID, the same on every resend (promises.md, R2)
 *   launch  id of the launch that speaks, `token` its secret (R7)
 *   report  what the runner knows of the end of a worker; never part of the payload
 *   event   instead of `type`: a word between our own processes, no registered type:
 *           `started`  a runner says what it runs; payload {arguments, host, pid, by hand}
 *           `progress` payload: a number from 0 to 1
 *           `due`      the scheduler says that a slot has come; payload {worker, arguments, schedule, slot}
 *
 * Depends on core/data.
 */
#ifndef NOWCAST_CORE_SYSTEM_MESSAGE_H
#define NOWCAST_CORE_SYSTEM_MESSAGE_H

#include "core/data/value.h"

struct message {
	char *source;
	char *type; /* or */
	char *event;
	struct value *payload;     /* never NULL after message_read(): VALUE_NULL */
	char *id, *launch, *token; /* or NULL */
	struct value *report;      /* or NULL */
};

void message_init(struct message *message);
void message_finish(struct message *message); /* accepts a zeroed struct */

/*
 * Read within yaml_message_limits. NC_ERR_SYNTAX, NC_ERR_LIMIT: no such YAML; NC_ERR_INVALID: not a
 * mapping, a key missing, a wrong kind of value (`error` says which). Unknown keys are left out: a newer
 * sender may have more. On failure `message` is as after message_init().
 */
enum nc_err message_read(
	const char *text, size_t len, struct message *message, struct error *error);

/* Append it as YAML. Failure: out->failed. */
void message_write(const struct message *message, struct buffer *out);

/* Shorthand: a message of the manager's, or any other without id; texts and payload are copied. */
enum nc_err message_make(
	struct message *message, const char *source, const char *type, const struct value *payload);

/* The manager's types. */
#define REPLY_ACK                 "ack"
#define REPLY_CHECKLIST_CLEARED   "checklist cleared"
#define REPLY_UNREGISTERED_WORKER "unregistered worker"
#define REPLY_UNREGISTERED_TYPE   "unregistered message type"
#define REPLY_STALE               "stale"
#define REPLY_BAD_MESSAGE         "bad message"
#define REPLY_RETRY_LATER         "retry later"
#define REPLY_NO_SUCH_KEY         "no such checklist key"

#endif
