#include "core/system/secrets.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct secret {
	char *value;
	size_t len;
};

struct secrets {
	struct secret *items; /* the longest first: one may be the beginning of another */
	size_t count;
	bool is_first[256]; /* does a secret begin with this byte? */
};

static const char *const default_patterns[] = {
	"*TOKEN*",
	"*SECRET*",
	"*PASSWORD*",
	"*KEY*",
	"*DSN*",
	"*SLACK*",
};

/* --- which variables --- */

static bool matches(const char *pattern, const char *name)
{
	return fnmatch(pattern, name, FNM_CASEFOLD) == 0;
}

/* `list` is the section `secrets`: a text or a list of texts, which config_load() has checked. */
static bool is_secret_name(const struct value *list, const char *name)
{
	size_t count = value_is(list, VALUE_LIST) ? value_count(list) : 1;
	bool secret = false;

	for (size_t i = 0; i < ARRAY_LEN(default_patterns) && !secret; i++)
		secret = matches(default_patterns[i], name);
	for (size_t i = 0; i < count; i++) {
		const struct value *item = value_is(list, VALUE_LIST) ? value_at(list, i) : list;
		const char *pattern = value_as_text(item, "");
		bool takes_out = pattern[0] == '!';

		if (matches(pattern + takes_out, name))
			secret = !takes_out;
	}
	return secret;
}

/* --- the values --- */

static enum nc_err add_line(
	struct secrets *secrets, const char *text, size_t len, struct error *error)
{
	struct secret *items;
	size_t at = 0;

	if (len < SECRET_LEAST)
		return NC_OK;
	for (size_t i = 0; i < secrets->count; i++) {
		if (secrets->items[i].len == len && memcmp(secrets->items[i].value, text, len) == 0)
			return NC_OK;
	}
	items = reallocarray(secrets->items, secrets->count + 1, sizeof(*items));
	if (items == NULL)
		return error_nomem(error);
	secrets->items = items;
	text = strndup(text, len);
	if (text == NULL)
		return error_nomem(error);
	while (at < secrets->count && items[at].len >= len)
		at++;
	memmove(items + at + 1, items + at, (secrets->count - at) * sizeof(*items));
	items[at] = (struct secret){ .value = (char *)text, .len = len };
	secrets->count++;
	secrets->is_first[(unsigned char)text[0]] = true;
	return NC_OK;
}

enum nc_err secrets_add(struct secrets *secrets, const char *value, struct error *error)
{
	for (;;) {
		size_t len = strcspn(value, "\r\n");
		enum nc_err err = add_line(secrets, value, len, error);

		if (err != NC_OK || value[len] == '\0')
			return err;
		value += len + 1;
	}
}

/* `variable` is NAME=VALUE. */
static enum nc_err add_variable(struct secrets *secrets, const struct value *list,
	const char *variable, struct error *error)
{
	const char *equals = strchr(variable, '=');
	enum nc_err err = NC_OK;
	char *name;

	if (equals == NULL || strlen(equals + 1) < SECRET_LEAST)
		return NC_OK;
	name = strndup(variable, (size_t)(equals - variable));
	if (name == NULL)
		return error_nomem(error);
	if (is_secret_name(list, name))
		err = secrets_add(secrets, equals + 1, error);
	free(name);
	return err;
}

static enum nc_err add_all(
	struct secrets *secrets, const struct config *config, struct error *error)
{
	const struct value *list = config != NULL ? value_map_get(config->tree, "secrets") : NULL;
	size_t count = config != NULL ? config->environment.count : 0;
	enum nc_err err = NC_OK;

	for (char **variable = environ; err == NC_OK && variable != NULL && *variable != NULL;
		variable++)
		err = add_variable(secrets, list, *variable, error);
	for (size_t i = 0; err == NC_OK && i < count; i++) {
		const struct environment_entry *entry = &config->environment.entries[i];

		if (is_secret_name(list, entry->name))
			err = secrets_add(secrets, entry->value, error);
	}
	return err;
}

enum nc_err secrets_create(
	const struct config *config, struct secrets **ret_secrets, struct error *error)
{
	struct secrets *secrets = calloc(1, sizeof(*secrets));
	enum nc_err err;

	if (secrets == NULL)
		return error_nomem(error);
	err = add_all(secrets, config, error);
	if (err == NC_OK)
		*ret_secrets = secrets;
	else
		secrets_destroy(secrets);
	return err;
}

void secrets_destroy(struct secrets *secrets)
{
	if (secrets == NULL)
		return;
	for (size_t i = 0; i < secrets->count; i++) {
		explicit_bzero(secrets->items[i].value, secrets->items[i].len);
		free(secrets->items[i].value);
	}
	free(secrets->items);
	free(secrets);
}

/* --- masking --- */

/* The length of the secret that starts at `text`; 0: none does. */
static size_t secret_at(const struct secrets *secrets, const char *text)
{
	if (!secrets->is_first[(unsigned char)*text])
		return 0;
	for (size_t i = 0; i < secrets->count; i++) {
		if (strncmp(text, secrets->items[i].value, secrets->items[i].len) == 0)
			return secrets->items[i].len;
	}
	return 0;
}

bool secrets_are_in(const struct secrets *secrets, const char *text)
{
	if (secrets == NULL || secrets->count == 0)
		return false;
	for (; *text != '\0'; text++) {
		if (secret_at(secrets, text) > 0)
			return true;
	}
	return false;
}

void secrets_mask(const struct secrets *secrets, const char *text, struct buffer *out)
{
	const char *plain = text; /* not yet appended */

	while (secrets != NULL && secrets->count > 0 && *text != '\0') {
		size_t len = secret_at(secrets, text);

		if (len == 0) {
			text++;
			continue;
		}
		buffer_append(out, plain, (size_t)(text - plain));
		buffer_append_text(out, "***");
		text += len;
		plain = text;
	}
	buffer_append_text(out, plain);
}

static struct value *mask_text(const struct secrets *secrets, const char *text)
{
	struct buffer masked;
	struct value *value = NULL;

	buffer_init(&masked);
	secrets_mask(secrets, text, &masked);
	if (!masked.failed)
		value = value_text(masked.data);
	buffer_finish(&masked);
	return value;
}

static struct value *mask_items(const struct secrets *secrets, const struct value *value)
{
	bool is_map = value_is(value, VALUE_MAP);
	struct value *copy = is_map ? value_map() : value_list();
	enum nc_err err = copy != NULL ? NC_OK : NC_ERR_NOMEM;

	for (size_t i = 0; err == NC_OK && i < value_count(value); i++) {
		if (is_map)
			err = value_map_put_key(copy, value_copy(value_map_key_at(value, i)),
				secrets_mask_value(secrets, value_map_value_at(value, i)));
		else
			err = value_list_append(
				copy, secrets_mask_value(secrets, value_at(value, i)));
	}
	if (err == NC_OK)
		return copy;
	value_destroy(copy);
	return NULL;
}

struct value *secrets_mask_value(const struct secrets *secrets, const struct value *value)
{
	const char *text = value_as_text(value, NULL);

	if (text != NULL && secrets_are_in(secrets, text))
		return mask_text(secrets, text);
	if (value_is(value, VALUE_MAP) || value_is(value, VALUE_LIST))
		return mask_items(secrets, value);
	return value_copy(value);
}
