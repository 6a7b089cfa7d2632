/*
 * A format is parsed once into parts: literal text, or a field with its conversion. Printing follows
 * Python's `%` operator on a record's dictionary: widths count characters, `s` of a number is the number,
 * `d` of a fraction cuts it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/data/suggest.h"
#include "core/system/clock.h"
#include "core/system/log_internal.h"

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

enum {
	WIDTH_MOST = 1000,
	/* Python's repr of a float: the shortest of these that reads back the same. */
	DIGITS_LEAST = 15,
	DIGITS_MOST = 17,
};

/* --- parsing --- */

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

/* --- printing --- */

void log_print_level(int level, struct buffer *out)
{
	const char *name = log_level_name(level);

	if (name != NULL)
		buffer_append_text(out, name);
	else
		buffer_printf(out, "Level %d", level);
}

/* `2026-11-24 04:00:00` stays the same for a second, and a burst of lines. */
static void print_usual_time(time_t second, int milliseconds, struct buffer *out)
{
	static _Thread_local char text[64];
	static _Thread_local time_t text_second;
	struct tm tm;

	if (text[0] == '\0' || text_second != second) {
		if (localtime_r(&second, &tm) == NULL) {
			buffer_printf(out, "%" PRId64, (int64_t)second);
			return;
		}
		(void)snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d",
			tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			tm.tm_sec);
		text_second = second;
	}
	buffer_append_text(out, text);
	buffer_printf(out, ",%03d", milliseconds);
}

static void print_time(const char *date_format, int64_t real_ns, struct buffer *out)
{
	time_t second = (time_t)(real_ns / NS_PER_S);
	struct tm tm;

	if (date_format == NULL) {
		print_usual_time(second, (int)(real_ns % NS_PER_S / NS_PER_MS), out);
		return;
	}
	if (localtime_r(&second, &tm) == NULL) {
		buffer_printf(out, "%" PRId64, (int64_t)second);
		return;
	}
	/* strftime() says 0 for "no room" and for an empty result alike; a format of people fits. */
	if (buffer_reserve(out, 256)) {
		size_t count;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		count = strftime(out->data + out->len, 256, date_format, &tm);
#pragma GCC diagnostic pop
		out->len += count;
		out->data[out->len] = '\0';
	}
}

static double fraction_of(enum field field, const struct log_view *view)
{
	int64_t seconds = view->real_ns / NS_PER_S;
	int64_t rest_ns = view->real_ns % NS_PER_S;
	int64_t milliseconds = rest_ns / NS_PER_MS;

	if (field == FIELD_CREATED)
		return (double)seconds + (double)rest_ns / (double)NS_PER_S;
	if (field == FIELD_MSECS)
		return (double)milliseconds;
	return (double)(view->real_ns - view->start_ns) / (double)NS_PER_MS;
}

static int64_t integer_of(enum field field, const struct log_view *view)
{
	if (field == FIELD_LEVELNO)
		return view->level;
	if (field == FIELD_PROCESS)
		return view->process_id;
	if (field == FIELD_THREAD)
		return gettid();
	return 0;
}

/* As Python's repr(): the shortest digits that read back as the same number. */
static void print_fraction(double number, struct buffer *out)
{
	char text[64];

	for (int digits = DIGITS_LEAST; digits <= DIGITS_MOST; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, number);
		if (strtod(text, NULL) == number) /* exactly: that is the question */
			break;
	}
	buffer_append_text(out, text);
	if (strpbrk(text, ".e") == NULL)
		buffer_append_text(out, ".0");
}

static void print_text(const struct part *part, const struct log_format *format,
	const struct log_view *view, struct buffer *out)
{
	switch (part->field) {
	case FIELD_LITERAL:
		buffer_append_text(out, part->literal);
		break;
	case FIELD_ASCTIME:
		print_time(format->date_format, view->real_ns, out);
		break;
	case FIELD_LEVELNAME:
		log_print_level(view->level, out);
		break;
	case FIELD_NAME:
	case FIELD_LOGGER_NAME:
		buffer_append_text(out, view->logger);
		break;
	case FIELD_MESSAGE:
		buffer_append_text(out, view->message);
		break;
	case FIELD_PROCESS_NAME:
		buffer_append_text(out, view->process_name);
		break;
	case FIELD_THREAD_NAME:
		buffer_append_text(out, "MainThread");
		break;
	case FIELD_HOSTNAME:
		buffer_append_text(out, view->host);
		break;
	case FIELD_FOREIGN_TEXT:
		buffer_append_char(out, '-');
		break;
	case FIELD_LEVELNO:
	case FIELD_PROCESS:
	case FIELD_THREAD:
	case FIELD_FOREIGN_NUMBER:
		buffer_printf(out, "%" PRId64, integer_of(part->field, view));
		break;
	case FIELD_CREATED:
	case FIELD_MSECS:
	case FIELD_RELATIVE_CREATED:
		print_fraction(fraction_of(part->field, view), out);
		break;
	}
}

