/* core/decide/rules: filters and dates */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "run_rules.h"

/* What `awaken <PLACEHOLDER>` is launched with, or the error without its place and rule. */
static const char *value_of(const char *placeholder, const char *payload)
{
	static char result[20000];
	char rule[400];
	const char *decided;
	char *end;

	snprintf(rule, sizeof(rule), "    launch:\n      - awaken <%s>\n", placeholder);
	decided = decides(rule, payload);
	if (strncmp(decided, "awaken {", 8) == 0)
		decided += 8;
	memcpy(result, decided, strlen(decided) + 1);
	end = strrchr(result, '}');
	if (end != NULL && end[1] == '\0')
		*end = '\0';
	return result;
}

static void assert_fails(const char *placeholder, const char *payload, const char *with)
{
	const char *said = value_of(placeholder, payload);

	if (strncmp(said, "r.yaml:4:9: ", 12) != 0 || strstr(said, with) == NULL ||
		strstr(said, "(rule 1 of sleep)") == NULL)
		fail_msg("<%s> of %s: %s", placeholder, payload, said);
}

/* It is no rule at all. */
static void assert_refused(const char *placeholder, const char *with)
{
	const char *said = value_of(placeholder, "");

	if (strncmp(said, "r.yaml:4:9: ", 12) != 0 || strstr(said, with) == NULL ||
		strstr(said, "(rule 1 of sleep)") != NULL)
		fail_msg("<%s>: %s", placeholder, said);
}

static void a_date_is_moved_by_days(void **state)
{
	assert_string_equal(value_of("today", ""), "2026-11-24");
	assert_string_equal(value_of("today + 1 day", ""), "2026-11-25");
	assert_string_equal(value_of("today - 24 days", ""), "2026-10-31");
	assert_string_equal(value_of("today | plus 10 days", ""), "2026-12-04");
	assert_string_equal(value_of("today | minus 1 day | plus 2 days", ""), "2026-11-25");
	assert_string_equal(value_of("payload + 0 days", "20240228"), "2024-02-28");
	assert_string_equal(
		value_of("payload[run date] + 1 day", "run date: 2024-02-28"), "2024-02-29");
	assert_string_equal(value_of("payload[a - b] + 1 day", "a - b: 2023-02-28"), "2023-03-01");
	assert_string_equal(value_of("today | + 1\tday", ""), "2026-11-25");
	assert_string_equal(value_of("today | -  0001   days", ""), "2026-11-23");
}

static void what_moves_no_date_is_found_at_the_load(void **state)
{
	static const char *const moves[] = { "today + x days", "today | plus", "today | minus",
		"today | plus 3", "today + 3", "today + 3x days", "today + 3 dai", "today + 3 dayz",
		"today + 3 weeks", "today + 12345678 days", "today | -3 days", "today | +",
		"today | minus -1 days" };

	for (size_t i = 0; i < ARRAY_LEN(moves); i++)
		assert_refused(moves[i], "does not move a date");
}

static void a_filter_that_is_none_is_found_at_the_load(void **state)
{
	static const char *const filters[] = { "today | asYYYY", "today | as", "today | lowers",
		"today | low", "today | plusses 3 days", "today | plu 3 days", "today | date from",
		"today | date fromYYYY", "today | first of months" };

	for (size_t i = 0; i < ARRAY_LEN(filters); i++)
		assert_refused(filters[i], "there is no filter `");
	assert_refused("today | uper", "did you mean `upper`?");
	assert_refused("today | ", "nothing stands behind");
	assert_refused("today +1 day", "nothing called `today +1 day`");
	assert_refused("today+ 1 day", "nothing called `today+ 1 day`");
	assert_refused("today +", "nothing called `today +`");
	assert_refused("+ 1 day", "");
	assert_refused("payload] | lower", "");
}

static void a_date_is_printed_in_a_format(void **state)
{
	assert_string_equal(value_of("today | as YYYY-MMM", ""), "2026-Nov");
	assert_string_equal(value_of("today | as DD.MM.YY", ""), "24.11.26");
	assert_string_equal(value_of("today | as MMMM DDDD", ""), "November 328");
	assert_string_equal(value_of("today|as DDMMMYY|lower", ""), "24nov26");
	assert_string_equal(value_of("today | as the DD of MMMM", ""), "the 24 of November");
	assert_string_equal(value_of("payload | as DDDD", "2024-01-01"), "001");
	assert_string_equal(value_of("today | as YYYY-MM-01", ""), "2026-11-01");
	/* One letter alone is no part of a date. */
	assert_string_equal(value_of("today | as DD M Y D", ""), "24 M Y D");
	assert_refused("today | as YYY", "letters that mean no part of a date");
	assert_refused("today | as DDDDD", "letters that mean no part of a date");
	assert_refused("today | as noon", "has no part of a date in it");
	assert_refused("today | as M", "has no part of a date in it");
}

