#include "daemons/log_intake_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/file.h"
#include "core/system/log_batch.h"
#include "core/system/log_collect.h"
#include "core/system/log_spool.h"
#include "core/system/sys.h"

#define STATE_LOG_WRITTEN "log-written" /* in the state directory: the batch under way */
#define WRITTEN_MAGIC     "NCLOGBT1"
#define DAMAGED_SUFFIX    ".damaged"

enum {
	BATCH_MOST = 256 << 10, /* bytes of records; one record fits */
	WRITTEN_SIZE = 4096,    /* one page: written by one call, in one piece */
	RETRY_MS = 250,         /* a file that could not be read or removed */
};

static_assert((int)BATCH_MOST >= (int)LOG_BATCH_RECORD_MOST, "one record fits into a batch");

static_assert(sizeof(struct written) <= WRITTEN_SIZE, "one page");

/* --- beginning and end --- */

static enum nc_err open_written(
	struct intake *intake, const char *state_directory, struct error *error)
{
	static const char zeros[WRITTEN_SIZE];
	char *path = path_join(state_directory, STATE_LOG_WRITTEN);
	enum nc_err err = NC_OK;
	off_t size;

	if (path == NULL)
		return error_nomem(error);
	intake->written_fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (intake->written_fd < 0)
		err = error_errno(error, errno, "cannot open %s", path);
	else if (flock(intake->written_fd, LOCK_EX | LOCK_NB) < 0)
		err = errno == EWOULDBLOCK
			      ? error_set(error, NC_ERR_REFUSED,
					"another log aggregator is running: it holds %s", path)
			      : error_errno(error, errno, "cannot lock %s", path);
	if (err == NC_OK) {
		/* Its block is allocated now: a full disk is no matter later. */
		size = lseek(intake->written_fd, 0, SEEK_END);
		if (size < WRITTEN_SIZE &&
			sys_pwrite_all(intake->written_fd, zeros, sizeof(zeros), 0) < 0)
			err = error_errno(error, errno, "cannot write %s", path);
	}
	free(path);
	return err;
}

enum nc_err intake_create(const char *state_directory, struct log **log, struct intake **ret_intake,
	struct error *error)
{
	struct intake *intake = calloc(1, sizeof(*intake));
	enum nc_err err;

	if (intake == NULL)
		return error_nomem(error);
	intake->log = log;
	intake->written_fd = -1;
	buffer_init(&intake->bytes);
	intake->directory = path_join(state_directory, STATE_LOG_SPOOL);
	if (intake->directory == NULL)
		err = error_nomem(error);
	else if (sys_mkdir(intake->directory, 0700) < 0 && errno != EEXIST)
		err = error_errno(error, errno, "cannot make the directory %s", intake->directory);
	else
		err = open_written(intake, state_directory, error);
	if (err != NC_OK) {
		intake_destroy(intake);
		return err;
	}
	*ret_intake = intake;
	return NC_OK;
}

void intake_destroy(struct intake *intake)
{
	if (intake == NULL)
		return;
	for (size_t i = 0; i < intake->entries_count; i++)
		intake_free_entry(intake->entries[i]);
	free(intake->entries);
	if (intake->written_fd >= 0)
		(void)sys_close(intake->written_fd);
	buffer_finish(&intake->bytes);
	free(intake->directory);
	free(intake);
}

const char *intake_directory(const struct intake *intake)
{
	return intake->directory;
}

bool intake_is_held(const struct intake *intake)
{
	return intake->held;
}

/* --- writing a batch --- */

static enum intake_state write_batch(struct intake *intake)
{
	switch (log_collect_write(*intake->log, intake->sync)) {
	case LOG_COLLECTED_WRITTEN:
		intake->held = false;
		return INTAKE_MORE;
	case LOG_COLLECTED_NO_ROOM:
		intake->held = true;
		return INTAKE_HELD;
	case LOG_COLLECTED_SYNC_FAILED:
		log_critical(*intake->log, "a log file cannot be synced: %s", strerror(errno));
		break;
	}
	return INTAKE_FAILED;
}

/*
 * The machine has failed, and not the file: its lines are as good as before. It is opened anew then, so that
 * whoever moves it away ends this. Said once until all goes well again.
 */
static void try_later(struct intake *intake, struct entry *entry, const char *why)
{
	if (!intake->said)
		log_error(*intake->log, "log lines wait in the spool: %s", why);
	intake->said = true;
	log_spool_close(&entry->spool);
	entry->retry_ms = clock_mono_ms() + RETRY_MS;
}

static void drop_file(struct intake *intake, struct entry *entry)
{
	char *path = path_join(intake->directory, entry->name);
	struct error error;
	enum nc_err err = NC_OK;

	if (path == NULL)
		err = error_nomem(&error);
	else if (sys_unlink(path) < 0 && errno != ENOENT)
		err = error_errno(&error, errno, "cannot remove %s", path);
	free(path);
	if (err == NC_OK)
		intake_remove(intake, entry);
	else
		try_later(intake, entry, error.text);
}

