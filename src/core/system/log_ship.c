/*
 * The owner's side of the spool (log_spool.h): a record goes into the file of the process, behind the
 * others; a file that is full is left to the aggregator, and the next one made.
 *
 * Files are small at first and then larger, up to a bound for all of them that the aggregator has not taken
 * yet. Beyond it, and while none can be made, lines are counted: each takes a number, and so the aggregator
 * says how many are missing where they are missing.
 *
 * One process may log through a fork of itself (the runner and its worker): the copy starts a source of
 * its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/file.h"
#include "core/system/log_batch.h"
#include "core/system/log_internal.h"
#include "core/system/log_spool.h"
#include "core/system/sys.h"

enum {
	SEGMENT_FIRST = 64 << 10, /* the first file; each next one has twice the size, */
	SEGMENT_MOST = 4 << 20,   /* up to this */
	SPOOL_MOST = 64 << 20,    /* of one process */
	RETRY_MS = 100,           /* after a file could not be made */
};

struct log_shipper {
	char *directory;
	char *process_name;
	char *host;
	pid_t process_id; /* whose spool this is */
	char source[ID_TEXT_SIZE];

	int fd;                      /* of the file that is written, or -1 */
	struct log_spool_head *head; /* the mapping of it, or NULL */
	uint32_t segment;            /* its number; the first one has 1 */
	uint32_t oldest;             /* that may still be there */
	uint64_t number;             /* of the next line */
	uint64_t lost_before;        /* lines, before there was a file */
	int lost_errno;
	int64_t retry_ms;
};

/* --- the file --- */

static void leave_file(struct log_shipper *shipper)
{
	if (shipper->head != NULL)
		(void)munmap(shipper->head, shipper->head->size);
	if (shipper->fd >= 0)
		(void)sys_close(shipper->fd); /* and with it the lock: the aggregator is told */
	shipper->head = NULL;
	shipper->fd = -1;
}

static size_t size_of_segment(uint32_t segment)
{
	size_t size = SEGMENT_FIRST;

	while (segment-- > 1 && size < SEGMENT_MOST)
		size *= 2;
	return size;
}

static char *make_path(const struct log_shipper *shipper, uint32_t segment, const char *suffix)
{
	char name[LOG_SPOOL_NAME_SIZE];
	struct buffer path;

	log_spool_name(shipper->source, segment, name);
	buffer_init(&path);
	buffer_printf(&path, "%s/%s%s", shipper->directory, name, suffix);
	return buffer_steal(&path);
}

/* Would one more file be more than a process may have there? */
static bool is_over_bound(struct log_shipper *shipper)
{
	size_t sum = 0;

	while (shipper->oldest <= shipper->segment) {
		char *path = make_path(shipper, shipper->oldest, "");
		bool gone = path != NULL && access(path, F_OK) < 0 && errno == ENOENT;

		free(path);
		if (!gone)
			break;
		shipper->oldest++;
	}
	for (uint32_t segment = shipper->oldest; segment <= shipper->segment; segment++)
		sum += size_of_segment(segment);
	return sum + size_of_segment(shipper->segment + 1) > SPOOL_MOST;
}

/* All of its blocks, so that the disk cannot be full later. false: errno. */
static bool allocate(int fd, size_t size)
{
	static const char zeros[4096];

	if (fallocate(fd, 0, 0, (off_t)size) == 0)
		return true;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return false;
	for (size_t done = 0; done < size; done += sizeof(zeros)) {
		if (sys_write_all(fd, zeros, sizeof(zeros)) < 0)
			return false;
	}
	return true;
}

static void copy_words(char *out, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size) {
		len = size - 1;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(out, text, len);
	out[len] = '\0';
}

