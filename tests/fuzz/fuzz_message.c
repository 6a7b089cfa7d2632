/* Any bytes as a message: refused, or read; and what was read is written so that it is read back equal. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct message message, again;
	struct error error = { 0 };
	struct buffer out;

	if (message_read((const char *)bytes, size, &message, &error) != NC_OK) {
		if (error.text[0] == '\0' || message.payload != NULL)
			abort();
		return 0;
	}
	buffer_init(&out);
	message_write(&message, &out);
	/* Writing may make a text longer than the limit; then, and only then, it cannot be read. */
	if (message_read(out.data, out.len, &again, &error) == NC_OK) {
		if (!same(message.source, again.source) || !same(message.type, again.type) ||
			!same(message.event, again.event) || !same(message.id, again.id) ||
			!same(message.launch, again.launch) || !same(message.token, again.token) ||
			!value_equal(message.payload, again.payload) ||
			!value_equal(message.report, again.report))
			abort();
		message_finish(&again);
	} else if (error.code != NC_ERR_LIMIT) {
		abort();
	}
	buffer_finish(&out);
	message_finish(&message);
	return 0;
}
