/*
 * The end of a worker: which message it is, what the runner knows of it, and what to do with what it left
 * running. The message goes off at once; the leftovers are ended meanwhile.
 */
#include "core/work/runner_internal.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/system/clock.h"
#include "core/system/exit_status.h"

enum {
	POLL_MS = 20,
};

/* --- which message --- */

/* A crash for this reason, unless there is an earlier one. */
static void crash_because(struct runner *r, const char *format, ...) NC_PRINTF(2, 3);
static void crash_because(struct runner *r, const char *format, ...)
{
	va_list arguments;

	if (r->reason[0] != '\0')
		return;
	va_start(arguments, format);
	(void)vsnprintf(r->reason, sizeof(r->reason), format, arguments);
	va_end(arguments);
}

/* By the template of the worker's entry. false: it is a crash, and the reason is set. */
static bool from_template(
	struct runner *r, const char *template, const char *otherwise, struct buffer *out)
{
	struct error error;

	if (template == NULL) {
		buffer_append_text(out, otherwise);
		return true;
	}
	if (config_type_from_template(template, r->name, r->launch.arguments,
		    r->launch.arguments_count, out, &error) == NC_OK)
		return true;
	crash_because(r, "the message type cannot be made: %s", error.text);
	return false;
}

/* The type for an end that is no crash. false: it is one nevertheless. */
static bool choose_type(struct runner *r, enum contract_end how, struct buffer *type,
	const struct value **ret_payload)
{
	struct runner_end *end = &r->end;
	const struct final *final = how == CONTRACT_FAILURE ? &end->failure : &end->success;
	bool failed = how == CONTRACT_FAILURE;

	if (how == CONTRACT_SKIPPED) {
		const char *skipped = end->skipped.type != NULL ? end->skipped.type : "skipped";

		if (!type_is_unregistered(r, skipped)) {
			buffer_append_text(type, skipped);
			*ret_payload = end->skipped.payload;
			return true;
		}
	}
	*ret_payload = final->payload;
	if (final->type != NULL)
		buffer_append_text(type, final->type);
	else if (!from_template(r, failed ? r->program->failure : r->program->success,
			 failed ? "failure" : "success", type))
		return false;
	if (type_is_unregistered(r, type->data)) {
		crash_because(r, "message type not found for %s worker in %s message registry: %s",
			r->name, r->config->file, type->data);
		return false;
	}
	return true;
}

/* --- the report --- */

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* In words, and the number in them. */
static bool report_end(const struct runner_end *end, struct value *report)
{
	bool exited = WIFEXITED(end->wait_status);
	struct buffer words;
	bool good;

	if (end->not_started)
		return value_map_put(report, "end", value_text("not started")) == NC_OK;
	buffer_init(&words);
	contract_end_words(end->wait_status, &words);
	good = value_map_put(report, "end", value_text(words.data)) == NC_OK &&
	       value_map_put(report, exited ? "exit status" : "signal",
		       value_int(exited ? WEXITSTATUS(end->wait_status)
					: WTERMSIG(end->wait_status))) == NC_OK;
	buffer_finish(&words);
	return good;
}

/*
 * NULL: out of memory. A last message without a report would be taken for one on the way, and the launch for
 * one that goes on; but a detail less does no harm.
 */
static struct value *make_report(struct runner *r)
{
	const struct runner_end *end = &r->end;
	struct value *report = value_map();

	if (report == NULL || !report_end(end, report)) {
		value_destroy(report);
		return NULL;
	}
	if (r->reason[0] != '\0') {
		char *reason = text_make_printable(r->reason, strlen(r->reason));

		(void)value_map_put(report, "reason", reason != NULL ? value_text(reason) : NULL);
		free(reason);
	}
	(void)value_map_put(report, "attempt", value_int(r->launch.attempt));
	(void)value_map_put(report, "wall seconds", value_float((double)end->wall_ms / 1e3));
	(void)value_map_put(report, "user seconds", value_float(seconds(end->usage.ru_utime)));
	(void)value_map_put(report, "system seconds", value_float(seconds(end->usage.ru_stime)));
	(void)value_map_put(report, "max rss KiB", value_int(end->usage.ru_maxrss));
	(void)value_map_put(report, "output", output_tail(r));
	return report;
}

/* --- the final message --- */

static void stop_when_done(struct runner *r)
{
	if (r->end.reported && r->end.alone)
		loop_stop(r->loop, r->status);
}

