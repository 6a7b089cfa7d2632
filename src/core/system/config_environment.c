/*
 * `$(NOWCAST.ENV.X)`: the value of the environment variable X, wherever it stands in a text or key of the
 * file: that of the environment file, when it sets X, else that of this process. (The Python framework knows it in a few places only, and there swallows the letters that follow the
 * bracket; here they stay.)
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/yaml.h"
#include "core/system/config_internal.h"

static const char opening[] = "$(NOWCAST.ENV.";

struct expansion {
	struct reading *reading;
	size_t bytes; /* that variables have brought in: a bound, so that no file grows without end */
	bool nomem;
};

static bool has_variable(const struct value *value)
{
	const char *text = value_as_text(value, NULL);

	return text != NULL && strstr(text, opening) != NULL;
}

/* Append the value of the variable `name`; false after an error was reported. */
static bool append_variable(
	struct expansion *expansion, const struct value *at, const char *name, struct buffer *out)
{
	const struct environment_file *file = expansion->reading->environment;
	const char *content = file != NULL ? environment_file_get(file, name) : NULL;

	if (content == NULL)
		content = getenv(name);
	if (content == NULL) {
		config_error(expansion->reading, "unset-variable", at,
			"the environment variable %s is not set", name);
		return false;
	}
	if (!utf8_is_valid(content, strlen(content), NULL)) {
		config_error(expansion->reading, "bad-variable", at,
			"the environment variable %s is not valid UTF-8", name);
		return false;
	}
	if (expansion->bytes > yaml_file_limits.bytes)
		return false; /* as was said */
	expansion->bytes += strlen(content);
	if (expansion->bytes > yaml_file_limits.bytes) {
		config_error(expansion->reading, "limit", at,
			"with environment variables replaced, the file is larger than %zu bytes",
			yaml_file_limits.bytes);
		return false;
	}
	buffer_append_text(out, content);
	return true;
}

/* The text with all its variables replaced, as a new value; NULL: as it was (or out of memory). */
static struct value *expand_text(struct expansion *expansion, const struct value *value)
{
	const char *rest = value_as_text(value, "");
	struct value *expanded = NULL;
	struct buffer out;
	const char *found;
	bool well = true;

	buffer_init(&out);
	while ((found = strstr(rest, opening)) != NULL) {
		const char *name = found + strlen(opening), *end = name;
		char *copy;

		while (isalnum((unsigned char)*end) || *end == '_')
			end++;
		if (end == name || *end != ')') {
			config_warning(expansion->reading, "bad-variable", value,
				"`%s` begins the name of an environment variable, which is "
				"letters, digits and _ up to a `)`; it is left as it is",
				opening);
			buffer_append(&out, rest, (size_t)(name - rest));
			rest = name;
			continue;
		}
		buffer_append(&out, rest, (size_t)(found - rest));
		copy = strndup(name, (size_t)(end - name));
		if (copy == NULL)
			out.failed = true;
		else
			well = append_variable(expansion, value, copy, &out) && well;
		free(copy);
		rest = end + 1;
	}
	buffer_append_text(&out, rest);
	if (!out.failed && well) {
		expanded = value_text_n(out.data, out.len);
		if (expanded != NULL)
			(void)value_set_origin(expanded, value_line(value), value_column(value),
				value_is_quoted(value), NULL);
	}
	if (well && expanded == NULL)
		expansion->nomem = true;
	buffer_finish(&out);
	return expanded;
}

static struct value *expand(struct expansion *expansion, struct value *value);

/* Add to a list or set; takes `item` over. */
static void add_item(struct expansion *expansion, struct value *to, struct value *item)
{
	enum nc_err err =
		value_is(to, VALUE_SET) ? value_set_add(to, item) : value_list_append(to, item);

	if (err != NC_OK)
		expansion->nomem = true;
}

/* A new list or set when an item is to be replaced, else NULL. */
static struct value *expand_items(struct expansion *expansion, const struct value *items)
{
	struct value *changed = NULL;

	for (size_t i = 0; i < value_count(items); i++) {
		struct value *item = expand(expansion, value_at(items, i));

		if (item != NULL && changed == NULL) {
			changed = value_is(items, VALUE_SET) ? value_set() : value_list();
			if (changed == NULL) {
				value_destroy(item);
				expansion->nomem = true;
				return NULL;
			}
			(void)value_set_origin(
				changed, value_line(items), value_column(items), false, NULL);
			for (size_t before = 0; before < i; before++)
				add_item(expansion, changed, value_copy(value_at(items, before)));
		}
		if (changed != NULL)
			add_item(expansion, changed,
				item != NULL ? item : value_copy(value_at(items, i)));
	}
	return changed;
}

/* A new mapping with the variables in its keys replaced. */
static struct value *expand_keys(struct expansion *expansion, const struct value *map)
{
	struct value *changed = value_map();

	if (changed == NULL) {
		expansion->nomem = true;
		return NULL;
	}
	(void)value_set_origin(changed, value_line(map), value_column(map), false, NULL);
	for (size_t i = 0; i < value_count(map); i++) {
		const struct value *key = value_map_key_at(map, i);
		struct value *name = has_variable(key) ? expand_text(expansion, key) : NULL;

		if (name == NULL)
			name = value_copy(key);
		if (value_map_find(changed, name) != NULL)
			config_error(expansion->reading, "yaml-value", key,
				"with its environment variable replaced, this key is `%s`, which "
				"is here already",
				value_as_text(name, ""));
		if (value_map_put_key(changed, name, value_copy(value_map_value_at(map, i))) !=
			NC_OK)
			expansion->nomem = true;
	}
	return changed;
}

static struct value *expand_map(struct expansion *expansion, struct value *map)
{
	bool in_keys = false;

	for (size_t i = 0; i < value_count(map); i++) {
		const struct value *key = value_map_key_at(map, i);
		struct value *changed = expand(expansion, value_map_value_at(map, i));

		in_keys = in_keys || has_variable(key);
		if (changed != NULL && value_map_put_key(map, value_copy(key), changed) != NC_OK)
			expansion->nomem = true;
	}
	return in_keys ? expand_keys(expansion, map) : NULL;
}

/* What is to stand in the place of `value`, or NULL: nothing else. Mappings are changed in place. */
static struct value *expand(struct expansion *expansion, struct value *value)
{
	if (has_variable(value))
		return expand_text(expansion, value);
	if (value_is(value, VALUE_LIST) || value_is(value, VALUE_SET))
		return expand_items(expansion, value);
	if (value_is(value, VALUE_MAP))
		return expand_map(expansion, value);
	return NULL;
}

enum nc_err config_expand(struct reading *reading, struct value **tree)
{
	struct expansion expansion = { .reading = reading };
	struct value *changed = expand(&expansion, *tree);

	if (changed != NULL) {
		value_destroy(*tree);
		*tree = changed;
	}
	return expansion.nomem ? NC_ERR_NOMEM : NC_OK;
}
