/* core/decide/rules: memory that runs out at each allocation, and work that runs out at each look-up */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/decide/rules_flow.h"
#include "failing_malloc.h"
#include "run_rules.h"

/* Every construct of the language. */
static const char good[] =
	"sleep:\n"
	"  - on:\n"
	"      - success <cycle>\n"
	"      - 'success <cycle: 06 | 12>'\n"
	"    for each host in:\n"
	"      - salish\n"
	"      - <payload[host]>\n"
	"    with:\n"
	"      day: <payload[run date] + 1 day>\n"
	"      kinds:\n"
	"        depending on: <host>\n"
	"        salish: [<cycle>, long]\n"
	"        otherwise:\n"
	"          - <payload[names][<host>] | upper>\n"
	"          - <today | as DDDD>\n"
	"    when:\n"
	"      - <payload[hosts][<host>]>\n"
	"      - <cycle> is one of 06, \"1, 2\"\n"
	"      - not <day> is before <payload[run date]>\n"
	"      - <payload[run date] | last of month> is the last day of the month\n"
	"      - <host> is in <payload[hosts]>\n"
	"      - <payload[numbers]> contains 5\n"
	"      - <payload[path]> starts with /a\n"
	"      - <payload[path]> ends with <cycle>\n"
	"      - <payload[no]> is missing\n"
	"      - <payload[path] | parent name | date from YYYYMMDD> is after 2024-02-28\n"
	"      - x<cycle> is not x<host>\n"
	"    launch:\n"
	"      - awaken \"two words\" \"\" x<cycle>y [--kind <kinds[0]>] [--no <payload[no]>] <kinds | last>\n"
	"      - on host: <host | lower>\n"
	"        launch:\n"
	"          - awaken <payload[dates] | latest> <payload[dates] | earliest | as YYYY-MMMM>\n"
	"          - awaken <day | first of month | minus 3 days>\n"
	"          - first of:\n"
	"              - when: <host> is salish\n"
	"                launch: awaken <launch[arguments][--run-date]> <payload[hosts] | first>\n"
	"              - launch: awaken <payload[one] | only | name> <checklist[a b]> <config[n][1]>\n"
	"    hold until all have ended:\n"
	"      - sleep success <cycle>\n"
	"      - awaken\n"
	"    if one fails: drop\n"
	"    give up after: 90 s\n"
	"    when given up: release\n"
	"    alarm: <host> has slept on <today>\n"
	"    decide with:\n"
	"      - ./after.py\n"
	"      - <cycle>\n"
	"    time limit: 2 min\n"
	"    stop: yes\n"
	"  - same as after: awaken\n"
	"awaken:\n"
	"  - on: [crash, success]\n"
	"    launch: <launch[worker]> again\n"
	"slep:\n"
	"  - on: success\n"
	"    launch: awaken\n"
	"any worker:\n"
	"  - on: <type>\n"
	"    launch: awaken <type>\n";

static const char good_payload[] =
	"{run date: 2024-02-29, host: Orca, hosts: {salish: yes, Orca: 'true'}, names: {Orca: whale},"
	" numbers: [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 5], path: /a/20240229/06, dates: [20240101, 2024-01-03, 2024-01-02], one: [x/y]}";

/* Everything that can be wrong with a file of rules. */
static const char bad[] = "sleep:\n"
			  "  - on: [sucess, success <a> <a>]\n"
			  "  - on: success\n"
			  "    lunch: awaken\n"
			  "    launch:\n"
			  "      - awake\n"
			  "      - awaken <nobody>\n"
			  "      - awaken <today | ass YYYY>\n"
			  "      - awaken <today | as YYYYY>\n"
			  "      - awaken \"x\n"
			  "      - [a, b]\n"
			  "      - awaken <payload[a>\n"
			  "    when:\n"
			  "      - <payload> ok\n"
			  "      - yesterday is before <today>\n"
			  "  - on: success\n"
			  "    with: {a: <b>, b: <a>}\n"
			  "  - on: success\n"
			  "    hold until all have ended:\n"
			  "      - slep\n"
			  "      - sleep sucess\n"
			  "    give up after: later\n"
			  "  - on: success <c>\n"
			  "    first of: [launch: awake, launch: awaken <d>]\n"
			  "awakn:\n"
			  "  - on: success\n"
			  "awaken:\n"
			  "  - same as after: slepp\n"
			  "any worker:\n"
			  "  - on: succes\n"
			  "    alarm: []\n";

