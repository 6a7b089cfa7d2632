#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/door_internal.h"
#include "core/system/sys.h"

enum {
	ANSWER_MOST = DOOR_FRAME_CLOSE
};

/* What errno of connect() means for the caller. */
static enum nc_err connect_failed(const char *path, int sys_errno, struct error *error)
{
	switch (sys_errno) {
	case ENOENT:
	case ECONNREFUSED:
	case ENOTDIR:
		return error_set(error, NC_ERR_CLOSED, "nobody listens at %s", path);
	case EACCES:
	case EPERM:
		return error_set(error, NC_ERR_REFUSED, "not allowed to connect to %s", path);
	default:
		return error_errno(error, sys_errno, "cannot connect to %s", path);
	}
}

static enum nc_err connect_to(const char *path, int *ret_fd, struct error *error)
{
	struct sockaddr_un address;
	enum nc_err err;
	int fd;

	if (!door_address(path, &address))
		return error_set(error, NC_ERR_LIMIT, "the path %s is too long for a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(error, errno, "cannot make a socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		/* EAGAIN: the queue of the listener is full: as good as nobody there, for now. */
		err = errno == EAGAIN ? error_set(error, NC_ERR_CLOSED, "%s is busy", path)
				      : connect_failed(path, errno, error);
		(void)sys_close(fd);
		return err;
	}
	*ret_fd = fd;
	return NC_OK;
}

/* One frame: its length, then its bytes. */
static bool make_frame(const void *bytes, size_t len, struct buffer *out)
{
	unsigned char header[DOOR_HEADER_SIZE];

	door_put_length(header, len);
	buffer_append(out, header, sizeof(header));
	buffer_append(out, bytes, len);
	return !out->failed;
}

/* Has `in` a whole frame? NC_ERR_TIMEOUT stands for "not yet". */
static enum nc_err whole_frame(const struct buffer *in)
{
	size_t len;

	if (in->len < DOOR_HEADER_SIZE)
		return NC_ERR_TIMEOUT;
	len = door_get_length(in->data);
	if (len > ANSWER_MOST)
		return NC_ERR_LIMIT;
	return in->len - DOOR_HEADER_SIZE >= len ? NC_OK : NC_ERR_TIMEOUT;
}

/* --- in a loop --- */

struct door_client {
	struct loop *loop;
	char *path;
	int fd; /* -1: not connected */
	struct loop_fd *watch;
	struct loop_timer *timer;
	struct buffer out, in;
	door_answer_function *function; /* of the open question, or NULL */
	void *argument;
	enum nc_err failure; /* to be told by the timer */
};

enum nc_err door_client_create(
	struct loop *loop, const char *path, struct door_client **ret_client, struct error *error)
{
	struct door_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return error_nomem(error);
	client->loop = loop;
	client->fd = -1;
	buffer_init(&client->out);
	buffer_init(&client->in);
	client->path = strdup(path);
	if (client->path == NULL) {
		door_client_destroy(client);
		return error_nomem(error);
	}
	*ret_client = client;
	return NC_OK;
}

static void disconnect(struct door_client *client)
{
	loop_unwatch(client->watch);
	client->watch = NULL;
	if (client->fd >= 0)
		(void)sys_close(client->fd);
	client->fd = -1;
	buffer_clear(&client->out);
	buffer_clear(&client->in);
}

void door_client_destroy(struct door_client *client)
{
	if (client == NULL)
		return;
	disconnect(client);
	loop_timer_cancel(client->timer);
	buffer_finish(&client->out);
	buffer_finish(&client->in);
	free(client->path);
	free(client);
}

/* The open question is over. The function may ask anew, or destroy the client. */
static void finish(struct door_client *client, enum nc_err err)
{
	door_answer_function *function = client->function;
	void *argument = client->argument;
	struct buffer answer = client->in;

	loop_timer_cancel(client->timer);
	client->timer = NULL;
	client->function = NULL;
	buffer_init(&client->in);
	if (err != NC_OK)
		disconnect(client);
	if (function != NULL && err == NC_OK)
		function(argument, NC_OK, answer.data + DOOR_HEADER_SIZE,
			door_get_length(answer.data));
	else if (function != NULL)
		function(argument, err, NULL, 0);
	buffer_finish(&answer);
}

static void too_late(void *argument)
{
	struct door_client *client = argument;

	client->timer = NULL;
	finish(client, client->failure);
}

static enum nc_err send_some(struct door_client *client)
{
	while (client->out.len > 0) {
		ssize_t count = send(client->fd, client->out.data, client->out.len, MSG_NOSIGNAL);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return errno == EAGAIN ? NC_OK : NC_ERR_CLOSED;
		buffer_consume(&client->out, (size_t)count);
	}
	return loop_watch_change(client->watch, LOOP_READ, NULL);
}

static void can_go_on(void *argument, unsigned events)
{
	struct door_client *client = argument;
	enum nc_err err = NC_OK;
	ssize_t count;

	if (events & LOOP_WRITE)
		err = send_some(client);
	if (err == NC_OK && (events & (LOOP_READ | LOOP_HANGUP))) {
		if (!buffer_reserve(&client->in, 65536)) {
			err = NC_ERR_NOMEM;
		} else {
			count = sys_read(client->fd, client->in.data + client->in.len, 65536);
			if (count == 0 || (count < 0 && errno != EAGAIN)) {
				err = NC_ERR_CLOSED;
			} else if (count > 0) {
				client->in.len += (size_t)count;
				client->in.data[client->in.len] = '\0';
			}
		}
	}
	if (err == NC_OK) {
		err = whole_frame(&client->in);
		if (err == NC_ERR_TIMEOUT)
			return; /* not yet */
	}
	if (client->function == NULL)
		disconnect(client); /* the server left, or talks unasked */
	else
		finish(client, err);
}

