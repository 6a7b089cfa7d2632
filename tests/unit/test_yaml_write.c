/* core/data/yaml: writing. That PyYAML reads it back is proved in tests/system/yaml_against_pyyaml.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/yaml.h"

static const char *again(const char *text, unsigned flags)
{
	static char result[1000];
	struct value *value = NULL;
	struct buffer out;

	buffer_init(&out);
	assert_int_equal(
		yaml_read(text, strlen(text), 0, &yaml_message_limits, &value, NULL), NC_OK);
	yaml_write(value, flags, &out);
	assert_false(out.failed);
	snprintf(result, sizeof(result), "%s", out.data);
	buffer_finish(&out);
	value_destroy(value);
	return result;
}

static void block_style_is_for_people(void **state)
{
	assert_string_equal(
		again("{sleepyhead: {sleep time: 5, awoke: yes}, files: [/a/b.log, c]}", 0),
		"sleepyhead:\n  sleep time: 5\n  awoke: yes\nfiles:\n- /a/b.log\n- c\n");
}

static void a_text_that_could_be_something_else_is_quoted(void **state)
{
	assert_string_equal(
		again("['012', '1e3', 'no', '2026-11-24', 'null', '', ' x', a b]", YAML_WRITE_FLOW),
		"[\"012\", \"1e3\", \"no\", \"2026-11-24\", \"null\", \"\", \" x\", a b]");
}

static void flow_style_is_one_line_also_for_a_scalar(void **state)
{
	assert_string_equal(again("a: |\n  x\n  y\n", YAML_WRITE_FLOW), "{a: \"x\\ny\\n\"}");
	assert_string_equal(again("5", YAML_WRITE_FLOW), "5");
	assert_string_equal(again("q...", YAML_WRITE_FLOW), "q...");
}

static void times_and_numbers_keep_their_kind(void **state)
{
	assert_string_equal(
		again("{t: 2026-11-24 04:00:00, n: 190:20:30, s: !!set {a}}", YAML_WRITE_FLOW),
		"{t: !!timestamp \"2026-11-24 04:00:00\", n: 685230, s: !!set {a: null}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(block_style_is_for_people),
		cmocka_unit_test(a_text_that_could_be_something_else_is_quoted),
		cmocka_unit_test(flow_style_is_one_line_also_for_a_scalar),
		cmocka_unit_test(times_and_numbers_keep_their_kind),
	};

	return cmocka_run_group_tests_name("yaml_write", tests, NULL, NULL);
}
