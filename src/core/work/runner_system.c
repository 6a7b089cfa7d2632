/*
 * Messages to the manager. They go one after another through the broker's local door, each again and
 * again with the same id until it is answered (promises.md, "Broker": it may lose what it carries) or its
 * time is over.
 */
#include "core/work/runner_internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	/* Nobody listens: that is over within a second when the broker is started again. */
	CLOSED_WAIT_FIRST_MS = 250,
	/* ... and after a longer absence the manager hears of an end within 5 s (promises.md, R4). */
	CLOSED_WAIT_MOST_MS = 3000,
	/* Nobody answers: the broker or the manager has died in between. */
	SILENT_WAIT_FIRST_MS = 2000,
	SILENT_WAIT_MOST_MS = 60000,
	/* The limit for the answers that a worker waits for. The end has none (R6), but by hand, where a person
	 * waits: the message is in the spool then. */
	PATIENCE_BY_HAND_MS = 10000,
	PATIENCE_MS = 600000,
	PROGRESS_PATIENCE_MS = 5000,
	PROGRESS_EVERY_MS = 250, /* at most */
	STUCK_WAIT_MS = 100,
};

struct outgoing {
	struct runner *runner;
	struct outgoing *next;
	enum outgoing_kind kind;
	char *bytes;
	size_t len;
	char *type; /* NULL: an event */
	bool sent;  /* at least once */
	sent_function *done;
	struct loop_timer *deadline;
};

static void send_first(struct runner *r);

int64_t system_patience_ms(const struct runner *r)
{
	return r->launch.by_hand ? PATIENCE_BY_HAND_MS : PATIENCE_MS;
}

bool reply_is_refusal(const struct message *reply)
{
	static const char *const refusals[] = { REPLY_UNREGISTERED_WORKER, REPLY_UNREGISTERED_TYPE,
		REPLY_STALE, REPLY_BAD_MESSAGE, REPLY_NO_SUCH_KEY };

	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		if (strcmp(reply->type, refusals[i]) == 0)
			return true;
	}
	return false;
}

const char *type_words(const struct runner *r, const char *type)
{
	const struct config_worker *worker = config_find_worker(r->config, r->name);
	const struct config_type *found = worker != NULL ? config_find_type(worker, type) : NULL;

	return found != NULL ? found->meaning : "no meaning registered";
}

bool type_is_unregistered(const struct runner *r, const char *type)
{
	const struct config_worker *worker = config_find_worker(r->config, r->name);

	return worker != NULL && config_find_type(worker, type) == NULL &&
	       strcmp(type, "crash") != 0;
}

static void outgoing_destroy(struct outgoing *o)
{
	if (o == NULL)
		return;
	loop_timer_cancel(o->deadline);
	free(o->bytes);
	free(o->type);
	free(o);
}

static void unlink_outgoing(struct runner_system *s, const struct outgoing *o)
{
	struct outgoing **at = &s->first;

	while (*at != NULL && *at != o)
		at = &(*at)->next;
	if (*at == o)
		*at = o->next;
}

void system_stand_by(struct runner *r, const char *why)
{
	if (!r->system.stood_by)
		log_error(r->log, "nothing goes on for now: %s", why);
	r->system.stood_by = true; /* said once */
	(void)poll(NULL, 0, STUCK_WAIT_MS);
}

static void stand_still(struct runner *r, const struct error *error)
{
	if (!r->system.stuck)
		log_error(r->log, "no messages can be sent for now: %s", error->text);
	r->system.stuck = true;
}

/* A question that is with the broker cannot be taken back but by a new connection. */
static void abandon_question(struct runner *r)
{
	struct runner_system *s = &r->system;
	struct error error;

	if (!s->asking)
		return;
	s->asking = false;
	door_client_destroy(s->client);
	s->client = NULL;
	if (door_client_create(r->loop, s->path, &s->client, &error) != NC_OK)
		stand_still(r, &error);
}

/* It is over: with an answer, or without. `o` is gone afterwards. */
static void conclude(
	struct runner *r, struct outgoing *o, enum nc_err err, const struct message *reply)
{
	sent_function *done = o->done;

	if (r->system.first == o)
		abandon_question(r);
	unlink_outgoing(&r->system, o);
	outgoing_destroy(o);
	r->system.closed_wait_ms = CLOSED_WAIT_FIRST_MS;
	r->system.silent_wait_ms = SILENT_WAIT_FIRST_MS;
	if (done != NULL)
		done(r, err, reply);
	send_first(r);
}

