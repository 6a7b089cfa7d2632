/* Words, patterns and conditions of the rules as texts, as far as the flow needs them. */
#include <ctype.h>
#include <string.h>

#include "core/decide/rules_flow_internal.h"

/* --- words --- */

bool span_is(struct span span, const char *text)
{
	return span.len == strlen(text) && memcmp(span.text, text, span.len) == 0;
}

bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && memcmp(a.text, b.text, a.len) == 0;
}

struct span span_trim(struct span span)
{
	while (span.len > 0 && isspace((unsigned char)span.text[0])) {
		span.text++;
		span.len--;
	}
	while (span.len > 0 && isspace((unsigned char)span.text[span.len - 1]))
		span.len--;
	return span;
}

bool span_next_word(struct span *rest, struct span *ret_word)
{
	struct span word = span_trim(*rest);
	size_t len = 0, depth = 0;

	if (word.len == 0)
		return false;
	while (len < word.len && (depth > 0 || !isspace((unsigned char)word.text[len]))) {
		if (word.text[len] == '<')
			depth++;
		else if (word.text[len] == '>' && depth > 0)
			depth--;
		len++;
	}
	*rest = (struct span){ word.text + len, word.len - len };
	*ret_word = (struct span){ word.text, len };
	return true;
}

/* --- patterns --- */

/* `<NAME>` or `<NAME: this | that>`: its name, and the choices (empty: none). */
static bool read_capture(struct span word, struct span *ret_name, struct span *ret_choices)
{
	const char *colon;

	if (word.len < 3 || word.text[0] != '<' || word.text[word.len - 1] != '>')
		return false;
	word = (struct span){ word.text + 1, word.len - 2 };
	colon = memchr(word.text, ':', word.len);
	*ret_choices = (struct span){ word.text + word.len, 0 };
	*ret_name = word;
	if (colon != NULL) {
		ret_name->len = (size_t)(colon - word.text);
		*ret_choices = (struct span){ colon + 1, word.len - ret_name->len - 1 };
	}
	*ret_name = span_trim(*ret_name);
	return true;
}

/* Is `word` one of the parts of `list` between `separator`s? */
static bool is_one_of(struct span word, struct span list, char separator)
{
	while (list.len > 0) {
		const char *end = memchr(list.text, separator, list.len);
		size_t len = end != NULL ? (size_t)(end - list.text) : list.len;

		if (span_equal(word, span_trim((struct span){ list.text, len })))
			return true;
		len += end != NULL;
		list = (struct span){ list.text + len, list.len - len };
	}
	return false;
}

bool flow_pattern_matches(
	const char *pattern, const char *type, const struct span *name, struct span *ret_captured)
{
	struct span patterns = { pattern, strlen(pattern) }, types = { type, strlen(type) };
	struct span found = { type, 0 }, want, word, own, choices;
	bool more;

	while (span_next_word(&patterns, &want)) {
		if (!span_next_word(&types, &word))
			return false;
		if (!read_capture(want, &own, &choices)) {
			if (!span_equal(want, word))
				return false;
			continue;
		}
		if (choices.len > 0 && !is_one_of(word, choices, '|'))
			return false;
		if (name != NULL && span_equal(own, *name))
			found = word;
	}
	more = span_next_word(&types, &word);
	if (!more && ret_captured != NULL)
		*ret_captured = found;
	return !more;
}

bool flow_pattern_captures(const char *pattern, struct span name)
{
	struct span rest = { pattern, strlen(pattern) }, word, own, choices;

	while (span_next_word(&rest, &word))
		if (read_capture(word, &own, &choices) && span_equal(own, name))
			return true;
	return false;
}

/* --- conditions --- */

/* The longer ones first: `is` begins most of the others. */
static const char *const operations[] = {
	"is not one of",
	"is one of",
	"is not",
	"is",
	"starts with",
	"ends with",
	"contains",
};

/* Of the words that may follow `is` (next_workers.yaml(5)), those that do not compare with a text; or that do, but
 * with more blanks between them than here. What is quoted is not unquoted here. */
static bool is_other_kind(struct span operand)
{
	static const char *const begins[] = { "in ", "not ", "one of ", "the last day of the month",
		"before ", "after ", "set", "missing" };

	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		size_t len = strlen(begins[i]);

		if (operand.len >= len && memcmp(operand.text, begins[i], len) == 0)
			return true;
	}
	return false;
}

