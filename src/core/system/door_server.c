/*
 * The server side of the local door. Bounds, so that no peer can hurt the others (promises.md, R13, R14):
 * one request a connection at a time; nothing more is read while a whole one waits; after a few requests
 * the others have their turn; a frame above the limit is read past in pieces and never stored; a peer that
 * stops in the middle of a frame, or does not take its answer, is closed after 30 s; the memory of all
 * connections together is bounded; when there are too many connections the one that has been idle longest
 * goes.
 *
 * A connection that is idle between two requests costs no wake-ups and no buffer.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/door_internal.h"
#include "core/system/file.h"
#include "core/system/sys.h"

enum {
	READ_SIZE = 65536,
	STALL_MS = 30000,
	SWEEP_MS = 5000,
	MEMORY_MOST = 64 << 20,
	ACCEPT_PAUSE_MS = 200,
	FRAMES_A_TURN = 16,
	START_WAIT_MS = 2000,
};

struct connection;

struct door_request {
	struct connection *connection; /* NULL: the peer has left */
};

struct connection {
	struct door_server *server;
	int fd;
	struct loop_fd *watch;
	unsigned events; /* that are watched */
	struct door_peer peer;
	struct buffer in, out;
	size_t start;             /* of what is not yet taken from `in` */
	size_t skip, skipped_len; /* of a frame that is too large: bytes still to be read past */
	struct door_request *request; /* that waits for its answer */
	int64_t last_ms;              /* when the last byte went or came */
	bool dead;
	struct connection *previous, *next;
};

struct door_server {
	struct loop *loop;
	char *path;
	dev_t device; /* of the socket file that we made */
	ino_t inode;
	int fd;
	mode_t mode;
	struct loop_fd *watch;
	struct loop_timer *sweep_timer, *pause_timer;
	struct door_handler handler;
	bool crowded; /* and that was told */
	struct connection *connections, *dead;
	size_t connections_count;
};

static void sweep(void *argument);

/* Once, and not while all is quiet. Without memory for the timer the next event brings it. */
static void want_sweep(struct door_server *server)
{
	if (server->sweep_timer == NULL)
		(void)loop_timer_start(
			server->loop, SWEEP_MS, false, sweep, server, &server->sweep_timer, NULL);
}

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
	want_sweep(server);
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
static bool waits_for_peer(const struct connection *c)
{
	return c->out.len > 0 || (c->request == NULL && (c->in.len > 0 || c->skip > 0));
}

static void sweep(void *argument)
{
	struct door_server *server = argument;
	int64_t now_ms = clock_mono_ms();
	struct connection *c = server->connections, *next;
	bool again = false;

	server->sweep_timer = NULL;
	for (; c != NULL; c = next) {
		next = c->next;
		if (!waits_for_peer(c))
			continue;
		if (now_ms - c->last_ms > STALL_MS)
			close_connection(c);
		else
			again = true;
	}
	free_dead(server);
	if (again)
		want_sweep(server);
}

/* --- the memory of all connections together --- */

static size_t memory_of(const struct connection *c)
{
	return c->in.capacity + c->out.capacity;
}

static void bound_memory(struct door_server *server)
{
	struct connection *greediest = NULL;
	size_t sum = 0;

	for (struct connection *c = server->connections; c != NULL; c = c->next) {
		sum += memory_of(c);
		if (greediest == NULL || memory_of(c) > memory_of(greediest))
			greediest = c;
	}
	if (sum > MEMORY_MOST)
		close_connection(greediest);
}

static void close_longest_idle(struct door_server *server)
{
	struct connection *idlest = NULL;

	/* The oldest come last in the list, and go first when several were active in one millisecond. */
	for (struct connection *c = server->connections; c != NULL; c = c->next)
		if (c->request == NULL && (idlest == NULL || c->last_ms <= idlest->last_ms))
			idlest = c;
	if (idlest != NULL)
		close_connection(idlest);
}

/* --- one connection --- */

static size_t untaken(const struct connection *c)
{
	return c->in.len - c->start;
}

/* Is there a whole frame, or one that will never be taken whole? */
static bool has_frame(const struct connection *c)
{
	size_t len;

	if (c->skip > 0 || untaken(c) < DOOR_HEADER_SIZE)
		return false;
	len = door_get_length(c->in.data + c->start);
	return len > DOOR_FRAME_MOST || untaken(c) - DOOR_HEADER_SIZE >= len;
}

