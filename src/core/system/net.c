/*
 * nng 1.5.2 to 1.11. Design: every open question or request has a context and an aio of its own; nng's
 * threads run only its callback, which posts the item to the loop and touches nothing else. So all state here
 * belongs to the loop's thread, and an item belongs to nng from its send or receive until it is posted.
 *
 * Lifetime at the end: nng_close() of 1.5.2 may hang (facts of the package, measured), so an object that is
 * destroyed is only marked; its socket is closed and its memory freed by a thread that is not waited for
 * longer than a second. When it hangs, what nng may still touch stays: a process that closes is a process
 * that ends.
 */
#include "core/system/net.h"

#include <limits.h>
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/system/clock.h"

#if NNG_MAJOR_VERSION != 1
#error "nng 1.5.2 to 1.11 is needed: version 2 has another interface"
#endif

enum {
	RECONNECT_LEAST_MS = 50,
	RECONNECT_MOST_MS = 1000,
	CLOSE_WAIT_S = 1,
	PEERS_MOST = 256, /* that a listening replier keeps */
};

static enum nc_err nng_failed(int code, const char *what, const char *url, struct error *error)
{
	if (code == NNG_ENOMEM)
		return error_nomem(error);
	return error_set(error, code == NNG_EADDRINUSE ? NC_ERR_REFUSED : NC_ERR_SYSTEM,
		"cannot %s %s: %s", what, url, nng_strerror(code));
}

static enum nc_err meaning_of(int code)
{
	switch (code) {
	case 0:
		return NC_OK;
	case NNG_ETIMEDOUT:
		return NC_ERR_TIMEOUT;
	case NNG_ENOMEM:
		return NC_ERR_NOMEM;
	case NNG_EMSGSIZE:
		return NC_ERR_LIMIT;
	default:
		return NC_ERR_CLOSED;
	}
}

/* --- a broken pipe --- */

#if NNG_MINOR_VERSION < 6
/*
 * A peer that leaves before nng has written its header makes nng 1.5.2 deaf: it takes the broken pipe (EPIPE, in
 * its own words NNG_ECLOSED) for the end of its listener or dialer, which then accepts or dials never again (nng's
 * issue 1518, mended in 1.6). Nothing tells us. So nng must never see EPIPE: this function stands before the C
 * library's in the whole process, and says ECONNRESET, after which nng goes on. It writes to connections with
 * nothing else.
 */
__attribute__((visibility("default"))) ssize_t sendmsg(
	int fd, const struct msghdr *message, int flags)
{
	ssize_t sent = syscall(SYS_sendmsg, fd, message, flags);

	if (sent < 0 && errno == EPIPE)
		errno = ECONNRESET;
	return sent;
}
#endif

/* --- closing, bounded --- */

/* A function that runs in a thread of its own, and who waits for it, not for ever. */
struct bounded {
	void (*function)(void *argument);
	void *argument;
	sem_t done;
	atomic_uint references; /* of the thread, and of who waits */
};

static void bounded_release(struct bounded *bounded)
{
	if (atomic_fetch_sub(&bounded->references, 1) != 1)
		return;
	(void)sem_destroy(&bounded->done);
	free(bounded);
}

static void *bounded_thread(void *argument)
{
	struct bounded *bounded = argument;

	bounded->function(bounded->argument);
	(void)sem_post(&bounded->done);
	bounded_release(bounded);
	return NULL;
}

/*
 * Run `function` in a thread; wait for it for CLOSE_WAIT_S. Not with pthread_timedjoin_np(): the thread
 * sanitizer of clang 14 does not see that, and ends the process at the next thread.
 */