static void a_text_is_read_as_a_date(void **state)
{
	assert_string_equal(value_of("payload | date from YYYYMMDD", "20240229"), "2024-02-29");
	assert_string_equal(value_of("payload | date from DDMMMYY", "01jan70"), "1970-01-01");
	assert_string_equal(
		value_of("payload | date from DD MMMM YYYY", "05 May 2024"), "2024-05-05");
	assert_string_equal(value_of("payload | date from YYYY-DDDD", "2024-366"), "2024-12-31");
	assert_string_equal(value_of("payload | date from YY/MM/DD", "68/12/31"), "2068-12-31");
	assert_string_equal(
		value_of("payload | date from run-YYYYMMDD.nc", "run-20240229.nc"), "2024-02-29");
	assert_fails("payload | date from YYYYMMDD", "'20230229'", "impossible date");
	assert_fails("payload | date from YYYYMMDD", "'2023022'", "not of the form");
	assert_fails("payload | date from YYYYMMDD", "'202302290'", "not of the form");
	assert_fails("payload | date from YYYY-DDDD", "2023-366", "impossible date");
	assert_fails("payload | date from YYYY-DDDD", "2023-000", "impossible date");
	assert_fails("payload | date from YYYYMMDD DDDD", "20240229 061", "impossible date");
	assert_fails("payload | date from YYYYMMDD", "null", "a filter takes a text");
}

static void a_format_to_read_says_which_day(void **state)
{
	static const char *const formats[] = { "MM-DD", "DDDD", "YYYY", "YY", "YYYY-MM", "YYYY-DD",
		"YYYY MMM", "YY MMMM", "YYYY" };
	char placeholder[80];

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		snprintf(placeholder, sizeof(placeholder), "payload | date from %s", formats[i]);
		assert_refused(placeholder, "does not say which day");
	}
	assert_string_equal(value_of("payload | date from YYDDDD", "'69001'"), "1969-01-01");
	assert_string_equal(
		value_of("payload | date from MMMM DD, YY", "december 31, 00"), "2000-12-31");
	assert_string_equal(value_of("payload | date from M YYYYMMDD", "M 20240229"), "2024-02-29");
}

static void every_part_of_a_date_is_read_as_it_is_written(void **state)
{
	static const char *const not_of_the_form[][2] = {
		{ "YYYY-MM-DD", "2o24-02-29" },
		{ "YYYY-MM-DD", "202-02-29" },
		{ "YYYY-MM-DD", "2024-x2-29" },
		{ "YYYY-MM-DD", "2024-02-2x" },
		{ "YYYY-MM-DD", "2024/02/29" },
		{ "YY-MM-DD", ":4-02-29" },
		{ "YYYY-DDDD", "2024-06" },
		{ "DDMMMYY", "29fbe24" },
		{ "DD MMMM YYYY", "29 Feb 2024" },
		{ "M YYYYMMDD", "D 20240229" },
	};
	static const char *const impossible[][2] = {
		{ "YYYY-DDDD", "0000-001" },
		{ "YYYY-DDDD", "9999-366" },
		{ "YYYY-MM-DD", "0000-01-01" },
		{ "YYYY-MM-DD", "2024-00-01" },
		{ "YYYY-MM-DD", "2024-13-01" },
		{ "YYYY-MM-DD", "2024-01-00" },
		{ "YYYYMMDD YYYY", "20240229 2023" },
		{ "YYYY MM MMM DD", "2024 02 mar 01" },
		{ "YYYY MMMM DD MM", "2024 March 01 02" },
		{ "YYYYMMDD YY", "20240229 23" },
		{ "YYYYMMDD DD", "20240229 28" },
		{ "YYYY-DDDD DDDD", "2024-061 062" },
		{ "YYYY-DDDD MM", "2024-061 02" },
		{ "YYYY-DDDD DD", "2024-061 02" },
	};
	char placeholder[80], payload[80];

	for (size_t i = 0; i < ARRAY_LEN(not_of_the_form); i++) {
		snprintf(placeholder, sizeof(placeholder), "payload | date from %s",
			not_of_the_form[i][0]);
		snprintf(payload, sizeof(payload), "'%s'", not_of_the_form[i][1]);
		assert_fails(placeholder, payload, "is not of the form");
	}
	for (size_t i = 0; i < ARRAY_LEN(impossible); i++) {
		snprintf(placeholder, sizeof(placeholder), "payload | date from %s",
			impossible[i][0]);
		snprintf(payload, sizeof(payload), "'%s'", impossible[i][1]);
		assert_fails(placeholder, payload, "is an impossible date");
	}
	/* A part may come twice, when both say the same. */
	assert_string_equal(
		value_of("payload | date from YYYY/YYYYMMDD", "2024/20240229"), "2024-02-29");
	assert_string_equal(
		value_of("payload | date from YY MM MMM DD DD", "'24 02 Feb 29 29'"), "2024-02-29");
	assert_string_equal(
		value_of("payload | date from DDDD YYYY MMM MM YY DDDD", "061 2024 mar 03 24 061"),
		"2024-03-01");
	assert_string_equal(
		value_of("payload | date from YYYY-DDDD MM DD", "2024-061 03 01"), "2024-03-01");
}

