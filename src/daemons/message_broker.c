/*
 * The message broker: the fixed address between workers and manager. It carries messages both ways and
 * looks into none. Runners of this host come through the local door; the manager dials in by nng; peers on
 * the network come by nng over TCP when the configuration allows it.
 *
 * It may lose what it carries: the sender asks again, with the same id (promises.md, "Broker"). So it never
 * sends a question twice, and says `retry later` when the manager is away or dies over it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/clock.h"
#include "core/system/door.h"
#include "core/system/exit_status.h"
#include "core/system/message.h"
#include "core/system/net.h"
#include "daemons/daemon.h"

enum {
	ANSWER_MS = 10000, /* the manager's time for an answer */
	OPEN_MOST = 2000,  /* questions at once; more are told to come later */
	NETWORK_CONTEXTS = 64,
};

struct broker {
	struct daemon daemon;
	struct door_server *door;
	struct net_requester *manager;
	struct net_replier *network; /* or NULL */
	size_t open;
	bool manager_is_there;
};

/* A message on its way, from one of the two sides. */
struct errand {
	struct broker *broker;
	struct door_request *door; /* or */
	struct net_request *network;
};

static void answer_bytes(struct errand *errand, const void *bytes, size_t len)
{
	if (errand->door != NULL)
		door_answer(errand->door, bytes, len);
	else
		net_answer(errand->network, bytes, len);
	errand->broker->open--;
	free(errand);
}

/* Append a reply of the broker's own: {source: message_broker, type: ..., payload: ...}. */
static void write_reply(const char *type, const char *payload, struct buffer *out)
{
	struct message message;
	struct value *text = value_text(payload);

	if (text == NULL || message_make(&message, "message_broker", type, text) != NC_OK) {
		out->failed = true;
	} else {
		message_write(&message, out);
		message_finish(&message);
	}
	value_destroy(text);
}

static void answer_words(struct errand *errand, const char *type, const char *payload)
{
	struct buffer text;

	buffer_init(&text);
	write_reply(type, payload, &text);
	/* Without memory an empty answer goes out: the sender takes it for none, and asks again. */
	answer_bytes(errand, text.data, text.failed ? 0 : text.len);
	buffer_finish(&text);
}

static void manager_answered(void *argument, enum nc_err err, const char *bytes, size_t len)
{
	struct errand *errand = argument;

	if (err == NC_OK)
		answer_bytes(errand, bytes, len);
	else
		answer_words(errand, REPLY_RETRY_LATER, "the manager is away");
}

static void carry(struct broker *broker, struct door_request *door, struct net_request *network,
	const char *bytes, size_t len)
{
	struct errand *errand = calloc(1, sizeof(*errand));

	if (errand == NULL) {
		/* On the network side nothing can be said; the sender's own time runs out. */
		if (door != NULL)
			door_drop(door);
		else
			net_answer(network, "", 0);
		return;
	}
	*errand = (struct errand){ broker, door, network };
	broker->open++;
	if (len > DOOR_FRAME_MOST)
		answer_words(errand, REPLY_BAD_MESSAGE, "the message is larger than 1 MiB");
	else if (!broker->manager_is_there)
		answer_words(errand, REPLY_RETRY_LATER, "the manager is away");
	else if (broker->open > OPEN_MOST)
		answer_words(errand, REPLY_RETRY_LATER, "too many messages are on their way");
	else if (net_ask(broker->manager, bytes, len, ANSWER_MS, manager_answered, errand, NULL) !=
		 NC_OK)
		answer_words(errand, REPLY_RETRY_LATER, "the message broker has no memory for it");
}

static void door_asked(void *argument, struct door_request *request, const struct door_peer *peer,
	const char *bytes, size_t len)
{
	carry(argument, request, NULL, bytes, len);
}

static void door_too_large(void *argument, size_t len, struct buffer *answer)
{
	write_reply(REPLY_BAD_MESSAGE, "the message is larger than 1 MiB", answer);
}

static void network_asked(
	void *argument, struct net_request *request, const char *bytes, size_t len)
{
	carry(argument, NULL, request, bytes, len);
}

