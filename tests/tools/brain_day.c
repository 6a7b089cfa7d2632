/*
 * The manager's judgement over a day of messages, with a state in memory: for tests that compare it with what a
 * system really did.
 *
 * usage: brain_day CONFIG RULES DATE <MESSAGES
 *
 * Each line of MESSAGES is one in YAML flow or JSON; all are received at noon of DATE. For each, a JSON line is
 * printed: {"reply": TYPE, "launch": [{"worker", "args", "host"}], "groups": as `nowcast status` has them}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/data/json.h"
#include "core/decide/brain.h"
#include "core/system/file.h"

struct day {
	struct config *config;
	struct rules *rules;
	struct store *store;
	struct brain *brain;
	int64_t noon_ns;
	struct error error;
};

static enum nc_err read_rules(struct day *day, const char *file)
{
	struct buffer text;
	struct findings findings;
	enum nc_err err;

	buffer_init(&text);
	findings_init(&findings);
	err = file_read(file, 16 << 20, &text, &day->error);
	if (err == NC_OK)
		err = rules_read(file, text.data, text.len, day->config, &day->rules, &findings,
			&day->error);
	findings_finish(&findings);
	buffer_finish(&text);
	return err;
}

static bool begin(struct day *day, char **arguments)
{
	struct tm local = { .tm_hour = 12, .tm_isdst = -1 };
	const char *rest = strptime(arguments[2], "%Y-%m-%d", &local);

	if (rest == NULL || *rest != '\0') {
		(void)error_set(&day->error, NC_ERR_INVALID, "%s is no date", arguments[2]);
		return false;
	}
	day->noon_ns = (int64_t)mktime(&local) * 1000000000;
	return config_load(arguments[0], &day->config, NULL, &day->error) == NC_OK &&
	       read_rules(day, arguments[1]) == NC_OK &&
	       store_open(NULL, &day->store, &day->error) == NC_OK &&
	       brain_create(day->config, day->rules, day->store, "a boot", &day->brain,
		       &day->error) == NC_OK;
}

static struct value *launch_value(const struct brain_launch *launch)
{
	struct value *map = value_map(), *arguments = value_list();
	bool well = true;

	for (size_t i = 0; i < launch->arguments_count; i++)
		well = value_list_append(arguments, value_text(launch->arguments[i])) == NC_OK &&
		       well;
	well = value_map_put(map, "worker", value_text(launch->worker)) == NC_OK && well;
	well = value_map_put(map, "args", arguments) == NC_OK && well;
	well = value_map_put(map, "host", value_text(launch->host)) == NC_OK && well;
	if (well)
		return map;
	value_destroy(map);
	return NULL;
}

static bool print_transaction(struct day *day, const struct transaction *t)
{
	struct value *map = value_map(), *launches = value_list();
	struct value *status = brain_status(day->brain, 0, &day->error);
	struct buffer text;
	bool well = status != NULL;

	for (size_t i = 0; i < t->launches_count; i++)
		well = value_list_append(launches, launch_value(&t->launches[i])) == NC_OK && well;
	well = value_map_put(map, "reply", value_text(t->reply.type)) == NC_OK && well;
	well = value_map_put(map, "launch", launches) == NC_OK && well;
	well = well &&
	       value_map_put(map, "groups", value_copy(value_map_get(status, "groups"))) == NC_OK;
	buffer_init(&text);
	if (well)
		json_write(map, 0, &text);
	well = well && !text.failed && puts(text.data) >= 0;
	buffer_finish(&text);
	value_destroy(status);
	value_destroy(map);
	return well;
}

static bool take(struct day *day, const char *line, size_t len)
{
	struct transaction t = { 0 };
	bool well = brain_handle(day->brain, line, len, day->noon_ns, &t, &day->error) == NC_OK;

	for (size_t i = 0; well && i < t.notes_count; i++)
		(void)fprintf(stderr, "%s\n", t.notes[i].text);
	well = well && print_transaction(day, &t);
	transaction_finish(&t);
	return well;
}

int main(int argc, char **argv)
{
	struct day day = { 0 };
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	bool well;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: brain_day CONFIG RULES DATE <MESSAGES\n");
		return 2;
	}
	well = begin(&day, argv + 1);
	while (well && (len = getline(&line, &size, stdin)) > 0)
		well = take(&day, line, (size_t)len);
	if (!well)
		(void)fprintf(stderr, "brain_day: %s\n", day.error.text);
	free(line);
	brain_destroy(day.brain);
	store_close(day.store);
	rules_destroy(day.rules);
	config_destroy(day.config);
	return well ? 0 : 1;
}
