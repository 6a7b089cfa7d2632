/*
 * Judging messages. All that one changes is in one transaction of the store, which commits or does not;
 * several may share it, each behind a mark of its own.
 */
#include <stdarg.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/utf8.h"
#include "core/decide/brain_internal.h"
#include "core/system/log.h"

/* --- transactions --- */

void brain_launch_finish(struct brain_launch *launch)
{
	for (size_t i = 0; i < launch->arguments_count; i++)
		free(launch->arguments[i]);
	free(launch->arguments);
	free(launch->worker);
	free(launch->host);
	free(launch->why);
	*launch = (struct brain_launch){ 0 };
}

void transaction_finish(struct transaction *t)
{
	message_finish(&t->reply);
	for (size_t i = 0; i < t->notes_count; i++)
		free(t->notes[i].text);
	free(t->notes);
	for (size_t i = 0; i < t->launches_count; i++)
		brain_launch_finish(&t->launches[i]);
	free(t->launches);
	free(t->ends);
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
	struct store *store, const char *boot, struct brain **ret_brain, struct error *error)
{
	struct brain *brain = calloc(1, sizeof(*brain));
	enum nc_err err = NC_OK;

	if (brain == NULL)
		return error_nomem(error);
	brain->config = config;
	brain->rules = rules;
	brain->store = store;
	brain->boot = strdup(boot);
	brain->progress = value_map();
	if (brain->boot == NULL || brain->progress == NULL)
		err = error_nomem(error);
	if (err == NC_OK)
		err = store_checklist(store, &brain->checklist, error);
	if (err != NC_OK) {
		brain_destroy(brain);
		return err;
	}
	*ret_brain = brain;
	return NC_OK;
}

void brain_destroy(struct brain *brain)
{
	if (brain == NULL)
		return;
	value_destroy(brain->checklist);
	value_destroy(brain->progress);
	free(brain->boot);
	free(brain);
}

void brain_configure(struct brain *brain, const struct config *config, const struct rules *rules)
{
	brain->config = config;
	brain->rules = rules;
}

/* --- the store's transactions, and what is kept beside it --- */

struct value *brain_read_checklist(struct brain *brain, struct error *error)
{
	if (brain->checklist == NULL &&
		store_checklist(brain->store, &brain->checklist, error) != NC_OK)
		return NULL;
	return brain->checklist;
}

const struct value *brain_checklist(struct brain *brain)
{
	return brain_read_checklist(brain, NULL);
}

/* It may be ahead of what the store has gone back to. */
static void forget_checklist(struct brain *brain)
{
	value_destroy(brain->checklist);
	brain->checklist = NULL;
}

enum nc_err brain_begin(struct brain *brain, struct error *error)
{
	return store_begin(brain->store, error);
}

enum nc_err brain_commit(struct brain *brain, struct error *error)
{
	enum nc_err err;

	/* A failure in between may have rolled it back. */
	if (!store_is_open(brain->store)) {
		forget_checklist(brain);
		return error_set(
			error, NC_ERR_SYSTEM, "the state database has given the transaction up");
	}
	err = store_commit(brain->store, error);
	if (err != NC_OK)
		forget_checklist(brain);
	return err;
}

void brain_rollback(struct brain *brain)
{
	store_rollback(brain->store);
	forget_checklist(brain);
}

enum nc_err judgement_begin(struct judgement *j)
{
	struct store *store = j->brain->store;
	enum nc_err err;

	j->own = !store_is_open(store);
	err = j->own ? store_begin(store, j->error) : store_mark(store, j->error);
	if (err == NC_OK && brain_read_checklist(j->brain, j->error) == NULL)
		err = j->error->code;
	return err;
}

static enum nc_err end_well(struct judgement *j)
{
	struct store *store = j->brain->store;

	return j->own ? store_commit(store, j->error) : store_forget_mark(store, j->error);
}

enum nc_err judgement_end(struct judgement *j, enum nc_err err, struct transaction *ret_transaction)
{
	struct store *store = j->brain->store;

	if (err == NC_OK)
		err = end_well(j);
	store_launch_finish(&j->launch);
	if (err == NC_OK) {
		*ret_transaction = j->t;
		return NC_OK;
	}
	/* When even that fails, the whole of it has been given up, and brain_commit() says so. */
	if (j->own || store_back_to_mark(store, NULL) != NC_OK)
		store_rollback(store);
	forget_checklist(j->brain);
	transaction_finish(&j->t);
	return err;
}

/* --- messages that come again (R2) --- */

enum {
	DIGEST_SIZE = 48
};

static void digest_of(const char *bytes, size_t len, char digest[DIGEST_SIZE])
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
	(void)snprintf(digest, DIGEST_SIZE, "%016" PRIx64 "-%zu", hash, len);
}

/* What only asks is judged again when it comes again: it changes nothing, or the same once more. */
static bool only_asks(const struct message *message)
{
	if (message->type == NULL)
		return strcmp(message->event, "due") != 0;
	return strcmp(message->type, "need") == 0;
}

static enum nc_err remember(struct judgement *j, const char *digest, const char *bytes, size_t len)
{
	const struct message *message = j->message;
	struct store_message row = { .id = message->id,
		.source = message->source,
		.type = message->type != NULL ? message->type : message->event,
		.digest = digest,
		.bytes = bytes,
		.len = len };
	struct buffer reply;
	enum nc_err err;

