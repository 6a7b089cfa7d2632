/* Launches: what is wanted, what runs, what became of it (R3 to R5). */
#include <stdlib.h>
#include <string.h>

#include "core/decide/store_internal.h"

const char *store_state_name(enum store_state state)
{
	static const char *const names[] = {
		[STORE_WANTED] = "wanted",
		[STORE_CLAIMED] = "claimed",
		[STORE_RUNNING] = "running",
		[STORE_ENDED] = "ended",
		[STORE_LOST] = "lost",
		[STORE_WAITING] = "waiting",
	};

	return names[state];
}

void store_launch_finish(struct store_launch *launch)
{
	free(launch->worker);
	value_destroy(launch->arguments);
	free(launch->host);
	free(launch->boot);
	free(launch->why);
	free(launch->end);
	value_destroy(launch->report);
	*launch = (struct store_launch){ 0 };
}

/* In the order of STORE_LAUNCH_COLUMNS. */
static enum nc_err take_launch(
	struct store *store, sqlite3_stmt *row, struct store_launch *launch, struct error *error)
{
	char **const texts[] = { &launch->worker, NULL, &launch->host, &launch->boot,
		&launch->why };
	int64_t state = sqlite3_column_int64(row, 7);
	enum nc_err err = store_column_fixed(store, row, 0, launch->id, sizeof(launch->id), error);

	if (err == NC_OK)
		err = store_column_fixed(
			store, row, 1, launch->token, sizeof(launch->token), error);
	for (int i = 0; err == NC_OK && i < (int)ARRAY_LEN(texts); i++)
		if (texts[i] != NULL)
			err = store_column_text(row, 2 + i, texts[i], error);
	if (err == NC_OK)
		err = store_column_value(store, row, 3, &launch->arguments, error);
	if (err == NC_OK)
		err = store_column_text(row, 14, &launch->end, error);
	if (err == NC_OK)
		err = store_column_value(store, row, 15, &launch->report, error);
	if (err == NC_OK &&
		(state < STORE_WANTED || state > STORE_WAITING || launch->worker == NULL ||
			!value_is(launch->arguments, VALUE_LIST)))
		err = store_damaged(store, "a launch that is none", error);
	if (err != NC_OK)
		return err;
	launch->state = (enum store_state)state;
	launch->wanted_ns = sqlite3_column_int64(row, 8);
	launch->running_ns = sqlite3_column_int64(row, 9);
	launch->ended_ns = sqlite3_column_int64(row, 10);
	launch->pid = sqlite3_column_int64(row, 11);
	launch->attempt = sqlite3_column_int64(row, 12);
	launch->by_hand = sqlite3_column_int64(row, 13) != 0;
	return NC_OK;
}

enum nc_err store_add_launch(
	struct store *store, const struct store_launch *launch, struct error *error)
{
	return store_run(store, SQL_ADD_LAUNCH, error, "tttvtttiiiiii", launch->id, launch->token,
		launch->worker, (const struct value *)launch->arguments, launch->host, launch->boot,
		launch->why, (int64_t)launch->state, launch->wanted_ns, launch->running_ns,
		launch->pid, launch->attempt, (int64_t)launch->by_hand);
}

enum nc_err store_find_launch(
	struct store *store, const char *id, struct store_launch *ret_launch, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement = store_bind(store, SQL_FIND_LAUNCH, &why, "t", id);
	enum nc_err err = why.code;
	bool row = false;

	*ret_launch = (struct store_launch){ 0 };
	if (statement != NULL) {
		err = store_next(store, statement, &row, &why);
		if (err == NC_OK && !row)
			err = error_set(&why, NC_ERR_NOT_FOUND, "there is no launch %.64s",
				id != NULL ? id : "without id");
		else if (err == NC_OK)
			err = take_launch(store, statement, ret_launch, &why);
		(void)sqlite3_reset(statement);
	}
	if (err != NC_OK) {
		store_launch_finish(ret_launch);
		if (error != NULL)
			*error = why;
	}
	return err;
}

enum nc_err store_launch_runs(struct store *store, const char *id, enum store_state state,
	int64_t pid, int64_t attempt, int64_t at_ns, struct error *error)
{
	return store_run(
		store, SQL_LAUNCH_RUNS, error, "iiiit", (int64_t)state, pid, attempt, at_ns, id);
}

/* Also `skipped` is well. */
static bool is_unsuccessful(enum store_state state, const char *end)
{
	return state == STORE_LOST || end == NULL ||
	       (strncmp(end, "success", strlen("success")) != 0 && strcmp(end, "skipped") != 0);
}

enum nc_err store_launch_ended(struct store *store, const char *id, enum store_state state,
	const char *end, const struct value *report, int64_t at_ns, struct error *error)
{
	return store_run(store, SQL_LAUNCH_ENDED, error, "itviit", (int64_t)state, end, report,
		at_ns, (int64_t)is_unsuccessful(state, end), id);
}

static enum nc_err each_launch(struct store *store, sqlite3_stmt *statement,
	store_launch_function *function, void *argument, struct error *error)
{
	bool row = true;
	enum nc_err err = NC_OK;

	while (err == NC_OK && row) {
		struct store_launch launch = { 0 };

		err = store_next(store, statement, &row, error);
		if (err == NC_OK && row)
			err = take_launch(store, statement, &launch, error);
		if (err == NC_OK && row)
			row = function(argument, &launch);
		store_launch_finish(&launch);
	}
	(void)sqlite3_reset(statement);
	return err;
}

static enum nc_err list(struct store *store, sqlite3_stmt *statement, struct error *why,
	store_launch_function *function, void *argument, struct error *error)
{
	enum nc_err err = statement != NULL ? each_launch(store, statement, function, argument, why)
					    : why->code;

	if (err != NC_OK && error != NULL)
		*error = *why;
	return err;
}

enum nc_err store_open_launches(
	struct store *store, store_launch_function *function, void *argument, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };

	return list(store, store_bind(store, SQL_OPEN_LAUNCHES, &why, ""), &why, function, argument,
		error);
}

enum nc_err store_open_launches_of(struct store *store, const char *worker,
	store_launch_function *function, void *argument, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };

	return list(store, store_bind(store, SQL_OPEN_LAUNCHES_OF, &why, "t", worker), &why,
		function, argument, error);
}

enum nc_err store_waiting_launches(struct store *store, const char *worker,
	store_launch_function *function, void *argument, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };

	return list(store, store_bind(store, SQL_WAITING_LAUNCHES, &why, "t", worker), &why,
		function, argument, error);
}

enum nc_err store_failed_launches(struct store *store, int64_t since_ns, size_t most,
	store_launch_function *function, void *argument, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };

	return list(store,
		store_bind(store, SQL_FAILED_LAUNCHES, &why, "ii", since_ns, (int64_t)most), &why,
		function, argument, error);
}
