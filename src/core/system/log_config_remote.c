/*
 * Handlers of the `logging` section that send lines elsewhere: to syslog, to the journal, by mail.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/data/suggest.h"
#include "core/system/file.h"
#include "core/system/log_mail.h"
#include "core/system/log_reader.h"

enum {
	SYSLOG_PORT = 514,
	FACILITY_USER = 1,
	FACILITY_MOST = 127,
	MAIL_TIMEOUT_MS = 5000,
	MAIL_TIMEOUT_MOST_MS = 600000,
};

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* --- hosts --- */

/* A name that can stand in a URL and in no other place of one. */
static bool is_host(const char *text)
{
	return *text != '\0' && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					     "0123456789.-:_") == strlen(text);
}

/* `value` is a text, or a list of a host and a port. NULL: an error was reported. The port is 0 when there is
 * none. */
static char *read_host(struct log_reader *reader, const struct value *value, const char *key,
	const char *what, int64_t *ret_port)
{
	const struct value *host = value_is(value, VALUE_LIST) ? value_at(value, 0) : value;
	int64_t port = 0;

	if (value_is(value, VALUE_LIST))
		port = value_count(value) == 2 ? value_as_int(value_at(value, 1), -1) : -1;
	if (!value_is(host, VALUE_TEXT) || !is_host(value_as_text(host, "")) || port < 0 ||
		port > 65535) {
		log_reader_error(reader, FINDING_BAD_ADDRESS, value,
			"`%s` of %s must be a host, or a host and a port as in [localhost, 25]",
			key, what);
		return NULL;
	}
	*ret_port = port;
	return log_reader_copy(reader, value_as_text(host, ""));
}

/* --- syslog --- */

static const struct facility {
	const char *name;
	int number;
} facilities[] = {
	{ "kern", 0 },
	{ "user", FACILITY_USER },
	{ "mail", 2 },
	{ "daemon", 3 },
	{ "auth", 4 },
	{ "syslog", 5 },
	{ "lpr", 6 },
	{ "news", 7 },
	{ "uucp", 8 },
	{ "cron", 9 },
	{ "authpriv", 10 },
	{ "ftp", 11 },
	{ "ntp", 12 },
	{ "security", 13 },
	{ "console", 14 },
	{ "solaris-cron", 15 },
	{ "local0", 16 },
	{ "local1", 17 },
	{ "local2", 18 },
	{ "local3", 19 },
	{ "local4", 20 },
	{ "local5", 21 },
	{ "local6", 22 },
	{ "local7", 23 },
};

