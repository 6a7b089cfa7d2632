/*
 * core/decide/rules: what holds of all rules. Random ones, by a seed that is said when it fails
 * (NOWCAST_TEST_SEED gives another first one); the rules of a whole deployment, when they are there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run_rules.h"

enum {
	RULES_TRIED = 1000,
	DEPTH_MOST = 3,
};

/* --- chance --- */

static uint64_t state_of_chance;

static unsigned chance(unsigned below)
{
	state_of_chance =
		state_of_chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(state_of_chance >> 33) % below;
}

static const char *one_of(const char *const *texts, size_t count)
{
	return texts[chance((unsigned)count)];
}

#define ONE_OF(...)                                                                                \
	one_of((const char *const[]){ __VA_ARGS__ },                                               \
		sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

/* --- random rules --- */

struct maker {
	struct buffer text;
	unsigned launches; /* each has its number as its first argument */
	bool loops;
};

static void indent(struct maker *m, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		buffer_append_text(&m->text, "    ");
}

static const char *placeholder(void)
{
	return ONE_OF("<payload[a]>", "<payload[b]>", "<payload[list][0]>",
		"<payload[date] + 1 day>", "<payload[date] | as DDMMMYY | lower>",
		"<payload[date] | last of month>", "<w>", "<v>", "<today>", "<config[x][<w>]>",
		"<payload[path] | parent name | date from YYYYMMDD>", "<payload[list] | last>",
		"<payload[map] | first>", "<payload[no]>", "x<v>y<w>z", "<launch[arguments][--d]>",
		"plain", "<payload[list]>", "<payload[dates] | latest>");
}

static const char *condition(void)
{
	return ONE_OF("<payload[a]> is 1", "<payload[a]> is not 1", "not <payload[flag]>",
		"<payload[flag]>", "<v> is set", "<payload[no]> is missing",
		"<w> is one of 06, 12, \"a, b\"", "<w> is not one of 06",
		"<w> is in <payload[list]>", "<payload[map]> contains k",
		"<payload[path]> starts with /a", "<payload[path]> ends with \"\"",
		"<payload[date]> is the last day of the month",
		"<payload[date]> is before 2024-03-01", "<today> is after <payload[date]>",
		"\"is it\" is not in <v>", "not <v> is x");
}

static void make_step(struct maker *m, unsigned depth, unsigned level);

/* The keys, each at a line's begin but the first; in the order in which they are worked. */
static void make_keys(struct maker *m, unsigned depth, unsigned level)
{
	if (m->loops && chance(3) == 0) {
		buffer_printf(&m->text, "for each e%u in: %s\n", level,
			ONE_OF("<payload[list]>", "[a, b]", "<payload[map]>", "<payload[no]>"));
		indent(m, depth);
	}
	if (chance(3) == 0) {
		buffer_printf(&m->text, "with:\n");
		indent(m, depth + 1);
		buffer_printf(&m->text, "n%u: '%s'\n", level, placeholder());
		indent(m, depth + 1);
		buffer_printf(&m->text, "u%u:\n", level);
		indent(m, depth + 2);
		buffer_printf(&m->text, "depending on: <n%u>\n", level);
		indent(m, depth + 2);
		buffer_printf(&m->text, "06: [<n%u>, b]\n", level);
		indent(m, depth + 2);
		buffer_printf(&m->text, "otherwise: '%s'\n", placeholder());
		indent(m, depth);
		buffer_printf(&m->text, "when: ['<n%u> is set']\n", level);
		indent(m, depth);
	} else if (chance(2) == 0) {
		buffer_printf(&m->text, "when:\n");
		for (unsigned i = 0; i <= chance(2); i++) {
			indent(m, depth + 1);
			buffer_printf(&m->text, "- '%s'\n", condition());
		}
		indent(m, depth);
	}
	buffer_printf(&m->text, "launch:\n");
	for (unsigned i = 0; i <= chance(3); i++) {
		indent(m, depth + 1);
		buffer_append_text(&m->text, "- ");
		if (level < DEPTH_MOST && chance(3) == 0)
			make_step(m, depth + 2, level + 1);
		else
			buffer_printf(&m->text, "'awaken %u %s%s'\n", ++m->launches,
				ONE_OF("", "\"a b\" ", "[--x <payload[no]>] ", "[--y <w> \"] \"] ",
					"--z=<today> "),
				placeholder());
	}
	if (chance(3) == 0 && level < DEPTH_MOST) {
		indent(m, depth);
		buffer_append_text(&m->text, "first of:\n");
		for (unsigned i = 0; i <= chance(3); i++) {
			indent(m, depth + 1);
			buffer_append_text(&m->text, "- ");
			make_step(m, depth + 2, level + 1);
		}
	}
	if (chance(4) == 0) {
		indent(m, depth);
		buffer_printf(&m->text, "on host: '%s'\n", placeholder());
	}
	if (chance(5) == 0) {
		indent(m, depth);
		buffer_printf(
			&m->text, "hold until all have ended: ['sleep success <c>', awaken]\n");
		indent(m, depth);
		buffer_printf(&m->text, "if one fails: %s\n", ONE_OF("drop", "go on"));
	}
	if (chance(6) == 0) {
		indent(m, depth);
		buffer_printf(&m->text, "alarm: 'late: %s'\n", placeholder());
	}
	if (chance(8) == 0) {
		indent(m, depth);
		buffer_printf(&m->text, "decide with: [./a, '%s']\n", placeholder());
	}
}

/* Behind `- `: its keys are one level deeper than that. */
static void make_step(struct maker *m, unsigned depth, unsigned level)
{
	buffer_append_char(&m->text, '\n');
	indent(m, depth);
	make_keys(m, depth, level);
}

static void make_rules(struct maker *m, bool loops)
{
	buffer_init(&m->text);
	m->launches = 0;
	m->loops = loops;
	buffer_append_text(&m->text, "sleep:\n");
	for (unsigned i = 0; i <= chance(4); i++) {
		buffer_printf(&m->text, "    -\n        on: '%s'\n        ",
			ONE_OF("success <w>", "success <w: 06 | 12>", "<v2> <w>"));
		if (chance(6) == 0)
			buffer_append_text(&m->text, "stop: yes\n        ");
		buffer_printf(&m->text,
			"with:\n            v: '%s'\n        launch:\n            - ",
			ONE_OF("<payload[a]>", "<w>", "<payload[no]>", "v w"));
		make_step(m, 4, 1);
	}
	assert_false(m->text.failed);
}

static const char payload_of_all[] =
	"{a: 1, b: two words, list: [06, b, k], map: {k: 1, l: 2}, flag: yes, date: 2024-02-29, "
	"path: /a/20240315/06, dates: [20240101, 2023-01-01]}";

/* What is decided, or the error without its place. */
static char *decide(const struct rules *rules, const char *type)
{
	struct value *payload = read_value(payload_of_all), *whole = read_value("{x: {06: six}}");
	struct value *launch = read_value("{arguments: [--d, 5]}");
	struct rules_input input = { .worker = "sleep",
		.type = type,
		.payload = payload,
		.config = whole,
		.launch = launch,
		.today = { 2026, 11, 24 } };
	struct rules_decision decision = { 0 };
	struct error error = { 0 };
	struct buffer out;
	enum nc_err err = rules_apply(rules, &input, &decision, &error);

	buffer_init(&out);
	if (err == NC_OK) {
		print_decision(&decision, &out);
	} else {
		/* It has its place and its rule, and nothing is done. */
		assert_memory_equal(error.text, "r.yaml:", 7);
		assert_non_null(strstr(error.text, " (rule "));
		assert_true(error.line > 0 && error.column > 0);
		assert_true(decision.count == 0 && decision.groups_count == 0 &&
			    decision.alarms_count == 0 && decision.programs_count == 0);
		buffer_printf(&out, "ERROR %s", strchr(error.text, ' '));
	}
	rules_decision_finish(&decision);
	value_destroy(payload);
	value_destroy(whole);
	value_destroy(launch);
	return buffer_steal(&out);
}

static struct rules *read_rules(const char *text)
{
	struct rules *rules = NULL;
	struct error error = { 0 };

	if (rules_read("r.yaml", text, strlen(text), &config, &rules, NULL, &error) != NC_OK)
		fail_msg("%s\n%s", error.text, text);
	return rules;
}

static char *print_rules(const struct rules *rules)
{
	struct buffer out;

	buffer_init(&out);
	assert_int_equal(rules_print(rules, &out, NULL), NC_OK);
	return buffer_steal(&out);
}

/* Each of the properties is tried on random rules; `wrong` says how many seeds there were. */
typedef void property(struct maker *m, const struct rules *rules, uint64_t seed);

static void for_random_rules(bool loops, property *holds)
{
	const char *given = getenv("NOWCAST_TEST_SEED");
	uint64_t first = given != NULL ? strtoull(given, NULL, 10) : 1;

	for (uint64_t seed = first; seed < first + RULES_TRIED; seed++) {
		struct maker m = { 0 };
		struct rules *rules;

		state_of_chance = seed * UINT64_C(2654435761);
		make_rules(&m, loops);
		rules = read_rules(m.text.data);
		holds(&m, rules, seed);
		rules_destroy(rules);
		buffer_finish(&m.text);
	}
}

/* --- the same again --- */

static void same_again(struct maker *m, const struct rules *rules, uint64_t seed)
{
	char *first = decide(rules, "success 06"), *second = decide(rules, "success 06");

	if (strcmp(first, second) != 0)
		fail_msg("seed %llu: %s, then %s\n%s", (unsigned long long)seed, first, second,
			m->text.data);
	free(first);
	free(second);
}

static void rules_decide_the_same_each_time(void **state)
{
	for_random_rules(true, same_again);
}

/* --- order --- */

static unsigned errors_seen, launches_seen;

static void in_order(struct maker *m, const struct rules *rules, uint64_t seed)
{
	char *decided = decide(rules, "success 06");
	unsigned long last = 0;

	errors_seen += strncmp(decided, "ERROR", 5) == 0;
	for (const char *at = strstr(decided, "awaken {"); at != NULL;
		at = strstr(at + 1, "awaken {")) {
		unsigned long number = strtoul(at + 8, NULL, 10);

		launches_seen++;
		if (number <= last)
			fail_msg("seed %llu: %lu behind %lu: %s\n%s", (unsigned long long)seed,
				number, last, decided, m->text.data);
		last = number;
	}
	free(decided);
}

static void launches_are_in_the_order_of_the_file(void **state)
{
	errors_seen = launches_seen = 0;
	for_random_rules(false, in_order);
	print_message("%u failed, %u launches\n", errors_seen, launches_seen);
	/* Random rules of one kind only would prove nothing. */
	assert_in_range(errors_seen, RULES_TRIED / 10, RULES_TRIED * 9 / 10);
	assert_true(launches_seen > RULES_TRIED / 4);
}

/* --- failing --- */

static void nothing_at_all(struct maker *m, const struct rules *rules, uint64_t seed)
{
	struct rules *failing;
	char *decided;

	(void)rules;
	/* Tried last, when no rule before it has stopped. */
	buffer_append_text(&m->text,
		"any worker:\n    - on: success <w>\n      launch: awaken <payload[absent]>\n");
	assert_false(m->text.failed);
	failing = read_rules(m->text.data);
	decided = decide(failing, "success 12");
	if (strncmp(decided, "ERROR", 5) != 0 && strstr(m->text.data, "stop: yes") == NULL)
		fail_msg("seed %llu: %s\n%s", (unsigned long long)seed, decided, m->text.data);
	free(decided);
	rules_destroy(failing);
}

static void a_rule_that_fails_launches_nothing_at_all(void **state)
{
	for_random_rules(true, nothing_at_all);
}

/* --- printing --- */

static void same_when_reread(struct maker *m, const struct rules *rules, uint64_t seed)
{
	char *printed = print_rules(rules);
	struct rules *reread = read_rules(printed);
	char *again = print_rules(reread);
	static const char *const types[] = { "success 06", "success 12", "crash" };

	if (strcmp(printed, again) != 0)
		fail_msg("seed %llu:\n%s\nis then\n%s", (unsigned long long)seed, printed, again);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		char *before = decide(rules, types[i]), *after = decide(reread, types[i]);

		/* In a message a placeholder is as it was written. */
		if (strcmp(before, after) != 0 && strncmp(before, "ERROR", 5) != 0)
			fail_msg("seed %llu: %s, and then %s\n%s\n%s", (unsigned long long)seed,
				before, after, m->text.data, printed);
		assert_int_equal(strncmp(before, "ERROR", 5) == 0, strncmp(after, "ERROR", 5) == 0);
		free(before);
		free(after);
	}
	free(printed);
	free(again);
	rules_destroy(reread);
}

