#include "core/system/log_mail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "core/data/json.h"
#include "core/system/clock.h"
#include "core/system/file.h"
#include "core/system/id.h"
#include "core/system/log_internal.h"
#include "core/system/mail.h"
#include "core/system/sys.h"

enum {
	MAIL_FILE_MOST = 8 << 20,
	ID_FROM = 17, /* in the name of a file: behind the time and a `-` */
};

#define GIVE_UP_NS (INT64_C(24) * 3600 * NS_PER_S)
#define SUFFIX     ".mail"

/* --- the spool --- */

/* TIME-UUID.mail (log_handler_mail.c): what else lies there is not ours to send. */
static int is_mail(const struct dirent *entry)
{
	char id[ID_TEXT_SIZE];

	if (strlen(entry->d_name) != ID_FROM + ID_TEXT_SIZE - 1 + strlen(SUFFIX) ||
		strspn(entry->d_name, "0123456789abcdef") != ID_FROM - 1 ||
		strcmp(entry->d_name + ID_FROM + ID_TEXT_SIZE - 1, SUFFIX) != 0)
		return 0;
	memcpy(id, entry->d_name + ID_FROM, ID_TEXT_SIZE - 1);
	id[ID_TEXT_SIZE - 1] = '\0';
	return id_is_valid(id);
}

size_t log_mail_waiting(const char *spool)
{
	const struct dirent *entry;
	DIR *directory = opendir(spool);
	size_t count = 0;

	if (directory == NULL)
		return 0;
	while ((entry = readdir(directory)) != NULL)
		count += (size_t)is_mail(entry);
	(void)closedir(directory);
	return count;
}

enum nc_err log_mail_spool(const struct config *config, char **ret_path, struct error *error)
{
	char *path = path_join(config->state_directory, STATE_MAIL);
	enum nc_err err = NC_OK;

	if (path == NULL)
		return error_nomem(error);
	if (sys_mkdir(path, 0700) < 0 && errno != EEXIST)
		err = error_errno(error, errno, "cannot make the directory %s", path);
	if (err == NC_OK)
		*ret_path = path;
	else
		free(path);
	return err;
}

enum nc_err log_mail_lock(const char *spool, int *ret_fd, struct error *error)
{
	int fd = sys_open(spool, O_RDONLY | O_DIRECTORY, 0);
	enum nc_err err = NC_OK;

	if (fd < 0)
		return error_errno(error, errno, "cannot open the directory %s", spool);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		err = errno == EWOULDBLOCK
			      ? error_set(error, NC_ERR_REFUSED,
					"another process is sending the mail in %s", spool)
			      : error_errno(error, errno, "cannot lock the directory %s", spool);
	if (err == NC_OK)
		*ret_fd = fd;
	else
		(void)sys_close(fd);
	return err;
}

/* --- the handlers --- */

/* The parts of the section; one that the file does not have is NULL. */
struct setups {
	struct log_setup *items[2];
};

static void destroy_setups(struct setups *setups)
{
	for (size_t i = 0; i < ARRAY_LEN(setups->items); i++)
		log_setup_destroy(setups->items[i]);
}

static enum nc_err load_setups(
	const struct config *config, struct setups *setups, struct error *error)
{
	static const enum log_mode modes[] = { LOG_MODE_AGGREGATOR, LOG_MODE_NORMAL };

	*setups = (struct setups){ { NULL } };
	for (size_t i = 0; i < ARRAY_LEN(modes) && config->logging != NULL; i++) {
		enum nc_err err = log_setup_load(config, modes[i], &setups->items[i], error);

		if (err != NC_OK && err != NC_ERR_NOT_FOUND) {
			destroy_setups(setups);
			return err;
		}
	}
	return NC_OK;
}

/* The mail handler `name`; NULL `name`: any that is used. */
static const struct log_mail *find_mail(const struct setups *setups, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(setups->items); i++) {
		const struct log_setup *setup = setups->items[i];

		for (size_t k = 0; setup != NULL && k < setup->handlers_count; k++) {
			const struct log_handler *handler = setup->handlers[k];

			if (handler->kind == HANDLER_MAIL &&
				(name != NULL ? strcmp(handler->name, name) == 0
					      : log_setup_uses(setup, handler)))
				return handler->mail;
		}
	}
	return NULL;
}

bool log_mail_is_used(const struct config *config)
{
	struct setups setups;
	bool used;

	if (load_setups(config, &setups, NULL) != NC_OK)
		return false;
	used = find_mail(&setups, NULL) != NULL;
	destroy_setups(&setups);
	return used;
}