static void deadline_passed(void *argument)
{
	struct outgoing *o = argument;

	o->deadline = NULL;
	conclude(o->runner, o, NC_ERR_TIMEOUT, NULL);
}

static void retry_now(void *argument)
{
	struct runner *r = argument;

	r->system.retry = NULL;
	send_first(r);
}

static int64_t doubled(int64_t *wait_ms, int64_t most_ms)
{
	int64_t now = *wait_ms;

	*wait_ms = now * 2 < most_ms ? now * 2 : most_ms;
	return now;
}

static void retry_later(struct runner *r)
{
	struct runner_system *s = &r->system;
	struct error error;

	if (s->retry == NULL &&
		loop_timer_start(r->loop, doubled(&s->closed_wait_ms, CLOSED_WAIT_MOST_MS), false,
			retry_now, r, &s->retry, &error) != NC_OK)
		stand_still(r, &error);
}

/* false: it is no answer to go by, and the message has to be sent again. */
static bool take_reply(struct runner *r, const char *bytes, size_t len)
{
	struct runner_system *s = &r->system;
	struct error error = { .text = "it has no type" };
	struct message reply;
	const char *words;

	if (message_read(bytes, len, &reply, &error) != NC_OK || reply.type == NULL) {
		log_error(r->log, "an answer that cannot be read: %s", error.text);
		message_finish(&reply);
		return false;
	}
	if (!s->connected)
		log_info(r->log, "connected to message broker at %s", s->path);
	s->connected = true;
	words = config_manager_words(r->config, reply.type);
	log_debug(r->log, "received message from %s: (%s)%s%s", reply.source, reply.type,
		words != NULL ? " " : "", words != NULL ? words : "");
	if (strcmp(reply.type, REPLY_RETRY_LATER) == 0) {
		if (s->first->kind == OUTGOING_STARTED)
			begin_must_wait(r, &reply);
		message_finish(&reply);
		return false;
	}
	s->failing = false;
	conclude(r, s->first, NC_OK, &reply);
	message_finish(&reply);
	return true;
}

static const char *why_in_vain(enum nc_err err)
{
	if (err == NC_ERR_TIMEOUT)
		return "no answer";
	if (err == NC_ERR_REFUSED)
		return "permission denied";
	return err == NC_OK ? "the answer was to try again later" : "nobody listens there";
}

/* What is logged is so the first time in a row: afterwards it is known. */
static void tried_in_vain(struct runner *r, enum nc_err err)
{
	struct runner_system *s = &r->system;
	const struct outgoing *o = s->first;

	if (!s->failing)
		log_debug(r->log, "message broker at %s: %s; trying again", s->path,
			why_in_vain(err));
	s->failing = true;
	while (o != NULL && o->kind != OUTGOING_FINAL)
		o = o->next;
	if (o == NULL)
		return;
	keep_final_later(r, o->bytes, o->len);
	if (r->end.delay_logged)
		return;
	r->end.delay_logged = true;
	log_warning(r->log,
		"message (%s) is not delivered yet (%s); it is %s, and sent again until it is",
		o->type, why_in_vain(err), r->end.kept ? "kept in the spool" : "NOT in the spool");
}

static void answered(void *argument, enum nc_err err, const char *bytes, size_t len)
{
	struct runner *r = argument;

	r->system.asking = false;
	if (err == NC_OK && take_reply(r, bytes, len))
		return;
	tried_in_vain(r, err);
	if (err != NC_ERR_TIMEOUT)
		retry_later(r);
	else
		send_first(r); /* the time that it was given was the wait */
}

static void send_first(struct runner *r)
{
	struct runner_system *s = &r->system;
	struct outgoing *o = s->first;
	struct error error;

	if (o == NULL || s->asking || s->retry != NULL || s->client == NULL)
		return;
	if (o->type != NULL && !o->sent)
		log_debug(r->log, "sent message: (%s) %s", o->type, type_words(r, o->type));
	else if (o->type != NULL)
		log_debug(r->log, "sent message again: (%s)", o->type);
	o->sent = true;
	s->asking = true;
	if (door_ask(s->client, o->bytes, o->len, doubled(&s->silent_wait_ms, SILENT_WAIT_MOST_MS),
		    answered, r, &error) != NC_OK) {
		s->asking = false;
		log_error(r->log, "cannot send a message: %s", error.text);
		retry_later(r);
	}
}

