/* A message against the rules: which launches? A pure function of its input. */
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

struct evaluation {
	const struct rules *rules;
	const struct rules_input *input;
	struct value *captures;
	struct value *today;
	struct value *made; /* a list of values that are in none of the input */
	bool nomem;         /* for one of them */
	struct error *error;
	unsigned line, column; /* of the command that is worked */
};

void rules_decision_finish(struct rules_decision *decision)
{
	for (size_t i = 0; i < decision->count; i++) {
		struct rules_launch *launch = &decision->launches[i];

		for (size_t j = 0; j < launch->arguments_count; j++)
			free(launch->arguments[j]);
		free(launch->arguments);
		free(launch->worker);
		free(launch->host);
	}
	free(decision->launches);
	*decision = (struct rules_decision){ 0 };
}

static enum nc_err print_template(
	struct evaluation *e, const struct template *template, struct buffer *out);

static const struct value *base_of(const struct evaluation *e, const char *name)
{
	if (strcmp(name, "payload") == 0)
		return e->input->payload;
	if (strcmp(name, "config") == 0)
		return e->input->config;
	if (strcmp(name, "checklist") == 0)
		return e->input->checklist;
	if (strcmp(name, "launch") == 0)
		return e->input->launch;
	if (strcmp(name, "today") == 0)
		return e->today;
	return value_map_get(e->captures, name);
}

/* `--run-date` in the arguments of a launch: the word behind it, or behind the `=` in `--run-date=D`. */
static const struct value *option_value(
	struct evaluation *e, const struct value *arguments, const char *option)
{
	size_t len = strlen(option);

	for (size_t i = 0; i < value_count(arguments); i++) {
		const char *word = value_as_text(value_at(arguments, i), "");

		if (strcmp(word, option) == 0)
			return value_at(arguments, i + 1);
		if (strncmp(word, option, len) != 0 || word[len] != '=')
			continue;
		if (value_list_append(e->made, value_text(word + len + 1)) != NC_OK) {
			e->nomem = true;
			return NULL;
		}
		return value_at(e->made, value_count(e->made) - 1);
	}
	return NULL;
}

/* One step of a path; NULL: nothing there. On a list a key of digits is an index from 0. */
static const struct value *step_into(
	struct evaluation *e, const struct value *value, const char *key)
{
	int64_t index;

	if (!value_is(value, VALUE_LIST))
		return value_map_find_written(value, key);
	if (key[0] == '-' && value == value_map_get(e->input->launch, "arguments"))
		return option_value(e, value, key);
	return text_to_int64(key, &index) && index >= 0 ? value_at(value, (size_t)index) : NULL;
}

/* NC_ERR_NOT_FOUND: the look-up finds nothing, and `error` says at which key. */
static enum nc_err look_up(
	struct evaluation *e, const struct lookup *lookup, const struct value **ret_value)
{
	const struct value *value = base_of(e, lookup->name);
	struct buffer key;
	enum nc_err err = NC_OK;

	buffer_init(&key);
	for (size_t i = 0; err == NC_OK && value != NULL && i < lookup->path_count; i++) {
		const struct value *next;

		buffer_clear(&key);
		err = print_template(e, &lookup->path[i], &key);
		if (err != NC_OK)
			break;
		next = step_into(e, value, key.data);
		if (e->nomem)
			err = error_nomem(e->error);
		else if (next == NULL)
			err = error_at(e->error, NC_ERR_NOT_FOUND, e->line, e->column,
				"%s:%u:%u: <%.150s> finds nothing: there is no `%.60s` in %s",
				e->rules->name, e->line, e->column, lookup->text, key.data,
				value_kind_words(value_kind(value)));
		value = next;
	}
	buffer_finish(&key);
	if (err == NC_OK && value == NULL)
		err = error_at(e->error, NC_ERR_NOT_FOUND, e->line, e->column,
			"%s:%u:%u: <%.150s> finds nothing", e->rules->name, e->line, e->column,
			lookup->text);
	if (err == NC_OK)
		*ret_value = value;
	return err;
}

static enum nc_err print_template(
	struct evaluation *e, const struct template *template, struct buffer *out)
{
	for (size_t i = 0; i < template->count; i++) {
		const struct template_part *part = &template->parts[i];
		const struct value *value;
		enum nc_err err;

		if (part->literal != NULL) {
			buffer_append_text(out, part->literal);
			continue;
		}
		err = look_up(e, part->lookup, &value);
		if (err != NC_OK)
			return err;
		if (value_print_scalar(value, out) == NC_ERR_INVALID)
			return error_at(e->error, NC_ERR_INVALID, e->line, e->column,
				"%s:%u:%u: <%.150s> is %s, and cannot be printed into a text",
				e->rules->name, e->line, e->column, part->lookup->text,
				value_kind_words(value_kind(value)));
	}
	return out->failed ? error_nomem(e->error) : NC_OK;
}

