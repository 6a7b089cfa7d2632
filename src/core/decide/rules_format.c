/*
 * Formats of dates: `YYYY-MM-DD`, `DDMMMYY`. A run of one of the letters Y, M and D is a part of the date when
 * the table has it; all else is text as it is.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/decide/rules_internal.h"

enum part {
	PART_YEAR,
	PART_SHORT_YEAR,
	PART_MONTH,
	PART_SHORT_NAME,
	PART_NAME,
	PART_DAY,
	PART_DAY_OF_YEAR,
	PART_COUNT
};

static const char *const part_letters[PART_COUNT] = {
	[PART_YEAR] = "YYYY",
	[PART_SHORT_YEAR] = "YY",
	[PART_MONTH] = "MM",
	[PART_SHORT_NAME] = "MMM",
	[PART_NAME] = "MMMM",
	[PART_DAY] = "DD",
	[PART_DAY_OF_YEAR] = "DDDD",
};

static const char *const month_names[] = { "January", "February", "March", "April", "May", "June",
	"July", "August", "September", "October", "November", "December" };

enum {
	SHORT_NAME = 3,
	CENTURY_FROM = 69, /* as in strptime(): 69 is 1969, 68 is 2068 */
};

/* The run of one letter at `text`, when it is one of the three; else 0. */
static size_t run_length(const char *text)
{
	size_t len = 0;

	if (text[0] != 'Y' && text[0] != 'M' && text[0] != 'D')
		return 0;
	while (text[len] == text[0])
		len++;
	return len;
}

/* PART_COUNT: the run is none. */
static enum part part_of(const char *text, size_t run)
{
	int part = 0;

	while (part < PART_COUNT &&
		(strlen(part_letters[part]) != run || strncmp(part_letters[part], text, run) != 0))
		part++;
	return (enum part)part;
}

enum format_problem format_judge(const char *format, bool for_reading)
{
	bool has[PART_COUNT] = { false };
	bool any = false;

	while (*format != '\0') {
		size_t run = run_length(format);
		enum part part = part_of(format, run);

		if (run > 1 && part == PART_COUNT)
			return FORMAT_LETTERS;
		if (run > 1)
			any = has[part] = true;
		format += run > 0 ? run : 1;
	}
	if (!any)
		return FORMAT_NOTHING;
	if (for_reading &&
		((!has[PART_YEAR] && !has[PART_SHORT_YEAR]) ||
			(!has[PART_DAY_OF_YEAR] &&
				(!has[PART_DAY] || (!has[PART_MONTH] && !has[PART_SHORT_NAME] &&
							   !has[PART_NAME])))))
		return FORMAT_NO_DAY;
	return FORMAT_GOOD;
}

static int day_of_year(struct date date)
{
	return (int)(date_to_day_number(date) -
		       date_to_day_number((struct date){ date.year, 1, 1 })) +
	       1;
}

static void print_part(enum part part, struct date date, struct buffer *out)
{
	switch (part) {
	case PART_YEAR:
		buffer_printf(out, "%04d", date.year);
		break;
	case PART_SHORT_YEAR:
		buffer_printf(out, "%02d", date.year % 100);
		break;
	case PART_MONTH:
		buffer_printf(out, "%02d", date.month);
		break;
	case PART_SHORT_NAME:
		buffer_append(out, month_names[date.month - 1], SHORT_NAME);
		break;
	case PART_NAME:
		buffer_append_text(out, month_names[date.month - 1]);
		break;
	case PART_DAY:
		buffer_printf(out, "%02d", date.day);
		break;
	case PART_DAY_OF_YEAR:
		buffer_printf(out, "%03d", day_of_year(date));
		break;
	case PART_COUNT:
		break;
	}
}