static void printed_rules_are_the_same_when_reread(void **state)
{
	for_random_rules(true, same_when_reread);
}

/* Where a text can stand with quotes or without, with quotes in it, and with what ends it elsewhere. */
static void what_is_quoted_is_the_same_when_reread(void **state)
{
	static const char text[] =
		"sleep:\n- on: success <w>\n  when:\n  - x <w> y is \"x <w> y\"\n  - a\" <w> b is a\" <w> b\n"
		"  - a\"<w> b is not a\"<w> c\n  - <w> is one of \"1, 2\", a\"b, 06\n"
		"  - '\"<w>, 12\" is one of 06, \"06, 12\"'\n  - <w> is not \"\"\n  launch:\n"
		"  - awaken \"a <w> b\" [--x \"c] <w>\" <w>\"d] \"]e\" \"[f g\" h]i \"[j\" <w>]\n";
	static const char wanted[] =
		"awaken {a 06 b} {--x} {c] 06} {06\"d} {]e} {[f g} {h]i} {[j} {06]}";
	struct rules *rules = read_rules(text), *reread;
	char *printed = print_rules(rules), *decided = decide(rules, "success 06"), *again;

	assert_string_equal(decided, wanted);
	free(decided);
	reread = read_rules(printed);
	again = print_rules(reread);
	assert_string_equal(again, printed);
	decided = decide(reread, "success 06");
	assert_string_equal(decided, wanted);
	free(decided);
	free(again);
	free(printed);
	rules_destroy(reread);
	rules_destroy(rules);
}

