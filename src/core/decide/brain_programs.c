/* Programs that decide: kept in the store from the message until they have said what is next. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/json.h"
#include "core/decide/brain_internal.h"
#include "core/system/log.h"

/* `{"message": ..., "launch": ..., "config": ..., "checklist": ..., "today": ...}`; NULL: out of memory. */
static char *make_input(const struct judgement *j, const struct rules_input *input)
{
	struct value *message = value_map(), *all = value_map();
	struct buffer text;
	char *stolen = NULL;
	bool well;

	well = value_map_put(message, "source", value_text(input->worker)) == NC_OK &&
	       value_map_put(message, "type", value_text(input->type)) == NC_OK &&
	       value_map_put(message, "payload", value_copy(input->payload)) == NC_OK;
	well = value_map_put(all, "message", message) == NC_OK && well;
	well = well && value_map_put(all, "launch", value_copy(input->launch)) == NC_OK &&
	       value_map_put(all, "config",
		       input->config != NULL ? value_copy(input->config) : value_null()) == NC_OK &&
	       value_map_put(all, "checklist", value_copy(j->brain->checklist)) == NC_OK &&
	       value_map_put(all, "today", value_date(input->today)) == NC_OK;
	buffer_init(&text);
	if (well)
		json_write(all, 0, &text);
	if (well && !text.failed)
		stolen = buffer_steal(&text);
	buffer_finish(&text);
	value_destroy(all);
	return stolen;
}

static struct value *argv_value(const struct rules_program *program)
{
	struct value *list = value_list();

	for (size_t i = 0; list != NULL && i < program->argc; i++) {
		if (value_list_append(list, value_text(program->argv[i])) != NC_OK) {
			value_destroy(list);
			return NULL;
		}
	}
	return list;
}

enum nc_err brain_add_program(
	struct judgement *j, const struct rules_program *program, const struct rules_input *input)
{
	struct store_program row = { .time_limit_ms = program->time_limit_ms,
		.received_ns = j->real_ns };
	char id[ID_TEXT_SIZE];
	char place[64];
	int64_t number;
	/* What belongs together is known by the message, also when its sender gave it no id. */
	enum nc_err err = j->message->id == NULL ? id_make(id, j->error) : NC_OK;

	if (err != NC_OK)
		return err;
	(void)snprintf(place, sizeof(place), "line %u, column %u", program->line, program->column);
	row.argv = argv_value(program);
	row.input = make_input(j, input);
	row.source = strdup(input->worker);
	row.type = strdup(input->type);
	row.message = strdup(j->message->id != NULL ? j->message->id : id);
	row.place = strdup(place);
	if (row.argv == NULL || row.input == NULL || row.source == NULL || row.type == NULL ||
		row.message == NULL || row.place == NULL)
		err = error_nomem(j->error);
	if (err == NC_OK)
		err = store_add_program(j->brain->store, &row, &number, j->error);
	store_program_finish(&row);
	j->t.programs_added = true;
	return err;
}

/* --- it has ended --- */

/* What it says is done as one transaction, or, when that cannot be used, nothing but the end of its worker. */
static enum nc_err carry_out(struct judgement *j, const struct store_program *program,
	const struct rules_decision *decision)
{
	struct affected affected = { 0 };
	size_t others = 0;
	enum nc_err err = store_remove_program(j->brain->store, program->id, j->error);

	if (err == NC_OK)
		err = store_count_programs(j->brain->store, program->message, &others, j->error);
	if (err == NC_OK)
		err = brain_groups_affected(
			j, program->source, program->type, others == 0, &affected);
	if (err == NC_OK)
		err = brain_release_held(j);
	if (err == NC_OK)
		err = brain_carry_decision(j, decision, &affected, program->source, program->type);
	affected_finish(&affected);
	return err;
}

static enum nc_err judge_program(struct judgement *j, const struct store_program *program,
	const char *output, size_t len, const char *reason)
{
	struct rules_decision decision = { 0 };
	struct error why = { 0 };
	char words[700];
	enum nc_err err = NC_OK;

	if (output != NULL && rules_decision_from_json(output, len, j->brain->config, &decision,
				      &why) == NC_ERR_NOMEM)
		return error_nomem(j->error);
	if (output == NULL || why.code != NC_OK) {
		(void)snprintf(words, sizeof(words), "%s: the program %s: %s", program->place,
			value_as_text(value_at(program->argv, 0), ""),
			output == NULL ? reason : why.text);
		err = brain_rule_error(j, program->source, program->type, words);
	}
	if (err == NC_OK)
		err = carry_out(j, program, &decision);
	rules_decision_finish(&decision);
	return err;
}

enum nc_err brain_program_ended(struct brain *brain, int64_t program, const char *output,
	size_t len, const char *reason, int64_t real_ns, struct transaction *ret_transaction,
	struct error *error)
{
	struct store_program row = { 0 };
	struct message message = { 0 };
	struct error why = { 0 };
	struct judgement j = {
		.brain = brain, .message = &message, .real_ns = real_ns, .error = &why
	};
	enum nc_err err = judgement_begin(&j);

	if (err == NC_OK)
		err = store_find_program(brain->store, program, &row, &why);
	if (err == NC_OK) {
		/* Lent, for the notes and alarms. */
		message = (struct message){
			.source = row.source, .type = row.type, .id = row.message
		};
		err = judge_program(&j, &row, output, len, reason);
	}
	err = judgement_end(&j, err, ret_transaction);
	store_program_finish(&row);
	if (err != NC_OK && error != NULL)
		*error = why;
	return err;
}
