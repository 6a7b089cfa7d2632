/*
 * The composer: libyaml's events to a tree, with limits. Aliases are resolved by copying what they stand
 * for, counted against the limit of nodes before it is copied, so that an alias bomb ends at once. Depth
 * is limited, so recursion is.
 */
#include <string.h>
#include <stdlib.h>
#include <yaml.h>

#include "core/data/yaml.h"
#include "core/data/yaml_internal.h"

const struct yaml_limits yaml_message_limits = { 1 << 20, 32, 20000 };
const struct yaml_limits yaml_file_limits = { 16 << 20, 64, 1000000 };

struct anchor {
	struct value *value; /* a copy of ours; NULL while what it names is being read */
	size_t nodes;
	unsigned height;
};

struct reader {
	yaml_parser_t parser;
	unsigned flags;
	const struct yaml_limits *limits;
	size_t nodes;
	struct anchor *anchors;
	size_t anchors_count, anchors_capacity;
	struct value
		*anchor_names; /* mapping: name to number in `anchors`; NULL while there is none */
	struct error *error;
};

/* What was read, and its size, for aliases. */
struct node {
	struct value *value;
	size_t nodes;
	unsigned height;
	bool is_merge_key;
};

static unsigned line_of(const yaml_event_t *event)
{
	return (unsigned)event->start_mark.line + 1;
}

static unsigned column_of(const yaml_event_t *event)
{
	return (unsigned)event->start_mark.column + 1;
}

static enum nc_err parser_failed(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;

	if (p->error == YAML_MEMORY_ERROR)
		return error_nomem(r->error);
	return error_at(r->error, NC_ERR_SYNTAX, (unsigned)p->problem_mark.line + 1,
		(unsigned)p->problem_mark.column + 1, "this is not YAML: %s%s%s",
		p->problem != NULL ? p->problem : "unknown problem", p->context != NULL ? " " : "",
		p->context != NULL ? p->context : "");
}

static enum nc_err next_event(struct reader *r, yaml_event_t *event)
{
	return yaml_parser_parse(&r->parser, event) ? NC_OK : parser_failed(r);
}

static enum nc_err count_nodes(struct reader *r, size_t nodes, const yaml_event_t *event)
{
	if (nodes > r->limits->nodes - r->nodes)
		return error_at(r->error, NC_ERR_LIMIT, line_of(event), column_of(event),
			"more than %zu values (aliases count as what they stand for)",
			r->limits->nodes);
	r->nodes += nodes;
	return NC_OK;
}

static enum nc_err check_depth(struct reader *r, unsigned depth, const yaml_event_t *event)
{
	if (depth > r->limits->depth)
		return error_at(r->error, NC_ERR_LIMIT, line_of(event), column_of(event),
			"nested deeper than %u levels", r->limits->depth);
	return NC_OK;
}

/* --- tags --- */

enum {
	KIND_REFUSED = -1,
	KIND_IMPLICIT = -2
};

/* The kind that a tag asks for. */
static int kind_of_tag(const char *tag)
{
	static const struct {
		const char *tag;
		enum value_kind kind;
	} known[] = {
		{ "tag:yaml.org,2002:null", VALUE_NULL },
		{ "tag:yaml.org,2002:bool", VALUE_BOOL },
		{ "tag:yaml.org,2002:int", VALUE_INT },
		{ "tag:yaml.org,2002:float", VALUE_FLOAT },
		{ "tag:yaml.org,2002:str", VALUE_TEXT },
		{ "tag:yaml.org,2002:timestamp", VALUE_TIMESTAMP },
		{ "tag:yaml.org,2002:seq", VALUE_LIST },
		{ "tag:yaml.org,2002:map", VALUE_MAP },
		{ "tag:yaml.org,2002:set", VALUE_SET },
	};

	if (tag == NULL || strcmp(tag, "!") == 0)
		return KIND_IMPLICIT;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(tag, known[i].tag) == 0)
			return (int)known[i].kind;
	return KIND_REFUSED;
}

