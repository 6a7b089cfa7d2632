/* core/decide/rules: reading and applying next_workers.yaml */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/yaml.h"
#include "core/decide/rules.h"
#include "failing_malloc.h"
#include "run_rules.h"

static void a_matching_rule_launches(void **state)
{
	assert_string_equal(
		launches("sleep:\n  - on: success\n    launch: awaken\n", "success", ""), "awaken");
	assert_string_equal(
		launches("sleep:\n  - on: success\n    launch: awaken\n", "failure", ""), "");
}

static void all_matching_rules_launch_in_the_order_of_the_file(void **state)
{
	assert_string_equal(launches("any worker:\n  - on: success\n    launch: awaken 3\n"
				     "sleep:\n  - on: success\n    launch: [awaken 1, awaken 2]\n",
				    "success", ""),
		"awaken {1}; awaken {2}; awaken {3}");
}

static void a_captured_word_can_be_used(void **state)
{
	assert_string_equal(
		launches("sleep:\n  - on: success <cycle>\n    launch: awaken <cycle> x<cycle>y\n",
			"success 06", ""),
		"awaken {06} {x06y}");
}

static void choices_of_a_captured_word_are_kept_to(void **state)
{
	const char *rules =
		"sleep:\n  - on: 'success <c: noon | 06 | 18>'\n    launch: awaken <c>\n";

	assert_string_equal(launches(rules, "success 06", ""), "awaken {06}");
	assert_string_equal(launches(rules, "success 12", ""), "");
}

static void values_are_looked_up_and_stay_one_argument(void **state)
{
	assert_string_equal(launches("sleep:\n  - on: success\n"
				     "    launch: awaken <payload[a][1]> \"two words\" <today>\n",
				    "success", "a: [x, 'y z']"),
		"awaken {y z} {two words} {2026-11-24}");
}

static void a_number_is_printed_as_it_is_written(void **state)
{
	assert_string_equal(launches("sleep:\n  - on: success\n    launch: awaken <payload[job]>\n",
				    "success", "job: 0012"),
		"awaken {0012}");
}

static void optional_words_are_left_out_when_nothing_is_found(void **state)
{
	const char *rules = "sleep:\n  - on: success\n"
			    "    launch:\n      - awaken [--run-date <payload[date]>] end\n";

	assert_string_equal(launches(rules, "success", "date: 2026-01-02"),
		"awaken {--run-date} {2026-01-02} {end}");
	assert_string_equal(launches(rules, "success", "{}"), "awaken {end}");
}

static void a_rule_that_fails_launches_nothing_at_all(void **state)
{
	assert_string_equal(launches("sleep:\n  - on: success\n    launch:\n      - awaken\n"
				     "      - awaken <payload[no]>\n",
				    "success", "{}"),
		"r.yaml:5:9: <payload[no]> finds nothing: there is no `no` in a mapping (rule 1 of "
		"sleep)");
	assert_string_equal(launches("sleep:\n  - on: success\n    launch: awaken <payload>\n",
				    "success", "{a: 1}"),
		"r.yaml:3:13: <payload> is a mapping, and cannot be printed into a text (rule 1 of "
		"sleep)");
}

static void every_mistake_is_found_with_its_place(void **state)
{
	assert_string_equal(
		found("sleep:\n  - on: sucess\n    launch: awaken\n"), "error unmatched-type 2:9");
	assert_string_equal(
		found("sleep:\n  - on: success\n    launch: awake\n"), "error unknown-worker 3:13");
	assert_string_equal(
		found("sleep:\n  - on: success\n    lunch: awaken\n"), "error unknown-key 3:5");
	assert_string_equal(found("sleep:\n  - on: success\n    launch: awaken <nobody>\n"),
		"error unknown-name 3:13");
	assert_string_equal(found("sleep:\n  - on: success\n    launch: awaken <payload[a>\n"),
		"error bad-syntax 3:13");
	assert_string_equal(found("sleep:\n  - launch: awaken\n"), "error missing-key 2:5");
	assert_string_equal(found("sleep: awaken\n"), "error bad-syntax 1:1");
	assert_string_equal(found("- a\n"), "error bad-syntax 1:1");
	assert_string_equal(found("sleep: [\n"), "error bad-yaml 2:1");
	assert_string_equal(found("sleep:\n  - on: success\n    launch: awaken <today\n"),
		"error bad-syntax 3:13");
}

