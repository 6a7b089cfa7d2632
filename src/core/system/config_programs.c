/*
 * `workers`: how each worker is run. The entry `default` is for all workers without one of their own; it is
 * written out once for each registered worker, with <worker> replaced, so that a bound configuration is
 * complete and constant.
 */
#include <stdlib.h>
#include <string.h>

#include "core/system/config_internal.h"

enum {
	RETRIES_MOST = 1000,
};

static char text_75[] = "75", text_crash[] = "crash";
static char *default_after[] = { text_75, text_crash };

/* nowcast.yaml(5) says these. */
static const struct config_program builtin_program = {
	.name = (char *)"", /* of no entry; nobody writes to it */
	.grace_time_ms = INT64_C(10) * 1000,
	.retry_wait_ms = INT64_C(60) * 1000,
	.retry_at_most_ms = INT64_C(3600) * 1000,
	.retry_after = default_after,
	.retry_after_count = ARRAY_LEN(default_after),
	.if_running = IF_RUNNING_ALLOW,
	.if_lost = IF_LOST_REPORT,
};

/* --- an entry, read --- */

struct entry {
	const char *worker;          /* as the file names it; `default` */
	const struct value *command; /* a list of scalars, or NULL */
	char *success, *failure;
	int64_t time_limit_ms, grace_time_ms;
	int64_t times, wait_ms, at_most_ms;
	const struct value *after; /* a list of scalars, or NULL */
	int if_running, if_lost;
};

static void take_command(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct entry *entry = context;
	bool well = value_is(value, VALUE_LIST) && value_count(value) > 0;

	for (size_t i = 0; well && i < value_count(value); i++) {
		enum value_kind kind = value_kind(value_at(value, i));

		well = kind != VALUE_NULL && kind < VALUE_SET;
	}
	if (well && strcmp(value_as_text(value_at(value, 0), "x"), "") == 0)
		well = false;
	if (!well) {
		config_error(reading, "bad-command", value,
			"`command` of the worker `%s` must be a list of words, the program first, "
			"such as [python3, -m, nowcast.workers.%s]; no shell reads it",
			entry->worker, entry->worker);
		return;
	}
	entry->command = value;
}

/* A type that nobody registered would become a `crash`, at night. One with placeholders cannot be told. */
static void check_registered(struct reading *reading, const struct value *key,
	const struct value *value, const char *worker, const char *type)
{
	const struct value *workers =
		value_map_get(value_map_get(reading->tree, "message registry"), "workers");
	const struct value *types = value_map_find_written(workers, worker);

	if (value_is(types, VALUE_MAP) && strchr(type, '<') == NULL &&
		value_map_find_written(types, type) == NULL)
		config_warning(reading, "unregistered-type", value,
			"`%s` of the worker `%s` is `%s`, which is not among its message types in "
			"the message registry",
			value_as_text(key, ""), worker, type);
}

static void take_template(struct reading *reading, const struct value *key,
	const struct value *value, const char *worker, char **ret_text)
{
	char *text = scalar_text(reading, key, value);
	struct buffer sample;
	struct error error;

	if (text == NULL)
		return;
	buffer_init(&sample);
	if (config_put_template(text, worker, NULL, 0, &sample, &error) == NC_ERR_INVALID)
		config_error(reading, "bad-template", value, "`%s` of the worker `%s`: %s",
			value_as_text(key, ""), worker, error.text);
	else
		check_registered(reading, key, value, worker, text);
	buffer_finish(&sample);
	*ret_text = text;
}

static void take_success(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct entry *entry = context;

	take_template(reading, key, value, entry->worker, &entry->success);
}

static void take_failure(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct entry *entry = context;

	take_template(reading, key, value, entry->worker, &entry->failure);
}

static void take_duration(struct reading *reading, const struct value *key,
	const struct value *value, const char *worker, int64_t *ret_ms)
{
	char *text = scalar_text(reading, key, value);

	if (text == NULL)
		return;
	if (!duration_parse(text, ret_ms))
		config_error(reading, "bad-duration", value,
			"`%s` of the worker `%s` must be a duration such as `90 s`, `5 min`, `2 h` "
			"or `1 d` (a bare number counts seconds), not `%s`",
			value_as_text(key, ""), worker, text);
	free(text);
}

static void take_time_limit(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct entry *entry = context;

	if (strcmp(value_as_text(value, ""), "none") != 0)
		take_duration(reading, key, value, entry->worker, &entry->time_limit_ms);
}

static void take_grace_time(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct entry *entry = context;

	take_duration(reading, key, value, entry->worker, &entry->grace_time_ms);
}

