/*
 * Rolls the log files over: those of every RotatingFileHandler of the `logging` section. The processes
 * that write them notice with their next line; so no process ever truncates or renames a log file but
 * this one.
 */
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

static enum worker_result rotate_logs(struct worker *worker, struct value *checklist)
{
	struct value *list = value_list();
	struct log_files *files;
	struct log_file_info info;
	struct error error;
	bool all = true;

	worker_log(worker, LEVEL_INFO, "rotating log files");
	if (log_files_create(worker_config(worker), &files, &error) != NC_OK) {
		worker_log(worker, LEVEL_ERROR, "%s", error.text);
		value_destroy(list);
		return WORKER_FAILURE;
	}
	/* One that fails does not keep the others from being rotated. */
	for (size_t i = 0; log_files_at(files, i, &info); i++)
		all = rotate_file(worker, &info, list) && all;
	log_files_destroy(files);
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

static const struct cli_option options[] = { CLI_END };

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
