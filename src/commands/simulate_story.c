/* The rehearsal told: to people line by line, to programs as one JSON object. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "commands/simulate_internal.h"
#include "core/data/json.h"
#include "core/system/clock.h"
#include "core/system/file.h"
#include "core/system/log.h"

#define INDENT "            "

/* --- words --- */

/* Outside text, that a terminal must not obey. */
static void append(struct buffer *out, const char *before, const char *text)
{
	buffer_append_text(out, before);
	cli_append_safe(out, text);
}

static void append_command(
	struct buffer *out, const char *worker, char *const *arguments, size_t count)
{
	cli_append_safe(out, worker);
	for (size_t i = 0; i < count; i++)
		append(out, " ", arguments[i]);
}

/* The brain says `success of sleep, rule on line 3`; 0: no rule. */
static int64_t line_of(const char *why)
{
	static const char words[] = "rule on line ";
	const char *at = strstr(why, words);
	int64_t line = 0;

	return at != NULL && text_to_int64(at + strlen(words), &line) ? line : 0;
}

/* What the daemon would log, and is no part of the story: what stands in it already. */
static bool is_told(const struct brain_note *note)
{
	static const char *const left_out[] = { "checklist updated with ",
		"writing checklist to log file", "received message from " };

	if (note->level < LEVEL_INFO || note->block || note->logger != NULL)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(left_out); i++)
		if (strncmp(note->text, left_out[i], strlen(left_out[i])) == 0)
			return false;
	return true;
}

static void print_time(int64_t at_ns, char text[16])
{
	time_t seconds = (time_t)(at_ns / NS_PER_S);
	struct tm parts = { 0 };

	if (localtime_r(&seconds, &parts) == NULL || strftime(text, 16, "%H:%M:%S", &parts) == 0)
		(void)snprintf(text, 16, "--:--:--");
}

/* What happened, without what followed. */
static void append_event(struct buffer *out, const struct day_event *event)
{
	if (event->kind == DAY_GIVE_UP) {
		buffer_append_text(out, "nothing is under way, and time passes");
		return;
	}
	if (event->kind == DAY_DECIDED) {
		append(out, "the program ", event->worker);
		buffer_append_text(
			out, " would decide now; it is not run, and is taken to say nothing");
		return;
	}
	if (event->kind == DAY_DUE)
		buffer_append_text(out, "the clock launches ");
	append_command(out, event->worker, event->arguments, event->arguments_count);
	if (event->kind == DAY_DUE)
		return;
	if (event->host != NULL && strcmp(event->host, "localhost") != 0)
		append(out, " on ", event->host);
	append(out, " reports ", event->report.type);
	if (event->report.reason != NULL)
		append(out, ", ", event->report.reason);
	else if (event->report.guessed)
		buffer_append_text(out, " (a guess: its arguments do not say which success it is; "
					"name one in --payloads)");
}

/* --- for people --- */

static void append_launches(
	const struct story *story, const struct day_event *event, struct buffer *out)
{
	const char *file = path_base(story->config->rules_file);

	for (size_t i = 0; i < event->t.launches_count; i++) {
		const struct brain_launch *launch = &event->t.launches[i];
		int64_t line = line_of(launch->why);

		buffer_append_text(out, INDENT "-> ");
		append_command(out, launch->worker, launch->arguments, launch->arguments_count);
		if (strcmp(launch->host, "localhost") != 0)
			append(out, " on ", launch->host);
		if (line > 0)
			buffer_printf(out, "  (%s:%" PRId64 ")\n", file, line);
		else
			buffer_append_char(out, '\n');
	}
}

/* How many of the notes from `at` on say the same? */
static size_t count_same(const struct transaction *t, size_t at)
{
	size_t count = 1;

	while (at + count < t->notes_count &&
		strcmp(t->notes[at + count].text, t->notes[at].text) == 0)
		count++;
	return count;
}

static void append_notes(const struct day_event *event, struct buffer *out)
{
	size_t same;

	for (size_t i = 0; i < event->t.notes_count; i += same) {
		const struct brain_note *note = &event->t.notes[i];
		const char *level = log_level_name(note->level);

		same = count_same(&event->t, i);
		if (!is_told(note))
			continue;
		buffer_append_text(out, INDENT);
		if (note->level > LEVEL_INFO)
			buffer_printf(out, "%s: ", level != NULL ? level : "?");
		append(out, "", note->text);
		if (same > 1)
			buffer_printf(out, " (%zu times)", same);
		buffer_append_char(out, '\n');
	}
}

