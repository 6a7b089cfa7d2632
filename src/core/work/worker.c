/*
 * The side of the worker proper: it speaks the contract over the channel to its runner (contract.h), as a
 * worker in any other language does; with --debug there is no channel, and it logs instead.
 */
#include "core/work/worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/data/json.h"
#include "core/data/yaml.h"
#include "core/system/exit_status.h"
#include "core/system/message.h"
#include "core/system/sys.h"
#include "core/work/runner.h"

/* A text of worker_text(). */
struct kept_text {
	struct kept_text *next;
	char text[];
};

struct worker {
	const struct applet *applet;
	const struct cli_args *args;
	const struct config *config;
	int channel;     /* to the runner; -1: --debug */
	struct log *log; /* with --debug only */
	struct buffer answer;
	struct kept_text *texts;
};

const struct cli_args *worker_args(const struct worker *worker)
{
	return worker->args;
}

const struct config *worker_config(const struct worker *worker)
{
	return worker->config;
}

const char *worker_name(const struct worker *worker)
{
	return worker->applet->name;
}

bool worker_is_debug(const struct worker *worker)
{
	return worker->channel < 0;
}

const char *worker_text(struct worker *worker, const char *format, ...)
{
	struct kept_text *kept;
	va_list arguments;
	char *formatted;
	int len;

	va_start(arguments, format);
	len = vasprintf(&formatted, format, arguments);
	va_end(arguments);
	if (len < 0)
		return NULL;
	kept = malloc(sizeof(*kept) + (size_t)len + 1);
	if (kept != NULL) {
		memcpy(kept->text, formatted, (size_t)len + 1);
		kept->next = worker->texts;
		worker->texts = kept;
	}
	free(formatted);
	return kept != NULL ? kept->text : NULL;
}

/* --- lines to the runner --- */

/* A channel that is broken means that the runner is dead; then we are about to be, too. */
static enum nc_err send_line(struct worker *worker, const struct value *map, struct error *error)
{
	struct buffer line;
	enum nc_err err = NC_OK;

	buffer_init(&line);
	json_write(map, 0, &line);
	buffer_append_char(&line, '\n');
	if (line.failed)
		err = error_nomem(error);
	else if (sys_write_all(worker->channel, line.data, line.len) < 0)
		err = error_set(error, NC_ERR_CLOSED, "the runner is gone: %s", strerror(errno));
	buffer_finish(&line);
	return err;
}

/* {KEY: first, other: second}; takes `second` over. */
static enum nc_err send_pair(struct worker *worker, const char *key, struct value *first,
	const char *other, struct value *second, struct error *error)
{
	struct value *map = value_map();
	enum nc_err err = NC_ERR_NOMEM;

	if (map != NULL && first != NULL) {
		err = value_map_put(map, key, first);
		first = NULL;
	}
	if (err == NC_OK && other != NULL) {
		err = value_map_put(map, other, second);
		second = NULL;
	}
	if (err == NC_OK)
		err = send_line(worker, map, error);
	else
		err = error_nomem(error);
	value_destroy(first);
	value_destroy(second);
	value_destroy(map);
	return err;
}

static enum nc_err read_answer(struct worker *worker, struct value **ret_map, struct error *error)
{
	struct buffer *in = &worker->answer;
	char *end;
	enum nc_err err;

	while ((end = memchr(in->data, '\n', in->len)) == NULL) {
		ssize_t count;

		if (!buffer_reserve(in, 4096))
			return error_nomem(error);
		count = sys_read(worker->channel, in->data + in->len, 4096);
		if (count <= 0)
			return error_set(error, NC_ERR_CLOSED, "the runner is gone");
		in->len += (size_t)count;
		in->data[in->len] = '\0';
	}
	err = json_read(in->data, (size_t)(end - in->data), &yaml_file_limits, ret_map, error);
	buffer_consume(in, (size_t)(end - in->data) + 1);
	return err;
}

