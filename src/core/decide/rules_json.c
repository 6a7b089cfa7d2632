/*
 * A decision as `nowcast next --json` prints it and as a program of `decide with` prints it:
 *
 *	{"next": [{"worker": "...", "args": ["..."], "host": "..."}], "hold until": ["..."], "alarms": ["..."]}
 *
 * `hold until` holds the members of all groups. What does not fit into that form, several groups or one with
 * settings of its own, stands in `groups` as well, which then counts; and the programs that are to decide in
 * `decide with`.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/json.h"
#include "core/decide/rules_internal.h"

enum {
	GIVE_UP_AFTER_MS = 24 * 3600 * 1000,
};

/* --- to a value --- */

static struct value *texts_value(char *const *texts, size_t count)
{
	struct value *list = value_list();
	bool well = list != NULL;

	for (size_t i = 0; well && i < count; i++)
		well = value_list_append(list, value_text(texts[i])) == NC_OK;
	if (well)
		return list;
	value_destroy(list);
	return NULL;
}

static struct value *launch_value(const struct rules_launch *launch)
{
	struct value *map = value_map();

	if (map != NULL && value_map_put(map, "worker", value_text(launch->worker)) == NC_OK &&
		value_map_put(map, "args",
			texts_value(launch->arguments, launch->arguments_count)) == NC_OK &&
		value_map_put(map, "host", value_text(launch->host)) == NC_OK)
		return map;
	value_destroy(map);
	return NULL;
}

static bool append_members(struct value *list, const struct rules_group *group)
{
	bool well = list != NULL;

	for (size_t i = 0; well && i < group->members_count; i++) {
		const struct rules_member *member = &group->members[i];

		well = value_list_append(list,
			       member->pattern != NULL
				       ? value_text_printf("%s %s", member->worker, member->pattern)
				       : value_text(member->worker)) == NC_OK;
	}
	return well;
}

static struct value *group_value(const struct rules_group *group)
{
	struct value *map = value_map(), *members = value_list();
	bool well = append_members(members, group);

	well = value_map_put(map, "hold until", members) == NC_OK && well;
	if (well &&
		value_map_put(map, "if one fails",
			value_text(group->drop_if_one_fails ? "drop" : "go on")) == NC_OK &&
		value_map_put(map, "give up after",
			value_text_printf("%" PRId64 " s", group->give_up_after_ms / 1000)) ==
			NC_OK &&
		value_map_put(map, "when given up",
			value_text(group->release_when_given_up ? "release" : "drop")) == NC_OK)
		return map;
	value_destroy(map);
	return NULL;
}

static bool is_usual(const struct rules_group *group)
{
	return !group->drop_if_one_fails && !group->release_when_given_up &&
	       group->give_up_after_ms == GIVE_UP_AFTER_MS;
}

static bool put_groups(struct value *map, const struct rules_decision *decision)
{
	struct value *all = value_list(), *groups = value_list();
	bool usual = decision->groups_count == 0 ||
		     (decision->groups_count == 1 && is_usual(&decision->groups[0]));
	bool well = all != NULL && groups != NULL;

	for (size_t i = 0; well && i < decision->groups_count; i++)
		well = append_members(all, &decision->groups[i]) &&
		       value_list_append(groups, group_value(&decision->groups[i])) == NC_OK;
	well = value_map_put(map, "hold until", all) == NC_OK && well;
	if (!usual)
		return value_map_put(map, "groups", groups) == NC_OK && well;
	value_destroy(groups);
	return well;
}

static bool put_alarms(struct value *map, const struct rules_decision *decision)
{
	struct value *list = value_list();
	bool well = list != NULL;

	for (size_t i = 0; well && i < decision->alarms_count; i++)
		well = value_list_append(list, value_text(decision->alarms[i].text)) == NC_OK;
	return value_map_put(map, "alarms", list) == NC_OK && well;
}

static bool put_programs(struct value *map, const struct rules_decision *decision)
{
	struct value *list = value_list();
	bool well = list != NULL;

	for (size_t i = 0; well && i < decision->programs_count; i++)
		well = value_list_append(list, texts_value(decision->programs[i].argv,
						       decision->programs[i].argc)) == NC_OK;
	return value_map_put(map, "decide with", list) == NC_OK && well;
}

struct value *rules_decision_to_value(const struct rules_decision *decision)
{
	struct value *map = value_map(), *next = value_list();
	bool well = next != NULL;

	for (size_t i = 0; well && i < decision->count; i++)
		well = value_list_append(next, launch_value(&decision->launches[i])) == NC_OK;
	well = value_map_put(map, "next", next) == NC_OK && well;
	well = well && put_groups(map, decision) && put_alarms(map, decision);
	if (decision->programs_count > 0)
		well = well && put_programs(map, decision);
	if (well)
		return map;
	value_destroy(map);
	return NULL;
}

/* --- from JSON --- */

struct input {
	const struct config *config;
	struct rules_decision decision;
	struct error *error;
};

static enum nc_err wrong(struct input *in, const char *what)
{
	return error_set(
		in->error, NC_ERR_INVALID, "what the program printed cannot be used: %s", what);
}

