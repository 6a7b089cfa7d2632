/* core/decide/store: each call of SQLite, and each allocation, fails once; nothing is changed by halves */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/data/yaml.h"
#include "core/decide/store_internal.h"
#include "core/system/sys.h"
#include "failing_malloc.h"
#include "failing_sqlite.h"
#include "failing_sys.h"

#define ID_1       "019abc00-0000-7000-8000-000000000001"
#define ID_2       "019abc00-0000-7000-8000-000000000002"
#define ID_3       "019abc00-0000-7000-8000-000000000003"
#define TEXT(text) ((char *)(uintptr_t)(text))

struct fixture {
	char directory[64];
	struct store *store;
	struct value *key, *value, *checklist, *words;
	int64_t group;
	char copy[80];
};

static void path_in(const struct fixture *f, const char *name, char path[200])
{
	(void)snprintf(path, 200, "%s/%s", f->directory, name);
}

static struct value *read_value(const char *text)
{
	struct value *value = NULL;

	assert_int_equal(yaml_read(text, strlen(text), 0, &yaml_file_limits, &value, NULL), NC_OK);
	return value;
}

static void clear(const struct fixture *f)
{
	static const char *const names[] = { "state.db", "state.db-wal", "state.db-shm", "state.id",
		"copy.db", "copy.db-journal" };
	char path[200];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		path_in(f, names[i], path);
		(void)sys_unlink(path);
	}
}

static int end(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	clear(f);
	value_destroy(f->key);
	value_destroy(f->value);
	value_destroy(f->checklist);
	value_destroy(f->words);
	if (rmdir(f->directory) != 0)
		return -1;
	free(f);
	return 0;
}

/* --- deeds: each changes or reads something, and all of it in one transaction --- */

static enum nc_err add_launch(
	struct store *store, struct fixture *f, const char *id, struct error *error)
{
	struct store_launch launch = { .worker = TEXT("a"),
		.arguments = f->words,
		.host = TEXT("localhost"),
		.boot = TEXT("boot"),
		.why = TEXT("because"),
		.wanted_ns = 10,
		.attempt = 1 };

	(void)snprintf(launch.id, sizeof(launch.id), "%s", id);
	(void)snprintf(launch.token, sizeof(launch.token), "token");
	return store_add_launch(store, &launch, error);
}

static enum nc_err add_group(struct fixture *f, int64_t *ret_id, struct error *error)
{
	struct store_member members[2] = { { .worker = TEXT("a") },
		{ .worker = TEXT("b"), .pattern = TEXT("success <x>") } };
	struct store_group group = { .rule = TEXT("rule#1"),
		.why = TEXT("line 1"),
		.opened_ns = 1,
		.give_up_ns = 2,
		.members = members,
		.members_count = 2 };

	return store_add_group(f->store, &group, ret_id, error);
}

static enum nc_err hold(struct fixture *f, int64_t group, struct error *error)
{
	struct store_held held = { .worker = TEXT("held"),
		.arguments = f->words,
		.host = TEXT("localhost"),
		.why = TEXT("because") };

	return store_hold(f->store, &held, &group, 1, 1, error);
}

static enum nc_err add_program(struct fixture *f, int64_t *ret_id, struct error *error)
{
	struct store_program program = { .argv = f->words,
		.time_limit_ms = 10000,
		.input = TEXT("{}"),
		.source = TEXT("sleep"),
		.type = TEXT("success"),
		.message = TEXT(ID_1),
		.place = TEXT("line 1"),
		.received_ns = 5 };

	return store_add_program(f->store, &program, ret_id, error);
}

static enum nc_err add_alarm(struct fixture *f, struct error *error)
{
	struct store_alarm alarm = {
		.at_ns = 1, .kind = TEXT("alarm"), .text = TEXT("x"), .message = TEXT(ID_1)
	};

	return store_add_alarm(f->store, &alarm, error);
}

static enum nc_err deed_message(struct fixture *f, struct error *error)
{
	struct store_message message = { .id = ID_2,
		.source = "s",
		.type = "t",
		.digest = "d",
		.bytes = "bytes",
		.len = 5,
		.reply = "ack",
		.reply_len = 3 };
	struct store_answer answer;
	enum nc_err err = store_add_message(f->store, &message, 10, error);

	if (err == NC_OK)
		err = store_find_message(f->store, ID_2, &answer, error);
	if (err == NC_OK)
		store_answer_finish(&answer);
	return err;
}

static enum nc_err deed_checklist(struct fixture *f, struct error *error)
{
	struct value *found = NULL;
	int64_t version;
	enum nc_err err = store_put_checklist(f->store, f->key, f->value, error);

