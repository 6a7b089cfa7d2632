#include "core/data/value.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	INDEX_FROM = 16, /* entries from which a mapping or set keeps a hash index */
};

struct value {
	enum value_kind kind;
	bool quoted;
	unsigned line, column;
	char *text; /* of a text: its content; of another scalar: as it was written, or NULL */
	union {
		bool boolean;
		int64_t integer;
		double number;
		struct timestamp timestamp; /* of a date: its date only */
		struct {
			/* Keys of a mapping; items of a list or set. `values` only of a mapping. */
			struct value **items;
			struct value **values;
			size_t count, capacity;
			bool other_keys; /* of a mapping: one of them was no text */
			/* Open addressing; holds position + 1, 0 is free. NULL while small. */
			uint32_t *index;
			size_t index_size; /* a power of two */
		} many;
	};
};

static const char *const kind_words[] = {
	[VALUE_NULL] = "nothing",
	[VALUE_BOOL] = "a truth value",
	[VALUE_INT] = "an integer",
	[VALUE_FLOAT] = "a number",
	[VALUE_TEXT] = "a text",
	[VALUE_DATE] = "a date",
	[VALUE_TIMESTAMP] = "a date with a time",
	[VALUE_SET] = "a set",
	[VALUE_LIST] = "a list",
	[VALUE_MAP] = "a mapping",
};
static_assert(ARRAY_LEN(kind_words) == VALUE_KIND_COUNT, "words for every kind");

const char *value_kind_words(enum value_kind kind)
{
	return kind_words[kind];
}

static struct value *make(enum value_kind kind)
{
	struct value *value = calloc(1, sizeof(*value));

	if (value != NULL)
		value->kind = kind;
	return value;
}

struct value *value_null(void)
{
	return make(VALUE_NULL);
}

struct value *value_bool(bool boolean)
{
	struct value *value = make(VALUE_BOOL);

	if (value != NULL)
		value->boolean = boolean;
	return value;
}

struct value *value_int(int64_t integer)
{
	struct value *value = make(VALUE_INT);

	if (value != NULL)
		value->integer = integer;
	return value;
}

struct value *value_float(double number)
{
	struct value *value = make(VALUE_FLOAT);

	if (value != NULL)
		value->number = number;
	return value;
}

struct value *value_text_n(const char *text, size_t len)
{
	struct value *value = make(VALUE_TEXT);

	if (value == NULL)
		return NULL;
	value->text = strndup(text, len);
	if (value->text == NULL) {
		free(value);
		return NULL;
	}
	return value;
}

struct value *value_text(const char *text)
{
	return value_text_n(text, strlen(text));
}

struct value *value_text_printf(const char *format, ...)
{
	struct value *value = make(VALUE_TEXT);
	va_list arguments;
	int len;

	if (value == NULL)
		return NULL;
	va_start(arguments, format);
	len = vasprintf(&value->text, format, arguments);
	va_end(arguments);
	if (len < 0) {
		free(value);
		return NULL;
	}
	return value;
}

struct value *value_date(struct date date)
{
	struct value *value = make(VALUE_DATE);

	if (value != NULL)
		value->timestamp.date = date;
	return value;
}

struct value *value_timestamp(const struct timestamp *timestamp)
{
	struct value *value = make(VALUE_TIMESTAMP);

	if (value != NULL)
		value->timestamp = *timestamp;
	return value;
}

struct value *value_list(void)
{
	return make(VALUE_LIST);
}

struct value *value_set(void)
{
	return make(VALUE_SET);
}

struct value *value_map(void)
{
	return make(VALUE_MAP);
}

enum value_kind value_kind(const struct value *value)
{
	return value != NULL ? value->kind : VALUE_NULL;
}

bool value_is(const struct value *value, enum value_kind kind)
{
	return value_kind(value) == kind;
}

static bool is_collection(const struct value *value)
{
	return value != NULL && value->kind >= VALUE_SET;
}