static void run_bounded(void (*function)(void *argument), void *argument)
{
	struct bounded *bounded = calloc(1, sizeof(*bounded));
	struct timespec until;
	pthread_t thread;

	if (bounded == NULL)
		return; /* then it is closed by the end of the process */
	bounded->function = function;
	bounded->argument = argument;
	atomic_init(&bounded->references, 2);
	(void)sem_init(&bounded->done, 0, 0);
	if (pthread_create(&thread, NULL, bounded_thread, bounded) != 0) {
		(void)sem_destroy(&bounded->done);
		free(bounded);
		return;
	}
	(void)pthread_detach(thread);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_WAIT_S;
	while (sem_timedwait(&bounded->done, &until) < 0 && errno == EINTR)
		;
	bounded_release(bounded);
}

/* No callback comes any more, and a message that was on its way with the aio is ours again. */
static void free_aio(nng_aio *aio)
{
	nng_aio_stop(aio);
	if (nng_aio_get_msg(aio) != NULL)
		nng_msg_free(nng_aio_get_msg(aio));
	nng_aio_free(aio);
}

/* --- endpoints --- */

static enum nc_err start_endpoint(
	nng_socket socket, const char *url, enum net_side side, struct error *error)
{
	nng_listener listener;
	nng_dialer dialer;
	int code;

	if (side == NET_LISTEN) {
		code = nng_listener_create(&listener, socket, url);
		if (code == 0)
			code = nng_listener_set_size(listener, NNG_OPT_RECVMAXSZ, NET_MESSAGE_MOST);
		if (code == 0 && strncmp(url, "ipc:", 4) == 0)
			code = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600);
		/* A host that went down does not take a place for ever. */
		if (code == 0 && strncmp(url, "tcp:", 4) == 0)
			code = nng_listener_set_bool(listener, NNG_OPT_TCP_KEEPALIVE, true);
		if (code == 0)
			code = nng_listener_start(listener, 0);
		return code == 0 ? NC_OK : nng_failed(code, "listen at", url, error);
	}
	code = nng_dialer_create(&dialer, socket, url);
	if (code == 0)
		code = nng_dialer_set_size(dialer, NNG_OPT_RECVMAXSZ, NET_MESSAGE_MOST);
	if (code == 0)
		code = nng_dialer_set_ms(dialer, NNG_OPT_RECONNMINT, RECONNECT_LEAST_MS);
	if (code == 0)
		code = nng_dialer_set_ms(dialer, NNG_OPT_RECONNMAXT, RECONNECT_MOST_MS);
	if (code == 0)
		code = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
	return code == 0 ? NC_OK : nng_failed(code, "connect to", url, error);
}

/* --- who answers --- */

enum request_state {
	REQUEST_RECEIVING,
	REQUEST_OPEN,
	REQUEST_SENDING
};

struct net_request {
	struct net_replier *replier;
	enum request_state state;
	nng_ctx ctx;
	nng_aio *aio;
	struct loop_post post;
	atomic_bool posted; /* the loop has it */
	atomic_bool left; /* when destroyed: the other of loop and closing thread is done with it */
	struct net_request *next;
};

struct peer {
	nng_pipe pipe;
	uint64_t used; /* a count that rises with each request */
};

struct net_replier {
	struct loop *loop;
	nng_socket socket;
	net_request_function *function;
	void *argument;
	struct net_request *requests;
	atomic_bool destroyed;
	atomic_uint references; /* of its requests, and one of the owner */
	/* Who is connected, under the mutex: nng's threads write here too. */
	pthread_mutex_t mutex;
	struct peer peers[PEERS_MOST];
	unsigned peers_count;
	uint64_t uses;
};

static void replier_release(struct net_replier *replier, unsigned count)
{
	if (atomic_fetch_sub(&replier->references, count) != count)
		return;
	(void)pthread_mutex_destroy(&replier->mutex);
	free(replier);
}

/*
 * A peer comes (it is not yet among those that are served) or has gone. When all places are taken, the
 * one that has been silent longest goes: so idle connections keep nobody out (promises.md, R14), and do not
 * use up the descriptors of the process. In a thread of nng.
 */
