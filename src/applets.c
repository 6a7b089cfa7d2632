#include "applets.h"

#include <stdio.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/system/exit_status.h"

/* BUILD-UP ONLY: an entry point that has no file yet; the real one takes its place when linking. */
static int not_there(const struct applet *self, int argc, char **argv)
{
	(void)fprintf(stderr, "nowcast: %s is not there yet\n", self->name);
	return EXIT_FAILED;
}

#define APPLET(applet_name)                                                                        \
	extern const struct applet applet_##applet_name;                                           \
	__attribute__((weak)) const struct applet applet_##applet_name = {                         \
		.name = #applet_name,                                                              \
		.summary = "is not there yet",                                                     \
		.description = "",                                                                 \
		.run = not_there,                                                                  \
	};
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
