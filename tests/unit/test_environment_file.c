/* core/system/environment_file */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/system/environment_file.h"
#include "failing_malloc.h"

static void check(const char *text, const char *name, const char *value)
{
	struct environment_file file = { 0 };
	struct error error = { 0 };

	if (environment_file_read(text, strlen(text), &file, &error) != NC_OK)
		fail_msg("%s: %s", text, error.text);
	if (value == NULL)
		assert_null(environment_file_get(&file, name));
	else
		assert_string_equal(environment_file_get(&file, name), value);
	environment_file_finish(&file);
}

static void check_refused(const char *text, enum nc_err err, const char *words)
{
	struct environment_file file = { 0 };
	struct error error = { 0 };

	assert_int_equal(environment_file_read(text, strlen(text), &file, &error), err);
	if (strstr(error.text, words) == NULL)
		fail_msg("`%s` is not in: %s", words, error.text);
	assert_null(file.entries);
}

static void both_forms_of_a_line_set_a_variable(void **state)
{
	check("A=1\n", "A", "1");
	check("export A=1\n", "A", "1");
	check("  export \t A=1", "A", "1");
	check("export_dir=/x\n", "export_dir", "/x");
	check("A=\n", "A", "");
	check("A=1\r\nB=2\r\n", "A", "1");
	check("A=1\nB=2\nA=3\n", "A", "3");
	check("A=1\n", "B", NULL);
}

static void blank_lines_and_comments_are_skipped(void **state)
{
	check("# A=1\n\n   \n\t# B\nC=1 # why\n", "C", "1");
	check("# A=1\n", "A", NULL);
	check("A=x#y\n", "A", "x#y");
	check("", "A", NULL);
}

static void quotes_are_taken_away(void **state)
{
	check("A='a b $X `c` \\ \"'\n", "A", "a b $X `c` \\ \"");
	check("A=\"a b \\\" \\\\ \\$X \\` \\n '\"\n", "A", "a b \" \\ $X ` \\n '");
	check("A=a'b c'\"d e\"f\n", "A", "ab cd ef");
	check("A=a\\ b\n", "A", "a b");
	check("A='https://x.example/?a=1&b=2;c'\n", "A", "https://x.example/?a=1&b=2;c");
	check("A=\xc3\xa9t\xc3\xa9\n", "A", "\xc3\xa9t\xc3\xa9");
}

static void a_name_that_was_set_before_can_be_used(void **state)
{
	assert_int_equal(setenv("NOWCAST_TEST_OUTSIDE", "out", 1), 0);
	check("ROOT=/results\nLOGS=$ROOT/logs\n", "LOGS", "/results/logs");
	check("ROOT='/my results'\nexport LOGS=\"${ROOT}_2/logs\"\n", "LOGS", "/my results_2/logs");
	check("A=$NOWCAST_TEST_OUTSIDE\n", "A", "out");
	check("NOWCAST_TEST_OUTSIDE=in\nA=$NOWCAST_TEST_OUTSIDE\n", "A", "in");
	check_refused("A=1\n\nB=x${NOWCAST_TEST_NOWHERE}\n", NC_ERR_NOT_FOUND,
		"line 3: the variable NOWCAST_TEST_NOWHERE is set neither");
}

static void what_only_a_shell_can_do_is_an_error(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "A=1\nB=$(date)\n", "line 2: only $NAME" },
		{ "A=${B:-x}\n", "only $NAME" },
		{ "A=\"$(date)\"\n", "only $NAME" },
		{ "A=$\n", "only $NAME" },
		{ "A=`date`\n", "no shell reads this file" },
		{ "A=\"`date`\"\n", "no shell reads this file" },
		{ "A=1;B=2\n", "no shell reads this file" },
		{ "A=(1 2)\n", "no shell reads this file" },
		{ "export A=1 B=2\n", "more behind the value" },
		{ "A=a b\n", "more behind the value" },
		{ "A='1\n2'\n", "not closed" },
		{ "A=\"1\n", "not closed" },
		{ "A=1\\\n2\n", "next line" },
		{ "export A\n", "a line must be" },
		{ "source other.sh\n", "a line must be" },
		{ "1A=1\n", "a line must be" },
		{ "=1\n", "a line must be" },
		{ "A =1\n", "a line must be" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_refused(cases[i].text, NC_ERR_SYNTAX, cases[i].words);
}

static void an_error_tells_no_value(void **state)
{
	struct environment_file file = { 0 };
	struct error error = { 0 };
	static const char text[] = "TOKEN=secret;secret\n", nul[] = "A=1\0B=2\n";

	assert_int_equal(environment_file_read(text, strlen(text), &file, &error), NC_ERR_SYNTAX);
	assert_null(strstr(error.text, "secret"));
	assert_int_equal(environment_file_read(nul, sizeof(nul) - 1, &file, &error), NC_ERR_SYNTAX);
}

static void all_of_it_is_set_in_the_environment(void **state)
{
	struct environment_file file = { 0 };
	static const char text[] = "NOWCAST_TEST_A=1\nNOWCAST_TEST_B='2 3'\n";
	const char *before;

	assert_int_equal(setenv("NOWCAST_TEST_A", "1", 1), 0);
	before = getenv("NOWCAST_TEST_A");
	assert_int_equal(environment_file_read(text, strlen(text), &file, NULL), NC_OK);
	assert_int_equal(environment_file_apply(&file, NULL), NC_OK);
	assert_string_equal(getenv("NOWCAST_TEST_B"), "2 3");
	assert_ptr_equal(getenv("NOWCAST_TEST_A"), before);
	environment_file_finish(&file);
}

static void memory_that_runs_out_leaves_nothing(void **state)
{
	static const char text[] = "A=1\nexport B=\"$A 2\"\nA=3\n";
	long nth = 1;

	for (bool failed = FAILING_MALLOC; failed; nth++) {
		struct environment_file file = { 0 };
		enum nc_err err;

		memory_fail_at(nth);
		err = environment_file_read(text, strlen(text), &file, NULL);
		failed = memory_has_failed();
		assert_int_equal(err, failed ? NC_ERR_NOMEM : NC_OK);
		environment_file_finish(&file);
		assert_int_equal(memory_outstanding(), 0);
	}
	assert_true(nth > 5 || !FAILING_MALLOC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_forms_of_a_line_set_a_variable),
		cmocka_unit_test(blank_lines_and_comments_are_skipped),
		cmocka_unit_test(quotes_are_taken_away),
		cmocka_unit_test(a_name_that_was_set_before_can_be_used),
		cmocka_unit_test(what_only_a_shell_can_do_is_an_error),
		cmocka_unit_test(an_error_tells_no_value),
		cmocka_unit_test(all_of_it_is_set_in_the_environment),
		cmocka_unit_test(memory_that_runs_out_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
