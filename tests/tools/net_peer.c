/*
 * A peer on the network, for tests: sends the bytes of standard input to an nng address as one request, and
 * prints the reply. With --answer it is the other side: it prints each request that it gets within that time, and
 * answers it with these bytes.
 *
 *	net_peer [--answer] URL MILLISECONDS
 *
 * Exit status: 0 it was answered, or its time is over; 1 it was not answered, in that time, or the connection was
 * closed; 2 anything else.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/util/platform.h>

enum {
	BYTES_MOST = 16 << 20
};

static int fail(const char *what, int code)
{
	(void)fprintf(stderr, "net_peer: %s: %s\n", what, nng_strerror(code));
	return code == NNG_ETIMEDOUT || code == NNG_ECLOSED || code == NNG_ECONNRESET ? 1 : 2;
}

static int ask(nng_socket socket, const char *url, nng_duration ms, char *bytes, size_t len)
{
	void *reply;
	size_t reply_len;
	int code = nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, ms);

	if (code == 0)
		code = nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, ms);
	/* A request that closes the connection must not be sent again and again. */
	if (code == 0)
		code = nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	if (code == 0)
		code = nng_dial(socket, url, NULL, 0);
	if (code != 0)
		return fail(url, code);
	code = nng_send(socket, bytes, len, 0);
	if (code != 0)
		return fail("send", code);
	code = nng_recv(socket, &reply, &reply_len, NNG_FLAG_ALLOC);
	if (code != 0)
		return fail("receive", code);
	(void)fwrite(reply, 1, reply_len, stdout);
	nng_free(reply, reply_len);
	return fflush(stdout) == 0 ? 0 : 2;
}

static int answer(nng_socket socket, const char *url, nng_duration ms, char *bytes, size_t len)
{
	nng_time end = nng_clock() + (nng_time)ms;
	int code = nng_dial(socket, url, NULL, 0);

	while (code == 0 && nng_clock() < end) {
		void *request;
		size_t request_len;

		code = nng_socket_set_ms(
			socket, NNG_OPT_RECVTIMEO, (nng_duration)(end - nng_clock()) + 1);
		if (code == 0)
			code = nng_recv(socket, &request, &request_len, NNG_FLAG_ALLOC);
		if (code == NNG_ETIMEDOUT)
			return 0;
		if (code != 0)
			break;
		(void)fwrite(request, 1, request_len, stdout);
		nng_free(request, request_len);
		if (fflush(stdout) != 0)
			return 2;
		code = nng_send(socket, bytes, len, 0);
	}
	return code == 0 ? 0 : fail(url, code);
}

int main(int argc, char **argv)
{
	bool answers = argc == 4 && strcmp(argv[1], "--answer") == 0;
	char *bytes = malloc(BYTES_MOST);
	nng_socket socket;
	nng_duration ms;
	size_t len;
	int code, status;

	if ((argc != 3 && !answers) || bytes == NULL) {
		(void)fprintf(stderr, "usage: net_peer [--answer] URL MILLISECONDS\n");
		free(bytes);
		return 2;
	}
	len = fread(bytes, 1, BYTES_MOST, stdin);
	ms = (nng_duration)strtol(argv[argc - 1], NULL, 10);
	code = answers ? nng_rep0_open(&socket) : nng_req0_open(&socket);
	if (code == 0) {
		status = (answers ? answer : ask)(socket, argv[argc - 2], ms, bytes, len);
		(void)nng_close(socket);
	} else {
		status = fail("open", code);
	}
	free(bytes);
	return status;
}
