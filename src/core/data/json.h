/*
 * JSON text to value and back (jansson reads and writes it; YAML readers cannot stand in: they do not
 * join `\ud83d\ude00`, and take 1e5 for a text).
 *
 * Depends on core/data and jansson.
 */
#ifndef NOWCAST_CORE_DATA_JSON_H
#define NOWCAST_CORE_DATA_JSON_H

#include "core/data/value.h"
#include "core/data/yaml.h"

/* As yaml_read(), with the same limits and errors. The values know no line. A key twice is an error. */
enum nc_err json_read(const char *text, size_t len, const struct yaml_limits *limits,
	struct value **ret_value, struct error *error);

enum json_write_flags {
	JSON_WRITE_INDENT = 1 << 0, /* for people; without it, one line */
};

/*
 * Append `value` as JSON. Dates are written as texts, sets as lists, keys that are no texts as they
 * are written, infinities and not-a-number as null. No newline at the end.
 */
void json_write(const struct value *value, unsigned flags, struct buffer *out);

#endif
