/* core/decide/rules: groups, alarms, programs, and decisions as JSON */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/json.h"
#include "failing_malloc.h"
#include "run_rules.h"

static void a_group_has_its_members_and_settings(void **state)
{
	assert_string_equal(
		decides("    launch: awaken\n    hold until all have ended: [awaken, sleep]\n", ""),
		"awaken; hold sleep#1: {awaken} {sleep} go on 86400000 drop");
	assert_string_equal(
		decides("    hold until all have ended:\n      - sleep success <cycle>\n      - awaken\n"
			"    if one fails: drop\n    give up after: 90 s\n    when given up: release\n",
			""),
		"hold sleep#1: {sleep success <cycle>} {awaken} drop 90000 release");
	assert_string_equal(
		decides("    hold until all have ended:\n      - 'sleep   success <c: 06 | 12>'\n"
			"    if one fails: go on\n    when given up: drop\n",
			""),
		"hold sleep#1: {sleep success <c: 06 | 12>} go on 86400000 drop");
}

static void a_group_bears_the_name_of_its_rule(void **state)
{
	const char *rules =
		"sleep:\n  - on: failure\n  - on: success\n    launch:\n"
		"      - hold until all have ended: [awaken]\n"
		"      - for each x in: [a, b]\n        hold until all have ended: [sleep]\n"
		"  - on: success\n    hold until all have ended: [sleep]\n"
		"  - same as after: awaken\nawaken:\n  - on: success\n"
		"    hold until all have ended: [awaken]\n"
		"any worker:\n  - on: success\n    hold until all have ended: [awaken]\n";

	assert_string_equal(launches(rules, "success", ""),
		"hold sleep#2: {awaken} go on 86400000 drop; hold sleep#2/2: {sleep} go on 86400000 drop; "
		"hold sleep#2/3: {sleep} go on 86400000 drop; hold sleep#3: {sleep} go on 86400000 drop; "
		"hold awaken#1: {awaken} go on 86400000 drop; hold any worker#1: {awaken} go on 86400000 drop");
}

static bool matches(const char *pattern, const char *type)
{
	bool found = false;

	assert_int_equal(rules_pattern_matches(pattern, type, &found), NC_OK);
	return found;
}

static void the_pattern_of_a_member_matches_types(void **state)
{
	assert_true(matches("success 06", "success 06"));
	assert_true(matches("success <cycle>", "success 06"));
	assert_true(matches("success <c: 00 | 06>", "success 06"));
	assert_false(matches("success <c: 00 | 12>", "success 06"));
	assert_false(matches("success", "success 06"));
	assert_false(matches("success <a> <b>", "success 06"));
	assert_false(matches("success <a", "success <a"));
	assert_false(matches("", ""));
}

static void an_alarm_says_its_text(void **state)
{
	assert_string_equal(decides("    alarm: <payload> is late on <today>\n", "NEMO"),
		"alarm NEMO is late on 2026-11-24");
	assert_string_equal(
		decides("    for each x in: [a, b]\n    when: <x> is b\n    alarm: <x>\n", ""),
		"alarm b");
}

static void a_program_has_its_arguments_and_time(void **state)
{
	assert_string_equal(
		decides("    decide with: [./after.py]\n", ""), "decide 10000 {./after.py}");
	assert_string_equal(
		decides("    decide with:\n      - after\n      - two words\n      - <payload>\n"
			"    time limit: 2 min\n",
			"x y"),
		"decide 120000 {after} {two words} {x y}");
}

static void what_fails_behind_it_declares_no_group(void **state)
{
	const char *said = launches(
		"sleep:\n  - on: success\n    hold until all have ended: [awaken]\n    alarm: a\n"
		"    decide with: [b]\n    launch: awaken\n  - on: success\n    launch: awaken <payload[a]>\n",
		"success", "");

	assert_int_equal(strncmp(said, "r.yaml:8:13: ", 13), 0);
}

/* --- JSON --- */