static void not_delivered(struct runner *r, const char *why)
{
	const char *type = r->end.type != NULL ? r->end.type : "the last one";
	const char *kept = r->end.kept ? "is kept, and will be delivered when the manager is back"
				       : "was not delivered, and it was NOT kept";

	log_error(r->log, "%s: message (%s) %s", why, type, kept);
	runner_say(r, "%s: message (%s) %s", why, type, kept);
	r->status = EXIT_UNREACHABLE;
	r->end.reported = true;
	stop_when_done(r);
}

static void send_crash(struct runner *r);

static void final_answered(struct runner *r, enum nc_err err, const struct message *reply)
{
	if (err != NC_OK) {
		not_delivered(r, "no answer from the manager");
		return;
	}
	if (reply_is_refusal(reply)) {
		log_error(r->log, "the manager refused the last message: %s", reply->type);
		runner_say(r, "the manager refused the last message: %s", reply->type);
		r->status = EXIT_REFUSED;
		/* The system must hear of this end in some form. */
		if (!r->end.crash_sent && (strcmp(reply->type, REPLY_UNREGISTERED_TYPE) == 0 ||
						  strcmp(reply->type, REPLY_BAD_MESSAGE) == 0)) {
			crash_because(r, "the manager refused the last message: %s", reply->type);
			send_crash(r);
			return;
		}
	}
	keep_forget(r);
	r->end.reported = true;
	stop_when_done(r);
}

static bool send_final(struct runner *r, const char *type, const struct value *payload)
{
	struct error error = { 0 };
	enum nc_err err = NC_OK;

	free(r->end.type);
	r->end.type = strdup(type); /* only for words about it */
	if (r->debug) {
		log_debug(r->log,
			"**debug mode** message that would have been sent to manager: (%s %s)",
			type, type_words(r, type));
		r->end.reported = true;
		return true;
	}
	do {
		if (err == NC_ERR_NOMEM)
			system_stand_by(r, error.text);
		value_destroy(r->end.report);
		r->end.report = make_report(r);
		err = r->end.report != NULL
			      ? system_send(r, OUTGOING_FINAL, type, payload, r->end.report,
					r->launch.by_hand ? system_patience_ms(r) : 0,
					final_answered, &error)
			      : error_nomem(&error);
	} while (err == NC_ERR_NOMEM);
	if (err != NC_OK)
		crash_because(r, "%s", error.text);
	return err == NC_OK;
}

static void send_crash(struct runner *r)
{
	r->end.crash_sent = true;
	log_critical(r->log, "worker crashed: %s", r->reason);
	if (!send_final(r, "crash", NULL))
		not_delivered(r, r->reason);
}

/* What the process exits with when the message is delivered: as the worker did. */
static int status_of_end(const struct runner *r)
{
	int wait_status = r->end.wait_status;

	if (r->timed_out)
		return EXIT_TIME_LIMIT;
	if (r->ended_by != 0)
		return EXIT_SIGNAL_BASE + r->ended_by;
	if (WIFSIGNALED(wait_status))
		return EXIT_SIGNAL_BASE + WTERMSIG(wait_status);
	return WEXITSTATUS(wait_status);
}

/* A program that has failed without saying anything leaves at least this line. */
static void log_failure(struct runner *r, const char *type)
{
	struct buffer words;

	if (r->applet != NULL)
		return;
	buffer_init(&words);
	contract_end_words(r->end.wait_status, &words);
	log_error(r->log, "%s: %s", type, words.data);
	buffer_finish(&words);
}

/* Returns whether it counts as a success: what is left running may then stay. */
static bool decide(struct runner *r)
{
	enum contract_end how = contract_end(r->end.wait_status);
	const struct value *payload = NULL;
	struct buffer type;
	bool good = true;

	r->status = status_of_end(r);
	if (how == CONTRACT_TRY_AGAIN)
		how = CONTRACT_FAILURE;
	buffer_init(&type);
	if (how == CONTRACT_CRASH && r->reason[0] == '\0') {
		contract_end_words(r->end.wait_status, &type);
		crash_because(r, "%s", type.data);
		buffer_clear(&type);
	}
	if (r->reason[0] == '\0')
		good = choose_type(r, how, &type, &payload);
	else
		good = false;
	if (good && type.failed) {
		crash_because(r, "out of memory");
		good = false;
	}
	if (good && how == CONTRACT_SUCCESS && r->end.failure.type != NULL)
		log_warning(r->log, "exit status 0 is a success, but the worker wrote (%s)",
			r->end.failure.type);
	if (good && how == CONTRACT_FAILURE)
		log_failure(r, type.data);
	if (good)
		good = send_final(r, type.data, payload);
	if (!good) {
		if (r->status == EXIT_DONE || r->status == EXIT_SKIPPED)
			r->status = EXIT_REFUSED;
		send_crash(r);
	}
	buffer_finish(&type);
	return good && how != CONTRACT_FAILURE;
}

