/* Shared by cli.c and cli_help.c only. */
#ifndef NOWCAST_CORE_SYSTEM_CLI_INTERNAL_H
#define NOWCAST_CORE_SYSTEM_CLI_INTERNAL_H

#include "core/system/cli.h"

enum {
	CLI_OPTIONS_MOST = 64 /* in all tables of a spec together; more is a bug of ours */
};

/* `-h, --help`, which is in every table by itself. */
extern const struct cli_option cli_help_option;

bool cli_is_positional(const struct cli_option *option);
/* All options of the tables, in order; how many. `options` has room for CLI_OPTIONS_MOST. */
size_t cli_collect(const struct cli_spec *spec, const struct cli_option **options);
bool cli_default_date(const struct cli_option *option, struct date today, struct date *ret_date);

#endif
