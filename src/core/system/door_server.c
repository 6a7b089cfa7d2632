/*
 * The server side of the local door. Bounds, so that no peer can hurt the others (promises.md, R13, R14):
 * one request a connection at a time; a frame above the limit is read past in pieces and never stored; a
 * peer that stops in the middle of a frame, or does not take its answer, is closed after 30 s; the memory
 * of all connections together is bounded; when there are too many connections the one that has been idle
 * longest goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/door_internal.h"
#include "core/system/sys.h"

enum {
	READ_SIZE = 65536,
	STALL_MS = 30000,
	SWEEP_MS = 5000,
	MEMORY_MOST = 64 << 20,
	ACCEPT_PAUSE_MS = 200,
};

struct connection;

struct door_request {
	struct connection *connection; /* NULL: the peer has left */
};

struct connection {
	struct door_server *server;
	int fd;
	struct loop_fd *watch;
	struct door_peer peer;
	struct buffer in, out;
	size_t skip, skipped_len; /* of a frame that is too large: bytes still to be read past */
	struct door_request *request; /* that waits for its answer */
	int64_t last_ms;              /* when the last byte went or came */
	bool dead;
	struct connection *previous, *next;
};

struct door_server {
	struct loop *loop;
	char *path;
	int fd;
	mode_t mode;
	struct loop_fd *watch;
	struct loop_timer *sweep_timer, *pause_timer;
	struct door_handler handler;
	struct connection *connections, *dead;
	size_t connections_count;
};

static void close_connection(struct connection *c)
{
	struct door_server *server = c->server;

	if (c->dead)
		return;
	c->dead = true;
	if (c->request != NULL)
		c->request->connection = NULL;
	loop_unwatch(c->watch);
	(void)sys_close(c->fd);
	buffer_finish(&c->in);
	buffer_finish(&c->out);
	if (c->previous != NULL)
		c->previous->next = c->next;
	else
		server->connections = c->next;
	if (c->next != NULL)
		c->next->previous = c->previous;
	server->connections_count--;
	/* Freed by the sweep: callers up the stack may still look at `dead`. */
	c->next = server->dead;
	server->dead = c;
}

static size_t memory_of(const struct door_server *server)
{
	size_t sum = 0;

	for (const struct connection *c = server->connections; c != NULL; c = c->next)
		sum += c->in.capacity + c->out.capacity;
	return sum;
}

static void free_dead(struct door_server *server)
{
	while (server->dead != NULL) {
		struct connection *dead = server->dead;

		server->dead = dead->next;
		free(dead);
	}
}

/* Is it in the middle of something that only the peer can go on with? */
static bool is_stalled(const struct connection *c, int64_t now_ms)
{
	bool waits = c->out.len > 0 || (c->request == NULL && (c->in.len > 0 || c->skip > 0));

	return waits && now_ms - c->last_ms > STALL_MS;
}

static void close_greediest(struct door_server *server)
{
	struct connection *greediest = NULL;
	size_t most = 0;

	for (struct connection *c = server->connections; c != NULL; c = c->next) {
		if (c->in.capacity + c->out.capacity > most) {
			most = c->in.capacity + c->out.capacity;
			greediest = c;
		}
	}
	if (greediest != NULL)
		close_connection(greediest);
}

static void sweep(void *argument)
{
	struct door_server *server = argument;
	int64_t now_ms = clock_mono_ms();
	struct connection *c = server->connections, *next;

	for (; c != NULL; c = next) {
		next = c->next;
		if (is_stalled(c, now_ms))
			close_connection(c);
	}
	free_dead(server);
	if (server->connections == NULL) {
		/* Idle: no wake-ups until somebody comes. */
		loop_timer_cancel(server->sweep_timer);
		server->sweep_timer = NULL;
	}
}

static void close_longest_idle(struct door_server *server)
{
	struct connection *idlest = NULL;

	for (struct connection *c = server->connections; c != NULL; c = c->next)
		if (c->request == NULL && (idlest == NULL || c->last_ms < idlest->last_ms))
			idlest = c;
	if (idlest != NULL)
		close_connection(idlest);
}

static void update_watch(struct connection *c)
{
	/* While a request is open nothing is read: the kernel then slows the peer down. */
	unsigned events = (c->request == NULL && c->out.len == 0 ? LOOP_READ : 0u) |
			  (c->out.len > 0 ? LOOP_WRITE : 0u);

	if (loop_watch_change(c->watch, events, NULL) != NC_OK)
		close_connection(c);
}

static void send_some(struct connection *c)
{
	while (c->out.len > 0) {
		ssize_t count = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0) {
			if (errno != EAGAIN)
				close_connection(c);
			return;
		}
		c->last_ms = clock_mono_ms();
		buffer_consume(&c->out, (size_t)count);
	}
	/* A large answer's memory is not kept for a connection that may stay idle for hours. */
	buffer_finish(&c->out);
}