/* --- one mail --- */

/* The texts of the list `to`; the array is the caller's. NULL: out of memory. */
static char **recipients(const struct value *list)
{
	char **to = calloc(value_count(list) + 1, sizeof(char *));

	for (size_t i = 0; to != NULL && i < value_count(list); i++)
		to[i] = (char *)value_as_text(value_at(list, i), "");
	return to;
}

static enum nc_err send_value(
	const struct setups *setups, const struct value *value, const char *id, struct error *error)
{
	const struct value *to = value_map_get(value, "to");
	const char *handler = value_as_text(value_map_get(value, "handler"), "");
	const struct log_mail *how = find_mail(setups, handler);
	struct mail mail = {
		.from = value_as_text(value_map_get(value, "from"), ""),
		.to_count = value_count(to),
		.subject = value_as_text(value_map_get(value, "subject"), ""),
		.real_ns = value_as_int(value_map_get(value, "time"), 0),
		.id = id,
		.text = value_as_text(value_map_get(value, "text"), ""),
	};
	char **addresses;
	enum nc_err err;

	if (how == NULL)
		return error_set(error, NC_ERR_NOT_FOUND,
			"the configuration has no mail handler %s any more", handler);
	addresses = recipients(to);
	if (addresses == NULL)
		return error_nomem(error);
	mail.to = addresses;
	err = mail_send(&(const struct mail_server){ .host = how->host,
				.port = how->port,
				.user = how->user,
				.password = how->password,
				.secure = how->secure,
				.timeout_ms = how->timeout_ms },
		&mail, error);
	free(addresses);
	return err;
}

static enum nc_err read_mail(const char *path, struct value **ret_value, struct error *error)
{
	struct buffer text;
	enum nc_err err;

	buffer_init(&text);
	err = file_read(path, MAIL_FILE_MOST, &text, error);
	if (err == NC_OK)
		err = json_read(text.data, text.len, &yaml_file_limits, ret_value, error);
	buffer_finish(&text);
	return err;
}

/* Send or give up the mail at `path`. NC_OK: it is done with; else it waits on, and why. */
static enum nc_err settle(const struct setups *setups, const char *path, const char *id,
	struct log *log, struct error *error)
{
	struct value *value = NULL;
	enum nc_err err = read_mail(path, &value, error);
	bool given_up = err == NC_ERR_SYNTAX || err == NC_ERR_LIMIT;

	if (err == NC_OK) {
		int64_t since_ns = value_as_int(value_map_get(value, "time"), 0);

		err = send_value(setups, value, id, error);
		given_up = err == NC_ERR_NOT_FOUND ||
			   (err != NC_OK && clock_real_ns() - since_ns > GIVE_UP_NS);
		if (err == NC_OK)
			log_info(log, "mail sent to %s",
				value_as_text(value_at(value_map_get(value, "to"), 0), ""));
	}
	if (given_up)
		log_error(log, "a mail is given up: %s; it said: %s", error->text,
			value_as_text(value_map_get(value, "text"), "(it cannot be read)"));
	value_destroy(value);
	if (err != NC_OK && !given_up)
		return err;
	if (sys_unlink(path) < 0 && errno != ENOENT)
		return error_errno(error, errno, "cannot remove %s", path);
	return NC_OK;
}

enum nc_err log_mail_send(const struct config *config, const char *spool, struct log *log,
	size_t *ret_left, struct error *error)
{
	struct dirent **entries = NULL;
	int count = scandir(spool, &entries, is_mail, alphasort);
	struct error why = { 0 };
	struct setups setups;
	size_t left = 0;
	enum nc_err err;

	if (count < 0)
		return error_errno(error, errno, "cannot look into the directory %s", spool);
	err = load_setups(config, &setups, error);
	for (int i = 0; err != NC_OK && i < count; i++)
		free(entries[i]);
	if (err != NC_OK) {
		free(entries);
		return err;
	}
	for (int i = 0; i < count; i++) {
		char *path = path_join(spool, entries[i]->d_name);

		entries[i]->d_name[ID_FROM + ID_TEXT_SIZE - 1] = '\0';
		if ((path != NULL ? settle(&setups, path, entries[i]->d_name + ID_FROM, log, &why)
				  : error_nomem(&why)) != NC_OK)
			left++;
		free(path);
		free(entries[i]);
	}
	free(entries);
	destroy_setups(&setups);
	if (left > 0)
		log_warning(log, "%zu mail%s could not be sent, and will be tried again: %s", left,
			left == 1 ? "" : "s", why.text);
	*ret_left = left;
	return NC_OK;
}