/* The index of the word among `choices`, or `otherwise` after an error was reported. */
static int take_choice(struct reading *reading, const struct value *key, const struct value *value,
	const char *worker, const char *const *choices, size_t count, int otherwise)
{
	char *text = scalar_text(reading, key, value);
	struct buffer all;

	if (text == NULL)
		return otherwise;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(choices[i], text) == 0) {
			free(text);
			return (int)i;
		}
	}
	buffer_init(&all);
	for (size_t i = 0; i < count; i++)
		buffer_printf(&all, "%s`%s`",
			i == 0          ? ""
			: i + 1 < count ? ", "
					: " or ",
			choices[i]);
	config_error(reading, "bad-choice", value, "`%s` of the worker `%s` must be %s, not `%s`%s",
		value_as_text(key, ""), worker, all.data, text,
		did_you_mean(text, choices, count).text);
	buffer_finish(&all);
	free(text);
	return otherwise;
}

static void take_if_running(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	static const char *const choices[] = {
		[IF_RUNNING_ALLOW] = "allow",
		[IF_RUNNING_REFUSE] = "refuse",
		[IF_RUNNING_WAIT] = "wait",
		[IF_RUNNING_REPLACE] = "replace",
	};
	struct entry *entry = context;

	entry->if_running = take_choice(
		reading, key, value, entry->worker, choices, ARRAY_LEN(choices), IF_RUNNING_ALLOW);
}

static void take_if_lost(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	static const char *const choices[] = {
		[IF_LOST_REPORT] = "report",
		[IF_LOST_LAUNCH_AGAIN] = "launch again",
	};
	struct entry *entry = context;

	entry->if_lost = take_choice(
		reading, key, value, entry->worker, choices, ARRAY_LEN(choices), IF_LOST_REPORT);
}

/* --- retry --- */

static void take_times(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct entry *entry = context;

	entry->times = value_as_int(value, -1);
	if (entry->times < 0 || entry->times > RETRIES_MOST)
		config_error(reading, "bad-number", value,
			"`times` of the worker `%s` must be a whole number from 0 to %d",
			entry->worker, RETRIES_MOST);
}

static void take_wait(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct entry *entry = context;

	take_duration(reading, key, value, entry->worker, &entry->wait_ms);
}

static void take_at_most(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct entry *entry = context;

	take_duration(reading, key, value, entry->worker, &entry->at_most_ms);
}

static void take_after(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct entry *entry = context;
	bool well = value_is(value, VALUE_LIST) && value_count(value) > 0;

	for (size_t i = 0; well && i < value_count(value); i++) {
		const struct value *item = value_at(value, i);
		const char *word = value_as_text(item, "");

		well = value_as_int(item, 0) == 75 || strcmp(word, "75") == 0 ||
		       strcmp(word, "crash") == 0 || strcmp(word, "failure") == 0;
	}
	if (well)
		entry->after = value;
	else
		config_error(reading, "bad-choice", value,
			"`after` of the worker `%s` must be a list of `75` (the exit status), "
			"`crash` and `failure`",
			entry->worker);
}

static void take_retry(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	static const struct section_key keys[] = {
		{ "times", take_times, true },
		{ "wait", take_wait, false },
		{ "at most", take_at_most, false },
		{ "after", take_after, false },
	};
	struct entry *entry = context;

	read_section(reading, "`retry`", key, value, keys, ARRAY_LEN(keys), entry);
	/* The usual bound gives way to a longer wait that was asked for; a bound in the file does not. */
	if (entry->at_most_ms >= entry->wait_ms)
		return;
	if (value_map_get(value, "at most") == NULL)
		entry->at_most_ms = entry->wait_ms;
	else
		config_error(reading, "bad-duration", value_map_get(value, "at most"),
			"`at most` of the worker `%s` must not be shorter than `wait`",
			entry->worker);
}

/* --- an entry, written --- */

static void write_int(struct reading *reading, const char *key, int64_t integer)
{
	normal_key(&reading->normal, key);
	normal_int(&reading->normal, integer);
}

/* A list of scalars, with each <worker> in them replaced when `worker` is given. */
static void write_words(
	struct reading *reading, const char *key, const struct value *words, const char *worker)
{
	static const char placeholder[] = "<worker>";
	struct buffer written, word;

	buffer_init(&written);
	buffer_init(&word);
	normal_key(&reading->normal, key);
	normal_open(&reading->normal, '[');
	for (size_t i = 0; i < value_count(words); i++) {
		const char *rest, *found;

		buffer_clear(&written);
		buffer_clear(&word);
		(void)value_print_scalar(value_at(words, i), &written);
		for (rest = written.data;
			worker != NULL && (found = strstr(rest, placeholder)) != NULL;
			rest = found + strlen(placeholder)) {
			buffer_append(&word, rest, (size_t)(found - rest));
			buffer_append_text(&word, worker);
		}
		buffer_append_text(&word, rest);
		normal_text(&reading->normal, word.data);
	}
	normal_close(&reading->normal, ']');
	if (written.failed || word.failed)
		reading->nomem = true;
	buffer_finish(&written);
	buffer_finish(&word);
}

static void write_default_after(struct reading *reading)
{
	normal_key(&reading->normal, "after");
	normal_open(&reading->normal, '[');
	for (size_t i = 0; i < ARRAY_LEN(default_after); i++)
		normal_text(&reading->normal, default_after[i]);
	normal_close(&reading->normal, ']');
}

