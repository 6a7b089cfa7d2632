/* core/work/contract */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/error.h"
#include "core/work/contract.h"

static struct contract_line line;
static struct error error;

static enum nc_err take(const char *text)
{
	contract_line_finish(&line);
	return contract_read(text, strlen(text), &line, &error);
}

static int forget(void **state)
{
	contract_line_finish(&line);
	return 0;
}

static void a_need_names_its_key(void **state)
{
	assert_int_equal(take("{\"need\": \"NEMO run\"}"), NC_OK);
	assert_int_equal(line.kind, CONTRACT_NEED);
	assert_string_equal(line.text, "NEMO run");
}

static void a_tell_has_a_type_and_may_have_a_payload(void **state)
{
	assert_int_equal(take("{\"tell\": \"clear checklist\"}"), NC_OK);
	assert_int_equal(line.kind, CONTRACT_TELL);
	assert_null(line.payload);
	assert_int_equal(take("{\"tell\": \"x\", \"payload\": {\"a\": [1, 2.5]}}"), NC_OK);
	assert_true(value_is(value_map_get(line.payload, "a"), VALUE_LIST));
}

static void a_final_type_keeps_its_payload(void **state)
{
	assert_int_equal(take("{\"payload\": {\"run date\": \"2026-11-24\"}, \"type\": \"success "
			      "nowcast\"}"),
		NC_OK);
	assert_int_equal(line.kind, CONTRACT_TYPE);
	assert_string_equal(line.text, "success nowcast");
	assert_string_equal(
		value_as_text(value_map_get(line.payload, "run date"), ""), "2026-11-24");
}

static void a_final_type_is_success_failure_or_skipped(void **state)
{
	assert_int_equal(take("{\"type\": \"failure\"}"), NC_OK);
	assert_int_equal(take("{\"type\": \"skipped\"}"), NC_OK);
	assert_int_equal(take("{\"type\": \"clear checklist\"}"), NC_ERR_INVALID);
	assert_non_null(strstr(error.text, "tell"));
}

static void a_level_is_a_name_or_a_number(void **state)
{
	assert_int_equal(take("{\"log\": \"WARNING\", \"message\": \"late\"}"), NC_OK);
	assert_int_equal(line.kind, CONTRACT_LOG);
	assert_int_equal(line.level, 30);
	assert_string_equal(line.message, "late");
	assert_int_equal(take("{\"log\": 15, \"message\": \"\"}"), NC_OK);
	assert_int_equal(line.level, 15);
	assert_int_equal(take("{\"log\": \"LOUD\", \"message\": \"x\"}"), NC_ERR_INVALID);
	assert_int_equal(take("{\"log\": -1, \"message\": \"x\"}"), NC_ERR_INVALID);
	assert_int_equal(take("{\"log\": \"INFO\"}"), NC_ERR_INVALID);
}

static void progress_lies_between_0_and_1(void **state)
{
	assert_int_equal(take("{\"progress\": 0.43}"), NC_OK);
	assert_int_equal(line.kind, CONTRACT_PROGRESS);
	assert_true(line.number > 0.42 && line.number < 0.44);
	assert_int_equal(take("{\"progress\": 1}"), NC_OK);
	assert_int_equal(take("{\"progress\": 1.01}"), NC_ERR_INVALID);
	assert_int_equal(take("{\"progress\": -0.1}"), NC_ERR_INVALID);
	assert_int_equal(take("{\"progress\": .nan}"), NC_ERR_INVALID);
	assert_int_equal(take("{\"progress\": \"half\"}"), NC_ERR_INVALID);
}

static void a_yaml_flow_mapping_does_as_well(void **state)
{
	assert_int_equal(take("{type: success, payload: {run date: 2026-11-24}}"), NC_OK);
	assert_true(value_is(value_map_get(line.payload, "run date"), VALUE_DATE));
}

static void json_joins_surrogates_and_reads_exponents(void **state)
{
	assert_int_equal(
		take("{\"type\": \"success\", \"payload\": [\"\\ud83d\\ude00\", 1e5]}"), NC_OK);
	assert_string_equal(value_as_text(value_at(line.payload, 0), ""), "\xf0\x9f\x98\x80");
	assert_true(value_is(value_at(line.payload, 1), VALUE_FLOAT));
}

static void blanks_around_and_a_carriage_return_do_not_matter(void **state)
{
	assert_int_equal(take("  {\"need\": \"x\"} \r"), NC_OK);
}

static void what_is_no_object_is_a_syntax_error(void **state)
{
	assert_int_equal(take("hello"), NC_ERR_SYNTAX);
	assert_int_equal(take("type: success"), NC_ERR_SYNTAX);
	assert_int_equal(take("[1]"), NC_ERR_SYNTAX);
	assert_int_equal(take("{\"type\": "), NC_ERR_SYNTAX);
	assert_int_equal(take(""), NC_ERR_SYNTAX);
	assert_int_equal(take("{\"need\": \"\xff\"}"), NC_ERR_SYNTAX);
}

