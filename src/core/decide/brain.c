/*
 * Judging messages. Each judgement fills a transaction; what can fail for want of memory is done before
 * the state is changed, so that a failure leaves it as it was.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/yaml.h"
#include "core/decide/brain_internal.h"
#include "core/system/log.h"

enum {
	REMEMBERED = 10000, /* answered messages, for those that come again (R2) */
	SLOTS_REMEMBERED = 1000,
};

/* A message that was answered. */
struct answered {
	char id[ID_TEXT_SIZE];
	uint64_t digest; /* of its bytes */
	char *reply;
	size_t reply_len;
};

struct brain {
	const struct config *config;
	const struct rules *rules;
	struct value *checklist;
	struct table launches;
	struct answered *answered; /* a ring */
	size_t answered_next;
	struct value *slots; /* a set of `schedule slot`, for `due` */
};

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

/* A note that finds no memory is lost: it is talk, and the message must not fail for it. */
NC_PRINTF(3, 4)
static void note(struct transaction *t, int level, const char *format, ...)
{
	struct brain_note *notes = reallocarray(t->notes, t->notes_count + 1, sizeof(*notes));
	struct brain_note one = { .level = level };
	va_list arguments;

	if (notes == NULL)
		return;
	t->notes = notes;
	va_start(arguments, format);
	if (vasprintf(&one.text, format, arguments) >= 0)
		notes[t->notes_count++] = one;
	va_end(arguments);
}

static enum nc_err reply_with(
	struct transaction *t, const char *type, const struct value *payload, struct error *error)
{
	message_finish(&t->reply);
	return message_make(&t->reply, "manager", type, payload) == NC_OK ? NC_OK
									  : error_nomem(error);
}

static enum nc_err reply_words(
	struct transaction *t, const char *type, const char *words, struct error *error)
{
	struct value *payload = value_text(words);
	enum nc_err err =
		payload != NULL ? reply_with(t, type, payload, error) : error_nomem(error);

	value_destroy(payload);
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
	brain->slots = value_set();
	brain->answered = calloc(REMEMBERED, sizeof(*brain->answered));
	if (brain->checklist == NULL || brain->slots == NULL || brain->answered == NULL) {
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
	table_finish(&brain->launches);
	value_destroy(brain->checklist);
	value_destroy(brain->slots);
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

/* --- messages that come again (R2) --- */

static uint64_t digest_of(const char *bytes, size_t len)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
	return hash;
}

static struct answered *find_answered(const struct brain *brain, const char *id)
{
	for (size_t i = 0; i < REMEMBERED; i++) {
		/* The latest first: what comes again comes soon. */
		size_t at = (brain->answered_next + REMEMBERED - 1 - i) % REMEMBERED;
		struct answered *answered = &brain->answered[at];

		if (answered->reply == NULL)
			return NULL;
		if (strcmp(answered->id, id) == 0)
			return answered;
	}
	return NULL;
}

static void remember(
	struct brain *brain, const char *id, uint64_t digest, const struct transaction *t)
{
	struct answered *answered = &brain->answered[brain->answered_next];
	struct buffer reply;

