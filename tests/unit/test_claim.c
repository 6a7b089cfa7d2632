/* core/work/claim */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/system/id.h"
#include "core/work/claim.h"
#include "failing_malloc.h"
#include "failing_sys.h"

static char directory[64], id[ID_TEXT_SIZE];

static int begin(void **state)
{
	(void)snprintf(directory, sizeof(directory), "/tmp/nowcast-claim-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(id_make(id, NULL), NC_OK);
	return 0;
}

static void path_of(const char *name, char path[200])
{
	(void)snprintf(path, 200, "%s/claims%s%s", directory, name[0] != '\0' ? "/" : "", name);
}

/* Fails when something else was left. */
static int end(void **state)
{
	char path[200];

	path_of(id, path);
	(void)unlink(path);
	path_of("", path);
	(void)rmdir(path);
	assert_int_equal(rmdir(directory), 0);
	return 0;
}

static enum claim_state look(void)
{
	enum claim_state claim = CLAIM_NONE;

	assert_int_equal(claim_look(directory, id, &claim, NULL), NC_OK);
	return claim;
}

static void r3_a_claim_is_held_while_its_owner_lives_and_then_free(void **state)
{
	int fd = -1, descriptors = count_descriptors();
	struct stat status;
	char path[200];

	assert_int_equal(look(), CLAIM_NONE);
	assert_int_equal(claim_take(directory, id, &fd, NULL), NC_OK);
	assert_int_equal(look(), CLAIM_HELD);
	assert_int_not_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	path_of(id, path);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	path_of("", path);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	assert_int_equal(close(fd), 0);
	assert_int_equal(look(), CLAIM_FREE);
	assert_int_equal(count_descriptors(), descriptors);
}

static void r3_nobody_claims_a_second_time_also_when_the_first_is_gone(void **state)
{
	struct error error = { 0 };
	int fd = -1, other = -1;

	assert_int_equal(claim_take(directory, id, &fd, NULL), NC_OK);
	assert_int_equal(claim_take(directory, id, &other, &error), NC_ERR_REFUSED);
	assert_non_null(strstr(error.text, id));
	/* Trying has not taken the lock away. */
	assert_int_equal(look(), CLAIM_HELD);
	assert_int_equal(close(fd), 0);
	assert_int_equal(claim_take(directory, id, &other, NULL), NC_ERR_REFUSED);
	assert_int_equal(other, -1);
	assert_int_equal(claim_remove(directory, id, NULL), NC_OK);
	assert_int_equal(look(), CLAIM_NONE);
	assert_int_equal(claim_remove(directory, id, NULL), NC_OK);
}

/* The worker inherits the shared lock; the runner ends first, then the worker. */
static void r3_a_worker_without_its_runner_can_be_told_from_one_with_it(void **state)
{
	int fd = -1, shared = -1, ready[2], wait_status;
	char byte;
	pid_t pid;

	assert_int_equal(claim_take(directory, id, &fd, NULL), NC_OK);
	assert_int_equal(claim_share(fd, &shared, NULL), NC_OK);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(fd);
		(void)close(ready[1]);
		(void)alarm(30);
		(void)pause();
		_exit(0);
	}
	assert_int_equal(close(ready[1]), 0);
	assert_int_equal(read(ready[0], &byte, 1), 0); /* it is so far */
	assert_int_equal(close(ready[0]), 0);
	assert_int_equal(close(shared), 0);
	assert_int_equal(look(), CLAIM_HELD);
	assert_int_equal(close(fd), 0);
	assert_int_equal(look(), CLAIM_ORPHANED);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &wait_status, 0), pid);
	assert_int_equal(look(), CLAIM_FREE);
}

/* What an attempt has left running does not stop the next one. */
static void a_claim_is_shared_as_often_as_one_likes(void **state)
{
	int fd = -1, first = -1, second = -1;

	assert_int_equal(claim_take(directory, id, &fd, NULL), NC_OK);
	assert_int_equal(claim_share(fd, &first, NULL), NC_OK);
	assert_int_equal(claim_share(fd, &second, NULL), NC_OK);
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(first), 0);
	assert_int_equal(look(), CLAIM_ORPHANED);
	assert_int_equal(close(second), 0);
	assert_int_equal(look(), CLAIM_FREE);
	assert_int_equal(claim_share(-1, &first, NULL), NC_ERR_SYSTEM);
}