static void append_list(struct buffer *out, const char *title, const struct value *list)
{
	for (size_t i = 0; i < value_count(list); i++)
		append(out, i == 0 ? title : ", ", value_as_text(value_at(list, i), ""));
}

static void append_groups(const struct value *groups, const char *before, struct buffer *out)
{
	for (size_t i = 0; i < value_count(groups); i++) {
		const struct value *group = value_at(groups, i);

		append(out, before, value_as_text(value_map_get(group, "rule"), ""));
		append_list(out, " waits for ", value_map_get(group, "waits for"));
		append_list(out, "; it holds ", value_map_get(group, "holds"));
		buffer_append_char(out, '\n');
	}
}

static void tell_people(struct story *story, const struct day_event *event,
	const struct value *groups, struct buffer *out)
{
	struct date date = date_local(event->at_ns);
	char text[DATE_TEXT_SIZE], at[16];

	if (date_compare(date, story->date) != 0)
		buffer_printf(out, "%s\n", date_print(date, text));
	story->date = date;
	print_time(event->at_ns, at);
	buffer_printf(out, "%s  ", at);
	append_event(out, event);
	buffer_append_char(out, '\n');
	append_launches(story, event, out);
	append_notes(event, out);
	append_groups(groups, INDENT "|| ", out);
}

/* --- for programs --- */

static bool put_text(struct value *map, const char *key, const char *text)
{
	return value_map_put(map, key, text != NULL ? value_text(text) : value_null()) == NC_OK;
}

static bool put_arguments(struct value *map, const char *key, char *const *arguments, size_t count)
{
	struct value *list = value_list();
	bool well = true;

	for (size_t i = 0; i < count; i++)
		well = value_list_append(list, value_text(arguments[i])) == NC_OK && well;
	return value_map_put(map, key, list) == NC_OK && well;
}

static bool put_launches(struct value *map, const struct transaction *t)
{
	struct value *list = value_list();
	bool well = true;

	for (size_t i = 0; i < t->launches_count; i++) {
		const struct brain_launch *launch = &t->launches[i];
		int64_t line = line_of(launch->why);
		struct value *one = value_map();

		well = put_text(one, "worker", launch->worker) &&
		       put_arguments(one, "args", launch->arguments, launch->arguments_count) &&
		       put_text(one, "host", launch->host) && put_text(one, "why", launch->why) &&
		       value_map_put(one, "line", line > 0 ? value_int(line) : value_null()) ==
			       NC_OK &&
		       well;
		well = value_list_append(list, one) == NC_OK && well;
	}
	return value_map_put(map, "launches", list) == NC_OK && well;
}

static bool put_notes(struct value *map, const struct transaction *t)
{
	struct value *list = value_list();
	bool well = true;

	for (size_t i = 0; i < t->notes_count; i++) {
		struct value *one;

		if (!is_told(&t->notes[i]))
			continue;
		one = value_map();
		well = put_text(one, "level", log_level_name(t->notes[i].level)) &&
		       put_text(one, "text", t->notes[i].text) && well;
		well = value_list_append(list, one) == NC_OK && well;
	}
	return value_map_put(map, "notes", list) == NC_OK && well;
}

static bool tell_programs(
	struct story *story, const struct day_event *event, const struct value *groups)
{
	static const char *const kinds[DAY_KIND_COUNT] = {
		[DAY_MESSAGE] = "message",
		[DAY_DUE] = "due",
		[DAY_GIVE_UP] = "time passes",
		[DAY_DECIDED] = "program",
	};
	struct value *map = value_map();
	char date[DATE_TEXT_SIZE], at[16];
	bool well;

	print_time(event->at_ns, at);
	well = value_map_put(map, "at",
		       value_text_printf(
			       "%s %s", date_print(date_local(event->at_ns), date), at)) == NC_OK &&
	       put_text(map, "what", kinds[event->kind]) &&
	       put_text(map, "worker", event->worker) &&
	       put_arguments(map, "args", event->arguments, event->arguments_count) &&
	       put_text(map, "host", event->host) && put_text(map, "type", event->report.type) &&
	       value_map_put(map, "guessed", value_bool(event->report.guessed)) == NC_OK &&
	       put_launches(map, &event->t) && put_notes(map, &event->t) &&
	       value_map_put(map, "groups", groups != NULL ? value_copy(groups) : value_null()) ==
		       NC_OK;
	if (well)
		return value_list_append(story->events, map) == NC_OK;
	value_destroy(map);
	return false;
}

