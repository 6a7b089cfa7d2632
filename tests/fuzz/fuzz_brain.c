/*
 * Any bytes as the messages of a day, each behind a line `---`: every one is answered, with a reply that is a
 * message again; what comes a second time with its id launches nothing and changes nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/brain.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const char rules_text[] =
	"sleep:\n  - on: success\n    launch: <payload[next]> [<payload[x]>]\n"
	"  - on: [crash, lost]\n    launch: sleep <launch[reason]>\n";
static struct config_type types[] = {
	{ (char *)"success", (char *)"went well" },
	{ (char *)"need", (char *)"asks" },
	{ (char *)"clear checklist", (char *)"clears" },
};
static struct config_worker workers[] = {
	{ .name = (char *)"s", .types = types, .types_count = ARRAY_LEN(types) },
	{ .name = (char *)"sleep",
		.checklist_key = (char *)"sleepyhead",
		.types = types,
		.types_count = ARRAY_LEN(types) },
};
static const struct config config = { .workers = workers, .workers_count = ARRAY_LEN(workers) };

static void require(int condition)
{
	if (!condition)
		abort();
}

static void check(const struct transaction *t)
{
	struct message again;
	struct buffer text;

	require(strcmp(t->reply.source, "manager") == 0 && t->reply.payload != NULL);
	buffer_init(&text);
	message_write(&t->reply, &text);
	require(message_read(text.data, text.len, &again, NULL) == NC_OK);
	require(strcmp(again.type, t->reply.type) == 0);
	message_finish(&again);
	buffer_finish(&text);
}

static void handle(struct brain *brain, const char *bytes, size_t len)
{
	struct transaction first, second;
	struct message message;
	bool once;

	require(brain_handle(brain, bytes, len, 1, &first, NULL) == NC_OK);
	check(&first);
	once = message_read(bytes, len, &message, NULL) == NC_OK && message.id != NULL;
	message_finish(&message);
	if (once) {
		require(brain_handle(brain, bytes, len, 1, &second, NULL) == NC_OK);
		require(second.launches_count == 0 && !second.checklist_changed);
		require(strcmp(first.reply.type, second.reply.type) == 0);
		transaction_finish(&second);
	}
	for (size_t i = 0; i < first.launches_count; i++) {
		if (i % 2 == 1)
			continue;
		require(brain_launch_failed(brain, first.launches[i].id, "no such host", 1, &second,
				NULL) == NC_OK);
		transaction_finish(&second);
	}
	transaction_finish(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char mark[] = "\n---\n";
	const char *text = (const char *)bytes;
	struct rules *rules = NULL;
	struct brain *brain = NULL;
	struct store *store = NULL;

	require(rules_read("r", rules_text, strlen(rules_text), &config, &rules, NULL, NULL) ==
		NC_OK);
	require(store_open(NULL, &store, NULL) == NC_OK);
	require(brain_create(&config, rules, store, "boot", &brain, NULL) == NC_OK);
	while (size > 0) {
		const char *end = memmem(text, size, mark, strlen(mark));
		size_t len = end != NULL ? (size_t)(end - text) : size;
		size_t taken = end != NULL ? len + strlen(mark) : size;

		handle(brain, text, len);
		text += taken;
		size -= taken;
	}
	brain_destroy(brain);
	store_close(store);
	rules_destroy(rules);
	return 0;
}
