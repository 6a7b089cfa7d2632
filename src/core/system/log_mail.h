/*
 * Mail of log lines (logging.handlers.SMTPHandler), from the spool to the mail host.
 *
 * A process that logs such a line only writes it into the spool, STATE/mail, one file a mail (temporary
 * name, rename): it waits for nobody, and starts no process (below a runner that one would be ended with the
 * worker). The daemons watch the spool and start `nowcast send_mail`, which sends what is there. The spool
 * holds no password: whoever sends looks up how in the configuration.
 *
 * Order of calls, in the one who sends: log_mail_lock(), then log_mail_send() until nothing is left; the lock
 * goes with the descriptor, or with the process.
 *
 * Depends on core/data, core/system/config, log, mail, file, sys, id.
 */
#ifndef NOWCAST_CORE_SYSTEM_LOG_MAIL_H
#define NOWCAST_CORE_SYSTEM_LOG_MAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/system/config.h"
#include "core/system/log.h"

#define STATE_MAIL "mail" /* the directory, in the state directory */

/* The logger of the one who sends. Its lines are never mailed: a mail host that is away would be told so in
 * mails without end. */
#define LOG_MAIL_SENDER "send_mail"

enum {
	LOG_MAIL_WAITING_MOST = 1000 /* more are not kept, but counted as lost */
};

/* Does a handler of the configuration that a logger uses send mail? */
bool log_mail_is_used(const struct config *config);

/* The spool's path, to be freed; the directory is made when it is absent. NC_ERR_SYSTEM, NC_ERR_NOMEM. */
enum nc_err log_mail_spool(const struct config *config, char **ret_path, struct error *error);
/* How many mails wait there? */
size_t log_mail_waiting(const char *spool);

/* NC_ERR_REFUSED: another process is sending. The caller closes *ret_fd. */
enum nc_err log_mail_lock(const char *spool, int *ret_fd, struct error *error);

/*
 * Try each mail that waits once. One that could not be sent within a day is given up, which is logged;
 * why others could not be is logged too, once a call. *ret_left: so many wait still.
 */
enum nc_err log_mail_send(const struct config *config, const char *spool, struct log *log,
	size_t *ret_left, struct error *error);

#endif
