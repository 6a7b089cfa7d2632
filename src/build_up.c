/*
 * BUILD-UP ONLY, goes when all files are there: stands in for functions whose files do not exist yet, so
 * that the rest can be run. It is in an archive behind all others: what is there is never taken from here.
 */
#include <stdio.h>

#include "core/decide/rules.h"
#include "daemons/daemon.h"

__attribute__((weak)) enum nc_err rules_read(const char *name, const char *text, size_t len,
	const struct config *config, struct rules **ret_rules, struct findings *findings,
	struct error *error)
{
	return NC_OK;
}

__attribute__((weak)) void rules_destroy(struct rules *rules)
{
}

__attribute__((weak)) bool daemon_start(
	struct daemon *d, const struct applet *self, int argc, char **argv, enum log_mode mode)
{
	(void)fprintf(stderr, "nowcast: %s cannot run yet\n", self->name);
	return false;
}

__attribute__((weak)) void daemon_ready(struct daemon *d)
{
}

__attribute__((weak)) void daemon_run(struct daemon *d)
{
}

__attribute__((weak)) int daemon_finish(struct daemon *d)
{
	return 1;
}
