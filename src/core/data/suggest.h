/*
 * "Did you mean ...?" for names that people type.
 *
 * Depends on nothing.
 */
#ifndef NOWCAST_CORE_DATA_SUGGEST_H
#define NOWCAST_CORE_DATA_SUGGEST_H

#include <stddef.h>

/*
 * The candidate that `typed` is most likely meant to be (fewest letters to insert, drop, change or
 * swap; at most a third of them), or NULL. `candidates` may hold NULLs.
 */
const char *suggest(const char *typed, const char *const *candidates, size_t count);

#endif
