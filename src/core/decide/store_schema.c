/* The tables, and the way from each earlier version of them to this one. */
#include <inttypes.h>
#include <stdio.h>

#include "core/decide/store_internal.h"

/*
 * One step for each version: from what was before it to it. A step is never changed once a release
 * has it; what is new comes as a new one. `number` orders launches as they were wanted.
 */
static const char *const steps[STORE_SCHEMA] = {
	"CREATE TABLE facts (name TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID;"
	"CREATE TABLE messages (id TEXT PRIMARY KEY, received INTEGER NOT NULL, source TEXT, "
	" type TEXT, digest TEXT NOT NULL, message BLOB, reply BLOB);"
	"CREATE INDEX messages_received ON messages (received);"
	"CREATE TABLE checklist (key TEXT PRIMARY KEY, value TEXT NOT NULL, "
	" position INTEGER NOT NULL);"
	"CREATE INDEX checklist_position ON checklist (position);"
	"CREATE TABLE launches (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
	" token TEXT NOT NULL, worker TEXT NOT NULL, arguments TEXT NOT NULL, "
	" host TEXT NOT NULL, boot TEXT NOT NULL, why TEXT, state INTEGER NOT NULL, "
	" wanted INTEGER NOT NULL, running INTEGER, ended INTEGER, pid INTEGER, "
	" attempt INTEGER NOT NULL, by_hand INTEGER NOT NULL, end TEXT, report TEXT, "
	" unsuccessful INTEGER);"
	"CREATE INDEX launches_open ON launches (number) WHERE ended IS NULL;"
	"CREATE INDEX launches_open_of ON launches (worker) WHERE ended IS NULL;"
	"CREATE INDEX launches_waiting ON launches (worker) WHERE state = 5;"
	"CREATE INDEX launches_ended ON launches (ended) WHERE ended IS NOT NULL;"
	"CREATE INDEX launches_failed ON launches (ended) WHERE unsuccessful;"
	"CREATE TABLE slots (name TEXT PRIMARY KEY, at INTEGER NOT NULL);"
	"CREATE TABLE groups (id INTEGER PRIMARY KEY AUTOINCREMENT, rule TEXT NOT NULL, why TEXT, "
	" opened INTEGER NOT NULL, give_up INTEGER NOT NULL, "
	" drop_if_one_fails INTEGER NOT NULL, release_when_given_up INTEGER NOT NULL, "
	" closed INTEGER, outcome TEXT);"
	"CREATE INDEX groups_open ON groups (id) WHERE closed IS NULL;"
	"CREATE TABLE members (group_id INTEGER NOT NULL, place INTEGER NOT NULL, "
	" worker TEXT NOT NULL, pattern TEXT, end TEXT, PRIMARY KEY (group_id, place)) "
	" WITHOUT ROWID;"
	"CREATE TABLE held (id INTEGER PRIMARY KEY AUTOINCREMENT, worker TEXT NOT NULL, "
	" arguments TEXT NOT NULL, host TEXT NOT NULL, why TEXT, at INTEGER NOT NULL);"
	"CREATE TABLE held_by (held_id INTEGER NOT NULL, group_id INTEGER NOT NULL, "
	" PRIMARY KEY (held_id, group_id)) WITHOUT ROWID;"
	"CREATE TABLE alarms (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, "
	" kind TEXT NOT NULL, text TEXT NOT NULL, message TEXT, acknowledged INTEGER);"
	"CREATE TABLE programs (id INTEGER PRIMARY KEY AUTOINCREMENT, argv TEXT NOT NULL, "
	" time_limit INTEGER NOT NULL, input TEXT NOT NULL, source TEXT NOT NULL, "
	" type TEXT NOT NULL, message TEXT, place TEXT NOT NULL, received INTEGER NOT NULL);",
};

static enum nc_err read_version(struct store *store, int64_t *ret_version, struct error *error)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &statement, NULL);
	enum nc_err err;

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	err = store_result(store, code, error);
	if (err == NC_OK)
		*ret_version = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return err;
}

static enum nc_err take_step(struct store *store, int64_t version, struct error *error)
{
	char number[60];
	int code;
	enum nc_err err;

	(void)snprintf(number, sizeof(number), "PRAGMA user_version = %" PRId64, version + 1);
	code = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(store->db, steps[version], NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(store->db, number, NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
	err = store_result(store, code, error);
	if (err != NC_OK)
		store_rollback(store);
	return err;
}

enum nc_err store_migrate(struct store *store, struct error *error)
{
	int64_t version = 0;
	enum nc_err err = read_version(store, &version, error);

	if (err == NC_OK && version > STORE_SCHEMA)
		return error_set(error, NC_ERR_REFUSED,
			"the state database %s was made by a newer nowcast (its form is %" PRId64
			", and this one knows %d); run that version, or restore a copy that is "
			"older",
			store->path, version, STORE_SCHEMA);
	if (err == NC_OK && version < 0)
		return store_damaged(store, "its version is no number of ours", error);
	while (err == NC_OK && version < STORE_SCHEMA)
		err = take_step(store, version++, error);
	return err;
}
