/* core/decide/brain_groups: what is held, until when, and in which order */
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

#define HOUR (INT64_C(3600) * 1000000000)

static struct config_type types[] = {
	{ (char *)"success", (char *)"well" },
	{ (char *)"success 06", (char *)"well" },
	{ (char *)"success 12", (char *)"well" },
	{ (char *)"failure", (char *)"badly" },
	{ (char *)"half way", (char *)"goes on" },
	{ (char *)"skipped", (char *)"had nothing to do" },
};
#define WORKER(n)                                                                                  \
	{                                                                                          \
		.name = (char *)(n), .types = types, .types_count = ARRAY_LEN(types)               \
	}
static struct config_worker workers[] = { WORKER("opens"), WORKER("other"), WORKER("a"),
	WORKER("b"), WORKER("c"), WORKER("next") };
static const struct config config = { .workers = workers, .workers_count = ARRAY_LEN(workers) };

static int begin(void **state)
{
	return begin_with(state, &config, NULL);
}

static void use_rules(struct fixture *f, const char *text)
{
	struct findings findings;
	struct error error = { 0 };

	findings_init(&findings);
	if (rules_read("r.yaml", text, strlen(text), &config, &f->rules, &findings, &error) !=
		NC_OK)
		fail_msg("%s", error.text);
	findings_finish(&findings);
	assert_int_equal(
		brain_create(&config, f->rules, f->store, "boot", &f->brain, &error), NC_OK);
}

/* `next a, next b`: what the last transaction launches. */
static const char *launched(struct fixture *f)
{
	buffer_clear(&f->shown);
	for (size_t i = 0; i < f->t.launches_count; i++) {
		buffer_printf(&f->shown, "%s%s", i > 0 ? ", " : "", f->t.launches[i].worker);
		for (size_t k = 0; k < f->t.launches[i].arguments_count; k++)
			buffer_printf(&f->shown, " %s", f->t.launches[i].arguments[k]);
	}
	assert_false(f->shown.failed);
	return f->shown.data;
}

/* What is launched when this worker says so. */
static const char *after(struct fixture *f, const char *worker, const char *type)
{
	char text[200];

	(void)snprintf(text, sizeof(text), "{source: %s, type: %s, payload: null}", worker, type);
	assert_string_equal(tell(f, text), "ack");
	return launched(f);
}

static size_t open_groups(struct fixture *f)
{
	struct store_group *groups;
	size_t count = 0;

	assert_int_equal(store_open_groups(f->store, &groups, &count, NULL), NC_OK);
	store_groups_free(groups, count);
	return count;
}

#define AFTER_ABC                                                                                  \
	"a: [{on: <type>, launch: next a}, {on: success <x>, launch: next a}]\n"                   \
	"b: [{on: <type>, launch: next b}]\n"                                                      \
	"c: [{on: <type>, launch: next c}]\n"

static void launches_are_held_in_order_and_released_together(void **state)
{
	struct fixture *f = *state;

	use_rules(f,
		"opens: [{on: success, launch: [a, b], hold until all have ended: [a, b]}]\n" AFTER_ABC);
	assert_string_equal(after(f, "opens", "success"), "a, b");
	assert_string_equal(after(f, "b", "success"), "");
	assert_string_equal(after(f, "b", "failure"), ""); /* ended already, and still held */
	assert_string_equal(after(f, "c", "success"), "next c");
	assert_string_equal(after(f, "a", "failure"), "next b, next b, next a");
	assert_true(noted(f, LEVEL_INFO, "all have ended"));
	assert_int_equal(open_groups(f), 0);
	assert_string_equal(after(f, "b", "success"), "next b");
}

static void a_word_on_the_way_is_no_end(void **state)
{
	struct fixture *f = *state;

	use_rules(f, "opens: [{on: success, hold until all have ended: [a]}]\n"
		     "a: [{on: half way, launch: next a}, {on: success, launch: next b}]\n");
	after(f, "opens", "success");
	assert_string_equal(after(f, "a", "half way"), "");
	assert_string_equal(after(f, "a", "success"), "next a, next b");
}

static void a_member_with_a_pattern_ends_with_what_matches_it_or_a_crash(void **state)
{
	struct fixture *f = *state;

	use_rules(f, "opens: [{on: success, hold until all have ended: [a success 12]}]\n"
		     "a: [{on: [success 06, success 12, crash], launch: next a}]\n");
	after(f, "opens", "success");
	assert_string_equal(after(f, "a", "success 06"), "next a"); /* no message of the member */
	assert_int_equal(open_groups(f), 1);
	assert_string_equal(after(f, "a", "success 12"), "next a");
	assert_int_equal(open_groups(f), 0);
	after(f, "opens", "success");
	assert_string_equal(after(f, "a", "crash"), "next a");
	assert_int_equal(open_groups(f), 0);
}

