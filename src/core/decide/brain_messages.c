/* What the words of a worker do: success, failure, crash, need, clear checklist. */
#include <stdlib.h>
#include <string.h>

#include "core/data/yaml.h"
#include "core/decide/brain_internal.h"
#include "core/system/log.h"

/* What the part of the checklist becomes: a mapping is merged into a mapping, else it is replaced. */
static struct value *merge(const struct value *old, const struct value *payload)
{
	struct value *merged;

	if (!value_is(old, VALUE_MAP) || !value_is(payload, VALUE_MAP))
		return value_copy(payload);
	merged = value_copy(old);
	if (merged != NULL && value_map_merge(merged, payload) != NC_OK) {
		value_destroy(merged);
		return NULL;
	}
	return merged;
}

static enum nc_err merge_payload(struct judgement *j, const struct config_worker *worker)
{
	struct value *checklist = j->brain->checklist;
	struct value *key, *merged;
	enum nc_err err;

	if (value_is(j->message->payload, VALUE_NULL))
		return NC_OK;
	if (worker->checklist_key == NULL) {
		brain_note(j, LEVEL_WARNING,
			"the payload from %s is dropped: its entry in the message registry has no "
			"checklist key",
			j->message->source);
		return NC_OK;
	}
	key = value_text(worker->checklist_key);
	merged = merge(value_map_get(checklist, worker->checklist_key), j->message->payload);
	if (key == NULL || merged == NULL) {
		value_destroy(key);
		value_destroy(merged);
		return error_nomem(j->error);
	}
	err = store_put_checklist(j->brain->store, key, merged, j->error);
	value_destroy(key);
	if (err != NC_OK) {
		value_destroy(merged);
		return err;
	}
	if (value_map_put(checklist, worker->checklist_key, merged) != NC_OK)
		return error_nomem(j->error);
	j->t.checklist_changed = true;
	brain_note(j, LEVEL_INFO, "checklist updated with [%s] items from %s worker",
		worker->checklist_key, j->message->source);
	return NC_OK;
}

/* success, failure, crash, ...: merge, rules, `ack`. */
static enum nc_err go_on(struct judgement *j, const struct config_worker *worker)
{
	enum nc_err err = brain_reply(j, REPLY_ACK, NULL);

	if (err == NC_OK)
		err = merge_payload(j, worker);
	if (err == NC_OK)
		err = brain_consult_rules(j);
	/* Only the runner's last message carries a report. */
	j->ends_launch = j->message->report != NULL;
	return err;
}

/* The checklist, for the logger of that name. What is cleared is kept there only, so this note may not fail. */
static enum nc_err note_checklist(struct judgement *j)
{
	size_t notes_before = j->t.notes_count;
	struct buffer text;

	buffer_init(&text);
	yaml_write(j->brain->checklist, 0, &text);
	while (text.len > 0 && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	if (!text.failed)
		brain_note(j, LEVEL_INFO, "checklist:\n%s", text.data);
	buffer_finish(&text);
	if (j->t.notes_count == notes_before)
		return error_nomem(j->error);
	j->t.notes[notes_before].logger = "checklist";
	j->t.notes[notes_before].block = true;
	return NC_OK;
}

static enum nc_err clear_checklist(struct judgement *j)
{
	struct value *empty = value_map();
	enum nc_err err = empty != NULL ? brain_reply(j, REPLY_CHECKLIST_CLEARED, NULL)
					: error_nomem(j->error);

