/* core/system/loop */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/system/clock.h"
#include "core/system/loop.h"
#include "run_loop.h"

struct seen {
	struct loop *loop;
	unsigned count, wanted;
	int status, signo;
	pid_t pid;
	struct loop_fd *watch, *other;
	struct loop_timer *timer;
	int fds[2];
};

static int begin(void **state)
{
	struct seen *seen = calloc(1, sizeof(*seen));

	*state = seen;
	return loop_create(&seen->loop, NULL) != NC_OK || pipe(seen->fds) < 0;
}

static int end(void **state)
{
	struct seen *seen = *state;

	loop_destroy(seen->loop);
	close(seen->fds[0]);
	close(seen->fds[1]);
	free(seen);
	return 0;
}

static void count_one(void *argument)
{
	struct seen *seen = argument;

	if (++seen->count == seen->wanted)
		loop_stop(seen->loop, 7);
}

static void a_timer_fires_once_and_a_repeated_one_often(void **state)
{
	struct seen *seen = *state;
	int64_t before_ms = clock_mono_ms();

	seen->wanted = 4;
	assert_int_equal(
		loop_timer_start(seen->loop, 20, false, count_one, seen, NULL, NULL), NC_OK);
	assert_int_equal(
		loop_timer_start(seen->loop, 30, true, count_one, seen, NULL, NULL), NC_OK);
	assert_int_equal(run(seen->loop), 7);
	assert_true(clock_mono_ms() - before_ms >= 90);
}

static void stopped_before_it_runs_it_does_not_begin(void **state)
{
	struct seen *seen = *state;

	seen->wanted = 1;
	assert_int_equal(
		loop_timer_start(seen->loop, 0, false, count_one, seen, NULL, NULL), NC_OK);
	loop_stop(seen->loop, 3);
	assert_int_equal(run(seen->loop), 3);
	assert_int_equal(seen->count, 0);
	assert_int_equal(run(seen->loop), 7);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
	struct seen *seen = *state;
	struct loop_timer *timer;

	seen->wanted = 1;
	assert_int_equal(
		loop_timer_start(seen->loop, 5, false, fail_late, seen->loop, &timer, NULL), NC_OK);
	assert_int_equal(
		loop_timer_start(seen->loop, 30, false, count_one, seen, NULL, NULL), NC_OK);
	loop_timer_cancel(timer);
	assert_int_equal(run(seen->loop), 7);
}

static void cancel_self(void *argument)
{
	struct seen *seen = argument;

	loop_timer_cancel(seen->timer);
	count_one(seen);
}

static void a_repeated_timer_can_cancel_itself(void **state)
{
	struct seen *seen = *state;

	seen->wanted = 2; /* the second comes from the one below */
	assert_int_equal(
		loop_timer_start(seen->loop, 5, true, cancel_self, seen, &seen->timer, NULL),
		NC_OK);
	assert_int_equal(
		loop_timer_start(seen->loop, 60, false, count_one, seen, NULL, NULL), NC_OK);
	assert_int_equal(run(seen->loop), 7);
	assert_int_equal(seen->count, 2);
}

static void unwatch_the_other(void *argument, unsigned events)
{
	struct seen *seen = argument;
	struct loop_fd *other = seen->other;

	/* Both are ready in one batch: whichever comes first takes the other away. */
	loop_unwatch(seen->watch);
	loop_unwatch(other);
	count_one(seen);
}

static void a_callback_may_take_another_away_that_is_ready_too(void **state)
{
	struct seen *seen = *state;
	int second[2];

	seen->wanted = 2;
	assert_int_equal(pipe(second), 0);
	assert_int_equal(loop_watch(seen->loop, seen->fds[0], LOOP_READ, unwatch_the_other, seen,
				 &seen->watch, NULL),
		NC_OK);
	assert_int_equal(loop_watch(seen->loop, second[0], LOOP_READ, unwatch_the_other, seen,
				 &seen->other, NULL),
		NC_OK);
	assert_int_equal(write(seen->fds[1], "x", 1), 1);
	assert_int_equal(write(second[1], "x", 1), 1);
	assert_int_equal(
		loop_timer_start(seen->loop, 30, false, count_one, seen, NULL, NULL), NC_OK);
	assert_int_equal(run(seen->loop), 7);
	close(second[0]);
	close(second[1]);
}

