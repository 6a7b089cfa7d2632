/* core/decide/brain: what a message does to the state */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/utf8.h"
#include "core/decide/brain.h"
#include "core/system/log.h"
#include "failing_malloc.h"
#include "run_brain.h"
#include "uncounted_sqlite.h"

#define ID_1 "019abc00-0000-7000-8000-000000000001"

static struct config_type sleep_types[] = {
	{ (char *)"success", (char *)"slept well" },
	{ (char *)"need", (char *)"wants to know" },
	{ (char *)"clear checklist", (char *)"wants it clear" },
};
static struct config_type awaken_types[] = { { (char *)"success", (char *)"awoke" } };
static struct config_worker workers[] = {
	{ .name = (char *)"sleep",
		.checklist_key = (char *)"sleepyhead",
		.types = sleep_types,
		.types_count = ARRAY_LEN(sleep_types) },
	{ .name = (char *)"awaken", .types = awaken_types, .types_count = ARRAY_LEN(awaken_types) },
};
static const struct config config = { .workers = workers, .workers_count = ARRAY_LEN(workers) };

static int begin(void **state)
{
	static const char rules[] = "sleep:\n  - on: success\n    launch: awaken --now\n"
				    "  - on: crash\n    launch: awaken <launch[reason]>\n"
				    "awaken:\n  - on: success\n    launch: <payload[next]>\n"
				    "  - on: crash\n    launch: [awaken, sleep]\n";

	return begin_with(state, &config, rules);
}

static void success_is_kept_and_launches(void **state)
{
	struct fixture *f = *state;
	const struct value *kept;

	assert_string_equal(
		tell(f, "{source: sleep, type: success, payload: {sleep time: 5}}"), "ack");
	kept = value_map_get(brain_checklist(f->brain), "sleepyhead");
	assert_int_equal(value_as_int(value_map_get(kept, "sleep time"), 0), 5);
	assert_true(f->t.checklist_changed);
	assert_true(noted(
		f, LEVEL_INFO, "checklist updated with [sleepyhead] items from sleep worker"));
	assert_int_equal(f->t.launches_count, 1);
	assert_string_equal(f->t.launches[0].worker, "awaken");
	assert_string_equal(f->t.launches[0].arguments[0], "--now");
	assert_true(id_is_valid(f->t.launches[0].id));
}

static void a_mapping_is_merged_and_anything_else_replaces(void **state)
{
	struct fixture *f = *state;
	const struct value *kept;

	tell(f, "{source: sleep, type: success, payload: {a: 1, b: 2}}");
	tell(f, "{source: sleep, type: success, payload: {b: 3}}");
	kept = value_map_get(brain_checklist(f->brain), "sleepyhead");
	assert_int_equal(value_as_int(value_map_get(kept, "a"), 0), 1);
	assert_int_equal(value_as_int(value_map_get(kept, "b"), 0), 3);
	tell(f, "{source: sleep, type: success, payload: [x]}");
	kept = value_map_get(brain_checklist(f->brain), "sleepyhead");
	assert_int_equal(value_kind(kept), VALUE_LIST);
}

static void a_payload_without_a_checklist_key_is_dropped_with_a_warning(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(tell(f, "{source: awaken, type: success, payload: {a: 1}}"), "ack");
	assert_false(f->t.checklist_changed);
	assert_true(noted(f, LEVEL_WARNING, "no checklist key"));
}

static void unknown_workers_and_types_change_nothing(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(
		tell(f, "{source: nobody, type: success, payload: {a: 1}}"), "unregistered worker");
	assert_true(noted(f, LEVEL_ERROR, "nobody"));
	assert_string_equal(tell(f, "{source: sleep, type: sucess, payload: {a: 1}}"),
		"unregistered message type");
	assert_int_equal(value_count(brain_checklist(f->brain)), 0);
	assert_int_equal(f->t.launches_count, 0);
}

