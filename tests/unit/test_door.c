/* core/system/door: both ends in one loop, and raw frames from a thread */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/system/door.h"
#include "run_loop.h"

enum {
	FLOOD = 20000,
};

struct seen {
	struct loop *loop;
	struct door_server *server;
	struct door_client *client;
	char directory[64], path[100];
	struct door_request *held;
	bool hold;
	int crowded[4];
	size_t crowded_count;
	enum nc_err err;
	char answer[200];
	uid_t uid;
	/* of the thread */
	struct buffer out, in;
	struct loop_post post;
};

static void got_request(void *argument, struct door_request *request, const struct door_peer *peer,
	const char *bytes, size_t len)
{
	struct seen *seen = argument;
	char answer[200];
	int size;

	seen->uid = peer->uid;
	if (seen->hold) {
		seen->held = request;
		return;
	}
	size = snprintf(
		answer, sizeof(answer), "%zu bytes: %.*s", len, (int)(len < 20 ? len : 20), bytes);
	door_answer(request, answer, (size_t)size);
}

static void got_too_large(void *argument, size_t len, struct buffer *answer)
{
	buffer_printf(answer, "too large: %zu", len);
}

static void got_crowded(void *argument, int sys_errno)
{
	struct seen *seen = argument;

	if (seen->crowded_count < ARRAY_LEN(seen->crowded))
		seen->crowded[seen->crowded_count] = sys_errno;
	seen->crowded_count++;
}

static int begin(void **state)
{
	struct seen *seen = calloc(1, sizeof(*seen));
	const struct door_handler handler = { got_request, got_too_large, seen, got_crowded };

	*state = seen;
	snprintf(seen->directory, sizeof(seen->directory), "/tmp/nowcast-door-XXXXXX");
	if (mkdtemp(seen->directory) == NULL)
		return 1;
	snprintf(seen->path, sizeof(seen->path), "%s/door", seen->directory);
	return loop_create(&seen->loop, NULL) != NC_OK ||
	       door_listen(seen->loop, seen->path, 0600, &handler, &seen->server, NULL) != NC_OK ||
	       door_client_create(seen->loop, seen->path, &seen->client, NULL) != NC_OK;
}

static int end(void **state)
{
	struct seen *seen = *state;

	door_client_destroy(seen->client);
	door_server_destroy(seen->server);
	loop_destroy(seen->loop);
	unlink(seen->path);
	rmdir(seen->directory);
	free(seen);
	return 0;
}

static void got_answer(void *argument, enum nc_err err, const char *bytes, size_t len)
{
	struct seen *seen = argument;

	seen->err = err;
	snprintf(seen->answer, sizeof(seen->answer), "%.*s", (int)len, err == NC_OK ? bytes : "");
	loop_stop(seen->loop, 0);
}

static enum nc_err ask(struct seen *seen, const void *bytes, size_t len, int64_t timeout_ms)
{
	assert_int_equal(
		door_ask(seen->client, bytes, len, timeout_ms, got_answer, seen, NULL), NC_OK);
	assert_int_equal(run(seen->loop), 0);
	return seen->err;
}

static void a_question_is_answered_and_the_connection_kept(void **state)
{
	struct seen *seen = *state;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(seen, "hello", 5, 2000), NC_OK);
		assert_string_equal(seen->answer, "5 bytes: hello");
	}
	assert_int_equal(seen->uid, getuid());
	assert_int_equal(ask(seen, "", 0, 2000), NC_OK);
	assert_string_equal(seen->answer, "0 bytes: ");
}

static void a_large_question_arrives_whole(void **state)
{
	struct seen *seen = *state;
	char *large = malloc(DOOR_FRAME_MOST);

	memset(large, 'x', DOOR_FRAME_MOST);
	assert_int_equal(ask(seen, large, DOOR_FRAME_MOST, 5000), NC_OK);
	assert_string_equal(seen->answer, "1048576 bytes: xxxxxxxxxxxxxxxxxxxx");
	assert_int_equal(
		door_ask(seen->client, large, DOOR_FRAME_MOST + 1, 100, got_answer, seen, NULL),
		NC_ERR_LIMIT);
	free(large);
}

static void no_answer_in_time_is_a_timeout_and_the_next_question_works(void **state)
{
	struct seen *seen = *state;

	seen->hold = true;
	assert_int_equal(ask(seen, "a", 1, 50), NC_ERR_TIMEOUT);
	seen->hold = false;
	assert_int_equal(ask(seen, "b", 1, 2000), NC_OK);
	assert_string_equal(seen->answer, "1 bytes: b");
	door_answer(seen->held, "late", 4); /* to nobody */
}