static void replier_pipe_event(nng_pipe pipe, nng_pipe_ev event, void *argument)
{
	struct net_replier *replier = argument;
	struct peer *peers = replier->peers;
	struct peer silent = { 0 };
	unsigned at = 0;

	(void)pthread_mutex_lock(&replier->mutex);
	if (event == NNG_PIPE_EV_ADD_PRE) {
		if (replier->peers_count < PEERS_MOST) {
			at = replier->peers_count++;
		} else {
			for (unsigned i = 1; i < PEERS_MOST; i++)
				if (peers[i].used < peers[at].used)
					at = i;
			silent = peers[at];
		}
		peers[at] = (struct peer){ pipe, ++replier->uses };
	} else {
		while (at < replier->peers_count &&
			nng_pipe_id(peers[at].pipe) != nng_pipe_id(pipe))
			at++;
		if (at < replier->peers_count)
			peers[at] = peers[--replier->peers_count];
	}
	(void)pthread_mutex_unlock(&replier->mutex);
	if (nng_pipe_id(silent.pipe) > 0)
		(void)nng_pipe_close(silent.pipe);
}

static void peer_spoke(struct net_replier *replier, nng_pipe pipe)
{
	(void)pthread_mutex_lock(&replier->mutex);
	for (unsigned i = 0; i < replier->peers_count; i++)
		if (nng_pipe_id(replier->peers[i].pipe) == nng_pipe_id(pipe))
			replier->peers[i].used = ++replier->uses;
	(void)pthread_mutex_unlock(&replier->mutex);
}

static void request_done(void *argument)
{
	struct net_request *request = argument;

	if (atomic_load(&request->replier->destroyed))
		return;
	atomic_store(&request->posted, true);
	loop_post(request->replier->loop, &request->post);
}

static void receive_next(struct net_request *request)
{
	request->state = REQUEST_RECEIVING;
	nng_ctx_recv(request->ctx, request->aio);
}

static void request_step(void *argument)
{
	struct net_request *request = argument;
	struct net_replier *replier = request->replier;
	nng_msg *message;
	int code;

	if (atomic_load(&replier->destroyed)) {
		if (atomic_exchange(&request->left, true)) {
			free(request);
			replier_release(replier, 1);
		}
		return;
	}
	atomic_store(&request->posted, false);
	code = nng_aio_result(request->aio);
	if (code == NNG_ECLOSED)
		return;
	if (request->state == REQUEST_SENDING) {
		if (code != 0) { /* the peer has left: the message is still ours */
			nng_msg_free(nng_aio_get_msg(request->aio));
			nng_aio_set_msg(request->aio, NULL);
		}
		receive_next(request);
		return;
	}
	if (code != 0) {
		receive_next(request);
		return;
	}
	message = nng_aio_get_msg(request->aio);
	nng_aio_set_msg(request->aio, NULL);
	request->state = REQUEST_OPEN;
	peer_spoke(replier, nng_msg_get_pipe(message));
	replier->function(replier->argument, request, nng_msg_body(message), nng_msg_len(message));
	nng_msg_free(message);
}

void net_answer(struct net_request *request, const void *bytes, size_t len)
{
	nng_msg *message;

	if (atomic_load(&request->replier->destroyed))
		return;
	if (nng_msg_alloc(&message, 0) != 0) {
		message = NULL;
	} else if (nng_msg_append(message, bytes, len) != 0) {
		nng_msg_free(message);
		message = NULL;
	}
	if (message == NULL) {
		/* No memory for the answer: the peer asks again after its time. */
		receive_next(request);
		return;
	}
	request->state = REQUEST_SENDING;
	nng_aio_set_msg(request->aio, message);
	nng_ctx_send(request->ctx, request->aio);
}

