#include "core/system/log_spool.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system/sys.h"

void log_spool_name(const char *source, uint32_t segment, char name[LOG_SPOOL_NAME_SIZE])
{
	(void)snprintf(name, LOG_SPOOL_NAME_SIZE, "%.36s-%06u" LOG_SPOOL_SUFFIX, source,
		segment % (LOG_SPOOL_SEGMENT_MOST + 1U));
}

bool log_spool_is_name(const char *name)
{
	char source[ID_TEXT_SIZE];

	if (strlen(name) != LOG_SPOOL_NAME_SIZE - 1 || name[ID_TEXT_SIZE - 1] != '-' ||
		strcmp(name + ID_TEXT_SIZE + 6, LOG_SPOOL_SUFFIX) != 0)
		return false;
	for (int i = 0; i < 6; i++) {
		if (!isdigit((unsigned char)name[ID_TEXT_SIZE + i]))
			return false;
	}
	memcpy(source, name, ID_TEXT_SIZE - 1);
	source[ID_TEXT_SIZE - 1] = '\0';
	return id_is_valid(source);
}

static bool head_is_good(const struct log_spool_head *head)
{
	return memcmp(head->magic, LOG_SPOOL_MAGIC, sizeof(head->magic)) == 0 &&
	       memchr(head->source, '\0', sizeof(head->source)) != NULL &&
	       id_is_valid(head->source) && memchr(head->name, '\0', sizeof(head->name)) != NULL &&
	       memchr(head->host, '\0', sizeof(head->host)) != NULL &&
	       head->acked >= LOG_SPOOL_DATA && head->acked <= head->written &&
	       head->written <= head->size && head->first_number <= head->acked_number &&
	       head->next_number >= head->first_number;
}

enum nc_err log_spool_look(struct log_spool *spool, struct error *error)
{
	struct log_spool_head head;
	struct stat status;
	ssize_t count;

	/* First the lock, then the head: what is read after the owner's end is all of it. */
	if (!spool->abandoned)
		spool->abandoned = flock(spool->fd, LOCK_EX | LOCK_NB) == 0;
	count = sys_pread_all(spool->fd, &head, sizeof(head), 0);
	if (count < 0 || fstat(spool->fd, &status) < 0)
		return error_errno(error, errno, "cannot read a file of the log spool");
	if (count != sizeof(head) || !head_is_good(&head) || status.st_size < (off_t)head.size)
		return error_set(error, NC_ERR_SYNTAX, "this is no file of a log spool");
	spool->head = head;
	return NC_OK;
}

enum nc_err log_spool_open(const char *path, struct log_spool *ret_spool, struct error *error)
{
	struct log_spool spool = { 0 };
	struct stat status;
	enum nc_err err = NC_OK;

	/* O_NONBLOCK: whatever somebody has put there must not hold us. */
	spool.fd = sys_open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	if (spool.fd < 0) {
		err = error_errno(error, errno, "cannot open %s", path);
		return errno == ENOENT ? NC_ERR_NOT_FOUND : err;
	}
	if (fstat(spool.fd, &status) < 0)
		err = error_errno(error, errno, "cannot look at %s", path);
	else if (!S_ISREG(status.st_mode))
		err = error_set(error, NC_ERR_SYNTAX, "%s is no regular file", path);
	else
		err = log_spool_look(&spool, error);
	if (err != NC_OK)
		(void)sys_close(spool.fd);
	else
		*ret_spool = spool;
	return err;
}

void log_spool_close(struct log_spool *spool)
{
	if (spool->fd >= 0)
		(void)sys_close(spool->fd); /* each write was checked */
	spool->fd = -1;
}

enum nc_err log_spool_read(
	struct log_spool *spool, size_t most, struct buffer *out, struct error *error)
{
	uint64_t left = spool->head.written - spool->head.acked;
	size_t want = left < most ? (size_t)left : most;
	ssize_t count;

	if (!buffer_reserve(out, want))
		return error_nomem(error);
	count = sys_pread_all(spool->fd, out->data + out->len, want, (off_t)spool->head.acked);
	if (count < 0)
		return error_errno(error, errno, "cannot read a file of the log spool");
	out->len += (size_t)count;
	out->data[out->len] = '\0';
	return NC_OK;
}

enum nc_err log_spool_acknowledge(
	struct log_spool *spool, uint64_t offset, uint64_t number, struct error *error)
{
	struct log_spool_head *head = &spool->head;
	const size_t from = offsetof(struct log_spool_head, acked);
	const size_t len = offsetof(struct log_spool_head, touched) - from;

	head->acked = offset;
	head->acked_number = number;
	head->asleep = 1;
	/* The blocks are there: this does not fail on a full disk. */
	if (sys_pwrite_all(spool->fd, (const char *)head + from, len, (off_t)from) < 0)
		return error_errno(error, errno, "cannot acknowledge in a file of the log spool");
	return NC_OK;
}
