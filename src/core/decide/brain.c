/*
 * Judging messages. Each judgement fills a transaction. What it changes in the state can be taken back, so
 * that a lack of memory at any point leaves all as it was before the message.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/utf8.h"
#include "core/data/yaml.h"
#include "core/decide/brain_internal.h"
#include "core/system/log.h"

void transaction_finish(struct transaction *t)
{
	message_finish(&t->reply);
	for (size_t i = 0; i < t->notes_count; i++)
		free(t->notes[i].text);
	free(t->notes);
	for (size_t i = 0; i < t->launches_count; i++) {
		for (size_t j = 0; j < t->launches[i].arguments_count; j++)
			free(t->launches[i].arguments[j]);
		free(t->launches[i].arguments);
		free(t->launches[i].worker);
		free(t->launches[i].host);
		free(t->launches[i].why);
	}
	free(t->launches);
	*t = (struct transaction){ 0 };
}

void brain_note(struct judgement *j, int level, const char *format, ...)
{
	struct transaction *t = &j->t;
	struct brain_note *notes = reallocarray(t->notes, t->notes_count + 1, sizeof(*notes));
	struct brain_note one = { .level = level };
	va_list arguments;

	if (notes == NULL)
		return;
	t->notes = notes;
	va_start(arguments, format);
	if (vasprintf(&one.text, format, arguments) >= 0) {
		utf8_mend(one.text);
		notes[t->notes_count++] = one;
	}
	va_end(arguments);
}

enum nc_err brain_reply(struct judgement *j, const char *type, const struct value *payload)
{
	message_finish(&j->t.reply);
	return message_make(&j->t.reply, "manager", type, payload) == NC_OK ? NC_OK
									    : error_nomem(j->error);
}

enum nc_err brain_reply_words(struct judgement *j, const char *type, const char *words)
{
	char *whole = strdup(words);
	struct value *payload;
	enum nc_err err;

	if (whole == NULL)
		return error_nomem(j->error);
	utf8_mend(whole);
	payload = value_text(whole);
	err = payload != NULL ? brain_reply(j, type, payload) : error_nomem(j->error);
	value_destroy(payload);
	free(whole);
	return err;
}

/* --- beginning and end --- */

enum nc_err brain_create(const struct config *config, const struct rules *rules,
	struct brain **ret_brain, struct error *error)
{
	struct brain *brain = calloc(1, sizeof(*brain));

	if (brain == NULL)
		return error_nomem(error);
	brain->config = config;
	brain->rules = rules;
	brain->checklist = value_map();
	brain->answered = calloc(REMEMBERED, sizeof(*brain->answered));
	if (brain->checklist == NULL || brain->answered == NULL) {
		brain_destroy(brain);
		return error_nomem(error);
	}
	*ret_brain = brain;
	return NC_OK;
}

void brain_destroy(struct brain *brain)
{
	if (brain == NULL)
		return;
	for (size_t i = 0; brain->answered != NULL && i < REMEMBERED; i++)
		free(brain->answered[i].reply);
	free(brain->answered);
	for (size_t i = 0; i < SLOTS_REMEMBERED; i++)
		free(brain->slots[i]);
	table_finish(&brain->launches);
	value_destroy(brain->checklist);
	free(brain);
}

void brain_configure(struct brain *brain, const struct config *config, const struct rules *rules)
{
	brain->config = config;
	brain->rules = rules;
}

void brain_set_checklist(struct brain *brain, struct value *checklist)
{
	value_destroy(brain->checklist);
	brain->checklist = checklist;
}

const struct value *brain_checklist(const struct brain *brain)
{
	return brain->checklist;
}

struct value *brain_running(const struct brain *brain)
{
	struct value *list = value_list();

	for (size_t i = 0; list != NULL && i < brain->launches.count; i++) {
		if (value_list_append(list, table_row_to_value(&brain->launches.rows[i])) !=
			NC_OK) {
			value_destroy(list);
			return NULL;
		}
	}
	return list;
}

/* --- taking back --- */

void judgement_undo(struct judgement *j)
{
	struct brain *brain = j->brain;

	for (size_t i = 0; i < j->t.launches_count; i++) {
		struct table_row *row = table_find(&brain->launches, j->t.launches[i].id);

		if (row != NULL)
			table_remove(&brain->launches, row);
	}
	if (j->checklist_before != NULL) {
		value_destroy(brain->checklist);
		brain->checklist = j->checklist_before;
		j->checklist_before = NULL;
	}
	if (j->part_key != NULL && j->part_before == NULL) {
		(void)value_map_remove(brain->checklist, value_as_text(j->part_key, ""));
	} else if (j->part_key != NULL) {
		/* The key is there: this only puts the value into its place. */
		(void)value_map_put_key(brain->checklist, j->part_key, j->part_before);
		j->part_key = j->part_before = NULL;
	}
	if (j->slot_added) {
		brain->slots_next = (brain->slots_next + SLOTS_REMEMBERED - 1) % SLOTS_REMEMBERED;
		free(brain->slots[brain->slots_next]);
		brain->slots[brain->slots_next] = NULL;
	}
	judgement_finish(j);
	transaction_finish(&j->t);
}

