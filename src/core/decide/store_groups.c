/* Groups (`hold until all have ended`), their members, and the launches that wait for them. */
#include <stdlib.h>
#include <string.h>

#include "core/decide/store_internal.h"

void store_group_finish(struct store_group *group)
{
	for (size_t i = 0; i < group->members_count; i++) {
		free(group->members[i].worker);
		free(group->members[i].pattern);
		free(group->members[i].end);
	}
	free(group->members);
	free(group->rule);
	free(group->why);
	*group = (struct store_group){ 0 };
}

void store_groups_free(struct store_group *groups, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_group_finish(&groups[i]);
	free(groups);
}

void store_held_finish(struct store_held *held)
{
	free(held->worker);
	value_destroy(held->arguments);
	free(held->host);
	free(held->why);
	*held = (struct store_held){ 0 };
}

void store_held_free(struct store_held *held, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_held_finish(&held[i]);
	free(held);
}

enum nc_err store_add_group(
	struct store *store, const struct store_group *group, int64_t *ret_id, struct error *error)
{
	int64_t id = 0;
	enum nc_err err = store_run(store, SQL_ADD_GROUP, error, "ttiiii", group->rule, group->why,
		group->opened_ns, group->give_up_ns, (int64_t)group->drop_if_one_fails,
		(int64_t)group->release_when_given_up);

	if (err == NC_OK)
		id = sqlite3_last_insert_rowid(store->db);
	for (size_t i = 0; err == NC_OK && i < group->members_count; i++)
		err = store_run(store, SQL_ADD_MEMBER, error, "iitt", id, (int64_t)i,
			group->members[i].worker, group->members[i].pattern);
	if (err == NC_OK)
		*ret_id = id;
	return err;
}

/* --- the open ones --- */

static enum nc_err take_member(sqlite3_stmt *row, struct store_group *group, struct error *error)
{
	struct store_member *members =
		reallocarray(group->members, group->members_count + 1, sizeof(*members));
	struct store_member *member;
	enum nc_err err;

	if (members == NULL)
		return error_nomem(error);
	group->members = members;
	member = &members[group->members_count++];
	*member = (struct store_member){ 0 };
	err = store_column_text(row, 0, &member->worker, error);
	if (err == NC_OK)
		err = store_column_text(row, 1, &member->pattern, error);
	if (err == NC_OK)
		err = store_column_text(row, 2, &member->end, error);
	member->ended = member->end != NULL;
	return err;
}

static enum nc_err take_members(struct store *store, struct store_group *group, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement = store_bind(store, SQL_MEMBERS, &why, "i", group->id);
	enum nc_err err = statement != NULL ? NC_OK : why.code;
	bool row = true;

	while (err == NC_OK && row) {
		err = store_next(store, statement, &row, &why);
		if (err == NC_OK && row)
			err = take_member(statement, group, &why);
	}
	if (statement != NULL)
		(void)sqlite3_reset(statement);
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}

static enum nc_err take_group(sqlite3_stmt *row, struct store_group *group, struct error *error)
{
	enum nc_err err = store_column_text(row, 1, &group->rule, error);

	if (err == NC_OK)
		err = store_column_text(row, 2, &group->why, error);
	group->id = sqlite3_column_int64(row, 0);
	group->opened_ns = sqlite3_column_int64(row, 3);
	group->give_up_ns = sqlite3_column_int64(row, 4);
	group->drop_if_one_fails = sqlite3_column_int64(row, 5) != 0;
	group->release_when_given_up = sqlite3_column_int64(row, 6) != 0;
	return err;
}

enum nc_err store_open_groups(struct store *store, struct store_group **ret_groups,
	size_t *ret_count, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement = store_bind(store, SQL_OPEN_GROUPS, &why, "");
	enum nc_err err = statement != NULL ? NC_OK : why.code;
	struct store_group *groups = NULL, *more;
	size_t count = 0;
	bool row = true;

	while (err == NC_OK && row) {
		err = store_next(store, statement, &row, &why);
		if (err != NC_OK || !row)
			break;
		more = reallocarray(groups, count + 1, sizeof(*groups));
		if (more == NULL) {
			err = error_nomem(&why);
			break;
		}
		groups = more;
		groups[count] = (struct store_group){ 0 };
		err = take_group(statement, &groups[count++], &why);
	}
	if (statement != NULL)
		(void)sqlite3_reset(statement);
	for (size_t i = 0; err == NC_OK && i < count; i++)
		err = take_members(store, &groups[i], &why);
	if (err != NC_OK) {
		store_groups_free(groups, count);
		if (error != NULL)
			*error = why;
		return err;
	}
	*ret_groups = groups;
	*ret_count = count;
	return NC_OK;
}

