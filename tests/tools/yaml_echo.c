/*
 * For tests/system/yaml_against_pyyaml.py: reads YAML documents from standard input, each behind a line with
 * its length in bytes, and answers each with one line of JSON:
 *   {"read": KIND AND CONTENT, "block": "...", "flow": "..."}   or   {"error": "..."}
 * `read` is [kind, content]: ["int", "5"], ["list", [...]], ["map", [[key, value], ...]].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/json.h"
#include "core/data/yaml.h"

static struct value *tagged(const struct value *value);

static struct value *pair(struct value *first, struct value *second)
{
	struct value *list = value_list();

	if (value_list_append(list, first) != NC_OK || value_list_append(list, second) != NC_OK)
		abort();
	return list;
}

static struct value *tagged_many(const struct value *value)
{
	struct value *list = value_list();

	for (size_t i = 0; i < value_count(value); i++) {
		struct value *item = value_is(value, VALUE_MAP)
					     ? pair(tagged(value_map_key_at(value, i)),
						       tagged(value_map_value_at(value, i)))
					     : tagged(value_at(value, i));

		if (value_list_append(list, item) != NC_OK)
			abort();
	}
	return list;
}

static struct value *tagged(const struct value *value)
{
	static const char *const names[] = { "null", "bool", "int", "float", "text", "date", "time",
		"set", "list", "map" };
	struct value *kind = value_text(names[value_kind(value)]), *content;
	struct timestamp t;
	struct date date;
	char text[80];

	if (value_kind(value) >= VALUE_SET)
		return pair(kind, tagged_many(value));
	if (value_is(value, VALUE_BOOL))
		content = value_bool(value_as_bool(value, false));
	else if (value_is(value, VALUE_INT))
		content = value_text_printf("%lld", (long long)value_as_int(value, 0));
	else if (value_is(value, VALUE_FLOAT))
		content = value_text_printf("%.17g", value_as_float(value, 0));
	else if (value_is(value, VALUE_TEXT))
		content = value_text(value_as_text(value, ""));
	else if (value_as_date(value, &date))
		content = value_text(date_print(date, text));
	else if (value_as_timestamp(value, &t))
		content = value_text(timestamp_print(&t, text));
	else
		content = value_null();
	return pair(kind, content);
}

static void put_text(struct value *map, const char *key, const struct value *value, unsigned flags)
{
	struct buffer text;

	buffer_init(&text);
	yaml_write(value, flags, &text);
	if (text.failed || value_map_put(map, key, value_text(text.data)) != NC_OK)
		abort();
	buffer_finish(&text);
}

static void answer(const char *text, size_t len)
{
	struct value *reply = value_map(), *value = NULL;
	struct buffer line;
	struct error error;

	if (yaml_read(text, len, YAML_READ_MERGE_KEYS, &yaml_message_limits, &value, &error) ==
		NC_OK) {
		if (value_map_put(reply, "read", tagged(value)) != NC_OK)
			abort();
		put_text(reply, "block", value, 0);
		put_text(reply, "flow", value, YAML_WRITE_FLOW);
	} else if (value_map_put(reply, "error", value_text(error.text)) != NC_OK) {
		abort();
	}
	buffer_init(&line);
	json_write(reply, 0, &line);
	if (line.failed)
		abort();
	puts(line.data);
	buffer_finish(&line);
	value_destroy(value);
	value_destroy(reply);
}

int main(void)
{
	char *text = NULL;
	size_t len;

	while (scanf("%zu", &len) == 1 && getchar() == '\n') {
		text = realloc(text, len + 1);
		if (text == NULL || fread(text, 1, len, stdin) != len)
			return EXIT_FAILURE;
		answer(text, len);
	}
	free(text);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