void judgement_finish(struct judgement *j)
{
	value_destroy(j->checklist_before);
	value_destroy(j->part_key);
	value_destroy(j->part_before);
	j->checklist_before = j->part_key = j->part_before = NULL;
}

/* --- messages that come again (R2) --- */

static uint64_t digest_of(const char *bytes, size_t len)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
	return hash;
}

static const struct answered *find_answered(const struct brain *brain, const char *id)
{
	for (size_t i = 0; i < REMEMBERED; i++) {
		/* The latest first: what comes again comes soon. */
		size_t at = (brain->answered_next + REMEMBERED - 1 - i) % REMEMBERED;

		if (brain->answered[at].id[0] == '\0')
			return NULL;
		if (strcmp(brain->answered[at].id, id) == 0)
			return &brain->answered[at];
	}
	return NULL;
}

/* What only asks is judged again when it comes again: its answer can be large, and it changes nothing. */
static bool only_asks(const struct message *message)
{
	return message->event != NULL ? strcmp(message->event, "due") != 0
				      : strcmp(message->type, "need") == 0;
}

static enum nc_err remember(struct judgement *j, uint64_t digest)
{
	struct brain *brain = j->brain;
	struct answered *answered = &brain->answered[brain->answered_next];
	struct answered fresh = { .digest = digest };
	struct buffer reply;

	memcpy(fresh.id, j->message->id, strlen(j->message->id) + 1);
	if (!only_asks(j->message)) {
		buffer_init(&reply);
		message_write(&j->t.reply, &reply);
		fresh.reply_len = reply.len;
		if (!reply.failed)
			fresh.reply = buffer_steal(&reply);
		buffer_finish(&reply);
		if (fresh.reply == NULL)
			return error_nomem(j->error);
	}
	free(answered->reply);
	*answered = fresh;
	brain->answered_next = (brain->answered_next + 1) % REMEMBERED;
	return NC_OK;
}

/* --- what a worker's message does --- */

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
	const struct value *old;
	struct value *key, *before, *merged;

	if (value_is(j->message->payload, VALUE_NULL))
		return NC_OK;
	if (worker->checklist_key == NULL) {
		brain_note(j, LEVEL_WARNING,
			"the payload from %s is dropped: its entry in the message registry has no "
			"checklist key",
			j->message->source);
		return NC_OK;
	}
	old = value_map_get(checklist, worker->checklist_key);
	key = value_text(worker->checklist_key);
	before = old != NULL ? value_copy(old) : NULL;
	merged = merge(old, j->message->payload);
	if (key == NULL || (old != NULL && before == NULL)) {
		value_destroy(merged);
		merged = NULL;
	}
	if (value_map_put(checklist, worker->checklist_key, merged) != NC_OK) {
		value_destroy(key);
		value_destroy(before);
		return error_nomem(j->error);
	}
	j->part_key = key;
	j->part_before = before;
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
	if (err != NC_OK) {
		value_destroy(empty);
		return err;
	}
	j->checklist_before = j->brain->checklist;
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

static void note_received(struct judgement *j, const struct config_type *type)
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

static enum nc_err handle_typed(struct judgement *j)
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
	note_received(j, type);
	if (strcmp(message->type, "clear checklist") == 0)
		return clear_checklist(j);
	if (strcmp(message->type, "need") == 0)
		return answer_need(j);
	return go_on(j, worker);
}

/* --- one message --- */

static enum nc_err handle_message(struct judgement *j)
{
	const struct message *message = j->message;
	const struct table_row *row = table_find(&j->brain->launches, message->launch);

	/* A second copy of a launch cannot change the state (R7). */
	if (row != NULL && row->token[0] != '\0' &&
		(message->token == NULL || !token_is_equal(message->token, row->token))) {
		brain_note(j, LEVEL_ERROR,
			"refused a stale message (%.100s) from %.100s: its token is not that of "
			"the launch %s",
			message->type != NULL ? message->type : message->event, message->source,
			row->id);
		return brain_reply(j, REPLY_STALE, NULL);
	}
	return message->event != NULL ? brain_handle_event(j) : handle_typed(j);
}

/* The message is valid, and was not answered before (`known`: it was, and only asks). */
static enum nc_err judge(struct judgement *j, uint64_t digest, bool known)
{
	struct table_row *row;
	enum nc_err err = handle_message(j);

