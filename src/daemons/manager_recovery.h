/* Shared by the manager's files: what became of launches that nobody has reported. */
#ifndef NOWCAST_DAEMONS_MANAGER_RECOVERY_H
#define NOWCAST_DAEMONS_MANAGER_RECOVERY_H

#include "daemons/manager_internal.h"

/* A runner of ours has ended, with this wait status. */
void recovery_runner_ended(struct manager *m, const char *launch_id, int status);

#endif
