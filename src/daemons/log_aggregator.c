/*
 * The log aggregator: one log of the whole system. Processes send their lines in batches to its local
 * door (core/system/log_batch.h); it writes them by the part `aggregator` of the `logging` section, and
 * answers when they are written. What processes could not send lies in the spool, and is taken from there.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/json.h"
#include "core/system/door.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/system/log_batch.h"
#include "core/system/sys.h"
#include "daemons/daemon.h"

enum {
	SPOOL_INTERVAL_MS = 2000,
	SPOOL_FILE_MOST = 8 << 20,
	SPOOL_FILES_AT_ONCE = 64, /* the door is served between two rounds */
	/* Batches that are remembered. One that is sent twice comes again within seconds. */
	RECENT_COUNT = 4096,
};

struct recent_batch {
	uint64_t sequence; /* 0: none */
	char source[ID_TEXT_SIZE];
};

struct aggregator {
	struct daemon daemon;
	struct door_server *door;
	struct loop_timer *spool_timer;
	char *spool_path;
	struct recent_batch *recent; /* a ring */
	size_t recent_next;
	bool spool_failed; /* and that has been said */
};

/* --- batches --- */

static bool is_known(const struct aggregator *aggregator, const struct log_batch *batch)
{
	for (size_t i = 0; i < RECENT_COUNT; i++) {
		if (aggregator->recent[i].sequence == batch->sequence &&
			strcmp(aggregator->recent[i].source, batch->source) == 0)
			return true;
	}
	return false;
}

static void remember(struct aggregator *aggregator, const struct log_batch *batch)
{
	struct recent_batch *recent = &aggregator->recent[aggregator->recent_next];

	recent->sequence = batch->sequence;
	(void)snprintf(recent->source, sizeof(recent->source), "%s", batch->source);
	aggregator->recent_next = (aggregator->recent_next + 1) % RECENT_COUNT;
}

/* Write a batch's lines, once. *ret_sequence is what to answer. */
static enum nc_err write_batch(struct aggregator *aggregator, const char *bytes, size_t len,
	uint64_t *ret_sequence, struct error *error)
{
	struct log_batch batch;
	enum nc_err err = log_batch_read(bytes, len, &batch, error);

	if (err != NC_OK)
		return err;
	if (!is_known(aggregator, &batch)) {
		for (size_t i = 0; i < log_batch_count(&batch); i++) {
			struct log_record record = log_batch_at(&batch, i);

			log_record(aggregator->daemon.log, &record);
		}
		remember(aggregator, &batch);
	}
	*ret_sequence = batch.sequence;
	log_batch_finish(&batch);
	return NC_OK;
}

static void write_error(const char *text, struct buffer *answer)
{
	struct value *map = value_map();

	if (map == NULL || value_map_put(map, "error", value_text(text)) != NC_OK)
		buffer_append_text(answer, "{\"error\": \"out of memory\"}");
	else
		json_write(map, 0, answer);
	value_destroy(map);
}

static void on_request(void *argument, struct door_request *request, const struct door_peer *peer,
	const char *bytes, size_t len)
{
	struct aggregator *aggregator = argument;
	uint64_t sequence = 0;
	struct buffer answer;
	struct error error;

	buffer_init(&answer);
	if (write_batch(aggregator, bytes, len, &sequence, &error) == NC_OK) {
		buffer_printf(&answer, "{\"written\": %" PRIu64 "}", sequence);
	} else {
		log_error(aggregator->daemon.log,
			"a batch of log lines from process %d is not one, and was refused: %s",
			(int)peer->pid, error.text);
		write_error(error.text, &answer);
	}
	if (answer.failed)
		door_drop(request); /* the sender sends the batch again */
	else
		door_answer(request, answer.data, answer.len);
	buffer_finish(&answer);
}

static void on_too_large(void *argument, size_t len, struct buffer *answer)
{
	struct aggregator *aggregator = argument;

	log_error(aggregator->daemon.log, "a batch of log lines with %zu bytes was refused", len);
	write_error("a batch has at most 1 MiB", answer);
}

/* --- the spool --- */

/* The batches of one spool file, one a line. */
static void write_spooled(struct aggregator *aggregator, const char *path, const char *text)
{
	uint64_t bad = 0, sequence;
	struct error error;

	while (*text != '\0') {
		const char *end = strchrnul(text, '\n');
		struct error why;

		if (write_batch(aggregator, text, (size_t)(end - text), &sequence, &why) != NC_OK &&
			bad++ == 0)
			error = why;
		text = *end != '\0' ? end + 1 : end;
	}
	if (bad > 0)
		log_error(aggregator->daemon.log,
			"%" PRIu64 " batch%s of spooled log lines in %s could not be read, and "
			"%s lost: %s",
			bad, bad == 1 ? "" : "es", path, bad == 1 ? "is" : "are", error.text);
}

