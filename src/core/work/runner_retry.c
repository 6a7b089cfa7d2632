/*
 * Trying again: by the `retry` of the worker's entry, within one launch and one runner. Between two attempts
 * nothing of the worker is left. The manager, and so the rules, hear of the last one only.
 */
#include "core/work/runner_internal.h"

#include <string.h>

static bool names(const struct config_program *program, const char *word)
{
	for (unsigned i = 0; i < program->retry_after_count; i++) {
		if (strcmp(program->retry_after[i], word) == 0)
			return true;
	}
	return false;
}

bool retry_is_due(const struct runner *r, enum contract_end how)
{
	const struct config_program *program = r->program;

	if (r->debug || r->retry.given_up || r->ended_by != 0 ||
		r->retry.done >= program->retry_times)
		return false;
	switch (how) {
	case CONTRACT_TRY_AGAIN:
		return names(program, "75") || names(program, "failure");
	case CONTRACT_FAILURE:
		return names(program, "failure");
	case CONTRACT_CRASH:
		return names(program, "crash");
	case CONTRACT_SUCCESS:
	case CONTRACT_SKIPPED:
		break;
	}
	return false;
}

static int64_t wait_ms(const struct runner *r)
{
	int64_t wait = r->program->retry_wait_ms, most = r->program->retry_at_most_ms;

	for (int64_t i = 0; i < r->retry.done && wait < most; i++)
		wait *= 2;
	return wait < most ? wait : most;
}

void retry_announce(struct runner *r, const char *end)
{
	double seconds = (double)wait_ms(r) / 1e3;
	long long attempt = r->launch.attempt, left = r->program->retry_times - r->retry.done;

	r->retry.due = true;
	log_warning(r->log, "attempt %lld: %s; trying again in %.3g s, at most %lld more time%s",
		attempt, end, seconds, left, left == 1 ? "" : "s");
	runner_say(r, "attempt %lld: %s; trying again in %.3g s", attempt, end, seconds);
}

static void next_attempt(void *argument)
{
	struct runner *r = argument;

	r->retry.timer = NULL;
	r->retry.due = false;
	r->retry.done++;
	r->launch.attempt++;
	r->reason[0] = '\0';
	r->timed_out = false;
	r->ending = false;
	r->killing = false;
	r->pid = 0;
	r->group = 0;
	end_reset(r);
	output_reset(r);
	channel_reset(r);
	log_info(r->log, "attempt %lld", (long long)r->launch.attempt);
	begin_again(r);
}

void retry_wait(struct runner *r)
{
	struct error error;

	if (loop_timer_start(
		    r->loop, wait_ms(r), false, next_attempt, r, &r->retry.timer, &error) == NC_OK)
		return;
	log_error(r->log, "cannot wait for the next attempt: %s", error.text);
	retry_cancel(r);
}

void retry_cancel(struct runner *r)
{
	loop_timer_cancel(r->retry.timer);
	r->retry.timer = NULL;
	r->retry.given_up = true;
	if (!r->retry.due)
		return;
	r->retry.due = false;
	log_warning(r->log, "it is not tried again; the last attempt is what counts");
	end_report_last(r);
}
