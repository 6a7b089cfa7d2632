/* core/data/value */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/data/value.h"

static void a_mapping_keeps_its_order_and_replaces_in_place(void **state)
{
	struct value *map = value_map();

	assert_int_equal(value_map_put(map, "b", value_int(1)), NC_OK);
	assert_int_equal(value_map_put(map, "a", value_int(2)), NC_OK);
	assert_int_equal(value_map_put(map, "b", value_int(3)), NC_OK);
	assert_int_equal(value_count(map), 2);
	assert_string_equal(value_as_text(value_map_key_at(map, 0), ""), "b");
	assert_int_equal(value_as_int(value_map_get(map, "b"), 0), 3);
	assert_true(value_map_remove(map, "b"));
	assert_false(value_map_remove(map, "b"));
	assert_null(value_map_get(map, "b"));
	assert_int_equal(value_as_int(value_map_get(map, "a"), 0), 2);
	value_destroy(map);
}

static void a_large_mapping_finds_every_key(void **state)
{
	struct value *map = value_map();
	char key[20];

	for (int i = 0; i < 10000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		assert_int_equal(value_map_put(map, key, value_int(i)), NC_OK);
	}
	for (int i = 0; i < 10000; i += 7) {
		snprintf(key, sizeof(key), "key %d", i);
		assert_int_equal(value_as_int(value_map_get(map, key), -1), i);
	}
	assert_true(value_map_remove(map, "key 5"));
	assert_int_equal(value_as_int(value_map_get(map, "key 9999"), -1), 9999);
	assert_null(value_map_get(map, "key 5"));
	assert_null(value_map_get(map, "key"));
	value_destroy(map);
}

static void keys_of_other_kinds_are_found_as_they_are_written(void **state)
{
	struct value *map = value_map(), *key = value_int(0);

	assert_int_equal(value_set_origin(key, 1, 1, false, "00"), NC_OK);
	assert_int_equal(value_map_put_key(map, key, value_text("midnight")), NC_OK);
	assert_null(value_map_get(map, "00"));
	assert_string_equal(value_as_text(value_map_find_written(map, "00"), ""), "midnight");
	assert_null(value_map_find_written(map, "0"));
	value_destroy(map);
}

static void a_failure_takes_over_what_it_was_given(void **state)
{
	struct value *map = value_map(), *set = value_set();

	/* Run under the leak sanitizer. */
	assert_int_equal(value_map_put(map, "a", NULL), NC_ERR_NOMEM);
	assert_int_equal(value_map_put(NULL, "a", value_int(1)), NC_ERR_NOMEM);
	assert_int_equal(value_map_put_key(map, value_list(), value_int(1)), NC_ERR_INVALID);
	assert_int_equal(value_set_add(set, value_map()), NC_ERR_INVALID);
	assert_int_equal(value_list_append(NULL, value_int(1)), NC_ERR_NOMEM);
	assert_int_equal(value_count(map), 0);
	value_destroy(map);
	value_destroy(set);
}

static void a_set_has_each_element_once(void **state)
{
	struct value *set = value_set(), *probe = value_text("a");

	assert_int_equal(value_set_add(set, value_text("a")), NC_OK);
	assert_int_equal(value_set_add(set, value_text("a")), NC_OK);
	assert_int_equal(value_count(set), 1);
	assert_true(value_set_contains(set, probe));
	value_destroy(set);
	value_destroy(probe);
}

static void equality_is_by_kind_and_content(void **state)
{
	struct value *a = value_map(), *b = value_map(), *copy;

	value_map_put(a, "x", value_int(1));
	value_map_put(a, "y", value_float(1));
	value_map_put(b, "y", value_float(1));
	value_map_put(b, "x", value_int(1));
	assert_true(value_equal(a, b));
	copy = value_copy(a);
	assert_true(value_equal(a, copy));
	value_map_put(copy, "x", value_float(1));
	assert_false(value_equal(a, copy));
	assert_true(value_equal(NULL, NULL));
	value_destroy(a);
	value_destroy(b);
	value_destroy(copy);
}