	brain_note(j, LEVEL_INFO, "writing checklist to log file");
	if (err == NC_OK)
		err = note_checklist(j);
	if (err == NC_OK)
		err = store_clear_checklist(j->brain->store, j->error);
	if (err != NC_OK) {
		value_destroy(empty);
		return err;
	}
	value_destroy(j->brain->checklist);
	j->brain->checklist = empty;
	j->t.checklist_changed = true;
	brain_note(j, LEVEL_INFO, "checklist cleared");
	return NC_OK;
}

/* `; it has a, b, c`: the keys of the checklist, as far as one wants to read them. */
static void list_keys(const struct value *checklist, struct buffer *out)
{
	enum {
		KEYS_MOST = 30
	};

	if (value_count(checklist) == 0) {
		buffer_append_text(out, "; it is empty");
		return;
	}
	for (size_t i = 0; i < value_count(checklist) && i < KEYS_MOST; i++) {
		buffer_append_text(out, i == 0 ? "; it has " : ", ");
		(void)value_print_scalar(value_map_key_at(checklist, i), out);
	}
	if (value_count(checklist) > KEYS_MOST)
		buffer_append_text(out, ", ...");
}

/* Would the receiver take it? Some room is left for the rest of the message. */
static bool fits_into_a_message(const struct value *payload)
{
	enum {
		ROOM = 1024
	};
	struct buffer text;
	bool fits;

	buffer_init(&text);
	yaml_write(payload, YAML_WRITE_FLOW, &text);
	fits = text.failed || text.len + ROOM <= yaml_message_limits.bytes;
	buffer_finish(&text);
	return fits;
}

static enum nc_err answer_need(struct judgement *j)
{
	const struct value *checklist = j->brain->checklist;
	const char *key = value_as_text(j->message->payload, NULL);
	const struct value *found = key != NULL ? value_map_get(checklist, key) : NULL;
	struct buffer words;
	enum nc_err err;

	if (found != NULL && fits_into_a_message(found))
		return brain_reply(j, REPLY_ACK, found);
	buffer_init(&words);
	if (found != NULL) {
		buffer_printf(&words,
			"the part `%.100s` of the checklist is too large for a message", key);
	} else {
		if (key == NULL)
			buffer_append_text(&words, "the payload of `need` is a checklist key");
		else
			buffer_printf(&words, "the checklist has no key `%.100s`", key);
		list_keys(checklist, &words);
	}
	brain_note(j, LEVEL_WARNING, "%s needs what it cannot have: %s", j->message->source,
		words.failed ? "" : words.data);
	err = words.failed ? error_nomem(j->error)
			   : brain_reply_words(j, REPLY_NO_SUCH_KEY, words.data);
	buffer_finish(&words);
	return err;
}

void brain_note_received(struct judgement *j, const struct config_type *type)
{
	const struct message *message = j->message;
	bool crash = strcmp(message->type, "crash") == 0;
	bool lost = strcmp(message->type, "lost") == 0;
	const char *reason = value_as_text(value_map_get(message->report, "reason"),
		value_as_text(value_map_get(message->report, "end"), NULL));

	brain_note(j, LEVEL_DEBUG, "received message from %s: (%s) %s", message->source,
		message->type,
		type != NULL ? type->meaning
		: crash      ? "the worker crashed"
			     : "the worker was lost");
	if (crash)
		brain_note(j, LEVEL_CRITICAL, "%s crashed: %s", message->source,
			reason != NULL ? reason : "it did not say why");
	else if (lost)
		brain_note(j, LEVEL_CRITICAL, "%s was lost: %s", message->source,
			reason != NULL ? reason : "it is not known why");
}

enum nc_err brain_handle_typed(struct judgement *j)
{
	const struct message *message = j->message;
	const struct config_worker *worker = config_find_worker(j->brain->config, message->source);
	const struct config_type *type;
	bool always;

	if (worker == NULL) {
		brain_note(j, LEVEL_ERROR, "message received from unregistered worker: %.100s",
			message->source);
		return brain_reply(j, REPLY_UNREGISTERED_WORKER, NULL);
	}
	type = config_find_type(worker, message->type);
	always = strcmp(message->type, "crash") == 0 || strcmp(message->type, "lost") == 0;
	if (type == NULL && !always) {
		brain_note(j, LEVEL_ERROR,
			"unregistered message type received from %s worker: %.100s",
			message->source, message->type);
		return brain_reply(j, REPLY_UNREGISTERED_TYPE, NULL);
	}
	brain_note_received(j, type);
	if (strcmp(message->type, "clear checklist") == 0)
		return clear_checklist(j);
	if (strcmp(message->type, "need") == 0)
		return answer_need(j);
	return go_on(j, worker);
}
