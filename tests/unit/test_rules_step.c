/* core/decide/rules: steps */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "run_rules.h"

static void names_of_with_can_use_each_other(void **state)
{
	assert_string_equal(
		decides("    with:\n      a: <b>/x\n      b: <payload[c]>\n    launch: awaken <a> <b>\n",
			"c: y"),
		"awaken {y/x} {y}");
}

static void a_name_of_with_is_computed_when_it_is_used(void **state)
{
	const char *rule = "    with:\n      a: <payload[no]>\n      b: <payload[yes]>\n"
			   "    when: <b> is 1\n    launch: awaken\n";

	assert_string_equal(decides(rule, "yes: 1"), "awaken");
	assert_string_equal(
		decides("    with: {a: <payload>}\n    when: <a> is set\n    launch: awaken\n", ""),
		"");
}

static void a_name_of_with_keeps_the_type_of_its_value(void **state)
{
	assert_string_equal(
		decides("    with:\n      a: <payload[list]>\n    for each b in: <payload[list]>\n"
			"    when: <b> is in <a>\n    launch: awaken <b> <a[0]>\n",
			"list: [x, y]"),
		"awaken {x} {x}; awaken {y} {x}");
}

static void names_are_computed_anew_in_each_round(void **state)
{
	assert_string_equal(
		decides("    for each host in: <payload>\n    with:\n      date: <payload[<host>]>\n"
			"    launch: awaken <host> <date + 1 day>\n",
			"{a: 2024-02-28, b: 2024-02-29}"),
		"awaken {a} {2024-02-29}; awaken {b} {2024-03-01}");
}

static void a_value_that_is_nothing_is_printed_as_null(void **state)
{
	assert_string_equal(decides("    launch: awaken <payload[a]> x<payload[a]>\n", "a: null"),
		"awaken {null} {xnull}");
}

static void a_list_has_what_stands_for_its_placeholders(void **state)
{
	assert_string_equal(decides("    with:\n      a:\n        - <payload>\n        - b\n"
				    "    launch: awaken <a[0][k][1][z]> <a[1]>\n",
				    "k: [x, {z: y}]"),
		"awaken {y} {b}");
	assert_string_equal(
		decides("    launch: awaken <payload[a<payload[b]>c]>\n", "{b: '-', a-c: found}"),
		"awaken {found}");
	assert_non_null(strstr(decides("    launch: awaken <payload[a<payload[c]>]>\n", "b: 1"),
		"<payload[c]> finds nothing"));
}

static void a_step_goes_through_lists_sets_and_mappings(void **state)
{
	const char *rule = "    for each x in: <payload>\n    launch: awaken <x>\n";

	assert_string_equal(decides(rule, "[b, a]"), "awaken {b}; awaken {a}");
	assert_string_equal(decides(rule, "{b: 1, a: 2}"), "awaken {b}; awaken {a}");
	assert_string_equal(decides(rule, "!!set {b, a}"), "awaken {b}; awaken {a}");
	assert_string_equal(decides(rule, "[]"), "");
	assert_string_equal(
		decides("    for each x in: [1, <payload>, 06]\n    launch: awaken <x>\n", "no"),
		"awaken {1}; awaken {false}; awaken {06}");
	assert_non_null(strstr(decides(rule, "text"), "goes through a list"));
	assert_non_null(strstr(decides(rule, "null"), "goes through a list"));
	assert_non_null(
		strstr(decides("    for each x in: <payload[a]>\n    launch: awaken\n", "{}"),
			"finds nothing"));
}