static const char good_decision[] =
	"awaken {two words} {} {x06y} {--kind} {06} {long}; "
	"awaken@salish {2024-01-03} {2024-January}; "
	"awaken@salish {2024-02-27}; "
	"awaken@salish {2024-02-29} {salish}; "
	"awaken {two words} {} {x06y} {--kind} {WHALE} {061}; "
	"awaken@orca {2024-01-03} {2024-January}; "
	"awaken@orca {2024-02-27}; "
	"awaken@orca {y} {c d} {20}; "
	"hold sleep#1: {sleep success <cycle>} {awaken} drop 90000 release; "
	"hold sleep#1/2: {sleep success <cycle>} {awaken} drop 90000 release; "
	"alarm salish has slept on 2024-03-01; "
	"alarm Orca has slept on 2024-03-01; "
	"decide 120000 {./after.py} {06}; "
	"decide 120000 {./after.py} {06}";

static const char bad_findings[] = "error unmatched-type 2:10\n"
				   "error name-taken 2:18\n"
				   "error unknown-key 4:5\n"
				   "error bad-syntax 14:9\n"
				   "error bad-date 15:9\n"
				   "error unknown-worker 6:9\n"
				   "error unknown-name 7:9\n"
				   "error unknown-filter 8:9\n"
				   "error unknown-format 9:9\n"
				   "error bad-syntax 10:9\n"
				   "error bad-syntax 11:9\n"
				   "error bad-syntax 12:9\n"
				   "error needs-itself 17:12\n"
				   "error unknown-worker 20:9\n"
				   "error unmatched-type 21:9\n"
				   "error bad-duration 22:20\n"
				   "error unknown-worker 24:24\n"
				   "error unknown-name 24:39\n"
				   "warning unregistered-entry 25:1\n"
				   "error unmatched-type 30:9\n"
				   "error bad-syntax 31:12\n"
				   "error unknown-worker 28:20\n";

/* What a deed has said: it has its room before memory runs out. */
static struct buffer said;

static struct rules *rules;
static struct value *payload, *whole, *checklist, *launch, *tree;
static struct rules_decision decided;
static struct value *decided_value;

/* --- the deeds --- */

typedef enum nc_err deed_function(struct error *error);

static void say_findings(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		buffer_printf(&said, "%s %s %u:%u\n", severity_name(findings->items[i].severity),
			findings->items[i].name, findings->items[i].line,
			findings->items[i].column);
}

static enum nc_err read_text(const char *text, struct error *error)
{
	struct rules *made = NULL;
	struct findings findings;
	enum nc_err err;

	findings_init(&findings);
	err = rules_read("r.yaml", text, strlen(text), &config, &made, &findings, error);
	if (err != NC_ERR_NOMEM)
		say_findings(&findings);
	findings_finish(&findings);
	assert_true((err == NC_OK) == (made != NULL));
	rules_destroy(made);
	return err;
}

static enum nc_err deed_read(struct error *error)
{
	return read_text(good, error);
}

static enum nc_err deed_read_bad(struct error *error)
{
	return read_text(bad, error);
}

static enum nc_err deed_read_no_yaml(struct error *error)
{
	return read_text("sleep:\n  - on: success <c: a>\n", error);
}

static enum nc_err deed_none(struct error *error)
{
	struct rules *made = rules_none();
	struct rules_input input = { .worker = "sleep", .type = "success" };
	struct rules_decision decision = { 0 };
	enum nc_err err = made != NULL ? NC_OK : NC_ERR_NOMEM;

	if (err == NC_OK)
		err = rules_apply(made, &input, &decision, error);
	else
		(void)error_nomem(error);
	if (err == NC_OK)
		print_decision(&decision, &said);
	rules_destroy(made);
	return err;
}

static enum nc_err deed_print(struct error *error)
{
	struct buffer out;
	enum nc_err err;

	buffer_init(&out);
	err = rules_print(rules, &out, error);
	if (err == NC_OK)
		buffer_append(&said, out.data, out.len);
	buffer_finish(&out);
	return err;
}

static enum nc_err apply(
	const struct rules *by, const char *type, const struct value *with, struct error *error)
{
	struct rules_input input = { .worker = "sleep",
		.type = type,
		.payload = with,
		.config = whole,
		.checklist = checklist,
		.launch = launch,
		.today = { 2024, 3, 1 } };
	struct rules_decision decision = { 0 };
	enum nc_err err = rules_apply(by, &input, &decision, error);

	print_decision(&decision, &said);
	rules_decision_finish(&decision);
	return err;
}

