/* `supervisor`: waits, times, the environment file, and programs that are no daemons of ours. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/data/suggest.h"
#include "core/system/config_internal.h"
#include "core/system/file.h"

enum {
	WAIT_LEAST_MS = 100,
	PORT_MOST = 65535,
	ENVIRONMENT_BYTES_MOST = 1 << 20,
	NAME_MOST = 60,
	PROGRAMS_MOST = 100,
};

const struct config_supervisor config_supervisor_usual = {
	.restart_wait_ms = 500,
	.restart_at_most_ms = 60000,
	.ready_time_ms = 30000,
	.stop_time_ms = 10000,
};

/* The daemons that a program may come after. */
static const char *const daemon_names[] = { "log_aggregator", "message_broker", "manager",
	"scheduler" };

/* --- single values --- */

static void take_time(struct reading *reading, const struct value *key, const struct value *value,
	int64_t least_ms, int64_t *ret_ms)
{
	char *text = scalar_text(reading, key, value);
	int64_t ms;

	if (text == NULL)
		return;
	if (!duration_parse(text, &ms) || ms < least_ms)
		config_error(reading, "bad-duration", value,
			"`%s` must be a duration of at least %lld ms, such as `500 ms`, `90 s` or "
			"`5 min` (a bare number counts seconds), not `%s`",
			value_as_text(key, ""), (long long)least_ms, text);
	else
		*ret_ms = ms;
	free(text);
}

static void take_wait(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct config_supervisor *section = context;

	take_time(reading, key, value, WAIT_LEAST_MS, &section->restart_wait_ms);
}

static void take_at_most(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct config_supervisor *section = context;

	take_time(reading, key, value, WAIT_LEAST_MS, &section->restart_at_most_ms);
}

static void take_restart(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	static const struct section_key keys[] = {
		{ "wait", take_wait, false },
		{ "at most", take_at_most, false },
	};
	struct config_supervisor *section = context;

	read_section(reading, "`restart`", key, value, keys, ARRAY_LEN(keys), section);
	if (section->restart_at_most_ms < section->restart_wait_ms)
		config_error(reading, "bad-duration", value,
			"`at most` of `restart` must not be shorter than `wait`");
}

static void take_ready_time(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct config_supervisor *section = context;

	take_time(reading, key, value, 1000, &section->ready_time_ms);
}

static void take_stop_time(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct config_supervisor *section = context;

	take_time(reading, key, value, WAIT_LEAST_MS, &section->stop_time_ms);
}

/* It has been read before all else (config_read_environment()). */
static void take_environment(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	free(scalar_text(reading, key, value));
}

/* --- a program --- */

struct program {
	const char *name;
	const struct value *command, *after; /* lists or, `after`, a text; NULL: absent */
	int ready;
	int64_t port;
	char *file;
	int64_t ready_time_ms, stop_time_ms;
};

static void take_command(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct program *program = context;
	bool well = value_is(value, VALUE_LIST) && value_count(value) > 0;

	for (size_t i = 0; well && i < value_count(value); i++) {
		enum value_kind kind = value_kind(value_at(value, i));

		well = kind != VALUE_NULL && kind < VALUE_SET;
	}
	if (well && strcmp(value_as_text(value_at(value, 0), "x"), "") != 0)
		program->command = value;
	else
		config_error(reading, "bad-command", value,
			"`command` of the program `%s` must be a list of words, the program first, "
			"such as [python3, feed.py, --port, 5555]; no shell reads it",
			program->name);
}

static void take_after(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct program *program = context;
	bool well = value_as_text(value, NULL) != NULL || value_is(value, VALUE_LIST);

	for (size_t i = 0; i < value_count(value); i++)
		well = well && value_as_text(value_at(value, i), NULL) != NULL;
	if (well)
		program->after = value;
	else
		config_error(reading, "wrong-kind", value,
			"`after` of the program `%s` must be the name of a daemon or program, or a "
			"list of such names",
			program->name);
}

static void bad_ready(
	struct reading *reading, const struct value *value, const struct program *program)
{
	config_error(reading, "bad-choice", value,
		"`ready` of the program `%s` must be none, descriptor, {port: NUMBER} (of this "
		"host) or {file: NAME}",
		program->name);
}

static void take_ready(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct program *program = context;
	const char *word = value_as_text(value, "");
	const struct value *port = value_map_get(value, "port"), *file;

	file = value_map_get(value, "file");
	if (strcmp(word, "none") == 0) {
		program->ready = CONFIG_READY_NONE;
	} else if (strcmp(word, "descriptor") == 0) {
		program->ready = CONFIG_READY_DESCRIPTOR;
	} else if (value_count(value) != 1 || (port == NULL && file == NULL)) {
		bad_ready(reading, value, program);
	} else if (file != NULL) {
		program->ready = CONFIG_READY_FILE;
		free(program->file);
		program->file = scalar_text(reading, value_map_key_at(value, 0), file);
	} else {
		program->ready = CONFIG_READY_PORT;
		program->port = value_as_int(port, 0);
		if (program->port < 1 || program->port > PORT_MOST)
			bad_ready(reading, port, program);
	}
}