static void print_number(const struct part *part, const struct log_view *view, struct buffer *out)
{
	bool with_fraction = strchr("eEfFgG", part->conversion) != NULL;
	char precision[16] = "";
	char spec[48];

	if (part->precision >= 0)
		(void)snprintf(precision, sizeof(precision), ".%d", part->precision);
	(void)snprintf(spec, sizeof(spec), "%%%s%s%s%s%s%.0d%s%s%c", part->left ? "-" : "",
		part->zero ? "0" : "", part->plus ? "+" : "", part->blank ? " " : "",
		part->alternate ? "#" : "", part->width, precision, with_fraction ? "" : "j",
		part->conversion);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (with_fraction && part->kind == FIELD_IS_FRACTION)
		buffer_printf(out, spec, fraction_of(part->field, view));
	else if (with_fraction)
		buffer_printf(out, spec, (double)integer_of(part->field, view));
	else if (part->kind == FIELD_IS_FRACTION)
		buffer_printf(out, spec, (intmax_t)fraction_of(part->field, view));
	else
		buffer_printf(out, spec, (intmax_t)integer_of(part->field, view));
#pragma GCC diagnostic pop
}

/* Cut what was appended behind `from` to the precision and fill it up to the width, in characters. */
static void fit(const struct part *part, size_t from, struct buffer *out)
{
	int characters = 0;
	int missing;

	for (size_t i = from; i < out->len; i++) {
		if ((out->data[i] & 0xc0) == 0x80)
			continue;
		if (characters == part->precision) {
			out->len = i;
			out->data[i] = '\0';
			break;
		}
		characters++;
	}
	missing = part->width - characters;
	if (missing <= 0 || !buffer_reserve(out, (size_t)missing))
		return;
	if (part->left) {
		memset(out->data + out->len, ' ', (size_t)missing);
	} else {
		memmove(out->data + from + missing, out->data + from, out->len - from);
		memset(out->data + from, ' ', (size_t)missing);
	}
	out->len += (size_t)missing;
	out->data[out->len] = '\0';
}

/* `2026-11-24T04:00:00.123456+00:00`, as RFC 3339 has it. */
static void print_json_time(int64_t real_ns, struct buffer *out)
{
	time_t second = (time_t)(real_ns / NS_PER_S);
	struct tm tm;
	long minutes;

	if (localtime_r(&second, &tm) == NULL) {
		buffer_printf(out, "%" PRId64, (int64_t)second);
		return;
	}
	minutes = tm.tm_gmtoff / 60;
	buffer_printf(out, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06d%c%02ld:%02ld\"", tm.tm_year + 1900,
		tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		(int)(real_ns % NS_PER_S / 1000), minutes < 0 ? '-' : '+', labs(minutes) / 60,
		labs(minutes) % 60);
}

static void print_json(const struct log_view *view, struct buffer *out)
{
	buffer_append_text(out, "{\"time\": ");
	print_json_time(view->real_ns, out);
	buffer_append_text(out, ", \"level\": \"");
	log_print_level(view->level, out);
	buffer_append_text(out, "\", \"logger\": ");
	log_escape_json(view->logger, out);
	buffer_append_text(out, ", \"message\": ");
	log_escape_json(view->raw_message != NULL ? view->raw_message : view->message, out);
	buffer_printf(out, ", \"process\": %" PRId64 ", \"host\": ", view->process_id);
	log_escape_json(view->host, out);
	buffer_append_char(out, '}');
}

void log_format_apply(
	const struct log_format *format, const struct log_view *view, struct buffer *out)
{
	if (format->json) {
		print_json(view, out);
		return;
	}
	for (size_t i = 0; i < format->count; i++) {
		const struct part *part = &format->parts[i];
		size_t from = out->len;

		if (part->field != FIELD_LITERAL && part->conversion != 's') {
			print_number(part, view, out);
			continue;
		}
		print_text(part, format, view, out);
		if (part->width > 0 || part->precision >= 0)
			fit(part, from, out);
	}
}
