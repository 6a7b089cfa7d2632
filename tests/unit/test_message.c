/* core/system/message */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/yaml.h"
#include "core/system/message.h"
#include "failing_malloc.h"

static enum nc_err read_message(const char *text, struct message *message, struct error *error)
{
	return message_read(text, strlen(text), message, error);
}

/* The text must be refused with this code and these words. */
static void refused(const char *text, enum nc_err code, const char *words)
{
	struct message message;
	struct error error = { 0 };

	assert_int_equal(read_message(text, &message, &error), code);
	if (strstr(error.text, words) == NULL)
		fail_msg("`%s` is not in `%s`", words, error.text);
	assert_null(message.source);
	assert_null(message.payload);
}

static void reads_what_the_python_framework_writes(void **state)
{
	struct message message;

	assert_int_equal(read_message("payload:\n  sleep time: 5\nsource: sleep\ntype: success\n",
				 &message, NULL),
		NC_OK);
	assert_string_equal(message.source, "sleep");
	assert_string_equal(message.type, "success");
	assert_null(message.event);
	assert_null(message.id);
	assert_null(message.report);
	assert_int_equal(value_as_int(value_map_get(message.payload, "sleep time"), 0), 5);
	message_finish(&message);
}

static void a_null_payload_is_a_value(void **state)
{
	struct message message;

	assert_int_equal(
		read_message("{source: a, type: b, payload: null}", &message, NULL), NC_OK);
	assert_non_null(message.payload);
	assert_int_equal(value_kind(message.payload), VALUE_NULL);
	message_finish(&message);
}

static void unknown_keys_are_left_out(void **state)
{
	struct message message;

	assert_int_equal(
		read_message("{source: a, type: b, payload: 1, future: [1]}", &message, NULL),
		NC_OK);
	message_finish(&message);
}

static void an_event_needs_no_type_and_no_payload(void **state)
{
	struct message message;

	assert_int_equal(read_message("{source: a, event: started}", &message, NULL), NC_OK);
	assert_string_equal(message.event, "started");
	assert_int_equal(value_kind(message.payload), VALUE_NULL);
	message_finish(&message);
}

static void says_what_is_missing(void **state)
{
	refused("{type: b, payload: 1}", NC_ERR_INVALID, "needs a `source`");
	refused("{source: a, payload: 1}", NC_ERR_INVALID, "needs a `type`");
	refused("{source: a, type: b}", NC_ERR_INVALID, "needs a `payload`");
	refused("{source: a, type: b, event: due, payload: 1}", NC_ERR_INVALID, "not both");
}

static void says_what_is_of_the_wrong_kind(void **state)
{
	refused("", NC_ERR_INVALID, "not nothing");
	refused("- a", NC_ERR_INVALID, "not a list");
	refused("{source: 5, type: b, payload: 1}", NC_ERR_INVALID,
		"`source` of a message must be a text, not an integer");
	refused("{source: a, type: [b], payload: 1}", NC_ERR_INVALID, "not a list");
	refused("{source: '', type: b, payload: 1}", NC_ERR_INVALID, "is empty");
	refused("{source: a, type: b, payload: 1, id: {}}", NC_ERR_INVALID, "`id`");
	refused("{source: a, type: b, payload: 1, launch: 7}", NC_ERR_INVALID, "`launch`");
	refused("{source: a, type: b, payload: 1, token: 7}", NC_ERR_INVALID, "`token`");
	refused("{source: a, type: b, payload: 1, report: 7}", NC_ERR_INVALID,
		"`report` of a message must be a mapping");
}

static void refuses_what_is_no_yaml_or_too_much_of_it(void **state)
{
	char deep[200];

	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	refused("{", NC_ERR_SYNTAX, "YAML");
	refused(deep, NC_ERR_LIMIT, "levels");
	refused("{source: a, <<: {type: b}, payload: 1}", NC_ERR_SYNTAX, "<<");
	refused("{source: a, source: b, type: c, payload: 1}", NC_ERR_INVALID, "source");
}

static void a_larger_text_than_a_mebibyte_is_refused(void **state)
{
	static char text[(1 << 20) + 100];
	struct message message;
	struct error error;

	memset(text, ' ', sizeof(text));
	memcpy(text, "{source: a, type: b, payload: 1}", 32);
	assert_int_equal(message_read(text, 1 << 20, &message, NULL), NC_OK);
	message_finish(&message);
	assert_int_equal(message_read(text, (1 << 20) + 1, &message, &error), NC_ERR_LIMIT);
}

/* What is written is read back, key by key. */
static void writes_what_it_reads(void **state)
{
	static const char text[] =
		"{source: s, type: success 06, payload: {'012': [1e3, '1e3', 2026-11-24], yes: no,"
		" ? a long text that is quoted for sure\xc3\xa9 : \"two\\nlines\"},"
		" id: i, launch: l, token: 't: 1', report: {exit status: 3}}";
	struct message first, second;
	struct buffer out;

	buffer_init(&out);
	assert_int_equal(read_message(text, &first, NULL), NC_OK);
	message_write(&first, &out);
	assert_false(out.failed);
	assert_int_equal(message_read(out.data, out.len, &second, NULL), NC_OK);
	assert_string_equal(second.source, "s");
	assert_string_equal(second.type, "success 06");
	assert_string_equal(second.id, "i");
	assert_string_equal(second.launch, "l");
	assert_string_equal(second.token, "t: 1");
	assert_true(value_equal(first.payload, second.payload));
	assert_true(value_equal(first.report, second.report));
	message_finish(&first);
	message_finish(&second);
	buffer_finish(&out);
}