static void r13_a_bad_message_gets_an_answer(void **state)
{
	static const char *const bad[] = { "", "[", "text", "[1, 2]", "{source: sleep}",
		"{source: sleep, type: 5, payload: 1}", "{source: [a], type: success, payload: 1}",
		"!!python/object:os.system {}",
		"{source: sleep, type: success, payload: \"\x01\"}" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_string_equal(tell(f, bad[i]), "bad message");
		assert_true(noted(f, LEVEL_ERROR, ""));
	}
}

static void r13_a_bad_message_in_any_script_gets_its_answer(void **state)
{
	struct fixture *f = *state;
	struct buffer text, reply;

	/* A key twice, longer than what the error quotes of it: the cut falls into a character. */
	buffer_init(&text);
	buffer_init(&reply);
	for (int key = 0; key < 2; key++) {
		buffer_append_text(&text, key == 0 ? "{\"x" : ", \"x");
		for (int i = 0; i < 60; i++)
			buffer_append_text(&text, "\u00e9");
		buffer_append_text(&text, "\": 1");
	}
	buffer_append_text(&text, "}");
	assert_string_equal(tell(f, text.data), "bad message");
	message_write(&f->t.reply, &reply);
	assert_false(reply.failed);
	buffer_finish(&text);
	buffer_finish(&reply);
}

static void r13_a_need_in_any_script_gets_its_answer(void **state)
{
	struct fixture *f = *state;
	struct buffer text, reply;

	/* Longer than what the answer quotes of it: the cut falls into a character. */
	buffer_init(&text);
	buffer_init(&reply);
	buffer_append_text(&text, "{source: sleep, type: need, payload: \"x");
	for (int i = 0; i < 60; i++)
		buffer_append_text(&text, "\u00e9");
	buffer_append_text(&text, "\"}");
	assert_string_equal(tell(f, text.data), "no such checklist key");
	message_write(&f->t.reply, &reply);
	assert_false(reply.failed);
	for (size_t i = 0; i < f->t.notes_count; i++)
		assert_true(utf8_is_valid(f->t.notes[i].text, strlen(f->t.notes[i].text), NULL));
	buffer_finish(&text);
	buffer_finish(&reply);
}

static void need_is_answered_from_the_checklist(void **state)
{
	struct fixture *f = *state;

	tell(f, "{source: sleep, type: success, payload: {a: 1}}");
	assert_string_equal(tell(f, "{source: sleep, type: need, payload: sleepyhead}"), "ack");
	assert_int_equal(value_as_int(value_map_get(f->t.reply.payload, "a"), 0), 1);
	assert_string_equal(
		tell(f, "{source: sleep, type: need, payload: nothing}"), "no such checklist key");
	assert_string_equal(
		tell(f, "{source: sleep, type: need, payload: [1]}"), "no such checklist key");
}

static void clearing_logs_the_checklist_first(void **state)
{
	struct fixture *f = *state;
	bool block = false;

	tell(f, "{source: sleep, type: success, payload: {a: 1}}");
	assert_string_equal(tell(f, "{source: sleep, type: clear checklist, payload: null}"),
		"checklist cleared");
	assert_int_equal(value_count(brain_checklist(f->brain)), 0);
	for (size_t i = 0; i < f->t.notes_count; i++)
		block = block ||
			(f->t.notes[i].block && strcmp(f->t.notes[i].logger, "checklist") == 0 &&
				strstr(f->t.notes[i].text, "a: 1") != NULL);
	assert_true(block);
}

static void r2_a_message_that_comes_again_is_answered_and_not_done_again(void **state)
{
	static const char again[] = "{source: sleep, type: success, payload: {a: 1}, id: " ID_1 "}";
	struct fixture *f = *state;

	assert_string_equal(tell(f, again), "ack");
	assert_int_equal(f->t.launches_count, 1);
	assert_string_equal(tell(f, again), "ack");
	assert_int_equal(f->t.launches_count, 0);
	assert_false(f->t.checklist_changed);
	/* The same id with other bytes is somebody else's. */
	assert_string_equal(
		tell(f, "{source: sleep, type: success, payload: {a: 2}, id: " ID_1 "}"),
		"bad message");
}