	buffer_init(&reply);
	message_write(&t->reply, &reply);
	free(answered->reply);
	answered->reply_len = reply.len;
	answered->reply = buffer_steal(&reply);
	if (answered->reply == NULL)
		return;
	(void)snprintf(answered->id, sizeof(answered->id), "%s", id);
	answered->digest = digest;
	brain->answered_next = (brain->answered_next + 1) % REMEMBERED;
}

/* --- launches --- */

static enum nc_err want_launch(struct brain *brain, struct transaction *t,
	const struct rules_launch *wanted, const char *why, int64_t real_ns, struct error *error)
{
	struct brain_launch *launches =
		reallocarray(t->launches, t->launches_count + 1, sizeof(*launches));
	struct brain_launch *launch;
	struct value *arguments = value_list();
	struct table_row *row;
	enum nc_err err;

	if (launches == NULL) {
		value_destroy(arguments);
		return error_nomem(error);
	}
	t->launches = launches;
	launch = &launches[t->launches_count];
	*launch = (struct brain_launch){ 0 };
	t->launches_count++;
	err = id_make(launch->id, error);
	if (err == NC_OK)
		err = token_make(launch->token, error);
	launch->worker = strdup(wanted->worker);
	launch->host = strdup(wanted->host);
	launch->why = strdup(why);
	launch->arguments = calloc(wanted->arguments_count + 1, sizeof(*launch->arguments));
	for (size_t i = 0; launch->arguments != NULL && i < wanted->arguments_count; i++) {
		launch->arguments[i] = strdup(wanted->arguments[i]);
		if (launch->arguments[i] == NULL ||
			value_list_append(arguments, value_text(wanted->arguments[i])) != NC_OK)
			break;
		launch->arguments_count++;
	}
	if (err == NC_OK && (launch->worker == NULL || launch->host == NULL ||
				    launch->why == NULL || launch->arguments == NULL ||
				    launch->arguments_count < wanted->arguments_count))
		err = error_nomem(error);
	if (err != NC_OK) {
		value_destroy(arguments);
		return err;
	}
	row = table_add(&brain->launches, launch->id, launch->worker, arguments, launch->host);
	if (row == NULL)
		return error_nomem(error);
	(void)snprintf(row->token, sizeof(row->token), "%s", launch->token);
	row->since_ns = real_ns;
	return NC_OK;
}

/* Nothing of this transaction is launched: take the rows out that it brought. */
static void forget_launches(struct brain *brain, struct transaction *t)
{
	for (size_t i = 0; i < t->launches_count; i++) {
		struct table_row *row = table_find(&brain->launches, t->launches[i].id);

		if (row != NULL)
			table_remove(&brain->launches, row);
	}
}

/* The launch that reports, for the rules. */
static struct value *launch_facts(
	const struct table_row *row, const struct message *message, int64_t real_ns)
{
	struct value *facts = row != NULL ? table_row_to_value(row) : value_map();
	const struct value *reason = value_map_get(message->report, "reason");
	bool well = facts != NULL;

	if (row == NULL)
		well = well &&
		       value_map_put(facts, "worker", value_text(message->source)) == NC_OK &&
		       value_map_put(facts, "arguments", value_list()) == NC_OK &&
		       value_map_put(facts, "host", value_text("localhost")) == NC_OK;
	well = well &&
	       value_map_put(facts, "date",
		       value_date(date_local(row != NULL ? row->since_ns : real_ns))) == NC_OK &&
	       value_map_put(facts, "attempt", value_int(1)) == NC_OK;
	if (reason != NULL)
		well = well && value_map_put(facts, "reason", value_copy(reason)) == NC_OK;
	if (!well) {
		value_destroy(facts);
		return NULL;
	}
	return facts;
}

/* --- what a worker's message does --- */

/* Merge the payload: a mapping into a mapping, else it takes the place of what was there. */
static enum nc_err merge_payload(struct brain *brain, const struct message *message,
	const struct config_worker *worker, struct transaction *t, struct error *error)
{
	struct value *old, *merged;

	if (value_is(message->payload, VALUE_NULL))
		return NC_OK;
	if (worker->checklist_key == NULL) {
		note(t, LEVEL_WARNING,
			"the payload from %s is dropped: its entry in the message registry has no "
			"checklist key",
			message->source);
		return NC_OK;
	}
	old = value_map_get(brain->checklist, worker->checklist_key);
	if (value_is(old, VALUE_MAP) && value_is(message->payload, VALUE_MAP)) {
		merged = value_copy(old);
		if (merged != NULL && value_map_merge(merged, message->payload) != NC_OK) {
			value_destroy(merged);
			merged = NULL;
		}
	} else {
		merged = value_copy(message->payload);
	}
	if (value_map_put(brain->checklist, worker->checklist_key, merged) != NC_OK)
		return error_nomem(error);
	t->checklist_changed = true;
	note(t, LEVEL_INFO, "checklist updated with [%s] items from %s worker",
		worker->checklist_key, message->source);
	return NC_OK;
}

static enum nc_err consult_rules(struct brain *brain, const struct message *message,
	const struct table_row *row, struct transaction *t, int64_t real_ns, struct error *error)
{
	struct rules_decision decision = { 0 };
	struct value *facts = launch_facts(row, message, real_ns);
	struct rules_input input = {
		.worker = message->source,
		.type = message->type,
		.payload = message->payload,
		.config = brain->config->tree,
		.checklist = brain->checklist,
		.launch = facts,
		.today = date_local(real_ns),
	};
	struct error why = { 0 };
	char words[200];
	enum nc_err err;

	if (facts == NULL)
		return error_nomem(error);
	err = rules_apply(brain->rules, &input, &decision, &why);
	value_destroy(facts);
	if (err == NC_ERR_NOMEM)
		return error_nomem(error);
	if (err != NC_OK) {
		note(t, LEVEL_CRITICAL,
			"nothing was launched after the message (%s) from %s: the rules failed: %s",
			message->type, message->source, why.text);
		return NC_OK;
	}
	for (size_t i = 0; err == NC_OK && i < decision.count; i++) {
		(void)snprintf(words, sizeof(words), "%s of %s, rule on line %u", message->type,
			message->source, decision.launches[i].line);
		err = want_launch(brain, t, &decision.launches[i], words, real_ns, error);
	}
	rules_decision_finish(&decision);
	return err;
}

static void note_received(const struct message *message, const char *meaning, struct transaction *t)
{
	const char *reason = value_as_text(value_map_get(message->report, "reason"), NULL);

	note(t, LEVEL_DEBUG, "received message from %s: (%s) %s", message->source, message->type,
		meaning);
	if (strcmp(message->type, "crash") == 0)
		note(t, LEVEL_CRITICAL, "%s crashed: %s", message->source,
			reason != NULL ? reason : "it did not say why");
	else if (strcmp(message->type, "lost") == 0)
		note(t, LEVEL_CRITICAL, "%s was lost: %s", message->source,
			reason != NULL ? reason : "it is not known why");
}

/* success, failure, crash, ...: merge, rules, `ack`. */
static enum nc_err go_on(struct brain *brain, const struct message *message,
	const struct config_worker *worker, struct transaction *t, int64_t real_ns,
	struct error *error)
{
	struct table_row *row = table_find(&brain->launches, message->launch);
	enum nc_err err = reply_with(t, REPLY_ACK, NULL, error);