/* Each of these keys, and nothing else wrong. */
static void parts_of_a_step_that_nobody_can_mean_are_errors(void **state)
{
	static const char *const keys[] = { "for each x in: a", "for each x in: a<payload>",
		"for each x in: ''", "for each x on: <payload>", "for each in: <payload>",
		"for each x: <payload>", "foreach x in: <payload>", "for each today in: <payload>",
		"for each <x> in: <payload>", "{for each x in: [a], for each y in: [b]}",
		"with: [a]", "with: {'': a}", "with: {a + b: c}", "with: {a - b: c}",
		"with: {a|b: c}", "with: {payload: c}", "with: {a: {}}",
		"with: {a: {depending on: '<payload>'}}", "with: {a: {depending on: b, c: d}}",
		"with: {a: {b: c}}", "with: {a: [[b]]}", "{for each x in: [a], with: {x: b}}",
		"with:\n      a: <payload[<b>]>\n      b: x<payload[<a>]>", "with: {a: ['<a>']}",
		"first of: awaken", "first of: []", "first of: {launch: awaken}",
		"first of: [awaken, launch: awaken]", "on host: ''", "on host: [a]",
		"on host: {a: b}", "launch: ''", "launch: 'awaken \"b <c\" d'", "launch: '\"\"'",
		"launch: '\"\" a'", "lunch: awaken", "lunch: ''", "lunch: [awaken]",
		"stop: perhaps", "stop: ''", "alarm: ''", "hold until all have ended: awaken",
		"hold until all have ended: []", "hold until all have ended: ['']",
		"hold until all have ended: [[awaken]]",
		"hold until all have ended: ['<x> success']", "hold until all have ended: [rm]",
		"hold until all have ended: ['sleep <a']", "if one fails: drop",
		"{hold until all have ended: [awaken], if one fails: perhaps}",
		"{hold until all have ended: [''], if one fails: perhaps}",
		"{hold until all have ended: [awaken], give up after: 0 s}",
		"{hold until all have ended: [awaken], give up after: [1 h]}",
		"{hold until all have ended: [awaken], when given up: perhaps}",
		"decide with: ./after.py", "decide with: []", "decide with: ['']",
		"decide with: [[a]]", "time limit: 5 s", "{decide with: [a], time limit: later}" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const bool many = keys[i][0] == '{';
		char text[400];

		/* All keys of a step in one flow mapping, or one key a line. */
		if (many)
			snprintf(text, sizeof(text), "sleep:\n  - {on: success, %s\n", keys[i] + 1);
		else
			snprintf(text, sizeof(text), "sleep:\n  - on: success\n    %s\n", keys[i]);
		if (strstr(found(text), "error ") == NULL ||
			strstr(found(text), "bad-yaml") != NULL)
			fail_msg("%s: %s", text, found(text));
	}
}

static void a_rule_that_nobody_can_mean_is_an_error(void **state)
{
	static const char *const rules[] = { "success", "[on, success]", "{launch: awaken}",
		"{on: [success, sucess]}", "{on: [sucess, success]}", "{on: [[success]]}",
		"{same as after: awaken, on: success}", "{same as after: ''}",
		"{same as after: [awaken]}", "{same as after: any worker}",
		"{same as after: sleep}", "{same as after: slep}",
		"{on: 'success <a> <b: 06>', with: {c: '<d>'}}" };

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		char text[400];

		snprintf(text, sizeof(text), "any worker: []\nawaken: []\nsleep:\n  - %s\n",
			rules[i]);
		if (strstr(found(text), "error ") == NULL ||
			strstr(found(text), "bad-yaml") != NULL)
			fail_msg("%s: %s", text, found(text));
	}
}

static void a_rule_has_so_many_names_and_no_more(void **state)
{
	struct buffer text;

	buffer_init(&text);
	buffer_append_text(&text, "sleep:\n  - on: success\n    with:\n");
	for (int i = 0; i < 200; i++)
		buffer_printf(&text, "      n%d: a\n", i);
	assert_string_equal(found(text.data), "");
	buffer_append_text(&text, "      n200: a\n");
	assert_string_equal(found(text.data), "error limit 204:7");
	buffer_finish(&text);
}

