/* The small languages in values: durations, sizes, and templates of message types. */
#include <string.h>

#include "core/system/config_internal.h"

#define SIZE_MOST        (INT64_C(1) << 60)
#define DURATION_MOST_MS (INT64_C(36500) * 24 * 3600 * 1000)

bool duration_parse(const char *text, int64_t *ret_ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {
		{ "", 1000 },
		{ "ms", 1 },
		{ "s", 1000 },
		{ "min", INT64_C(60) * 1000 },
		{ "h", INT64_C(3600) * 1000 },
		{ "d", INT64_C(24) * 3600 * 1000 },
	};
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits + strspn(text + digits, " ");
	int64_t number = 0;

	if (digits == 0 || (*unit == '\0' && unit != text + digits))
		return false;
	for (size_t i = 0; i < digits; i++) {
		number = 10 * number + (text[i] - '0');
		if (number > DURATION_MOST_MS)
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(unit, units[i].unit) != 0)
			continue;
		if (number > DURATION_MOST_MS / units[i].ms)
			return false;
		*ret_ms = number * units[i].ms;
		return true;
	}
	return false;
}

bool size_parse(const char *text, int64_t *ret_bytes)
{
	static const struct {
		const char *unit;
		int64_t bytes;
	} units[] = {
		{ "", 1 },
		{ "B", 1 },
		{ "kB", 1000 },
		{ "KB", 1000 },
		{ "MB", INT64_C(1000) * 1000 },
		{ "GB", INT64_C(1000) * 1000 * 1000 },
		{ "TB", INT64_C(1000) * 1000 * 1000 * 1000 },
		{ "KiB", 1 << 10 },
		{ "MiB", 1 << 20 },
		{ "GiB", 1 << 30 },
		{ "TiB", INT64_C(1) << 40 },
	};
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits + strspn(text + digits, " ");
	int64_t number = 0;

	if (digits == 0 || (*unit == '\0' && unit != text + digits))
		return false;
	for (size_t i = 0; i < digits; i++) {
		number = 10 * number + (text[i] - '0');
		if (number > SIZE_MOST)
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(unit, units[i].unit) != 0)
			continue;
		if (number > SIZE_MOST / units[i].bytes)
			return false;
		*ret_bytes = number * units[i].bytes;
		return true;
	}
	return false;
}

/*
 * Append what the placeholder at `text`, which begins with `<`, stands for, and return its length.
 * `arguments` NULL: any number of arguments is there (a check at load). 0: `error` says what is wrong.
 */
static size_t put_placeholder(const char *text, const char *worker, char *const *arguments,
	size_t count, struct buffer *out, struct error *error)
{
	static const char worker_name[] = "<worker>", argument[] = "<arguments[";
	const char *digits = text + strlen(argument);
	size_t len = strcspn(text, ">") + 1, index = 0, digits_len;

	if (strncmp(text, worker_name, strlen(worker_name)) == 0) {
		buffer_append_text(out, worker);
		return strlen(worker_name);
	}
	if (text[len - 1] != '>' || strncmp(text, argument, strlen(argument)) != 0)
		goto unknown;
	digits_len = strspn(digits, "0123456789");
	if (digits_len < 1 || digits_len > 4 || strncmp(digits + digits_len, "]>", 2) != 0)
		goto unknown;
	for (size_t i = 0; i < digits_len; i++)
		index = 10 * index + (size_t)(digits[i] - '0');
	if (arguments != NULL && index >= count) {
		(void)error_set(error, NC_ERR_INVALID,
			"there is no argument %zu for %.*s; the worker has %zu", index, (int)len,
			text, count);
		return 0;
	}
	if (arguments != NULL)
		buffer_append_text(out, arguments[index]);
	return len;
unknown:
	(void)error_set(error, NC_ERR_INVALID,
		"%.*s is not known here; <worker> and <arguments[0]>, <arguments[1]>, ... are",
		(int)(len < 60 ? len : 60), text);
	return 0;
}

enum nc_err config_put_template(const char *template, const char *worker, char *const *arguments,
	size_t count, struct buffer *out, struct error *error)
{
	while (*template != '\0') {
		size_t len = strcspn(template, "<");

		buffer_append(out, template, len);
		template += len;
		if (*template == '\0')
			break;
		len = put_placeholder(template, worker, arguments, count, out, error);
		if (len == 0)
			return NC_ERR_INVALID;
		template += len;
	}
	return out->failed ? error_nomem(error) : NC_OK;
}

enum nc_err config_type_from_template(const char *template, const char *worker,
	char *const *arguments, size_t count, struct buffer *out, struct error *error)
{
	static char *const no_arguments[] = { NULL };

	return config_put_template(template, worker, arguments != NULL ? arguments : no_arguments,
		arguments != NULL ? count : 0, out, error);
}
