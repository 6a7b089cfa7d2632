/*
 * Rolls the log files over: those of every RotatingFileHandler of the `logging` section. The processes
 * that write them notice with their next line; so no process ever truncates or renames a log file but
 * this one.
 */
#include <string.h>

#include "core/data/suggest.h"
#include "core/work/launch_log.h"
#include "core/work/worker.h"

/* One file; what was rotated joins `files`. false: it could not be. */
static bool rotate_file(
	struct worker *worker, const struct log_file_info *info, struct value *files)
{
	struct error error;
	enum nc_err err;

	if (info->backup_count == 0) {
		worker_log(worker, LEVEL_INFO,
			"log file not rotated, because its handler %s has no backupCount: %s",
			info->handler, info->path);
		return true;
	}
	err = log_file_rotate(info->path, info->backup_count, &error);
	if (err == NC_ERR_NOT_FOUND) {
		worker_log(worker, LEVEL_DEBUG, "no log file to rotate: %s", info->path);
		return true;
	}
	if (err != NC_OK) {
		worker_log(worker, LEVEL_ERROR, "log file not rotated: %s: %s", info->path,
			error.text);
		return false;
	}
	worker_log(worker, LEVEL_INFO, "log file rotated: %s", info->path);
	worker_log(worker, LEVEL_DEBUG, "new %s log file permissions set to rw-rw-r--", info->path);
	if (value_list_append(files, value_text(info->path)) != NC_OK) {
		worker_log(worker, LEVEL_ERROR, "out of memory");
		return false;
	}
	return true;
}

/* Compress its old files, and remove the oldest. Those that could not be made smaller are still there. */
static bool archive_file(struct worker *worker, const struct log_file_info *info)
{
	unsigned compressed, removed;
	struct error error;
	enum nc_err err;

	if (info->backup_count == 0)
		return true;
	err = log_file_archive(info, &compressed, &removed, &error);
	if (compressed > 0)
		worker_log(worker, LEVEL_DEBUG, "%u old file%s compressed: %s", compressed,
			compressed == 1 ? "" : "s", info->path);
	if (removed > 0)
		worker_log(worker, LEVEL_INFO,
			"%u old file%s removed, because the handler %s is to keep less: %s",
			removed, removed == 1 ? "" : "s", info->handler, info->path);
	if (err != NC_OK)
		worker_log(worker, LEVEL_ERROR, "old log files not compressed: %s: %s", info->path,
			error.text);
	return err == NC_OK;
}

enum {
	LAUNCH_LOGS_KEPT_DAYS = 30
};

/* The logs of single launches are not rotated: each is of a few minutes or hours, and goes as a whole. */
static void remove_launch_logs(struct worker *worker)
{
	unsigned removed = launch_logs_remove_old(
		worker_config(worker)->state_directory, INT64_C(86400) * LAUNCH_LOGS_KEPT_DAYS);

	if (removed > 0)
		worker_log(worker, LEVEL_DEBUG, "%u log%s of launches before %d days removed",
			removed, removed == 1 ? "" : "s", LAUNCH_LOGS_KEPT_DAYS);
}

/* Is it meant, by `--only`? */
static bool is_wanted(struct worker *worker, const struct log_file_info *info)
{
	const char *only = cli_text(worker_args(worker), "--only");

	return only == NULL || strcmp(only, info->handler) == 0;
}

/* false, and said: `--only` names no handler whose file is rotated. */
static bool check_only(struct worker *worker, const struct log_files *files)
{
	const char *only = cli_text(worker_args(worker), "--only");
	const char *names[64];
	struct log_file_info info;
	const char *nearest;
	size_t count = 0;

	if (only == NULL)
		return true;
	for (size_t i = 0; log_files_at(files, i, &info); i++) {
		if (is_wanted(worker, &info))
			return true;
		if (count < ARRAY_LEN(names))
			names[count++] = info.handler;
	}
	nearest = suggest(only, names, count);
	worker_log(worker, LEVEL_ERROR, "there is no handler %s whose file is rotated%s%s%s", only,
		nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
		nearest != NULL ? "?" : "");
	return false;
}

static enum worker_result rotate_logs(struct worker *worker, struct value *checklist)
{
	struct value *list = value_list();
	struct log_files *files;
	struct log_file_info info;
	struct error error;
	bool all;

	worker_log(worker, LEVEL_INFO, "rotating log files");
	if (log_files_create(worker_config(worker), &files, &error) != NC_OK) {
		worker_log(worker, LEVEL_ERROR, "%s", error.text);
		value_destroy(list);
		return WORKER_FAILURE;
	}
	all = check_only(worker, files);
	/* One that fails does not keep the others from being rotated; all are rotated before the first one is
	 * compressed, which takes its time. */
	for (size_t i = 0; log_files_at(files, i, &info); i++)
		all = (!is_wanted(worker, &info) || rotate_file(worker, &info, list)) && all;
	for (size_t i = 0; log_files_at(files, i, &info); i++)
		all = (!is_wanted(worker, &info) || archive_file(worker, &info)) && all;
	log_files_destroy(files);
	if (cli_text(worker_args(worker), "--only") == NULL)
		remove_launch_logs(worker);
	if (value_map_put(checklist, "log files", list) != NC_OK) {
		worker_log(worker, LEVEL_ERROR, "out of memory");
		return WORKER_FAILURE;
	}
	return all ? WORKER_SUCCESS : WORKER_FAILURE;
}

static const char *success(struct worker *worker)
{
	worker_log(worker, LEVEL_INFO, "log files rotated");
	return "success";
}

static const char *failure(struct worker *worker)
{
	worker_log(worker, LEVEL_CRITICAL, "failed to rotate log files");
	return "failure";
}

static const struct worker_description description = {
	.work = rotate_logs,
	.success = success,
	.failure = failure,
};

static const struct cli_option options[] = {
	{ .name = "--only",
		.kind = CLI_KIND_TEXT,
		.metavar = "HANDLER",
		.help = "rotate the file of this logging handler, and no other" },
	CLI_END,
};

const struct applet applet_rotate_logs = {
	.name = "rotate_logs",
	.kind = APPLET_WORKER,
	.summary = "roll the log files over",
	.description =
		"Roll over the files of all logging handlers of the class RotatingFileHandler.\n\n"
		"This worker is normally launched in automation at the end of a nowcast processing "
		"cycle (e.g. end of the day). It can also be run from the command line.",
	.options = options,
	.run = worker_main,
	.worker = &description,
};
