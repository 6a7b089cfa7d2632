/*
 * The scheduler: a clock. When a slot of a schedule comes it tells the manager, through the message broker,
 * and tells again with the same id until it is answered. It never launches anything itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/clock.h"
#include "core/system/door.h"
#include "core/system/exit_status.h"
#include "core/system/id.h"
#include "core/system/message.h"
#include "daemons/daemon.h"

enum {
	LOOK_MS_MOST = 20000, /* so that a clock that is set is noticed */
	ANSWER_MS = 5000,
	AGAIN_MS_LEAST = 2000,
	AGAIN_MS_MOST = 60000,
	SLOT_SIZE = 32,
};

/* A slot is never further away than a day and a change of clocks, unless the clock was set back. */
static const int64_t AHEAD_MOST_NS = INT64_C(48) * 3600 * NS_PER_S;

/* A slot that the manager has not answered yet. */
struct due {
	char *bytes;
	size_t len;
	char what[200];
	struct due *next;
};

struct scheduler {
	struct daemon daemon;
	struct door_client *broker;
	int64_t *next_ns; /* of each schedule of the configuration */
	struct due *first, **last;
	bool asking;
	int64_t again_ms;
	struct loop_timer *timer;
};

static void ask(void *argument);

static void ask_later(struct scheduler *s)
{
	if (loop_timer_start(s->daemon.loop, s->again_ms, false, ask, s, NULL, NULL) != NC_OK)
		s->asking = false; /* the next look tries again */
	s->again_ms = s->again_ms * 2 < AGAIN_MS_MOST ? s->again_ms * 2 : AGAIN_MS_MOST;
}

static void answered(void *argument, enum nc_err err, const char *bytes, size_t len)
{
	struct scheduler *s = argument;
	struct due *due = s->first;
	struct message reply;
	const char *type;

	message_init(&reply);
	if (err != NC_OK || message_read(bytes, len, &reply, NULL) != NC_OK || reply.type == NULL ||
		strcmp(reply.type, REPLY_RETRY_LATER) == 0) {
		message_finish(&reply);
		log_warning(s->daemon.log,
			"the manager did not answer about %s; asking again in %lld s", due->what,
			(long long)(s->again_ms / MS_PER_S));
		ask_later(s);
		return;
	}
	type = reply.type;
	if (strcmp(type, REPLY_ACK) == 0)
		log_info(s->daemon.log, "told the manager: %s", due->what);
	else
		log_error(s->daemon.log, "the manager refused %s: %s", due->what, type);
	message_finish(&reply);
	s->first = due->next;
	if (s->first == NULL)
		s->last = &s->first;
	free(due->bytes);
	free(due);
	s->again_ms = AGAIN_MS_LEAST;
	ask(s);
}

/* Tell of the first slot that waits. */
static void ask(void *argument)
{
	struct scheduler *s = argument;
	struct error error;

	s->asking = s->first != NULL;
	if (!s->asking)
		return;
	if (door_ask(s->broker, s->first->bytes, s->first->len, ANSWER_MS, answered, s, &error) !=
		NC_OK) {
		log_error(s->daemon.log, "cannot tell the manager of %s: %s", s->first->what,
			error.text);
		ask_later(s);
	}
}

/* `2026-11-24T04:00`: the time that the configuration names, also on a day when clocks skip it. */
static void print_slot(
	const struct config_schedule *schedule, int64_t moment_ns, char text[SLOT_SIZE])
{
	char day[DATE_TEXT_SIZE];

	(void)snprintf(text, SLOT_SIZE, "%sT%02d:%02d", date_print(date_local(moment_ns), day),
		schedule->at_hour % 100, schedule->at_minute % 100);
}

