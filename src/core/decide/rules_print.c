/* Rules as the file that they could have been read from. */
#include <inttypes.h>
#include <string.h>

#include "core/data/yaml.h"
#include "core/decide/rules_internal.h"

/* All makers return NULL when memory runs out; what takes a value accepts that. */

static struct value *text_of(struct buffer *text)
{
	struct value *value = text->failed ? NULL : value_text(text->data);

	buffer_finish(text);
	return value;
}

static struct value *template_value(const struct template *template)
{
	struct buffer text;

	buffer_init(&text);
	template_print(template, &text);
	return text_of(&text);
}

static struct value *pattern_value(const struct pattern *pattern)
{
	struct buffer text;

	buffer_init(&text);
	for (size_t i = 0; i < pattern->count; i++) {
		const struct pattern_word *word = &pattern->words[i];

		buffer_append_text(&text, i > 0 ? " " : "");
		if (word->literal != NULL) {
			buffer_append_text(&text, word->literal);
			continue;
		}
		buffer_printf(&text, "<%s", word->capture);
		for (size_t j = 0; j < word->choices_count; j++)
			buffer_printf(&text, "%s%s", j == 0 ? ": " : " | ", word->choices[j]);
		buffer_append_char(&text, '>');
	}
	return text_of(&text);
}

static struct value *expression_value(const struct expression *expression)
{
	struct value *value;
	bool well = true;

	if (expression->kind == EXPRESSION_TEMPLATE)
		return template_value(&expression->template);
	value = expression->kind == EXPRESSION_LIST ? value_list() : value_map();
	if (value == NULL)
		return NULL;
	if (expression->kind == EXPRESSION_DEPENDING)
		well = value_map_put(value, "depending on",
			       template_value(&expression->template)) == NC_OK;
	for (size_t i = 0; well && i < expression->count; i++) {
		struct value *part = expression_value(&expression->values[i]);

		if (expression->kind == EXPRESSION_LIST)
			well = value_list_append(value, part) == NC_OK;
		else
			well = value_map_put(value,
				       expression->keys[i] != NULL ? expression->keys[i]
								   : "otherwise",
				       part) == NC_OK;
	}
	if (well)
		return value;
	value_destroy(value);
	return NULL;
}

/* An operand that its place could change is put in double quotes. One with such quotes in it was not: they would
 * end it. */
static void print_operand(const struct template *template, struct buffer *out)
{
	bool needed = template->count == 0, possible = true;

	for (size_t i = 0; i < template->count; i++) {
		const char *literal = template->parts[i].literal;

		needed = needed || (literal != NULL && strpbrk(literal, ", \t\n") != NULL);
		possible = possible && (literal == NULL || strchr(literal, '"') == NULL);
	}
	buffer_append_text(out, needed && possible ? "\"" : "");
	template_print(template, out);
	buffer_append_text(out, needed && possible ? "\"" : "");
}

static struct value *condition_value(const struct condition *condition)
{
	struct buffer text;

	buffer_init(&text);
	buffer_append_text(&text, condition->negated ? "not " : "");
	if (condition->kind == OPERATOR_TRUE) {
		template_print(&condition->left, &text);
		return text_of(&text);
	}
	print_operand(&condition->left, &text);
	buffer_printf(&text, " %s", operator_words[condition->kind]);
	for (size_t i = 0; i < condition->right_count; i++) {
		buffer_append_text(&text, i > 0 ? ", " : " ");
		print_operand(&condition->right[i], &text);
	}
	return text_of(&text);
}

/* Does the literal text of the word need the double quotes? */
static bool needs_quotes(const struct template *template, bool optional)
{
	if (template->count == 0)
		return true;
	for (size_t i = 0; i < template->count; i++) {
		const char *literal = template->parts[i].literal;

		if (literal == NULL)
			continue;
		if (strpbrk(literal, " \t\n") != NULL ||
			(i == 0 && strchr("[]", literal[0]) != NULL) ||
			(optional && strchr(literal, ']') != NULL))
			return true;
	}
	return false;
}

static struct value *command_value(const struct command *command)
{
	struct buffer text;
	unsigned optional = 0;

	buffer_init(&text);
	for (size_t i = 0; i < command->count; i++) {
		const struct command_word *word = &command->words[i];
		bool quotes = needs_quotes(&word->template, word->optional != 0);

		if (optional != 0 && word->optional != optional)
			buffer_append_char(&text, ']');
		buffer_append_text(&text, i > 0 ? " " : "");
		if (word->optional != 0 && word->optional != optional)
			buffer_append_char(&text, '[');
		optional = word->optional;
		buffer_append_text(&text, quotes ? "\"" : "");
		template_print(&word->template, &text);
		buffer_append_text(&text, quotes ? "\"" : "");
	}
	if (optional != 0)
		buffer_append_char(&text, ']');
	return text_of(&text);
}

/* --- steps --- */

static bool put_step(struct value *map, const struct step *step);

static struct value *step_value(const struct step *step)
{
	struct value *map = value_map();

	if (map == NULL || put_step(map, step))
		return map;
	value_destroy(map);
	return NULL;
}