static void scalars_are_printed_as_they_were_written_or_in_their_own_form(void **state)
{
	struct value *number = value_int(10), *half = value_float(0.5), *large = value_float(1e20),
		     *list = value_list();
	struct buffer out;

	buffer_init(&out);
	assert_int_equal(value_print_scalar(number, &out), NC_OK);
	assert_int_equal(value_set_origin(number, 3, 4, false, "0x0A"), NC_OK);
	buffer_append_char(&out, ' ');
	assert_int_equal(value_print_scalar(number, &out), NC_OK);
	buffer_append_char(&out, ' ');
	assert_int_equal(value_print_scalar(half, &out), NC_OK);
	buffer_append_char(&out, ' ');
	assert_int_equal(value_print_scalar(large, &out), NC_OK);
	assert_string_equal(out.data, "10 0x0A 0.5 1.0e+20");
	assert_int_equal(value_print_scalar(list, &out), NC_ERR_INVALID);
	assert_int_equal(value_line(number), 3);
	assert_int_equal(value_column(number), 4);
	buffer_finish(&out);
	value_destroy(number);
	value_destroy(half);
	value_destroy(large);
	value_destroy(list);
}

static void readers_accept_anything(void **state)
{
	assert_null(value_at(NULL, 0));
	assert_null(value_map_get(NULL, "a"));
	assert_int_equal(value_count(NULL), 0);
	assert_int_equal(value_as_int(NULL, 7), 7);
	assert_string_equal(value_as_text(NULL, "x"), "x");
	assert_false(value_as_bool(NULL, false));
	value_destroy(NULL);
}

static void only_whole_decimal_numbers_are_integers(void **state)
{
	static const char *const wrong[] = { "", " 1", "1 ", "0x1", "1.0", "+", "-",
		"9223372036854775808", "1a" };
	int64_t number;

	assert_true(text_to_int64("-9223372036854775808", &number));
	assert_int_equal(number, INT64_MIN);
	assert_true(text_to_int64("007", &number));
	assert_int_equal(number, 7);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(text_to_int64(wrong[i], &number));
}

static void floats_are_printed_as_python_prints_them_with_a_point(void **state)
{
	static const struct {
		double number;
		const char *text;
	} cases[] = {
		{ 60, "60.0" },
		{ 300, "300.0" },
		{ 0.1, "0.1" },
		{ 0.1 + 0.2, "0.30000000000000004" },
		{ -2.5, "-2.5" },
		{ -0.0, "-0.0" },
		{ 123456.75, "123456.75" },
		{ 1e15, "1000000000000000.0" },
		{ 1e16, "1.0e+16" },
		{ 1.25e20, "1.25e+20" },
		{ 0.0001, "0.0001" },
		{ 0.00001, "1.0e-05" },
		{ 5e-324, "5.0e-324" },
		{ 1.7976931348623157e308, "1.7976931348623157e+308" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct value *value = value_float(cases[i].number);
		struct buffer out;

		buffer_init(&out);
		assert_int_equal(value_print_scalar(value, &out), NC_OK);
		assert_string_equal(out.data, cases[i].text);
		assert_true(strtod(out.data, NULL) == cases[i].number);
		buffer_finish(&out);
		value_destroy(value);
	}
}

/* As many as a message may have; comparing all with each other takes seconds, finding them milliseconds. */
static void r13_keys_that_are_nearly_alike_are_found_as_fast_as_others(void **state)
{
	struct value *map = value_map();
	struct timespec start, end;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	for (int i = 0; i < 20000; i++) {
		struct timestamp moment = { .date = { 2026, 11, 24 }, .microsecond = i };

		assert_int_equal(
			value_map_put_key(map, value_float(i / 20001.0), value_null()), NC_OK);
		assert_int_equal(
			value_map_put_key(map, value_timestamp(&moment), value_null()), NC_OK);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	assert_int_equal(value_count(map), 40000);
	assert_true(end.tv_sec - start.tv_sec < 2);
	value_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapping_keeps_its_order_and_replaces_in_place),
		cmocka_unit_test(a_large_mapping_finds_every_key),
		cmocka_unit_test(keys_of_other_kinds_are_found_as_they_are_written),
		cmocka_unit_test(a_failure_takes_over_what_it_was_given),
		cmocka_unit_test(a_set_has_each_element_once),
		cmocka_unit_test(equality_is_by_kind_and_content),
		cmocka_unit_test(scalars_are_printed_as_they_were_written_or_in_their_own_form),
		cmocka_unit_test(readers_accept_anything),
		cmocka_unit_test(only_whole_decimal_numbers_are_integers),
		cmocka_unit_test(floats_are_printed_as_python_prints_them_with_a_point),
		cmocka_unit_test(r13_keys_that_are_nearly_alike_are_found_as_fast_as_others),
	};

	return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
