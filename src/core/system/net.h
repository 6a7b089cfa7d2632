/*
 * nng, all of it in this one module: request and reply between the daemons (ipc://) and with peers on
 * the network when that is allowed (tcp://). Contexts and asynchronous I/O; nng's callbacks only queue
 * and wake the loop; every function of the caller runs in the loop's thread.
 *
 * Not nng_device: it hides the death of the manager (facts.md, B). The library's resend is off: our own
 * code sends again, with the same id (promises.md, "Broker"). Both sides limit the size of a message
 * themselves. Only what stands in nng 1.5.2 to 1.11 is used; 2.0 is refused when this is compiled.
 *
 * After the first call here the process may not fork without exec.
 *
 * Depends on core/data, core/system/loop, nng.
 */
#ifndef NOWCAST_CORE_SYSTEM_NET_H
#define NOWCAST_CORE_SYSTEM_NET_H

#include <stddef.h>
#include <stdint.h>

#include "core/data/error.h"
#include "core/system/loop.h"

enum net_side {
	NET_LISTEN, /* NC_ERR_REFUSED: the address is in use */
	NET_DIAL,   /* connects in the background, again and again */
};

enum {
	NET_MESSAGE_MOST = 4 << 20
}; /* the connection is closed above it */

/* --- who answers --- */

struct net_replier;
struct net_request;

/* A request is there; `bytes` are valid during the call only. Answer with net_answer(), now or later. */
typedef void net_request_function(
	void *argument, struct net_request *request, const char *bytes, size_t len);

/* `contexts`: how many requests may be open at once; more wait in the library. When 256 peers are connected
 * to a listener, the one that has been silent longest makes room for the next. */
enum nc_err net_replier_create(struct loop *loop, const char *url, enum net_side side,
	unsigned contexts, net_request_function *function, void *argument,
	struct net_replier **ret_replier, struct error *error);
/* Does not wait for nng_close(), which may hang in 1.5.2: closed under a watchdog, else abandoned. Requests
 * that are open are gone: answer them before. */
void net_replier_destroy(struct net_replier *replier); /* accepts NULL */

/* Answer; the request is then gone. */
void net_answer(struct net_request *request, const void *bytes, size_t len);

/* --- who asks --- */

struct net_requester;

/* NC_OK, NC_ERR_TIMEOUT, NC_ERR_CLOSED (the peer died; nothing is known of the question), NC_ERR_LIMIT */
typedef void net_answer_function(void *argument, enum nc_err err, const char *bytes, size_t len);
/* A peer has come (present) or gone. */
typedef void net_peer_function(void *argument, unsigned peers);

enum nc_err net_requester_create(struct loop *loop, const char *url, enum net_side side,
	net_peer_function *peer_function, void *argument, struct net_requester **ret_requester,
	struct error *error);
/* Accepts NULL. Open questions are not answered. */
void net_requester_destroy(struct net_requester *requester);

/* Many may be open at once. `timeout_ms` counts also while no peer is there. */
enum nc_err net_ask(struct net_requester *requester, const void *bytes, size_t len,
	int64_t timeout_ms, net_answer_function *function, void *argument, struct error *error);
unsigned net_peers(const struct net_requester *requester);

#endif
