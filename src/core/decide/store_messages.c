/* The messages that were judged (R2), and the slots of schedules (R18). */
#include <stdlib.h>
#include <string.h>

#include "core/decide/store_internal.h"

void store_answer_finish(struct store_answer *answer)
{
	free(answer->digest);
	free(answer->reply);
	*answer = (struct store_answer){ 0 };
}

static enum nc_err take_answer(
	sqlite3_stmt *statement, struct store_answer *answer, struct error *error)
{
	enum nc_err err = store_column_text(statement, 0, &answer->digest, error);
	const void *bytes;

	if (err != NC_OK || sqlite3_column_type(statement, 1) == SQLITE_NULL)
		return err;
	bytes = sqlite3_column_blob(statement, 1);
	answer->reply_len = (size_t)sqlite3_column_bytes(statement, 1);
	answer->reply = malloc(answer->reply_len + 1);
	if (answer->reply == NULL || (bytes == NULL && answer->reply_len > 0))
		return error_nomem(error);
	if (bytes != NULL)
		memcpy(answer->reply, bytes, answer->reply_len);
	answer->reply[answer->reply_len] = '\0';
	return NC_OK;
}

enum nc_err store_find_message(
	struct store *store, const char *id, struct store_answer *ret_answer, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement = store_bind(store, SQL_FIND_MESSAGE, &why, "t", id);
	enum nc_err err = why.code;
	bool row = false;

	*ret_answer = (struct store_answer){ 0 };
	if (statement != NULL) {
		err = store_next(store, statement, &row, &why);
		if (err == NC_OK && !row)
			err = error_set(&why, NC_ERR_NOT_FOUND, "there is no message %s", id);
		else if (err == NC_OK)
			err = take_answer(statement, ret_answer, &why);
		(void)sqlite3_reset(statement);
	}
	if (err != NC_OK) {
		store_answer_finish(ret_answer);
		if (error != NULL)
			*error = why;
	}
	return err;
}

enum nc_err store_add_message(struct store *store, const struct store_message *message,
	int64_t received_ns, struct error *error)
{
	return store_run(store, SQL_ADD_MESSAGE, error,
		message->reply != NULL ? "titttbb" : "titttbn", message->id, received_ns,
		message->source, message->type, message->digest, (const void *)message->bytes,
		message->len, (const void *)message->reply, message->reply_len);
}

enum nc_err store_add_slot(
	struct store *store, const char *name, int64_t at_ns, struct error *error)
{
	struct error why = { 0 };
	enum nc_err err = store_run(store, SQL_ADD_SLOT, &why, "ti", name, at_ns);

	if (err != NC_OK && (sqlite3_errcode(store->db) & 0xff) == SQLITE_CONSTRAINT)
		return error_set(error, NC_ERR_REFUSED, "the slot %s is known already", name);
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}
