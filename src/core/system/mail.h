/*
 * One mail to one mail host, by SMTP. libcurl does it, and is loaded when the first mail is sent: linked, it
 * would bring some thirty libraries into the start of every worker, for a process that is hardly ever
 * there.
 *
 * mail_send() blocks: for a process that does nothing else.
 *
 * Depends on core/data, libcurl (its headers to build, the library itself when a mail is sent).
 */
#ifndef NOWCAST_CORE_SYSTEM_MAIL_H
#define NOWCAST_CORE_SYSTEM_MAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data/buffer.h"
#include "core/data/error.h"

struct mail_server {
	const char *host;
	int64_t port;     /* 0: 25 */
	const char *user; /* NULL: no login */
	const char *password;
	bool secure;        /* STARTTLS, with a certificate that is good; else nothing is sent */
	int64_t timeout_ms; /* for the connection; all of it may take ten times as long */
};

struct mail {
	const char *from;
	char *const *to; /* `to_count` of them */
	size_t to_count;
	const char *subject; /* one line */
	int64_t real_ns;
	const char *id;   /* what stays the same when it is sent again */
	const char *text; /* UTF-8 */
};

/* Append the mail as it is sent: headers, an empty line, the text. */
void mail_print(const struct mail *mail, struct buffer *out);

/* NC_ERR_SYSTEM: libcurl cannot be loaded; NC_ERR_REFUSED: not sent, and why; NC_ERR_NOMEM. */
enum nc_err mail_send(
	const struct mail_server *server, const struct mail *mail, struct error *error);

#endif