	if (err == NC_OK)
		err = merge_payload(brain, message, worker, t, error);
	if (err == NC_OK)
		err = consult_rules(brain, message, row, t, real_ns, error);
	if (err != NC_OK) {
		forget_launches(brain, t);
		return err;
	}
	/* Only the runner's last message carries a report: it ends the launch. */
	row = table_find(&brain->launches, message->launch);
	if (row != NULL && message->report != NULL)
		table_remove(&brain->launches, row);
	return NC_OK;
}

static enum nc_err clear_checklist(struct brain *brain, struct transaction *t, struct error *error)
{
	struct value *empty = value_map();
	size_t notes_before;
	struct buffer text;
	enum nc_err err = empty != NULL ? reply_with(t, REPLY_CHECKLIST_CLEARED, NULL, error)
					: error_nomem(error);

	if (err != NC_OK) {
		value_destroy(empty);
		return err;
	}
	buffer_init(&text);
	yaml_write(brain->checklist, 0, &text);
	while (text.len > 0 && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	note(t, LEVEL_INFO, "writing checklist to log file");
	notes_before = t->notes_count;
	note(t, LEVEL_INFO, "checklist:\n%s", text.failed ? "(out of memory)" : text.data);
	if (t->notes_count > notes_before) {
		t->notes[notes_before].logger = "checklist";
		t->notes[notes_before].block = true;
	}
	buffer_finish(&text);
	value_destroy(brain->checklist);
	brain->checklist = empty;
	t->checklist_changed = true;
	note(t, LEVEL_INFO, "checklist cleared");
	return NC_OK;
}

static enum nc_err answer_need(struct brain *brain, const struct message *message,
	struct transaction *t, struct error *error)
{
	const char *key = value_as_text(message->payload, NULL);
	const struct value *found = key != NULL ? value_map_get(brain->checklist, key) : NULL;
	struct buffer words;
	enum nc_err err;

