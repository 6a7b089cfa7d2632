#include "core/system/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/data/yaml.h"
#include "core/system/config_internal.h"
#include "core/system/file.h"

/* --- problems --- */

NC_PRINTF(5, 0)
static void add_problem(struct reading *reading, enum severity severity, const char *name,
	const struct value *at, const char *format, va_list arguments)
{
	char *text;

	if (vasprintf(&text, format, arguments) < 0) {
		reading->findings->failed = true;
		return;
	}
	/* What the file has in its texts must not write to somebody's terminal. */
	for (char *byte = text; *byte != '\0'; byte++)
		if ((unsigned char)*byte < ' ' || *byte == 0x7f)
			*byte = '?';
	findings_add(reading->findings, severity, name, reading->file, value_line(at),
		value_column(at), "%s", text);
	free(text);
}

void config_error(
	struct reading *reading, const char *name, const struct value *at, const char *format, ...)
{
	va_list arguments;

	if (reading->first_error == NC_OK)
		reading->first_error = NC_ERR_INVALID;
	va_start(arguments, format);
	add_problem(reading, SEVERITY_ERROR, name, at, format, arguments);
	va_end(arguments);
}

void config_warning(
	struct reading *reading, const char *name, const struct value *at, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_problem(reading, SEVERITY_WARNING, name, at, format, arguments);
	va_end(arguments);
}

void config_note(
	struct reading *reading, const char *name, const struct value *at, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_problem(reading, SEVERITY_NOTE, name, at, format, arguments);
	va_end(arguments);
}

/* An error of a reader below us, with its own code and place. */
static void pass_error(
	struct reading *reading, const char *name, const struct error *error, const char *hint)
{
	findings_add(reading->findings, SEVERITY_ERROR, name, reading->file, error->line,
		error->column, "%s%s", error->text, hint);
	reading->first_error = error->code;
}

/* --- the file --- */

/* More words for what libyaml says of the mistakes that are made most often. */
static const char *syntax_hint(const char *text, size_t len, const struct error *error)
{
	const char *line = text;

	for (unsigned i = 1; i < error->line && line != NULL; i++) {
		line = memchr(line, '\n', len - (size_t)(line - text));
		if (line != NULL)
			line++;
	}
	if (line != NULL && line + error->column <= text + len && error->column > 0 &&
		line[error->column - 1] == '\t')
		return " (a tab; YAML is indented with blanks)";
	if (strstr(error->text, "mapping values are not allowed") != NULL)
		return " (is a text with `: ` in it to be quoted, or is the indentation wrong?)";
	return "";
}

static struct value *read_tree(struct reading *reading, const char *text, size_t len)
{
	struct value *tree = NULL;
	struct error error = { 0 };
	enum nc_err err =
		yaml_read(text, len, YAML_READ_MERGE_KEYS, &yaml_file_limits, &tree, &error);

	if (err == NC_OK) {
		/* An empty file was read from nowhere, and must be complained of somewhere. */
		if (value_line(tree) == 0)
			(void)value_set_origin(tree, 1, 1, false, NULL);
		return tree;
	}
	error.code = err;
	pass_error(reading,
		err == NC_ERR_LIMIT     ? "limit"
		: err == NC_ERR_INVALID ? "yaml-value"
					: "syntax",
		&error, err == NC_ERR_SYNTAX ? syntax_hint(text, len, &error) : "");
	return NULL;
}

/* Who can write the file can run commands as us. */
static bool check_mode(struct reading *reading, const struct stat *status)
{
	if (!(status->st_mode & S_IWOTH))
		return true;
	config_error(reading, "writable-by-all", NULL,
		"everybody may write this file, and so run commands through it: chmod o-w %s",
		reading->file);
	return false;
}

static bool read_text(struct reading *reading, struct buffer *out)
{
	struct error error = { 0 };
	struct stat status;
	enum nc_err err;

	if (stat(reading->file, &status) == 0 && !check_mode(reading, &status))
		return false;
	err = file_read(reading->file, yaml_file_limits.bytes, out, &error);
	if (err == NC_OK)
		return true;
	if (err == NC_ERR_NOT_FOUND)
		config_error(reading, "unreadable", NULL, "there is no such file");
	else if (err == NC_ERR_LIMIT)
		config_error(reading, "limit", NULL, "the file is larger than %zu bytes",
			yaml_file_limits.bytes);
	else
		config_error(
			reading, "unreadable", NULL, "the file cannot be read: %s", error.text);
	reading->first_error = err;
	return false;
}

