/* Shared by the store*.c files only. */
#ifndef NOWCAST_CORE_DECIDE_STORE_INTERNAL_H
#define NOWCAST_CORE_DECIDE_STORE_INTERNAL_H

#include <sqlite3.h>

#include "core/decide/store.h"

/* All SQL that is run more than once. Prepared when first used, and kept. */
#define STORE_STATEMENTS(S)                                                                        \
	S(BEGIN, "BEGIN IMMEDIATE")                                                                \
	S(COMMIT, "COMMIT")                                                                        \
	S(MARK, "SAVEPOINT message")                                                               \
	S(FORGET_MARK, "RELEASE message")                                                          \
	S(BACK_TO_MARK, "ROLLBACK TO message")                                                     \
	S(FACT, "SELECT text FROM facts WHERE name = ?")                                           \
	S(SET_FACT, "INSERT INTO facts (name, text) VALUES (?, ?) "                                \
		    "ON CONFLICT (name) DO UPDATE SET text = excluded.text")                       \
	S(FIND_MESSAGE, "SELECT digest, reply FROM messages WHERE id = ?")                         \
	S(ADD_MESSAGE,                                                                             \
		"INSERT INTO messages (id, received, source, type, digest, message, reply) "       \
		"VALUES (?, ?, ?, ?, ?, ?, ?)")                                                    \
	S(OLD_MESSAGES, "DELETE FROM messages WHERE rowid IN "                                     \
			"(SELECT rowid FROM messages WHERE received < ? LIMIT ?)")                 \
	S(CHECKLIST, "SELECT key, value FROM checklist ORDER BY position")                         \
	S(PUT_CHECKLIST, "INSERT INTO checklist (key, value, position) VALUES "                    \
			 "(?, ?, (SELECT ifnull(max(position), 0) + 1 FROM checklist)) "           \
			 "ON CONFLICT (key) DO UPDATE SET value = excluded.value")                 \
	S(REMOVE_CHECKLIST, "DELETE FROM checklist WHERE key = ?")                                 \
	S(CLEAR_CHECKLIST, "DELETE FROM checklist")                                                \
	S(COUNT_CHECKLIST, "INSERT INTO facts (name, text) VALUES ('checklist version', 1) "       \
			   "ON CONFLICT (name) DO UPDATE SET text = text + 1")                     \
	S(ADD_LAUNCH, "INSERT INTO launches (id, token, worker, arguments, host, boot, why, "      \
		      "state, wanted, running, pid, attempt, by_hand) "                            \
		      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                            \
	S(FIND_LAUNCH, "SELECT " STORE_LAUNCH_COLUMNS " FROM launches WHERE id = ?")               \
	S(OPEN_LAUNCHES, "SELECT " STORE_LAUNCH_COLUMNS                                            \
			 " FROM launches WHERE ended IS NULL ORDER BY number")                     \
	S(OPEN_LAUNCHES_OF, "SELECT " STORE_LAUNCH_COLUMNS                                         \
			    " FROM launches WHERE ended IS NULL AND worker = ? ORDER BY number")   \
	S(WAITING_LAUNCHES, "SELECT " STORE_LAUNCH_COLUMNS                                         \
			    " FROM launches WHERE state = 5 AND worker = ? ORDER BY number")       \
	S(FAILED_LAUNCHES, "SELECT " STORE_LAUNCH_COLUMNS                                          \
			   " FROM launches WHERE ended >= ? AND unsuccessful ORDER BY "            \
			   "ended DESC LIMIT ?")                                                   \
	S(LAUNCH_RUNS, "UPDATE launches SET state = ?, pid = ?, attempt = ?, running = ? "         \
		       "WHERE id = ? AND ended IS NULL")                                           \
	S(LAUNCH_ENDED, "UPDATE launches SET state = ?, end = ?, report = ?, ended = ?, "          \
			"unsuccessful = ? WHERE id = ? AND ended IS NULL")                         \
	S(OLD_LAUNCHES, "DELETE FROM launches WHERE number IN "                                    \
			"(SELECT number FROM launches WHERE ended < ? LIMIT ?)")                   \
	S(ADD_SLOT, "INSERT INTO slots (name, at) VALUES (?, ?)")                                  \
	S(OLD_SLOTS, "DELETE FROM slots WHERE rowid IN "                                           \
		     "(SELECT rowid FROM slots WHERE at < ? LIMIT ?)")                             \
	S(ADD_GROUP, "INSERT INTO groups (rule, why, opened, give_up, drop_if_one_fails, "         \
		     "release_when_given_up) VALUES (?, ?, ?, ?, ?, ?)")                           \
	S(ADD_MEMBER, "INSERT INTO members (group_id, place, worker, pattern) "                    \
		      "VALUES (?, ?, ?, ?)")                                                       \
	S(OPEN_GROUPS, "SELECT id, rule, why, opened, give_up, drop_if_one_fails, "                \
		       "release_when_given_up FROM groups WHERE closed IS NULL ORDER BY id")       \
	S(MEMBERS, "SELECT worker, pattern, end FROM members WHERE group_id = ? "                  \
		   "ORDER BY place")                                                               \
	S(MEMBER_ENDED, "UPDATE members SET end = ? WHERE group_id = ? AND place = ?")             \
	S(CLOSE_GROUP, "UPDATE groups SET closed = ?, outcome = ? WHERE id = ?")                   \
	S(OLD_MEMBERS, "DELETE FROM members WHERE group_id IN "                                    \
		       "(SELECT id FROM groups WHERE closed < ? ORDER BY id LIMIT ?)")             \
	S(OLD_GROUPS, "DELETE FROM groups WHERE id IN "                                            \
		      "(SELECT id FROM groups WHERE closed < ? ORDER BY id LIMIT ?)")              \
	S(OLD_ALARMS, "DELETE FROM alarms WHERE id IN (SELECT id FROM alarms WHERE at < ? "        \
		      "AND id <= (SELECT max(id) - 10000 FROM alarms) LIMIT ?)")                   \
	S(HOLD, "INSERT INTO held (worker, arguments, host, why, at) VALUES (?, ?, ?, ?, ?)")      \
	S(HOLD_IN, "INSERT INTO held_by (held_id, group_id) VALUES (?, ?)")                        \
	S(HELD_BY, "SELECT id, worker, arguments, host, why FROM held WHERE id IN "                \
		   "(SELECT held_id FROM held_by WHERE group_id = ?) ORDER BY id")                 \
	S(FREE_HELD, "SELECT id, worker, arguments, host, why FROM held WHERE id NOT IN "          \
		     "(SELECT held_id FROM held_by JOIN groups ON groups.id = group_id "           \
		     "WHERE closed IS NULL) ORDER BY id")                                          \
	S(REMOVE_HELD, "DELETE FROM held WHERE id = ?")                                            \
	S(REMOVE_HELD_BY, "DELETE FROM held_by WHERE held_id = ?")                                 \
	S(ADD_ALARM, "INSERT INTO alarms (at, kind, text, message) VALUES (?, ?, ?, ?)")           \
	S(ALARMS, "SELECT id, at, kind, text, message FROM alarms "                                \
		  "WHERE acknowledged IS NULL ORDER BY id DESC LIMIT ?")                           \
	S(ADD_PROGRAM, "INSERT INTO programs (argv, time_limit, input, source, type, message, "    \
		       "place, received) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")                         \
	S(FIND_PROGRAM, "SELECT id, argv, time_limit, input, source, type, message, place, "       \
			"received FROM programs WHERE id = ?")                                     \
	S(NEXT_PROGRAM, "SELECT id, argv, time_limit, input, source, type, message, place, "       \
			"received FROM programs WHERE id > ? ORDER BY id LIMIT 1")                 \
	S(REMOVE_PROGRAM, "DELETE FROM programs WHERE id = ?")                                     \
	S(COUNT_PROGRAMS, "SELECT count(*) FROM programs WHERE message = ?")

#define STORE_LAUNCH_COLUMNS                                                                       \
	"id, token, worker, arguments, host, boot, why, state, wanted, running, ended, pid, "      \
	"attempt, by_hand, end, report"

enum store_statement {
#define S(name, sql) SQL_##name,
	STORE_STATEMENTS(S)
#undef S
	SQL_COUNT
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[SQL_COUNT];
	char *path;
	bool must_end;
	bool given_up; /* the transaction: it has to be rolled back, and could not be yet */
};

/* NC_OK for `code` SQLITE_OK, ROW and DONE; else what it means, in words. */
enum nc_err store_result(struct store *store, int code, struct error *error);

/*
 * The statement, with its parameters bound: one letter each in `kinds`. `t` a text (const char *, NULL is
 * null), `i` an integer (int64_t), `b` bytes (const void *, size_t), `v` a value (const struct value *,
 * written as YAML in one line; NULL is null), `n` null. NULL: `error` says why. Reset it with
 * sqlite3_reset() after use; store_run() does all of it for one that gives no rows.
 */
sqlite3_stmt *store_bind(struct store *store, enum store_statement which, struct error *error,
	const char *kinds, ...);
enum nc_err store_run(struct store *store, enum store_statement which, struct error *error,
	const char *kinds, ...);
/* The next row: NC_OK and *ret_row tells whether there is one. */
enum nc_err store_next(
	struct store *store, sqlite3_stmt *statement, bool *ret_row, struct error *error);

/* Columns; copies that are the caller's. NC_ERR_NOMEM, NC_ERR_INVALID (no such YAML: damaged). A null
 * gives NULL. */
enum nc_err store_column_text(
	sqlite3_stmt *statement, int column, char **ret_text, struct error *error);
enum nc_err store_column_value(struct store *store, sqlite3_stmt *statement, int column,
	struct value **ret_value, struct error *error);
/* Into an array of `size`; a longer one is damage. */
enum nc_err store_column_fixed(struct store *store, sqlite3_stmt *statement, int column, char *text,
	size_t size, struct error *error);

/* Begin a failure of ours in the database's words. */
enum nc_err store_damaged(struct store *store, const char *what, struct error *error);

/* store_schema.c: make the tables, or bring an older database up to date. */
enum nc_err store_migrate(struct store *store, struct error *error);

#endif
