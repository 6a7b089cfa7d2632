/*
 * The local door: request and reply over an AF_UNIX stream. Both ends.
 *
 * A frame is four bytes, its length in network order, then that many bytes (UTF-8 YAML or JSON as the
 * two sides agree; the door looks into none). One request is open at a time on a connection; the server
 * reads the next one when it has answered. Limits (promises.md, R13): a request above DOOR_FRAME_MOST is
 * answered by `too_large`, one above DOOR_FRAME_CLOSE closes the connection. A connection that is silent
 * in the middle of a frame for 30 s is closed; idle ones are the first to go when there are too many.
 *
 * The server checks the peer's uid (SO_PEERCRED): its own, root, or, when the socket is group-readable,
 * a member by the file's mode. Others are refused before a byte is read.
 *
 * Depends on core/data, core/system/loop, sys.
 */
#ifndef NOWCAST_CORE_SYSTEM_DOOR_H
#define NOWCAST_CORE_SYSTEM_DOOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/data/buffer.h"
#include "core/data/error.h"
#include "core/system/loop.h"

enum {
	DOOR_FRAME_MOST = 1 << 20,
	DOOR_FRAME_CLOSE = 4 << 20,
	DOOR_CONNECTIONS_MOST = 900,
};

/* --- the server --- */

struct door_server;
struct door_request; /* one request that waits for its answer */

struct door_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

struct door_handler {
	/*
	 * A request is there; `bytes` are valid during the call only. Answer it with door_answer(), now
	 * or later; every request must be answered or dropped once.
	 */
	void (*request)(void *argument, struct door_request *request, const struct door_peer *peer,
		const char *bytes, size_t len);
	/* A request was too large: append what to answer. */
	void (*too_large)(void *argument, size_t len, struct buffer *answer);
	void *argument;
	/*
	 * For want of descriptors or memory (`sys_errno`) not all are let in: told once. 0: they are again. NULL:
	 * nobody wants to know.
	 */
	void (*crowded)(void *argument, int sys_errno);
};

/*
 * Listen at `path`. A socket file that nobody listens on is replaced; NC_ERR_REFUSED: a living process
 * listens there. `mode` 0600 or 0660.
 */
enum nc_err door_listen(struct loop *loop, const char *path, mode_t mode,
	const struct door_handler *handler, struct door_server **ret_server, struct error *error);
/* Closes everything and removes the socket file; open requests may still be answered (to nobody). */
void door_server_destroy(struct door_server *server); /* accepts NULL */

/* Answer; the request is then gone. A peer that has left meanwhile is no error. */
void door_answer(struct door_request *request, const void *bytes, size_t len);
/* Close its connection without an answer. */
void door_drop(struct door_request *request);

/* --- the client, in a loop --- */

struct door_client;

/*
 * Called once for each door_ask(): with NC_OK and the answer, or NC_ERR_TIMEOUT, NC_ERR_CLOSED (nobody
 * listens, or the server went away), NC_ERR_REFUSED (not allowed), NC_ERR_LIMIT. After a failure the
 * client connects anew for the next question.
 */
typedef void door_answer_function(void *argument, enum nc_err err, const char *bytes, size_t len);

/* Connects when it is first asked. `path` is copied. */
enum nc_err door_client_create(
	struct loop *loop, const char *path, struct door_client **ret_client, struct error *error);
void door_client_destroy(
	struct door_client *client); /* accepts NULL; open questions are not answered */

/* One question at a time: NC_ERR_INVALID when one is open. NC_ERR_LIMIT: above DOOR_FRAME_MOST. */
enum nc_err door_ask(struct door_client *client, const void *bytes, size_t len, int64_t timeout_ms,
	door_answer_function *function, void *argument, struct error *error);

/* --- the client, without a loop (commands, log lines) --- */

/*
 * Connect, ask, wait for the answer (appended to `answer`); blocks at most `timeout_ms`. The connection is
 * kept in *fd, which is -1 at first, and again after a failure; the caller closes it.
 */
enum nc_err door_call_kept(int *fd, const char *path, const void *bytes, size_t len,
	int64_t timeout_ms, struct buffer *answer, struct error *error);

#endif
