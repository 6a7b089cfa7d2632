/*
 * Clients at a local door, for the benches: each asks, waits for the answer, and asks the next.
 *
 *	door_load PATH CLIENTS COUNT TEMPLATE...
 *
 * All of them together ask COUNT times, each client the templates in turn. In a template `@id@` becomes a new
 * id, `@launch@` one that is the same until the client comes to its first template again, and `@n@` the
 * number of the question. Prints questions per second, p50 and p99 of the answer times in microseconds, and
 * how many answers were no `ack`. Exit status: 0 all were answered; 1 not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/data/buffer.h"
#include "core/system/door.h"
#include "core/system/id.h"

enum {
	CLIENTS_MOST = 1000,
	ANSWER_MS = 10000
};

struct load {
	struct loop *loop;
	char **templates;
	size_t templates_count;
	size_t wanted, asked, answered, wrong;
	int64_t *took_ns; /* of each answer */
};

struct client {
	struct load *load;
	struct door_client *door;
	size_t at; /* in the templates */
	char launch[ID_TEXT_SIZE];
	int64_t asked_ns;
};

static void ask(struct client *client);

/* Finer than the clock of the daemons, which counts milliseconds. */
static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void fill(const struct client *client, const char *template, struct buffer *out)
{
	char id[ID_TEXT_SIZE];

	while (*template != '\0') {
		if (strncmp(template, "@id@", 4) == 0 && id_make(id, NULL) == NC_OK) {
			buffer_append_text(out, id);
			template += 4;
		} else if (strncmp(template, "@launch@", 8) == 0) {
			buffer_append_text(out, client->launch);
			template += 8;
		} else if (strncmp(template, "@n@", 3) == 0) {
			buffer_printf(out, "%zu", client->load->asked);
			template += 3;
		} else {
			buffer_append_char(out, *template ++);
		}
	}
}

static void answered(void *argument, enum nc_err err, const char *bytes, size_t len)
{
	struct client *client = argument;
	struct load *load = client->load;

	load->took_ns[load->answered++] = now_ns() - client->asked_ns;
	if (err != NC_OK || memmem(bytes, len, "type: ack\n", 10) == NULL) {
		if (load->wrong++ == 0 && err == NC_OK)
			(void)fprintf(stderr, "door_load: %.*s\n", (int)len, bytes);
	}
	if (load->answered == load->wanted)
		loop_stop(load->loop, 0);
	else
		ask(client);
}

static void ask(struct client *client)
{
	struct load *load = client->load;
	struct buffer text;
	struct error error;

	if (load->asked == load->wanted)
		return;
	if (client->at == 0 && id_make(client->launch, &error) != NC_OK)
		loop_stop(load->loop, 1);
	buffer_init(&text);
	fill(client, load->templates[client->at], &text);
	client->at = (client->at + 1) % load->templates_count;
	load->asked++;
	client->asked_ns = now_ns();
	if (text.failed || door_ask(client->door, text.data, text.len, ANSWER_MS, answered, client,
				   &error) != NC_OK)
		loop_stop(load->loop, 1);
	buffer_finish(&text);
}

static int compare(const void *a, const void *b)
{
	const int64_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

static int print(struct load *load, int64_t took_ns)
{
	qsort(load->took_ns, load->answered, sizeof(*load->took_ns), compare);
	(void)printf("%.0f %" PRId64 " %" PRId64 " %zu\n",
		(double)load->answered * 1e9 / (double)took_ns,
		load->took_ns[load->answered / 2] / 1000,
		load->took_ns[load->answered * 99 / 100] / 1000, load->wrong);
	return load->wrong == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	static struct client clients[CLIENTS_MOST];
	struct load load = { 0 };
	size_t count = argc > 4 ? strtoul(argv[2], NULL, 10) : 0;
	struct error error = { 0 };
	int64_t began_ns;
	int status = 1;

	if (count < 1 || count > CLIENTS_MOST || (load.wanted = strtoul(argv[3], NULL, 10)) < 1) {
		(void)fprintf(stderr, "usage: door_load PATH CLIENTS COUNT TEMPLATE...\n");
		return 2;
	}
	load.templates = argv + 4;
	load.templates_count = (size_t)argc - 4;
	load.took_ns = calloc(load.wanted, sizeof(*load.took_ns));
	if (load.took_ns == NULL || loop_create(&load.loop, &error) != NC_OK)
		return 1;
	began_ns = now_ns();
	for (size_t i = 0; i < count; i++) {
		clients[i].load = &load;
		if (door_client_create(load.loop, argv[1], &clients[i].door, &error) != NC_OK)
			return 1;
		ask(&clients[i]);
	}
	if (loop_run(load.loop, &error) == 0)
		status = print(&load, now_ns() - began_ns);
	else
		(void)fprintf(stderr, "door_load: %s\n", error.text);
	for (size_t i = 0; i < count; i++)
		door_client_destroy(clients[i].door);
	loop_destroy(load.loop);
	free(load.took_ns);
	return status;
}
