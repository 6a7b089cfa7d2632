#include "core/work/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/data/json.h"
#include "core/data/yaml.h"
#include "core/system/sys.h"

/*
 * The sealed file: one line of a fixed form with the number of that form, a JSON mapping of so many bytes, then
 * the configuration's text to the end. All four seals must be there: then nobody can change it any more, and it
 * is no file of somebody else's that happens to be open as descriptor 3.
 */
#define MAGIC        "nowcast launch "
#define FORM         "1 "
#define DIGITS       11
#define PREFIX_BYTES ((sizeof(MAGIC FORM) - 1) + DIGITS + 1) /* with a newline */
#define ALL_SEALS    (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define FILE_MOST    ((size_t)32 << 20)

void launch_finish(struct launch *launch)
{
	free(launch->worker);
	free(launch->why);
	for (size_t i = 0; i < launch->arguments_count; i++)
		free(launch->arguments[i]);
	free(launch->arguments);
	free(launch->state_directory);
	free(launch->version);
	free(launch->config_file);
	buffer_finish(&launch->file);
	*launch = (struct launch){ 0 };
}

/* --- the manager's side --- */

static enum nc_err put_text(struct value *map, const char *key, const char *text)
{
	return value_map_put(map, key, text != NULL ? value_text(text) : value_null());
}

static enum nc_err make_header(
	const struct launch *launch, const struct config *config, struct buffer *out)
{
	struct value *map = value_map();
	struct value *arguments = value_list();
	enum nc_err err = arguments != NULL ? NC_OK : NC_ERR_NOMEM;

	for (size_t i = 0; i < launch->arguments_count && err == NC_OK; i++)
		err = value_list_append(arguments, value_text(launch->arguments[i]));
	if (err != NC_OK || map == NULL) {
		value_destroy(arguments);
		value_destroy(map);
		return NC_ERR_NOMEM;
	}
	err = value_map_put(map, "arguments", arguments);
	if (err == NC_OK)
		err = put_text(map, "id", launch->id);
	if (err == NC_OK)
		err = put_text(map, "token", launch->token);
	if (err == NC_OK)
		err = put_text(map, "worker", launch->worker);
	if (err == NC_OK)
		err = put_text(map, "why", launch->why);
	if (err == NC_OK)
		err = value_map_put(map, "attempt", value_int(launch->attempt));
	if (err == NC_OK)
		err = put_text(map, "file", config->file);
	if (err == NC_OK)
		err = put_text(map, "state directory", config->state_directory);
	if (err == NC_OK)
		err = put_text(map, "version", NOWCAST_VERSION);
	if (err == NC_OK)
		json_write(map, 0, out);
	value_destroy(map);
	return out->failed ? NC_ERR_NOMEM : err;
}

/* Nothing else may go along: JSON texts are UTF-8, and what is not would arrive as something else. */
static enum nc_err check_texts(
	const struct launch *launch, const struct config *config, struct error *error)
{
	bool good = utf8_is_valid(launch->worker, strlen(launch->worker), NULL) &&
		    utf8_is_valid(config->file, strlen(config->file), NULL) &&
		    utf8_is_valid(config->state_directory, strlen(config->state_directory), NULL) &&
		    (launch->why == NULL || utf8_is_valid(launch->why, strlen(launch->why), NULL));

	for (size_t i = 0; i < launch->arguments_count && good; i++)
		good = utf8_is_valid(launch->arguments[i], strlen(launch->arguments[i]), NULL);
	if (!good)
		return error_set(error, NC_ERR_INVALID,
			"a launch of %s: its name, an argument or a file name is not UTF-8",
			launch->worker);
	return NC_OK;
}

static enum nc_err make_file(
	const struct launch *launch, const struct config *config, int *ret_fd, struct error *error)
{
	char prefix[PREFIX_BYTES + 10];
	struct buffer header;
	enum nc_err err;
	int fd;

	err = check_texts(launch, config, error);
	if (err != NC_OK)
		return err;
	buffer_init(&header);
	if (make_header(launch, config, &header) != NC_OK) {
		buffer_finish(&header);
		return error_nomem(error);
	}
	(void)snprintf(prefix, sizeof(prefix), MAGIC FORM "%0*zu\n", DIGITS, header.len);
	fd = memfd_create("nowcast-launch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || sys_write_all(fd, prefix, PREFIX_BYTES) < 0 ||
		sys_write_all(fd, header.data, header.len) < 0 ||
		sys_write_all(fd, config->text, config->text_len) < 0 ||
		fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0) {
		err = error_errno(error, errno, "cannot make the memory file of a launch");
		if (fd >= 0)
			(void)sys_close(fd);
	} else {
		*ret_fd = fd;
	}
	buffer_finish(&header);
	return err;
}