static void what_belongs_to_several_groups_waits_for_the_last(void **state)
{
	struct fixture *f = *state;

	use_rules(f, "opens: [{on: success, hold until all have ended: [a, b]}]\n"
		     "other: [{on: success, hold until all have ended: [a, c]}]\n" AFTER_ABC);
	after(f, "opens", "success");
	after(f, "other", "success");
	assert_int_equal(open_groups(f), 2);
	assert_string_equal(after(f, "a", "success"), "");
	assert_string_equal(
		after(f, "b", "success"), "next b"); /* the first group holds it no more */
	assert_int_equal(open_groups(f), 1);
	assert_string_equal(after(f, "c", "success"), "next a, next c");
	assert_int_equal(open_groups(f), 0);
}

static void an_end_counts_also_when_its_rule_fails(void **state)
{
	struct fixture *f = *state;

	use_rules(f, "opens: [{on: success, hold until all have ended: [a, b]}]\n"
		     "a: [{on: success, launch: \"next <payload[x]>\"}]\n"
		     "b: [{on: success, launch: next b}]\n");
	after(f, "opens", "success");
	assert_string_equal(after(f, "b", "success"), "");
	assert_string_equal(after(f, "a", "success"), "next b");
	assert_true(noted(f, LEVEL_CRITICAL, "the rules failed"));
}

static void a_rule_that_fails_declares_no_group(void **state)
{
	struct fixture *f = *state;

	use_rules(f,
		"opens: [{on: success, hold until all have ended: [a], launch: \"next <payload[x]>\"}]\n");
	after(f, "opens", "success");
	assert_int_equal(open_groups(f), 0);
}

static void a_failure_drops_what_is_held_when_the_rule_says_so(void **state)
{
	struct fixture *f = *state;

	use_rules(f,
		"opens: [{on: success, hold until all have ended: [a, b], if one fails: drop}]\n" AFTER_ABC);
	after(f, "opens", "success");
	assert_string_equal(after(f, "a", "success"), "");
	/* What the failure itself leads to is not held: the group is closed. */
	assert_string_equal(after(f, "b", "failure"), "next b");
	assert_true(noted(f, LEVEL_CRITICAL, "1 launch was dropped: next a"));
	assert_int_equal(open_groups(f), 0);
}

static void the_same_rule_declaring_it_anew_replaces_it(void **state)
{
	struct fixture *f = *state;

	use_rules(f,
		"opens: [{on: success, launch: c, hold until all have ended: [a, b, opens]}]\n" AFTER_ABC);
	after(f, "opens", "success");
	after(f, "a", "success");
	/* The one that is replaced does not hold what the new message leads to. */
	assert_string_equal(after(f, "opens", "success"), "c");
	assert_true(noted(f, LEVEL_CRITICAL, "declared it anew; 1 launch was dropped: next a"));
	assert_int_equal(open_groups(f), 1);
}

static void clearing_the_checklist_closes_no_group(void **state)
{
	static struct config_type clear[] = { { (char *)"clear checklist", (char *)"clear" } };
	static const char text[] = "{source: other, type: clear checklist, payload: null}";
	struct config_worker with_clear[ARRAY_LEN(workers)];
	struct config clearing = config;
	struct fixture *f = *state;

	memcpy(with_clear, workers, sizeof(workers));
	with_clear[1].types = clear;
	with_clear[1].types_count = 1;
	clearing.workers = with_clear;
	use_rules(f, "opens: [{on: success, hold until all have ended: [a]}]\n" AFTER_ABC);
	after(f, "opens", "success");
	brain_configure(f->brain, &clearing, f->rules);
	transaction_finish(&f->t);
	assert_int_equal(brain_handle(f->brain, text, strlen(text), NOON, &f->t, NULL), NC_OK);
	assert_string_equal(f->t.reply.type, "checklist cleared");
	assert_int_equal(open_groups(f), 1);
}

