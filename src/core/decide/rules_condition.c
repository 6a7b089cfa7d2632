/*
 * Conditions: `T is one of a, b`. The operator is the first of the words below that stands outside of
 * placeholders, the longest that fits there.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

const char *const operator_words[OPERATOR_COUNT] = {
	[OPERATOR_TRUE] = "",
	[OPERATOR_IS] = "is",
	[OPERATOR_ONE_OF] = "is one of",
	[OPERATOR_IN] = "is in",
	[OPERATOR_CONTAINS] = "contains",
	[OPERATOR_STARTS] = "starts with",
	[OPERATOR_ENDS] = "ends with",
	[OPERATOR_SET] = "is set",
	[OPERATOR_LAST_DAY] = "is the last day of the month",
	[OPERATOR_BEFORE] = "is before",
	[OPERATOR_AFTER] = "is after",
};

enum takes {
	TAKES_ONE,
	TAKES_LIST,
	TAKES_NOTHING, /* stands at the end */
};

/* The longer ones first. */
static const struct phrase {
	const char *words;
	enum operator_kind kind;
	bool negated;
	enum takes takes;
} phrases[] = {
	{ "is the last day of the month", OPERATOR_LAST_DAY, false, TAKES_NOTHING },
	{ "is not the last day of the month", OPERATOR_LAST_DAY, true, TAKES_NOTHING },
	{ "is not one of", OPERATOR_ONE_OF, true, TAKES_LIST },
	{ "is one of", OPERATOR_ONE_OF, false, TAKES_LIST },
	{ "is not in", OPERATOR_IN, true, TAKES_ONE },
	{ "is in", OPERATOR_IN, false, TAKES_ONE },
	{ "is set", OPERATOR_SET, false, TAKES_NOTHING },
	{ "is missing", OPERATOR_SET, true, TAKES_NOTHING },
	{ "is before", OPERATOR_BEFORE, false, TAKES_ONE },
	{ "is after", OPERATOR_AFTER, false, TAKES_ONE },
	{ "is not", OPERATOR_IS, true, TAKES_ONE },
	{ "is", OPERATOR_IS, false, TAKES_ONE },
	{ "contains", OPERATOR_CONTAINS, false, TAKES_ONE },
	{ "starts with", OPERATOR_STARTS, false, TAKES_ONE },
	{ "ends with", OPERATOR_ENDS, false, TAKES_ONE },
};

/* How much of `text` the words of the phrase take, with any blanks between them; 0: they are not there. */
static size_t phrase_length(const struct phrase *phrase, const char *text, size_t len)
{
	size_t at = 0, rest;

	for (const char *word = phrase->words; *word != '\0'; word++) {
		if (*word != ' ') {
			if (at >= len || text[at] != *word)
				return 0;
			at++;
			continue;
		}
		if (at >= len || !isspace((unsigned char)text[at]))
			return 0;
		while (at < len && isspace((unsigned char)text[at]))
			at++;
	}
	if (at < len && !isspace((unsigned char)text[at]))
		return 0;
	rest = len - at;
	(void)trim(text + at, &rest);
	return phrase->takes != TAKES_NOTHING || rest == 0 ? at : 0;
}

static const struct phrase *phrase_at(const char *text, size_t len, size_t *ret_len)
{
	for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
		*ret_len = phrase_length(&phrases[i], text, len);
		if (*ret_len > 0)
			return &phrases[i];
	}
	return NULL;
}

/* The length of a text in double quotes at the front, with both; what a placeholder holds does not end it. 0: there
 * is none. */
static size_t quoted_length(const char *text, size_t len)
{
	size_t at = 1;

	if (len < 2 || text[0] != '"')
		return 0;
	while (at < len && text[at] != '"') {
		size_t size = text[at] == '<' ? placeholder_length(text + at, len - at) : 1;

		at += size > 0 ? size : 1;
	}
	return at < len ? at + 1 : 0;
}

/* The first phrase, and where; NULL: there is none. */
static const struct phrase *find_phrase(
	const char *text, size_t len, size_t *ret_at, size_t *ret_len)
{
	size_t at = quoted_length(text, len);

	while (at < len) {
		size_t size = text[at] == '<' ? placeholder_length(text + at, len - at) : 1;
		const struct phrase *phrase = NULL;

		if (text[at] != '<' &&
			(at == 0 || isspace((unsigned char)text[at - 1]) || text[at - 1] == '>'))
			phrase = phrase_at(text + at, len - at, ret_len);
		if (phrase != NULL) {
			*ret_at = at;
			return phrase;
		}
		at += size > 0 ? size : 1;
	}
	return NULL;
}

/* Does `word` stand in it, followed by a placeholder? */
static bool has_joint(const char *text, size_t len, const char *word)
{
	size_t word_len = strlen(word);

	for (size_t at = 0; at < len;) {
		size_t size = text[at] == '<' ? placeholder_length(text + at, len - at) : 1;

		if (at > 0 && isspace((unsigned char)text[at - 1]) && len - at > word_len + 1 &&
			strncmp(text + at, word, word_len) == 0 &&
			isspace((unsigned char)text[at + word_len])) {
			const char *next = text + at + word_len;
			size_t rest = len - at - word_len;

			next = trim(next, &rest);
			if (rest > 0 &&
				(next[0] == '<' || (rest > 4 && strncmp(next, "not ", 4) == 0)))
				return true;
		}
		at += size > 0 ? size : 1;
	}
	return false;
}