static enum nc_err copy_text(struct input *in, const char *text, char **ret_text)
{
	*ret_text = strdup(text);
	return *ret_text != NULL ? NC_OK : error_nomem(in->error);
}

static enum nc_err check_worker(struct input *in, const char *worker)
{
	if (config_find_worker(in->config, worker) != NULL)
		return NC_OK;
	return error_set(in->error, NC_ERR_INVALID,
		"what the program printed cannot be used: the worker `%.60s` is not in the message "
		"registry",
		worker);
}

static enum nc_err check_keys(
	struct input *in, const struct value *map, const char *const *keys, size_t count)
{
	for (size_t i = 0; i < value_count(map); i++) {
		const char *key = value_as_text(value_map_key_at(map, i), "");
		bool known = false;

		for (size_t j = 0; j < count; j++)
			known = known || strcmp(keys[j], key) == 0;
		if (!known)
			return error_set(in->error, NC_ERR_INVALID,
				"what the program printed cannot be used: there is no key `%.60s`",
				key);
	}
	return NC_OK;
}

static enum nc_err take_arguments(
	struct input *in, const struct value *args, struct rules_launch *launch)
{
	enum nc_err err = NC_OK;

	launch->arguments = calloc(value_count(args) + 1, sizeof(*launch->arguments));
	if (launch->arguments == NULL)
		return error_nomem(in->error);
	if (args != NULL && !value_is(args, VALUE_LIST))
		return wrong(in, "`args` is a list of texts");
	for (size_t i = 0; err == NC_OK && i < value_count(args); i++) {
		struct buffer text;

		if (value_is(value_at(args, i), VALUE_NULL))
			return wrong(in, "an argument is a text, not nothing");
		buffer_init(&text);
		if (print_plain(value_at(args, i), &text) == NC_ERR_INVALID)
			err = wrong(in, "an argument is a text, not a list or a mapping");
		else if (text.failed)
			err = error_nomem(in->error);
		else
			err = copy_text(in, text.data, &launch->arguments[i]);
		launch->arguments_count += err == NC_OK;
		buffer_finish(&text);
	}
	return err;
}

static enum nc_err take_launch(
	struct input *in, const struct value *map, struct rules_launch *launch)
{
	static const char *const keys[] = { "worker", "args", "host" };
	const struct value *worker = value_map_get(map, "worker"),
			   *host = value_map_get(map, "host");
	enum nc_err err;

	if (!value_is(map, VALUE_MAP) || !value_is(worker, VALUE_TEXT) ||
		(host != NULL &&
			(!value_is(host, VALUE_TEXT) || value_as_text(host, "")[0] == '\0')))
		return wrong(in,
			"an element of `next` is {\"worker\": \"...\", \"args\": [\"...\"], "
			"\"host\": \"...\"}");
	err = check_keys(in, map, keys, ARRAY_LEN(keys));
	if (err == NC_OK)
		err = check_worker(in, value_as_text(worker, ""));
	if (err == NC_OK)
		err = copy_text(in, value_as_text(worker, ""), &launch->worker);
	if (err == NC_OK)
		err = copy_text(in, value_as_text(host, "localhost"), &launch->host);
	return err == NC_OK ? take_arguments(in, value_map_get(map, "args"), launch) : err;
}

static enum nc_err take_next(struct input *in, const struct value *list)
{
	enum nc_err err = NC_OK;

	if (list != NULL && !value_is(list, VALUE_LIST))
		return wrong(in, "`next` is a list");
	if (value_count(list) > LAUNCHES_MOST)
		return error_set(in->error, NC_ERR_LIMIT,
			"the program launches more than %d workers", LAUNCHES_MOST);
	in->decision.launches = calloc(value_count(list) + 1, sizeof(*in->decision.launches));
	if (in->decision.launches == NULL)
		return error_nomem(in->error);
	for (size_t i = 0; err == NC_OK && i < value_count(list); i++)
		err = take_launch(
			in, value_at(list, i), &in->decision.launches[in->decision.count++]);
	return err;
}

/* `worker`, or `worker pattern` */
static enum nc_err take_member(
	struct input *in, const struct value *value, struct rules_member *member)
{
	const char *text = value_as_text(value, "");
	size_t worker_len = strcspn(text, " "), len = strlen(text + worker_len);
	const char *pattern = trim(text + worker_len, &len);
	bool is_one = true;
	enum nc_err err;

	member->worker = strndup(text, worker_len);
	if (len > 0)
		member->pattern = strndup(pattern, len);
	if (member->worker == NULL || (len > 0 && member->pattern == NULL))
		return error_nomem(in->error);
	err = check_worker(in, member->worker);
	if (err == NC_OK && member->pattern != NULL &&
		rules_pattern_is_one(member->pattern, &is_one) != NC_OK)
		err = error_nomem(in->error);
	return is_one ? err : wrong(in, "a member of `hold until` has a pattern that is none");
}

static enum nc_err take_group(struct input *in, const struct value *list, struct rules_group *group)
{
	enum nc_err err;