static void a_group_is_given_up_when_its_time_is_over(void **state)
{
	struct fixture *f = *state;
	int64_t deadline;

	use_rules(f,
		"opens: [{on: success, hold until all have ended: [a, b], give up after: 4 h}]\n"
		"other: [{on: success, hold until all have ended: [a, c], when given up: release}]\n" AFTER_ABC);
	assert_int_equal(brain_next_deadline(f->brain, &deadline, NULL), NC_OK);
	assert_true(deadline == INT64_MAX);
	after(f, "opens", "success");
	after(f, "b", "success");
	assert_int_equal(brain_next_deadline(f->brain, &deadline, NULL), NC_OK);
	assert_true(deadline == NOON + 4 * HOUR);
	transaction_finish(&f->t);
	assert_int_equal(brain_time_passed(f->brain, NOON + 4 * HOUR - 1, &f->t, NULL), NC_OK);
	assert_int_equal(open_groups(f), 1);
	transaction_finish(&f->t);
	assert_int_equal(brain_time_passed(f->brain, NOON + 4 * HOUR, &f->t, NULL), NC_OK);
	assert_string_equal(launched(f), "");
	assert_true(noted(f, LEVEL_CRITICAL, "its time is over; 1 launch was dropped: next b"));
	after(f, "other", "success");
	after(f, "c", "success");
	transaction_finish(&f->t);
	assert_int_equal(brain_time_passed(f->brain, NOON + 24 * HOUR, &f->t, NULL), NC_OK);
	assert_string_equal(launched(f), "next c");
	assert_int_equal(open_groups(f), 0);
}

static void an_operator_ends_one_by_number_or_rule(void **state)
{
	struct fixture *f = *state;

	use_rules(f, "opens: [{on: success, hold until all have ended: [a, b]}]\n" AFTER_ABC);
	after(f, "opens", "success");
	after(f, "a", "success");
	transaction_finish(&f->t);
	assert_int_equal(
		brain_end_group(f->brain, "opens#9", true, NOON, &f->t, NULL), NC_ERR_NOT_FOUND);
	assert_int_equal(brain_end_group(f->brain, "1", true, NOON, &f->t, NULL), NC_OK);
	assert_string_equal(launched(f), "next a");
	assert_int_equal(open_groups(f), 0);
}

static void what_is_held_by_another_group_too_goes_on_waiting(void **state)
{
	struct fixture *f = *state;

	use_rules(f, "opens: [{on: success, hold until all have ended: [a, b]}]\n"
		     "other: [{on: success, hold until all have ended: [a, c]}]\n" AFTER_ABC);
	after(f, "opens", "success");
	after(f, "other", "success");
	after(f, "a", "success");
	transaction_finish(&f->t);
	assert_int_equal(brain_end_group(f->brain, "1", true, NOON, &f->t, NULL), NC_OK);
	assert_string_equal(launched(f), "");
	assert_string_equal(after(f, "c", "success"), "next a, next c");
}

static void programs_end_a_member_when_they_have_decided(void **state)
{
	static const char output[] = "{\"next\": [{\"worker\": \"next\", \"args\": [\"p\"]}]}";
	struct fixture *f = *state;
	struct store_program program;

	use_rules(f, "opens: [{on: success, hold until all have ended: [a, b]}]\n"
		     "a: [{on: success, decide with: [./p]}]\n"
		     "b: [{on: success, launch: next b}]\n");
	after(f, "opens", "success");
	after(f, "a", "success");
	assert_true(f->t.programs_added);
	assert_string_equal(after(f, "b", "success"), "");
	assert_int_equal(open_groups(f), 1);
	assert_int_equal(store_next_program(f->store, 0, &program, NULL), NC_OK);
	transaction_finish(&f->t);
	assert_int_equal(brain_program_ended(f->brain, program.id, output, strlen(output), NULL,
				 NOON, &f->t, NULL),
		NC_OK);
	assert_string_equal(launched(f), "next b, next p");
	assert_int_equal(open_groups(f), 0);
	store_program_finish(&program);
	/* Not twice. */
	transaction_finish(&f->t);
	assert_int_equal(store_next_program(f->store, 0, &program, NULL), NC_ERR_NOT_FOUND);
}

static void what_is_skipped_or_lost_has_ended_too(void **state)
{
	struct fixture *f = *state;

	use_rules(f,
		"opens: [{on: success, hold until all have ended: [a, b success 12]}]\n" AFTER_ABC);
	after(f, "opens", "success");
	assert_string_equal(after(f, "a", "skipped"), "");
	assert_string_equal(after(f, "b", "lost"), "next a, next b");
	assert_int_equal(open_groups(f), 0);
}

