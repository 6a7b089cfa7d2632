/* Opening and closing, transactions, facts, and copies of the whole. */
#include "core/decide/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/decide/store_internal.h"
#include "core/system/file.h"
#include "core/system/sys.h"

/* --- opening --- */

/* `locking_mode` comes before anything that reads the file (promises.md, "Store"). */
static const char *const settings[] = {
	"PRAGMA locking_mode = EXCLUSIVE",
	"PRAGMA temp_store = MEMORY",
	"PRAGMA cell_size_check = ON",
	"PRAGMA journal_mode = WAL",
	"PRAGMA synchronous = FULL",
	"PRAGMA wal_autocheckpoint = 50",
};

static enum nc_err run_text(struct store *store, const char *sql, struct error *error)
{
	return store_result(store, sqlite3_exec(store->db, sql, NULL, NULL, NULL), error);
}

/* A damaged page is found now, and not by the message that needs it at 4 in the morning. */
static enum nc_err check_pages(struct store *store, struct error *error)
{
	sqlite3_stmt *statement = NULL;
	const unsigned char *words;
	enum nc_err err = store_result(store,
		sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &statement, NULL),
		error);

	if (err == NC_OK)
		err = store_result(store, sqlite3_step(statement), error);
	if (err == NC_OK) {
		words = sqlite3_column_text(statement, 0);
		if (words == NULL || strcmp((const char *)words, "ok") != 0)
			err = store_damaged(store,
				words != NULL ? (const char *)words : "it cannot be checked",
				error);
	}
	(void)sqlite3_finalize(statement);
	return err;
}

/* Made by us, and not by SQLite: its mode, and that of the files beside it, comes from this one. */
static enum nc_err make_file(const char *path, struct error *error)
{
	int fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

	if (fd < 0)
		return error_errno(error, errno, "cannot open the state database %s", path);
	(void)sys_close(fd);
	return NC_OK;
}

static enum nc_err connect_to(struct store *store, const char *path, struct error *error)
{
	int code = sqlite3_open_v2(path, &store->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
			SQLITE_OPEN_EXRESCODE,
		NULL);
	enum nc_err err = store_result(store, code, error);

	for (size_t i = 0; err == NC_OK && i < ARRAY_LEN(settings); i++)
		err = run_text(store, settings[i], error);
	return err;
}

static enum nc_err read_name(const char *path, char name[ID_TEXT_SIZE], struct error *error)
{
	struct buffer text;
	enum nc_err err;

	name[0] = '\0';
	buffer_init(&text);
	err = file_read(path, 4096, &text, error);
	if (err == NC_OK && text.len == ID_TEXT_SIZE && text.data[ID_TEXT_SIZE - 1] == '\n') {
		memcpy(name, text.data, ID_TEXT_SIZE - 1);
		name[ID_TEXT_SIZE - 1] = '\0';
	}
	buffer_finish(&text);
	if (err == NC_ERR_NOT_FOUND)
		return NC_OK;
	if (err == NC_OK && !id_is_valid(name))
		err = error_set(error, NC_ERR_INVALID, "%s is damaged: it holds no id", path);
	return err;
}

static enum nc_err write_name(const char *path, const char *name, struct error *error)
{
	char line[ID_TEXT_SIZE];

	memcpy(line, name, ID_TEXT_SIZE - 1);
	line[ID_TEXT_SIZE - 1] = '\n';
	return file_replace(path, line, sizeof(line), 0600, error);
}

/*
 * The state has a name, in the database and in a file beside it: so a database that was lost or emptied is
 * not taken for the beginning (R22). The database gets it first.
 */
static enum nc_err check_name(struct store *store, const char *file, struct error *error)
{
	char beside[ID_TEXT_SIZE], made[ID_TEXT_SIZE];
	char *name = NULL;
	enum nc_err err = read_name(file, beside, error);

	if (err == NC_OK)
		err = store_fact(store, "state", &name, error);
	if (err == NC_OK && beside[0] != '\0' && name == NULL)
		err = store_damaged(store,
			"this directory held a state before, and the database is empty", error);
	else if (err == NC_OK && beside[0] != '\0' && strcmp(beside, name) != 0)
		err = store_damaged(store, "it is that of another state directory", error);
	else if (err == NC_OK && name == NULL) {
		err = id_make(made, error);
		if (err == NC_OK)
			err = store_set_fact(store, "state", made, error);
		if (err == NC_OK)
			err = write_name(file, made, error);
	} else if (err == NC_OK && beside[0] == '\0') {
		err = write_name(file, name, error);
	}
	free(name);
	return err;
}

static enum nc_err open_in(struct store *store, const char *directory, struct error *error)
{
	char *name_file = path_join(directory, STORE_NAME_FILE);
	char beside[ID_TEXT_SIZE];
	struct stat status;
	enum nc_err err = NC_OK;

