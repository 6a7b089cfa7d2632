/* Patterns of message types: `success <run type>`, `success <cycle: 00 | 06>`. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

static bool is_one_word(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (isspace((unsigned char)text[i]))
			return false;
	return len > 0;
}

/* `this | that` */
static bool parse_choices(struct parse *p, const struct value *at, const char *text, size_t len,
	struct pattern_word *word)
{
	bool more = true;

	while (more) {
		const char *bar = memchr(text, '|', len);
		size_t part_len = bar != NULL ? (size_t)(bar - text) : len, trimmed = part_len;
		const char *part = trim(text, &trimmed);
		char **choices;

		if (!is_one_word(part, trimmed)) {
			rules_error(p, at, "bad-syntax",
				"the choice `%.*s` of <%.60s> is not one word, and so matches nothing",
				shown_length(trimmed), part, word->capture);
			return false;
		}
		choices = grow(p, word->choices, word->choices_count, sizeof(*choices));
		if (choices == NULL)
			return false;
		word->choices = choices;
		choices[word->choices_count] = keep_text(p, part, trimmed);
		if (choices[word->choices_count] == NULL)
			return false;
		word->choices_count++;
		more = bar != NULL;
		text += part_len + more;
		len -= part_len + more;
	}
	return true;
}

static bool parse_word(struct parse *p, const struct value *at, const char *text, size_t len,
	struct pattern_word *word)
{
	const char *name, *colon;
	size_t name_len;

	word->slot = NO_SLOT;
	if (memchr(text, '<', len) == NULL) {
		word->literal = keep_text(p, text, len);
		return word->literal != NULL;
	}
	if (text[0] != '<' || placeholder_length(text, len) != len) {
		rules_error(p, at, "bad-syntax",
			"`%.*s`: a captured word stands alone between blanks", shown_length(len),
			text);
		return false;
	}
	colon = memchr(text, ':', len);
	name_len = colon != NULL ? (size_t)(colon - text) - 1 : len - 2;
	name = trim(text + 1, &name_len);
	word->capture = keep_text(p, name, name_len);
	if (word->capture == NULL)
		return false;
	if (name_len == 0) {
		rules_error(p, at, "bad-syntax", "the captured word `%.*s` has no name",
			shown_length(len), text);
		return false;
	}
	return colon == NULL ||
	       parse_choices(p, at, colon + 1, (size_t)(text + len - 1 - colon - 1), word);
}

/* Of two words of the same name nobody could say which is meant. */
static bool check_captures(struct parse *p, const struct value *at, const struct pattern *pattern)
{
	for (size_t i = 0; i < pattern->count; i++) {
		const char *name = pattern->words[i].capture;

		for (size_t j = 0; name != NULL && j < i; j++) {
			if (pattern->words[j].capture == NULL ||
				strcmp(pattern->words[j].capture, name) != 0)
				continue;
			rules_error(p, at, "name-taken", "<%.60s> captures two words", name);
			return false;
		}
	}
	return true;
}

/* The length of the word at `text`; 0: a placeholder in it has no end. */
static size_t word_length(const char *text)
{
	size_t len = 0;

	while (text[len] != '\0' && !isspace((unsigned char)text[len])) {
		size_t size =
			text[len] == '<' ? placeholder_length(text + len, strlen(text + len)) : 1;

		if (size == 0)
			return 0;
		len += size;
	}
	return len;
}

bool pattern_parse(
	struct parse *p, const struct value *at, const char *text, struct pattern *pattern)
{
	while (true) {
		struct pattern_word *words;
		size_t len;

		while (isspace((unsigned char)*text))
			text++;
		if (*text == '\0')
			break;
		len = word_length(text);
		if (len == 0) {
			rules_error(p, at, "bad-syntax", "the captured word in `%.60s` has no end",
				text);
			return false;
		}
		words = grow(p, pattern->words, pattern->count, sizeof(*words));
		if (words == NULL)
			return false;
		pattern->words = words;
		if (!parse_word(p, at, text, len, &words[pattern->count++]))
			return false;
		text += len;
	}
	if (pattern->count == 0) {
		rules_error(p, at, "bad-syntax", "an empty pattern matches nothing");
		return false;
	}
	if (pattern->count > PATTERN_WORDS_MOST) {
		rules_error(p, at, "limit", "a pattern has %d words at most", PATTERN_WORDS_MOST);
		return false;
	}
	return check_captures(p, at, pattern);
}

static bool word_matches(const struct pattern_word *word, const char *text, size_t len)
{
	if (word->literal != NULL)
		return strlen(word->literal) == len && memcmp(word->literal, text, len) == 0;
	if (word->choices_count == 0)
		return true;
	for (size_t i = 0; i < word->choices_count; i++)
		if (strlen(word->choices[i]) == len && memcmp(word->choices[i], text, len) == 0)
			return true;
	return false;
}

bool pattern_matches(const struct pattern *pattern, const char *type)
{
	for (size_t i = 0; i < pattern->count; i++) {
		size_t len;

		type += strspn(type, " ");
		len = strcspn(type, " ");
		if (len == 0 || !word_matches(&pattern->words[i], type, len))
			return false;
		type += len;
	}
	return type[strspn(type, " ")] == '\0';
}

/* Read without a file: nobody hears of what is wrong with it. */
static enum nc_err parse_alone(const char *text, struct pattern *pattern, bool *ret_is_one)
{
	struct parse p = { .findings = NULL };
	struct value *at = value_null();
	bool is_one = at != NULL && pattern_parse(&p, at, text, pattern);
	enum nc_err err = at == NULL || p.nomem ? NC_ERR_NOMEM : NC_OK;

	value_destroy(at);
	if (err == NC_OK)
		*ret_is_one = is_one;
	return err;
}

enum nc_err rules_pattern_is_one(const char *pattern, bool *ret_is_one)
{
	struct pattern parsed = { 0 };
	enum nc_err err = parse_alone(pattern, &parsed, ret_is_one);

	pattern_finish(&parsed);
	return err;
}

enum nc_err rules_pattern_matches(const char *pattern, const char *type, bool *ret_matches)
{
	struct pattern parsed = { 0 };
	bool is_one = false;
	enum nc_err err = parse_alone(pattern, &parsed, &is_one);

	if (err == NC_OK)
		*ret_matches = is_one && pattern_matches(&parsed, type);
	pattern_finish(&parsed);
	return err;
}