static enum nc_err deed_success(struct error *error)
{
	return apply(rules, "success 06", payload, error);
}

static enum nc_err deed_success_that_is_none(struct error *error)
{
	return apply(rules, "success 12", payload, error);
}

static enum nc_err deed_crash(struct error *error)
{
	return apply(rules, "crash", payload, error);
}

static enum nc_err deed_to_value(struct error *error)
{
	struct value *value = rules_decision_to_value(&decided);

	if (value == NULL)
		return error_nomem(error);
	buffer_append_text(&said, value_equal(value, decided_value) ? "the same" : "another");
	value_destroy(value);
	return NC_OK;
}

static enum nc_err deed_from_json(struct error *error)
{
	static const char text[] =
		"{\"next\": [{\"worker\": \"awaken\", \"args\": [\"a b\", 5], \"host\": \"h\"},"
		" {\"worker\": \"sleep\"}], \"groups\": [{\"hold until\": [\"awaken\","
		" \"sleep success <c: 06 | 12>\"], \"if one fails\": \"drop\", \"give up after\":"
		" \"3 s\", \"when given up\": \"release\"}], \"alarms\": [\"x\"]}";
	struct rules_decision decision = { 0 };
	enum nc_err err = rules_decision_from_json(text, strlen(text), &config, &decision, error);

	print_decision(&decision, &said);
	rules_decision_finish(&decision);
	return err;
}

static enum nc_err deed_flow(struct error *error)
{
	struct flow flow = { 0 };
	enum nc_err err = flow_read(tree, &config, &flow, error);

	for (size_t i = 0; i < flow.steps_count; i++)
		buffer_printf(&said, "%s > %s\n", flow.steps[i].when.from, flow.steps[i].to);
	for (size_t i = 0; i < flow.groups_count; i++)
		buffer_printf(&said, "%zu\n", flow.groups[i].members_count);
	flow_finish(&flow);
	return err;
}

/* --- what is there before them --- */

static int begin(void **state)
{
	struct error error = { 0 };

	buffer_init(&said);
	assert_true(buffer_reserve(&said, 1 << 18));
	payload = read_value(good_payload);
	whole = read_value("{n: [10, 20]}");
	checklist = read_value("{a b: c d}");
	launch = read_value("{worker: awaken, arguments: [--run-date=2024-02-29]}");
	assert_int_equal(
		yaml_read(good, strlen(good), YAML_READ_ALL_TEXT, &yaml_file_limits, &tree, NULL),
		NC_OK);
	if (rules_read("r.yaml", good, strlen(good), &config, &rules, NULL, &error) != NC_OK)
		fail_msg("%s", error.text);
	{
		struct rules_input input = { .worker = "sleep",
			.type = "success 06",
			.payload = payload,
			.config = whole,
			.checklist = checklist,
			.launch = launch,
			.today = { 2024, 3, 1 } };

		if (rules_apply(rules, &input, &decided, &error) != NC_OK)
			print_error("%s\n", error.text);
	}
	decided_value = rules_decision_to_value(&decided);
	assert_non_null(decided_value);
	return 0;
}

static int end(void **state)
{
	rules_decision_finish(&decided);
	value_destroy(decided_value);
	value_destroy(tree);
	value_destroy(launch);
	value_destroy(checklist);
	value_destroy(whole);
	value_destroy(payload);
	rules_destroy(rules);
	rules = NULL;
	buffer_finish(&said);
	return 0;
}

/* --- memory --- */

/* The deed, and all that must be right when it was not disturbed. */
static void do_undisturbed(deed_function *deed, enum nc_err expected, const char *wanted)
{
	struct error error = { 0 };

	buffer_clear(&said);
	memory_fail_at(0);
	assert_int_equal(deed(&error), expected);
	assert_string_equal(said.data, wanted);
	assert_int_equal(memory_outstanding(), 0);
}

/* Whichever allocation fails: it is said, or it is done without, and the next time all is as it should be. The
 * number of those that were said to have failed. */