static void every_key_is_printed(void **state)
{
	static const char text[] =
		"sleep:\n- on:\n  - success\n  - success <w>\n  - \"success <w: 06 | 12>\"\n  for each x in:\n  - a\n"
		"  - <payload>\n  with:\n    n: <x | plus 3 days | minus 2 days | as YYYY | upper>\n    m:\n"
		"      depending on: <n>\n      a: \"b\"\n      otherwise: \"\"\n  when:\n  - <n> is set\n"
		"  - not <n> is in <config[a b][<x>]>\n  - <n> is one of a, \"b c\", \"\"\n  launch:\n"
		"  - \"awaken \\\"a b\\\" \\\"\\\" [--c <n> \\\"]\\\"] [<m>] d\"\n  - first of:\n    - launch:\n      - awaken\n"
		"      on host: <x>\n  hold until all have ended:\n  - sleep success <w>\n  - awaken\n"
		"  if one fails: drop\n  give up after: 250 ms\n  when given up: release\n  alarm: it is <today>\n"
		"  decide with:\n  - ./after.py\n  - a b\n  time limit: 3000 ms\n  stop: \"yes\"\n"
		"- same as after: awaken\nawaken: []\nany worker:\n- on:\n  - crash\n";
	struct rules *rules = read_rules("sleep: []\n");
	struct rules *whole;
	char *printed;

	rules_destroy(rules);
	/* Only where each pattern captures it may <w> be used; here it is not. */
	whole = read_rules(text);
	printed = print_rules(whole);
	rules_destroy(whole);
	whole = read_rules(printed);
	free(printed);
	printed = print_rules(whole);
	for (const char *const *key = (const char *const[]){ "for each x in:", "with:",
		     "depending on:", "otherwise:", "when:", "launch:", "first of:", "on host:",
		     "hold until all have ended:", "if one fails: drop",
		     "give up after: \"250 ms\"", "when given up: release",
		     "alarm:", "decide with:", "time limit: \"3000 ms\"", "stop: \"yes\"",
		     "same as after:", "any worker:", NULL };
		*key != NULL; key++)
		if (strstr(printed, *key) == NULL)
			fail_msg("no %s in\n%s", *key, printed);
	free(printed);
	rules_destroy(whole);
}

