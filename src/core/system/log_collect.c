#include "core/system/log_collect.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system/log_internal.h"
#include "core/system/sys.h"

enum {
	ROTATIONS_SEEN = 999,    /* so far as a batch under way can have rolled them over */
	WAITING_MOST = 64 << 10, /* of lines of our own while the disk is full */
	KEPT_CAPACITY = 1 << 20, /* a buffer that grew beyond is given back */
};

bool log_handler_collect(
	struct log_handler *handler, const struct log_format *format, const struct log_view *view)
{
	struct buffer *collected = &handler->collected;
	size_t before = collected->len;

	log_format_apply(format, view, collected);
	buffer_append_char(collected, '\n');
	if (!collected->failed)
		return true;
	collected->failed = false;
	collected->len = before;
	if (collected->capacity > 0)
		collected->data[before] = '\0';
	handler->lost++;
	handler->lost_errno = ENOMEM;
	return false;
}

bool log_handler_may_wait(const struct log_handler *handler)
{
	return handler->collected.len < WAITING_MOST;
}

/* --- places --- */

void log_handler_place(struct log_handler *handler, struct log_place *ret_place)
{
	struct stat status;

	if (handler->kind != HANDLER_FILE || handler->collected.len == 0)
		return;
	/* It may have been rotated; and one with `delay` is made now. */
	log_handler_check(handler);
	if (handler->fd < 0 || fstat(handler->fd, &status) < 0 || !S_ISREG(status.st_mode))
		return;
	*ret_place = (struct log_place){
		.device = status.st_dev, .inode = status.st_ino, .size = (uint64_t)status.st_size
	};
}

/* --- writing --- */

void log_handler_forget(struct log_handler *handler)
{
	if (handler->collected.capacity > KEPT_CAPACITY)
		buffer_finish(&handler->collected);
	buffer_clear(&handler->collected);
	handler->collected_done = 0;
}

/* The rest cannot be written, and never will be. */
static void give_up(struct log_handler *handler, int sys_errno)
{
	const char *data = handler->collected.data;
	size_t done = handler->collected_done;

	handler->torn = handler->torn || (done > 0 && data[done - 1] != '\n');
	for (size_t i = done; i < handler->collected.len; i++) {
		if (data[i] == '\n')
			handler->lost++;
	}
	handler->lost_errno = sys_errno;
	log_handler_forget(handler);
}

static bool is_removed(const struct log_handler *handler)
{
	struct stat status;

	return fstat(handler->fd, &status) == 0 && status.st_nlink == 0 && S_ISREG(status.st_mode);
}

/* A file that lost its name while we wrote: nobody will ever read it. */
static bool begin_anew(struct log_handler *handler)
{
	if (!is_removed(handler))
		return false;
	log_handler_check(handler);
	if (is_removed(handler))
		return false;
	handler->collected_done = 0;
	return true;
}

/* May the file be rolled over by a line, because of its size or the time? */
static bool rolls(const struct log_handler *handler)
{
	return handler->most_bytes > 0 || handler->when.kind != WHEN_NEVER;
}

/* How much to write at once: all; or one line, where it decides whether the file is rolled over first. */
static size_t next_piece(struct log_handler *handler)
{
	const char *rest = handler->collected.data + handler->collected_done;
	size_t left = handler->collected.len - handler->collected_done;
	const char *end = rolls(handler) ? memchr(rest, '\n', left) : NULL;
	size_t len = end != NULL ? (size_t)(end - rest) + 1 : left;

	/* Not within a line that stopped at a full disk. */
	if (rolls(handler) && (handler->collected_done == 0 || rest[-1] == '\n'))
		log_handler_roll(handler, len);
	return len;
}

static enum log_collected write_on(struct log_handler *handler)
{
	struct buffer *collected = &handler->collected;

	while (handler->collected_done < collected->len) {
		size_t len = next_piece(handler);
		ssize_t written =
			sys_write(handler->fd, collected->data + handler->collected_done, len);

		if (written >= 0)
			handler->collected_done += (size_t)written;
		else if (errno == ENOSPC || errno == EDQUOT)
			return LOG_COLLECTED_NO_ROOM;
		else
			break;
	}
	if (handler->collected_done < collected->len)
		give_up(handler, errno);
	return LOG_COLLECTED_WRITTEN;
}

enum log_collected log_handler_write_collected(struct log_handler *handler)
{
	enum log_collected result;

	if (handler->collected.len == 0)
		return LOG_COLLECTED_WRITTEN;
	if (handler->fd < 0)
		log_handler_check(handler);
	if (handler->fd < 0) {
		give_up(handler, ENOENT);
		return LOG_COLLECTED_WRITTEN;
	}
	if (handler->torn && handler->collected_done == 0) {
		if (sys_write(handler->fd, "\n", 1) != 1)
			return LOG_COLLECTED_NO_ROOM;
		handler->torn = false;
	}
	result = write_on(handler);
	if (result == LOG_COLLECTED_WRITTEN && handler->collected.len > 0 && begin_anew(handler))
		result = write_on(handler);
	if (result != LOG_COLLECTED_WRITTEN)
		return result;
	handler->unsynced = handler->unsynced || handler->collected.len > 0;
	log_handler_forget(handler);
	return LOG_COLLECTED_WRITTEN;
}