static void a_key_with_a_slip_is_named(void **state)
{
	assert_int_equal(take("{\"type\": \"success\", \"paylod\": 1}"), NC_ERR_INVALID);
	assert_non_null(strstr(error.text, "payload"));
	assert_int_equal(take("{\"ned\": \"x\"}"), NC_ERR_INVALID);
	assert_non_null(strstr(error.text, "need"));
}

static void a_line_says_one_thing(void **state)
{
	assert_int_equal(take("{\"need\": \"a\", \"tell\": \"b\"}"), NC_ERR_INVALID);
	assert_int_equal(take("{\"need\": \"a\", \"payload\": 1}"), NC_ERR_INVALID);
	assert_int_equal(take("{}"), NC_ERR_INVALID);
	assert_int_equal(take("{\"payload\": 1}"), NC_ERR_INVALID);
}

static void texts_must_be_texts_and_not_empty(void **state)
{
	assert_int_equal(take("{\"need\": 5}"), NC_ERR_INVALID);
	assert_int_equal(take("{\"need\": \"\"}"), NC_ERR_INVALID);
	assert_int_equal(take("{\"type\": null}"), NC_ERR_INVALID);
}

static void a_line_over_1_MiB_or_too_deep_is_over_the_limit(void **state)
{
	static char text[CONTRACT_LINE_MOST + 101];
	size_t len = sizeof(text) - 1;

	memset(text, 'x', len);
	memcpy(text, "{\"need\": \"", 10);
	memcpy(text + len - 2, "\"}", 3);
	assert_int_equal(take(text), NC_ERR_LIMIT);
	memset(text, '[', 200);
	memcpy(text, "{\"type\": \"success\", \"payload\": ", 31);
	memset(text + 200, ']', 200 - 31);
	memcpy(text + 400 - 31, "}", 2);
	assert_int_equal(take(text), NC_ERR_LIMIT);
}

static void a_bad_line_leaves_the_struct_untouched(void **state)
{
	struct contract_line untouched = { .level = 77 };

	assert_int_not_equal(contract_read("{\"tell\": 1}", 11, &untouched, NULL), NC_OK);
	assert_int_equal(untouched.level, 77);
	assert_null(untouched.text);
}

/* Wait statuses as Linux has them: the exit status above the signal. */
static int exited(int status)
{
	return status << 8;
}

static void the_exit_status_says_which_end_it_is(void **state)
{
	assert_int_equal(contract_end(exited(0)), CONTRACT_SUCCESS);
	assert_int_equal(contract_end(exited(1)), CONTRACT_FAILURE);
	assert_int_equal(contract_end(exited(74)), CONTRACT_FAILURE);
	assert_int_equal(contract_end(exited(75)), CONTRACT_TRY_AGAIN);
	assert_int_equal(contract_end(exited(76)), CONTRACT_FAILURE);
	assert_int_equal(contract_end(exited(77)), CONTRACT_SKIPPED);
	assert_int_equal(contract_end(exited(125)), CONTRACT_FAILURE);
	assert_int_equal(contract_end(exited(126)), CONTRACT_CRASH);
	assert_int_equal(contract_end(exited(255)), CONTRACT_CRASH);
	assert_int_equal(contract_end(SIGTERM), CONTRACT_CRASH);
}

static void check_words(int wait_status, const char *expected)
{
	struct buffer words;

	buffer_init(&words);
	contract_end_words(wait_status, &words);
	assert_string_equal(words.data, expected);
	buffer_finish(&words);
}

static void an_end_is_said_in_words(void **state)
{
	check_words(exited(3), "exit status 3");
	check_words(SIGKILL, "killed by signal 9 (SIGKILL)");
	check_words(SIGSEGV | 0x80, "killed by signal 11 (SIGSEGV), core dumped");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_need_names_its_key),
		cmocka_unit_test(a_tell_has_a_type_and_may_have_a_payload),
		cmocka_unit_test(a_final_type_keeps_its_payload),
		cmocka_unit_test(a_final_type_is_success_failure_or_skipped),
		cmocka_unit_test(a_level_is_a_name_or_a_number),
		cmocka_unit_test(progress_lies_between_0_and_1),
		cmocka_unit_test(a_yaml_flow_mapping_does_as_well),
		cmocka_unit_test(json_joins_surrogates_and_reads_exponents),
		cmocka_unit_test(blanks_around_and_a_carriage_return_do_not_matter),
		cmocka_unit_test(what_is_no_object_is_a_syntax_error),
		cmocka_unit_test(a_key_with_a_slip_is_named),
		cmocka_unit_test(a_line_says_one_thing),
		cmocka_unit_test(texts_must_be_texts_and_not_empty),
		cmocka_unit_test(a_line_over_1_MiB_or_too_deep_is_over_the_limit),
		cmocka_unit_test(a_bad_line_leaves_the_struct_untouched),
		cmocka_unit_test(the_exit_status_says_which_end_it_is),
		cmocka_unit_test(an_end_is_said_in_words),
	};

	return cmocka_run_group_tests_name("contract", tests, NULL, forget);
}