/* Trees are as deep as their reader allowed (yaml_limits.depth), so recursion is bounded. */
void value_destroy(struct value *value)
{
	if (value == NULL)
		return;
	if (is_collection(value)) {
		for (size_t i = 0; i < value->many.count; i++) {
			value_destroy(value->many.items[i]);
			if (value->many.values != NULL)
				value_destroy(value->many.values[i]);
		}
		free(value->many.items);
		free(value->many.values);
		free(value->many.index);
	}
	free(value->text);
	free(value);
}

/* Of a VALUE_TEXT, which has one from the moment when it is made. */
static const char *text_of(const struct value *value)
{
	return value->text != NULL ? value->text : "";
}

static bool equal_scalars(const struct value *a, const struct value *b)
{
	switch (a->kind) {
	case VALUE_NULL:
		return true;
	case VALUE_BOOL:
		return a->boolean == b->boolean;
	case VALUE_INT:
		return a->integer == b->integer;
	case VALUE_FLOAT:
		return a->number == b->number || (isnan(a->number) && isnan(b->number));
	case VALUE_TEXT:
		return strcmp(text_of(a), text_of(b)) == 0;
	case VALUE_DATE:
		return date_compare(a->timestamp.date, b->timestamp.date) == 0;
	case VALUE_TIMESTAMP:
		return date_compare(a->timestamp.date, b->timestamp.date) == 0 &&
		       a->timestamp.hour == b->timestamp.hour &&
		       a->timestamp.minute == b->timestamp.minute &&
		       a->timestamp.second == b->timestamp.second &&
		       a->timestamp.microsecond == b->timestamp.microsecond &&
		       a->timestamp.has_zone == b->timestamp.has_zone &&
		       a->timestamp.zone_offset_s == b->timestamp.zone_offset_s;
	case VALUE_SET:
	case VALUE_LIST:
	case VALUE_MAP:
	case VALUE_KIND_COUNT:
		break;
	}
	return false;
}

bool value_equal(const struct value *a, const struct value *b)
{
	if (value_kind(a) != value_kind(b))
		return false;
	if (a == NULL || b == NULL)
		return true; /* both null, one of them by absence */
	if (!is_collection(a))
		return equal_scalars(a, b);
	if (a->many.count != b->many.count)
		return false;
	for (size_t i = 0; i < a->many.count; i++) {
		if (a->kind == VALUE_LIST) {
			if (!value_equal(a->many.items[i], b->many.items[i]))
				return false;
		} else if (a->kind == VALUE_SET) {
			if (!value_set_contains(b, a->many.items[i]))
				return false;
		} else {
			const struct value *other = value_map_find(b, a->many.items[i]);

			if (other == NULL || !value_equal(a->many.values[i], other))
				return false;
		}
	}
	return true;
}

bool value_as_bool(const struct value *value, bool otherwise)
{
	return value_is(value, VALUE_BOOL) ? value->boolean : otherwise;
}

int64_t value_as_int(const struct value *value, int64_t otherwise)
{
	return value_is(value, VALUE_INT) ? value->integer : otherwise;
}

double value_as_float(const struct value *value, double otherwise)
{
	if (value_is(value, VALUE_INT))
		return (double)value->integer;
	return value_is(value, VALUE_FLOAT) ? value->number : otherwise;
}

const char *value_as_text(const struct value *value, const char *otherwise)
{
	return value_is(value, VALUE_TEXT) ? value->text : otherwise;
}

bool value_as_date(const struct value *value, struct date *ret_date)
{
	if (!value_is(value, VALUE_DATE))
		return false;
	*ret_date = value->timestamp.date;
	return true;
}

bool value_as_timestamp(const struct value *value, struct timestamp *ret_timestamp)
{
	if (!value_is(value, VALUE_TIMESTAMP))
		return false;
	*ret_timestamp = value->timestamp;
	return true;
}

