/* core/decide/brain_launches: copies that run already, launches that are lost, and what people are shown of them */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/decide/brain_internal.h"
#include "core/system/log.h"
#include "run_brain.h"

#define ID_1       "019abc00-0000-7000-8000-000000000001"
#define ID_2       "019abc00-0000-7000-8000-000000000002"
#define ID_3       "019abc00-0000-7000-8000-000000000003"
#define TEXT(text) ((char *)(uintptr_t)(text))

static struct config_type types[] = { { TEXT("success"), TEXT("well") } };
#define WORKER(n)                                                                                  \
	{                                                                                          \
		.name = TEXT(n), .types = types, .types_count = ARRAY_LEN(types)                   \
	}
static struct config_worker workers[] = { WORKER("sleep"), WORKER("refuses"), WORKER("waits"),
	WORKER("replaces"), WORKER("again"), WORKER("gone") };
static struct config_program programs[] = {
	{ .name = TEXT("refuses"), .if_running = IF_RUNNING_REFUSE },
	{ .name = TEXT("waits"), .if_running = IF_RUNNING_WAIT },
	{ .name = TEXT("replaces"), .if_running = IF_RUNNING_REPLACE },
	{ .name = TEXT("again"), .if_lost = IF_LOST_LAUNCH_AGAIN },
	{ .name = TEXT("gone"), .if_lost = IF_LOST_LAUNCH_AGAIN },
};
static const struct config config = { .workers = workers,
	.workers_count = ARRAY_LEN(workers),
	.programs = programs,
	.programs_count = ARRAY_LEN(programs) };

static int begin(void **state)
{
	static const char rules[] =
		"sleep: [{on: success, launch: \"<payload[0]> <payload[1]>\"}]\n"
		"again: [{on: success, launch: gone, decide with: [./p]}]\n";

	return begin_with(state, &config, rules);
}

/* The rules launch `words`, a worker and an argument. How many launches does it lead to, now? */
static size_t launch(struct fixture *f, const char *words)
{
	char text[100];

	(void)snprintf(text, sizeof(text), "{source: sleep, type: success, payload: [%s]}", words);
	assert_string_equal(tell(f, text), "ack");
	return f->t.launches_count;
}

/* By hand, with the arguments [`arguments`]. */
static const char *start(
	struct fixture *f, const char *worker, const char *id, const char *arguments, int pid)
{
	char text[300];

	(void)snprintf(text, sizeof(text),
		"{source: %s, event: started, launch: %s, token: t, payload: {pid: %d, arguments: [%s]}}",
		worker, id, pid, arguments);
	return tell(f, text);
}

static const char *report(struct fixture *f, const char *worker, const char *id)
{
	char text[300];

	(void)snprintf(text, sizeof(text),
		"{source: %s, type: success, payload: null, launch: %s, token: t, report: {}}",
		worker, id);
	return tell(f, text);
}

/* `waits running, waits waiting`: what is open. */
static const char *open_launches(struct fixture *f)
{
	struct value *running = brain_running(f->brain, NULL);

	assert_non_null(running);
	buffer_clear(&f->shown);
	for (size_t i = 0; i < value_count(running); i++)
		buffer_printf(&f->shown, "%s%s %s", i > 0 ? ", " : "",
			value_as_text(value_map_get(value_at(running, i), "worker"), ""),
			value_as_text(value_map_get(value_at(running, i), "state"), ""));
	value_destroy(running);
	return f->shown.data;
}

static size_t copies_told(const struct fixture *f)
{
	return value_count(value_map_get(f->t.reply.payload, "running"));
}

/* --- by hand --- */

static void what_is_said_twice_is_no_copy_of_itself(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(start(f, "sleep", ID_1, "x", 7), "ack");
	assert_string_equal(start(f, "sleep", ID_1, "x", 7), "ack");
	assert_int_equal(copies_told(f), 0);
	start(f, "sleep", ID_2, "y", 8);
	assert_int_equal(copies_told(f), 0); /* other arguments */
	start(f, "sleep", ID_3, "x", 9);
	assert_int_equal(copies_told(f), 1);
	start(f, "sleep", ID_1, "x", 7);
	assert_int_equal(copies_told(f), 1);
}

