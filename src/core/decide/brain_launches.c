/* Launches: wanted, held back by a copy that runs, ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/utf8.h"
#include "core/decide/brain_internal.h"
#include "core/system/log.h"

/* --- values and copies --- */

struct value *brain_launch_to_value(const struct brain *brain, const struct store_launch *launch)
{
	const struct value *progress = value_map_get(brain->progress, launch->id);
	struct value *map = value_map();

	if (value_map_put(map, "launch", value_text(launch->id)) != NC_OK ||
		value_map_put(map, "worker", value_text(launch->worker)) != NC_OK ||
		value_map_put(map, "arguments", value_copy(launch->arguments)) != NC_OK ||
		value_map_put(map, "host", value_text(launch->host)) != NC_OK ||
		value_map_put(map, "pid", value_int(launch->pid)) != NC_OK ||
		value_map_put(map, "since", value_int(launch->wanted_ns / 1000000000)) != NC_OK ||
		value_map_put(map, "by hand", value_bool(launch->by_hand)) != NC_OK ||
		value_map_put(map, "state", value_text(store_state_name(launch->state))) != NC_OK ||
		value_map_put(map, "attempt", value_int(launch->attempt)) != NC_OK ||
		value_map_put(map, "why",
			launch->why != NULL ? value_text(launch->why) : value_null()) != NC_OK ||
		(progress != NULL &&
			value_map_put(map, "progress", value_copy(progress)) != NC_OK)) {
		value_destroy(map);
		return NULL;
	}
	return map;
}

struct search {
	struct judgement *j;
	const struct value *arguments;
	const char *id; /* not this one; may be NULL */
	struct value *found;
	bool failed;
};

static bool is_copy(const struct search *search, const struct store_launch *launch)
{
	return (search->id == NULL || strcmp(launch->id, search->id) != 0) &&
	       value_equal(launch->arguments, search->arguments);
}

static bool add_copy(void *argument, const struct store_launch *launch)
{
	struct search *search = argument;

	if (is_copy(search, launch) &&
		value_list_append(search->found, brain_launch_to_value(search->j->brain, launch)) !=
			NC_OK)
		search->failed = true;
	return !search->failed;
}

struct value *brain_copies(
	struct judgement *j, const char *worker, const struct value *arguments, const char *id)
{
	struct search search = { .j = j, .arguments = arguments, .id = id, .found = value_list() };
	enum nc_err err = search.found != NULL ? store_open_launches_of(j->brain->store, worker,
							 add_copy, &search, j->error)
					       : error_nomem(j->error);

	if (err == NC_OK && search.failed)
		err = error_nomem(j->error);
	if (err == NC_OK)
		return search.found;
	value_destroy(search.found);
	return NULL;
}

/* --- a new one --- */

/* Ids, texts and arguments; what is there of it belongs to the transaction, also on failure. */
static enum nc_err fill_launch(struct brain_launch *launch, const struct rules_launch *wanted,
	const char *why, struct error *error)
{
	enum nc_err err = id_make(launch->id, error);

	if (err == NC_OK)
		err = token_make(launch->token, error);
	if (err != NC_OK)
		return err;
	launch->worker = strdup(wanted->worker);
	launch->host = strdup(wanted->host);
	launch->why = strdup(why);
	if (launch->why != NULL)
		utf8_mend(launch->why);
	launch->arguments = calloc(wanted->arguments_count + 1, sizeof(*launch->arguments));
	if (launch->worker == NULL || launch->host == NULL || launch->why == NULL ||
		launch->arguments == NULL)
		return error_nomem(error);
	for (size_t i = 0; i < wanted->arguments_count; i++) {
		launch->arguments[i] = strdup(wanted->arguments[i]);
		if (launch->arguments[i] == NULL)
			return error_nomem(error);
		launch->arguments_count++;
	}
	return NC_OK;
}

static struct value *arguments_value(const struct brain_launch *launch)
{
	struct value *list = value_list();

	for (size_t i = 0; list != NULL && i < launch->arguments_count; i++) {
		if (value_list_append(list, value_text(launch->arguments[i])) != NC_OK) {
			value_destroy(list);
			return NULL;
		}
	}
	return list;
}

/* The copies that run are to end, those that wait are given up. */
enum nc_err brain_replace_copies(struct judgement *j, const struct value *copies)
{
	struct transaction *t = &j->t;
	struct brain_end *ends =
		reallocarray(t->ends, t->ends_count + value_count(copies), sizeof(*ends));
	enum nc_err err = NC_OK;