void end_not_started(struct runner *r)
{
	r->end.not_started = true;
	if (retry_is_due(r, CONTRACT_CRASH)) {
		retry_announce(r, r->reason);
		retry_wait(r);
		return;
	}
	r->end.decided = true;
	r->end.alone = true;
	r->status = EXIT_FAILED;
	send_crash(r);
}

void end_give_up(struct runner *r)
{
	if (r->end.decided && !r->end.reported)
		not_delivered(r, "ended by a signal");
}

/* --- leftovers --- */

static void none_is_left(struct runner *r)
{
	loop_timer_cancel(r->grace);
	r->grace = NULL;
	if (r->retry.due) {
		retry_wait(r);
		return;
	}
	r->end.alone = true;
	stop_when_done(r);
}

static void poll_leftovers(void *argument)
{
	struct runner *r = argument;
	struct pids left;

	processes_reap(r);
	processes_children(&left);
	if (left.count > 0) {
		if (r->killing)
			processes_signal(r, SIGKILL);
		return;
	}
	loop_timer_cancel(r->end.poll);
	r->end.poll = NULL;
	none_is_left(r);
}

static void end_leftovers(struct runner *r, const struct pids *left)
{
	struct error error;
	char name[40];

	for (size_t i = 0; i < left->count; i++) {
		process_name(left->pid[i], name, sizeof(name));
		log_warning(r->log, "ending process %ld (%s), which the worker left running",
			(long)left->pid[i], name);
	}
	runner_end_worker(r);
	if (loop_timer_start(r->loop, POLL_MS, true, poll_leftovers, r, &r->end.poll, &error) ==
		NC_OK)
		return;
	log_error(r->log, "%s", error.text);
	processes_signal(r, SIGKILL);
	none_is_left(r);
}

static void name_leftovers(struct runner *r, const struct pids *left)
{
	char name[40];

	for (size_t i = 0; i < left->count; i++) {
		process_name(left->pid[i], name, sizeof(name));
		log_info(r->log, "left running: process %ld (%s)", (long)left->pid[i], name);
	}
}

/* Is it only an attempt that has ended? */
static bool will_try_again(struct runner *r, const struct pids *left)
{
	bool crash = r->timed_out || r->reason[0] != '\0';
	struct buffer words;

	if (!retry_is_due(r, crash ? CONTRACT_CRASH : contract_end(r->end.wait_status)))
		return false;
	buffer_init(&words);
	contract_end_words(r->end.wait_status, &words);
	retry_announce(r, crash ? r->reason : words.data);
	buffer_finish(&words);
	if (left->count > 0)
		end_leftovers(r, left);
	else
		none_is_left(r);
	return true;
}

void end_worker_ended(struct runner *r, int wait_status, const struct rusage *usage)
{
	struct runner_end *end = &r->end;
	struct pids left;
	bool good;

	r->running = false;
	loop_timer_cancel(r->limit);
	r->limit = NULL;
	end->wait_status = wait_status;
	end->usage = *usage;
	end->wall_ms = clock_mono_ms() - r->started_ms;
	processes_reap(r);
	channel_finish(r);
	output_read_last(r);
	processes_reap(r);
	processes_children(&left);
	if (will_try_again(r, &left))
		return;
	end->decided = true;
	good = decide(r);
	output_close(r, left.count > 0 && good);
	if (left.count > 0 && !good) {
		end_leftovers(r, &left);
	} else {
		name_leftovers(r, &left);
		none_is_left(r);
	}
}

void end_report_last(struct runner *r)
{
	if (r->end.not_started) {
		end_not_started(r);
		return;
	}
	r->end.decided = true;
	(void)decide(r);
	output_close(r, false);
	if (r->end.poll == NULL)
		none_is_left(r);
}

static void final_finish(struct final *final)
{
	free(final->type);
	value_destroy(final->payload);
}

void end_finish(struct runner *r)
{
	loop_timer_cancel(r->end.poll);
	r->end.poll = NULL;
	final_finish(&r->end.success);
	final_finish(&r->end.failure);
	final_finish(&r->end.skipped);
	value_destroy(r->end.report);
	free(r->end.type);
}

void end_reset(struct runner *r)
{
	end_finish(r);
	r->end = (struct runner_end){ 0 };
}
