/* Conditions: do they hold? */
#include <string.h>

#include "core/decide/rules_internal.h"

/* Is `text` a key of the mapping, or among the elements? */
static enum nc_err find_element(
	struct evaluation *e, const struct value *collection, const char *text, bool *ret_found)
{
	struct buffer element;
	bool found = value_map_get(collection, text) != NULL, failed;

	buffer_init(&element);
	for (size_t i = 0; !found && i < value_count(collection); i++) {
		const struct value *value = value_is(collection, VALUE_MAP)
						    ? value_map_key_at(collection, i)
						    : value_at(collection, i);

		if (value_is(value, VALUE_TEXT)) {
			found = strcmp(value_as_text(value, ""), text) == 0;
			continue;
		}
		buffer_clear(&element);
		found = print_plain(value, &element) == NC_OK && strcmp(element.data, text) == 0;
	}
	failed = element.failed;
	buffer_finish(&element);
	if (failed)
		return error_nomem(e->error); /* it could be the one that was not printed */
	*ret_found = found;
	return NC_OK;
}

/* `item` is in `collection`: T is in T, and T contains T from behind. */
static enum nc_err judge_in(struct evaluation *e, const struct condition *condition,
	const struct template *item, const struct template *collection, bool *ret_holds)
{
	const struct value *value = NULL;
	struct buffer text, whole;
	enum nc_err err;

	buffer_init(&text);
	buffer_init(&whole);
	err = eval_print(e, item, &text);
	if (err == NC_OK)
		err = eval_template(e, collection, &value);
	if (err == NC_OK && value_is(value, VALUE_NULL))
		err = eval_fail(e, NC_ERR_INVALID, condition->line, condition->column,
			"what is to hold `%.60s` is nothing; it must be a mapping, a list, a set or "
			"a text",
			text.data);
	if (err == NC_OK)
		err = eval_work(e, value_count(value) / 16, condition->line, condition->column);
	if (err == NC_OK && print_plain(value, &whole) == NC_OK)
		*ret_holds = strstr(whole.data, text.data) != NULL;
	else if (err == NC_OK)
		err = find_element(e, value, text.data, ret_holds);
	if (err == NC_OK && whole.failed)
		err = error_nomem(e->error);
	buffer_finish(&text);
	buffer_finish(&whole);
	return err;
}

/* `is`, `is one of`, `starts with`, `ends with` */
static enum nc_err judge_texts(
	struct evaluation *e, const struct condition *condition, bool *ret_holds)
{
	struct buffer left, right;
	bool holds = false;
	enum nc_err err;

	buffer_init(&left);
	buffer_init(&right);
	err = eval_print(e, &condition->left, &left);
	for (size_t i = 0; err == NC_OK && !holds && i < condition->right_count; i++) {
		buffer_clear(&right);
		err = eval_print(e, &condition->right[i], &right);
		if (err != NC_OK)
			break;
		if (condition->kind == OPERATOR_STARTS)
			holds = strncmp(left.data, right.data, right.len) == 0;
		else if (condition->kind == OPERATOR_ENDS)
			holds = left.len >= right.len &&
				strcmp(left.data + left.len - right.len, right.data) == 0;
		else
			holds = strcmp(left.data, right.data) == 0;
	}
	buffer_finish(&left);
	buffer_finish(&right);
	if (err == NC_OK)
		*ret_holds = holds;
	return err;
}

static bool is_nothing(const struct value *value)
{
	return value_is(value, VALUE_NULL) || (is_many(value) && value_count(value) == 0);
}

static enum nc_err judge_set(
	struct evaluation *e, const struct condition *condition, bool *ret_holds)
{
	const struct value *value = NULL;
	enum nc_err err = eval_template(e, &condition->left, &value);

	if (err != NC_OK && err != NC_ERR_NOT_FOUND)
		return err;
	*ret_holds = err == NC_OK && !is_nothing(value);
	return NC_OK;
}

/* A bare placeholder: true or false, also as a text: so a name of `with` can be written. */
static enum nc_err judge_true(
	struct evaluation *e, const struct condition *condition, bool *ret_holds)
{
	const struct lookup *lookup = condition->left.parts[0].lookup;
	const struct value *value = NULL;
	const char *text;
	char words[100];
	enum nc_err err = eval_lookup(e, lookup, &value);

	if (err != NC_OK)
		return err;
	text = value_as_text(value, "");
	if (!value_is(value, VALUE_BOOL) && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return eval_fail(e, NC_ERR_INVALID, lookup->line, lookup->column,
			"the condition <%.150s> must be true or false, and is %s", lookup->text,
			describe(value, words));
	*ret_holds = value_as_bool(value, strcmp(text, "true") == 0);
	return NC_OK;
}

static enum nc_err date_of(struct evaluation *e, const struct condition *condition,
	const struct template *template, struct date *ret_date)
{
	const struct value *value = NULL;
	struct buffer text;
	enum nc_err err = eval_template(e, template, &value);

	if (err != NC_OK)
		return err;
	buffer_init(&text);
	template_print(template, &text);
	if (template->count == 1 && template->parts[0].lookup != NULL) {
		/* The messages put their own brackets around it. */
		buffer_clear(&text);
		buffer_append_text(&text, template->parts[0].lookup->text);
	}
	err = text.failed ? error_nomem(e->error)
			  : eval_date(e, value, text.data, condition->line, condition->column,
				    ret_date);
	buffer_finish(&text);
	return err;
}

static enum nc_err judge_dates(
	struct evaluation *e, const struct condition *condition, bool *ret_holds)
{
	struct date left, right;
	enum nc_err err = date_of(e, condition, &condition->left, &left);

	if (err != NC_OK)
		return err;
	if (condition->kind == OPERATOR_LAST_DAY) {
		*ret_holds = date_is_last_of_month(left);
		return NC_OK;
	}
	err = date_of(e, condition, &condition->right[0], &right);
	if (err != NC_OK)
		return err;
	*ret_holds = condition->kind == OPERATOR_BEFORE ? date_compare(left, right) < 0
							: date_compare(left, right) > 0;
	return NC_OK;
}

enum nc_err eval_condition(struct evaluation *e, const struct condition *condition, bool *ret_holds)
{
	bool holds = false;
	enum nc_err err = eval_work(e, 1, condition->line, condition->column);

	if (err != NC_OK)
		return err;
	switch (condition->kind) {
	case OPERATOR_TRUE:
		err = judge_true(e, condition, &holds);
		break;
	case OPERATOR_IS:
	case OPERATOR_ONE_OF:
	case OPERATOR_STARTS:
	case OPERATOR_ENDS:
		err = judge_texts(e, condition, &holds);
		break;
	case OPERATOR_IN:
		err = judge_in(e, condition, &condition->left, &condition->right[0], &holds);
		break;
	case OPERATOR_CONTAINS:
		err = judge_in(e, condition, &condition->right[0], &condition->left, &holds);
		break;
	case OPERATOR_SET:
		err = judge_set(e, condition, &holds);
		break;
	case OPERATOR_LAST_DAY:
	case OPERATOR_BEFORE:
	case OPERATOR_AFTER:
		err = judge_dates(e, condition, &holds);
		break;
	case OPERATOR_COUNT:
		break;
	}
	if (err == NC_OK)
		*ret_holds = holds != condition->negated;
	return err;
}