static int add_request(struct net_replier *replier)
{
	struct net_request *request = calloc(1, sizeof(*request));
	int code;

	if (request == NULL)
		return NNG_ENOMEM;
	request->replier = replier;
	request->post.function = request_step;
	request->post.argument = request;
	code = nng_ctx_open(&request->ctx, replier->socket);
	if (code == 0)
		code = nng_aio_alloc(&request->aio, request_done, request);
	if (code != 0) {
		free(request);
		return code;
	}
	atomic_fetch_add(&replier->references, 1);
	request->next = replier->requests;
	replier->requests = request;
	receive_next(request);
	return 0;
}

enum nc_err net_replier_create(struct loop *loop, const char *url, enum net_side side,
	unsigned contexts, net_request_function *function, void *argument,
	struct net_replier **ret_replier, struct error *error)
{
	struct net_replier *replier = calloc(1, sizeof(*replier));
	enum nc_err err;
	int code;

	if (replier == NULL)
		return error_nomem(error);
	replier->loop = loop;
	replier->function = function;
	replier->argument = argument;
	atomic_init(&replier->references, 1);
	(void)pthread_mutex_init(&replier->mutex, NULL);
	code = nng_rep0_open(&replier->socket);
	if (code != 0) {
		replier_release(replier, 1);
		return nng_failed(code, "open a socket for", url, error);
	}
	if (side == NET_LISTEN) {
		code = nng_pipe_notify(
			replier->socket, NNG_PIPE_EV_ADD_PRE, replier_pipe_event, replier);
		if (code == 0)
			code = nng_pipe_notify(
				replier->socket, NNG_PIPE_EV_REM_POST, replier_pipe_event, replier);
	}
	for (unsigned i = 0; code == 0 && i < contexts; i++)
		code = add_request(replier);
	err = code == 0 ? start_endpoint(replier->socket, url, side, error)
			: nng_failed(code, "open a context for", url, error);
	if (err != NC_OK) {
		net_replier_destroy(replier);
		return err;
	}
	*ret_replier = replier;
	return NC_OK;
}

static void close_replier(void *argument)
{
	struct net_replier *replier = argument;
	struct net_request *request = replier->requests, *next;
	unsigned released = 1; /* the owner's */

	(void)nng_close(replier->socket);
	for (; request != NULL; request = next) {
		next = request->next;
		free_aio(request->aio);
		if (atomic_load(&request->posted) && !atomic_exchange(&request->left, true))
			continue; /* the loop has it, and frees it */
		free(request);
		released++;
	}
	replier_release(replier, released);
}

void net_replier_destroy(struct net_replier *replier)
{
	if (replier == NULL)
		return;
	atomic_store(&replier->destroyed, true);
	run_bounded(close_replier, replier);
}

/* --- who asks --- */

enum question_state {
	QUESTION_SENDING,
	QUESTION_WAITING
};

struct question {
	struct net_requester *requester;
	enum question_state state;
	nng_ctx ctx;
	nng_aio *aio;
	struct loop_post post;
	atomic_bool posted, left; /* as of a request */
	net_answer_function *function;
	void *argument;
	int64_t deadline_ms;
	struct question *next_free, *previous, *next;
};

struct net_requester {
	struct loop *loop;
	nng_socket socket;
	net_peer_function *peer_function;
	void *argument;
	struct question *questions, *free_questions;
	atomic_bool destroyed;
	atomic_uint
		references; /* of its questions, of peers_post while it is posted, and of the owner */
	/* Written by nng's threads under the mutex. */
	pthread_mutex_t mutex;
	unsigned peers;
	bool peers_posted;
	struct loop_post peers_post;
};

static void requester_release(struct net_requester *requester, unsigned count)
{
	if (atomic_fetch_sub(&requester->references, count) != count)
		return;
	(void)pthread_mutex_destroy(&requester->mutex);
	free(requester);
}

static void peers_changed(void *argument)
{
	struct net_requester *requester = argument;
	unsigned peers;

	(void)pthread_mutex_lock(&requester->mutex);
	peers = requester->peers;
	requester->peers_posted = false;
	(void)pthread_mutex_unlock(&requester->mutex);
	if (!atomic_load(&requester->destroyed) && requester->peer_function != NULL)
		requester->peer_function(requester->argument, peers);
	requester_release(requester, 1);
}

