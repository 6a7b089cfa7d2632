/*
 * Files of a launch in the state directory: STATE/FOLDER/ID, where FOLDER is one of ours and ID is the id of
 * the launch. The id is checked before it becomes part of a path (promises.md, S5). What claim, exit_record
 * and spool share; nobody else includes it.
 *
 * Nothing here is synced: a launch of an earlier boot is lost anyhow (promises.md, "Launch").
 *
 * Depends on core/data, core/system.
 */
#ifndef NOWCAST_CORE_WORK_STATE_FILE_H
#define NOWCAST_CORE_WORK_STATE_FILE_H

#include <stddef.h>

#include "core/data/buffer.h"
#include "core/data/error.h"
#include "core/system/id.h"

/* Append the path. NC_ERR_INVALID: `id` is none. */
enum nc_err state_file_path(const char *state_directory, const char *folder, const char *id,
	struct buffer *out, struct error *error);

/* Make STATE/FOLDER (0700); one that is there is as good. */
enum nc_err state_file_make_folder(
	const char *state_directory, const char *folder, struct error *error);

/* Write it whole (temporary file, rename), mode 0600. Makes the folder when it is absent. */
enum nc_err state_file_write(const char *state_directory, const char *folder, const char *id,
	const void *bytes, size_t len, struct error *error);

/* Append its content. NC_ERR_NOT_FOUND: there is none. NC_ERR_LIMIT: larger than `limit`. */
enum nc_err state_file_read(const char *state_directory, const char *folder, const char *id,
	size_t limit, struct buffer *out, struct error *error);

/* Also what a process that was killed while writing it has left. One that is not there is no error. */
enum nc_err state_file_remove(
	const char *state_directory, const char *folder, const char *id, struct error *error);

#endif
