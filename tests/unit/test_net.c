/* core/system/net: a replier and a requester over ipc://, in one loop */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/system/clock.h"
#include "core/system/net.h"
#include "run_loop.h"

enum {
	MANY = 200,
	PEERS_MOST = 256, /* core/system/net.h */
	HASTY = 1000,     /* peers that leave at once, some of them before they are accepted */
	DIALERS = 32,
};

struct seen {
	struct loop *loop;
	struct net_requester *requester;
	struct net_replier *replier;
	char directory[64], url[100];
	struct net_request *held;
	bool hold;
	unsigned peers, answers, wanted;
	enum nc_err err;
	char answer[100];
};

static void peers_changed(void *argument, unsigned peers)
{
	struct seen *seen = argument;

	seen->peers = peers;
	loop_stop(seen->loop, 1);
}

static void got_request(void *argument, struct net_request *request, const char *bytes, size_t len)
{
	struct seen *seen = argument;
	char answer[100];
	int size = snprintf(answer, sizeof(answer), "re: %.*s", (int)(len < 50 ? len : 50), bytes);

	if (seen->hold)
		seen->held = request;
	else
		net_answer(request, answer, (size_t)size);
}

static int begin(void **state)
{
	struct seen *seen = calloc(1, sizeof(*seen));

	*state = seen;
	snprintf(seen->directory, sizeof(seen->directory), "/tmp/nowcast-net-XXXXXX");
	if (mkdtemp(seen->directory) == NULL)
		return 1;
	snprintf(seen->url, sizeof(seen->url), "ipc://%s/net", seen->directory);
	return loop_create(&seen->loop, NULL) != NC_OK ||
	       net_requester_create(seen->loop, seen->url, NET_LISTEN, peers_changed, seen,
		       &seen->requester, NULL) != NC_OK;
}

static int end(void **state)
{
	struct seen *seen = *state;

	net_replier_destroy(seen->replier);
	net_requester_destroy(seen->requester);
	loop_destroy(seen->loop);
	unlink(seen->url + strlen("ipc://"));
	rmdir(seen->directory);
	free(seen);
	return 0;
}

static void dial(struct seen *seen)
{
	assert_int_equal(net_replier_create(seen->loop, seen->url, NET_DIAL, 8, got_request, seen,
				 &seen->replier, NULL),
		NC_OK);
	while (seen->peers == 0)
		assert_int_not_equal(run(seen->loop), 99);
	assert_int_equal(net_peers(seen->requester), 1);
}

static void got_answer(void *argument, enum nc_err err, const char *bytes, size_t len)
{
	struct seen *seen = argument;

	seen->err = err;
	snprintf(seen->answer, sizeof(seen->answer), "%.*s", (int)len, err == NC_OK ? bytes : "");
	if (++seen->answers == seen->wanted)
		loop_stop(seen->loop, 0);
}

static void ask(struct seen *seen, const char *text, int64_t timeout_ms)
{
	assert_int_equal(
		net_ask(seen->requester, text, strlen(text), timeout_ms, got_answer, seen, NULL),
		NC_OK);
}

/* Until the answers that are wanted are there, whatever is told of peers meanwhile. */
static void run_to_answers(struct seen *seen)
{
	while (seen->answers < seen->wanted)
		assert_int_not_equal(run(seen->loop), 99);
}

static void many_questions_at_once_are_all_answered(void **state)
{
	struct seen *seen = *state;

	dial(seen);
	seen->wanted = MANY;
	for (int i = 0; i < MANY; i++)
		ask(seen, "hello", 5000);
	run_to_answers(seen);
	assert_int_equal(seen->err, NC_OK);
	assert_string_equal(seen->answer, "re: hello");
}

static void without_a_peer_the_time_runs_out(void **state)
{
	struct seen *seen = *state;

	seen->wanted = 1;
	ask(seen, "anybody?", 50);
	run_to_answers(seen);
	assert_int_equal(seen->err, NC_ERR_TIMEOUT);
}

static void stop_when_held(void *argument)
{
	struct seen *seen = argument;

	if (seen->held != NULL)
		loop_stop(seen->loop, 2);
}

