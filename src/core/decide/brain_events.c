/* Events: words between our own processes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/brain_internal.h"
#include "core/system/log.h"

/* --- started --- */

/* The row of the launch that has started; one by hand is new. NULL: out of memory. */
static struct table_row *register_runner(struct judgement *j)
{
	const struct message *message = j->message;
	const struct value *arguments = value_map_get(message->payload, "arguments");
	struct table *table = &j->brain->launches;
	struct table_row *row = table_find(table, message->launch);
	size_t token_len = message->token != NULL ? strlen(message->token) : 0;

	if (row != NULL)
		return row;
	table_forget_by_hand(table, BY_HAND_MOST - 1);
	row = table_add(table, message->launch, message->source,
		value_is(arguments, VALUE_LIST) ? value_copy(arguments) : value_list(),
		value_as_text(value_map_get(message->payload, "host"), "localhost"));
	if (row == NULL)
		return NULL;
	row->by_hand = true;
	row->since_ns = j->real_ns;
	/* A longer one is none of ours, and cannot be compared with. */
	if (token_len > 0 && token_len < sizeof(row->token))
		memcpy(row->token, message->token, token_len + 1);
	brain_note(j, LEVEL_INFO, "%s was started by hand in process %" PRId64, message->source,
		value_as_int(value_map_get(message->payload, "pid"), 0));
	return row;
}

/* Answered with the copies that run already. Said twice it changes nothing more. */
static enum nc_err runner_started(struct judgement *j)
{
	struct table_row *row;
	struct value *reply;
	enum nc_err err;

	if (!id_is_valid(j->message->launch))
		return brain_reply_words(
			j, REPLY_BAD_MESSAGE, "`started` needs the id of a launch");
	row = register_runner(j);
	if (row == NULL)
		return error_nomem(j->error);
	row->state = TABLE_RUNNING;
	row->pid = value_as_int(value_map_get(j->message->payload, "pid"), 0);
	reply = value_map();
	err = value_map_put(reply, "running",
		table_copies(&j->brain->launches, row->worker, row->arguments, row->id));
	err = err == NC_OK ? brain_reply(j, REPLY_ACK, reply) : error_nomem(j->error);
	value_destroy(reply);
	return err;
}

/* --- progress --- */

static enum nc_err progress_made(struct judgement *j)
{
	struct table_row *row = table_find(&j->brain->launches, j->message->launch);
	double fraction = value_as_float(j->message->payload, -1);
	struct value *progress;

	if (!(fraction >= 0 && fraction <= 1))
		return brain_reply_words(
			j, REPLY_BAD_MESSAGE, "the payload of `progress` is a number from 0 to 1");
	if (row != NULL) {
		progress = value_copy(j->message->payload);
		if (progress == NULL)
			return error_nomem(j->error);
		value_destroy(row->progress);
		row->progress = progress;
	}
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

static bool slot_is_known(const struct brain *brain, const char *name)
{
	for (size_t i = 0; i < SLOTS_REMEMBERED; i++)
		if (brain->slots[i] != NULL && strcmp(brain->slots[i], name) == 0)
			return true;
	return false;
}

/* Takes over `name`. The one that is forgotten for it is a thousand slots old. */
static void remember_slot(struct judgement *j, char *name)
{
	struct brain *brain = j->brain;

	free(brain->slots[brain->slots_next]);
	brain->slots[brain->slots_next] = name;
	brain->slots_next = (brain->slots_next + 1) % SLOTS_REMEMBERED;
	j->slot_added = true;
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
	char *name = NULL;
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
	if (slot_is_known(j->brain, name)) {
		free(name);
		return brain_reply(j, REPLY_ACK, NULL);
	}
	err = launch_slot(j, worker, name);
	if (err == NC_OK)
		err = brain_reply(j, REPLY_ACK, NULL);
	if (err != NC_OK) {
		free(name);
		return err;
	}
	brain_note(j, LEVEL_INFO, "the slot %s of the schedule is due", name);
	remember_slot(j, name);
	return NC_OK;
}

/* --- which of them? --- */

enum nc_err brain_handle_event(struct judgement *j)
{
	const struct message *message = j->message;

	if (strcmp(message->event, "due") == 0)
		return slot_due(j);
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
