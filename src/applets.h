/* The static table of entry points, made from src/applets.def. */
#ifndef NOWCAST_APPLETS_H
#define NOWCAST_APPLETS_H

#include <stddef.h>

#include "core/system/applet.h"

extern const struct applet *const applets[]; /* sorted by name */
extern const size_t applets_count;

/* NULL: no such entry point. */
const struct applet *applet_find(const char *name);
/* The nearest name, or NULL. */
const char *applet_suggest(const char *typed);

#endif
