/* Texts with placeholders: from text to tree, and back. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/rules_internal.h"

const char *const base_names[BASE_COUNT] = {
	[BASE_PAYLOAD] = "payload",
	[BASE_CONFIG] = "config",
	[BASE_CHECKLIST] = "checklist",
	[BASE_LAUNCH] = "launch",
	[BASE_TODAY] = "today",
};

enum base base_find(const char *name)
{
	int base = 0;

	while (base < BASE_COUNT && strcmp(base_names[base], name) != 0)
		base++;
	return (enum base)base;
}

const char *trim(const char *text, size_t *len)
{
	while (*len > 0 && isspace((unsigned char)text[0])) {
		text++;
		--*len;
	}
	while (*len > 0 && isspace((unsigned char)text[*len - 1]))
		--*len;
	return text;
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

static bool parse_nested(struct parse *p, const struct value *at, const char *text, size_t len,
	unsigned depth, struct template *template);

/* --- look-ups --- */

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
			 (text[i] == '|' ||
				 (i > 0 && i + 1 < len && text[i - 1] == ' ' &&
					 text[i + 1] == ' ' && (text[i] == '+' || text[i] == '-'))))
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

static bool parse_path(struct parse *p, const struct value *at, const char *text, size_t len,
	unsigned depth, struct lookup *lookup)
{
	const char *whole = text;
	size_t whole_len = len;

	while (len > 0) {
		size_t key_len = text[0] == '[' ? key_length(text, len) : 0;
		struct template *path;

		if (key_len < 3) {
			rules_error(p, at, "bad-syntax",
				"`%.*s` is no path: keys stand in brackets, as in <config[run][host]>",
				shown_length(whole_len), whole);
			return false;
		}
		path = grow(p, lookup->path, lookup->path_count, sizeof(*path));
		if (path == NULL)
			return false;
		lookup->path = path;
		if (!parse_nested(
			    p, at, text + 1, key_len - 2, depth + 1, &path[lookup->path_count++]))
			return false;
		text += key_len;
		len -= key_len;
	}
	return true;
}

/* `+ 1 day | as YYYY | lower`: from the first `|`, `+` or `-` on. */
static bool parse_filters(struct parse *p, const struct value *at, const char *text, size_t len,
	struct lookup *lookup)
{
	bool more = len > 0;

	/* The bar in front of the first; `+ 1 day` has none. */
	if (more && text[0] == '|') {
		text++;
		len--;
	}
	while (more) {
		const char *bar = memchr(text, '|', len);
		size_t part_len = bar != NULL ? (size_t)(bar - text) : len, trimmed = part_len;
		const char *part = trim(text, &trimmed);
		struct filter *filters =
			grow(p, lookup->filters, lookup->filters_count, sizeof(*filters));

		if (filters == NULL)
			return false;
		lookup->filters = filters;
		if (trimmed == 0) {
			rules_error(p, at, "bad-syntax", "<%.150s>: nothing stands behind a `|`",
				lookup->text);
			return false;
		}
		if (!filter_parse(p, at, part, trimmed, &filters[lookup->filters_count++]))
			return false;
		more = bar != NULL;
		text += part_len + more;
		len -= part_len + more;
	}
	return true;
}

static bool find_name(struct parse *p, const struct value *at, struct lookup *lookup)
{
	const char *names[SLOTS_MOST + BASE_COUNT];
	size_t count = 0;
	char near[120];

	lookup->base = base_find(lookup->name);
	if (lookup->base != BASE_SLOT)
		return true;
	lookup->slot = scope_find(p, lookup->name);
	if (lookup->slot != NO_SLOT) {
		lookup->declaration = p->scope[lookup->slot].declaration;
		return true;
	}
	for (size_t i = 0; i < BASE_COUNT; i++)
		names[count++] = base_names[i];
	for (size_t i = 0; i < p->scope_count; i++)
		names[count++] = p->scope[i].name;
	rules_error(p, at, "unknown-name",
		"there is nothing called `%.60s` for the placeholder <%.150s>; there are payload, "
		"config, checklist, launch, today, the words that `on` captures and the names of "
		"`with` and `for each`%s",
		lookup->name, lookup->text, rules_suggest(lookup->name, names, count, near));
	return false;
}