static void a_launch_by_hand_may_say_nothing_of_itself(void **state)
{
	struct fixture *f = *state;
	struct store_launch found;

	/* And without a token anybody may end it. */
	assert_string_equal(tell(f, "{source: sleep, event: started, launch: " ID_1 "}"), "ack");
	assert_int_equal(store_find_launch(f->store, ID_1, &found, NULL), NC_OK);
	assert_true(found.by_hand && found.token[0] == '\0');
	assert_int_equal(value_count(found.arguments), 0);
	assert_string_equal(found.host, "localhost");
	store_launch_finish(&found);
	assert_string_equal(report(f, "sleep", ID_1), "ack");
	assert_string_equal(open_launches(f), "");
}

static void a_token_that_is_longer_than_ours_is_not_kept(void **state)
{
	struct fixture *f = *state;
	struct store_launch found;
	char text[300];

	(void)snprintf(text, sizeof(text),
		"{source: sleep, event: started, launch: " ID_1 ", token: t%0100d}", 7);
	assert_string_equal(tell(f, text), "ack");
	assert_int_equal(store_find_launch(f->store, ID_1, &found, NULL), NC_OK);
	assert_string_equal(found.token, "");
	store_launch_finish(&found);
}

static void r7_what_has_a_token_is_not_ended_without_it(void **state)
{
	struct fixture *f = *state;

	start(f, "sleep", ID_1, "x", 7);
	assert_string_equal(tell(f, "{source: sleep, type: success, payload: null, launch: " ID_1
				    ", report: {}}"),
		"stale");
	assert_string_equal(open_launches(f), "sleep running");
}

static void an_end_of_which_only_the_end_is_heard_is_kept(void **state)
{
	static const char *const arguments[] = { "", ", arguments: x", ", arguments: [x, y]" };
	static const size_t counts[] = { 0, 0, 2 };
	static const char *const ids[] = { ID_1, ID_2, ID_3 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(arguments); i++) {
		struct store_launch found;
		char text[300];

		(void)snprintf(text, sizeof(text),
			"{source: sleep, type: crash, payload: null, launch: %s, report: {attempt: 3%s}}",
			ids[i], arguments[i]);
		assert_string_equal(tell(f, text), "ack");
		assert_int_equal(store_find_launch(f->store, ids[i], &found, NULL), NC_OK);
		assert_true(found.by_hand && found.state == STORE_ENDED && found.attempt == 3);
		assert_string_equal(found.end, "crash");
		assert_int_equal(value_count(found.arguments), counts[i]);
		store_launch_finish(&found);
	}
	/* An id that is none is not kept, and the message counts all the same. */
	assert_string_equal(
		tell(f, "{source: sleep, type: crash, payload: null, launch: ../x, report: {}}"),
		"ack");
	assert_true(noted(f, LEVEL_CRITICAL, "sleep crashed: it did not say why"));
}

static void a_runner_that_tries_again_is_shown_with_its_attempt(void **state)
{
	struct fixture *f = *state;
	struct value *running;

	start(f, "sleep", ID_1, "x", 7);
	assert_string_equal(tell(f, "{source: sleep, event: started, launch: " ID_1
				    ", token: t, payload: {arguments: [x], pid: 7, attempt: 2}}"),
		"ack");
	running = brain_running(f->brain, NULL);
	assert_int_equal(value_as_int(value_map_get(value_at(running, 0), "attempt"), 0), 2);
	value_destroy(running);
	start(f, "sleep", ID_1, "x", 8);
	running = brain_running(f->brain, NULL);
	assert_int_equal(value_as_int(value_map_get(value_at(running, 0), "pid"), 0), 8);
	value_destroy(running);
}

