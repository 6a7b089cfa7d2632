/* The keys of log files that Python's logging does not have: `file group`, `compress`, `keep at most`. */
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system/log_reader.h"

void log_handler_give_to_group(const struct log_handler *handler)
{
	struct stat status;

	if (!handler->has_group || fstat(handler->fd, &status) < 0 ||
		status.st_gid == handler->group || status.st_uid != geteuid())
		return; /* a file of somebody else is his to give */
	/* `check` says when we are not in the group, and the lines are more important. */
	if (fchown(handler->fd, (uid_t)-1, handler->group) < 0)
		return;
}

void log_read_file_group(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	const char *name = log_reader_text(reader, map, "file group", what);
	struct group storage, *found = NULL;
	char text[16384];

	if (name == NULL)
		return;
	if (getgrnam_r(name, &storage, text, sizeof(text), &found) != 0 || found == NULL) {
		log_reader_error(reader, FINDING_UNKNOWN_GROUP, value_map_get(map, "file group"),
			"the `file group` of %s is %s, which is not a group of this host", what,
			name);
		return;
	}
	handler->has_group = true;
	handler->group = found->gr_gid;
	if (geteuid() != 0 && getegid() != found->gr_gid && group_member(found->gr_gid) == 0)
		log_reader_say(reader, SEVERITY_WARNING, FINDING_UNKNOWN_GROUP,
			value_map_get(map, "file group"),
			"the `file group` of %s is %s, of which this user is not a member: files "
			"that he makes have another group",
			what, name);
}

/* Is there such a program in $PATH? */
static bool is_installed(const char *program)
{
	const char *path = getenv("PATH");
	struct buffer name;
	bool found = false;

	buffer_init(&name);
	while (path != NULL && *path != '\0' && !found) {
		size_t len = strcspn(path, ":");

		buffer_clear(&name);
		buffer_append(&name, path, len);
		buffer_append_char(&name, '/');
		buffer_append_text(&name, program);
		found = !name.failed && access(name.data, X_OK) == 0;
		path += len;
		path += *path == ':' ? 1 : 0;
	}
	buffer_finish(&name);
	return found;
}

void log_read_archive(struct log_reader *reader, const struct value *map, const char *what,
	struct log_handler *handler)
{
	const char *compress = log_reader_text(reader, map, "compress", what);

	handler->keep_most = log_reader_size(reader, map, "keep at most", what);
	if (compress == NULL || strcmp(compress, "none") == 0) {
		handler->compress = LOG_COMPRESS_NONE;
		return;
	}
	if (strcmp(compress, "gzip") == 0) {
		handler->compress = LOG_COMPRESS_GZIP;
	} else if (strcmp(compress, "zstd") == 0) {
		handler->compress = LOG_COMPRESS_ZSTD;
	} else {
		log_reader_error(reader, FINDING_BAD_CHOICE, value_map_get(map, "compress"),
			"`compress` of %s is %s; it can be gzip, zstd or none", what, compress);
		return;
	}
	if (!is_installed(compress))
		log_reader_say(reader, SEVERITY_WARNING, FINDING_NO_COMPRESSOR,
			value_map_get(map, "compress"),
			"`compress` of %s needs the program %s, which is not installed here", what,
			compress);
}