static void update_watch(struct connection *c)
{
	unsigned events = 0;

	/* While a request is open nothing is read: the kernel then slows the peer down. A frame that is
	 * there already has its turn when the peer can take the answer, which is mostly at once. */
	if (c->out.len > 0 || (c->request == NULL && has_frame(c)))
		events = LOOP_WRITE;
	else if (c->request == NULL)
		events = LOOP_READ;
	if (events != c->events && loop_watch_change(c->watch, events, NULL) != NC_OK) {
		close_connection(c);
		return;
	}
	c->events = events;
	if (waits_for_peer(c))
		want_sweep(c->server);
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
	if (!c->dead && c->out.len > 0)
		bound_memory(c->server);
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

/* So much of `in` is done. Nothing of it is kept when that was all. */
static void take(struct connection *c, size_t count)
{
	c->start += count;
	if (untaken(c) > 0)
		return;
	buffer_finish(&c->in);
	c->start = 0;
}

/* Read past a frame that is too large, as far as it is there. */
static void skip_some(struct connection *c)
{
	size_t count = untaken(c) < c->skip ? untaken(c) : c->skip;

	c->skip -= count;
	take(c, count);
	if (c->skip == 0)
		answer_too_large(c);
}

/* Hand the first frame over; has_frame() is true. */
static void take_frame(struct connection *c)
{
	const struct door_handler *handler = &c->server->handler;
	size_t len = door_get_length(c->in.data + c->start);
	struct door_request *request;
	struct buffer in;
	size_t start;

	if (len > DOOR_FRAME_CLOSE) {
		close_connection(c);
		return;
	}
	if (len > DOOR_FRAME_MOST) {
		take(c, DOOR_HEADER_SIZE);
		c->skip = c->skipped_len = len;
		skip_some(c);
		return;
	}
	request = calloc(1, sizeof(*request));
	if (request == NULL) {
		close_connection(c);
		return;
	}
	request->connection = c;
	c->request = request;
	/* The handler may close the connection before it returns: the bytes are ours until then. */
	in = c->in;
	start = c->start;
	buffer_init(&c->in);
	c->start = 0;
	handler->request(
		handler->argument, request, &c->peer, in.data + start + DOOR_HEADER_SIZE, len);
	if (c->dead) {
		buffer_finish(&in);
		return;
	}
	c->in = in;
	c->start = start;
	take(c, DOOR_HEADER_SIZE + len);
}

static void read_some(struct connection *c)
{
	char bytes[READ_SIZE];
	ssize_t count = recv(c->fd, bytes, sizeof(bytes), 0);

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0) {
		close_connection(c);
		return;
	}
	c->last_ms = clock_mono_ms();
	buffer_consume(&c->in, c->start);
	c->start = 0;
	buffer_append(&c->in, bytes, (size_t)count);
	if (c->in.failed) {
		close_connection(c);
		return;
	}
	if (c->skip > 0)
		skip_some(c);
	if (!c->dead)
		bound_memory(c->server);
}

static bool may_go_on(const struct connection *c)
{
	return !c->dead && c->request == NULL && c->out.len == 0;
}

static void serve(void *argument, unsigned events)
{
	struct connection *c = argument;

	if (events & LOOP_WRITE)
		send_some(c);
	if (may_go_on(c) && !has_frame(c)) {
		if (events & (LOOP_READ | LOOP_HANGUP))
			read_some(c);
	} else if (!c->dead && (events & LOOP_HANGUP)) {
		/* The peer is gone altogether (half closed, nobody tells us): nothing can be answered. */
		close_connection(c);
	}
	for (int i = 0; i < FRAMES_A_TURN && may_go_on(c) && has_frame(c); i++)
		take_frame(c);
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
	if (!c->dead)
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
		.events = LOOP_READ,
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
}

static void accept_again(void *argument)
{
	struct door_server *server = argument;

	server->pause_timer = NULL;
	(void)loop_watch_change(server->watch, LOOP_READ, NULL);
}

static void tell_crowded(struct door_server *server, int sys_errno)
{
	if (server->crowded == (sys_errno != 0))
		return;
	server->crowded = sys_errno != 0;
	if (server->handler.crowded != NULL)
		server->handler.crowded(server->handler.argument, sys_errno);
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
			tell_crowded(server, errno);
			/* Make room, and do not spin: the one at the door stays in the kernel's queue. */
			close_longest_idle(server);
			if (loop_timer_start(server->loop, ACCEPT_PAUSE_MS, false, accept_again,
				    server, &server->pause_timer, NULL) == NC_OK)
				(void)loop_watch_change(server->watch, 0, NULL);
		} else if (errno == EAGAIN) {
			tell_crowded(server, 0);
		}
		return;
	}
}

