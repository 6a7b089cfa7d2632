/* The records of a batch are logged, and what is missing between them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/system/clock.h"
#include "core/system/log_batch.h"
#include "daemons/log_intake_internal.h"

static void log_missing(
	struct intake *intake, const struct log_spool_head *head, uint64_t count, int64_t real_ns)
{
	char text[200];

	if (head->lost_errno == ENOBUFS)
		(void)snprintf(text, sizeof(text),
			"%" PRIu64 " log line%s could not be kept for the log aggregator: the "
			"spool of the process is full",
			count, count == 1 ? "" : "s");
	else if (head->lost_errno != 0)
		(void)snprintf(text, sizeof(text),
			"%" PRIu64 " log line%s could not be kept for the log aggregator: %s",
			count, count == 1 ? "" : "s", strerrordesc_np((int)head->lost_errno));
	else
		(void)snprintf(text, sizeof(text), "%" PRIu64 " log line%s missing here", count,
			count == 1 ? " is" : "s are");
	log_record(*intake->log, &(struct log_record){ .logger = head->name,
					 .level = LEVEL_ERROR,
					 .real_ns = real_ns,
					 .process_id = head->process_id,
					 .host = head->host,
					 .message = text });
}

size_t intake_log_records(
	struct intake *intake, const struct log_spool_head *head, uint64_t *number, bool *sync)
{
	const struct buffer *bytes = &intake->bytes;
	size_t at = 0;

	while (at < bytes->len) {
		struct log_record record;
		uint64_t this_one;
		size_t size;

		if (log_batch_read(bytes->data + at, bytes->len - at, &record, &this_one, &size,
			    NULL) != NC_OK ||
			this_one < *number)
			break;
		if (this_one > *number)
			log_missing(intake, head, this_one - *number, record.real_ns);
		log_record(*intake->log, &record);
		*sync = *sync || record.level >= LEVEL_ERROR || this_one > *number;
		*number = this_one + 1;
		at += size;
	}
	return at;
}

bool intake_log_rest(struct intake *intake, const struct log_spool_head *head, uint64_t *number)
{
	if (head->next_number <= *number)
		return false;
	log_missing(intake, head, head->next_number - *number,
		head->lost_ns > 0 ? head->lost_ns : clock_real_ns());
	*number = head->next_number;
	return true;
}
