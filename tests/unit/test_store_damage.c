/* core/decide/store: rows, files and answers of SQLite that cannot be right are named, and do no more harm */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/data/yaml.h"
#include "core/decide/store_internal.h"
#include "core/system/sys.h"
#include "failing_sqlite.h"

#define ID         "019abc00-0000-7000-8000-000000000001"
#define TEXT(text) ((char *)(uintptr_t)(text))

struct fixture {
	char directory[64];
	struct store *store; /* in memory */
	struct error error;
};

static void add_launch(struct fixture *f)
{
	struct store_launch launch = { .worker = TEXT("a"),
		.arguments = value_list(),
		.host = TEXT("localhost"),
		.boot = TEXT("boot"),
		.wanted_ns = 10,
		.attempt = 1 };

	(void)snprintf(launch.id, sizeof(launch.id), ID);
	(void)snprintf(launch.token, sizeof(launch.token), "token");
	assert_int_equal(store_add_launch(f->store, &launch, &f->error), NC_OK);
	value_destroy(launch.arguments);
}

static int begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	*state = f;
	(void)snprintf(f->directory, sizeof(f->directory), "/dev/shm/nowcast-store-XXXXXX");
	if (mkdtemp(f->directory) == NULL || store_open(NULL, &f->store, NULL) != NC_OK)
		return -1;
	add_launch(f);
	return 0;
}

static void path_in(const struct fixture *f, const char *name, char path[200])
{
	(void)snprintf(path, 200, "%s/%s", f->directory, name);
}

static int end(void **state)
{
	static const char *const names[] = { "state.db", "state.db-wal", "state.db-shm", "state.id",
		"other.db" };
	struct fixture *f = *state;
	char path[200];

	store_close(f->store);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		path_in(f, names[i], path);
		(void)sys_unlink(path);
	}
	if (rmdir(f->directory) != 0)
		return -1;
	free(f);
	return 0;
}

static void run(sqlite3 *db, const char *sql)
{
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* --- rows --- */

static bool count_launch(void *argument, const struct store_launch *launch)
{
	size_t *count = argument;

	(void)launch;
	(*count)++;
	return true;
}

static void r22_a_launch_that_is_none_is_damage(void **state)
{
	static const struct {
		const char *spoil, *words;
	} cases[] = {
		{ "UPDATE launches SET state = 99", "a launch that is none" },
		{ "UPDATE launches SET state = -1", "a launch that is none" },
		{ "UPDATE launches SET arguments = '{}'", "a launch that is none" },
		{ "UPDATE launches SET arguments = '[a'", "damaged" },
		{ "UPDATE launches SET token = printf('%.200c', 'x')", "an id that is too long" },
		{ "UPDATE launches SET id = printf('%.200c', 'x')", "an id that is too long" },
	};
	struct fixture *f = *state;
	struct store_launch launch;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t count = 0;

		run(f->store->db, "DELETE FROM launches");
		add_launch(f);
		run(f->store->db, cases[i].spoil);
		assert_int_equal(store_open_launches(f->store, count_launch, &count, &f->error),
			NC_ERR_INVALID);
		assert_non_null(strstr(f->error.text, cases[i].words));
		assert_int_equal(count, 0);
		/* Also when nobody wants the words. */
		if (strstr(cases[i].spoil, "SET id") == NULL)
			assert_int_equal(
				store_find_launch(f->store, ID, &launch, NULL), NC_ERR_INVALID);
	}
}

static void what_is_not_there_is_not_found(void **state)
{
	struct fixture *f = *state;
	struct store_launch launch;
	struct store_answer answer;
	struct store_program program;

	assert_int_equal(store_find_launch(f->store, NULL, &launch, &f->error), NC_ERR_NOT_FOUND);
	assert_non_null(strstr(f->error.text, "without id"));
	assert_int_equal(store_find_launch(f->store, "x", &launch, NULL), NC_ERR_NOT_FOUND);
	assert_int_equal(store_find_message(f->store, "x", &answer, NULL), NC_ERR_NOT_FOUND);
	assert_int_equal(store_find_program(f->store, 7, &program, NULL), NC_ERR_NOT_FOUND);
}

