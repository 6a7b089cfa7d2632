/*
 * Records wait in a queue, each as a JSON text behind a newline, and leave it from the front in batches
 * (log_batch.h) through the aggregator's local door, which answers when the lines are written. A batch
 * that was sent once keeps its number and its records until it is answered.
 *
 * One process may log through a fork of itself (the runner and its worker): the copy starts a source of
 * its own.
 *
 * What cannot be shipped, because the queue is full or the process ends, goes to a spool file in the
 * state directory, whole (temporary name, rename): the aggregator takes it from there.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/data/json.h"
#include "core/system/clock.h"
#include "core/system/door.h"
#include "core/system/file.h"
#include "core/system/log_batch.h"
#include "core/system/log_internal.h"
#include "core/system/sys.h"

enum {
	QUEUE_MOST = 1 << 20,
	SPOOL_MOST = 64 << 20, /* of one process */
	CALL_MS = 250,         /* a line is never held longer, */
	PAUSE_MS = 1000,       /* and then not again for so long; doubled at each failure, */
	PAUSE_MOST_MS = 8000,  /* up to this */
};

struct log_shipper {
	char *door_path;
	char *spool_path;
	char *process_name;
	char *host;
	pid_t process_id; /* whose queue this is */
	char source[ID_TEXT_SIZE];
	uint64_t sequence; /* of the batch in front */
	int door_fd;

	struct buffer queue;
	size_t queue_count;
	size_t batch_len, batch_count; /* the batch in front; 0: none was sent yet */
	int64_t shipped_ms;            /* when that was last done or tried */
	int64_t pause_until_ms, pause_ms;

	size_t spooled;
	uint64_t lost;
};

static enum nc_err start_source(struct log_shipper *shipper, struct error *error)
{
	shipper->process_id = getpid();
	shipper->sequence = 1;
	shipper->queue_count = shipper->batch_len = shipper->batch_count = 0;
	buffer_clear(&shipper->queue);
	return id_make(shipper->source, error);
}

enum nc_err log_shipper_create(const struct config *config, const char *process_name,
	const char *host, struct log_shipper **ret_shipper, struct error *error)
{
	struct log_shipper *shipper = calloc(1, sizeof(*shipper));
	struct buffer path;
	enum nc_err err;

	if (shipper == NULL)
		return error_nomem(error);
	shipper->door_fd = -1;
	buffer_init(&shipper->queue);
	buffer_init(&path);
	err = config_state_path(config, STATE_LOG_DOOR, &path, error);
	if (err != NC_OK)
		goto fail;
	shipper->door_path = buffer_steal(&path);
	shipper->spool_path = path_join(config->state_directory, STATE_LOG_SPOOL);
	shipper->process_name = strdup(process_name);
	shipper->host = strdup(host);
	if (shipper->door_path == NULL || shipper->spool_path == NULL ||
		shipper->process_name == NULL || shipper->host == NULL) {
		err = error_nomem(error);
		goto fail;
	}
	err = start_source(shipper, error);
	if (err != NC_OK)
		goto fail;
	*ret_shipper = shipper;
	return NC_OK;
fail:
	buffer_finish(&path);
	log_shipper_destroy(shipper, 0);
	return err;
}

/* --- batches --- */

/* How much of the queue, from `from` on, is the next batch? */
static size_t measure_batch(const struct log_shipper *shipper, size_t from, size_t *ret_count)
{
	const char *data = shipper->queue.data;
	size_t len = 0;

	*ret_count = 0;
	while (from + len < shipper->queue.len && *ret_count < LOG_BATCH_RECORDS) {
		const char *end = memchr(data + from + len, '\n', shipper->queue.len - from - len);
		size_t next = (size_t)(end - data) + 1 - from;

		if (*ret_count > 0 && next > LOG_BATCH_BYTES)
			break;
		len = next;
		(*ret_count)++;
	}
	return len;
}

/* Append the batch of `len` bytes of the queue. */
static void write_batch(const struct log_shipper *shipper, uint64_t sequence, size_t from,
	size_t len, struct buffer *out)
{
	struct buffer records;

	buffer_init(&records);
	buffer_append(&records, shipper->queue.data + from, len - 1);
	if (!records.failed) {
		for (size_t i = 0; i < records.len; i++) {
			if (records.data[i] == '\n')
				records.data[i] = ',';
		}
		log_batch_write(shipper->source, sequence, records.data, records.len, out);
	}
	out->failed = out->failed || records.failed;
	buffer_finish(&records);
}

static void forget_batch(struct log_shipper *shipper)
{
	buffer_consume(&shipper->queue, shipper->batch_len);
	shipper->queue_count -= shipper->batch_count;
	shipper->batch_len = shipper->batch_count = 0;
	shipper->sequence++;
}