static const char *event_of(enum outgoing_kind kind)
{
	return kind == OUTGOING_STARTED ? "started" : "progress";
}

static enum nc_err write_bytes(struct runner *r, enum outgoing_kind kind, const char *type,
	const struct value *payload, const struct value *report, struct buffer *out,
	struct error *error)
{
	struct message message;
	char id[ID_TEXT_SIZE];
	enum nc_err err = id_make(id, error);

	if (err != NC_OK)
		return err;
	message_init(&message);
	message.source = strdup(r->name);
	if (type != NULL)
		message.type = strdup(type);
	else
		message.event = strdup(event_of(kind));
	message.payload = payload != NULL ? value_copy(payload) : value_null();
	message.report = report != NULL ? value_copy(report) : NULL;
	message.id = strdup(id);
	message.launch = strdup(r->launch.id);
	message.token = strdup(r->launch.token);
	if (message.source == NULL || (message.type == NULL && message.event == NULL) ||
		message.payload == NULL || (report != NULL && message.report == NULL) ||
		message.id == NULL || message.launch == NULL || message.token == NULL)
		err = error_nomem(error);
	else
		message_write(&message, out);
	message_finish(&message);
	if (err == NC_OK && out->failed)
		err = error_nomem(error);
	if (err == NC_OK && out->len > DOOR_FRAME_MOST)
		err = error_set(error, NC_ERR_LIMIT,
			"the message has %zu bytes; at most 1 MiB can be sent", out->len);
	return err;
}

static void append(struct runner_system *s, struct outgoing *o)
{
	struct outgoing **at = &s->first;

	while (*at != NULL)
		at = &(*at)->next;
	*at = o;
}

enum nc_err system_send(struct runner *r, enum outgoing_kind kind, const char *type,
	const struct value *payload, const struct value *report, int64_t most_ms,
	sent_function *done, struct error *error)
{
	struct outgoing *o = calloc(1, sizeof(*o));
	struct buffer bytes;
	enum nc_err err;

	if (o == NULL)
		return error_nomem(error);
	buffer_init(&bytes);
	err = write_bytes(r, kind, type, payload, report, &bytes, error);
	if (err == NC_OK && type != NULL && (o->type = strdup(type)) == NULL)
		err = error_nomem(error);
	if (err == NC_OK && most_ms > 0)
		err = loop_timer_start(
			r->loop, most_ms, false, deadline_passed, o, &o->deadline, error);
	o->len = bytes.len;
	o->bytes = err == NC_OK ? buffer_steal(&bytes) : NULL;
	buffer_finish(&bytes);
	if (err != NC_OK) {
		outgoing_destroy(o);
		return err;
	}
	o->runner = r;
	o->kind = kind;
	o->done = done;
	if (kind == OUTGOING_FINAL)
		keep_final(r, type, o->bytes, o->len);
	append(&r->system, o);
	/* Something new to say is a reason to try at once. */
	loop_timer_cancel(r->system.retry);
	r->system.retry = NULL;
	r->system.closed_wait_ms = CLOSED_WAIT_FIRST_MS;
	send_first(r);
	return NC_OK;
}

/* --- what a runner says by itself --- */

static struct value *arguments_value(const struct runner *r)
{
	struct value *list = value_list();

	for (size_t i = 0; i < r->launch.arguments_count && list != NULL; i++) {
		if (value_list_append(list, value_text(r->launch.arguments[i])) != NC_OK) {
			value_destroy(list);
			list = NULL;
		}
	}
	return list;
}

static struct value *started_payload(const struct runner *r)
{
	struct value *payload = value_map();
	char host[256] = "";

	if (gethostname(host, sizeof(host) - 1) != 0)
		host[0] = '\0';
	if (payload == NULL || value_map_put(payload, "arguments", arguments_value(r)) != NC_OK ||
		value_map_put(payload, "host", value_text(host)) != NC_OK ||
		value_map_put(payload, "pid", value_int(getpid())) != NC_OK ||
		value_map_put(payload, "attempt", value_int(r->launch.attempt)) != NC_OK ||
		value_map_put(payload, "version", value_text(NOWCAST_VERSION)) != NC_OK ||
		value_map_put(payload, "by hand", value_bool(r->launch.by_hand)) != NC_OK) {
		value_destroy(payload);
		return NULL;
	}
	return payload;
}

