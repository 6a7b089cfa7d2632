/* Any bytes as the environment file of a deployment. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/environment_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct environment_file file = { 0 };
	struct error error = { 0 };

	if (environment_file_read((const char *)bytes, size, &file, &error) != NC_OK) {
		if (error.text[0] == '\0')
			abort();
		return 0;
	}
	for (size_t i = 0; i < file.count; i++)
		if (environment_file_get(&file, file.entries[i].name) != file.entries[i].value)
			abort();
	environment_file_finish(&file);
	return 0;
}
