#include "core/work/contract.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/data/json.h"
#include "core/data/suggest.h"
#include "core/data/yaml.h"
#include "core/system/exit_status.h"
#include "core/system/log.h"

/* What each line may hold. The first key says which it is. */
static const struct form {
	const char *key;
	enum contract_kind kind;
	const char *other; /* the one further key, or NULL */
} forms[] = {
	{ "need", CONTRACT_NEED, NULL },
	{ "tell", CONTRACT_TELL, "payload" },
	{ "type", CONTRACT_TYPE, "payload" },
	{ "log", CONTRACT_LOG, "message" },
	{ "progress", CONTRACT_PROGRESS, NULL },
};

static const char *const all_keys[] = { "need", "tell", "type", "payload", "log", "message",
	"progress" };

void contract_line_finish(struct contract_line *line)
{
	free(line->text);
	free(line->message);
	value_destroy(line->payload);
	*line = (struct contract_line){ 0 };
}

bool contract_type_is(const char *type, const char *stem)
{
	return type != NULL && strncmp(type, stem, strlen(stem)) == 0;
}

/* JSON first: only it joins `\ud83d\ude00` and takes 1e5 for a number. Then YAML, if that can read it. */
static enum nc_err read_mapping(
	const char *text, size_t len, struct value **ret_map, struct error *error)
{
	struct value *map = NULL;
	struct error json_error;
	enum nc_err err;

	while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == '\n'))
		len--;
	while (len > 0 && (*text == ' ' || *text == '\t')) {
		text++;
		len--;
	}
	if (len > CONTRACT_LINE_MOST)
		return error_set(error, NC_ERR_LIMIT, "the line is longer than %d bytes",
			CONTRACT_LINE_MOST);
	if (len == 0 || *text != '{')
		return error_set(
			error, NC_ERR_SYNTAX, "a line is one JSON object: {\"type\": ...}");
	err = json_read(text, len, &yaml_message_limits, &map, &json_error);
	if (err == NC_ERR_SYNTAX)
		err = yaml_read(text, len, 0, &yaml_message_limits, &map, error);
	else if (err != NC_OK && error != NULL)
		*error = json_error;
	if (err != NC_OK)
		return err;
	*ret_map = map;
	return NC_OK;
}

static const struct form *find_form(const struct value *map)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (value_map_get(map, forms[i].key) != NULL)
			return &forms[i];
	}
	return NULL;
}

/* A key that is not understood may be a `payload` with a slip in it: it must not be dropped silently. */
static enum nc_err check_keys(const struct value *map, const struct form *form, struct error *error)
{
	for (size_t i = 0; i < value_count(map); i++) {
		const char *key = value_as_text(value_map_key_at(map, i), NULL);
		const char *near;

		if (key == NULL)
			return error_set(error, NC_ERR_INVALID, "a key that is not a text");
		if (form != NULL && (strcmp(key, form->key) == 0 ||
					    (form->other != NULL && strcmp(key, form->other) == 0)))
			continue;
		near = suggest(key, all_keys, ARRAY_LEN(all_keys));
		if (near != NULL && strcmp(near, key) != 0)
			return error_set(error, NC_ERR_INVALID,
				"unknown key `%.100s`; did you mean `%s`?", key, near);
		if (form != NULL)
			return error_set(error, NC_ERR_INVALID,
				"the key `%.100s` does not belong to a line with `%s`", key,
				form->key);
	}
	if (form == NULL)
		return error_set(error, NC_ERR_INVALID,
			"one of the keys need, tell, type, log, progress is needed");
	return NC_OK;
}

static enum nc_err take_text(const struct value *map, const char *key, bool may_be_empty,
	char **ret, struct error *error)
{
	const struct value *value = value_map_get(map, key);
	const char *text = value_as_text(value, NULL);

	if (text == NULL)
		return error_set(error, NC_ERR_INVALID, "`%s` must be a text, not %s", key,
			value != NULL ? value_kind_words(value_kind(value)) : "absent");
	if (text[0] == '\0' && !may_be_empty)
		return error_set(error, NC_ERR_INVALID, "`%s` is empty", key);
	*ret = strdup(text);
	return *ret != NULL ? NC_OK : error_nomem(error);
}