void format_print(const char *format, struct date date, struct buffer *out)
{
	while (*format != '\0') {
		size_t run = run_length(format);
		enum part part = part_of(format, run);

		if (run > 0 && part != PART_COUNT)
			print_part(part, date, out);
		else
			buffer_append(out, format, run > 0 ? run : 1);
		format += run > 0 ? run : 1;
	}
}

/* --- reading --- */

struct reading {
	int year, month, day, day_of_year; /* 0: not read */
	bool contradicts;                  /* a part came twice, and not the same */
};

static void set_part(struct reading *reading, int *part, int number)
{
	/* No month and no day is 0: it is an impossible date, which -1 stays. */
	if (number == 0)
		number = -1;
	if (*part != 0 && *part != number)
		reading->contradicts = true;
	*part = number;
}

static bool read_digits(const char **text, int count, int *ret_number)
{
	int number = 0;

	for (int i = 0; i < count; i++, (*text)++) {
		if (**text < '0' || **text > '9')
			return false;
		number = 10 * number + (**text - '0');
	}
	*ret_number = number;
	return true;
}

static bool read_month_name(const char **text, bool whole, int *ret_month)
{
	for (int i = 0; i < (int)ARRAY_LEN(month_names); i++) {
		size_t len = whole ? strlen(month_names[i]) : SHORT_NAME;

		if (strncasecmp(*text, month_names[i], len) == 0) {
			*text += len;
			*ret_month = i + 1;
			return true;
		}
	}
	return false;
}

static bool read_part(enum part part, const char **text, struct reading *reading)
{
	int number = 0;

	switch (part) {
	case PART_YEAR:
		if (!read_digits(text, 4, &number))
			return false;
		set_part(reading, &reading->year, number);
		return true;
	case PART_SHORT_YEAR:
		if (!read_digits(text, 2, &number))
			return false;
		set_part(reading, &reading->year, number + (number < CENTURY_FROM ? 2000 : 1900));
		return true;
	case PART_SHORT_NAME:
	case PART_NAME:
		if (!read_month_name(text, part == PART_NAME, &number))
			return false;
		set_part(reading, &reading->month, number);
		return true;
	case PART_MONTH:
		if (!read_digits(text, 2, &number))
			return false;
		set_part(reading, &reading->month, number);
		return true;
	case PART_DAY:
		if (!read_digits(text, 2, &number))
			return false;
		set_part(reading, &reading->day, number);
		return true;
	case PART_DAY_OF_YEAR:
		if (!read_digits(text, 3, &number))
			return false;
		set_part(reading, &reading->day_of_year, number);
		return true;
	case PART_COUNT:
		break;
	}
	return false;
}

static enum nc_err to_date(const struct reading *reading, struct date *ret_date)
{
	struct date date = { reading->year, reading->month, reading->day };

	if (reading->contradicts)
		return NC_ERR_INVALID;
	if (reading->day_of_year != 0) {
		struct date first = { reading->year, 1, 1 };

		if (!date_is_valid(first) || reading->day_of_year < 1 ||
			!date_add_days(first, reading->day_of_year - 1, &date) ||
			date.year != reading->year)
			return NC_ERR_INVALID;
		if ((reading->month != 0 && reading->month != date.month) ||
			(reading->day != 0 && reading->day != date.day))
			return NC_ERR_INVALID;
	}
	if (!date_is_valid(date))
		return NC_ERR_INVALID;
	*ret_date = date;
	return NC_OK;
}

enum nc_err format_read(const char *format, const char *text, struct date *ret_date)
{
	struct reading reading = { 0 };

	while (*format != '\0') {
		size_t run = run_length(format);
		enum part part = part_of(format, run);

		if (run > 0 && part != PART_COUNT) {
			if (!read_part(part, &text, &reading))
				return NC_ERR_SYNTAX;
		} else if (*text++ != *format) {
			return NC_ERR_SYNTAX;
		}
		format += run > 0 ? run : 1;
	}
	return *text == '\0' ? to_date(&reading, ret_date) : NC_ERR_SYNTAX;
}
