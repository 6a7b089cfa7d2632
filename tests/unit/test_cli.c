/* core/system/cli: what it is told by tables. Held against argparse by tests/system/command_line_argparse.py */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/system/cli.h"
#include "failing_malloc.h"

static const struct date today = { 2026, 3, 1 };
static const char *const run_types[] = { "nowcast", "forecast", NULL };

static const struct cli_option first_table[] = {
	{ .name = "config_file", .kind = CLI_KIND_TEXT, .help = "the file" },
	{ .name = "--debug", .short_name = "-d", .kind = CLI_KIND_FLAG, .help = "say more" },
	CLI_END,
};
static const struct cli_option second_table[] = {
	{ .name = "--count", .short_name = "-n", .kind = CLI_KIND_INT, .default_int = 5 },
	{ .name = "--percent", .kind = CLI_KIND_INT, .least = -10, .most = 100 },
	{ .name = "--run-type",
		.kind = CLI_KIND_TEXT,
		.choices = run_types,
		.default_text = "nowcast" },
	{ .name = "--run-date", .kind = CLI_KIND_DATE, .default_date = CLI_DATE_YESTERDAY },
	{ .name = "--until", .kind = CLI_KIND_DATE },
	{ .name = "--with", .kind = CLI_KIND_TEXT, .repeated = true },
	{ .name = "more", .kind = CLI_KIND_TEXT, .optional = true, .repeated = true },
	CLI_END,
};
static const struct cli_option *const tables[] = { first_table, second_table, NULL };
static const struct cli_spec spec = {
	.command = "nowcast demo",
	.description = "One paragraph.\n\nAnother one.",
	.tables = tables,
	.epilog = "The end.",
};

#define WORDS(...) ((const char *[]){ "demo", __VA_ARGS__ })
#define PARSE(...)                                                                                 \
	cli_parse(&spec, (int)ARRAY_LEN(WORDS(__VA_ARGS__)), (char *const *)WORDS(__VA_ARGS__),    \
		today, &args, &error)

/* Of the test that runs. */
static struct cli_args *args;
static struct error error;

static int forget(void **state)
{
	cli_args_destroy(args);
	args = NULL;
	memset(&error, 0, sizeof(error));
	return 0;
}

static void assert_day(const char *name, int year, int month, int day)
{
	struct date date;

	assert_true(cli_date(args, name, &date));
	assert_int_equal(date_compare(date, (struct date){ year, month, day }), 0);
}

static void defaults_hold_for_what_is_not_given(void **state)
{
	struct date date;

	assert_int_equal(PARSE("nowcast.yaml"), CLI_PARSED);
	assert_string_equal(cli_text(args, "config_file"), "nowcast.yaml");
	assert_false(cli_flag(args, "--debug"));
	assert_int_equal(cli_int(args, "--count"), 5);
	assert_string_equal(cli_text(args, "--run-type"), "nowcast");
	assert_day("--run-date", 2026, 2, 28);
	assert_false(cli_date(args, "--until", &date));
	assert_null(cli_text_at(args, "more", 0));
	assert_false(cli_given(args, "--count"));
}

static void options_stand_anywhere(void **state)
{
	assert_int_equal(
		PARSE("--count", "7", "nowcast.yaml", "--debug", "a", "--run-type=forecast", "b"),
		CLI_PARSED);
	assert_int_equal(cli_int(args, "--count"), 7);
	assert_true(cli_given(args, "--count"));
	assert_true(cli_flag(args, "--debug"));
	assert_string_equal(cli_text(args, "--run-type"), "forecast");
	assert_string_equal(cli_text_at(args, "more", 0), "a");
	assert_string_equal(cli_text_at(args, "more", 1), "b");
	assert_null(cli_text_at(args, "more", 2));
}

static void short_names_take_values_and_stand_together(void **state)
{
	assert_int_equal(PARSE("c.yaml", "-dn7"), CLI_PARSED);
	assert_true(cli_flag(args, "--debug"));
	assert_int_equal(cli_int(args, "--count"), 7);
	forget(state);
	assert_int_equal(PARSE("c.yaml", "-dn", "8"), CLI_PARSED);
	assert_int_equal(cli_int(args, "-n"), 8);
	forget(state);
	assert_int_equal(PARSE("c.yaml", "-n=9"), CLI_PARSED);
	assert_int_equal(cli_int(args, "--count"), 9);
	assert_int_equal(PARSE("c.yaml", "-dx"), CLI_WRONG);
	assert_string_equal(error.text, "argument -d/--debug: ignored explicit argument 'x'");
}

