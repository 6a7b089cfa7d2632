/*
 * Has the mail of log lines sent: watches the spool (core/system/log_mail.h) and starts `nowcast send_mail`
 * when something has come. Every daemon has one, so that mail goes out as long as any of them runs; the one
 * process that sends is told by its lock.
 */
#ifndef NOWCAST_DAEMONS_MAILER_H
#define NOWCAST_DAEMONS_MAILER_H

#include "core/system/config.h"
#include "core/system/loop.h"

struct mailer {
	struct loop *loop;
	char *file; /* of the configuration */
	char *spool;
	int fd; /* inotify; -1: none */
	struct loop_fd *watch;
	struct loop_child *child;
	struct loop_timer *timer;
};

/*
 * Watch for this configuration; again after a reload. When it has no handler that sends mail, nothing is
 * watched. The mailer must be zeroed before the first call.
 */
enum nc_err mailer_start(
	struct mailer *mailer, struct loop *loop, const struct config *config, struct error *error);
void mailer_stop(struct mailer *mailer); /* accepts a zeroed one */

#endif
