/*
 * What became of launches that nobody has reported (promises.md, "Launch"): after a restart of the manager,
 * after the end of a runner, and while launches run that are not our children.
 *
 *	no claim         it was wanted and has not begun: start a runner (again)
 *	claim held       it runs
 *	claim free       it has ended: its message is in the spool, or its exit record tells, or its runner was
 *	                 killed, and the worker with it
 *
 * What is wanted in an earlier boot of the machine is lost: so nothing is ever started twice.
 */
#include "daemons/manager_recovery.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/work/claim.h"
#include "core/work/contract.h"
#include "core/work/exit_record.h"
#include "core/work/leftovers.h"
#include "core/work/spool.h"

enum {
	LOOK_SOON_MS = 100,
	LOOK_AGAIN_MS = 1000,
	STARTS_MOST = 4, /* the first, and again after 1, 2 and 4 s */
	BY_HAND_WITHOUT_CLAIM_S = 10,
	SPOOL_LOOK_MS = 50000, /* so that each look of the minute does */
};

/* What has to be known of a launch that is open in the store. */
struct seen {
	char id[ID_TEXT_SIZE];
	enum store_state state;
	bool by_hand, same_boot;
	int64_t since_ns;
};

struct looking {
	struct manager *m;
	struct seen *seen;
	size_t count, capacity;
	bool nomem;
	bool unsettled; /* look again */
};

/* --- a launch whose runner ended before its claim --- */

static struct retry *find_retry(const struct manager *m, const char *id)
{
	struct retry *retry = m->retries;

	while (retry != NULL && strcmp(retry->launch_id, id) != 0)
		retry = retry->next;
	return retry;
}

static void forget_retry(struct manager *m, const char *id)
{
	struct retry **at = &m->retries, *gone;

	while (*at != NULL && strcmp((*at)->launch_id, id) != 0)
		at = &(*at)->next;
	gone = *at;
	if (gone != NULL) {
		*at = gone->next;
		free(gone);
	}
}

/* NULL: out of memory. */
static struct retry *note_start(struct manager *m, const char *id)
{
	struct retry *retry = find_retry(m, id);

	if (retry == NULL) {
		retry = calloc(1, sizeof(*retry));
		if (retry == NULL)
			return NULL;
		(void)snprintf(retry->launch_id, sizeof(retry->launch_id), "%s", id);
		retry->next = m->retries;
		m->retries = retry;
	}
	retry->starts++;
	/* After the N-th start: 1, 2, 4 s. */
	retry->again_ms = clock_mono_ms() + (INT64_C(1000) << (retry->starts - 1));
	return retry;
}

static void give_up(struct manager *m, const char *id, const char *reason)
{
	struct transaction t = { 0 };
	struct error error = { 0 };
	enum nc_err err = brain_launch_lost(m->brain, id, reason, clock_real_ns(), &t, &error);

	if (messages_carry_out(m, err, &t, "the loss of a launch", &error))
		forget_retry(m, id);
}

/* Start a runner for it. The one that claims it runs it; another one finds the claim and ends. */
static void start_again(struct manager *m, const char *id)
{
	struct store_launch launch = { 0 };
	struct brain_launch made = { 0 };
	struct error error = { 0 };
	enum nc_err err = store_find_launch(m->store, id, &launch, &error);

	if (err == NC_OK)
		err = brain_launch_from(&launch, &made, &error);
	if (err == NC_OK && note_start(m, id) == NULL)
		err = error_nomem(&error);
	if (err == NC_OK)
		launches_make(m, &made);
	else
		log_error(
			m->daemon.log, "a launch that is wanted could not be made: %s", error.text);
	brain_launch_finish(&made);
	store_launch_finish(&launch);
}

static bool start_or_wait(struct manager *m, const struct seen *seen)
{
	const struct retry *retry = find_retry(m, seen->id);

	if (retry != NULL && retry->starts >= STARTS_MOST && clock_mono_ms() >= retry->again_ms) {
		give_up(m, seen->id, "its runner ended several times before it had begun");
		return false;
	}
	if (retry != NULL && clock_mono_ms() < retry->again_ms)
		return true;
	start_again(m, seen->id);
	return true;
}

