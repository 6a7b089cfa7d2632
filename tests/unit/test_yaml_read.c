/* core/data/yaml: reading. What scalars are is proved against PyYAML (tests/system/yaml_against_pyyaml.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/data/yaml.h"

/* `LINE:COLUMN CODE` of the error, or `fine`. */
static const char *read_n(const char *text, size_t len, unsigned flags)
{
	static char result[600];
	struct value *value = NULL;
	struct error error;

	if (yaml_read(text, len, flags, &yaml_message_limits, &value, &error) == NC_OK)
		snprintf(result, sizeof(result), "fine");
	else
		snprintf(result, sizeof(result), "%u:%u %d %s", error.line, error.column,
			(int)error.code, error.text);
	value_destroy(value);
	return result;
}

static void expect(
	const char *text, unsigned flags, const char *place, enum nc_err code, const char *part)
{
	const char *result = read_n(text, strlen(text), flags);
	char start[40];

	snprintf(start, sizeof(start), "%s %d ", place, (int)code);
	if (strncmp(result, start, strlen(start)) != 0 || strstr(result, part) == NULL)
		fail_msg("%s: %s", text, result);
}

static void errors_have_their_place(void **state)
{
	expect("a: 1\nb: [\n", 0, "3:1", NC_ERR_SYNTAX, "not YAML");
	expect("a: 1\n  b: 2\n", 0, "2:4", NC_ERR_SYNTAX, "not YAML");
	expect("a: 1\nb: 2\na: 3\n", 0, "3:1", NC_ERR_INVALID, "line 1");
	expect("a: !!python/name:x y\n", 0, "1:4", NC_ERR_SYNTAX, "python");
	expect("a: 1\n---\nb: 2\n", 0, "2:1", NC_ERR_SYNTAX, "second document");
	expect("a: 2024-02-30\n", 0, "1:4", NC_ERR_INVALID, "2024-02-30");
	expect("a: 99999999999999999999\n", 0, "1:4", NC_ERR_LIMIT, "64 bits");
	expect("? [a]\n: b\n", 0, "1:3", NC_ERR_SYNTAX, "cannot be a key");
	expect("!!set {a: 1}\n", 0, "1:8", NC_ERR_SYNTAX, "!!set");
}

static void r13_bytes_that_are_no_text_are_refused(void **state)
{
	assert_non_null(strstr(read_n("a: 1\nb: \0x", 10, 0), "2:4 "));
	assert_non_null(strstr(read_n("a: 1\nb: \0x", 10, 0), "NUL"));
	assert_non_null(strstr(read_n("a: \xff", 4, 0), "1:4 "));
	assert_non_null(strstr(read_n("a: \xff", 4, 0), "UTF-8"));
	assert_non_null(strstr(read_n("\xff\xfe"
				      "a\0",
				       4, 0),
		"1:"));
	expect("a: \"\\0\"\n", 0, "1:4", NC_ERR_SYNTAX, "NUL");
}

static void r13_limits_hold(void **state)
{
	char *text = calloc(1, (2 << 20) + 1);

	memset(text, 'x', (1 << 20) + 1);
	assert_non_null(strstr(read_n(text, (1 << 20) + 1, 0), "limit"));
	memset(text, '[', 800000);
	assert_non_null(strstr(read_n(text, 800000, 0), "deeper than 32"));
	for (int i = 0; i < 20001; i++)
		memcpy(text + 2 * i, i == 0 ? "[a" : ",a", 2);
	text[40002] = ']';
	assert_non_null(strstr(read_n(text, 40003, 0), "more than 20000 values"));
	free(text);
}