/* It is of no use, and not thrown away either. */
static void put_aside(struct intake *intake, struct entry *entry, const char *why)
{
	char *path = path_join(intake->directory, entry->name);
	struct buffer aside;

	buffer_init(&aside);
	if (path != NULL)
		buffer_printf(&aside, "%s" DAMAGED_SUFFIX, path);
	log_error(*intake->log,
		"a file of the log spool cannot be read, and its lines are missing: %s; it is kept "
		"as %s" DAMAGED_SUFFIX,
		why, entry->name);
	if (path != NULL && !aside.failed)
		(void)sys_rename(path, aside.data); /* else it is met again at the next start */
	buffer_finish(&aside);
	free(path);
	intake_remove(intake, entry);
}

/* Is it the file that is at fault, or the machine? */
static bool is_of_the_file(enum nc_err err, const struct error *error)
{
	return err == NC_ERR_SYNTAX ||
	       (err == NC_ERR_SYSTEM &&
		       (error->sys_errno == ELOOP || error->sys_errno == ENXIO ||
			       error->sys_errno == EISDIR || error->sys_errno == EACCES ||
			       error->sys_errno == EPERM));
}

static enum intake_state meet_error(
	struct intake *intake, struct entry *entry, enum nc_err err, const struct error *error)
{
	if (is_of_the_file(err, error))
		put_aside(intake, entry, error->text);
	else
		try_later(intake, entry, error->text);
	return INTAKE_MORE;
}

/* The lines of the batch in `written` are in the files. */
static enum intake_state finish_batch(struct intake *intake)
{
	const struct batch *batch = &intake->written.batch;
	struct entry *entry = intake_find(intake, batch->name);
	struct error error;

	if (entry == NULL)
		return INTAKE_MORE;
	if (log_spool_acknowledge(&entry->spool, batch->to, batch->number_to, &error) != NC_OK) {
		log_critical(*intake->log, "%s", error.text);
		return INTAKE_FAILED;
	}
	entry->ready = true; /* more may have come while the owner thought that we were awake */
	return INTAKE_MORE;
}

static enum intake_state begin_batch(struct intake *intake)
{
	struct written *written = &intake->written;
	enum intake_state state;

	memcpy(written->magic, WRITTEN_MAGIC, sizeof(written->magic));
	log_collect_places(*intake->log, written->places);
	if (sys_pwrite_all(intake->written_fd, written, sizeof(*written), 0) < 0) {
		int sys_errno = errno;

		/* Written at our end, they would come again at the next start. */
		log_collect_drop(*intake->log);
		log_critical(*intake->log, "cannot write the file %s: %s", STATE_LOG_WRITTEN,
			strerror(sys_errno));
		return INTAKE_FAILED;
	}
	state = write_batch(intake);
	return state == INTAKE_MORE ? finish_batch(intake) : state;
}

/* --- a file --- */

static enum nc_err open_spool(struct intake *intake, struct entry *entry, struct error *error)
{
	char *path = path_join(intake->directory, entry->name);
	enum nc_err err =
		path != NULL ? log_spool_open(path, &entry->spool, error) : error_nomem(error);

	free(path);
	entry->ready = true;
	if (err != NC_OK)
		entry->spool.fd = -1;
	return err;
}

static bool open_entry(struct intake *intake, struct entry *entry)
{
	struct error error;
	enum nc_err err = open_spool(intake, entry, &error);

	if (err == NC_OK)
		return true;
	if (err == NC_ERR_NOT_FOUND)
		intake_remove(intake, entry);
	else
		(void)meet_error(intake, entry, err, &error);
	return false;
}

/* Nothing but bytes that are no record: once may be our haste. */
static enum intake_state meet_garbage(struct intake *intake, struct entry *entry)
{
	if (entry->suspect)
		put_aside(intake, entry, "there is something else between its records");
	else
		entry->suspect = true;
	return INTAKE_MORE;
}

static enum intake_state take_batch(struct intake *intake, struct entry *entry)
{
	const struct log_spool_head *head = &entry->spool.head;
	uint64_t number = head->acked_number;
	struct error error;
	enum nc_err err;
	bool at_end;
	size_t taken;

	buffer_clear(&intake->bytes);
	err = log_spool_read(&entry->spool, BATCH_MOST, &intake->bytes, &error);
	if (err != NC_OK)
		return meet_error(intake, entry, err, &error);
	log_collect_begin(*intake->log);
	intake->sync = false;
	taken = intake_log_records(intake, head, &number, &intake->sync);
	at_end = head->acked + taken == head->written;
	if (taken == 0 && !at_end) {
		(void)log_collect_write(*intake->log, false); /* nothing was collected */
		return meet_garbage(intake, entry);
	}
	entry->suspect = false;
	intake->written.batch = (struct batch){ .from = head->acked, .to = head->acked + taken };
	memcpy(intake->written.batch.name, entry->name, sizeof(entry->name));
	if (at_end && entry->spool.abandoned && intake_log_rest(intake, head, &number)) {
		intake->written.batch.with_rest = 1;
		intake->sync = true;
	}
	intake->written.batch.number_to = number;
	return begin_batch(intake);
}