static void put_answer(struct connection *c, const void *bytes, size_t len)
{
	unsigned char header[DOOR_HEADER_SIZE];

	door_put_length(header, len);
	buffer_append(&c->out, header, sizeof(header));
	buffer_append(&c->out, bytes, len);
	c->last_ms = clock_mono_ms();
	if (c->out.failed)
		close_connection(c);
	else
		send_some(c);
}

static void answer_too_large(struct connection *c)
{
	const struct door_handler *handler = &c->server->handler;
	struct buffer answer;

	buffer_init(&answer);
	if (handler->too_large != NULL)
		handler->too_large(handler->argument, c->skipped_len, &answer);
	if (answer.failed)
		close_connection(c);
	else
		put_answer(c, answer.data, answer.len);
	buffer_finish(&answer);
}

/* Hand the first frame over when it is whole. false: nothing more to do for now. */
static bool take_frame(struct connection *c)
{
	const struct door_handler *handler = &c->server->handler;
	struct door_request *request;
	struct buffer frame;
	size_t len;

	if (c->in.len < DOOR_HEADER_SIZE)
		return false;
	len = door_get_length(c->in.data);
	if (len > DOOR_FRAME_CLOSE) {
		close_connection(c);
		return false;
	}
	if (len > DOOR_FRAME_MOST) {
		size_t there = c->in.len - DOOR_HEADER_SIZE;

		c->skipped_len = len;
		c->skip = there < len ? len - there : 0;
		buffer_consume(&c->in, DOOR_HEADER_SIZE + (there < len ? there : len));
		if (c->skip > 0)
			return false;
		answer_too_large(c);
		return !c->dead && c->out.len == 0;
	}
	if (c->in.len - DOOR_HEADER_SIZE < len)
		return false;
	request = calloc(1, sizeof(*request));
	if (request == NULL) {
		close_connection(c);
		return false;
	}
	request->connection = c;
	c->request = request;
	/* The handler may answer, or close everything, before it returns: the frame is ours until then. */
	frame = c->in;
	buffer_init(&c->in);
	buffer_append(
		&c->in, frame.data + DOOR_HEADER_SIZE + len, frame.len - DOOR_HEADER_SIZE - len);
	handler->request(handler->argument, request, &c->peer, frame.data + DOOR_HEADER_SIZE, len);
	buffer_finish(&frame);
	return !c->dead && c->request == NULL && c->out.len == 0;
}

/* Read past a frame that is too large. */
static void skip_some(struct connection *c, size_t count)
{
	size_t skipped = count < c->skip ? count : c->skip;

	c->skip -= skipped;
	buffer_consume(&c->in, skipped);
	if (c->skip == 0)
		answer_too_large(c);
}

static void read_some(struct connection *c)
{
	ssize_t count;

	if (!buffer_reserve(&c->in, READ_SIZE)) {
		close_connection(c);
		return;
	}
	count = recv(c->fd, c->in.data + c->in.len, READ_SIZE, 0);
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0) {
		close_connection(c);
		return;
	}
	c->in.len += (size_t)count;
	c->in.data[c->in.len] = '\0';
	c->last_ms = clock_mono_ms();
	if (c->skip > 0)
		skip_some(c, (size_t)count);
	if (!c->dead && memory_of(c->server) > MEMORY_MOST)
		close_greediest(c->server);
}

static void serve(void *argument, unsigned events)
{
	struct connection *c = argument;

	if (events & LOOP_WRITE)
		send_some(c);
	if (!c->dead && c->request == NULL && c->out.len == 0 &&
		(events & (LOOP_READ | LOOP_HANGUP)))
		read_some(c);
	else if (!c->dead && (events & LOOP_HANGUP) && !(events & LOOP_READ))
		close_connection(c);
	while (!c->dead && c->request == NULL && c->out.len == 0 && c->skip == 0 && take_frame(c))
		;
	if (!c->dead)
		update_watch(c);
}

void door_answer(struct door_request *request, const void *bytes, size_t len)
{
	struct connection *c = request->connection;

	free(request);
	if (c == NULL)
		return;
	c->request = NULL;
	put_answer(c, bytes, len);
	/* A frame that came behind this one is taken by serve(), which this wakes. */
	if (!c->dead && c->out.len == 0 && c->in.len >= DOOR_HEADER_SIZE)
		(void)loop_watch_change(c->watch, LOOP_READ | LOOP_WRITE, NULL);
	else if (!c->dead)
		update_watch(c);
}

void door_drop(struct door_request *request)
{
	struct connection *c = request->connection;

	free(request);
	if (c == NULL)
		return;
	c->request = NULL;
	close_connection(c);
}

/* --- who may come in --- */

static bool is_allowed(const struct door_server *server, const struct door_peer *peer)
{
	/* With 0660 the kernel lets in those of the socket's group, and nobody else. */
	return peer->uid == 0 || peer->uid == geteuid() || (server->mode & 0060) != 0;
}