static void r13_an_alias_bomb_ends_at_once(void **state)
{
	struct buffer text;

	buffer_init(&text);
	buffer_append_text(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 30; i++)
		buffer_printf(&text,
			"a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
			i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	expect(text.data, 0, "5:10", NC_ERR_LIMIT, "more than 20000 values");
	buffer_finish(&text);
}

static void a_cycle_is_refused(void **state)
{
	expect("a: &x [*x]\n", 0, "1:8", NC_ERR_SYNTAX, "inside what it names");
	expect("a: *x\n", 0, "1:4", NC_ERR_SYNTAX, "no anchor");
}

static void merge_keys_work_where_they_may(void **state)
{
	static const char text[] = "base: &b {x: 1, y: 2}\nder: {<<: *b, y: 3}\n";
	struct value *value = NULL, *der;

	expect(text, 0, "2:7", NC_ERR_SYNTAX, "merge key");
	assert_int_equal(yaml_read(text, strlen(text), YAML_READ_MERGE_KEYS, &yaml_message_limits,
				 &value, NULL),
		NC_OK);
	der = value_map_get(value, "der");
	assert_int_equal(value_as_int(value_map_get(der, "x"), 0), 1);
	assert_int_equal(value_as_int(value_map_get(der, "y"), 0), 3);
	assert_int_equal(value_count(der), 2);
	value_destroy(value);
	expect("a: {<<: 5}\n", YAML_READ_MERGE_KEYS, "1:5", NC_ERR_SYNTAX, "merge key");
}

/* Order and precedence are PyYAML's: merged keys first, later merge keys and earlier list items win. */
static void merged_keys_come_in_the_order_of_pyyaml(void **state)
{
	static const char *const texts[] = {
		"[&a {k: 1, l: 1}, &b {k: 2, m: 2}, {z: 0, <<: *a, <<: *b}]",
		"[&a {k: 1, l: 1}, &b {k: 2, m: 2}, {z: 0, <<: [*b, *a]}]",
	};
	static const char *const keys[] = { "k", "l", "m", "z" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct value *value = NULL, *merged;

		assert_int_equal(yaml_read(texts[i], strlen(texts[i]), YAML_READ_MERGE_KEYS,
					 &yaml_message_limits, &value, NULL),
			NC_OK);
		merged = value_at(value, 2);
		assert_int_equal(value_as_int(value_map_get(merged, "k"), 0), 2);
		assert_int_equal(value_count(merged), ARRAY_LEN(keys));
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			assert_string_equal(
				value_as_text(value_map_key_at(merged, k), ""), keys[k]);
		value_destroy(value);
	}
	expect("a: {<<: [[{k: 1}]]}\n", YAML_READ_MERGE_KEYS, "1:5", NC_ERR_SYNTAX, "merge key");
}

/* What takes minutes when each is compared or copied with all before it. */
static void r13_many_merges_and_anchors_are_read_in_a_moment(void **state)
{
	enum {
		COUNT = 20000
	};
	struct timespec start, end;
	struct value *value = NULL;
	struct buffer text;

	buffer_init(&text);
	buffer_append_text(&text, "<<:\n");
	for (int i = 0; i < COUNT; i++)
		buffer_printf(&text, "- &anchor%d {key%d: 1}\n", i, i);
	buffer_append_text(&text, "all:\n");
	for (int i = 0; i < COUNT; i++)
		buffer_printf(&text, "- *anchor%d\n", i);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	assert_int_equal(yaml_read(text.data, text.len, YAML_READ_MERGE_KEYS, &yaml_file_limits,
				 &value, NULL),
		NC_OK);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	assert_int_equal(value_count(value), COUNT + 1);
	assert_true(end.tv_sec - start.tv_sec < 4);
	value_destroy(value);
	buffer_finish(&text);
}

static void all_text_keeps_what_is_written(void **state)
{
	static const char text[] = "00: no\nx: 1e3\ny:\n";
	struct value *value = NULL;

	assert_int_equal(yaml_read(text, strlen(text), YAML_READ_ALL_TEXT, &yaml_message_limits,
				 &value, NULL),
		NC_OK);
	assert_string_equal(value_as_text(value_map_get(value, "00"), ""), "no");
	assert_string_equal(value_as_text(value_map_get(value, "x"), ""), "1e3");
	assert_string_equal(value_as_text(value_map_get(value, "y"), "-"), "");
	assert_int_equal(value_line(value_map_get(value, "x")), 2);
	assert_int_equal(value_column(value_map_get(value, "x")), 4);
	value_destroy(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_have_their_place),
		cmocka_unit_test(r13_bytes_that_are_no_text_are_refused),
		cmocka_unit_test(r13_limits_hold),
		cmocka_unit_test(r13_an_alias_bomb_ends_at_once),
		cmocka_unit_test(a_cycle_is_refused),
		cmocka_unit_test(merge_keys_work_where_they_may),
		cmocka_unit_test(merged_keys_come_in_the_order_of_pyyaml),
		cmocka_unit_test(r13_many_merges_and_anchors_are_read_in_a_moment),
		cmocka_unit_test(all_text_keeps_what_is_written),
	};

	return cmocka_run_group_tests_name("yaml_read", tests, NULL, NULL);
}
