/*
 * Rotation: which files, and how one is rolled over. Used by the worker rotate_logs; nobody else renames
 * a log file, and nobody truncates one (promises.md, R16).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system/file.h"
#include "core/system/log_internal.h"
#include "core/system/sys.h"

/* --- which files --- */

struct log_files {
	struct log_setup *setups[2];
	struct log_file_info *items;
	size_t count;
};

static enum nc_err add_file(struct log_files *files, const struct log_handler *handler)
{
	struct log_file_info *items;

	if (handler->kind != HANDLER_FILE || !handler->rotating)
		return NC_OK;
	for (size_t i = 0; i < files->count; i++) {
		if (strcmp(files->items[i].path, handler->path) == 0)
			return NC_OK;
	}
	items = reallocarray(files->items, files->count + 1, sizeof(*items));
	if (items == NULL)
		return NC_ERR_NOMEM;
	files->items = items;
	items[files->count++] = (struct log_file_info){ .handler = handler->name,
		.path = handler->path,
		.backup_count = handler->backup_count,
		.compress = handler->compress,
		.keep_most = handler->keep_most };
	return NC_OK;
}

static enum nc_err add_setup(struct log_files *files, const struct log_setup *setup)
{
	for (size_t i = 0; i < setup->handlers_count; i++) {
		const struct log_handler *handler = setup->handlers[i];

		if (log_setup_uses(setup, handler) && add_file(files, handler) != NC_OK)
			return NC_ERR_NOMEM;
	}
	return NC_OK;
}

enum nc_err log_files_create(
	const struct config *config, struct log_files **ret_files, struct error *error)
{
	static const enum log_mode modes[] = { LOG_MODE_AGGREGATOR, LOG_MODE_NORMAL };
	struct log_files *files = calloc(1, sizeof(*files));
	bool distributed = log_section_is_distributed(config->logging);

	if (files == NULL)
		return error_nomem(error);
	for (size_t i = distributed ? 0 : 1; i < ARRAY_LEN(modes); i++) {
		enum nc_err err = log_setup_load(config, modes[i], &files->setups[i], error);

		if (err == NC_ERR_NOT_FOUND && !distributed)
			continue;
		if (err == NC_OK && add_setup(files, files->setups[i]) != NC_OK)
			err = error_nomem(error);
		if (err != NC_OK) {
			log_files_destroy(files);
			return err == NC_ERR_NOT_FOUND ? NC_ERR_INVALID : err;
		}
	}
	*ret_files = files;
	return NC_OK;
}

void log_files_destroy(struct log_files *files)
{
	if (files == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(files->setups); i++)
		log_setup_destroy(files->setups[i]);
	free(files->items);
	free(files);
}

bool log_files_at(const struct log_files *files, size_t index, struct log_file_info *ret_info)
{
	if (index >= files->count)
		return false;
	*ret_info = files->items[index];
	return true;
}

enum nc_err log_main_file(const struct config *config, char **ret_path, struct error *error)
{
	bool distributed = log_section_is_distributed(config->logging);
	const struct log_handler *main_one = NULL;
	const struct log_logger *root;
	struct log_setup *setup = NULL;
	enum nc_err err;

	if (config->logging == NULL)
		return error_set(error, NC_ERR_NOT_FOUND,
			"there is no log file: the configuration has no section `logging`");
	err = log_setup_load(
		config, distributed ? LOG_MODE_AGGREGATOR : LOG_MODE_NORMAL, &setup, error);
	if (err != NC_OK)
		return err;
	root = log_setup_find(setup, "", 0);
	for (size_t i = 0; root != NULL && i < root->handlers_count; i++) {
		const struct log_handler *handler = root->handlers[i];

		if (handler->kind == HANDLER_FILE &&
			(main_one == NULL || handler->level < main_one->level))
			main_one = handler;
	}
	if (main_one == NULL) {
		err = error_set(error, NC_ERR_NOT_FOUND,
			"there is no log file: `root` of the section `logging` has no handler "
			"that writes one");
	} else {
		*ret_path = strdup(main_one->path);
		if (*ret_path == NULL)
			err = error_nomem(error);
	}
	log_setup_destroy(setup);
	return err;
}

/* --- one file --- */

void log_numbered_name(
	struct buffer *name, const char *path, int64_t number, enum log_compress compress)
{
	static const char *const endings[] = {
		[LOG_COMPRESS_NONE] = "",
		[LOG_COMPRESS_GZIP] = ".gz",
		[LOG_COMPRESS_ZSTD] = ".zst",
	};

	static_assert(ARRAY_LEN(endings) == LOG_COMPRESS_COUNT, "an ending for each");
	buffer_clear(name);
	buffer_append_text(name, path);
	if (number > 0)
		buffer_printf(name, ".%" PRId64 "%s", number, endings[compress]);
}

static bool exists(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0 || errno != ENOENT;
}

/* FILE.`from` to FILE.`from + 1`, when it is there in this form. *moved: it was. */
static enum nc_err move_form_up(
	const char *path, int64_t from, enum log_compress form, bool *moved, struct error *error)
{
	struct buffer old_name, new_name;
	enum nc_err err = NC_OK;

	buffer_init(&old_name);
	buffer_init(&new_name);
	log_numbered_name(&old_name, path, from, form);
	log_numbered_name(&new_name, path, from + 1, form);
	if (old_name.failed || new_name.failed)
		err = error_nomem(error);
	else if (sys_rename(old_name.data, new_name.data) == 0)
		*moved = true;
	else if (errno != ENOENT)
		err = error_errno(
			error, errno, "cannot rename %s to %s", old_name.data, new_name.data);
	buffer_finish(&new_name);
	buffer_finish(&old_name);
	return err;
}