static void a_message_is_kept_with_an_empty_reply_and_without_one(void **state)
{
	struct fixture *f = *state;
	struct store_message message = {
		.id = ID, .source = "s", .type = "t", .digest = "d", .bytes = "b", .len = 1
	};
	struct store_answer answer;

	assert_int_equal(store_add_message(f->store, &message, 10, &f->error), NC_OK);
	assert_int_equal(store_find_message(f->store, ID, &answer, &f->error), NC_OK);
	assert_null(answer.reply);
	assert_string_equal(answer.digest, "d");
	store_answer_finish(&answer);
	message.id = "019abc00-0000-7000-8000-000000000002";
	message.reply = "";
	assert_int_equal(store_add_message(f->store, &message, 10, &f->error), NC_OK);
	assert_int_equal(store_find_message(f->store, message.id, &answer, &f->error), NC_OK);
	assert_string_equal(answer.reply, "");
	assert_int_equal(answer.reply_len, 0);
	store_answer_finish(&answer);
}

static void what_did_not_succeed_is_listed(void **state)
{
	static const struct {
		enum store_state state;
		const char *end;
		bool listed;
	} cases[] = {
		{ STORE_ENDED, "success", false },
		{ STORE_ENDED, "success 06", false },
		{ STORE_ENDED, "skipped", false },
		{ STORE_ENDED, "failure", true },
		{ STORE_ENDED, NULL, true },
		{ STORE_LOST, "success", true },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t count = 0;

		run(f->store->db, "DELETE FROM launches");
		add_launch(f);
		assert_int_equal(store_launch_ended(f->store, ID, cases[i].state, cases[i].end,
					 NULL, 20, &f->error),
			NC_OK);
		assert_int_equal(
			store_failed_launches(f->store, 0, 10, count_launch, &count, &f->error),
			NC_OK);
		assert_int_equal(count, cases[i].listed ? 1 : 0);
	}
}

/* --- what SQLite says --- */

static void a_sync_that_failed_ends_the_process(void **state)
{
	static const struct {
		int code;
		enum nc_err err;
		bool must_end;
	} cases[] = {
		{ SQLITE_FULL, NC_ERR_SYSTEM, false },
		{ SQLITE_IOERR_WRITE, NC_ERR_SYSTEM, false },
		{ SQLITE_BUSY, NC_ERR_REFUSED, false },
		{ SQLITE_LOCKED, NC_ERR_REFUSED, false },
		{ SQLITE_NOTADB, NC_ERR_INVALID, false },
		{ SQLITE_NOMEM, NC_ERR_NOMEM, false },
		{ SQLITE_IOERR_DIR_FSYNC, NC_ERR_SYSTEM, true },
		{ SQLITE_IOERR_FSYNC, NC_ERR_SYSTEM, true },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		f->store->must_end = false;
		assert_int_equal(store_begin(f->store, &f->error), NC_OK);
		sqlite_fail_at(1, cases[i].code);
		assert_int_equal(store_set_fact(f->store, "a", "1", i % 2 == 0 ? &f->error : NULL),
			cases[i].err);
		assert_true(sqlite_has_failed());
		assert_int_equal(store_must_end(f->store), cases[i].must_end);
		store_rollback(f->store);
	}
}

/* --- files --- */