/* NC_OK: the aggregator has written it; NC_ERR_REFUSED: it never will. */
static enum nc_err read_answer(const struct buffer *answer)
{
	struct value *tree = NULL;
	enum nc_err err = json_read(answer->data, answer->len, &yaml_message_limits, &tree, NULL);

	if (err != NC_ERR_NOMEM && value_map_get(tree, "written") == NULL)
		err = NC_ERR_REFUSED;
	value_destroy(tree);
	return err;
}

/* Ship the batch in front of the queue, which is not empty. */
static enum nc_err ship_batch(struct log_shipper *shipper, int64_t timeout_ms)
{
	struct buffer frame, answer;
	enum nc_err err = NC_ERR_NOMEM;

	if (shipper->batch_len == 0)
		shipper->batch_len = measure_batch(shipper, 0, &shipper->batch_count);
	buffer_init(&frame);
	buffer_init(&answer);
	write_batch(shipper, shipper->sequence, 0, shipper->batch_len, &frame);
	if (!frame.failed)
		err = door_call_kept(&shipper->door_fd, shipper->door_path, frame.data, frame.len,
			timeout_ms, &answer, NULL);
	if (err == NC_OK) {
		err = read_answer(&answer);
		if (err == NC_ERR_REFUSED) {
			/* It would be refused again. */
			shipper->lost += shipper->batch_count;
			err = NC_OK;
		}
		if (err == NC_OK)
			forget_batch(shipper);
	}
	buffer_finish(&answer);
	buffer_finish(&frame);
	return err;
}

static void add_lost_record(struct log_shipper *shipper);

bool log_shipper_is_waiting(const struct log_shipper *shipper)
{
	return shipper->queue_count > 0 && shipper->process_id == getpid();
}

bool log_shipper_flush(struct log_shipper *shipper, int64_t timeout_ms)
{
	int64_t end_ms = clock_mono_ms() + timeout_ms;

	if (shipper->process_id != getpid())
		return true; /* those lines are the other process's */
	shipper->shipped_ms = clock_mono_ms();
	while (shipper->queue_count > 0) {
		int64_t now_ms = clock_mono_ms();
		int64_t left_ms = end_ms - now_ms;

		if (now_ms < shipper->pause_until_ms || left_ms <= 0)
			return false;
		if (ship_batch(shipper, left_ms < CALL_MS ? left_ms : CALL_MS) != NC_OK) {
			shipper->pause_ms = shipper->pause_ms == 0 ? PAUSE_MS
					    : shipper->pause_ms < PAUSE_MOST_MS
						    ? 2 * shipper->pause_ms
						    : PAUSE_MOST_MS;
			shipper->pause_until_ms = clock_mono_ms() + shipper->pause_ms;
			return false;
		}
		shipper->pause_ms = 0;
		if (shipper->lost > 0)
			add_lost_record(shipper);
	}
	return true;
}

/* --- the spool --- */

static enum nc_err write_spool(struct log_shipper *shipper, const char *bytes, size_t len)
{
	struct buffer path, temporary;
	enum nc_err err = NC_OK;
	int fd = -1;

