#include "core/system/log_batch.h"

#include <assert.h>
#include <string.h>

enum {
	RECORD_MAGIC = 0x4c52, /* `RL` */
	LEVEL_MOST = 1000,
	FLAG_KEEP_NEWLINES = 1,
};

struct head {
	uint32_t size; /* of all, with the zeros at the end */
	uint16_t magic;
	uint16_t level;
	uint64_t number;
	int64_t real_ns;
	int64_t process_id;
	uint32_t flags;
	uint32_t logger_len, host_len, message_len;
};

static_assert(sizeof(struct head) % 8 == 0, "texts follow without a hole");

/* The lengths of the texts, which are cut at a character. */
static size_t measure(const char *text, size_t most)
{
	size_t len = strlen(text);

	if (len <= most)
		return len;
	len = most;
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return len;
}

static struct head head_of(const struct log_record *record)
{
	struct head head = {
		.magic = RECORD_MAGIC,
		.level = (uint16_t)(record->level < LEVEL_MOST ? record->level : LEVEL_MOST),
		.real_ns = record->real_ns,
		.process_id = record->process_id,
		.flags = record->keep_newlines ? FLAG_KEEP_NEWLINES : 0,
		.logger_len = (uint32_t)measure(record->logger, LOG_BATCH_LOGGER_MOST),
		.host_len = (uint32_t)measure(record->host, LOG_BATCH_HOST_MOST),
		.message_len = (uint32_t)measure(record->message, LOG_BATCH_MESSAGE_MOST),
	};
	size_t size = sizeof(head) + head.logger_len + head.host_len + head.message_len + 3;

	head.size = (uint32_t)((size + 7) & ~(size_t)7);
	return head;
}

size_t log_batch_size(const struct log_record *record)
{
	return head_of(record).size;
}

static char *put_text(char *at, const char *text, size_t len)
{
	memcpy(at, text, len);
	at[len] = '\0';
	return at + len + 1;
}

void log_batch_write(const struct log_record *record, uint64_t number, char *out)
{
	struct head head = head_of(record);
	char *at = out + sizeof(head);

	head.number = number;
	memcpy(out, &head, sizeof(head));
	at = put_text(at, record->logger, head.logger_len);
	at = put_text(at, record->host, head.host_len);
	at = put_text(at, record->message, head.message_len);
	memset(at, 0, (size_t)(out + head.size - at));
}

static bool head_is_good(const struct head *head)
{
	size_t size = sizeof(*head) + 3;

	if (head->magic != RECORD_MAGIC || head->level > LEVEL_MOST || head->real_ns <= 0 ||
		head->flags > FLAG_KEEP_NEWLINES || head->logger_len > LOG_BATCH_LOGGER_MOST ||
		head->host_len > LOG_BATCH_HOST_MOST || head->message_len > LOG_BATCH_MESSAGE_MOST)
		return false;
	size += head->logger_len + head->host_len + head->message_len;
	return head->size == ((size + 7) & ~(size_t)7);
}

/* Texts without a NUL inside, and with nothing but NULs behind. */
static bool texts_are_good(const struct head *head, const char *texts)
{
	const char *host = texts + head->logger_len + 1;
	const char *message = host + head->host_len + 1;
	const char *end = texts + head->size - sizeof(*head);

	if (strlen(texts) != head->logger_len || strlen(host) != head->host_len ||
		strlen(message) != head->message_len)
		return false;
	for (const char *at = message + head->message_len; at < end; at++) {
		if (*at != '\0')
			return false;
	}
	return true;
}

enum nc_err log_batch_read(const char *bytes, size_t len, struct log_record *ret_record,
	uint64_t *ret_number, size_t *ret_size, struct error *error)
{
	const char *texts = bytes + sizeof(struct head);
	struct head head;

	if (len < sizeof(head))
		return error_set(error, NC_ERR_LIMIT, "the bytes end within a log record");
	memcpy(&head, bytes, sizeof(head));
	if (!head_is_good(&head))
		return error_set(error, NC_ERR_SYNTAX, "the bytes are no log record");
	if (len < head.size)
		return error_set(error, NC_ERR_LIMIT, "the bytes end within a log record");
	/* strlen() in there ends: the last byte of a record is a NUL. */
	if (bytes[head.size - 1] != '\0' || !texts_are_good(&head, texts))
		return error_set(error, NC_ERR_SYNTAX, "a text of a log record has a NUL in it");
	*ret_record = (struct log_record){
		.logger = texts,
		.level = head.level,
		.real_ns = head.real_ns,
		.process_id = head.process_id,
		.host = texts + head.logger_len + 1,
		.message = texts + head.logger_len + 1 + head.host_len + 1,
		.keep_newlines = head.flags == FLAG_KEEP_NEWLINES,
	};
	*ret_number = head.number;
	*ret_size = head.size;
	return NC_OK;
}