static void the_last_of_several_counts(void **state)
{
	assert_int_equal(PARSE("c.yaml", "--count", "1", "--count=2"), CLI_PARSED);
	assert_int_equal(cli_int(args, "--count"), 2);
	forget(state);
	assert_int_equal(PARSE("c.yaml", "--run-type=nowcast", "--run-type=forecast"), CLI_PARSED);
	assert_string_equal(cli_text(args, "--run-type"), "forecast");
}

static void a_repeated_option_keeps_all(void **state)
{
	assert_int_equal(PARSE("c.yaml", "--with", "a", "--with=", "--with", "b"), CLI_PARSED);
	assert_string_equal(cli_text_at(args, "--with", 0), "a");
	assert_string_equal(cli_text_at(args, "--with", 1), "");
	assert_string_equal(cli_text_at(args, "--with", 2), "b");
	assert_null(cli_text_at(args, "--with", 3));
}

static void two_dashes_end_the_options(void **state)
{
	assert_int_equal(PARSE("--", "--debug", "--", "-h"), CLI_PARSED);
	assert_false(cli_flag(args, "--debug"));
	assert_string_equal(cli_text(args, "config_file"), "--debug");
	assert_string_equal(cli_text_at(args, "more", 0), "--");
	assert_string_equal(cli_text_at(args, "more", 1), "-h");
}

static void negative_numbers_and_words_with_blanks_are_values(void **state)
{
	assert_int_equal(
		PARSE("c.yaml", "--count", "-7", "--with", "- x", "-5", "-.5"), CLI_PARSED);
	assert_int_equal(cli_int(args, "--count"), -7);
	assert_string_equal(cli_text(args, "--with"), "- x");
	assert_string_equal(cli_text_at(args, "more", 0), "-5");
	assert_string_equal(cli_text_at(args, "more", 1), "-.5");
}

static void help_wins_wherever_it_stands(void **state)
{
	assert_int_equal(PARSE("-h"), CLI_SHOW_HELP);
	assert_int_equal(PARSE("c.yaml", "--nonsense", "--count", "x", "--help"), CLI_SHOW_HELP);
	assert_int_equal(PARSE("-dh"), CLI_SHOW_HELP);
}

static void dates_have_one_form(void **state)
{
	assert_int_equal(
		PARSE("c.yaml", "--run-date", "2024-02-29", "--until=2026-12-31"), CLI_PARSED);
	assert_day("--run-date", 2024, 2, 29);
	assert_day("--until", 2026, 12, 31);
	for (size_t i = 0; i < 6; i++) {
		static const char *const wrong[] = { "20260228", "2026-2-28", "2026-02-29",
			"2026-02-28T", "yesterday", "" };
		char expected[160];

		assert_int_equal(PARSE("c.yaml", "--run-date", wrong[i]), CLI_WRONG);
		(void)snprintf(expected, sizeof(expected),
			"argument --run-date: unrecognized date format: %s - please use YYYY-MM-DD",
			wrong[i]);
		assert_string_equal(error.text, expected);
	}
}

static void numbers_stay_in_their_range(void **state)
{
	assert_int_equal(PARSE("c.yaml", "--percent", "-10"), CLI_PARSED);
	forget(state);
	assert_int_equal(PARSE("c.yaml", "--percent", "100"), CLI_PARSED);
	assert_int_equal(PARSE("c.yaml", "--percent", "101"), CLI_WRONG);
	assert_string_equal(error.text, "argument --percent: 101 is not between -10 and 100");
	assert_int_equal(PARSE("c.yaml", "--percent", "-11"), CLI_WRONG);
	assert_int_equal(PARSE("c.yaml", "--count", "99999999999999999999"), CLI_WRONG);
	assert_string_equal(
		error.text, "argument -n/--count: invalid int value: '99999999999999999999'");
	assert_int_equal(PARSE("c.yaml", "--count", "5x"), CLI_WRONG);
	assert_int_equal(PARSE("c.yaml", "--count", ""), CLI_WRONG);
}