static void manager_came_or_left(void *argument, unsigned peers)
{
	struct broker *broker = argument;
	bool is_there = peers > 0;

	if (is_there == broker->manager_is_there)
		return;
	broker->manager_is_there = is_there;
	if (is_there)
		log_info(broker->daemon.log, "the manager is connected");
	else
		log_warning(broker->daemon.log,
			"the manager is gone; messages are told to come again later");
}

static enum nc_err open_local(struct broker *broker, struct error *error)
{
	const struct door_handler handler = { door_asked, door_too_large, broker };
	const struct config *config = broker->daemon.config;
	struct buffer door_path, url;
	enum nc_err err;

	buffer_init(&door_path);
	buffer_init(&url);
	err = config_state_path(config, STATE_BROKER_DOOR, &door_path, error);
	/* The door first: a second broker is refused here, before it takes the other address away. */
	if (err == NC_OK)
		err = door_listen(broker->daemon.loop, door_path.data,
			config->state_group != NULL ? 0660 : 0600, &handler, &broker->door, error);
	if (err == NC_OK)
		log_info(broker->daemon.log, "worker door open at %s", door_path.data);
	buffer_append_text(&url, "ipc://");
	if (err == NC_OK)
		err = config_state_path(config, STATE_BROKER_NET, &url, error);
	if (err == NC_OK)
		err = net_requester_create(broker->daemon.loop, url.data, NET_LISTEN,
			manager_came_or_left, broker, &broker->manager, error);
	if (err == NC_OK)
		log_info(broker->daemon.log, "manager socket bound to %s", url.data);
	buffer_finish(&door_path);
	buffer_finish(&url);
	return err;
}

static enum nc_err open_network(struct broker *broker, struct error *error)
{
	const struct config *config = broker->daemon.config;
	const char *host = config->messaging_host != NULL ? config->messaging_host : "localhost";
	char url[300];
	enum nc_err err;

	if (!config->tcp_allowed || config->workers_port == 0)
		return NC_OK;
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (snprintf(url, sizeof(url), "tcp://%s:%lld", host, (long long)config->workers_port) >=
		(int)sizeof(url))
		return error_set(error, NC_ERR_LIMIT, "the host name %.60s... is too long", host);
	err = net_replier_create(broker->daemon.loop, url, NET_LISTEN, NETWORK_CONTEXTS,
		network_asked, broker, &broker->network, error);
	if (err == NC_OK)
		log_warning(broker->daemon.log,
			"worker socket bound to %s, neither encrypted nor authenticated", url);
	return err;
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool reload(void *argument, struct config *config)
{
	struct broker *broker = argument;
	const struct config *before = broker->daemon.config;

	if (!same_text(config->state_directory, before->state_directory) ||
		!same_text(config->messaging_host, before->messaging_host) ||
		config->workers_port != before->workers_port ||
		config->tcp_allowed != before->tcp_allowed)
		log_warning(broker->daemon.log, "the addresses in the configuration have changed; "
						"restart the message broker "
						"to use them");
	return true;
}

static int message_broker_run(const struct applet *self, int argc, char **argv)
{
	struct broker broker = { 0 };
	struct error error;
	enum nc_err err;

	if (!daemon_start(&broker.daemon, self, argc, argv, LOG_MODE_NORMAL))
		return broker.daemon.status;
	broker.daemon.reload = reload;
	broker.daemon.reload_argument = &broker;
	err = open_local(&broker, &error);
	if (err == NC_OK)
		err = open_network(&broker, &error);
	if (err == NC_OK) {
		daemon_ready(&broker.daemon);
		daemon_run(&broker.daemon);
	} else {
		log_critical(broker.daemon.log, "%s", error.text);
		broker.daemon.status = err == NC_ERR_REFUSED ? EXIT_TRY_AGAIN : EXIT_FAILED;
	}
	door_server_destroy(broker.door);
	net_replier_destroy(broker.network);
	net_requester_destroy(broker.manager);
	return daemon_finish(&broker.daemon);
}

const struct applet applet_message_broker = {
	.name = "message_broker",
	.kind = APPLET_DAEMON,
	.summary = "carry messages between workers and manager",
	.description =
		"The fixed address between workers and the manager. It carries messages both "
		"ways and looks into none. Runs in the foreground until it gets SIGTERM or "
		"SIGINT; SIGHUP makes it read its configuration again.",
	.run = message_broker_run,
};
