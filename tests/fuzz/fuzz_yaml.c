/* Any bytes as YAML: refused with words, or read; and what was read is written so that it is read back equal. */
#include <stdint.h>
#include <stdlib.h>

#include "core/data/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	unsigned flags = size > 0 ? bytes[0] & (YAML_READ_MERGE_KEYS | YAML_READ_ALL_TEXT) : 0;
	struct value *value = NULL, *again = NULL;
	struct error error = { 0 };
	struct buffer out;

	if (size == 0)
		return 0;
	if (yaml_read((const char *)bytes + 1, size - 1, flags, &yaml_message_limits, &value,
		    &error) != NC_OK) {
		if (error.text[0] == '\0' || value != NULL)
			abort();
		return 0;
	}
	buffer_init(&out);
	yaml_write(value, bytes[0] & 4 ? YAML_WRITE_FLOW : 0, &out);
	if (out.failed)
		abort();
	if (yaml_read(out.data, out.len, 0, &yaml_file_limits, &again, &error) != NC_OK ||
		!value_equal(value, again))
		abort();
	buffer_finish(&out);
	value_destroy(value);
	value_destroy(again);
	return 0;
}