/* --- one that has ended --- */

static bool is_open(struct manager *m, const char *id)
{
	struct store_launch launch = { 0 };
	struct error error = { 0 };
	enum nc_err err = store_find_launch(m->store, id, &launch, &error);
	/* Not known for now is not over. */
	bool open = err == NC_OK ? launch.ended_ns == 0 : err != NC_ERR_NOT_FOUND;

	store_launch_finish(&launch);
	return open;
}

static void remove_leavings(struct manager *m, const char *id)
{
	const char *state = m->daemon.config->state_directory;
	struct error error;

	if (spool_remove(state, id, &error) != NC_OK ||
		exit_record_remove(state, id, &error) != NC_OK)
		log_warning(m->daemon.log, "what is kept of a launch cannot be removed: %s",
			error.text);
}

/* false: it has to be tried again. */
static bool take_from_spool(struct manager *m, const char *id)
{
	struct buffer bytes;
	struct error error = { 0 };
	enum nc_err err;

	buffer_init(&bytes);
	err = spool_read(m->daemon.config->state_directory, id, &bytes, &error);
	if (err == NC_OK && bytes.len > 0) {
		log_info(m->daemon.log,
			"the message of a launch whose runner has ended is taken out of the spool");
		err = messages_take(m, bytes.data, bytes.len);
		if (err == NC_OK)
			remove_leavings(m, id);
	} else if (err == NC_OK) {
		err = NC_ERR_NOT_FOUND;
	}
	buffer_finish(&bytes);
	return err == NC_OK || err == NC_ERR_NOT_FOUND;
}

/* What its exit record says, for a message that is lost; false: there is none. */
static bool reason_from_record(struct manager *m, const char *id, struct buffer *out)
{
	struct value *record = NULL;
	struct error error;
	const char *reason;

	if (exit_record_read(m->daemon.config->state_directory, id, &record, &error) != NC_OK)
		return false;
	reason = value_as_text(value_map_get(record, "reason"), NULL);
	if (reason != NULL)
		buffer_append_text(out, reason);
	else
		buffer_printf(out, "it ended with `%.100s`, and its message was lost",
			value_as_text(value_map_get(record, "type"), "an unknown type"));
	value_destroy(record);
	return true;
}

/* Nobody holds its claim. `reason`: of its end, when nothing better is known. */
static bool conclude(struct manager *m, const char *id, bool same_boot, const char *reason)
{
	struct transaction t = { 0 };
	struct error error = { 0 };
	struct buffer words;
	enum nc_err err;
	bool known;

	if (!take_from_spool(m, id))
		return false;
	if (!is_open(m, id)) {
		forget_retry(m, id);
		return true;
	}
	buffer_init(&words);
	known = reason_from_record(m, id, &words);
	if (!known)
		buffer_append_text(&words, reason);
	if (known || same_boot)
		err = brain_runner_ended(m->brain, id, words.failed ? reason : words.data,
			clock_real_ns(), &t, &error);
	else
		err = brain_launch_lost(m->brain, id, "the machine was started again while it ran",
			clock_real_ns(), &t, &error);
	buffer_finish(&words);
	if (!messages_carry_out(m, err, &t, "the end of a launch", &error))
		return false;
	remove_leavings(m, id);
	forget_retry(m, id);
	return true;
}

/* --- looking at one --- */

static bool has_leavings(struct manager *m, const char *id)
{
	const char *state = m->daemon.config->state_directory;
	struct value *record = NULL;
	struct buffer bytes;
	struct error error;
	bool found;

	buffer_init(&bytes);
	found = spool_read(state, id, &bytes, &error) == NC_OK ||
		exit_record_read(state, id, &record, &error) == NC_OK;
	buffer_finish(&bytes);
	value_destroy(record);
	return found;
}

/* The runner was killed: what the worker had started goes too (R8), and then the claim is free. */
static void end_leftovers(struct manager *m, const char *id)
{
	struct error error = { 0 };
	size_t count = 0;

	if (leftovers_signal(m->daemon.config->state_directory, id, SIGKILL, &count, &error) !=
		NC_OK)
		log_warning(m->daemon.log, "what a launch has left running cannot be ended: %s",
			error.text);
}