/* The decision of the rule as JSON. */
static const char *to_json(const char *keys, const char *payload_text)
{
	static char result[4000];
	struct rules *rules = NULL;
	struct rules_decision decision = { 0 };
	struct value *payload = read_value(payload_text), *value;
	struct rules_input input = { .worker = "sleep", .type = "success", .payload = payload };
	char text[2000];
	struct buffer out;

	snprintf(text, sizeof(text), "sleep:\n  - on: success\n%s", keys);
	buffer_init(&out);
	assert_int_equal(rules_read("r", text, strlen(text), &config, &rules, NULL, NULL), NC_OK);
	assert_int_equal(rules_apply(rules, &input, &decision, NULL), NC_OK);
	value = rules_decision_to_value(&decision);
	assert_non_null(value);
	json_write(value, 0, &out);
	snprintf(result, sizeof(result), "%s", out.data);
	buffer_finish(&out);
	value_destroy(value);
	rules_decision_finish(&decision);
	value_destroy(payload);
	rules_destroy(rules);
	return result;
}

/* The decision that the text says, as the helpers above print it, or the error. */
static const char *from_json(const char *text)
{
	static char result[4000];
	struct rules_decision decision = { 0 };
	struct error error = { 0 };
	struct buffer out;

	buffer_init(&out);
	if (rules_decision_from_json(text, strlen(text), &config, &decision, &error) == NC_OK)
		print_decision(&decision, &out);
	else
		buffer_append_text(&out, error.text);
	snprintf(result, sizeof(result), "%s", out.data);
	buffer_finish(&out);
	rules_decision_finish(&decision);
	return result;
}

static void a_decision_is_printed_as_json(void **state)
{
	assert_string_equal(to_json("    launch: [awaken 1 2, sleep]\n    on host: h\n", ""),
		"{\"next\": [{\"worker\": \"awaken\", \"args\": [\"1\", \"2\"], \"host\": \"h\"}, "
		"{\"worker\": \"sleep\", \"args\": [], \"host\": \"h\"}], \"hold until\": [], \"alarms\": []}");
	assert_string_equal(
		to_json("    hold until all have ended: [awaken, sleep success 06]\n    alarm: x\n",
			""),
		"{\"next\": [], \"hold until\": [\"awaken\", \"sleep success 06\"], \"alarms\": [\"x\"]}");
	assert_string_equal(to_json("    decide with: [a, b]\n", ""),
		"{\"next\": [], \"hold until\": [], \"alarms\": [], \"decide with\": [[\"a\", \"b\"]]}");
}

static void a_decision_comes_back_from_json(void **state)
{
	static const char *const rules[] = {
		"    launch: [awaken 1 2, sleep]\n    on host: h\n",
		"    hold until all have ended: [awaken, sleep success 06]\n    alarm: x\n",
		"    hold until all have ended: [awaken]\n    if one fails: drop\n    give up after: 3 s\n    when given up: release\n",
		"    launch:\n      - hold until all have ended: [awaken]\n      - hold until all have ended: [sleep]\n",
		"    launch: []\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		const char *direct = decides(rules[i], "");
		char *wanted = strdup(direct), *name;

		assert_non_null(wanted);
		/* A group from a program has no rule of ours. */
		name = strstr(wanted, "hold sleep#1");
		if (name == NULL)
			assert_string_equal(from_json(to_json(rules[i], "")), wanted);
		else
			assert_string_equal(
				strchr(strstr(from_json(to_json(rules[i], "")), "hold "), '{'),
				strchr(name, '{') != NULL && i != 3
					? strchr(name, '{')
					: "{awaken} go on 86400000 drop; hold decide with: {sleep} go on 86400000 drop");
		free(wanted);
	}
	assert_string_equal(from_json("{}"), "");
	assert_string_equal(
		from_json("{\"next\": [{\"worker\": \"awaken\", \"args\": [\"a b\", 5, true]}]}"),
		"awaken {a b} {5} {true}");
}

static void a_program_launches_so_many_and_no_more(void **state)
{
	struct rules_decision decision = { 0 };
	struct error error = { 0 };
	struct buffer text;

	buffer_init(&text);
	buffer_append_text(&text, "{\"next\": [");
	for (int i = 0; i < 10000; i++)
		buffer_append_text(&text, i > 0 ? ",0" : "0");
	/* Each is looked at. */
	buffer_append_text(&text, "]}");
	assert_int_equal(rules_decision_from_json(text.data, text.len, &config, &decision, &error),
		NC_ERR_INVALID);
	text.len -= strlen("]}");
	buffer_append_text(&text, ",0]}");
	assert_int_equal(rules_decision_from_json(text.data, text.len, &config, &decision, &error),
		NC_ERR_LIMIT);
	assert_string_equal(error.text, "the program launches more than 10000 workers");
	assert_int_equal(decision.count, 0);
	buffer_finish(&text);
}

