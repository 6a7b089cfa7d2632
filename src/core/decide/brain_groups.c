/*
 * Groups: `hold until all have ended` (next_workers.yaml(5)). A message of a member is counted before its
 * rules are carried out: so what the last one leads to comes right after what was held, in order; and what
 * a member leads to whose failure closes its group is not held by it any more.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/brain_internal.h"
#include "core/system/log.h"

void affected_finish(struct affected *affected)
{
	free(affected->groups);
	*affected = (struct affected){ 0 };
}

static void print_held(const struct store_held *held, struct buffer *out)
{
	buffer_append_text(out, held->worker);
	for (size_t i = 0; i < value_count(held->arguments); i++)
		buffer_printf(out, " %s", value_as_text(value_at(held->arguments, i), ""));
	if (strcmp(held->host, "localhost") != 0)
		buffer_printf(out, " on %s", held->host);
}

/* --- closing --- */

/* What the group holds goes with it. */
static enum nc_err drop_held(
	struct judgement *j, const struct store_group *group, const char *reason)
{
	struct store_held *held = NULL;
	struct buffer words;
	size_t count = 0;
	enum nc_err err = store_take_held_by(j->brain->store, group->id, &held, &count, j->error);

	if (err != NC_OK)
		return err;
	buffer_init(&words);
	for (size_t i = 0; i < count; i++) {
		buffer_append_text(&words, i == 0 ? ": " : "; ");
		print_held(&held[i], &words);
	}
	brain_note(j, LEVEL_CRITICAL, "the group %s was dropped, %s; %zu launch%s dropped%s",
		group->rule, reason, count, count == 1 ? " was" : "es were",
		words.failed ? "" : words.data);
	buffer_finish(&words);
	store_held_free(held, count);
	return NC_OK;
}

static enum nc_err close_group(
	struct judgement *j, const struct store_group *group, bool release, const char *reason)
{
	enum nc_err err = store_close_group(
		j->brain->store, group->id, release ? "released" : "dropped", j->real_ns, j->error);

	j->t.groups_changed = true;
	if (err == NC_OK && !release)
		return drop_held(j, group, reason);
	if (err == NC_OK)
		brain_note(j, LEVEL_INFO, "the group %s is released: %s", group->rule, reason);
	return err;
}

/* --- a message of a member --- */

static bool is_loss(const char *type)
{
	return strcmp(type, "crash") == 0 || strcmp(type, "lost") == 0;
}

static enum nc_err is_of_member(struct judgement *j, const struct store_member *member,
	const char *worker, const char *type, bool *ret_is)
{
	bool is = strcmp(member->worker, worker) == 0;

	if (is && member->pattern != NULL && !is_loss(type) &&
		rules_pattern_matches(member->pattern, type, &is) != NC_OK)
		return error_nomem(j->error);
	*ret_is = is;
	return NC_OK;
}

static bool ends_member(const struct store_member *member, const char *type)
{
	return !member->ended && (member->pattern != NULL || brain_type_is_end(type));
}

/* Count the end for the members that it is an end of. false in *ret_open: the group is closed by it. */
static enum nc_err count_end(struct judgement *j, struct store_group *group, const char *worker,
	const char *type, bool *ret_open)
{
	bool fails = is_loss(type) || strncmp(type, "failure", strlen("failure")) == 0;
	size_t waiting = 0;
	char reason[200];
	enum nc_err err = NC_OK;

	for (size_t i = 0; err == NC_OK && i < group->members_count; i++) {
		struct store_member *member = &group->members[i];
		bool is = false;

		err = is_of_member(j, member, worker, type, &is);
		if (err == NC_OK && is && ends_member(member, type)) {
			err = store_member_ended(j->brain->store, group->id, i, type, j->error);
			member->ended = true;
			j->t.groups_changed = true;
		}
		waiting += !member->ended;
	}
	*ret_open = waiting > 0;
	if (err == NC_OK && fails && group->drop_if_one_fails) {
		*ret_open = false;
		(void)snprintf(reason, sizeof(reason), "since %.60s reported %.60s", worker, type);
		return close_group(j, group, false, reason);
	}
	if (err == NC_OK && waiting == 0)
		err = close_group(j, group, true, "all have ended");
	return err;
}