static void the_death_of_a_peer_ends_its_questions(void **state)
{
	struct seen *seen = *state;
	struct loop_timer *timer;

	dial(seen);
	seen->hold = true;
	seen->wanted = 1;
	ask(seen, "hello", 9000);
	assert_int_equal(
		loop_timer_start(seen->loop, 5, true, stop_when_held, seen, &timer, NULL), NC_OK);
	while (seen->held == NULL)
		(void)run(seen->loop);
	loop_timer_cancel(timer);
	net_replier_destroy(seen->replier);
	seen->replier = NULL;
	run_to_answers(seen);
	assert_int_equal(seen->err, NC_ERR_CLOSED);
	while (seen->peers != 0)
		assert_int_not_equal(run(seen->loop), 99);
	/* And a new peer serves the next question. */
	seen->hold = false;
	dial(seen);
	seen->answers = 0;
	ask(seen, "again", 5000);
	run_to_answers(seen);
	assert_string_equal(seen->answer, "re: again");
}

static void dial_now(void *argument)
{
	struct seen *seen = argument;

	assert_int_equal(net_replier_create(seen->loop, seen->url, NET_DIAL, 8, got_request, seen,
				 &seen->replier, NULL),
		NC_OK);
}

static void the_time_of_a_question_counts_from_its_asking(void **state)
{
	struct seen *seen = *state;
	int64_t begin_ms = clock_mono_ms();

	/* Half of it passes before a peer comes, who does not answer. */
	seen->hold = true;
	seen->wanted = 1;
	ask(seen, "hello", 1000);
	assert_int_equal(
		loop_timer_start(seen->loop, 600, false, dial_now, seen, NULL, NULL), NC_OK);
	run_to_answers(seen);
	assert_int_equal(seen->err, NC_ERR_TIMEOUT);
	assert_non_null(seen->held);
	assert_true(clock_mono_ms() - begin_ms < 1500);
}

static void nothing_is_told_of_questions_that_are_open_at_the_end(void **state)
{
	struct seen *seen = *state;

	dial(seen);
	seen->wanted = MANY + 1; /* so that the loop does not stop for them */
	for (int i = 0; i < MANY; i++)
		ask(seen, "hello", 5000);
	assert_int_equal(
		loop_timer_start(seen->loop, 1, false, fail_late, seen->loop, NULL, NULL), NC_OK);
	(void)loop_run(seen->loop, NULL);
	net_replier_destroy(seen->replier);
	net_requester_destroy(seen->requester);
	seen->replier = NULL;
	seen->requester = NULL;
	seen->answers = 0;
	/* What was posted before is still in the loop's queue. */
	loop_destroy(seen->loop);
	assert_int_equal(seen->answers, 0);
	assert_int_equal(loop_create(&seen->loop, NULL), NC_OK);
}