static void all_that_is_dropped_is_named(void **state)
{
	struct fixture *f = *state;

	use_rules(f, "opens: [{on: success, hold until all have ended: [a, b, c]}]\n"
		     "a: [{on: success, launch: next x, on host: elsewhere}]\n"
		     "b: [{on: success, launch: [next, 'other \"two words\"']}]\n");
	after(f, "opens", "success");
	after(f, "a", "success");
	after(f, "b", "success");
	transaction_finish(&f->t);
	assert_int_equal(brain_end_group(f->brain, "opens#1", false, NOON, &f->t, NULL), NC_OK);
	assert_true(noted(f, LEVEL_CRITICAL,
		"3 launches were dropped: next x on elsewhere; next; other two words"));
	assert_string_equal(launched(f), "");
}

static void a_group_without_launches_is_dropped_without_a_list(void **state)
{
	struct fixture *f = *state;

	use_rules(f, "opens: [{on: success, hold until all have ended: [a]}]\n");
	after(f, "opens", "success");
	transaction_finish(&f->t);
	assert_int_equal(brain_end_group(f->brain, "opens#1", false, NOON, &f->t, NULL), NC_OK);
	assert_string_equal(f->t.notes[0].text,
		"the group opens#1 was dropped, by an operator; 0 launches were dropped");
}

static void what_is_held_is_not_launched_when_it_is_no_longer_registered(void **state)
{
	struct config smaller = config;
	struct fixture *f = *state;

	use_rules(f, "opens: [{on: success, hold until all have ended: [a, b]}]\n"
		     "a: [{on: success, launch: [next 1, c 2]}]\n");
	after(f, "opens", "success");
	after(f, "a", "success");
	smaller.workers_count--; /* next */
	brain_configure(f->brain, &smaller, f->rules);
	assert_string_equal(after(f, "b", "success"), "c 2");
	assert_true(noted(
		f, LEVEL_CRITICAL, "next was held, and is not in the message registry any more"));
	/* Nor is it kept. */
	brain_configure(f->brain, &config, f->rules);
	after(f, "opens", "success");
	after(f, "a", "failure");
	assert_string_equal(after(f, "b", "success"), "");
}

static void one_of_two_groups_is_replaced_and_the_other_holds(void **state)
{
	struct fixture *f = *state;

	use_rules(f, "opens: [{on: success, launch: c, hold until all have ended: [a, opens]}]\n"
		     "other: [{on: success, hold until all have ended: [b, opens half way]}, "
		     "{on: failure, hold until all have ended: [b, opens]}]\n" AFTER_ABC);
	after(f, "opens", "success");
	after(f, "other", "success");
	after(f, "other", "failure");
	/* Its own first group holds it no more; the second does until b has ended, the first of the other's never did. */
	assert_string_equal(after(f, "opens", "success"), "");
	assert_true(noted(f, LEVEL_INFO, "c is held"));
	assert_int_equal(open_groups(f), 3);
	assert_string_equal(after(f, "b", "success"), "c");
}

static const struct value *only_group(const struct value *groups)
{
	assert_int_equal(value_count(groups), 1);
	return value_at(groups, 0);
}

static void a_group_is_shown_with_what_it_waits_for_and_holds(void **state)
{
	struct fixture *f = *state;
	const struct value *group;
	struct value *status;

	use_rules(f,
		"opens: [{on: success, hold until all have ended: [a, b, c success <x>]}]\n" AFTER_ABC);
	after(f, "opens", "success");
	after(f, "b", "success");
	status = brain_status(f->brain, 0, NULL);
	group = only_group(value_map_get(status, "groups"));
	assert_string_equal(value_as_text(value_map_get(group, "rule"), ""), "opens#1");
	assert_string_equal(value_as_text(value_at(value_map_get(group, "waits for"), 0), ""), "a");
	assert_string_equal(
		value_as_text(value_at(value_map_get(group, "waits for"), 1), ""), "c success <x>");
	assert_string_equal(value_as_text(value_at(value_map_get(group, "ended"), 0), ""), "b");
	assert_string_equal(
		value_as_text(value_at(value_map_get(group, "holds"), 0), ""), "next b");
	value_destroy(status);
}

static void what_nobody_has_said_of_a_group_is_shown_as_nothing(void **state)
{
	struct store_member member = { .worker = (char *)"a" };
	struct store_group row = { .rule = (char *)"r#1", .members = &member, .members_count = 1 };
	struct store_held held = { .worker = (char *)"next", .host = (char *)"localhost" };
	struct fixture *f = *state;
	struct value *status;
	int64_t id;

	use_rules(f, AFTER_ABC);
	held.arguments = value_list();
	assert_int_equal(store_add_group(f->store, &row, &id, NULL), NC_OK);
	assert_int_equal(store_hold(f->store, &held, &id, 1, NOON, NULL), NC_OK);
	status = brain_status(f->brain, 0, NULL);
	assert_string_equal(
		value_as_text(
			value_map_get(only_group(value_map_get(status, "groups")), "why"), "?"),
		"");
	value_destroy(status);
	assert_string_equal(after(f, "a", "success"), "next, next a");
	assert_string_equal(f->t.launches[0].why, "held");
	value_destroy(held.arguments);
}

