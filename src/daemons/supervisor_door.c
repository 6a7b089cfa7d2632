/* Questions and orders at the supervisor's local door (supervisor_protocol.h). */
#include "supervisor_protocol.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/data/json.h"
#include "core/data/suggest.h"
#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/work/contract.h"
#include "daemons/supervisor_internal.h"

/* --- the status --- */

static struct value *time_value(int64_t real_ns)
{
	time_t seconds = (time_t)(real_ns / NS_PER_S);
	struct tm tm;
	char text[40];

	if (real_ns == 0 || gmtime_r(&seconds, &tm) == NULL ||
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		return value_null();
	return value_text_printf("%s.%03dZ", text, (int)(real_ns % NS_PER_S / NS_PER_MS));
}

static struct value *text_or_null(const char *text)
{
	return text != NULL ? value_text(text) : value_null();
}

static struct value *last_exit_value(const struct child *child)
{
	int status = child->last_status;
	struct value *map;
	struct buffer words;
	bool well;

	if (!child->has_ended)
		return value_null();
	map = value_map();
	buffer_init(&words);
	contract_end_words(status, &words);
	well = map != NULL && value_map_put(map, "words", value_text(words.data)) == NC_OK &&
	       value_map_put(map, "status",
		       WIFEXITED(status) ? value_int(WEXITSTATUS(status)) : value_null()) ==
		       NC_OK &&
	       value_map_put(map, "signal",
		       WIFSIGNALED(status) ? value_int(WTERMSIG(status)) : value_null()) == NC_OK &&
	       value_map_put(map, "at", time_value(child->last_end_real_ns)) == NC_OK;
	buffer_finish(&words);
	if (well)
		return map;
	value_destroy(map);
	return NULL;
}

static const char *shown_state(const struct child *child)
{
	return child->state == CHILD_STOPPED && child->wanted ? "waiting"
							      : child_state_name(child->state);
}

static struct value *child_value(
	const struct supervisor *s, struct child *child, const char *log_file)
{
	const struct child *other = supervisor_waits_for(s, child);
	struct value *map = value_map();
	bool runs = child->pid > 0;

	if (map != NULL && value_map_put(map, "name", value_text(child->name)) == NC_OK &&
		value_map_put(map, "kind", value_text(child->daemon ? "daemon" : "program")) ==
			NC_OK &&
		value_map_put(map, "state", value_text(shown_state(child))) == NC_OK &&
		value_map_put(map, "wanted", value_bool(child->wanted || child->restart_wanted)) ==
			NC_OK &&
		value_map_put(map, "waits_for", text_or_null(other != NULL ? other->name : NULL)) ==
			NC_OK &&
		value_map_put(map, "pid", runs ? value_int(child->pid) : value_null()) == NC_OK &&
		value_map_put(map, "since",
			runs ? time_value(child->started_real_ns) : value_null()) == NC_OK &&
		value_map_put(map, "restarts", value_int(child->restarts)) == NC_OK &&
		value_map_put(map, "last_exit", last_exit_value(child)) == NC_OK &&
		value_map_put(map, "alarm", text_or_null(child_alarm(child))) == NC_OK &&
		value_map_put(map, "version",
			text_or_null(child->daemon ? NOWCAST_VERSION : NULL)) == NC_OK &&
		value_map_put(map, "log", text_or_null(log_file)) == NC_OK)
		return map;
	value_destroy(map);
	return NULL;
}

static bool root_uses(const struct config *config, const char *handler)
{
	const struct value *section = value_map_get(config->logging, "aggregator"), *handlers;

	if (section == NULL)
		section = config->logging;
	handlers = value_map_get(value_map_get(section, "root"), "handlers");
	for (size_t i = 0; i < value_count(handlers); i++)
		if (strcmp(value_as_text(value_at(handlers, i), ""), handler) == 0)
			return true;
	return false;
}

/* The file that the lines of all go to; empty: none, or not known. */
static void find_log_file(const struct config *config, struct buffer *out)
{
	struct log_files *files = NULL;
	struct log_file_info info;
	bool found = false;

	if (log_files_create(config, &files, NULL) != NC_OK)
		return;
	for (size_t i = 0; !found && log_files_at(files, i, &info); i++) {
		found = root_uses(config, info.handler);
		if (found)
			buffer_append_text(out, info.path);
	}
	log_files_destroy(files);
}

static enum nc_err put_status(const struct supervisor *s, struct value *answer)
{
	struct value *programs = value_list();
	struct buffer log_file;
	enum nc_err err = programs != NULL ? NC_OK : NC_ERR_NOMEM;