static struct value *slot_payload(
	const struct config_schedule *schedule, const char *name, const char *slot)
{
	struct value *payload = value_map(), *arguments = value_list();
	bool well = payload != NULL && arguments != NULL;

	for (unsigned i = 0; well && i < schedule->arguments_count; i++)
		well = value_list_append(arguments, value_text(schedule->arguments[i])) == NC_OK;
	if (!well) {
		value_destroy(payload);
		value_destroy(arguments);
		return NULL;
	}
	if (value_map_put(payload, "worker", value_text(schedule->worker)) != NC_OK) {
		value_destroy(arguments);
		well = false;
	} else {
		well = value_map_put(payload, "arguments", arguments) == NC_OK &&
		       value_map_put(payload, "schedule", value_text(name)) == NC_OK &&
		       value_map_put(payload, "slot", value_text(slot)) == NC_OK;
	}
	if (!well) {
		value_destroy(payload);
		return NULL;
	}
	return payload;
}

/* `download_weather 12 every day at 05:15`: names the schedule in logs and for the manager's memory. */
static void name_schedule(const struct config_schedule *schedule, struct buffer *out)
{
	buffer_append_text(out, schedule->worker);
	for (unsigned i = 0; i < schedule->arguments_count; i++)
		buffer_printf(out, " %s", schedule->arguments[i]);
	buffer_printf(out, " every day at %02d:%02d", schedule->at_hour, schedule->at_minute);
}

static bool make_bytes(
	const struct config_schedule *schedule, const char *name, const char *slot, struct due *due)
{
	struct message message;
	struct buffer bytes;
	char id[ID_TEXT_SIZE];
	bool well;

	message_init(&message);
	buffer_init(&bytes);
	message.source = strdup("scheduler");
	message.event = strdup("due");
	message.payload = slot_payload(schedule, name, slot);
	message.id = id_make(id, NULL) == NC_OK ? strdup(id) : NULL;
	well = message.source != NULL && message.event != NULL && message.payload != NULL &&
	       message.id != NULL;
	if (well) {
		message_write(&message, &bytes);
		due->len = bytes.len;
		due->bytes = buffer_steal(&bytes);
		well = due->bytes != NULL;
	}
	message_finish(&message);
	buffer_finish(&bytes);
	return well;
}

static void slot_has_come(
	struct scheduler *s, const struct config_schedule *schedule, int64_t moment_ns)
{
	struct due *due = calloc(1, sizeof(*due));
	struct buffer name;
	char slot[SLOT_SIZE];

	print_slot(schedule, moment_ns, slot);
	buffer_init(&name);
	name_schedule(schedule, &name);
	if (due == NULL || name.failed || !make_bytes(schedule, name.data, slot, due)) {
		log_critical(
			s->daemon.log, "the slot %s of %s is lost: out of memory", slot, name.data);
		free(due);
	} else {
		(void)snprintf(
			due->what, sizeof(due->what), "the slot %s of %.150s", slot, name.data);
		*s->last = due;
		s->last = &due->next;
		if (!s->asking)
			ask(s);
	}
	buffer_finish(&name);
}

static int64_t next_moment(const struct config_schedule *schedule, int64_t now_ns)
{
	return calendar_next_daily(now_ns, schedule->at_hour, schedule->at_minute);
}

/* Tell of all slots up to now. */
static void tell_what_is_due(struct scheduler *s, int64_t now_ns)
{
	const struct config *config = s->daemon.config;

	for (unsigned i = 0; i < config->schedules_count; i++) {
		const struct config_schedule *schedule = &config->schedules[i];

		if (s->next_ns[i] <= now_ns) {
			slot_has_come(s, schedule, s->next_ns[i]);
			s->next_ns[i] = next_moment(schedule, now_ns);
		} else if (s->next_ns[i] - now_ns > AHEAD_MOST_NS) {
			s->next_ns[i] = next_moment(schedule, now_ns);
			log_warning(s->daemon.log,
				"the clock was set back by days; %s is planned anew",
				schedule->worker);
		}
	}
}

/* Which slots have come, and when to look again? */
static void look(void *argument)
{
	struct scheduler *s = argument;
	const struct config *config = s->daemon.config;
	int64_t now_ns = clock_real_ns(), wait_ms = LOOK_MS_MOST;

	s->timer = NULL;
	tell_what_is_due(s, now_ns);
	for (unsigned i = 0; i < config->schedules_count; i++) {
		if ((s->next_ns[i] - now_ns) / NS_PER_MS < wait_ms)
			wait_ms = (s->next_ns[i] - now_ns) / NS_PER_MS + 1;
	}
	if (s->first != NULL && !s->asking)
		ask(s);
	/* Without a schedule there is nothing to wake up for. */
	if (config->schedules_count > 0 && loop_timer_start(s->daemon.loop, wait_ms, false, look, s,
						   &s->timer, NULL) != NC_OK) {
		log_critical(s->daemon.log, "out of memory");
		loop_stop(s->daemon.loop, EXIT_FAILED);
	}
}