enum nc_err brain_groups_affected(struct judgement *j, const char *worker, const char *type,
	bool ends, struct affected *ret_affected)
{
	struct store_group *groups = NULL;
	size_t count = 0;
	enum nc_err err = store_open_groups(j->brain->store, &groups, &count, j->error);

	if (err != NC_OK)
		return err;
	ret_affected->groups = calloc(count + 1, sizeof(*ret_affected->groups));
	if (ret_affected->groups == NULL)
		err = error_nomem(j->error);
	for (size_t i = 0; err == NC_OK && i < count; i++) {
		bool member = false, open = true;

		for (size_t k = 0; err == NC_OK && !member && k < groups[i].members_count; k++)
			err = is_of_member(j, &groups[i].members[k], worker, type, &member);
		if (err != NC_OK || !member)
			continue;
		if (ends)
			err = count_end(j, &groups[i], worker, type, &open);
		if (open)
			ret_affected->groups[ret_affected->count++] = groups[i].id;
	}
	store_groups_free(groups, count);
	return err;
}

/* --- launches that wait --- */

enum nc_err brain_launch_or_hold(struct judgement *j, const struct affected *affected,
	const struct rules_launch *wanted, const char *why)
{
	struct store_held held = { .worker = wanted->worker, .host = wanted->host };
	char *words;
	enum nc_err err = NC_OK;

	if (affected->count == 0)
		return brain_want_launch(j, wanted, why);
	words = strdup(why);
	held.why = words;
	held.arguments = value_list();
	if (words == NULL || held.arguments == NULL)
		err = error_nomem(j->error);
	for (size_t i = 0; err == NC_OK && i < wanted->arguments_count; i++)
		if (value_list_append(held.arguments, value_text(wanted->arguments[i])) != NC_OK)
			err = error_nomem(j->error);
	if (err == NC_OK)
		err = store_hold(j->brain->store, &held, affected->groups, affected->count,
			j->real_ns, j->error);
	if (err == NC_OK)
		brain_note(j, LEVEL_INFO, "%s is held until its group has ended", wanted->worker);
	value_destroy(held.arguments);
	free(words);
	return err;
}

static enum nc_err launch_held(struct judgement *j, const struct store_held *held)
{
	struct rules_launch wanted = { .worker = held->worker, .host = held->host };
	size_t count = value_count(held->arguments);
	enum nc_err err;

	wanted.arguments = calloc(count + 1, sizeof(*wanted.arguments));
	if (wanted.arguments == NULL)
		return error_nomem(j->error);
	/* They are only read. */
	for (size_t i = 0; i < count; i++)
		wanted.arguments[i] =
			(char *)(uintptr_t)value_as_text(value_at(held->arguments, i), "");
	wanted.arguments_count = count;
	if (config_find_worker(j->brain->config, held->worker) != NULL) {
		err = brain_want_launch(j, &wanted, held->why != NULL ? held->why : "held");
	} else {
		brain_note(j, LEVEL_CRITICAL,
			"%s was held, and is not in the message registry any more: it is not "
			"launched",
			held->worker);
		err = NC_OK;
	}
	free(wanted.arguments);
	return err;
}

enum nc_err brain_release_held(struct judgement *j)
{
	struct store_held *held = NULL;
	size_t count = 0;
	enum nc_err err;

	if (!j->t.groups_changed)
		return NC_OK;
	err = store_take_free_held(j->brain->store, &held, &count, j->error);
	for (size_t i = 0; err == NC_OK && i < count; i++)
		err = launch_held(j, &held[i]);
	store_held_free(held, count);
	return err;
}

/* --- declaring one --- */

static void forget_affected(struct affected *affected, int64_t group)
{
	size_t kept = 0;

	for (size_t i = 0; i < affected->count; i++)
		if (affected->groups[i] != group)
			affected->groups[kept++] = affected->groups[i];
	affected->count = kept;
}