static void take_program_ready_time(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct program *program = context;

	take_time(reading, key, value, 1000, &program->ready_time_ms);
}

static void take_program_stop_time(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct program *program = context;

	take_time(reading, key, value, WAIT_LEAST_MS, &program->stop_time_ms);
}

static void write_int(struct reading *reading, const char *key, int64_t integer)
{
	normal_key(&reading->normal, key);
	normal_int(&reading->normal, integer);
}

/* A list of scalars, or one. */
static void write_words(struct reading *reading, const char *key, const struct value *words)
{
	size_t count = value_is(words, VALUE_LIST) ? value_count(words) : words != NULL ? 1 : 0;

	normal_key(&reading->normal, key);
	normal_open(&reading->normal, '[');
	for (size_t i = 0; i < count; i++) {
		char *text =
			section_print(value_is(words, VALUE_LIST) ? value_at(words, i) : words);

		if (text == NULL)
			reading->nomem = true;
		else
			normal_text(&reading->normal, text);
		free(text);
	}
	normal_close(&reading->normal, ']');
}

static void write_program(
	struct reading *reading, const struct value *key, const struct program *program)
{
	normal_at(&reading->normal, key);
	normal_open(&reading->normal, '{');
	normal_key(&reading->normal, "name");
	normal_text(&reading->normal, program->name);
	write_words(reading, "command", program->command);
	write_words(reading, "after", program->after);
	write_int(reading, "ready", program->ready);
	write_int(reading, "port", program->port);
	normal_key(&reading->normal, "file");
	normal_text(&reading->normal, program->file != NULL ? program->file : "");
	write_int(reading, "ready time", program->ready_time_ms);
	write_int(reading, "stop time", program->stop_time_ms);
	write_int(reading, "node", value_line(key));
	normal_close(&reading->normal, '}');
}

static bool is_daemon(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(daemon_names); i++)
		if (strcmp(daemon_names[i], name) == 0)
			return true;
	return false;
}

/* It is shown, logged, and typed behind `nowcast restart`. */
static bool is_good_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= NAME_MOST && name[0] != '-' && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
		       len &&
	       !is_daemon(name) && strcmp(name, "supervisor") != 0;
}

static void take_program(struct reading *reading, const struct value *key,
	const struct value *value, const struct config_supervisor *section)
{
	static const struct section_key keys[] = {
		{ "command", take_command, true },
		{ "after", take_after, false },
		{ "ready", take_ready, false },
		{ "ready time", take_program_ready_time, false },
		{ "stop time", take_program_stop_time, false },
	};
	struct program program = { .name = value_as_text(key, ""),
		.ready = CONFIG_READY_NONE,
		.ready_time_ms = section->ready_time_ms,
		.stop_time_ms = section->stop_time_ms };

	if (!is_good_name(program.name)) {
		config_error(reading, "bad-name", key,
			"the name of a program must be at most %d letters, digits, `_`, `-` and "
			"`.`, and not that of a daemon",
			NAME_MOST);
		return;
	}
	read_section(reading, "a program of the supervisor", key, value, keys, ARRAY_LEN(keys),
		&program);
	write_program(reading, key, &program);
	free(program.file);
}

/* --- who comes after whom --- */

static const struct value *after_of(const struct value *programs, const char *name)
{
	return value_map_get(value_map_get(programs, name), "after");
}

static const char *after_at(const struct value *after, size_t index)
{
	if (value_is(after, VALUE_LIST))
		return value_as_text(value_at(after, index), NULL);
	return index == 0 ? value_as_text(after, NULL) : NULL;
}

static void check_after(
	struct reading *reading, const struct value *programs, const struct value *key)
{
	const char *program = value_as_text(key, ""), *name;
	const struct value *after = after_of(programs, program);

	for (size_t i = 0; (name = after_at(after, i)) != NULL; i++)
		if (!is_daemon(name) && value_map_get(programs, name) == NULL)
			config_error(reading, "unknown-program", after,
				"the program `%s` is to start after `%s`, which is neither a "
				"daemon nor a program of the supervisor%s",
				program, name,
				did_you_mean(name, daemon_names, ARRAY_LEN(daemon_names)).text);
}

static bool is_marked(const struct value *programs, const bool *marked, const char *name)
{
	for (size_t i = 0; i < value_count(programs); i++)
		if (strcmp(value_as_text(value_map_key_at(programs, i), ""), name) == 0)
			return marked[i];
	return true; /* a daemon */
}