/* The worker and its arguments, as one list of words. `words` owns what it holds. */
static enum nc_err print_words(
	struct evaluation *e, const struct command *command, struct value *words)
{
	unsigned dropped = 0; /* the optional group in which something was not found */
	size_t group_start = 0;
	unsigned group = 0;

	for (size_t i = 0; i < command->count; i++) {
		const struct command_word *word = &command->words[i];
		struct buffer text;
		enum nc_err err;

		if (word->optional != 0 && word->optional == dropped)
			continue;
		if (word->optional != group) {
			group = word->optional;
			group_start = value_count(words);
		}
		buffer_init(&text);
		err = print_template(e, &word->template, &text);
		if (err == NC_OK && value_list_append(words, value_text(text.data)) != NC_OK)
			err = error_nomem(e->error);
		buffer_finish(&text);
		if (err == NC_ERR_NOT_FOUND && word->optional != 0) {
			dropped = word->optional;
			value_list_truncate(words, group_start);
			continue;
		}
		if (err != NC_OK)
			return err;
	}
	return NC_OK;
}

/* *ret_host is to be freed. */
static enum nc_err print_host(struct evaluation *e, const struct rule *rule, char **ret_host)
{
	struct buffer host;
	enum nc_err err;

	buffer_init(&host);
	err = print_template(e, &rule->host, &host);
	if (err == NC_OK && rule->host.count == 0)
		buffer_append_text(&host, "localhost");
	if (err == NC_OK) {
		*ret_host = buffer_steal(&host);
		return *ret_host != NULL ? NC_OK : error_nomem(e->error);
	}
	buffer_finish(&host);
	return err;
}

static enum nc_err add_launch(struct evaluation *e, const struct rule *rule,
	const struct command *command, struct rules_decision *decision)
{
	struct rules_launch *launches =
		reallocarray(decision->launches, decision->count + 1, sizeof(*launches));
	struct rules_launch *launch;
	struct value *words = value_list();
	enum nc_err err;

	e->line = command->line;
	e->column = command->column;
	if (launches != NULL)
		decision->launches = launches;
	err = launches != NULL && words != NULL ? print_words(e, command, words)
						: error_nomem(e->error);
	if (err != NC_OK) {
		value_destroy(words);
		return err;
	}
	launch = &launches[decision->count++];
	*launch = (struct rules_launch){ .line = command->line, .column = command->column };
	launch->worker = strdup(value_as_text(value_at(words, 0), ""));
	err = print_host(e, rule, &launch->host);
	launch->arguments = calloc(value_count(words), sizeof(*launch->arguments));
	if (err == NC_OK && (launch->worker == NULL || launch->arguments == NULL))
		err = error_nomem(e->error);
	for (size_t i = 1; err == NC_OK && i < value_count(words); i++) {
		launch->arguments[i - 1] = strdup(value_as_text(value_at(words, i), ""));
		if (launch->arguments[i - 1] == NULL)
			err = error_nomem(e->error);
		else
			launch->arguments_count++;
	}
	value_destroy(words);
	return err;
}

static enum nc_err apply_rule(
	struct evaluation *e, const struct rule *rule, struct rules_decision *decision)
{
	enum nc_err err = NC_OK;

	for (size_t i = 0; i < rule->patterns_count; i++) {
		if (!pattern_matches(&rule->patterns[i], e->input->type))
			continue;
		value_destroy(e->captures);
		e->captures = value_map();
		if (e->captures == NULL ||
			pattern_capture(&rule->patterns[i], e->input->type, e->captures) != NC_OK)
			return error_nomem(e->error);
		for (size_t j = 0; err == NC_OK && j < rule->commands_count; j++)
			err = add_launch(e, rule, &rule->commands[j], decision);
		break;
	}
	return err;
}

enum nc_err rules_apply(const struct rules *rules, const struct rules_input *input,
	struct rules_decision *ret_decision, struct error *error)
{
	/* Optional words fill it although all goes well. */
	struct error why = { 0 };
	struct evaluation e = { .rules = rules, .input = input, .error = &why };
	struct rules_decision decision = { 0 };
	enum nc_err err = NC_OK;

	e.today = value_date(input->today);
	e.made = value_list();
	if (e.today == NULL || e.made == NULL) {
		value_destroy(e.today);
		value_destroy(e.made);
		return error_nomem(error);
	}
	/* The worker's own rules, then those for any. */
	for (int any = 0; any < 2; any++) {
		for (size_t i = 0; err == NC_OK && i < rules->count; i++) {
			const struct rule_list *list = &rules->lists[i];

			if (strcmp(list->worker, any ? ANY_WORKER : input->worker) != 0)
				continue;
			for (size_t j = 0; err == NC_OK && j < list->count; j++)
				err = apply_rule(&e, &list->rules[j], &decision);
		}
	}
	value_destroy(e.today);
	value_destroy(e.made);
	value_destroy(e.captures);
	if (err != NC_OK) {
		rules_decision_finish(&decision);
		if (error != NULL)
			*error = why;
		return err;
	}
	*ret_decision = decision;
	return NC_OK;
}