enum nc_err store_member_ended(
	struct store *store, int64_t group, size_t member, const char *end, struct error *error)
{
	return store_run(store, SQL_MEMBER_ENDED, error, "tii", end, group, (int64_t)member);
}

enum nc_err store_close_group(
	struct store *store, int64_t group, const char *outcome, int64_t at_ns, struct error *error)
{
	return store_run(store, SQL_CLOSE_GROUP, error, "iti", at_ns, outcome, group);
}

/* --- what is held --- */

enum nc_err store_hold(struct store *store, const struct store_held *held, const int64_t *groups,
	size_t groups_count, int64_t at_ns, struct error *error)
{
	enum nc_err err = store_run(store, SQL_HOLD, error, "tvtti", held->worker,
		(const struct value *)held->arguments, held->host, held->why, at_ns);
	int64_t id = err == NC_OK ? sqlite3_last_insert_rowid(store->db) : 0;

	for (size_t i = 0; err == NC_OK && i < groups_count; i++)
		err = store_run(store, SQL_HOLD_IN, error, "ii", id, groups[i]);
	return err;
}

static enum nc_err take_held(
	struct store *store, sqlite3_stmt *row, struct store_held *held, struct error *error)
{
	enum nc_err err = store_column_text(row, 1, &held->worker, error);

	held->id = sqlite3_column_int64(row, 0);
	if (err == NC_OK)
		err = store_column_value(store, row, 2, &held->arguments, error);
	if (err == NC_OK)
		err = store_column_text(row, 3, &held->host, error);
	if (err == NC_OK)
		err = store_column_text(row, 4, &held->why, error);
	if (err == NC_OK && (held->worker == NULL || held->host == NULL ||
				    !value_is(held->arguments, VALUE_LIST)))
		err = store_damaged(store, "a held launch that is none", error);
	return err;
}

enum nc_err store_held_by(struct store *store, int64_t group, store_held_function *function,
	void *argument, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement = store_bind(store, SQL_HELD_BY, &why, "i", group);
	enum nc_err err = statement != NULL ? NC_OK : why.code;
	bool row = true;

	while (err == NC_OK && row) {
		struct store_held held = { 0 };

		err = store_next(store, statement, &row, &why);
		if (err == NC_OK && row)
			err = take_held(store, statement, &held, &why);
		if (err == NC_OK && row)
			row = function(argument, &held);
		store_held_finish(&held);
	}
	if (statement != NULL)
		(void)sqlite3_reset(statement);
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}

/* All rows of the statement, into an array. */
static enum nc_err collect_held(struct store *store, sqlite3_stmt *statement,
	struct store_held **held, size_t *count, struct error *error)
{
	struct store_held *more;
	bool row = true;
	enum nc_err err = NC_OK;

	while (err == NC_OK && row) {
		err = store_next(store, statement, &row, error);
		if (err != NC_OK || !row)
			break;
		more = reallocarray(*held, *count + 1, sizeof(*more));
		if (more == NULL)
			return error_nomem(error);
		*held = more;
		more[*count] = (struct store_held){ 0 };
		err = take_held(store, statement, &more[(*count)++], error);
	}
	return err;
}

static enum nc_err take_out(struct store *store, sqlite3_stmt *statement,
	struct store_held **ret_held, size_t *ret_count, struct error *error)
{
	struct store_held *held = NULL;
	size_t count = 0;
	enum nc_err err = collect_held(store, statement, &held, &count, error);

	(void)sqlite3_reset(statement);
	for (size_t i = 0; err == NC_OK && i < count; i++) {
		err = store_run(store, SQL_REMOVE_HELD, error, "i", held[i].id);
		if (err == NC_OK)
			err = store_run(store, SQL_REMOVE_HELD_BY, error, "i", held[i].id);
	}
	if (err != NC_OK) {
		store_held_free(held, count);
		return err;
	}
	*ret_held = held;
	*ret_count = count;
	return NC_OK;
}

enum nc_err store_take_free_held(
	struct store *store, struct store_held **ret_held, size_t *ret_count, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement = store_bind(store, SQL_FREE_HELD, &why, "");
	enum nc_err err = statement != NULL ? take_out(store, statement, ret_held, ret_count, &why)
					    : why.code;

	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}

enum nc_err store_take_held_by(struct store *store, int64_t group, struct store_held **ret_held,
	size_t *ret_count, struct error *error)
{
	struct error why = { .code = NC_ERR_SYSTEM };
	sqlite3_stmt *statement = store_bind(store, SQL_HELD_BY, &why, "i", group);
	enum nc_err err = statement != NULL ? take_out(store, statement, ret_held, ret_count, &why)
					    : why.code;

	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}