static bool may_start(const struct value *programs, const bool *marked, size_t index)
{
	const struct value *after = value_map_get(value_map_value_at(programs, index), "after");
	const char *name;

	for (size_t i = 0; (name = after_at(after, i)) != NULL; i++)
		if (!is_marked(programs, marked, name))
			return false;
	return true;
}

/* Mark who can start, as long as there is somebody; who is left waits for ever. */
static void check_circle(struct reading *reading, const struct value *programs)
{
	size_t count = value_count(programs);
	bool *marked = calloc(count + 1, sizeof(*marked)), more = marked != NULL;

	if (marked == NULL)
		reading->nomem = true;
	while (more) {
		more = false;
		for (size_t i = 0; i < count; i++) {
			if (marked[i] || !may_start(programs, marked, i))
				continue;
			marked[i] = more = true;
		}
	}
	for (size_t i = 0; marked != NULL && i < count; i++) {
		if (marked[i])
			continue;
		config_error(reading, "after-itself", value_map_key_at(programs, i),
			"by its `after`, the program `%s` would wait for itself, or for programs "
			"that wait for each other",
			value_as_text(value_map_key_at(programs, i), ""));
		break;
	}
	free(marked);
}

static void take_program_map(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	if (value_is(value, VALUE_NULL) || !expect_map(reading, key, value))
		return;
	if (value_count(value) > PROGRAMS_MOST) {
		config_error(reading, "limit", value, "a supervisor has at most %d programs",
			PROGRAMS_MOST);
		return;
	}
	normal_at(&reading->normal, key);
	normal_key(&reading->normal, "supervised");
	normal_open(&reading->normal, '[');
	for (size_t i = 0; i < value_count(value); i++)
		take_program(
			reading, value_map_key_at(value, i), value_map_value_at(value, i), context);
	normal_close(&reading->normal, ']');
	for (size_t i = 0; i < value_count(value); i++)
		check_after(reading, value, value_map_key_at(value, i));
	if (reading->first_error == NC_OK)
		check_circle(reading, value);
}

/* --- the section --- */

void take_supervisor(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	/* `programs` comes last: it takes its times from the others, wherever they stand. */
	static const struct section_key keys[] = {
		{ "restart", take_restart, false },
		{ "ready time", take_ready_time, false },
		{ "stop time", take_stop_time, false },
		{ "environment file", take_environment, false },
		{ "programs", NULL, false },
	};
	struct config_supervisor section = config_supervisor_usual;
	const struct value *programs;

	read_section(
		reading, "the section `supervisor`", key, value, keys, ARRAY_LEN(keys), &section);
	if (!value_is(value, VALUE_MAP))
		return;
	programs = value_map_get(value, "programs");
	for (size_t i = 0; programs != NULL && i < value_count(value); i++)
		if (value_map_value_at(value, i) == programs)
			take_program_map(reading, value_map_key_at(value, i), programs, &section);
	normal_at(&reading->normal, key);
	write_int(reading, "restart wait", section.restart_wait_ms);
	write_int(reading, "restart at most", section.restart_at_most_ms);
	write_int(reading, "ready time", section.ready_time_ms);
	write_int(reading, "stop time", section.stop_time_ms);
}

/* --- the environment file --- */

static enum nc_err read_environment(
	const char *path, struct environment_file *ret_file, struct error *error)
{
	struct buffer text;
	struct stat status;
	enum nc_err err;

	if (stat(path, &status) == 0 && (status.st_mode & S_IWOTH))
		return error_set(error, NC_ERR_REFUSED,
			"everybody may write it, and so run commands through it: chmod o-w %s",
			path);
	buffer_init(&text);
	err = file_read(path, ENVIRONMENT_BYTES_MOST, &text, error);
	if (err == NC_OK) {
		err = environment_file_read(text.data, text.len, ret_file, error);
		explicit_bzero(text.data, text.len);
	}
	buffer_finish(&text);
	return err;
}

enum nc_err config_read_environment(
	struct reading *reading, const struct value *tree, struct environment_file *ret_file)
{
	const struct value *at =
		value_map_get(value_map_get(tree, "supervisor"), "environment file");
	struct value *name;
	struct error error;
	enum nc_err err;
	char *path;

	if (value_as_text(at, NULL) == NULL)
		return NC_OK; /* a value of a wrong kind is told of with the others */
	name = value_copy(at);
	if (name == NULL)
		return NC_ERR_NOMEM;
	err = config_expand(reading, &name);
	path = err == NC_OK ? path_join(reading->directory, value_as_text(name, "")) : NULL;
	if (path == NULL)
		err = NC_ERR_NOMEM;
	else if (reading->first_error == NC_OK)
		err = read_environment(path, ret_file, &error);
	if (err != NC_OK && err != NC_ERR_NOMEM)
		config_error(reading, "environment-file", at,
			"the environment file %s cannot be used: %s", path, error.text);
	free(path);
	value_destroy(name);
	return err == NC_ERR_NOMEM ? err : reading->first_error;
}