	if (message->id == NULL || only_asks(message))
		return NC_OK;
	buffer_init(&reply);
	message_write(&j->t.reply, &reply);
	row.reply = reply.data;
	row.reply_len = reply.len;
	err = reply.failed ? error_nomem(j->error)
			   : store_add_message(j->brain->store, &row, j->real_ns, j->error);
	buffer_finish(&reply);
	return err;
}

/* --- one message --- */

static enum nc_err refuse(struct judgement *j, const char *words)
{
	brain_note(j, LEVEL_ERROR, "a bad message was refused: %s", words);
	return brain_reply_words(j, REPLY_BAD_MESSAGE, words);
}

static enum nc_err refuse_stale(struct judgement *j, const char *words)
{
	const struct message *message = j->message;

	brain_note(j, LEVEL_ERROR, "refused a stale message (%.100s) from %.100s: %s %s",
		message->type != NULL ? message->type : message->event, message->source, words,
		j->launch.id);
	return brain_reply(j, REPLY_STALE, NULL);
}

/* The launch that speaks; not knowing it is no error. */
static enum nc_err find_launch(struct judgement *j)
{
	enum nc_err err = NC_ERR_NOT_FOUND;
	struct error why = { 0 };

	if (j->message->launch != NULL)
		err = store_find_launch(j->brain->store, j->message->launch, &j->launch, &why);
	j->launch_known = err == NC_OK;
	if (err == NC_ERR_NOT_FOUND)
		return NC_OK;
	if (err != NC_OK)
		*j->error = why;
	return err;
}

static enum nc_err judge(struct judgement *j)
{
	const struct message *message = j->message;
	enum nc_err err = find_launch(j);

	if (err != NC_OK)
		return err;
	/* A second copy of a launch cannot change the state (R7), nor can one that is over. */
	if (j->launch_known && j->launch.token[0] != '\0' &&
		(message->token == NULL || !token_is_equal(message->token, j->launch.token)))
		return refuse_stale(j, "its token is not that of the launch");
	if (j->launch_known && j->launch.ended_ns != 0)
		return refuse_stale(j, "this launch has ended before:");
	return message->event != NULL ? brain_handle_event(j) : brain_handle_typed(j);
}

/* What was written there was a reply, and what is none now is damage: the sender would come again for ever (R22). */
static enum nc_err take_reply(struct judgement *j, const struct store_answer *answer)
{
	struct error why = { 0 };
	enum nc_err err = message_read(
		answer->reply != NULL ? answer->reply : "", answer->reply_len, &j->t.reply, &why);

	if (err == NC_ERR_NOMEM)
		return error_nomem(j->error);
	return err == NC_OK ? NC_OK
			    : error_set(j->error, NC_ERR_INVALID,
				      "the state database is damaged: the reply to the message %s "
				      "cannot be read: %s",
				      j->message->id, why.text);
}

/* Seen before? Then its reply, or that its id is another's. */
static enum nc_err answer_again(struct judgement *j, const char *digest, bool *ret_answered)
{
	struct store_answer answer = { 0 };
	struct error why = { 0 };
	enum nc_err err = NC_ERR_NOT_FOUND;

	*ret_answered = false;
	if (j->message->id != NULL)
		err = store_find_message(j->brain->store, j->message->id, &answer, &why);
	if (err == NC_ERR_NOT_FOUND)
		return NC_OK;
	if (err != NC_OK) {
		*j->error = why;
		return err;
	}
	*ret_answered = true;
	if (strcmp(answer.digest, digest) != 0)
		err = refuse(j, "its id belongs to another message, which was answered before");
	else
		err = take_reply(j, &answer);
	store_answer_finish(&answer);
	return err;
}

static enum nc_err handle_read(struct judgement *j, const char *bytes, size_t len)
{
	char digest[DIGEST_SIZE];
	bool answered = false;
	enum nc_err err;

	digest_of(bytes, len, digest);
	err = answer_again(j, digest, &answered);
	if (err != NC_OK || answered)
		return err;
	err = judge(j);
	if (err == NC_OK && j->ends_launch)
		err = brain_close_launch(j, j->message->type);
	if (err == NC_OK)
		err = remember(j, digest, bytes, len);
	return err;
}

enum nc_err brain_handle(struct brain *brain, const char *bytes, size_t len, int64_t real_ns,
	struct transaction *ret_transaction, struct error *error)
{
	struct message message;
	struct error why = { 0 };
	struct judgement j = {
		.brain = brain, .message = &message, .real_ns = real_ns, .error = &why
	};
	enum nc_err err = message_read(bytes, len, &message, &why);
	bool bad = err != NC_OK;

	if (err == NC_ERR_NOMEM)
		return error_nomem(error);
	brain->failed_starts = 0;
	if (!bad && message.id != NULL && strlen(message.id) >= ID_TEXT_SIZE) {
		bad = true;
		(void)error_set(&why, NC_ERR_INVALID,
			"the id of a message is an UUID, and this one is longer");
	}
	if (bad) {
		err = refuse(&j, why.text);
		if (err == NC_OK)
			*ret_transaction = j.t;
		else
			transaction_finish(&j.t);
	} else {
		err = judgement_begin(&j);
		if (err == NC_OK)
			err = handle_read(&j, bytes, len);
		err = judgement_end(&j, err, ret_transaction);
	}
	message_finish(&message);
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}
