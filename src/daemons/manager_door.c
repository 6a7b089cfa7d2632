/*
 * The manager's door: questions and orders of operators (the commands status, group, checklist, backup).
 * One JSON object each way: {"ask": WHAT, ...}; the answer has what was asked for, or {"error": WORDS,
 * "exit": EXIT_STATUS}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/data/json.h"
#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/secrets.h"
#include "daemons/manager_internal.h"

/* An order that is being carried out, with its question and answer. */
struct question {
	struct manager *m;
	const struct value *request;
	struct value *answer;
	struct error error;
	bool later; /* it is answered elsewhere */
	struct door_request *door_request;
};

/* --- answers --- */

static int status_of(enum nc_err err)
{
	if (err == NC_ERR_NOT_FOUND)
		return EXIT_NO_SUCH_THING;
	if (err == NC_ERR_REFUSED)
		return EXIT_REFUSED;
	return err == NC_ERR_SYNTAX ? EXIT_USAGE : EXIT_FAILED;
}

static void send(struct door_request *request, const struct value *answer)
{
	static const char without_memory[] = "{\"error\": \"out of memory\", \"exit\": 1}";
	struct buffer text;

	buffer_init(&text);
	if (answer != NULL)
		json_write(answer, 0, &text);
	if (answer != NULL && !text.failed)
		door_answer(request, text.data, text.len);
	else
		door_answer(request, without_memory, strlen(without_memory));
	buffer_finish(&text);
}

static void send_error(struct door_request *request, enum nc_err err, const char *words)
{
	struct value *answer = value_map();

	if (value_map_put(answer, "error", value_text(words)) != NC_OK ||
		value_map_put(answer, "exit", value_int(status_of(err))) != NC_OK) {
		value_destroy(answer);
		answer = NULL;
	}
	send(request, answer);
	value_destroy(answer);
}

/* What a call of the brain led to, and the answer `{"done": true}`. */
static enum nc_err carry_out(
	struct question *q, enum nc_err err, struct transaction *t, const char *what)
{
	if (err == NC_ERR_NOT_FOUND)
		return err;
	if (!messages_carry_out(q->m, err, t, what, &q->error))
		return err;
	q->answer = value_map();
	return value_map_put(q->answer, "done", value_bool(true)) == NC_OK ? NC_OK : NC_ERR_NOMEM;
}

static const char *text_of(const struct question *q, const char *key)
{
	return value_as_text(value_map_get(q->request, key), "");
}

/* --- what can be asked --- */

/* What is shown to people has no secrets in it (promises.md, S4). */
static enum nc_err mask_secrets(struct question *q)
{
	struct value *masked = secrets_mask_value(log_secrets(q->m->daemon.log), q->answer);

	if (masked == NULL)
		return error_nomem(&q->error);
	value_destroy(q->answer);
	q->answer = masked;
	return NC_OK;
}

static enum nc_err ask_status(struct question *q)
{
	enum {
		FAILED_DAYS = 1
	};
	struct manager *m = q->m;
	int64_t since_ns = clock_real_ns() - (int64_t)FAILED_DAYS * 24 * 3600 * NS_PER_S;
	struct value *manager = value_map();

	q->answer = brain_status(m->brain, since_ns, &q->error);
	if (q->answer == NULL) {
		value_destroy(manager);
		return q->error.code != NC_OK ? q->error.code : NC_ERR_NOMEM;
	}
	if (value_map_put(manager, "pid", value_int(getpid())) != NC_OK ||
		value_map_put(manager, "version", value_text(NOWCAST_VERSION)) != NC_OK ||
		value_map_put(manager, "state can be written", value_bool(!m->trouble)) != NC_OK) {
		value_destroy(manager);
		manager = NULL;
	}
	if (value_map_put(q->answer, "manager", manager) != NC_OK)
		return NC_ERR_NOMEM;
	return mask_secrets(q);
}

static enum nc_err end_group(struct question *q, bool release)
{
	struct transaction t = { 0 };
	enum nc_err err = brain_end_group(
		q->m->brain, text_of(q, "name"), release, clock_real_ns(), &t, &q->error);

	return carry_out(q, err, &t, "the end of a group");
}

static enum nc_err ask_release(struct question *q)
{
	return end_group(q, true);
}

static enum nc_err ask_drop(struct question *q)
{
	return end_group(q, false);
}

static enum nc_err read_yaml(struct question *q, const char *key, struct value **ret_value)
{
	const char *text = text_of(q, key);

	return yaml_read(text, strlen(text), YAML_READ_MERGE_KEYS, &yaml_message_limits, ret_value,
		&q->error);
}

static enum nc_err ask_set(struct question *q)
{
	struct transaction t = { 0 };
	struct value *key = value_text(text_of(q, "key")), *value = NULL;
	enum nc_err err = key != NULL ? read_yaml(q, "value", &value) : error_nomem(&q->error);

	if (err == NC_OK) {
		err = brain_change_checklist(q->m->brain, key, value, &t, &q->error);
		err = carry_out(q, err, &t, "a change of the checklist");
	}
	value_destroy(key);
	value_destroy(value);
	return err;
}

/* A key of whatever kind that is written so. */
static enum nc_err ask_delete(struct question *q)
{
	const struct value *checklist = brain_checklist(q->m->brain);
	const struct value *found = NULL;
	struct transaction t = { 0 };
	struct value *key = NULL;
	enum nc_err err;

