/*
 * Scalars of YAML 1.1 as PyYAML's SafeLoader resolves and constructs them (yaml/resolver.py and
 * yaml/constructor.py of PyYAML 6.0 state the forms; the names of the functions here follow them).
 */
#include "core/data/yaml_internal.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

static bool is_bool(const char *text)
{
	static const char *const words[] = { "yes", "Yes", "YES", "no", "No", "NO", "true", "True",
		"TRUE", "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF" };

	return is_one_of(text, words, ARRAY_LEN(words));
}

static bool is_null(const char *text)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	return is_one_of(text, words, ARRAY_LEN(words));
}

static const char *skip_sign(const char *text)
{
	return *text == '-' || *text == '+' ? text + 1 : text;
}

/* Skip characters of `set`; NULL when there is none. */
static const char *skip_some(const char *text, const char *set)
{
	size_t len = strspn(text, set);

	return len > 0 ? text + len : NULL;
}

#define DIGITS_ "0123456789_"

/* (?::[0-5]?[0-9])+ ; NULL when there is none. */
static const char *skip_sexagesimal(const char *text)
{
	const char *end = NULL;

	while (text[0] == ':' && isdigit((unsigned char)text[1])) {
		if (text[1] <= '5' && isdigit((unsigned char)text[2]))
			text += 3;
		else
			text += 2;
		end = text;
	}
	return end;
}

static bool is_int(const char *text)
{
	const char *after = skip_sign(text), *end;

	if (after[0] == '0') {
		if (after[1] == '\0')
			return true;
		if (after[1] == 'b')
			end = skip_some(after + 2, "01_");
		else if (after[1] == 'x')
			end = skip_some(after + 2, "0123456789abcdefABCDEF_");
		else
			end = skip_some(after + 1, "01234567_");
		return end != NULL && *end == '\0';
	}
	if (after[0] < '1' || after[0] > '9')
		return false;
	end = after + strspn(after, DIGITS_);
	if (*end == ':')
		end = skip_sexagesimal(end);
	return end != NULL && *end == '\0';
}

/* (?:[eE][-+][0-9]+)? and the end */
static bool is_exponent_or_end(const char *text)
{
	if (*text == '\0')
		return true;
	if ((text[0] != 'e' && text[0] != 'E') || (text[1] != '-' && text[1] != '+'))
		return false;
	text = skip_some(text + 2, "0123456789");
	return text != NULL && *text == '\0';
}

static bool is_float(const char *text)
{
	static const char *const infinities[] = { ".inf", ".Inf", ".INF" };
	static const char *const nans[] = { ".nan", ".NaN", ".NAN" };
	const char *after = skip_sign(text), *end;

	if (is_one_of(after, infinities, ARRAY_LEN(infinities)) ||
		is_one_of(text, nans, ARRAY_LEN(nans)))
		return true;
	/* A leading point takes no sign in PyYAML: `-.5` is a text. */
	if (text[0] == '.')
		return isdigit((unsigned char)text[1]) &&
		       is_exponent_or_end(text + 1 + strspn(text + 1, DIGITS_));
	if (!isdigit((unsigned char)after[0]))
		return false;
	end = after + strspn(after, DIGITS_);
	if (*end == '.')
		return is_exponent_or_end(end + 1 + strspn(end + 1, DIGITS_));
	end = skip_sexagesimal(end);
	if (end == NULL || *end != '.')
		return false;
	end++;
	return end[strspn(end, DIGITS_)] == '\0';
}

/* `most` digits at most, one at least; NULL: none. */
static const char *read_digits(const char *text, int least, int most, int *ret_number)
{
	int count = 0, number = 0;

	while (count < most && isdigit((unsigned char)text[count]))
		number = 10 * number + (text[count++] - '0');
	if (count < least)
		return NULL;
	*ret_number = number;
	return text + count;
}

static const char *expect(const char *text, char byte)
{
	return text != NULL && *text == byte ? text + 1 : NULL;
}

