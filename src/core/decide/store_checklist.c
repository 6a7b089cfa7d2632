/* The checklist: a row for each key, so that a message costs as much as it changes. */
#include <stdlib.h>

#include "core/data/yaml.h"
#include "core/decide/store_internal.h"

/* A key of any kind, as a text that tells kinds apart: `1` is not `'1'`. NULL: out of memory. */
static char *key_text(const struct value *key)
{
	struct buffer text;
	char *stolen;

	buffer_init(&text);
	yaml_write(key, YAML_WRITE_FLOW, &text);
	stolen = buffer_steal(&text);
	buffer_finish(&text);
	return stolen;
}

static enum nc_err take_entry(
	struct store *store, sqlite3_stmt *statement, struct value *checklist, struct error *error)
{
	struct value *key = NULL, *value = NULL;
	enum nc_err err = store_column_value(store, statement, 0, &key, error);

	if (err == NC_OK)
		err = store_column_value(store, statement, 1, &value, error);
	if (err != NC_OK) {
		value_destroy(key);
		return err;
	}
	return value_map_put_key(checklist, key, value) == NC_OK ? NC_OK : error_nomem(error);
}

enum nc_err store_checklist(struct store *store, struct value **ret_checklist, struct error *error)
{
	struct value *checklist = value_map();
	struct error why = { .code = NC_ERR_NOMEM, .text = "out of memory" };
	sqlite3_stmt *statement =
		checklist != NULL ? store_bind(store, SQL_CHECKLIST, &why, "") : NULL;
	enum nc_err err = statement != NULL ? NC_OK : why.code;
	bool row = statement != NULL;

	while (err == NC_OK && row) {
		err = store_next(store, statement, &row, &why);
		if (err == NC_OK && row)
			err = take_entry(store, statement, checklist, &why);
	}
	if (statement != NULL)
		(void)sqlite3_reset(statement);
	if (err != NC_OK) {
		value_destroy(checklist);
		if (error != NULL)
			*error = why;
		return err;
	}
	*ret_checklist = checklist;
	return NC_OK;
}

static enum nc_err put(struct store *store, const struct value *key, const struct value *value,
	struct error *error)
{
	char *text = key_text(key);
	enum nc_err err;

	if (text == NULL)
		return error_nomem(error);
	err = value != NULL ? store_run(store, SQL_PUT_CHECKLIST, error, "tv", text, value)
			    : store_run(store, SQL_REMOVE_CHECKLIST, error, "t", text);
	free(text);
	return err;
}

static enum nc_err count_change(struct store *store, struct error *error)
{
	return store_run(store, SQL_COUNT_CHECKLIST, error, "");
}

enum nc_err store_put_checklist(struct store *store, const struct value *key,
	const struct value *value, struct error *error)
{
	enum nc_err err = put(store, key, value, error);

	return err == NC_OK ? count_change(store, error) : err;
}

enum nc_err store_clear_checklist(struct store *store, struct error *error)
{
	enum nc_err err = store_run(store, SQL_CLEAR_CHECKLIST, error, "");

	return err == NC_OK ? count_change(store, error) : err;
}

enum nc_err store_replace_checklist(
	struct store *store, const struct value *checklist, struct error *error)
{
	enum nc_err err = store_clear_checklist(store, error);

	for (size_t i = 0; err == NC_OK && i < value_count(checklist); i++)
		err = put(store, value_map_key_at(checklist, i), value_map_value_at(checklist, i),
			error);
	return err;
}

enum nc_err store_checklist_version(struct store *store, int64_t *ret_version, struct error *error)
{
	char *text = NULL;
	enum nc_err err = store_fact(store, "checklist version", &text, error);

	*ret_version = 0;
	if (err == NC_OK && text != NULL && !text_to_int64(text, ret_version))
		err = store_damaged(store, "the version of the checklist is no number", error);
	free(text);
	return err;
}
