/* core/data/json */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/json.h"
#include "failing_malloc.h"

/* Read, written again on one line; or the error. */
static const char *again(const char *text)
{
	static char result[500];
	struct value *value = NULL;
	struct error error;
	struct buffer out;

	buffer_init(&out);
	if (json_read(text, strlen(text), &yaml_message_limits, &value, &error) == NC_OK)
		json_write(value, 0, &out);
	else
		buffer_printf(&out, "%d", (int)error.code);
	snprintf(result, sizeof(result), "%s", out.data);
	buffer_finish(&out);
	value_destroy(value);
	return result;
}

static void values_are_read_and_written_in_their_order(void **state)
{
	assert_string_equal(again("{\"b\": [1, -2.5, true, null, \"x\"], \"a\": {}}"),
		"{\"b\": [1, -2.5, true, null, \"x\"], \"a\": {}}");
	assert_string_equal(again("1e2"), "100.0");
	assert_string_equal(again("\"\\ud83d\\ude00\""), "\"\U0001f600\"");
}

static void what_is_no_json_is_refused(void **state)
{
	static const char *const wrong[] = { "", "{", "[1,]", "{a: 1}", "nul", "1 2",
		"{\"a\": 1, \"a\": 2}", "\"\\u0000\"", "99999999999999999999", "\"\xff\"" };
	char code[4];

	snprintf(code, sizeof(code), "%d", (int)NC_ERR_SYNTAX);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_string_equal(again(wrong[i]), code);
}

static void r13_depth_and_size_are_limited(void **state)
{
	static char deep[200], large[(1 << 20) + 3];
	char code[4];

	snprintf(code, sizeof(code), "%d", (int)NC_ERR_LIMIT);
	memset(deep, '[', 40);
	memset(deep + 40, ']', 40);
	assert_string_equal(again(deep), code);
	memset(large, ' ', sizeof(large) - 1);
	assert_string_equal(again(large), code);
}

static void dates_sets_and_other_keys_are_written_as_texts_and_lists(void **state)
{
	static const char text[] = "{2026-11-24: !!set {a}, 1: 2.0, yes: .inf}";
	struct value *value = NULL;
	struct buffer out;

	buffer_init(&out);
	assert_int_equal(
		yaml_read(text, strlen(text), 0, &yaml_message_limits, &value, NULL), NC_OK);
	json_write(value, 0, &out);
	assert_string_equal(out.data, "{\"2026-11-24\": [\"a\"], \"1\": 2.0, \"yes\": null}");
	buffer_finish(&out);
	value_destroy(value);
}

static void r21_a_lack_of_memory_is_not_taken_for_bad_text(void **state)
{
	static const char text[] = "{\"a long key\": [1, 2.5, \"text \\u00e9\", {\"b\": null}]}";
	bool failed = true;

	for (long nth = 1; failed; nth++) {
		struct value *value = NULL;
		struct error error = { 0 };
		enum nc_err err;

		memory_fail_at(nth);
		err = json_read(text, strlen(text), &yaml_message_limits, &value, &error);
		failed = memory_has_failed();
		assert_int_equal(err, failed ? NC_ERR_NOMEM : NC_OK);
		assert_int_equal(error.code, err);
		value_destroy(value);
		assert_true(memory_outstanding() == 0 || !FAILING_MALLOC);
	}
	/* And bad text is that again. */
	assert_string_equal(again("[1"), "2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_read_and_written_in_their_order),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(r13_depth_and_size_are_limited),
		cmocka_unit_test(r21_a_lack_of_memory_is_not_taken_for_bad_text),
		cmocka_unit_test(dates_sets_and_other_keys_are_written_as_texts_and_lists),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
