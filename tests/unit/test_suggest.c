/* core/data/suggest */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/data/error.h"
#include "core/data/suggest.h"

static const char *const names[] = { "manager", NULL, "message_broker", "rotate_logs", "sleep",
	"on" };

static const char *nearest(const char *typed)
{
	return suggest(typed, names, ARRAY_LEN(names));
}

static void finds_a_name_with_a_letter_missing_swapped_or_too_many(void **state)
{
	assert_string_equal(nearest("rotate_log"), "rotate_logs");
	assert_string_equal(nearest("slepe"), "sleep");
	assert_string_equal(nearest("mesage_broker"), "message_broker");
	assert_string_equal(nearest("ManageR"), "manager");
}

static void finds_nothing_when_nothing_is_near(void **state)
{
	assert_null(nearest("download_weather"));
	assert_null(nearest("xx"));
	assert_null(nearest(""));
}

static void a_very_long_word_is_not_compared(void **state)
{
	char word[4000];

	for (size_t i = 0; i < sizeof(word) - 1; i++)
		word[i] = 'a';
	word[sizeof(word) - 1] = '\0';
	assert_null(nearest(word));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_name_with_a_letter_missing_swapped_or_too_many),
		cmocka_unit_test(finds_nothing_when_nothing_is_near),
		cmocka_unit_test(a_very_long_word_is_not_compared),
	};

	return cmocka_run_group_tests_name("suggest", tests, NULL, NULL);
}