static void read_facility(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	const struct value *value = value_map_get(map, "facility");
	int64_t number = value_as_int(value, -1);
	const char *names[ARRAY_LEN(facilities)];
	const char *name, *nearest;

	handler->facility = FACILITY_USER;
	if (log_reader_is_default(map, "facility"))
		return;
	if (number >= 0 && number <= FACILITY_MOST) {
		handler->facility = (int)number;
		return;
	}
	name = log_reader_text(reader, map, "facility", what);
	if (name == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(facilities); i++) {
		names[i] = facilities[i].name;
		if (strcmp(name, names[i]) == 0) {
			handler->facility = facilities[i].number;
			return;
		}
	}
	nearest = suggest(name, names, ARRAY_LEN(names));
	log_reader_error(reader, FINDING_BAD_CHOICE, value,
		"the facility of %s is %s%s%s%s; there are user, daemon, local0 to local7, and "
		"others",
		what, name, nearest != NULL ? ": did you mean " : "",
		nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

void log_read_syslog(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	const struct value *address = value_map_get(map, "address");
	const char *type = log_reader_text(reader, map, "socktype", what);

	read_facility(reader, map, what, handler);
	handler->port = SYSLOG_PORT;
	if (log_reader_is_default(map, "address")) {
		handler->host = log_reader_copy(reader, "localhost");
	} else if (value_is(address, VALUE_TEXT)) {
		handler->path =
			path_join(reader->config->directory, value_as_text(address, "/dev/log"));
		if (handler->path == NULL)
			reader->nomem = true;
	} else {
		handler->host = read_host(reader, address, "address", what, &handler->port);
		if (handler->port == 0)
			handler->port = SYSLOG_PORT;
	}
	if (handler->host == NULL && handler->path == NULL)
		handler->kind = HANDLER_NULL;
	if (type != NULL && strcmp(type, "ext://socket.SOCK_DGRAM") != 0 &&
		(strcmp(type, "ext://socket.SOCK_STREAM") != 0 || handler->host != NULL))
		log_reader_error(reader, FINDING_NOT_SUPPORTED, value_map_get(map, "socktype"),
			"the socktype %s of %s is not supported; lines go to another host by UDP, "
			"ext://socket.SOCK_DGRAM",
			type, what);
}

/* --- the journal --- */

void log_read_journal(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	const char *address = log_reader_text(reader, map, "address", what);

	handler->path =
		path_join(reader->config->directory, address != NULL ? address : JOURNAL_SOCKET);
	if (handler->path == NULL)
		reader->nomem = true;
	else if (access(handler->path, F_OK) < 0)
		log_reader_say(reader, SEVERITY_NOTE, FINDING_NO_JOURNAL, map,
			"%s writes to the journal, which is not there on this host (%s): its lines "
			"are lost as long as it is not",
			what, handler->path);
}

/* --- mail --- */

/* Addresses stand in headers and in the commands of SMTP. */
static bool is_address(const char *text)
{
	for (const char *at = text; *at != '\0'; at++) {
		if ((unsigned char)*at <= ' ' || *at == 0x7f || strchr("<>,;\"\\", *at) != NULL)
			return false;
	}
	return *text != '\0';
}

static void add_address(struct log_reader *reader, const struct value *at, const char *what,
	struct log_mail *mail, const char *text, size_t len)
{
	char **to = reallocarray(mail->to, mail->to_count + 1, sizeof(char *));

	if (to == NULL) {
		reader->nomem = true;
		return;
	}
	mail->to = to;
	to[mail->to_count] = strndup(text, len);
	if (to[mail->to_count] == NULL)
		reader->nomem = true;
	else if (!is_address(to[mail->to_count++]))
		log_reader_error(reader, FINDING_BAD_ADDRESS, at,
			"`toaddrs` of %s must be addresses, as in [name@example.org]", what);
}

/* `a@x, b@y` is two, as for Python. */
static void read_addresses(struct log_reader *reader, const struct value *value, const char *what,
	struct log_mail *mail)
{
	const char *text = value_as_text(value, "");

	if (!value_is(value, VALUE_TEXT)) {
		log_reader_error(reader, FINDING_BAD_ADDRESS, value,
			"`toaddrs` of %s must be addresses, as in [name@example.org]", what);
		return;
	}
	for (;;) {
		size_t len;

		text += strspn(text, " ");
		len = strcspn(text, ", ");
		add_address(reader, value, what, mail, text, len);
		text += len + strspn(text + len, " ");
		if (*text == '\0')
			return;
		if (*text == ',')
			text++;
	}
}

static void read_to(
	struct log_reader *reader, const struct value *map, const char *what, struct log_mail *mail)
{
	const struct value *to = value_map_get(map, "toaddrs");

	if (value_is(to, VALUE_LIST)) {
		for (size_t i = 0; i < value_count(to); i++)
			read_addresses(reader, value_at(to, i), what, mail);
	} else if (!log_reader_is_default(map, "toaddrs")) {
		read_addresses(reader, to, what, mail);
	}
	if (mail->to_count == 0 && !reader->wrong)
		log_reader_error(reader, FINDING_MISSING_KEY, map,
			"%s has nobody to send to; give `toaddrs: [name@example.org]`", what);
}

static void read_credentials(
	struct log_reader *reader, const struct value *map, const char *what, struct log_mail *mail)
{
	const struct value *value = value_map_get(map, "credentials");
	const struct value *secure = value_map_get(map, "secure");

	if (log_reader_is_default(map, "credentials"))
		return;
	if (value_count(value) != 2 || !value_is(value_at(value, 0), VALUE_TEXT) ||
		!value_is(value_at(value, 1), VALUE_TEXT)) {
		log_reader_error(reader, FINDING_WRONG_KIND, value,
			"`credentials` of %s must be a list of a user and a password, as in "
			"[user, $(NOWCAST.ENV.MAIL_PASSWORD)]",
			what);
		return;
	}
	mail->user = log_reader_copy(reader, value_as_text(value_at(value, 0), ""));
	mail->password = log_reader_copy(reader, value_as_text(value_at(value, 1), ""));
	mail->secure = secure != NULL && !value_is(secure, VALUE_NULL);
	if (mail->secure && value_count(secure) > 0)
		log_reader_error(reader, FINDING_NOT_SUPPORTED, secure,
			"a key or certificate of our own in `secure` of %s is not supported; "
			"`secure: []` asks for TLS",
			what);
	if (!mail->secure)
		log_reader_say(reader, SEVERITY_WARNING, FINDING_NOT_IN_FORCE, value,
			"the password of %s is sent without encryption; `secure: []` asks for TLS",
			what);
}

static const char *required_text(
	struct log_reader *reader, const struct value *map, const char *key, const char *what)
{
	const char *text = log_reader_text(reader, map, key, what);

	if (log_reader_is_default(map, key))
		log_reader_error(
			reader, FINDING_MISSING_KEY, map, "%s has no `%s`; give it", what, key);
	return text;
}

void log_read_mail(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	struct log_mail *mail = calloc(1, sizeof(*mail));
	const struct value *timeout = value_map_get(map, "timeout");
	const char *from = required_text(reader, map, "fromaddr", what);
	const char *subject = required_text(reader, map, "subject", what);

	if (mail == NULL) {
		reader->nomem = true;
		return;
	}
	handler->mail = mail;
	mail->timeout_ms = MAIL_TIMEOUT_MS;
	if (!log_reader_is_default(map, "timeout")) {
		double seconds = value_is(timeout, VALUE_FLOAT) ? value_as_float(timeout, -1)
								: (double)value_as_int(timeout, -1);

		if (!(seconds > 0 && seconds * 1000 <= MAIL_TIMEOUT_MOST_MS))
			log_reader_error(reader, FINDING_BAD_NUMBER, timeout,
				"timeout of %s must be a number of seconds up to %d", what,
				MAIL_TIMEOUT_MOST_MS / 1000);
		else
			mail->timeout_ms = (int64_t)(seconds * 1000);
	}
	if (log_reader_is_default(map, "mailhost"))
		(void)required_text(reader, map, "mailhost", what);
	else
		mail->host = read_host(
			reader, value_map_get(map, "mailhost"), "mailhost", what, &mail->port);
	if (from != NULL && !is_address(from))
		log_reader_error(reader, FINDING_BAD_ADDRESS, value_map_get(map, "fromaddr"),
			"`fromaddr` of %s must be an address, as in name@example.org", what);
	if (subject != NULL && strpbrk(subject, "\r\n") != NULL)
		log_reader_error(reader, FINDING_BAD_ADDRESS, value_map_get(map, "subject"),
			"`subject` of %s must be one line", what);
	mail->from = log_reader_copy(reader, from);
	mail->subject = log_reader_copy(reader, subject);
	read_to(reader, map, what, mail);
	read_credentials(reader, map, what, mail);
	mail->spool = path_join(reader->config->state_directory, STATE_MAIL);
	if (mail->spool == NULL)
		reader->nomem = true;
}
