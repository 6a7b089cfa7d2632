/* A log format as it was parsed (log_format.c), for who prints by it (log_format_print.c). */
#ifndef NOWCAST_CORE_SYSTEM_LOG_FORMAT_INTERNAL_H
#define NOWCAST_CORE_SYSTEM_LOG_FORMAT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

enum field {
	FIELD_LITERAL,
	FIELD_ASCTIME,
	FIELD_LEVELNAME,
	FIELD_LEVELNO,
	FIELD_NAME,
	FIELD_LOGGER_NAME,
	FIELD_MESSAGE,
	FIELD_PROCESS,
	FIELD_PROCESS_NAME,
	FIELD_THREAD,
	FIELD_THREAD_NAME,
	FIELD_HOSTNAME,
	FIELD_CREATED,
	FIELD_MSECS,
	FIELD_RELATIVE_CREATED,
	FIELD_FOREIGN_TEXT,
	FIELD_FOREIGN_NUMBER,
};

enum field_kind {
	FIELD_IS_TEXT,
	FIELD_IS_INTEGER,
	FIELD_IS_FRACTION,
};

struct part {
	enum field field;
	enum field_kind kind;
	char conversion; /* as in the format: s d i u x X o e E f F g G */
	bool left, zero, plus, blank, alternate;
	int width;
	int precision; /* -1: none */
	char *literal;
};

struct log_format {
	struct part *parts;
	size_t count;
	char *date_format;
	bool json;
};

#endif