static enum intake_state look_at(struct intake *intake, struct entry *entry)
{
	const struct log_spool_head *head = &entry->spool.head;
	struct error error;
	enum nc_err err;

	if (entry->spool.fd < 0 && !open_entry(intake, entry))
		return INTAKE_MORE;
	err = log_spool_look(&entry->spool, &error);
	if (err != NC_OK)
		return meet_error(intake, entry, err, &error);
	if (head->written > head->acked ||
		(entry->spool.abandoned && head->next_number > head->acked_number))
		return take_batch(intake, entry);
	if (entry->spool.abandoned) {
		drop_file(intake, entry);
		return INTAKE_MORE;
	}
	if (head->asleep == 0) {
		/* Now its owner will wake us; what came until now is seen by one more look. */
		err = log_spool_acknowledge(&entry->spool, head->acked, head->acked_number, &error);
		return err == NC_OK ? INTAKE_MORE : meet_error(intake, entry, err, &error);
	}
	entry->ready = false;
	return INTAKE_IDLE;
}

enum intake_state intake_work(struct intake *intake)
{
	enum intake_state result = INTAKE_IDLE;
	int64_t now_ms = clock_mono_ms();
	bool later = false;

	if (intake->held) {
		result = write_batch(intake);
		if (result == INTAKE_MORE)
			result = finish_batch(intake);
		if (result != INTAKE_MORE)
			return result;
	}
	for (size_t i = 0; i < intake->entries_count; i++) {
		struct entry *entry = intake->entries[i];
		size_t before = intake->entries_count;
		enum intake_state one;

		if (!entry->ready ||
			(i > 0 && intake_is_same_source(intake->entries[i - 1], entry)))
			continue;
		if (entry->retry_ms > now_ms) {
			later = true;
			continue;
		}
		one = look_at(intake, entry);
		if (one == INTAKE_HELD || one == INTAKE_FAILED)
			return one;
		if (one == INTAKE_MORE)
			result = INTAKE_MORE;
		if (intake->entries_count < before)
			i--; /* it is gone, and another one stands in its place */
	}
	if (later)
		return result == INTAKE_IDLE ? INTAKE_LATER : result;
	if (result == INTAKE_IDLE)
		intake->said = false;
	return result;
}

/* --- recovery --- */

/* Is there a batch under way in `written`, and which entry is it of? */
static enum nc_err find_batch(struct intake *intake, struct entry **ret_entry, struct error *error)
{
	struct written *written = &intake->written;
	ssize_t count = sys_pread_all(intake->written_fd, written, sizeof(*written), 0);

	*ret_entry = NULL;
	if (count < 0)
		return error_errno(error, errno, "cannot read the file %s", STATE_LOG_WRITTEN);
	if (count != (ssize_t)sizeof(*written) ||
		memcmp(written->magic, WRITTEN_MAGIC, sizeof(written->magic)) != 0 ||
		memchr(written->batch.name, '\0', sizeof(written->batch.name)) == NULL ||
		!log_spool_is_name(written->batch.name))
		return NC_OK;
	*ret_entry = intake_add(intake, written->batch.name);
	return *ret_entry != NULL ? NC_OK : error_nomem(error);
}

/* Make the lines again that were under way. *ret_again: false, all of that is done. */
static enum nc_err log_again(
	struct intake *intake, struct entry *entry, bool *ret_again, struct error *error)
{
	const struct batch *batch = &intake->written.batch;
	struct log_spool_head *head = &entry->spool.head;
	uint64_t number = head->acked_number;
	enum nc_err err;

	*ret_again = false;
	if (head->acked != batch->from || head->acked_number == batch->number_to ||
		batch->to < batch->from || batch->to > head->written)
		return NC_OK;
	buffer_clear(&intake->bytes);
	err = log_spool_read(&entry->spool, batch->to - batch->from, &intake->bytes, error);
	if (err != NC_OK)
		return err;
	log_collect_mark(*intake->log);
	intake->sync = true;
	(void)intake_log_records(intake, head, &number, &intake->sync);
	if (batch->with_rest != 0)
		(void)intake_log_rest(intake, head, &number);
	*ret_again = true;
	return NC_OK;
}

enum nc_err intake_recover(struct intake *intake, struct error *error)
{
	struct entry *entry = NULL;
	bool again = false;
	enum nc_err err = find_batch(intake, &entry, error);

	/* Lines that are taken without this may be there already: rather none, until the next start. */
	if (err == NC_OK && entry != NULL)
		err = open_spool(intake, entry, error);
	if (err == NC_ERR_NOT_FOUND || (err != NC_OK && is_of_the_file(err, error))) {
		entry = NULL; /* whatever it is, is met by intake_work() */
		err = NC_OK;
	}
	if (err == NC_OK && entry != NULL)
		err = log_again(intake, entry, &again, error);
	if (err != NC_OK)
		return err;
	if (again) {
		log_collect_recover(*intake->log, intake->written.places);
		intake->held = true; /* intake_work() writes what is missing of it */
	} else {
		/* Nothing was under way: what waits are lines of our own. */
		(void)log_collect_write(*intake->log, false);
	}
	return NC_OK;
}
