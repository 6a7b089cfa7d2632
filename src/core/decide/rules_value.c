/* What placeholders stand for: look-ups, templates, the values of `with` and `for each`. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

enum nc_err eval_fail(struct evaluation *e, enum nc_err code, unsigned line, unsigned column,
	const char *format, ...)
{
	char what[400];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	return error_at(e->error, code, line, column, "%s:%u:%u: %s (rule %u of %.60s)",
		e->rules->name, line, column, what, e->rule->number, e->list);
}

enum nc_err eval_work(struct evaluation *e, size_t work, unsigned line, unsigned column)
{
	e->work += work;
	if (e->work > WORK_MOST)
		return eval_fail(e, NC_ERR_LIMIT, line, column,
			"the rules for this message need more than %d look-ups and rounds",
			WORK_MOST);
	return NC_OK;
}

enum nc_err eval_keep(struct evaluation *e, struct value *value, const struct value **ret_value)
{
	if (value != NULL && e->made_count == e->made_capacity) {
		size_t capacity = e->made_capacity > 0 ? 2 * e->made_capacity : 32;
		struct value **made = reallocarray(e->made, capacity, sizeof(struct value *));

		if (made == NULL) {
			value_destroy(value);
			return error_nomem(e->error);
		}
		e->made = made;
		e->made_capacity = capacity;
	}
	if (value == NULL)
		return error_nomem(e->error);
	e->made[e->made_count++] = value;
	*ret_value = value;
	return NC_OK;
}

/* --- scalars --- */

bool is_many(const struct value *value)
{
	return value_is(value, VALUE_LIST) || value_is(value, VALUE_SET) ||
	       value_is(value, VALUE_MAP);
}

enum nc_err print_plain(const struct value *value, struct buffer *out)
{
	struct date date;
	char text[DATE_TEXT_SIZE];

	if (value_is(value, VALUE_BOOL)) {
		buffer_append_text(out, value_as_bool(value, false) ? "true" : "false");
		return NC_OK;
	}
	if (value_is(value, VALUE_NULL)) {
		buffer_append_text(out, "null");
		return NC_OK;
	}
	if (value_as_date(value, &date)) {
		buffer_append_text(out, date_print(date, text));
		return NC_OK;
	}
	return value_print_scalar(value, out);
}

const char *describe(const struct value *value, char buffer[100])
{
	struct buffer text;

	buffer_init(&text);
	if (value_is(value, VALUE_NULL) || print_plain(value, &text) != NC_OK || text.failed)
		(void)snprintf(buffer, 100, "%s", value_kind_words(value_kind(value)));
	else
		(void)snprintf(
			buffer, 100, "%s `%.60s`", value_kind_words(value_kind(value)), text.data);
	buffer_finish(&text);
	return buffer;
}

enum nc_err eval_date(struct evaluation *e, const struct value *value, const char *text,
	unsigned line, unsigned column, struct date *ret_date)
{
	struct buffer printed;
	char words[100];
	enum nc_err err;

	if (value_as_date(value, ret_date))
		return NC_OK;
	buffer_init(&printed);
	err = value_is(value, VALUE_NULL) || value_is(value, VALUE_BOOL)
		      ? NC_ERR_SYNTAX
		      : value_print_scalar(value, &printed);
	if (err == NC_OK)
		err = date_parse(printed.data, ret_date, NULL);
	buffer_finish(&printed);
	if (err == NC_OK)
		return NC_OK;
	if (err == NC_ERR_NOMEM)
		return error_nomem(e->error);
	if (err == NC_ERR_INVALID && !is_many(value))
		return eval_fail(e, err, line, column, "<%.150s>: %s is an impossible date", text,
			describe(value, words));
	return eval_fail(e, NC_ERR_INVALID, line, column,
		"<%.150s> is to be a date, YYYY-MM-DD or YYYYMMDD, and is %s", text,
		describe(value, words));
}

/* --- look-ups --- */

/* A value that stands at the beginning of a path. */
static enum nc_err base_of(
	struct evaluation *e, const struct lookup *lookup, const struct value **ret_value)
{
	const struct value *value = NULL;

