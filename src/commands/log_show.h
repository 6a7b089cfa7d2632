/* Lines of a log as `nowcast log` shows them: which ones, and how. */
#ifndef NOWCAST_COMMANDS_LOG_SHOW_H
#define NOWCAST_COMMANDS_LOG_SHOW_H

#include <stdbool.h>
#include <stddef.h>

#include "core/data/buffer.h"

struct log_show {
	const char *logger; /* and those below it; NULL: all */
	int level;          /* and above */
	char since[24];     /* `2026-11-24 04:00:00`, local time; "": all */
	const char *text;   /* that the line contains; NULL: any */
	bool json;
	bool colour;
	size_t last; /* only so many at the end, by log_show_flush(); 0: all, at once */

	/* The module's. */
	bool shown;           /* the line before was: what belongs to it is, too */
	struct buffer prefix; /* its time, level and logger as JSON */
	char **kept;          /* a ring of `last` */
	size_t kept_count;
	bool failed; /* standard output is closed or full, or memory has run out */
};

void log_show_init(struct log_show *show);
void log_show_finish(struct log_show *show);

/* A line, or nothing of it. */
void log_show_line(struct log_show *show, const char *line, size_t len);
/* Show the last lines that were kept, and from here on all at once; what was shown goes out. */
void log_show_flush(struct log_show *show);

#endif