static enum nc_err refuse_tag(struct reader *r, const yaml_event_t *event, const char *tag)
{
	return error_at(r->error, NC_ERR_SYNTAX, line_of(event), column_of(event),
		"the tag %.80s cannot be used here", tag);
}

/* --- anchors --- */

static struct anchor *find_anchor(struct reader *r, const char *name)
{
	int64_t number = value_as_int(value_map_get(r->anchor_names, name), -1);

	return number >= 0 ? &r->anchors[number] : NULL;
}

/* *ret_index: where anchor_finish() puts the value; an anchor may be named again, the last one counts. */
static enum nc_err anchor_begin(struct reader *r, const yaml_char_t *name, size_t *ret_index)
{
	struct anchor *anchors;

	if (r->anchors_count == r->anchors_capacity) {
		size_t capacity = r->anchors_capacity > 0 ? 2 * r->anchors_capacity : 8;

		anchors = reallocarray(r->anchors, capacity, sizeof(*anchors));
		if (anchors == NULL)
			return error_nomem(r->error);
		r->anchors = anchors;
		r->anchors_capacity = capacity;
	}
	if (r->anchor_names == NULL)
		r->anchor_names = value_map();
	if (value_map_put(r->anchor_names, (const char *)name,
		    value_int((int64_t)r->anchors_count)) != NC_OK)
		return error_nomem(r->error);
	r->anchors[r->anchors_count] = (struct anchor){ 0 };
	*ret_index = r->anchors_count++;
	return NC_OK;
}

static enum nc_err anchor_finish(struct reader *r, size_t index, const struct node *node)
{
	struct anchor *anchor = &r->anchors[index];

	anchor->value = value_copy(node->value);
	anchor->nodes = node->nodes;
	anchor->height = node->height;
	return anchor->value != NULL ? NC_OK : error_nomem(r->error);
}

static enum nc_err read_alias(
	struct reader *r, const yaml_event_t *event, unsigned depth, struct node *node)
{
	const char *name = (const char *)event->data.alias.anchor;
	const struct anchor *anchor = find_anchor(r, name);
	enum nc_err err;

	if (anchor == NULL)
		return error_at(r->error, NC_ERR_SYNTAX, line_of(event), column_of(event),
			"there is no anchor &%.60s before this alias", name);
	if (anchor->value == NULL)
		return error_at(r->error, NC_ERR_SYNTAX, line_of(event), column_of(event),
			"the alias *%.60s stands inside what it names", name);
	err = count_nodes(r, anchor->nodes, event);
	if (err == NC_OK)
		err = check_depth(r, depth + anchor->height - 1, event);
	if (err != NC_OK)
		return err;
	node->value = value_copy(anchor->value);
	node->nodes = anchor->nodes;
	node->height = anchor->height;
	return node->value != NULL ? NC_OK : error_nomem(r->error);
}

/* --- nodes --- */

static enum nc_err read_node(
	struct reader *r, const yaml_event_t *event, unsigned depth, struct node *node);

/* Read one event and the node that it begins. *ret_end: it was `end_type` instead. */
static enum nc_err read_next(struct reader *r, unsigned depth, yaml_event_type_t end_type,
	struct node *node, bool *ret_end)
{
	yaml_event_t event;
	enum nc_err err = next_event(r, &event);

	if (err != NC_OK)
		return err;
	*ret_end = event.type == end_type;
	if (!*ret_end)
		err = read_node(r, &event, depth, node);
	yaml_event_delete(&event);
	return err;
}

static void add_size(struct node *node, const struct node *child)
{
	node->nodes += child->nodes;
	if (child->height + 1 > node->height)
		node->height = child->height + 1;
}

static enum nc_err read_scalar(struct reader *r, const yaml_event_t *event, struct node *node)
{
	const char *text = (const char *)event->data.scalar.value;
	const char *tag = (const char *)event->data.scalar.tag;
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	int kind = kind_of_tag(tag);
	struct error why;
	enum nc_err err;

