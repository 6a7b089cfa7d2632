/* core/decide/brain: what operators change, what senders ask for in vain, and what a damaged database leads to */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/decide/brain.h"
#include "core/decide/store_internal.h"
#include "core/system/log.h"
#include "run_brain.h"

#define ID_1       "019abc00-0000-7000-8000-000000000001"
#define TEXT(text) ((char *)(uintptr_t)(text))

static struct config_type types[] = { { TEXT("success"), TEXT("well") },
	{ TEXT("need"), TEXT("wants to know") } };
static struct config_worker workers[] = { { .name = TEXT("sleep"),
	.checklist_key = TEXT("sleepyhead"),
	.types = types,
	.types_count = ARRAY_LEN(types) } };
static const struct config config = { .workers = workers, .workers_count = ARRAY_LEN(workers) };

static int begin(void **state)
{
	static const char rules[] = "sleep: [{on: success, hold until all have ended: [sleep]}]\n";

	return begin_with(state, &config, rules);
}

static enum nc_err change(struct fixture *f, struct value *key, struct value *value)
{
	enum nc_err err;

	transaction_finish(&f->t);
	err = brain_change_checklist(f->brain, key, value, &f->t, &f->error);
	value_destroy(key);
	value_destroy(value);
	return err;
}

static void damage(struct fixture *f, const char *sql)
{
	assert_int_equal(sqlite3_exec(f->store->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* --- the checklist --- */

static void a_key_is_set_and_deleted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(change(f, value_text("a"), value_int(1)), NC_OK);
	assert_true(f->t.checklist_changed);
	assert_string_equal(f->t.notes[0].text, "[a] was set in the checklist by an operator");
	assert_int_equal(change(f, value_text("a"), value_int(2)), NC_OK);
	assert_int_equal(value_as_int(value_map_get(brain_checklist(f->brain), "a"), 0), 2);
	/* `1` and `'1'` are two keys. */
	assert_int_equal(change(f, value_int(1), value_int(3)), NC_OK);
	assert_int_equal(change(f, value_text("1"), NULL), NC_ERR_NOT_FOUND);
	assert_string_equal(f->error.text, "the checklist has no such key");
	assert_int_equal(change(f, value_int(1), NULL), NC_OK);
	assert_string_equal(
		f->t.notes[0].text, "[1] was deleted from the checklist by an operator");
	assert_int_equal(value_count(brain_checklist(f->brain)), 1);
}

static void a_refused_change_leaves_what_shares_its_commit(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(brain_begin(f->brain, NULL), NC_OK);
	assert_int_equal(change(f, value_text("a"), value_int(1)), NC_OK);
	assert_int_equal(change(f, value_text("b"), NULL), NC_ERR_NOT_FOUND);
	assert_int_equal(brain_commit(f->brain, NULL), NC_OK);
	assert_int_equal(value_count(brain_checklist(f->brain)), 1);
}

static void the_keys_that_are_named_to_a_need_are_not_too_many(void **state)
{
	struct fixture *f = *state;
	const char *words;
	char name[32];

	for (int i = 0; i < 31; i++) {
		(void)snprintf(name, sizeof(name), "k%02d", i);
		assert_int_equal(change(f, value_text(name), value_int(i)), NC_OK);
		assert_int_equal(handle(f, "{source: sleep, type: need, payload: x}"), NC_OK);
		words = value_as_text(f->t.reply.payload, "");
		assert_true((strstr(words, name) != NULL) == (i < 30));
		assert_true((strstr(words, ", ...") != NULL) == (i >= 30));
	}
	assert_non_null(strstr(words, "it has k00, k01, "));
}

/* --- events --- */

static void the_arguments_of_a_slot_are_texts(void **state)
{
	static const char *const bad[] = { "[[a]]", "[a, 5]", "[{a: b}]", "{a: b}" };
	struct fixture *f = *state;
	char text[200];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)snprintf(text, sizeof(text),
			"{source: scheduler, event: due, payload: {worker: sleep, slot: s, arguments: "
			"%s}}",
			bad[i]);
		assert_int_equal(handle(f, text), NC_OK);
		assert_string_equal(f->t.reply.type, "bad message");
		assert_int_equal(f->t.launches_count, 0);
	}
	assert_int_equal(
		handle(f, "{source: scheduler, event: due, payload: {worker: sleep, slot: s}}"),
		NC_OK);
	assert_int_equal(f->t.launches_count, 1);
}

static void the_version_is_told_to_who_is_no_worker_too(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		handle(f, "{source: message_broker, event: version, payload: null}"), NC_OK);
	assert_string_equal(f->t.reply.type, "ack");
	assert_string_equal(
		value_as_text(value_map_get(f->t.reply.payload, "version"), ""), NOWCAST_VERSION);
	assert_int_equal(f->t.notes_count, 0);
}

/* --- damage --- */

static void r22_a_reply_that_is_none_any_more_is_damage(void **state)
{
	static const char *const damages[] = { "UPDATE messages SET reply = NULL",
		"UPDATE messages SET reply = x'5b'", "UPDATE messages SET reply = ''" };
	static const char message[] =
		"{source: sleep, type: success, payload: {a: 1}, id: " ID_1 "}";
	struct fixture *f = *state;

	assert_int_equal(handle(f, message), NC_OK);
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		damage(f, damages[i]);
		assert_int_equal(handle(f, message), NC_ERR_INVALID);
		assert_non_null(strstr(f->error.text, "the reply to the message " ID_1));
		assert_false(store_is_open(f->store));
	}
}

static void r22_damage_is_told_where_it_is_met(void **state)
{
	static const struct {
		const char *sql;
		bool shown; /* by the status, too */
	} damages[] = {
		{ "UPDATE checklist SET value = '['", false },
		{ "UPDATE held SET arguments = '5'", true },
		{ "UPDATE launches SET arguments = '['", true },
	};
	struct fixture *f = *state;
	struct value *status;

	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		(void)end(state);
		assert_int_equal(begin(state), 0);
		f = *state;
		assert_int_equal(
			handle(f, "{source: sleep, type: success, payload: {a: 1}}"), NC_OK);
		assert_int_equal(
			handle(f, "{source: sleep, event: started, launch: " ID_1 "}"), NC_OK);
		damage(f,
			"INSERT INTO held (worker, arguments, host, at) VALUES ('sleep', '[]', 'h', 1)");
		damage(f, "INSERT INTO held_by (held_id, group_id) VALUES (1, 1)");
		status = brain_status(f->brain, 0, &f->error);
		assert_non_null(status);
		value_destroy(status);
		damage(f, damages[i].sql);
		brain_rollback(f->brain); /* the checklist is read again */
		status = brain_status(f->brain, 0, &f->error);
		assert_true((status == NULL) == damages[i].shown);
		assert_true(status != NULL || f->error.code == NC_ERR_INVALID);
		value_destroy(status);
		assert_true((brain_checklist(f->brain) == NULL) == !damages[i].shown);
		if (!damages[i].shown)
			assert_int_equal(handle(f, "{source: sleep, type: success, payload: 1}"),
				NC_ERR_INVALID);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_is_set_and_deleted),
		TEST(a_refused_change_leaves_what_shares_its_commit),
		TEST(the_keys_that_are_named_to_a_need_are_not_too_many),
		TEST(the_arguments_of_a_slot_are_texts),
		TEST(the_version_is_told_to_who_is_no_worker_too),
		TEST(r22_a_reply_that_is_none_any_more_is_damage),
		TEST(r22_damage_is_told_where_it_is_met),
	};

	return cmocka_run_group_tests_name("brain_operator", tests, NULL, NULL);
}
