/* `nowcast --install-links DIR` and `--remove-links DIR`. */
#ifndef NOWCAST_INSTALL_LINKS_H
#define NOWCAST_INSTALL_LINKS_H

#include <stdbool.h>

/*
 * Make a symbolic link to this binary in `directory` for every entry point. One that would hide another
 * command on PATH is named and left out, unless `all`. What stands there already is never replaced.
 * Returns the exit status.
 */
int install_links(const char *directory, bool all);
/* Remove the links in `directory` that point to this binary, and nothing else. */
int remove_links(const char *directory);

#endif