static bool parse_operand(struct parse *p, const struct value *at, const char *text, size_t len,
	struct template *template)
{
	text = trim(text, &len);
	if (len == 0) {
		rules_error(p, at, "bad-syntax",
			"something is missing in the condition `%.80s`; two double quotes are the "
			"empty text",
			value_as_text(at, ""));
		return false;
	}
	/* Only around the whole of it; elsewhere they are part of the text. */
	if (quoted_length(text, len) == len) {
		text++;
		len -= 2;
	}
	return template_parse(p, at, text, len, template);
}

/* Where the item at `text` ends: at a comma that stands neither in a placeholder nor in the double quotes around
 * the whole of it. */
static size_t item_length(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len && isspace((unsigned char)text[at]))
		at++;
	if (quoted_length(text + at, len - at) > 0) {
		size_t behind = at + quoted_length(text + at, len - at);

		while (behind < len && isspace((unsigned char)text[behind]))
			behind++;
		if (behind == len || text[behind] == ',')
			return behind;
	}
	while (at < len && text[at] != ',') {
		size_t size = text[at] == '<' ? placeholder_length(text + at, len - at) : 1;

		at += size > 0 ? size : 1;
	}
	return at < len ? at : len;
}

static bool parse_right(struct parse *p, const struct value *at, const char *text, size_t len,
	bool list, struct condition *condition)
{
	bool more = true;

	while (more) {
		size_t item_len = list ? item_length(text, len) : len;
		struct template *right =
			grow(p, condition->right, condition->right_count, sizeof(*right));

		if (right == NULL)
			return false;
		condition->right = right;
		if (!parse_operand(p, at, text, item_len, &right[condition->right_count++]))
			return false;
		more = item_len < len;
		text += item_len + more;
		len -= item_len + more;
	}
	return true;
}

/* Take `not` away from the front, as often as it is there. */
static const char *take_not(const char *text, size_t *len, bool *negated)
{
	text = trim(text, len);
	while (*len > 3 && strncmp(text, "not", 3) == 0 && isspace((unsigned char)text[3])) {
		*negated = !*negated;
		*len -= 3;
		text = trim(text + 3, len);
	}
	return text;
}

static bool parse_phrase(struct parse *p, const struct value *at, const char *text, size_t len,
	struct condition *condition)
{
	size_t phrase_from = len, phrase_len = 0;
	const struct phrase *phrase = find_phrase(text, len, &phrase_from, &phrase_len);

	if (phrase == NULL) {
		if (len > 0 && text[0] == '<' && placeholder_length(text, len) == len)
			return template_parse(p, at, text, len, &condition->left);
		rules_error(p, at, "bad-syntax",
			"`%.80s` is no condition: it has none of the words `is`, `is not`, `is one "
			"of`, `is in`, `is set`, `is missing`, `contains`, `starts with` and so on, "
			"and is no bare <...>" CUT_BY_YAML,
			value_as_text(at, ""));
		return false;
	}
	condition->kind = phrase->kind;
	condition->negated = condition->negated != phrase->negated;
	if (!parse_operand(p, at, text, phrase_from, &condition->left))
		return false;
	text += phrase_from + phrase_len;
	len -= phrase_from + phrase_len;
	return phrase->takes == TAKES_NOTHING ||
	       parse_right(p, at, text, len, phrase->takes == TAKES_LIST, condition);
}

/* A date that is written out is looked at now, not on the day. */
static bool check_date(struct parse *p, const struct value *at, const struct condition *condition,
	const struct template *operand)
{
	const char *text = operand->count == 1 ? operand->parts[0].literal : NULL;
	struct error why = { 0 };

	if (text == NULL ||
		(condition->kind != OPERATOR_BEFORE && condition->kind != OPERATOR_AFTER) ||
		date_parse(text, &(struct date){ 0 }, &why) == NC_OK)
		return true;
	rules_error(
		p, at, "bad-date", "in the condition `%.80s`, %s", value_as_text(at, ""), why.text);
	return false;
}

bool condition_parse(struct parse *p, const struct value *at, struct condition *condition)
{
	const char *text = value_as_text(at, "");
	size_t len = strlen(text);
	bool has_lookup;

	condition->line = value_line(at);
	condition->column = value_column(at);
	if (!value_is(at, VALUE_TEXT)) {
		rules_error(p, at, "bad-syntax", "a condition is a text, not %s" CUT_BY_YAML,
			value_kind_words(value_kind(at)));
		return false;
	}
	if (has_joint(text, len, "and") || has_joint(text, len, "or")) {
		rules_error(p, at, "bad-syntax",
			"conditions are not joined by words: `when` takes a list of them, which must "
			"all hold; for one or the other, use `first of` or two rules");
		return false;
	}
	text = take_not(text, &len, &condition->negated);
	if (!parse_phrase(p, at, text, len, condition))
		return false;
	has_lookup = template_has_lookup(&condition->left);
	for (size_t i = 0; i < condition->right_count; i++) {
		has_lookup = has_lookup || template_has_lookup(&condition->right[i]);
		if (!check_date(p, at, condition, &condition->right[i]))
			return false;
	}
	if (!check_date(p, at, condition, &condition->left))
		return false;
	if (!has_lookup) {
		rules_error(p, at, "constant-condition",
			"the condition `%.80s` has no placeholder, and so is always the same" CUT_BY_YAML,
			value_as_text(at, ""));
		return false;
	}
	return true;
}
