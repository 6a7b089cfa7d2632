/*
 * Messages: judged as they come, committed together before the loop waits, then answered; then what they
 * ask for is done (promises.md, "Order in the manager").
 */
#include <inttypes.h>
#include <string.h>

#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "daemons/manager_internal.h"

/* --- when the state cannot be written --- */

void messages_trouble(struct manager *m, enum nc_err err, const struct error *error)
{
	if (err == NC_ERR_INVALID) {
		log_critical(m->daemon.log,
			"%s; the manager ends, and nothing is changed: restore a copy with "
			"`nowcast restore`",
			error->text);
		loop_stop(m->daemon.loop, EXIT_STATE_DAMAGED);
		return;
	}
	if (store_must_end(m->store)) {
		log_critical(m->daemon.log,
			"%s; a sync that failed is not tried again: the manager ends, to start "
			"with what is on the disk",
			error->text);
		loop_stop(m->daemon.loop, EXIT_FAILED);
		return;
	}
	if (!m->trouble)
		log_critical(m->daemon.log,
			"the state cannot be written: %s; senders are told to come again later",
			error->text);
	m->trouble = true;
}

static void well_again(struct manager *m)
{
	if (m->trouble)
		log_warning(m->daemon.log, "the state can be written again");
	m->trouble = false;
}

/* --- what a transaction asks for --- */

/* The blocks among the notes (the checklist that is being cleared), or the other ones. */
static void log_notes(struct manager *m, const struct transaction *t, bool blocks)
{
	for (size_t i = 0; i < t->notes_count; i++) {
		const struct brain_note *note = &t->notes[i];
		const struct log_record record = {
			.logger = note->logger != NULL ? note->logger : "manager",
			.level = note->level,
			.message = note->text,
			.keep_newlines = note->block,
		};

		if (note->block == blocks &&
			(note->logger == NULL || log_has_handlers(m->daemon.log, record.logger)))
			log_record(m->daemon.log, &record);
	}
}

/* What comes behind the commit and the reply. */
static void do_what_it_asks(struct manager *m, struct transaction *t)
{
	log_notes(m, t, false);
	if (t->checklist_changed)
		export_mark(m);
	for (size_t i = 0; i < t->ends_count; i++)
		launches_end(m, &t->ends[i]);
	for (size_t i = 0; i < t->launches_count; i++)
		launches_make(m, &t->launches[i]);
	if (t->groups_changed)
		messages_set_deadline(m);
	if (t->programs_added)
		programs_start(m);
	transaction_finish(t);
}

bool messages_carry_out(struct manager *m, enum nc_err err, struct transaction *t, const char *what,
	const struct error *error)
{
	if (err != NC_OK) {
		log_error(m->daemon.log, "%s could not be handled: %s", what, error->text);
		messages_trouble(m, err, error);
		return false;
	}
	well_again(m);
	log_notes(m, t, true);
	do_what_it_asks(m, t);
	return true;
}

/* --- the batch --- */

static void answer_retry_later(struct net_request *request, const char *words)
{
	struct message reply;
	struct value *payload = value_text(words);
	struct buffer text;
	static const char without_memory[] =
		"{source: manager, type: retry later, payload: out of memory}\n";

	if (request == NULL) {
		value_destroy(payload);
		return;
	}
	buffer_init(&text);
	message_init(&reply);
	if (payload != NULL && message_make(&reply, "manager", REPLY_RETRY_LATER, payload) == NC_OK)
		message_write(&reply, &text);
	if (text.len > 0 && !text.failed)
		net_answer(request, text.data, text.len);
	else
		net_answer(request, without_memory, strlen(without_memory));
	message_finish(&reply);
	value_destroy(payload);
	buffer_finish(&text);
}

static void answer(struct pending *pending)
{
	struct buffer reply;

	if (pending->request == NULL)
		return;
	buffer_init(&reply);
	message_write(&pending->t.reply, &reply);
	/* It is committed: when it is sent again, the answer is ready. */
	if (reply.failed)
		answer_retry_later(pending->request, "out of memory");
	else
		net_answer(pending->request, reply.data, reply.len);
	buffer_finish(&reply);
}