static bool put_each(struct value *map, const struct step *step)
{
	struct buffer key;
	bool well;

	buffer_init(&key);
	buffer_printf(&key, "for each %s in", step->each_name);
	well = !key.failed && value_map_put(map, key.data, expression_value(&step->each)) == NC_OK;
	buffer_finish(&key);
	return well;
}

static bool put_with(struct value *map, const struct step *step)
{
	struct value *with = value_map();
	bool well = true;

	for (size_t i = 0; i < step->with_count; i++)
		well = value_map_put(with, step->with[i].name,
			       expression_value(&step->with[i].value)) == NC_OK &&
		       well;
	return value_map_put(map, "with", with) == NC_OK && well;
}

static bool put_when(struct value *map, const struct step *step)
{
	struct value *list = value_list();
	bool well = true;

	for (size_t i = 0; i < step->when_count; i++)
		well = value_list_append(list, condition_value(&step->when[i])) == NC_OK && well;
	return value_map_put(map, "when", list) == NC_OK && well;
}

static bool put_launch(struct value *map, const struct step *step)
{
	struct value *list = value_list();
	bool well = true;

	for (size_t i = 0; i < step->launch_count; i++) {
		const struct item *item = &step->launch[i];

		well = value_list_append(list, item->command != NULL
						       ? command_value(item->command)
						       : step_value(item->step)) == NC_OK &&
		       well;
	}
	return value_map_put(map, "launch", list) == NC_OK && well;
}

static bool put_first_of(struct value *map, const struct step *step)
{
	struct value *list = value_list();
	bool well = true;

	for (size_t i = 0; i < step->first_of_count; i++)
		well = value_list_append(list, step_value(&step->first_of[i])) == NC_OK && well;
	return value_map_put(map, "first of", list) == NC_OK && well;
}

static bool put_hold(struct value *map, const struct hold *hold)
{
	struct value *list = value_list();
	bool well = true;

	for (size_t i = 0; i < hold->count; i++) {
		const struct member *member = &hold->members[i];
		struct value *text =
			member->pattern != NULL
				? value_text_printf("%s %s", member->worker, member->pattern)
				: value_text(member->worker);

		well = value_list_append(list, text) == NC_OK && well;
	}
	well = value_map_put(map, "hold until all have ended", list) == NC_OK && well;
	return well &&
	       value_map_put(map, "if one fails",
		       value_text(hold->drop_if_one_fails ? "drop" : "go on")) == NC_OK &&
	       value_map_put(map, "give up after",
		       value_text_printf("%" PRId64 " ms", hold->give_up_after_ms)) == NC_OK &&
	       value_map_put(map, "when given up",
		       value_text(hold->release_when_given_up ? "release" : "drop")) == NC_OK;
}

static bool put_program(struct value *map, const struct program *program)
{
	struct value *list = value_list();
	bool well = true;

	for (size_t i = 0; i < program->count; i++)
		well = value_list_append(list, template_value(&program->words[i])) == NC_OK && well;
	return value_map_put(map, "decide with", list) == NC_OK && well &&
	       value_map_put(map, "time limit",
		       value_text_printf("%" PRId64 " ms", program->time_limit_ms)) == NC_OK;
}

static bool put_step(struct value *map, const struct step *step)
{
	return (step->each_name == NULL || put_each(map, step)) &&
	       (step->with_count == 0 || put_with(map, step)) &&
	       (step->when_count == 0 || put_when(map, step)) &&
	       (step->launch_count == 0 || put_launch(map, step)) &&
	       (step->first_of_count == 0 || put_first_of(map, step)) &&
	       (step->host.count == 0 ||
		       value_map_put(map, "on host", template_value(&step->host)) == NC_OK) &&
	       (step->hold == NULL || put_hold(map, step->hold)) &&
	       (step->alarm == NULL ||
		       value_map_put(map, "alarm", template_value(step->alarm)) == NC_OK) &&
	       (step->program == NULL || put_program(map, step->program));
}

/* --- rules --- */

static struct value *rule_value(const struct rule *rule)
{
	struct value *map = value_map(), *on = value_list();
	bool well = true;

	if (rule->same_as != NULL) {
		value_destroy(on);
		well = value_map_put(map, "same as after", value_text(rule->same_as)) == NC_OK;
	} else {
		for (size_t i = 0; i < rule->patterns_count; i++)
			well = value_list_append(on, pattern_value(&rule->patterns[i])) == NC_OK &&
			       well;
		well = value_map_put(map, "on", on) == NC_OK && well;
		well = well && put_step(map, &rule->step);
		if (rule->stop)
			well = well && value_map_put(map, "stop", value_text("yes")) == NC_OK;
	}
	if (well)
		return map;
	value_destroy(map);
	return NULL;
}

enum nc_err rules_print(const struct rules *rules, struct buffer *out, struct error *error)
{
	struct value *file = value_map();
	bool well = file != NULL;

	for (size_t i = 0; well && i < rules->count; i++) {
		const struct rule_list *list = &rules->lists[i];
		struct value *rules_of = value_list();

		for (size_t j = 0; j < list->count; j++)
			well = value_list_append(rules_of, rule_value(&list->rules[j])) == NC_OK &&
			       well;
		well = value_map_put(file, list->worker, rules_of) == NC_OK && well;
	}
	if (well)
		yaml_write(file, 0, out);
	value_destroy(file);
	return well && !out->failed ? NC_OK : error_nomem(error);
}