/* Counted from ADD_PRE on: nng's REM_POST may come before its ADD_POST, or without one, but never before ADD_PRE. */
static void pipe_event(nng_pipe pipe, nng_pipe_ev event, void *argument)
{
	struct net_requester *requester = argument;
	bool post;

	if (atomic_load(&requester->destroyed))
		return;
	(void)pthread_mutex_lock(&requester->mutex);
	if (event == NNG_PIPE_EV_ADD_PRE)
		requester->peers++;
	else if (requester->peers > 0)
		requester->peers--;
	post = !requester->peers_posted;
	requester->peers_posted = true;
	(void)pthread_mutex_unlock(&requester->mutex);
	if (post) {
		atomic_fetch_add(&requester->references, 1);
		loop_post(requester->loop, &requester->peers_post);
	}
}

unsigned net_peers(const struct net_requester *requester)
{
	struct net_requester *r = (struct net_requester *)(uintptr_t)requester; /* for its mutex */
	unsigned peers;

	(void)pthread_mutex_lock(&r->mutex);
	peers = r->peers;
	(void)pthread_mutex_unlock(&r->mutex);
	return peers;
}

static void question_done(void *argument)
{
	struct question *question = argument;

	if (atomic_load(&question->requester->destroyed))
		return;
	atomic_store(&question->posted, true);
	loop_post(question->requester->loop, &question->post);
}

/* Its context goes too: a late answer must not meet the next question. */
static void question_forget(struct question *q)
{
	if (q->previous != NULL)
		q->previous->next = q->next;
	else
		q->requester->questions = q->next;
	if (q->next != NULL)
		q->next->previous = q->previous;
	(void)nng_ctx_close(q->ctx);
	free_aio(q->aio);
	requester_release(q->requester, 1);
	free(q);
}

/* nng counts the time of each step anew. */
static void set_timeout(struct question *q)
{
	int64_t left_ms = q->deadline_ms - clock_mono_ms();

	nng_aio_set_timeout(q->aio, left_ms < 1         ? 1
				    : left_ms > INT_MAX ? INT_MAX
							: (nng_duration)left_ms);
}

static void question_step(void *argument)
{
	struct question *q = argument;
	struct net_requester *requester = q->requester;
	nng_msg *answer = NULL;
	net_answer_function *function = q->function;
	void *function_argument = q->argument;
	int code;

	if (atomic_load(&requester->destroyed)) {
		if (atomic_exchange(&q->left, true)) {
			free(q);
			requester_release(requester, 1);
		}
		return;
	}
	atomic_store(&q->posted, false);
	code = nng_aio_result(q->aio);
	if (q->state == QUESTION_SENDING && code == 0) {
		q->state = QUESTION_WAITING;
		set_timeout(q);
		nng_ctx_recv(q->ctx, q->aio);
		return;
	}
	if (q->state == QUESTION_SENDING)
		nng_msg_free(nng_aio_get_msg(q->aio));
	else if (code == 0)
		answer = nng_aio_get_msg(q->aio);
	nng_aio_set_msg(q->aio, NULL);
	if (code != 0) {
		question_forget(q);
	} else {
		q->next_free = requester->free_questions;
		requester->free_questions = q;
	}
	if (answer != NULL) {
		function(function_argument, NC_OK, nng_msg_body(answer), nng_msg_len(answer));
		nng_msg_free(answer);
	} else {
		function(function_argument, meaning_of(code), NULL, 0);
	}
}

static struct question *question_take(struct net_requester *requester, int *ret_code)
{
	struct question *q = requester->free_questions;

