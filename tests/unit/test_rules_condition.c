/* core/decide/rules: conditions */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "run_rules.h"

/* `yes`, `no`, or the error. */
static const char *holds(const char *condition, const char *payload)
{
	static char result[600];
	char rule[600];
	const char *decided;

	snprintf(rule, sizeof(rule), "    when:\n      - '%s'\n    launch: awaken\n", condition);
	decided = decides(rule, payload);
	if (decided[0] == '\0')
		return "no";
	if (strcmp(decided, "awaken") == 0)
		return "yes";
	snprintf(result, sizeof(result), "%s", decided);
	return result;
}

static void assert_fails(const char *condition, const char *payload, const char *with)
{
	const char *said = holds(condition, payload);

	if (strncmp(said, "r.yaml:4:9: ", 12) != 0 || strstr(said, with) == NULL)
		fail_msg("%s with %s: %s", condition, payload, said);
}

static void texts_are_compared(void **state)
{
	assert_string_equal(holds("<payload> is a", "a"), "yes");
	assert_string_equal(holds("<payload> is a", "b"), "no");
	assert_string_equal(holds("<payload> is not a", "a"), "no");
	assert_string_equal(holds("<payload> is not a", "b"), "yes");
	assert_string_equal(holds("not <payload> is not a", "a"), "yes");
	assert_string_equal(holds("not not <payload> is a", "a"), "yes");
	assert_string_equal(holds("a<payload>c is abc", "b"), "yes");
	assert_string_equal(holds("<payload>   is   two words", "two words"), "yes");
	assert_string_equal(holds("<payload[a]> is <payload[b]>", "{a: 1, b: 1}"), "yes");
	assert_string_equal(holds("<payload> is \"\"", "''"), "yes");
	assert_string_equal(holds("<payload> is \"is set\"", "is set"), "yes");
	assert_string_equal(holds("\"it is\" is in <payload>", "so it is"), "yes");
	assert_string_equal(holds("\"it is <payload>\" is it is so", "so"), "yes");
	assert_string_equal(holds("notx is <payload>", "notx"), "yes");
	assert_string_equal(holds("<payload> is is not set", "is not set"), "yes");
	assert_string_equal(holds("<payload>is a", "a"), "yes");
}

/* Words that begin like those of a condition are part of the text. */
static void words_of_a_condition_stand_alone(void **state)
{
	assert_string_equal(holds("isn is <payload>", "isn"), "yes");
	assert_string_equal(holds("<payload> is set ok", "set ok"), "yes");
	assert_string_equal(holds("<payload> is a andx <today>", "a"), "no");
	assert_string_equal(holds("<payload> is and  ", "and"), "yes");
	assert_string_equal(holds("<payload> is a and not", "a and not"), "yes");
	assert_string_equal(holds("<payload> is b and nothing", "b and nothing"), "yes");
	assert_string_equal(holds("<payload> is \"a", "'\"a'"), "yes");
	assert_fails("<payload> isnt a", "", "is no condition");
	assert_fails("\"<payload is a", "", "has no end");
}

static void scalars_are_compared_as_they_are_written(void **state)
{
	assert_string_equal(holds("<payload> is 06", "06"), "yes");
	assert_string_equal(holds("<payload> is 6", "06"), "no");
	assert_string_equal(holds("<payload> is 1.50", "1.50"), "yes");
	assert_string_equal(holds("<payload> is true", "yes"), "yes");
	assert_string_equal(holds("<payload> is yes", "yes"), "no");
	assert_string_equal(holds("<payload> is false", "Off"), "yes");
	assert_string_equal(holds("<payload> is 2024-02-03", "2024-02-03"), "yes");
	assert_string_equal(holds("<payload + 0 days> is 2024-02-03", "20240203"), "yes");
	assert_string_equal(holds("<today> is 2026-11-24", ""), "yes");
	assert_fails("<payload> is a", "[a]", "is a list");
	assert_fails("<payload[b]> is a", "{a: b}", "finds nothing");
}

