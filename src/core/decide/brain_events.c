/* Events: words between our own processes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/brain_internal.h"
#include "core/system/log.h"

/* --- started --- */

/* A launch by hand, of which nobody knew: it is written down like the others. */
static enum nc_err register_runner(struct judgement *j, int64_t pid, int64_t attempt)
{
	const struct message *message = j->message;
	const struct value *arguments = value_map_get(message->payload, "arguments");
	size_t token_len = message->token != NULL ? strlen(message->token) : 0;
	const char *host = value_as_text(value_map_get(message->payload, "host"), "localhost");
	struct store_launch *launch = &j->launch;

	*launch = (struct store_launch){ .state = STORE_RUNNING,
		.wanted_ns = j->real_ns,
		.running_ns = j->real_ns,
		.pid = pid,
		.attempt = attempt,
		.by_hand = true };
	memcpy(launch->id, message->launch, strlen(message->launch) + 1);
	/* A longer one is none of ours, and cannot be compared with. */
	if (token_len > 0 && token_len < sizeof(launch->token))
		memcpy(launch->token, message->token, token_len + 1);
	launch->worker = strdup(message->source);
	launch->arguments = value_is(arguments, VALUE_LIST) ? value_copy(arguments) : value_list();
	launch->host = strdup(host);
	launch->boot = strdup(j->brain->boot);
	launch->why = strdup("by hand");
	if (launch->worker == NULL || launch->arguments == NULL || launch->host == NULL ||
		launch->boot == NULL || launch->why == NULL)
		return error_nomem(j->error);
	j->launch_known = true;
	brain_note(
		j, LEVEL_INFO, "%s was started by hand in process %" PRId64, message->source, pid);
	return store_add_launch(j->brain->store, launch, j->error);
}

static int policy_of(const struct judgement *j)
{
	return config_find_program(j->brain->config, j->message->source)->if_running;
}

/* Only somebody at a terminal wants to know of copies; and there can be many. NULL: j->error. */
static struct value *find_copies(struct judgement *j)
{
	const struct value *arguments = value_map_get(j->message->payload, "arguments");
	struct value *none;

	if (j->launch_known && j->launch.by_hand)
		return brain_copies(j, j->launch.worker, j->launch.arguments, j->launch.id);
	if (!j->launch_known && value_is(arguments, VALUE_LIST))
		return brain_copies(j, j->message->source, arguments, NULL);
	none = value_list();
	if (none == NULL)
		(void)error_nomem(j->error);
	return none;
}

/* By hand, while a copy runs: the runner comes again until that has ended. */
static enum nc_err let_it_wait(struct judgement *j, const struct value *copies)
{
	struct value *reply = value_map();
	enum nc_err err = value_map_put(reply, "running", value_copy(copies));

	err = err == NC_OK ? brain_reply(j, REPLY_RETRY_LATER, reply) : error_nomem(j->error);
	value_destroy(reply);
	if (err == NC_OK && policy_of(j) == IF_RUNNING_REPLACE)
		err = brain_replace_copies(j, copies);
	return err;
}

static enum nc_err answer_started(struct judgement *j, const struct value *copies)
{
	struct value *reply = value_map();
	bool refused =
		j->launch.by_hand && value_count(copies) > 0 && policy_of(j) == IF_RUNNING_REFUSE;
	enum nc_err err = value_map_put(reply, "running", value_copy(copies));

	if (err == NC_OK)
		err = value_map_put(reply, "version", value_text(NOWCAST_VERSION));
	if (err == NC_OK && refused)
		err = value_map_put(reply, "refused", value_bool(true));
	err = err == NC_OK ? brain_reply(j, REPLY_ACK, reply) : error_nomem(j->error);
	value_destroy(reply);
	if (err != NC_OK || !refused)
		return err;
	brain_note(j, LEVEL_WARNING,
		"%s by hand was refused: it runs already with the same arguments (`if running: "
		"refuse`)",
		j->message->source);
	return brain_close_launch(j, "refused");
}

static enum nc_err take_started(struct judgement *j, const struct value *copies)
{
	int64_t pid = value_as_int(value_map_get(j->message->payload, "pid"), 0);
	int64_t attempt = value_as_int(value_map_get(j->message->payload, "attempt"), 1);
	int policy = policy_of(j);
	enum nc_err err = NC_OK;

	if (!j->launch_known && value_count(copies) > 0 &&
		(policy == IF_RUNNING_WAIT || policy == IF_RUNNING_REPLACE))
		return let_it_wait(j, copies);
	if (!j->launch_known)
		err = register_runner(j, pid, attempt);
	else if (j->launch.state != STORE_RUNNING || j->launch.pid != pid ||
		 j->launch.attempt != attempt)
		err = store_launch_runs(j->brain->store, j->launch.id, STORE_RUNNING, pid, attempt,
			j->real_ns, j->error);
	return err == NC_OK ? answer_started(j, copies) : err;
}

/* Answered with the copies that run already. Said twice it changes nothing more. */
static enum nc_err runner_started(struct judgement *j)
{
	struct value *copies;
	enum nc_err err;

	if (!id_is_valid(j->message->launch))
		return brain_reply_words(
			j, REPLY_BAD_MESSAGE, "`started` needs the id of a launch");
	copies = find_copies(j);
	if (copies == NULL)
		return j->error->code;
	err = take_started(j, copies);
	value_destroy(copies);
	return err;
}