	store->path = path_join(directory, STORE_FILE);
	if (store->path == NULL || name_file == NULL)
		err = error_nomem(error);
	if (err == NC_OK)
		err = read_name(name_file, beside, error);
	/* Before anything is made: what is missing is not replaced. */
	if (err == NC_OK && beside[0] != '\0' && stat(store->path, &status) != 0)
		err = errno == ENOENT ? store_damaged(store, "it is missing", error)
				      : error_errno(error, errno, "%s", store->path);
	if (err == NC_OK)
		err = make_file(store->path, error);
	if (err == NC_OK)
		err = connect_to(store, store->path, error);
	if (err == NC_OK)
		err = check_pages(store, error);
	if (err == NC_OK)
		err = store_migrate(store, error);
	if (err == NC_OK)
		err = check_name(store, name_file, error);
	free(name_file);
	return err;
}

enum nc_err store_open(const char *directory, struct store **ret_store, struct error *error)
{
	struct store *store = calloc(1, sizeof(*store));
	enum nc_err err;

	if (store == NULL)
		return error_nomem(error);
	if (directory != NULL) {
		err = open_in(store, directory, error);
	} else {
		store->path = strdup("in memory");
		err = store->path != NULL ? connect_to(store, ":memory:", error)
					  : error_nomem(error);
		if (err == NC_OK)
			err = store_migrate(store, error);
	}
	if (err != NC_OK) {
		store_close(store);
		return err;
	}
	*ret_store = store;
	return NC_OK;
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	store_rollback(store);
	for (size_t i = 0; i < SQL_COUNT; i++)
		(void)sqlite3_finalize(store->statements[i]);
	(void)sqlite3_close(store->db);
	free(store->path);
	free(store);
}

bool store_must_end(const struct store *store)
{
	return store->must_end;
}

/* --- transactions --- */

enum nc_err store_begin(struct store *store, struct error *error)
{
	return store_run(store, SQL_BEGIN, error, "");
}

enum nc_err store_commit(struct store *store, struct error *error)
{
	enum nc_err err = store_run(store, SQL_COMMIT, error, "");

	if (err != NC_OK)
		store_rollback(store);
	return err;
}

void store_rollback(struct store *store)
{
	/* Several failures have rolled it back by themselves. */
	store->given_up = store->db != NULL && !sqlite3_get_autocommit(store->db);
	if (!store->given_up)
		return;
	for (size_t i = 0; i < SQL_COUNT; i++)
		if (store->statements[i] != NULL)
			(void)sqlite3_reset(store->statements[i]);
	/* Without memory that fails, too. Then nothing of it may be committed: the next call tries again. */
	store->given_up = sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK &&
			  !sqlite3_get_autocommit(store->db);
}

bool store_is_open(const struct store *store)
{
	return !store->given_up && !sqlite3_get_autocommit(store->db);
}

enum nc_err store_mark(struct store *store, struct error *error)
{
	return store_run(store, SQL_MARK, error, "");
}

enum nc_err store_forget_mark(struct store *store, struct error *error)
{
	return store_run(store, SQL_FORGET_MARK, error, "");
}

enum nc_err store_back_to_mark(struct store *store, struct error *error)
{
	enum nc_err err = store_run(store, SQL_BACK_TO_MARK, error, "");

	return err == NC_OK ? store_forget_mark(store, error) : err;
}

/* --- facts --- */

enum nc_err store_fact(struct store *store, const char *name, char **ret_text, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement = store_bind(store, SQL_FACT, &why, "t", name);
	enum nc_err err = why.code;
	bool row = false;

	*ret_text = NULL;
	if (statement != NULL) {
		err = store_next(store, statement, &row, &why);
		if (err == NC_OK && row)
			err = store_column_text(statement, 0, ret_text, &why);
		(void)sqlite3_reset(statement);
	}
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}

enum nc_err store_set_fact(
	struct store *store, const char *name, const char *text, struct error *error)
{
	return store_run(store, SQL_SET_FACT, error, "tt", name, text);
}

/* --- keeping it small --- */

enum nc_err store_forget_old(struct store *store, const struct store_retention *retention,
	size_t *ret_rows, struct error *error)
{
	int64_t messages = retention->messages_before_ns, launches = retention->launches_before_ns;
	int64_t most = retention->most;
	const struct {
		enum store_statement statement;
		int64_t before_ns;
	} steps[] = {
		{ SQL_OLD_MESSAGES, messages },
		{ SQL_OLD_LAUNCHES, launches },
		{ SQL_OLD_SLOTS, launches },
		{ SQL_OLD_MEMBERS, launches },
		{ SQL_OLD_GROUPS, launches },
		/* Those that nobody acknowledges, when there are ten thousand. */
		{ SQL_OLD_ALARMS, INT64_MAX },
	};
	enum nc_err err = store_begin(store, error);

	*ret_rows = 0;
	for (size_t i = 0; err == NC_OK && i < ARRAY_LEN(steps); i++) {
		err = store_run(store, steps[i].statement, error, "ii", steps[i].before_ns, most);
		if (err == NC_OK)
			*ret_rows += (size_t)sqlite3_changes(store->db);
	}
	if (err != NC_OK) {
		store_rollback(store);
		return err;
	}
	return store_commit(store, error);
}
