/* From a message to the launches that follow it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/utf8.h"
#include "core/decide/brain_internal.h"
#include "core/system/log.h"

/* Ids, texts and arguments; what is there of it belongs to the transaction, also on failure. */
static enum nc_err fill_launch(struct brain_launch *launch, const struct rules_launch *wanted,
	const char *why, struct error *error)
{
	enum nc_err err = id_make(launch->id, error);

	if (err == NC_OK)
		err = token_make(launch->token, error);
	if (err != NC_OK)
		return err;
	launch->worker = strdup(wanted->worker);
	launch->host = strdup(wanted->host);
	launch->why = strdup(why);
	if (launch->why != NULL)
		utf8_mend(launch->why);
	launch->arguments = calloc(wanted->arguments_count + 1, sizeof(*launch->arguments));
	if (launch->worker == NULL || launch->host == NULL || launch->why == NULL ||
		launch->arguments == NULL)
		return error_nomem(error);
	for (size_t i = 0; i < wanted->arguments_count; i++) {
		launch->arguments[i] = strdup(wanted->arguments[i]);
		if (launch->arguments[i] == NULL)
			return error_nomem(error);
		launch->arguments_count++;
	}
	return NC_OK;
}

enum nc_err brain_want_launch(
	struct judgement *j, const struct rules_launch *wanted, const char *why)
{
	struct transaction *t = &j->t;
	struct brain_launch *launches =
		reallocarray(t->launches, t->launches_count + 1, sizeof(*launches));
	struct brain_launch *launch;
	struct value *arguments;
	struct table_row *row;
	enum nc_err err;

	if (launches == NULL)
		return error_nomem(j->error);
	t->launches = launches;
	launch = &launches[t->launches_count++];
	*launch = (struct brain_launch){ 0 };
	err = fill_launch(launch, wanted, why, j->error);
	if (err != NC_OK)
		return err;
	arguments = value_list();
	for (size_t i = 0; i < launch->arguments_count; i++) {
		if (value_list_append(arguments, value_text(launch->arguments[i])) != NC_OK) {
			value_destroy(arguments);
			return error_nomem(j->error);
		}
	}
	row = table_add(&j->brain->launches, launch->id, launch->worker, arguments, launch->host);
	if (row == NULL)
		return error_nomem(j->error);
	memcpy(row->token, launch->token, sizeof(row->token));
	row->since_ns = j->real_ns;
	return NC_OK;
}

/* The launch that reports, for the rules; of one that nobody registered, what the message says. */
static struct value *launch_facts(const struct judgement *j)
{
	const struct message *message = j->message;
	const struct table_row *row = table_find(&j->brain->launches, message->launch);
	struct value *facts = row != NULL ? table_row_to_value(row) : value_map();
	const struct value *reason = value_map_get(message->report, "reason");
	int64_t attempt = value_as_int(value_map_get(message->report, "attempt"), 1);
	bool well = facts != NULL;

	if (row == NULL)
		well = well &&
		       value_map_put(facts, "worker", value_text(message->source)) == NC_OK &&
		       value_map_put(facts, "arguments", value_list()) == NC_OK &&
		       value_map_put(facts, "host", value_text("localhost")) == NC_OK;
	well = well &&
	       value_map_put(facts, "date",
		       value_date(date_local(row != NULL ? row->since_ns : j->real_ns))) == NC_OK &&
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
	char words[200];
	enum nc_err err;

	if (facts == NULL)
		return error_nomem(j->error);
	err = rules_apply(j->brain->rules, &input, &decision, &why);
	value_destroy(facts);
	if (err == NC_OK)
		err = check_workers(j->brain, &decision, &why);
	if (err == NC_ERR_NOMEM) {
		rules_decision_finish(&decision);
		return error_nomem(j->error);
	}
	if (err != NC_OK) {
		rules_decision_finish(&decision);
		brain_note(j, LEVEL_CRITICAL,
			"nothing was launched after the message (%s) from %s: the rules failed: %s",
			message->type, message->source, why.text);
		return NC_OK;
	}
	for (size_t i = 0; err == NC_OK && i < decision.count; i++) {
		(void)snprintf(words, sizeof(words), "%s of %s, rule on line %u", message->type,
			message->source, decision.launches[i].line);
		err = brain_want_launch(j, &decision.launches[i], words);
	}
	rules_decision_finish(&decision);
	return err;
}