	if (err == NC_OK)
		err = store_checklist(f->store, &found, error);
	value_destroy(found);
	if (err == NC_OK)
		err = store_put_checklist(f->store, f->key, NULL, error);
	if (err == NC_OK)
		err = store_clear_checklist(f->store, error);
	if (err == NC_OK)
		err = store_replace_checklist(f->store, f->checklist, error);
	return err == NC_OK ? store_checklist_version(f->store, &version, error) : err;
}

static bool look_at_launch(void *argument, const struct store_launch *launch)
{
	(void)argument;
	return launch->worker != NULL;
}

static enum nc_err deed_launches(struct fixture *f, struct error *error)
{
	struct store *store = f->store;
	struct store_launch launch;
	enum nc_err err = add_launch(store, f, ID_2, error);

	if (err == NC_OK)
		err = store_launch_runs(store, ID_2, STORE_RUNNING, 42, 1, 20, error);
	if (err == NC_OK)
		err = store_find_launch(store, ID_2, &launch, error);
	if (err == NC_OK)
		store_launch_finish(&launch);
	if (err == NC_OK)
		err = store_open_launches(store, look_at_launch, NULL, error);
	if (err == NC_OK)
		err = store_open_launches_of(store, "a", look_at_launch, NULL, error);
	if (err == NC_OK)
		err = store_waiting_launches(store, "a", look_at_launch, NULL, error);
	if (err == NC_OK)
		err = store_launch_ended(
			store, ID_2, STORE_ENDED, "crash", f->checklist, 30, error);
	return err == NC_OK ? store_failed_launches(store, 0, 10, look_at_launch, NULL, error)
			    : err;
}

static enum nc_err deed_group(struct fixture *f, struct error *error)
{
	struct store_group *groups = NULL;
	size_t count = 0;
	int64_t id = 0;
	enum nc_err err = add_group(f, &id, error);

	if (err == NC_OK)
		err = hold(f, id, error);
	if (err == NC_OK)
		err = store_member_ended(f->store, id, 1, "success 1", error);
	if (err == NC_OK)
		err = store_open_groups(f->store, &groups, &count, error);
	store_groups_free(groups, count);
	return err;
}

static bool look_at_held(void *argument, const struct store_held *held)
{
	(void)argument;
	return held->worker != NULL;
}

static enum nc_err deed_let_go(struct fixture *f, struct error *error)
{
	struct store_held *held = NULL;
	size_t count = 0;
	enum nc_err err = store_held_by(f->store, f->group, look_at_held, NULL, error);

	if (err == NC_OK)
		err = store_close_group(f->store, f->group, "released", 5, error);
	if (err == NC_OK)
		err = store_take_free_held(f->store, &held, &count, error);
	store_held_free(held, count);
	return err;
}

static enum nc_err deed_take_held(struct fixture *f, struct error *error)
{
	struct store_held *held = NULL;
	size_t count = 0;
	enum nc_err err = store_take_held_by(f->store, f->group, &held, &count, error);

	store_held_free(held, count);
	return err;
}

static bool look_at_alarm(void *argument, const struct store_alarm *alarm)
{
	(void)argument;
	return alarm->text != NULL;
}

static enum nc_err deed_alarms(struct fixture *f, struct error *error)
{
	enum nc_err err = add_alarm(f, error);

	return err == NC_OK ? store_alarms(f->store, 10, look_at_alarm, NULL, error) : err;
}

static enum nc_err deed_programs(struct fixture *f, struct error *error)
{
	struct store_program program;
	int64_t id = 0;
	size_t count;
	enum nc_err err = add_program(f, &id, error);

	if (err == NC_OK)
		err = store_next_program(f->store, 0, &program, error);
	if (err == NC_OK)
		store_program_finish(&program);
	if (err == NC_OK)
		err = store_find_program(f->store, id, &program, error);
	if (err == NC_OK)
		store_program_finish(&program);
	if (err == NC_OK)
		err = store_count_programs(f->store, ID_1, &count, error);
	return err == NC_OK ? store_remove_program(f->store, id, error) : err;
}

static enum nc_err deed_facts_and_slots(struct fixture *f, struct error *error)
{
	char *text = NULL;
	enum nc_err err = store_set_fact(f->store, "a", "1", error);

	if (err == NC_OK)
		err = store_mark(f->store, error);
	if (err == NC_OK)
		err = store_set_fact(f->store, "a", "2", error);
	if (err == NC_OK)
		err = store_back_to_mark(f->store, error);
	if (err == NC_OK)
		err = store_fact(f->store, "a", &text, error);
	free(text);
	return err == NC_OK ? store_add_slot(f->store, "noon", 5, error) : err;
}

