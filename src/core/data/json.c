#include "core/data/json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* --- reading --- */

struct reading {
	const struct yaml_limits *limits;
	size_t nodes;
	struct error *error;
};

static struct value *from_json(struct reading *r, json_t *json, unsigned depth);

static struct value *list_from_json(struct reading *r, json_t *json, unsigned depth)
{
	struct value *list = value_list();
	json_t *item;
	size_t i;

	json_array_foreach(json, i, item)
	{
		if (list == NULL ||
			value_list_append(list, from_json(r, item, depth + 1)) != NC_OK) {
			value_destroy(list);
			return NULL;
		}
	}
	return list;
}

static struct value *map_from_json(struct reading *r, json_t *json, unsigned depth)
{
	struct value *map = value_map();
	const char *key;
	json_t *item;

	json_object_foreach(json, key, item)
	{
		if (map == NULL ||
			value_map_put(map, key, from_json(r, item, depth + 1)) != NC_OK) {
			value_destroy(map);
			return NULL;
		}
	}
	return map;
}

/* NULL: over a limit (r->error says so) or out of memory. */
static struct value *from_json(struct reading *r, json_t *json, unsigned depth)
{
	if (depth > r->limits->depth) {
		(void)error_set(
			r->error, NC_ERR_LIMIT, "nested deeper than %u levels", r->limits->depth);
		return NULL;
	}
	if (++r->nodes > r->limits->nodes) {
		(void)error_set(r->error, NC_ERR_LIMIT, "more than %zu values", r->limits->nodes);
		return NULL;
	}
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		return map_from_json(r, json, depth);
	case JSON_ARRAY:
		return list_from_json(r, json, depth);
	case JSON_STRING:
		return value_text(json_string_value(json));
	case JSON_INTEGER:
		return value_int(json_integer_value(json));
	case JSON_REAL:
		return value_float(json_real_value(json));
	case JSON_TRUE:
	case JSON_FALSE:
		return value_bool(json_is_true(json));
	case JSON_NULL:
	default:
		return value_null();
	}
}

/* The library takes a lack of memory for bad text, or loses a character of a text: so its allocations are watched. */
static _Thread_local bool memory_was_lacking;

static void *watched_malloc(size_t size)
{
	void *memory = malloc(size);

	memory_was_lacking = memory_was_lacking || memory == NULL;
	return memory;
}

enum nc_err json_read(const char *text, size_t len, const struct yaml_limits *limits,
	struct value **ret_value, struct error *error)
{
	struct error why = { .code = NC_ERR_NOMEM, .text = "out of memory" };
	struct reading r = { .limits = limits, .error = &why };
	json_error_t problem;
	struct value *value;
	json_t *json;

	if (len > limits->bytes)
		return error_set(error, NC_ERR_LIMIT, "%zu bytes are more than the limit of %zu",
			len, limits->bytes);
	json_set_alloc_funcs(watched_malloc, free);
	memory_was_lacking = false;
	json = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &problem);
	if (memory_was_lacking) {
		json_decref(json);
		return error_nomem(error);
	}
	if (json == NULL)
		return error_at(error, NC_ERR_SYNTAX, (unsigned)problem.line,
			(unsigned)(problem.column > 0 ? problem.column : 1), "this is not JSON: %s",
			problem.text);
	value = from_json(&r, json, 1);
	json_decref(json);
	if (value == NULL) {
		if (error != NULL)
			*error = why;
		return why.code;
	}
	*ret_value = value;
	return NC_OK;
}

/* --- writing --- */

static json_t *to_json(const struct value *value);

static json_t *map_to_json(const struct value *map)
{
	json_t *json = json_object();
	struct buffer key;

	buffer_init(&key);
	for (size_t i = 0; json != NULL && i < value_count(map); i++) {
		buffer_clear(&key);
		if (value_print_scalar(value_map_key_at(map, i), &key) != NC_OK ||
			json_object_set_new(json, key.data, to_json(value_map_value_at(map, i))) <
				0) {
			json_decref(json);
			json = NULL;
		}
	}
	buffer_finish(&key);
	return json;
}

static json_t *list_to_json(const struct value *list)
{
	json_t *json = json_array();

	for (size_t i = 0; json != NULL && i < value_count(list); i++) {
		if (json_array_append_new(json, to_json(value_at(list, i))) < 0) {
			json_decref(json);
			json = NULL;
		}
	}
	return json;
}

static json_t *text_to_json(const struct value *value)
{
	struct buffer text;
	json_t *json = NULL;

	buffer_init(&text);
	if (value_print_scalar(value, &text) == NC_OK)
		json = json_stringn(text.data, text.len);
	buffer_finish(&text);
	return json;
}

/* NULL: out of memory (or a text that is not UTF-8, which no reader lets in). */
static json_t *to_json(const struct value *value)
{
	json_t *json = NULL;

	switch (value_kind(value)) {
	case VALUE_NULL:
	case VALUE_KIND_COUNT:
		return json_null();
	case VALUE_BOOL:
		return json_boolean(value_as_bool(value, false));
	case VALUE_INT:
		return json_integer(value_as_int(value, 0));
	case VALUE_FLOAT:
		json = json_real(value_as_float(value, 0));
		return json != NULL ? json : json_null(); /* infinities, not a number */
	case VALUE_TEXT:
	case VALUE_DATE:
	case VALUE_TIMESTAMP:
		return text_to_json(value);
	case VALUE_SET:
	case VALUE_LIST:
		return list_to_json(value);
	case VALUE_MAP:
		return map_to_json(value);
	}
	return json;
}

static int take_bytes(const char *bytes, size_t size, void *argument)
{
	struct buffer *out = argument;

	buffer_append(out, bytes, size);
	return out->failed ? -1 : 0;
}

void json_write(const struct value *value, unsigned flags, struct buffer *out)
{
	json_t *json = to_json(value);

	if (json == NULL ||
		json_dump_callback(json, take_bytes, out,
			JSON_ENCODE_ANY | ((flags & JSON_WRITE_INDENT) ? JSON_INDENT(2) : 0)) < 0)
		out->failed = true;
	json_decref(json);
}
