/*
 * Makes log lines for tests/system/logging.py, by a `logging` section and a list of calls:
 *
 *	log_demo CONFIG NAME normal|debug|aggregator <CALLS
 *
 * CALLS has one JSON list a line: [LOGGER, LEVEL, MESSAGE] makes a line; ["reopen"] opens the files
 * again; ["say", TEXT] prints TEXT and a newline on standard output, so that the caller knows how far
 * it came; ["time", COUNT] makes COUNT lines and prints the nanoseconds that half of the calls took less than,
 * those of the longest, and of the longest that did not only wait for a processor;
 * ["numbered", LOGGER, COUNT, PAUSE_MS, LENGTH] makes COUNT lines `NUMBER TEXT` of 30 bytes to 9 kB (most
 * of them are short; with LENGTH all have that many), waits for so long after each 100, and then prints how
 * many there are.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/data/json.h"
#include "core/system/file.h"
#include "core/system/log.h"

static bool load(struct config *config, char *file, struct error *error)
{
	struct buffer text;

	buffer_init(&text);
	config->file = file;
	config->directory = path_directory(file);
	if (config->directory == NULL ||
		file_read(file, yaml_file_limits.bytes, &text, error) != NC_OK ||
		yaml_read(text.data, text.len, YAML_READ_MERGE_KEYS, &yaml_file_limits,
			&config->tree, error) != NC_OK)
		return false;
	config->logging = value_map_get(config->tree, "logging");
	config->state_directory = path_join(config->directory,
		value_as_text(value_map_get(config->tree, "state directory"), "state"));
	buffer_finish(&text);
	return config->state_directory != NULL;
}

static int compare_times(const void *a, const void *b)
{
	const int64_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* How often was the processor taken from us, for others? */
static long count_preempted(void)
{
	struct rusage usage = { 0 };

	(void)getrusage(RUSAGE_SELF, &usage);
	return usage.ru_nivcsw;
}

static bool time_lines(struct log *log, size_t count)
{
	int64_t *times = calloc(count + 1, sizeof(*times));
	int64_t own_wait = 0;
	bool good = times != NULL;

	for (size_t i = 0; good && i < count; i++) {
		long preempted = count_preempted();
		int64_t before = now_ns();

		log_info(log, "line %zu, as long as lines of a log are when they say something", i);
		times[i] = now_ns() - before;
		if (times[i] > own_wait && count_preempted() == preempted)
			own_wait = times[i];
	}
	if (good) {
		qsort(times, count, sizeof(*times), compare_times);
		good = printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", times[count / 2],
			       times[count > 0 ? count - 1 : 0], own_wait) > 0 &&
		       fflush(stdout) == 0;
	}
	free(times);
	return good;
}

enum {
	SHORTEST = 24,
	LONGEST = 9000,
	BURST = 100
};

/* The same lengths each time: one in sixteen is long. */
static size_t next_length(uint32_t *state)
{
	uint32_t random;

	*state = *state * 1664525 + 1013904223;
	random = *state >> 8;
	return SHORTEST +
	       (random % 16 == 0 ? random / 16 % (LONGEST - SHORTEST) : random / 16 % 200);
}

static bool make_numbered(struct log *log, const struct value *words)
{
	static char text[LONGEST + 32];
	const char *logger = value_as_text(value_at(words, 1), "");
	int64_t count = value_as_int(value_at(words, 2), 0);
	int64_t pause_ms = value_as_int(value_at(words, 3), 0);
	int64_t same = value_as_int(value_at(words, 4), 0);
	uint32_t state = 1;

	for (int64_t number = 0; number < count; number++) {
		int head = snprintf(text, sizeof(text), "%" PRId64 " ", number);
		size_t len = same > 0 && same <= LONGEST ? (size_t)same : next_length(&state);

		memset(text + head, 'a' + (int)(number % 26), len);
		text[(size_t)head + len] = '\0';
		log_record(log, &(struct log_record){
					.logger = logger, .level = LEVEL_INFO, .message = text });
		if ((number + 1) % BURST != 0)
			continue;
		if (printf("%" PRId64 "\n", number + 1) < 0 || fflush(stdout) != 0)
			return false;
		if (pause_ms > 0)
			(void)usleep((useconds_t)pause_ms * 1000);
	}
	return true;
}

static bool call(struct log *log, const struct value *words)
{
	const char *first = value_as_text(value_at(words, 0), "");

	if (strcmp(first, "reopen") == 0) {
		log_reopen(log);
	} else if (strcmp(first, "time") == 0) {
		return time_lines(log, (size_t)value_as_int(value_at(words, 1), 1));
	} else if (strcmp(first, "say") == 0) {
		return puts(value_as_text(value_at(words, 1), "")) >= 0 && fflush(stdout) == 0;
	} else if (strcmp(first, "numbered") == 0) {
		return make_numbered(log, words);
	} else {
		log_record(log, &(struct log_record){ .logger = first,
					.level = (int)value_as_int(value_at(words, 1), LEVEL_INFO),
					.message = value_as_text(value_at(words, 2), "") });
	}
	return true;
}

static bool call_all(struct log *log)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	bool good = true;

	while (good && (len = getline(&line, &size, stdin)) > 0) {
		struct value *words = NULL;
		struct error error;

		if (json_read(line, (size_t)len, &yaml_message_limits, &words, &error) != NC_OK) {
			(void)fprintf(stderr, "log_demo: %s: %s\n", line, error.text);
			good = false;
			break;
		}
		good = call(log, words);
		value_destroy(words);
	}
	free(line);
	return good;
}

int main(int argc, char **argv)
{
	struct config config = { 0 };
	struct error error;
	struct log *log;
	bool good;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: log_demo CONFIG NAME normal|debug|aggregator\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	if (!load(&config, argv[1], &error) ||
		log_create(&config, argv[2],
			strcmp(argv[3], "debug") == 0    ? LOG_MODE_DEBUG
			: strcmp(argv[3], "normal") == 0 ? LOG_MODE_NORMAL
							 : LOG_MODE_AGGREGATOR,
			&log, &error) != NC_OK) {
		(void)fprintf(stderr, "%s\n", error.text);
		return 8;
	}
	good = call_all(log);
	log_destroy(log);
	value_destroy(config.tree);
	free(config.directory);
	free(config.state_directory);
	return good ? 0 : 1;
}
