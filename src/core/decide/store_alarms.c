/* Alarms and rule errors until they are acknowledged; programs until they have decided. */
#include <stdlib.h>

#include "core/decide/store_internal.h"

void store_alarm_finish(struct store_alarm *alarm)
{
	free(alarm->kind);
	free(alarm->text);
	free(alarm->message);
	*alarm = (struct store_alarm){ 0 };
}

enum nc_err store_add_alarm(
	struct store *store, const struct store_alarm *alarm, struct error *error)
{
	return store_run(store, SQL_ADD_ALARM, error, "ittt", alarm->at_ns, alarm->kind,
		alarm->text, alarm->message);
}

static enum nc_err take_alarm(sqlite3_stmt *row, struct store_alarm *alarm, struct error *error)
{
	enum nc_err err = store_column_text(row, 2, &alarm->kind, error);

	alarm->id = sqlite3_column_int64(row, 0);
	alarm->at_ns = sqlite3_column_int64(row, 1);
	if (err == NC_OK)
		err = store_column_text(row, 3, &alarm->text, error);
	if (err == NC_OK)
		err = store_column_text(row, 4, &alarm->message, error);
	return err;
}

enum nc_err store_alarms(struct store *store, size_t most, store_alarm_function *function,
	void *argument, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement = store_bind(store, SQL_ALARMS, &why, "i", (int64_t)most);
	enum nc_err err = statement != NULL ? NC_OK : why.code;
	bool row = true;

	while (err == NC_OK && row) {
		struct store_alarm alarm = { 0 };

		err = store_next(store, statement, &row, &why);
		if (err == NC_OK && row)
			err = take_alarm(statement, &alarm, &why);
		if (err == NC_OK && row)
			row = function(argument, &alarm);
		store_alarm_finish(&alarm);
	}
	if (statement != NULL)
		(void)sqlite3_reset(statement);
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}

/* --- programs --- */

void store_program_finish(struct store_program *program)
{
	value_destroy(program->argv);
	free(program->input);
	free(program->source);
	free(program->type);
	free(program->message);
	free(program->place);
	*program = (struct store_program){ 0 };
}

enum nc_err store_add_program(struct store *store, const struct store_program *program,
	int64_t *ret_id, struct error *error)
{
	enum nc_err err = store_run(store, SQL_ADD_PROGRAM, error, "vittttti",
		(const struct value *)program->argv, program->time_limit_ms, program->input,
		program->source, program->type, program->message, program->place,
		program->received_ns);

	if (err == NC_OK)
		*ret_id = sqlite3_last_insert_rowid(store->db);
	return err;
}

static enum nc_err take_program(
	struct store *store, sqlite3_stmt *row, struct store_program *program, struct error *error)
{
	char **const texts[] = { &program->input, &program->source, &program->type,
		&program->message, &program->place };
	enum nc_err err = store_column_value(store, row, 1, &program->argv, error);

	program->id = sqlite3_column_int64(row, 0);
	program->time_limit_ms = sqlite3_column_int64(row, 2);
	program->received_ns = sqlite3_column_int64(row, 8);
	for (int i = 0; err == NC_OK && i < (int)ARRAY_LEN(texts); i++)
		err = store_column_text(row, 3 + i, texts[i], error);
	return err;
}

static enum nc_err find_program(struct store *store, enum store_statement which, int64_t id,
	struct store_program *ret_program, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement = store_bind(store, which, &why, "i", id);
	enum nc_err err = why.code;
	bool row = false;

	*ret_program = (struct store_program){ 0 };
	if (statement != NULL) {
		err = store_next(store, statement, &row, &why);
		if (err == NC_OK && !row)
			err = error_set(&why, NC_ERR_NOT_FOUND, "there is no such program");
		else if (err == NC_OK)
			err = take_program(store, statement, ret_program, &why);
		(void)sqlite3_reset(statement);
	}
	if (err != NC_OK) {
		store_program_finish(ret_program);
		if (error != NULL)
			*error = why;
	}
	return err;
}

enum nc_err store_find_program(
	struct store *store, int64_t id, struct store_program *ret_program, struct error *error)
{
	return find_program(store, SQL_FIND_PROGRAM, id, ret_program, error);
}

enum nc_err store_next_program(
	struct store *store, int64_t after, struct store_program *ret_program, struct error *error)
{
	return find_program(store, SQL_NEXT_PROGRAM, after, ret_program, error);
}

enum nc_err store_remove_program(struct store *store, int64_t id, struct error *error)
{
	return store_run(store, SQL_REMOVE_PROGRAM, error, "i", id);
}

enum nc_err store_count_programs(
	struct store *store, const char *message, size_t *ret_count, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement = store_bind(store, SQL_COUNT_PROGRAMS, &why, "t", message);
	enum nc_err err = why.code;
	bool row = false;

	*ret_count = 0;
	if (statement != NULL) {
		err = store_next(store, statement, &row, &why);
		if (err == NC_OK && row)
			*ret_count = (size_t)sqlite3_column_int64(statement, 0);
		(void)sqlite3_reset(statement);
	}
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}