static void ends_of_the_month_are_found(void **state)
{
	assert_string_equal(value_of("today | first of month", ""), "2026-11-01");
	assert_string_equal(value_of("payload | last of month", "2024-02-03"), "2024-02-29");
	assert_string_equal(value_of("payload | last of month", "2100-02-03"), "2100-02-28");
}

static void a_date_must_be_one(void **state)
{
	assert_fails("payload + 1 day", "'2024-02-30'", "impossible date");
	assert_fails("payload + 1 day", "20240230", "impossible date");
	assert_fails("payload + 1 day", "tomorrow", "a date");
	assert_fails("payload + 1 day", "null", "a date");
	assert_fails("payload + 1 day", "true", "a date");
	assert_fails("payload + 1 day", "[2024-02-03]", "a date");
	assert_fails("payload + 1 day", "9999-12-31", "leaves the years");
	assert_fails("payload - 1 day", "0001-01-01", "leaves the years");
}

static void texts_change_their_case(void **state)
{
	assert_string_equal(value_of("payload | lower", "ABC def"), "abc def");
	assert_string_equal(value_of("payload | upper", "abc-é1"), "ABC-é1");
	assert_string_equal(value_of("payload | upper", "true"), "TRUE");
	assert_string_equal(value_of("payload | lower", "''"), "");
	assert_fails("payload | upper", "{a: b}", "a filter takes a text");
}

static void parts_of_a_path_are_found(void **state)
{
	assert_string_equal(value_of("payload | name", "/a/20240315/06"), "06");
	assert_string_equal(value_of("payload | parent name", "/a/20240315/06"), "20240315");
	assert_string_equal(value_of("payload | parent name", "/a/20240315/06/"), "20240315");
	assert_string_equal(value_of("payload | parent name", "a//b"), "a");
	assert_string_equal(value_of("payload | name", "06"), "06");
	assert_fails("payload | parent name", "06", "finds nothing");
	assert_fails("payload | parent name", "/06", "finds nothing");
	assert_fails("payload | name", "/", "finds nothing");
	assert_fails("payload | parent name", "///", "finds nothing");
	assert_fails("payload | parent name", "//a//", "finds nothing");
	assert_fails("payload | parent name", "''", "finds nothing");
	assert_fails("payload | name", "''", "finds nothing");
}

static void elements_are_taken_from_collections(void **state)
{
	assert_string_equal(value_of("payload | first", "[a, b, c]"), "a");
	assert_string_equal(value_of("payload | last", "[a, b, c]"), "c");
	assert_string_equal(value_of("payload | last", "{a: 1, b: 2}"), "b");
	assert_string_equal(value_of("payload | first", "!!set {x, y}"), "x");
	assert_string_equal(value_of("payload | only", "{a: 1}"), "a");
	assert_string_equal(value_of("payload | first | last", "[[a, b], c]"), "b");
	assert_fails("payload | only", "[a, b]", "not only one element but 2");
	assert_fails("payload | first", "[]", "finds nothing");
	assert_fails("payload | last", "a text", "takes a list");
	assert_fails("payload | latest", "{}", "finds nothing");
}

