/* core/decide/store: what is committed is there, what is damaged is named */
#include <fcntl.h>
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
#include <sqlite3.h>

#include "core/data/yaml.h"
#include "core/decide/store.h"

#define ID_1 "019abc00-0000-7000-8000-000000000001"
#define ID_2 "019abc00-0000-7000-8000-000000000002"
#define ID_3 "019abc00-0000-7000-8000-000000000003"

struct fixture {
	char directory[64];
	struct store *store;
	struct error error;
};

static int begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	(void)snprintf(f->directory, sizeof(f->directory), "/tmp/nowcast-store-XXXXXX");
	return mkdtemp(f->directory) == NULL ||
	       store_open(f->directory, &f->store, &f->error) != NC_OK;
}

static void path_in(const struct fixture *f, const char *name, char path[200])
{
	(void)snprintf(path, 200, "%s/%s", f->directory, name);
}

static int end(void **state)
{
	static const char *const names[] = { "state.db", "state.db-wal", "state.db-shm", "state.id",
		"copy.db", "kept" };
	struct fixture *f = *state;
	char path[200];

	store_close(f->store);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		path_in(f, names[i], path);
		(void)unlink(path);
	}
	if (rmdir(f->directory) != 0)
		return -1;
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
	assert_int_equal(store_open(f->directory, &f->store, &f->error), NC_OK);
}

static struct value *read_value(const char *text)
{
	struct value *value = NULL;

	assert_int_equal(yaml_read(text, strlen(text), 0, &yaml_file_limits, &value, NULL), NC_OK);
	return value;
}

static void put(struct fixture *f, const char *key, const char *text)
{
	struct value *name = value_text(key), *value = read_value(text);

	assert_int_equal(store_put_checklist(f->store, name, value, &f->error), NC_OK);
	value_destroy(name);
	value_destroy(value);
}

static void check_checklist(struct fixture *f, const char *text)
{
	struct value *expected = read_value(text), *found = NULL;

	assert_int_equal(store_checklist(f->store, &found, &f->error), NC_OK);
	assert_true(value_equal(expected, found));
	value_destroy(expected);
	value_destroy(found);
}

/* --- transactions --- */

static void r1_what_is_committed_is_there_and_nothing_else(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(store_begin(f->store, &f->error), NC_OK);
	put(f, "a", "1");
	assert_int_equal(store_commit(f->store, &f->error), NC_OK);
	assert_int_equal(store_begin(f->store, &f->error), NC_OK);
	put(f, "b", "2");
	assert_true(store_is_open(f->store));
	store_rollback(f->store);
	assert_false(store_is_open(f->store));
	check_checklist(f, "{a: 1}");
	/* As by a kill: what was not committed is gone. */
	assert_int_equal(store_begin(f->store, &f->error), NC_OK);
	put(f, "c", "3");
	reopen(f);
	check_checklist(f, "{a: 1}");
}

static void one_message_of_several_is_undone_by_itself(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(store_begin(f->store, &f->error), NC_OK);
	assert_int_equal(store_mark(f->store, &f->error), NC_OK);
	put(f, "a", "1");
	assert_int_equal(store_forget_mark(f->store, &f->error), NC_OK);
	assert_int_equal(store_mark(f->store, &f->error), NC_OK);
	put(f, "b", "2");
	assert_int_equal(store_back_to_mark(f->store, &f->error), NC_OK);
	assert_int_equal(store_mark(f->store, &f->error), NC_OK);
	put(f, "c", "3");
	assert_int_equal(store_forget_mark(f->store, &f->error), NC_OK);
	assert_int_equal(store_commit(f->store, &f->error), NC_OK);
	check_checklist(f, "{a: 1, c: 3}");
}

/* --- the checklist --- */