	group->give_up_after_ms = GIVE_UP_AFTER_MS;
	err = copy_text(in, "decide with", &group->rule);
	if (err != NC_OK)
		return err;
	if (!value_is(list, VALUE_LIST) || value_count(list) == 0)
		return wrong(in, "`hold until` is a list of workers");
	group->members = calloc(value_count(list), sizeof(*group->members));
	if (group->members == NULL)
		return error_nomem(in->error);
	for (size_t i = 0; err == NC_OK && i < value_count(list); i++)
		err = take_member(in, value_at(list, i), &group->members[group->members_count++]);
	return err;
}

static enum nc_err take_settings(
	struct input *in, const struct value *map, struct rules_group *group)
{
	static const char *const keys[] = { "hold until", "if one fails", "give up after",
		"when given up" };
	const char *fails = value_as_text(value_map_get(map, keys[1]), "go on");
	const char *after = value_as_text(value_map_get(map, keys[2]), "24 h");
	const char *given_up = value_as_text(value_map_get(map, keys[3]), "drop");
	bool well = true;

	for (size_t i = 1; i < ARRAY_LEN(keys); i++) {
		const struct value *setting = value_map_get(map, keys[i]);

		well = well && (setting == NULL || value_is(setting, VALUE_TEXT));
	}
	group->drop_if_one_fails = strcmp(fails, "drop") == 0;
	group->release_when_given_up = strcmp(given_up, "release") == 0;
	if (!well || (!group->drop_if_one_fails && strcmp(fails, "go on") != 0) ||
		(!group->release_when_given_up && strcmp(given_up, "drop") != 0) ||
		!duration_parse(after, &group->give_up_after_ms) || group->give_up_after_ms <= 0)
		return wrong(in, "a group has a setting that is none of the language");
	return check_keys(in, map, keys, ARRAY_LEN(keys));
}

static enum nc_err take_groups(struct input *in, const struct value *map)
{
	const struct value *all = value_map_get(map, "hold until"),
			   *groups = value_map_get(map, "groups");
	size_t count = groups != NULL ? value_count(groups) : (size_t)(value_count(all) > 0);
	enum nc_err err = NC_OK;

	if ((all != NULL && !value_is(all, VALUE_LIST)) ||
		(groups != NULL && !value_is(groups, VALUE_LIST)))
		return wrong(in, "`hold until` and `groups` are lists");
	in->decision.groups = calloc(count + 1, sizeof(*in->decision.groups));
	if (in->decision.groups == NULL)
		return error_nomem(in->error);
	for (size_t i = 0; err == NC_OK && i < count; i++) {
		struct rules_group *group = &in->decision.groups[in->decision.groups_count++];
		const struct value *at = groups != NULL ? value_at(groups, i) : NULL;

		err = take_group(in, groups != NULL ? value_map_get(at, "hold until") : all, group);
		if (err == NC_OK && groups != NULL)
			err = take_settings(in, at, group);
	}
	return err;
}

static enum nc_err take_alarms(struct input *in, const struct value *list)
{
	enum nc_err err = NC_OK;

	if (list != NULL && !value_is(list, VALUE_LIST))
		return wrong(in, "`alarms` is a list of texts");
	in->decision.alarms = calloc(value_count(list) + 1, sizeof(*in->decision.alarms));
	if (in->decision.alarms == NULL)
		return error_nomem(in->error);
	for (size_t i = 0; err == NC_OK && i < value_count(list); i++) {
		const char *text = value_as_text(value_at(list, i), "");

		if (text[0] == '\0')
			return wrong(in, "an alarm is a text that says something");
		err = copy_text(in, text, &in->decision.alarms[in->decision.alarms_count++].text);
	}
	return err;
}

enum nc_err rules_decision_from_json(const char *text, size_t len, const struct config *config,
	struct rules_decision *ret_decision, struct error *error)
{
	static const char *const keys[] = { "next", "hold until", "groups", "alarms" };
	struct input in = { .config = config, .error = error };
	struct value *map = NULL;
	struct error why = { 0 };
	enum nc_err err = json_read(text, len, &yaml_message_limits, &map, &why);

	if (err != NC_OK)
		return err == NC_ERR_NOMEM
			       ? error_nomem(error)
			       : error_set(error, err,
					 "what the program printed cannot be used: it is not JSON: line %u: "
					 "%s",
					 why.line, why.text);
	if (!value_is(map, VALUE_MAP))
		err = wrong(&in, "it is not one JSON object with the key `next`");
	if (err == NC_OK)
		err = check_keys(&in, map, keys, ARRAY_LEN(keys));
	if (err == NC_OK)
		err = take_next(&in, value_map_get(map, "next"));
	if (err == NC_OK)
		err = take_groups(&in, map);
	if (err == NC_OK)
		err = take_alarms(&in, value_map_get(map, "alarms"));
	value_destroy(map);
	if (err != NC_OK) {
		rules_decision_finish(&in.decision);
		return err;
	}
	*ret_decision = in.decision;
	return NC_OK;
}