static void r7_a_stale_message_cannot_change_the_state(void **state)
{
	struct fixture *f = *state;
	char text[300], id[ID_TEXT_SIZE], token[TOKEN_TEXT_SIZE];

	tell(f, "{source: sleep, type: success, payload: null}");
	snprintf(id, sizeof(id), "%s", f->t.launches[0].id);
	snprintf(token, sizeof(token), "%s", f->t.launches[0].token);
	snprintf(text, sizeof(text),
		"{source: awaken, type: success, payload: null, launch: %s, token: wrong, report: "
		"{}}",
		id);
	assert_string_equal(tell(f, text), "stale");
	snprintf(text, sizeof(text),
		"{source: awaken, type: success, payload: null, launch: %s, "
		"token: '%s', report: {}}",
		id, token);
	assert_string_equal(tell(f, text), "ack");
}

static void the_last_message_ends_the_launch(void **state)
{
	struct fixture *f = *state;
	char text[300];
	struct value *running;

	snprintf(text, sizeof(text),
		"{source: sleep, event: started, launch: " ID_1
		", token: t, payload: {arguments: [x], pid: 7, host: localhost, by hand: true}}");
	assert_string_equal(tell(f, text), "ack");
	running = brain_running(f->brain, NULL);
	assert_int_equal(value_count(running), 1);
	assert_true(value_as_bool(value_map_get(value_at(running, 0), "by hand"), false));
	value_destroy(running);
	tell(f, "{source: sleep, type: success, payload: null, launch: " ID_1
		", token: t, report: {exit status: 0}}");
	running = brain_running(f->brain, NULL);
	assert_int_equal(value_count(running), 1); /* awaken, which is wanted */
	assert_string_equal(
		value_as_text(value_map_get(value_at(running, 0), "worker"), ""), "awaken");
	value_destroy(running);
}

static void a_second_copy_is_told_of_the_first(void **state)
{
	struct fixture *f = *state;

	tell(f, "{source: sleep, event: started, launch: " ID_1
		", token: t, payload: {arguments: [x], pid: 7}}");
	tell(f, "{source: sleep, event: started, launch: 019abc00-0000-7000-8000-000000000002"
		", token: u, payload: {arguments: [x], pid: 8}}");
	assert_int_equal(value_count(value_map_get(f->t.reply.payload, "running")), 1);
}

static void a_runner_that_ends_without_a_report_is_a_crash(void **state)
{
	struct fixture *f = *state;
	char id[ID_TEXT_SIZE];

	tell(f, "{source: sleep, event: started, launch: " ID_1
		", token: t, payload: {arguments: [], pid: 7}}");
	transaction_finish(&f->t);
	snprintf(id, sizeof(id), "%s", ID_1);
	assert_int_equal(
		brain_runner_ended(f->brain, id, "runner killed", NOON, &f->t, NULL), NC_OK);
	assert_true(noted(f, LEVEL_CRITICAL, "sleep crashed: runner killed"));
	assert_int_equal(f->t.launches_count, 1);
	assert_string_equal(f->t.launches[0].arguments[0], "runner killed");
	transaction_finish(&f->t);
	/* And only once. */
	assert_int_equal(brain_runner_ended(f->brain, id, "again", NOON, &f->t, NULL), NC_OK);
	assert_int_equal(f->t.launches_count, 0);
}

static void r18_a_slot_is_launched_once(void **state)
{
	static const char due[] =
		"{source: scheduler, event: due, payload: {worker: awaken, arguments: "
		"[--x], schedule: s, slot: 2026-11-24T04:00}}";
	struct fixture *f = *state;

	assert_string_equal(tell(f, due), "ack");
	assert_int_equal(f->t.launches_count, 1);
	assert_string_equal(f->t.launches[0].arguments[0], "--x");
	assert_string_equal(tell(f, due), "ack");
	assert_int_equal(f->t.launches_count, 0);
}