	switch (lookup->base) {
	case BASE_PAYLOAD:
		value = e->input->payload;
		break;
	case BASE_CONFIG:
		value = e->input->config;
		break;
	case BASE_CHECKLIST:
		value = e->input->checklist;
		break;
	case BASE_LAUNCH:
		value = e->input->launch;
		break;
	case BASE_TODAY:
		value = e->today;
		break;
	case BASE_SLOT:
		if (e->slots[lookup->slot] == NULL && lookup->declaration != NULL) {
			enum nc_err err = eval_expression(
				e, &lookup->declaration->value, &e->slots[lookup->slot]);

			if (err != NC_OK)
				return err;
		}
		value = e->slots[lookup->slot];
		break;
	}
	*ret_value = value != NULL ? value : e->null;
	return NC_OK;
}

/* `--run-date` in the arguments of a launch: the word behind it, or behind the `=` in `--run-date=D`. */
static enum nc_err option_value(struct evaluation *e, const struct value *arguments,
	const char *option, const struct value **ret_value)
{
	size_t len = strlen(option);

	for (size_t i = 0; i < value_count(arguments); i++) {
		const char *word = value_as_text(value_at(arguments, i), "");

		if (strcmp(word, option) == 0) {
			*ret_value = value_at(arguments, i + 1);
			return NC_OK;
		}
		if (strncmp(word, option, len) == 0 && word[len] == '=')
			return eval_keep(e, value_text(word + len + 1), ret_value);
	}
	return NC_OK;
}

/* One step of a path; *ret_value is NULL when there is nothing. On a list a key of digits is an index from 0. */
static enum nc_err step_into(struct evaluation *e, const struct lookup *lookup,
	const struct value *value, const char *key, const struct value **ret_value)
{
	int64_t index;

	*ret_value = NULL;
	if (value_is(value, VALUE_MAP)) {
		*ret_value = value_map_get(value, key);
		if (*ret_value != NULL)
			return NC_OK;
		/* A key that is no text is searched for. */
		*ret_value = value_map_find_written(value, key);
		return eval_work(e, value_count(value) / 64, lookup->line, lookup->column);
	}
	if (!value_is(value, VALUE_LIST))
		return NC_OK;
	if (key[0] == '-' && value == value_map_get(e->input->launch, "arguments"))
		return option_value(e, value, key, ret_value);
	if (strspn(key, "0123456789") == strlen(key) && text_to_int64(key, &index))
		*ret_value = value_at(value, (size_t)index);
	return NC_OK;
}

static enum nc_err walk_path(
	struct evaluation *e, const struct lookup *lookup, const struct value **value)
{
	struct buffer key;
	enum nc_err err = NC_OK;

	buffer_init(&key);
	for (size_t i = 0; err == NC_OK && i < lookup->path_count; i++) {
		const struct template *path = &lookup->path[i];
		const struct value *next = NULL;
		const char *text = NULL;

		/* Nearly all keys are written out. */
		if (path->count == 1 && path->parts[0].literal != NULL) {
			text = path->parts[0].literal;
		} else {
			buffer_clear(&key);
			err = eval_print(e, path, &key);
			text = key.data;
		}
		if (err == NC_OK)
			err = step_into(e, lookup, *value, text, &next);
		if (err == NC_OK && next == NULL)
			err = eval_fail(e, NC_ERR_NOT_FOUND, lookup->line, lookup->column,
				"<%.150s> finds nothing: there is no `%.60s` in %s", lookup->text,
				text, value_kind_words(value_kind(*value)));
		*value = next;
	}
	buffer_finish(&key);
	return err;
}

enum nc_err eval_lookup(
	struct evaluation *e, const struct lookup *lookup, const struct value **ret_value)
{
	const struct value *value = NULL;
	enum nc_err err = eval_work(e, 1, lookup->line, lookup->column);

	if (err == NC_OK)
		err = base_of(e, lookup, &value);
	if (err == NC_OK)
		err = walk_path(e, lookup, &value);
	for (size_t i = 0; err == NC_OK && i < lookup->filters_count; i++)
		err = eval_filter(e, lookup, &lookup->filters[i], &value);
	if (err == NC_OK)
		*ret_value = value;
	return err;
}

/* --- templates --- */

enum nc_err eval_print(struct evaluation *e, const struct template *template, struct buffer *out)
{
	char words[100];

