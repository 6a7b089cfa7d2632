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

/*
 * Put `?` for each byte that is no UTF-8, in place. For texts of our own that quote part of what others
 * wrote (`%.100s`): the cut may fall into a character, and no reply, log or file takes half of one.
 */
void utf8_mend(char *text);

/* The same, and `?` for each control character: one line. */
void utf8_make_line(char *text);

#endif
