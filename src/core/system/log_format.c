/*
 * A format of Python's `%` style, parsed once into parts: literal text, or a field with its conversion.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/system/log_format_internal.h"
#include "core/system/log_internal.h"

static const struct field_name {
	const char *name;
	enum field field;
	enum field_kind kind;
} field_names[] = {
	{ "asctime", FIELD_ASCTIME, FIELD_IS_TEXT },
	{ "levelname", FIELD_LEVELNAME, FIELD_IS_TEXT },
	{ "levelno", FIELD_LEVELNO, FIELD_IS_INTEGER },
	{ "name", FIELD_NAME, FIELD_IS_TEXT },
	{ "logger_name", FIELD_LOGGER_NAME, FIELD_IS_TEXT },
	{ "message", FIELD_MESSAGE, FIELD_IS_TEXT },
	{ "process", FIELD_PROCESS, FIELD_IS_INTEGER },
	{ "processName", FIELD_PROCESS_NAME, FIELD_IS_TEXT },
	{ "thread", FIELD_THREAD, FIELD_IS_INTEGER },
	{ "threadName", FIELD_THREAD_NAME, FIELD_IS_TEXT },
	{ "hostname", FIELD_HOSTNAME, FIELD_IS_TEXT },
	{ "created", FIELD_CREATED, FIELD_IS_FRACTION },
	{ "msecs", FIELD_MSECS, FIELD_IS_FRACTION },
	{ "relativeCreated", FIELD_RELATIVE_CREATED, FIELD_IS_FRACTION },
	/* A C program has no Python frames, and its workers may be in any language. */
	{ "pathname", FIELD_FOREIGN_TEXT, FIELD_IS_TEXT },
	{ "filename", FIELD_FOREIGN_TEXT, FIELD_IS_TEXT },
	{ "module", FIELD_FOREIGN_TEXT, FIELD_IS_TEXT },
	{ "funcName", FIELD_FOREIGN_TEXT, FIELD_IS_TEXT },
	{ "lineno", FIELD_FOREIGN_NUMBER, FIELD_IS_INTEGER },
	{ "taskName", FIELD_FOREIGN_TEXT, FIELD_IS_TEXT },
};

enum {
	WIDTH_MOST = 1000,
};

static struct part *add_part(struct log_format *format)
{
	struct part *parts = reallocarray(format->parts, format->count + 1, sizeof(*parts));

	if (parts == NULL)
		return NULL;
	format->parts = parts;
	parts[format->count] = (struct part){ .precision = -1 };
	return &parts[format->count++];
}

static enum nc_err add_literal(
	struct log_format *format, const char *text, size_t len, struct error *error)
{
	struct part *part;

	if (len == 0)
		return NC_OK;
	part = add_part(format);
	if (part == NULL)
		return error_nomem(error);
	part->literal = strndup(text, len);
	return part->literal != NULL ? NC_OK : error_nomem(error);
}

static const struct field_name *find_field(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(field_names); i++) {
		if (strlen(field_names[i].name) == len &&
			strncmp(field_names[i].name, name, len) == 0)
			return &field_names[i];
	}
	return NULL;
}

static enum nc_err unknown_field(const char *name, size_t len, struct error *error)
{
	const char *names[ARRAY_LEN(field_names)];
	const char *nearest;
	char typed[64];

	for (size_t i = 0; i < ARRAY_LEN(field_names); i++)
		names[i] = field_names[i].name;
	(void)snprintf(typed, sizeof(typed), "%.*s", (int)(len < 60 ? len : 60), name);
	nearest = suggest(typed, names, ARRAY_LEN(names));
	if (nearest != NULL)
		return error_set(error, NC_ERR_INVALID,
			"there is no field %%(%s) in a log record; did you mean %%(%s)?", typed,
			nearest);
	return error_set(error, NC_ERR_INVALID,
		"there is no field %%(%s) in a log record; there are asctime, levelname, levelno, "
		"name, logger_name, message, process, processName, threadName, hostname, created, "
		"msecs",
		typed);
}

/* Digits at *text, which is moved behind them. */
static int read_number(const char **text)
{
	int number = 0;

	while (**text >= '0' && **text <= '9') {
		if (number <= WIDTH_MOST)
			number = number * 10 + (**text - '0');
		(*text)++;
	}
	return number;
}

static void read_flags(const char **text, struct part *part)
{
	for (;; (*text)++) {
		switch (**text) {
		case '-':
			part->left = true;
			break;
		case '0':
			part->zero = true;
			break;
		case '+':
			part->plus = true;
			break;
		case ' ':
			part->blank = true;
			break;
		case '#':
			part->alternate = true;
			break;
		default:
			return;
		}
	}
}