static void the_checklist_keeps_kinds_keys_and_order(void **state)
{
	struct fixture *f = *state;
	struct value *checklist = read_value("{z: [1, '1', 1.5], 1: one, '1': text, d: 2026-11-24, "
					     "s: !!set {x, y}, n: null, e: {}}"),
		     *found = NULL;
	int64_t before, after;

	assert_int_equal(store_checklist_version(f->store, &before, &f->error), NC_OK);
	assert_int_equal(store_replace_checklist(f->store, checklist, &f->error), NC_OK);
	reopen(f);
	put(f, "z", "[2]"); /* stays in its place */
	assert_int_equal(store_checklist(f->store, &found, &f->error), NC_OK);
	assert_int_equal(value_count(found), 7);
	assert_string_equal(value_as_text(value_map_key_at(found, 0), ""), "z");
	assert_int_equal(value_as_int(value_at(value_map_value_at(found, 0), 0), 0), 2);
	assert_int_equal(value_kind(value_map_key_at(found, 1)), VALUE_INT);
	assert_int_equal(value_kind(value_map_get(found, "d")), VALUE_DATE);
	assert_int_equal(value_kind(value_map_get(found, "s")), VALUE_SET);
	assert_int_equal(store_checklist_version(f->store, &after, &f->error), NC_OK);
	assert_true(after >= before + 2);
	value_destroy(found);
	assert_int_equal(store_clear_checklist(f->store, &f->error), NC_OK);
	check_checklist(f, "{}");
	value_destroy(checklist);
}

/* --- messages and slots --- */

static void r2_a_message_is_known_with_its_reply(void **state)
{
	struct fixture *f = *state;
	struct store_message message = { .id = ID_1,
		.source = "sleep",
		.type = "success",
		.digest = "d",
		.bytes = "bytes",
		.len = 5,
		.reply = "reply",
		.reply_len = 5 };
	struct store_answer answer;

	assert_int_equal(store_find_message(f->store, ID_1, &answer, &f->error), NC_ERR_NOT_FOUND);
	assert_int_equal(store_add_message(f->store, &message, 7, &f->error), NC_OK);
	reopen(f);
	assert_int_equal(store_find_message(f->store, ID_1, &answer, &f->error), NC_OK);
	assert_string_equal(answer.digest, "d");
	assert_int_equal(answer.reply_len, 5);
	assert_string_equal(answer.reply, "reply");
	store_answer_finish(&answer);
}

static void r18_a_slot_is_added_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(store_add_slot(f->store, "s 1", 1, &f->error), NC_OK);
	reopen(f);
	assert_int_equal(store_add_slot(f->store, "s 1", 1, &f->error), NC_ERR_REFUSED);
	assert_int_equal(store_add_slot(f->store, "s 2", 1, &f->error), NC_OK);
}

/* --- launches --- */

static void add_launch(struct fixture *f, const char *id, const char *worker, int64_t wanted_ns)
{
	struct store_launch launch = { .worker = (char *)(uintptr_t)worker,
		.arguments = read_value("['--run-date', '2026-11-24', 'two words']"),
		.host = (char *)(uintptr_t) "localhost",
		.boot = (char *)(uintptr_t) "boot",
		.why = (char *)(uintptr_t) "because",
		.wanted_ns = wanted_ns,
		.attempt = 1 };

	(void)snprintf(launch.id, sizeof(launch.id), "%s", id);
	(void)snprintf(launch.token, sizeof(launch.token), "token");
	assert_int_equal(store_add_launch(f->store, &launch, &f->error), NC_OK);
	value_destroy(launch.arguments);
}

struct listed {
	char text[400];
};

static bool list_launch(void *argument, const struct store_launch *launch)
{
	struct listed *listed = argument;
	size_t len = strlen(listed->text);

	(void)snprintf(listed->text + len, sizeof(listed->text) - len, "%s %s;", launch->worker,
		launch->end != NULL ? launch->end : store_state_name(launch->state));
	return true;
}

