/* Texts with placeholders, command lines, patterns: from text to tree. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

enum {
	NESTED_MOST = 16,        /* look-ups in look-ups: each level takes a part of the stack */
	PATTERN_WORDS_MOST = 64, /* nobody has types of so many */
};

static enum template_result parse_nested(
	const char *text, size_t len, unsigned depth, struct template *template, char why[160]);

static enum template_result wrong(char why[160], const char *format, const char *text, size_t len)
{
	char part[64];

	(void)snprintf(part, sizeof(part), "%.*s", (int)(len < 60 ? len : 60), text);
	/* `format` is a constant with one %s. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(why, 160, format, part);
#pragma GCC diagnostic pop
	return TEMPLATE_WRONG;
}

bool is_builtin_name(const char *name)
{
	static const char *const names[] = { "payload", "config", "checklist", "launch", "today" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

size_t placeholder_length(const char *text, size_t len)
{
	size_t depth = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '<')
			depth++;
		else if (text[i] == '>' && --depth == 0)
			return i + 1;
	}
	return 0;
}

/* --- lookups --- */

static void lookup_destroy(struct lookup *lookup)
{
	if (lookup == NULL)
		return;
	for (size_t i = 0; i < lookup->path_count; i++)
		template_finish(&lookup->path[i]);
	free(lookup->path);
	free(lookup->name);
	free(lookup->text);
	free(lookup);
}

static const char *trim(const char *text, size_t *len)
{
	while (*len > 0 && isspace((unsigned char)text[0])) {
		text++;
		--*len;
	}
	while (*len > 0 && isspace((unsigned char)text[*len - 1]))
		--*len;
	return text;
}

/* Where does what comes behind the name and its path begin: filters, `+ 1 day`? Keys are taken as written,
 * so that what stands in brackets does not count. `len`: nowhere. */
static size_t operations_at(const char *text, size_t len)
{
	size_t depth = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '[')
			depth++;
		else if (text[i] == ']' && depth > 0)
			depth--;
		else if (depth == 0 &&
			 (text[i] == '|' || (i + 2 < len && text[i] == ' ' && text[i + 2] == ' ' &&
						    (text[i + 1] == '+' || text[i + 1] == '-'))))
			return i;
	}
	return len;
}

/* The `[key]` at text[0] == '[': its length with both brackets; 0: it does not end. */
static size_t key_length(const char *text, size_t len)
{
	size_t depth = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '[')
			depth++;
		else if (text[i] == ']' && --depth == 0)
			return i + 1;
	}
	return 0;
}

static enum template_result parse_path(
	const char *text, size_t len, unsigned depth, struct lookup *lookup, char why[160])
{
	const char *whole = text;
	size_t whole_len = len;

	while (len > 0) {
		size_t key_len = text[0] == '[' ? key_length(text, len) : 0;
		enum template_result result;
		struct template *path;

		if (key_len < 3)
			return wrong(why,
				"`%s` is no path: keys stand in brackets, as in "
				"<config[run][host]>",
				whole, whole_len);
		path = reallocarray(lookup->path, lookup->path_count + 1, sizeof(*path));
		if (path == NULL)
			return TEMPLATE_NOMEM;
		lookup->path = path;
		path[lookup->path_count] = (struct template){ 0 };
		result = parse_nested(
			text + 1, key_len - 2, depth + 1, &path[lookup->path_count++], why);
		if (result != TEMPLATE_OK)
			return result;
		text += key_len;
		len -= key_len;
	}
	return TEMPLATE_OK;
}

