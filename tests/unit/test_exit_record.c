/* core/work/exit_record */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/system/file.h"
#include "core/system/id.h"
#include "core/work/exit_record.h"
#include "failing_malloc.h"
#include "failing_sys.h"

static char directory[64], id[ID_TEXT_SIZE], path[200];

static int begin(void **state)
{
	(void)snprintf(directory, sizeof(directory), "/tmp/nowcast-ends-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(id_make(id, NULL), NC_OK);
	(void)snprintf(path, sizeof(path), "%s/ends/%s", directory, id);
	return 0;
}

/* Fails when something was left. */
static int end(void **state)
{
	char folder[100];

	assert_int_equal(exit_record_remove(directory, id, NULL), NC_OK);
	(void)snprintf(folder, sizeof(folder), "%s/ends", directory);
	(void)rmdir(folder);
	assert_int_equal(rmdir(directory), 0);
	return 0;
}

static struct value *make_record(const char *launch, int64_t status)
{
	struct value *record = value_map();

	assert_int_equal(value_map_put(record, "launch", value_text(launch)), NC_OK);
	assert_int_equal(value_map_put(record, "status", value_int(status)), NC_OK);
	assert_int_equal(
		value_map_put(record, "reason", value_text("ended \xe2\x80\x93 so")), NC_OK);
	return record;
}

static int64_t read_status(void)
{
	struct value *record = NULL;
	int64_t status;

	assert_int_equal(exit_record_read(directory, id, &record, NULL), NC_OK);
	status = value_as_int(value_map_get(record, "status"), -1);
	value_destroy(record);
	return status;
}

static void r5_what_was_written_is_read_and_the_newest_counts(void **state)
{
	struct value *first = make_record(id, 1), *second = make_record(id, 2), *record = NULL;
	struct stat status;

	assert_int_equal(exit_record_read(directory, id, &record, NULL), NC_ERR_NOT_FOUND);
	assert_int_equal(exit_record_write(directory, id, first, NULL), NC_OK);
	assert_int_equal(exit_record_write(directory, id, second, NULL), NC_OK);
	assert_int_equal(exit_record_read(directory, id, &record, NULL), NC_OK);
	assert_true(value_equal(record, second));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(exit_record_remove(directory, id, NULL), NC_OK);
	value_destroy(record);
	assert_int_equal(exit_record_read(directory, id, &record, NULL), NC_ERR_NOT_FOUND);
	value_destroy(first);
	value_destroy(second);
}

/* R22: it is said, and the file is left for people to look at. */
static void r22_a_damaged_one_is_not_taken_for_a_record(void **state)
{
	static const char *const bad[] = { "", "{", "[]", "{}", "{\"launch\": \"x\"}" };
	struct value *record = make_record(id, 1);

	assert_int_equal(exit_record_write(directory, id, record, NULL), NC_OK);
	value_destroy(record);
	record = NULL;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct error error = { 0 };
		enum nc_err err;

		assert_int_equal(file_replace(path, bad[i], strlen(bad[i]), 0600, NULL), NC_OK);
		err = exit_record_read(directory, id, &record, &error);
		assert_true(err == NC_ERR_SYNTAX || err == NC_ERR_INVALID);
		assert_true(error.text[0] != '\0');
		assert_null(record);
		assert_int_equal(access(path, F_OK), 0);
	}
}

static void s5_it_is_of_its_launch_or_refused(void **state)
{
	struct value *record = make_record("../x", 1), *read = NULL;

	assert_int_equal(exit_record_write(directory, "../x", record, NULL), NC_ERR_INVALID);
	assert_int_equal(exit_record_write(directory, id, record, NULL), NC_ERR_INVALID);
	assert_int_equal(exit_record_write(directory, NULL, record, NULL), NC_ERR_INVALID);
	assert_int_equal(exit_record_write(directory, id, NULL, NULL), NC_ERR_INVALID);
	assert_int_equal(exit_record_read(directory, "../x", &read, NULL), NC_ERR_INVALID);
	assert_int_equal(exit_record_remove(directory, "../x", NULL), NC_ERR_INVALID);
	value_destroy(record);
}

/* Whichever call fails, the old or the new one is there, whole. */
static void r20_a_call_that_fails_leaves_the_old_or_the_new_one(void **state)
{
	struct value *old = make_record(id, 1), *new = make_record(id, 2);
	int descriptors = count_descriptors(), failures = 0;
	enum nc_err err;
	bool failed;

	for (long nth = 1;; nth++) {
		struct error error = { 0 };

		assert_int_equal(exit_record_write(directory, id, old, NULL), NC_OK);
		calls_fail_at(nth, ENOSPC);
		err = exit_record_write(directory, id, new, &error);
		failed = calls_have_failed();
		assert_int_equal(read_status(), err == NC_OK ? 2 : 1);
		assert_int_equal(count_descriptors(), descriptors);
		if (err == NC_OK && !failed)
			break;
		failures += err != NC_OK;
	}
	assert_true(failures >= 3); /* open, write, rename */
	value_destroy(old);
	value_destroy(new);
}

static void r21_without_memory_there_is_no_half_record(void **state)
{
	struct value *old = make_record(id, 1), *new = make_record(id, 2);
	bool failed = FAILING_MALLOC;
	long refusals = 0;

	for (long nth = 1; failed; nth++) {
		struct value *record = NULL;
		struct error error = { 0 };
		enum nc_err err;

		assert_int_equal(exit_record_write(directory, id, old, NULL), NC_OK);
		memory_fail_at(nth);
		err = exit_record_write(directory, id, new, &error);
		failed = memory_has_failed();
		assert_int_equal(err, failed ? NC_ERR_NOMEM : NC_OK);
		assert_int_equal(memory_outstanding(), 0);
		assert_int_equal(read_status(), failed ? 1 : 2);
		refusals += failed;
		memory_fail_at(nth);
		err = exit_record_read(directory, id, &record, &error);
		failed = memory_has_failed() || failed;
		assert_true(err == NC_OK || (failed && err == NC_ERR_NOMEM && record == NULL));
		value_destroy(record);
		assert_int_equal(memory_outstanding(), 0);
		refusals += err != NC_OK;
	}
	assert_true(refusals > 10 || !FAILING_MALLOC);
	value_destroy(old);
	value_destroy(new);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			r5_what_was_written_is_read_and_the_newest_counts, begin, end),
		cmocka_unit_test_setup_teardown(
			r22_a_damaged_one_is_not_taken_for_a_record, begin, end),
		cmocka_unit_test_setup_teardown(s5_it_is_of_its_launch_or_refused, begin, end),
		cmocka_unit_test_setup_teardown(
			r20_a_call_that_fails_leaves_the_old_or_the_new_one, begin, end),
		cmocka_unit_test_setup_teardown(
			r21_without_memory_there_is_no_half_record, begin, end),
	};

	return cmocka_run_group_tests_name("exit_record", tests, NULL, NULL);
}