/* The answer's `error`, if it has one. A `type` beside it says that it is the manager who says no. */
static enum nc_err answer_error(const struct value *answer, struct error *error)
{
	const char *text = value_as_text(value_map_get(answer, "error"), NULL);
	const char *type = value_as_text(value_map_get(answer, "type"), NULL);
	enum nc_err code = NC_ERR_CLOSED;

	if (text == NULL)
		return NC_OK;
	if (type != NULL)
		code = strcmp(type, REPLY_NO_SUCH_KEY) == 0 ? NC_ERR_NOT_FOUND : NC_ERR_REFUSED;
	return error_set(error, code, "%s", text);
}

static enum nc_err ask(struct worker *worker, const char *key, const char *text, const char *other,
	struct value *second, struct value **ret_answer, struct error *error)
{
	struct value *answer = NULL;
	enum nc_err err = send_pair(worker, key, value_text(text), other, second, error);

	if (err == NC_OK)
		err = read_answer(worker, &answer, error);
	if (err == NC_OK)
		err = answer_error(answer, error);
	if (err == NC_OK)
		*ret_answer = answer;
	else
		value_destroy(answer);
	return err;
}

/* --- what the three functions call --- */

void worker_log(struct worker *worker, int level, const char *format, ...)
{
	va_list arguments;
	char *text;
	int len;

	va_start(arguments, format);
	len = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (len < 0)
		return; /* out of memory: there is nothing to say it with */
	if (worker->channel < 0)
		log_line(worker->log, level, "%s", text);
	else
		(void)send_pair(worker, "log", value_int(level), "message", value_text(text), NULL);
	free(text);
}

/* What the message registry says, as the manager would: what it does not have is refused there. */
static enum nc_err debug_message(struct worker *worker, const char *type, struct error *error)
{
	const char *name = worker->applet->name;
	const struct config_worker *entry = config_find_worker(worker->config, name);
	const struct config_type *found = entry != NULL ? config_find_type(entry, type) : NULL;

	if (entry == NULL)
		log_error(worker->log, "worker not found in %s message registry: %s",
			worker->config->file, name);
	else if (found == NULL)
		log_error(worker->log,
			"message type not found for %s worker in %s message registry: %s", name,
			worker->config->file, type);
	log_debug(worker->log,
		"**debug mode** message that would have been sent to manager: (%s%s%s)", type,
		found != NULL ? " " : "", found != NULL ? found->meaning : "");
	return error_set(error, NC_ERR_CLOSED, "debug mode: no connection to manager");
}

enum nc_err worker_tell(struct worker *worker, const char *type, const struct value *payload,
	const char **ret_type, struct value **ret_payload, struct error *error)
{
	struct value *answer = NULL;
	const char *reply_type;
	enum nc_err err;

	if (worker->channel < 0)
		return debug_message(worker, type, error);
	err = ask(worker, "tell", type, "payload",
		payload != NULL ? value_copy(payload) : value_null(), &answer, error);
	if (err != NC_OK)
		return err;
	reply_type = worker_text(worker, "%s", value_as_text(value_map_get(answer, "type"), "ack"));
	if (reply_type == NULL)
		err = error_nomem(error);
	if (err == NC_OK && ret_payload != NULL) {
		struct value *copy = value_copy(value_map_get(answer, "payload"));

		if (copy == NULL)
			err = error_nomem(error);
		else
			*ret_payload = copy;
	}
	if (err == NC_OK && ret_type != NULL)
		*ret_type = reply_type;
	value_destroy(answer);
	return err;
}

enum nc_err worker_need(
	struct worker *worker, const char *key, struct value **ret_value, struct error *error)
{
	struct value *answer = NULL, *copy;
	enum nc_err err;

	if (worker->channel < 0)
		return debug_message(worker, "need", error);
	err = ask(worker, "need", key, NULL, NULL, &answer, error);
	if (err != NC_OK)
		return err;
	copy = value_copy(value_map_get(answer, "payload"));
	value_destroy(answer);
	if (copy == NULL)
		return error_nomem(error);
	*ret_value = copy;
	return NC_OK;
}

