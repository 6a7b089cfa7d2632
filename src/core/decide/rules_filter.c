/* What stands behind a `|`: read, printed, and done to a value. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

/* The words of each. Behind those of `takes`, something follows. */
static const struct {
	const char *words;
	bool takes_format;
} filters[FILTER_KIND_COUNT] = {
	[FILTER_MOVE] = { "plus", false },
	[FILTER_AS] = { "as", true },
	[FILTER_DATE_FROM] = { "date from", true },
	[FILTER_FIRST_OF_MONTH] = { "first of month", false },
	[FILTER_LAST_OF_MONTH] = { "last of month", false },
	[FILTER_LOWER] = { "lower", false },
	[FILTER_UPPER] = { "upper", false },
	[FILTER_FIRST] = { "first", false },
	[FILTER_LAST] = { "last", false },
	[FILTER_ONLY] = { "only", false },
	[FILTER_LATEST] = { "latest", false },
	[FILTER_EARLIEST] = { "earliest", false },
	[FILTER_NAME] = { "name", false },
	[FILTER_PARENT_NAME] = { "parent name", false },
};

/* --- reading --- */

/* What is left behind `word` and a blank; NULL: the text does not begin with them. */
static const char *behind(const char *text, size_t *len, const char *word)
{
	size_t word_len = strlen(word);

	if (*len <= word_len || strncmp(text, word, word_len) != 0 ||
		!isspace((unsigned char)text[word_len]))
		return NULL;
	*len -= word_len;
	return trim(text + word_len, len);
}

/* `3 days` */
static bool parse_days(const char *text, size_t len, int64_t *ret_days)
{
	int64_t days = 0;
	size_t at = 0;

	while (at < len && at < 7 && isdigit((unsigned char)text[at]))
		days = 10 * days + (text[at++] - '0');
	if (at == 0 || at == len || !isspace((unsigned char)text[at]))
		return false;
	while (at < len && isspace((unsigned char)text[at]))
		at++;
	if (!(len - at == 3 && strncmp(text + at, "day", 3) == 0) &&
		!(len - at == 4 && strncmp(text + at, "days", 4) == 0))
		return false;
	*ret_days = days;
	return true;
}

static bool parse_move(struct parse *p, const struct value *at, const char *text, size_t len,
	struct filter *filter)
{
	static const struct {
		const char *word;
		int sign;
	} moves[] = { { "plus", 1 }, { "minus", -1 }, { "+", 1 }, { "-", -1 } };
	size_t rest_len = len;
	const char *rest = NULL;
	size_t i = 0;

	while (i < ARRAY_LEN(moves) && rest == NULL) {
		rest_len = len;
		rest = behind(text, &rest_len, moves[i++].word);
	}
	if (rest == NULL || !parse_days(rest, rest_len, &filter->days)) {
		rules_error(p, at, "bad-syntax",
			"`%.*s` does not move a date: write a number of days, as in `plus 3 days`",
			shown_length(len), text);
		return false;
	}
	filter->days *= moves[i - 1].sign;
	filter->kind = FILTER_MOVE;
	return true;
}

static bool format_check(
	struct parse *p, const struct value *at, const char *format, bool for_reading)
{
	switch (format_judge(format, for_reading)) {
	case FORMAT_GOOD:
		return true;
	case FORMAT_NOTHING:
		rules_error(p, at, "unknown-format",
			"the format `%.60s` has no part of a date in it; there are YYYY, YY, MM, DD, "
			"MMM, MMMM and DDDD",
			format);
		return false;
	case FORMAT_LETTERS:
		rules_error(p, at, "unknown-format",
			"the format `%.60s` has letters that mean no part of a date; there are YYYY, "
			"YY, MM, DD, MMM, MMMM and DDDD",
			format);
		return false;
	case FORMAT_NO_DAY:
		rules_error(p, at, "unknown-format",
			"the format `%.60s` does not say which day: that takes a year with month and "
			"day, or with DDDD",
			format);
		return false;
	}
	return false;
}

static bool unknown_filter(struct parse *p, const struct value *at, const char *text, size_t len)
{
	const char *names[FILTER_KIND_COUNT + 1];
	char typed[64], near[120];

	for (int i = 0; i < FILTER_KIND_COUNT; i++)
		names[i] = filters[i].words;
	names[FILTER_KIND_COUNT] = "minus";
	(void)snprintf(typed, sizeof(typed), "%.*s", shown_length(len), text);
	rules_error(p, at, "unknown-filter", "there is no filter `%s`%s", typed,
		rules_suggest(typed, names, ARRAY_LEN(names), near));
	return false;
}

bool filter_parse(struct parse *p, const struct value *at, const char *text, size_t len,
	struct filter *filter)
{
	bool moves = len > 0 && (text[0] == '+' || text[0] == '-');

