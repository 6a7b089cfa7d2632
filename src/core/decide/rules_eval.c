/*
 * A message against the rules: what is next? A pure function of its input. The rules of the worker are worked in
 * order, then those of any worker; the first one that fails ends it, and nothing of it remains.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

/* The host of the launches in a step: printed when the first one needs it. */
struct host {
	const struct template *template;
	char *text;
	struct host *around; /* of the step around it */
};

static enum nc_err work_step(
	struct evaluation *e, const struct step *step, struct host *around, bool *ret_held);

/* *ret_host stays the host's. */
static enum nc_err find_host(struct evaluation *e, struct host *host, const char **ret_host)
{
	enum nc_err err;

	while (host != NULL && host->template->count == 0)
		host = host->around;
	if (host == NULL) {
		*ret_host = "localhost";
		return NC_OK;
	}
	if (host->text == NULL) {
		err = eval_text(e, host->template, &host->text);
		if (err != NC_OK)
			return err;
		if (host->text[0] == '\0')
			return eval_fail(e, NC_ERR_INVALID, host->template->line,
				host->template->column, "`on host` gives an empty text");
	}
	*ret_host = host->text;
	return NC_OK;
}

/* --- one round of a step --- */

static enum nc_err judge_when(struct evaluation *e, const struct step *step, bool *ret_holds)
{
	bool holds = true;
	enum nc_err err = NC_OK;

	for (size_t i = 0; err == NC_OK && holds && i < step->when_count; i++)
		err = eval_condition(e, &step->when[i], &holds);
	*ret_holds = holds;
	return err;
}

static enum nc_err work_items(struct evaluation *e, const struct step *step, struct host *host)
{
	enum nc_err err = NC_OK;

	for (size_t i = 0; err == NC_OK && i < step->launch_count; i++) {
		const struct item *item = &step->launch[i];
		const char *name = NULL;
		bool held;

		if (item->step != NULL) {
			err = work_step(e, item->step, host, &held);
			continue;
		}
		err = find_host(e, host, &name);
		if (err == NC_OK)
			err = eval_command(e, item->command, name);
	}
	for (size_t i = 0; err == NC_OK && i < step->first_of_count; i++) {
		bool held = false;

		err = work_step(e, &step->first_of[i], host, &held);
		if (held)
			break;
	}
	return err;
}

static enum nc_err work_round(
	struct evaluation *e, const struct step *step, struct host *around, bool *ret_held)
{
	struct host host = { &step->host, NULL, around };
	bool holds = false;
	enum nc_err err;

	for (size_t i = 0; i < step->with_count; i++)
		e->slots[step->with[i].slot] = NULL;
	err = eval_work(e, 1, step->line, step->column);
	if (err == NC_OK)
		err = judge_when(e, step, &holds);
	if (err == NC_OK && holds) {
		*ret_held = true;
		err = work_items(e, step, &host);
		if (err == NC_OK && step->hold != NULL)
			err = eval_hold(e, step->hold);
		if (err == NC_OK && step->alarm != NULL)
			err = eval_alarm(e, step->alarm);
		if (err == NC_OK && step->program != NULL)
			err = eval_program(e, step->program);
	}
	free(host.text);
	return err;
}

/* *ret_held: its `when` held in at least one round, or it has none. */
static enum nc_err work_step(
	struct evaluation *e, const struct step *step, struct host *around, bool *ret_held)
{
	const struct value *each = NULL;
	char words[100];
	enum nc_err err;

	*ret_held = step->when_count == 0;
	if (step->each_name == NULL)
		return work_round(e, step, around, ret_held);
	err = eval_expression(e, &step->each, &each);
	if (err != NC_OK)
		return err;
	if (!is_many(each))
		return eval_fail(e, NC_ERR_INVALID, step->each.template.line,
			step->each.template.column,
			"`for each` goes through a list, a set or a mapping, and this is %s",
			describe(each, words));
	for (size_t i = 0; err == NC_OK && i < value_count(each); i++) {
		e->slots[step->each_slot] =
			value_is(each, VALUE_MAP) ? value_map_key_at(each, i) : value_at(each, i);
		err = work_round(e, step, around, ret_held);
	}
	return err;
}

/* --- rules --- */

static enum nc_err capture(struct evaluation *e, const struct pattern *pattern)
{
	const char *type = e->input->type;

	for (size_t i = 0; i < pattern->count; i++) {
		size_t len;

		type += strspn(type, " ");
		len = strcspn(type, " ");
		if (pattern->words[i].slot != NO_SLOT) {
			enum nc_err err = eval_keep(
				e, value_text_n(type, len), &e->slots[pattern->words[i].slot]);

			if (err != NC_OK)
				return err;
		}
		type += len;
	}
	return NC_OK;
}

static enum nc_err work_rule(struct evaluation *e, const struct rule *rule, bool *ret_stop)
{
	bool held = false;
	enum nc_err err;

	for (size_t i = 0; i < rule->patterns_count; i++) {
		if (!pattern_matches(&rule->patterns[i], e->input->type))
			continue;
		err = capture(e, &rule->patterns[i]);
		if (err == NC_OK)
			err = work_step(e, &rule->step, NULL, &held);
		*ret_stop = rule->stop && held;
		return err;
	}
	return NC_OK;
}

static enum nc_err work_list(struct evaluation *e, const struct rule_list *list, bool *ret_stop)
{
	enum nc_err err = NC_OK;

	for (size_t i = 0; err == NC_OK && !*ret_stop && i < list->count; i++) {
		const struct rule *rule = &list->rules[i];

		e->rule = rule;
		e->list = list->worker;
		e->groups_before = e->decision->groups_count;
		err = eval_work(e, 1, rule->line, rule->column);
		if (err != NC_OK)
			break;
		if (rule->same_as != NULL)
			err = work_list(e, &e->rules->lists[rule->same_as_list], ret_stop);
		else
			err = work_rule(e, rule, ret_stop);
	}
	return err;
}

enum nc_err rules_apply(const struct rules *rules, const struct rules_input *input,
	struct rules_decision *ret_decision, struct error *error)
{
	/* `is set` and optional words fill it although all goes well. */
	struct error why = { 0 };
	struct rules_decision decision = { 0 };
	struct evaluation e = {
		.rules = rules, .input = input, .decision = &decision, .error = &why
	};
	const struct rule_list *own = rules_find_list(rules, input->worker);
	const struct rule_list *any = rules_find_list(rules, ANY_WORKER);
	bool stop = false;
	enum nc_err err = NC_OK;

	e.today = value_date(input->today);
	e.null = value_null();
	if (e.today == NULL || e.null == NULL)
		err = error_nomem(&why);
	if (err == NC_OK && own != NULL && own != any)
		err = work_list(&e, own, &stop);
	if (err == NC_OK && any != NULL && !stop)
		err = work_list(&e, any, &stop);
	for (size_t i = 0; i < e.made_count; i++)
		value_destroy(e.made[i]);
	free(e.made);
	value_destroy(e.today);
	value_destroy(e.null);
	if (err != NC_OK) {
		rules_decision_finish(&decision);
		if (error != NULL)
			*error = why;
		return err;
	}
	*ret_decision = decision;
	return NC_OK;
}