static void r3_launches_are_kept_through_their_states(void **state)
{
	struct fixture *f = *state;
	struct store_launch launch;
	struct listed open = { "" }, failed = { "" };
	struct value *report = read_value("{reason: x}");

	add_launch(f, ID_1, "a", 10);
	add_launch(f, ID_2, "b", 11);
	add_launch(f, ID_3, "c", 12);
	assert_int_equal(
		store_launch_runs(f->store, ID_2, STORE_RUNNING, 42, 2, 20, &f->error), NC_OK);
	assert_int_equal(
		store_launch_ended(f->store, ID_1, STORE_ENDED, "success 06", NULL, 30, &f->error),
		NC_OK);
	assert_int_equal(
		store_launch_ended(f->store, ID_3, STORE_LOST, "lost", report, 31, &f->error),
		NC_OK);
	reopen(f);
	assert_int_equal(store_open_launches(f->store, list_launch, &open, &f->error), NC_OK);
	assert_string_equal(open.text, "b running;");
	assert_int_equal(
		store_failed_launches(f->store, 0, 10, list_launch, &failed, &f->error), NC_OK);
	assert_string_equal(failed.text, "c lost;");
	assert_int_equal(store_find_launch(f->store, ID_2, &launch, &f->error), NC_OK);
	assert_int_equal(launch.pid, 42);
	assert_int_equal(launch.attempt, 2);
	assert_string_equal(launch.token, "token");
	assert_string_equal(value_as_text(value_at(launch.arguments, 1), ""), "2026-11-24");
	assert_string_equal(value_as_text(value_at(launch.arguments, 2), ""), "two words");
	store_launch_finish(&launch);
	/* What has ended stays as it ended. */
	assert_int_equal(
		store_launch_ended(f->store, ID_1, STORE_LOST, "lost", NULL, 40, &f->error), NC_OK);
	assert_int_equal(store_find_launch(f->store, ID_1, &launch, &f->error), NC_OK);
	assert_string_equal(launch.end, "success 06");
	store_launch_finish(&launch);
	assert_int_equal(store_find_launch(f->store, "none", &launch, &f->error), NC_ERR_NOT_FOUND);
	value_destroy(report);
}

/* --- groups --- */

static int64_t add_group(struct fixture *f, const char *rule)
{
	struct store_member members[] = {
		{ .worker = (char *)(uintptr_t) "a" },
		{ .worker = (char *)(uintptr_t) "b", .pattern = (char *)(uintptr_t) "success <x>" },
	};
	struct store_group group = { .rule = (char *)(uintptr_t)rule,
		.opened_ns = 1,
		.give_up_ns = 99,
		.drop_if_one_fails = true,
		.members = members,
		.members_count = ARRAY_LEN(members) };
	int64_t id = 0;

	assert_int_equal(store_add_group(f->store, &group, &id, &f->error), NC_OK);
	return id;
}

static void hold(struct fixture *f, const char *worker, const int64_t *groups, size_t count)
{
	struct store_held held = { .worker = (char *)(uintptr_t)worker,
		.arguments = value_list(),
		.host = (char *)(uintptr_t) "localhost" };

	assert_int_equal(store_hold(f->store, &held, groups, count, 1, &f->error), NC_OK);
	value_destroy(held.arguments);
}

static void groups_survive_and_launches_wait_for_the_last_of_them(void **state)
{
	struct fixture *f = *state;
	int64_t ids[2] = { add_group(f, "r#1"), add_group(f, "s#2") };
	struct store_group *groups = NULL;
	struct store_held *held = NULL;
	size_t count = 0;

	hold(f, "both", ids, 2);
	hold(f, "first", ids, 1);
	assert_int_equal(store_member_ended(f->store, ids[0], 1, "success 1", &f->error), NC_OK);
	reopen(f);
	assert_int_equal(store_open_groups(f->store, &groups, &count, &f->error), NC_OK);
	assert_int_equal(count, 2);
	assert_string_equal(groups[0].rule, "r#1");
	assert_true(groups[0].drop_if_one_fails && !groups[0].release_when_given_up);
	assert_false(groups[0].members[0].ended);
	assert_true(groups[0].members[1].ended);
	assert_string_equal(groups[0].members[1].end, "success 1");
	assert_string_equal(groups[1].members[1].pattern, "success <x>");
	store_groups_free(groups, count);
	assert_int_equal(store_take_free_held(f->store, &held, &count, &f->error), NC_OK);
	assert_int_equal(count, 0);
	store_held_free(held, count);
	assert_int_equal(store_close_group(f->store, ids[0], "released", 5, &f->error), NC_OK);
	assert_int_equal(store_take_free_held(f->store, &held, &count, &f->error), NC_OK);
	assert_int_equal(count, 1);
	assert_string_equal(held[0].worker, "first");
	store_held_free(held, count);
	assert_int_equal(store_take_held_by(f->store, ids[1], &held, &count, &f->error), NC_OK);
	assert_int_equal(count, 1);
	assert_string_equal(held[0].worker, "both");
	store_held_free(held, count);
}