	if (ends == NULL)
		return error_nomem(j->error);
	t->ends = ends;
	for (size_t i = 0; err == NC_OK && i < value_count(copies); i++) {
		const struct value *copy = value_at(copies, i);
		const char *id = value_as_text(value_map_get(copy, "launch"), "");
		const char *state = value_as_text(value_map_get(copy, "state"), "");
		struct brain_end *end = &ends[t->ends_count];

		if (strcmp(state, store_state_name(STORE_WAITING)) == 0) {
			err = store_launch_ended(j->brain->store, id, STORE_ENDED, "replaced", NULL,
				j->real_ns, j->error);
			continue;
		}
		(void)snprintf(end->id, sizeof(end->id), "%s", id);
		end->pid = value_as_int(value_map_get(copy, "pid"), 0);
		t->ends_count++;
	}
	return err;
}

static int policy_of(const struct judgement *j, const char *worker)
{
	return config_find_program(j->brain->config, worker)->if_running;
}

/* What `if running` makes of a launch with `copies`. */
static enum nc_err hold_back(
	struct judgement *j, struct store_launch *row, const struct value *copies)
{
	int policy = policy_of(j, row->worker);

	if (policy == IF_RUNNING_REFUSE) {
		row->state = STORE_ENDED;
		brain_note(j, LEVEL_WARNING,
			"%s is not launched (%s): it runs already with the same arguments (`if "
			"running: refuse`)",
			row->worker, row->why);
		return NC_OK;
	}
	row->state = STORE_WAITING;
	brain_note(j, LEVEL_INFO,
		"%s waits until the one with the same arguments has ended (`if running: %s`)",
		row->worker, policy == IF_RUNNING_WAIT ? "wait" : "replace");
	return policy == IF_RUNNING_REPLACE ? brain_replace_copies(j, copies) : NC_OK;
}

static enum nc_err apply_policy(struct judgement *j, struct store_launch *row)
{
	struct value *copies = brain_copies(j, row->worker, row->arguments, NULL);
	enum nc_err err = NC_OK;

	if (copies == NULL)
		return j->error->code;
	if (value_count(copies) > 0)
		err = hold_back(j, row, copies);
	value_destroy(copies);
	return err;
}

/* The launch as a row; nothing in it is the row's but `arguments`. */
static enum nc_err write_down(
	struct judgement *j, const struct brain_launch *launch, enum store_state *ret_state)
{
	struct store_launch row = { .worker = launch->worker,
		.arguments = arguments_value(launch),
		.host = launch->host,
		.boot = j->brain->boot,
		.why = launch->why,
		.state = STORE_WANTED,
		.wanted_ns = j->real_ns,
		.attempt = 1 };
	enum nc_err err = NC_OK;

	if (row.arguments == NULL)
		return error_nomem(j->error);
	memcpy(row.id, launch->id, sizeof(row.id));
	memcpy(row.token, launch->token, sizeof(row.token));
	if (policy_of(j, row.worker) != IF_RUNNING_ALLOW)
		err = apply_policy(j, &row);
	if (err == NC_OK)
		err = store_add_launch(j->brain->store, &row, j->error);
	if (err == NC_OK && row.state == STORE_ENDED)
		err = store_launch_ended(j->brain->store, row.id, STORE_ENDED, "refused", NULL,
			j->real_ns, j->error);
	*ret_state = row.state;
	value_destroy(row.arguments);
	return err;
}

enum nc_err brain_want_launch(
	struct judgement *j, const struct rules_launch *wanted, const char *why)
{
	struct transaction *t = &j->t;
	struct brain_launch *launches =
		reallocarray(t->launches, t->launches_count + 1, sizeof(*launches));
	struct brain_launch *launch;
	enum store_state state = STORE_WANTED;
	enum nc_err err;

	if (launches == NULL)
		return error_nomem(j->error);
	t->launches = launches;
	launch = &launches[t->launches_count++];
	*launch = (struct brain_launch){ 0 };
	err = fill_launch(launch, wanted, why, j->error);
	if (err == NC_OK)
		err = write_down(j, launch, &state);
	if (err == NC_OK && state != STORE_WANTED) {
		brain_launch_finish(launch);
		t->launches_count--;
	}
	return err;
}

/* --- its end --- */