/* `text` is what stands between < and >. The lookup is made before anything can be wrong with it. */
static bool parse_lookup(struct parse *p, const struct value *at, const char *text, size_t len,
	unsigned depth, struct lookup *lookup)
{
	size_t path_len = operations_at(text, len), name_len = 0, rest_len;
	const char *name, *path;

	lookup->text = keep_text(p, text, len);
	lookup->line = value_line(at);
	lookup->column = value_column(at);
	if (lookup->text == NULL)
		return false;
	while (name_len < path_len && text[name_len] != '[')
		name_len++;
	rest_len = path_len - name_len;
	path = trim(text + name_len, &rest_len);
	name = trim(text, &name_len);
	if (name_len == 0) {
		rules_error(p, at, "bad-syntax", "the placeholder <%.150s> names nothing",
			lookup->text);
		return false;
	}
	lookup->name = keep_text(p, name, name_len);
	return lookup->name != NULL && parse_path(p, at, path, rest_len, depth, lookup) &&
	       parse_filters(p, at, text + path_len, len - path_len, lookup) &&
	       find_name(p, at, lookup);
}

/* --- templates --- */

static bool parse_nested(struct parse *p, const struct value *at, const char *text, size_t len,
	unsigned depth, struct template *template)
{
	size_t from = 0;

	template->line = value_line(at);
	template->column = value_column(at);
	if (depth > NESTED_MOST) {
		rules_error(p, at, "limit", "look-ups stand in look-ups more than %d deep",
			NESTED_MOST);
		return false;
	}
	while (from < len) {
		const char *open = memchr(text + from, '<', len - from);
		size_t literal_len = open != NULL ? (size_t)(open - text) - from : len - from;
		struct template_part *parts =
			grow(p, template->parts, template->count, sizeof(*parts));
		size_t size;

		if (parts == NULL)
			return false;
		template->parts = parts;
		parts += template->count++;
		if (literal_len > 0) {
			parts->literal = keep_text(p, text + from, literal_len);
			if (parts->literal == NULL)
				return false;
			from += literal_len;
			continue;
		}
		size = placeholder_length(text + from, len - from);
		if (size == 0) {
			rules_error(p, at, "bad-syntax",
				"the placeholder `%.*s` has no end" CUT_BY_YAML,
				shown_length(len - from), text + from);
			return false;
		}
		parts->lookup = grow(p, NULL, 0, sizeof(*parts->lookup));
		if (parts->lookup == NULL ||
			!parse_lookup(p, at, text + from + 1, size - 2, depth, parts->lookup))
			return false;
		from += size;
	}
	return true;
}

bool template_parse(struct parse *p, const struct value *at, const char *text, size_t len,
	struct template *template)
{
	return parse_nested(p, at, text, len, 0, template);
}

bool template_parse_value(
	struct parse *p, const struct value *at, const char *what, struct template *template)
{
	const char *text = value_as_text(at, "");

	if (!value_is(at, VALUE_TEXT)) {
		rules_error(p, at, "bad-syntax", "%s is a text, not %s" CUT_BY_YAML, what,
			value_kind_words(value_kind(at)));
		return false;
	}
	return template_parse(p, at, text, strlen(text), template);
}

bool template_has_lookup(const struct template *template)
{
	for (size_t i = 0; i < template->count; i++)
		if (template->parts[i].lookup != NULL)
			return true;
	return false;
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

void template_print(const struct template *template, struct buffer *out)
{
	for (size_t i = 0; i < template->count; i++) {
		const struct lookup *lookup = template->parts[i].lookup;

		if (lookup == NULL) {
			buffer_append_text(out, template->parts[i].literal);
			continue;
		}
		buffer_printf(out, "<%s", lookup->name);
		for (size_t j = 0; j < lookup->path_count; j++) {
			buffer_append_char(out, '[');
			template_print(&lookup->path[j], out);
			buffer_append_char(out, ']');
		}
		for (size_t j = 0; j < lookup->filters_count; j++) {
			buffer_append_text(out, " | ");
			filter_print(&lookup->filters[j], out);
		}
		buffer_append_char(out, '>');
	}
}
