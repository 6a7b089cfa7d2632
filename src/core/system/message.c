#include "core/system/message.h"

#include <stdlib.h>
#include <string.h>

#include "core/data/yaml.h"

void message_init(struct message *message)
{
	*message = (struct message){ 0 };
}

void message_finish(struct message *message)
{
	free(message->source);
	free(message->type);
	free(message->event);
	free(message->id);
	free(message->launch);
	free(message->token);
	value_destroy(message->payload);
	value_destroy(message->report);
	message_init(message);
}

static enum nc_err wrong_kind(
	const struct value *value, const char *key, const char *wanted, struct error *error)
{
	return error_at(error, NC_ERR_INVALID, value_line(value), value_column(value),
		"`%s` of a message must be %s, not %s", key, wanted,
		value_kind_words(value_kind(value)));
}

/* A text that is not empty. Absent or null: *ret_text stays NULL. */
static enum nc_err take_text(
	const struct value *tree, const char *key, char **ret_text, struct error *error)
{
	const struct value *value = value_map_get(tree, key);
	const char *text = value_as_text(value, NULL);

	if (value_is(value, VALUE_NULL))
		return NC_OK;
	if (text == NULL)
		return wrong_kind(value, key, "a text", error);
	if (text[0] == '\0')
		return error_at(error, NC_ERR_INVALID, value_line(value), value_column(value),
			"`%s` of a message is empty", key);
	*ret_text = strdup(text);
	return *ret_text != NULL ? NC_OK : error_nomem(error);
}

static enum nc_err take_texts(
	const struct value *tree, struct message *message, struct error *error)
{
	const struct {
		const char *key;
		char **field;
	} texts[] = {
		{ "source", &message->source },
		{ "type", &message->type },
		{ "event", &message->event },
		{ "id", &message->id },
		{ "launch", &message->launch },
		{ "token", &message->token },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		enum nc_err err = take_text(tree, texts[i].key, texts[i].field, error);

		if (err != NC_OK)
			return err;
	}
	if (message->source == NULL)
		return error_set(error, NC_ERR_INVALID, "a message needs a `source`");
	if (message->type == NULL && message->event == NULL)
		return error_set(error, NC_ERR_INVALID, "a message needs a `type`");
	if (message->type != NULL && message->event != NULL)
		return error_set(
			error, NC_ERR_INVALID, "a message has a `type` or an `event`, not both");
	return NC_OK;
}

/* The payload may be null, but as in the Python framework a message with a type has to say so. */
static enum nc_err take_values(
	const struct value *tree, struct message *message, struct error *error)
{
	const struct value *payload = value_map_get(tree, "payload");
	const struct value *report = value_map_get(tree, "report");

	if (payload == NULL && message->type != NULL)
		return error_set(
			error, NC_ERR_INVALID, "a message needs a `payload` (null will do)");
	message->payload = payload != NULL ? value_copy(payload) : value_null();
	if (message->payload == NULL)
		return error_nomem(error);
	if (value_is(report, VALUE_NULL))
		return NC_OK;
	if (!value_is(report, VALUE_MAP))
		return wrong_kind(report, "report", "a mapping", error);
	message->report = value_copy(report);
	return message->report != NULL ? NC_OK : error_nomem(error);
}

enum nc_err message_read(const char *text, size_t len, struct message *message, struct error *error)
{
	struct value *tree = NULL;
	enum nc_err err;

	message_init(message);
	err = yaml_read(text, len, 0, &yaml_message_limits, &tree, error);
	if (err != NC_OK)
		return err;
	if (!value_is(tree, VALUE_MAP))
		err = error_set(error, NC_ERR_INVALID,
			"a message is a mapping with `source`, `type` and `payload`, not %s",
			value_kind_words(value_kind(tree)));
	if (err == NC_OK)
		err = take_texts(tree, message, error);
	if (err == NC_OK)
		err = take_values(tree, message, error);
	value_destroy(tree);
	if (err != NC_OK)
		message_finish(message);
	return err;
}

/* `KEY: VALUE` on a line of its own: so nothing has to be copied into a tree first. */
static void write_entry(const char *key, const struct value *value, struct buffer *out)
{
	if (value == NULL)
		return;
	buffer_printf(out, "%s: ", key);
	yaml_write(value, YAML_WRITE_FLOW, out);
	buffer_append_char(out, '\n');
}

static void write_text(const char *key, const char *text, struct buffer *out)
{
	struct value *value;

	if (text == NULL)
		return;
	value = value_text(text);
	if (value == NULL)
		out->failed = true;
	write_entry(key, value, out);
	value_destroy(value);
}

void message_write(const struct message *message, struct buffer *out)
{
	write_text("source", message->source, out);
	write_text("type", message->type, out);
	write_text("event", message->event, out);
	if (message->payload != NULL)
		write_entry("payload", message->payload, out);
	else
		buffer_append_text(out, "payload: null\n");
	write_text("id", message->id, out);
	write_text("launch", message->launch, out);
	write_text("token", message->token, out);
	write_entry("report", message->report, out);
}

enum nc_err message_make(
	struct message *message, const char *source, const char *type, const struct value *payload)
{
	message_init(message);
	message->source = strdup(source);
	message->type = strdup(type);
	message->payload = payload != NULL ? value_copy(payload) : value_null();
	if (message->source == NULL || message->type == NULL || message->payload == NULL) {
		message_finish(message);
		return NC_ERR_NOMEM;
	}
	return NC_OK;
}