	if (found != NULL)
		return reply_with(t, REPLY_ACK, found, error);
	buffer_init(&words);
	if (key == NULL)
		buffer_append_text(&words, "the payload of `need` is a checklist key");
	else
		buffer_printf(&words, "the checklist has no key `%.100s`", key);
	note(t, LEVEL_WARNING, "%s needs what is not there: %s", message->source, words.data);
	err = reply_words(t, REPLY_NO_SUCH_KEY, words.data, error);
	buffer_finish(&words);
	return err;
}

/* --- events: words between our own processes --- */

static enum nc_err runner_started(struct brain *brain, const struct message *message,
	struct transaction *t, int64_t real_ns, struct error *error)
{
	const struct value *payload = message->payload;
	const struct value *arguments = value_map_get(payload, "arguments");
	struct table_row *row = table_find(&brain->launches, message->launch);
	struct value *reply = value_map(), *list, *copies;
	enum nc_err err;

	list = value_is(arguments, VALUE_LIST) ? value_copy(arguments) : value_list();
	if (row == NULL && list != NULL) {
		row = table_add(&brain->launches, message->launch, message->source, list,
			value_as_text(value_map_get(payload, "host"), "localhost"));
		if (row != NULL) {
			row->by_hand = true;
			row->since_ns = real_ns;
			if (message->token != NULL)
				(void)snprintf(
					row->token, sizeof(row->token), "%s", message->token);
			note(t, LEVEL_INFO, "%s was started by hand in process %" PRId64,
				message->source, value_as_int(value_map_get(payload, "pid"), 0));
		}
	} else {
		value_destroy(list);
	}
	if (row == NULL) {
		value_destroy(reply);
		return error_nomem(error);
	}
	row->state = TABLE_RUNNING;
	row->pid = value_as_int(value_map_get(payload, "pid"), 0);
	copies = table_copies(&brain->launches, row->worker, row->arguments, row->id);
	err = value_map_put(reply, "running", copies);
	err = err == NC_OK ? reply_with(t, REPLY_ACK, reply, error) : error_nomem(error);
	value_destroy(reply);
	return err;
}

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

/* A slot of a schedule has come: launch it, once. */
static enum nc_err slot_due(struct brain *brain, const struct message *message,
	struct transaction *t, int64_t real_ns, struct error *error)
{
	const char *worker = value_as_text(value_map_get(message->payload, "worker"), NULL);
	const char *schedule = value_as_text(value_map_get(message->payload, "schedule"), "");
	const char *slot = value_as_text(value_map_get(message->payload, "slot"), NULL);
	const struct value *arguments = value_map_get(message->payload, "arguments");
	char host[] = "localhost", name[256], why[300];
	struct rules_launch wanted = { .host = host };
	struct value *key;
	enum nc_err err;