static void a_choice_is_one_of_them(void **state)
{
	assert_int_equal(PARSE("c.yaml", "--run-type", "hindcast"), CLI_WRONG);
	assert_string_equal(error.text, "argument --run-type: invalid choice: 'hindcast' (choose "
					"from 'nowcast', 'forecast')");
}

static void what_is_missing_is_said_before_what_is_too_much(void **state)
{
	assert_int_equal(PARSE("--zork"), CLI_WRONG);
	assert_string_equal(error.text, "the following arguments are required: config_file");
	assert_int_equal(PARSE("c.yaml", "--zork", "a"), CLI_WRONG);
	assert_string_equal(error.text, "unrecognized arguments: --zork");
}

static void an_unknown_option_has_a_near_one(void **state)
{
	assert_int_equal(PARSE("c.yaml", "--debgu"), CLI_WRONG);
	assert_string_equal(error.text, "unrecognized arguments: --debgu; did you mean --debug?");
	assert_int_equal(PARSE("c.yaml", "--run-d=x"), CLI_WRONG);
	assert_string_equal(
		error.text, "unrecognized arguments: --run-d=x; did you mean --run-date?");
	assert_int_equal(PARSE("--hepl"), CLI_WRONG);
	assert_string_equal(error.text, "the following arguments are required: config_file; "
					"unrecognized arguments: --hepl; did you mean --help?");
}

static void what_was_typed_is_made_safe(void **state)
{
	assert_int_equal(PARSE("c.yaml", "--count", "\x1b[1m\x07\xff"), CLI_WRONG);
	assert_string_equal(
		error.text, "argument -n/--count: invalid int value: '\\x1b[1m\\x07\\xff'");
	assert_int_equal(PARSE("c.yaml", "--\xc2\x9b"), CLI_WRONG);
	assert_string_equal(error.text, "unrecognized arguments: --\\x9b");
	assert_int_equal(PARSE("c.yaml", "--count", "\xc3\xa9"), CLI_WRONG);
	assert_string_equal(error.text, "argument -n/--count: invalid int value: '\xc3\xa9'");
}

static void help_has_all_its_parts(void **state)
{
	struct buffer text;

	buffer_init(&text);
	cli_help(&spec, today, 80, &text);
	assert_false(text.failed);
	assert_string_equal(text.data,
		"usage: nowcast demo [-h] [-d] [-n COUNT] [--percent PERCENT]\n"
		"                    [--run-type {nowcast,forecast}] [--run-date RUN_DATE]\n"
		"                    [--until UNTIL] [--with WITH]\n"
		"                    config_file [more ...]\n"
		"\n"
		"One paragraph.\n"
		"\n"
		"Another one.\n"
		"\n"
		"positional arguments:\n"
		"  config_file           the file\n"
		"  more\n"
		"\n"
		"options:\n"
		"  -h, --help            show this help message and exit\n"
		"  -d, --debug           say more\n"
		"  -n COUNT, --count COUNT\n"
		"  --percent PERCENT\n"
		"  --run-type {nowcast,forecast}\n"
		"  --run-date RUN_DATE\n"
		"  --until UNTIL\n"
		"  --with WITH\n"
		"\n"
		"The end.\n");
	buffer_finish(&text);
}

static void help_of_a_date_says_its_form_and_its_default(void **state)
{
	static const struct cli_option dates[] = {
		{ .name = "--a",
			.kind = CLI_KIND_DATE,
			.help = "A.",
			.default_date = CLI_DATE_TODAY },
		{ .name = "--b",
			.kind = CLI_KIND_DATE,
			.help = "B.",
			.default_date = CLI_DATE_YESTERDAY },
		{ .name = "--c",
			.kind = CLI_KIND_DATE,
			.help = "C.",
			.default_date = CLI_DATE_TOMORROW },
		{ .name = "--d", .kind = CLI_KIND_DATE, .help = "D." },
		CLI_END,
	};
	const struct cli_option *const table[] = { dates, NULL };
	const struct cli_spec dated = { .command = "x", .tables = table };
	struct buffer text;

	buffer_init(&text);
	cli_help(&dated, today, 100, &text);
	assert_non_null(strstr(text.data, "A. Use YYYY-MM-DD format. Defaults to 2026-03-01.\n"));
	assert_non_null(strstr(text.data, "B. Use YYYY-MM-DD format. Defaults to 2026-02-28.\n"));
	assert_non_null(strstr(text.data, "C. Use YYYY-MM-DD format. Defaults to 2026-03-02.\n"));
	assert_non_null(strstr(text.data, "D. Use YYYY-MM-DD format.\n"));
	buffer_finish(&text);
}