/* `text` is what stands between < and >. */
static enum template_result parse_lookup(
	const char *text, size_t len, unsigned depth, struct lookup **ret_lookup, char why[160])
{
	struct lookup *lookup;
	enum template_result result;
	const char *name = text, *path;
	size_t name_len, path_len;

	if (len == 0)
		return wrong(why, "an empty placeholder <>%s", "", 0);
	if (operations_at(text, len) < len)
		return TEMPLATE_NOT_YET;
	for (name_len = 0; name_len < len && text[name_len] != '['; name_len++)
		;
	lookup = calloc(1, sizeof(*lookup));
	if (lookup == NULL)
		return TEMPLATE_NOMEM;
	lookup->text = strndup(text, len);
	path_len = len - name_len;
	path = trim(text + name_len, &path_len);
	result = parse_path(path, path_len, depth, lookup, why);
	name = trim(name, &name_len);
	if (result == TEMPLATE_OK && name_len == 0)
		result = wrong(why, "`<%s>` has no name before its keys", text, len);
	lookup->name = strndup(name, name_len);
	if (result == TEMPLATE_OK && (lookup->name == NULL || lookup->text == NULL))
		result = TEMPLATE_NOMEM;
	if (result != TEMPLATE_OK) {
		lookup_destroy(lookup);
		return result;
	}
	*ret_lookup = lookup;
	return TEMPLATE_OK;
}

/* --- templates --- */

void template_finish(struct template *template)
{
	for (size_t i = 0; i < template->count; i++) {
		free(template->parts[i].literal);
		lookup_destroy(template->parts[i].lookup);
	}
	free(template->parts);
	*template = (struct template){ 0 };
}

static bool add_part(struct template *template, char *literal, struct lookup *lookup)
{
	struct template_part *parts =
		reallocarray(template->parts, template->count + 1, sizeof(*parts));

	if (parts == NULL || (literal == NULL && lookup == NULL)) {
		free(literal);
		lookup_destroy(lookup);
		if (parts != NULL)
			template->parts = parts;
		return false;
	}
	template->parts = parts;
	parts[template->count++] = (struct template_part){ literal, lookup };
	return true;
}

static enum template_result parse_nested(
	const char *text, size_t len, unsigned depth, struct template *template, char why[160])
{
	enum template_result result = TEMPLATE_OK;
	size_t at = 0;

	if (depth > NESTED_MOST)
		return wrong(why, "`%s` is nested too deeply", text, len);

	while (at < len && result == TEMPLATE_OK) {
		const char *open = memchr(text + at, '<', len - at);
		size_t literal_len = open != NULL ? (size_t)(open - text) - at : len - at;
		struct lookup *lookup = NULL;
		size_t size;

		if (literal_len > 0) {
			if (!add_part(template, strndup(text + at, literal_len), NULL))
				result = TEMPLATE_NOMEM;
			at += literal_len;
			continue;
		}
		size = placeholder_length(text + at, len - at);
		if (size == 0) {
			result = wrong(why, "the placeholder `%s` has no end", text + at, len - at);
			break;
		}
		result = parse_lookup(text + at + 1, size - 2, depth, &lookup, why);
		if (result == TEMPLATE_OK && !add_part(template, NULL, lookup))
			result = TEMPLATE_NOMEM;
		at += size;
	}
	if (result != TEMPLATE_OK)
		template_finish(template);
	return result;
}

enum template_result template_parse(
	const char *text, size_t len, struct template *template, char why[160])
{
	return parse_nested(text, len, 0, template, why);
}

bool template_each_lookup(
	const struct template *template, lookup_function *function, void *argument)
{
	for (size_t i = 0; i < template->count; i++) {
		const struct lookup *lookup = template->parts[i].lookup;

		if (lookup == NULL)
			continue;
		if (!function(argument, lookup))
			return false;
		for (size_t j = 0; j < lookup->path_count; j++)
			if (!template_each_lookup(&lookup->path[j], function, argument))
				return false;
	}
	return true;
}

/* --- command lines --- */

void command_finish(struct command *command)
{
	for (size_t i = 0; i < command->count; i++)
		template_finish(&command->words[i].template);
	free(command->words);
	command->words = NULL;
	command->count = 0;
}

static enum template_result add_word(
	struct command *command, const char *text, size_t len, unsigned optional, char why[160])
{
	struct command_word *words =
		reallocarray(command->words, command->count + 1, sizeof(*words));

	if (words == NULL)
		return TEMPLATE_NOMEM;
	command->words = words;
	words[command->count] = (struct command_word){ .optional = optional };
	return template_parse(text, len, &words[command->count++].template, why);
}