bool flow_condition_read(const char *text, struct flow_condition *ret_condition)
{
	struct span rest = span_trim((struct span){ text, strlen(text) }), word, choices;
	struct flow_condition condition = { 0 };

	while (rest.len > 4 && memcmp(rest.text, "not ", 4) == 0) {
		condition.negated = !condition.negated;
		rest = span_trim((struct span){ rest.text + 4, rest.len - 4 });
	}
	if (!span_next_word(&rest, &word) || !read_capture(word, &condition.name, &choices) ||
		choices.len > 0)
		return false;
	rest = span_trim(rest);
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		size_t len = strlen(operations[i]);

		if (rest.len <= len || memcmp(rest.text, operations[i], len) != 0 ||
			rest.text[len] != ' ')
			continue;
		condition.operation = (struct span){ rest.text, len };
		condition.operand = span_trim((struct span){ rest.text + len, rest.len - len });
		if (memchr(condition.operand.text, '<', condition.operand.len) != NULL ||
			memchr(condition.operand.text, '"', condition.operand.len) != NULL ||
			is_other_kind(condition.operand))
			return false;
		*ret_condition = condition;
		return true;
	}
	return false;
}

bool flow_condition_holds(const struct flow_condition *condition, struct span value)
{
	struct span operation = condition->operation, operand = condition->operand;
	bool fits = value.len >= operand.len, holds;

	if (span_is(operation, "is"))
		holds = span_equal(value, operand);
	else if (span_is(operation, "is not"))
		holds = !span_equal(value, operand);
	else if (span_is(operation, "is one of"))
		holds = is_one_of(value, operand, ',');
	else if (span_is(operation, "is not one of"))
		holds = !is_one_of(value, operand, ',');
	else if (span_is(operation, "starts with"))
		holds = fits && memcmp(value.text, operand.text, operand.len) == 0;
	else if (span_is(operation, "ends with"))
		holds = fits && memcmp(value.text + value.len - operand.len, operand.text,
					operand.len) == 0;
	else
		holds = memmem(value.text, value.len, operand.text, operand.len) != NULL;
	return holds != condition->negated;
}

/* --- in few words --- */

static bool begins_with(const char *text, const char *begin)
{
	return strncmp(text, begin, strlen(begin)) == 0;
}

static bool is_among(const char *type, const char *const *types, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* Are all types of the worker that begin so, and there are several, among these? */
static bool has_all(const struct config_worker *worker, const char *begin, const char *const *types,
	size_t count)
{
	size_t found = 0;

	if (worker == NULL)
		return false;
	for (unsigned i = 0; i < worker->types_count; i++) {
		if (!begins_with(worker->types[i].name, begin))
			continue;
		if (!is_among(worker->types[i].name, types, count))
			return false;
		found++;
	}
	return found > 1;
}

/* How much of a type stands before its last word, the blank included. */
static size_t head_length(const char *type)
{
	const char *blank = strrchr(type, ' ');

	return blank != NULL ? (size_t)(blank - type) + 1 : 0;
}

static bool same_head(const char *a, const char *b)
{
	size_t len = head_length(a);

	return len > 0 && len == head_length(b) && strncmp(a, b, len) == 0;
}

void flow_types_print(const struct config_worker *worker, const char *const *types, size_t count,
	struct buffer *out)
{
	static const char *const kinds[] = { "success", "failure" };
	bool any[ARRAY_LEN(kinds)];
	const char *between = "";

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		any[k] = has_all(worker, kinds[k], types, count);
		if (any[k]) {
			buffer_printf(out, "%sany %s", between, kinds[k]);
			between = ", ";
		}
	}
	for (size_t i = 0, before = count; i < count; i++) {
		bool covered = false;

		for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
			covered = covered || (any[k] && begins_with(types[i], kinds[k]));
		if (covered)
			continue;
		buffer_printf(out, "%s%s", between,
			before < count && same_head(types[before], types[i])
				? types[i] + head_length(types[i])
				: types[i]);
		between = ", ";
		before = i;
	}
}

/* The last key of `<name[key][key] | filter>`, or the name: what stands between the brackets. */
static struct span last_key(struct span inside)
{
	struct span key = inside;
	size_t depth = 0, open = 0, at = 0;

	while (at < inside.len && (depth > 0 || inside.text[at] != '|')) {
		if (inside.text[at] == '[' && depth++ == 0) {
			open = at + 1;
			if (key.text == inside.text)
				key = (struct span){ inside.text, at };
		} else if (inside.text[at] == ']' && depth > 0 && --depth == 0) {
			key = (struct span){ inside.text + open, at - open };
		}
		at++;
	}
	if (key.text == inside.text && key.len > at)
		key.len = at;
	return span_trim(key);
}

void flow_short_print(const char *text, struct buffer *out)
{
	while (*text != '\0') {
		size_t plain = strcspn(text, "<"), len = plain, depth = 0;
		struct span key;

		buffer_append(out, text, plain);
		if (text[plain] == '\0')
			return;
		do {
			depth += text[len] == '<';
			depth -= text[len] == '>';
			len++;
		} while (text[len] != '\0' && depth > 0);
		key = (struct span){ text + plain + 1, len - plain - (depth == 0 ? 2 : 1) };
		key = last_key(key);
		/* A key that is a placeholder itself: <payload[<host>]>. */
		if (key.len > 2 && key.text[0] == '<' && key.text[key.len - 1] == '>')
			key = last_key((struct span){ key.text + 1, key.len - 2 });
		buffer_append(out, key.text, key.len);
		text += len;
	}
}
