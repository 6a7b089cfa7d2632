#include "commands/log_show.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/json.h"
#include "core/data/value.h"
#include "core/system/log.h"

#define TIME_FORM "9999-99-99 99:99:99"

/* The parts of a line in the usual form. */
struct parts {
	size_t time_len; /* 0: it has no such form */
	const char *level_name;
	size_t level_len;
	int level;
	const char *logger;
	size_t logger_len;
	const char *message;
};

void log_show_init(struct log_show *show)
{
	*show = (struct log_show){ 0 };
	buffer_init(&show->prefix);
}

void log_show_finish(struct log_show *show)
{
	for (size_t i = 0; i < show->last && show->kept != NULL; i++)
		free(show->kept[i]);
	free(show->kept);
	buffer_finish(&show->prefix);
}

/* --- what a line says --- */

/* Does `text` begin with `form`, where 9 stands for a digit? */
static bool has_form(const char *text, const char *form)
{
	for (; *form != '\0'; text++, form++) {
		if (*form == '9' ? !isdigit((unsigned char)*text) : *text != *form)
			return false;
	}
	return true;
}

/* `2026-11-24 04:00:00,123 INFO [sleep] slept` */
static bool read_parts(const char *line, struct parts *parts)
{
	char level[24];
	const char *end;

	if (!has_form(line, TIME_FORM))
		return false;
	parts->time_len = strlen(TIME_FORM);
	if (line[parts->time_len] == ',' || line[parts->time_len] == '.') {
		parts->time_len++;
		while (isdigit((unsigned char)line[parts->time_len]))
			parts->time_len++;
	}
	if (line[parts->time_len] != ' ')
		return false;
	parts->level_name = line + parts->time_len + 1;
	end = strstr(parts->level_name, " [");
	if (end == NULL)
		return false;
	parts->level_len = (size_t)(end - parts->level_name);
	if (parts->level_len == 0 || parts->level_len >= sizeof(level))
		return false;
	memcpy(level, parts->level_name, parts->level_len);
	level[parts->level_len] = '\0';
	/* `Level 15` has its number behind a word. */
	if (!log_level_parse(strncmp(level, "Level ", 6) == 0 ? level + 6 : level, &parts->level))
		return false;
	parts->logger = end + 2;
	end = strstr(parts->logger, "] ");
	if (end == NULL)
		return false;
	parts->logger_len = (size_t)(end - parts->logger);
	parts->message = end + 2;
	return true;
}

static bool is_below(const struct parts *parts, const char *logger)
{
	size_t len = strlen(logger);

	return parts->logger_len >= len && strncmp(parts->logger, logger, len) == 0 &&
	       (parts->logger_len == len || parts->logger[len] == '.');
}

static bool is_wanted(const struct log_show *show, const char *line, const struct parts *parts)
{
	if (parts->level < show->level)
		return false;
	if (show->logger != NULL && !is_below(parts, show->logger))
		return false;
	if (show->since[0] != '\0' && strncmp(line, show->since, strlen(TIME_FORM)) < 0)
		return false;
	return show->text == NULL || strstr(line, show->text) != NULL;
}

/* --- how it is shown --- */

static const char *colour_of(int level)
{
	if (level >= LEVEL_ERROR)
		return "\033[31m";
	if (level >= LEVEL_WARNING)
		return "\033[33m";
	return level < LEVEL_INFO ? "\033[2m" : NULL;
}

static void print_line(struct log_show *show, const char *line, size_t len,
	const struct parts *parts, struct buffer *out)
{
	const char *colour = show->colour && parts != NULL ? colour_of(parts->level) : NULL;

	if (colour != NULL)
		buffer_append_text(out, colour);
	buffer_append(out, line, len);
	if (colour != NULL)
		buffer_append_text(out, "\033[0m");
	buffer_append_char(out, '\n');
}

static bool put_part(struct value *map, const char *key, const char *text, size_t len)
{
	char *copy = strndup(text, len);
	bool good = copy != NULL && value_map_put(map, key, value_text(copy)) == NC_OK;

	free(copy);
	return good;
}

/* One object; of a line that belongs to the one before, with its time, level and logger. */
static void print_json(
	struct log_show *show, const char *line, const struct parts *parts, struct buffer *out)
{
	struct value *map = value_map();
	const char *message = parts != NULL ? parts->message : line;
	bool good = map != NULL;

	if (parts != NULL) {
		buffer_clear(&show->prefix);
		good = good && put_part(map, "time", line, parts->time_len) &&
		       put_part(map, "level", parts->level_name, parts->level_len) &&
		       put_part(map, "logger", parts->logger, parts->logger_len);
		if (good)
			json_write(map, 0, &show->prefix);
	} else if (show->prefix.len > 0) {
		value_destroy(map);
		map = NULL;
		good = json_read(show->prefix.data, show->prefix.len, &yaml_message_limits, &map,
			       NULL) == NC_OK;
	}
	good = good && value_map_put(map, "message", value_text(message)) == NC_OK;
	if (good) {
		json_write(map, 0, out);
		buffer_append_char(out, '\n');
	}
	out->failed = out->failed || !good;
	value_destroy(map);
}

static void put_out(struct log_show *show, const char *text, size_t len)
{
	if (fwrite(text, 1, len, stdout) != len)
		show->failed = true;
}

static void put(struct log_show *show, struct buffer *out)
{
	char **place;

	if (out->failed) {
		show->failed = true;
		return;
	}
	if (show->last == 0) {
		put_out(show, out->data, out->len);
		return;
	}
	if (show->kept == NULL)
		show->kept = calloc(show->last, sizeof(*show->kept));
	if (show->kept == NULL) {
		show->failed = true;
		return;
	}
	place = &show->kept[show->kept_count++ % show->last];
	free(*place);
	*place = buffer_steal(out);
	show->failed = show->failed || *place == NULL;
}

void log_show_line(struct log_show *show, const char *line, size_t len)
{
	struct parts parts;
	bool has_parts = read_parts(line, &parts);
	struct buffer out;

	/* What has no time of its own belongs to the line before; the first one may be its rest. */
	if (has_parts)
		show->shown = is_wanted(show, line, &parts);
	if (!show->shown)
		return;
	buffer_init(&out);
	if (show->json)
		print_json(show, line, has_parts ? &parts : NULL, &out);
	else
		print_line(show, line, len, has_parts ? &parts : NULL, &out);
	put(show, &out);
	buffer_finish(&out);
}

void log_show_flush(struct log_show *show)
{
	size_t first = show->kept_count > show->last ? show->kept_count - show->last : 0;

	for (size_t i = first; i < show->kept_count && show->kept != NULL; i++) {
		const char *text = show->kept[i % show->last];

		if (text != NULL)
			put_out(show, text, strlen(text));
	}
	for (size_t i = 0; i < show->last && show->kept != NULL; i++)
		free(show->kept[i]);
	free(show->kept);
	show->kept = NULL;
	show->kept_count = show->last = 0;
	if (fflush(stdout) != 0)
		show->failed = true;
}
