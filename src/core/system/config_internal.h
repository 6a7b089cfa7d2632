/*
 * Shared by config*.c only: one reading of a configuration file, from the tree to the bound structs.
 *
 *	config.c              the order of it all, and what callers ask for
 *	config_environment.c  $(NOWCAST.ENV.X) in the tree
 *	config_normalise.c    all sections, in the order of the file
 *	config_section.c      what all sections use
 *	config_messaging.c    `zmq`, `messaging`
 *	config_registry.c     `message registry`
 *	config_schedule.c     `scheduled workers`
 *	config_programs.c     `workers`
 *	config_supervisor.c   `supervisor`, and the environment file
 *	config_template.c     durations, templates of message types
 *	config_bind.c         normal form to structs, by libcyaml
 *	config_host.c         what of this host would not do
 *
 * The normal form is the framework's sections with every name that a user chose (of a worker, a type)
 * turned from a key into a `name:` field, so that all keys are known and a schema can describe it. It is
 * written as YAML in flow style, one token a line, every scalar quoted: libcyaml would take `43abc` for 43,
 * `0x10` for 16 and `maybe` for true, so it gets only what was checked here. For each line the place in the
 * user's file is kept.
 */
#ifndef NOWCAST_CORE_SYSTEM_CONFIG_INTERNAL_H
#define NOWCAST_CORE_SYSTEM_CONFIG_INTERNAL_H

#include "core/system/config.h"

struct place {
	unsigned line, column;
};

struct normal {
	struct buffer text;
	struct place *places; /* of each line of `text` */
	size_t count, capacity;
	struct place now; /* of what is being written */
	unsigned depth;
};

void normal_init(struct normal *normal);
void normal_finish(struct normal *normal);
/* All that follows came from the place of `value`, until the next call. */
void normal_at(struct normal *normal, const struct value *value);
void normal_open(struct normal *normal, char bracket);
void normal_close(struct normal *normal, char bracket);
void normal_key(struct normal *normal, const char *key);
/* A value, followed by its comma. */
void normal_text(struct normal *normal, const char *text);
void normal_int(struct normal *normal, int64_t integer);

/* What libcyaml fills; the arrays of struct config point into it. */
struct bound {
	char *checklist_file, *state_directory, *state_group, *rules_name, *messaging_host;
	int64_t manager_port, workers_port, tcp_allowed;
	struct config_type *manager_types;
	unsigned manager_types_count;
	struct config_worker *workers;
	unsigned workers_count;
	struct config_program *programs;
	unsigned programs_count;
	struct config_program *default_programs;
	unsigned default_programs_count;
	struct config_schedule *schedules;
	unsigned schedules_count;
	struct config_supervisor supervisor; /* its times are 0 without the section */
};

/*
 * NC_ERR_INVALID: the text does not fit the schema; `error` has the user's line and column. (What a user
 * can do wrong is found before this; it is here for what we did wrong.)
 */
enum nc_err bound_load(const struct normal *normal, struct bound **ret_bound, struct error *error);
void bound_destroy(struct bound *bound); /* accepts NULL */

struct reading {
	const char *file;
	const char *directory; /* of it */
	bool is_text;          /* it came with a launch: no other file is opened */
	const struct environment_file *environment; /* NULL: none */
	const struct value *tree;
	struct findings *findings;
	struct normal normal;
	enum nc_err first_error; /* NC_OK: none yet */
	bool nomem;              /* memory ran out: what was found is not all */
};

/* A problem at the place of `at` (may be NULL: the whole file). `name` is explained in nowcast-check(1). */
void config_error(struct reading *reading, const char *name, const struct value *at,
	const char *format, ...) NC_PRINTF(4, 5);
void config_warning(struct reading *reading, const char *name, const struct value *at,
	const char *format, ...) NC_PRINTF(4, 5);
void config_note(struct reading *reading, const char *name, const struct value *at,
	const char *format, ...) NC_PRINTF(4, 5);