static void a_rule_that_fails_is_critical_and_the_worker_gets_its_ack(void **state)
{
	struct fixture *f = *state;

	/* No launch, so <launch[reason]> finds nothing. */
	assert_string_equal(tell(f, "{source: sleep, type: crash, payload: {a: 1}}"), "ack");
	assert_true(noted(f, LEVEL_CRITICAL, "r.yaml:5:13: <launch[reason]> finds nothing"));
	assert_int_equal(f->t.launches_count, 0);
	assert_true(f->t.checklist_changed);
}

static void a_worker_that_a_message_names_must_be_registered(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(
		tell(f, "{source: awaken, type: success, payload: {next: sleep}}"), "ack");
	assert_int_equal(f->t.launches_count, 1);
	assert_string_equal(
		tell(f, "{source: awaken, type: success, payload: {next: supervisor}}"), "ack");
	assert_true(noted(f, LEVEL_CRITICAL, "`supervisor`, is not in the message registry"));
	assert_int_equal(f->t.launches_count, 0);
}

static void r3_a_launch_that_is_lost_is_reported_and_made_again_when_so_configured(void **state)
{
	static struct config_program programs[] = { { .name = (char *)"awaken",
		.if_lost = IF_LOST_LAUNCH_AGAIN } };
	struct config again = config;
	struct fixture *f = *state;
	struct store_launch launch;
	char id[ID_TEXT_SIZE];

	for (int with = 0; with < 2; with++) {
		again.programs = programs;
		again.programs_count = with;
		brain_configure(f->brain, &again, f->rules);
		tell(f, "{source: sleep, type: success, payload: null}");
		snprintf(id, sizeof(id), "%s", f->t.launches[0].id);
		transaction_finish(&f->t);
		assert_int_equal(brain_launch_lost(f->brain, id, "gone", NOON, &f->t, NULL), NC_OK);
		assert_true(noted(f, LEVEL_CRITICAL, "awaken was lost: gone"));
		assert_int_equal(f->t.launches_count, with);
		assert_int_equal(store_find_launch(f->store, id, &launch, NULL), NC_OK);
		assert_int_equal(launch.state, STORE_LOST);
		store_launch_finish(&launch);
	}
	assert_string_equal(f->t.launches[0].worker, "awaken");
	assert_string_equal(f->t.launches[0].arguments[0], "--now");
	assert_string_not_equal(f->t.launches[0].id, id);
}

static void r7_what_a_launch_says_after_its_end_is_stale(void **state)
{
	struct fixture *f = *state;
	char text[300], id[ID_TEXT_SIZE], token[TOKEN_TEXT_SIZE];

	tell(f, "{source: sleep, type: success, payload: null}");
	snprintf(id, sizeof(id), "%s", f->t.launches[0].id);
	snprintf(token, sizeof(token), "%s", f->t.launches[0].token);
	transaction_finish(&f->t);
	assert_int_equal(
		brain_runner_ended(f->brain, id, "runner killed", NOON, &f->t, NULL), NC_OK);
	snprintf(text, sizeof(text),
		"{source: awaken, type: success, payload: null, launch: %s, token: '%s', report: {}}",
		id, token);
	assert_string_equal(tell(f, text), "stale");
	assert_int_equal(f->t.launches_count, 0);
}

static void several_messages_share_a_commit_and_go_with_it(void **state)
{
	static const char *const texts[] = { "{source: sleep, type: success, payload: {a: 1}}",
		"{source: sleep, type: success, payload: {b: 2}}" };
	struct fixture *f = *state;
	struct transaction t[2];

	for (int commit = 0; commit < 2; commit++) {
		assert_int_equal(brain_begin(f->brain, NULL), NC_OK);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(brain_handle(f->brain, texts[i], strlen(texts[i]), NOON,
						 &t[i], NULL),
				NC_OK);
			transaction_finish(&t[i]);
		}
		if (commit)
			assert_int_equal(brain_commit(f->brain, NULL), NC_OK);
		else
			brain_rollback(f->brain);
		assert_int_equal(
			value_count(value_map_get(brain_checklist(f->brain), "sleepyhead")),
			commit ? 2 : 0);
	}
	/* One that was given up in between is not committed as if nothing had been. */
	assert_int_equal(brain_begin(f->brain, NULL), NC_OK);
	store_rollback(f->store);
	assert_int_equal(brain_commit(f->brain, NULL), NC_ERR_SYSTEM);
}

