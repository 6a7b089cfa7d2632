/*
 * Printing follows Python's `%` operator on a record's dictionary: widths count characters, `s` of a number is
 * the number, `d` of a fraction cuts it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/log_format_internal.h"
#include "core/system/log_internal.h"

enum {
	/* Python's repr of a float: the shortest of these that reads back the same. */
	DIGITS_LEAST = 15,
	DIGITS_MOST = 17,
};

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
