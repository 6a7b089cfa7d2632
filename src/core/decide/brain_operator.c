/* What operators ask and change. */
#include <stdlib.h>

#include "core/decide/brain_internal.h"
#include "core/system/log.h"

enum {
	FAILED_MOST = 100,
	ALARMS_MOST = 100,
};

/* --- the checklist --- */

static enum nc_err import(struct judgement *j, struct value *checklist, const char *words)
{
	enum nc_err err = store_replace_checklist(j->brain->store, checklist, j->error);

	if (err != NC_OK) {
		value_destroy(checklist);
		return err;
	}
	value_destroy(j->brain->checklist);
	j->brain->checklist = checklist;
	j->t.checklist_changed = true;
	brain_note(j, LEVEL_WARNING, "the checklist was replaced, %s", words);
	return NC_OK;
}

enum nc_err brain_import_checklist(struct brain *brain, struct value *checklist, const char *words,
	struct transaction *ret_transaction, struct error *error)
{
	struct error why = { 0 };
	struct judgement j = { .brain = brain, .error = &why };
	enum nc_err err = judgement_begin(&j);

	if (err == NC_OK)
		err = import(&j, checklist, words);
	else
		value_destroy(checklist);
	err = judgement_end(&j, err, ret_transaction);
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}

static void note_change(struct judgement *j, const struct value *key, bool put)
{
	struct buffer name;

	buffer_init(&name);
	(void)value_print_scalar(key, &name);
	brain_note(j, LEVEL_WARNING, "[%s] was %s the checklist by an operator", name.data,
		put ? "set in" : "deleted from");
	buffer_finish(&name);
}

static enum nc_err change(struct judgement *j, const struct value *key, const struct value *value)
{
	enum nc_err err;

	if (value == NULL && value_map_find(j->brain->checklist, key) == NULL)
		return error_set(j->error, NC_ERR_NOT_FOUND, "the checklist has no such key");
	err = store_put_checklist(j->brain->store, key, value, j->error);
	if (err != NC_OK)
		return err;
	/* Read again when it is next asked for. */
	value_destroy(j->brain->checklist);
	j->brain->checklist = NULL;
	j->t.checklist_changed = true;
	note_change(j, key, value != NULL);
	return NC_OK;
}

enum nc_err brain_change_checklist(struct brain *brain, const struct value *key,
	const struct value *value, struct transaction *ret_transaction, struct error *error)
{
	struct error why = { 0 };
	struct judgement j = { .brain = brain, .error = &why };
	enum nc_err err = judgement_begin(&j);

	if (err == NC_OK)
		err = change(&j, key, value);
	err = judgement_end(&j, err, ret_transaction);
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}

/* --- the whole of it, for people --- */

struct listing {
	struct brain *brain;
	struct value *list;
	bool failed;
};

static bool add_launch(void *argument, const struct store_launch *launch)
{
	struct listing *listing = argument;

	listing->failed = value_list_append(listing->list,
				  brain_launch_to_value(listing->brain, launch)) != NC_OK;
	return !listing->failed;
}

static bool add_failed(void *argument, const struct store_launch *launch)
{
	struct listing *listing = argument;
	struct value *map = brain_launch_to_value(listing->brain, launch);
	const struct value *reason = value_map_get(launch->report, "reason");

	if (value_map_put(map, "ended", value_int(launch->ended_ns / 1000000000)) != NC_OK ||
		value_map_put(map, "end",
			launch->end != NULL ? value_text(launch->end) : value_null()) != NC_OK ||
		(reason != NULL && value_map_put(map, "reason", value_copy(reason)) != NC_OK)) {
		value_destroy(map);
		map = NULL;
	}
	listing->failed = value_list_append(listing->list, map) != NC_OK;
	return !listing->failed;
}

static bool add_alarm(void *argument, const struct store_alarm *alarm)
{
	struct listing *listing = argument;
	struct value *map = value_map();

	if (value_map_put(map, "alarm", value_int(alarm->id)) != NC_OK ||
		value_map_put(map, "kind", value_text(alarm->kind)) != NC_OK ||
		value_map_put(map, "at", value_int(alarm->at_ns / 1000000000)) != NC_OK ||
		value_map_put(map, "text", value_text(alarm->text)) != NC_OK ||
		value_map_put(map, "message",
			alarm->message != NULL ? value_text(alarm->message) : value_null()) !=
			NC_OK) {
		value_destroy(map);
		map = NULL;
	}
	listing->failed = value_list_append(listing->list, map) != NC_OK;
	return !listing->failed;
}

/* `err` of the listing that filled it; the list, or NULL. */
static struct value *finish_list(struct listing *listing, enum nc_err err, struct error *error)
{
	if (err == NC_OK && listing->failed)
		err = error_nomem(error);
	if (err == NC_OK)
		return listing->list;
	value_destroy(listing->list);
	return NULL;
}

struct value *brain_running(struct brain *brain, struct error *error)
{
	struct listing listing = { .brain = brain, .list = value_list() };

	return finish_list(&listing,
		listing.list != NULL
			? store_open_launches(brain->store, add_launch, &listing, error)
			: error_nomem(error),
		error);
}

static struct value *failed_launches(struct brain *brain, int64_t since_ns, struct error *error)
{
	struct listing listing = { .brain = brain, .list = value_list() };

	return finish_list(&listing,
		listing.list != NULL ? store_failed_launches(brain->store, since_ns, FAILED_MOST,
					       add_failed, &listing, error)
				     : error_nomem(error),
		error);
}

static struct value *alarms(struct brain *brain, struct error *error)
{
	struct listing listing = { .brain = brain, .list = value_list() };

	return finish_list(&listing,
		listing.list != NULL
			? store_alarms(brain->store, ALARMS_MOST, add_alarm, &listing, error)
			: error_nomem(error),
		error);
}

struct value *brain_status(struct brain *brain, int64_t since_ns, struct error *error)
{
	struct value *map = value_map();

	(void)error_nomem(error);
	if (value_map_put(map, "launches", brain_running(brain, error)) != NC_OK ||
		value_map_put(map, "failed", failed_launches(brain, since_ns, error)) != NC_OK ||
		value_map_put(map, "groups", brain_groups_to_value(brain, error)) != NC_OK ||
		value_map_put(map, "alarms", alarms(brain, error)) != NC_OK) {
		value_destroy(map);
		return NULL;
	}
	return map;
}
