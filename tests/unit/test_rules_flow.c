/* core/decide/rules_flow: the flow of next_workers.yaml, and texts in few words */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/yaml.h"
#include "core/decide/rules_flow.h"
#include "failing_malloc.h"

static struct config_type a_types[] = {
	{ (char *)"success 06", (char *)"" },
	{ (char *)"success 12", (char *)"" },
	{ (char *)"success 18", (char *)"" },
	{ (char *)"failure 06", (char *)"" },
	{ (char *)"crash", (char *)"" },
};
static struct config_type b_types[] = {
	{ (char *)"success", (char *)"" },
	{ (char *)"failure", (char *)"" },
};
static struct config_worker workers[] = {
	{ .name = (char *)"a", .types = a_types, .types_count = ARRAY_LEN(a_types) },
	{ .name = (char *)"b", .types = b_types, .types_count = ARRAY_LEN(b_types) },
};
static const struct config config = { .workers = workers, .workers_count = ARRAY_LEN(workers) };

static enum nc_err read_flow(const char *text, struct flow *ret_flow, struct error *error)
{
	struct value *tree = NULL;
	enum nc_err err =
		yaml_read(text, strlen(text), YAML_READ_ALL_TEXT, &yaml_file_limits, &tree, error);

	if (err == NC_OK)
		err = flow_read(tree, &config, ret_flow, error);
	value_destroy(tree);
	return err;
}

static void print_when(const struct flow_when *when, struct buffer *out)
{
	buffer_printf(out, "%s [%s", when->from, when->pattern);
	for (size_t i = 0; i < when->types_count; i++)
		buffer_printf(out, "%s%s", i > 0 ? "," : " = ", when->types[i]);
	buffer_append_text(out, "]");
}

/* All of it, one thing a line: `a [success 06 = success 06] -> b --fast @host /river {condition} ^other`. */
static const char *flow_of(const char *text)
{
	static const char *const arrows[FLOW_KIND_COUNT] = { "->", "!!", "??" };
	static char result[4000];
	struct flow flow = { 0 };
	struct error error = { 0 };
	struct buffer out;

	buffer_init(&out);
	if (read_flow(text, &flow, &error) != NC_OK)
		buffer_printf(&out, "%u:%u: %s", error.line, error.column, error.text);
	for (size_t i = 0; i < flow.steps_count; i++) {
		const struct flow_step *step = &flow.steps[i];

		print_when(&step->when, &out);
		buffer_printf(&out, " %s %s", arrows[step->kind], step->to);
		if (step->arguments != NULL)
			buffer_printf(&out, " %s", step->arguments);
		if (step->host != NULL)
			buffer_printf(&out, " @%s", step->host);
		if (step->when.each != NULL)
			buffer_printf(&out, " /%s", step->when.each);
		if (step->when.condition != NULL)
			buffer_printf(&out, " {%s}", step->when.condition);
		if (step->when.same_as != NULL)
			buffer_printf(&out, " ^%s", step->when.same_as);
		buffer_append_char(&out, '\n');
	}
	for (size_t i = 0; i < flow.groups_count; i++) {
		print_when(&flow.groups[i].when, &out);
		buffer_append_text(&out, " ||");
		for (size_t j = 0; j < flow.groups[i].members_count; j++)
			buffer_printf(&out, " %s(%s)", flow.groups[i].members[j].worker,
				flow.groups[i].members[j].pattern != NULL
					? flow.groups[i].members[j].pattern
					: "");
		buffer_append_char(&out, '\n');
	}
	if (flow.skipped > 0)
		buffer_printf(&out, "skipped %zu, first %u:%u\n", flow.skipped,
			flow.first_skipped_line, flow.first_skipped_column);
	assert_false(out.failed);
	snprintf(result, sizeof(result), "%s", out.data);
	buffer_finish(&out);
	flow_finish(&flow);
	return result;
}

static void launches_are_found_with_their_words(void **state)
{
	assert_string_equal(flow_of("a:\n"
				    "  - on: success 06\n"
				    "    launch: b --fast <payload[x y]> 2\n"
				    "b:\n"
				    "  - on: [success, crash]\n"
				    "    launch: [a 06, b]\n"),
		"a [success 06 = success 06] -> b --fast <payload[x y]> 2\n"
		"b [success or crash = success,crash] -> a 06\n"
		"b [success or crash = success,crash] -> b\n");
}

