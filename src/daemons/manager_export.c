/*
 * The checklist file is an export for people: at most a second behind the state, and written at once when
 * nothing waits. Operators edit it by hand: what they wrote is taken over at the start, set aside while the
 * manager runs, and never lost silently.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/yaml.h"
#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "daemons/manager_internal.h"

enum {
	RETRY_WRITE_MS = 5000,
	BEHIND_MOST_MS = 1000,
	SHARE_OF_TIME = 10, /* at most a tenth of the time goes into exports while messages come */
};

/* Version of the last export of a manager that ended as it should. */
#define FACT_STOPPED "checklist file"

/* --- writing --- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void set_aside(struct manager *m, const char *word, const char *why)
{
	const char *file = m->daemon.config->checklist_file;
	char *name = NULL;
	struct error error;

	if (checklist_set_aside(file, word, &name, &error) != NC_OK) {
		log_critical(m->daemon.log, "the checklist file %s, and cannot be kept: %s", why,
			error.text);
		return;
	}
	log_warning(m->daemon.log,
		"the checklist file %s; it is kept as %s, and is not the checklist: `nowcast "
		"checklist import --from %s` makes it so",
		why, name, name);
	free(name);
}

/* Somebody has changed it since we wrote it. */
static void keep_edited(struct manager *m)
{
	struct stat now;

	if (m->export.written.st_ino == 0 || stat(m->daemon.config->checklist_file, &now) != 0 ||
		!S_ISREG(now.st_mode) || same_file(&now, &m->export.written))
		return;
	set_aside(m, "edited", "was edited while the manager runs");
	m->export.written = now;
	m->export.dirty = true;
}

static void try_again(void *argument);

static enum nc_err write_file(struct manager *m, struct error *error)
{
	const char *file = m->daemon.config->checklist_file;
	const struct value *checklist = brain_checklist(m->brain);
	int64_t version;
	enum nc_err err;

	if (checklist == NULL)
		return error_nomem(error);
	err = store_checklist_version(m->store, &version, error);
	if (err == NC_OK)
		err = checklist_write(file, checklist, version, &m->export.written, error);
	return err;
}

static void export_now(struct manager *m)
{
	struct export *export = &m->export;
	int64_t began_ms = clock_mono_ms();
	struct error error = { 0 };
	enum nc_err err;

	loop_timer_cancel(export->timer);
	export->timer = NULL;
	keep_edited(m);
	err = write_file(m, &error);
	export->last_ms = clock_mono_ms();
	export->took_ms = export->last_ms - began_ms;
	export->dirty = err != NC_OK;
	if (err == NC_OK && export->failing) {
		log_info(m->daemon.log, "the checklist file is written again");
	} else if (err != NC_OK && !export->failing) {
		log_critical(m->daemon.log,
			"the checklist file cannot be written: %s; the checklist is kept in the "
			"state, and the file is tried again every %d s",
			error.text, RETRY_WRITE_MS / 1000);
	}
	export->failing = err != NC_OK;
}

static void try_again(void *argument)
{
	struct manager *m = argument;

	m->export.timer = NULL;
	/* What is judged and not committed is no state yet. */
	messages_settle(m);
	export_now(m);
}

void export_mark(struct manager *m)
{
	m->export.dirty = true;
}

void export_elsewhere(struct manager *m)
{
	keep_edited(m);
	memset(&m->export.written, 0, sizeof(m->export.written));
	m->export.dirty = true;
}

void export_when_idle(struct manager *m)
{
	struct export *export = &m->export;
	int64_t wait_ms = export->took_ms * SHARE_OF_TIME;
	int64_t since_ms = clock_mono_ms() - export->last_ms;

	if (!export->dirty || m->batch_count > 0)
		return;
	if (export->failing) {
		/* Without memory for the timer there is another chance before the next wait. */
		if (export->timer == NULL)
			(void)loop_timer_start(m->daemon.loop, RETRY_WRITE_MS, false, try_again, m,
				&export->timer, NULL);
		return;
	}
	if (wait_ms > BEHIND_MOST_MS)
		wait_ms = BEHIND_MOST_MS;
	if (since_ms >= wait_ms) {
		export_now(m);
		return;
	}
	if (export->timer == NULL && loop_timer_start(m->daemon.loop, wait_ms - since_ms, false,
					     try_again, m, &export->timer, NULL) != NC_OK)
		export_now(m);
}

/* --- at the start --- */

/* For the log: which keys differ. */
static void print_difference(
	const struct value *before, const struct value *after, struct buffer *out)
{
	for (size_t i = 0; i < value_count(after); i++) {
		const struct value *key = value_map_key_at(after, i);
		const struct value *old = value_map_find(before, key);

		if (old != NULL && value_equal(old, value_map_value_at(after, i)))
			continue;
		buffer_append_text(out, out->len > 0 ? ", " : "");
		buffer_append_text(out, old != NULL ? "changed " : "new ");
		(void)value_print_scalar(key, out);
	}
	for (size_t i = 0; i < value_count(before); i++) {
		const struct value *key = value_map_key_at(before, i);

		if (value_map_find(after, key) != NULL)
			continue;
		buffer_append_text(out, out->len > 0 ? ", " : "");
		buffer_append_text(out, "deleted ");
		(void)value_print_scalar(key, out);
	}
}