enum nc_err brain_launch_from(
	const struct store_launch *launch, struct brain_launch *ret_launch, struct error *error)
{
	struct brain_launch made = { 0 };
	size_t count = value_count(launch->arguments);
	bool well;

	memcpy(made.id, launch->id, sizeof(made.id));
	memcpy(made.token, launch->token, sizeof(made.token));
	made.worker = strdup(launch->worker);
	made.host = strdup(launch->host);
	made.why = strdup(launch->why != NULL ? launch->why : "");
	made.arguments = calloc(count + 1, sizeof(*made.arguments));
	well = made.worker != NULL && made.host != NULL && made.why != NULL &&
	       made.arguments != NULL;
	for (size_t i = 0; well && i < count; i++) {
		made.arguments[i] = strdup(value_as_text(value_at(launch->arguments, i), ""));
		well = made.arguments[i] != NULL;
		made.arguments_count += well;
	}
	if (!well) {
		brain_launch_finish(&made);
		return error_nomem(error);
	}
	*ret_launch = made;
	return NC_OK;
}

struct waiting {
	struct judgement *j;
	const struct value *arguments;
	struct brain_launch launch; /* the first that waits; no worker: none */
	enum nc_err err;
};

static bool take_waiting(void *argument, const struct store_launch *launch)
{
	struct waiting *waiting = argument;

	if (!value_equal(launch->arguments, waiting->arguments))
		return true;
	waiting->err = brain_launch_from(launch, &waiting->launch, waiting->j->error);
	return false;
}

static enum nc_err add_to_transaction(struct judgement *j, struct brain_launch *launch)
{
	struct transaction *t = &j->t;
	struct brain_launch *launches =
		reallocarray(t->launches, t->launches_count + 1, sizeof(*launches));

	if (launches == NULL) {
		brain_launch_finish(launch);
		return error_nomem(j->error);
	}
	t->launches = launches;
	launches[t->launches_count++] = *launch;
	return NC_OK;
}

static bool is_in_the_way(void *argument, const struct store_launch *launch)
{
	struct search *search = argument;

	search->failed = launch->state != STORE_WAITING && is_copy(search, launch);
	return !search->failed;
}

/* One that waited for the end of this one. */
static enum nc_err release_waiting(struct judgement *j, const struct store_launch *ended)
{
	struct waiting waiting = { .j = j, .arguments = ended->arguments };
	struct search others = { .j = j, .arguments = ended->arguments };
	enum nc_err err = store_waiting_launches(
		j->brain->store, ended->worker, take_waiting, &waiting, j->error);

	if (err == NC_OK)
		err = waiting.err;
	if (err != NC_OK || waiting.launch.worker == NULL)
		return err;
	err = store_open_launches_of(
		j->brain->store, ended->worker, is_in_the_way, &others, j->error);
	if (err == NC_OK && !others.failed)
		err = store_launch_runs(
			j->brain->store, waiting.launch.id, STORE_WANTED, 0, 1, 0, j->error);
	if (err == NC_OK && !others.failed)
		return add_to_transaction(j, &waiting.launch);
	brain_launch_finish(&waiting.launch);
	return err;
}

/* A launch by hand of which only the end was heard. */
static enum nc_err register_ended(struct judgement *j)
{
	const struct message *message = j->message;
	const struct value *arguments = value_map_get(message->report, "arguments");
	struct store_launch *launch = &j->launch;

	*launch = (struct store_launch){ .state = STORE_RUNNING,
		.wanted_ns = j->real_ns,
		.attempt = value_as_int(value_map_get(message->report, "attempt"), 1),
		.by_hand = true };
	memcpy(launch->id, message->launch, strlen(message->launch) + 1);
	launch->worker = strdup(message->source);
	launch->arguments = value_is(arguments, VALUE_LIST) ? value_copy(arguments) : value_list();
	launch->host = strdup("localhost");
	launch->boot = strdup(j->brain->boot);
	launch->why = strdup("by hand");
	if (launch->worker == NULL || launch->arguments == NULL || launch->host == NULL ||
		launch->boot == NULL || launch->why == NULL)
		return error_nomem(j->error);
	j->launch_known = true;
	return store_add_launch(j->brain->store, launch, j->error);
}

enum nc_err brain_close_launch(struct judgement *j, const char *type)
{
	struct brain *brain = j->brain;
	enum nc_err err = NC_OK;

	if (!j->launch_known && !id_is_valid(j->message->launch))
		return NC_OK;
	if (!j->launch_known)
		err = register_ended(j);
	if (err == NC_OK)
		err = store_launch_ended(brain->store, j->launch.id,
			j->lost ? STORE_LOST : STORE_ENDED, type, j->message->report, j->real_ns,
			j->error);
	(void)value_map_remove(brain->progress, j->launch.id);
	return err == NC_OK ? release_waiting(j, &j->launch) : err;
}