static long fail_at_each_allocation(deed_function *deed, enum nc_err expected, const char *wanted)
{
	bool failed = true;
	long refusals = 0;

	do_undisturbed(deed, expected, wanted);
	for (long nth = 1; failed; nth++) {
		struct error error = { 0 };
		enum nc_err err;

		buffer_clear(&said);
		memory_fail_at(nth);
		err = deed(&error);
		failed = memory_has_failed();
		if (memory_outstanding() != 0)
			fail_msg("allocation %ld failed, and %ld were not freed", nth,
				memory_outstanding());
		if (failed && err == NC_ERR_NOMEM) {
			refusals++;
			assert_string_equal(error.text, "out of memory");
			assert_string_equal(said.data, "");
			do_undisturbed(deed, expected, wanted);
		} else if (err != expected || strcmp(said.data, wanted) != 0) {
			fail_msg("allocation %ld failed, and what came of it is %d:\n%s", nth,
				(int)err, said.data);
		}
	}
	return refusals;
}

static void r21_without_memory_rules_are_not_read_by_half(void **state)
{
	long refusals =
		fail_at_each_allocation(deed_read, NC_OK, "warning unregistered-entry 54:1\n");

	assert_true(refusals > 300 || !FAILING_MALLOC);
}

static void r21_without_memory_no_error_is_left_out(void **state)
{
	(void)fail_at_each_allocation(deed_read_bad, NC_ERR_INVALID, bad_findings);
	(void)fail_at_each_allocation(deed_read_no_yaml, NC_ERR_INVALID, "error bad-yaml 2:19\n");
}

static void r21_without_memory_rules_are_not_printed_by_half(void **state)
{
	struct error error;
	char *wanted;

	assert_int_equal(deed_print(&error), NC_OK);
	wanted = strdup(said.data);
	assert_non_null(strstr(wanted, "same as after: awaken"));
	assert_true(fail_at_each_allocation(deed_print, NC_OK, wanted) > 50 || !FAILING_MALLOC);
	free(wanted);
}

static void r21_without_memory_nothing_is_decided_by_half(void **state)
{
	(void)fail_at_each_allocation(deed_success, NC_OK, good_decision);
	(void)fail_at_each_allocation(deed_success_that_is_none, NC_OK, "");
	(void)fail_at_each_allocation(deed_crash, NC_OK, "awaken {again}; awaken {crash}");
	(void)fail_at_each_allocation(deed_none, NC_OK, "");
}

static void r21_without_memory_a_decision_is_no_value_and_no_json(void **state)
{
	(void)fail_at_each_allocation(deed_to_value, NC_OK, "the same");
	(void)fail_at_each_allocation(deed_from_json, NC_OK,
		"awaken@h {a b} {5}; sleep; hold decide with: {awaken} "
		"{sleep success <c: 06 | 12>} drop 3000 release; alarm x");
}

static void r21_without_memory_there_is_no_flow(void **state)
{
	(void)fail_at_each_allocation(deed_flow, NC_OK,
		"sleep > awaken\n"
		"sleep > awaken\n"
		"sleep > awaken\n"
		"sleep > awaken\n"
		"sleep > awaken\n"
		"sleep > <host> has slept on <today>\n"
		"sleep > ./after.py <cycle>\n"
		"sleep > <launch[worker]>\n"
		"awaken > <launch[worker]>\n"
		"slep > awaken\n"
		"any worker > awaken\n"
		"2\n");
}

/* --- what is wrong with a message, and then memory runs out as well --- */

static const struct wrong {
	const char *keys, *payload, *words;
	enum nc_err err;
} wrongs[] = {
	{ "launch: awaken <payload>", "{a: 1}", "<payload> is a mapping", NC_ERR_INVALID },
	{ "launch: awaken <payload[<payload[b]>]>", "{b: c}", "no `c` in", NC_ERR_NOT_FOUND },
	{ "launch: <payload>", "stranger", "not in the message registry", NC_ERR_INVALID },
	{ "on host: <payload>\n    launch: awaken", "''", "gives an empty text", NC_ERR_INVALID },
	{ "launch: awaken <payload + 1 day>", "'2023-02-30'", "impossible date", NC_ERR_INVALID },
	{ "launch: awaken <payload + 1 day>", "{}", "is to be a date", NC_ERR_INVALID },
	{ "launch: awaken <payload | lower>", "[5]", "a filter takes a text", NC_ERR_INVALID },
	{ "launch: awaken <payload | date from YYYYMMDD>", "5", "is not of the form",
		NC_ERR_INVALID },
	{ "launch: awaken <payload | first>", "5", "takes a list", NC_ERR_INVALID },
	{ "launch: awaken <payload | name>", "/", "finds nothing", NC_ERR_NOT_FOUND },
	{ "when: <payload>\n    launch: awaken", "perhaps", "must be true or false",
		NC_ERR_INVALID },
	{ "when: <payload> is before <today>\n    launch: awaken", "soon", "is to be a date",
		NC_ERR_INVALID },
	{ "when: <today> is before <payload>-01\n    launch: awaken", "soon",
		"<<payload>-01> is to be a date", NC_ERR_INVALID },
	{ "when: a is in <payload>", "", "is nothing", NC_ERR_INVALID },
	{ "for each x in: <payload>\n    launch: awaken", "5", "goes through a list",
		NC_ERR_INVALID },
	{ "with:\n      a:\n        depending on: <payload>\n        b: c\n    alarm: <a>", "d",
		"no value for `d`", NC_ERR_NOT_FOUND },
};

