/* Shared by yaml_read.c, yaml_resolve.c and yaml_write.c only. */
#ifndef NOWCAST_CORE_DATA_YAML_INTERNAL_H
#define NOWCAST_CORE_DATA_YAML_INTERNAL_H

#include "core/data/value.h"

/* What a plain scalar is, by YAML 1.1 as PyYAML resolves it: VALUE_TEXT when it is nothing else. */
enum value_kind yaml_resolve_plain(const char *text);

/* Is it `<<`, PyYAML's merge key? */
bool yaml_is_merge_key(const char *text);

/*
 * Make the scalar of this kind from its text (which need not be in the plain form: `!!int "7"`).
 * NC_ERR_INVALID with words: it is none, or impossible; NC_ERR_LIMIT: an integer over 64 bits.
 */
enum nc_err yaml_construct(
	enum value_kind kind, const char *text, struct value **ret_value, struct error *error);

#endif