static void settings_of_a_group_are_kept_in_json(void **state)
{
	assert_string_equal(
		to_json("    hold until all have ended: [awaken]\n    when given up: release\n",
			""),
		"{\"next\": [], \"hold until\": [\"awaken\"], \"groups\": [{\"hold until\": [\"awaken\"], "
		"\"if one fails\": \"go on\", \"give up after\": \"86400 s\", \"when given up\": "
		"\"release\"}], \"alarms\": []}");
	assert_string_equal(
		to_json("    hold until all have ended: [awaken]\n    give up after: 5 s\n", ""),
		"{\"next\": [], \"hold until\": [\"awaken\"], \"groups\": [{\"hold until\": [\"awaken\"], "
		"\"if one fails\": \"go on\", \"give up after\": \"5 s\", \"when given up\": "
		"\"drop\"}], \"alarms\": []}");
	assert_string_equal(from_json("{\"groups\": [{\"hold until\": [\"sleep  failure\"]}]}"),
		"hold decide with: {sleep failure} go on 86400000 drop");
}

static void what_a_program_prints_is_checked(void **state)
{
	static const char *const outputs[] = { "", "[]", "{", "null", "{\"nxt\": []}",
		"{\"next\": {}}", "{\"next\": [\"awaken\"]}", "{\"next\": [{\"worker\": \"rm\"}]}",
		"{\"next\": [{\"worker\": 5}]}",
		"{\"next\": [{\"worker\": \"awaken\", \"args\": \"a\"}]}",
		"{\"next\": [{\"worker\": \"awaken\", \"args\": [[]]}]}",
		"{\"next\": [{\"worker\": \"awaken\", \"args\": [null]}]}",
		"{\"next\": [{\"worker\": \"awaken\", \"host\": \"\"}]}",
		"{\"next\": [{\"worker\": \"awaken\", \"hots\": \"\"}]}",
		"{\"hold until\": \"awaken\"}", "{\"hold until\": [\"rm\"]}",
		"{\"hold until\": [\"\"]}", "{\"hold until\": [5]}",
		"{\"hold until\": [\"sleep <\"]}", "{\"groups\": {}}", "{\"groups\": [[]]}",
		"{\"groups\": [{}]}",
		"{\"groups\": [{\"hold until\": [\"awaken\"], \"if one fails\": \"x\"}]}",
		"{\"groups\": [{\"hold until\": [\"awaken\"], \"give up after\": \"x\"}]}",
		"{\"groups\": [{\"hold until\": [\"awaken\"], \"when given up\": \"x\"}]}",
		"{\"groups\": [{\"hold until\": [\"awaken\"], \"more\": \"x\"}]}",
		"{\"groups\": [{\"hold until\": []}]}",
		"{\"groups\": [{\"hold until\": [\"awaken\"], \"if one fails\": true}]}",
		"{\"groups\": [{\"hold until\": [\"awaken\"], \"give up after\": 5}]}",
		"{\"groups\": [{\"hold until\": [\"awaken\"], \"when given up\": null}]}",
		"{\"groups\": [{\"hold until\": [\"awaken\"], \"give up after\": \"0 s\"}]}",
		"{\"next\": [5]}", "{\"next\": [{\"worker\": \"awaken\", \"host\": 5}]}",
		"{\"next\": [{\"args\": []}]}",
		"{\"next\": [{\"worker\": \"awaken\", \"args\": null}]}",
		"{\"next\": [{\"worker\": \"awaken\", \"args\": {}}]}", "{\"alarms\": \"x\"}",
		"{\"alarms\": [\"\"]}", "{\"alarms\": [[]]}", "{\"decide with\": [[\"x\"]]}",
		"{} {}" };

	for (size_t i = 0; i < ARRAY_LEN(outputs); i++)
		if (strncmp(from_json(outputs[i]),
			    "what the program printed cannot be used: ", 41) != 0)
			fail_msg("%s: %s", outputs[i], from_json(outputs[i]));
}

/* A member whose end goes unseen holds its group up for a day. */
static void r21_without_memory_a_pattern_is_not_taken_for_another(void **state)
{
	bool failed = true;

	for (long nth = 1; failed; nth++) {
		bool found = false;
		enum nc_err err;

		memory_fail_at(nth);
		err = rules_pattern_matches("success <c: 00 | 06>", "success 06", &found);
		failed = memory_has_failed();
		assert_int_equal(err, failed ? NC_ERR_NOMEM : NC_OK);
		assert_true(found == !failed);
		assert_true(memory_outstanding() == 0 || !FAILING_MALLOC);
	}
}