static void the_value_depends_on_a_text(void **state)
{
	const char *rule =
		"    with:\n      a:\n        depending on: <payload>\n        06: six\n        no: [x, y]\n"
		"        otherwise:\n          depending on: <payload>x\n          zx: <payload>!\n"
		"    launch:\n      - for each b in: [<a>]\n        launch: awaken <a>\n";

	assert_string_equal(decides(rule, "06"), "awaken {six}");
	assert_string_equal(decides(rule, "z"), "awaken {z!}");
	assert_non_null(strstr(decides(rule, "'no'"), "is a list, and cannot be printed"));
	assert_non_null(strstr(decides(rule, "6"), "no value for `6x`, and no `otherwise`"));
}

static void the_first_step_whose_when_holds_is_worked(void **state)
{
	const char *rule =
		"    first of:\n      - when: <payload> is a\n        launch: awaken 1\n"
		"      - for each x in: [p, q]\n        when: <payload> is <x>\n        launch: awaken <x>\n"
		"      - launch: awaken 3\n      - launch: awaken 4\n";

	assert_string_equal(decides(rule, "a"), "awaken {1}");
	assert_string_equal(decides(rule, "q"), "awaken {q}");
	assert_string_equal(decides(rule, "c"), "awaken {3}");
}

static void a_step_is_worked_in_its_order(void **state)
{
	assert_string_equal(
		decides("    first of:\n      - launch: awaken 3\n    launch:\n      - awaken 1\n"
			"      - launch: awaken 2\n",
			""),
		"awaken {1}; awaken {2}; awaken {3}");
}

static void a_host_is_for_the_steps_in_a_step(void **state)
{
	assert_string_equal(
		decides("    on host: <payload>\n    launch:\n      - awaken 1\n      - launch: awaken 2\n"
			"      - on host: other\n        launch: awaken 3\n      - on host: localhost\n"
			"        launch: awaken 4\n    first of:\n      - launch: awaken 5\n",
			"h"),
		"awaken@h {1}; awaken@h {2}; awaken@other {3}; awaken {4}; awaken@h {5}");
	/* It is looked up only for a launch. */
	assert_string_equal(
		decides("    on host: <payload[no]>\n    when: <payload> is set\n    launch: awaken\n",
			""),
		"");
	assert_string_equal(
		decides("    for each h in: [a, b]\n    on host: <h>\n    launch: awaken\n", ""),
		"awaken@a; awaken@b");
}

static void stop_ends_the_rules(void **state)
{
	const char *rules =
		"sleep:\n  - on: success\n    when: <payload> is set\n    stop: yes\n    launch: awaken 1\n"
		"  - on: success\n    launch: awaken 2\nany worker:\n  - on: success\n    launch: awaken 3\n";

	assert_string_equal(launches(rules, "success", "a"), "awaken {1}");
	assert_string_equal(launches(rules, "success", ""), "awaken {2}; awaken {3}");
	assert_string_equal(
		launches("sleep:\n  - on: success\n    stop: true\n    launch: awaken 1\n"
			 "  - on: success\n    launch: awaken 2\n",
			"success", ""),
		"awaken {1}");
	assert_string_equal(
		launches(
			"sleep:\n  - on: success\n    stop: false\n  - on: success\n    launch: awaken\n",
			"success", ""),
		"awaken");
	assert_string_equal(
		launches(
			"sleep:\n  - on: success\n    stop: no\n  - on: success\n    launch: awaken\n",
			"success", ""),
		"awaken");
	assert_string_equal(
		launches(
			"sleep:\n  - on: success\n    stop: yes\n    for each x in: <payload>\n"
			"    when: <x> is b\n    launch: awaken <x>\n  - on: success\n    launch: awaken\n",
			"success", "[a, b]"),
		"awaken {b}");
}

