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
#include "store_deeds.h"

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
