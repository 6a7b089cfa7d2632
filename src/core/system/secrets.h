/*
 * Secrets stand in no log line, report or status (promises.md, S4): the values of environment variables
 * whose names say that they are secret are replaced by `***` in what people read.
 *
 * Which names: those that contain TOKEN, SECRET, PASSWORD, KEY, DSN or SLACK, and those that match a pattern
 * (fnmatch) of the section `secrets` of the configuration, in letters of either case. A pattern behind a
 * `!` takes names out again; the last pattern that matches a name decides.
 *
 * A value shorter than SECRET_LEAST bytes is left alone: to replace each `1` or `yes` would spoil the text
 * and tell what the secret is. Of a value with several lines (a private key) each line counts by itself,
 * because output is logged line by line.
 *
 * The environment, and the environment file of the configuration, are looked at once, by secrets_create().
 * A struct secrets does not change after that (but by
 * secrets_add()), so any number of threads may mask with it.
 *
 * Depends on core/data, core/system/config.
 */
#ifndef NOWCAST_CORE_SYSTEM_SECRETS_H
#define NOWCAST_CORE_SYSTEM_SECRETS_H

#include <stdbool.h>

#include "core/data/buffer.h"
#include "core/data/error.h"
#include "core/system/config.h"

enum {
	SECRET_LEAST = 6
};

struct secrets;

/* `config` may be NULL: the names of the default only. NC_ERR_NOMEM. */
enum nc_err secrets_create(
	const struct config *config, struct secrets **ret_secrets, struct error *error);
void secrets_destroy(struct secrets *secrets); /* accepts NULL */

/* One more secret, which is copied (a password that stands in the configuration). NC_ERR_NOMEM. */
enum nc_err secrets_add(struct secrets *secrets, const char *value, struct error *error);

/* Is there one in `text`? `secrets` may be NULL, here and below. */
bool secrets_are_in(const struct secrets *secrets, const char *text);
/* Append `text` with `***` in place of each secret. */
void secrets_mask(const struct secrets *secrets, const char *text, struct buffer *out);
/* A copy of `value` in which every text below it is masked, keys aside; the caller's. NULL: out of memory. */
struct value *secrets_mask_value(const struct secrets *secrets, const struct value *value);

#endif
