/* core/system/id */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/system/id.h"

static void ids_are_uuids_of_version_7_in_the_order_of_time(void **state)
{
	char first[ID_TEXT_SIZE], second[ID_TEXT_SIZE];

	assert_int_equal(id_make(first, NULL), NC_OK);
	assert_int_equal(id_make(second, NULL), NC_OK);
	assert_true(id_is_valid(first));
	assert_int_equal(first[14], '7');
	assert_non_null(strchr("89ab", first[19]));
	assert_string_not_equal(first, second);
	assert_true(memcmp(first, second, 8) <= 0);
}

static void s5_only_an_id_is_an_id(void **state)
{
	assert_true(id_is_valid("019abc00-0000-7000-8000-000000000001"));
	assert_false(id_is_valid("019abc00-0000-7000-8000-00000000000"));
	assert_false(id_is_valid("019abc00-0000-7000-8000-00000000000/"));
	assert_false(id_is_valid("../abc00-0000-7000-8000-000000000001"));
	assert_false(id_is_valid("019ABC00-0000-7000-8000-000000000001"));
	assert_false(id_is_valid(""));
	assert_false(id_is_valid(NULL));
}

static void tokens_are_compared_whole(void **state)
{
	char token[TOKEN_TEXT_SIZE];

	assert_int_equal(token_make(token, NULL), NC_OK);
	assert_int_equal(strlen(token), 32);
	assert_true(token_is_equal(token, token));
	assert_false(token_is_equal("abc", "abd"));
	assert_false(token_is_equal("abc", "ab"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_uuids_of_version_7_in_the_order_of_time),
		cmocka_unit_test(s5_only_an_id_is_an_id),
		cmocka_unit_test(tokens_are_compared_whole),
	};

	return cmocka_run_group_tests_name("id", tests, NULL, NULL);
}
