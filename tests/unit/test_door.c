/* core/system/door: both ends in one loop, and raw frames from a thread */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/system/door.h"

enum {
	DEADLINE_MS = 10000
};

struct seen {
	struct loop *loop;
	struct door_server *server;
	struct door_client *client;
	char directory[64], path[100];
	struct door_request *held;
	bool hold;
	enum nc_err err;
	char answer[200];
	uid_t uid;
	/* of the thread */
	struct buffer out, in;
	struct loop_post post;
};

static void fail_late(void *argument)
{
	loop_stop(argument, 99);
}

static int run(struct loop *loop)
{
	struct loop_timer *timer;
	int status;

	assert_int_equal(
		loop_timer_start(loop, DEADLINE_MS, false, fail_late, loop, &timer, NULL), NC_OK);
	status = loop_run(loop, NULL);
	if (status != 99)
		loop_timer_cancel(timer);
	return status;
}

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

static int begin(void **state)
{
	struct seen *seen = calloc(1, sizeof(*seen));
	const struct door_handler handler = { got_request, got_too_large, seen };

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
	const struct door_handler handler = { got_request, got_too_large, seen };
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
		TEST(frames_that_come_together_are_answered_in_order),
	};

	return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