	buffer_init(&path);
	buffer_init(&temporary);
	/* Names sort by time: the source does, and its batches are counted. */
	buffer_printf(&path, "%s/%s-%012" PRIu64 LOG_SPOOL_SUFFIX, shipper->spool_path,
		shipper->source, shipper->sequence);
	buffer_printf(&temporary, "%s.new", path.data);
	if (path.failed || temporary.failed)
		err = NC_ERR_NOMEM;
	else if (sys_mkdir(shipper->spool_path, 0700) < 0 && errno != EEXIST)
		err = NC_ERR_SYSTEM;
	if (err == NC_OK) {
		fd = sys_open(temporary.data, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
		if (fd < 0 || sys_write_all(fd, bytes, len) < 0)
			err = NC_ERR_SYSTEM;
	}
	if (fd >= 0 && sys_close(fd) < 0)
		err = NC_ERR_SYSTEM;
	if (err == NC_OK && sys_rename(temporary.data, path.data) < 0)
		err = NC_ERR_SYSTEM;
	if (err != NC_OK && fd >= 0)
		(void)sys_unlink(temporary.data);
	buffer_finish(&temporary);
	buffer_finish(&path);
	return err;
}

/* All that waits becomes a spool file, or is counted as lost. */
static void spool(struct log_shipper *shipper)
{
	struct buffer lines;
	uint64_t sequence = shipper->sequence;
	size_t from = 0;
	enum nc_err err = NC_ERR_LIMIT;

	if (shipper->queue_count == 0)
		return;
	buffer_init(&lines);
	while (from < shipper->queue.len) {
		size_t count;
		size_t len = from == 0 && shipper->batch_len > 0
				     ? shipper->batch_len
				     : measure_batch(shipper, from, &count);

		write_batch(shipper, sequence++, from, len, &lines);
		buffer_append_char(&lines, '\n');
		from += len;
	}
	if (shipper->spooled + lines.len <= SPOOL_MOST)
		err = lines.failed ? NC_ERR_NOMEM : write_spool(shipper, lines.data, lines.len);
	if (err == NC_OK)
		shipper->spooled += lines.len;
	else
		shipper->lost += shipper->queue_count;
	buffer_finish(&lines);
	shipper->sequence = sequence;
	shipper->queue_count = shipper->batch_len = shipper->batch_count = 0;
	buffer_clear(&shipper->queue);
}

/* --- records --- */

static void queue_record(struct log_shipper *shipper, const struct log_record *record)
{
	size_t before = shipper->queue.len;

	shipper->queue.failed = false;
	log_batch_write_record(record, &shipper->queue);
	buffer_append_char(&shipper->queue, '\n');
	if (shipper->queue.failed) {
		shipper->queue.len = before;
		if (shipper->queue.capacity > 0)
			shipper->queue.data[before] = '\0';
		shipper->queue.failed = false;
		shipper->lost++;
		return;
	}
	shipper->queue_count++;
}

static void add_lost_record(struct log_shipper *shipper)
{
	uint64_t lost = shipper->lost;
	char text[160];

	(void)snprintf(text, sizeof(text),
		"%" PRIu64 " log line%s could not be kept for the log aggregator", lost,
		lost == 1 ? "" : "s");
	shipper->lost = 0;
	queue_record(shipper, &(struct log_record){ .logger = shipper->process_name,
				      .level = LEVEL_ERROR,
				      .real_ns = clock_real_ns(),
				      .process_id = shipper->process_id,
				      .host = shipper->host,
				      .message = text });
	if (shipper->lost > 0)
		shipper->lost = lost;
}

/* The length of the first part of `text` that fits into a record, whole characters. */
static size_t part_length(const char *text, size_t len)
{
	if (len <= LOG_BATCH_MESSAGE_MOST)
		return len;
	len = LOG_BATCH_MESSAGE_MOST;
	while ((text[len] & 0xc0) == 0x80)
		len--;
	return len;
}

static bool is_time_to_ship(const struct log_shipper *shipper, int level)
{
	int64_t now_ms = clock_mono_ms();

	if (now_ms < shipper->pause_until_ms)
		return false;
	return level >= LEVEL_WARNING || shipper->queue_count >= LOG_BATCH_RECORDS ||
	       shipper->queue.len >= LOG_BATCH_BYTES ||
	       now_ms - shipper->shipped_ms >= LOG_BATCH_PAUSE_MS;
}

void log_shipper_add(struct log_shipper *shipper, const struct log_view *view, bool keep_newlines)
{
	const char *message = view->message;
	size_t left = strlen(message);

	if (shipper->process_id != getpid()) {
		/* We are a fork: the connection and the queue are the other process's. */
		if (shipper->door_fd >= 0)
			(void)sys_close(shipper->door_fd);
		shipper->door_fd = -1;
		if (start_source(shipper, NULL) != NC_OK) {
			shipper->process_id = 0; /* tried again with the next line */
			return;
		}
	}
	do {
		size_t len = part_length(message, left);
		char *part = len < left ? strndup(message, len) : NULL;

		queue_record(shipper, &(struct log_record){ .logger = view->logger,
					      .level = view->level,
					      .real_ns = view->real_ns,
					      .process_id = view->process_id,
					      .host = view->host,
					      .message = part != NULL ? part : message,
					      .keep_newlines = keep_newlines });
		free(part);
		message += len;
		left -= len;
	} while (left > 0);
	if (is_time_to_ship(shipper, view->level))
		(void)log_shipper_flush(shipper, CALL_MS);
	if (shipper->queue.len > QUEUE_MOST)
		spool(shipper);
}

void log_shipper_destroy(struct log_shipper *shipper, int64_t timeout_ms)
{
	if (shipper == NULL)
		return;
	if (shipper->process_id == getpid()) {
		shipper->pause_until_ms = 0; /* one last try: the aggregator may be back */
		if (timeout_ms > 0 && !log_shipper_flush(shipper, timeout_ms))
			spool(shipper);
		if (shipper->lost > 0)
			(void)dprintf(STDERR_FILENO,
				"%s: %" PRIu64 " log line%s reached neither the log aggregator nor "
				"its spool %s\n",
				shipper->process_name, shipper->lost, shipper->lost == 1 ? "" : "s",
				shipper->spool_path);
	}
	if (shipper->door_fd >= 0)
		(void)sys_close(shipper->door_fd);
	buffer_finish(&shipper->queue);
	free(shipper->door_path);
	free(shipper->spool_path);
	free(shipper->process_name);
	free(shipper->host);
	free(shipper);
}
