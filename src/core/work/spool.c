#include "core/work/spool.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/config.h"
#include "core/system/door.h"
#include "core/system/file.h"
#include "core/work/state_file.h"

enum nc_err spool_write(const char *state_directory, const char *id, const void *bytes, size_t len,
	struct error *error)
{
	return state_file_write(state_directory, STATE_SPOOL, id, bytes, len, error);
}

enum nc_err spool_read(
	const char *state_directory, const char *id, struct buffer *out, struct error *error)
{
	return state_file_read(state_directory, STATE_SPOOL, id, DOOR_FRAME_MOST, out, error);
}

enum nc_err spool_remove(const char *state_directory, const char *id, struct error *error)
{
	return state_file_remove(state_directory, STATE_SPOOL, id, error);
}

static enum nc_err append(struct spool_list *list, const char *id, struct error *error)
{
	char(*ids)[ID_TEXT_SIZE];

	/* Room doubles at the powers of two. */
	if ((list->count & (list->count - 1)) == 0) {
		size_t room = list->count > 0 ? list->count * 2 : 1;

		ids = reallocarray(list->ids, room, sizeof(*ids));
		if (ids == NULL)
			return error_nomem(error);
		list->ids = ids;
	}
	memcpy(list->ids[list->count++], id, ID_TEXT_SIZE);
	return NC_OK;
}

static enum nc_err read_names(
	DIR *directory, const char *path, struct spool_list *list, struct error *error)
{
	const struct dirent *entry;
	enum nc_err err = NC_OK;

	while (err == NC_OK) {
		errno = 0;
		entry = readdir(directory);
		if (entry == NULL)
			return errno == 0 ? NC_OK
					  : error_errno(error, errno, "cannot read %s", path);
		if (id_is_valid(entry->d_name))
			err = append(list, entry->d_name, error);
	}
	return err;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

enum nc_err spool_list(
	const char *state_directory, struct spool_list *ret_list, struct error *error)
{
	char *path = path_join(state_directory, STATE_SPOOL);
	struct spool_list list = { 0 };
	enum nc_err err = NC_OK;
	DIR *directory;

	if (path == NULL)
		return error_nomem(error);
	directory = opendir(path);
	if (directory != NULL) {
		err = read_names(directory, path, &list, error);
		(void)closedir(directory);
	} else if (errno != ENOENT) {
		err = error_errno(error, errno, "cannot open %s", path);
	}
	free(path);
	if (err != NC_OK) {
		free(list.ids);
		return err;
	}
	if (list.count > 1)
		qsort(list.ids, list.count, sizeof(*list.ids), compare);
	*ret_list = list;
	return NC_OK;
}
