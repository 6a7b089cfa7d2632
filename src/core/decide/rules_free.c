/* The tree of rules: its end, and the memory that it is made of. */
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

void *grow(struct parse *p, void *array, size_t count, size_t size)
{
	/* Arrays grow by doubling: at each power of two. */
	bool full = count == 0 || (count & (count - 1)) == 0;
	char *grown = array;

	if (full) {
		grown = reallocarray(array, count == 0 ? 1 : 2 * count, size);
		if (grown == NULL) {
			p->nomem = true;
			return NULL;
		}
	}
	memset(grown + count * size, 0, size);
	return grown;
}

char *keep_text(struct parse *p, const char *text, size_t len)
{
	char *kept = strndup(text, len);

	if (kept == NULL)
		p->nomem = true;
	return kept;
}

void filter_finish(struct filter *filter)
{
	free(filter->format);
}

void lookup_destroy(struct lookup *lookup)
{
	if (lookup == NULL)
		return;
	for (size_t i = 0; i < lookup->path_count; i++)
		template_finish(&lookup->path[i]);
	for (size_t i = 0; i < lookup->filters_count; i++)
		filter_finish(&lookup->filters[i]);
	free(lookup->path);
	free(lookup->filters);
	free(lookup->name);
	free(lookup->text);
	free(lookup);
}

void template_finish(struct template *template)
{
	for (size_t i = 0; i < template->count; i++) {
		free(template->parts[i].literal);
		lookup_destroy(template->parts[i].lookup);
	}
	free(template->parts);
	*template = (struct template){ 0 };
}

void expression_finish(struct expression *expression)
{
	template_finish(&expression->template);
	for (size_t i = 0; i < expression->count; i++) {
		expression_finish(&expression->values[i]);
		if (expression->keys != NULL)
			free(expression->keys[i]);
	}
	free(expression->values);
	free(expression->keys);
	*expression = (struct expression){ 0 };
}

void condition_finish(struct condition *condition)
{
	template_finish(&condition->left);
	for (size_t i = 0; i < condition->right_count; i++)
		template_finish(&condition->right[i]);
	free(condition->right);
}

void command_finish(struct command *command)
{
	for (size_t i = 0; i < command->count; i++)
		template_finish(&command->words[i].template);
	free(command->words);
	*command = (struct command){ 0 };
}

void pattern_finish(struct pattern *pattern)
{
	for (size_t i = 0; i < pattern->count; i++) {
		struct pattern_word *word = &pattern->words[i];

		for (size_t j = 0; j < word->choices_count; j++)
			free(word->choices[j]);
		free(word->choices);
		free(word->literal);
		free(word->capture);
	}
	free(pattern->words);
	*pattern = (struct pattern){ 0 };
}

void hold_destroy(struct hold *hold)
{
	if (hold == NULL)
		return;
	for (size_t i = 0; i < hold->count; i++) {
		free(hold->members[i].worker);
		free(hold->members[i].pattern);
	}
	free(hold->members);
	free(hold);
}

void program_destroy(struct program *program)
{
	if (program == NULL)
		return;
	for (size_t i = 0; i < program->count; i++)
		template_finish(&program->words[i]);
	free(program->words);
	free(program);
}

static void item_finish(struct item *item)
{
	if (item->command != NULL)
		command_finish(item->command);
	if (item->step != NULL)
		step_finish(item->step);
	free(item->command);
	free(item->step);
}

void step_finish(struct step *step)
{
	free(step->each_name);
	expression_finish(&step->each);
	for (size_t i = 0; i < step->with_count; i++) {
		free(step->with[i].name);
		expression_finish(&step->with[i].value);
	}
	for (size_t i = 0; i < step->when_count; i++)
		condition_finish(&step->when[i]);
	for (size_t i = 0; i < step->launch_count; i++)
		item_finish(&step->launch[i]);
	for (size_t i = 0; i < step->first_of_count; i++)
		step_finish(&step->first_of[i]);
	free(step->with);
	free(step->when);
	free(step->launch);
	free(step->first_of);
	template_finish(&step->host);
	hold_destroy(step->hold);
	if (step->alarm != NULL)
		template_finish(step->alarm);
	free(step->alarm);
	program_destroy(step->program);
}

void rule_finish(struct rule *rule)
{
	for (size_t i = 0; i < rule->patterns_count; i++)
		pattern_finish(&rule->patterns[i]);
	free(rule->patterns);
	free(rule->same_as);
	step_finish(&rule->step);
	*rule = (struct rule){ 0 };
}

void rules_destroy(struct rules *rules)
{
	if (rules == NULL)
		return;
	for (size_t i = 0; i < rules->count; i++) {
		for (size_t j = 0; j < rules->lists[i].count; j++)
			rule_finish(&rules->lists[i].rules[j]);
		free(rules->lists[i].rules);
		free(rules->lists[i].worker);
	}
	for (size_t i = 0; i < rules->workers_count; i++)
		free(rules->workers[i]);
	free(rules->lists);
	free(rules->by_worker);
	free(rules->workers);
	free(rules->name);
	free(rules);
}

struct rules *rules_none(void)
{
	struct rules *rules = calloc(1, sizeof(*rules));

	if (rules == NULL)
		return NULL;
	rules->name = strdup("no rules");
	if (rules->name == NULL) {
		free(rules);
		return NULL;
	}
	return rules;
}
