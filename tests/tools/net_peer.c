/*
 * A peer on the network, for tests: sends the bytes of standard input to an nng address as one request, and
 * prints the reply.
 *
 *	net_peer URL MILLISECONDS
 *
 * Exit status: 0 it was answered; 1 it was not, in that time, or the connection was closed; 2 anything else.
 */
#include <stdio.h>
#include <stdlib.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

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

int main(int argc, char **argv)
{
	char *bytes = malloc(BYTES_MOST);
	nng_socket socket;
	size_t len;
	int code, status;

	if (argc != 3 || bytes == NULL) {
		(void)fprintf(stderr, "usage: net_peer URL MILLISECONDS\n");
		free(bytes);
		return 2;
	}
	len = fread(bytes, 1, BYTES_MOST, stdin);
	code = nng_req0_open(&socket);
	if (code == 0) {
		status = ask(socket, argv[1], (nng_duration)strtol(argv[2], NULL, 10), bytes, len);
		(void)nng_close(socket);
	} else {
		status = fail("open", code);
	}
	free(bytes);
	return status;
}