static const char *read_zone(const char *text, struct timestamp *timestamp)
{
	int hours, minutes = 0, sign;

	text += strspn(text, " \t");
	if (*text == 'Z') {
		timestamp->has_zone = true;
		return text + 1;
	}
	if (*text != '-' && *text != '+')
		return text;
	sign = *text == '-' ? -1 : 1;
	text = read_digits(text + 1, 1, 2, &hours);
	if (text != NULL && *text == ':')
		text = read_digits(text + 1, 2, 2, &minutes);
	if (text == NULL)
		return NULL;
	timestamp->has_zone = true;
	timestamp->zone_offset_s = sign * (hours * 3600 + minutes * 60);
	return text;
}

/*
 * The two forms of PyYAML's timestamp; *ret_has_time tells which. `2026-1-2` is one only with the tag
 * (`short_date`).
 */
static bool read_timestamp(
	const char *text, bool short_date, struct timestamp *timestamp, bool *ret_has_time)
{
	struct date *date = &timestamp->date;
	const char *next, *start_of_day;

	memset(timestamp, 0, sizeof(*timestamp));
	next = expect(read_digits(text, 4, 4, &date->year), '-');
	next = next != NULL ? expect(read_digits(next, 1, 2, &date->month), '-') : NULL;
	start_of_day = next;
	next = next != NULL ? read_digits(next, 1, 2, &date->day) : NULL;
	if (next == NULL)
		return false;
	*ret_has_time = *next != '\0';
	if (!*ret_has_time)
		return short_date || (next - text == 10 && next - start_of_day == 2);
	if (*next == 'T' || *next == 't')
		next++;
	else
		next = skip_some(next, " \t");
	next = next != NULL ? expect(read_digits(next, 1, 2, &timestamp->hour), ':') : NULL;
	next = next != NULL ? expect(read_digits(next, 2, 2, &timestamp->minute), ':') : NULL;
	next = next != NULL ? read_digits(next, 2, 2, &timestamp->second) : NULL;
	if (next == NULL)
		return false;
	if (*next == '.') {
		int scale = 100000;

		for (next++; isdigit((unsigned char)*next); next++, scale /= 10)
			timestamp->microsecond += scale * (*next - '0');
	}
	next = read_zone(next, timestamp);
	return next != NULL && *next == '\0';
}

bool yaml_is_merge_key(const char *text)
{
	return strcmp(text, "<<") == 0;
}

enum value_kind yaml_resolve_plain(const char *text)
{
	struct timestamp timestamp;
	bool has_time;

	if (is_null(text))
		return VALUE_NULL;
	if (is_bool(text))
		return VALUE_BOOL;
	if (is_float(text))
		return VALUE_FLOAT;
	if (is_int(text))
		return VALUE_INT;
	if (isdigit((unsigned char)text[0]) && read_timestamp(text, false, &timestamp, &has_time))
		return has_time ? VALUE_TIMESTAMP : VALUE_DATE;
	return VALUE_TEXT;
}

/* --- construction --- */

/* `text` without its underscores, to be freed. */
static char *without_underscores(const char *text)
{
	char *copy = strdup(text), *to = copy;

	if (copy == NULL)
		return NULL;
	for (const char *from = copy; *from != '\0'; from++)
		if (*from != '_')
			*to++ = *from;
	*to = '\0';
	return copy;
}

/* digits[:digits]... as one number: `1:30` is 90. */
static bool read_parts(const char *digits, int base, uint64_t *ret_number)
{
	uint64_t total = 0;

	for (;;) {
		char *end;
		uint64_t part;

		if (!isxdigit((unsigned char)*digits))
			return false;
		part = strtoull(digits, &end, base);
		if (errno == ERANGE || __builtin_mul_overflow(total, 60u, &total) ||
			__builtin_add_overflow(total, part, &total)) {
			errno = ERANGE;
			return false;
		}
		if (*end == '\0') {
			*ret_number = total;
			return true;
		}
		if (*end != ':' || base != 10)
			return false;
		digits = end + 1;
	}
}

static enum nc_err construct_int(const char *text, struct value **ret_value, struct error *error)
{
	char *plain = without_underscores(text);
	const char *digits;
	uint64_t magnitude;
	bool negative, well;
	int base = 10;