/* --- alarms and programs --- */

static bool list_alarm(void *argument, const struct store_alarm *alarm)
{
	struct listed *listed = argument;
	size_t len = strlen(listed->text);

	(void)snprintf(listed->text + len, sizeof(listed->text) - len, "%s: %s;", alarm->kind,
		alarm->text);
	return true;
}

static void alarms_are_kept_newest_first(void **state)
{
	struct fixture *f = *state;
	struct store_alarm one = {
		.at_ns = 1, .kind = (char *)(uintptr_t) "alarm", .text = (char *)(uintptr_t) "x"
	};
	struct store_alarm two = { .at_ns = 2,
		.kind = (char *)(uintptr_t) "rule error",
		.text = (char *)(uintptr_t) "y",
		.message = (char *)(uintptr_t)ID_1 };
	struct listed listed = { "" };

	assert_int_equal(store_add_alarm(f->store, &one, &f->error), NC_OK);
	assert_int_equal(store_add_alarm(f->store, &two, &f->error), NC_OK);
	reopen(f);
	assert_int_equal(store_alarms(f->store, 10, list_alarm, &listed, &f->error), NC_OK);
	assert_string_equal(listed.text, "rule error: y;alarm: x;");
}

static void programs_are_kept_until_they_have_decided(void **state)
{
	struct fixture *f = *state;
	struct store_program program = { .argv = read_value("[./after.py, x y]"),
		.time_limit_ms = 10000,
		.input = (char *)(uintptr_t) "{}",
		.source = (char *)(uintptr_t) "sleep",
		.type = (char *)(uintptr_t) "success",
		.message = (char *)(uintptr_t)ID_1,
		.place = (char *)(uintptr_t) "line 1",
		.received_ns = 5 };
	struct store_program found;
	int64_t id;
	size_t count;

	assert_int_equal(store_add_program(f->store, &program, &id, &f->error), NC_OK);
	value_destroy(program.argv);
	reopen(f);
	assert_int_equal(store_next_program(f->store, 0, &found, &f->error), NC_OK);
	assert_int_equal(found.id, id);
	assert_string_equal(value_as_text(value_at(found.argv, 1), ""), "x y");
	assert_string_equal(found.place, "line 1");
	store_program_finish(&found);
	assert_int_equal(store_next_program(f->store, id, &found, &f->error), NC_ERR_NOT_FOUND);
	assert_int_equal(store_count_programs(f->store, ID_1, &count, &f->error), NC_OK);
	assert_int_equal(count, 1);
	assert_int_equal(store_remove_program(f->store, id, &f->error), NC_OK);
	assert_int_equal(store_find_program(f->store, id, &found, &f->error), NC_ERR_NOT_FOUND);
}

/* --- keeping it small --- */

