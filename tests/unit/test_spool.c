/* core/work/spool */
#include <dirent.h>
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/system/door.h"
#include "core/system/file.h"
#include "core/work/spool.h"
#include "failing_malloc.h"
#include "failing_sys.h"

static char directory[64], id[ID_TEXT_SIZE], path[200];

static int begin(void **state)
{
	(void)snprintf(directory, sizeof(directory), "/tmp/nowcast-spool-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(id_make(id, NULL), NC_OK);
	(void)snprintf(path, sizeof(path), "%s/spool/%s", directory, id);
	return 0;
}

/* Fails when something was left. */
static int end(void **state)
{
	char folder[100];

	assert_int_equal(spool_remove(directory, id, NULL), NC_OK);
	(void)snprintf(folder, sizeof(folder), "%s/spool", directory);
	(void)rmdir(folder);
	assert_int_equal(rmdir(directory), 0);
	return 0;
}

static bool spool_has(const char *text)
{
	struct buffer bytes;
	bool same;

	buffer_init(&bytes);
	assert_int_equal(spool_read(directory, id, &bytes, NULL), NC_OK);
	same = strcmp(bytes.data, text) == 0;
	buffer_finish(&bytes);
	return same;
}

static void r6_a_message_is_kept_until_it_is_removed(void **state)
{
	struct buffer bytes;

	buffer_init(&bytes);
	assert_int_equal(spool_read(directory, id, &bytes, NULL), NC_ERR_NOT_FOUND);
	assert_int_equal(spool_write(directory, id, "{a: 1}\n", 7, NULL), NC_OK);
	assert_true(spool_has("{a: 1}\n"));
	assert_int_equal(spool_write(directory, id, "{b: 2}\n", 7, NULL), NC_OK);
	assert_true(spool_has("{b: 2}\n"));
	assert_int_equal(spool_remove(directory, id, NULL), NC_OK);
	assert_int_equal(spool_read(directory, id, &bytes, NULL), NC_ERR_NOT_FOUND);
	assert_int_equal(spool_remove(directory, id, NULL), NC_OK);
	buffer_finish(&bytes);
}

static void r6_the_oldest_launch_comes_first_and_other_files_are_passed_over(void **state)
{
	static const char *const ids[] = { "01a20eee-d6c7-729d-bbad-58403315bdaa",
		"01a20eef-0000-729d-bbad-58403315bdaa", "01a20eef-0001-729d-bbad-58403315bdaa",
		"01a20ef0-0001-729d-bbad-58403315bdaa" };
	static const int order[] = { 2, 0, 3, 1 };
	struct spool_list list = { 0 };
	char half[220];

	assert_int_equal(spool_list(directory, &list, NULL), NC_OK);
	assert_int_equal(list.count, 0);
	assert_null(list.ids);
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		assert_int_equal(spool_write(directory, ids[order[i]], "x", 1, NULL), NC_OK);
	/* What a runner that was killed left half written. */
	(void)snprintf(half, sizeof(half), "%s.new", path);
	assert_int_equal(file_replace_unsynced(half, "h", 1, 0600, NULL), NC_OK);
	assert_int_equal(spool_list(directory, &list, NULL), NC_OK);
	assert_int_equal(list.count, ARRAY_LEN(ids));
	for (size_t i = 0; i < list.count; i++) {
		assert_string_equal(list.ids[i], ids[i]);
		assert_int_equal(spool_remove(directory, list.ids[i], NULL), NC_OK);
	}
	free(list.ids);
}

static void a_spool_that_cannot_be_read_is_no_empty_one(void **state)
{
	struct spool_list list = { 0 };
	struct error error;
	char folder[100];

	(void)snprintf(folder, sizeof(folder), "%s/spool", directory);
	assert_int_equal(file_replace_unsynced(folder, "", 0, 0600, NULL), NC_OK);
	assert_int_equal(spool_list(directory, &list, &error), NC_ERR_SYSTEM);
	assert_int_equal(spool_write(directory, id, "x", 1, &error), NC_ERR_SYSTEM);
	assert_int_equal(error.sys_errno, ENOTDIR);
	assert_int_equal(unlink(folder), 0);
}

/* What reading a directory gives instead of a name; 0: it goes well. */
static int read_errno;

struct dirent *readdir(DIR *stream)
{
	struct dirent *(*next)(DIR * stream);
	void *symbol = dlsym(RTLD_NEXT, "readdir");

	if (read_errno != 0) {
		errno = read_errno;
		return NULL;
	}
	assert_non_null(symbol);
	memcpy(&next, &symbol, sizeof(next));
	return next(stream);
}

static void r6_a_spool_that_is_read_by_half_is_said_to_be(void **state)
{
	struct spool_list list = { 0 };
	struct error error = { 0 };
	int descriptors = count_descriptors();

	assert_int_equal(spool_write(directory, id, "x", 1, NULL), NC_OK);
	read_errno = EIO;
	assert_int_equal(spool_list(directory, &list, &error), NC_ERR_SYSTEM);
	read_errno = 0;
	assert_int_equal(error.sys_errno, EIO);
	assert_null(list.ids);
	assert_int_equal(count_descriptors(), descriptors);
	assert_int_equal(spool_list(directory, &list, &error), NC_OK);
	assert_int_equal(list.count, 1);
	assert_string_equal(list.ids[0], id);
	free(list.ids);
}

static void r21_without_memory_there_is_no_half_list(void **state)
{
	static const char *const ids[] = { "01a20eee-d6c7-729d-bbad-58403315bdaa",
		"01a20eef-0000-729d-bbad-58403315bdaa", "01a20eef-0001-729d-bbad-58403315bdaa" };
	bool failed = FAILING_MALLOC;
	long refusals = 0;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		assert_int_equal(spool_write(directory, ids[i], "x", 1, NULL), NC_OK);
	for (long nth = 1; failed; nth++) {
		struct spool_list list = { 0 };
		struct error error = { 0 };
		enum nc_err err;

		memory_fail_at(nth);
		err = spool_list(directory, &list, &error);
		failed = memory_has_failed();
		if (failed) {
			refusals++;
			/* The directory's own memory is the system's. */
			assert_true(err == NC_ERR_NOMEM ||
				    (err == NC_ERR_SYSTEM && error.sys_errno == ENOMEM));
			assert_null(list.ids);
		} else {
			assert_int_equal(err, NC_OK);
			assert_int_equal(list.count, ARRAY_LEN(ids));
		}
		free(list.ids);
		assert_int_equal(memory_outstanding(), 0);
	}
	assert_true(refusals >= 4 || !FAILING_MALLOC);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		assert_int_equal(spool_remove(directory, ids[i], NULL), NC_OK);
}

static void r13_what_is_larger_than_a_message_is_not_read(void **state)
{
	char *large = calloc(1, DOOR_FRAME_MOST + 1);
	struct buffer bytes;

	assert_non_null(large);
	buffer_init(&bytes);
	assert_int_equal(spool_write(directory, id, large, DOOR_FRAME_MOST, NULL), NC_OK);
	assert_int_equal(spool_read(directory, id, &bytes, NULL), NC_OK);
	assert_int_equal(bytes.len, DOOR_FRAME_MOST);
	assert_int_equal(spool_write(directory, id, large, DOOR_FRAME_MOST + 1, NULL), NC_OK);
	assert_int_equal(spool_read(directory, id, &bytes, NULL), NC_ERR_LIMIT);
	buffer_finish(&bytes);
	free(large);
}

static void s5_what_is_no_id_becomes_no_path(void **state)
{
	struct buffer bytes;

	buffer_init(&bytes);
	assert_int_equal(spool_write(directory, "../x", "x", 1, NULL), NC_ERR_INVALID);
	assert_int_equal(spool_read(directory, "../x", &bytes, NULL), NC_ERR_INVALID);
	assert_int_equal(spool_remove(directory, "../x", NULL), NC_ERR_INVALID);
	buffer_finish(&bytes);
}

/* Whichever call fails, the old or the new one is there, whole. */
static void r20_a_call_that_fails_leaves_the_old_or_the_new_one(void **state)
{
	int descriptors = count_descriptors(), failures = 0;
	bool failed;
	enum nc_err err;

	for (long nth = 1;; nth++) {
		struct error error = { 0 };

		assert_int_equal(spool_write(directory, id, "old", 3, NULL), NC_OK);
		calls_fail_at(nth, EIO);
		err = spool_write(directory, id, "new", 3, &error);
		failed = calls_have_failed();
		assert_true(spool_has(err == NC_OK ? "new" : "old"));
		assert_int_equal(count_descriptors(), descriptors);
		if (err == NC_OK && !failed)
			break;
		failures += err != NC_OK;
	}
	assert_true(failures >= 3); /* open, write, rename */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			r6_a_message_is_kept_until_it_is_removed, begin, end),
		cmocka_unit_test_setup_teardown(
			r6_the_oldest_launch_comes_first_and_other_files_are_passed_over, begin,
			end),
		cmocka_unit_test_setup_teardown(
			a_spool_that_cannot_be_read_is_no_empty_one, begin, end),
		cmocka_unit_test_setup_teardown(
			r6_a_spool_that_is_read_by_half_is_said_to_be, begin, end),
		cmocka_unit_test_setup_teardown(
			r21_without_memory_there_is_no_half_list, begin, end),
		cmocka_unit_test_setup_teardown(
			r13_what_is_larger_than_a_message_is_not_read, begin, end),
		cmocka_unit_test_setup_teardown(s5_what_is_no_id_becomes_no_path, begin, end),
		cmocka_unit_test_setup_teardown(
			r20_a_call_that_fails_leaves_the_old_or_the_new_one, begin, end),
	};

	return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