/* The length of the word at `text`; quotes are left to the caller. 0: a placeholder in it has no end. */
static size_t word_length(const char *text, bool in_optional)
{
	size_t len = 0;

	while (text[len] != '\0' && !isspace((unsigned char)text[len])) {
		if (text[len] == '<') {
			size_t size = placeholder_length(text + len, strlen(text + len));

			if (size == 0)
				return 0;
			len += size;
		} else if (in_optional && text[len] == ']') {
			return len;
		} else {
			len++;
		}
	}
	return len;
}

/* Does a word end before `text`? */
static bool is_word_end(const char *text, bool in_optional)
{
	return *text == '\0' || isspace((unsigned char)*text) || (in_optional && *text == ']');
}

/* `"two words"` at `*text`, which is moved behind it. */
static enum template_result parse_quoted(
	struct command *command, const char **text, unsigned optional, char why[160])
{
	const char *begin = *text + 1, *end = strchr(begin, '"');

	if (end == NULL)
		return wrong(
			why, "the double quote in `%s` has no end", begin - 1, strlen(begin - 1));
	if (!is_word_end(end + 1, optional != 0))
		return wrong(why, "a blank is missing after the double quotes in `%s`", begin - 1,
			strlen(begin - 1));
	*text = end + 1;
	return add_word(command, begin, (size_t)(end - begin), optional, why);
}

static enum template_result parse_word(
	struct command *command, const char **text, unsigned optional, char why[160])
{
	size_t len = word_length(*text, optional != 0);
	const char *begin = *text;

	if (len == 0)
		return wrong(why, "the placeholder in `%s` has no end", begin, strlen(begin));
	*text = begin + len;
	return add_word(command, begin, len, optional, why);
}

enum template_result command_parse(const char *text, struct command *command, char why[160])
{
	enum template_result result = TEMPLATE_OK;
	unsigned optional = 0, groups = 0;

	while (result == TEMPLATE_OK) {
		text += strspn(text, " \t\n");
		if (*text == '\0')
			break;
		if (*text == '[') {
			if (optional != 0)
				result = wrong(why, "optional words in optional words: `%s`", text,
					strlen(text));
			optional = ++groups;
			text++;
		} else if (*text == ']') {
			if (optional == 0)
				result = wrong(why, "`%s` ends optional words that did not begin",
					text, strlen(text));
			optional = 0;
			text++;
		} else if (*text == '"') {
			result = parse_quoted(command, &text, optional, why);
		} else {
			result = parse_word(command, &text, optional, why);
		}
	}
	if (result == TEMPLATE_OK && optional != 0)
		result = wrong(why, "the optional words [... have no end%s", "", 0);
	if (result == TEMPLATE_OK && (command->count == 0 || command->words[0].optional != 0))
		result = wrong(why, "a launch begins with the name of a worker%s", "", 0);
	if (result != TEMPLATE_OK)
		command_finish(command);
	return result;
}

/* --- patterns --- */

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
	pattern->words = NULL;
	pattern->count = 0;
}

/* `this | that` */
static enum template_result parse_choices(
	const char *text, size_t len, struct pattern_word *word, char why[160])
{
	bool more = true;

	while (more) {
		const char *bar = memchr(text, '|', len);
		size_t part_len = bar != NULL ? (size_t)(bar - text) : len, trimmed = part_len;
		const char *part = trim(text, &trimmed);
		char **choices;

		if (trimmed == 0 || memchr(part, ' ', trimmed) != NULL)
			return wrong(
				why, "`%s` is not one word, and so matches nothing", part, trimmed);
		choices = reallocarray(word->choices, word->choices_count + 1, sizeof(*choices));
		if (choices == NULL)
			return TEMPLATE_NOMEM;
		word->choices = choices;
		choices[word->choices_count] = strndup(part, trimmed);
		if (choices[word->choices_count] == NULL)
			return TEMPLATE_NOMEM;
		word->choices_count++;
		more = bar != NULL;
		part_len += more;
		text += part_len;
		len -= part_len;
	}
	return TEMPLATE_OK;
}