/*
 * The fewest digits that read back as the same number, written as Python's repr() writes them, but always
 * with a point: YAML 1.1 takes `1e+20` for a text.
 */
static void print_float(double number, struct buffer *out)
{
	char text[40];
	const char *exponent;
	int power, places;

	if (isnan(number) || isinf(number)) {
		buffer_append_text(out, isnan(number) ? ".nan" : number > 0 ? ".inf" : "-.inf");
		return;
	}
	for (int digits = 0; digits < 17; digits++) {
		(void)snprintf(text, sizeof(text), "%.*e", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	exponent = strchr(text, 'e');
	power = (int)strtol(exponent + 1, NULL, 10);
	places = strchr(text, '.') != NULL ? (int)(exponent - strchr(text, '.')) - 1 : 0;
	/* repr() writes out what has up to 16 digits before the point, or 3 zeros after it. */
	if (power >= -4 && power < 16)
		buffer_printf(out, "%.*f", places > power ? places - power : 1, number);
	else
		buffer_printf(out, "%.*s%s%s", (int)(exponent - text), text,
			places == 0 ? ".0" : "", exponent);
}

enum nc_err value_print_scalar(const struct value *value, struct buffer *out)
{
	char text[TIMESTAMP_TEXT_SIZE];

	if (is_collection(value))
		return NC_ERR_INVALID;
	if (value != NULL && value->text != NULL) {
		buffer_append_text(out, value->text);
		return out->failed ? NC_ERR_NOMEM : NC_OK;
	}
	switch (value_kind(value)) {
	case VALUE_NULL:
		buffer_append_text(out, "null");
		break;
	case VALUE_BOOL:
		buffer_append_text(out, value->boolean ? "true" : "false");
		break;
	case VALUE_INT:
		buffer_printf(out, "%" PRId64, value->integer);
		break;
	case VALUE_FLOAT:
		print_float(value->number, out);
		break;
	case VALUE_DATE:
		buffer_append_text(out, date_print(value->timestamp.date, text));
		break;
	case VALUE_TIMESTAMP:
		buffer_append_text(out, timestamp_print(&value->timestamp, text));
		break;
	case VALUE_TEXT: /* has a text */
	case VALUE_SET:
	case VALUE_LIST:
	case VALUE_MAP:
	case VALUE_KIND_COUNT:
		break;
	}
	return out->failed ? NC_ERR_NOMEM : NC_OK;
}

/* --- collections --- */

size_t value_count(const struct value *value)
{
	return is_collection(value) ? value->many.count : 0;
}

struct value *value_at(const struct value *value, size_t index)
{
	if (!value_is(value, VALUE_LIST) && !value_is(value, VALUE_SET))
		return NULL;
	return index < value->many.count ? value->many.items[index] : NULL;
}

/*
 * Keyed with the place that the loader chose for this process, so that keys which collide in one process
 * need not in another: hard to prepare for a sender, and a message has 20,000 of them at most (R13).
 */
static uint64_t hash_start(enum value_kind kind)
{
	return ((uint64_t)(uintptr_t)kind_words + (uint64_t)kind) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
	const unsigned char *next = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ next[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
	return hash;
}

static uint64_t hash_time(uint64_t hash, const struct timestamp *time)
{
	int64_t microseconds = time->hour * 3600 + time->minute * 60 + time->second;

	microseconds = microseconds * 1000000 + time->microsecond;
	return hash_bytes(hash, &microseconds, sizeof(microseconds));
}

/* Keys and elements of sets are scalars. Equal ones have equal hashes. */
static uint32_t hash_of(const struct value *key)
{
	uint64_t hash = hash_start(key->kind);
	int64_t number;
	double real;

	switch (key->kind) {
	case VALUE_TEXT:
		hash = hash_bytes(hash, text_of(key), strlen(text_of(key)));
		break;
	case VALUE_BOOL:
		hash = hash_bytes(hash, &key->boolean, sizeof(key->boolean));
		break;
	case VALUE_INT:
		hash = hash_bytes(hash, &key->integer, sizeof(key->integer));
		break;
	case VALUE_FLOAT:
		/* -0.0 becomes 0.0, and all not-a-numbers are one. */
		real = isnan(key->number) ? 0.5 : key->number + 0.0;
		hash = hash_bytes(hash, &real, sizeof(real));
		break;
	case VALUE_DATE:
	case VALUE_TIMESTAMP:
		number = date_to_day_number(key->timestamp.date);
		hash = hash_bytes(hash, &number, sizeof(number));
		if (key->kind == VALUE_TIMESTAMP)
			hash = hash_time(hash, &key->timestamp);
		break;
	case VALUE_NULL:
	case VALUE_SET:
	case VALUE_LIST:
	case VALUE_MAP:
	case VALUE_KIND_COUNT:
	default:
		break;
	}
	/* The table takes the low bits: bring the high ones down. */
	hash ^= hash >> 32;
	hash *= UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(hash ^ hash >> 32);
}

static void index_add(struct value *value, size_t position)
{
	size_t mask = value->many.index_size - 1;
	size_t slot = hash_of(value->many.items[position]) & mask;

	while (value->many.index[slot] != 0)
		slot = (slot + 1) & mask;
	value->many.index[slot] = (uint32_t)position + 1;
}

/* (Re)build the index when there is none, or it is more than half full. Without memory: do without. */
static void index_prepare(struct value *value)
{
	size_t size = 64;

	if (value->many.count < INDEX_FROM ||
		(value->many.index != NULL && 2 * value->many.count < value->many.index_size))
		return;
	while (size < 4 * value->many.count)
		size *= 2;
	free(value->many.index);
	value->many.index = calloc(size, sizeof(*value->many.index));
	value->many.index_size = size;
	if (value->many.index == NULL)
		return;
	for (size_t i = 0; i < value->many.count; i++)
		index_add(value, i);
}

static void index_forget(struct value *value)
{
	free(value->many.index);
	value->many.index = NULL;
	value->many.index_size = 0;
}

enum {
	NOWHERE = -1
};

static ptrdiff_t position_of(const struct value *value, const struct value *key)
{
	if (value->many.index != NULL) {
		size_t mask = value->many.index_size - 1;

		for (size_t slot = hash_of(key) & mask; value->many.index[slot] != 0;
			slot = (slot + 1) & mask) {
			size_t position = value->many.index[slot] - 1;

			if (value_equal(value->many.items[position], key))
				return (ptrdiff_t)position;
		}
		return NOWHERE;
	}
	for (size_t i = 0; i < value->many.count; i++)
		if (value_equal(value->many.items[i], key))
			return (ptrdiff_t)i;
	return NOWHERE;
}

/* A key that is a text, without making a value of it. */
static ptrdiff_t position_of_text(const struct value *map, const char *key)
{
	struct value probe = { .kind = VALUE_TEXT };

	probe.text = (char *)(uintptr_t)key; /* read only, during this call */
	return position_of(map, &probe);
}

static bool make_room(struct value *value)
{
	size_t capacity = value->many.capacity > 0 ? 2 * value->many.capacity : 4;
	struct value **items, **values;

	if (value->many.count < value->many.capacity)
		return true;
	items = reallocarray(value->many.items, capacity, sizeof(struct value *));
	if (items == NULL)
		return false;
	value->many.items = items;
	if (value->kind == VALUE_MAP) {
		values = reallocarray(value->many.values, capacity, sizeof(struct value *));
		if (values == NULL)
			return false;
		value->many.values = values;
	}
	value->many.capacity = capacity;
	return true;
}

/* Add at the end; the caller has seen that there is no such key. */
static enum nc_err add(struct value *value, struct value *item, struct value *mapped)
{
	if (!make_room(value)) {
		value_destroy(item);
		value_destroy(mapped);
		return NC_ERR_NOMEM;
	}
	value->many.items[value->many.count] = item;
	if (value->kind == VALUE_MAP) {
		value->many.values[value->many.count] = mapped;
		value->many.other_keys = value->many.other_keys || item->kind != VALUE_TEXT;
	}
	value->many.count++;
	if (value->kind == VALUE_LIST)
		return NC_OK;
	if (value->many.index != NULL && 2 * value->many.count < value->many.index_size)
		index_add(value, value->many.count - 1);
	else
		index_prepare(value);
	return NC_OK;
}

enum nc_err value_list_append(struct value *list, struct value *item)
{
	if (list == NULL || item == NULL) {
		value_destroy(item);
		return NC_ERR_NOMEM;
	}
	assert(list->kind == VALUE_LIST);
	return add(list, item, NULL);
}

void value_list_truncate(struct value *list, size_t count)
{
	assert(list->kind == VALUE_LIST);
	while (list->many.count > count)
		value_destroy(list->many.items[--list->many.count]);
}

enum nc_err value_set_add(struct value *set, struct value *item)
{
	if (set == NULL || item == NULL) {
		value_destroy(item);
		return NC_ERR_NOMEM;
	}
	assert(set->kind == VALUE_SET);
	if (is_collection(item)) {
		value_destroy(item);
		return NC_ERR_INVALID;
	}
	if (position_of(set, item) != NOWHERE) {
		value_destroy(item);
		return NC_OK;
	}
	return add(set, item, NULL);
}

bool value_set_contains(const struct value *set, const struct value *item)
{
	return value_is(set, VALUE_SET) && item != NULL && !is_collection(item) &&
	       position_of(set, item) != NOWHERE;
}

struct value *value_map_get(const struct value *map, const char *key)
{
	ptrdiff_t position;

	if (!value_is(map, VALUE_MAP))
		return NULL;
	position = position_of_text(map, key);
	return position != NOWHERE ? map->many.values[position] : NULL;
}

struct value *value_map_find(const struct value *map, const struct value *key)
{
	ptrdiff_t position;

	if (!value_is(map, VALUE_MAP) || key == NULL || is_collection(key))
		return NULL;
	position = position_of(map, key);
	return position != NOWHERE ? map->many.values[position] : NULL;
}

struct value *value_map_find_written(const struct value *map, const char *key)
{
	struct value *found = value_map_get(map, key);
	struct buffer written;

	/* Texts are found by the index: large mappings have no others. */
	if (found != NULL || !value_is(map, VALUE_MAP) || !map->many.other_keys)
		return found;
	buffer_init(&written);
	for (size_t i = 0; found == NULL && i < map->many.count; i++) {
		if (map->many.items[i]->kind == VALUE_TEXT)
			continue;
		buffer_clear(&written);
		if (value_print_scalar(map->many.items[i], &written) == NC_OK &&
			strcmp(written.data, key) == 0)
			found = map->many.values[i];
	}
	buffer_finish(&written);
	return found;
}

const struct value *value_map_key_at(const struct value *map, size_t index)
{
	return value_is(map, VALUE_MAP) && index < map->many.count ? map->many.items[index] : NULL;
}

struct value *value_map_value_at(const struct value *map, size_t index)
{
	return value_is(map, VALUE_MAP) && index < map->many.count ? map->many.values[index] : NULL;
}

enum nc_err value_map_put_key(struct value *map, struct value *key, struct value *value)
{
	ptrdiff_t position;

	if (map == NULL || key == NULL || value == NULL) {
		value_destroy(key);
		value_destroy(value);
		return NC_ERR_NOMEM;
	}
	assert(map->kind == VALUE_MAP);
	if (is_collection(key)) {
		value_destroy(key);
		value_destroy(value);
		return NC_ERR_INVALID;
	}
	position = position_of(map, key);
	if (position == NOWHERE)
		return add(map, key, value);
	value_destroy(key);
	value_destroy(map->many.values[position]);
	map->many.values[position] = value;
	return NC_OK;
}

enum nc_err value_map_put(struct value *map, const char *key, struct value *value)
{
	return value_map_put_key(map, value_text(key), value);
}

bool value_map_remove(struct value *map, const char *key)
{
	ptrdiff_t position;
	size_t after;

	if (!value_is(map, VALUE_MAP))
		return false;
	position = position_of_text(map, key);
	if (position == NOWHERE)
		return false;
	value_destroy(map->many.items[position]);
	value_destroy(map->many.values[position]);
	after = map->many.count - (size_t)position - 1;
	memmove(map->many.items + position, map->many.items + position + 1,
		after * sizeof(struct value *));
	memmove(map->many.values + position, map->many.values + position + 1,
		after * sizeof(struct value *));
	map->many.count--;
	index_forget(map); /* every later position has moved */
	index_prepare(map);
	return true;
}

/* What puts a value into a tree takes it over, also when it fails: the analyser does not follow that. */
// NOLINTBEGIN(clang-analyzer-unix.Malloc)
enum nc_err value_map_merge(struct value *map, const struct value *from)
{
	for (size_t i = 0; i < value_count(from); i++) {
		enum nc_err err = value_map_put_key(map, value_copy(value_map_key_at(from, i)),
			value_copy(value_map_value_at(from, i)));

		if (err != NC_OK)
			return err;
	}
	return NC_OK;
}

static bool copy_items(struct value *copy, const struct value *value)
{
	for (size_t i = 0; i < value->many.count; i++) {
		struct value *item = value_copy(value->many.items[i]);
		struct value *mapped = NULL;

		if (value->kind == VALUE_MAP)
			mapped = value_copy(value->many.values[i]);
		if (item == NULL || (value->kind == VALUE_MAP && mapped == NULL)) {
			value_destroy(item);
			value_destroy(mapped);
			return false;
		}
		if (add(copy, item, mapped) != NC_OK)
			return false;
	}
	return true;
}
// NOLINTEND(clang-analyzer-unix.Malloc)

struct value *value_copy(const struct value *value)
{
	struct value *copy;

	if (value == NULL)
		return value_null();
	copy = make(value->kind);
	if (copy == NULL)
		return NULL;
	copy->quoted = value->quoted;
	copy->line = value->line;
	copy->column = value->column;
	if (is_collection(value)) {
		if (!copy_items(copy, value))
			goto fail;
		return copy;
	}
	copy->timestamp = value->timestamp; /* the largest member: the other scalars go with it */
	if (value->text != NULL) {
		copy->text = strdup(value->text);
		if (copy->text == NULL)
			goto fail;
	}
	return copy;
fail:
	value_destroy(copy);
	return NULL;
}

/* --- where it came from --- */

unsigned value_line(const struct value *value)
{
	return value != NULL ? value->line : 0;
}

unsigned value_column(const struct value *value)
{
	return value != NULL ? value->column : 0;
}

bool value_is_quoted(const struct value *value)
{
	return value != NULL && value->quoted;
}

enum nc_err value_set_origin(
	struct value *value, unsigned line, unsigned column, bool quoted, const char *written)
{
	value->line = line;
	value->column = column;
	value->quoted = quoted;
	if (written == NULL || value->kind == VALUE_TEXT || is_collection(value))
		return NC_OK;
	free(value->text);
	value->text = strdup(written);
	return value->text != NULL ? NC_OK : NC_ERR_NOMEM;
}

bool text_to_int64(const char *text, int64_t *ret_integer)
{
	char *end;
	intmax_t integer;

	if ((text[0] < '0' || text[0] > '9') &&
		!((text[0] == '-' || text[0] == '+') && text[1] >= '0' && text[1] <= '9'))
		return false;
	errno = 0;
	integer = strtoimax(text, &end, 10);
	if (errno != 0 || *end != '\0' || integer < INT64_MIN || integer > INT64_MAX)
		return false;
	*ret_integer = integer;
	return true;
}