static void rules_of_an_unregistered_worker_are_a_warning(void **state)
{
	assert_string_equal(found("slep:\n  - on: success\n    launch: awakn\n"),
		"warning unregistered-entry 1:1");
}

static void launches_can_be_for_another_host(void **state)
{
	const char *rules =
		"sleep:\n  - on: success\n    on host: <payload[host]>\n    launch: awaken 1\n";

	assert_string_equal(launches(rules, "success", "host: salish"), "awaken@salish {1}");
	assert_string_equal(launches(rules, "success", "host: localhost"), "awaken {1}");
	assert_string_equal(launches(rules, "success", "{}"),
		"r.yaml:3:14: <payload[host]> finds nothing: there is no `host` in a mapping (rule "
		"1 of sleep)");
	assert_string_equal(
		found("sleep:\n  - on: success\n    on host: <who>\n    launch: awaken\n"),
		"error unknown-name 3:14");
	assert_string_equal(
		found("sleep:\n  - on: success\n    on host: [a]\n    launch: awaken\n"),
		"error bad-syntax 3:14");
}

static void crash_exists_for_every_worker(void **state)
{
	assert_string_equal(launches("awaken:\n  - on: crash\n    launch: sleep\n"
				     "sleep:\n  - on: [crash, lost]\n    launch: awaken\n",
				    "crash", ""),
		"awaken");
}

static void empty_rules_are_rules(void **state)
{
	assert_string_equal(launches("", "success", ""), "");
	assert_string_equal(launches("sleep: []\n", "success", ""), "");
}

static void any_worker_is_checked_as_the_others_are(void **state)
{
	assert_string_equal(found("any worker:\n  - on: success 06\n    launch: awaken\n"), "");
	assert_string_equal(found("any worker:\n  - on: succes\n    launch: awaken\n"),
		"error unmatched-type 2:9");
	assert_string_equal(found("any worker:\n  - on: success\n    launch: awake\n"),
		"error unknown-worker 3:13");
}

static void a_success_that_no_rule_is_for_is_a_warning(void **state)
{
	assert_string_equal(
		found_but("sleep:\n  - on: success\n", NULL), "warning unmatched-success 1:1");
	assert_string_equal(found_but("sleep:\n  - on: [success, success <cycle>]\n", NULL), "");
	assert_string_equal(found_but("sleep: []\nawaken:\n  - on: crash\n", NULL),
		"warning unmatched-success 2:1");
	assert_string_equal(
		found_but("awaken:\n  - on: sucess\n", NULL), "error unmatched-type 2:9");
	/* Those of the other worker are for it. */
	assert_string_equal(found_but("awaken:\n  - same as after: sleep\n"
				      "sleep:\n  - on: [success, success <c>]\n",
				    NULL),
		"");
	assert_string_equal(found_but("sleep:\n  - same as after: awaken\n"
				      "awaken:\n  - on: [success]\n",
				    NULL),
		"warning unmatched-success 1:1");
}

static void patterns_that_can_match_nothing_are_errors(void **state)
{
	static const char *const patterns[] = { "[]", "''", "'<a>b'", "'success <c: >'",
		"'success <c: 06 | >'", "'success <c: 0 6 | 12>'", "'<a> <a>'",
		"'success <payload>'", "'success <>'", "'success <a'", "{success: 06}",
		"'success x<a>'", "[[success]]" };
	char text[200];

	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		snprintf(text, sizeof(text), "sleep:\n  - on: %s\n    launch: awaken\n",
			patterns[i]);
		assert_non_null(strstr(found(text), "error "));
	}
}

static void a_pattern_has_so_many_words_and_no_more(void **state)
{
	struct buffer text;

	buffer_init(&text);
	buffer_append_text(&text, "strangers:\n  - on: success");
	for (int i = 1; i < 64; i++)
		buffer_append_text(&text, " a");
	assert_string_equal(found(text.data), "warning unregistered-entry 1:1");
	buffer_append_text(&text, " a");
	assert_string_equal(found(text.data), "warning unregistered-entry 1:1; error limit 2:9");
	buffer_finish(&text);
}