/* What is there before each deed. */
static void fill(struct fixture *f)
{
	struct error error;
	int64_t id;

	assert_int_equal(store_put_checklist(f->store, f->value, f->key, &error), NC_OK);
	assert_int_equal(add_launch(f->store, f, ID_1, &error), NC_OK);
	assert_int_equal(add_launch(f->store, f, ID_3, &error), NC_OK);
	assert_int_equal(
		store_launch_ended(f->store, ID_3, STORE_LOST, "lost", f->checklist, 5, &error),
		NC_OK);
	assert_int_equal(add_group(f, &f->group, &error), NC_OK);
	assert_int_equal(hold(f, f->group, &error), NC_OK);
	assert_int_equal(hold(f, f->group, &error), NC_OK);
	assert_int_equal(add_alarm(f, &error), NC_OK);
	assert_int_equal(add_program(f, &id, &error), NC_OK);
}

static int begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	*state = f;
	(void)snprintf(f->directory, sizeof(f->directory), "/dev/shm/nowcast-store-XXXXXX");
	f->key = value_text("key");
	f->value = value_text("a value");
	f->words = read_value("[after, two words]");
	f->checklist = read_value("{a: 1, b: [x, {c: null}]}");
	if (mkdtemp(f->directory) == NULL || store_open(f->directory, &f->store, NULL) != NC_OK)
		return -1;
	(void)snprintf(f->copy, sizeof(f->copy), "%s/copy.db", f->directory);
	fill(f);
	return 0;
}

/* --- all of them --- */

/* There are thousands of allocations: all of the first ones, and then fewer and fewer. */
static unsigned next_after(unsigned nth)
{
	return nth + 1 + nth / 32;
}

/* All that is in the database, as one number: two that differ would hardly have the same. */
static uint64_t digest_of(struct store *store)
{
	uint64_t digest = UINT64_C(14695981039346656037);
	sqlite3_int64 len = 0;
	unsigned char *bytes = sqlite3_serialize(store->db, "main", &len, 0);

	assert_non_null(bytes);
	for (sqlite3_int64 i = 0; i < len; i++)
		digest = (digest ^ bytes[i]) * UINT64_C(1099511628211);
	sqlite3_free(bytes);
	return digest;
}

typedef enum nc_err deed_function(struct fixture *f, struct error *error);

static deed_function *const deeds[] = { deed_message, deed_checklist, deed_launches, deed_group,
	deed_let_go, deed_take_held, deed_alarms, deed_programs, deed_facts_and_slots };

static enum nc_err in_transaction(struct fixture *f, deed_function *deed, struct error *error)
{
	enum nc_err err = store_begin(f->store, error);

	if (err == NC_OK)
		err = deed(f, error);
	if (err == NC_OK)
		return store_commit(f->store, error);
	store_rollback(f->store);
	return err;
}

/* Statements are prepared when they are first used: a new store has the most calls. */
static void make_anew(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
	assert_int_equal(store_open(NULL, &f->store, NULL), NC_OK);
	fill(f);
}

static void open_anew(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
	assert_int_equal(store_open(f->directory, &f->store, NULL), NC_OK);
}

static void fail_at_each_call(
	struct fixture *f, deed_function *deed, int code, enum nc_err expected)
{
	struct error error = { 0 };
	uint64_t before;
	enum nc_err err;
	bool has_failed = true;

	make_anew(f);
	before = digest_of(f->store);
	for (unsigned nth = 1; has_failed; nth++) {
		make_anew(f);
		sqlite_fail_at(nth, code);
		err = in_transaction(f, deed, &error);
		has_failed = sqlite_has_failed();
		if (!has_failed)
			break;
		/* A text that cannot be had is memory that cannot be had. */
		assert_true(err == expected || err == NC_ERR_NOMEM);
		assert_false(store_is_open(f->store));
		assert_true(digest_of(f->store) == before);
	}
	assert_int_equal(err, NC_OK);
}

static void r20_a_call_that_fails_leaves_all_as_it_was(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(deeds); i++)
		fail_at_each_call(f, deeds[i], SQLITE_FULL, NC_ERR_SYSTEM);
}

static void r22_damage_is_told_as_damage_wherever_it_is_met(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(deeds); i++)
		fail_at_each_call(f, deeds[i], SQLITE_CORRUPT, NC_ERR_INVALID);
}

