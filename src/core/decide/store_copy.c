/* Copies of the whole database, made in steps between the messages, and the check of one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/store_internal.h"
#include "core/system/file.h"
#include "core/system/sys.h"

struct store_copy {
	struct store *store;
	struct store target;
	sqlite3_backup *backup;
	bool done;
};

enum nc_err store_copy_begin(
	struct store *store, const char *path, struct store_copy **ret_copy, struct error *error)
{
	struct store_copy *copy = calloc(1, sizeof(*copy));
	enum nc_err err;
	int fd;

	if (copy == NULL || (copy->target.path = strdup(path)) == NULL) {
		free(copy);
		return error_nomem(error);
	}
	copy->store = store;
	fd = sys_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = error_errno(error, errno, "cannot make the copy %s", path);
		free(copy->target.path);
		free(copy);
		return err;
	}
	(void)sys_close(fd);
	err = store_result(&copy->target,
		sqlite3_open_v2(path, &copy->target.db,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL),
		error);
	if (err == NC_OK) {
		copy->backup = sqlite3_backup_init(copy->target.db, "main", store->db, "main");
		if (copy->backup == NULL)
			err = store_result(&copy->target, sqlite3_errcode(copy->target.db), error);
	}
	if (err != NC_OK) {
		store_copy_end(copy);
		return err;
	}
	*ret_copy = copy;
	return NC_OK;
}

static enum nc_err sync_path(const char *path, int flags, struct error *error)
{
	int fd = sys_open(path, flags, 0);
	enum nc_err err = NC_OK;

	if (fd < 0 || sys_fsync(fd) != 0)
		err = error_errno(error, errno, "cannot sync %s", path);
	if (fd >= 0)
		(void)sys_close(fd);
	return err;
}

/* It has to outlive a power failure: the file, and its name. */
static enum nc_err sync_copy(struct store_copy *copy, struct error *error)
{
	char *directory = path_directory(copy->target.path);
	enum nc_err err = directory != NULL ? sync_path(copy->target.path, O_RDWR, error)
					    : error_nomem(error);

	if (err == NC_OK)
		err = sync_path(directory, O_RDONLY | O_DIRECTORY, error);
	free(directory);
	return err;
}

enum nc_err store_copy_step(
	struct store_copy *copy, unsigned pages, bool *ret_done, struct error *error)
{
	int code = sqlite3_backup_step(copy->backup, (int)pages);
	enum nc_err err;

	*ret_done = false;
	if (code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED)
		return NC_OK;
	if (code != SQLITE_DONE)
		return store_result(&copy->target, code, error);
	err = store_result(&copy->target, sqlite3_backup_finish(copy->backup), error);
	copy->backup = NULL;
	if (err == NC_OK) {
		/* Alone, without the files that a WAL brings. */
		err = store_result(&copy->target,
			sqlite3_exec(
				copy->target.db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL),
			error);
	}
	if (err == NC_OK)
		err = store_result(&copy->target, sqlite3_close(copy->target.db), error);
	if (err == NC_OK) {
		copy->target.db = NULL;
		err = sync_copy(copy, error);
	}
	copy->done = err == NC_OK;
	*ret_done = copy->done;
	return err;
}

void store_copy_end(struct store_copy *copy)
{
	if (copy == NULL)
		return;
	if (copy->backup != NULL)
		(void)sqlite3_backup_finish(copy->backup);
	(void)sqlite3_close(copy->target.db);
	if (!copy->done)
		(void)sys_unlink(copy->target.path);
	free(copy->target.path);
	free(copy);
}

/* One answer of a PRAGMA or SELECT. */
static enum nc_err ask(struct store *store, const char *sql, char **ret_text, struct error *error)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
	enum nc_err err;

	*ret_text = NULL;
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	err = store_result(store, code, error);
	if (err == NC_OK && code == SQLITE_ROW)
		err = store_column_text(statement, 0, ret_text, error);
	(void)sqlite3_finalize(statement);
	return err;
}

enum nc_err store_check_file(const char *path, struct error *error)
{
	struct store store = { 0 };
	char *words = NULL, *name = NULL;
	enum nc_err err;

	store.path = strdup(path);
	if (store.path == NULL)
		return error_nomem(error);
	err = store_result(&store,
		sqlite3_open_v2(path, &store.db,
			SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL),
		error);
	if (err == NC_OK)
		err = ask(&store, "PRAGMA integrity_check(1)", &words, error);
	if (err == NC_OK && (words == NULL || strcmp(words, "ok") != 0))
		err = store_damaged(&store, words != NULL ? words : "it is empty", error);
	if (err == NC_OK &&
		ask(&store, "SELECT text FROM facts WHERE name = 'state'", &name, error) != NC_OK)
		err = store_damaged(&store, "it is no state of nowcast's", error);
	if (err == NC_OK && (name == NULL || !id_is_valid(name)))
		err = store_damaged(&store, "it has no name", error);
	free(words);
	free(name);
	(void)sqlite3_close(store.db);
	free(store.path);
	return err;
}