static void commands_that_nobody_can_mean_are_errors(void **state)
{
	static const char *const commands[] = { "''", "'[awaken]'", "'awaken [--x'",
		"'awaken x ] y'", "'awaken [--x [--y]]'", "'awaken \"x'", "'awaken \"x\"y'",
		"'awaken <payload'", "'awaken <>'", "'awaken <[x]>'", "'awaken <payload[]>'",
		"'awaken <payload[x]y>'", "[awaken [x]]", "{launch_it: awaken}" };
	char text[200];

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		snprintf(text, sizeof(text), "sleep:\n  - on: success\n    launch: %s\n",
			commands[i]);
		assert_non_null(strstr(found(text), "error "));
	}
}

static void what_yaml_has_cut_in_two_is_said_to_be_so(void **state)
{
	assert_non_null(strstr(
		launches("sleep:\n  - on: success\n    launch: [awaken, [x]]\n", "success", ""),
		"is written as a block list"));
	assert_non_null(strstr(launches("sleep:\n  - on: success\n    launch: @x\n", "success", ""),
		"is written as a block list"));
	assert_non_null(
		strstr(launches("sleep:\n  - on: success <c: a>\n    launch: x\n", "success", ""),
			"stands in quotes"));
}

static void a_key_is_taken_as_it_is_written(void **state)
{
	assert_string_equal(launches("sleep:\n  - on: success\n"
				     "    launch: awaken <payload[a - b][c|d][no][0]>\n",
				    "success", "a - b: {c|d: {no: [x]}}"),
		"awaken {x}");
}

static void look_ups_in_look_ups_have_a_bottom(void **state)
{
	struct buffer text;

	buffer_init(&text);
	buffer_append_text(&text, "sleep:\n  - on: success\n    launch: 'awaken ");
	for (int i = 0; i < 100000; i++)
		buffer_append_text(&text, "<payload[");
	for (int i = 0; i < 100000; i++)
		buffer_append_text(&text, "]>");
	buffer_append_text(&text, "'\n");
	assert_string_equal(found(text.data), "error limit 3:13");
	buffer_finish(&text);
	assert_string_equal(launches("sleep:\n  - on: success <c>\n    launch: awaken "
				     "<payload[<payload[<c>]>]>\n",
				    "success 06", "{06: k, k: v}"),
		"awaken {v}");
}

static void an_option_of_the_launch_that_reports_has_its_value(void **state)
{
	static const char text[] =
		"sleep:\n  - on: success\n    launch:\n"
		"      - awaken <launch[arguments][--a]> <launch[arguments][--b]>\n"
		"      - awaken <launch[arguments][0]> [<launch[arguments][--c]>]\n";
	static const char facts[] = "arguments: [--a, 2026-01-02, --b=x y]";
	struct rules *rules = NULL;
	struct rules_decision decision = { 0 };
	struct value *launch = NULL;
	struct rules_input input = { .worker = "sleep", .type = "success" };

	assert_int_equal(rules_read("r", text, strlen(text), &config, &rules, NULL, NULL), NC_OK);
	assert_int_equal(yaml_read(facts, strlen(facts), YAML_READ_ALL_TEXT, &yaml_message_limits,
				 &launch, NULL),
		NC_OK);
	input.launch = launch;
	assert_int_equal(rules_apply(rules, &input, &decision, NULL), NC_OK);
	assert_string_equal(decision.launches[0].arguments[0], "2026-01-02");
	assert_string_equal(decision.launches[0].arguments[1], "x y");
	assert_string_equal(decision.launches[1].arguments[0], "--a");
	assert_int_equal(decision.launches[1].arguments_count, 1);
	rules_decision_finish(&decision);
	value_destroy(launch);
	rules_destroy(rules);
}