	for (size_t i = 0; found == NULL && i < value_count(checklist); i++) {
		const struct value *at = value_map_key_at(checklist, i);
		struct buffer text;

		buffer_init(&text);
		if (value_print_scalar(at, &text) == NC_OK &&
			strcmp(text.data, text_of(q, "key")) == 0)
			found = at;
		buffer_finish(&text);
	}
	if (found == NULL)
		return error_set(&q->error, NC_ERR_NOT_FOUND, "the checklist has no key `%.100s`",
			text_of(q, "key"));
	key = value_copy(found);
	err = key != NULL ? brain_change_checklist(q->m->brain, key, NULL, &t, &q->error)
			  : error_nomem(&q->error);
	err = carry_out(q, err, &t, "a change of the checklist");
	value_destroy(key);
	return err;
}

static enum nc_err ask_import(struct question *q)
{
	struct transaction t = { 0 };
	struct value *checklist = NULL;
	enum nc_err err = read_yaml(q, "text", &checklist);

	if (err == NC_OK && !value_is(checklist, VALUE_MAP)) {
		value_destroy(checklist);
		return error_set(&q->error, NC_ERR_SYNTAX, "a checklist is a mapping");
	}
	if (err != NC_OK)
		return err;
	err = brain_import_checklist(
		q->m->brain, checklist, "by `nowcast checklist import`", &t, &q->error);
	return carry_out(q, err, &t, "the import of a checklist");
}

static enum nc_err ask_checklist(struct question *q)
{
	const struct value *checklist = brain_checklist(q->m->brain);
	struct buffer text;
	enum nc_err err;

	if (checklist == NULL)
		return error_nomem(&q->error);
	buffer_init(&text);
	yaml_write(checklist, 0, &text);
	q->answer = value_map();
	err = value_map_put(q->answer, "checklist", text.failed ? NULL : value_text(text.data));
	buffer_finish(&text);
	return err;
}

static void backup_done(
	void *argument, enum nc_err err, const char *path, const struct error *error)
{
	struct door_request *request = argument;
	struct value *answer;

	if (err != NC_OK) {
		send_error(request, err, error->text);
		return;
	}
	answer = value_map();
	if (value_map_put(answer, "path", value_text(path)) != NC_OK) {
		value_destroy(answer);
		answer = NULL;
	}
	send(request, answer);
	value_destroy(answer);
}

static enum nc_err ask_backup(struct question *q)
{
	const char *directory = text_of(q, "directory");
	enum nc_err err;

	if (directory[0] != '/')
		return error_set(
			&q->error, NC_ERR_SYNTAX, "the directory must be an absolute path");
	err = copies_make(q->m, directory, backup_done, q->door_request, &q->error);
	q->later = err == NC_OK;
	return err;
}

/* --- which? --- */

static const struct {
	const char *name;
	enum nc_err (*function)(struct question *q);
} questions[] = {
	{ "status", ask_status },
	{ "release group", ask_release },
	{ "drop group", ask_drop },
	{ "checklist", ask_checklist },
	{ "set checklist", ask_set },
	{ "delete checklist", ask_delete },
	{ "import checklist", ask_import },
	{ "backup", ask_backup },
};

static enum nc_err dispatch(struct question *q)
{
	const char *name = text_of(q, "ask");

	for (size_t i = 0; i < ARRAY_LEN(questions); i++)
		if (strcmp(questions[i].name, name) == 0)
			return questions[i].function(q);
	return error_set(&q->error, NC_ERR_SYNTAX, "the manager knows no question `%.60s`", name);
}

static void came(void *argument, struct door_request *request, const struct door_peer *peer,
	const char *bytes, size_t len)
{
	struct question q = { .m = argument, .door_request = request };
	struct value *read = NULL;
	enum nc_err err = json_read(bytes, len, &yaml_message_limits, &read, &q.error);

	messages_settle(q.m);
	q.request = read;
	if (err == NC_OK)
		err = dispatch(&q);
	if (err != NC_OK)
		send_error(request, err, q.error.text[0] != '\0' ? q.error.text : "out of memory");
	else if (!q.later)
		send(request, q.answer);
	value_destroy(q.answer);
	value_destroy(read);
}

static void too_large(void *argument, size_t len, struct buffer *answer)
{
	buffer_append_text(
		answer, "{\"error\": \"the question is larger than 1 MiB\", \"exit\": 2}");
}

static void crowded(void *argument, int sys_errno)
{
	struct manager *m = argument;

	daemon_door_crowded(&m->daemon, "manager's door", sys_errno);
}

bool door_open(struct manager *m)
{
	const struct config *config = m->daemon.config;
	const struct door_handler handler = {
		.request = came, .too_large = too_large, .argument = m, .crowded = crowded
	};
	struct buffer path;
	struct error error = { 0 };
	enum nc_err err;

	buffer_init(&path);
	err = config_state_path(config, STATE_MANAGER_DOOR, &path, &error);
	if (err == NC_OK)
		err = door_listen(m->daemon.loop, path.data,
			config->state_group != NULL ? 0660 : 0600, &handler, &m->door, &error);
	if (err != NC_OK)
		log_critical(m->daemon.log, "%s", error.text);
	buffer_finish(&path);
	return err == NC_OK;
}