	if (worker == NULL || slot == NULL)
		return reply_words(t, REPLY_BAD_MESSAGE, "`due` names a worker and a slot", error);
	if (arguments != NULL && !are_arguments(arguments))
		return reply_words(
			t, REPLY_BAD_MESSAGE, "the arguments of `due` are a list of texts", error);
	if (config_find_worker(brain->config, worker) == NULL) {
		note(t, LEVEL_ERROR, "the schedule names the unregistered worker %s", worker);
		return reply_words(t, REPLY_UNREGISTERED_WORKER, worker, error);
	}
	(void)snprintf(name, sizeof(name), "%.150s %.80s", schedule, slot);
	key = value_text(name);
	if (value_set_contains(brain->slots, key)) {
		value_destroy(key);
		return reply_with(t, REPLY_ACK, NULL, error);
	}
	wanted.worker = strdup(worker);
	wanted.arguments_count = value_count(arguments);
	wanted.arguments = calloc(wanted.arguments_count + 1, sizeof(*wanted.arguments));
	for (size_t i = 0; wanted.arguments != NULL && i < wanted.arguments_count; i++)
		wanted.arguments[i] = (char *)(uintptr_t)value_as_text(value_at(arguments, i), "");
	(void)snprintf(why, sizeof(why), "schedule %s", name);
	err = wanted.worker != NULL && wanted.arguments != NULL
		      ? want_launch(brain, t, &wanted, why, real_ns, error)
		      : error_nomem(error);
	free(wanted.worker);
	free(wanted.arguments);
	if (err == NC_OK)
		err = reply_with(t, REPLY_ACK, NULL, error);
	if (err != NC_OK) {
		value_destroy(key);
		forget_launches(brain, t);
		return err;
	}
	if (value_count(brain->slots) >= SLOTS_REMEMBERED) {
		value_destroy(brain->slots);
		brain->slots = value_set();
	}
	if (value_set_add(brain->slots, key) != NC_OK)
		note(t, LEVEL_WARNING, "the slot %s could not be remembered", name);
	note(t, LEVEL_INFO, "the slot %s of the schedule is due", name);
	return NC_OK;
}

static enum nc_err handle_event(struct brain *brain, const struct message *message,
	struct transaction *t, int64_t real_ns, struct error *error)
{
	struct table_row *row = table_find(&brain->launches, message->launch);

	if (strcmp(message->event, "due") == 0)
		return slot_due(brain, message, t, real_ns, error);
	if (config_find_worker(brain->config, message->source) == NULL) {
		note(t, LEVEL_ERROR, "message received from unregistered worker: %.100s",
			message->source);
		return reply_with(t, REPLY_UNREGISTERED_WORKER, NULL, error);
	}
	if (strcmp(message->event, "started") == 0 && id_is_valid(message->launch))
		return runner_started(brain, message, t, real_ns, error);
	if (strcmp(message->event, "progress") == 0) {
		struct value *progress = row != NULL ? value_copy(message->payload) : NULL;

		if (progress != NULL) {
			value_destroy(row->progress);
			row->progress = progress;
		}
		return reply_with(t, REPLY_ACK, NULL, error);
	}
	return reply_words(t, REPLY_BAD_MESSAGE, "there is no such event", error);
}

/* --- one message --- */

static enum nc_err handle_typed(struct brain *brain, const struct message *message,
	struct transaction *t, int64_t real_ns, struct error *error)
{
	const struct config_worker *worker = config_find_worker(brain->config, message->source);
	const struct config_type *type;
	bool always;

	if (worker == NULL) {
		note(t, LEVEL_ERROR, "message received from unregistered worker: %.100s",
			message->source);
		return reply_with(t, REPLY_UNREGISTERED_WORKER, NULL, error);
	}
	type = config_find_type(worker, message->type);
	always = strcmp(message->type, "crash") == 0 || strcmp(message->type, "lost") == 0;
	if (type == NULL && !always) {
		note(t, LEVEL_ERROR, "unregistered message type received from %s worker: %.100s",
			message->source, message->type);
		return reply_with(t, REPLY_UNREGISTERED_TYPE, NULL, error);
	}
	note_received(message, type != NULL ? type->meaning : "the worker crashed", t);
	if (strcmp(message->type, "clear checklist") == 0)
		return clear_checklist(brain, t, error);
	if (strcmp(message->type, "need") == 0)
		return answer_need(brain, message, t, error);
	return go_on(brain, message, worker, t, real_ns, error);
}

static enum nc_err handle_message(struct brain *brain, const struct message *message,
	struct transaction *t, int64_t real_ns, struct error *error)
{
	const struct table_row *row = table_find(&brain->launches, message->launch);

