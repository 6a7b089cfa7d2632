/* From a message to what the rules say, and from there to launches, groups and alarms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/utf8.h"
#include "core/decide/brain_internal.h"
#include "core/system/log.h"

bool brain_type_is_end(const char *type)
{
	static const char *const beginnings[] = { "success", "failure" };
	static const char *const whole[] = { "skipped", "crash", "lost" };

	for (size_t i = 0; i < ARRAY_LEN(beginnings); i++)
		if (strncmp(type, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(whole); i++)
		if (strcmp(type, whole[i]) == 0)
			return true;
	return false;
}

/* The launch that reports, for the rules; of one that nobody registered, what the message says. */
static struct value *launch_facts(const struct judgement *j)
{
	const struct message *message = j->message;
	const struct store_launch *launch = j->launch_known ? &j->launch : NULL;
	struct value *facts =
		launch != NULL ? brain_launch_to_value(j->brain, launch) : value_map();
	const struct value *reason = value_map_get(message->report, "reason");
	int64_t attempt = value_as_int(
		value_map_get(message->report, "attempt"), launch != NULL ? launch->attempt : 1);
	bool well = facts != NULL;

	if (launch == NULL)
		well = well &&
		       value_map_put(facts, "worker", value_text(message->source)) == NC_OK &&
		       value_map_put(facts, "arguments", value_list()) == NC_OK &&
		       value_map_put(facts, "host", value_text("localhost")) == NC_OK;
	well = well &&
	       value_map_put(facts, "date",
		       value_date(date_local(launch != NULL ? launch->wanted_ns : j->real_ns))) ==
		       NC_OK &&
	       value_map_put(facts, "attempt", value_int(attempt)) == NC_OK;
	if (reason != NULL)
		well = well && value_map_put(facts, "reason", value_copy(reason)) == NC_OK;
	if (!well) {
		value_destroy(facts);
		return NULL;
	}
	return facts;
}

/* A worker's name can come from a placeholder, and so from a message: only registered ones are started. */
static enum nc_err check_workers(
	const struct brain *brain, const struct rules_decision *decision, struct error *ret_why)
{
	for (size_t i = 0; i < decision->count; i++) {
		const struct rules_launch *launch = &decision->launches[i];

		if (config_find_worker(brain->config, launch->worker) == NULL)
			return error_at(ret_why, NC_ERR_INVALID, launch->line, launch->column,
				"line %u: the worker to launch, `%.100s`, is not in the message "
				"registry",
				launch->line, launch->worker);
	}
	return NC_OK;
}

static enum nc_err add_alarm(struct judgement *j, const char *kind, const char *text)
{
	struct store_alarm alarm = { .at_ns = j->real_ns };
	const char *id = j->message->id;
	enum nc_err err;

	alarm.kind = strdup(kind);
	alarm.text = strdup(text);
	if (id != NULL)
		alarm.message = strdup(id);
	if (alarm.kind == NULL || alarm.text == NULL || (id != NULL && alarm.message == NULL)) {
		err = error_nomem(j->error);
	} else {
		utf8_mend(alarm.text);
		err = store_add_alarm(j->brain->store, &alarm, j->error);
	}
	store_alarm_finish(&alarm);
	return err;
}

enum nc_err brain_rule_error(
	struct judgement *j, const char *source, const char *type, const char *words)
{
	struct buffer text;
	enum nc_err err;

	buffer_init(&text);
	buffer_printf(&text,
		"nothing was launched after the message (%s) from %s: the rules failed: %s", type,
		source, words);
	brain_note(j, LEVEL_CRITICAL, "%s", text.data);
	err = text.failed ? error_nomem(j->error) : add_alarm(j, "rule error", text.data);
	buffer_finish(&text);
	return err;
}

enum nc_err brain_carry_decision(struct judgement *j, const struct rules_decision *decision,
	struct affected *affected, const char *source, const char *type)
{
	char words[240];
	enum nc_err err = NC_OK;

	/* Groups first: a new one may close an older one, which would hold what is launched here. */
	for (size_t i = 0; err == NC_OK && i < decision->groups_count; i++) {
		(void)snprintf(words, sizeof(words), "%s of %s, rule on line %u", type, source,
			decision->groups[i].line);
		err = brain_open_group(j, &decision->groups[i], affected, words);
	}
	for (size_t i = 0; err == NC_OK && i < decision->count; i++) {
		(void)snprintf(words, sizeof(words), "%s of %s, rule on line %u", type, source,
			decision->launches[i].line);
		err = brain_launch_or_hold(j, affected, &decision->launches[i], words);
	}
	for (size_t i = 0; err == NC_OK && i < decision->alarms_count; i++) {
		brain_note(j, LEVEL_CRITICAL, "alarm after the message (%s) from %s: %s", type,
			source, decision->alarms[i].text);
		err = add_alarm(j, "alarm", decision->alarms[i].text);
	}
	return err;
}

/* What the message's worker leads to in the groups, then what its rules say. */
static enum nc_err carry_out(struct judgement *j, const struct rules_decision *decision)
{
	struct affected affected = { 0 };
	const char *source = j->message->source, *type = j->message->type;
	enum nc_err err = NC_OK;

	/* Its end counts when all that it leads to is known. */
	err = brain_groups_affected(j, source, type, decision->programs_count == 0, &affected);
	if (err == NC_OK)
		err = brain_release_held(j);
	if (err == NC_OK)
		err = brain_carry_decision(j, decision, &affected, source, type);
	affected_finish(&affected);
	return err;
}

static enum nc_err carry_out_all(
	struct judgement *j, const struct rules_decision *decision, const struct rules_input *input)
{
	enum nc_err err = carry_out(j, decision);

	for (size_t i = 0; err == NC_OK && i < decision->programs_count; i++)
		err = brain_add_program(j, &decision->programs[i], input);
	return err;
}

enum nc_err brain_end_without_rules(struct judgement *j)
{
	static const struct rules_decision nothing;

	return carry_out(j, &nothing);
}

/* Nothing is launched, and no group declared. */
static enum nc_err rules_failed(struct judgement *j, const char *words)
{
	enum nc_err err = brain_rule_error(j, j->message->source, j->message->type, words);

	return err == NC_OK ? brain_end_without_rules(j) : err;
}

enum nc_err brain_consult_rules(struct judgement *j)
{
	const struct message *message = j->message;
	struct rules_decision decision = { 0 };
	struct value *facts = launch_facts(j);
	struct rules_input input = {
		.worker = message->source,
		.type = message->type,
		.payload = message->payload,
		.config = j->brain->config->tree,
		.checklist = j->brain->checklist,
		.launch = facts,
		.today = date_local(j->real_ns),
	};
	struct error why = { 0 };
	enum nc_err err;

	if (facts == NULL)
		return error_nomem(j->error);
	err = rules_apply(j->brain->rules, &input, &decision, &why);
	if (err == NC_OK)
		err = check_workers(j->brain, &decision, &why);
	if (err == NC_ERR_NOMEM)
		err = error_nomem(j->error);
	else if (err != NC_OK)
		err = rules_failed(j, why.text);
	else
		err = carry_out_all(j, &decision, &input);
	value_destroy(facts);
	rules_decision_finish(&decision);
	return err;
}