enum log_collected log_handler_sync(struct log_handler *handler)
{
	bool unsynced = handler->unsynced && handler->fd >= 0;

	handler->unsynced = false;
	/* Devices and pipes have nothing to sync, and say EINVAL. */
	if (unsynced && sys_fdatasync(handler->fd) < 0 && errno != EINVAL && errno != EROFS)
		return LOG_COLLECTED_SYNC_FAILED;
	return LOG_COLLECTED_WRITTEN;
}

/* --- recovery --- */

static bool is_at(int fd, const struct log_place *place)
{
	struct stat status;

	return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	       status.st_dev == place->device && status.st_ino == place->inode;
}

/* Open the file of the place, which may have another name by now: *ret_number. -1: it is not found. */
static int open_place(
	const struct log_handler *handler, const struct log_place *place, int *ret_number)
{
	struct buffer name;
	int fd = -1;

	buffer_init(&name);
	for (int i = 0; i <= ROTATIONS_SEEN && fd < 0; i++) {
		*ret_number = i;
		buffer_clear(&name);
		buffer_append_text(&name, handler->path);
		if (i > 0)
			buffer_printf(&name, ".%d", i);
		if (name.failed)
			break;
		fd = sys_open(name.data, O_RDWR | O_APPEND | O_NOCTTY | O_NONBLOCK, 0);
		if (fd >= 0 && !is_at(fd, place)) {
			(void)sys_close(fd);
			fd = -1;
		}
	}
	buffer_finish(&name);
	return fd;
}

/* What stands in the file from the place on, at most `most` bytes. */
static bool read_tail(int fd, const struct log_place *place, size_t most, struct buffer *tail)
{
	if (!buffer_reserve(tail, most))
		return false;
	while (tail->len < most) {
		ssize_t count = pread(fd, tail->data + tail->len, most - tail->len,
			(off_t)(place->size + tail->len));

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return false;
		if (count == 0)
			break;
		tail->len += (size_t)count;
	}
	return true;
}

static size_t common_length(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t len = a_len < b_len ? a_len : b_len;
	size_t i = 0;

	while (i < len && a[i] == b[i])
		i++;
	return i;
}

/* How much of the batch is in the file? *ret_torn: and behind that, something that is not of it. */
static size_t count_present(
	int fd, const struct log_place *place, const char *batch, size_t len, bool *ret_torn)
{
	struct buffer tail;
	size_t common = 0;

	*ret_torn = false;
	buffer_init(&tail);
	if (read_tail(fd, place, len, &tail)) {
		common = common_length(tail.data, tail.len, batch, len);
		if (common < tail.len) {
			/* Not our bytes (the format was changed in between): whole lines count. */
			while (common > 0 && batch[common - 1] != '\n')
				common--;
			*ret_torn = tail.data[tail.len - 1] != '\n';
		}
	}
	buffer_finish(&tail);
	return common;
}

/* A batch that rolled files over goes on in those that are newer: how much of the rest is there? */
static size_t count_in_newer(
	const struct log_handler *handler, int number, const char *rest, size_t len)
{
	size_t present = 0;
	struct buffer name;

	buffer_init(&name);
	while (--number >= 0 && rolls(handler) && present < len) {
		const struct log_place beginning = { 0 };
		size_t here = 0;
		bool torn = false;
		int fd;

		buffer_clear(&name);
		buffer_append_text(&name, handler->path);
		if (number > 0)
			buffer_printf(&name, ".%d", number);
		fd = name.failed ? -1 : sys_open(name.data, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
		if (fd < 0)
			break;
		here = count_present(fd, &beginning, rest + present, len - present, &torn);
		(void)sys_close(fd);
		present += here;
	}
	buffer_finish(&name);
	return present;
}

/* The missing rest to where its beginning is: that file has been rotated since. */
static bool complete_old_file(int fd, const char *rest, size_t len)
{
	return len == 0 || sys_write_all(fd, rest, len) == 0;
}

void log_handler_recover(struct log_handler *handler, const struct log_place *place)
{
	struct buffer all = handler->collected;
	size_t mark = handler->mark < all.len ? handler->mark : all.len;
	const char *batch = all.data + mark;
	size_t len = all.len - mark;
	size_t present = 0, newer = 0;
	bool torn = false;
	int fd, number = 0;

	handler->mark = 0;
	if (handler->kind != HANDLER_FILE || len == 0)
		return;
	fd = place->inode != 0 ? open_place(handler, place, &number) : -1;
	if (fd >= 0)
		present = count_present(fd, place, batch, len, &torn);
	if (fd >= 0 && !torn && (present == 0 || batch[present - 1] == '\n'))
		newer = count_in_newer(handler, number, batch + present, len - present);
	present += newer;
	if (fd >= 0 && newer == 0 && !is_at(handler->fd, place) && !torn &&
		complete_old_file(fd, batch + present, len - present))
		present = len;
	if (fd >= 0)
		(void)sys_close(fd);
	buffer_init(&handler->collected);
	if (torn)
		buffer_append_char(&handler->collected, '\n');
	buffer_append(&handler->collected, batch + present, len - present);
	buffer_append(&handler->collected, all.data, mark);
	if (handler->collected.failed) {
		/* All of it, in the order it has: at least once. */
		buffer_finish(&handler->collected);
		handler->collected = all;
		return;
	}
	buffer_finish(&all);
}