static void rules_of_another_worker_are_tried_in_their_place(void **state)
{
	const char *rules =
		"sleep:\n  - on: success\n    launch: awaken 1\n  - same as after: awaken\n"
		"  - on: success\n    launch: awaken 3\nawaken:\n  - on: success\n    launch: awaken 2\n";

	assert_string_equal(launches(rules, "success", ""), "awaken {1}; awaken {2}; awaken {3}");
	assert_string_equal(
		launches(
			"sleep:\n  - same as after: awaken\n  - on: success\n    launch: awaken 2\n"
			"awaken:\n  - on: success\n    stop: yes\n    launch: awaken 1\n",
			"success", ""),
		"awaken {1}");
	assert_string_equal(
		launches(
			"sleep:\n  - same as after: nobody\nnobody:\n  - on: success\n    launch: stranger\n",
			"success", ""),
		"stranger");
	/* Once for each time that they are named, the nearest of them first. */
	assert_string_equal(
		launches(
			"sleep:\n  - same as after: awaken\n  - same as after: nobody\n"
			"  - same as after: awaken\n"
			"nobody:\n  - same as after: awaken\n  - on: success\n    launch: stranger\n"
			"awaken:\n  - on: success\n    launch: awaken\n",
			"success", ""),
		"awaken; awaken; stranger; awaken");
	assert_string_equal(
		found_but("sleep:\n  - same as after: nobody\n  - same as after: awaken\n"
			  "nobody:\n  - same as after: awaken\n"
			  "awaken:\n  - on: success\n",
			"unregistered-entry"),
		"warning unmatched-success 1:1");
}

static void rules_that_are_those_of_others_come_to_an_end(void **state)
{
	struct buffer text;

	buffer_init(&text);
	for (int i = 0; i < 20; i++)
		buffer_printf(&text, "w%d:\n  - same as after: w%d\n", i, i + 1);
	buffer_append_text(&text, "w20:\n  - on: success\n");
	assert_non_null(strstr(found_but(text.data, "unregistered-entry"), "error limit "));
	buffer_finish(&text);
	assert_string_equal(found_but("sleep:\n  - same as after: awaken\n"
				      "awaken:\n  - same as after: sleep\n",
				    NULL),
		"error needs-itself 4:20");
}

/* It is the name of those that are tried for all, once. */
static void a_worker_that_is_called_any_worker_has_no_rules_of_its_own(void **state)
{
	static const char text[] = "any worker:\n  - on: success\n    launch: awaken\n";
	struct rules *rules = NULL;
	struct rules_decision decision = { 0 };
	struct rules_input input = { .worker = "any worker", .type = "success" };

	assert_int_equal(rules_read("r", text, strlen(text), &config, &rules, NULL, NULL), NC_OK);
	assert_int_equal(rules_apply(rules, &input, &decision, NULL), NC_OK);
	assert_int_equal(decision.count, 1);
	rules_decision_finish(&decision);
	rules_destroy(rules);
}

static void an_inner_name_hides_an_outer_one(void **state)
{
	assert_string_equal(
		launches("sleep:\n  - on: success <x>\n    launch:\n      - with: {x: inner}\n"
			 "        launch: awaken <x>\n      - awaken <x>\n",
			"success 06", ""),
		"awaken {inner}; awaken {06}");
	assert_non_null(strstr(
		launches("sleep:\n  - on: success <x>\n    with: {x: '<x>'}\n", "success 06", ""),
		"needs itself"));
	assert_non_null(
		strstr(launches("sleep:\n  - on: success <cycle>\n    launch: awaken <cylce>\n",
			       "success 06", ""),
			"did you mean `cycle`?"));
}

static void a_name_is_in_force_in_its_step_only(void **state)
{
	assert_non_null(
		strstr(decides("    launch:\n      - with: {x: a}\n        launch: awaken <x>\n"
			       "      - awaken <x>\n",
			       ""),
			"r.yaml:6:9: there is nothing called `x`"));
	assert_non_null(strstr(
		decides("    for each y in: <x>\n    with: {x: a}\n", ""), "nothing called `x`"));
}

