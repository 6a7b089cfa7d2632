#include "commands/supervisor_client.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/data/json.h"
#include "core/system/door.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/system/sys.h"

enum {
	ANSWER_MS = 5000
};

const char *supervisor_text(const struct value *map, const char *key)
{
	return value_as_text(value_map_get(map, key), "");
}

static enum nc_err write_question(const char *ask, const char *name, struct buffer *out)
{
	struct value *question = value_map();
	enum nc_err err = question != NULL ? NC_OK : NC_ERR_NOMEM;

	if (err == NC_OK)
		err = value_map_put(question, "ask", value_text(ask));
	if (err == NC_OK)
		err = value_map_put(question, "version", value_text(NOWCAST_VERSION));
	if (err == NC_OK && name != NULL)
		err = value_map_put(question, "name", value_text(name));
	if (err == NC_OK)
		json_write(question, 0, out);
	value_destroy(question);
	return err == NC_OK && out->failed ? NC_ERR_NOMEM : err;
}

/* The answer to a question that was answered: what it says, or that it refuses. */
static enum nc_err read_answer(
	const struct buffer *text, struct value **ret_answer, int *ret_status, struct error *error)
{
	struct value *answer = NULL;
	const char *words;
	enum nc_err err = json_read(text->data, text->len, &yaml_message_limits, &answer, error);

	if (err != NC_OK)
		return err;
	words = value_as_text(value_map_get(answer, "error"), NULL);
	if (words == NULL) {
		*ret_answer = answer;
		return NC_OK;
	}
	*ret_status = (int)value_as_int(value_map_get(answer, "exit"), EXIT_FAILED);
	(void)error_set(error, NC_ERR_REFUSED, "%s", words);
	value_destroy(answer);
	return NC_ERR_REFUSED;
}

enum nc_err supervisor_ask(const struct config *config, const char *ask, const char *name,
	struct value **ret_answer, int *ret_status, struct error *error)
{
	struct buffer path, question, answer;
	int fd = -1;
	enum nc_err err;

	buffer_init(&path);
	buffer_init(&question);
	buffer_init(&answer);
	*ret_status = EXIT_FAILED;
	err = config_state_path(config, STATE_SUPERVISOR_DOOR, &path, error);
	if (err == NC_OK && write_question(ask, name, &question) != NC_OK)
		err = error_nomem(error);
	if (err == NC_OK) {
		err = door_call_kept(
			&fd, path.data, question.data, question.len, ANSWER_MS, &answer, error);
		*ret_status = err == NC_ERR_REFUSED ? EXIT_REFUSED : EXIT_UNREACHABLE;
	}
	if (fd >= 0)
		(void)sys_close(fd);
	if (err == NC_OK) {
		*ret_status = EXIT_DONE;
		err = read_answer(&answer, ret_answer, ret_status, error);
		if (err != NC_OK && *ret_status == EXIT_DONE)
			*ret_status = EXIT_FAILED;
	}
	buffer_finish(&path);
	buffer_finish(&question);
	buffer_finish(&answer);
	return err;
}

const struct value *supervisor_find_program(const struct value *answer, const char *name)
{
	const struct value *programs = value_map_get(answer, "programs");

	for (size_t i = 0; i < value_count(programs); i++)
		if (strcmp(supervisor_text(value_at(programs, i), "name"), name) == 0)
			return value_at(programs, i);
	return NULL;
}

static bool is_missed(const struct value *program)
{
	return value_as_bool(value_map_get(program, "wanted"), true) &&
	       strcmp(supervisor_text(program, "state"), "running") != 0;
}

bool supervisor_print_not_ready(const struct value *answer, struct buffer *out)
{
	const struct value *programs = value_map_get(answer, "programs");
	bool any = false;

	for (size_t i = 0; i < value_count(programs); i++) {
		const struct value *program = value_at(programs, i);
		const char *other = supervisor_text(program, "waits_for");
		const char *ended = supervisor_text(value_map_get(program, "last_exit"), "words");
		const char *alarm = supervisor_text(program, "alarm");

		if (!is_missed(program))
			continue;
		any = true;
		buffer_printf(out, "  %s: %s", supervisor_text(program, "name"),
			supervisor_text(program, "state"));
		if (other[0] != '\0')
			buffer_printf(out, " for %s", other);
		if (ended[0] != '\0')
			buffer_printf(out, "; it last ended with: %s", ended);
		if (alarm[0] != '\0')
			buffer_printf(out, "; %s", alarm);
		buffer_append_char(out, '\n');
	}
	return any;
}

bool supervisor_is_hopeless(const struct value *answer)
{
	const struct value *programs = value_map_get(answer, "programs");

	for (size_t i = 0; i < value_count(programs); i++)
		if (strcmp(supervisor_text(value_at(programs, i), "state"), "backoff") == 0 &&
			supervisor_text(value_at(programs, i), "alarm")[0] != '\0')
			return true;
	return false;
}

bool supervisor_has_ended(const struct config *config)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char *path = path_join(config->state_directory, "supervisor.lock");
	int fd = path != NULL ? sys_open(path, O_RDWR | O_NOFOLLOW, 0) : -1;
	bool held = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;

	if (fd >= 0)
		(void)sys_close(fd);
	free(path);
	return !held;
}
