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
		cmocka_unit_test(a_date_is_printed_in_a_format),
		cmocka_unit_test(a_text_is_read_as_a_date),
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