/* The rules are not asked any more by then; but a group that waited for it would hold the others for a day. */
static void a_launch_that_fails_after_many_others_has_ended_too(void **state)
{
	struct fixture *f = *state;
	char id[ID_TEXT_SIZE];

	use_rules(f,
		"opens: [{on: success, launch: a, hold until all have ended: [a, b]}]\n" AFTER_ABC);
	assert_string_equal(after(f, "opens", "success"), "a");
	(void)snprintf(id, sizeof(id), "%s", f->t.launches[0].id);
	after(f, "b", "success");
	for (int i = 0; i < FAILED_STARTS_MOST; i++) {
		transaction_finish(&f->t);
		assert_int_equal(brain_launch_failed(f->brain, "", "x", NOON, &f->t, NULL), NC_OK);
	}
	transaction_finish(&f->t);
	assert_int_equal(
		brain_launch_failed(f->brain, id, "no such file", NOON, &f->t, NULL), NC_OK);
	assert_true(noted(f, LEVEL_CRITICAL, "the rules are not asked"));
	assert_string_equal(launched(f), "next b");
	assert_int_equal(open_groups(f), 0);
}

static void a_program_gets_the_whole_configuration(void **state)
{
	struct config with_tree = config;
	struct fixture *f = *state;
	struct store_program program;

	with_tree.tree = value_map();
	assert_int_equal(value_map_put(with_tree.tree, "run", value_text("here")), NC_OK);
	use_rules(f, "a: [{on: success, decide with: [./p]}]\n");
	for (int i = 0; i < 2; i++) {
		if (i > 0)
			brain_configure(f->brain, &with_tree, f->rules);
		after(f, "a", "success");
		assert_int_equal(store_next_program(f->store, i, &program, NULL), NC_OK);
		assert_non_null(strstr(program.input,
			i > 0 ? "\"config\": {\"run\": \"here\"}" : "\"config\": null"));
		store_program_finish(&program);
	}
	brain_configure(f->brain, &config, f->rules);
	value_destroy(with_tree.tree);
}

static void a_program_that_is_not_known_is_none(void **state)
{
	struct fixture *f = *state;
	struct error error = { 0 };

	use_rules(f, AFTER_ABC);
	assert_int_equal(brain_program_ended(f->brain, 5, "{}", 2, NULL, NOON, &f->t, &error),
		NC_ERR_NOT_FOUND);
	assert_int_equal(error.code, NC_ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(launches_are_held_in_order_and_released_together),
		TEST(a_word_on_the_way_is_no_end),
		TEST(a_member_with_a_pattern_ends_with_what_matches_it_or_a_crash),
		TEST(what_belongs_to_several_groups_waits_for_the_last),
		TEST(an_end_counts_also_when_its_rule_fails),
		TEST(a_rule_that_fails_declares_no_group),
		TEST(a_failure_drops_what_is_held_when_the_rule_says_so),
		TEST(the_same_rule_declaring_it_anew_replaces_it),
		TEST(clearing_the_checklist_closes_no_group),
		TEST(a_group_is_given_up_when_its_time_is_over),
		TEST(an_operator_ends_one_by_number_or_rule),
		TEST(what_is_held_by_another_group_too_goes_on_waiting),
		TEST(programs_end_a_member_when_they_have_decided),
		TEST(what_is_skipped_or_lost_has_ended_too),
		TEST(all_that_is_dropped_is_named),
		TEST(a_group_without_launches_is_dropped_without_a_list),
		TEST(what_is_held_is_not_launched_when_it_is_no_longer_registered),
		TEST(one_of_two_groups_is_replaced_and_the_other_holds),
		TEST(a_group_is_shown_with_what_it_waits_for_and_holds),
		TEST(what_nobody_has_said_of_a_group_is_shown_as_nothing),
		TEST(a_launch_that_fails_after_many_others_has_ended_too),
		TEST(a_program_gets_the_whole_configuration),
		TEST(a_program_that_is_not_known_is_none),
	};

	return cmocka_run_group_tests_name("brain_groups", tests, NULL, NULL);
}