	for (size_t i = 0; i < 2 && !moves; i++) {
		const char *word = i == 0 ? "plus" : "minus";

		moves = len >= strlen(word) && strncmp(text, word, strlen(word)) == 0 &&
			(len == strlen(word) || isspace((unsigned char)text[strlen(word)]));
	}
	if (moves)
		return parse_move(p, at, text, len, filter);
	for (int i = 0; i < FILTER_KIND_COUNT; i++) {
		const char *words = filters[i].words;
		size_t rest_len = len;
		const char *rest;

		filter->kind = (enum filter_kind)i;
		if (!filters[i].takes_format) {
			if (len == strlen(words) && strncmp(text, words, len) == 0)
				return true;
			continue;
		}
		rest = behind(text, &rest_len, words);
		if (rest == NULL || rest_len == 0)
			continue;
		filter->format = keep_text(p, rest, rest_len);
		return filter->format != NULL &&
		       format_check(p, at, filter->format, i == FILTER_DATE_FROM);
	}
	return unknown_filter(p, at, text, len);
}

void filter_print(const struct filter *filter, struct buffer *out)
{
	if (filter->kind == FILTER_MOVE)
		buffer_printf(out, "%s %" PRId64 " days", filter->days < 0 ? "minus" : "plus",
			filter->days < 0 ? -filter->days : filter->days);
	else
		buffer_printf(out, "%s%s%s", filters[filter->kind].words,
			filter->format != NULL ? " " : "",
			filter->format != NULL ? filter->format : "");
}

/* --- on dates --- */

static enum nc_err to_date(struct evaluation *e, const struct lookup *lookup,
	const struct value *value, struct date *ret_date)
{
	return eval_date(e, value, lookup->text, lookup->line, lookup->column, ret_date);
}

static enum nc_err filter_date(struct evaluation *e, const struct lookup *lookup,
	const struct filter *filter, const struct value **value)
{
	struct buffer text;
	struct date date;
	struct value *made;
	enum nc_err err = to_date(e, lookup, *value, &date);

	if (err != NC_OK)
		return err;
	if (filter->kind == FILTER_AS) {
		buffer_init(&text);
		format_print(filter->format, date, &text);
		made = text.failed ? NULL : value_text(text.data);
		buffer_finish(&text);
		return eval_keep(e, made, value);
	}
	if (filter->kind == FILTER_MOVE && !date_add_days(date, filter->days, &date))
		return eval_fail(e, NC_ERR_INVALID, lookup->line, lookup->column,
			"<%.150s> leaves the years 1 to 9999", lookup->text);
	if (filter->kind == FILTER_FIRST_OF_MONTH)
		date.day = 1;
	if (filter->kind == FILTER_LAST_OF_MONTH)
		date.day = date_days_in_month(date.year, date.month);
	return eval_keep(e, value_date(date), value);
}

/* The text of a scalar that is not nothing, for filters that take a text. The caller finishes `text`. */
static enum nc_err to_text(struct evaluation *e, const struct lookup *lookup,
	const struct value *value, struct buffer *text)
{
	char words[100];

	if (value_is(value, VALUE_NULL) || print_plain(value, text) == NC_ERR_INVALID)
		return eval_fail(e, NC_ERR_INVALID, lookup->line, lookup->column,
			"<%.150s>: a filter takes a text, and this is %s", lookup->text,
			describe(value, words));
	return text->failed ? error_nomem(e->error) : NC_OK;
}

static enum nc_err filter_date_from(struct evaluation *e, const struct lookup *lookup,
	const struct filter *filter, const struct value **value)
{
	struct buffer text;
	struct date date;
	enum nc_err err;

	buffer_init(&text);
	err = to_text(e, lookup, *value, &text);
	if (err == NC_OK) {
		err = format_read(filter->format, text.data, &date);
		if (err == NC_ERR_SYNTAX)
			err = eval_fail(e, NC_ERR_INVALID, lookup->line, lookup->column,
				"<%.150s>: `%.60s` is not of the form %.60s", lookup->text,
				text.data, filter->format);
		else if (err != NC_OK)
			err = eval_fail(e, NC_ERR_INVALID, lookup->line, lookup->column,
				"<%.150s>: `%.60s` is an impossible date", lookup->text, text.data);
	}
	buffer_finish(&text);
	return err == NC_OK ? eval_keep(e, value_date(date), value) : err;
}

/* --- on texts --- */

static void change_case(struct buffer *text, bool upper)
{
	/* Letters A to Z: so it is the same on every host. */
	for (size_t i = 0; i < text->len; i++) {
		unsigned char byte = (unsigned char)text->data[i];

		if (byte < 0x80)
			text->data[i] = (char)(upper ? toupper(byte) : tolower(byte));
	}
}