/* --- from the reading to a struct config --- */

/* The file's directory, absolute. To be freed; NULL: errno says why. */
static char *absolute_directory(const char *file)
{
	char *here = NULL, *directory = path_directory(file), *absolute = NULL;

	if (directory == NULL || directory[0] == '/')
		return directory;
	here = getcwd(NULL, 0);
	if (here != NULL)
		absolute = strcmp(directory, ".") == 0 ? strdup(here) : path_join(here, directory);
	free(here);
	free(directory);
	return absolute;
}

static char usual_rules[] = "next_workers.yaml", usual_host[] = "localhost";

/* A dotted module name, as the Python framework has it, means the file beside the configuration. */
static char *rules_path(const char *directory, const char *name)
{
	const char *dot = name != NULL ? strrchr(name, '.') : NULL;
	bool is_file = dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);

	if (name != NULL && strchr(name, '/') != NULL)
		is_file = true;
	return path_join(directory, is_file ? name : usual_rules);
}

static char *state_path(const struct config *config, const char *name)
{
	char *beside, *path;

	if (name != NULL)
		return path_join(config->directory, name);
	beside = path_directory(config->checklist_file);
	path = beside != NULL ? path_join(beside, "nowcast-state") : NULL;
	free(beside);
	return path;
}

/* Moves everything from `bound` into the config, which owns it from now on. */
static bool fill(struct config *config, struct bound *bound)
{
	config->bound = bound;
	config->state_group = bound->state_group;
	config->rules_name = bound->rules_name != NULL ? bound->rules_name : usual_rules;
	config->messaging_host = bound->messaging_host != NULL ? bound->messaging_host : usual_host;
	config->manager_port = bound->manager_port;
	config->workers_port = bound->workers_port;
	config->tcp_allowed = bound->tcp_allowed != 0;
	config->manager_types = bound->manager_types;
	config->manager_types_count = bound->manager_types_count;
	config->workers = bound->workers;
	config->workers_count = bound->workers_count;
	config->programs = bound->programs;
	config->programs_count = bound->programs_count;
	config->default_programs = bound->default_programs;
	config->default_programs_count = bound->default_programs_count;
	config->schedules = bound->schedules;
	config->schedules_count = bound->schedules_count;
	config->supervisor = bound->supervisor;
	if (config->supervisor.restart_wait_ms == 0)
		config->supervisor = config_supervisor_usual;
	config->logging = value_map_get(config->tree, "logging");
	config->checklist_file = path_join(config->directory, bound->checklist_file);
	config->rules_file = rules_path(config->directory, bound->rules_name);
	if (config->checklist_file != NULL)
		config->state_directory = state_path(config, bound->state_directory);
	return config->state_directory != NULL && config->rules_file != NULL;
}

static struct config *make_config(const char *file, const char *text, size_t len)
{
	struct config *config = calloc(1, sizeof(*config));

	if (config == NULL)
		return NULL;
	config->file = strdup(file);
	config->directory = absolute_directory(file);
	config->text = malloc(len + 1);
	if (config->file == NULL || config->directory == NULL || config->text == NULL) {
		config_destroy(config);
		return NULL;
	}
	memcpy(config->text, text, len);
	config->text[len] = '\0';
	config->text_len = len;
	return config;
}

/* Bind what was found good. */
static enum nc_err bind(struct reading *reading, struct config *config)
{
	struct bound *bound = NULL;
	struct error error = { 0 };
	enum nc_err err = bound_load(&reading->normal, &bound, &error);

	if (err == NC_ERR_INVALID)
		pass_error(reading, "schema", &error, "");
	if (err != NC_OK)
		return err;
	return fill(config, bound) ? NC_OK : NC_ERR_NOMEM;
}

static enum nc_err read_config(
	struct reading *reading, const char *text, size_t len, struct config *config)
{
	enum nc_err err;

