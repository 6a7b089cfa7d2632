/* core/data/calendar */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/data/calendar.h"

#define NS INT64_C(1000000000)

/* Rules of their own: the machine's table of zones follows what parliaments decide. */
#define PACIFIC   "PST8PDT,M3.2.0,M11.1.0"
#define GREENLAND "<-02>2<-01>,M3.5.0/-1,M10.5.0/0"

static void days_of_two_centuries_follow_each_other(void **state)
{
	struct date day = { 2000, 1, 1 };
	int64_t number = 10957; /* 2000-01-01 */

	while (day.year < 2200) {
		struct date next = day;

		assert_true(date_is_valid(day));
		assert_int_equal(date_to_day_number(day), number);
		assert_int_equal(date_compare(date_from_day_number(number), day), 0);
		assert_int_equal(date_is_last_of_month(day),
			day.day == date_days_in_month(day.year, day.month));
		/* The next day, by hand. */
		if (++next.day > date_days_in_month(next.year, next.month)) {
			next.day = 1;
			if (++next.month > 12) {
				next.month = 1;
				next.year++;
			}
		}
		assert_true(date_add_days(day, 1, &day));
		assert_int_equal(date_compare(day, next), 0);
		number++;
	}
}

static void february_knows_its_leap_years(void **state)
{
	assert_int_equal(date_days_in_month(2000, 2), 29);
	assert_int_equal(date_days_in_month(1900, 2), 28);
	assert_int_equal(date_days_in_month(2024, 2), 29);
	assert_int_equal(date_days_in_month(2026, 2), 28);
}

static void dates_are_read_in_two_forms_and_no_other(void **state)
{
	static const char *const wrong[] = { "", "2026-1-2", "2026/01/02", "2026-01-023",
		"20260102 ", "x0260102" };
	struct date date;
	char text[DATE_TEXT_SIZE];

	assert_int_equal(date_parse("2024-03-15", &date, NULL), NC_OK);
	assert_string_equal(date_print(date, text), "2024-03-15");
	assert_int_equal(date_parse("20240315", &date, NULL), NC_OK);
	assert_string_equal(date_print(date, text), "2024-03-15");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(date_parse(wrong[i], &date, NULL), NC_ERR_SYNTAX);
	assert_int_equal(date_parse("2024-02-30", &date, NULL), NC_ERR_INVALID);
	assert_int_equal(date_parse("2024-13-01", &date, NULL), NC_ERR_INVALID);
}

static void dates_do_not_leave_their_years(void **state)
{
	struct date date = { 9999, 12, 31 };

	assert_false(date_add_days(date, 1, &date));
	assert_int_equal(date.year, 9999);
	assert_false(date_add_days((struct date){ 1, 1, 1 }, -1, &date));
}

/* Local time of a moment, as `YYYY-MM-DD HH:MM`. */
static const char *shown(int64_t ns)
{
	static char text[40];
	time_t seconds = (time_t)(ns / NS);
	struct tm local;

	localtime_r(&seconds, &local);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &local);
	return text;
}

static void zone(const char *name)
{
	setenv("TZ", name, 1);
	tzset();
}

static void r18_every_day_has_its_time_once(void **state)
{
	/* From 2026-01-01 on, two years of each zone: 05:15 exists on every day. */
	static const char *const zones[] = { "UTC", "America/Vancouver", "Australia/Lord_Howe",
		"Asia/Kathmandu" };

	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		int64_t now = INT64_C(1767225600) * NS;
		struct date expected;

		zone(zones[i]);
		now = calendar_next_daily(now, 5, 15);
		expected = date_local(now);
		for (int day = 0; day < 730; day++) {
			assert_string_equal(shown(now) + 11, "05:15");
			assert_int_equal(date_compare(date_local(now), expected), 0);
			now = calendar_next_daily(now, 5, 15);
			assert_true(date_add_days(expected, 1, &expected));
		}
	}
	zone("UTC");
}

static void r18_in_a_spring_gap_it_is_the_first_moment_after_it(void **state)
{
	int64_t before;

	zone(PACIFIC);
	before = INT64_C(1772870400) * NS; /* 2026-03-07 00:00 */
	before = calendar_next_daily(before, 2, 30);
	assert_string_equal(shown(before), "2026-03-07 02:30");
	before = calendar_next_daily(before, 2, 30);
	assert_string_equal(shown(before), "2026-03-08 03:00");
	before = calendar_next_daily(before, 2, 30);
	assert_string_equal(shown(before), "2026-03-09 02:30");
	zone("UTC");
}

/* Greenland's clock goes from 23:00 to 24:00; Samoa once had no 30 December at all. */
static void r18_a_gap_may_cross_midnight_or_swallow_a_day(void **state)
{
	int64_t moment;

	zone(GREENLAND);
	moment = calendar_next_daily(INT64_C(1774699200) * NS, 23, 45); /* 2026-03-28 10:00 */
	assert_string_equal(shown(moment), "2026-03-29 00:00");
	moment = calendar_next_daily(moment, 23, 45);
	assert_string_equal(shown(moment), "2026-03-29 23:45");
	zone("Pacific/Apia");
	moment = calendar_next_daily(INT64_C(1325196000) * NS, 12, 0); /* 2011-12-29 12:00 */
	assert_string_equal(shown(moment), "2011-12-31 00:00");
	moment = calendar_next_daily(moment, 12, 0);
	assert_string_equal(shown(moment), "2011-12-31 12:00");
	zone("UTC");
}

static void r18_a_doubled_hour_counts_once(void **state)
{
	int64_t first, second;

	zone(PACIFIC);
	first = calendar_next_daily(INT64_C(1793430000) * NS, 1, 30); /* 2026-10-31 00:00 */
	assert_string_equal(shown(first), "2026-10-31 01:30");
	first = calendar_next_daily(first, 1, 30);
	assert_string_equal(shown(first), "2026-11-01 01:30");
	second = calendar_next_daily(first, 1, 30);
	assert_string_equal(shown(second), "2026-11-02 01:30");
	assert_int_equal((second - first) / NS, 25 * 3600);
	zone("UTC");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(days_of_two_centuries_follow_each_other),
		cmocka_unit_test(february_knows_its_leap_years),
		cmocka_unit_test(dates_are_read_in_two_forms_and_no_other),
		cmocka_unit_test(dates_do_not_leave_their_years),
		cmocka_unit_test(r18_every_day_has_its_time_once),
		cmocka_unit_test(r18_in_a_spring_gap_it_is_the_first_moment_after_it),
		cmocka_unit_test(r18_a_gap_may_cross_midnight_or_swallow_a_day),
		cmocka_unit_test(r18_a_doubled_hour_counts_once),
	};

	return cmocka_run_group_tests_name("calendar", tests, NULL, NULL);
}
