/*
 * The message broker: the fixed address between workers and manager. It carries messages both ways and
 * looks into none. Runners of this host come through the local door; the manager dials in by nng; peers on
 * the network come by nng over TCP when the configuration allows it.
 *
 * It may lose what it carries: the sender asks again, with the same id (promises.md, "Broker"). So it never
 * sends a question twice, and says `retry later` when the manager dies over it, or has not come within a
 * moment: a manager that is started again is mostly back in time, and nobody has to ask again.
 */
#include <inttypes.h>
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
	ANSWER_MS = 10000,     /* the manager's time for an answer */
	HOLD_MS = 1500,        /* for a manager that is away; runners ask again after 2 s */
	OPEN_MOST = 2000,      /* on their way or held at once, */
	BYTES_MOST = 64 << 20, /* and their bytes; more are told to come later */
	NETWORK_CONTEXTS = 64,
	VERSION_MS = 2000,    /* the manager's time to say its version */
	VERSION_WAIT_MS = 20, /* to ask a manager again that could not say its version */
	VERSION_SIZE = 40,
};

struct broker {
	struct daemon daemon;
	struct door_server *door;
	struct net_requester *manager;
	struct net_replier *network; /* or NULL */
	bool manager_is_there;
	bool asking_version;     /* of one that has come */
	bool manager_is_strange; /* it is of another version, and gets nothing */
	struct loop_timer *version_timer;
	struct errand *errands; /* all that have no answer yet, the youngest first */
	size_t open, open_bytes;
	struct loop_timer *hold_timer; /* while one is held */
	uint64_t answered, put_off;
};

/* A message that has no answer yet, from one of the two sides. */
struct errand {
	struct broker *broker;
	struct door_request *door; /* or */
	struct net_request *network;
	char *held; /* its bytes, while the manager is away; else they are with it, and this is NULL */
	size_t len;
	int64_t held_until_ms;
	struct errand *previous, *next;
};

