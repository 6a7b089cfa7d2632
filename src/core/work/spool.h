/*
 * The spool: final messages that have no answer yet, each as its bytes, in STATE/spool/ID where ID is the id
 * of the launch (promises.md, R6). The runner writes its message before it sends it for the first time, and
 * removes it when it is answered; so what is there while nobody holds the claim (claim.h) is for the manager
 * to take as if it had just come. Nothing is applied twice by that: the bytes have the id of the message.
 *
 * Depends on core/data, core/system.
 */
#ifndef NOWCAST_CORE_WORK_SPOOL_H
#define NOWCAST_CORE_WORK_SPOOL_H

#include <stddef.h>

#include "core/data/buffer.h"
#include "core/data/error.h"
#include "core/system/id.h"

/* A message of the launch that is there already is replaced. NC_ERR_INVALID: no such id. NC_ERR_SYSTEM,
 * NC_ERR_NOMEM: what was there before is still there. */
enum nc_err spool_write(const char *state_directory, const char *id, const void *bytes, size_t len,
	struct error *error);

/* Append the bytes. NC_ERR_NOT_FOUND: there is none; NC_ERR_LIMIT: larger than a message can be. After a
 * power failure it may be empty. */
enum nc_err spool_read(
	const char *state_directory, const char *id, struct buffer *out, struct error *error);

/* One that is not there is no error. */
enum nc_err spool_remove(const char *state_directory, const char *id, struct error *error);

struct spool_list {
	char (*ids)[ID_TEXT_SIZE];
	size_t count;
};

/* The launches that have a message there, in the order in which they were made; an absent spool is an empty
 * one. NC_OK: free(ret_list->ids). Files of other names are passed over. */
enum nc_err spool_list(
	const char *state_directory, struct spool_list *ret_list, struct error *error);

#endif