/* What stands at this number in other forms is of an older file, which has been replaced. */
static void remove_other_forms(
	const char *path, int64_t number, const bool moved[LOG_COMPRESS_COUNT])
{
	struct buffer name;

	buffer_init(&name);
	for (int form = 0; form < LOG_COMPRESS_COUNT; form++) {
		log_numbered_name(&name, path, number, form);
		if (!moved[form] && !name.failed)
			(void)sys_unlink(name.data); /* mostly there is none */
	}
	buffer_finish(&name);
}

/* FILE.`from` to FILE.`from + 1`, in all forms that it has (after a kill it may have two). */
static enum nc_err move_up(const char *path, int64_t from, struct error *error)
{
	bool moved[LOG_COMPRESS_COUNT] = { false };
	enum nc_err err = NC_OK;
	bool any = false;

	for (int form = 0; err == NC_OK && form < LOG_COMPRESS_COUNT; form++) {
		if (form == LOG_COMPRESS_NONE || from > 0)
			err = move_form_up(path, from, form, &moved[form], error);
		any = any || moved[form];
	}
	if (err == NC_OK && !any)
		err = error_set(error, NC_ERR_NOT_FOUND, "%s was there, and is not any more", path);
	if (err == NC_OK)
		remove_other_forms(path, from + 1, moved);
	return err;
}

static bool number_is_taken(struct buffer *name, const char *path, int64_t number)
{
	for (int form = 0; form < LOG_COMPRESS_COUNT; form++) {
		log_numbered_name(name, path, number, form);
		if (!name->failed && exists(name->data))
			return true;
	}
	return false;
}

/* The first number that no file has; `most` when all are taken: that file is replaced. */
static enum nc_err find_gap(
	const char *path, int64_t most, int64_t *ret_number, struct error *error)
{
	struct buffer name;
	int64_t number = 1;

	buffer_init(&name);
	for (; number < most; number++) {
		if (!number_is_taken(&name, path, number))
			break;
	}
	if (name.failed) {
		buffer_finish(&name);
		return error_nomem(error);
	}
	buffer_finish(&name);
	*ret_number = number;
	return NC_OK;
}

/* The new file cannot be made: give FILE.1 its name back, unless a writer has made FILE meanwhile. */
static void undo(const char *path)
{
	struct buffer first;

	buffer_init(&first);
	log_numbered_name(&first, path, 1, LOG_COMPRESS_NONE);
	if (!first.failed && link(first.data, path) == 0)
		(void)sys_unlink(first.data);
	buffer_finish(&first);
}

static enum nc_err rotate(const char *path, gid_t group, int64_t backup_count, struct error *error)
{
	int64_t gap = 1;
	enum nc_err err = find_gap(path, backup_count, &gap, error);
	int fd;

	for (int64_t number = gap - 1; err == NC_OK && number >= 0; number--)
		err = move_up(path, number, error);
	if (err != NC_OK)
		return err;
	fd = log_file_open(path);
	/* A writer may have been faster, and then has set the mode; of another user it is his. */
	if (fd < 0 || (fchmod(fd, LOG_FILE_MODE) < 0 && errno != EPERM)) {
		err = error_errno(error, errno, "cannot make a new %s", path);
		if (fd < 0)
			undo(path);
	}
	/* So that a group that was given to it keeps it; of a group that is not ours, it cannot. */
	if (fd >= 0 && fchown(fd, (uid_t)-1, group) < 0 && errno != EPERM && err == NC_OK)
		err = error_errno(error, errno, "cannot give the new %s to its group", path);
	if (fd >= 0)
		(void)sys_close(fd);
	return err;
}

enum nc_err log_directory_lock(const char *path, int *ret_fd, struct error *error)
{
	char *directory = path_directory(path);
	enum nc_err err = NC_OK;
	int lock;

	if (directory == NULL)
		return error_nomem(error);
	/* Two rotations at once would move each other's new file up. Where there are no locks (some network
	 * file systems), that is left to whoever launches two. */
	lock = sys_open(directory, O_RDONLY | O_DIRECTORY, 0);
	if (lock < 0)
		err = error_errno(error, errno, "cannot open the directory %s", directory);
	else if (flock(lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		err = error_set(error, NC_ERR_REFUSED,
			"another process is rotating log files in %s", directory);
	if (err == NC_OK)
		*ret_fd = lock;
	else if (lock >= 0)
		(void)sys_close(lock);
	free(directory);
	return err;
}

enum nc_err log_file_rotate_if(
	const char *path, int64_t backup_count, const struct stat *expected, struct error *error)
{
	struct stat status;
	enum nc_err err;
	int lock = -1;

	err = log_directory_lock(path, &lock, error);
	if (err != NC_OK)
		return err;
	if (stat(path, &status) < 0 && errno == ENOENT)
		err = error_set(error, NC_ERR_NOT_FOUND, "there is no file %s", path);
	else if (stat(path, &status) < 0)
		err = error_errno(error, errno, "cannot look at %s", path);
	else if (!S_ISREG(status.st_mode))
		err = error_set(error, NC_ERR_INVALID, "%s is not a regular file", path);
	else if (expected != NULL &&
		 (status.st_dev != expected->st_dev || status.st_ino != expected->st_ino))
		err = error_set(error, NC_ERR_REFUSED, "%s is a new file already", path);
	else
		err = rotate(path, status.st_gid, backup_count, error);
	(void)sys_close(lock);
	return err;
}

enum nc_err log_file_rotate(const char *path, int64_t backup_count, struct error *error)
{
	return log_file_rotate_if(path, backup_count, NULL, error);
}