	if (kind == KIND_REFUSED)
		return refuse_tag(r, event, tag);
	if (strlen(text) != event->data.scalar.length)
		return error_at(r->error, NC_ERR_SYNTAX, line_of(event), column_of(event),
			"a NUL character cannot be part of a text");
	if (r->flags & YAML_READ_ALL_TEXT)
		kind = VALUE_TEXT;
	else if (kind == KIND_IMPLICIT)
		/* `! '12'` is an integer too, for PyYAML. */
		kind = plain || tag != NULL ? (int)yaml_resolve_plain(text) : (int)VALUE_TEXT;
	node->is_merge_key =
		plain && tag == NULL && !(r->flags & YAML_READ_ALL_TEXT) && yaml_is_merge_key(text);
	err = yaml_construct((enum value_kind)kind, text, &node->value, &why);
	if (err == NC_ERR_NOMEM)
		return error_nomem(r->error);
	if (err != NC_OK)
		return error_at(r->error, err, line_of(event), column_of(event), "%s", why.text);
	if (value_set_origin(node->value, line_of(event), column_of(event), !plain, text) != NC_OK)
		return error_nomem(r->error);
	return NC_OK;
}

static enum nc_err read_list(
	struct reader *r, const yaml_event_t *event, unsigned depth, struct node *node)
{
	const char *tag = (const char *)event->data.sequence_start.tag;
	int kind = kind_of_tag(tag);

	if (kind != KIND_IMPLICIT && kind != VALUE_LIST)
		return refuse_tag(r, event, tag);
	node->value = value_list();
	if (node->value == NULL)
		return error_nomem(r->error);
	(void)value_set_origin(node->value, line_of(event), column_of(event), false, NULL);
	for (;;) {
		struct node item = { 0 };
		bool end;
		enum nc_err err = read_next(r, depth + 1, YAML_SEQUENCE_END_EVENT, &item, &end);

		if (err != NC_OK || end) {
			value_destroy(item.value);
			return err;
		}
		add_size(node, &item);
		if (value_list_append(node->value, item.value) != NC_OK)
			return error_nomem(r->error);
	}
}

static enum nc_err refuse_merge(
	struct reader *r, const struct value *value, const struct value *key)
{
	return error_at(r->error, NC_ERR_SYNTAX, value_line(key), value_column(key),
		"the merge key << takes a mapping or a list of mappings, not %s",
		value_kind_words(value_kind(value)));
}

/*
 * Add what `<<: value` brings to *merged, as PyYAML does: of two merge keys the later one wins, of a list
 * the earlier mapping, so it is walked from its end.
 */
static enum nc_err merge_value(
	struct reader *r, struct value **merged, const struct value *value, const struct value *key)
{
	bool is_list = value_is(value, VALUE_LIST);

	if (!is_list && !value_is(value, VALUE_MAP))
		return refuse_merge(r, value, key);
	if (*merged == NULL)
		*merged = value_map();
	if (!is_list)
		return value_map_merge(*merged, value) == NC_OK ? NC_OK : error_nomem(r->error);
	for (size_t i = value_count(value); i > 0; i--) {
		const struct value *item = value_at(value, i - 1);

		if (!value_is(item, VALUE_MAP))
			return refuse_merge(r, item, key);
		if (value_map_merge(*merged, item) != NC_OK)
			return error_nomem(r->error);
	}
	return NC_OK;
}

/* Add one entry to the mapping or set; takes both values over. */
static enum nc_err add_entry(struct reader *r, struct value *map, struct node *key,
	struct node *value, struct value **merged)
{
	const struct value *before = value_map_find(map, key->value);
	enum nc_err err;

