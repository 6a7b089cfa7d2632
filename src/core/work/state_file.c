#include "core/work/state_file.h"

#include <errno.h>
#include <stdlib.h>

#include "core/system/file.h"
#include "core/system/sys.h"

enum nc_err state_file_path(const char *state_directory, const char *folder, const char *id,
	struct buffer *out, struct error *error)
{
	if (!id_is_valid(id))
		return error_set(error, NC_ERR_INVALID, "this is not the id of a launch: %.60s",
			id != NULL ? id : "(none)");
	buffer_printf(out, "%s/%s/%s", state_directory, folder, id);
	return out->failed ? error_nomem(error) : NC_OK;
}

enum nc_err state_file_make_folder(
	const char *state_directory, const char *folder, struct error *error)
{
	char *path = path_join(state_directory, folder);
	enum nc_err err = NC_OK;

	if (path == NULL)
		return error_nomem(error);
	if (sys_mkdir(path, 0700) < 0 && errno != EEXIST)
		err = error_errno(error, errno, "cannot make the directory %s", path);
	free(path);
	return err;
}

enum nc_err state_file_write(const char *state_directory, const char *folder, const char *id,
	const void *bytes, size_t len, struct error *error)
{
	struct error why = { 0 };
	struct buffer path;
	enum nc_err err;

	buffer_init(&path);
	err = state_file_path(state_directory, folder, id, &path, &why);
	if (err == NC_OK)
		err = file_replace_unsynced(path.data, bytes, len, 0600, &why);
	if (err == NC_ERR_SYSTEM && why.sys_errno == ENOENT) {
		/* The first one: the folder is not there yet. */
		err = state_file_make_folder(state_directory, folder, &why);
		if (err == NC_OK)
			err = file_replace_unsynced(path.data, bytes, len, 0600, &why);
	}
	if (err != NC_OK && error != NULL)
		*error = why;
	buffer_finish(&path);
	return err;
}

enum nc_err state_file_read(const char *state_directory, const char *folder, const char *id,
	size_t limit, struct buffer *out, struct error *error)
{
	struct buffer path;
	enum nc_err err;

	buffer_init(&path);
	err = state_file_path(state_directory, folder, id, &path, error);
	if (err == NC_OK)
		err = file_read(path.data, limit, out, error);
	buffer_finish(&path);
	return err;
}

static enum nc_err remove_one(const char *path, struct error *error)
{
	if (sys_unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR)
		return NC_OK;
	return error_errno(error, errno, "cannot remove %s", path);
}

enum nc_err state_file_remove(
	const char *state_directory, const char *folder, const char *id, struct error *error)
{
	struct buffer path;
	enum nc_err err;

	buffer_init(&path);
	err = state_file_path(state_directory, folder, id, &path, error);
	if (err == NC_OK)
		err = remove_one(path.data, error);
	buffer_append_text(&path, ".new");
	if (err == NC_OK)
		err = path.failed ? error_nomem(error) : remove_one(path.data, error);
	buffer_finish(&path);
	return err;
}
