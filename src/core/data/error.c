#include "core/data/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/data/utf8.h"

__attribute__((format(printf, 6, 0))) static void fill(struct error *error, enum nc_err code,
	int sys_errno, unsigned line, unsigned column, const char *format, va_list arguments)
{
	if (error == NULL)
		return;
	error->code = code;
	error->sys_errno = sys_errno;
	error->line = line;
	error->column = column;
	if (vsnprintf(error->text, sizeof(error->text), format, arguments) < 0)
		error->text[0] = '\0';
	/* It quotes what others wrote, and may have cut a character: a reply or a log takes one line of UTF-8. */
	utf8_make_line(error->text);
}

enum nc_err error_set(struct error *error, enum nc_err code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fill(error, code, 0, 0, 0, format, arguments);
	va_end(arguments);
	return code;
}

enum nc_err error_at(struct error *error, enum nc_err code, unsigned line, unsigned column,
	const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fill(error, code, 0, line, column, format, arguments);
	va_end(arguments);
	return code;
}

enum nc_err error_errno(struct error *error, int sys_errno, const char *format, ...)
{
	va_list arguments;
	size_t used;

	va_start(arguments, format);
	fill(error, NC_ERR_SYSTEM, sys_errno, 0, 0, format, arguments);
	va_end(arguments);
	if (error == NULL)
		return NC_ERR_SYSTEM;
	used = strlen(error->text);
	/* A text that is cut here still says what was tried. */
	(void)snprintf(error->text + used, sizeof(error->text) - used, ": %s", strerror(sys_errno));
	return NC_ERR_SYSTEM;
}