static void patterns_are_spelled_out_over_the_types_of_the_worker(void **state)
{
	assert_string_equal(
		flow_of("a: [{on: success <hour>, launch: b}, {on: '<how: failure | skipped> 06', "
			"launch: b}, {on: <one>, launch: b}, {on: lost, launch: b}]\n"
			"x: [{on: success <hour>, launch: b}]\n"
			"any worker: [{on: crash, launch: b}]\n"),
		"a [success <hour> = success 06,success 12,success 18] -> b\n"
		"a [<how: failure | skipped> 06 = failure 06] -> b\n"
		"a [<one> = crash,lost] -> b\n"
		"a [lost = lost] -> b\n"
		"x [success <hour>] -> b\n"
		"any worker [crash] -> b\n");
}

static const char *types_when(const char *condition)
{
	char rules[400];
	static char types[400];
	const char *flow, *from;

	snprintf(rules, sizeof(rules),
		"a:\n  - on: success <hour>\n    when: '%s'\n    launch: b\n", condition);
	flow = flow_of(rules);
	from = strstr(flow, "<hour>") + strlen("<hour>");
	snprintf(types, sizeof(types), "%.*s", (int)strcspn(from, "\n"), from);
	return types;
}

static void conditions_on_captured_words_leave_the_types_they_hold_for(void **state)
{
	static const struct {
		const char *condition, *types;
	} cases[] = {
		{ "<hour> is 12", " = success 12] -> b" },
		{ "<hour> is not 12", " = success 06,success 18] -> b" },
		{ "not <hour> is 12", " = success 06,success 18] -> b" },
		{ "not not <hour> is 12", " = success 12] -> b" },
		{ "<hour> is one of 06, 18, 24", " = success 06,success 18] -> b" },
		{ "<hour> is not one of 06, 18", " = success 12] -> b" },
		{ "<hour> starts with 1", " = success 12,success 18] -> b" },
		{ "<hour> ends with 8", " = success 18] -> b" },
		{ "<hour> contains 0", " = success 06] -> b" },
		{ "<hour> is 99", "] -> b" },
		{ "<hour> starts with 123", "] -> b" },
		{ "<hour> ends with 123", "] -> b" },
		{ "<hour> starts with 0", " = success 06] -> b" },
		{ "<hour> contains 99", "] -> b" },
		{ "not <hour> contains 1", " = success 06] -> b" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(types_when(cases[i].condition), cases[i].types);
}

static void other_conditions_are_kept_as_written(void **state)
{
	static const char *const conditions[] = { "<payload> is set", "<hour> is set",
		"<hour> is missing", "<hour> is in <config[x]>", "<hour> is not in <config[x]>",
		"<hour> is <payload>", "<hour> is before 2026-01-01", "<payload>", "<hour>",
		"<hour> isnt 12", "<hour: 06> is 06", "not", "12 is <hour>", "<> is 12", "<h is 12",
		"a>b is 12", "<hour> is",
		/* What is quoted, or has more blanks, is not read here, and so leaves out no type. */
		"<hour> is \"12\"", "<hour> is one of \"06\", \"1, 2\"", "<hour> is  one of 06, 12",
		"<hour> is  not 12", "<hour> is not  one of 12" };
	char expected[200];

	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		snprintf(expected, sizeof(expected),
			" = success 06,success 12,success 18] -> b {%s}", conditions[i]);
		assert_string_equal(types_when(conditions[i]), expected);
	}
}

static void what_is_no_condition_is_left_out(void **state)
{
	assert_string_equal(
		flow_of("b:\n  - on: success\n    when: ['', [<payload>], {a: b}]\n    launch: a\n"),
		"b [success = success] -> a\n");
}

static void a_name_with_another_meaning_narrows_nothing(void **state)
{
	assert_string_equal(flow_of("a:\n"
				    "  - on: success <hour>\n"
				    "    with: {hour: <payload>}\n"
				    "    when: <hour> is 12\n"
				    "    launch: b\n"
				    "  - on: success <hour>\n"
				    "    for each hour in: [1, 2]\n"
				    "    when: <hour> is 12\n"
				    "    launch: b\n"
				    "  - on: [success <hour>, crash]\n"
				    "    when: <hour> is 12\n"
				    "    launch: b\n"),
		"a [success <hour> = success 06,success 12,success 18] -> b {<hour> is 12}\n"
		"a [success <hour> = success 06,success 12,success 18] -> b /hour {<hour> is 12}\n"
		"a [success <hour> or crash = success 06,success 12,success 18,crash] -> b "
		"{<hour> is 12}\n");
	/* These give it none. */
	assert_string_equal(
		flow_of("a:\n  - on: [success <hour>, 'failure <hour: 06>']\n    with: [hour]\n"
			"    for each hour on: x\n    for each in: y\n    when: <hour> is 06\n    launch: b\n"),
		"a [success <hour> or failure <hour: 06> = success 06,failure 06] -> b\n");
}

static void steps_in_steps_are_gone_through(void **state)
{
	assert_string_equal(flow_of("b:\n"
				    "  - on: success\n"
				    "    for each river in: [x]\n"
				    "    when: <payload> is set\n"
				    "    on host: far\n"
				    "    launch:\n"
				    "      - a 1\n"
				    "      - for each fish in: [y]\n"
				    "        on host: <fish>\n"
				    "        launch: a 2\n"
				    "    first of:\n"
				    "      - when: <river> is x\n"
				    "        launch: a 3\n"
				    "      - when: [<river> is y, <fish> is z]\n"
				    "        launch: a 4\n"
				    "      - launch: a 5\n"),
		"b [success = success] -> a 1 @far /river {<payload> is set}\n"
		"b [success = success] -> a 2 @<fish> /river, fish {<payload> is set}\n"
		"b [success = success] -> a 3 @far /river {<payload> is set and <river> is x}\n"
		"b [success = success] -> a 4 @far /river {<payload> is set and otherwise, <river> is "
		"y and <fish> is z}\n"
		"b [success = success] -> a 5 @far /river {<payload> is set and otherwise}\n");
}

static void alarms_programs_and_groups_are_found(void **state)
{
	assert_string_equal(
		flow_of("b:\n"
			"  - on: failure\n"
			"    alarm: no <launch[arguments][0]>\n"
			"    decide with: [./after.py, -v]\n"
			"  - on: success\n"
			"    hold until all have ended: [a success 06, b, a failure <x>]\n"),
		"b [failure = failure] !! no <launch[arguments][0]>\n"
		"b [failure = failure] ?? ./after.py -v\n"
		"b [success = success] || a(success 06) b() a(failure <x>)\n");
}

static void same_as_after_is_followed(void **state)
{
	assert_string_equal(
		flow_of("a: [{on: success 06, launch: b}, {on: success 99, launch: b}]\n"
			"b: [same as after: a, {on: success, launch: b}]\n"
			"c: [same as after: b]\n"),
		"a [success 06 = success 06] -> b\n"
		"a [success 99] -> b\n"
		"b [success 06] -> b ^a\n"
		"b [success 99] -> b ^a\n"
		"b [success = success] -> b\n"
		"c [success 06] -> b ^a\n"
		"c [success 99] -> b ^a\n"
		"c [success] -> b ^b\n");
}

static void same_as_after_in_a_circle_ends(void **state)
{
	assert_string_equal(flow_of("a: [same as after: b, {on: success 06, launch: b}]\n"
				    "b: [same as after: a]\n"
				    "c: [same as after: c, same as after: nobody]\n"),
		"a [success 06 = success 06] -> b\n"
		"b [success 06] -> b ^a\n"
		"skipped 4, first 2:20\n");
	assert_string_equal(flow_of("a: [same as after: a]\n"), "skipped 1, first 1:20\n");
}

static void same_as_after_is_followed_so_far_and_no_further(void **state)
{
	struct buffer rules;
	const char *flow;

	buffer_init(&rules);
	for (int i = 0; i < 40; i++)
		buffer_printf(&rules, "w%d: [same as after: w%d]\n", i, i + 1);
	buffer_append_text(&rules, "w40: [{on: success, launch: b}]\n");
	flow = flow_of(rules.data);
	/* Those that are near enough to it. */
	assert_non_null(strstr(flow, "w10 [success] -> b ^w40\n"));
	assert_null(strstr(flow, "w0 [success] -> b"));
	assert_non_null(strstr(flow, "skipped "));
	buffer_finish(&rules);
}

/* A tree that no file has: steps in steps, deeper than any file may be. */
static void steps_in_steps_have_a_bottom(void **state)
{
	struct value *step = value_map(), *rules = value_list(), *map = value_map();
	struct flow flow = { 0 };

	assert_int_equal(value_map_put(step, "launch", value_text("b")), NC_OK);
	for (unsigned i = 0; i < yaml_file_limits.depth; i++) {
		struct value *outer = value_map();

		assert_int_equal(value_map_put(outer, "launch", step), NC_OK);
		step = outer;
	}
	assert_int_equal(value_map_put(step, "on", value_text("success")), NC_OK);
	assert_int_equal(value_list_append(rules, value_copy(step)), NC_OK);
	assert_int_equal(value_map_put(map, "b", rules), NC_OK);
	assert_int_equal(flow_read(map, &config, &flow, NULL), NC_OK);
	assert_int_equal(flow.steps_count, 1);
	assert_int_equal(flow.skipped, 0);
	flow_finish(&flow);
	{
		struct value *outer = value_map();

		assert_int_equal(value_map_put(outer, "on", value_text("success")), NC_OK);
		assert_int_equal(value_map_put(outer, "launch", step), NC_OK);
		assert_int_equal(value_list_append(rules, outer), NC_OK);
	}
	assert_int_equal(flow_read(map, &config, &flow, NULL), NC_OK);
	assert_int_equal(flow.steps_count, 1);
	assert_int_equal(flow.skipped, 1);
	flow_finish(&flow);
	value_destroy(map);
}

/* Of each kind, what there is nothing to be done for. */
static void steps_without_end_are_a_limit(void **state)
{
	static const char *const kinds[][2] = {
		{ "first of", "{}" },
		{ "launch", "''" },
		{ "hold until all have ended", "''" },
	};

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		struct buffer rules;
		struct flow flow = { 0 };
		struct error error = { 0 };

		buffer_init(&rules);
		buffer_printf(&rules, "b: [{on: success, alarm: x, %s: [", kinds[k][0]);
		for (int i = 0; i < FLOW_VISITS_MOST; i++)
			buffer_printf(&rules, "%s,", kinds[k][1]);
		buffer_append_text(&rules, "a]}]\n");
		assert_int_equal(read_flow(rules.data, &flow, &error), NC_ERR_LIMIT);
		assert_non_null(strstr(error.text, "20000"));
		assert_int_equal(flow.steps_count, 0);
		buffer_finish(&rules);
	}
}

