/* The checklist file: read at the start of the manager, written whole after every change. */
#ifndef NOWCAST_DAEMONS_MANAGER_CHECKLIST_H
#define NOWCAST_DAEMONS_MANAGER_CHECKLIST_H

#include "core/data/value.h"

/*
 * NC_ERR_NOT_FOUND: there is none. NC_ERR_INVALID: there is one that is damaged or no mapping; it is not
 * touched, and `error` says what is wrong with it. NC_OK: *ret_checklist is the caller's.
 */
enum nc_err checklist_read(const char *path, struct value **ret_checklist, struct error *error);

/* Replace it whole (core/system/file.h), mode rw-rw-r--. */
enum nc_err checklist_write(const char *path, const struct value *checklist, struct error *error);

#endif