/* Read and apply `text` while the `nth` allocation fails. false: there are not so many. */
static bool apply_without_memory(const char *text, const struct value *payload, long nth)
{
	struct rules *rules = NULL;
	struct rules_decision decision = { 0 };
	struct findings findings;
	struct rules_input input = { .worker = "sleep", .type = "success 06", .payload = payload };
	struct error error = { 0 };
	bool failed;
	enum nc_err err;

	findings_init(&findings);
	memory_fail_at(nth);
	err = rules_read("r.yaml", text, strlen(text), &config, &rules, &findings, &error);
	if (err == NC_OK)
		err = rules_apply(rules, &input, &decision, &error);
	failed = memory_has_failed();
	/* An index of a mapping, say, it can do without. */
	assert_true(err == NC_OK || (failed && err == NC_ERR_NOMEM));
	assert_int_equal(decision.count, err == NC_OK ? 2 : 0);
	for (size_t i = 0; i < decision.count; i++)
		assert_int_equal(decision.launches[i].arguments_count, i == 0 ? 4 : 1);
	rules_decision_finish(&decision);
	rules_destroy(rules);
	findings_finish(&findings);
	assert_true(memory_outstanding() == 0 || !FAILING_MALLOC);
	return failed;
}

static void a_word_that_not_every_pattern_captures_cannot_be_used(void **state)
{
	assert_string_equal(found("sleep:\n  - on: [success, success <c>]\n"
				  "    launch: awaken <c>\n"),
		"error unknown-name 3:13");
}

static void r21_without_memory_rules_are_neither_read_nor_applied_by_half(void **state)
{
	static const char text[] =
		"sleep:\n  - on: 'success <c: 06 | 12>'\n    on host: <payload[host]>\n"
		"    launch:\n      - awaken \"a b\" x<c>y [--z <payload[z]>] [--n <payload[n]>]\n"
		"      - awaken <payload[<payload[k]>]>\n"
		"  - on: failure\n    when: <payload> is set\n";
	static const char payload_text[] = "{host: h, z: 1, k: v, v: w}";
	struct value *payload = NULL;
	long nth = 1;

	assert_int_equal(yaml_read(payload_text, strlen(payload_text), 0, &yaml_message_limits,
				 &payload, NULL),
		NC_OK);
	while (apply_without_memory(text, payload, nth))
		nth++;
	assert_true(nth > 50 || !FAILING_MALLOC);
	value_destroy(payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_matching_rule_launches),
		cmocka_unit_test(all_matching_rules_launch_in_the_order_of_the_file),
		cmocka_unit_test(a_captured_word_can_be_used),
		cmocka_unit_test(choices_of_a_captured_word_are_kept_to),
		cmocka_unit_test(values_are_looked_up_and_stay_one_argument),
		cmocka_unit_test(a_number_is_printed_as_it_is_written),
		cmocka_unit_test(optional_words_are_left_out_when_nothing_is_found),
		cmocka_unit_test(a_rule_that_fails_launches_nothing_at_all),
		cmocka_unit_test(every_mistake_is_found_with_its_place),
		cmocka_unit_test(rules_of_an_unregistered_worker_are_a_warning),
		cmocka_unit_test(launches_can_be_for_another_host),
		cmocka_unit_test(crash_exists_for_every_worker),
		cmocka_unit_test(empty_rules_are_rules),
		cmocka_unit_test(any_worker_is_checked_as_the_others_are),
		cmocka_unit_test(a_success_that_no_rule_is_for_is_a_warning),
		cmocka_unit_test(patterns_that_can_match_nothing_are_errors),
		cmocka_unit_test(a_pattern_has_so_many_words_and_no_more),
		cmocka_unit_test(commands_that_nobody_can_mean_are_errors),
		cmocka_unit_test(what_yaml_has_cut_in_two_is_said_to_be_so),
		cmocka_unit_test(a_key_is_taken_as_it_is_written),
		cmocka_unit_test(look_ups_in_look_ups_have_a_bottom),
		cmocka_unit_test(an_option_of_the_launch_that_reports_has_its_value),
		cmocka_unit_test(a_word_that_not_every_pattern_captures_cannot_be_used),
		cmocka_unit_test(r21_without_memory_rules_are_neither_read_nor_applied_by_half),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