/*
 * Replace all variables in `*tree`. Errors are reported to `reading`. NC_ERR_NOMEM: nothing else fails.
 */
enum nc_err config_expand(struct reading *reading, struct value **tree);

/* Check all sections of reading->tree and write them in normal form. */
void config_normalise(struct reading *reading);

/* One key that a section may have. `take` NULL: it is accepted and left in the tree. */
struct section_key {
	const char *name;
	/* Check the value and write it in normal form. `context` is that of read_section(). */
	void (*take)(struct reading *reading, const struct value *key, const struct value *value,
		void *context);
	bool required;
};

/*
 * Give each entry of `map` to its key in the table `keys`, in the order of the file. Unknown keys are a
 * warning, missing ones an error at `section`, the key of the mapping. `words` names the section for
 * people (`` the section `zmq` ``). A map that is none is an error too; nothing (an empty value) is as a
 * mapping without entries.
 */
void read_section(struct reading *reading, const char *words, const struct value *section,
	const struct value *map, const struct section_key *keys, size_t count, void *context);

/* The kinds; false after an error was reported: "`key` must be a mapping, not ...". */
bool expect_map(struct reading *reading, const struct value *key, const struct value *value);
bool expect_list(struct reading *reading, const struct value *key, const struct value *value);

/*
 * A scalar as it is written (so `06` stays `06`), which must not be empty. NULL after an error was
 * reported, or when memory ran out (then the findings say so). Else to be freed.
 */
char *scalar_text(struct reading *reading, const struct value *key, const struct value *value);
/* As it is written, whatever scalar it is. To be freed; NULL: out of memory. */
char *section_print(const struct value *scalar);
const struct section_key *section_find_key(
	const struct section_key *keys, size_t count, const char *name);
void section_report_missing(struct reading *reading, const char *words, const struct value *section,
	const struct value *map, const struct section_key *keys, size_t count);
/* Check a text and write it under the key `normal_name`. */
void section_take_text(struct reading *reading, const struct value *key, const struct value *value,
	const char *normal_name);

/* `, did you mean X?` or nothing; good for one use in a call. */
struct hint {
	char text[96];
};
struct hint did_you_mean(const char *typed, const char *const *candidates, size_t count);

/* Is this name in `message registry: workers`? Warns, once per call, when it is not. */
bool is_registered(const struct reading *reading, const char *worker);
void warn_unregistered(struct reading *reading, const struct value *at, const char *worker);

/*
 * Check a template, or work it: append `template` with its placeholders replaced. `arguments` NULL: any
 * number of arguments is there.
 */
enum nc_err config_put_template(const char *template, const char *worker, char *const *arguments,
	size_t count, struct buffer *out, struct error *error);

/* The sections of their own files. */
void take_messaging(
	struct reading *reading, const struct value *key, const struct value *value, void *context);
void take_registry(
	struct reading *reading, const struct value *key, const struct value *value, void *context);
void take_schedules(
	struct reading *reading, const struct value *key, const struct value *value, void *context);
void take_programs(
	struct reading *reading, const struct value *key, const struct value *value, void *context);
void take_supervisor(
	struct reading *reading, const struct value *key, const struct value *value, void *context);

extern const struct config_supervisor config_supervisor_usual;

/*
 * Read the file that `supervisor: environment file` of `tree` names, whose own variables are replaced
 * from the process. Without that key *ret_file is left as it is. Errors are reported, and returned.
 */
enum nc_err config_read_environment(
	struct reading *reading, const struct value *tree, struct environment_file *ret_file);

/* The directory that `config->file` is in must exist for this: see config_prepare_state(). */
enum nc_err config_inspect_state(
	const struct config *config, bool *ret_exists, struct error *error);

/* The name of a file system that other hosts serve, by the `f_type` of statfs(2); NULL: another one. */
const char *config_network_file_system(unsigned long magic);

#endif
