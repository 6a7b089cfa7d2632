/*
 * Dates of the proleptic Gregorian calendar, years 1 to 9999, and their texts. No clock: the caller
 * says what time it is. Zones and the next time of a schedule join here.
 *
 * Depends on core/data/error.h only.
 */
#ifndef NOWCAST_CORE_DATA_CALENDAR_H
#define NOWCAST_CORE_DATA_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/data/error.h"

struct date {
	int year, month, day; /* month and day from 1 */
};

/* A date with a time of day, as YAML 1.1 has it (`2026-11-24 04:00:00.5 -8`). */
struct timestamp {
	struct date date;
	int hour, minute, second, microsecond;
	bool has_zone;
	int zone_offset_s; /* east of Greenwich */
};

enum {
	DATE_TEXT_SIZE = 16,
	TIMESTAMP_TEXT_SIZE = 48
};

bool date_is_valid(struct date date);
bool date_is_last_of_month(struct date date);
int date_days_in_month(int year, int month);

/* Days since 1970-01-01, and back. */
int64_t date_to_day_number(struct date date);
struct date date_from_day_number(int64_t day);

/* false when the result would leave the years 1 to 9999; *ret_date is then untouched. */
bool date_add_days(struct date date, int64_t days, struct date *ret_date);

/* -1, 0, 1 */
int date_compare(struct date a, struct date b);

/*
 * Text of the form YYYY-MM-DD or YYYYMMDD, nothing before or after it.
 * NC_ERR_SYNTAX: not of that form; NC_ERR_INVALID: no such day.
 */
enum nc_err date_parse(const char *text, struct date *ret_date, struct error *error);

/* YYYY-MM-DD; `text` has room for DATE_TEXT_SIZE. Returns `text`. */
const char *date_print(struct date date, char *text);

/* As PyYAML writes it: `2026-11-24 04:00:00.500000-08:00`. Room for TIMESTAMP_TEXT_SIZE. */
const char *timestamp_print(const struct timestamp *timestamp, char *text);

/* The local date (TZ of the process) at `real_ns`, nanoseconds since the epoch. */
struct date date_local(int64_t real_ns);

/*
 * The first moment after `after_real_ns` at which the local clock shows hour:minute, in nanoseconds
 * since the epoch. In a spring gap: the first moment after the gap. A doubled hour counts once, the
 * first time (promises.md, R18).
 */
int64_t calendar_next_daily(int64_t after_real_ns, int hour, int minute);

#endif