static struct sockaddr_in port_address(in_port_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* A connection that has shown the header of a requester, and then says nothing. -1: not let in. */
static int silent_peer(in_port_t port)
{
	static const unsigned char header[8] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };
	struct sockaddr_in address = port_address(port);
	struct timeval limit = { .tv_sec = DEADLINE_MS / 1000 };
	unsigned char answer[8];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		send(fd, header, sizeof(header), MSG_NOSIGNAL) != (ssize_t)sizeof(header) ||
		recv(fd, answer, sizeof(answer), MSG_WAITALL) != (ssize_t)sizeof(answer)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* A port that is free now. */
static in_port_t free_port(void)
{
	struct sockaddr_in address = port_address(0);
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void r14_silent_peers_make_room_for_others(void **state)
{
	struct seen *seen = *state;
	struct net_requester *honest = NULL;
	in_port_t port = free_port();
	struct pollfd silent[PEERS_MOST];
	char url[40];

	snprintf(url, sizeof(url), "tcp://127.0.0.1:%u", (unsigned)port);
	assert_int_equal(net_replier_create(seen->loop, url, NET_LISTEN, 8, got_request, seen,
				 &seen->replier, NULL),
		NC_OK);
	for (int i = 0; i < PEERS_MOST; i++) {
		silent[i] = (struct pollfd){ .fd = silent_peer(port), .events = POLLIN };
		assert_true(silent[i].fd >= 0);
	}
	assert_int_equal(
		net_requester_create(seen->loop, url, NET_DIAL, NULL, NULL, &honest, NULL), NC_OK);
	seen->wanted = 1;
	assert_int_equal(net_ask(honest, "hello", 5, 5000, got_answer, seen, NULL), NC_OK);
	run_to_answers(seen);
	assert_int_equal(seen->err, NC_OK);
	assert_string_equal(seen->answer, "re: hello");
	/* One has gone, mostly the first; all others are still there. */
	assert_int_equal(poll(silent, PEERS_MOST, DEADLINE_MS), 1);
	for (int i = 0; i < PEERS_MOST; i++)
		close(silent[i].fd);
	net_requester_destroy(honest);
}

static struct sockaddr_un local_address(const char *url)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", url + strlen("ipc://"));
	return address;
}

static void a_local_listener_outlives_peers_that_leave_at_once(void **state)
{
	struct seen *seen = *state;
	struct sockaddr_un address = local_address(seen->url);

	for (int i = 0; i < HASTY; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
		close(fd);
	}
	dial(seen);
	seen->wanted = 1;
	ask(seen, "hello", 5000);
	run_to_answers(seen);
	assert_string_equal(seen->answer, "re: hello");
}

static void r14_a_listener_on_the_network_outlives_peers_that_leave_at_once(void **state)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct seen *seen = *state;
	struct net_requester *honest = NULL;
	in_port_t port = free_port();
	struct sockaddr_in address = port_address(port);
	char url[40];

	snprintf(url, sizeof(url), "tcp://127.0.0.1:%u", (unsigned)port);
	assert_int_equal(net_replier_create(seen->loop, url, NET_LISTEN, 8, got_request, seen,
				 &seen->replier, NULL),
		NC_OK);
	for (int i = 0; i < HASTY; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
		/* An end, and then a reset: the listener's next write finds a broken pipe. */
		(void)shutdown(fd, SHUT_WR);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
		close(fd);
	}
	assert_int_equal(
		net_requester_create(seen->loop, url, NET_DIAL, NULL, NULL, &honest, NULL), NC_OK);
	seen->wanted = 1;
	assert_int_equal(net_ask(honest, "hello", 5, 5000, got_answer, seen, NULL), NC_OK);
	run_to_answers(seen);
	assert_int_equal(seen->err, NC_OK);
	net_requester_destroy(honest);
}

static void dialers_outlive_a_listener_that_hangs_up_at_once(void **state)
{
	struct seen *seen = *state;
	struct net_replier *dialers[DIALERS];
	struct sockaddr_un address = local_address(seen->url);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	net_requester_destroy(seen->requester);
	seen->requester = NULL;
	(void)unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, DIALERS), 0);
	for (int i = 0; i < DIALERS; i++) {
		int peer;

		assert_int_equal(net_replier_create(seen->loop, seen->url, NET_DIAL, 1, got_request,
					 seen, &dialers[i], NULL),
			NC_OK);
		peer = accept(fd, NULL, NULL);
		assert_true(peer >= 0);
		close(peer);
	}
	close(fd);
	(void)unlink(address.sun_path);
	assert_int_equal(net_requester_create(seen->loop, seen->url, NET_LISTEN, peers_changed,
				 seen, &seen->requester, NULL),
		NC_OK);
	while (seen->peers < DIALERS)
		assert_int_not_equal(run(seen->loop), LATE);
	for (int i = 0; i < DIALERS; i++)
		net_replier_destroy(dialers[i]);
}

static void the_socket_is_for_its_owner_only(void **state)
{
	struct seen *seen = *state;
	struct stat status;

	assert_int_equal(stat(seen->url + strlen("ipc://"), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
}

static void an_oversized_question_is_refused_here(void **state)
{
	struct seen *seen = *state;
	static char large[NET_MESSAGE_MOST + 1];

	assert_int_equal(
		net_ask(seen->requester, large, sizeof(large), 100, got_answer, seen, NULL),
		NC_ERR_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(many_questions_at_once_are_all_answered),
		TEST(without_a_peer_the_time_runs_out),
		TEST(the_death_of_a_peer_ends_its_questions),
		TEST(the_time_of_a_question_counts_from_its_asking),
		TEST(nothing_is_told_of_questions_that_are_open_at_the_end),
		TEST(r14_silent_peers_make_room_for_others),
		TEST(a_local_listener_outlives_peers_that_leave_at_once),
		TEST(r14_a_listener_on_the_network_outlives_peers_that_leave_at_once),
		TEST(dialers_outlive_a_listener_that_hangs_up_at_once),
		TEST(the_socket_is_for_its_owner_only),
		TEST(an_oversized_question_is_refused_here),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