static enum template_result parse_pattern_word(
	const char *text, size_t len, struct pattern_word *word, char why[160])
{
	const char *name, *colon;
	size_t name_len;

	if (text[0] != '<') {
		if (memchr(text, '<', len) != NULL)
			return wrong(why, "`%s`: a captured word stands alone between blanks", text,
				len);
		word->literal = strndup(text, len);
		return word->literal != NULL ? TEMPLATE_OK : TEMPLATE_NOMEM;
	}
	if (placeholder_length(text, len) != len)
		return wrong(why, "`%s`: a captured word stands alone between blanks", text, len);
	colon = memchr(text, ':', len);
	name_len = colon != NULL ? (size_t)(colon - text) - 1 : len - 2;
	name = trim(text + 1, &name_len);
	if (name_len == 0)
		return wrong(why, "the captured word `%s` has no name", text, len);
	word->capture = strndup(name, name_len);
	if (word->capture == NULL)
		return TEMPLATE_NOMEM;
	if (is_builtin_name(word->capture))
		return wrong(why, "`%s` is a name of the language and cannot be captured", name,
			name_len);
	if (colon == NULL)
		return TEMPLATE_OK;
	return parse_choices(colon + 1, (size_t)(text + len - 1 - colon - 1), word, why);
}

/* Of two words of the same name nobody could say which is meant. */
static enum template_result check_captures(const struct pattern *pattern, char why[160])
{
	for (size_t i = 0; i < pattern->count; i++) {
		const char *name = pattern->words[i].capture;

		for (size_t j = 0; name != NULL && j < i; j++)
			if (pattern->words[j].capture != NULL &&
				strcmp(pattern->words[j].capture, name) == 0)
				return wrong(why, "<%s> captures two words", name, strlen(name));
	}
	return TEMPLATE_OK;
}

enum template_result pattern_parse(const char *text, struct pattern *pattern, char why[160])
{
	enum template_result result = TEMPLATE_OK;

	while (result == TEMPLATE_OK) {
		struct pattern_word *words;
		size_t len;

		text += strspn(text, " \t\n");
		if (*text == '\0')
			break;
		len = word_length(text, false);
		if (len == 0) {
			result = wrong(
				why, "the captured word in `%s` has no end", text, strlen(text));
			break;
		}
		words = reallocarray(pattern->words, pattern->count + 1, sizeof(*words));
		if (words == NULL) {
			result = TEMPLATE_NOMEM;
			break;
		}
		pattern->words = words;
		words[pattern->count] = (struct pattern_word){ 0 };
		result = parse_pattern_word(text, len, &words[pattern->count++], why);
		text += len;
	}
	if (result == TEMPLATE_OK && pattern->count == 0)
		result = wrong(why, "an empty pattern matches nothing%s", "", 0);
	if (result == TEMPLATE_OK && pattern->count > PATTERN_WORDS_MOST)
		result = wrong(why, "the pattern has too many words%s", "", 0);
	if (result == TEMPLATE_OK)
		result = check_captures(pattern, why);
	if (result != TEMPLATE_OK)
		pattern_finish(pattern);
	return result;
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

enum nc_err pattern_capture(const struct pattern *pattern, const char *type, struct value *captures)
{
	for (size_t i = 0; i < pattern->count; i++) {
		size_t len;

		type += strspn(type, " ");
		len = strcspn(type, " ");
		if (pattern->words[i].capture != NULL &&
			value_map_put(captures, pattern->words[i].capture,
				value_text_n(type, len)) != NC_OK)
			return NC_ERR_NOMEM;
		type += len;
	}
	return NC_OK;
}

bool pattern_matches(const struct pattern *pattern, const char *type)
{
	for (size_t i = 0; i < pattern->count; i++) {
		const struct pattern_word *word = &pattern->words[i];
		size_t len;

		type += strspn(type, " ");
		len = strcspn(type, " ");
		if (len == 0 || !word_matches(word, type, len))
			return false;
		type += len;
	}
	return type[strspn(type, " ")] == '\0';
}