	buffer_init(&log_file);
	find_log_file(s->daemon.config, &log_file);
	for (size_t i = 0; err == NC_OK && i < s->count; i++)
		if (supervisor_shows(s->children[i]))
			err = value_list_append(
				programs, child_value(s, s->children[i],
						  log_file.len > 0 ? log_file.data : NULL));
	buffer_finish(&log_file);
	if (err != NC_OK) {
		value_destroy(programs);
		return err;
	}
	err = value_map_put(answer, "programs", programs);
	if (err == NC_OK)
		err = value_map_put(answer, "pid", value_int(getpid()));
	if (err == NC_OK)
		err = value_map_put(answer, "since", time_value(s->since_real_ns));
	if (err == NC_OK)
		err = value_map_put(answer, "config", value_text(s->config_file));
	if (err == NC_OK)
		err = value_map_put(answer, "binary", value_text(s->binary));
	if (err == NC_OK)
		err = value_map_put(answer, "ready", value_bool(s->all_ready && !s->stopping));
	if (err == NC_OK)
		err = value_map_put(answer, "stopping", value_bool(s->stopping));
	return err;
}

/* --- orders --- */

static enum nc_err refuse(struct value *answer, int status, struct value *words)
{
	enum nc_err err = value_map_put(answer, "error", words);

	return err == NC_OK ? value_map_put(answer, "exit", value_int(status)) : err;
}

static enum nc_err refuse_name(const struct supervisor *s, struct value *answer, const char *name)
{
	const char **names = calloc(s->count + 1, sizeof(*names));
	const char *near;
	enum nc_err err;

	if (names == NULL)
		return NC_ERR_NOMEM;
	for (size_t i = 0; i < s->count; i++)
		names[i] = supervisor_shows(s->children[i]) ? s->children[i]->name : NULL;
	near = suggest(name, names, s->count);
	err = refuse(answer, EXIT_NO_SUCH_THING,
		value_text_printf("the supervisor runs no daemon or program `%.100s`%s%s%s", name,
			near != NULL ? "; did you mean `" : "", near != NULL ? near : "",
			near != NULL ? "`?" : "; `nowcast status` names all"));
	free(names);
	return err;
}

static enum nc_err order_one(
	struct supervisor *s, const char *ask, const char *name, struct value *answer)
{
	struct child *child = supervisor_find(s, name);
	enum nc_err err;

	if (child == NULL)
		return refuse_name(s, answer, name);
	if (s->stopping)
		return refuse(answer, EXIT_REFUSED,
			value_text("the supervisor is stopping all; try again when it is done"));
	err = value_map_put(answer, "pid", value_int(child->pid));
	if (err != NC_OK)
		return err;
	log_info(s->daemon.log, "an operator asks to %s %s", ask, name);
	if (strcmp(ask, SUPERVISOR_STOP) == 0)
		child_stop(child);
	else if (strcmp(ask, SUPERVISOR_RESTART) == 0 || child->state == CHILD_STOPPED ||
		 child->state == CHILD_BACKOFF || child->state == CHILD_STOPPING)
		supervisor_restart_child(s, child, child->daemon ? supervisor_open_binary(s) : -1);
	return NC_OK;
}

static enum nc_err order_all(struct supervisor *s, bool restart, struct value *answer)
{
	enum nc_err err = value_map_put(answer, "pid", value_int(getpid()));