static enum nc_err take_payload(
	const struct value *map, struct contract_line *line, struct error *error)
{
	const struct value *payload = value_map_get(map, "payload");

	if (payload == NULL)
		return NC_OK;
	line->payload = value_copy(payload);
	return line->payload != NULL ? NC_OK : error_nomem(error);
}

static enum nc_err take_level(
	const struct value *map, struct contract_line *line, struct error *error)
{
	const struct value *value = value_map_get(map, "log");
	const char *name = value_as_text(value, NULL);
	int64_t number = value_as_int(value, -1);

	if (name != NULL ? !log_level_parse(name, &line->level) : number < 0 || number > LEVEL_OFF)
		return error_set(error, NC_ERR_INVALID,
			"`log` must be a level: DEBUG, INFO, WARNING, ERROR, CRITICAL or a number "
			"from 0 to 100");
	if (name == NULL)
		line->level = (int)number;
	return take_text(map, "message", true, &line->message, error);
}

static enum nc_err take_number(
	const struct value *map, struct contract_line *line, struct error *error)
{
	line->number = value_as_float(value_map_get(map, "progress"), -1);
	if (!(line->number >= 0 && line->number <= 1))
		return error_set(error, NC_ERR_INVALID, "`progress` must be a number from 0 to 1");
	return NC_OK;
}

static enum nc_err take_final(
	const struct value *map, struct contract_line *line, struct error *error)
{
	enum nc_err err = take_text(map, "type", false, &line->text, error);

	if (err != NC_OK)
		return err;
	if (!contract_type_is(line->text, "success") && !contract_type_is(line->text, "failure") &&
		!contract_type_is(line->text, "skipped"))
		return error_set(error, NC_ERR_INVALID,
			"the final message is `success...`, `failure...` or `skipped...`, not "
			"`%.100s`; another message is sent by `tell`",
			line->text);
	return take_payload(map, line, error);
}

static enum nc_err take_line(const struct value *map, const struct form *form,
	struct contract_line *line, struct error *error)
{
	enum nc_err err = NC_OK;

	line->kind = form->kind;
	switch (form->kind) {
	case CONTRACT_NEED:
		return take_text(map, "need", false, &line->text, error);
	case CONTRACT_TELL:
		err = take_text(map, "tell", false, &line->text, error);
		return err == NC_OK ? take_payload(map, line, error) : err;
	case CONTRACT_TYPE:
		return take_final(map, line, error);
	case CONTRACT_LOG:
		return take_level(map, line, error);
	case CONTRACT_PROGRESS:
		return take_number(map, line, error);
	}
	return err;
}

enum nc_err contract_read(
	const char *text, size_t len, struct contract_line *line, struct error *error)
{
	struct contract_line read = { 0 };
	struct value *map = NULL;
	const struct form *form;
	enum nc_err err;

	err = read_mapping(text, len, &map, error);
	if (err != NC_OK)
		return err;
	form = find_form(map);
	err = check_keys(map, form, error);
	if (err == NC_OK)
		err = take_line(map, form, &read, error);
	value_destroy(map);
	if (err == NC_OK)
		*line = read;
	else
		contract_line_finish(&read);
	return err;
}

enum contract_end contract_end(int wait_status)
{
	int status;

	if (!WIFEXITED(wait_status))
		return CONTRACT_CRASH;
	status = WEXITSTATUS(wait_status);
	if (status == 0)
		return CONTRACT_SUCCESS;
	if (status == EXIT_TRY_AGAIN)
		return CONTRACT_TRY_AGAIN;
	if (status == EXIT_SKIPPED)
		return CONTRACT_SKIPPED;
	return status <= 125 ? CONTRACT_FAILURE : CONTRACT_CRASH;
}

void contract_end_words(int wait_status, struct buffer *out)
{
	int signo;
	const char *name;

	if (WIFEXITED(wait_status)) {
		buffer_printf(out, "exit status %d", WEXITSTATUS(wait_status));
		return;
	}
	signo = WTERMSIG(wait_status);
	name = sigabbrev_np(signo);
	buffer_printf(out, "killed by signal %d", signo);
	if (name != NULL)
		buffer_printf(out, " (SIG%s)", name);
	if (WCOREDUMP(wait_status))
		buffer_append_text(out, ", core dumped");
}
