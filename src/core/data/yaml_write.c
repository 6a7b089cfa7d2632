/*
 * A tree as YAML text, through libyaml's emitter with every style chosen here: its own choices write
 * `yes`, `012`, `1e3` and `null` plain where a text was meant (facts of libyaml 0.2.5). A text is plain only
 * when nobody could take it for anything else, else double-quoted.
 */
#include <ctype.h>
#include <string.h>
#include <yaml.h>

#include "core/data/yaml.h"
#include "core/data/yaml_internal.h"

struct writer {
	yaml_emitter_t emitter;
	bool flow;
	struct buffer *out;
};

static int take_bytes(void *argument, unsigned char *bytes, size_t size)
{
	struct buffer *out = argument;

	buffer_append(out, bytes, size);
	return !out->failed;
}

/* Only letters, digits and a few marks, and no word of YAML 1.1's. */
static bool may_be_plain(const char *text)
{
	size_t len = strlen(text);

	if (!isalpha((unsigned char)text[0]) && text[0] != '/' && text[0] != '_')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && strchr("_./+-  ", text[i]) == NULL)
			return false;
	return text[len - 1] != ' ' && yaml_resolve_plain(text) == VALUE_TEXT;
}

/* `ready`: whether the event could be made. */
static bool emit(struct writer *w, yaml_event_t *event, int ready)
{
	return ready && yaml_emitter_emit(&w->emitter, event);
}

/*
 * Numbers and null in their own form, not as they were once written: `190:20:30` is an integer, but with its
 * colons the emitter would not write it plain inside of `{}`. Others as they were written (`yes`), unless
 * only a tag made them what they are (`!!bool yEs`, `!!timestamp 2026-1-2`).
 */
static void print_canonical(const struct value *value, struct buffer *out)
{
	enum value_kind kind = value_kind(value);
	struct value *fresh = NULL;
	struct buffer written;
	struct date date;
	bool keep;

	buffer_init(&written);
	if (value_print_scalar(value, &written) != NC_OK)
		out->failed = true;
	keep = kind == VALUE_TIMESTAMP || yaml_resolve_plain(written.data) == kind;
	buffer_finish(&written);
	if (kind == VALUE_INT)
		fresh = value_int(value_as_int(value, 0));
	else if (kind == VALUE_FLOAT)
		fresh = value_float(value_as_float(value, 0));
	else if (kind == VALUE_NULL)
		fresh = value_null();
	else if (keep)
		fresh = value_copy(value);
	else if (kind == VALUE_BOOL)
		fresh = value_bool(value_as_bool(value, false));
	else if (value_as_date(value, &date))
		fresh = value_date(date);
	if (fresh == NULL || value_print_scalar(fresh, out) != NC_OK)
		out->failed = true;
	value_destroy(fresh);
}

static bool write_scalar(struct writer *w, const struct value *value)
{
	static yaml_char_t timestamp_tag[] = "tag:yaml.org,2002:timestamp";
	/* A time has colons: quoted, with the tag that says what it is. */
	bool tagged = value_is(value, VALUE_TIMESTAMP);
	yaml_event_t event;
	struct buffer text;
	bool plain = !tagged, written;

	buffer_init(&text);
	if (value_is(value, VALUE_TEXT)) {
		buffer_append_text(&text, value_as_text(value, ""));
		plain = may_be_plain(text.data);
	} else {
		print_canonical(value, &text);
	}
	written =
		!text.failed &&
		emit(w, &event,
			yaml_scalar_event_initialize(&event, NULL, tagged ? timestamp_tag : NULL,
				(yaml_char_t *)text.data, (int)text.len, plain,
				!tagged && (!plain || value_is(value, VALUE_TEXT)),
				plain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE));
	buffer_finish(&text);
	return written;
}

static bool write_value(struct writer *w, const struct value *value);

static bool write_list(struct writer *w, const struct value *list)
{
	yaml_event_t event;

	if (!emit(w, &event,
		    yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
			    w->flow ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE)))
		return false;
	for (size_t i = 0; i < value_count(list); i++)
		if (!write_value(w, value_at(list, i)))
			return false;
	return emit(w, &event, yaml_sequence_end_event_initialize(&event));
}

static bool write_mapping(struct writer *w, const struct value *value)
{
	static yaml_char_t set_tag[] = "tag:yaml.org,2002:set";
	bool is_set = value_is(value, VALUE_SET);
	struct value *nothing = is_set ? value_null() : NULL;
	yaml_event_t event;
	bool well = !is_set || nothing != NULL;

	well = well &&
	       emit(w, &event,
		       yaml_mapping_start_event_initialize(&event, NULL, is_set ? set_tag : NULL,
			       !is_set,
			       w->flow ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE));
	for (size_t i = 0; well && i < value_count(value); i++) {
		if (is_set)
			well = write_scalar(w, value_at(value, i)) && write_scalar(w, nothing);
		else
			well = write_scalar(w, value_map_key_at(value, i)) &&
			       write_value(w, value_map_value_at(value, i));
	}
	value_destroy(nothing);
	return well && emit(w, &event, yaml_mapping_end_event_initialize(&event));
}

static bool write_value(struct writer *w, const struct value *value)
{
	switch (value_kind(value)) {
	case VALUE_LIST:
		return write_list(w, value);
	case VALUE_SET:
	case VALUE_MAP:
		return write_mapping(w, value);
	case VALUE_NULL:
	case VALUE_BOOL:
	case VALUE_INT:
	case VALUE_FLOAT:
	case VALUE_TEXT:
	case VALUE_DATE:
	case VALUE_TIMESTAMP:
	case VALUE_KIND_COUNT:
		break;
	}
	return write_scalar(w, value);
}

static bool write_document(struct writer *w, const struct value *value)
{
	yaml_event_t event;

	return emit(w, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING)) &&
	       emit(w, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1)) &&
	       write_value(w, value) &&
	       emit(w, &event, yaml_document_end_event_initialize(&event, 1)) &&
	       emit(w, &event, yaml_stream_end_event_initialize(&event));
}

/* A scalar at the top is followed by `...`, which a single value on a line does not want. */
static void drop_document_end(struct buffer *out, size_t start)
{
	static const char mark[] = "\n...\n";

	if (out->len - start >= strlen(mark) &&
		memcmp(out->data + out->len - strlen(mark), mark, strlen(mark)) == 0)
		out->len -= strlen(mark) - 1;
}

void yaml_write(const struct value *value, unsigned flags, struct buffer *out)
{
	struct writer w = { .flow = (flags & YAML_WRITE_FLOW) != 0, .out = out };
	size_t start = out->len;

	if (!yaml_emitter_initialize(&w.emitter)) {
		out->failed = true;
		return;
	}
	yaml_emitter_set_output(&w.emitter, take_bytes, out);
	yaml_emitter_set_encoding(&w.emitter, YAML_UTF8_ENCODING);
	yaml_emitter_set_unicode(&w.emitter, 1);
	yaml_emitter_set_width(&w.emitter, -1);
	if (!write_document(&w, value))
		out->failed = true;
	yaml_emitter_delete(&w.emitter);
	if (out->failed || out->len == start)
		return;
	drop_document_end(out, start);
	while (w.flow && out->len > start && out->data[out->len - 1] == '\n')
		out->len--;
	out->data[out->len] = '\0';
}