/* What the readiness watch of a daemon left in the environment is nothing for its workers; nor, of a daemon
 * that a worker has started, the marks of that worker's launch (leftovers.h). */
static bool is_of_no_worker(const char *variable)
{
	static const char *const names[] = {
		"NOWCAST_READY_FD=", "NOWCAST_LAUNCH=", "NOWCAST_WORKER=", "NOWCAST_CONFIG="
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

static char **copy_environment(void)
{
	size_t count = 0, kept = 0;
	char **copy;

	while (environ[count] != NULL)
		count++;
	copy = calloc(count + 1, sizeof(*copy));
	for (size_t i = 0; i < count && copy != NULL; i++) {
		if (!is_of_no_worker(environ[i]))
			copy[kept++] = environ[i];
	}
	return copy;
}

static char **make_argv(const struct launch *launch, const struct config *config)
{
	char **argv = calloc(launch->arguments_count + 4, sizeof(*argv));

	if (argv == NULL)
		return NULL;
	/* posix_spawn() takes them as not constant, and changes none. */
	argv[0] = (char *)(uintptr_t) "nowcast";
	argv[1] = launch->worker;
	argv[2] = config->file;
	for (size_t i = 0; i < launch->arguments_count; i++)
		argv[3 + i] = launch->arguments[i];
	return argv;
}

/* Signals as a new process expects them, and a session of its own: a terminal's signals end no runner. */
static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int result;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	result = posix_spawnattr_setflags(
		attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	if (result == 0)
		result = posix_spawnattr_setsigmask(attributes, &none);
	if (result == 0)
		result = posix_spawnattr_setsigdefault(attributes, &all);
	return result;
}

static int set_actions(posix_spawn_file_actions_t *actions, int fd)
{
	int result = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);

	if (result == 0)
		result = posix_spawn_file_actions_adddup2(actions, fd, LAUNCH_FD);
	if (result == 0)
		result = posix_spawn_file_actions_addclosefrom_np(actions, LAUNCH_FD + 1);
	return result;
}

static int spawn(int fd, char **argv, char **environment, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int result = posix_spawnattr_init(&attributes);

	if (result != 0)
		return result;
	result = posix_spawn_file_actions_init(&actions);
	if (result != 0) {
		(void)posix_spawnattr_destroy(&attributes);
		return result;
	}
	result = set_attributes(&attributes);
	if (result == 0)
		result = set_actions(&actions, fd);
	if (result == 0)
		result = posix_spawn(
			ret_pid, "/proc/self/exe", &actions, &attributes, argv, environment);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	return result;
}

static enum nc_err start_local(void *argument, const struct launch *launch,
	const struct config *config, pid_t *ret_pid, struct error *error)
{
	char **environment, **argv;
	enum nc_err err;
	int fd = -1, result;

	err = make_file(launch, config, &fd, error);
	if (err != NC_OK)
		return err;
	environment = copy_environment();
	argv = make_argv(launch, config);
	if (environment == NULL || argv == NULL) {
		err = error_nomem(error);
	} else {
		result = spawn(fd, argv, environment, ret_pid);
		if (result != 0)
			err = error_errno(error, result, "cannot start %s", launch->worker);
	}
	free(environment);
	free(argv);
	(void)sys_close(fd);
	return err;
}

const struct launcher launcher_local = { .start = start_local };

/* --- the runner's side --- */

static enum nc_err bad_file(struct error *error)
{
	return error_set(error, NC_ERR_INVALID,
		"descriptor %d has a launch of the manager's that cannot be read", LAUNCH_FD);
}

static enum nc_err read_whole(int fd, size_t size, struct buffer *out, struct error *error)
{
	if (!buffer_reserve(out, size))
		return error_nomem(error);
	while (out->len < size) {
		ssize_t count = pread(fd, out->data + out->len, size - out->len, (off_t)out->len);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return bad_file(error);
		out->len += (size_t)count;
	}
	out->data[size] = '\0';
	return NC_OK;
}

static enum nc_err take_arguments(
	const struct value *list, struct launch *launch, struct error *error)
{
	size_t count = value_count(list);

	launch->arguments = calloc(count + 1, sizeof(*launch->arguments));
	if (launch->arguments == NULL)
		return error_nomem(error);
	for (size_t i = 0; i < count; i++) {
		const char *text = value_as_text(value_at(list, i), NULL);

		if (text == NULL)
			return bad_file(error);
		launch->arguments[i] = strdup(text);
		if (launch->arguments[i] == NULL)
			return error_nomem(error);
		launch->arguments_count++;
	}
	return NC_OK;
}

/* *ret_text is of launch_finish(). */
static enum nc_err take_text(
	const struct value *map, const char *key, char **ret_text, struct error *error)
{
	const char *text = value_as_text(value_map_get(map, key), NULL);

	if (text == NULL)
		return bad_file(error);
	*ret_text = strdup(text);
	return *ret_text != NULL ? NC_OK : error_nomem(error);
}

/* The same; it may be absent. */
static enum nc_err take_optional(
	const struct value *map, const char *key, char **ret_text, struct error *error)
{
	return value_is(value_map_get(map, key), VALUE_TEXT) ? take_text(map, key, ret_text, error)
							     : NC_OK;
}

static enum nc_err take_header(const struct value *map, struct launch *launch, struct error *error)
{
	const char *id = value_as_text(value_map_get(map, "id"), "");
	const char *token = value_as_text(value_map_get(map, "token"), "");
	enum nc_err err;

	if (!id_is_valid(id) || strlen(token) >= TOKEN_TEXT_SIZE)
		return bad_file(error);
	memcpy(launch->id, id, strlen(id) + 1);
	memcpy(launch->token, token, strlen(token) + 1);
	launch->attempt = value_as_int(value_map_get(map, "attempt"), 1);
	err = take_text(map, "worker", &launch->worker, error);
	if (err == NC_OK)
		err = take_text(map, "file", &launch->config_file, error);
	if (err == NC_OK)
		err = take_text(map, "state directory", &launch->state_directory, error);
	if (err == NC_OK)
		err = take_optional(map, "why", &launch->why, error);
	if (err == NC_OK)
		err = take_optional(map, "version", &launch->version, error);
	return err == NC_OK ? take_arguments(value_map_get(map, "arguments"), launch, error) : err;
}

/* launch->file is the whole file. */
static enum nc_err take_all(struct launch *launch, struct error *error)
{
	const struct buffer *file = &launch->file;
	const size_t digits_at = strlen(MAGIC FORM);
	struct value *map = NULL;
	char digits[DIGITS + 1] = { 0 };
	int64_t header_len;
	enum nc_err err;

	if (memcmp(file->data, MAGIC FORM, digits_at) != 0)
		return error_set(error, NC_ERR_INVALID,
			"the manager that made this launch is of another version than this "
			"program (%s), which does not understand it; restart the manager",
			NOWCAST_VERSION);
	memcpy(digits, file->data + digits_at, DIGITS);
	if (!text_to_int64(digits, &header_len) || header_len < 0 ||
		(size_t)header_len > file->len - PREFIX_BYTES)
		return bad_file(error);
	err = json_read(
		file->data + PREFIX_BYTES, (size_t)header_len, &yaml_file_limits, &map, error);
	if (err != NC_OK)
		return err;
	launch->config_at = PREFIX_BYTES + (size_t)header_len;
	err = take_header(map, launch, error);
	value_destroy(map);
	return err;
}

enum nc_err launch_receive(struct launch *launch, struct error *error)
{
	struct launch received = { .attempt = 1 };
	char magic[sizeof(MAGIC)] = { 0 };
	struct stat status;
	enum nc_err err;

	/* Asked of what is no memory file (or not open at all), this is an error. */
	if ((fcntl(LAUNCH_FD, F_GET_SEALS) & ALL_SEALS) != ALL_SEALS ||
		fcntl(LAUNCH_FD, F_GET_SEALS) < 0 || fstat(LAUNCH_FD, &status) < 0 ||
		status.st_size < (off_t)PREFIX_BYTES ||
		pread(LAUNCH_FD, magic, strlen(MAGIC), 0) != (ssize_t)strlen(MAGIC) ||
		strcmp(magic, MAGIC) != 0)
		return error_set(error, NC_ERR_NOT_FOUND, "no launch of the manager's");
	buffer_init(&received.file);
	if ((size_t)status.st_size > FILE_MOST)
		err = bad_file(error);
	else
		err = read_whole(LAUNCH_FD, (size_t)status.st_size, &received.file, error);
	if (err == NC_OK)
		err = take_all(&received, error);
	(void)sys_close(LAUNCH_FD);
	if (err == NC_OK)
		*launch = received;
	else
		launch_finish(&received);
	return err;
}

enum nc_err launch_load_config(
	struct launch *launch, struct config **ret_config, struct error *error)
{
	const char *text = launch->file.data + launch->config_at;
	enum nc_err err = config_load_text(launch->config_file, text,
		launch->file.len - launch->config_at, ret_config, NULL, error);

	buffer_finish(&launch->file); /* the configuration has a copy */
	launch->config_at = 0;
	return err;
}