/* The one that this rule has open is replaced. */
static enum nc_err drop_older(struct judgement *j, const char *rule, struct affected *affected)
{
	struct store_group *groups = NULL;
	size_t count = 0;
	enum nc_err err = store_open_groups(j->brain->store, &groups, &count, j->error);

	for (size_t i = 0; err == NC_OK && i < count; i++) {
		if (strcmp(groups[i].rule, rule) != 0)
			continue;
		forget_affected(affected, groups[i].id);
		err = close_group(j, &groups[i], false, "since the same rule declared it anew");
	}
	store_groups_free(groups, count);
	return err;
}

enum nc_err brain_open_group(struct judgement *j, const struct rules_group *group,
	struct affected *affected, const char *why)
{
	struct store_member *members = calloc(group->members_count + 1, sizeof(*members));
	struct store_group row = { .rule = group->rule,
		.opened_ns = j->real_ns,
		.give_up_ns = j->real_ns + group->give_up_after_ms * INT64_C(1000000),
		.drop_if_one_fails = group->drop_if_one_fails,
		.release_when_given_up = group->release_when_given_up,
		.members = members,
		.members_count = group->members_count };
	char *words = strdup(why);
	int64_t id = 0;
	enum nc_err err;

	row.why = words;
	err = members != NULL && words != NULL ? drop_older(j, group->rule, affected)
					       : error_nomem(j->error);
	for (size_t i = 0; err == NC_OK && i < group->members_count; i++) {
		members[i].worker = group->members[i].worker;
		members[i].pattern = group->members[i].pattern;
	}
	if (err == NC_OK)
		err = store_add_group(j->brain->store, &row, &id, j->error);
	if (err == NC_OK)
		brain_note(j, LEVEL_INFO, "the group %s is open and waits for %zu workers",
			group->rule, group->members_count);
	j->t.groups_changed = true;
	free(members);
	free(words);
	return err;
}

/* --- time, and operators --- */

enum nc_err brain_next_deadline(struct brain *brain, int64_t *ret_real_ns, struct error *error)
{
	struct store_group *groups = NULL;
	size_t count = 0;
	int64_t first_ns = INT64_MAX;
	enum nc_err err = store_open_groups(brain->store, &groups, &count, error);

	for (size_t i = 0; i < count; i++)
		if (groups[i].give_up_ns < first_ns)
			first_ns = groups[i].give_up_ns;
	store_groups_free(groups, count);
	if (err == NC_OK)
		*ret_real_ns = first_ns;
	return err;
}

/* Which ones are to be closed now? */
struct closing {
	const char *name; /* by an operator; NULL: those whose time is over */
	bool release;
	bool found;
};

static bool is_named(const struct store_group *group, const char *name)
{
	char number[32];

	(void)snprintf(number, sizeof(number), "%" PRId64, group->id);
	return strcmp(number, name) == 0 || strcmp(group->rule, name) == 0;
}

static enum nc_err close_some(struct judgement *j, struct closing *closing)
{
	struct store_group *groups = NULL;
	size_t count = 0;
	enum nc_err err = store_open_groups(j->brain->store, &groups, &count, j->error);

	for (size_t i = 0; err == NC_OK && i < count; i++) {
		const struct store_group *group = &groups[i];

		if (closing->name != NULL && is_named(group, closing->name)) {
			closing->found = true;
			err = close_group(j, group, closing->release, "by an operator");
		} else if (closing->name == NULL && group->give_up_ns <= j->real_ns) {
			if (group->release_when_given_up)
				brain_note(
					j, LEVEL_CRITICAL, "the group %s is given up", group->rule);
			err = close_group(
				j, group, group->release_when_given_up, "since its time is over");
		}
	}
	store_groups_free(groups, count);
	return err == NC_OK ? brain_release_held(j) : err;
}