static void one_of_several_texts_is_found(void **state)
{
	assert_string_equal(holds("<payload> is one of a, b, c", "c"), "yes");
	assert_string_equal(holds("<payload> is one of a, b, c", "d"), "no");
	assert_string_equal(holds("<payload> is not one of a, b", "c"), "yes");
	assert_string_equal(holds("<payload> is not one of a, b", "a"), "no");
	assert_string_equal(holds("<payload> is one of a, \"b, c\"", "'b, c'"), "yes");
	assert_string_equal(holds("a is one of <payload[x]>, <payload[y]>", "{x: b, y: a}"), "yes");
	assert_string_equal(holds("<payload> is one of \"a, b\"  , c", "'a, b'"), "yes");
	assert_string_equal(holds("<payload> is one of \"a, b\" c, d", "'b\" c'"), "yes");
	assert_string_equal(holds("<payload> is one of a, \"\"", "''"), "yes");
	assert_fails("<payload> is one of a,", "", "something is missing");
	assert_fails("<payload> is one of a, <b", "", "has no end");
}

static void what_is_in_something_is_found(void **state)
{
	assert_string_equal(holds("a is in <payload>", "[b, a]"), "yes");
	assert_string_equal(holds("a is in <payload>", "{a: 1}"), "yes");
	assert_string_equal(holds("1 is in <payload>", "{a: 1}"), "no");
	assert_string_equal(holds("a is in <payload>", "!!set {a, b}"), "yes");
	assert_string_equal(holds("a is in <payload>", "banana"), "yes");
	assert_string_equal(holds("a is in <payload>", "[[a]]"), "no");
	assert_string_equal(holds("06 is in <payload>", "{06: 1}"), "yes");
	assert_string_equal(holds("true is in <payload>", "[yes]"), "yes");
	assert_string_equal(holds("a is not in <payload>", "[]"), "yes");
	assert_string_equal(holds("<payload> contains a", "[a]"), "yes");
	assert_string_equal(holds("<payload> contains forecast", "my forecast2"), "yes");
	assert_string_equal(holds("<payload> contains z", "abc"), "no");
	assert_string_equal(holds("5 is in <payload>", "[4, 5]"), "yes");
	assert_string_equal(holds("6 is in <payload>", "{4: a, 5: b}"), "no");
	assert_string_equal(holds("a is in <payload>x", "b"), "no");
	assert_fails("a is in <payload>", "null", "nothing");
	assert_fails("<payload[a]> is in <payload>", "{b: 1}", "finds nothing");
	assert_fails("a is in <payload[a]>", "{b: 1}", "finds nothing");
}

static void ends_of_texts_are_found(void **state)
{
	assert_string_equal(holds("<payload> starts with fore", "forecast"), "yes");
	assert_string_equal(holds("<payload> starts with forecast2", "forecast"), "no");
	assert_string_equal(holds("<payload> ends with cast", "forecast"), "yes");
	assert_string_equal(holds("<payload> ends with my forecast", "forecast"), "no");
	assert_string_equal(holds("not <payload> ends with cast", "forecast"), "no");
	assert_string_equal(holds("<payload> ends with cost", "forecast"), "no");
	assert_fails("<payload> ends with <payload[a]>", "x", "finds nothing");
}

static void what_is_there_is_set(void **state)
{
	static const char *const nothing[] = { "null", "{}", "{a: null}", "{a: []}", "{a: {}}",
		"{a: !!set {}}", "a", "[a]", "5" };
	static const char *const something[] = { "{a: ''}", "{a: 0}", "{a: false}", "{a: [null]}" };

	for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
		assert_string_equal(holds("<payload[a]> is set", nothing[i]), "no");
		assert_string_equal(holds("<payload[a]> is missing", nothing[i]), "yes");
		assert_string_equal(holds("not <payload[a]> is set", nothing[i]), "yes");
	}
	for (size_t i = 0; i < ARRAY_LEN(something); i++) {
		assert_string_equal(holds("<payload[a]> is set", something[i]), "yes");
		assert_string_equal(holds("<payload[a]> is missing", something[i]), "no");
	}
	assert_string_equal(holds("<payload | first> is missing", "[]"), "yes");
	assert_string_equal(holds("<payload[<payload[k]>]> is missing", "{a: b}"), "yes");
	assert_string_equal(holds("<launch[host]> is missing", ""), "yes");
	/* What is wrong is not what is missing. */
	assert_fails("<payload | only> is missing", "[a, b]", "not only one");
	assert_fails("<payload + 1 day> is set", "x", "to be a date");
}