static void a_server_that_goes_is_told(void **state)
{
	struct seen *seen = *state;

	door_server_destroy(seen->server);
	seen->server = NULL;
	assert_int_equal(ask(seen, "a", 1, 2000), NC_ERR_CLOSED);
	assert_int_equal(access(seen->path, F_OK), -1);
}

static void a_second_server_is_refused_and_a_dead_socket_replaced(void **state)
{
	struct seen *seen = *state;
	const struct door_handler handler = { got_request, got_too_large, seen, got_crowded };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct door_server *second = NULL;
	struct stat status;
	int fd;

	assert_int_equal(
		door_listen(seen->loop, seen->path, 0600, &handler, &second, NULL), NC_ERR_REFUSED);
	assert_int_equal(stat(seen->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	door_server_destroy(seen->server);
	seen->server = NULL;
	/* As a process leaves it that is killed. */
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", seen->path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(
		door_listen(seen->loop, seen->path, 0600, &handler, &seen->server, NULL), NC_OK);
}

/* --- raw frames, from a thread --- */

static void *talk(void *argument)
{
	struct seen *seen = argument;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 5 };
	char bytes[4096];
	ssize_t count;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", seen->path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
		for (size_t sent = 0; sent < seen->out.len;) {
			count = send(fd, seen->out.data + sent, seen->out.len - sent, MSG_NOSIGNAL);
			if (count < 0)
				break;
			sent += (size_t)count;
		}
		shutdown(fd, SHUT_WR);
		while ((count = recv(fd, bytes, sizeof(bytes), 0)) > 0)
			buffer_append(&seen->in, bytes, (size_t)count);
	}
	close(fd);
	loop_post(seen->loop, &seen->post);
	return NULL;
}

static void stop(void *argument)
{
	loop_stop(argument, 0);
}

/* What the server answers to these raw bytes, until it closes. */
static void talk_raw(struct seen *seen)
{
	pthread_t thread;

	seen->post = (struct loop_post){ stop, seen->loop, NULL };
	buffer_init(&seen->in);
	assert_int_equal(pthread_create(&thread, NULL, talk, seen), 0);
	assert_int_equal(run(seen->loop), 0);
	pthread_join(thread, NULL);
}

static void add_frame(struct buffer *out, uint32_t len, char fill)
{
	uint32_t header = htonl(len);
	char *bytes = malloc(len > 0 ? len : 1);

	memset(bytes, fill, len);
	buffer_append(out, &header, sizeof(header));
	buffer_append(out, bytes, len);
	free(bytes);
}

static void r13_a_frame_that_is_too_large_is_answered_and_the_next_one_served(void **state)
{
	struct seen *seen = *state;

	buffer_init(&seen->out);
	add_frame(&seen->out, 2 << 20, 'x');
	add_frame(&seen->out, 3, 'y');
	talk_raw(seen);
	assert_non_null(memmem(seen->in.data, seen->in.len, "too large: 2097152", 18));
	assert_non_null(memmem(seen->in.data, seen->in.len, "3 bytes: yyy", 12));
	buffer_finish(&seen->out);
	buffer_finish(&seen->in);
}

static void r13_a_giant_frame_closes_the_connection(void **state)
{
	struct seen *seen = *state;
	uint32_t header = 0xffffffff;

	buffer_init(&seen->out);
	buffer_append(&seen->out, &header, sizeof(header));
	talk_raw(seen);
	assert_int_equal(seen->in.len, 0);
	buffer_finish(&seen->out);
	buffer_finish(&seen->in);
	assert_int_equal(ask(seen, "b", 1, 2000), NC_OK);
}

static void frames_that_come_together_are_answered_in_order(void **state)
{
	struct seen *seen = *state;
	const char *first, *second;

	buffer_init(&seen->out);
	add_frame(&seen->out, 1, 'a');
	add_frame(&seen->out, 2, 'b');
	add_frame(&seen->out, 1, 'c');
	talk_raw(seen);
	first = memmem(seen->in.data, seen->in.len, "1 bytes: a", 10);
	second = memmem(seen->in.data, seen->in.len, "2 bytes: bb", 11);
	assert_true(first != NULL && second > first);
	assert_non_null(memmem(seen->in.data, seen->in.len, "1 bytes: c", 10));
	buffer_finish(&seen->out);
	buffer_finish(&seen->in);
}

/* --- many at once --- */