static void texts_are_wrapped_behind_their_indent(void **state)
{
	struct buffer text;

	buffer_init(&text);
	cli_wrap("  one two   three four\n", 2, 0, 15, &text);
	assert_string_equal(text.data, "  one two three\n  four\n");
	buffer_clear(&text);
	buffer_append_text(&text, "name: ");
	cli_wrap("one two three four", 2, 6, 18, &text);
	assert_string_equal(text.data, "name: one two\n  three four\n");
	buffer_clear(&text);
	cli_wrap("", 4, 0, 20, &text);
	assert_string_equal(text.data, "    \n");
	buffer_finish(&text);
}

static void memory_that_runs_out_is_an_answer(void **state)
{
	bool failed = true;

	if (!FAILING_MALLOC)
		return;
	for (long nth = 1; failed && nth < 1000; nth++) {
		enum cli_result result;

		memory_fail_at(nth);
		result = PARSE("c.yaml", "--with", "a", "--with", "b", "more");
		failed = memory_has_failed();
		assert_int_equal(result, failed ? CLI_NOMEM : CLI_PARSED);
		if (failed)
			assert_int_equal(memory_outstanding(), 0);
		forget(state);
	}
	failed = true;
	for (long nth = 1; failed && nth < 1000; nth++) {
		enum cli_result result;

		memory_fail_at(nth);
		result = PARSE("c.yaml", "--run-type", "hindcast");
		failed = memory_has_failed();
		assert_true(result == CLI_WRONG || (failed && result == CLI_NOMEM));
		assert_int_equal(memory_outstanding(), 0);
	}
	assert_false(failed);
}

static void help_without_memory_says_so(void **state)
{
	bool failed = true;
	long nth;

	if (!FAILING_MALLOC)
		return;
	for (nth = 1; failed && nth < 1000; nth++) {
		struct buffer text;

		buffer_init(&text);
		memory_fail_at(nth);
		cli_help(&spec, today, 80, &text);
		failed = memory_has_failed();
		assert_true(text.failed == failed);
		buffer_finish(&text);
	}
	assert_in_range(nth, 10, 999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(defaults_hold_for_what_is_not_given, forget),
		cmocka_unit_test_teardown(options_stand_anywhere, forget),
		cmocka_unit_test_teardown(short_names_take_values_and_stand_together, forget),
		cmocka_unit_test_teardown(the_last_of_several_counts, forget),
		cmocka_unit_test_teardown(a_repeated_option_keeps_all, forget),
		cmocka_unit_test_teardown(two_dashes_end_the_options, forget),
		cmocka_unit_test_teardown(
			negative_numbers_and_words_with_blanks_are_values, forget),
		cmocka_unit_test_teardown(help_wins_wherever_it_stands, forget),
		cmocka_unit_test_teardown(dates_have_one_form, forget),
		cmocka_unit_test_teardown(numbers_stay_in_their_range, forget),
		cmocka_unit_test_teardown(a_choice_is_one_of_them, forget),
		cmocka_unit_test_teardown(what_is_missing_is_said_before_what_is_too_much, forget),
		cmocka_unit_test_teardown(an_unknown_option_has_a_near_one, forget),
		cmocka_unit_test_teardown(what_was_typed_is_made_safe, forget),
		cmocka_unit_test(help_has_all_its_parts),
		cmocka_unit_test(help_of_a_date_says_its_form_and_its_default),
		cmocka_unit_test(texts_are_wrapped_behind_their_indent),
		cmocka_unit_test_teardown(memory_that_runs_out_is_an_answer, forget),
		cmocka_unit_test(help_without_memory_says_so),
	};

	return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