static void the_latest_of_dates_is_found(void **state)
{
	assert_string_equal(
		value_of("payload | latest", "[2024-02-28, 20240301, '2024-02-29']"), "2024-03-01");
	assert_string_equal(
		value_of("payload | earliest", "{2024-02-28: a, 2023-12-31: b}"), "2023-12-31");
	assert_string_equal(
		value_of("payload | latest | as YYYYMMDD", "!!set {2024-02-28}"), "20240228");
	assert_string_equal(value_of("payload | earliest", "[2024-02-28, 2024-03-01, 2024-02-27]"),
		"2024-02-27");
	assert_string_equal(
		value_of("payload | latest", "[2024-02-28, 2024-02-27, 2024-02-28]"), "2024-02-28");
	assert_fails("payload | latest", "[2024-02-28, a]", "to be a date");
}

/* --- 2000 to 2100, against a calendar that counts --- */

static void every_day_of_a_century_is_right(void **state)
{
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	static const char text[] =
		"sleep:\n  - on: success\n    launch:\n      - awaken <payload + 1 day> <payload - 1 day> "
		"<payload | as DDDD> <payload | last of month> <payload | as YYYYMMDD | date from "
		"YYYYMMDD> <payload | as YYYY-DDDD | date from YYYY-DDDD>\n"
		"      - when: <payload> is the last day of the month\n        launch: awaken last\n";
	struct rules *rules = NULL;
	char yesterday[40] = "1999-12-31", today[40] = "2000-01-01", tomorrow[40], last[40];
	char nth[40];

	assert_int_equal(rules_read("r", text, strlen(text), &config, &rules, NULL, NULL), NC_OK);
	for (int year = 2000; year <= 2100; year++) {
		bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
		int day_of_year = 0;

		for (int month = 1; month <= 12; month++) {
			int length = lengths[month - 1] + (month == 2 && leap);

			snprintf(last, sizeof(last), "%04d-%02d-%02d", year, month, length);
			for (int day = 1; day <= length; day++) {
				struct rules_input input = { .worker = "sleep", .type = "success" };
				struct rules_decision decision = { 0 };
				struct value *payload = value_text(today);
				int next_month = day < length ? month : month % 12 + 1;

				snprintf(tomorrow, sizeof(tomorrow), "%04d-%02d-%02d",
					next_month < month ? year + 1 : year, next_month,
					day < length ? day + 1 : 1);
				snprintf(nth, sizeof(nth), "%03d", ++day_of_year);
				input.payload = payload;
				assert_int_equal(
					rules_apply(rules, &input, &decision, NULL), NC_OK);
				assert_string_equal(decision.launches[0].arguments[0], tomorrow);
				assert_string_equal(decision.launches[0].arguments[1], yesterday);
				assert_string_equal(decision.launches[0].arguments[2], nth);
				assert_string_equal(decision.launches[0].arguments[3], last);
				assert_string_equal(decision.launches[0].arguments[4], today);
				assert_string_equal(decision.launches[0].arguments[5], today);
				assert_int_equal(decision.count, day == length ? 2 : 1);
				rules_decision_finish(&decision);
				value_destroy(payload);
				memcpy(yesterday, today, sizeof(yesterday));
				memcpy(today, tomorrow, sizeof(today));
			}
		}
	}
	rules_destroy(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_date_is_moved_by_days),
		cmocka_unit_test(what_moves_no_date_is_found_at_the_load),
		cmocka_unit_test(a_filter_that_is_none_is_found_at_the_load),
		cmocka_unit_test(a_date_is_printed_in_a_format),
		cmocka_unit_test(a_text_is_read_as_a_date),
		cmocka_unit_test(a_format_to_read_says_which_day),
		cmocka_unit_test(every_part_of_a_date_is_read_as_it_is_written),
		cmocka_unit_test(ends_of_the_month_are_found),
		cmocka_unit_test(a_date_must_be_one),
		cmocka_unit_test(texts_change_their_case),
		cmocka_unit_test(parts_of_a_path_are_found),
		cmocka_unit_test(elements_are_taken_from_collections),
		cmocka_unit_test(the_latest_of_dates_is_found),
		cmocka_unit_test(every_day_of_a_century_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