	if (err == NC_OK && j->message->id != NULL && !known)
		err = remember(j, digest);
	if (err != NC_OK) {
		judgement_undo(j);
		return err;
	}
	row = j->ends_launch ? table_find(&j->brain->launches, j->message->launch) : NULL;
	if (row != NULL)
		table_remove(&j->brain->launches, row);
	judgement_finish(j);
	return NC_OK;
}

static enum nc_err refuse(struct judgement *j, const char *words)
{
	enum nc_err err;

	brain_note(j, LEVEL_ERROR, "a bad message was refused: %s", words);
	err = brain_reply_words(j, REPLY_BAD_MESSAGE, words);
	if (err != NC_OK)
		transaction_finish(&j->t);
	return err;
}

enum nc_err brain_handle(struct brain *brain, const char *bytes, size_t len, int64_t real_ns,
	struct transaction *ret_transaction, struct error *error)
{
	struct message message;
	struct judgement j = {
		.brain = brain, .message = &message, .real_ns = real_ns, .error = error
	};
	struct error why = { 0 };
	uint64_t digest = digest_of(bytes, len);
	const struct answered *answered = NULL;
	enum nc_err err = message_read(bytes, len, &message, &why);

	if (err == NC_ERR_NOMEM)
		return error_nomem(error);
	brain->failed_starts = 0;
	if (err == NC_OK && message.id != NULL && strlen(message.id) >= ID_TEXT_SIZE)
		err = error_set(&why, NC_ERR_INVALID,
			"the id of a message is an UUID, and this one is longer");
	if (err == NC_OK && message.id != NULL)
		answered = find_answered(brain, message.id);
	if (err != NC_OK)
		err = refuse(&j, why.text);
	else if (answered != NULL && answered->digest != digest)
		err = refuse(&j, "its id belongs to another message, which was answered before");
	else if (answered != NULL && answered->reply != NULL)
		err = message_read(answered->reply, answered->reply_len, &j.t.reply, error);
	else
		err = judge(&j, digest, answered != NULL);
	message_finish(&message);
	if (err == NC_OK)
		*ret_transaction = j.t;
	return err;
}

/* --- what the daemon tells of the launches --- */

/* In the place of a runner that cannot report. */
static enum nc_err make_crash(
	const struct table_row *row, const char *reason, struct message *message)
{
	enum nc_err err = message_make(message, row->worker, "crash", NULL);

	if (err != NC_OK)
		return err;
	message->launch = strdup(row->id);
	message->report = value_map();
	if (message->launch == NULL ||
		value_map_put(message->report, "reason", value_text(reason)) != NC_OK) {
		message_finish(message);
		return NC_ERR_NOMEM;
	}
	return NC_OK;
}

/* The launch is over and nobody has reported: the rules see `crash`. */
static enum nc_err report_crash(struct brain *brain, struct table_row *row, const char *reason,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error)
{
	struct message message;
	struct judgement j = {
		.brain = brain, .message = &message, .real_ns = real_ns, .error = error
	};
	char id[ID_TEXT_SIZE];
	enum nc_err err;

	memcpy(id, row->id, sizeof(id));
	message_init(&message);
	err = make_crash(row, reason, &message) == NC_OK ? NC_OK : error_nomem(error);
	if (err == NC_OK && brain->failed_starts <= FAILED_STARTS_MOST) {
		err = handle_typed(&j);
	} else if (err == NC_OK) {
		note_received(&j, NULL);
		brain_note(&j, LEVEL_CRITICAL,
			"more than %d launches could not be made one after the other: the rules "
			"are not asked what to launch after this one",
			FAILED_STARTS_MOST);
	}
	message_finish(&message);
	if (err != NC_OK) {
		judgement_undo(&j);
		return err;
	}
	judgement_finish(&j);
	/* Also when the worker is no longer registered: the launch is over. */
	row = table_find(&brain->launches, id);
	if (row != NULL)
		table_remove(&brain->launches, row);
	*ret_transaction = j.t;
	return NC_OK;
}

enum nc_err brain_launch_started(struct brain *brain, const char *launch_id, int64_t pid,
	const char *reason, int64_t real_ns, struct transaction *ret_transaction,
	struct error *error)
{
	struct table_row *row = table_find(&brain->launches, launch_id);

	if (row == NULL || pid > 0) {
		if (row != NULL && row->state == TABLE_WANTED) {
			row->state = TABLE_STARTED;
			row->pid = pid;
		}
		*ret_transaction = (struct transaction){ 0 };
		return NC_OK;
	}
	brain->failed_starts++;
	return report_crash(brain, row, reason, real_ns, ret_transaction, error);
}

enum nc_err brain_runner_ended(struct brain *brain, const char *launch_id, const char *reason,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error)
{
	struct table_row *row = table_find(&brain->launches, launch_id);

	brain->failed_starts = 0;
	if (row == NULL) {
		*ret_transaction = (struct transaction){ 0 };
		return NC_OK;
	}
	return report_crash(brain, row, reason, real_ns, ret_transaction, error);
}