static void drop(struct runner *r, enum outgoing_kind kind)
{
	struct runner_system *s = &r->system;
	struct outgoing *o, *next;

	for (o = s->first; o != NULL; o = next) {
		next = o->next;
		if (o->kind != kind)
			continue;
		if (o == s->first)
			abandon_question(r);
		unlink_outgoing(s, o);
		outgoing_destroy(o);
	}
}

/* Without limit: it goes on to be sent while the worker runs. The one of an attempt before, if nobody has
 * answered it yet, has nothing more to say. */
void system_send_started(struct runner *r, sent_function *done)
{
	struct value *payload = started_payload(r);
	struct error error = { 0 };

	drop(r, OUTGOING_STARTED);
	if (payload == NULL)
		(void)error_nomem(&error);
	if (payload == NULL ||
		system_send(r, OUTGOING_STARTED, NULL, payload, NULL, 0, done, &error) != NC_OK)
		log_error(r->log, "the manager does not know of this launch: %s", error.text);
	value_destroy(payload);
}

static void progress_time_is_over(void *argument)
{
	struct runner *r = argument;

	r->system.progress_timer = NULL;
	if (r->system.progress_waits)
		system_send_progress(r, r->system.progress);
}

/* Only the newest counts, and one that fails is no loss; a worker may say it in every turn of a loop. */
void system_send_progress(struct runner *r, double number)
{
	struct runner_system *s = &r->system;
	struct value *payload;
	struct error error;

	s->progress = number;
	s->progress_waits = s->progress_timer != NULL;
	if (r->debug || s->progress_waits)
		return;
	payload = value_float(number);
	if (payload == NULL ||
		system_send(r, OUTGOING_PROGRESS, NULL, payload, NULL, PROGRESS_PATIENCE_MS, NULL,
			&error) != NC_OK ||
		loop_timer_start(r->loop, PROGRESS_EVERY_MS, false, progress_time_is_over, r,
			&s->progress_timer, &error) != NC_OK)
		log_debug(r->log, "progress is not sent");
	value_destroy(payload);
}

void system_drop_questions(struct runner *r)
{
	drop(r, OUTGOING_NEED);
	drop(r, OUTGOING_PROGRESS);
	send_first(r);
}

static bool set_going(struct runner *r)
{
	struct runner_system *s = &r->system;

	if (s->client == NULL && s->path != NULL &&
		door_client_create(r->loop, s->path, &s->client, NULL) != NC_OK)
		return false;
	return s->first == NULL || s->asking || s->retry != NULL ||
	       loop_timer_start(r->loop, STUCK_WAIT_MS, false, retry_now, r, &s->retry, NULL) ==
		       NC_OK;
}

/* Nothing else would wake a runner up whose message waits without a timer: it would hold its claim for ever
 * (promises.md, R4, R21). So nothing is done until there is memory again. */
static void go_on(void *argument)
{
	struct runner *r = argument;

	while (r->system.stuck) {
		r->system.stuck = !set_going(r);
		if (r->system.stuck)
			(void)poll(NULL, 0, STUCK_WAIT_MS);
	}
}

enum nc_err system_open(struct runner *r, struct error *error)
{
	struct runner_system *s = &r->system;
	struct buffer path;
	enum nc_err err;

	s->closed_wait_ms = CLOSED_WAIT_FIRST_MS;
	s->silent_wait_ms = SILENT_WAIT_FIRST_MS;
	buffer_init(&path);
	err = config_state_path(r->config, STATE_BROKER_DOOR, &path, error);
	s->path = err == NC_OK ? buffer_steal(&path) : NULL;
	buffer_finish(&path);
	if (err == NC_OK && s->path == NULL)
		err = error_nomem(error);
	if (err == NC_OK)
		err = door_client_create(r->loop, s->path, &s->client, error);
	if (err == NC_OK)
		loop_before_wait(r->loop, go_on, r);
	return err;
}

void system_close(struct runner *r)
{
	struct runner_system *s = &r->system;

	loop_timer_cancel(s->retry);
	s->retry = NULL;
	loop_timer_cancel(s->progress_timer);
	s->progress_timer = NULL;
	door_client_destroy(s->client);
	s->client = NULL;
	while (s->first != NULL) {
		struct outgoing *o = s->first;

		s->first = o->next;
		outgoing_destroy(o);
	}
	free(s->path);
	s->path = NULL;
}