/* --- what the daemon tells of the launches --- */

/* In the place of a runner that cannot report. */
static enum nc_err make_report(const struct store_launch *launch, const char *type,
	const char *reason, struct message *message)
{
	enum nc_err err = message_make(message, launch->worker, type, NULL);

	if (err != NC_OK)
		return err;
	message->launch = strdup(launch->id);
	message->report = value_map();
	if (message->launch == NULL ||
		value_map_put(message->report, "reason", value_text(reason)) != NC_OK) {
		message_finish(message);
		return NC_ERR_NOMEM;
	}
	return NC_OK;
}

static enum nc_err launch_again(struct judgement *j)
{
	struct brain_launch again = { 0 };
	struct rules_launch wanted;
	enum nc_err err = brain_launch_from(&j->launch, &again, j->error);

	if (err != NC_OK)
		return err;
	wanted = (struct rules_launch){ .worker = again.worker,
		.arguments = again.arguments,
		.arguments_count = again.arguments_count,
		.host = again.host };
	brain_note(j, LEVEL_WARNING, "%s was lost and is launched again (`if lost: launch again`)",
		again.worker);
	err = brain_want_launch(j, &wanted, "lost, and launched again");
	brain_launch_finish(&again);
	return err;
}

static bool wants_again(const struct judgement *j)
{
	const char *worker = j->launch.worker;

	return j->lost && !j->launch.by_hand &&
	       config_find_worker(j->brain->config, worker) != NULL &&
	       config_find_program(j->brain->config, worker)->if_lost == IF_LOST_LAUNCH_AGAIN;
}

static enum nc_err judge_end(struct judgement *j, struct message *message, const char *reason)
{
	const char *type = j->lost ? "lost" : "crash";
	enum nc_err err;

	if (make_report(&j->launch, type, reason, message) != NC_OK)
		return error_nomem(j->error);
	if (j->brain->failed_starts <= FAILED_STARTS_MOST) {
		err = brain_handle_typed(j);
	} else {
		brain_note_received(j, NULL);
		brain_note(j, LEVEL_CRITICAL,
			"more than %d launches could not be made one after the other: the rules "
			"are not asked what to launch after this one",
			FAILED_STARTS_MOST);
		err = brain_end_without_rules(j);
	}
	/* Also when the worker is no longer registered: the launch is over. */
	if (err == NC_OK)
		err = brain_close_launch(j, type);
	if (err == NC_OK && wants_again(j))
		err = launch_again(j);
	return err;
}

/* The launch is over and nobody has reported: the rules see `crash` or `lost`. One that is over already, or
 * is not known, changes nothing. */
static enum nc_err report_end(struct brain *brain, const char *launch_id, const char *reason,
	bool lost, int64_t real_ns, struct transaction *ret_transaction, struct error *error)
{
	struct message message;
	struct error why = { 0 };
	struct judgement j = {
		.brain = brain, .message = &message, .real_ns = real_ns, .error = &why, .lost = lost
	};
	enum nc_err err;

	message_init(&message);
	err = judgement_begin(&j);
	if (err == NC_OK)
		err = store_find_launch(brain->store, launch_id, &j.launch, &why);
	j.launch_known = err == NC_OK;
	if (err == NC_OK && j.launch.ended_ns == 0)
		err = judge_end(&j, &message, reason);
	if (err == NC_ERR_NOT_FOUND)
		err = NC_OK;
	err = judgement_end(&j, err, ret_transaction);
	message_finish(&message);
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}

enum nc_err brain_launch_failed(struct brain *brain, const char *launch_id, const char *reason,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error)
{
	enum nc_err err;

	brain->failed_starts++;
	err = report_end(brain, launch_id, reason, false, real_ns, ret_transaction, error);
	/* It will be told again, and is one failure all the same. */
	if (err != NC_OK)
		brain->failed_starts--;
	return err;
}

enum nc_err brain_runner_ended(struct brain *brain, const char *launch_id, const char *reason,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error)
{
	brain->failed_starts = 0;
	return report_end(brain, launch_id, reason, false, real_ns, ret_transaction, error);
}

enum nc_err brain_launch_lost(struct brain *brain, const char *launch_id, const char *reason,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error)
{
	return report_end(brain, launch_id, reason, true, real_ns, ret_transaction, error);
}

enum nc_err brain_launch_claimed(
	struct brain *brain, const char *launch_id, int64_t real_ns, struct error *error)
{
	return store_launch_runs(brain->store, launch_id, STORE_CLAIMED, 0, 1, real_ns, error);
}
