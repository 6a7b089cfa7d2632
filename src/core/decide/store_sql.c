/* Statements, their parameters and rows, and what SQLite's results mean. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/yaml.h"
#include "core/decide/store_internal.h"

static const char *const statement_texts[SQL_COUNT] = {
#define S(name, sql) [SQL_##name] = (sql),
	STORE_STATEMENTS(S)
#undef S
};

enum nc_err store_damaged(struct store *store, const char *what, struct error *error)
{
	return error_set(
		error, NC_ERR_INVALID, "the state database %s is damaged: %s", store->path, what);
}

enum nc_err store_result(struct store *store, int code, struct error *error)
{
	int extended = store->db != NULL ? sqlite3_extended_errcode(store->db) : code;
	int sys_errno = store->db != NULL ? sqlite3_system_errno(store->db) : 0;
	const char *words = store->db != NULL ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);

	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return NC_OK;
	case SQLITE_NOMEM:
		return error_nomem(error);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_SCHEMA:
		return store_damaged(store, words, error);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return error_set(error, NC_ERR_REFUSED,
			"the state database %s is held by another process", store->path);
	default:
		break;
	}
	if (extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC ||
		code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
		store->must_end = true;
	return error_set(error, NC_ERR_SYSTEM, "the state database %s: %s%s%s%s", store->path,
		words, sys_errno != 0 ? " (" : "", sys_errno != 0 ? strerror(sys_errno) : "",
		sys_errno != 0 ? ")" : "");
}

/* --- parameters --- */

static int bind_value(sqlite3_stmt *statement, int at, const struct value *value)
{
	struct buffer text;
	int code;

	if (value == NULL)
		return sqlite3_bind_null(statement, at);
	buffer_init(&text);
	yaml_write(value, YAML_WRITE_FLOW, &text);
	code = text.failed || text.len > INT32_MAX ? SQLITE_NOMEM
						   : sqlite3_bind_text(statement, at, text.data,
							     (int)text.len, SQLITE_TRANSIENT);
	buffer_finish(&text);
	return code;
}

/* Texts and bytes are the caller's, and have to stay until the statement was run. */
static int bind_all(sqlite3_stmt *statement, const char *kinds, va_list arguments)
{
	const char *text;
	const void *bytes;
	size_t len;
	int code = SQLITE_OK;

	for (int i = 0; kinds[i] != '\0' && code == SQLITE_OK; i++) {
		switch (kinds[i]) {
		case 't':
			text = va_arg(arguments, const char *);
			code = sqlite3_bind_text(statement, i + 1, text, -1, SQLITE_STATIC);
			break;
		case 'i':
			code = sqlite3_bind_int64(statement, i + 1, va_arg(arguments, int64_t));
			break;
		case 'b':
			bytes = va_arg(arguments, const void *);
			len = va_arg(arguments, size_t);
			code = sqlite3_bind_blob64(statement, i + 1, bytes, len, SQLITE_STATIC);
			break;
		case 'v':
			code = bind_value(
				statement, i + 1, va_arg(arguments, const struct value *));
			break;
		default:
			code = sqlite3_bind_null(statement, i + 1);
			break;
		}
	}
	return code;
}

static sqlite3_stmt *bind_list(struct store *store, enum store_statement which, struct error *error,
	const char *kinds, va_list arguments)
{
	sqlite3_stmt *statement = store->statements[which];
	int code = SQLITE_OK;

	/* What is asked for belongs to the transaction that was given up: nothing of it is done. */
	if (store->given_up) {
		store_rollback(store);
		(void)error_nomem(error);
		return NULL;
	}
	if (statement == NULL) {
		code = sqlite3_prepare_v3(store->db, statement_texts[which], -1,
			SQLITE_PREPARE_PERSISTENT, &statement, NULL);
		store->statements[which] = statement;
	}
	if (code == SQLITE_OK)
		code = bind_all(statement, kinds, arguments);
	if (code == SQLITE_OK)
		return statement;
	(void)store_result(store, code, error);
	return NULL;
}

sqlite3_stmt *store_bind(struct store *store, enum store_statement which, struct error *error,
	const char *kinds, ...)
{
	sqlite3_stmt *statement;
	va_list arguments;

	va_start(arguments, kinds);
	statement = bind_list(store, which, error, kinds, arguments);
	va_end(arguments);
	return statement;
}

enum nc_err store_run(struct store *store, enum store_statement which, struct error *error,
	const char *kinds, ...)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement;
	va_list arguments;
	enum nc_err err;

	va_start(arguments, kinds);
	statement = bind_list(store, which, &why, kinds, arguments);
	va_end(arguments);
	if (statement == NULL) {
		err = why.code;
	} else {
		err = store_result(store, sqlite3_step(statement), &why);
		(void)sqlite3_reset(statement);
		(void)sqlite3_clear_bindings(statement);
	}
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}

enum nc_err store_next(
	struct store *store, sqlite3_stmt *statement, bool *ret_row, struct error *error)
{
	int code = sqlite3_step(statement);

	*ret_row = code == SQLITE_ROW;
	return store_result(store, code, error);
}

/* --- columns --- */

enum nc_err store_column_text(
	sqlite3_stmt *statement, int column, char **ret_text, struct error *error)
{
	const unsigned char *text;

	*ret_text = NULL;
	if (sqlite3_column_type(statement, column) == SQLITE_NULL)
		return NC_OK;
	text = sqlite3_column_text(statement, column);
	if (text != NULL)
		*ret_text = strdup((const char *)text);
	return *ret_text != NULL ? NC_OK : error_nomem(error);
}

enum nc_err store_column_value(struct store *store, sqlite3_stmt *statement, int column,
	struct value **ret_value, struct error *error)
{
	/* It was a value before it was written. */
	static const struct yaml_limits limits = {
		.bytes = 1 << 30, .depth = 1000, .nodes = 100000000
	};
	const unsigned char *text;
	struct error why = { 0 };
	enum nc_err err;

	*ret_value = NULL;
	if (sqlite3_column_type(statement, column) == SQLITE_NULL)
		return NC_OK;
	text = sqlite3_column_text(statement, column);
	if (text == NULL)
		return error_nomem(error);
	err = yaml_read((const char *)text, (size_t)sqlite3_column_bytes(statement, column), 0,
		&limits, ret_value, &why);
	if (err == NC_ERR_NOMEM)
		return error_nomem(error);
	return err == NC_OK ? NC_OK : store_damaged(store, why.text, error);
}

enum nc_err store_column_fixed(struct store *store, sqlite3_stmt *statement, int column, char *text,
	size_t size, struct error *error)
{
	const unsigned char *found = sqlite3_column_text(statement, column);
	size_t len;

	text[0] = '\0';
	if (found == NULL)
		return sqlite3_column_type(statement, column) == SQLITE_NULL ? NC_OK
									     : error_nomem(error);
	len = (size_t)sqlite3_column_bytes(statement, column);
	if (len >= size)
		return store_damaged(store, "an id that is too long", error);
	memcpy(text, found, len + 1);
	return NC_OK;
}
