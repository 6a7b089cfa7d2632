/* `scheduled workers`: a list of one-key mappings, MODULE: {every, at, cmd line opts}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/config_internal.h"

/* What was read of one entry. */
struct slot {
	const char *worker;
	bool every_day;
	char at[16]; /* HH:MM */
	int hour, minute;
	char *options; /* or NULL */
	const struct value *options_at;
};

static void take_every(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct slot *slot = context;

	slot->every_day = strcmp(value_as_text(value, ""), "day") == 0;
	if (!slot->every_day)
		config_error(reading, "bad-choice", value,
			"`every` of the worker `%s` must be `day`; other schedules come later",
			slot->worker);
}

/* HH:MM, or H:MM as Python's schedule takes it. */
static bool parse_time(const char *text, struct slot *slot)
{
	size_t digits = strspn(text, "0123456789");
	const char *minute = text + digits + 1;

	if (digits < 1 || digits > 2 || text[digits] != ':' || strspn(minute, "0123456789") != 2 ||
		minute[2] != '\0')
		return false;
	slot->hour = digits == 2 ? (text[0] - '0') * 10 + text[1] - '0' : text[0] - '0';
	slot->minute = (minute[0] - '0') * 10 + minute[1] - '0';
	if (slot->hour > 23 || slot->minute > 59)
		return false;
	(void)snprintf(slot->at, sizeof(slot->at), "%02d:%02d", slot->hour, slot->minute);
	return true;
}

static void take_at(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct slot *slot = context;
	char *text = scalar_text(reading, key, value);

	if (text == NULL)
		return;
	if (!parse_time(text, slot))
		config_error(reading, "bad-time", value,
			"`at` of the worker `%s` must be a time of day from '00:00' to '23:59', "
			"not %s",
			slot->worker, text);
	else if (!value_is(value, VALUE_TEXT))
		config_warning(reading, "unquoted-time", value,
			"YAML reads %s without quotes as the number %lld; it is taken as the time "
			"of day that is written, and should be quoted",
			text, (long long)value_as_int(value, 0));
	free(text);
}

static void take_options(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct slot *slot = context;

	if (value_is(value, VALUE_NULL) || value_as_text(value, NULL) != NULL) {
		slot->options = strdup(value_as_text(value, ""));
		if (slot->options == NULL)
			reading->nomem = true;
	} else {
		slot->options = scalar_text(reading, key, value);
	}
	slot->options_at = value;
}

static void write_arguments(struct reading *reading, const struct slot *slot)
{
	char *rest = NULL;

	normal_key(&reading->normal, "arguments");
	normal_open(&reading->normal, '[');
	if (slot->options != NULL) {
		normal_at(&reading->normal, slot->options_at);
		for (char *word = strtok_r(slot->options, " \t\r\n", &rest); word != NULL;
			word = strtok_r(NULL, " \t\r\n", &rest))
			normal_text(&reading->normal, word);
	}
	normal_close(&reading->normal, ']');
}

static void take_entry(
	struct reading *reading, const struct value *key, const struct value *parameters)
{
	static const struct section_key keys[] = {
		{ "every", take_every, true },
		{ "at", take_at, true },
		{ "cmd line opts", take_options, false },
	};
	const char *module = value_as_text(key, NULL), *dot;
	struct slot slot = { 0 };

	if (module == NULL || module[0] == '\0') {
		config_error(reading, "wrong-kind", key,
			"an entry of `scheduled workers` must begin with the module name of a "
			"worker, such as `nowcast.workers.download_weather`");
		return;
	}
	dot = strrchr(module, '.');
	slot.worker = dot != NULL ? dot + 1 : module;
	if (!is_registered(reading, slot.worker))
		warn_unregistered(reading, key, slot.worker);
	read_section(reading, "an entry of `scheduled workers`", key, parameters, keys,
		ARRAY_LEN(keys), &slot);
	normal_at(&reading->normal, key);
	normal_open(&reading->normal, '{');
	normal_key(&reading->normal, "worker");
	normal_text(&reading->normal, slot.worker);
	normal_key(&reading->normal, "every");
	normal_text(&reading->normal, "day");
	normal_key(&reading->normal, "at");
	normal_text(&reading->normal, slot.at);
	normal_key(&reading->normal, "hour");
	normal_int(&reading->normal, slot.hour);
	normal_key(&reading->normal, "minute");
	normal_int(&reading->normal, slot.minute);
	normal_key(&reading->normal, "node");
	normal_int(&reading->normal, value_line(key));
	write_arguments(reading, &slot);
	normal_close(&reading->normal, '}');
	free(slot.options);
}

void take_schedules(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	if (value_is(value, VALUE_NULL) || !expect_list(reading, key, value))
		return;
	normal_at(&reading->normal, key);
	normal_key(&reading->normal, "schedules");
	normal_open(&reading->normal, '[');
	for (size_t i = 0; i < value_count(value); i++) {
		const struct value *entry = value_at(value, i);

		if (value_is(entry, VALUE_MAP) && value_count(entry) == 1)
			take_entry(
				reading, value_map_key_at(entry, 0), value_map_value_at(entry, 0));
		else
			config_error(reading, "bad-entry", entry,
				"an entry of `scheduled workers` must have one key, the module "
				"name of a worker, with `every`, `at` and `cmd line opts` "
				"indented below it");
	}
	normal_close(&reading->normal, ']');
}
