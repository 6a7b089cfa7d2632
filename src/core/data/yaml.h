/*
 * YAML text to value and back. Scalars are YAML 1.1 exactly as PyYAML's safe_load and safe_dump take
 * them, so that Python programs and this one read each other's texts alike.
 *
 * Reading composes from libyaml's events (its own composer has neither limits nor a guard against
 * cycles; facts.md, F). One document; a second one is an error. An empty text is null.
 *
 * Depends on core/data and libyaml. No files.
 */
#ifndef NOWCAST_CORE_DATA_YAML_H
#define NOWCAST_CORE_DATA_YAML_H

#include "core/data/utf8.h"
#include "core/data/value.h"

/* promises.md, R13 */
struct yaml_limits {
	size_t bytes;
	unsigned depth; /* a scalar at the top has depth 1 */
	size_t nodes;   /* aliases count as what they stand for */
};

extern const struct yaml_limits yaml_message_limits; /* 1 MiB, 32, 20,000 */
extern const struct yaml_limits yaml_file_limits;    /* 16 MiB, 64, 1,000,000 */

enum yaml_read_flags {
	YAML_READ_MERGE_KEYS = 1 << 0, /* `<<` merges; without it, a plain `<<` key is an error */
	YAML_READ_ALL_TEXT = 1 << 1,   /* every scalar is a text, as written (next_workers.yaml) */
};

/*
 * NC_OK: *ret_value is the caller's. Otherwise it is untouched; NC_ERR_SYNTAX (also a tag that is
 * refused, invalid UTF-8, a NUL), NC_ERR_INVALID (a key twice: both places are named; an impossible
 * date), NC_ERR_LIMIT, NC_ERR_NOMEM, with line and column.
 */
enum nc_err yaml_read(const char *text, size_t len, unsigned flags,
	const struct yaml_limits *limits, struct value **ret_value, struct error *error);

enum yaml_write_flags {
	YAML_WRITE_FLOW = 1 << 0, /* on one line */
};

/*
 * Append `value` as YAML text that PyYAML reads back as the same value and type. Block style ends
 * with a newline. Failure: out->failed (out of memory).
 */
void yaml_write(const struct value *value, unsigned flags, struct buffer *out);

#endif
