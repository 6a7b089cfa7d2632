/* Any bytes as a line that a worker writes on descriptor 3. */
#include <stdint.h>
#include <stdlib.h>

#include "core/work/contract.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct contract_line line = { 0 };
	struct error error = { 0 };

	if (contract_read((const char *)bytes, size, &line, &error) != NC_OK) {
		if (error.text[0] == '\0')
			abort();
		return 0;
	}
	contract_line_finish(&line);
	return 0;
}