static void fill_head(const struct log_shipper *shipper, struct log_spool_head *head,
	uint32_t segment, size_t size)
{
	/* Lines that were lost before the first file are missing in front of it. */
	uint64_t first = segment == 1 ? 1 : shipper->number;

	*head = (struct log_spool_head){
		.segment = segment,
		.size = (uint32_t)size,
		.process_id = shipper->process_id,
		.first_number = first,
		.written = LOG_SPOOL_DATA,
		.next_number = shipper->number,
		.lost_ns = shipper->lost_before > 0 ? clock_real_ns() : 0,
		.lost_errno = shipper->lost_before > 0 ? shipper->lost_errno : 0,
		.acked = LOG_SPOOL_DATA,
		.acked_number = first,
		.asleep = 1,
	};
	memcpy(head->magic, LOG_SPOOL_MAGIC, sizeof(head->magic));
	copy_words(head->source, sizeof(head->source), shipper->source);
	copy_words(head->name, sizeof(head->name), shipper->process_name);
	copy_words(head->host, sizeof(head->host), shipper->host);
}

/* Under `path`, complete and locked before it has its name. -1: errno. */
static int make_file(const struct log_shipper *shipper, uint32_t segment, const char *path,
	const char *temporary, size_t size)
{
	struct log_spool_head head;
	int fd = sys_open(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	int sys_errno;

	if (fd < 0)
		return -1;
	fill_head(shipper, &head, segment, size);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && allocate(fd, size) &&
		sys_pwrite(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
		sys_rename(temporary, path) == 0)
		return fd;
	sys_errno = errno;
	(void)sys_unlink(temporary);
	(void)sys_close(fd);
	errno = sys_errno;
	return -1;
}

/* Make and open the file of `segment`. -1: errno. */
static int open_file(struct log_shipper *shipper, uint32_t segment, size_t size, const char *path)
{
	char *temporary = make_path(shipper, segment, ".new");
	int fd = -1, sys_errno;

	if (temporary == NULL)
		errno = ENOMEM;
	else if (segment > LOG_SPOOL_SEGMENT_MOST || is_over_bound(shipper))
		errno = ENOBUFS;
	else if (sys_mkdir(shipper->directory, 0700) == 0 || errno == EEXIST)
		fd = make_file(shipper, segment, path, temporary, size);
	sys_errno = errno;
	free(temporary);
	errno = sys_errno;
	return fd;
}

/* The next file, with room for a record of `need` bytes. false: errno; the one before is still there. */
static bool next_file(struct log_shipper *shipper, size_t need)
{
	uint32_t segment = shipper->segment + 1;
	size_t size = size_of_segment(segment);
	char *path = make_path(shipper, segment, "");
	void *mapping = MAP_FAILED;
	int fd = -1, sys_errno;

	if (size < need + LOG_SPOOL_DATA)
		size = (need + LOG_SPOOL_DATA + 4095) & ~(size_t)4095;
	if (path == NULL) {
		errno = ENOMEM;
		return false;
	}
	fd = open_file(shipper, segment, size, path);
	if (fd >= 0)
		mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	sys_errno = errno;
	if (fd >= 0 && mapping == MAP_FAILED) {
		(void)sys_unlink(path);
		(void)sys_close(fd);
	}
	free(path);
	errno = sys_errno;
	if (mapping == MAP_FAILED)
		return false;
	leave_file(shipper);
	shipper->fd = fd;
	shipper->head = mapping;
	shipper->segment = segment;
	shipper->lost_before = 0;
	return true;
}

/* --- records --- */

/* Between us and the aggregator: each side sees what the other has stored, in order. */
static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static void lose(struct log_shipper *shipper, int sys_errno)
{
	struct log_spool_head *head = shipper->head;

	shipper->number++;
	shipper->lost_errno = sys_errno;
	if (head == NULL) {
		shipper->lost_before++;
		return;
	}
	head->lost_errno = sys_errno;
	head->lost_ns = clock_real_ns();
	store(&head->next_number, shipper->number);
}

static bool has_room(const struct log_shipper *shipper, size_t size)
{
	return shipper->head != NULL && shipper->head->size - shipper->head->written >= size;
}

/* Room for a record, if need be in the next file. false: errno. */
static bool make_room(struct log_shipper *shipper, size_t size)
{
	int64_t now_ms;

	if (has_room(shipper, size))
		return true;
	now_ms = clock_mono_ms();
	if (now_ms < shipper->retry_ms) {
		errno = shipper->lost_errno;
		return false;
	}
	if (next_file(shipper, size))
		return true;
	shipper->retry_ms = now_ms + RETRY_MS;
	return false;
}

static void wake_aggregator(struct log_shipper *shipper)
{
	const off_t at = offsetof(struct log_spool_head, touched);
	uint32_t one = 1;

	if (__atomic_exchange_n(&shipper->head->asleep, 0, __ATOMIC_SEQ_CST) == 0)
		return;
	/* If this fails, it looks by itself, in the end. */
	(void)sys_pwrite(shipper->fd, &one, sizeof(one), at);
}

static void put_record(struct log_shipper *shipper, const struct log_record *record)
{
	size_t size = log_batch_size(record);
	struct log_spool_head *head;

	if (!make_room(shipper, size)) {
		lose(shipper, errno);
		return;
	}
	head = shipper->head;
	log_batch_write(record, shipper->number, (char *)head + head->written);
	shipper->number++;
	/* In this order: a number without its line would be a lost line. */
	store(&head->written, head->written + size);
	store(&head->next_number, shipper->number);
	if (__atomic_load_n(&head->asleep, __ATOMIC_SEQ_CST) != 0)
		wake_aggregator(shipper);
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

static enum nc_err start_source(struct log_shipper *shipper, struct error *error)
{
	shipper->process_id = getpid();
	shipper->segment = 0;
	shipper->oldest = 1;
	shipper->number = 1;
	shipper->lost_before = 0;
	shipper->retry_ms = 0;
	return id_make(shipper->source, error);
}

void log_shipper_add(struct log_shipper *shipper, const struct log_view *view, bool keep_newlines)
{
	const char *message = view->message;
	size_t left = strlen(message);

	if (shipper->process_id != getpid()) {
		leave_file(shipper); /* it is the other process's, which goes on with it */
		if (start_source(shipper, NULL) != NC_OK) {
			shipper->process_id = 0; /* tried again with the next line */
			return;
		}
	}
	do {
		size_t len = part_length(message, left);
		char *part = len < left ? strndup(message, len) : NULL;

		put_record(shipper, &(struct log_record){ .logger = view->logger,
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
	/* Those outlive a power failure (promises.md, R15); the others the process only. */
	if (view->level >= LEVEL_ERROR && shipper->fd >= 0 && sys_fdatasync(shipper->fd) < 0)
		shipper->lost_errno = errno;
}

/* --- beginning and end --- */

enum nc_err log_shipper_create(const struct config *config, const char *process_name,
	const char *host, struct log_shipper **ret_shipper, struct error *error)
{
	struct log_shipper *shipper = calloc(1, sizeof(*shipper));
	enum nc_err err;

	if (shipper == NULL)
		return error_nomem(error);
	shipper->fd = -1;
	shipper->directory = path_join(config->state_directory, STATE_LOG_SPOOL);
	shipper->process_name = strdup(process_name);
	shipper->host = strdup(host);
	if (shipper->directory == NULL || shipper->process_name == NULL || shipper->host == NULL)
		err = error_nomem(error);
	else
		err = start_source(shipper, error);
	if (err != NC_OK) {
		log_shipper_destroy(shipper);
		return err;
	}
	*ret_shipper = shipper;
	return NC_OK;
}

void log_shipper_destroy(struct log_shipper *shipper)
{
	if (shipper == NULL)
		return;
	if (shipper->lost_before > 0 && shipper->process_id == getpid())
		(void)dprintf(STDERR_FILENO,
			"%s: %" PRIu64 " log line%s could not be kept for the log aggregator in "
			"%s: %s\n",
			shipper->process_name, shipper->lost_before,
			shipper->lost_before == 1 ? "" : "s", shipper->directory,
			strerrordesc_np(shipper->lost_errno));
	leave_file(shipper);
	free(shipper->directory);
	free(shipper->process_name);
	free(shipper->host);
	free(shipper);
}