	for (size_t i = 0; i < template->count; i++) {
		const struct template_part *part = &template->parts[i];
		const struct value *value = NULL;
		size_t len_before = out->len;
		enum nc_err err;

		if (part->literal != NULL) {
			buffer_append_text(out, part->literal);
			continue;
		}
		err = eval_lookup(e, part->lookup, &value);
		if (err != NC_OK)
			return err;
		if (print_plain(value, out) == NC_ERR_INVALID)
			return eval_fail(e, NC_ERR_INVALID, part->lookup->line,
				part->lookup->column,
				"<%.150s> is %s, and cannot be printed into a text",
				part->lookup->text, describe(value, words));
		/* Long texts are work, too. */
		err = eval_work(e, (out->len - len_before) / 256, template->line, template->column);
		if (err != NC_OK)
			return err;
		if (out->len > TEXT_MOST)
			return eval_fail(e, NC_ERR_LIMIT, template->line, template->column,
				"with <%.150s> the text is longer than %d bytes",
				part->lookup->text, TEXT_MOST);
	}
	return out->failed ? error_nomem(e->error) : NC_OK;
}

enum nc_err eval_text(struct evaluation *e, const struct template *template, char **ret_text)
{
	struct buffer text;
	char *stolen;
	enum nc_err err;

	buffer_init(&text);
	err = eval_print(e, template, &text);
	if (err != NC_OK) {
		buffer_finish(&text);
		return err;
	}
	stolen = buffer_steal(&text);
	if (stolen == NULL)
		return error_nomem(e->error);
	*ret_text = stolen;
	return NC_OK;
}

enum nc_err eval_template(
	struct evaluation *e, const struct template *template, const struct value **ret_value)
{
	struct buffer text;
	enum nc_err err;

	if (template->count == 1 && template->parts[0].lookup != NULL)
		return eval_lookup(e, template->parts[0].lookup, ret_value);
	buffer_init(&text);
	err = eval_print(e, template, &text);
	if (err == NC_OK)
		err = eval_keep(e, value_text(text.data), ret_value);
	buffer_finish(&text);
	return err;
}

/* --- values --- */

/* So that a list of lists of lists does not take all memory: each node of it is work. */
static enum nc_err count_nodes(
	struct evaluation *e, const struct value *value, const struct template *at)
{
	size_t len = strlen(value_as_text(value, ""));
	enum nc_err err = eval_work(e, 1 + len / 256, at->line, at->column);

	for (size_t i = 0; err == NC_OK && i < value_count(value); i++)
		err = count_nodes(e,
			value_is(value, VALUE_MAP) ? value_map_value_at(value, i)
						   : value_at(value, i),
			at);
	return err;
}

static enum nc_err eval_list(
	struct evaluation *e, const struct expression *expression, const struct value **ret_value)
{
	struct value *list = value_list();
	enum nc_err err = list != NULL ? NC_OK : error_nomem(e->error);

	for (size_t i = 0; err == NC_OK && i < expression->count; i++) {
		const struct template *template = &expression->values[i].template;
		const struct value *value = NULL;

		err = eval_template(e, template, &value);
		if (err == NC_OK)
			err = count_nodes(e, value, template);
		if (err == NC_OK && value_list_append(list, value_copy(value)) != NC_OK)
			err = error_nomem(e->error);
	}
	if (err == NC_OK)
		return eval_keep(e, list, ret_value);
	value_destroy(list);
	return err;
}

static enum nc_err eval_depending(
	struct evaluation *e, const struct expression *expression, const struct value **ret_value)
{
	const struct template *template = &expression->template;
	const struct expression *otherwise = NULL;
	struct buffer text;
	enum nc_err err;

	buffer_init(&text);
	err = eval_print(e, template, &text);
	for (size_t i = 0; err == NC_OK && i < expression->count; i++) {
		if (expression->keys[i] == NULL)
			otherwise = &expression->values[i];
		if (expression->keys[i] == NULL || strcmp(expression->keys[i], text.data) != 0)
			continue;
		buffer_finish(&text);
		return eval_expression(e, &expression->values[i], ret_value);
	}
	if (err == NC_OK && otherwise == NULL) {
		err = eval_fail(e, NC_ERR_NOT_FOUND, template->line, template->column,
			"`depending on` has no value for `%.60s`, and no `otherwise`", text.data);
		buffer_finish(&text);
		return err;
	}
	buffer_finish(&text);
	return err == NC_OK && otherwise != NULL ? eval_expression(e, otherwise, ret_value) : err;
}

enum nc_err eval_expression(
	struct evaluation *e, const struct expression *expression, const struct value **ret_value)
{
	switch (expression->kind) {
	case EXPRESSION_TEMPLATE:
		return eval_template(e, &expression->template, ret_value);
	case EXPRESSION_LIST:
		return eval_list(e, expression, ret_value);
	case EXPRESSION_DEPENDING:
		return eval_depending(e, expression, ret_value);
	}
	return NC_OK;
}