/* Behind `%(name)`: flags, width, precision, conversion. */
static enum nc_err read_conversion(
	const char **text, const char *name, struct part *part, struct error *error)
{
	read_flags(text, part);
	part->width = read_number(text);
	if (**text == '.') {
		(*text)++;
		part->precision = read_number(text);
	}
	if (part->width > WIDTH_MOST || part->precision > WIDTH_MOST)
		return error_set(error, NC_ERR_INVALID, "the width of %%(%s) is over %d characters",
			name, WIDTH_MOST);
	while (**text == 'l' || **text == 'h' || **text == 'L')
		(*text)++; /* allowed by Python, without a meaning */
	part->conversion = **text;
	if (part->conversion == '\0')
		return error_set(error, NC_ERR_INVALID,
			"%%(%s) ends without a conversion; write %%(%s)%c", name, name,
			part->kind == FIELD_IS_INTEGER ? 'd' : 's');
	(*text)++;
	if (part->conversion == 's')
		return NC_OK;
	/* Python writes 0o17 for `#o`, C 017. */
	if (strchr("diuxXoeEfFgG", part->conversion) == NULL ||
		(part->alternate && part->conversion == 'o'))
		return error_set(error, NC_ERR_INVALID,
			"%%(%s)%c is not a conversion for log lines; write %%(%s)%c", name,
			part->conversion, name, part->kind == FIELD_IS_INTEGER ? 'd' : 's');
	if (part->kind == FIELD_IS_TEXT)
		return error_set(error, NC_ERR_INVALID,
			"%%(%s)%c asks for a number, and the field is a text; write %%(%s)s", name,
			part->conversion, name);
	if (part->kind == FIELD_IS_FRACTION && strchr("xXo", part->conversion) != NULL)
		return error_set(error, NC_ERR_INVALID,
			"%%(%s)%c asks for a whole number, and the field has a fraction; write "
			"%%(%s)d or %%(%s)f",
			name, part->conversion, name, name);
	return NC_OK;
}

/* *text is at the `(`. */
static enum nc_err read_field(
	struct log_format *format, const char **text, const char **ret_foreign, struct error *error)
{
	const char *name = *text + 1;
	const char *end = strchr(name, ')');
	const struct field_name *field;
	struct part *part;

	if (end == NULL)
		return error_set(error, NC_ERR_INVALID, "a %%( has no closing parenthesis");
	field = find_field(name, (size_t)(end - name));
	if (field == NULL)
		return unknown_field(name, (size_t)(end - name), error);
	if (field->field >= FIELD_FOREIGN_TEXT && *ret_foreign == NULL)
		*ret_foreign = field->name;
	part = add_part(format);
	if (part == NULL)
		return error_nomem(error);
	part->field = field->field;
	part->kind = field->kind;
	*text = end + 1;
	return read_conversion(text, field->name, part, error);
}

static enum nc_err parse(
	struct log_format *format, const char *text, const char **ret_foreign, struct error *error)
{
	for (;;) {
		const char *percent = strchrnul(text, '%');
		enum nc_err err = add_literal(format, text, (size_t)(percent - text), error);

		if (err != NC_OK || *percent == '\0')
			return err;
		text = percent + 1;
		if (*text == '%') {
			text++;
			err = add_literal(format, "%", 1, error);
		} else if (*text == '(') {
			err = read_field(format, &text, ret_foreign, error);
		} else {
			err = error_set(error, NC_ERR_INVALID,
				"a %% in a log format is followed by (name) and a conversion, as "
				"in %%(message)s; write %%%% for a percent sign");
		}
		if (err != NC_OK)
			return err;
	}
}

enum nc_err log_format_create(const char *text, const char *date_format,
	struct log_format **ret_format, const char **ret_foreign, struct error *error)
{
	struct log_format *format = calloc(1, sizeof(*format));
	const char *foreign = NULL;
	enum nc_err err = NC_ERR_NOMEM;

	if (format == NULL)
		return error_nomem(error);
	if (date_format != NULL) {
		format->date_format = strdup(date_format);
		if (format->date_format == NULL) {
			error_nomem(error);
			goto fail;
		}
	}
	err = parse(format, text, &foreign, error);
	if (err != NC_OK)
		goto fail;
	if (ret_foreign != NULL)
		*ret_foreign = foreign;
	*ret_format = format;
	return NC_OK;
fail:
	log_format_destroy(format);
	return err;
}

enum nc_err log_format_create_json(struct log_format **ret_format, struct error *error)
{
	struct log_format *format = calloc(1, sizeof(*format));

	if (format == NULL)
		return error_nomem(error);
	format->json = true;
	*ret_format = format;
	return NC_OK;
}

void log_format_destroy(struct log_format *format)
{
	if (format == NULL)
		return;
	for (size_t i = 0; i < format->count; i++)
		free(format->parts[i].literal);
	free(format->parts);
	free(format->date_format);
	free(format);
}
