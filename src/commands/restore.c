/*
 * nowcast restore FILE: put a copy of the state into the place of the state, while no manager runs. What
 * was there is kept beside it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands/manager_order.h"
#include "core/decide/store.h"
#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/system/state_lock.h"
#include "core/system/sys.h"

enum {
	STATE_BYTES_MOST = 1 << 30,
};

static const char *const database_files[] = { STORE_FILE "-wal", STORE_FILE "-shm", STORE_FILE };
static const char *const name_file[] = { STORE_NAME_FILE };

/* Give what is there the ending `.before-DATE`. */
static enum nc_err set_aside(const struct config *config, const char *const *names, size_t count,
	const char *date, struct error *error)
{
	enum nc_err err = NC_OK;

	for (size_t i = 0; err == NC_OK && i < count; i++) {
		char *from = path_join(config->state_directory, names[i]), *to = NULL;

		if (from == NULL || asprintf(&to, "%s.before-%s", from, date) < 0)
			err = error_nomem(error);
		else if (sys_rename(from, to) != 0 && errno != ENOENT)
			err = error_errno(error, errno, "cannot rename %s to %s", from, to);
		free(from);
		free(to);
	}
	return err;
}

/* Whole, and on the disk, before it has its name. Its own name file is made anew at the start. */
static enum nc_err put_in_place(
	const struct config *config, const struct buffer *copy, struct error *error)
{
	char *path = path_join(config->state_directory, STORE_FILE);
	enum nc_err err = path != NULL ? file_replace(path, copy->data, copy->len, 0600, error)
				       : error_nomem(error);

	free(path);
	return err;
}

static int restore_locked(struct manager_order *order, const char *file)
{
	time_t now = (time_t)(clock_real_ns() / NS_PER_S);
	struct tm utc;
	struct buffer copy;
	struct error error = { 0 };
	char date[32] = "";
	enum nc_err err = store_check_file(file, &error);

	if (err != NC_OK)
		return manager_order_fail(order,
			err == NC_ERR_INVALID ? EXIT_STATE_DAMAGED : EXIT_FAILED, "%s", error.text);
	buffer_init(&copy);
	err = file_read(file, STATE_BYTES_MOST, &copy, &error);
	if (gmtime_r(&now, &utc) != NULL)
		(void)strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &utc);
	if (err == NC_OK)
		err = set_aside(
			order->config, database_files, ARRAY_LEN(database_files), date, &error);
	if (err == NC_OK)
		err = put_in_place(order->config, &copy, &error);
	/* Last: until the copy is there, a manager that starts finds a state that is missing, and not
	 * the beginning of one (R22). */
	if (err == NC_OK)
		err = set_aside(order->config, name_file, 1, date, &error);
	buffer_finish(&copy);
	if (err != NC_OK)
		return manager_order_fail(order, EXIT_FAILED, "%s", error.text);
	if (order->json) {
		struct value *map = value_map();

		if (value_map_put(map, "restored", value_text(file)) != NC_OK) {
			value_destroy(map);
			map = NULL;
		}
		manager_order_json(order, map);
		value_destroy(map);
	} else {
		buffer_printf(&order->out,
			"restored from %s; the state of before is kept in %s with the ending "
			".before-%s\n",
			file, order->config->state_directory, date);
	}
	return EXIT_DONE;
}

static int restore(struct manager_order *order)
{
	struct error error;
	enum nc_err err;
	int lock, status;

	if (order->count != 1)
		return manager_order_fail(order, EXIT_USAGE,
			"it is `nowcast restore [config_file] FILE`; copies of each hour are in "
			"%s/backups",
			order->config->state_directory);
	if (config_prepare_state(order->config, &error) != NC_OK)
		return manager_order_fail(order, EXIT_FAILED, "%s", error.text);
	err = state_lock_take(order->config, &lock, &error);
	if (err != NC_OK)
		return manager_order_fail(order,
			err == NC_ERR_REFUSED ? EXIT_TRY_AGAIN : EXIT_FAILED, "%s%s", error.text,
			err == NC_ERR_REFUSED ? "; stop it first (`nowcast down`)" : "");
	status = restore_locked(order, order->words[0]);
	(void)sys_close(lock);
	return status;
}

static int restore_run(const struct applet *self, int argc, char **argv)
{
	struct manager_order order;
	int status;

	if (!manager_order_begin(&order, self, argc, argv, &status))
		return status;
	return manager_order_finish(&order, restore(&order));
}

static const struct cli_option restore_options[] = {
	MANAGER_ORDER_OPTIONS("The copy to put back."),
	CLI_END,
};

const struct applet applet_restore = {
	.name = "restore",
	.kind = APPLET_COMMAND,
	.summary = "put a copy of the manager's state back",
	.description =
		"Check a copy of the state (`nowcast backup`, or one of those that the manager "
		"makes every hour), and put it into the place of the state. No manager may run "
		"meanwhile. The state that was there is kept beside it under other names. The "
		"checklist file is written anew by the manager at its next start, and one that is "
		"newer than the copy is kept.",
	.options = restore_options,
	.run = restore_run,
};
