/* The rehearsal itself: a queue of what is under way, and the brain that judges what comes out of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/simulate_internal.h"
#include "core/system/clock.h"

/* A message that will come. Each worker takes as long as any other, so that they come in the order in which
 * they were launched. */
struct coming {
	struct coming *next;
	int64_t at_ns;
	char *worker;
	char **arguments;
	size_t arguments_count;
	char *host;
	const char *type; /* the registry's, or a constant; NULL: to be chosen */
	bool last;        /* of its launch */
	char id[ID_TEXT_SIZE], token[TOKEN_TEXT_SIZE]; /* empty: it belongs to no launch */
};

struct day {
	const struct config *config;
	const struct day_wishes *wishes;
	struct store *store;
	struct brain *brain;
	struct coming *first, **last;
	int64_t under_way; /* messages in the queue */
	int64_t now_ns, begin_ns;
	int64_t messages;
	int64_t last_program;
	int64_t *runs;   /* messages of each worker of the registry */
	unsigned *slots; /* schedules that are still to come, earliest first */
	unsigned slots_count, slots_done;
	bool programs_added;
};

/* --- beginning and end --- */

static void coming_destroy(struct coming *coming)
{
	if (coming == NULL)
		return;
	for (size_t i = 0; i < coming->arguments_count; i++)
		free(coming->arguments[i]);
	free(coming->arguments);
	free(coming->worker);
	free(coming->host);
	free(coming);
}

void day_event_finish(struct day_event *event)
{
	for (size_t i = 0; i < event->arguments_count; i++)
		free(event->arguments[i]);
	free(event->arguments);
	free(event->worker);
	free(event->host);
	transaction_finish(&event->t);
	*event = (struct day_event){ 0 };
}

/* The first moment of a day here. */
static int64_t begin_of(struct date date)
{
	/* No zone is further from UTC than a day. */
	int64_t moment = (date_to_day_number(date) - 2) * 86400 * NS_PER_S;

	do
		moment = calendar_next_daily(moment, 0, 0);
	while (date_compare(date_local(moment), date) < 0);
	return moment;
}

enum nc_err day_create(const struct config *config, const struct rules *rules,
	const struct day_wishes *wishes, struct day **ret_day, struct error *error)
{
	struct day *day = calloc(1, sizeof(*day));
	enum nc_err err;

	if (day == NULL)
		return error_nomem(error);
	day->config = config;
	day->wishes = wishes;
	day->last = &day->first;
	day->begin_ns = day->now_ns = begin_of(wishes->today);
	day->runs = calloc(config->workers_count + 1, sizeof(*day->runs));
	day->slots = calloc(config->schedules_count + 1, sizeof(*day->slots));
	err = day->runs != NULL && day->slots != NULL ? store_open(NULL, &day->store, error)
						      : error_nomem(error);
	if (err == NC_OK)
		err = brain_create(config, rules, day->store, "rehearsal", &day->brain, error);
	if (err != NC_OK) {
		day_destroy(day);
		return err;
	}
	*ret_day = day;
	return NC_OK;
}

void day_destroy(struct day *day)
{
	if (day == NULL)
		return;
	while (day->first != NULL) {
		struct coming *next = day->first->next;

		coming_destroy(day->first);
		day->first = next;
	}
	brain_destroy(day->brain);
	store_close(day->store);
	free(day->runs);
	free(day->slots);
	free(day);
}

/* --- what will come --- */

static bool copy_arguments(char *const *from, size_t count, char ***ret_to, size_t *ret_count)
{
	char **to = calloc(count + 1, sizeof(*to));

	*ret_to = to;
	*ret_count = 0;
	for (size_t i = 0; to != NULL && i < count; i++) {
		to[i] = strdup(from[i]);
		if (to[i] == NULL)
			return false;
		++*ret_count;
	}
	return to != NULL;
}

/* Put a message into the queue. `launch` NULL: it is the first of the day. */
static enum nc_err expect(struct day *day, const char *worker, const struct brain_launch *launch,
	const char *type, bool last, struct error *error)
{
	struct coming *coming = calloc(1, sizeof(*coming));
	bool well;

	if (coming == NULL)
		return error_nomem(error);
	coming->at_ns = day->now_ns + (launch != NULL ? DAY_LAUNCH_SECONDS * NS_PER_S : 0);
	coming->last = last;
	coming->worker = strdup(worker);
	coming->host = strdup(launch != NULL ? launch->host : "localhost");
	coming->type = type;
	well = coming->worker != NULL && coming->host != NULL;
	if (launch != NULL) {
		memcpy(coming->id, launch->id, sizeof(coming->id));
		memcpy(coming->token, launch->token, sizeof(coming->token));
		well = well && copy_arguments(launch->arguments, launch->arguments_count,
				       &coming->arguments, &coming->arguments_count);
	}
	if (!well) {
		coming_destroy(coming);
		return error_nomem(error);
	}
	*day->last = coming;
	day->last = &coming->next;
	day->under_way++;
	return NC_OK;
}

