/*
 * The beginning: the manager is told what runs. A launch of the manager's starts meanwhile; one by hand waits
 * for the answer, which may say that it must not start, or not yet.
 */
#include "core/work/runner_internal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/system/exit_status.h"

enum {
	BY_HAND_WAIT_MS = 2000, /* for the manager, before a worker by hand starts without it */
};

/* Seconds since the epoch, as the clock on the wall showed them. */
static void print_since(const struct value *since, struct buffer *out)
{
	time_t seconds = (time_t)value_as_int(since, -1);
	char text[40];
	struct tm tm;

	if (seconds >= 0 && localtime_r(&seconds, &tm) != NULL &&
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) > 0)
		buffer_printf(out, " since %s", text);
}

/* Copies with the same arguments: named, so that a person does not start a second one unawares. */
static void name_running(const struct runner *r, const struct message *reply, const char *words)
{
	const struct value *running = value_map_get(reply->payload, "running");

	for (size_t i = 0; i < value_count(running); i++) {
		const struct value *one = value_at(running, i);
		struct buffer text;

		buffer_init(&text);
		buffer_printf(&text, "%s: process ", words);
		(void)value_print_scalar(value_map_get(one, "pid"), &text);
		print_since(value_map_get(one, "since"), &text);
		runner_say(r, "%s", text.data);
		buffer_finish(&text);
	}
}

/* The programs understand each other, or one would have refused; but it is not what somebody meant. */
static void compare_versions(struct runner *r, const char *manager, const char *words)
{
	if (manager == NULL || strcmp(manager, NOWCAST_VERSION) == 0)
		return;
	log_warning(r->log,
		"%s is of version %s, and this program of version %s; restart the system to have "
		"one version in all of it",
		words, manager, NOWCAST_VERSION);
	runner_say(r, "%s is of version %s, and this program of version %s", words, manager,
		NOWCAST_VERSION);
}

/* The manager has another one, or has given this one up as lost: two must not run beside each other (R3). */
static void end_stale(struct runner *r)
{
	log_error(r->log, "the manager says that this launch is stale, so the worker is ended");
	if (r->reason[0] == '\0' && r->ended_by == 0)
		(void)snprintf(
			r->reason, sizeof(r->reason), "the manager said that this launch is stale");
	r->retry.given_up = true;
	if (r->running)
		runner_end_worker(r);
	else
		retry_cancel(r);
}

static void refused(struct runner *r, const struct message *reply)
{
	const char *words = value_as_text(reply->payload, NULL);

	log_error(r->log, "the manager does not take this launch: %s%s%s", reply->type,
		words != NULL ? ": " : "", words != NULL ? words : "");
	runner_say(r, "the manager does not take this launch: %s%s%s", reply->type,
		words != NULL ? ": " : "", words != NULL ? words : "");
	if (!r->launch.by_hand && strcmp(reply->type, REPLY_STALE) == 0)
		end_stale(r);
}

/* By hand, what the policy of the worker does not allow (`if running: refuse`) is acknowledged, with a word. */
static bool is_against_policy(const struct runner *r, const struct message *reply)
{
	return r->launch.by_hand && value_as_bool(value_map_get(reply->payload, "refused"), false);
}

static void registered(struct runner *r, enum nc_err err, const struct message *reply)
{
	bool policy = err == NC_OK && is_against_policy(r, reply);
	bool refusal = err == NC_OK && (policy || reply_is_refusal(reply));

	if (policy) {
		log_error(r->log, "the manager does not take this launch: it runs already");
		runner_say(r, "not started: it runs already with the same arguments");
	} else if (refusal) {
		refused(r, reply);
	}
	if (err == NC_OK)
		compare_versions(r, value_as_text(value_map_get(reply->payload, "version"), NULL),
			"the manager that runs");
	if (!r->launch.by_hand || r->pid != 0 || r->end.decided || r->retry.due)
		return;
	if (err == NC_OK)
		name_running(r, reply, "already running");
	loop_timer_cancel(r->limit);
	r->limit = NULL;
	if (refusal) {
		loop_stop(r->loop, EXIT_REFUSED);
		return;
	}
	runner_start_worker(r);
}

void begin_must_wait(struct runner *r, const struct message *reply)
{
	if (!r->launch.by_hand || r->pid != 0 ||
		value_count(value_map_get(reply->payload, "running")) == 0)
		return;
	if (r->limit != NULL) {
		name_running(r, reply, "waiting for the end of");
		log_info(r->log, "waiting for the end of another copy");
	}
	loop_timer_cancel(r->limit);
	r->limit = NULL;
}

static void no_manager(void *argument)
{
	struct runner *r = argument;

	r->limit = NULL;
	log_warning(r->log, "no answer from the manager; starting without it");
	runner_say(r, "no answer from the manager within %d s; starting without it",
		BY_HAND_WAIT_MS / 1000);
	runner_start_worker(r);
}

/* By hand, the manager hears of it first; `limit` is then the time that it has for an answer. */
enum nc_err begin(struct runner *r, struct error *error)
{
	enum nc_err err = NC_OK;

	if (r->debug) {
		runner_start_worker(r);
		return NC_OK;
	}
	compare_versions(r, r->launch.version, "the manager that made this launch");
	system_send_started(r, registered);
	if (r->launch.by_hand)
		err = loop_timer_start(
			r->loop, BY_HAND_WAIT_MS, false, no_manager, r, &r->limit, error);
	else
		runner_start_worker(r);
	return err;
}

void begin_again(struct runner *r)
{
	if (!r->debug)
		system_send_started(r, registered);
	runner_start_worker(r);
}