	if (key->is_merge_key) {
		if (r->flags & YAML_READ_MERGE_KEYS)
			err = merge_value(r, merged, value->value, key->value);
		else
			err = error_at(r->error, NC_ERR_SYNTAX, value_line(key->value),
				value_column(key->value), "the merge key << cannot be used here");
		goto finish;
	}
	if (value_kind(key->value) >= VALUE_SET) {
		err = error_at(r->error, NC_ERR_SYNTAX, value_line(key->value),
			value_column(key->value), "%s cannot be a key",
			value_kind_words(value_kind(key->value)));
		goto finish;
	}
	if (before != NULL) {
		struct buffer written;

		buffer_init(&written);
		(void)value_print_scalar(key->value, &written);
		err = error_at(r->error, NC_ERR_INVALID, value_line(key->value),
			value_column(key->value),
			"the key `%.100s` is here for the second time; the first one has its value "
			"on line %u",
			written.data, value_line(before));
		buffer_finish(&written);
		goto finish;
	}
	err = value_map_put_key(map, key->value, value->value);
	*key = *value = (struct node){ 0 };
	return err == NC_OK ? NC_OK : error_nomem(r->error);
finish:
	value_destroy(key->value);
	value_destroy(value->value);
	return err;
}

static enum nc_err read_entries(
	struct reader *r, unsigned depth, struct node *node, struct value **merged)
{
	for (;;) {
		struct node key = { 0 }, value = { 0 };
		bool end;
		enum nc_err err = read_next(r, depth + 1, YAML_MAPPING_END_EVENT, &key, &end);

		if (err == NC_OK && !end)
			err = read_next(r, depth + 1, YAML_NO_EVENT, &value, &end);
		else if (err == NC_OK)
			return NC_OK;
		if (err != NC_OK) {
			value_destroy(key.value);
			value_destroy(value.value);
			return err;
		}
		add_size(node, &key);
		add_size(node, &value);
		err = add_entry(r, node->value, &key, &value, merged);
		if (err != NC_OK)
			return err;
	}
}

/* A mapping that was tagged !!set becomes one. */
static enum nc_err mapping_to_set(struct reader *r, struct node *node)
{
	struct value *set = value_set();

	if (set == NULL)
		return error_nomem(r->error);
	(void)value_set_origin(
		set, value_line(node->value), value_column(node->value), false, NULL);
	for (size_t i = 0; i < value_count(node->value); i++) {
		const struct value *key = value_map_key_at(node->value, i);

		if (!value_is(value_map_value_at(node->value, i), VALUE_NULL)) {
			value_destroy(set);
			return error_at(r->error, NC_ERR_SYNTAX, value_line(key), value_column(key),
				"an element of a !!set has no value");
		}
		if (value_set_add(set, value_copy(key)) != NC_OK) {
			value_destroy(set);
			return error_nomem(r->error);
		}
	}
	value_destroy(node->value);
	node->value = set;
	return NC_OK;
}

static enum nc_err read_mapping(
	struct reader *r, const yaml_event_t *event, unsigned depth, struct node *node)
{
	const char *tag = (const char *)event->data.mapping_start.tag;
	int kind = kind_of_tag(tag);
	struct value *merged = NULL;
	enum nc_err err;

	if (kind != KIND_IMPLICIT && kind != VALUE_MAP && kind != VALUE_SET)
		return refuse_tag(r, event, tag);
	node->value = value_map();
	if (node->value == NULL)
		return error_nomem(r->error);
	(void)value_set_origin(node->value, line_of(event), column_of(event), false, NULL);
	err = read_entries(r, depth, node, &merged);
	if (err == NC_OK && merged != NULL) {
		(void)value_set_origin(merged, line_of(event), column_of(event), false, NULL);
		err = value_map_merge(merged, node->value) == NC_OK ? NC_OK : error_nomem(r->error);
		value_destroy(node->value);
		node->value = merged;
		merged = NULL;
	}
	value_destroy(merged);
	if (err == NC_OK && kind == VALUE_SET)
		err = mapping_to_set(r, node);
	return err;
}

/* On failure the caller destroys node->value, which may be half-made. */
static enum nc_err read_node(
	struct reader *r, const yaml_event_t *event, unsigned depth, struct node *node)
{
	const yaml_char_t *anchor = NULL;
	size_t anchor_index = 0;
	enum nc_err err;