enum nc_err day_start(struct day *day, const char *worker, const char *type, struct error *error)
{
	return expect(day, worker, NULL, type, true, error);
}

static int64_t slot_time(const struct day *day, unsigned slot)
{
	const struct config_schedule *schedule = &day->config->schedules[day->slots[slot]];

	return calendar_next_daily(day->begin_ns - 1, schedule->at_hour, schedule->at_minute);
}

void day_follow_schedules(struct day *day)
{
	for (unsigned i = 0; i < day->config->schedules_count; i++) {
		unsigned at = day->slots_count++;

		day->slots[at] = i;
		/* Those of the same time stay in the order of the file. */
		for (; at > 0 && slot_time(day, at) < slot_time(day, at - 1); at--) {
			unsigned later = day->slots[at - 1];

			day->slots[at - 1] = day->slots[at];
			day->slots[at] = later;
		}
	}
}

/* What was launched will report; who can ask for it clears the checklist first. */
static enum nc_err expect_launches(
	struct day *day, const struct transaction *t, struct error *error)
{
	enum nc_err err = NC_OK;

	for (size_t i = 0; err == NC_OK && i < t->launches_count; i++) {
		const struct brain_launch *launch = &t->launches[i];
		const struct config_worker *worker =
			config_find_worker(day->config, launch->worker);

		if (worker != NULL && config_find_type(worker, "clear checklist") != NULL)
			err = expect(day, launch->worker, launch, "clear checklist", false, error);
		if (err == NC_OK)
			err = expect(day, launch->worker, launch, NULL, true, error);
	}
	day->programs_added = day->programs_added || t->programs_added;
	return err;
}

/* --- messages --- */

/* What the runner would know: that the launch has ended, and how. */
static struct value *make_report(const struct day_report *report)
{
	struct value *map = value_map();

	if (report->reason == NULL ||
		value_map_put(map, "reason", value_text(report->reason)) == NC_OK)
		return map;
	value_destroy(map);
	return NULL;
}

static enum nc_err handle(
	struct day *day, struct message *message, struct transaction *ret_t, struct error *error)
{
	struct buffer bytes;
	enum nc_err err = NC_ERR_NOMEM;

	buffer_init(&bytes);
	message_write(message, &bytes);
	if (!bytes.failed)
		err = brain_handle(day->brain, bytes.data, bytes.len, day->now_ns, ret_t, error);
	else
		(void)error_nomem(error);
	buffer_finish(&bytes);
	return err;
}

static enum nc_err say(
	struct day *day, const struct coming *coming, struct day_event *event, struct error *error)
{
	struct message message;
	enum nc_err err;

	err = message_make(&message, coming->worker, event->report.type, event->report.payload);
	if (err != NC_OK)
		return error_nomem(error);
	if (coming->id[0] != '\0') {
		message.launch = strdup(coming->id);
		message.token = strdup(coming->token);
		message.report = coming->last ? make_report(&event->report) : NULL;
		if (message.launch == NULL || message.token == NULL ||
			(coming->last && message.report == NULL))
			err = error_nomem(error);
	}
	if (err == NC_OK)
		err = handle(day, &message, &event->t, error);
	message_finish(&message);
	return err;
}

static void note_run(struct day *day, const char *worker)
{
	for (unsigned i = 0; i < day->config->workers_count; i++)
		if (strcmp(day->config->workers[i].name, worker) == 0)
			day->runs[i]++;
}

/* The first of the queue reports. */
static enum nc_err next_message(struct day *day, struct day_event *event, struct error *error)
{
	struct coming *coming = day->first;
	enum nc_err err;

	day->first = coming->next;
	if (day->first == NULL)
		day->last = &day->first;
	day->under_way--;
	if (coming->at_ns > day->now_ns)
		day->now_ns = coming->at_ns;
	day->messages++;
	note_run(day, coming->worker);
	event->kind = DAY_MESSAGE;
	event->launched = coming->id[0] != '\0';
	day_choose_report(day->config, day->wishes, coming->worker, coming->arguments,
		coming->arguments_count, coming->type, &event->report);
	err = say(day, coming, event, error);
	event->worker = coming->worker;
	event->arguments = coming->arguments;
	event->arguments_count = coming->arguments_count;
	event->host = coming->host;
	coming->worker = coming->host = NULL;
	coming->arguments = NULL;
	coming->arguments_count = 0;
	coming_destroy(coming);
	return err;
}

/* --- the scheduler, groups, programs --- */

static struct value *slot_payload(const struct config_schedule *schedule)
{
	struct value *payload = value_map(), *arguments = value_list();
	bool well = true;