static void r20_memory_that_runs_out_leaves_all_as_it_was(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; FAILING_MALLOC && i < ARRAY_LEN(deeds); i++) {
		enum nc_err err = NC_ERR_NOMEM;
		struct error error = { 0 };
		bool has_failed = true;
		uint64_t before;

		make_anew(f);
		before = digest_of(f->store);
		for (unsigned nth = 1; has_failed; nth = next_after(nth)) {
			make_anew(f);
			memory_fail_at((long)nth);
			err = store_begin(f->store, &error);
			if (err == NC_OK)
				err = deeds[i](f, &error);
			has_failed = memory_has_failed();
			/* SQLite does without some of it. */
			assert_true(err == NC_OK || err == NC_ERR_NOMEM);
			store_rollback(f->store);
			assert_true(digest_of(f->store) == before);
		}
		assert_int_equal(err, NC_OK);
	}
}

static void r1_what_cannot_be_rolled_back_is_not_committed(void **state)
{
	struct fixture *f = *state;
	struct error error = { 0 };
	uint64_t before;

	make_anew(f);
	before = digest_of(f->store);
	assert_int_equal(store_begin(f->store, &error), NC_OK);
	assert_int_equal(deed_launches(f, &error), NC_OK);
	sqlite_fail_at(1, SQLITE_NOMEM);
	store_rollback(f->store);
	assert_true(sqlite_has_failed());
	/* It counts as over; what comes first only ends it. */
	assert_false(store_is_open(f->store));
	assert_int_equal(store_commit(f->store, &error), NC_ERR_NOMEM);
	assert_true(digest_of(f->store) == before);
	assert_int_equal(in_transaction(f, deed_launches, &error), NC_OK);
	assert_false(digest_of(f->store) == before);
}

/* --- what has its own transactions, or none --- */

static enum nc_err forget_old(struct fixture *f, struct error *error)
{
	const struct store_retention retention = {
		.messages_before_ns = 100, .launches_before_ns = 100, .most = 10
	};
	size_t rows;

	return store_forget_old(f->store, &retention, &rows, error);
}

static void r20_what_is_old_goes_together_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct error error = { 0 };
	enum nc_err err = NC_ERR_SYSTEM;
	bool has_failed = true;
	uint64_t before;

	make_anew(f);
	before = digest_of(f->store);
	for (unsigned nth = 1; has_failed; nth++) {
		make_anew(f);
		sqlite_fail_at(nth, SQLITE_IOERR);
		err = forget_old(f, &error);
		has_failed = sqlite_has_failed();
		assert_int_equal(err, has_failed ? NC_ERR_SYSTEM : NC_OK);
		assert_false(store_is_open(f->store));
		assert_true((digest_of(f->store) == before) == has_failed);
	}
}

static enum nc_err copy(struct fixture *f, struct error *error)
{
	struct store_copy *copy = NULL;
	bool done = false;
	enum nc_err err = store_copy_begin(f->store, f->copy, &copy, error);

	while (err == NC_OK && !done)
		err = store_copy_step(copy, 5, &done, error);
	store_copy_end(copy);
	return err == NC_OK ? store_check_file(f->copy, error) : err;
}

/* What fails: SQLite, memory, or the file system. */
enum fault {
	FAULT_SQLITE,
	FAULT_MEMORY,
	FAULT_CALL,
	FAULTS
};

static void fail_at(enum fault fault, unsigned nth)
{
	if (fault == FAULT_SQLITE)
		sqlite_fail_at(nth, SQLITE_IOERR);
	else if (fault == FAULT_MEMORY)
		memory_fail_at((long)nth);
	else
		calls_fail_at((long)nth, EIO);
}

static bool has_failed_of(enum fault fault)
{
	if (fault == FAULT_SQLITE)
		return sqlite_has_failed();
	return fault == FAULT_MEMORY ? FAILING_MALLOC && memory_has_failed() : calls_have_failed();
}

static void a_copy_that_fails_is_no_copy(void **state)
{
	struct fixture *f = *state;
	struct error error = { 0 };

	for (enum fault fault = FAULT_SQLITE; fault < FAULTS; fault++) {
		enum nc_err err = NC_ERR_SYSTEM;
		bool has_failed = true;

		for (unsigned nth = 1; has_failed;
			nth = fault == FAULT_MEMORY ? next_after(nth) : nth + 1) {
			(void)sys_unlink(f->copy);
			fail_at(fault, nth);
			err = copy(f, &error);
			has_failed = has_failed_of(fault);
			/* It is there and whole, or said not to be. */
			if (err == NC_OK)
				assert_int_equal(store_check_file(f->copy, &error), NC_OK);
			else
				assert_true(has_failed);
		}
		assert_int_equal(err, NC_OK);
	}
}