static void dates_are_compared(void **state)
{
	assert_string_equal(holds("<payload> is the last day of the month", "2024-02-29"), "yes");
	assert_string_equal(holds("<payload> is the last day of the month", "20240228"), "no");
	assert_string_equal(holds("<payload> is before 2024-03-01", "20240229"), "yes");
	assert_string_equal(holds("<payload> is before 2024-03-01", "20240301"), "no");
	assert_string_equal(holds("<payload> is after <today>", "20261125"), "yes");
	assert_string_equal(holds("<payload> is after <today>", "20261124"), "no");
	assert_string_equal(holds("2026-11-23 is before <today>", ""), "yes");
	assert_string_equal(holds("<payload>-01 is before <today>", "'2026-11'"), "yes");
	assert_fails("<payload> is before <today>", "'2024-02-30'", "impossible date");
	assert_fails("<today> is after <payload>", "soon", "<payload> is to be a date");
	assert_fails("<today> is after <payload>-01", "soon", "<<payload>-01> is to be a date");
	assert_fails("<payload[a]> is after <today>", "soon", "finds nothing");
}

static void a_bare_placeholder_is_true_or_false(void **state)
{
	assert_string_equal(holds("<payload>", "yes"), "yes");
	assert_string_equal(holds("<payload>", "off"), "no");
	assert_string_equal(holds("not <payload>", "off"), "yes");
	assert_string_equal(holds("<payload>", "'true'"), "yes");
	assert_string_equal(holds("<payload>", "'false'"), "no");
	assert_fails("<payload>", "'yes'", "true or false");
	assert_fails("<payload>", "1", "true or false");
	assert_fails("<payload>", "", "true or false");
	assert_fails("<payload[a]>", "{}", "finds nothing");
}

static void the_first_that_does_not_hold_stops(void **state)
{
	assert_string_equal(
		decides("    when: [<payload> is set, <payload> is b]\n    launch: awaken\n", ""),
		"");
	assert_string_equal(
		decides("    when:\n      - <payload> is b\n      - <payload[a]> is c\n    launch: awaken\n",
			"x"),
		"");
	assert_non_null(strstr(
		decides("    when:\n      - <payload> is x\n      - <payload[a]> is c\n    launch: awaken\n",
			"x"),
		"finds nothing"));
}

static void what_is_no_condition_is_found_at_the_load(void **state)
{
	static const char *const conditions[] = { "a is a", "<payload> is", "is <payload>",
		"<payload> ok", "<payload><today>", "<payload> is in", "<payload> is one of a,, b",
		"not", "<payload> is a and <today> is b", "<payload> is set or not <today> is set",
		"", "<payload> is before yesterday", "<payload> is after 2023-02-29",
		"yesterday is before <today>", "<payload> is \"b\" or <today> is c", "is",
		"<payload> is set and <today>", "not <payload", "\"\" is \"\"" };

	for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
		if (strncmp(holds(conditions[i], ""), "r.yaml:4:9: ", 12) != 0)
			fail_msg("%s: %s", conditions[i], holds(conditions[i], ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_compared),
		cmocka_unit_test(words_of_a_condition_stand_alone),
		cmocka_unit_test(scalars_are_compared_as_they_are_written),
		cmocka_unit_test(one_of_several_texts_is_found),
		cmocka_unit_test(what_is_in_something_is_found),
		cmocka_unit_test(ends_of_texts_are_found),
		cmocka_unit_test(what_is_there_is_set),
		cmocka_unit_test(dates_are_compared),
		cmocka_unit_test(a_bare_placeholder_is_true_or_false),
		cmocka_unit_test(the_first_that_does_not_hold_stops),
		cmocka_unit_test(what_is_no_condition_is_found_at_the_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
