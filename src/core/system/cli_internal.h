/* Shared by cli.c and cli_help.c only. */
#ifndef NOWCAST_CORE_SYSTEM_CLI_INTERNAL_H
#define NOWCAST_CORE_SYSTEM_CLI_INTERNAL_H

#include "core/system/cli.h"

enum {
	CLI_OPTIONS_MOST = 64
};

bool cli_is_positional(const struct cli_option *option);
/* All options of the tables, in order; how many. */
size_t cli_collect(const struct cli_spec *spec, const struct cli_option **options, size_t most);
bool cli_default_date(const struct cli_option *option, struct date today, struct date *ret_date);

#endif
