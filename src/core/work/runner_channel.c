/*
 * Descriptor 3 of the worker: a stream of lines by contract.h. Answers come in the order of the questions,
 * because nothing is read on while one is open: so a worker that asks without end is held back, and
 * nothing piles up here.
 */
#include "core/work/runner_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/data/json.h"
#include "core/system/sys.h"

enum {
	READ_SIZE = 64 << 10,
	OUT_MOST = 64 << 10, /* above it, errors about bad lines are not told to the worker */
	BAD_LINES_LOGGED = 20,
	DRAIN_MOST = 16 << 20, /* from what is left running and goes on writing */
};

static void update(struct runner *r);

/* --- answers --- */

/* Also when the worker reads nothing: it is then kept here, up to one answer's size. */
static void write_out(struct runner *r)
{
	struct runner_channel *c = &r->channel;

	while (c->fd >= 0 && c->out.len > 0) {
		ssize_t count = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && (errno == ENOMEM || errno == ENOBUFS)) {
			system_stand_by(r, strerror(errno));
			continue;
		}
		if (count < 0 && errno != EAGAIN)
			buffer_clear(&c->out); /* it does not read any more */
		if (count <= 0)
			return;
		buffer_consume(&c->out, (size_t)count);
	}
}

/* Takes over `map`, which may be NULL. false: out of memory, and nothing was answered. */
static bool answer(struct runner *r, struct value *map)
{
	struct runner_channel *c = &r->channel;
	size_t before = c->out.len;
	bool good = map != NULL;

	if (good) {
		json_write(map, 0, &c->out);
		buffer_append_char(&c->out, '\n');
		good = !c->out.failed;
	}
	if (!good)
		c->out.len = before;
	c->out.failed = false;
	value_destroy(map);
	write_out(r);
	return good;
}

/* `type`: of the manager's reply, or NULL when it is not the manager who says so. */
static struct value *make_error(const char *text, const char *type)
{
	struct value *map = value_map();

	if (map == NULL || value_map_put(map, "error", value_text(text)) != NC_OK ||
		(type != NULL && value_map_put(map, "type", value_text(type)) != NC_OK)) {
		value_destroy(map);
		return NULL;
	}
	return map;
}

/* A worker that gets no answer would wait for ever: so nothing is done until there is memory for it. */
static void answer_error(struct runner *r, const char *text, const char *type)
{
	while (!answer(r, make_error(text, type)))
		system_stand_by(r, "out of memory");
}

static void bad_line(struct runner *r, const char *text, size_t len, const char *what)
{
	struct runner_channel *c = &r->channel;
	char *shown = text_make_printable(text, len < 200 ? len : 200);

	c->bad_lines++;
	if (c->bad_lines <= BAD_LINES_LOGGED)
		log_error(r->log, "bad line on descriptor 3: %s: %s%s", what,
			shown != NULL ? shown : "", len > 200 ? "..." : "");
	if (c->bad_lines == BAD_LINES_LOGGED)
		log_error(r->log, "further bad lines on descriptor 3 are not logged");
	free(shown);
	if (c->out.len <= OUT_MOST)
		answer_error(r, what, NULL);
}

/* --- questions --- */

/* A `tell` of a worker that has ended since: nobody waits for the answer. */
static void told(struct runner *r, enum nc_err err, const struct message *reply)
{
	if (err != NC_OK)
		log_error(r->log, "a message was not delivered, and was not kept");
	else if (reply_is_refusal(reply))
		log_error(r->log, "the manager refused a message: %s", reply->type);
}

static struct value *make_answer(const struct runner *r, const struct message *reply)
{
	struct value *map = value_map();

	if (map == NULL ||
		(!r->channel.need &&
			value_map_put(map, "type", value_text(reply->type)) != NC_OK) ||
		value_map_put(map, "payload", value_copy(reply->payload)) != NC_OK) {
		value_destroy(map);
		return NULL;
	}
	return map;
}

static void question_answered(struct runner *r, enum nc_err err, const struct message *reply)
{
	if (r->channel.worker_gone) {
		told(r, err, reply);
		return;
	}
	r->channel.question = false;
	if (err != NC_OK) {
		answer_error(r, "the manager did not answer", NULL);
	} else if (reply_is_refusal(reply)) {
		answer_error(r, value_as_text(reply->payload, reply->type), reply->type);
	} else {
		while (!answer(r, make_answer(r, reply)))
			system_stand_by(r, "out of memory");
	}
	update(r);
}

