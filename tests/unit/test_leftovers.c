/* core/work/leftovers */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/system/id.h"
#include "core/work/claim.h"
#include "core/work/contract.h"
#include "core/work/leftovers.h"

static char directory[64], id[ID_TEXT_SIZE], other_id[ID_TEXT_SIZE];

static int begin(void **state)
{
	(void)snprintf(directory, sizeof(directory), "/tmp/nowcast-left-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(id_make(id, NULL), NC_OK);
	assert_int_equal(id_make(other_id, NULL), NC_OK);
	return 0;
}

static int end(void **state)
{
	char path[120];

	assert_int_equal(claim_remove(directory, id, NULL), NC_OK);
	(void)snprintf(path, sizeof(path), "%s/claims", directory);
	(void)rmdir(path);
	return rmdir(directory);
}

/* A process that waits, with this launch in its environment (NULL: none) and this descriptor as its claim (-1:
 * none). It is there when this returns. */
static pid_t start(const char *launch, int claim)
{
	char variable[80];
	char *environment[] = { NULL, NULL };
	char *const argv[] = { (char *)(uintptr_t) "sleep", (char *)(uintptr_t) "30", NULL };
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (launch != NULL) {
			(void)snprintf(variable, sizeof(variable), "NOWCAST_LAUNCH=%s", launch);
			environment[0] = variable;
		}
		/* exec() closes the pipe. */
		if (dup2(ready[1], 9) < 0 || (claim >= 0 && dup2(claim, 10) < 0) ||
			(claim >= 0 && dup2(10, CONTRACT_CLAIM_FD) < 0) ||
			close_range(claim >= 0 ? 5 : 4, 8, 0) < 0 ||
			close_range(9, 10, CLOSE_RANGE_CLOEXEC) < 0)
			_exit(1);
		(void)execve("/bin/sleep", argv, environment);
		_exit(1);
	}
	assert_int_equal(close(ready[1]), 0);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	assert_int_equal(close(ready[0]), 0);
	return pid;
}

static int signal_of_end(pid_t pid)
{
	int wait_status = -1;

	assert_int_equal(waitpid(pid, &wait_status, 0), pid);
	return WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
}

static void r8_what_carries_a_mark_of_the_launch_is_ended_and_no_other(void **state)
{
	int fd = -1, shared = -1;
	pid_t by_claim, by_variable, of_other, of_none;
	size_t count = 0;

	assert_int_equal(claim_take(directory, id, &fd, NULL), NC_OK);
	assert_int_equal(claim_share(fd, &shared, NULL), NC_OK);
	by_claim = start(NULL, shared);
	by_variable = start(id, -1);
	of_other = start(other_id, -1);
	of_none = start(NULL, -1);
	assert_int_equal(leftovers_signal(directory, id, SIGTERM, &count, NULL), NC_OK);
	assert_int_equal(count, 2);
	assert_int_equal(signal_of_end(by_claim), SIGTERM);
	assert_int_equal(signal_of_end(by_variable), SIGTERM);
	assert_int_equal(leftovers_signal(directory, id, SIGTERM, &count, NULL), NC_OK);
	assert_int_equal(count, 0);
	assert_int_equal(kill(of_other, SIGKILL), 0);
	assert_int_equal(kill(of_none, SIGKILL), 0);
	assert_int_equal(signal_of_end(of_other), SIGKILL);
	assert_int_equal(signal_of_end(of_none), SIGKILL);
	assert_int_equal(close(shared), 0);
	assert_int_equal(close(fd), 0);
}

static void s5_what_is_no_id_signals_nobody(void **state)
{
	size_t count = 7;

	assert_int_equal(leftovers_signal(directory, "", SIGTERM, &count, NULL), NC_ERR_INVALID);
	assert_int_equal(count, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			r8_what_carries_a_mark_of_the_launch_is_ended_and_no_other, begin, end),
		cmocka_unit_test_setup_teardown(s5_what_is_no_id_signals_nobody, begin, end),
	};

	return cmocka_run_group_tests_name("leftovers", tests, NULL, NULL);
}