static void make_other(struct fixture *f, const char *sql, char path[200])
{
	sqlite3 *db = NULL;

	path_in(f, "other.db", path);
	(void)sys_unlink(path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	run(db, sql);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void r22_a_file_that_is_no_state_is_no_copy(void **state)
{
	static const struct {
		const char *sql, *words;
	} cases[] = {
		{ "CREATE TABLE other (x)", "no state of nowcast's" },
		{ "CREATE TABLE facts (name TEXT PRIMARY KEY, text TEXT)", "it has no name" },
		{ "CREATE TABLE facts (name TEXT PRIMARY KEY, text TEXT);"
		  "INSERT INTO facts VALUES ('state', 'no id')",
			"it has no name" },
	};
	struct fixture *f = *state;
	char path[200];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		make_other(f, cases[i].sql, path);
		assert_int_equal(store_check_file(path, &f->error), NC_ERR_INVALID);
		assert_non_null(strstr(f->error.text, cases[i].words));
	}
	(void)sys_unlink(path);
	assert_int_equal(store_check_file(path, &f->error), NC_ERR_SYSTEM);
}

/* A reader may hold the pages for a moment. */
static void a_copy_waits_while_the_database_is_busy(void **state)
{
	struct fixture *f = *state;
	struct store_copy *copy = NULL;
	char path[200];
	bool done = true;

	path_in(f, "other.db", path);
	assert_int_equal(store_copy_begin(f->store, path, &copy, &f->error), NC_OK);
	sqlite_fail_at(1, SQLITE_BUSY);
	assert_int_equal(store_copy_step(copy, 1000, &done, &f->error), NC_OK);
	assert_false(done);
	sqlite_fail_at(1, SQLITE_LOCKED);
	assert_int_equal(store_copy_step(copy, 1000, &done, &f->error), NC_OK);
	assert_false(done);
	(void)sqlite_has_failed();
	assert_int_equal(store_copy_step(copy, 1000, &done, &f->error), NC_OK);
	assert_true(done);
	store_copy_end(copy);
}

static void a_copy_that_was_removed_meanwhile_is_no_copy(void **state)
{
	struct fixture *f = *state;
	struct store_copy *copy = NULL;
	char path[200];
	bool done = true;

	path_in(f, "other.db", path);
	assert_int_equal(store_copy_begin(f->store, path, &copy, &f->error), NC_OK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_copy_step(copy, 1000, &done, &f->error), NC_ERR_SYSTEM);
	assert_false(done);
	store_copy_end(copy);
	/* One that is there already is not touched. */
	assert_int_equal(symlink("nowhere", path), 0);
	assert_int_equal(store_copy_begin(f->store, path, &copy, &f->error), NC_ERR_SYSTEM);
}

static void open_fails(struct fixture *f, enum nc_err err, const char *words)
{
	struct store *store = NULL;

	assert_int_equal(store_open(f->directory, &store, &f->error), err);
	assert_null(store);
	if (strstr(f->error.text, words) == NULL)
		fail_msg("%s is not in: %s", words, f->error.text);
}

static void r22_a_state_whose_files_are_strange_is_not_opened(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;
	char db[200], name[200];

	path_in(f, "state.db", db);
	path_in(f, "state.id", name);
	/* The name is a directory. */
	assert_int_equal(mkdir(name, 0700), 0);
	open_fails(f, NC_ERR_INVALID, "state.id");
	assert_int_equal(rmdir(name), 0);
	assert_int_equal(store_open(f->directory, &store, &f->error), NC_OK);
	run(store->db, "PRAGMA user_version = -1");
	store_close(store);
	open_fails(f, NC_ERR_INVALID, "its version is no number of ours");
	/* With a name, and a database that leads nowhere. */
	assert_int_equal(unlink(db), 0);
	assert_int_equal(symlink("state.db", db), 0);
	open_fails(f, NC_ERR_SYSTEM, "state.db");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(r22_a_launch_that_is_none_is_damage),
		TEST(what_is_not_there_is_not_found),
		TEST(a_message_is_kept_with_an_empty_reply_and_without_one),
		TEST(what_did_not_succeed_is_listed),
		TEST(a_sync_that_failed_ends_the_process),
		TEST(r22_a_file_that_is_no_state_is_no_copy),
		TEST(a_copy_waits_while_the_database_is_busy),
		TEST(a_copy_that_was_removed_meanwhile_is_no_copy),
		TEST(r22_a_state_whose_files_are_strange_is_not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