static void what_is_old_goes_in_bounded_steps(void **state)
{
	struct store_retention retention = {
		.messages_before_ns = 100, .launches_before_ns = 100, .most = 2
	};
	struct fixture *f = *state;
	struct store_answer answer;
	struct store_launch launch;
	struct listed open = { "" };
	size_t rows;

	for (int i = 0; i < 5; i++) {
		char id[ID_TEXT_SIZE];
		struct store_message message = { .id = id,
			.source = "s",
			.type = "t",
			.digest = "d",
			.bytes = "",
			.reply = "" };

		(void)snprintf(id, sizeof(id), "019abc00-0000-7000-8000-%012d", i);
		assert_int_equal(
			store_add_message(f->store, &message, i < 4 ? 50 : 150, &f->error), NC_OK);
	}
	add_launch(f, ID_1, "old", 10);
	add_launch(f, ID_2, "open", 10);
	assert_int_equal(
		store_launch_ended(f->store, ID_1, STORE_ENDED, "success", NULL, 50, &f->error),
		NC_OK);
	assert_int_equal(store_forget_old(f->store, &retention, &rows, &f->error), NC_OK);
	assert_int_equal(rows, 3); /* two messages, one launch */
	assert_int_equal(store_forget_old(f->store, &retention, &rows, &f->error), NC_OK);
	assert_int_equal(rows, 2);
	assert_int_equal(store_forget_old(f->store, &retention, &rows, &f->error), NC_OK);
	assert_int_equal(rows, 0);
	assert_int_equal(store_find_message(f->store, "019abc00-0000-7000-8000-000000000004",
				 &answer, &f->error),
		NC_OK);
	store_answer_finish(&answer);
	assert_int_equal(store_find_launch(f->store, ID_1, &launch, &f->error), NC_ERR_NOT_FOUND);
	/* One that has not ended is never too old. */
	assert_int_equal(store_open_launches(f->store, list_launch, &open, &f->error), NC_OK);
	assert_string_equal(open.text, "open wanted;");
}

/* --- damage --- */

static void spoil(const struct fixture *f, const char *name, off_t offset, const char *bytes)
{
	char path[200];
	int fd;

	path_in(f, name, path);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, strlen(bytes), offset), (ssize_t)strlen(bytes));
	close(fd);
}

static void check_damaged(struct fixture *f, const char *words)
{
	store_close(f->store);
	f->store = NULL;
	f->error.text[0] = '\0';
	assert_int_equal(store_open(f->directory, &f->store, &f->error), NC_ERR_INVALID);
	assert_non_null(strstr(f->error.text, words));
}

static void r22_a_file_that_is_no_database_is_named(void **state)
{
	struct fixture *f = *state;
	char path[200];
	struct stat before, after;

	store_close(f->store);
	f->store = NULL;
	path_in(f, "state.db", path);
	spoil(f, "state.db", 0, "this was a database once");
	assert_int_equal(stat(path, &before), 0);
	check_damaged(f, "is damaged");
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
}

static void r22_a_page_that_is_damaged_is_found_at_the_start(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 200; i++) {
		char id[ID_TEXT_SIZE];

		(void)snprintf(id, sizeof(id), "019abc00-0000-7000-8000-%012d", i);
		add_launch(f, id, "worker", 1);
	}
	/* Closing moves all of it into the file. */
	store_close(f->store);
	f->store = NULL;
	for (off_t page = 1; page < 12; page++)
		spoil(f, "state.db", page * 4096,
			"\377\377\377\377\377\377\377\377\377\377\377\377");
	check_damaged(f, "is damaged");
}

static void r22_a_database_that_is_missing_is_not_made_anew(void **state)
{
	struct fixture *f = *state;
	char path[200], kept[200];

	store_close(f->store);
	f->store = NULL;
	path_in(f, "state.db", path);
	path_in(f, "kept", kept);
	assert_int_equal(rename(path, kept), 0);
	check_damaged(f, "it is missing");
	assert_int_equal(access(path, F_OK), -1);
	/* An empty file is no beginning either. */
	close(open(path, O_WRONLY | O_CREAT, 0600));
	check_damaged(f, "the database is empty");
	assert_int_equal(rename(kept, path), 0);
	assert_int_equal(store_open(f->directory, &f->store, &f->error), NC_OK);
}