	if (err != NC_OK)
		return err;
	if (s->stopping && restart)
		return refuse(answer, EXIT_REFUSED,
			value_text("the supervisor is stopping all; try again when it is done"));
	log_info(s->daemon.log, "an operator asks to %s all", restart ? "restart" : "stop");
	if (s->stopping)
		s->restarting = false;
	supervisor_stop_all(s, restart);
	return NC_OK;
}

static enum nc_err refuse_version(struct value *answer, const char *ask, const char *version)
{
	return refuse(answer, EXIT_REFUSED,
		value_text_printf("this is nowcast %.40s, and the supervisor that runs is %s: it "
				  "does not %s for another version; `nowcast restart`, without a "
				  "name, starts all anew, the supervisor too",
			version, NOWCAST_VERSION, ask));
}

static enum nc_err answer_question(
	struct supervisor *s, const struct value *question, struct value *answer)
{
	const char *ask = value_as_text(value_map_get(question, "ask"), "");
	const char *name = value_as_text(value_map_get(question, "name"), NULL);
	const char *version = value_as_text(value_map_get(question, "version"), "(none)");
	bool starts = strcmp(ask, SUPERVISOR_START) == 0 ||
		      (strcmp(ask, SUPERVISOR_RESTART) == 0 && name != NULL);

	if (strcmp(ask, SUPERVISOR_STATUS) == 0)
		return put_status(s, answer);
	if (starts && strcmp(version, NOWCAST_VERSION) != 0)
		return refuse_version(answer, ask, version);
	if (strcmp(ask, SUPERVISOR_DOWN) == 0 || (strcmp(ask, SUPERVISOR_RESTART) == 0 && !name))
		return order_all(s, strcmp(ask, SUPERVISOR_RESTART) == 0, answer);
	if ((starts || strcmp(ask, SUPERVISOR_STOP) == 0) && name != NULL)
		return order_one(s, ask, name, answer);
	return refuse(answer, EXIT_USAGE,
		value_text_printf("`%.40s` is nothing that nowcast %s can be asked for here", ask,
			NOWCAST_VERSION));
}

/* --- the door --- */

static void write_answer(const struct value *answer, enum nc_err err, struct buffer *out)
{
	if (err == NC_OK)
		json_write(answer, 0, out);
	else
		buffer_append_text(out, "{\"error\": \"the supervisor is short of memory; try "
					"again\", \"exit\": 1}");
}

static void request_came(void *argument, struct door_request *request, const struct door_peer *peer,
	const char *bytes, size_t len)
{
	struct supervisor *s = argument;
	struct value *question = NULL, *answer = value_map();
	struct buffer out;
	struct error error;
	enum nc_err err = value_map_put(answer, "version", value_text(NOWCAST_VERSION));

	if (err == NC_OK) {
		err = json_read(bytes, len, &yaml_message_limits, &question, &error);
		if (err == NC_OK)
			err = answer_question(s, question, answer);
		else if (err != NC_ERR_NOMEM)
			err = refuse(answer, EXIT_USAGE,
				value_text_printf("a question must be JSON: %s", error.text));
	}
	buffer_init(&out);
	write_answer(answer, err, &out);
	if (out.failed)
		door_drop(request);
	else
		door_answer(request, out.data, out.len);
	buffer_finish(&out);
	value_destroy(question);
	value_destroy(answer);
}

static void too_large(void *argument, size_t len, struct buffer *answer)
{
	buffer_append_text(answer, "{\"error\": \"a question has at most 1 MiB\", \"exit\": 2}");
}

static void crowded(void *argument, int sys_errno)
{
	struct supervisor *s = argument;

	daemon_door_crowded(&s->daemon, "supervisor's door", sys_errno);
}

enum nc_err supervisor_open_door(struct supervisor *s, struct error *error)
{
	const struct door_handler handler = {
		.request = request_came,
		.too_large = too_large,
		.argument = s,
		.crowded = crowded,
	};
	const struct config *config = s->daemon.config;
	struct buffer path;
	enum nc_err err;

	buffer_init(&path);
	err = config_state_path(config, STATE_SUPERVISOR_DOOR, &path, error);
	if (err == NC_OK)
		err = door_listen(s->daemon.loop, path.data,
			config->state_group != NULL ? 0660 : 0600, &handler, &s->door, error);
	buffer_finish(&path);
	return err;
}
