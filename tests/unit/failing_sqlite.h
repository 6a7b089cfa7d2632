/*
 * SQLite that fails on demand, for tests: the N-th call from now gives an error, and does nothing else. Include it in
 * one source file of a test program, which is linked with `failing_sqlite_args` of tests/meson.build: they lead our own
 * calls of SQLite here. What SQLite calls itself is not touched.
 *
 *	for (unsigned nth = 1;; nth++) {
 *		sqlite_fail_at(nth, SQLITE_IOERR);
 *		err = deed();
 *		if (!sqlite_has_failed())
 *			break;
 *		(err is not NC_OK, and nothing has changed)
 *	}
 */
#ifndef NOWCAST_TESTS_FAILING_SQLITE_H
#define NOWCAST_TESTS_FAILING_SQLITE_H

#include <stdbool.h>

#include <sqlite3.h>

static struct {
	unsigned countdown; /* 0: no call fails */
	unsigned again; /* when it has failed: the next that fails, counted from there; 0: none */
	bool has_failed;
	int code;
} sqlite_fault;

/* From now on the `nth` call fails (1: the next one) with `code`, and no other unless sqlite_fault.again is set then; a
 * column_text gives NULL. */
static void sqlite_fail_at(unsigned nth, int code)
{
	sqlite_fault.countdown = nth;
	sqlite_fault.again = 0;
	sqlite_fault.has_failed = false;
	sqlite_fault.code = code;
}

/* No more failures. true: one has happened. */
static bool sqlite_has_failed(void)
{
	sqlite_fault.countdown = 0;
	return sqlite_fault.has_failed;
}

static bool sqlite_fails_now(void)
{
	if (sqlite_fault.countdown == 0 || --sqlite_fault.countdown > 0)
		return false;
	sqlite_fault.has_failed = true;
	sqlite_fault.countdown = sqlite_fault.again;
	sqlite_fault.again = 0;
	return true;
}

#define SQLITE_CALL(name, parameters, names)                                                       \
	int __real_sqlite3_##name parameters;                                                      \
	int __wrap_sqlite3_##name parameters;                                                      \
	int __wrap_sqlite3_##name parameters                                                       \
	{                                                                                          \
		return sqlite_fails_now() ? sqlite_fault.code : __real_sqlite3_##name names;       \
	}

SQLITE_CALL(step, (sqlite3_stmt * statement), (statement))
SQLITE_CALL(bind_int64, (sqlite3_stmt * statement, int at, sqlite3_int64 number),
	(statement, at, number))
SQLITE_CALL(bind_null, (sqlite3_stmt * statement, int at), (statement, at))
SQLITE_CALL(bind_text,
	(sqlite3_stmt * statement, int at, const char *text, int len, void (*destroy)(void *)),
	(statement, at, text, len, destroy))
SQLITE_CALL(bind_blob64,
	(sqlite3_stmt * statement, int at, const void *bytes, sqlite3_uint64 len,
		void (*destroy)(void *)),
	(statement, at, bytes, len, destroy))
SQLITE_CALL(exec,
	(sqlite3 * db, const char *sql, int (*row)(void *, int, char **, char **), void *argument,
		char **ret_words),
	(db, sql, row, argument, ret_words))
SQLITE_CALL(open_v2, (const char *path, sqlite3 **ret_db, int flags, const char *vfs),
	(path, ret_db, flags, vfs))
SQLITE_CALL(backup_step, (sqlite3_backup * copy, int pages), (copy, pages))

int __real_sqlite3_prepare_v2(
	sqlite3 *db, const char *sql, int len, sqlite3_stmt **ret_statement, const char **ret_tail);
int __wrap_sqlite3_prepare_v2(
	sqlite3 *db, const char *sql, int len, sqlite3_stmt **ret_statement, const char **ret_tail);
int __real_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len, unsigned flags,
	sqlite3_stmt **ret_statement, const char **ret_tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len, unsigned flags,
	sqlite3_stmt **ret_statement, const char **ret_tail);
const unsigned char *__real_sqlite3_column_text(sqlite3_stmt *statement, int column);
const unsigned char *__wrap_sqlite3_column_text(sqlite3_stmt *statement, int column);

int __wrap_sqlite3_prepare_v2(
	sqlite3 *db, const char *sql, int len, sqlite3_stmt **ret_statement, const char **ret_tail)
{
	if (!sqlite_fails_now())
		return __real_sqlite3_prepare_v2(db, sql, len, ret_statement, ret_tail);
	*ret_statement = NULL;
	return sqlite_fault.code;
}

int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len, unsigned flags,
	sqlite3_stmt **ret_statement, const char **ret_tail)
{
	if (!sqlite_fails_now())
		return __real_sqlite3_prepare_v3(db, sql, len, flags, ret_statement, ret_tail);
	*ret_statement = NULL;
	return sqlite_fault.code;
}

const unsigned char *__wrap_sqlite3_column_text(sqlite3_stmt *statement, int column)
{
	return sqlite_fails_now() ? NULL : __real_sqlite3_column_text(statement, column);
}

#endif
