/* core/data/buffer */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/buffer.h"

static void it_grows_and_always_ends_in_nul(void **state)
{
	struct buffer buffer;

	buffer_init(&buffer);
	assert_string_equal(buffer.data, "");
	for (int i = 0; i < 1000; i++)
		buffer_printf(&buffer, "%03d", i);
	assert_int_equal(buffer.len, 3000);
	assert_int_equal(strlen(buffer.data), 3000);
	assert_memory_equal(buffer.data + 2997, "999", 3);
	buffer_finish(&buffer);
	assert_string_equal(buffer.data, "");
}

static void consume_takes_from_the_front(void **state)
{
	struct buffer buffer;

	buffer_init(&buffer);
	buffer_consume(&buffer, 5);
	buffer_append(&buffer, "a\0bc", 4);
	buffer_consume(&buffer, 2);
	assert_string_equal(buffer.data, "bc");
	buffer_consume(&buffer, 9);
	assert_int_equal(buffer.len, 0);
	buffer_finish(&buffer);
}

static void a_stolen_text_is_the_callers(void **state)
{
	struct buffer buffer;
	char *text;

	buffer_init(&buffer);
	text = buffer_steal(&buffer);
	assert_string_equal(text, "");
	free(text);
	buffer_append_text(&buffer, "x");
	text = buffer_steal(&buffer);
	assert_string_equal(text, "x");
	assert_int_equal(buffer.len, 0);
	free(text);
}

static void a_failure_sticks_and_keeps_what_was_there(void **state)
{
	struct buffer buffer;

	buffer_init(&buffer);
	buffer_append_text(&buffer, "kept");
	assert_false(buffer_reserve(&buffer, SIZE_MAX - 2));
	buffer_append_text(&buffer, "more");
	assert_true(buffer.failed);
	assert_string_equal(buffer.data, "kept");
	assert_null(buffer_steal(&buffer));
	buffer_finish(&buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_grows_and_always_ends_in_nul),
		cmocka_unit_test(consume_takes_from_the_front),
		cmocka_unit_test(a_stolen_text_is_the_callers),
		cmocka_unit_test(a_failure_sticks_and_keeps_what_was_there),
	};

	return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