static const struct wrong *wrong_now;
static struct rules *wrong_rules;
static struct value *wrong_payload;

static enum nc_err deed_wrong(struct error *error)
{
	enum nc_err err = apply(wrong_rules, "success", wrong_payload, error);

	if (err != NC_ERR_NOMEM && strstr(error->text, wrong_now->words) == NULL)
		buffer_append_text(&said, error->text);
	return err;
}

static void r21_without_memory_an_error_is_no_other_one(void **state)
{
	for (wrong_now = wrongs; wrong_now < wrongs + ARRAY_LEN(wrongs); wrong_now++) {
		char text[300];

		(void)snprintf(
			text, sizeof(text), "sleep:\n  - on: success\n    %s\n", wrong_now->keys);
		assert_int_equal(
			rules_read("r.yaml", text, strlen(text), &config, &wrong_rules, NULL, NULL),
			NC_OK);
		wrong_payload = read_value(wrong_now->payload);
		(void)fail_at_each_allocation(deed_wrong, wrong_now->err, "");
		value_destroy(wrong_payload);
		rules_destroy(wrong_rules);
	}
}

/* --- work that runs out --- */

enum {
	WORK_MOST_OF_A_MESSAGE = 100000, /* next_workers.yaml(5) */
};

/* A rule before the others uses up all but a little of the work that one message may take, and then less and less:
 * so it ends in each part of the others in turn. */
static void r13_wherever_the_work_ends_nothing_is_decided(void **state)
{
	struct buffer text;
	struct value *many = value_list();
	struct rules *working = NULL;
	struct error error = { 0 };
	enum nc_err err = NC_ERR_LIMIT;
	unsigned left = 0;

	buffer_init(&text);
	buffer_printf(&text, "sleep:\n  - on: success <w>\n    for each x in: <payload[many]>\n%s",
		good + strlen("sleep:\n"));
	assert_int_equal(
		rules_read("r.yaml", text.data, text.len, &config, &working, NULL, NULL), NC_OK);
	for (int i = 0; i < WORK_MOST_OF_A_MESSAGE; i++)
		assert_int_equal(value_list_append(many, value_null()), NC_OK);
	assert_int_equal(value_map_put(payload, "many", many), NC_OK);
	for (left = 0; err == NC_ERR_LIMIT; left++) {
		value_list_truncate(many, WORK_MOST_OF_A_MESSAGE - left);
		buffer_clear(&said);
		err = apply(working, "success 06", payload, &error);
		if (err == NC_ERR_LIMIT) {
			assert_non_null(
				strstr(error.text, "need more than 100000 look-ups and rounds"));
			assert_string_equal(said.data, "");
		}
	}
	assert_int_equal(err, NC_OK);
	assert_true(left > 80);
	assert_non_null(strstr(said.data, "alarm Orca has slept on 2024-03-01"));
	rules_destroy(working);
	buffer_finish(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			r21_without_memory_rules_are_not_read_by_half, begin, end),
		cmocka_unit_test_setup_teardown(
			r21_without_memory_no_error_is_left_out, begin, end),
		cmocka_unit_test_setup_teardown(
			r21_without_memory_rules_are_not_printed_by_half, begin, end),
		cmocka_unit_test_setup_teardown(
			r21_without_memory_nothing_is_decided_by_half, begin, end),
		cmocka_unit_test_setup_teardown(
			r21_without_memory_a_decision_is_no_value_and_no_json, begin, end),
		cmocka_unit_test_setup_teardown(r21_without_memory_there_is_no_flow, begin, end),
		cmocka_unit_test_setup_teardown(
			r21_without_memory_an_error_is_no_other_one, begin, end),
		cmocka_unit_test_setup_teardown(
			r13_wherever_the_work_ends_nothing_is_decided, begin, end),
	};

	return cmocka_run_group_tests_name("rules_faults", tests, NULL, NULL);
}
