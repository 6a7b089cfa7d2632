/* Any bytes as records of a log spool: refused, or read; and what was read is written as the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/log_batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	size_t at = 0;

	while (at < size) {
		/* Of its own, so that a byte read beyond the end is seen. */
		size_t left = size - at, taken = 0;
		char *copy = malloc(left), *again;
		struct log_record record;
		uint64_t number;
		struct error error = { 0 };
		enum nc_err err;

		if (copy == NULL)
			abort();
		memcpy(copy, bytes + at, left);
		err = log_batch_read(copy, left, &record, &number, &taken, &error);
		if (err != NC_OK) {
			free(copy);
			if (error.text[0] == '\0' || (err != NC_ERR_SYNTAX && err != NC_ERR_LIMIT))
				abort();
			return 0;
		}
		if (taken == 0 || taken > left || log_batch_size(&record) != taken)
			abort();
		again = malloc(taken);
		if (again == NULL)
			abort();
		log_batch_write(&record, number, again);
		if (memcmp(again, copy, taken) != 0)
			abort();
		free(again);
		free(copy);
		at += taken;
	}
	return 0;
}