void worker_progress(struct worker *worker, double fraction)
{
	if (worker->channel >= 0 && fraction >= 0 && fraction <= 1)
		(void)send_pair(worker, "progress", value_float(fraction), NULL, NULL, NULL);
}

/* --- the course of a worker --- */

/* Also the final message: its type goes to the runner, or with --debug to the log. */
static int end(struct worker *worker, enum worker_result result, struct value *checklist)
{
	const struct worker_description *description = worker->applet->worker;
	const char *type = NULL;
	bool failed = false;

	switch (result) {
	case WORKER_SUCCESS:
		type = description->success(worker);
		break;
	case WORKER_FAILURE:
	case WORKER_TRY_AGAIN:
		type = description->failure(worker);
		failed = true;
		break;
	case WORKER_SKIPPED:
		return EXIT_SKIPPED;
	}
	if (type == NULL) { /* worker_text() without memory */
		worker_log(worker, LEVEL_CRITICAL, "out of memory");
		return EXIT_FAILED;
	}
	if (worker->channel < 0) {
		(void)debug_message(worker, type, NULL);
	} else {
		struct value *payload = failed || value_count(checklist) == 0
						? value_null()
						: value_copy(checklist);

		if (send_pair(worker, "type", value_text(type), "payload", payload, NULL) != NC_OK)
			return EXIT_FAILED;
	}
	if (result == WORKER_TRY_AGAIN)
		return EXIT_TRY_AGAIN;
	return failed ? EXIT_FAILED : EXIT_DONE;
}

static int run(struct worker *worker)
{
	struct value *checklist = value_map();
	int status;

	buffer_init(&worker->answer);
	if (checklist == NULL) {
		worker_log(worker, LEVEL_CRITICAL, "out of memory");
		return EXIT_FAILED;
	}
	status = end(worker, worker->applet->worker->work(worker, checklist), checklist);
	value_destroy(checklist);
	buffer_finish(&worker->answer);
	while (worker->texts != NULL) {
		struct kept_text *next = worker->texts->next;

		free(worker->texts);
		worker->texts = next;
	}
	return status;
}

int worker_child_main(const struct applet *applet, struct cli_args *args,
	const struct config *config, int channel)
{
	struct worker worker = {
		.applet = applet, .args = args, .config = config, .channel = channel
	};

	return run(&worker);
}

static int debug_main(const struct applet *self, const struct cli_args *args)
{
	struct worker worker = { .applet = self, .args = args, .channel = -1 };
	struct config *config = NULL;
	struct error error;
	int status;

	config = applet_load_config(self->name, cli_text(args, "config_file"), &status);
	if (config == NULL)
		return status;
	if (log_create(config, self->name, LOG_MODE_DEBUG, &worker.log, &error) != NC_OK) {
		(void)fprintf(stderr, "nowcast %s: %s\n", self->name, error.text);
		config_destroy(config);
		return EXIT_BAD_CONFIG;
	}
	worker.config = config;
	log_info(worker.log, "running in process %ld", (long)getpid());
	log_info(worker.log, "read config from %s", config->file);
	log_debug(worker.log, "**debug mode** no connection to manager");
	status = run(&worker);
	log_debug(worker.log, "shutting down");
	log_destroy(worker.log);
	config_destroy(config);
	return status;
}

int worker_main(const struct applet *self, int argc, char **argv)
{
	struct cli_args *args = NULL;
	int status = EXIT_USAGE;

	/* Usage errors come before anything else is done; the runner parses the same line again. */
	if (!applet_parse(self, argc, argv, &args, &status))
		return status;
	if (cli_flag(args, "--debug"))
		status = debug_main(self, args);
	else
		status = runner_main(self, self->name, argc, argv);
	cli_args_destroy(args);
	return status;
}