/* The rules of a whole deployment, when they are beside the checkout. */
static void the_rules_of_a_deployment_are_the_same_when_reread(void **state)
{
	const char *root = getenv("NOWCAST_TEST_SOURCE_ROOT");
	char path[4096], *text = NULL, *printed, *again;
	struct rules *rules;
	size_t size = 0;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/../shared/salishsea/next_workers.yaml",
		root != NULL ? root : ".");
	file = fopen(path, "r");
	if (file == NULL) {
		print_message("there are no rules of a deployment: %s\n", path);
		return;
	}
	assert_true(getdelim(&text, &size, '\0', file) > 0);
	(void)fclose(file);
	/* Its workers are registered by nobody here: what they launch is not looked at. */
	{
		static const struct config empty = { 0 };

		assert_int_equal(
			rules_read("r.yaml", text, strlen(text), &empty, &rules, NULL, NULL),
			NC_OK);
		printed = print_rules(rules);
		rules_destroy(rules);
		assert_int_equal(
			rules_read("r.yaml", printed, strlen(printed), &empty, &rules, NULL, NULL),
			NC_OK);
		again = print_rules(rules);
		rules_destroy(rules);
	}
	assert_string_equal(printed, again);
	assert_non_null(strstr(printed, "collect_weather:"));
	free(printed);
	free(again);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_decide_the_same_each_time),
		cmocka_unit_test(launches_are_in_the_order_of_the_file),
		cmocka_unit_test(a_rule_that_fails_launches_nothing_at_all),
		cmocka_unit_test(printed_rules_are_the_same_when_reread),
		cmocka_unit_test(what_is_quoted_is_the_same_when_reread),
		cmocka_unit_test(every_key_is_printed),
		cmocka_unit_test(the_rules_of_a_deployment_are_the_same_when_reread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
