/*
 * UTF-8, strictly (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
 *
 * Depends on nothing.
 */
#ifndef NOWCAST_CORE_DATA_UTF8_H
#define NOWCAST_CORE_DATA_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* false: these bytes are not UTF-8; *ret_at (may be NULL) is the offset of the first bad byte. */
bool utf8_is_valid(const char *text, size_t len, size_t *ret_at);

/* Make it one line of UTF-8, in place: `?` for each control character and each byte that is none. */
void utf8_make_line(char *text);

#endif