/* Each of them tries; exactly one wins. */
static void r3_of_many_at_once_one_claims(void **state)
{
	enum {
		MANY = 16
	};
	int start[2], winners = 0;
	pid_t pids[MANY];

	assert_int_equal(pipe(start), 0);
	for (int i = 0; i < MANY; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			int fd = -1;
			char byte;

			(void)close(start[1]);
			if (read(start[0], &byte, 1) != 0) /* until all are there */
				_exit(100);
			_exit(claim_take(directory, id, &fd, NULL) == NC_OK ? 1 : 0);
		}
	}
	assert_int_equal(close(start[0]), 0);
	assert_int_equal(close(start[1]), 0);
	for (int i = 0; i < MANY; i++) {
		int wait_status = -1;

		assert_int_equal(waitpid(pids[i], &wait_status, 0), pids[i]);
		assert_true(WIFEXITED(wait_status));
		winners += WEXITSTATUS(wait_status);
	}
	assert_int_equal(winners, 1);
}

static enum claim_state seen_when_linked;

static void look_at_it(void)
{
	seen_when_linked = look();
}

/* At the very moment when it can be seen. */
static void r3_a_claim_is_never_seen_unlocked(void **state)
{
	int fd = -1;

	calls_after_link = look_at_it;
	assert_int_equal(claim_take(directory, id, &fd, NULL), NC_OK);
	calls_after_link = NULL;
	assert_int_equal(seen_when_linked, CLAIM_HELD);
	assert_int_equal(close(fd), 0);
}

static void s5_what_is_no_id_becomes_no_path(void **state)
{
	static const char *const bad[] = { "", ".", "../x", "/etc/passwd",
		"01A20EEE-d6c7-729d-bbad-58403315bdaa", "01a20eee-d6c7-729d-bbad-5840331/../a" };
	enum claim_state claim;
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(claim_take(directory, bad[i], &fd, NULL), NC_ERR_INVALID);
		assert_int_equal(claim_look(directory, bad[i], &claim, NULL), NC_ERR_INVALID);
		assert_int_equal(claim_remove(directory, bad[i], NULL), NC_ERR_INVALID);
	}
	assert_int_equal(fd, -1);
}