/* A connection of this process; -1: none. */
static int connect_raw(const struct seen *seen)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", seen->path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool is_closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void allow_descriptors(rlim_t count)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = count;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void r14_the_longest_idle_makes_room_when_there_are_too_many(void **state)
{
	struct seen *seen = *state;
	static int fds[DOOR_CONNECTIONS_MOST];

	allow_descriptors(2 * DOOR_CONNECTIONS_MOST + 50);
	for (int i = 0; i < DOOR_CONNECTIONS_MOST; i++) {
		fds[i] = connect_raw(seen);
		assert_true(fds[i] >= 0);
	}
	/* With the one that asks here they are too many, once all are let in: some at each turn. */
	for (int i = 0; i < DOOR_CONNECTIONS_MOST && !is_closed(fds[0]); i++) {
		assert_int_equal(ask(seen, "b", 1, 5000), NC_OK);
		assert_string_equal(seen->answer, "1 bytes: b");
	}
	assert_true(is_closed(fds[0]));
	assert_false(is_closed(fds[1]));
	assert_false(is_closed(fds[DOOR_CONNECTIONS_MOST - 1]));
	for (int i = 0; i < DOOR_CONNECTIONS_MOST; i++)
		close(fds[i]);
}

static void r14_without_descriptors_an_idle_connection_makes_room(void **state)
{
	struct seen *seen = *state;
	struct rlimit before;
	int idle[20], count = 0, next;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (; count < 20; count++)
		idle[count] = connect_raw(seen);
	/* The server has let them in when this comes back. */
	assert_int_equal(ask(seen, "a", 1, 5000), NC_OK);
	/* One more can be made here, and then none is left for the server. */
	next = connect_raw(seen);
	assert_true(next >= 0);
	allow_descriptors((rlim_t)next + 1);
	assert_int_equal(send(next, "\0\0\0\1z", 5, MSG_NOSIGNAL), 5);
	for (int i = 0; i < 100 && recv(next, seen->answer, 4, MSG_PEEK | MSG_DONTWAIT) < 4; i++)
		assert_int_equal(ask(seen, "b", 1, 5000), NC_OK);
	for (int i = 0; i < 50; i++) {
		struct loop_timer *timer;

		if (recv(next, seen->answer, 4, MSG_PEEK | MSG_DONTWAIT) == 4)
			break;
		assert_int_equal(loop_timer_start(seen->loop, 50, false, fail_late, seen->loop,
					 &timer, NULL),
			NC_OK);
		(void)loop_run(seen->loop, NULL);
	}
	assert_int_equal(recv(next, seen->answer, 4, MSG_PEEK | MSG_DONTWAIT), 4);
	/* That is told once, and once that it is over. */
	assert_int_equal(seen->crowded_count, 1);
	assert_int_equal(seen->crowded[0], EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close(idle[0]);
	idle[0] = connect_raw(seen);
	/* It looks again after a pause. */
	for (int i = 0; i < 100 && seen->crowded_count < 2; i++) {
		assert_int_equal(
			loop_timer_start(seen->loop, 50, false, fail_late, seen->loop, NULL, NULL),
			NC_OK);
		(void)loop_run(seen->loop, NULL);
	}
	assert_int_equal(seen->crowded_count, 2);
	assert_int_equal(seen->crowded[1], 0);
	close(next);
	while (count-- > 0)
		close(idle[count]);
}

/* Writes many requests at once and reads nothing until they are written. */
static void r14_a_flood_does_not_keep_others_waiting(void **state)
{
	struct seen *seen = *state;
	int fd = connect_raw(seen);
	size_t answers = 0;

	buffer_init(&seen->out);
	for (int i = 0; i < FLOOD; i++)
		add_frame(&seen->out, 1, 'f');
	/* What the kernel takes of it. */
	assert_true(send(fd, seen->out.data, seen->out.len, MSG_NOSIGNAL | MSG_DONTWAIT) > 10000);
	assert_int_equal(ask(seen, "honest", 6, 5000), NC_OK);
	assert_string_equal(seen->answer, "6 bytes: honest");
	/* Fewer than a round of others' turns were answered before. */
	while (recv(fd, seen->answer, 14, MSG_DONTWAIT) == 14)
		answers++;
	assert_true(answers > 0 && answers < 200);
	buffer_finish(&seen->out);
	close(fd);
}

static void memory_of_half_frames_is_bounded(void **state)
{
	struct seen *seen = *state;
	enum {
		MANY = 120
	};
	int fds[MANY], closed = 0;
	uint32_t header = htonl(DOOR_FRAME_MOST);
	char *bytes = calloc(1, DOOR_FRAME_MOST);

	/* 120 times a MiB that never ends. */
	for (int i = 0; i < MANY; i++) {
		size_t sent = 0;

		fds[i] = connect_raw(seen);
		assert_true(fds[i] >= 0);
		assert_int_equal(send(fds[i], &header, sizeof(header), MSG_NOSIGNAL), 4);
		for (int turns = 0; sent < DOOR_FRAME_MOST - 1 && turns < 200; turns++) {
			ssize_t count = send(fds[i], bytes, DOOR_FRAME_MOST - 1 - sent,
				MSG_NOSIGNAL | MSG_DONTWAIT);

			sent += count > 0 ? (size_t)count : 0;
			if (count < 0 && errno != EAGAIN)
				break;
			assert_int_equal(ask(seen, "h", 1, 5000), NC_OK);
		}
	}
	for (int i = 0; i < MANY; i++)
		closed += is_closed(fds[i]) ? 1 : 0;
	assert_true(closed > 20 && closed < MANY);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	free(bytes);
}

static void wait_for_end_of(int pipe_fd)
{
	char byte;

	while (read(pipe_fd, &byte, 1) > 0)
		;
}

static void of_two_that_start_at_once_over_a_dead_socket_one_is_refused(void **state)
{
	struct seen *seen = *state;
	const struct door_handler handler = { got_request, got_too_large, seen, got_crowded };
	enum {
		STARTERS = 4,
		ROUNDS = 20
	};

	door_server_destroy(seen->server);
	seen->server = NULL;
	for (int round = 0; round < ROUNDS; round++) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM, 0), begin_pipe[2], end_pipe[2], listening = 0;
		pid_t pids[STARTERS];

		/* As a process leaves it that is killed. */
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", seen->path);
		assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
		close(fd);
		assert_int_equal(pipe(begin_pipe), 0);
		assert_int_equal(pipe(end_pipe), 0);
		for (int i = 0; i < STARTERS; i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				struct door_server *server;
				enum nc_err err;

				close(begin_pipe[1]);
				close(end_pipe[1]);
				wait_for_end_of(begin_pipe[0]);
				err = door_listen(
					seen->loop, seen->path, 0600, &handler, &server, NULL);
				/* A listener stays until all have tried. */
				if (err == NC_OK)
					wait_for_end_of(end_pipe[0]);
				_exit(err == NC_OK ? 0 : err == NC_ERR_REFUSED ? 1 : 2);
			}
		}
		close(begin_pipe[0]);
		close(end_pipe[0]);
		close(begin_pipe[1]);
		/* All but the one that listens end by themselves. */
		for (int i = 0; i < STARTERS - 1; i++) {
			int status;
			pid_t pid = wait(&status);

			assert_true(pid > 0);
			assert_int_equal(WEXITSTATUS(status), 1);
			for (int j = 0; j < STARTERS; j++)
				if (pids[j] == pid)
					pids[j] = 0;
		}
		close(end_pipe[1]);
		for (int i = 0; i < STARTERS; i++) {
			int status;

			if (pids[i] == 0)
				continue;
			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
			assert_int_equal(WEXITSTATUS(status), 0);
			listening++;
		}
		assert_int_equal(listening, 1);
		/* It was ended without tidying up. */
		assert_int_equal(unlink(seen->path), 0);
	}
}