	config->tree = read_tree(reading, text, len);
	if (config->tree == NULL)
		return reading->first_error;
	reading->directory = config->directory;
	if (!reading->is_text) {
		err = config_read_environment(reading, config->tree, &config->environment);
		if (err != NC_OK)
			return err;
		reading->environment = &config->environment;
	}
	err = config_expand(reading, &config->tree);
	if (err != NC_OK)
		return err;
	reading->tree = config->tree;
	config_normalise(reading);
	if (reading->nomem || reading->normal.text.failed || reading->findings->failed)
		return NC_ERR_NOMEM;
	return reading->first_error == NC_OK ? bind(reading, config) : reading->first_error;
}

/* Tell the caller of the first error since `start`. */
static enum nc_err report(
	const struct findings *findings, size_t start, enum nc_err err, struct error *error)
{
	for (size_t i = start; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];

		if (finding->severity != SEVERITY_ERROR)
			continue;
		if (finding->line > 0)
			return error_at(error, err, finding->line, finding->column, "%s:%u:%u: %s",
				finding->file, finding->line, finding->column, finding->text);
		return error_set(error, err, "%s: %s", finding->file, finding->text);
	}
	return error_nomem(error);
}

static enum nc_err load(struct reading *reading, const char *text, size_t len,
	struct config **ret_config, struct error *error)
{
	size_t start = reading->findings->count;
	struct config *config = make_config(reading->file, text, len);
	enum nc_err err = config != NULL ? read_config(reading, text, len, config) : NC_ERR_NOMEM;

	normal_finish(&reading->normal);
	if (err == NC_OK) {
		*ret_config = config;
		return NC_OK;
	}
	config_destroy(config);
	return err == NC_ERR_NOMEM ? error_nomem(error)
				   : report(reading->findings, start, err, error);
}

enum nc_err config_load_text(const char *file, const char *text, size_t len,
	struct config **ret_config, struct findings *findings, struct error *error)
{
	struct findings own = { 0 };
	struct reading reading = {
		.file = file, .is_text = true, .findings = findings != NULL ? findings : &own
	};
	enum nc_err err;

	normal_init(&reading.normal);
	err = load(&reading, text, len, ret_config, error);
	findings_finish(&own);
	return err;
}

enum nc_err config_load(const char *file, struct config **ret_config, struct findings *findings,
	struct error *error)
{
	struct findings own = { 0 };
	struct reading reading = { .file = file, .findings = findings != NULL ? findings : &own };
	size_t start = reading.findings->count;
	struct buffer text;
	enum nc_err err;

	buffer_init(&text);
	normal_init(&reading.normal);
	if (read_text(&reading, &text))
		err = load(&reading, text.data, text.len, ret_config, error);
	else
		err = report(reading.findings, start, reading.first_error, error);
	buffer_finish(&text);
	findings_finish(&own);
	return err;
}

void config_destroy(struct config *config)
{
	if (config == NULL)
		return;
	bound_destroy(config->bound);
	environment_file_finish(&config->environment);
	value_destroy(config->tree);
	free(config->file);
	free(config->directory);
	free(config->text);
	free(config->checklist_file);
	free(config->state_directory);
	free(config->rules_file);
	free(config);
}

/* --- questions --- */

const struct config_worker *config_find_worker(const struct config *config, const char *name)
{
	for (unsigned i = 0; i < config->workers_count; i++)
		if (strcmp(config->workers[i].name, name) == 0)
			return &config->workers[i];
	return NULL;
}

static const struct config_type *find_type(
	const struct config_type *types, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	return NULL;
}

const struct config_type *config_find_type(const struct config_worker *worker, const char *type)
{
	return worker != NULL ? find_type(worker->types, worker->types_count, type) : NULL;
}

const char *config_manager_words(const struct config *config, const char *type)
{
	const struct config_type *found =
		find_type(config->manager_types, config->manager_types_count, type);

	return found != NULL ? found->meaning : NULL;
}

enum nc_err config_state_path(
	const struct config *config, const char *name, struct buffer *out, struct error *error)
{
	size_t len = strlen(config->state_directory) + 1 + strlen(name);
	struct sockaddr_un address;

	if (len >= sizeof(address.sun_path))
		return error_set(error, NC_ERR_LIMIT,
			"%s/%s is %zu bytes long, and a socket's path may have %zu; a shorter "
			"`state directory` would do",
			config->state_directory, name, len, sizeof(address.sun_path) - 1);
	buffer_printf(out, "%s/%s", config->state_directory, name);
	return out->failed ? error_nomem(error) : NC_OK;
}