static void take_spool_file(struct aggregator *aggregator, const char *name)
{
	char *path = path_join(aggregator->spool_path, name);
	struct buffer text;
	struct error error;
	enum nc_err err;

	buffer_init(&text);
	err = path != NULL ? file_read(path, SPOOL_FILE_MOST, &text, &error) : error_nomem(&error);
	if (err == NC_OK) {
		write_spooled(aggregator, path, text.data);
		if (sys_unlink(path) < 0)
			err = error_errno(&error, errno, "cannot remove %s", path);
	}
	if (err != NC_OK && !aggregator->spool_failed)
		log_error(aggregator->daemon.log, "spooled log lines cannot be taken: %s",
			error.text);
	aggregator->spool_failed = err != NC_OK;
	buffer_finish(&text);
	free(path);
}

static int is_spool_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);
	size_t suffix = strlen(LOG_SPOOL_SUFFIX);

	return len > suffix && strcmp(entry->d_name + len - suffix, LOG_SPOOL_SUFFIX) == 0;
}

static void take_spool(void *argument)
{
	struct aggregator *aggregator = argument;
	struct dirent **entries;
	int count = scandir(aggregator->spool_path, &entries, is_spool_file, alphasort);

	if (count < 0)
		return; /* there is none as long as nothing was spooled */
	for (int i = 0; i < count; i++) {
		if (i < SPOOL_FILES_AT_ONCE)
			take_spool_file(aggregator, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

/* --- the daemon --- */

static bool on_reload(void *argument, struct config *config)
{
	struct aggregator *aggregator = argument;

	if (strcmp(config->state_directory, aggregator->daemon.config->state_directory) == 0)
		return true;
	log_error(aggregator->daemon.log,
		"the state directory cannot change while the system runs: stop it first");
	return false;
}

static enum nc_err start(struct aggregator *aggregator, struct error *error)
{
	const struct door_handler handler = {
		.request = on_request,
		.too_large = on_too_large,
		.argument = aggregator,
	};
	struct daemon *d = &aggregator->daemon;
	struct buffer path;
	enum nc_err err;

	aggregator->recent = calloc(RECENT_COUNT, sizeof(*aggregator->recent));
	aggregator->spool_path = path_join(d->config->state_directory, STATE_LOG_SPOOL);
	if (aggregator->recent == NULL || aggregator->spool_path == NULL)
		return error_nomem(error);
	buffer_init(&path);
	err = config_state_path(d->config, STATE_LOG_DOOR, &path, error);
	if (err == NC_OK)
		err = door_listen(d->loop, path.data, d->config->state_group != NULL ? 0660 : 0600,
			&handler, &aggregator->door, error);
	buffer_finish(&path);
	if (err != NC_OK)
		return err;
	take_spool(aggregator);
	return loop_timer_start(d->loop, SPOOL_INTERVAL_MS, true, take_spool, aggregator,
		&aggregator->spool_timer, error);
}

static int log_aggregator_run(const struct applet *self, int argc, char **argv)
{
	struct aggregator aggregator = { 0 };
	struct daemon *d = &aggregator.daemon;
	struct error error;

	if (!daemon_start(d, self, argc, argv, LOG_MODE_AGGREGATOR))
		return d->status;
	d->reload = on_reload;
	d->reload_argument = &aggregator;
	if (start(&aggregator, &error) == NC_OK) {
		daemon_ready(d);
		daemon_run(d);
	} else {
		log_critical(d->log, "%s", error.text);
		d->status = error.code == NC_ERR_REFUSED ? EXIT_TRY_AGAIN : EXIT_FAILED;
	}
	loop_timer_cancel(aggregator.spool_timer);
	door_server_destroy(aggregator.door);
	free(aggregator.recent);
	free(aggregator.spool_path);
	return daemon_finish(d);
}

static const struct cli_option options[] = { CLI_END };

const struct applet applet_log_aggregator = {
	.name = "log_aggregator",
	.kind = APPLET_DAEMON,
	.summary = "write the log lines of all processes into one log",
	.description =
		"Receive the log lines that the processes of the system publish, and write them as "
		"the part `aggregator` of the `logging` section of the configuration says.\n\n"
		"Only a configuration with that part has use for it.",
	.options = options,
	.run = log_aggregator_run,
};
