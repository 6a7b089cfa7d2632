/* Command lines: words at blanks that stand outside of placeholders and double quotes. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

struct reader {
	struct parse *p;
	const struct value *at;
	struct command *command;
	const char *text;  /* what is left */
	unsigned optional; /* the number of the optional words that are read, or 0 */
	unsigned groups;   /* so many there were */
};

static bool add_word(struct reader *r, const char *text, size_t len)
{
	struct command_word *words =
		grow(r->p, r->command->words, r->command->count, sizeof(*words));

	if (words == NULL)
		return false;
	r->command->words = words;
	words += r->command->count++;
	words->optional = r->optional;
	return template_parse(r->p, r->at, text, len, &words->template);
}

/* The length of the word at `text`. 0: a placeholder in it has no end. */
static size_t word_length(const char *text, bool in_optional)
{
	size_t len = 0;

	while (text[len] != '\0' && !isspace((unsigned char)text[len]) &&
		!(in_optional && text[len] == ']')) {
		size_t size =
			text[len] == '<' ? placeholder_length(text + len, strlen(text + len)) : 1;

		if (size == 0)
			return 0;
		len += size;
	}
	return len;
}

/* Does a word end before `text`? */
static bool is_word_end(const char *text, bool in_optional)
{
	return *text == '\0' || isspace((unsigned char)*text) || (in_optional && *text == ']');
}

/* `"two words"` */
static bool parse_quoted(struct reader *r)
{
	const char *begin = r->text + 1, *end = begin;

	while (*end != '\0' && *end != '"') {
		size_t size = *end == '<' ? placeholder_length(end, strlen(end)) : 1;

		end += size > 0 ? size : 1;
	}
	if (*end == '\0') {
		rules_error(r->p, r->at, "bad-syntax",
			"the double quote in `%.60s` has no end" CUT_BY_YAML, r->text);
		return false;
	}
	if (!is_word_end(end + 1, r->optional != 0)) {
		rules_error(r->p, r->at, "bad-syntax",
			"a blank is missing after the double quotes in `%.60s`", r->text);
		return false;
	}
	r->text = end + 1;
	return add_word(r, begin, (size_t)(end - begin));
}

static bool parse_word(struct reader *r)
{
	const char *begin = r->text;
	size_t len = word_length(begin, r->optional != 0);

	if (len == 0) {
		rules_error(r->p, r->at, "bad-syntax",
			"the placeholder in `%.60s` has no end" CUT_BY_YAML, begin);
		return false;
	}
	r->text += len;
	return add_word(r, begin, len);
}

static bool begin_optional(struct reader *r)
{
	if (r->optional != 0) {
		rules_error(r->p, r->at, "bad-syntax", "optional words in optional words: `%.60s`",
			r->text);
		return false;
	}
	r->optional = ++r->groups;
	r->text++;
	return true;
}

static bool end_optional(struct reader *r)
{
	if (r->optional == 0) {
		rules_error(r->p, r->at, "bad-syntax",
			"`%.60s` ends optional words that did not begin", r->text);
		return false;
	}
	r->optional = 0;
	r->text++;
	return true;
}

bool command_parse(struct parse *p, const struct value *at, struct command *command)
{
	struct reader r = { .p = p, .at = at, .command = command, .text = value_as_text(at, "") };
	bool well = true;

	command->line = value_line(at);
	command->column = value_column(at);
	while (well) {
		while (isspace((unsigned char)*r.text))
			r.text++;
		if (*r.text == '\0')
			break;
		if (*r.text == '[')
			well = begin_optional(&r);
		else if (*r.text == ']')
			well = end_optional(&r);
		else if (*r.text == '"')
			well = parse_quoted(&r);
		else
			well = parse_word(&r);
	}
	if (well && r.optional != 0) {
		rules_error(p, at, "bad-syntax", "the optional words in `%.60s` have no end",
			value_as_text(at, ""));
		return false;
	}
	if (well && (command->count == 0 || command->words[0].optional != 0)) {
		rules_error(p, at, "bad-syntax", "a launch begins with the name of a worker");
		return false;
	}
	return well;
}
