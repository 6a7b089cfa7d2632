/* core/data/error, and core/data/utf8 which makes its texts fit */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/error.h"
#include "core/data/utf8.h"

static void an_error_says_what_and_where(void **state)
{
	struct error error;

	assert_int_equal(
		error_at(&error, NC_ERR_INVALID, 3, 7, "%s is wrong", "it"), NC_ERR_INVALID);
	assert_string_equal(error.text, "it is wrong");
	assert_int_equal(error.line, 3);
	assert_int_equal(error.column, 7);
	assert_int_equal(error_errno(&error, ENOENT, "cannot open %s", "x"), NC_ERR_SYSTEM);
	assert_string_equal(error.text, "cannot open x: No such file or directory");
	assert_int_equal(error.sys_errno, ENOENT);
	assert_int_equal(error_nomem(NULL), NC_ERR_NOMEM);
}

static void a_quoted_text_cannot_make_a_second_line(void **state)
{
	struct error error;

	(void)error_set(&error, NC_ERR_SYNTAX, "`%s`", "a\n2026 INFO [manager] forged\x1b[31m\x7f");
	assert_string_equal(error.text, "`a?2026 INFO [manager] forged?[31m?`");
}

static void a_character_that_was_cut_is_none(void **state)
{
	struct error error;
	char text[2000];

	(void)error_set(&error, NC_ERR_SYNTAX, "%.2s!", "x\u00e9");
	assert_string_equal(error.text, "x?!");
	/* Cut by the size of the struct, wherever in a character that falls. */
	for (size_t before = 0; before < 4; before++) {
		memset(text, 'x', before);
		text[before] = '\0';
		for (size_t i = 0; i < 300; i++)
			memcpy(text + before + 4 * i, "\U0001f600", 5);
		(void)error_set(&error, NC_ERR_SYNTAX, "%s", text);
		assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
		assert_true(utf8_is_valid(error.text, strlen(error.text), NULL));
	}
}

static void only_well_formed_sequences_are_utf8(void **state)
{
	static const char *const wrong[] = { "\x80", "\xc3", "\xc0\xaf", "\xe0\x80\x80",
		"\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xff" };
	size_t at;

	assert_true(utf8_is_valid("a\u00e9\u4e2d\U0001f600", 10, NULL));
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(utf8_is_valid(wrong[i], strlen(wrong[i]), NULL));
	assert_false(utf8_is_valid("ab\xff", 3, &at));
	assert_int_equal(at, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_says_what_and_where),
		cmocka_unit_test(a_quoted_text_cannot_make_a_second_line),
		cmocka_unit_test(a_character_that_was_cut_is_none),
		cmocka_unit_test(only_well_formed_sequences_are_utf8),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