static void got_signal(void *argument, int signo)
{
	struct seen *seen = argument;

	seen->signo = signo;
	loop_stop(seen->loop, 0);
}

static void a_signal_is_told_in_the_loop(void **state)
{
	struct seen *seen = *state;

	assert_int_equal(loop_signal(seen->loop, SIGUSR1, got_signal, seen, NULL), NC_OK);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	assert_int_equal(run(seen->loop), 0);
	assert_int_equal(seen->signo, SIGUSR1);
}

static void got_child(void *argument, pid_t pid, int status, const struct rusage *usage)
{
	struct seen *seen = argument;

	seen->pid = pid;
	seen->status = status;
	loop_stop(seen->loop, 0);
}

static void a_child_is_reaped_also_when_it_ended_before(void **state)
{
	struct seen *seen = *state;
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0)
		_exit(5);
	/* It is a zombie before it is watched. */
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(loop_child_watch(seen->loop, pid, got_child, seen, NULL, NULL), NC_OK);
	assert_int_equal(run(seen->loop), 0);
	assert_int_equal(seen->pid, pid);
	assert_int_equal(WEXITSTATUS(seen->status), 5);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
}

static void count_wait(void *argument)
{
	struct seen *seen = argument;

	seen->count++;
}

static void a_loop_that_waits_does_not_wake_up(void **state)
{
	struct seen *seen = *state;

	/* One wait for the timer, and not one a tick. */
	loop_before_wait(seen->loop, count_wait, seen);
	assert_int_equal(
		loop_timer_start(seen->loop, 300, false, fail_late, seen->loop, NULL, NULL), NC_OK);
	assert_int_equal(run(seen->loop), 99);
	assert_int_equal(seen->count, 1);
}

static void a_child_that_is_not_watched_any_more_is_left_alone(void **state)
{
	struct seen *seen = *state;
	struct loop_child *child;
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(6);
	assert_int_equal(loop_child_watch(seen->loop, pid, got_child, seen, &child, NULL), NC_OK);
	loop_child_unwatch(child);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 6);
	assert_int_equal(seen->pid, 0);
}

static void only_count(void *argument)
{
	struct seen *seen = argument;

	seen->count++;
}

static void what_was_posted_is_called_also_at_the_end(void **state)
{
	struct seen *seen = *state;
	struct loop_post post = { only_count, seen, NULL };

	loop_post(seen->loop, &post);
	loop_destroy(seen->loop);
	assert_int_equal(seen->count, 1);
	assert_int_equal(loop_create(&seen->loop, NULL), NC_OK);
}

enum {
	THREADS = 4,
	POSTS = 2000
};

struct posting {
	struct loop *loop;
	struct loop_post posts[POSTS];
};

static void *post_all(void *argument)
{
	struct posting *posting = argument;

	for (int i = 0; i < POSTS; i++)
		loop_post(posting->loop, &posting->posts[i]);
	return NULL;
}

static void posts_of_other_threads_all_arrive(void **state)
{
	struct seen *seen = *state;
	static struct posting postings[THREADS];
	pthread_t threads[THREADS];

	seen->wanted = THREADS * POSTS;
	for (int i = 0; i < THREADS; i++) {
		postings[i].loop = seen->loop;
		for (int j = 0; j < POSTS; j++)
			postings[i].posts[j] = (struct loop_post){ count_one, seen, NULL };
		assert_int_equal(pthread_create(&threads[i], NULL, post_all, &postings[i]), 0);
	}
	assert_int_equal(run(seen->loop), 7);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_timer_fires_once_and_a_repeated_one_often),
		TEST(stopped_before_it_runs_it_does_not_begin),
		TEST(a_cancelled_timer_does_not_fire),
		TEST(a_repeated_timer_can_cancel_itself),
		TEST(a_callback_may_take_another_away_that_is_ready_too),
		TEST(a_signal_is_told_in_the_loop),
		TEST(a_child_is_reaped_also_when_it_ended_before),
		TEST(a_loop_that_waits_does_not_wake_up),
		TEST(a_child_that_is_not_watched_any_more_is_left_alone),
		TEST(what_was_posted_is_called_also_at_the_end),
		TEST(posts_of_other_threads_all_arrive),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