/* No claim. true: look again. */
static bool look_at_unclaimed(struct manager *m, const struct seen *seen)
{
	int64_t age_s = (clock_real_ns() - seen->since_ns) / NS_PER_S;

	if (seen->by_hand && seen->same_boot && age_s < BY_HAND_WITHOUT_CLAIM_S)
		return true;
	if (seen->by_hand || seen->state == STORE_RUNNING)
		give_up(m, seen->id, "nobody holds its claim");
	else if (!seen->same_boot)
		give_up(m, seen->id, "the machine was started again before it had begun");
	else
		return start_or_wait(m, seen);
	return false;
}

/* true: look again. */
static bool look_at(struct manager *m, const struct seen *seen)
{
	enum claim_state state = CLAIM_NONE;
	struct error error = { 0 };

	if (claim_look(m->daemon.config->state_directory, seen->id, &state, &error) != NC_OK) {
		log_debug(m->daemon.log, "the claim of a launch cannot be seen: %s", error.text);
		return true;
	}
	switch (state) {
	case CLAIM_NONE:
		return look_at_unclaimed(m, seen);
	case CLAIM_HELD:
		forget_retry(m, seen->id);
		if (seen->state == STORE_WANTED &&
			brain_launch_claimed(m->brain, seen->id, clock_real_ns(), &error) != NC_OK)
			log_debug(m->daemon.log, "a claim is not written down: %s", error.text);
		return true;
	case CLAIM_ORPHANED:
		/* What a worker left running after its end is left alone. */
		if (has_leavings(m, seen->id))
			return !conclude(m, seen->id, seen->same_boot, "runner killed");
		end_leftovers(m, seen->id);
		return true;
	case CLAIM_FREE:
	default:
		return !conclude(m, seen->id, seen->same_boot, "runner killed");
	}
}

/* --- all of them --- */

static bool collect(void *argument, const struct store_launch *launch)
{
	struct looking *looking = argument;
	struct seen *more;

	if (launch->state == STORE_WAITING || launches_is_ours(looking->m, launch->id))
		return true;
	if (looking->count == looking->capacity) {
		size_t capacity = looking->capacity > 0 ? 2 * looking->capacity : 64;

		more = reallocarray(looking->seen, capacity, sizeof(*more));
		looking->nomem = more == NULL;
		if (more == NULL)
			return false;
		looking->seen = more;
		looking->capacity = capacity;
	}
	looking->seen[looking->count] = (struct seen){
		.state = launch->state,
		.by_hand = launch->by_hand,
		.same_boot = strcmp(launch->boot, looking->m->boot) == 0,
		.since_ns = launch->wanted_ns,
	};
	memcpy(looking->seen[looking->count++].id, launch->id, ID_TEXT_SIZE);
	return true;
}

/* Messages of launches that the store does not know, or knows as ended: by hand, while nobody was there. */
static bool look_at_spool(struct manager *m)
{
	struct spool_list list = { 0 };
	struct error error;
	enum claim_state state;
	bool unsettled = false;

	m->spool_looked_ms = clock_mono_ms();
	if (spool_list(m->daemon.config->state_directory, &list, &error) != NC_OK) {
		log_error(m->daemon.log, "the spool cannot be read: %s", error.text);
		return true;
	}
	for (size_t i = 0; i < list.count; i++) {
		if (claim_look(m->daemon.config->state_directory, list.ids[i], &state, &error) ==
				NC_OK &&
			state != CLAIM_HELD)
			unsettled = !take_from_spool(m, list.ids[i]) || unsettled;
	}
	free(list.ids);
	return unsettled;
}

static void look_again(void *argument)
{
	struct manager *m = argument;

	m->reconcile_timer = NULL;
	recovery_look(m);
}

static void set_timer(struct manager *m, int64_t wait_ms)
{
	if (m->reconcile_timer == NULL)
		m->reconcile_wanted = loop_timer_start(m->daemon.loop, wait_ms, false, look_again,
					      m, &m->reconcile_timer, NULL) != NC_OK;
}