static void a_need_for_an_absent_key_names_the_keys_there_are(void **state)
{
	struct fixture *f = *state;

	tell(f, "{source: sleep, type: need, payload: nothing}");
	assert_string_equal(value_as_text(f->t.reply.payload, ""),
		"the checklist has no key `nothing`; it is empty");
	tell(f, "{source: sleep, type: success, payload: {a: 1}}");
	tell(f, "{source: sleep, type: need, payload: nothing}");
	assert_string_equal(value_as_text(f->t.reply.payload, ""),
		"the checklist has no key `nothing`; it has sleepyhead");
	assert_true(noted(f, LEVEL_WARNING, "sleep needs what it cannot have"));
}

static void a_part_of_the_checklist_that_no_message_can_hold_is_not_sent(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(700100);

	for (int i = 0; i < 2; i++) {
		int len = snprintf(text, 100, "{source: sleep, type: success, payload: {k%d: ", i);

		memset(text + len, 'x', 700000);
		memcpy(text + len + 700000, "}}", 3);
		assert_string_equal(tell(f, text), "ack");
	}
	free(text);
	assert_string_equal(tell(f, "{source: sleep, type: need, payload: sleepyhead}"),
		"no such checklist key");
	assert_non_null(strstr(value_as_text(f->t.reply.payload, ""), "too large for a message"));
}

static void a_need_that_comes_again_sees_the_checklist_as_it_is_now(void **state)
{
	static const char need[] = "{source: sleep, type: need, payload: sleepyhead, id: " ID_1 "}";
	struct fixture *f = *state;

	assert_string_equal(tell(f, need), "no such checklist key");
	tell(f, "{source: sleep, type: success, payload: {a: 1}}");
	assert_string_equal(tell(f, need), "ack");
}