static void a_socket_of_another_process_is_not_removed_at_the_end(void **state)
{
	struct seen *seen = *state;
	const struct door_handler handler = { got_request, got_too_large, seen, got_crowded };
	struct door_server *other = NULL;

	/* Somebody tidied up, and another process began. */
	assert_int_equal(unlink(seen->path), 0);
	assert_int_equal(door_listen(seen->loop, seen->path, 0600, &handler, &other, NULL), NC_OK);
	door_server_destroy(seen->server);
	seen->server = NULL;
	assert_int_equal(access(seen->path, F_OK), 0);
	door_server_destroy(other);
	assert_int_equal(access(seen->path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_question_is_answered_and_the_connection_kept),
		TEST(a_large_question_arrives_whole),
		TEST(no_answer_in_time_is_a_timeout_and_the_next_question_works),
		TEST(a_server_that_goes_is_told),
		TEST(a_second_server_is_refused_and_a_dead_socket_replaced),
		TEST(r13_a_frame_that_is_too_large_is_answered_and_the_next_one_served),
		TEST(r13_a_giant_frame_closes_the_connection),
		TEST(r14_the_longest_idle_makes_room_when_there_are_too_many),
		TEST(r14_without_descriptors_an_idle_connection_makes_room),
		TEST(r14_a_flood_does_not_keep_others_waiting),
		TEST(memory_of_half_frames_is_bounded),
		TEST(of_two_that_start_at_once_over_a_dead_socket_one_is_refused),
		TEST(a_socket_of_another_process_is_not_removed_at_the_end),
		TEST(frames_that_come_together_are_answered_in_order),
	};

	return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