	if (plain == NULL)
		return error_nomem(error);
	negative = plain[0] == '-';
	digits = skip_sign(plain);
	if (digits[0] == '0' && digits[1] != '\0') {
		base = digits[1] == 'b' ? 2 : digits[1] == 'x' ? 16 : 8;
		digits += base == 8 ? 1 : 2;
	}
	errno = 0;
	well = read_parts(digits, base, &magnitude);
	free(plain);
	if (!well && errno != ERANGE)
		return error_set(error, NC_ERR_INVALID, "`%.60s` is not an integer", text);
	if (!well || magnitude > (uint64_t)INT64_MAX + negative)
		return error_set(error, NC_ERR_LIMIT,
			"the integer %.60s is larger than 64 bits; write it in quotes to have it "
			"as a text",
			text);
	*ret_value = value_int(negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude);
	return *ret_value != NULL ? NC_OK : error_nomem(error);
}

static enum nc_err construct_float(const char *text, struct value **ret_value, struct error *error)
{
	char *plain = without_underscores(text), *end;
	const char *digits;
	double number = 0, sign;

	if (plain == NULL)
		return error_nomem(error);
	sign = plain[0] == '-' ? -1.0 : 1.0;
	digits = skip_sign(plain);
	if (strcasecmp(digits, ".inf") == 0) {
		number = INFINITY;
	} else if (strcasecmp(digits, ".nan") == 0) {
		number = NAN;
	} else {
		for (;;) {
			/* strtod() would also take `0x10`. */
			if ((!isdigit((unsigned char)*digits) && *digits != '.') ||
				digits[strspn(digits, "0")] == 'x' ||
				digits[strspn(digits, "0")] == 'X')
				goto invalid;
			number = number * 60 + strtod(digits, &end);
			if (*end == '\0')
				break;
			if (*end != ':' || end == digits)
				goto invalid;
			digits = end + 1;
		}
	}
	free(plain);
	*ret_value = value_float(sign * number);
	return *ret_value != NULL ? NC_OK : error_nomem(error);
invalid:
	free(plain);
	return error_set(error, NC_ERR_INVALID, "`%.60s` is not a number", text);
}

static enum nc_err construct_time(const char *text, struct value **ret_value, struct error *error)
{
	struct timestamp t;
	bool has_time;

	if (!read_timestamp(text, true, &t, &has_time))
		return error_set(error, NC_ERR_INVALID, "`%.60s` is not a date", text);
	if (!date_is_valid(t.date) || t.hour > 23 || t.minute > 59 || t.second > 59 ||
		abs(t.zone_offset_s) >= 24 * 3600)
		return error_set(error, NC_ERR_INVALID, "there is no such date as %.60s", text);
	*ret_value = has_time ? value_timestamp(&t) : value_date(t.date);
	return *ret_value != NULL ? NC_OK : error_nomem(error);
}

enum nc_err yaml_construct(
	enum value_kind kind, const char *text, struct value **ret_value, struct error *error)
{
	static const char *const trues[] = { "yes", "true", "on" };
	static const char *const falses[] = { "no", "false", "off" };
	struct value *value = NULL;

	switch (kind) {
	case VALUE_INT:
		return construct_int(text, ret_value, error);
	case VALUE_FLOAT:
		return construct_float(text, ret_value, error);
	case VALUE_DATE:
	case VALUE_TIMESTAMP:
		return construct_time(text, ret_value, error);
	case VALUE_NULL:
		value = value_null();
		break;
	case VALUE_TEXT:
		value = value_text(text);
		break;
	case VALUE_BOOL:
		for (size_t i = 0; i < ARRAY_LEN(trues); i++) {
			if (strcasecmp(text, trues[i]) == 0)
				value = value_bool(true);
			else if (strcasecmp(text, falses[i]) == 0)
				value = value_bool(false);
			else
				continue;
			*ret_value = value;
			return value != NULL ? NC_OK : error_nomem(error);
		}
		return error_set(error, NC_ERR_INVALID, "`%.60s` is neither true nor false", text);
	case VALUE_SET:
	case VALUE_LIST:
	case VALUE_MAP:
	case VALUE_KIND_COUNT:
		return error_set(
			error, NC_ERR_INVALID, "a scalar cannot be %s", value_kind_words(kind));
	}
	*ret_value = value;
	return value != NULL ? NC_OK : error_nomem(error);
}