enum nc_err door_ask(struct door_client *client, const void *bytes, size_t len, int64_t timeout_ms,
	door_answer_function *function, void *argument, struct error *error)
{
	enum nc_err err = NC_OK;

	if (client->function != NULL)
		return error_set(error, NC_ERR_INVALID, "a question is open already");
	if (len > DOOR_FRAME_MOST)
		return error_set(error, NC_ERR_LIMIT, "%zu bytes are more than the limit of %d",
			len, DOOR_FRAME_MOST);
	client->failure = NC_ERR_TIMEOUT;
	if (client->fd < 0) {
		err = connect_to(client->path, &client->fd, error);
		if (err == NC_OK)
			err = loop_watch(client->loop, client->fd, LOOP_WRITE, can_go_on, client,
				&client->watch, error);
		if (err != NC_OK) {
			/* Told like every other end: from the loop, not from inside this call. */
			disconnect(client);
			client->failure =
				err == NC_ERR_REFUSED || err == NC_ERR_LIMIT ? err : NC_ERR_CLOSED;
			timeout_ms = 0;
		}
	} else {
		err = loop_watch_change(client->watch, LOOP_READ | LOOP_WRITE, error);
		if (err != NC_OK)
			return err;
	}
	if (client->fd >= 0 && !make_frame(bytes, len, &client->out)) {
		disconnect(client);
		return error_nomem(error);
	}
	err = loop_timer_start(
		client->loop, timeout_ms, false, too_late, client, &client->timer, error);
	if (err != NC_OK) {
		disconnect(client);
		return err;
	}
	client->function = function;
	client->argument = argument;
	return NC_OK;
}

/* --- without a loop --- */

/* Wait until the descriptor is ready. NC_ERR_TIMEOUT when it is too late. */
static enum nc_err wait_for(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = events };
		int64_t left_ms = deadline_ms - clock_mono_ms();
		int count;

		if (left_ms < 0)
			return NC_ERR_TIMEOUT;
		count = poll(&poll_fd, 1, left_ms < INT_MAX ? (int)left_ms + 1 : INT_MAX);
		if (count > 0)
			return NC_OK;
		if (count < 0 && errno != EINTR)
			return NC_ERR_SYSTEM;
	}
}

static enum nc_err exchange(int fd, struct buffer *out, struct buffer *in, int64_t deadline_ms)
{
	enum nc_err err;
	ssize_t count;

	while (out->len > 0) {
		count = send(fd, out->data, out->len, MSG_NOSIGNAL);
		if (count >= 0) {
			buffer_consume(out, (size_t)count);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return NC_ERR_CLOSED;
		err = wait_for(fd, POLLOUT, deadline_ms);
		if (err != NC_OK)
			return err;
	}
	for (;;) {
		err = whole_frame(in);
		if (err != NC_ERR_TIMEOUT)
			return err;
		err = wait_for(fd, POLLIN, deadline_ms);
		if (err != NC_OK)
			return err;
		if (!buffer_reserve(in, 65536))
			return NC_ERR_NOMEM;
		count = sys_read(fd, in->data + in->len, 65536);
		if (count == 0 || (count < 0 && errno != EAGAIN))
			return NC_ERR_CLOSED;
		if (count > 0)
			in->len += (size_t)count;
	}
}

static void exchange_failed(const char *path, enum nc_err err, struct error *error)
{
	if (err == NC_ERR_NOMEM)
		(void)error_nomem(error);
	else if (err == NC_ERR_TIMEOUT)
		(void)error_set(error, err, "no answer from %s in time", path);
	else if (err == NC_ERR_LIMIT)
		(void)error_set(error, err, "the answer from %s is too large", path);
	else
		(void)error_set(error, err, "%s closed the connection", path);
}

enum nc_err door_call_kept(int *fd, const char *path, const void *bytes, size_t len,
	int64_t timeout_ms, struct buffer *answer, struct error *error)
{
	int64_t deadline_ms = clock_mono_ms() + timeout_ms;
	struct buffer out, in;
	enum nc_err err = NC_OK;

	if (len > DOOR_FRAME_MOST)
		return error_set(error, NC_ERR_LIMIT, "%zu bytes are more than the limit of %d",
			len, DOOR_FRAME_MOST);
	if (*fd < 0)
		err = connect_to(path, fd, error);
	if (err != NC_OK)
		return err;
	buffer_init(&out);
	buffer_init(&in);
	if (!make_frame(bytes, len, &out))
		err = error_nomem(error);
	else
		err = exchange(*fd, &out, &in, deadline_ms);
	if (err == NC_OK) {
		buffer_append(answer, in.data + DOOR_HEADER_SIZE, door_get_length(in.data));
	} else {
		exchange_failed(path, err, error);
		(void)sys_close(*fd);
		*fd = -1;
	}
	buffer_finish(&out);
	buffer_finish(&in);
	return err;
}