static void the_whole_configuration_and_checklist_can_be_looked_up(void **state)
{
	config_text = "{run: {hosts: {h: {storage: yes}}}, n: [10, 20]}";
	checklist_text = "{a b: {c: 1}}";
	launch_text =
		"{worker: sleep, arguments: [x, --name=y, --n, 5, --flag], host: h, date: 2026-11-23, attempt: 2}";
	assert_string_equal(
		decides("    launch: awaken <config[run][hosts][<launch[host]>][storage]> <config[n][1]> "
			"<checklist[a b][c]> <launch[arguments][--n]> <launch[date] + 1 day> <launch[attempt]> "
			"[<launch[arguments][--flag]>] [<launch[reason]>]\n",
			""),
		"awaken {true} {20} {1} {5} {2026-11-24} {2}");
	assert_non_null(
		strstr(decides("    launch: awaken <config[n][-1]>\n", ""), "finds nothing"));
	assert_non_null(
		strstr(decides("    launch: awaken <config[n][2]>\n", ""), "finds nothing"));
	assert_non_null(
		strstr(decides("    launch: awaken <config[n][99999999999999999999]>\n", ""),
			"finds nothing"));
	config_text = checklist_text = launch_text = NULL;
}

static void optional_words_stand_or_fall_together(void **state)
{
	const char *rule =
		"    launch:\n      - awaken [--a <payload[a]> <payload[b]> x] [--c \"<payload[c]>] d\"] end\n";

	assert_string_equal(
		decides(rule, "{a: 1, b: 2, c: 3}"), "awaken {--a} {1} {2} {x} {--c} {3] d} {end}");
	assert_string_equal(decides(rule, "{a: 1, c: 3}"), "awaken {--c} {3] d} {end}");
	assert_string_equal(decides(rule, "{b: 2}"), "awaken {end}");
	assert_non_null(strstr(decides(rule, "{a: [], b: 2}"), "is a list"));
	assert_string_equal(
		decides("    launch:\n      - awaken [--a \"<payload[a]> x\"] \"b c\" d\n", "a: 1"),
		"awaken {--a} {1 x} {b c} {d}");
	assert_non_null(strstr(decides("    launch:\n      - awaken [--a \"x\"y <payload>]\n", ""),
		"a blank is missing"));
}

static void a_worker_whose_name_is_looked_up_must_be_registered(void **state)
{
	assert_string_equal(decides("    launch: <payload> x\n", "awaken"), "awaken {x}");
	assert_string_equal(decides("    launch: <payload> x\n", "rm"),
		"r.yaml:3:13: the worker to launch, `rm`, is not in the message registry (rule 1 of sleep)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_with_can_use_each_other),
		cmocka_unit_test(a_name_of_with_is_computed_when_it_is_used),
		cmocka_unit_test(a_name_of_with_keeps_the_type_of_its_value),
		cmocka_unit_test(names_are_computed_anew_in_each_round),
		cmocka_unit_test(a_value_that_is_nothing_is_printed_as_null),
		cmocka_unit_test(a_list_has_what_stands_for_its_placeholders),
		cmocka_unit_test(a_step_goes_through_lists_sets_and_mappings),
		cmocka_unit_test(parts_of_a_step_that_nobody_can_mean_are_errors),
		cmocka_unit_test(a_rule_that_nobody_can_mean_is_an_error),
		cmocka_unit_test(a_rule_has_so_many_names_and_no_more),
		cmocka_unit_test(the_value_depends_on_a_text),
		cmocka_unit_test(the_first_step_whose_when_holds_is_worked),
		cmocka_unit_test(a_step_is_worked_in_its_order),
		cmocka_unit_test(a_host_is_for_the_steps_in_a_step),
		cmocka_unit_test(stop_ends_the_rules),
		cmocka_unit_test(rules_of_another_worker_are_tried_in_their_place),
		cmocka_unit_test(rules_that_are_those_of_others_come_to_an_end),
		cmocka_unit_test(a_worker_that_is_called_any_worker_has_no_rules_of_its_own),
		cmocka_unit_test(an_inner_name_hides_an_outer_one),
		cmocka_unit_test(a_name_is_in_force_in_its_step_only),
		cmocka_unit_test(the_whole_configuration_and_checklist_can_be_looked_up),
		cmocka_unit_test(optional_words_stand_or_fall_together),
		cmocka_unit_test(a_worker_whose_name_is_looked_up_must_be_registered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