static void admit(struct door_server *server, int fd)
{
	struct connection *c;
	struct ucred credentials = { 0 };
	socklen_t size = sizeof(credentials);
	struct door_peer peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) {
		(void)sys_close(fd);
		return;
	}
	peer = (struct door_peer){ credentials.uid, credentials.gid, credentials.pid };
	c = is_allowed(server, &peer) ? calloc(1, sizeof(*c)) : NULL;
	if (c == NULL) {
		(void)sys_close(fd);
		return;
	}
	*c = (struct connection){ .server = server,
		.fd = fd,
		.peer = peer,
		.last_ms = clock_mono_ms(),
		.next = server->connections };
	buffer_init(&c->in);
	buffer_init(&c->out);
	if (loop_watch(server->loop, fd, LOOP_READ, serve, c, &c->watch, NULL) != NC_OK) {
		(void)sys_close(fd);
		free(c);
		return;
	}
	if (c->next != NULL)
		c->next->previous = c;
	server->connections = c;
	server->connections_count++;
	if (server->connections_count > DOOR_CONNECTIONS_MOST)
		close_longest_idle(server);
	if (server->sweep_timer == NULL)
		(void)loop_timer_start(
			server->loop, SWEEP_MS, true, sweep, server, &server->sweep_timer, NULL);
}

static void accept_again(void *argument)
{
	struct door_server *server = argument;

	server->pause_timer = NULL;
	(void)loop_watch_change(server->watch, LOOP_READ, NULL);
}

static void somebody_comes(void *argument, unsigned events)
{
	struct door_server *server = argument;

	/* A few at a time: those who are in are served between. */
	for (int i = 0; i < 16; i++) {
		int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			admit(server, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			/* Make room, and do not spin: the one at the door stays in the kernel's queue. */
			close_longest_idle(server);
			if (loop_timer_start(server->loop, ACCEPT_PAUSE_MS, false, accept_again,
				    server, &server->pause_timer, NULL) == NC_OK)
				(void)loop_watch_change(server->watch, 0, NULL);
		}
		return;
	}
}

/* --- beginning and end --- */

/*
 * A socket file is there. Does somebody listen? If so NC_ERR_REFUSED; else it is left from a process that
 * was killed, and removed. Two that start at once and both find it dead: the second bind() fails with
 * EADDRINUSE, or it removes the first one's file; the manager's lock and the supervisor keep that apart.
 */
static enum nc_err clear_way(
	const char *path, const struct sockaddr_un *address, struct error *error)
{
	struct stat status;
	enum nc_err err = NC_OK;
	int fd;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? NC_OK
				       : error_errno(error, errno, "cannot look at %s", path);
	if (!S_ISSOCK(status.st_mode))
		return error_set(error, NC_ERR_REFUSED, "%s is there and is no socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(error, errno, "cannot make a socket");
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		err = error_set(error, NC_ERR_REFUSED, "another process listens at %s", path);
	else if (errno != ECONNREFUSED)
		err = error_errno(error, errno, "cannot connect to %s", path);
	else if (sys_unlink(path) < 0 && errno != ENOENT)
		err = error_errno(error, errno, "cannot remove %s", path);
	(void)sys_close(fd);
	return err;
}

enum nc_err door_listen(struct loop *loop, const char *path, mode_t mode,
	const struct door_handler *handler, struct door_server **ret_server, struct error *error)
{
	struct door_server *server = calloc(1, sizeof(*server));
	struct sockaddr_un address;
	enum nc_err err;
	mode_t before;
	int bound;

	if (server == NULL)
		return error_nomem(error);
	*server = (struct door_server){ .loop = loop, .fd = -1, .mode = mode, .handler = *handler };
	if (!door_address(path, &address)) {
		err = error_set(error, NC_ERR_LIMIT, "the path %s is too long for a socket", path);
		goto fail;
	}
	err = clear_way(path, &address, error);
	if (err != NC_OK)
		goto fail;
	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode holds from the first moment. One thread runs while a process starts. */
	before = umask(~mode & 0777);
	bound = server->fd >= 0
			? bind(server->fd, (const struct sockaddr *)&address, sizeof(address))
			: -1;
	(void)umask(before);
	if (bound < 0) {
		err = error_errno(error, errno, "cannot listen at %s", path);
		goto fail;
	}
	/* From here the file is ours to remove. */
	server->path = strdup(path);
	if (server->path == NULL) {
		(void)sys_unlink(path);
		err = error_nomem(error);
		goto fail;
	}
	if (listen(server->fd, SOMAXCONN) < 0) {
		err = error_errno(error, errno, "cannot listen at %s", path);
		goto fail;
	}
	err = loop_watch(
		loop, server->fd, LOOP_READ, somebody_comes, server, &server->watch, error);
	if (err != NC_OK)
		goto fail;
	*ret_server = server;
	return NC_OK;
fail:
	door_server_destroy(server);
	return err;
}

void door_server_destroy(struct door_server *server)
{
	if (server == NULL)
		return;
	if (server->path != NULL)
		(void)sys_unlink(server->path);
	loop_unwatch(server->watch);
	if (server->fd >= 0)
		(void)sys_close(server->fd);
	loop_timer_cancel(server->sweep_timer);
	loop_timer_cancel(server->pause_timer);
	while (server->connections != NULL)
		close_connection(server->connections);
	free_dead(server);
	free(server->path);
	free(server);
}
