/*
 * Names for messages and launches: UUID version 7 (RFC 9562): 48 bits of real time in milliseconds,
 * then 74 random bits; so they sort by time and nobody guesses one. Tokens of launches are 128 random
 * bits in hexadecimal.
 */
#ifndef NOWCAST_CORE_SYSTEM_ID_H
#define NOWCAST_CORE_SYSTEM_ID_H

#include <stdbool.h>

#include "core/data/error.h"

enum {
	ID_TEXT_SIZE = 37,
	TOKEN_TEXT_SIZE = 33
};

/* NC_ERR_SYSTEM: the kernel gives no random bytes; `text` is untouched. */
enum nc_err id_make(char text[ID_TEXT_SIZE], struct error *error);
enum nc_err token_make(char text[TOKEN_TEXT_SIZE], struct error *error);

/* Is it an UUID in lower-case text form? So it may become part of a file name (promises.md, S5). */
bool id_is_valid(const char *text);

/* Equal? In a time that does not depend on where they differ. */
bool token_is_equal(const char *a, const char *b);

#endif