static void what_is_no_rule_is_skipped_and_counted(void **state)
{
	assert_string_equal(flow_of("a: 5\n"
				    "b:\n"
				    "  - on: success\n"
				    "    launch: [a, [b], '']\n"
				    "  - launch: a\n"
				    "  - text\n"
				    "  - on: {x: y}\n"
				    "  - on: success\n"
				    "    first of: nonsense\n"
				    "    hold until all have ended: [[a], a, '']\n"
				    "  - on: success\n"
				    "    alarm: [a]\n"
				    "    decide with: [[a], b]\n"),
		"b [success = success] -> a\n"
		"b [success = success] ?? ? b\n"
		"b [success = success] || a()\n"
		"skipped 9, first 1:4\n");
}

static void a_file_without_rules_is_an_empty_flow(void **state)
{
	assert_string_equal(flow_of(""), "");
	assert_string_equal(flow_of("{}"), "");
	assert_string_equal(flow_of("a: []"), "");
}

static void a_file_that_is_no_mapping_is_refused_with_its_place(void **state)
{
	assert_string_equal(flow_of("\n- a\n"),
		"2:1: the rules are a mapping from a worker's name to its list of rules, not a "
		"list");
	assert_string_equal(flow_of("text"),
		"1:1: the rules are a mapping from a worker's name to its list of rules, not a "
		"text");
}

