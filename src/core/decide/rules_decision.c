/* What a decision is made of: launches, groups, alarms, programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; texts != NULL && i < count; i++)
		free(texts[i]);
	free(texts);
}

static void group_finish(struct rules_group *group)
{
	for (size_t i = 0; i < group->members_count; i++) {
		free(group->members[i].worker);
		free(group->members[i].pattern);
	}
	free(group->members);
	free(group->rule);
}

void rules_decision_finish(struct rules_decision *decision)
{
	for (size_t i = 0; i < decision->count; i++) {
		free_texts(decision->launches[i].arguments, decision->launches[i].arguments_count);
		free(decision->launches[i].worker);
		free(decision->launches[i].host);
	}
	for (size_t i = 0; i < decision->groups_count; i++)
		group_finish(&decision->groups[i]);
	for (size_t i = 0; i < decision->alarms_count; i++)
		free(decision->alarms[i].text);
	for (size_t i = 0; i < decision->programs_count; i++)
		free_texts(decision->programs[i].argv, decision->programs[i].argc);
	free(decision->launches);
	free(decision->groups);
	free(decision->alarms);
	free(decision->programs);
	*decision = (struct rules_decision){ 0 };
}

/* Room for one more at the end, zeroed; NULL: out of memory, and `*array` is as it was. */
static void *add(void *array_pointer, size_t count, size_t size)
{
	char **array = array_pointer, *grown = *array;

	if (count == 0 || (count & (count - 1)) == 0) {
		grown = reallocarray(*array, count == 0 ? 1 : 2 * count, size);
		if (grown == NULL)
			return NULL;
		*array = grown;
	}
	memset(grown + count * size, 0, size);
	return grown + count * size;
}

/* --- launches --- */

/* The words of the launch; `ret_count` is how many there are, also on failure. Words of optional ones that find
 * nothing are taken away again. */
static enum nc_err print_words(
	struct evaluation *e, const struct command *command, char **words, size_t *ret_count)
{
	unsigned dropped = 0, group = 0;
	size_t count = 0, group_start = 0;
	enum nc_err err = NC_OK;

	for (size_t i = 0; err == NC_OK && i < command->count; i++) {
		const struct command_word *word = &command->words[i];

		if (word->optional != 0 && word->optional == dropped)
			continue;
		if (word->optional != group) {
			group = word->optional;
			group_start = count;
		}
		err = eval_text(e, &word->template, &words[count]);
		if (err == NC_OK) {
			count++;
		} else if (err == NC_ERR_NOT_FOUND && word->optional != 0) {
			err = NC_OK;
			dropped = word->optional;
			while (count > group_start)
				free(words[--count]);
		}
	}
	*ret_count = count;
	return err;
}

enum nc_err eval_command(struct evaluation *e, const struct command *command, const char *host)
{
	struct rules_launch *launch;
	char **words;
	size_t count = 0;
	enum nc_err err = eval_work(e, command->count, command->line, command->column);

	if (err != NC_OK)
		return err;
	if (e->decision->count >= LAUNCHES_MOST)
		return eval_fail(e, NC_ERR_LIMIT, command->line, command->column,
			"the rules for this message launch more than %d workers", LAUNCHES_MOST);
	launch = add(&e->decision->launches, e->decision->count, sizeof(*launch));
	words = calloc(command->count + 1, sizeof(*words));
	if (launch == NULL || words == NULL) {
		free(words);
		return error_nomem(e->error);
	}
	e->decision->count++;
	launch->line = command->line;
	launch->column = command->column;
	err = print_words(e, command, words, &count);
	if (count > 0) {
		launch->worker = words[0];
		memmove(words, words + 1, count * sizeof(*words));
		count--;
		words[count] = NULL;
	}
	launch->arguments = words;
	launch->arguments_count = count;
	if (err != NC_OK)
		return err;
	launch->host = strdup(host);
	if (launch->host == NULL)
		return error_nomem(e->error);
	/* The name can come from a placeholder, and so from a message. */
	if (!rules_know_worker(e->rules, launch->worker) &&
		template_has_lookup(&command->words[0].template))
		return eval_fail(e, NC_ERR_INVALID, command->line, command->column,
			"the worker to launch, `%.60s`, is not in the message registry",
			launch->worker);
	return NC_OK;
}

/* --- groups --- */

/* `make_x#2`, and for a second group of that rule after one message `make_x#2/2`: the same after a reload, as
 * long as the rule is the same one of its worker. */
static char *group_name(const struct evaluation *e)
{
	size_t nth = e->decision->groups_count - e->groups_before;
	char *name = NULL;
	int size = nth <= 1 ? asprintf(&name, "%s#%u", e->list, e->rule->number)
			    : asprintf(&name, "%s#%u/%zu", e->list, e->rule->number, nth);

	return size >= 0 ? name : NULL;
}

enum nc_err eval_hold(struct evaluation *e, const struct hold *hold)
{
	struct rules_group *group;
	enum nc_err err = eval_work(e, hold->count, hold->line, hold->column);

	if (err != NC_OK)
		return err;
	group = add(&e->decision->groups, e->decision->groups_count, sizeof(*group));
	if (group == NULL)
		return error_nomem(e->error);
	e->decision->groups_count++;
	group->drop_if_one_fails = hold->drop_if_one_fails;
	group->give_up_after_ms = hold->give_up_after_ms;
	group->release_when_given_up = hold->release_when_given_up;
	group->line = hold->line;
	group->column = hold->column;
	group->rule = group_name(e);
	group->members = calloc(hold->count, sizeof(*group->members));
	if (group->rule == NULL || group->members == NULL)
		return error_nomem(e->error);
	for (size_t i = 0; i < hold->count; i++) {
		const struct member *from = &hold->members[i];
		struct rules_member *to = &group->members[group->members_count++];

		to->worker = strdup(from->worker);
		to->pattern = from->pattern != NULL ? strdup(from->pattern) : NULL;
		if (to->worker == NULL || (from->pattern != NULL && to->pattern == NULL))
			return error_nomem(e->error);
	}
	return NC_OK;
}

/* --- alarms and programs --- */

enum nc_err eval_alarm(struct evaluation *e, const struct template *alarm)
{
	struct rules_alarm *made;

	made = add(&e->decision->alarms, e->decision->alarms_count, sizeof(*made));
	if (made == NULL)
		return error_nomem(e->error);
	e->decision->alarms_count++;
	made->line = alarm->line;
	made->column = alarm->column;
	return eval_text(e, alarm, &made->text);
}

enum nc_err eval_program(struct evaluation *e, const struct program *program)
{
	struct rules_program *made;
	enum nc_err err = NC_OK;

	made = add(&e->decision->programs, e->decision->programs_count, sizeof(*made));
	if (made == NULL)
		return error_nomem(e->error);
	e->decision->programs_count++;
	made->line = program->line;
	made->column = program->column;
	made->time_limit_ms = program->time_limit_ms;
	made->argv = calloc(program->count + 1, sizeof(*made->argv));
	if (made->argv == NULL)
		return error_nomem(e->error);
	for (size_t i = 0; err == NC_OK && i < program->count; i++) {
		err = eval_text(e, &program->words[i], &made->argv[i]);
		made->argc += err == NC_OK;
	}
	return err;
}