static enum nc_err close_in_transaction(struct brain *brain, struct closing *closing,
	int64_t real_ns, struct transaction *ret_transaction, struct error *error)
{
	struct error why = { 0 };
	struct judgement j = { .brain = brain, .real_ns = real_ns, .error = &why };
	enum nc_err err = judgement_begin(&j);

	if (err == NC_OK)
		err = close_some(&j, closing);
	err = judgement_end(&j, err, ret_transaction);
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}

enum nc_err brain_time_passed(struct brain *brain, int64_t real_ns,
	struct transaction *ret_transaction, struct error *error)
{
	struct closing closing = { 0 };

	return close_in_transaction(brain, &closing, real_ns, ret_transaction, error);
}

enum nc_err brain_end_group(struct brain *brain, const char *name, bool release, int64_t real_ns,
	struct transaction *ret_transaction, struct error *error)
{
	struct closing closing = { .name = name, .release = release };
	enum nc_err err = close_in_transaction(brain, &closing, real_ns, ret_transaction, error);

	if (err != NC_OK || closing.found)
		return err;
	transaction_finish(ret_transaction);
	return error_set(error, NC_ERR_NOT_FOUND,
		"there is no open group %.100s; `nowcast group` lists them", name);
}

/* --- for people --- */

struct held_list {
	struct value *list;
	bool failed;
};

static bool add_held(void *argument, const struct store_held *held)
{
	struct held_list *found = argument;
	struct buffer words;
	struct value *text = NULL;

	buffer_init(&words);
	print_held(held, &words);
	if (!words.failed)
		text = value_text(words.data);
	buffer_finish(&words);
	found->failed = value_list_append(found->list, text) != NC_OK;
	return !found->failed;
}

static struct value *member_words(const struct store_member *member)
{
	return member->pattern != NULL ? value_text_printf("%s %s", member->worker, member->pattern)
				       : value_text(member->worker);
}

static enum nc_err put_lists(struct brain *brain, const struct store_group *group,
	struct value *map, struct error *error)
{
	struct value *waits = value_list(), *ended = value_list();
	struct held_list held = { .list = value_list() };
	enum nc_err err = store_held_by(brain->store, group->id, add_held, &held, error);
	bool well = !held.failed;

	for (size_t i = 0; well && i < group->members_count; i++)
		well = value_list_append(group->members[i].ended ? ended : waits,
			       member_words(&group->members[i])) == NC_OK;
	well = value_map_put(map, "waits for", waits) == NC_OK && well;
	well = value_map_put(map, "ended", ended) == NC_OK && well;
	well = value_map_put(map, "holds", held.list) == NC_OK && well;
	if (err != NC_OK)
		return err;
	return well ? NC_OK : error_nomem(error);
}

/* The words for `map`, which is kept also on failure. */
static enum nc_err put_group(struct brain *brain, const struct store_group *group,
	struct value *map, struct error *error)
{
	const char *why = group->why != NULL ? group->why : "";

	if (value_map_put(map, "group", value_int(group->id)) != NC_OK ||
		value_map_put(map, "rule", value_text(group->rule)) != NC_OK ||
		value_map_put(map, "why", value_text(why)) != NC_OK ||
		value_map_put(map, "since", value_int(group->opened_ns / 1000000000)) != NC_OK ||
		value_map_put(map, "give up", value_int(group->give_up_ns / 1000000000)) != NC_OK)
		return error_nomem(error);
	return put_lists(brain, group, map, error);
}

struct value *brain_groups_to_value(struct brain *brain, struct error *error)
{
	struct store_group *groups = NULL;
	size_t count = 0;
	struct value *list = value_list();
	enum nc_err err = list != NULL ? store_open_groups(brain->store, &groups, &count, error)
				       : error_nomem(error);

	for (size_t i = 0; err == NC_OK && i < count; i++) {
		struct value *map = value_map();

		err = put_group(brain, &groups[i], map, error);
		if (value_list_append(list, map) != NC_OK && err == NC_OK)
			err = error_nomem(error);
	}
	store_groups_free(groups, count);
	if (err != NC_OK) {
		value_destroy(list);
		return NULL;
	}
	return list;
}