static void rules_without_end_are_a_limit(void **state)
{
	struct buffer rules;
	struct flow flow = { 0 };
	struct error error = { 0 };

	buffer_init(&rules);
	/* Each has the rules of the next one twice: 2^20 of the last. */
	for (int i = 0; i < 20; i++)
		buffer_printf(
			&rules, "w%d: [same as after: w%d, same as after: w%d]\n", i, i + 1, i + 1);
	buffer_append_text(&rules, "w20: [{on: success, launch: b}]\n");
	assert_int_equal(read_flow(rules.data, &flow, &error), NC_ERR_LIMIT);
	assert_non_null(strstr(error.text, "20000"));
	assert_int_equal(flow.steps_count, 0);
	buffer_finish(&rules);
}

static const char *types_of(size_t worker, const char *const *types, size_t count)
{
	static char result[400];
	struct buffer out;

	buffer_init(&out);
	flow_types_print(worker < ARRAY_LEN(workers) ? &workers[worker] : NULL, types, count, &out);
	snprintf(result, sizeof(result), "%s", out.data);
	buffer_finish(&out);
	return result;
}

static void types_are_said_in_few_words(void **state)
{
	static const char *const all[] = { "success 06", "success 12", "success 18", "crash" };
	static const char *const some[] = { "success 06", "success 12", "failure 06", "crash" };
	static const char *const words[] = { "a b 1", "a b 2", "a c 2", "a", "b" };

	assert_string_equal(types_of(0, all, 4), "any success, crash");
	assert_string_equal(types_of(0, some, 4), "success 06, 12, failure 06, crash");
	assert_string_equal(types_of(9, all, 3), "success 06, 12, 18");
	assert_string_equal(types_of(9, words, 5), "a b 1, 2, a c 2, a, b");
	assert_string_equal(types_of(1, (const char *const[]){ "success" }, 1), "success");
}

