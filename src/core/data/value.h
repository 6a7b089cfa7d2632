/*
 * The one shape of data in this program: an ordered tree of values, as YAML 1.1 and JSON have it.
 *
 * Ownership: a tree owns all that is below it. Constructors return NULL when memory runs out. What
 * puts a value into a tree takes it over, also on failure (then it is destroyed), and accepts NULL
 * for "out of memory": so calls can be nested and one result checked:
 *
 *	err = value_map_put(map, "sleep time", value_int(5));
 *
 * Readers accept NULL and values of another kind, and answer "not there".
 *
 * A scalar that was read from text knows how it was written, on which line and column, and whether it
 * was quoted.
 *
 * Depends on core/data only: no files, no clock, no log.
 */
#ifndef NOWCAST_CORE_DATA_VALUE_H
#define NOWCAST_CORE_DATA_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/data/buffer.h"
#include "core/data/calendar.h"
#include "core/data/error.h"

enum value_kind {
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_INT,
	VALUE_FLOAT,
	VALUE_TEXT,
	VALUE_DATE,
	VALUE_TIMESTAMP,
	VALUE_SET, /* its elements in the order of the text, each once */
	VALUE_LIST,
	VALUE_MAP,
	VALUE_KIND_COUNT
};

struct value;

/* `a mapping`, `an integer`, ...: for messages to people. */
const char *value_kind_words(enum value_kind kind);

struct value *value_null(void);
struct value *value_bool(bool boolean);
struct value *value_int(int64_t integer);
struct value *value_float(double number);
struct value *value_text(const char *text);               /* NUL-terminated UTF-8 */
struct value *value_text_n(const char *text, size_t len); /* no NUL in it */
struct value *value_text_printf(const char *format, ...) NC_PRINTF(1, 2);
struct value *value_date(struct date date);
struct value *value_timestamp(const struct timestamp *timestamp);
struct value *value_list(void);
struct value *value_set(void);
struct value *value_map(void);

void value_destroy(struct value *value);             /* accepts NULL */
struct value *value_copy(const struct value *value); /* places and written forms too */

/* Same kind and content. Mappings and sets: whatever their order. Places and written forms do not count. */
bool value_equal(const struct value *a, const struct value *b);

/* What kind? NULL counts as VALUE_NULL. */
enum value_kind value_kind(const struct value *value);
bool value_is(const struct value *value, enum value_kind kind);

/* Content of a scalar. `otherwise` when the value is NULL or of another kind. */
bool value_as_bool(const struct value *value, bool otherwise);
int64_t value_as_int(const struct value *value, int64_t otherwise);
double value_as_float(const struct value *value, double otherwise); /* an integer counts */
const char *value_as_text(const struct value *value, const char *otherwise);
bool value_as_date(const struct value *value, struct date *ret_date);
bool value_as_timestamp(const struct value *value, struct timestamp *ret_timestamp);

/*
 * The scalar as people write it: a text as it is; a scalar that was read, as it was written; else
 * `true`, `5`, `2.5`, `2026-11-24`, `null`. NC_ERR_INVALID for a list, a set or a mapping.
 */
enum nc_err value_print_scalar(const struct value *value, struct buffer *out);

/* Lists and sets. value_at(): NULL beyond the end. */
size_t value_count(const struct value *value); /* elements of a list, set or mapping; else 0 */
struct value *value_at(const struct value *value, size_t index);
enum nc_err value_list_append(struct value *list, struct value *item);
/* Take away the elements from `count` on. */
void value_list_truncate(struct value *list, size_t count);
/* An element that is there already is left, and `item` destroyed. NC_ERR_INVALID: `item` is a collection. */
enum nc_err value_set_add(struct value *set, struct value *item);
bool value_set_contains(const struct value *set, const struct value *item);

/*
 * Mappings. Keys are values; nearly all are texts. value_map_get() finds a key that is a text of
 * exactly that content. value_map_find_written() also finds a scalar key of another kind that is
 * written like that (`00`, `no`, `2026-11-24`): for keys that people name.
 */
struct value *value_map_get(const struct value *map, const char *key);
struct value *value_map_find_written(const struct value *map, const char *key);
struct value *value_map_find(const struct value *map, const struct value *key);
const struct value *value_map_key_at(const struct value *map, size_t index);
struct value *value_map_value_at(const struct value *map, size_t index);
/* Replace the value of a key in its place, or add the key at the end. */
enum nc_err value_map_put(struct value *map, const char *key, struct value *value);
enum nc_err value_map_put_key(struct value *map, struct value *key, struct value *value);
/* Take a key out; false when it was not there. */
bool value_map_remove(struct value *map, const char *key);
/* Copy all entries of `from` into `map`, replacing. On failure some may be there already. */
enum nc_err value_map_merge(struct value *map, const struct value *from);

/* Where it was read; 0: not from a text. */
unsigned value_line(const struct value *value);
unsigned value_column(const struct value *value);
bool value_is_quoted(const struct value *value);
/* For readers of texts: set the place and the written form (may be NULL; copied). */
enum nc_err value_set_origin(
	struct value *value, unsigned line, unsigned column, bool quoted, const char *written);

/* The whole of `text` as a decimal integer. false: it is none, or too large. */
bool text_to_int64(const char *text, int64_t *ret_integer);

#endif