/* --- `if running` --- */

static void a_copy_by_hand_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store_launch found;

	start(f, "refuses", ID_1, "x", 7);
	assert_null(value_map_get(f->t.reply.payload, "refused"));
	assert_string_equal(start(f, "refuses", ID_2, "x", 8), "ack");
	assert_true(value_as_bool(value_map_get(f->t.reply.payload, "refused"), false));
	assert_true(noted(f, LEVEL_WARNING, "refuses by hand was refused"));
	assert_int_equal(store_find_launch(f->store, ID_2, &found, NULL), NC_OK);
	assert_string_equal(found.end, "refused");
	store_launch_finish(&found);
	assert_string_equal(open_launches(f), "refuses running");
}

static void a_launch_of_a_copy_is_refused_and_stays_in_the_history(void **state)
{
	struct fixture *f = *state;
	struct value *status;

	start(f, "refuses", ID_1, "x", 7);
	assert_int_equal(launch(f, "refuses, x"), 0);
	assert_true(noted(f, LEVEL_WARNING, "refuses is not launched"));
	assert_int_equal(launch(f, "refuses, y"), 1);
	status = brain_status(f->brain, 0, NULL);
	assert_string_equal(
		value_as_text(
			value_map_get(value_at(value_map_get(status, "failed"), 0), "end"), ""),
		"refused");
	value_destroy(status);
}

static void a_copy_waits_for_the_end_of_the_one_before(void **state)
{
	struct fixture *f = *state;

	start(f, "waits", ID_1, "x", 7);
	assert_int_equal(launch(f, "waits, y"), 1);
	assert_int_equal(launch(f, "waits, x"), 0);
	assert_true(noted(f, LEVEL_INFO, "waits waits until"));
	assert_int_equal(launch(f, "waits, x"), 0);
	assert_string_equal(
		open_launches(f), "waits running, waits wanted, waits waiting, waits waiting");
	/* By hand it comes again until it may. */
	assert_string_equal(start(f, "waits", ID_2, "x", 8), "retry later");
	assert_int_equal(copies_told(f), 3);
	report(f, "waits", ID_1);
	assert_int_equal(f->t.launches_count, 1);
	assert_string_equal(f->t.launches[0].arguments[0], "x");
	assert_string_equal(open_launches(f), "waits wanted, waits wanted, waits waiting");
}

static void what_waits_goes_on_waiting_while_another_copy_runs(void **state)
{
	struct fixture *f = *state;
	struct config allowing = config;
	char id[ID_TEXT_SIZE];

	/* Two copies that ran when that was allowed, and one that waits for other arguments. */
	allowing.programs_count = 0;
	brain_configure(f->brain, &allowing, f->rules);
	start(f, "waits", ID_1, "x", 7);
	start(f, "waits", ID_2, "x", 8);
	start(f, "waits", ID_3, "y", 9);
	brain_configure(f->brain, &config, f->rules);
	assert_int_equal(launch(f, "waits, y"), 0);
	assert_int_equal(launch(f, "waits, x"), 0);
	report(f, "waits", ID_1);
	assert_int_equal(f->t.launches_count, 0);
	report(f, "waits", ID_2);
	assert_int_equal(f->t.launches_count, 1);
	assert_string_equal(f->t.launches[0].arguments[0], "x");
	(void)snprintf(id, sizeof(id), "%s", f->t.launches[0].id);
	report(f, "waits", ID_3);
	assert_int_equal(f->t.launches_count, 1);
	assert_string_equal(f->t.launches[0].arguments[0], "y");
	assert_string_not_equal(f->t.launches[0].id, id);
}