	for (unsigned i = 0; i < schedule->arguments_count; i++)
		well = value_list_append(arguments, value_text(schedule->arguments[i])) == NC_OK &&
		       well;
	well = value_map_put(payload, "arguments", arguments) == NC_OK && well;
	if (well && value_map_put(payload, "worker", value_text(schedule->worker)) == NC_OK &&
		value_map_put(payload, "schedule",
			value_text_printf("line %d: %s at %s", schedule->node, schedule->worker,
				schedule->at)) == NC_OK &&
		value_map_put(payload, "slot", value_text(schedule->at)) == NC_OK)
		return payload;
	value_destroy(payload);
	return NULL;
}

static enum nc_err next_slot(struct day *day, struct day_event *event, struct error *error)
{
	const struct config_schedule *schedule =
		&day->config->schedules[day->slots[day->slots_done]];
	struct message message;
	enum nc_err err = NC_ERR_NOMEM;

	day->now_ns = slot_time(day, day->slots_done++);
	day->messages++;
	event->kind = DAY_DUE;
	event->worker = strdup(schedule->worker);
	message_init(&message);
	message.source = strdup("scheduler");
	message.event = strdup("due");
	message.payload = slot_payload(schedule);
	if (event->worker != NULL && message.source != NULL && message.event != NULL &&
		message.payload != NULL &&
		copy_arguments(schedule->arguments, schedule->arguments_count, &event->arguments,
			&event->arguments_count))
		err = handle(day, &message, &event->t, error);
	else
		(void)error_nomem(error);
	message_finish(&message);
	return err;
}

/* No program is started here: it is taken to have nothing to say. */
static enum nc_err next_program(struct day *day, struct day_event *event, struct error *error)
{
	static const char nothing[] = "{\"next\": []}";
	struct store_program program = { 0 };
	enum nc_err err = store_next_program(day->store, day->last_program, &program, error);

	if (err != NC_OK)
		return err;
	day->last_program = program.id;
	event->kind = DAY_DECIDED;
	event->worker = strdup(value_as_text(value_at(program.argv, 0), ""));
	err = event->worker != NULL ? brain_program_ended(day->brain, program.id, nothing,
					      strlen(nothing), NULL, day->now_ns, &event->t, error)
				    : error_nomem(error);
	store_program_finish(&program);
	return err;
}

/* Nothing is under way: what still waits is given up when its time is over. */
static enum nc_err give_up(
	struct day *day, struct day_event *event, bool *ret_any, struct error *error)
{
	int64_t deadline = INT64_MAX;
	enum nc_err err = brain_next_deadline(day->brain, &deadline, error);

	*ret_any = err == NC_OK && deadline != INT64_MAX;
	if (!*ret_any)
		return err;
	day->now_ns = deadline > day->now_ns ? deadline : day->now_ns;
	event->kind = DAY_GIVE_UP;
	return brain_time_passed(day->brain, day->now_ns, &event->t, error);
}

/* --- one step --- */

static enum nc_err step(
	struct day *day, struct day_event *event, bool *ret_any, struct error *error)
{
	bool slot = day->slots_done < day->slots_count;
	enum nc_err err = NC_ERR_NOT_FOUND;

	*ret_any = true;
	if (day->programs_added)
		err = next_program(day, event, error);
	if (err != NC_ERR_NOT_FOUND)
		return err;
	day->programs_added = false;
	if (slot && (day->first == NULL || slot_time(day, day->slots_done) < day->first->at_ns))
		return next_slot(day, event, error);
	if (day->first != NULL)
		return next_message(day, event, error);
	return give_up(day, event, ret_any, error);
}

enum day_result day_step(struct day *day, struct day_event *ret_event, struct error *error)
{
	struct day_event event = { 0 };
	bool any = false;
	enum nc_err err;

	if (day->messages >= day->wishes->limit || day->under_way > day->wishes->limit)
		return day->first != NULL || day->slots_done < day->slots_count ? DAY_ENDLESS
										: DAY_IS_OVER;
	err = step(day, &event, &any, error);
	event.at_ns = day->now_ns;
	if (err == NC_OK)
		err = expect_launches(day, &event.t, error);
	if (err != NC_OK || !any) {
		day_event_finish(&event);
		return err != NC_OK ? DAY_FAILED : DAY_IS_OVER;
	}
	*ret_event = event;
	return DAY_GOES_ON;
}

/* --- for the story --- */

int64_t day_messages(const struct day *day)
{
	return day->messages;
}

int64_t day_runs(const struct day *day, unsigned worker)
{
	return day->runs[worker];
}

int64_t day_under_way(const struct day *day)
{
	return day->under_way;
}

struct value *day_status(struct day *day, struct error *error)
{
	return brain_status(day->brain, day->begin_ns, error);
}