/* `worker`: whose name stands for <worker>; NULL: nobody's. */
static void write_entry(struct reading *reading, const struct value *key, const struct entry *entry,
	const char *worker)
{
	normal_at(&reading->normal, key);
	normal_open(&reading->normal, '{');
	normal_key(&reading->normal, "name");
	normal_text(&reading->normal, entry->worker);
	if (entry->command != NULL)
		write_words(reading, "command", entry->command, worker);
	if (entry->success != NULL) {
		normal_key(&reading->normal, "success");
		normal_text(&reading->normal, entry->success);
	}
	if (entry->failure != NULL) {
		normal_key(&reading->normal, "failure");
		normal_text(&reading->normal, entry->failure);
	}
	write_int(reading, "time limit", entry->time_limit_ms);
	write_int(reading, "grace time", entry->grace_time_ms);
	write_int(reading, "times", entry->times);
	write_int(reading, "wait", entry->wait_ms);
	write_int(reading, "at most", entry->at_most_ms);
	if (entry->after != NULL)
		write_words(reading, "after", entry->after, NULL);
	else
		write_default_after(reading);
	write_int(reading, "if running", entry->if_running);
	write_int(reading, "if lost", entry->if_lost);
	write_int(reading, "node", value_line(key));
	normal_close(&reading->normal, '}');
}

/* --- the section --- */

static bool is_default(const struct value *key)
{
	return strcmp(value_as_text(key, ""), "default") == 0;
}

static void read_entry(struct reading *reading, const struct value *key, const struct value *value,
	struct entry *entry)
{
	static const struct section_key keys[] = {
		{ "command", take_command, false },
		{ "success", take_success, false },
		{ "failure", take_failure, false },
		{ "time limit", take_time_limit, false },
		{ "grace time", take_grace_time, false },
		{ "retry", take_retry, false },
		{ "if running", take_if_running, false },
		{ "if lost", take_if_lost, false },
	};

	*entry = (struct entry){
		.worker = value_as_text(key, ""),
		.grace_time_ms = builtin_program.grace_time_ms,
		.wait_ms = builtin_program.retry_wait_ms,
		.at_most_ms = builtin_program.retry_at_most_ms,
		.if_running = builtin_program.if_running,
		.if_lost = builtin_program.if_lost,
	};
	read_section(reading, "an entry of `workers`", key, value, keys, ARRAY_LEN(keys), entry);
}

static void finish_entry(struct entry *entry)
{
	free(entry->success);
	free(entry->failure);
}

/* The entry `default`, once for each registered worker, in the order of the registry. */
static void write_default_programs(
	struct reading *reading, const struct value *key, const struct entry *entry)
{
	const struct value *workers =
		value_map_get(value_map_get(reading->tree, "message registry"), "workers");
	struct buffer name;

	buffer_init(&name);
	normal_key(&reading->normal, "default programs");
	normal_open(&reading->normal, '[');
	for (size_t i = 0; i < value_count(workers); i++) {
		buffer_clear(&name);
		(void)value_print_scalar(value_map_key_at(workers, i), &name);
		write_entry(reading, key, entry, name.data);
	}
	normal_close(&reading->normal, ']');
	if (name.failed)
		reading->nomem = true;
	buffer_finish(&name);
}

/* *ret_default is the entry when it is `default`, for the caller to finish. */
static void take_program(struct reading *reading, const struct value *key,
	const struct value *value, struct entry *ret_default)
{
	const char *name = value_as_text(key, "");
	struct entry entry;

	if (name[0] == '\0') {
		config_error(reading, "wrong-kind", key,
			"an entry of `workers` must begin with the name of a worker, not %s",
			value_kind_words(value_kind(key)));
		return;
	}
	if (!is_default(key) && !is_registered(reading, name))
		warn_unregistered(reading, key, name);
	read_entry(reading, key, value, &entry);
	write_entry(reading, key, &entry, is_default(key) ? NULL : name);
	if (is_default(key))
		*ret_default = entry;
	else
		finish_entry(&entry);
}

void take_programs(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct entry fallback = { 0 };

	if (value_is(value, VALUE_NULL) || !expect_map(reading, key, value))
		return;
	normal_at(&reading->normal, key);
	normal_key(&reading->normal, "programs");
	normal_open(&reading->normal, '[');
	for (size_t i = 0; i < value_count(value); i++)
		take_program(reading, value_map_key_at(value, i), value_map_value_at(value, i),
			&fallback);
	normal_close(&reading->normal, ']');
	if (fallback.worker != NULL)
		write_default_programs(reading, key, &fallback);
	finish_entry(&fallback);
}

/* --- for callers --- */

const struct config_program *config_find_program(const struct config *config, const char *worker)
{
	for (unsigned i = 0; i < config->programs_count; i++)
		if (strcmp(config->programs[i].name, worker) == 0 && strcmp(worker, "default") != 0)
			return &config->programs[i];
	for (unsigned i = 0; i < config->default_programs_count; i++)
		if (strcmp(config->workers[i].name, worker) == 0)
			return &config->default_programs[i];
	return &builtin_program;
}