static void answer_bytes(struct errand *errand, const void *bytes, size_t len)
{
	struct broker *broker = errand->broker;

	if (errand->previous != NULL)
		errand->previous->next = errand->next;
	else
		broker->errands = errand->next;
	if (errand->next != NULL)
		errand->next->previous = errand->previous;
	broker->open--;
	broker->open_bytes -= errand->len;
	if (errand->door != NULL)
		door_answer(errand->door, bytes, len);
	else
		net_answer(errand->network, bytes, len);
	free(errand->held);
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

static void put_off(struct errand *errand, const char *why)
{
	errand->broker->put_off++;
	answer_words(errand, REPLY_RETRY_LATER, why);
}

static void manager_answered(void *argument, enum nc_err err, const char *bytes, size_t len)
{
	struct errand *errand = argument;

	if (err == NC_OK) {
		errand->broker->answered++;
		answer_bytes(errand, bytes, len);
	} else if (err == NC_ERR_TIMEOUT) {
		put_off(errand, "the manager does not answer");
	} else {
		put_off(errand, "the manager has gone while it had the message");
	}
}

static void ask_manager(struct errand *errand, const char *bytes)
{
	if (net_ask(errand->broker->manager, bytes, errand->len, ANSWER_MS, manager_answered,
		    errand, NULL) != NC_OK)
		put_off(errand, "the message broker has no memory for it");
}

static void look_after_held(void *argument)
{
	struct broker *broker = argument;
	struct errand *errand, *next;
	int64_t now_ms = clock_mono_ms();
	int64_t first_ms = INT64_MAX;

	broker->hold_timer = NULL;
	for (errand = broker->errands; errand != NULL; errand = next) {
		next = errand->next;
		if (errand->held == NULL)
			continue;
		if (errand->held_until_ms <= now_ms)
			put_off(errand, "the manager is away");
		else if (errand->held_until_ms < first_ms)
			first_ms = errand->held_until_ms;
	}
	/* Without memory for a timer the next message looks after all. */
	if (first_ms < INT64_MAX)
		(void)loop_timer_start(broker->daemon.loop, first_ms - now_ms, false,
			look_after_held, broker, &broker->hold_timer, NULL);
}

static void ask_version(struct broker *broker);

static void hold(struct errand *errand, const char *bytes)
{
	struct broker *broker = errand->broker;

	if (broker->manager_is_strange) {
		put_off(errand, "the manager is of another version than the message broker");
		return;
	}
	/* There was no memory to ask it, nor for a timer. */
	if (net_peers(broker->manager) > 0 && !broker->asking_version &&
		broker->version_timer == NULL)
		ask_version(broker);
	errand->held = malloc(errand->len + 1);
	if (errand->held == NULL) {
		put_off(errand, "the manager is away");
		return;
	}
	memcpy(errand->held, bytes, errand->len);
	errand->held_until_ms = clock_mono_ms() + HOLD_MS;
	if (broker->hold_timer == NULL)
		look_after_held(broker);
}

static void ask_held(struct broker *broker)
{
	struct errand *errand, *previous = broker->errands;

	/* In the order in which they came. */
	while (previous != NULL && previous->next != NULL)
		previous = previous->next;
	while ((errand = previous) != NULL) {
		char *held = errand->held;

		previous = errand->previous;
		if (held == NULL)
			continue;
		errand->held = NULL;
		ask_manager(errand, held);
		free(held);
	}
}

static void carry(struct broker *broker, struct door_request *door, struct net_request *network,
	const char *bytes, size_t len)
{
	struct errand *errand = calloc(1, sizeof(*errand));

	if (errand == NULL) {
		/* Without memory an empty answer goes out on the network side, as in answer_words(). */
		if (door != NULL)
			door_drop(door);
		else
			net_answer(network, "", 0);
		return;
	}
	*errand = (struct errand){ .broker = broker,
		.door = door,
		.network = network,
		.len = len,
		.next = broker->errands };
	if (errand->next != NULL)
		errand->next->previous = errand;
	broker->errands = errand;
	broker->open++;
	broker->open_bytes += len;
	if (len > DOOR_FRAME_MOST)
		answer_words(errand, REPLY_BAD_MESSAGE, "the message is larger than 1 MiB");
	else if (broker->open > OPEN_MOST || broker->open_bytes > BYTES_MOST)
		put_off(errand, "too many messages are on their way");
	else if (broker->manager_is_there)
		ask_manager(errand, bytes);
	else
		hold(errand, bytes);
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

/* --- the manager comes and leaves --- */

static void ask_version_again(void *argument)
{
	struct broker *broker = argument;

	broker->version_timer = NULL;
	if (net_peers(broker->manager) > 0)
		ask_version(broker);
}

enum answer {
	ANSWER_SAME,
	ANSWER_OTHER,
	ANSWER_NONE
};

/* What it says of itself goes into `shown`; an answer of another kind is one of another version. */
static enum answer read_version(const char *bytes, size_t len, char shown[VERSION_SIZE])
{
	struct message reply;
	const char *version = NULL;
	enum answer answer = ANSWER_OTHER;
	enum nc_err err = message_read(bytes, len, &reply, NULL);

	(void)snprintf(shown, VERSION_SIZE, "unknown");
	/* Here or there no memory: an answer that is no answer. */
	if (err == NC_ERR_NOMEM || len == 0)
		return ANSWER_NONE;
	if (err != NC_OK)
		return ANSWER_OTHER;
	if (reply.type != NULL && strcmp(reply.type, REPLY_RETRY_LATER) == 0)
		answer = ANSWER_NONE;
	else if (reply.type != NULL && strcmp(reply.type, REPLY_ACK) == 0)
		version = value_as_text(value_map_get(reply.payload, "version"), NULL);
	if (version != NULL)
		(void)snprintf(shown, VERSION_SIZE, "%s", version);
	message_finish(&reply);
	return strcmp(shown, NOWCAST_VERSION) == 0 ? ANSWER_SAME : answer;
}

/* Without memory for a timer the next message has it asked. */
static void ask_version_later(struct broker *broker)
{
	if (broker->version_timer == NULL)
		(void)loop_timer_start(broker->daemon.loop, VERSION_WAIT_MS, false,
			ask_version_again, broker, &broker->version_timer, NULL);
}

static void take_manager(struct broker *broker)
{
	broker->manager_is_there = true;
	log_info(broker->daemon.log, "the manager is connected");
	ask_held(broker);
}

static void refuse_manager(struct broker *broker, const char *version)
{
	broker->manager_is_strange = true;
	log_critical(broker->daemon.log,
		"the manager is of version %s, and this message broker of version %s: they do not "
		"work together, and messages are told to come again later; `nowcast restart` "
		"starts all anew",
		version, NOWCAST_VERSION);
}

static void manager_told_version(void *argument, enum nc_err err, const char *bytes, size_t len)
{
	struct broker *broker = argument;
	char shown[VERSION_SIZE];
	enum answer answer = ANSWER_NONE;

	broker->asking_version = false;
	if (net_peers(broker->manager) == 0)
		return;
	/* Else it has come anew meanwhile, or has much to do. */
	if (err == NC_OK)
		answer = read_version(bytes, len, shown);
	if (answer == ANSWER_SAME)
		take_manager(broker);
	else if (answer == ANSWER_OTHER)
		refuse_manager(broker, shown);
	else
		ask_version_later(broker);
}

/* Two versions may differ in what they say to each other: better none than a wrong one. */
static void ask_version(struct broker *broker)
{
	static const char question[] = "{source: message_broker, event: version}\n";

	broker->asking_version = net_ask(broker->manager, question, strlen(question), VERSION_MS,
					 manager_told_version, broker, NULL) == NC_OK;
	if (!broker->asking_version)
		ask_version_later(broker);
}

static void manager_came_or_left(void *argument, unsigned peers)
{
	struct broker *broker = argument;

	if (peers == 0) {
		if (broker->manager_is_there)
			log_warning(broker->daemon.log,
				"the manager is gone; messages are told to come again later");
		broker->manager_is_there = false;
		broker->manager_is_strange = false;
	} else if (!broker->manager_is_there && !broker->asking_version) {
		ask_version(broker);
	}
}

/* What the manager may still do with a message is repeated by it when the sender asks again. */
static void end(struct broker *broker)
{
	struct errand *errand = broker->errands, *next;

	for (; errand != NULL; errand = next) {
		next = errand->next;
		put_off(errand, "the message broker is shutting down");
	}
	if (broker->answered + broker->put_off > 0)
		log_info(broker->daemon.log,
			"%" PRIu64 " messages were answered by the manager, %" PRIu64
			" were told to come again later",
			broker->answered, broker->put_off);
	loop_timer_cancel(broker->hold_timer);
	loop_timer_cancel(broker->version_timer);
	door_server_destroy(broker->door);
	net_replier_destroy(broker->network);
	net_requester_destroy(broker->manager);
}

static void door_crowded(void *argument, int sys_errno)
{
	struct broker *broker = argument;

	daemon_door_crowded(&broker->daemon, "worker door", sys_errno);
}

static enum nc_err open_local(struct broker *broker, struct error *error)
{
	const struct door_handler handler = {
		.request = door_asked,
		.too_large = door_too_large,
		.argument = broker,
		.crowded = door_crowded,
	};
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
						"restart the message broker to use them");
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
	end(&broker);
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