void recovery_when_idle(struct manager *m)
{
	if (m->reconcile_wanted)
		set_timer(m, LOOK_AGAIN_MS);
}

void recovery_look(struct manager *m)
{
	struct looking looking = { .m = m };
	struct error error = { 0 };
	enum nc_err err;

	messages_settle(m);
	if (launches_reap_unwatched(m))
		looking.unsettled = true;
	if (m->spool_looked_ms == 0 || clock_mono_ms() - m->spool_looked_ms >= SPOOL_LOOK_MS)
		looking.unsettled = look_at_spool(m) || looking.unsettled;
	err = store_open_launches(m->store, collect, &looking, &error);
	if (err != NC_OK || looking.nomem) {
		if (err != NC_OK)
			messages_trouble(m, err, &error);
		looking.unsettled = true;
	}
	for (size_t i = 0; i < looking.count; i++)
		looking.unsettled = look_at(m, &looking.seen[i]) || looking.unsettled;
	free(looking.seen);
	if (looking.unsettled)
		set_timer(m, LOOK_AGAIN_MS);
}

void recovery_soon(struct manager *m)
{
	loop_timer_cancel(m->reconcile_timer);
	m->reconcile_timer = NULL;
	set_timer(m, LOOK_SOON_MS);
}

void recovery_finish(struct manager *m)
{
	m->reconcile_wanted = false;
	loop_timer_cancel(m->reconcile_timer);
	m->reconcile_timer = NULL;
	while (m->retries != NULL)
		forget_retry(m, m->retries->launch_id);
}

/* --- a runner of ours --- */

/* Of a runner that has not reported: what its end means for whoever reads the log. */
static void print_runner_end(int status, struct buffer *out)
{
	buffer_append_text(out, WIFSIGNALED(status) ? "runner " : "runner ended with ");
	contract_end_words(status, out);
	if (WIFSIGNALED(status))
		return;
	buffer_append_text(out, " and without a report");
	if (WEXITSTATUS(status) == EXIT_USAGE)
		buffer_append_text(
			out, ": the arguments are wrong; the same command by hand says why");
	else if (WEXITSTATUS(status) == EXIT_BAD_CONFIG)
		buffer_append_text(
			out, ": it cannot run by this configuration; `nowcast check` says why");
}

static void ended_unclaimed(struct manager *m, const char *id)
{
	struct retry *retry = find_retry(m, id);

	if (retry == NULL)
		retry = note_start(m, id);
	if (retry == NULL)
		log_error(m->daemon.log, "out of memory");
	else if (retry->starts >= STARTS_MOST)
		retry->again_ms = 0; /* that was the last one */
}

/* It would end so each time that it is started. */
static bool cannot_run(int status)
{
	return WIFEXITED(status) &&
	       (WEXITSTATUS(status) == EXIT_USAGE || WEXITSTATUS(status) == EXIT_BAD_CONFIG ||
		       WEXITSTATUS(status) == EXIT_NO_SUCH_THING);
}

void recovery_runner_ended(struct manager *m, const char *launch_id, int status)
{
	enum claim_state state = CLAIM_NONE;
	struct error error = { 0 };
	struct buffer reason;

	if (!is_open(m, launch_id)) {
		/* It may have been killed between the answer and the removal of what was answered. */
		forget_retry(m, launch_id);
		if (take_from_spool(m, launch_id))
			remove_leavings(m, launch_id);
		return;
	}
	if (claim_look(m->daemon.config->state_directory, launch_id, &state, &error) != NC_OK ||
		(state != CLAIM_FREE && !(state == CLAIM_NONE && cannot_run(status)))) {
		if (state == CLAIM_NONE)
			ended_unclaimed(m, launch_id);
		else if (state == CLAIM_ORPHANED)
			end_leftovers(m, launch_id);
		recovery_soon(m);
		return;
	}
	buffer_init(&reason);
	print_runner_end(status, &reason);
	if (!conclude(m, launch_id, true, reason.failed ? "runner ended" : reason.data))
		recovery_soon(m);
	buffer_finish(&reason);
}