bool story_tell(struct story *story, const struct day_event *event, const struct value *groups,
	struct buffer *out)
{
	story->at_ns = event->at_ns;
	if (event->kind == DAY_MESSAGE)
		(void)snprintf(story->last, sizeof(story->last), "%s: %s", event->worker,
			event->report.type);
	if (story->events != NULL)
		return tell_programs(story, event, groups);
	tell_people(story, event, groups, out);
	return !out->failed;
}

/* --- the end --- */

size_t story_rule_errors(const struct value *status)
{
	const struct value *alarms = value_map_get(status, "alarms");
	size_t count = 0;

	for (size_t i = 0; i < value_count(alarms); i++)
		count += strcmp(value_as_text(value_map_get(value_at(alarms, i), "kind"), ""),
				 "rule error") == 0;
	return count;
}

/* Those that go round and round: each has sent a tenth of all messages. */
static void append_busiest(const struct config *config, const struct day *day, struct buffer *out)
{
	const char *between = " Most of them were of ";

	for (unsigned i = 0; i < config->workers_count; i++) {
		if (day_runs(day, i) * 10 < day_messages(day) || day_runs(day, i) == 0)
			continue;
		append(out, between, config->workers[i].name);
		buffer_printf(out, " (%" PRId64 ")", day_runs(day, i));
		between = ", ";
	}
	buffer_append_char(out, '.');
}

static void append_end(const struct story *story, const struct day *day, enum day_result result,
	struct buffer *out)
{
	char at[16];

	print_time(story->at_ns, at);
	if (result == DAY_ENDLESS) {
		buffer_printf(out,
			"\nThis has no end: after %" PRId64 " messages %" PRId64
			" are still under way.",
			day_messages(day), day_under_way(day));
		append_busiest(story->config, day, out);
	} else {
		buffer_printf(out,
			"\nThe day is over at %s, after %" PRId64
			" messages: nothing is under way any more.",
			at, day_messages(day));
	}
	if (story->last[0] != '\0')
		append(out, " The last was ", story->last);
	buffer_append_text(out, "\n");
}

static void append_never(
	const struct config *config, const struct day *day, unsigned width, struct buffer *out)
{
	struct buffer names;

	buffer_init(&names);
	for (unsigned i = 0; i < config->workers_count; i++)
		if (day_runs(day, i) == 0)
			append(&names, names.len > 0 ? ", " : "", config->workers[i].name);
	if (names.len > 0) {
		buffer_append_text(out, "Never ran: ");
		cli_wrap(names.data, 4, 11, width, out);
	}
	out->failed = out->failed || names.failed;
	buffer_finish(&names);
}

static bool end_for_programs(struct story *story, const struct day *day, enum day_result result,
	const struct value *status, struct buffer *out)
{
	struct value *map = value_map(), *never = value_list();
	const struct value *groups = value_map_get(status, "groups");
	bool well = true;

	for (unsigned i = 0; i < story->config->workers_count; i++)
		if (day_runs(day, i) == 0)
			well = value_list_append(never,
				       value_text(story->config->workers[i].name)) == NC_OK &&
			       well;
	well = value_map_put(map, "events", story->events) == NC_OK && well;
	story->events = NULL;
	well = value_map_put(map, "end", value_text(result == DAY_ENDLESS ? "endless" : "quiet")) ==
		       NC_OK &&
	       value_map_put(map, "messages", value_int(day_messages(day))) == NC_OK && well;
	well = value_map_put(map, "waiting", groups != NULL ? value_copy(groups) : value_list()) ==
		       NC_OK &&
	       well;
	well = value_map_put(map, "never ran", never) == NC_OK && well;
	well = value_map_put(map, "rule errors", value_int((int64_t)story_rule_errors(status))) ==
		       NC_OK &&
	       well;
	if (well)
		json_write(map, JSON_WRITE_INDENT, out);
	buffer_append_char(out, '\n');
	value_destroy(map);
	return well && !out->failed;
}

bool story_end(struct story *story, const struct day *day, enum day_result result,
	const struct value *status, struct buffer *out)
{
	size_t errors = story_rule_errors(status);

	if (story->events != NULL)
		return end_for_programs(story, day, result, status, out);
	append_end(story, day, result, out);
	append_groups(value_map_get(status, "groups"), "Still waiting: ", out);
	append_never(story->config, day, story->width, out);
	if (errors > 0)
		buffer_printf(out,
			"Rules failed after %zu message%s, which then launched nothing; what they "
			"look for in payloads is given by --payloads.\n",
			errors, errors == 1 ? "" : "s");
	return !out->failed;
}