static enum nc_err send_question(
	struct runner *r, const struct contract_line *line, struct error *error)
{
	bool need = line->kind == CONTRACT_NEED;
	struct value *key = need ? value_text(line->text) : NULL;
	enum nc_err err;

	if (need && key == NULL)
		return error_nomem(error);
	err = system_send(r, need ? OUTGOING_NEED : OUTGOING_TELL, need ? "need" : line->text,
		need ? key : line->payload, NULL, system_patience_ms(r),
		r->channel.worker_gone ? told : question_answered, error);
	value_destroy(key);
	return err;
}

static void ask(struct runner *r, const struct contract_line *line)
{
	struct runner_channel *c = &r->channel;
	bool need = line->kind == CONTRACT_NEED;
	const char *type = need ? "need" : line->text;
	struct buffer why;
	struct error error = { 0 };
	enum nc_err err;

	buffer_init(&why);
	if (r->debug) {
		log_debug(r->log,
			"**debug mode** message that would have been sent to manager: (%s %s)",
			type, type_words(r, type));
		answer_error(r, "debug mode: no connection to manager", NULL);
	} else if (!need && type_is_unregistered(r, type)) {
		buffer_printf(&why,
			"message type not found for %s worker in %s message registry: %s", r->name,
			r->config->file, type);
		log_error(r->log, "%s", why.data);
		answer_error(r, why.data, REPLY_UNREGISTERED_TYPE);
	} else if (!need || !c->worker_gone) {
		c->need = need;
		c->question = !c->worker_gone;
		while ((err = send_question(r, line, &error)) == NC_ERR_NOMEM)
			system_stand_by(r, error.text);
		if (err != NC_OK) {
			c->question = false;
			log_error(r->log, "cannot send (%s): %s", type, error.text);
			answer_error(r, error.text, NULL);
		}
	}
	buffer_finish(&why);
}

/* --- lines --- */

/* The last one of its kind counts; takes type and payload out of `line`. */
static void set_final(struct runner *r, struct contract_line *line)
{
	struct runner_end *end = &r->end;
	struct final *final = &end->success;

	if (contract_type_is(line->text, "failure"))
		final = &end->failure;
	else if (contract_type_is(line->text, "skipped"))
		final = &end->skipped;
	free(final->type);
	value_destroy(final->payload);
	final->type = line->text;
	final->payload = line->payload;
	line->text = NULL;
	line->payload = NULL;
}

static void take_line(struct runner *r, const char *text, size_t len)
{
	struct log_record record = { .logger = r->name };
	struct contract_line line = { 0 };
	struct error error;
	enum nc_err err;

	if (strspn(text, " \t\r\n") >= len)
		return;
	while ((err = contract_read(text, len, &line, &error)) == NC_ERR_NOMEM)
		system_stand_by(r, error.text);
	if (err != NC_OK) {
		bad_line(r, text, len, error.text);
		return;
	}
	switch (line.kind) {
	case CONTRACT_NEED:
	case CONTRACT_TELL:
		ask(r, &line);
		break;
	case CONTRACT_TYPE:
		set_final(r, &line);
		break;
	case CONTRACT_LOG:
		record.level = line.level;
		record.message = line.message;
		log_record(r->log, &record);
		break;
	case CONTRACT_PROGRESS:
		system_send_progress(r, line.number);
		break;
	}
	contract_line_finish(&line);
}

/* A line that is too long: said once, then skipped to its end. */
static void skip(struct runner_channel *c)
{
	const char *end = memchr(c->in.data, '\n', c->in.len);

	c->skipping = end == NULL;
	buffer_consume(&c->in, end != NULL ? (size_t)(end - c->in.data) + 1 : c->in.len);
}