static void a_look_at_a_copy_without_memory_says_so(void **state)
{
	struct fixture *f = *state;
	struct error error = { 0 };
	enum nc_err err;

	assert_int_equal(copy(f, &error), NC_OK);
	for (long nth = 1; FAILING_MALLOC && nth < 40; nth++) {
		memory_fail_at(nth);
		err = store_check_file(f->copy, &error);
		assert_true(memory_has_failed());
		assert_true(err == NC_OK || err == NC_ERR_NOMEM);
		assert_true(nth > 1 || err == NC_ERR_NOMEM);
	}
	assert_int_equal(store_check_file(f->copy, &error), NC_OK);
}

static void r20_what_cannot_be_opened_now_can_be_later(void **state)
{
	struct fixture *f = *state;
	struct error error = { 0 };
	uint64_t before = digest_of(f->store);
	int descriptors = count_descriptors();

	for (enum fault fault = FAULT_SQLITE; fault < FAULTS; fault++) {
		bool has_failed = true;

		for (unsigned nth = 1; has_failed;
			nth = fault == FAULT_MEMORY ? next_after(nth) : nth + 1) {
			enum nc_err err;

			store_close(f->store);
			f->store = NULL;
			fail_at(fault, nth);
			err = store_open(f->directory, &f->store, &error);
			has_failed = has_failed_of(fault);
			assert_true(err == NC_OK || (has_failed && f->store == NULL));
			if (err != NC_OK && fault == FAULT_MEMORY)
				assert_true(memory_outstanding() <= 0);
			open_anew(f);
			assert_true(digest_of(f->store) == before);
			assert_int_equal(count_descriptors(), descriptors);
		}
	}
}

static void r20_what_cannot_be_opened_in_memory_is_not_there(void **state)
{
	struct error error = { 0 };

	(void)state;
	for (enum fault fault = FAULT_SQLITE; fault <= FAULT_MEMORY; fault++) {
		enum nc_err err = NC_ERR_SYSTEM;
		bool has_failed = true;

		for (unsigned nth = 1; has_failed;
			nth = fault == FAULT_MEMORY ? next_after(nth) : nth + 1) {
			struct store *store = NULL;

			fail_at(fault, nth);
			err = store_open(NULL, &store, &error);
			has_failed = has_failed_of(fault);
			assert_true((err == NC_OK) == (store != NULL));
			assert_true(err == NC_OK || has_failed);
			store_close(store);
		}
		assert_int_equal(err, NC_OK);
	}
}

/* The first time: tables and a name are made, by halves too. */
static void r22_what_was_made_by_halves_is_made_the_next_time(void **state)
{
	struct fixture *f = *state;
	struct error error = { 0 };

	for (enum fault fault = FAULT_SQLITE; fault < FAULTS; fault++) {
		bool has_failed = true;

		for (unsigned nth = 1; has_failed;
			nth = fault == FAULT_MEMORY ? next_after(nth) : nth + 1) {
			char *name = NULL;

			store_close(f->store);
			f->store = NULL;
			clear(f);
			fail_at(fault, nth);
			(void)store_open(f->directory, &f->store, &error);
			has_failed = has_failed_of(fault);
			open_anew(f);
			assert_int_equal(store_fact(f->store, "state", &name, &error), NC_OK);
			assert_non_null(name);
			free(name);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			r20_a_call_that_fails_leaves_all_as_it_was, begin, end),
		cmocka_unit_test_setup_teardown(
			r22_damage_is_told_as_damage_wherever_it_is_met, begin, end),
		cmocka_unit_test_setup_teardown(
			r20_memory_that_runs_out_leaves_all_as_it_was, begin, end),
		cmocka_unit_test_setup_teardown(
			r1_what_cannot_be_rolled_back_is_not_committed, begin, end),
		cmocka_unit_test_setup_teardown(
			r20_what_is_old_goes_together_or_not_at_all, begin, end),
		cmocka_unit_test_setup_teardown(a_copy_that_fails_is_no_copy, begin, end),
		cmocka_unit_test_setup_teardown(
			a_look_at_a_copy_without_memory_says_so, begin, end),
		cmocka_unit_test_setup_teardown(
			r20_what_cannot_be_opened_in_memory_is_not_there, begin, end),
		cmocka_unit_test_setup_teardown(
			r20_what_cannot_be_opened_now_can_be_later, begin, end),
		cmocka_unit_test_setup_teardown(
			r22_what_was_made_by_halves_is_made_the_next_time, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