void messages_settle(struct manager *m)
{
	struct pending batch[BATCH_MOST];
	size_t count = m->batch_count;
	struct error error = { 0 };
	enum nc_err err;

	if (count == 0)
		return;
	memcpy(batch, m->batch, count * sizeof(*batch));
	m->batch_count = 0;
	/* What is cleared is kept in the log only: it is there before it is nowhere else. */
	for (size_t i = 0; i < count; i++)
		log_notes(m, &batch[i].t, true);
	err = brain_commit(m->brain, &error);
	for (size_t i = 0; i < count; i++) {
		if (err == NC_OK)
			answer(&batch[i]);
		else
			answer_retry_later(batch[i].request, "the state cannot be written now");
	}
	if (err != NC_OK)
		messages_trouble(m, err, &error);
	else
		well_again(m);
	for (size_t i = 0; i < count; i++) {
		if (err == NC_OK)
			do_what_it_asks(m, &batch[i].t);
		else
			transaction_finish(&batch[i].t);
	}
}

static enum nc_err judge(struct manager *m, const char *bytes, size_t len, struct transaction *t,
	struct error *error)
{
	enum nc_err err = NC_OK;

	if (m->batch_count == 0) {
		manager_rules_refresh(m);
		err = brain_begin(m->brain, error);
	}
	if (err == NC_OK)
		err = brain_handle(m->brain, bytes, len, clock_real_ns(), t, error);
	if (err != NC_OK && m->batch_count == 0)
		brain_rollback(m->brain);
	return err;
}

void messages_came(void *argument, struct net_request *request, const char *bytes, size_t len)
{
	struct manager *m = argument;
	struct transaction t = { 0 };
	struct error error = { 0 };
	enum nc_err err;

	if (m->batch_count == BATCH_MOST)
		messages_settle(m);
	err = judge(m, bytes, len, &t, &error);
	if (err == NC_OK) {
		m->batch[m->batch_count++] = (struct pending){ .request = request, .t = t };
		return;
	}
	if (err == NC_ERR_NOMEM)
		log_critical(m->daemon.log,
			"a message could not be handled: out of memory; the sender is told to "
			"come again later");
	else
		messages_trouble(m, err, &error);
	answer_retry_later(request, error.text);
	/* When the failure has undone the whole batch, none of it may be gone on with: each comes again. */
	if (m->batch_count > 0 && !store_is_open(m->store))
		messages_settle(m);
}

enum nc_err messages_take(struct manager *m, const char *bytes, size_t len)
{
	struct transaction t = { 0 };
	struct error error = { 0 };
	enum nc_err err;

	messages_settle(m);
	err = brain_handle(m->brain, bytes, len, clock_real_ns(), &t, &error);
	(void)messages_carry_out(m, err, &t, "a message that was kept", &error);
	return err;
}

/* --- the clock of the groups --- */

static void deadline_passed(void *argument)
{
	struct manager *m = argument;
	struct transaction t = { 0 };
	struct error error = { 0 };
	enum nc_err err;

	m->deadline_timer = NULL;
	messages_settle(m);
	err = brain_time_passed(m->brain, clock_real_ns(), &t, &error);
	(void)messages_carry_out(m, err, &t, "the end of a group's time", &error);
	messages_set_deadline(m);
}

/* The real clock can be set: look at it every 20 s while there is something to wait for. */
void messages_set_deadline(struct manager *m)
{
	enum {
		LOOK_EVERY_MS = 20000
	};
	struct error error = { 0 };
	int64_t deadline_ns, wait_ms = LOOK_EVERY_MS;

	loop_timer_cancel(m->deadline_timer);
	m->deadline_timer = NULL;
	if (brain_next_deadline(m->brain, &deadline_ns, &error) == NC_OK) {
		if (deadline_ns == INT64_MAX)
			return;
		if ((deadline_ns - clock_real_ns()) / NS_PER_MS < wait_ms)
			wait_ms = (deadline_ns - clock_real_ns()) / NS_PER_MS + 1;
	}
	if (loop_timer_start(m->daemon.loop, wait_ms > 0 ? wait_ms : 1, false, deadline_passed, m,
		    &m->deadline_timer, &error) != NC_OK)
		log_error(m->daemon.log, "groups are not given up in time: %s", error.text);
}
