/*
 * The rules file of a configuration, for commands that look into it: `check`, `next`.
 *
 * Depends on core/decide/rules, core/system/config, core/system/file.
 */
#ifndef NOWCAST_COMMANDS_RULES_FILE_H
#define NOWCAST_COMMANDS_RULES_FILE_H

#include "core/decide/rules.h"
#include "core/system/config.h"

/* The file as people name it: beside the configuration file, in the words of the command line. To be freed;
 * NULL: out of memory. */
char *rules_file_shown(const struct config *config);

/*
 * Read it. NC_OK: *ret_rules is the caller's. NC_ERR_NOT_FOUND: there is no such file, and no finding says so.
 * NC_ERR_NOMEM; else there are errors among `findings`.
 */
enum nc_err rules_file_read(
	const struct config *config, struct rules **ret_rules, struct findings *findings);

#endif