/* --- beginning and end --- */

/*
 * Two that start at once could both find the file of a dead process, and the second then remove the socket
 * that the first has just made. So whoever clears the way and binds holds a lock on the directory meanwhile.
 * *ret_fd: to be closed; -1 where the file system has no locks.
 */
static enum nc_err lock_directory(const char *path, int *ret_fd, struct error *error)
{
	int64_t end_ms = clock_mono_ms() + START_WAIT_MS;
	char *directory = path_directory(path);
	int fd;

	if (directory == NULL)
		return error_nomem(error);
	fd = sys_open(directory, O_RDONLY | O_DIRECTORY, 0);
	free(directory);
	if (fd < 0)
		return error_errno(error, errno, "cannot open the directory of %s", path);
	*ret_fd = fd;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			(void)sys_close(fd);
			*ret_fd = -1;
			return NC_OK;
		}
		if (clock_mono_ms() > end_ms) {
			(void)sys_close(fd);
			*ret_fd = -1;
			return error_set(error, NC_ERR_REFUSED,
				"another process is just starting at %s", path);
		}
		(void)poll(NULL, 0, 10); /* before the loop runs: nobody waits */
	}
	return NC_OK;
}

/*
 * A socket file is there. Does somebody listen? If so NC_ERR_REFUSED; else it is left from a process that
 * was killed, and removed.
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

static enum nc_err bind_and_listen(
	struct door_server *server, const char *path, struct error *error)
{
	struct sockaddr_un address;
	struct stat status;
	enum nc_err err;
	mode_t before;
	int bound;

	if (!door_address(path, &address))
		return error_set(error, NC_ERR_LIMIT, "the path %s is too long for a socket", path);
	err = clear_way(path, &address, error);
	if (err != NC_OK)
		return err;
	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->fd < 0)
		return error_errno(error, errno, "cannot make a socket");
	/* The mode holds from the first moment. One thread runs while a process starts. */
	before = umask(~server->mode & 0777);
	bound = bind(server->fd, (const struct sockaddr *)&address, sizeof(address));
	(void)umask(before);
	if (bound < 0)
		return error_errno(error, errno, "cannot listen at %s", path);
	/* From here the file is ours to remove. */
	server->path = strdup(path);
	if (server->path == NULL || lstat(path, &status) < 0) {
		(void)sys_unlink(path);
		return server->path == NULL ? error_nomem(error)
					    : error_errno(error, errno, "cannot look at %s", path);
	}
	server->device = status.st_dev;
	server->inode = status.st_ino;
	if (listen(server->fd, SOMAXCONN) < 0)
		return error_errno(error, errno, "cannot listen at %s", path);
	return NC_OK;
}

enum nc_err door_listen(struct loop *loop, const char *path, mode_t mode,
	const struct door_handler *handler, struct door_server **ret_server, struct error *error)
{
	struct door_server *server = calloc(1, sizeof(*server));
	int lock_fd = -1;
	enum nc_err err;

	if (server == NULL)
		return error_nomem(error);
	*server = (struct door_server){ .loop = loop, .fd = -1, .mode = mode, .handler = *handler };
	err = lock_directory(path, &lock_fd, error);
	if (err == NC_OK)
		err = bind_and_listen(server, path, error);
	if (lock_fd >= 0)
		(void)sys_close(lock_fd);
	if (err == NC_OK)
		err = loop_watch(
			loop, server->fd, LOOP_READ, somebody_comes, server, &server->watch, error);
	if (err != NC_OK) {
		door_server_destroy(server);
		return err;
	}
	*ret_server = server;
	return NC_OK;
}

/* Somebody may have removed our file by hand, and another process made its own there. */
static bool file_is_ours(const struct door_server *server)
{
	struct stat status;

	return server->path != NULL && lstat(server->path, &status) == 0 &&
	       status.st_dev == server->device && status.st_ino == server->inode;
}

void door_server_destroy(struct door_server *server)
{
	if (server == NULL)
		return;
	if (file_is_ours(server))
		(void)sys_unlink(server->path);
	loop_unwatch(server->watch);
	if (server->fd >= 0)
		(void)sys_close(server->fd);
	while (server->connections != NULL)
		close_connection(server->connections);
	free_dead(server);
	loop_timer_cancel(server->sweep_timer);
	loop_timer_cancel(server->pause_timer);
	free(server->path);
	free(server);
}