/* Takes over `checklist`. */
static bool import(struct manager *m, struct value *checklist)
{
	const char *file = m->daemon.config->checklist_file;
	struct transaction t = { 0 };
	struct buffer words;
	struct error error = { 0 };
	enum nc_err err;

	buffer_init(&words);
	print_difference(brain_checklist(m->brain), checklist, &words);
	if (words.len == 0) {
		value_destroy(checklist);
		log_info(m->daemon.log, "checklist read from %s", file);
		buffer_finish(&words);
		return true;
	}
	log_warning(m->daemon.log,
		"checklist read from %s, which was changed while no manager ran: %s", file,
		words.failed ? "" : words.data);
	err = brain_import_checklist(m->brain, checklist, "by the checklist file", &t, &error);
	buffer_finish(&words);
	return messages_carry_out(m, err, &t, "the checklist file", &error);
}

/* What a file that we wrote means, when it is not the last that we wrote. Takes over file->checklist. */
static bool take_ours(struct manager *m, struct checklist_file *file, int64_t version)
{
	char *stopped = NULL;
	struct error error = { 0 };
	int64_t last = -1;

	if (store_fact(m->store, FACT_STOPPED, &stopped, &error) != NC_OK) {
		value_destroy(file->checklist);
		messages_trouble(m, NC_ERR_SYSTEM, &error);
		return false;
	}
	if (stopped != NULL && !text_to_int64(stopped, &last))
		last = -1;
	free(stopped);
	if (file->version == version && value_equal(file->checklist, brain_checklist(m->brain))) {
		log_info(m->daemon.log, "checklist read from %s", m->daemon.config->checklist_file);
	} else if (file->version < version && last != version) {
		/* The last manager was killed before it could write the file. */
		log_info(m->daemon.log,
			"the checklist file is %" PRId64 " changes behind the state; it is written "
			"again",
			version - file->version);
	} else if (file->version < version) {
		return import(m, file->checklist);
	} else {
		set_aside(m, "newer", "is newer than the state");
	}
	value_destroy(file->checklist);
	return true;
}

static bool no_file(struct manager *m, int64_t version, const struct error *error)
{
	if (version > 0) {
		log_warning(m->daemon.log, "the checklist file is missing and is written again");
		return true;
	}
	log_warning(m->daemon.log, "checklist load failed: %s", error->text);
	log_warning(m->daemon.log, "running with empty checklist");
	return true;
}

static bool damaged_file(struct manager *m, int64_t version, const struct error *error)
{
	if (version > 0) {
		log_critical(m->daemon.log, "the checklist file is damaged: %s", error->text);
		set_aside(m, "damaged", "is damaged");
		return true;
	}
	/* Nothing else holds the checklist. */
	log_critical(m->daemon.log,
		"the checklist file is damaged and was not touched: %s; mend it, or move it away "
		"to begin with an empty one",
		error->text);
	m->daemon.status = EXIT_STATE_DAMAGED;
	return false;
}

static bool begin_empty(struct manager *m)
{
	struct value *empty = value_map();
	struct transaction t = { 0 };
	struct error error = { 0 };
	enum nc_err err = NC_ERR_NOMEM;

	if (empty != NULL)
		err = brain_import_checklist(m->brain, empty, "by --ignore-checklist", &t, &error);
	else
		(void)error_nomem(&error);
	return messages_carry_out(m, err, &t, "--ignore-checklist", &error);
}

static bool take_file(struct manager *m)
{
	struct checklist_file file = { 0 };
	struct error error = { 0 };
	int64_t version = 0;
	enum nc_err err = store_checklist_version(m->store, &version, &error);

	if (err != NC_OK) {
		messages_trouble(m, err, &error);
		return false;
	}
	if (cli_flag(m->daemon.args, "--ignore-checklist"))
		return begin_empty(m);
	err = checklist_read(m->daemon.config->checklist_file, &file, &error);
	if (err == NC_ERR_NOT_FOUND)
		return no_file(m, version, &error);
	if (err != NC_OK)
		return damaged_file(m, version, &error);
	return file.ours ? take_ours(m, &file, version) : import(m, file.checklist);
}

static void look_for_edits(void *argument)
{
	struct manager *m = argument;

	keep_edited(m);
}

bool export_begin(struct manager *m)
{
	struct error error = { 0 };
	enum nc_err err;
	int64_t version;

	if (!take_file(m))
		return false;
	err = store_set_fact(m->store, FACT_STOPPED, "", &error);
	if (err == NC_OK)
		err = store_checklist_version(m->store, &version, &error);
	if (err != NC_OK) {
		messages_trouble(m, err, &error);
		return false;
	}
	if (version > 0)
		export_mark(m);
	(void)loop_timer_start(
		m->daemon.loop, 60 * MS_PER_S, true, look_for_edits, m, &m->export.look, NULL);
	return true;
}

/* The last export, and which it was: an older file at the next start is then somebody's. */
void export_finish(struct manager *m)
{
	struct error error = { 0 };
	char text[32];
	int64_t version;

	if (m->brain == NULL || m->export.look == NULL)
		return;
	loop_timer_cancel(m->export.look);
	m->export.look = NULL;
	keep_edited(m);
	if (m->export.dirty)
		export_now(m);
	loop_timer_cancel(m->export.timer);
	m->export.timer = NULL;
	if (m->export.failing || store_checklist_version(m->store, &version, &error) != NC_OK)
		return;
	(void)snprintf(text, sizeof(text), "%" PRId64, version);
	if (store_set_fact(m->store, FACT_STOPPED, text, &error) != NC_OK)
		log_warning(m->daemon.log, "the end was not written down: %s", error.text);
}
