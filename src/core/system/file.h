/*
 * Whole files: read at most so much; replace so that the old or the new one is there at any time.
 *
 * Depends on core/data and core/system/sys.
 */
#ifndef NOWCAST_CORE_SYSTEM_FILE_H
#define NOWCAST_CORE_SYSTEM_FILE_H

#include <sys/stat.h>
#include <sys/types.h>

#include "core/data/buffer.h"
#include "core/data/error.h"

/*
 * Append the content of a regular file to `out`. NC_ERR_NOT_FOUND: no such file; NC_ERR_LIMIT: larger
 * than `limit` bytes; NC_ERR_SYSTEM, NC_ERR_NOMEM.
 */
enum nc_err file_read(const char *path, size_t limit, struct buffer *out, struct error *error);

/*
 * Make `path` a file with this content: a temporary file beside it, fsync, rename, fsync of the
 * directory (promises.md, R12). On failure the old one stands and no temporary file is left. A link at
 * `path` is replaced, not followed. `mode` holds whatever the umask is.
 */
enum nc_err file_replace(
	const char *path, const void *bytes, size_t len, mode_t mode, struct error *error);

/* The same; *ret_status is that of the new file, by which one that somebody else has put into its place, even at
 * once, is known from it. Not on failure. */
enum nc_err file_replace_known(const char *path, const void *bytes, size_t len, mode_t mode,
	struct stat *ret_status, struct error *error);

/*
 * The same without fsync, for what need not outlive the machine's own fall: whatever ends the process, the
 * old or the new one is there; after a power failure it may be empty or absent. The temporary file is
 * PATH.new; one that a killed process left is replaced next time.
 */
enum nc_err file_replace_unsynced(
	const char *path, const void *bytes, size_t len, mode_t mode, struct error *error);

/* The directory part of `path` ("." when it has none), to be freed; NULL: out of memory. */
char *path_directory(const char *path);
/* `name` itself when it is absolute, else DIRECTORY/NAME; to be freed; NULL: out of memory. */
char *path_join(const char *directory, const char *name);
/* Points into `path`. */
const char *path_base(const char *path);

#endif