static void s5_a_link_in_its_place_is_not_followed(void **state)
{
	enum claim_state claim;
	char path[200];
	int fd = -1;

	path_of("", path);
	assert_int_equal(mkdir(path, 0700), 0);
	path_of(id, path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(claim_look(directory, id, &claim, NULL), NC_ERR_SYSTEM);
	assert_int_equal(claim_take(directory, id, &fd, NULL), NC_ERR_REFUSED);
}

static void a_file_system_without_unnamed_files_will_do(void **state)
{
	int fd = -1, other = -1;
	char path[200];

	path_of("", path);
	assert_int_equal(mkdir(path, 0700), 0);
	calls_fail_at(1, EOPNOTSUPP);
	assert_int_equal(claim_take(directory, id, &fd, NULL), NC_OK);
	assert_true(calls_have_failed());
	assert_int_equal(look(), CLAIM_HELD);
	calls_fail_at(1, EOPNOTSUPP);
	assert_int_equal(claim_take(directory, id, &other, NULL), NC_ERR_REFUSED);
	assert_int_equal(close(fd), 0);
	assert_int_equal(look(), CLAIM_FREE);
}

/* Nor does it when the name that the file would have for a moment is taken, or too long. */
static void without_unnamed_files_a_name_that_cannot_be_is_said(void **state)
{
	struct error error = { 0 };
	char path[200], name[300], deep[800];
	int fd = -1, descriptors = count_descriptors(), len;

	path_of("", path);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(name, sizeof(name), "%s/.%s.%ld", path, id, (long)getpid());
	assert_int_equal(mkdir(name, 0700), 0);
	calls_fail_at(1, EOPNOTSUPP);
	assert_int_equal(claim_take(directory, id, &fd, &error), NC_ERR_SYSTEM);
	assert_true(calls_have_failed());
	assert_int_equal(error.sys_errno, EEXIST);
	assert_non_null(strstr(error.text, name));
	assert_int_equal(rmdir(name), 0);
	/* The same directory by a long name. */
	len = snprintf(deep, sizeof(deep), "%s", directory);
	while (len < 600)
		len += snprintf(deep + len, sizeof(deep) - (size_t)len, "/.");
	calls_fail_at(1, EOPNOTSUPP);
	assert_int_equal(claim_take(deep, id, &fd, &error), NC_ERR_LIMIT);
	assert_true(calls_have_failed());
	assert_non_null(strstr(error.text, "the name is too long: /tmp/"));
	assert_int_equal(fd, -1);
	assert_int_equal(look(), CLAIM_NONE);
	assert_int_equal(count_descriptors(), descriptors);
}

/* Nobody knows who holds it: that is said, and not that it is free. */
static void r3_a_lock_that_cannot_be_looked_at_is_not_a_free_claim(void **state)
{
	enum claim_state claim = CLAIM_NONE;
	int fd = -1, shared = -1, descriptors;

	assert_int_equal(claim_take(directory, id, &fd, NULL), NC_OK);
	descriptors = count_descriptors();
	for (long nth = 1; nth <= 2; nth++) {
		struct error error = { 0 };

		calls_fail_at(nth, EIO);
		assert_int_equal(claim_look(directory, id, &claim, &error), NC_ERR_SYSTEM);
		assert_true(calls_have_failed());
		assert_int_equal(error.sys_errno, EIO);
		assert_int_equal(claim, CLAIM_NONE); /* untouched */
	}
	calls_fail_at(1, ENOLCK);
	assert_int_equal(claim_share(fd, &shared, NULL), NC_ERR_SYSTEM);
	assert_true(calls_have_failed());
	assert_int_equal(shared, -1);
	assert_int_equal(count_descriptors(), descriptors);
	assert_int_equal(look(), CLAIM_HELD);
	assert_int_equal(close(fd), 0);
}

static void r21_without_memory_nothing_is_claimed(void **state)
{
	int descriptors = count_descriptors(), refusals = 0;
	bool failed = FAILING_MALLOC;

	for (long nth = 1; failed; nth++) {
		enum claim_state claim = CLAIM_HELD;
		struct error error = { 0 };
		int fd = -1;
		enum nc_err err;

		memory_fail_at(nth);
		err = claim_take(directory, id, &fd, &error);
		failed = memory_has_failed();
		assert_int_equal(err, failed ? NC_ERR_NOMEM : NC_OK);
		assert_int_equal(memory_outstanding(), 0);
		refusals += failed;
		if (err == NC_OK)
			break;
		assert_int_equal(fd, -1);
		memory_fail_at(1);
		assert_int_equal(claim_look(directory, id, &claim, NULL), NC_ERR_NOMEM);
		assert_int_equal(claim, CLAIM_HELD);
		assert_true(memory_has_failed());
		assert_int_equal(look(), CLAIM_NONE);
		assert_int_equal(count_descriptors(), descriptors);
	}
	assert_true(refusals >= 3 || !FAILING_MALLOC);
}

/* Whichever call fails: nothing is claimed, or all of it, and nothing is left open or lying around. */
static void r20_a_call_that_fails_leaves_no_half_claim(void **state)
{
	int descriptors = count_descriptors(), failures = 0;
	char path[200];

	path_of("", path);
	for (long nth = 1;; nth++) {
		struct error error = { 0 };
		int fd = -1;
		enum nc_err err;
		bool failed;

		calls_fail_at(nth, ENOSPC);
		err = claim_take(directory, id, &fd, &error);
		failed = calls_have_failed();
		if (err == NC_OK) {
			assert_int_equal(look(), CLAIM_HELD);
			assert_int_equal(close(fd), 0);
			assert_int_equal(claim_remove(directory, id, NULL), NC_OK);
			if (!failed)
				break;
			(void)rmdir(path);
			continue;
		}
		failures++;
		assert_true(failed);
		assert_int_equal(err, NC_ERR_SYSTEM);
		assert_int_equal(error.sys_errno, ENOSPC);
		assert_int_equal(look(), CLAIM_NONE);
		assert_int_equal(count_descriptors(), descriptors);
		(void)rmdir(path); /* each time it is the first claim */
	}
	assert_true(failures >= 4); /* folder, draft, lock, link */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			r3_a_claim_is_held_while_its_owner_lives_and_then_free, begin, end),
		cmocka_unit_test_setup_teardown(
			r3_nobody_claims_a_second_time_also_when_the_first_is_gone, begin, end),
		cmocka_unit_test_setup_teardown(
			r3_a_worker_without_its_runner_can_be_told_from_one_with_it, begin, end),
		cmocka_unit_test_setup_teardown(
			a_claim_is_shared_as_often_as_one_likes, begin, end),
		cmocka_unit_test_setup_teardown(r3_of_many_at_once_one_claims, begin, end),
		cmocka_unit_test_setup_teardown(r3_a_claim_is_never_seen_unlocked, begin, end),
		cmocka_unit_test_setup_teardown(s5_what_is_no_id_becomes_no_path, begin, end),
		cmocka_unit_test_setup_teardown(s5_a_link_in_its_place_is_not_followed, begin, end),
		cmocka_unit_test_setup_teardown(
			a_file_system_without_unnamed_files_will_do, begin, end),
		cmocka_unit_test_setup_teardown(
			without_unnamed_files_a_name_that_cannot_be_is_said, begin, end),
		cmocka_unit_test_setup_teardown(
			r3_a_lock_that_cannot_be_looked_at_is_not_a_free_claim, begin, end),
		cmocka_unit_test_setup_teardown(r21_without_memory_nothing_is_claimed, begin, end),
		cmocka_unit_test_setup_teardown(
			r20_a_call_that_fails_leaves_no_half_claim, begin, end),
	};

	return cmocka_run_group_tests_name("claim", tests, NULL, NULL);
}
