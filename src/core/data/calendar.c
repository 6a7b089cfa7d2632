/*
 * Day numbers by the algorithm of Howard Hinnant ("chrono-Compatible Low-Level Date Algorithms"): exact for
 * the whole proleptic Gregorian calendar, without tables.
 */
#include "core/data/calendar.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_SECOND INT64_C(1000000000)

int date_days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

bool date_is_valid(struct date date)
{
	return date.year >= 1 && date.year <= 9999 && date.month >= 1 && date.month <= 12 &&
	       date.day >= 1 && date.day <= date_days_in_month(date.year, date.month);
}

bool date_is_last_of_month(struct date date)
{
	return date.day == date_days_in_month(date.year, date.month);
}

int64_t date_to_day_number(struct date date)
{
	int64_t year = date.month <= 2 ? date.year - 1 : date.year;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year =
		(153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

struct date date_from_day_number(int64_t day)
{
	int64_t era, day_of_era, year_of_era, day_of_year, month;
	struct date date;

	day += 719468;
	era = (day >= 0 ? day : day - 146096) / 146097;
	day_of_era = day - era * 146097;
	year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	date.day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
	date.month = (int)(month < 10 ? month + 3 : month - 9);
	date.year = (int)(year_of_era + era * 400 + (date.month <= 2));
	return date;
}

bool date_add_days(struct date date, int64_t days, struct date *ret_date)
{
	struct date moved;

	if (days > 4000000 || days < -4000000)
		return false;
	moved = date_from_day_number(date_to_day_number(date) + days);
	if (moved.year < 1 || moved.year > 9999)
		return false;
	*ret_date = moved;
	return true;
}

int date_compare(struct date a, struct date b)
{
	int64_t difference = date_to_day_number(a) - date_to_day_number(b);

	return (difference > 0) - (difference < 0);
}

static bool read_number(const char *text, int digits, int *ret_number)
{
	int number = 0;

	for (int i = 0; i < digits; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		number = 10 * number + (text[i] - '0');
	}
	*ret_number = number;
	return true;
}

enum nc_err date_parse(const char *text, struct date *ret_date, struct error *error)
{
	size_t len = strlen(text);
	struct date date;
	bool dashes = len == 10;
	bool well;

	well = (len == 8 || len == 10) && read_number(text, 4, &date.year) &&
	       read_number(text + 4 + dashes, 2, &date.month) &&
	       read_number(text + (dashes ? 8 : 6), 2, &date.day) &&
	       (!dashes || (text[4] == '-' && text[7] == '-'));
	if (!well)
		return error_set(error, NC_ERR_SYNTAX,
			"`%.60s` is not a date; use YYYY-MM-DD or YYYYMMDD", text);
	if (!date_is_valid(date))
		return error_set(error, NC_ERR_INVALID, "there is no such day as %s", text);
	*ret_date = date;
	return NC_OK;
}

const char *date_print(struct date date, char *text)
{
	(void)snprintf(text, DATE_TEXT_SIZE, "%04u-%02u-%02u", (unsigned)date.year % 10000u,
		(unsigned)date.month % 100u, (unsigned)date.day % 100u);
	return text;
}

const char *timestamp_print(const struct timestamp *t, char *text)
{
	char day[DATE_TEXT_SIZE], fraction[12] = "", zone[16] = "";
	unsigned offset_min =
		(unsigned)(t->zone_offset_s < 0 ? -t->zone_offset_s : t->zone_offset_s) / 60;

	if (t->microsecond != 0)
		(void)snprintf(
			fraction, sizeof(fraction), ".%06u", (unsigned)t->microsecond % 1000000u);
	if (t->has_zone)
		(void)snprintf(zone, sizeof(zone), "%c%02u:%02u", t->zone_offset_s < 0 ? '-' : '+',
			offset_min / 60 % 100u, offset_min % 60);
	(void)snprintf(text, TIMESTAMP_TEXT_SIZE, "%s %02u:%02u:%02u%s%s", date_print(t->date, day),
		(unsigned)t->hour % 100u, (unsigned)t->minute % 100u, (unsigned)t->second % 100u,
		fraction, zone);
	return text;
}

struct date date_local(int64_t real_ns)
{
	time_t seconds = (time_t)(real_ns / NS_PER_SECOND);
	struct tm local = { 0 };

	(void)localtime_r(&seconds, &local); /* fails only when the year leaves an int */
	return (struct date){ local.tm_year + 1900, local.tm_mon + 1, local.tm_mday };
}

/* Seconds that the local clock is ahead of UTC at that moment. */
static int64_t offset_at(int64_t moment)
{
	time_t seconds = (time_t)moment;
	struct tm local = { 0 };

	(void)localtime_r(&seconds, &local); /* fails only when the year leaves an int */
	return local.tm_gmtoff;
}

/*
 * Seconds at which the local clock first shows that time of that day, or the end of the gap that hides it.
 * mktime() is no help: in a doubled hour it takes which it likes, and in a gap it gives some moment around.
 *
 * No local clock is further than 26 hours from UTC, so by then the offset is the one before a change of
 * the clock, or the one after it; a second change within these 52 hours is not looked for.
 */
static int64_t moment_of(struct date day, int hour, int minute)
{
	const int64_t furthest = INT64_C(26) * 3600;
	int64_t shown =
		date_to_day_number(day) * 86400 + INT64_C(3600) * hour + INT64_C(60) * minute;
	int64_t low = shown - furthest, high = shown + furthest;
	int64_t before = offset_at(low), after = offset_at(high);
	bool shows_before = offset_at(shown - before) == before;
	bool shows_after = offset_at(shown - after) == after;

	if (shows_before && (!shows_after || before > after))
		return shown - before;
	if (shows_after)
		return shown - after;
	/* A gap: halve until the change is found, the first moment with another offset than before. */
	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;

		if (offset_at(middle) == before)
			low = middle;
		else
			high = middle;
	}
	return high;
}

int64_t calendar_next_daily(int64_t after_real_ns, int hour, int minute)
{
	struct date today;

	tzset(); /* localtime_r() alone need not notice a changed TZ */
	today = date_local(after_real_ns);
	for (int64_t day = date_to_day_number(today) - 1;; day++) {
		int64_t moment_ns =
			moment_of(date_from_day_number(day), hour, minute) * NS_PER_SECOND;

		if (moment_ns > after_real_ns)
			return moment_ns;
	}
}
