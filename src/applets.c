#include "applets.h"

#include <string.h>

#include "core/data/suggest.h"

#define APPLET(name) extern const struct applet applet_##name;
#include "applets.def"
#undef APPLET

#define APPLET(name) &applet_##name,
const struct applet *const applets[] = {
#include "applets.def"
};
#undef APPLET

const size_t applets_count = ARRAY_LEN(applets);

const struct applet *applet_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(applets); i++)
		if (strcmp(applets[i]->name, name) == 0)
			return applets[i];
	return NULL;
}

const char *applet_suggest(const char *typed)
{
	const char *names[ARRAY_LEN(applets)];

	for (size_t i = 0; i < ARRAY_LEN(applets); i++)
		names[i] = applets[i]->name;
	return suggest(typed, names, ARRAY_LEN(names));
}