	/* A second copy of a launch cannot change the state (R7). */
	if (row != NULL && row->token[0] != '\0' &&
		(message->token == NULL || !token_is_equal(message->token, row->token))) {
		note(t, LEVEL_ERROR,
			"refused a stale message (%s) from %s: its token is not that of the launch "
			"%s",
			message->type != NULL ? message->type : message->event, message->source,
			row->id);
		return reply_with(t, REPLY_STALE, NULL, error);
	}
	if (message->event != NULL)
		return handle_event(brain, message, t, real_ns, error);
	return handle_typed(brain, message, t, real_ns, error);
}

static enum nc_err answer_again(const struct answered *answered, uint64_t digest,
	struct transaction *t, struct error *error)
{
	if (answered->digest != digest) {
		note(t, LEVEL_ERROR, "another message came with the id %s of one that was answered",
			answered->id);
		return reply_words(t, REPLY_BAD_MESSAGE,
			"this id belongs to another message, which was answered", error);
	}
	return message_read(answered->reply, answered->reply_len, &t->reply, error);
}

enum nc_err brain_handle(struct brain *brain, const char *bytes, size_t len, int64_t real_ns,
	struct transaction *ret_transaction, struct error *error)
{
	struct transaction t = { 0 };
	struct message message;
	struct error why = { 0 };
	uint64_t digest = digest_of(bytes, len);
	const struct answered *answered = NULL;
	enum nc_err err;

	message_init(&t.reply);
	err = message_read(bytes, len, &message, &why);
	if (err == NC_ERR_NOMEM) {
		message_finish(&message);
		return error_nomem(error);
	}
	if (err == NC_OK && message.id != NULL)
		answered = find_answered(brain, message.id);
	if (err != NC_OK) {
		note(&t, LEVEL_ERROR, "a bad message was refused: %s", why.text);
		err = reply_words(&t, REPLY_BAD_MESSAGE, why.text, error);
	} else if (answered != NULL) {
		err = answer_again(answered, digest, &t, error);
	} else {
		err = handle_message(brain, &message, &t, real_ns, error);
		if (err == NC_OK && message.id != NULL)
			remember(brain, message.id, digest, &t);
	}
	message_finish(&message);
	if (err != NC_OK) {
		transaction_finish(&t);
		return err;
	}
	*ret_transaction = t;
	return NC_OK;
}

/* --- what the daemon tells of the launches --- */

/* The launch is over and nobody has reported: the rules see `crash`. */
static enum nc_err report_crash(struct brain *brain, struct table_row *row, const char *reason,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error)
{
	struct transaction t = { 0 };
	struct message message;
	char id[ID_TEXT_SIZE];
	enum nc_err err;

	(void)snprintf(id, sizeof(id), "%s", row->id);
	message_init(&t.reply);
	message_init(&message);
	err = message_make(&message, row->worker, "crash", NULL);
	if (err == NC_OK) {
		message.launch = strdup(row->id);
		message.report = value_map();
		if (message.launch == NULL ||
			value_map_put(message.report, "reason", value_text(reason)) != NC_OK)
			err = NC_ERR_NOMEM;
	}
	if (err == NC_OK)
		err = handle_typed(brain, &message, &t, real_ns, error);
	else
		err = error_nomem(error);
	message_finish(&message);
	if (err != NC_OK) {
		transaction_finish(&t);
		return err;
	}
	/* Also when the worker is no longer registered: the launch is over. */
	row = table_find(&brain->launches, id);
	if (row != NULL)
		table_remove(&brain->launches, row);
	*ret_transaction = t;
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
	return report_crash(brain, row, reason, real_ns, ret_transaction, error);
}

enum nc_err brain_runner_ended(struct brain *brain, const char *launch_id, const char *reason,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error)
{
	struct table_row *row = table_find(&brain->launches, launch_id);

	if (row == NULL) {
		*ret_transaction = (struct transaction){ 0 };
		return NC_OK;
	}
	return report_crash(brain, row, reason, real_ns, ret_transaction, error);
}
