#include "core/work/launch_log.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/file.h"
#include "core/system/sys.h"
#include "core/work/claim.h"

#define LOG_SUFFIX ".log"

static enum nc_err make_directory(const char *path, struct error *error)
{
	if (sys_mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(error, errno, "cannot make the directory %s", path);
	return NC_OK;
}

enum nc_err launch_log_start(const char *state_directory, const char *id, const char *worker,
	struct log *log, struct error *error)
{
	struct buffer path;
	enum nc_err err;

	/* Names of workers have letters, digits, `_`, `-` and `.` only; this one may come from a peer. */
	if (!id_is_valid(id) || strchr(worker, '/') != NULL)
		return error_set(error, NC_ERR_INVALID, "this is no launch of a worker");
	buffer_init(&path);
	buffer_printf(&path, "%s/" STATE_LAUNCHES, state_directory);
	err = make_directory(path.data, error);
	buffer_printf(&path, "/%s", id);
	if (err == NC_OK)
		err = make_directory(path.data, error);
	buffer_printf(&path, "/%s" LOG_SUFFIX, worker);
	if (path.failed)
		err = error_nomem(error);
	if (err == NC_OK)
		err = log_keep(log, path.data, error);
	buffer_finish(&path);
	return err;
}

/* --- finding --- */

/* Add the log in the directory of one launch, if there is one. */
static enum nc_err find_in(
	struct launch_logs *logs, const char *launches, const char *id, struct error *error)
{
	char *directory = path_join(launches, id);
	DIR *open_directory = directory != NULL ? opendir(directory) : NULL;
	const struct dirent *entry;
	enum nc_err err = directory != NULL ? NC_OK : error_nomem(error);

	while (open_directory != NULL && err == NC_OK &&
		(entry = readdir(open_directory)) != NULL) {
		size_t len = strlen(entry->d_name);
		struct launch_log *items, *item;

		if (len <= strlen(LOG_SUFFIX) || entry->d_name[0] == '.' ||
			strcmp(entry->d_name + len - strlen(LOG_SUFFIX), LOG_SUFFIX) != 0)
			continue;
		items = reallocarray(logs->items, logs->count + 1, sizeof(*items));
		if (items == NULL) {
			err = error_nomem(error);
			break;
		}
		logs->items = items;
		item = &items[logs->count++];
		*item = (struct launch_log){ 0 };
		memcpy(item->id, id, sizeof(item->id));
		item->worker = strndup(entry->d_name, len - strlen(LOG_SUFFIX));
		item->path = path_join(directory, entry->d_name);
		if (item->worker == NULL || item->path == NULL)
			err = error_nomem(error);
	}
	if (open_directory != NULL)
		(void)closedir(open_directory);
	free(directory);
	return err;
}

static int is_launch(const struct dirent *entry)
{
	return id_is_valid(entry->d_name);
}

enum nc_err launch_logs_find(
	const char *state_directory, struct launch_logs *ret_logs, struct error *error)
{
	struct launch_logs logs = { 0 };
	char *launches = path_join(state_directory, STATE_LAUNCHES);
	struct dirent **entries = NULL;
	enum nc_err err = NC_OK;
	int count;

	if (launches == NULL)
		return error_nomem(error);
	count = scandir(launches, &entries, is_launch, alphasort);
	if (count < 0 && errno != ENOENT)
		err = error_errno(error, errno, "cannot read the directory %s", launches);
	for (int i = 0; i < count; i++) {
		if (err == NC_OK)
			err = find_in(&logs, launches, entries[i]->d_name, error);
		free(entries[i]);
	}
	free(entries);
	free(launches);
	if (err == NC_OK)
		*ret_logs = logs;
	else
		launch_logs_finish(&logs);
	return err;
}

void launch_logs_finish(struct launch_logs *logs)
{
	for (size_t i = 0; i < logs->count; i++) {
		free(logs->items[i].worker);
		free(logs->items[i].path);
	}
	free(logs->items);
	*logs = (struct launch_logs){ 0 };
}

bool launch_log_is_running(const char *state_directory, const char *id)
{
	enum claim_state state = CLAIM_NONE;

	return claim_look(state_directory, id, &state, NULL) == NC_OK &&
	       (state == CLAIM_HELD || state == CLAIM_ORPHANED);
}

/* --- removing --- */

static bool remove_one(const struct launch_log *log)
{
	char *directory = path_directory(log->path);
	bool removed = directory != NULL && sys_unlink(log->path) == 0;

	/* What the worker left running may still print into files beside it: then the directory stays. */
	if (removed)
		(void)rmdir(directory);
	free(directory);
	return removed;
}

unsigned launch_logs_remove_old(const char *state_directory, int64_t age_s)
{
	int64_t before_s = clock_real_ns() / NS_PER_S - age_s;
	struct launch_logs logs = { 0 };
	unsigned removed = 0;

	if (launch_logs_find(state_directory, &logs, NULL) != NC_OK)
		return 0;
	for (size_t i = 0; i < logs.count; i++) {
		const struct launch_log *log = &logs.items[i];
		struct stat status;

		if (lstat(log->path, &status) == 0 && status.st_mtime < before_s &&
			!launch_log_is_running(state_directory, log->id) && remove_one(log))
			removed++;
	}
	launch_logs_finish(&logs);
	return removed;
}
