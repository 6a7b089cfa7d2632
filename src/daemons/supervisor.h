/* `nowcast manager --supervised`: a supervisor whose only child is the manager. */
#ifndef NOWCAST_DAEMONS_SUPERVISOR_H
#define NOWCAST_DAEMONS_SUPERVISOR_H

#include "core/system/applet.h"

/* argv without `--supervised`. Returns the exit status. */
int supervisor_run_manager_only(int argc, char **argv);

#endif