static void r22_the_database_of_another_directory_is_not_taken(void **state)
{
	struct fixture *f = *state;

	spoil(f, "state.id", 0, ID_3);
	check_damaged(f, "another state directory");
}

static void a_database_of_a_newer_version_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[200];
	sqlite3 *db;

	store_close(f->store);
	f->store = NULL;
	path_in(f, "state.db", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(store_open(f->directory, &f->store, &f->error), NC_ERR_REFUSED);
	assert_non_null(strstr(f->error.text, "newer nowcast"));
}

static void nobody_else_can_open_it(void **state)
{
	struct fixture *f = *state;
	struct store *second = NULL;

	put(f, "a", "1");
	assert_int_equal(store_open(f->directory, &second, &f->error), NC_ERR_REFUSED);
	assert_non_null(strstr(f->error.text, "held by another process"));
}

static void s2_only_its_owner_can_read_it(void **state)
{
	static const char *const names[] = { "state.db", "state.db-wal", "state.id" };
	struct fixture *f = *state;
	char path[200];
	struct stat status;

	put(f, "a", "1");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		path_in(f, names[i], path);
		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(status.st_mode & 0777, 0600);
	}
}

/* --- copies --- */

static void a_copy_is_whole_while_the_original_changes(void **state)
{
	struct fixture *f = *state;
	struct store_copy *copy = NULL;
	char path[200];
	bool done = false;
	int steps = 0;

	path_in(f, "copy.db", path);
	for (int i = 0; i < 300; i++) {
		char key[32];

		(void)snprintf(key, sizeof(key), "key %d", i);
		put(f, key, "a text that is long enough to fill some pages of the database file");
	}
	assert_int_equal(store_copy_begin(f->store, path, &copy, &f->error), NC_OK);
	while (!done) {
		put(f, "changing", steps % 2 == 0 ? "even" : "odd");
		assert_int_equal(store_copy_step(copy, 3, &done, &f->error), NC_OK);
		steps++;
	}
	store_copy_end(copy);
	assert_true(steps > 3);
	assert_int_equal(store_check_file(path, &f->error), NC_OK);
	/* Never over a file that is there. */
	assert_int_equal(store_copy_begin(f->store, path, &copy, &f->error), NC_ERR_SYSTEM);
	spoil(f, "copy.db", 4096, "\377\377\377\377\377\377\377\377\377\377\377\377");
	assert_int_equal(store_check_file(path, &f->error), NC_ERR_INVALID);
}

static void a_copy_that_is_given_up_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct store_copy *copy = NULL;
	char path[200];
	bool done;

	path_in(f, "copy.db", path);
	put(f, "a", "1");
	assert_int_equal(store_copy_begin(f->store, path, &copy, &f->error), NC_OK);
	assert_int_equal(store_copy_step(copy, 1, &done, &f->error), NC_OK);
	store_copy_end(copy);
	assert_int_equal(access(path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r1_what_is_committed_is_there_and_nothing_else),
		TEST(one_message_of_several_is_undone_by_itself),
		TEST(the_checklist_keeps_kinds_keys_and_order),
		TEST(r2_a_message_is_known_with_its_reply),
		TEST(r18_a_slot_is_added_once),
		TEST(r3_launches_are_kept_through_their_states),
		TEST(groups_survive_and_launches_wait_for_the_last_of_them),
		TEST(alarms_are_kept_newest_first),
		TEST(programs_are_kept_until_they_have_decided),
		TEST(what_is_old_goes_in_bounded_steps),
		TEST(r22_a_file_that_is_no_database_is_named),
		TEST(r22_a_page_that_is_damaged_is_found_at_the_start),
		TEST(r22_a_database_that_is_missing_is_not_made_anew),
		TEST(r22_the_database_of_another_directory_is_not_taken),
		TEST(a_database_of_a_newer_version_is_refused),
		TEST(nobody_else_can_open_it),
		TEST(s2_only_its_owner_can_read_it),
		TEST(a_copy_is_whole_while_the_original_changes),
		TEST(a_copy_that_is_given_up_leaves_nothing),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
