/*
 * What outlives the runner, in the state directory: the claim of its launch, and at the end of the worker the
 * final message and the exit record, until the manager has answered. Where the disk does not take them, the
 * runner goes on without, says so, and delivers all the same.
 */
#include "core/work/runner_internal.h"

#include <sys/wait.h>

#include "core/system/exit_status.h"
#include "core/work/claim.h"
#include "core/work/exit_record.h"
#include "core/work/spool.h"

void keep_claim(struct runner *r, const char *state_directory)
{
	r->claim_err = claim_take(state_directory, r->launch.id, &r->claim_fd, &r->claim_error);
}

int keep_claim_status(const struct runner *r)
{
	if (r->claim_err == NC_OK)
		return EXIT_DONE;
	/* Another runner of this launch came first: all is well, and nothing is left to do. */
	if (r->claim_err == NC_ERR_REFUSED) {
		log_debug(r->log, "launch %s is another runner's already; nothing to do",
			r->launch.id);
		return EXIT_DONE;
	}
	log_critical(r->log, "the launch %s cannot be claimed, so the worker is not started: %s",
		r->launch.id, r->claim_error.text);
	runner_say(r, "not started: %s", r->claim_error.text);
	return EXIT_FAILED;
}

static bool put_text(struct value *map, const char *key, const char *text)
{
	return value_map_put(map, key, text != NULL ? value_text(text) : value_null()) == NC_OK;
}

static struct value *number_or_null(bool is_number, int number)
{
	return is_number ? value_int(number) : value_null();
}

static struct value *make_record(const struct runner *r, const char *type)
{
	const struct runner_end *end = &r->end;
	bool exited = !end->not_started && WIFEXITED(end->wait_status);
	bool killed = !end->not_started && WIFSIGNALED(end->wait_status);
	const struct value *reason = value_map_get(end->report, "reason");
	struct value *record = value_map();

	if (record != NULL && put_text(record, "launch", r->launch.id) &&
		put_text(record, "worker", r->name) && put_text(record, "type", type) &&
		value_map_put(record, "status",
			number_or_null(exited, WEXITSTATUS(end->wait_status))) == NC_OK &&
		value_map_put(record, "signal",
			number_or_null(killed, WTERMSIG(end->wait_status))) == NC_OK &&
		put_text(record, "reason", value_as_text(reason, NULL)) &&
		value_map_put(record, "report",
			end->report != NULL ? value_copy(end->report) : value_null()) == NC_OK)
		return record;
	value_destroy(record);
	return NULL;
}

void keep_final(struct runner *r, const char *type, const char *bytes, size_t len)
{
	struct value *record = make_record(r, type);
	struct error error = { 0 };
	enum nc_err err;

	/* The message first: a record without it says that the worker has ended, but not what it did. */
	r->end.kept =
		spool_write(r->config->state_directory, r->launch.id, bytes, len, &error) == NC_OK;
	r->end.not_kept = !r->end.kept;
	if (!r->end.kept)
		log_error(r->log,
			"message (%s) is not in the spool, and would be lost with this process: %s",
			type, error.text);
	err = record != NULL
		      ? exit_record_write(r->config->state_directory, r->launch.id, record, &error)
		      : error_nomem(&error);
	if (err != NC_OK)
		log_error(r->log, "the exit record was not written: %s", error.text);
	value_destroy(record);
}

void keep_final_later(struct runner *r, const char *bytes, size_t len)
{
	if (!r->end.not_kept ||
		spool_write(r->config->state_directory, r->launch.id, bytes, len, NULL) != NC_OK)
		return;
	r->end.not_kept = false;
	r->end.kept = true;
	log_info(r->log, "there is room again: the message is in the spool");
}

void keep_forget(struct runner *r)
{
	const char *state_directory = r->config->state_directory;
	struct error error;
	enum nc_err err = spool_remove(state_directory, r->launch.id, &error);

	r->end.kept = false;
	if (err == NC_OK)
		err = exit_record_remove(state_directory, r->launch.id, &error);
	/* By hand no other runner of this launch can come; else the claim is the manager's to remove. */
	if (err == NC_OK && r->launch.by_hand)
		err = claim_remove(state_directory, r->launch.id, &error);
	if (err != NC_OK)
		log_warning(r->log, "what is not needed any more stays there: %s", error.text);
}
