/* A line that is mailed, as a file in the spool (log_mail.h). Not synced: the line itself is in the log. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "core/data/json.h"
#include "core/system/clock.h"
#include "core/system/id.h"
#include "core/system/log_internal.h"
#include "core/system/log_mail.h"
#include "core/system/sys.h"

/* NULL: out of memory. */
static struct value *mail_value(const struct log_handler *handler, const struct log_view *view,
	const char *line, size_t len)
{
	struct value *map = value_map(), *to = value_list();
	char *text = strndup(line, len);
	bool failed = map == NULL || to == NULL || text == NULL;

	for (size_t i = 0; !failed && i < handler->mail->to_count; i++)
		failed = value_list_append(to, value_text(handler->mail->to[i])) != NC_OK;
	if (failed) {
		value_destroy(to);
	} else {
		failed |= value_map_put(map, "handler", value_text(handler->name)) != NC_OK;
		failed |= value_map_put(map, "from", value_text(handler->mail->from)) != NC_OK;
		failed |= value_map_put(map, "to", to) != NC_OK;
		failed |=
			value_map_put(map, "subject", value_text(handler->mail->subject)) != NC_OK;
		failed |= value_map_put(map, "time", value_int(view->real_ns)) != NC_OK;
		failed |= value_map_put(map, "text", value_text(text)) != NC_OK;
	}
	free(text);
	if (!failed)
		return map;
	value_destroy(map);
	return NULL;
}

/* -1: errno. */
static int write_file(const char *spool, const struct buffer *text)
{
	char id[ID_TEXT_SIZE];
	struct buffer path, temporary;
	int fd = -1, result = -1;

	buffer_init(&path);
	buffer_init(&temporary);
	errno = ENOMEM;
	if (id_make(id, NULL) != NC_OK)
		goto finish;
	/* Sorted by name, they are in order. */
	buffer_printf(&path, "%s/%016" PRIx64 "-%s.mail", spool, (uint64_t)clock_real_ns(), id);
	buffer_printf(&temporary, "%s/%s.new", spool, id);
	if (path.failed || temporary.failed)
		goto finish;
	fd = sys_open(temporary.data, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == ENOENT && sys_mkdir(spool, 0700) == 0)
		fd = sys_open(temporary.data, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		goto finish;
	result = sys_write_all(fd, text->data, text->len);
	if (sys_close(fd) < 0)
		result = -1;
	if (result == 0)
		result = sys_rename(temporary.data, path.data);
	if (result < 0) {
		int why = errno;

		(void)sys_unlink(temporary.data);
		errno = why;
	}
finish:
	buffer_finish(&temporary);
	buffer_finish(&path);
	return result;
}

bool log_mail_write(
	struct log_handler *handler, const struct log_view *view, const char *line, size_t len)
{
	struct value *mail;
	struct buffer text;
	int result = -1;

	if (strcmp(view->logger, LOG_MAIL_SENDER) == 0)
		return true;
	buffer_init(&text);
	mail = mail_value(handler, view, line, len);
	errno = ENOMEM;
	if (mail != NULL)
		json_write(mail, 0, &text);
	if (mail != NULL && !text.failed) {
		if (log_mail_waiting(handler->mail->spool) < LOG_MAIL_WAITING_MOST)
			result = write_file(handler->mail->spool, &text);
		else
			errno = ENOBUFS;
	}
	if (result < 0) {
		handler->lost++;
		handler->lost_errno = errno;
	}
	value_destroy(mail);
	buffer_finish(&text);
	return result == 0;
}
