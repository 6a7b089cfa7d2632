/*
 * Figures of the rules, for tests/bench/bench: how long reading takes, how much memory the rules hold, and how long
 * one message takes: look-ups and launches, no disk.
 *
 * usage: bench_rules CONFIG RULES MESSAGES EXTRA_KEYS
 *
 * MESSAGES is a JSON list of {worker, type, payload, checklist, config}. EXTRA_KEYS are put into each checklist.
 * Prints one JSON object.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/data/json.h"
#include "core/data/yaml.h"
#include "core/decide/rules.h"
#include "core/system/file.h"

enum {
	LOADS = 51,
	ROUNDS = 201,
};

static double now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

static void die(const struct error *error)
{
	(void)fprintf(stderr, "bench_rules: %s\n", error->text);
	exit(1);
}

static struct buffer read_whole(const char *path)
{
	struct buffer text;
	struct error error = { 0 };

	buffer_init(&text);
	if (file_read(path, yaml_file_limits.bytes, &text, &error) != NC_OK)
		die(&error);
	return text;
}

/* Median microseconds of one load; the last one is kept, with the bytes that it holds. */
static double bench_load(const struct buffer *text, const struct config *config,
	struct rules **ret_rules, size_t *ret_bytes)
{
	double times[LOADS];
	struct error error = { 0 };

	*ret_rules = NULL;
	for (int i = 0; i < LOADS; i++) {
		size_t before;
		double start;

		rules_destroy(*ret_rules);
		before = mallinfo2().uordblks;
		start = now_us();
		if (rules_read("rules", text->data, text->len, config, ret_rules, NULL, &error) !=
			NC_OK)
			die(&error);
		times[i] = now_us() - start;
		*ret_bytes = mallinfo2().uordblks - before;
	}
	return median(times, LOADS);
}

static void add_keys(struct value *checklist, int64_t count)
{
	char key[32];

	for (int64_t i = 0; i < count; i++) {
		(void)snprintf(key, sizeof(key), "another key %lld", (long long)i);
		if (value_map_put(checklist, key, value_int(i)) != NC_OK)
			exit(1);
	}
}

/* Median microseconds of one message. */
static double bench_message(const struct rules *rules, const struct value *message)
{
	struct rules_input input = {
		.worker = value_as_text(value_map_get(message, "worker"), ""),
		.type = value_as_text(value_map_get(message, "type"), ""),
		.payload = value_map_get(message, "payload"),
		.config = value_map_get(message, "config"),
		.checklist = value_map_get(message, "checklist"),
		.today = { 2024, 3, 15 },
	};
	double times[ROUNDS];
	struct error error = { 0 };

	for (int i = 0; i < ROUNDS; i++) {
		struct rules_decision decision = { 0 };
		double start = now_us();

		if (rules_apply(rules, &input, &decision, &error) != NC_OK)
			die(&error);
		rules_decision_finish(&decision);
		times[i] = now_us() - start;
	}
	return median(times, ROUNDS);
}

int main(int argc, char **argv)
{
	struct config *config = NULL;
	struct rules *rules = NULL;
	struct value *messages = NULL;
	struct error error = { 0 };
	struct buffer text, messages_text;
	double load, message, *times;
	size_t bytes = 0, count;
	int64_t extra_keys = 0;

	if (argc != 5 || !text_to_int64(argv[4], &extra_keys))
		return 2;
	if (config_load(argv[1], &config, NULL, &error) != NC_OK)
		die(&error);
	text = read_whole(argv[2]);
	messages_text = read_whole(argv[3]);
	if (json_read(messages_text.data, messages_text.len, &yaml_file_limits, &messages,
		    &error) != NC_OK)
		die(&error);
	load = bench_load(&text, config, &rules, &bytes);
	count = value_count(messages);
	times = calloc(count + 1, sizeof(*times));
	if (times == NULL || count == 0)
		return 1;
	for (size_t i = 0; i < count; i++) {
		add_keys(value_map_get(value_at(messages, i), "checklist"), extra_keys);
		times[i] = bench_message(rules, value_at(messages, i));
	}
	message = median(times, count);
	(void)printf(
		"{\"load us\": %.1f, \"bytes\": %zu, \"message us\": %.2f, \"slowest message us\": %.2f}\n",
		load, bytes, message, times[count - 1]);
	free(times);
	value_destroy(messages);
	rules_destroy(rules);
	config_destroy(config);
	buffer_finish(&text);
	buffer_finish(&messages_text);
	return 0;
}