static void r21_without_memory_what_a_program_says_is_not_taken_for_wrong(void **state)
{
	static const char output[] =
		"{\"next\": [{\"worker\": \"sleep\", \"args\": [\"x\"]}], \"alarms\": [\"a\"], "
		"\"hold until\": [\"awaken success <x: 00 | 06>\"]}";
	bool failed = true;

	for (long nth = 1; failed; nth++) {
		struct rules_decision decision = { 0 };
		enum nc_err err;

		memory_fail_at(nth);
		err = rules_decision_from_json(output, strlen(output), &config, &decision, NULL);
		failed = memory_has_failed();
		assert_int_equal(err, failed ? NC_ERR_NOMEM : NC_OK);
		assert_int_equal(decision.groups_count, !failed);
		rules_decision_finish(&decision);
		assert_true(memory_outstanding() == 0 || !FAILING_MALLOC);
	}
}

/* Reading JSON is left out: it is tried above. */
static void r21_without_memory_no_decision_is_made_by_half(void **state)
{
	static const char keys[] =
		"sleep:\n  - on: success <w>\n    for each x in: <payload>\n    with:\n"
		"      a: [<x>, y]\n      b:\n        depending on: <x>\n        p: <x | upper>\n"
		"        otherwise: <today | as YYYY>\n    when: [<x> is set, <x> is in <payload>]\n"
		"    first of:\n      - launch: awaken <b> <a[1]> [<launch[no]>]\n        on host: h<w>\n"
		"    hold until all have ended: [awaken success]\n    alarm: <x>\n    decide with: [a, <x>]\n"
		"any worker:\n  - same as after: awaken\nawaken:\n  - on: crash\n";
	struct value *payload = read_value("[p, q]");
	struct rules_input input = {
		.worker = "sleep", .type = "success 06", .payload = payload, .today = { 2026, 1, 1 }
	};
	bool failed = true;

	for (long nth = 1; failed; nth++) {
		struct rules *rules = NULL;
		struct rules_decision decision = { 0 };
		struct value *value = NULL;
		struct buffer text;
		enum nc_err err;

		buffer_init(&text);
		memory_fail_at(nth);
		err = rules_read("r", keys, strlen(keys), &config, &rules, NULL, NULL);
		if (err == NC_OK)
			err = rules_apply(rules, &input, &decision, NULL);
		if (err == NC_OK) {
			/* What a program may not say. */
			size_t programs = decision.programs_count;

			decision.programs_count = 0;
			value = rules_decision_to_value(&decision);
			decision.programs_count = programs;
			err = value != NULL ? NC_OK : NC_ERR_NOMEM;
		}
		if (err == NC_OK)
			json_write(value, 0, &text);
		if (err == NC_OK && !text.failed)
			err = rules_print(rules, &text, NULL);
		failed = memory_has_failed();
		assert_true((err == NC_OK && (failed || decision.count == 2)) ||
			    (failed && err == NC_ERR_NOMEM));
		buffer_finish(&text);
		value_destroy(value);
		rules_decision_finish(&decision);
		rules_destroy(rules);
		assert_true(memory_outstanding() == 0 || !FAILING_MALLOC);
	}
	value_destroy(payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_has_its_members_and_settings),
		cmocka_unit_test(a_group_bears_the_name_of_its_rule),
		cmocka_unit_test(the_pattern_of_a_member_matches_types),
		cmocka_unit_test(an_alarm_says_its_text),
		cmocka_unit_test(a_program_has_its_arguments_and_time),
		cmocka_unit_test(what_fails_behind_it_declares_no_group),
		cmocka_unit_test(a_decision_is_printed_as_json),
		cmocka_unit_test(a_decision_comes_back_from_json),
		cmocka_unit_test(a_program_launches_so_many_and_no_more),
		cmocka_unit_test(settings_of_a_group_are_kept_in_json),
		cmocka_unit_test(what_a_program_prints_is_checked),
		cmocka_unit_test(r21_without_memory_a_pattern_is_not_taken_for_another),
		cmocka_unit_test(r21_without_memory_what_a_program_says_is_not_taken_for_wrong),
		cmocka_unit_test(r21_without_memory_no_decision_is_made_by_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
