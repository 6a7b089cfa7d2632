/*
 * The checklist file: an export of the checklist for people, written whole. Its first line is a comment that
 * says which version it is of, and a digest of the rest: so a file that somebody has edited, or put in the
 * place of ours, is known from one that we wrote, whenever we wrote it.
 */
#ifndef NOWCAST_DAEMONS_MANAGER_CHECKLIST_H
#define NOWCAST_DAEMONS_MANAGER_CHECKLIST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/data/value.h"

struct checklist_file {
	struct value *checklist; /* a mapping */
	bool ours;               /* as we wrote it */
	int64_t version;         /* of one that is ours */
};

/*
 * NC_ERR_NOT_FOUND: there is none. NC_ERR_INVALID: there is one that is damaged or no mapping; it is not
 * touched, and `error` says what is wrong with it. NC_OK: the checklist in *ret_file is the caller's.
 */
enum nc_err checklist_read(const char *path, struct checklist_file *ret_file, struct error *error);

/* Replace it whole (core/system/file.h, file_replace_known()), mode rw-rw-r--. */
enum nc_err checklist_write(const char *path, const struct value *checklist, int64_t version,
	struct stat *ret_status, struct error *error);

/* Give the file a second name beside it, `PATH.WORD-DATE`, so that it outlives the next export; *ret_name is
 * the caller's. */
enum nc_err checklist_set_aside(
	const char *path, const char *word, char **ret_name, struct error *error);

#endif
