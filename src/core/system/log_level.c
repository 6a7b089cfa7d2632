/* The names of levels. */
#include <strings.h>

#include "core/data/value.h"
#include "core/system/log_internal.h"

static const struct level_name {
	const char *name;
	int level;
} level_names[] = {
	{ "NOTSET", LEVEL_NOTSET },
	{ "DEBUG", LEVEL_DEBUG },
	{ "INFO", LEVEL_INFO },
	{ "WARNING", LEVEL_WARNING },
	{ "ERROR", LEVEL_ERROR },
	{ "CRITICAL", LEVEL_CRITICAL },
	/* What Python also takes; the first name of a number is the one that is shown. */
	{ "WARN", LEVEL_WARNING },
	{ "FATAL", LEVEL_CRITICAL },
};

const char *log_level_name(int level)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (level_names[i].level == level)
			return level_names[i].name;
	}
	return NULL;
}

bool log_level_parse(const char *text, int *ret_level)
{
	int64_t number;

	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcasecmp(level_names[i].name, text) == 0) {
			*ret_level = level_names[i].level;
			return true;
		}
	}
	if (!text_to_int64(text, &number) || number < 0 || number > LEVEL_MOST)
		return false;
	*ret_level = (int)number;
	return true;
}

void log_print_level(int level, struct buffer *out)
{
	const char *name = log_level_name(level);

	if (name != NULL)
		buffer_append_text(out, name);
	else
		buffer_printf(out, "Level %d", level);
}