static bool plan(struct scheduler *s, const struct config *config, int64_t now_ns)
{
	int64_t *next_ns = calloc(config->schedules_count + 1, sizeof(*next_ns));

	if (next_ns == NULL) {
		log_critical(s->daemon.log, "out of memory");
		return false;
	}
	if (config->schedules_count == 0)
		log_info(s->daemon.log, "no workers are scheduled");
	for (unsigned i = 0; i < config->schedules_count; i++) {
		const struct config_schedule *schedule = &config->schedules[i];
		struct buffer name;
		char slot[SLOT_SIZE];

		next_ns[i] = next_moment(schedule, now_ns);
		buffer_init(&name);
		name_schedule(schedule, &name);
		print_slot(schedule, next_ns[i], slot);
		log_info(s->daemon.log, "scheduled %s; next at %s", name.data, slot);
		buffer_finish(&name);
	}
	free(s->next_ns);
	s->next_ns = next_ns;
	return true;
}

static bool reload(void *argument, struct config *config)
{
	struct scheduler *s = argument;
	struct loop_timer *timer = NULL;
	int64_t now_ns = clock_real_ns();

	/* The daemon takes the configuration over after this; the first look at it is then. */
	if (loop_timer_start(s->daemon.loop, 0, false, look, s, &timer, NULL) != NC_OK) {
		log_critical(s->daemon.log, "out of memory");
		return false;
	}
	/* A slot of this very moment belongs to the schedules before: those after begin with now. */
	tell_what_is_due(s, now_ns);
	if (!plan(s, config, now_ns)) {
		loop_timer_cancel(timer);
		return false;
	}
	loop_timer_cancel(s->timer);
	s->timer = timer;
	return true;
}

static bool begin(struct scheduler *s)
{
	struct buffer path;
	struct error error;
	enum nc_err err;

	buffer_init(&path);
	err = config_state_path(s->daemon.config, STATE_BROKER_DOOR, &path, &error);
	if (err == NC_OK)
		err = door_client_create(s->daemon.loop, path.data, &s->broker, &error);
	buffer_finish(&path);
	if (err != NC_OK)
		log_critical(s->daemon.log, "%s", error.text);
	return err == NC_OK && plan(s, s->daemon.config, clock_real_ns());
}

static int scheduler_run(const struct applet *self, int argc, char **argv)
{
	struct scheduler s = { .again_ms = AGAIN_MS_LEAST };

	if (!daemon_start(&s.daemon, self, argc, argv, LOG_MODE_NORMAL))
		return s.daemon.status;
	s.last = &s.first;
	s.daemon.reload = reload;
	s.daemon.reload_argument = &s;
	if (begin(&s)) {
		look(&s);
		daemon_ready(&s.daemon);
		daemon_run(&s.daemon);
	} else {
		s.daemon.status = EXIT_FAILED;
	}
	door_client_destroy(s.broker);
	while (s.first != NULL) {
		struct due *due = s.first;

		log_warning(s.daemon.log, "stopped before the manager was told of %s", due->what);
		s.first = due->next;
		free(due->bytes);
		free(due);
	}
	free(s.next_ns);
	return daemon_finish(&s.daemon);
}

const struct applet applet_scheduler = {
	.name = "scheduler",
	.kind = APPLET_DAEMON,
	.summary = "tell the manager when scheduled workers are due",
	.description =
		"Tells the manager that the time of a worker in the section `scheduled workers` of "
		"the configuration has come; the manager launches it. Runs in the foreground "
		"until it gets SIGTERM or SIGINT; SIGHUP makes it read its configuration again.",
	.run = scheduler_run,
};