static void a_copy_takes_the_place_of_those_before(void **state)
{
	struct fixture *f = *state;
	char id[ID_TEXT_SIZE];

	start(f, "replaces", ID_1, "x", 7);
	assert_int_equal(launch(f, "replaces, x"), 0);
	assert_int_equal(f->t.ends_count, 1);
	assert_string_equal(f->t.ends[0].id, ID_1);
	assert_int_equal(f->t.ends[0].pid, 7);
	/* The one that waits is given up for the next. */
	assert_int_equal(launch(f, "replaces, x"), 0);
	assert_int_equal(f->t.ends_count, 1);
	assert_string_equal(open_launches(f), "replaces running, replaces waiting");
	assert_string_equal(start(f, "replaces", ID_2, "x", 8), "retry later");
	assert_int_equal(f->t.ends_count, 1);
	assert_string_equal(open_launches(f), "replaces running");
	assert_int_equal(launch(f, "replaces, x"), 0);
	report(f, "replaces", ID_1);
	assert_int_equal(f->t.launches_count, 1);
	(void)snprintf(id, sizeof(id), "%s", f->t.launches[0].id);
	assert_string_not_equal(id, ID_1);
}

/* --- `if lost` --- */

static void lose(struct fixture *f, const char *id)
{
	transaction_finish(&f->t);
	assert_int_equal(brain_launch_lost(f->brain, id, "another boot", NOON, &f->t, NULL), NC_OK);
	assert_true(noted(f, LEVEL_CRITICAL, "was lost: another boot"));
}

static void r3_only_what_the_manager_launched_is_launched_again(void **state)
{
	struct fixture *f = *state;
	struct config smaller = config;
	char id[ID_TEXT_SIZE];

	start(f, "again", ID_1, "x", 7);
	lose(f, ID_1);
	assert_int_equal(f->t.launches_count, 0);
	assert_int_equal(launch(f, "again, x"), 1);
	(void)snprintf(id, sizeof(id), "%s", f->t.launches[0].id);
	lose(f, id);
	assert_int_equal(f->t.launches_count, 1);
	assert_true(noted(f, LEVEL_WARNING, "again was lost and is launched again"));
	assert_int_equal(launch(f, "gone, x"), 1);
	(void)snprintf(id, sizeof(id), "%s", f->t.launches[0].id);
	/* Not one that is no longer registered; it is over all the same. */
	smaller.workers_count--;
	brain_configure(f->brain, &smaller, f->rules);
	transaction_finish(&f->t);
	assert_int_equal(brain_launch_lost(f->brain, id, "another boot", NOON, &f->t, NULL), NC_OK);
	assert_int_equal(f->t.launches_count, 0);
	assert_string_equal(open_launches(f), "again wanted");
}

static void what_the_rules_launch_must_be_registered_now(void **state)
{
	struct fixture *f = *state;
	struct config smaller = config;

	/* The rules were read when it was. */
	smaller.workers_count--;
	assert_int_equal(launch(f, "gone, x"), 1);
	brain_configure(f->brain, &smaller, f->rules);
	assert_int_equal(launch(f, "gone, x"), 0);
	assert_true(noted(f, LEVEL_CRITICAL, "`gone`, is not in the message registry"));
	assert_string_equal(open_launches(f), "gone wanted");
	/* Nor is anything else of it done. */
	assert_string_equal(tell(f, "{source: again, type: success, payload: null}"), "ack");
	assert_false(f->t.programs_added);
	brain_configure(f->brain, &config, f->rules);
	tell(f, "{source: again, type: success, payload: null}");
	assert_true(f->t.programs_added);
}

static void what_is_not_known_or_over_changes_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(brain_launch_lost(f->brain, ID_1, "x", NOON, &f->t, NULL), NC_OK);
	assert_int_equal(f->t.notes_count, 0);
	start(f, "sleep", ID_1, "x", 7);
	report(f, "sleep", ID_1);
	transaction_finish(&f->t);
	assert_int_equal(brain_launch_failed(f->brain, ID_1, "x", NOON, &f->t, NULL), NC_OK);
	assert_int_equal(f->t.notes_count, 0);
}

static void a_loss_that_is_told_without_a_reason_is_a_loss(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(tell(f, "{source: sleep, type: lost, payload: null}"), "ack");
	assert_true(noted(f, LEVEL_CRITICAL, "sleep was lost: it is not known why"));
}