	if (q != NULL) {
		requester->free_questions = q->next_free;
		return q;
	}
	*ret_code = NNG_ENOMEM;
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return NULL;
	q->requester = requester;
	q->post.function = question_step;
	q->post.argument = q;
	*ret_code = nng_ctx_open(&q->ctx, requester->socket);
	if (*ret_code == 0) {
		/* Our own senders send again, with the same id. */
		*ret_code = nng_ctx_set_ms(q->ctx, NNG_OPT_REQ_RESENDTIME, -1);
		if (*ret_code == 0)
			*ret_code = nng_aio_alloc(&q->aio, question_done, q);
		if (*ret_code == 0) {
			atomic_fetch_add(&requester->references, 1);
			q->next = requester->questions;
			if (q->next != NULL)
				q->next->previous = q;
			requester->questions = q;
			return q;
		}
		(void)nng_ctx_close(q->ctx);
	}
	free(q);
	return NULL;
}

enum nc_err net_ask(struct net_requester *requester, const void *bytes, size_t len,
	int64_t timeout_ms, net_answer_function *function, void *argument, struct error *error)
{
	struct question *q;
	nng_msg *message;
	int code = 0;

	if (len > NET_MESSAGE_MOST)
		return error_set(error, NC_ERR_LIMIT, "%zu bytes are more than the limit of %d",
			len, NET_MESSAGE_MOST);
	if (nng_msg_alloc(&message, 0) != 0)
		return error_nomem(error);
	q = nng_msg_append(message, bytes, len) == 0 ? question_take(requester, &code) : NULL;
	if (q == NULL) {
		nng_msg_free(message);
		return code != 0 ? nng_failed(code, "open a context for", "a question", error)
				 : error_nomem(error);
	}
	q->state = QUESTION_SENDING;
	q->function = function;
	q->argument = argument;
	q->deadline_ms = clock_mono_ms() + timeout_ms;
	set_timeout(q);
	nng_aio_set_msg(q->aio, message);
	nng_ctx_send(q->ctx, q->aio);
	return NC_OK;
}

enum nc_err net_requester_create(struct loop *loop, const char *url, enum net_side side,
	net_peer_function *peer_function, void *argument, struct net_requester **ret_requester,
	struct error *error)
{
	struct net_requester *requester = calloc(1, sizeof(*requester));
	enum nc_err err;
	int code;

	if (requester == NULL)
		return error_nomem(error);
	requester->loop = loop;
	requester->peer_function = peer_function;
	requester->argument = argument;
	requester->peers_post.function = peers_changed;
	requester->peers_post.argument = requester;
	(void)pthread_mutex_init(&requester->mutex, NULL);
	atomic_init(&requester->references, 1);
	code = nng_req0_open(&requester->socket);
	if (code != 0) {
		requester_release(requester, 1);
		return nng_failed(code, "open a socket for", url, error);
	}
	code = nng_pipe_notify(requester->socket, NNG_PIPE_EV_ADD_PRE, pipe_event, requester);
	if (code == 0)
		code = nng_pipe_notify(
			requester->socket, NNG_PIPE_EV_REM_POST, pipe_event, requester);
	err = code == 0 ? start_endpoint(requester->socket, url, side, error)
			: nng_failed(code, "watch the peers of", url, error);
	if (err != NC_OK) {
		net_requester_destroy(requester);
		return err;
	}
	*ret_requester = requester;
	return NC_OK;
}

static void close_requester(void *argument)
{
	struct net_requester *requester = argument;
	struct question *q = requester->questions, *next;
	unsigned released = 1; /* the owner's */

	(void)nng_close(requester->socket);
	for (; q != NULL; q = next) {
		next = q->next;
		free_aio(q->aio);
		if (atomic_load(&q->posted) && !atomic_exchange(&q->left, true))
			continue;
		free(q);
		released++;
	}
	requester_release(requester, released);
}

void net_requester_destroy(struct net_requester *requester)
{
	if (requester == NULL)
		return;
	atomic_store(&requester->destroyed, true);
	run_bounded(close_requester, requester);
}