	if (event->type == YAML_ALIAS_EVENT)
		return read_alias(r, event, depth, node);
	node->nodes = 1;
	node->height = 1;
	if (event->type == YAML_SCALAR_EVENT)
		anchor = event->data.scalar.anchor;
	else if (event->type == YAML_SEQUENCE_START_EVENT)
		anchor = event->data.sequence_start.anchor;
	else if (event->type == YAML_MAPPING_START_EVENT)
		anchor = event->data.mapping_start.anchor;
	err = check_depth(r, depth, event);
	if (err == NC_OK)
		err = count_nodes(r, 1, event);
	if (err == NC_OK && anchor != NULL)
		err = anchor_begin(r, anchor, &anchor_index);
	if (err != NC_OK)
		return err;
	if (event->type == YAML_SEQUENCE_START_EVENT)
		err = read_list(r, event, depth, node);
	else if (event->type == YAML_MAPPING_START_EVENT)
		err = read_mapping(r, event, depth, node);
	else
		err = read_scalar(r, event, node);
	if (err == NC_OK && anchor != NULL)
		err = anchor_finish(r, anchor_index, node);
	return err;
}

/* The stream: start, one document or none, end. */
static enum nc_err read_stream(struct reader *r, struct node *node)
{
	for (;;) {
		yaml_event_t event;
		enum nc_err err = next_event(r, &event);
		bool end;

		if (err != NC_OK)
			return err;
		end = event.type == YAML_STREAM_END_EVENT;
		if (event.type == YAML_DOCUMENT_START_EVENT && node->value != NULL)
			err = error_at(r->error, NC_ERR_SYNTAX, line_of(&event), column_of(&event),
				"a second document begins here; there may be only one");
		else if (event.type != YAML_STREAM_START_EVENT && !end &&
			 event.type != YAML_DOCUMENT_START_EVENT &&
			 event.type != YAML_DOCUMENT_END_EVENT)
			err = read_node(r, &event, 1, node);
		yaml_event_delete(&event);
		if (err != NC_OK || end)
			return err;
	}
}

/* Line and column, from 1, of the byte at `at`. */
static void place_of(const char *text, size_t at, unsigned *ret_line, unsigned *ret_column)
{
	*ret_line = *ret_column = 1;
	for (size_t i = 0; i < at; i++) {
		if (text[i] == '\n') {
			++*ret_line;
			*ret_column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			++*ret_column;
		}
	}
}

/* What libyaml would not refuse, or not with words that help. */
static enum nc_err check_bytes(
	const char *text, size_t len, const struct yaml_limits *limits, struct error *error)
{
	unsigned line, column;
	const char *nul;
	size_t at;

	if (len > limits->bytes)
		return error_set(error, NC_ERR_LIMIT, "%zu bytes are more than the limit of %zu",
			len, limits->bytes);
	nul = memchr(text, '\0', len);
	if (nul != NULL) {
		place_of(text, (size_t)(nul - text), &line, &column);
		return error_at(error, NC_ERR_SYNTAX, line, column,
			"a NUL character cannot be part of a text");
	}
	if (!utf8_is_valid(text, len, &at)) {
		place_of(text, at, &line, &column);
		return error_at(error, NC_ERR_SYNTAX, line, column, "this byte is not UTF-8");
	}
	return NC_OK;
}

enum nc_err yaml_read(const char *text, size_t len, unsigned flags,
	const struct yaml_limits *limits, struct value **ret_value, struct error *error)
{
	struct reader r = { .flags = flags, .limits = limits, .error = error };
	struct node root = { 0 };
	enum nc_err err = check_bytes(text, len, limits, error);

	if (err != NC_OK)
		return err;
	if (!yaml_parser_initialize(&r.parser))
		return error_nomem(error);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	err = read_stream(&r, &root);
	yaml_parser_delete(&r.parser);
	for (size_t i = 0; i < r.anchors_count; i++)
		value_destroy(r.anchors[i].value);
	free(r.anchors);
	value_destroy(r.anchor_names);
	if (err == NC_OK && root.value == NULL) {
		root.value = value_null();
		err = root.value != NULL ? NC_OK : error_nomem(error);
	}
	if (err != NC_OK) {
		value_destroy(root.value);
		return err;
	}
	*ret_value = root.value;
	return NC_OK;
}