static const char *short_of(const char *text)
{
	static char result[400];
	struct buffer out;

	buffer_init(&out);
	flow_short_print(text, &out);
	snprintf(result, sizeof(result), "%s", out.data);
	buffer_finish(&out);
	return result;
}

static void placeholders_are_cut_to_their_last_key(void **state)
{
	assert_string_equal(
		short_of("not <config[run][hosts][<host>][shared storage]>"), "not shared storage");
	assert_string_equal(
		short_of("<NEMO run> is in <host config[run types]>"), "NEMO run is in run types");
	assert_string_equal(short_of("<payload[<run type>]> is set"), "run type is set");
	assert_string_equal(short_of("<date | as YYYY> is 2026"), "date is 2026");
	assert_string_equal(short_of("<payload[a] | last> x"), "a x");
	assert_string_equal(short_of("no end <payload[a"), "no end payload");
	assert_string_equal(short_of("<payload] | x>"), "payload]");
	assert_string_equal(short_of("<a[b[c]]>"), "b[c]");
	assert_string_equal(short_of("<a[b][]> <a[<>]>"), " <>");
	assert_string_equal(short_of("<a[<b[<c>]>]>"), "<c>");
	assert_string_equal(short_of("<>"), "");
	assert_string_equal(short_of("<"), "");
	assert_string_equal(short_of(""), "");
}

static void memory_that_runs_out_leaves_nothing_behind(void **state)
{
	static const char rules[] = "a:\n"
				    "  - on: success <hour>\n"
				    "    for each river in: [x]\n"
				    "    when: [<payload> is set, <hour> is 06]\n"
				    "    on host: far\n"
				    "    launch: [b 1, b 2]\n"
				    "    alarm: x\n"
				    "    decide with: [p, q]\n"
				    "    hold until all have ended: [a success 06, b]\n"
				    "b: [same as after: a]\n";
	struct value *tree = NULL;

	assert_int_equal(
		yaml_read(rules, strlen(rules), YAML_READ_ALL_TEXT, &yaml_file_limits, &tree, NULL),
		NC_OK);
	for (long nth = 1; FAILING_MALLOC; nth++) {
		struct flow flow = { 0 };
		enum nc_err err;
		bool failed;

		memory_fail_at(nth);
		err = flow_read(tree, &config, &flow, NULL);
		failed = memory_has_failed();
		assert_int_equal(err, failed ? NC_ERR_NOMEM : NC_OK);
		flow_finish(&flow);
		assert_int_equal(memory_outstanding(), 0);
		if (!failed) {
			assert_true(nth > 50);
			break;
		}
	}
	value_destroy(tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(launches_are_found_with_their_words),
		cmocka_unit_test(patterns_are_spelled_out_over_the_types_of_the_worker),
		cmocka_unit_test(conditions_on_captured_words_leave_the_types_they_hold_for),
		cmocka_unit_test(other_conditions_are_kept_as_written),
		cmocka_unit_test(what_is_no_condition_is_left_out),
		cmocka_unit_test(a_name_with_another_meaning_narrows_nothing),
		cmocka_unit_test(steps_in_steps_are_gone_through),
		cmocka_unit_test(alarms_programs_and_groups_are_found),
		cmocka_unit_test(same_as_after_is_followed),
		cmocka_unit_test(same_as_after_in_a_circle_ends),
		cmocka_unit_test(same_as_after_is_followed_so_far_and_no_further),
		cmocka_unit_test(steps_in_steps_have_a_bottom),
		cmocka_unit_test(steps_without_end_are_a_limit),
		cmocka_unit_test(what_is_no_rule_is_skipped_and_counted),
		cmocka_unit_test(a_file_without_rules_is_an_empty_flow),
		cmocka_unit_test(a_file_that_is_no_mapping_is_refused_with_its_place),
		cmocka_unit_test(rules_without_end_are_a_limit),
		cmocka_unit_test(types_are_said_in_few_words),
		cmocka_unit_test(placeholders_are_cut_to_their_last_key),
		cmocka_unit_test(memory_that_runs_out_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