/* --- progress --- */

/* Kept in memory only: it is said again, and is worth no write to the disk. */
static enum nc_err progress_made(struct judgement *j)
{
	double fraction = value_as_float(j->message->payload, -1);
	struct value *progress = j->brain->progress;

	if (!(fraction >= 0 && fraction <= 1))
		return brain_reply_words(
			j, REPLY_BAD_MESSAGE, "the payload of `progress` is a number from 0 to 1");
	if (j->launch_known && value_count(progress) < PROGRESS_MOST &&
		value_map_put(progress, j->launch.id, value_copy(j->message->payload)) != NC_OK)
		return error_nomem(j->error);
	return brain_reply(j, REPLY_ACK, NULL);
}

/* --- due --- */

/* Absent, or a list of texts: what else there is would be launched as something that nobody meant. */
static bool are_arguments(const struct value *arguments)
{
	if (value_is(arguments, VALUE_NULL))
		return true;
	if (!value_is(arguments, VALUE_LIST))
		return false;
	for (size_t i = 0; i < value_count(arguments); i++) {
		if (value_as_text(value_at(arguments, i), NULL) == NULL)
			return false;
	}
	return true;
}

static enum nc_err launch_slot(struct judgement *j, const char *worker, const char *name)
{
	const struct value *arguments = value_map_get(j->message->payload, "arguments");
	char host[] = "localhost";
	struct rules_launch wanted = { .host = host };
	struct buffer why;
	enum nc_err err;

	buffer_init(&why);
	buffer_printf(&why, "schedule %s", name);
	wanted.worker = strdup(worker);
	wanted.arguments_count = value_count(arguments);
	wanted.arguments = calloc(wanted.arguments_count + 1, sizeof(*wanted.arguments));
	/* They are only read. */
	for (size_t i = 0; wanted.arguments != NULL && i < wanted.arguments_count; i++)
		wanted.arguments[i] = (char *)(uintptr_t)value_as_text(value_at(arguments, i), "");
	err = wanted.worker != NULL && wanted.arguments != NULL && !why.failed
		      ? brain_want_launch(j, &wanted, why.data)
		      : error_nomem(j->error);
	free(wanted.worker);
	free(wanted.arguments);
	buffer_finish(&why);
	return err;
}

/* A slot of a schedule has come: launch it, once (R18). */
static enum nc_err slot_due(struct judgement *j)
{
	const struct value *payload = j->message->payload;
	const char *worker = value_as_text(value_map_get(payload, "worker"), NULL);
	const char *schedule = value_as_text(value_map_get(payload, "schedule"), "");
	const char *slot = value_as_text(value_map_get(payload, "slot"), NULL);
	struct error why = { 0 };
	char *name = NULL;
	bool known;
	enum nc_err err;

	if (worker == NULL || slot == NULL)
		return brain_reply_words(j, REPLY_BAD_MESSAGE, "`due` names a worker and a slot");
	if (!are_arguments(value_map_get(payload, "arguments")))
		return brain_reply_words(
			j, REPLY_BAD_MESSAGE, "the arguments of `due` are a list of texts");
	if (config_find_worker(j->brain->config, worker) == NULL) {
		brain_note(j, LEVEL_ERROR, "the schedule names the unregistered worker %.100s",
			worker);
		return brain_reply_words(j, REPLY_UNREGISTERED_WORKER, worker);
	}
	if (asprintf(&name, "%s %s", schedule, slot) < 0)
		return error_nomem(j->error);
	err = store_add_slot(j->brain->store, name, j->real_ns, &why);
	known = err == NC_ERR_REFUSED;
	if (err == NC_OK)
		err = launch_slot(j, worker, name);
	else if (!known)
		*j->error = why;
	if (err == NC_OK)
		brain_note(j, LEVEL_INFO, "the slot %s of the schedule is due", name);
	free(name);
	return err == NC_OK || known ? brain_reply(j, REPLY_ACK, NULL) : err;
}

/* --- version --- */

static enum nc_err tell_version(struct judgement *j)
{
	struct value *reply = value_map();
	enum nc_err err = value_map_put(reply, "version", value_text(NOWCAST_VERSION));

	err = err == NC_OK ? brain_reply(j, REPLY_ACK, reply) : error_nomem(j->error);
	value_destroy(reply);
	return err;
}

/* --- which of them? --- */

enum nc_err brain_handle_event(struct judgement *j)
{
	const struct message *message = j->message;

	if (strcmp(message->event, "due") == 0)
		return slot_due(j);
	if (strcmp(message->event, "version") == 0)
		return tell_version(j);
	if (config_find_worker(j->brain->config, message->source) == NULL) {
		brain_note(j, LEVEL_ERROR, "message received from unregistered worker: %.100s",
			message->source);
		return brain_reply(j, REPLY_UNREGISTERED_WORKER, NULL);
	}
	if (strcmp(message->event, "started") == 0)
		return runner_started(j);
	if (strcmp(message->event, "progress") == 0)
		return progress_made(j);
	return brain_reply_words(j, REPLY_BAD_MESSAGE,
		"there is no such event; there are started, progress and due");
}