/* The lines that are complete; when nothing more comes, also a last one without its newline. */
static void take_lines(struct runner *r)
{
	struct runner_channel *c = &r->channel;
	size_t at = 0;

	if (c->skipping)
		skip(c);
	while (!c->question && at < c->in.len) {
		char *line = c->in.data + at;
		char *end = memchr(line, '\n', c->in.len - at);
		size_t len = end != NULL ? (size_t)(end - line) : c->in.len - at;

		if (end == NULL && len <= CONTRACT_LINE_MOST && !c->ended)
			break;
		if (len > CONTRACT_LINE_MOST) {
			bad_line(r, line, len, "the line is longer than 1 MiB");
			c->skipping = end == NULL;
		} else {
			line[len] = '\0'; /* over the newline, or the end of the buffer */
			take_line(r, line, len);
		}
		at += len + (end != NULL ? 1 : 0);
	}
	buffer_consume(&c->in, at);
}

/* false: nothing more to read now. */
static bool read_some(struct runner *r)
{
	struct runner_channel *c = &r->channel;
	ssize_t count;

	while (!buffer_reserve(&c->in, READ_SIZE)) {
		c->in.failed = false;
		system_stand_by(r, "out of memory");
	}
	while ((count = sys_read(c->fd, c->in.data + c->in.len, READ_SIZE)) < 0 &&
		(errno == ENOMEM || errno == ENOBUFS))
		system_stand_by(r, strerror(errno));
	if (count < 0 && errno == EAGAIN)
		return false;
	if (count <= 0) { /* ECONNRESET: it went without having read all answers */
		c->ended = true;
		return false;
	}
	c->in.len += (size_t)count;
	c->in.data[c->in.len] = '\0';
	return true;
}

static void event(void *argument, unsigned events)
{
	struct runner *r = argument;

	write_out(r);
	if ((events & (LOOP_READ | LOOP_HANGUP)) != 0 && !r->channel.question)
		(void)read_some(r);
	update(r);
}

/*
 * Take the lines that are there, and look at the descriptor for what may happen next. A hangup is reported
 * whatever one waits for: so while nothing may be read, it is not looked at.
 */
static void update(struct runner *r)
{
	struct runner_channel *c = &r->channel;
	struct error error;
	unsigned events = 0;

	if (c->fd < 0)
		return;
	take_lines(r);
	if (!c->question && !c->ended && c->out.len <= DOOR_FRAME_MOST)
		events |= LOOP_READ;
	if (c->out.len > 0)
		events |= LOOP_WRITE;
	if (events == c->events)
		return;
	c->events = events;
	loop_unwatch(c->watch);
	c->watch = NULL;
	while (events != 0 &&
		loop_watch(r->loop, c->fd, events, event, r, &c->watch, &error) != NC_OK)
		system_stand_by(r, error.text);
}

enum nc_err channel_open(struct runner *r, int *ret_worker_end, struct error *error)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_errno(error, errno, "cannot make a socket for the worker");
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
		enum nc_err err = error_errno(error, errno, "cannot make a socket for the worker");

		(void)sys_close(ends[0]);
		(void)sys_close(ends[1]);
		return err;
	}
	buffer_init(&r->channel.in);
	buffer_init(&r->channel.out);
	r->channel.fd = ends[0];
	*ret_worker_end = ends[1];
	return NC_OK;
}

enum nc_err channel_start(struct runner *r, struct error *error)
{
	r->channel.events = LOOP_READ;
	return loop_watch(r->loop, r->channel.fd, LOOP_READ, event, r, &r->channel.watch, error);
}

void channel_finish(struct runner *r)
{
	struct runner_channel *c = &r->channel;
	size_t most = DRAIN_MOST / READ_SIZE;

	if (c->fd < 0)
		return;
	loop_unwatch(c->watch);
	c->watch = NULL;
	c->worker_gone = true;
	c->question = false;
	system_drop_questions(r);
	while (most-- > 0 && !c->ended && read_some(r))
		take_lines(r);
	c->ended = true;
	take_lines(r);
	(void)sys_close(c->fd);
	c->fd = -1;
	buffer_finish(&c->in);
	buffer_finish(&c->out);
}

void channel_reset(struct runner *r)
{
	struct runner_channel *c = &r->channel;

	loop_unwatch(c->watch);
	if (c->fd >= 0)
		(void)sys_close(c->fd);
	buffer_finish(&c->in);
	buffer_finish(&c->out);
	*c = (struct runner_channel){ .fd = -1 };
}