static void an_unknown_event_and_one_without_its_parts_are_bad_messages(void **state)
{
	static const char *const bad[] = {
		"{source: sleep, event: stopped}",
		"{source: sleep, event: started, payload: {arguments: []}}",
		"{source: sleep, event: started, launch: ../x, payload: {arguments: []}}",
		"{source: sleep, event: progress, payload: 2}",
		"{source: sleep, event: progress, payload: half}",
		"{source: scheduler, event: due, payload: {worker: awaken}}",
		"{source: scheduler, event: due, payload: {worker: awaken, slot: s, arguments: x}}"
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_string_equal(tell(f, bad[i]), "bad message");
	assert_int_equal(f->t.launches_count, 0);
}

static void progress_is_shown_with_the_launch(void **state)
{
	struct fixture *f = *state;
	struct value *running;

	tell(f, "{source: sleep, event: started, launch: " ID_1 ", payload: {arguments: []}}");
	assert_string_equal(
		tell(f, "{source: sleep, event: progress, launch: " ID_1 ", payload: 0.5}"), "ack");
	running = brain_running(f->brain, NULL);
	assert_true(value_as_float(value_map_get(value_at(running, 0), "progress"), 0) == 0.5);
	value_destroy(running);
}

/* What a launch that cannot be made leads to, and what that leads to, ...: how many in all. */
static int fail_all(struct fixture *f, struct transaction *t, bool *ret_given_up)
{
	int failed = 0;

	for (size_t i = 0; i < t->launches_count; i++) {
		struct transaction next;

		assert_int_equal(brain_launch_failed(f->brain, t->launches[i].id, "no such host",
					 NOON, &next, NULL),
			NC_OK);
		failed++;
		for (size_t j = 0; j < next.notes_count; j++)
			*ret_given_up = *ret_given_up ||
					strstr(next.notes[j].text, "are not asked") != NULL;
		failed += fail_all(f, &next, ret_given_up);
		transaction_finish(&next);
	}
	return failed;
}

static void rules_that_launch_again_what_cannot_be_launched_come_to_an_end(void **state)
{
	struct fixture *f = *state;
	struct value *running;
	bool given_up = false;
	int failed;

	tell(f, "{source: sleep, type: success, payload: null}");
	failed = fail_all(f, &f->t, &given_up);
	assert_true(given_up);
	assert_true(failed > 20 && failed < 50);
	/* None is left in the table, and the next message is judged as ever. */
	running = brain_running(f->brain, NULL);
	assert_int_equal(value_count(running), 0);
	value_destroy(running);
	tell(f, "{source: sleep, type: success, payload: null}");
	given_up = false;
	assert_true(fail_all(f, &f->t, &given_up) > 20);
}

static void a_launch_that_could_not_be_made_is_a_crash(void **state)
{
	struct fixture *f = *state;
	char id[ID_TEXT_SIZE];

	tell(f, "{source: awaken, type: success, payload: {next: sleep}}");
	snprintf(id, sizeof(id), "%s", f->t.launches[0].id);
	transaction_finish(&f->t);
	assert_int_equal(
		brain_launch_failed(f->brain, id, "no such host", NOON, &f->t, NULL), NC_OK);
	assert_true(noted(f, LEVEL_CRITICAL, "sleep crashed: no such host"));
	assert_int_equal(f->t.launches_count, 1);
	assert_string_equal(f->t.launches[0].arguments[0], "no such host");
}

/* Does SQLite's memory count, and fail? It keeps what it has prepared and read, so leaks are looked for without
 * it, and failures also in it. */
static bool sqlite_counts = true;

/* A brain that knows of a message already. */
static void new_brain(struct fixture *f, bool has_part)
{
	/* The part of the checklist is there, or not yet. */
	const char *first = has_part ? "{source: sleep, type: success, payload: {a: 1}}"
				     : "{source: sleep, type: success, payload: null}";

	transaction_finish(&f->t);
	brain_destroy(f->brain);
	store_close(f->store);
	assert_int_equal(store_open(NULL, &f->store, NULL), NC_OK);
	assert_int_equal(brain_create(&config, f->rules, f->store, "boot", &f->brain, NULL), NC_OK);
	tell(f, first);
	transaction_finish(&f->t);
}

enum without_memory {
	REFUSED,     /* and nothing has changed */
	JUDGED,      /* what failed was only talk */
	NOT_SO_MANY, /* allocations: nothing failed */
};

/* It judges `text` while the `nth` allocation fails. */
static enum without_memory try_without_memory(struct fixture *f, const char *text, long nth)
{
	struct value *before = value_copy(brain_checklist(f->brain));
	struct value *running = brain_running(f->brain, NULL), *after;
	enum nc_err err;
	bool failed;

	memory_fail_at(nth);
	err = brain_handle(f->brain, text, strlen(text), NOON, &f->t, NULL);
	failed = memory_has_failed();
	if (err == NC_OK) {
		value_destroy(before);
		value_destroy(running);
		return failed ? JUDGED : NOT_SO_MANY;
	}
	assert_true(failed);
	assert_int_equal(err, NC_ERR_NOMEM);
	/* What is read again may be laid out a little differently. */
	assert_non_null(brain_checklist(f->brain));
	if (!sqlite_counts)
		assert_in_range(memory_outstanding() + 8, 0, 16);
	after = brain_running(f->brain, NULL);
	assert_true(value_equal(running, after));
	assert_true(value_equal(brain_checklist(f->brain), before));
	value_destroy(after);
	value_destroy(before);
	value_destroy(running);
	return REFUSED;
}

static void judge_without_memory(
	struct fixture *f, const char *text, const char *reply, bool has_part)
{
	enum without_memory result = REFUSED;
	long nth = 0;

	new_brain(f, has_part);
	while (result != NOT_SO_MANY) {
		result = try_without_memory(f, text, ++nth);
		if (result == REFUSED)
			continue;
		assert_string_equal(f->t.reply.type, reply);
		assert_int_equal(f->t.launches_count, strstr(text, "due") != NULL ||
							      strstr(text, "success") != NULL ||
							      strstr(text, "crash") != NULL);
		new_brain(f, has_part);
	}
	assert_true(nth > 10 || !FAILING_MALLOC);
}

static void check_without_memory(struct fixture *f, const char *text, const char *reply)
{
	judge_without_memory(f, text, reply, false);
	judge_without_memory(f, text, reply, true);
}

static void judge_all_without_memory(struct fixture *f)
{
	check_without_memory(
		f, "{source: sleep, type: success, payload: {b: {c: 2}}, id: " ID_1 "}", "ack");
	check_without_memory(
		f, "{source: sleep, type: crash, payload: null, report: {reason: x}}", "ack");
	check_without_memory(
		f, "{source: sleep, type: need, payload: nothing}", "no such checklist key");
	check_without_memory(f,
		"{source: scheduler, event: due, payload: {worker: awaken, slot: s, "
		"arguments: [x]}, id: " ID_1 "}",
		"ack");
	check_without_memory(f,
		"{source: sleep, type: clear checklist, payload: null, id: " ID_1 "}",
		"checklist cleared");
	check_without_memory(f, "{source: sleep, type: success, payload: {a: 1}}", "ack");
}

static void r21_a_message_that_finds_no_memory_changes_nothing(void **state)
{
	judge_all_without_memory(*state);
}

/* The last test: no database is open when SQLite is told to take its memory elsewhere. */
static void r21_a_message_that_finds_no_memory_leaks_none(void **state)
{
	struct fixture f = { 0 };
	void *begun = &f;

	assert_true(leave_sqlite_alone());
	sqlite_counts = !FAILING_MALLOC;
	assert_int_equal(begin(&begun), 0);
	judge_all_without_memory(begun);
	assert_int_equal(end(&begun), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(success_is_kept_and_launches),
		TEST(a_mapping_is_merged_and_anything_else_replaces),
		TEST(a_payload_without_a_checklist_key_is_dropped_with_a_warning),
		TEST(unknown_workers_and_types_change_nothing),
		TEST(r13_a_bad_message_gets_an_answer),
		TEST(r13_a_bad_message_in_any_script_gets_its_answer),
		TEST(r13_a_need_in_any_script_gets_its_answer),
		TEST(need_is_answered_from_the_checklist),
		TEST(clearing_logs_the_checklist_first),
		TEST(r2_a_message_that_comes_again_is_answered_and_not_done_again),
		TEST(r7_a_stale_message_cannot_change_the_state),
		TEST(the_last_message_ends_the_launch),
		TEST(a_second_copy_is_told_of_the_first),
		TEST(a_runner_that_ends_without_a_report_is_a_crash),
		TEST(r18_a_slot_is_launched_once),
		TEST(a_rule_that_fails_is_critical_and_the_worker_gets_its_ack),
		TEST(a_worker_that_a_message_names_must_be_registered),
		TEST(r3_a_launch_that_is_lost_is_reported_and_made_again_when_so_configured),
		TEST(r7_what_a_launch_says_after_its_end_is_stale),
		TEST(several_messages_share_a_commit_and_go_with_it),
		TEST(a_need_for_an_absent_key_names_the_keys_there_are),
		TEST(a_part_of_the_checklist_that_no_message_can_hold_is_not_sent),
		TEST(a_need_that_comes_again_sees_the_checklist_as_it_is_now),
		TEST(an_unknown_event_and_one_without_its_parts_are_bad_messages),
		TEST(progress_is_shown_with_the_launch),
		TEST(rules_that_launch_again_what_cannot_be_launched_come_to_an_end),
		TEST(a_launch_that_could_not_be_made_is_a_crash),
		TEST(r21_a_message_that_finds_no_memory_changes_nothing),
		cmocka_unit_test(r21_a_message_that_finds_no_memory_leaks_none),
	};

	return cmocka_run_group_tests_name("brain", tests, NULL, NULL);
}