/* --- for people --- */

static void progress_is_kept_of_launches_that_are_known_and_not_of_too_many(void **state)
{
	static const char said[] =
		"{source: sleep, event: progress, launch: " ID_1 ", token: t, payload: 0.5}";
	struct fixture *f = *state;

	assert_string_equal(tell(f, said), "ack");
	assert_int_equal(value_count(f->brain->progress), 0);
	start(f, "sleep", ID_1, "x", 7);
	for (int i = 0; i < PROGRESS_MOST; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(value_map_put(f->brain->progress, name, value_int(1)), NC_OK);
	}
	assert_string_equal(tell(f, said), "ack");
	assert_int_equal(value_count(f->brain->progress), PROGRESS_MOST);
	assert_true(value_map_remove(f->brain->progress, "7"));
	assert_string_equal(tell(f, said), "ack");
	assert_int_equal(value_count(f->brain->progress), PROGRESS_MOST);
	report(f, "sleep", ID_1);
	assert_int_equal(value_count(f->brain->progress), PROGRESS_MOST - 1);
}

static void what_nobody_has_said_is_shown_as_nothing(void **state)
{
	struct fixture *f = *state;
	struct store_launch row = { .id = ID_1,
		.worker = TEXT("sleep"),
		.host = TEXT("localhost"),
		.boot = TEXT("boot"),
		.attempt = 1 };
	struct brain_launch again = { 0 };
	struct value *status, *failed;

	row.arguments = value_list();
	assert_int_equal(store_add_launch(f->store, &row, NULL), NC_OK);
	assert_int_equal(
		store_launch_ended(f->store, ID_1, STORE_LOST, NULL, NULL, NOON, NULL), NC_OK);
	assert_int_equal(launch(f, "nobody, x"), 0); /* an alarm, of a message without an id */
	status = brain_status(f->brain, 0, NULL);
	failed = value_at(value_map_get(status, "failed"), 0);
	assert_int_equal(value_kind(value_map_get(failed, "end")), VALUE_NULL);
	assert_int_equal(value_kind(value_map_get(failed, "why")), VALUE_NULL);
	assert_null(value_map_get(failed, "reason"));
	assert_int_equal(
		value_kind(value_map_get(value_at(value_map_get(status, "alarms"), 0), "message")),
		VALUE_NULL);
	value_destroy(status);
	/* And it can be made again. */
	assert_int_equal(brain_launch_from(&row, &again, NULL), NC_OK);
	assert_string_equal(again.why, "");
	brain_launch_finish(&again);
	value_destroy(row.arguments);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_said_twice_is_no_copy_of_itself),
		TEST(a_launch_by_hand_may_say_nothing_of_itself),
		TEST(a_token_that_is_longer_than_ours_is_not_kept),
		TEST(r7_what_has_a_token_is_not_ended_without_it),
		TEST(an_end_of_which_only_the_end_is_heard_is_kept),
		TEST(a_runner_that_tries_again_is_shown_with_its_attempt),
		TEST(a_copy_by_hand_is_refused),
		TEST(a_launch_of_a_copy_is_refused_and_stays_in_the_history),
		TEST(a_copy_waits_for_the_end_of_the_one_before),
		TEST(what_waits_goes_on_waiting_while_another_copy_runs),
		TEST(a_copy_takes_the_place_of_those_before),
		TEST(r3_only_what_the_manager_launched_is_launched_again),
		TEST(what_the_rules_launch_must_be_registered_now),
		TEST(what_is_not_known_or_over_changes_nothing),
		TEST(a_loss_that_is_told_without_a_reason_is_a_loss),
		TEST(progress_is_kept_of_launches_that_are_known_and_not_of_too_many),
		TEST(what_nobody_has_said_is_shown_as_nothing),
	};

	return cmocka_run_group_tests_name("brain_launches", tests, NULL, NULL);
}