/* The last part of a path, in place; slashes at its end do not count. false: there is none. */
static bool last_part(struct buffer *path)
{
	const char *slash;
	size_t keep;

	while (path->len > 0 && path->data[path->len - 1] == '/')
		path->data[--path->len] = '\0';
	slash = strrchr(path->data, '/');
	keep = slash != NULL ? (size_t)(slash - path->data) + 1 : 0;
	buffer_consume(path, keep);
	return path->len > 0;
}

static bool parent_part(struct buffer *path)
{
	const char *slash;

	while (path->len > 0 && path->data[path->len - 1] == '/')
		path->data[--path->len] = '\0';
	slash = strrchr(path->data, '/');
	if (slash == NULL)
		return false;
	path->len = (size_t)(slash - path->data);
	path->data[path->len] = '\0';
	return last_part(path);
}

static enum nc_err filter_text(struct evaluation *e, const struct lookup *lookup,
	const struct filter *filter, const struct value **value)
{
	struct buffer text;
	bool found = true;
	enum nc_err err;

	buffer_init(&text);
	err = to_text(e, lookup, *value, &text);
	if (err == NC_OK && text.len > 0) {
		if (filter->kind == FILTER_NAME)
			found = last_part(&text);
		else if (filter->kind == FILTER_PARENT_NAME)
			found = parent_part(&text);
		else
			change_case(&text, filter->kind == FILTER_UPPER);
	} else if (err == NC_OK) {
		found = filter->kind == FILTER_LOWER || filter->kind == FILTER_UPPER;
	}
	if (err == NC_OK && !found)
		err = eval_fail(e, NC_ERR_NOT_FOUND, lookup->line, lookup->column,
			"<%.150s> finds nothing: the path has no %s", lookup->text,
			filters[filter->kind].words);
	if (err == NC_OK)
		err = eval_keep(e, value_text(text.data), value);
	buffer_finish(&text);
	return err;
}

/* --- on collections --- */

static const struct value *element(const struct value *collection, size_t index)
{
	return value_is(collection, VALUE_MAP) ? value_map_key_at(collection, index)
					       : value_at(collection, index);
}

static enum nc_err filter_extreme_date(struct evaluation *e, const struct lookup *lookup,
	const struct filter *filter, const struct value **value)
{
	struct date best = { 0 }, date;
	enum nc_err err = NC_OK;

	for (size_t i = 0; err == NC_OK && i < value_count(*value); i++) {
		int order;

		err = eval_work(e, 1, lookup->line, lookup->column);
		if (err == NC_OK)
			err = to_date(e, lookup, element(*value, i), &date);
		if (err != NC_OK)
			break;
		order = i == 0 ? 0 : date_compare(date, best);
		if (i == 0 || (filter->kind == FILTER_LATEST ? order > 0 : order < 0))
			best = date;
	}
	return err == NC_OK ? eval_keep(e, value_date(best), value) : err;
}

static enum nc_err filter_collection(struct evaluation *e, const struct lookup *lookup,
	const struct filter *filter, const struct value **value)
{
	size_t count = value_count(*value);
	char words[100];

	if (!is_many(*value))
		return eval_fail(e, NC_ERR_INVALID, lookup->line, lookup->column,
			"<%.150s>: `%s` takes a list, a set or a mapping, and this is %s",
			lookup->text, filters[filter->kind].words, describe(*value, words));
	if (count == 0)
		return eval_fail(e, NC_ERR_NOT_FOUND, lookup->line, lookup->column,
			"<%.150s> finds nothing: %s without an element has no `%s`", lookup->text,
			value_kind_words(value_kind(*value)), filters[filter->kind].words);
	if (filter->kind == FILTER_LATEST || filter->kind == FILTER_EARLIEST)
		return filter_extreme_date(e, lookup, filter, value);
	if (filter->kind == FILTER_ONLY && count > 1)
		return eval_fail(e, NC_ERR_INVALID, lookup->line, lookup->column,
			"<%.150s>: there is not only one element but %zu", lookup->text, count);
	*value = element(*value, filter->kind == FILTER_LAST ? count - 1 : 0);
	return NC_OK;
}

enum nc_err eval_filter(struct evaluation *e, const struct lookup *lookup,
	const struct filter *filter, const struct value **value)
{
	switch (filter->kind) {
	case FILTER_MOVE:
	case FILTER_AS:
	case FILTER_FIRST_OF_MONTH:
	case FILTER_LAST_OF_MONTH:
		return filter_date(e, lookup, filter, value);
	case FILTER_DATE_FROM:
		return filter_date_from(e, lookup, filter, value);
	case FILTER_LOWER:
	case FILTER_UPPER:
	case FILTER_NAME:
	case FILTER_PARENT_NAME:
		return filter_text(e, lookup, filter, value);
	case FILTER_FIRST:
	case FILTER_LAST:
	case FILTER_ONLY:
	case FILTER_LATEST:
	case FILTER_EARLIEST:
		return filter_collection(e, lookup, filter, value);
	case FILTER_KIND_COUNT:
		break;
	}
	return NC_OK;
}
