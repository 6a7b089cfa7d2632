/* Any bytes as JSON: refused with words, or read and written again as JSON that can be read. */
#include <stdint.h>
#include <stdlib.h>

#include "core/data/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct value *value = NULL, *again = NULL;
	struct error error = { 0 };
	struct buffer out;

	if (json_read((const char *)bytes, size, &yaml_message_limits, &value, &error) != NC_OK) {
		if (error.text[0] == '\0' || value != NULL)
			abort();
		return 0;
	}
	buffer_init(&out);
	json_write(value, 0, &out);
	if (out.failed ||
		json_read(out.data, out.len, &yaml_file_limits, &again, &error) != NC_OK ||
		!value_equal(value, again))
		abort();
	buffer_finish(&out);
	value_destroy(value);
	value_destroy(again);
	return 0;
}