static void writes_scalars_and_long_keys_as_payload(void **state)
{
	static char key[3000];
	struct message message, again;
	struct value *payload = value_map();
	struct buffer out;

	memset(key, 'k', sizeof(key) - 1);
	buffer_init(&out);
	assert_int_equal(value_map_put(payload, key, value_text("...")), NC_OK);
	assert_int_equal(message_make(&message, "a", "b", payload), NC_OK);
	message_write(&message, &out);
	assert_int_equal(message_read(out.data, out.len, &again, NULL), NC_OK);
	assert_true(value_equal(again.payload, payload));
	message_finish(&again);
	message_finish(&message);
	value_destroy(payload);

	buffer_clear(&out);
	payload = value_text("- not a list");
	assert_int_equal(message_make(&message, "a", "b", payload), NC_OK);
	message_write(&message, &out);
	assert_int_equal(message_read(out.data, out.len, &again, NULL), NC_OK);
	assert_true(value_equal(again.payload, payload));
	message_finish(&again);
	message_finish(&message);
	value_destroy(payload);
	buffer_finish(&out);
}

/* libyaml does not write what has a colon in it plain inside brackets. */
static void times_keep_their_kind_in_a_payload(void **state)
{
	static const char text[] = "{source: a, type: b, payload: {x: 2026-11-24 04:00:00.5 -8,"
				   " y: [190:20:30, 190:20:30.5], 12:30:45: 2026-11-24}}";
	struct message first, second;
	struct buffer out;

	buffer_init(&out);
	assert_int_equal(read_message(text, &first, NULL), NC_OK);
	message_write(&first, &out);
	assert_int_equal(message_read(out.data, out.len, &second, NULL), NC_OK);
	assert_true(value_equal(first.payload, second.payload));
	message_finish(&first);
	message_finish(&second);
	buffer_finish(&out);
}

static void r21_no_failed_allocation_is_taken_for_a_message(void **state)
{
	static const char text[] = "{source: a, type: b, payload: {c: [1, d]}, id: e, launch: f,"
				   " token: g, report: {h: 1}}";
	bool failed = FAILING_MALLOC;

	for (long nth = 1; failed; nth++) {
		struct message message, made;
		struct buffer out;
		enum nc_err err, made_err;

		buffer_init(&out);
		message_init(&made);
		memory_fail_at(nth);
		err = read_message(text, &message, NULL);
		made_err = err == NC_OK ? message_make(&made, "a", "b", message.payload) : NC_OK;
		if (err == NC_OK && made_err == NC_OK)
			message_write(&message, &out);
		failed = memory_has_failed();
		if (failed && err != NC_ERR_NOMEM && made_err != NC_ERR_NOMEM && !out.failed)
			fail_msg("allocation %ld failed, and nobody said so", nth);
		buffer_finish(&out);
		message_finish(&message);
		message_finish(&made);
		if (memory_outstanding() != 0)
			fail_msg("allocation %ld failed, and %ld were not freed", nth,
				memory_outstanding());
	}
}

static void a_message_without_a_payload_is_written_with_null(void **state)
{
	struct message message, read;
	struct buffer out;

	message_init(&message);
	message.source = strdup("a");
	message.type = strdup("b");
	buffer_init(&out);
	message_write(&message, &out);
	assert_string_equal(out.data, "source: a\ntype: b\npayload: null\n");
	assert_int_equal(message_read(out.data, out.len, &read, NULL), NC_OK);
	assert_int_equal(value_kind(read.payload), VALUE_NULL);
	message_finish(&message);
	message_finish(&read);
	buffer_finish(&out);
}

static void a_made_message_has_no_id_and_a_null_payload(void **state)
{
	struct message message;

	assert_int_equal(message_make(&message, "manager", REPLY_ACK, NULL), NC_OK);
	assert_string_equal(message.source, "manager");
	assert_string_equal(message.type, "ack");
	assert_null(message.id);
	assert_int_equal(value_kind(message.payload), VALUE_NULL);
	message_finish(&message);
	message_finish(&message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_the_python_framework_writes),
		cmocka_unit_test(a_null_payload_is_a_value),
		cmocka_unit_test(unknown_keys_are_left_out),
		cmocka_unit_test(an_event_needs_no_type_and_no_payload),
		cmocka_unit_test(says_what_is_missing),
		cmocka_unit_test(says_what_is_of_the_wrong_kind),
		cmocka_unit_test(refuses_what_is_no_yaml_or_too_much_of_it),
		cmocka_unit_test(a_larger_text_than_a_mebibyte_is_refused),
		cmocka_unit_test(writes_what_it_reads),
		cmocka_unit_test(writes_scalars_and_long_keys_as_payload),
		cmocka_unit_test(times_keep_their_kind_in_a_payload),
		cmocka_unit_test(r21_no_failed_allocation_is_taken_for_a_message),
		cmocka_unit_test(a_message_without_a_payload_is_written_with_null),
		cmocka_unit_test(a_made_message_has_no_id_and_a_null_payload),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
