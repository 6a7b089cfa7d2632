/*
 * The configuration file: read, checked, and bound to structs.
 *
 * One reader (design.md, "Configuration"): core/data/yaml makes the ordered tree; `$(NOWCAST.ENV.X)` is
 * replaced wherever it stands in a text; the framework's own sections are normalised (names that are
 * keys become `name:` fields) and bound to the structs below by libcyaml's schema tables. Strictness and
 * the places of errors are ours. Everything else stays in the tree.
 *
 * A struct config is never changed once it is there: a reload makes a new one.
 *
 * Depends on core/data, core/system/file, environment_file, libcyaml. Knows no daemon, worker or rule, but
 * the names of the daemons that a program of the supervisor may come after.
 */
#ifndef NOWCAST_CORE_SYSTEM_CONFIG_H
#define NOWCAST_CORE_SYSTEM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data/finding.h"
#include "core/data/value.h"
#include "core/system/environment_file.h"

/* One message type of a worker or of the manager, and what it means. */
struct config_type {
	char *name;
	char *meaning;
};

/* A worker of the `message registry`. */
struct config_worker {
	char *name;
	char *checklist_key; /* NULL: none, its payloads change nothing */
	struct config_type *types;
	unsigned types_count;
	int node; /* line in the file */
};

enum config_if_running {
	IF_RUNNING_ALLOW,
	IF_RUNNING_REFUSE,
	IF_RUNNING_WAIT,
	IF_RUNNING_REPLACE
};
enum config_if_lost {
	IF_LOST_REPORT,
	IF_LOST_LAUNCH_AGAIN
};

/* An entry of `workers:`: how a worker is run. The runner acts on it, but for if_running and if_lost. */
struct config_program {
	char *name;     /* `default`: for all others */
	char **command; /* absent (count 0): built into this binary */
	unsigned command_count;
	char *success; /* template of its type; NULL: `success` */
	char *failure;
	int64_t time_limit_ms; /* 0: none */
	int64_t grace_time_ms;
	int64_t retry_times;
	int64_t retry_wait_ms;
	int64_t retry_at_most_ms;
	char **retry_after;
	unsigned retry_after_count;
	int if_running; /* enum config_if_running */
	int if_lost;    /* enum config_if_lost */
	int node;
};

/* An entry of `scheduled workers`. */
struct config_schedule {
	char *worker; /* last part of the module name */
	char *every;  /* `day` */
	char *at;     /* HH:MM */
	int at_hour, at_minute;
	char **arguments; /* `cmd line opts`, split at blanks */
	unsigned arguments_count;
	int node;
};

/* How the supervisor knows that a program is ready. */
enum config_ready {
	CONFIG_READY_NONE,       /* when it has started */
	CONFIG_READY_DESCRIPTOR, /* it writes the line `ready` on the descriptor $NOWCAST_READY_FD */
	CONFIG_READY_PORT,       /* somebody takes connections at a TCP port of this host */
	CONFIG_READY_FILE,       /* a file has come or has changed since it was started */
};

/* A program of `supervisor: programs:`. */
struct config_supervised {
	char *name;
	char **command;
	unsigned command_count;
	char **after; /* names of daemons and programs */
	unsigned after_count;
	int ready; /* enum config_ready */
	int64_t ready_port;
	char *ready_file; /* as written; relative to the directory of the file */
	int64_t ready_time_ms;
	int64_t stop_time_ms;
	int node;
};

/* The section `supervisor`. */
struct config_supervisor {
	int64_t restart_wait_ms, restart_at_most_ms;
	int64_t ready_time_ms, stop_time_ms; /* of the daemons */
	struct config_supervised *programs;
	unsigned programs_count;
};

struct config {
	char *file;      /* as it was given */
	char *directory; /* of the file, absolute: where workers run and relative names start */
	char *text;      /* the file as it was read: for launches (a copy that no editor changes) */
	size_t text_len;
	struct value *tree; /* all of it, environment replaced */

	char *checklist_file;  /* absolute */
	char *state_directory; /* absolute */
	char *state_group;     /* or NULL */
	char *rules_file;      /* absolute: `next workers module` */
	char *rules_name;      /* `next workers module` as written */

	char *messaging_host;
	int64_t manager_port; /* 0: none */
	int64_t workers_port;
	bool tcp_allowed;

	struct config_type *manager_types;
	unsigned manager_types_count;
	struct config_worker *workers;
	unsigned workers_count;
	struct config_program *programs;
	unsigned programs_count;
	/* The entry `default` for each of `workers`, with <worker> replaced; count 0: no such entry. */
	struct config_program *default_programs;
	unsigned default_programs_count;
	struct config_schedule *schedules;
	unsigned schedules_count;

	struct config_supervisor supervisor;
	/* Of `supervisor: environment file`, as it was when config_load() read it. Its variables replace
	 * those of the process in `$(NOWCAST.ENV.X)`; who starts others gives it to them
	 * (environment_file_apply()). */
	struct environment_file environment;

	const struct value *logging; /* the section in the tree, or NULL */

	void *bound; /* libcyaml's memory, which the arrays above point into */
};

/*
 * Read and check `file`. All problems go to `findings` (may be NULL); the return value tells of the
 * first error: NC_ERR_NOT_FOUND, NC_ERR_SYNTAX, NC_ERR_INVALID, NC_ERR_LIMIT, NC_ERR_SYSTEM,
 * NC_ERR_NOMEM; `error` then has its place and text, as `FILE:LINE:COLUMN: ...`. With NC_OK *ret_config
 * is the caller's. A file that everybody may write is refused.
 */
enum nc_err config_load(const char *file, struct config **ret_config, struct findings *findings,
	struct error *error);

/*
 * The same from a text that was read before (a launch carries it); `file` names it and is not opened, nor
 * is the environment file: its variables are then in the environment of the process.
 */
enum nc_err config_load_text(const char *file, const char *text, size_t len,
	struct config **ret_config, struct findings *findings, struct error *error);

void config_destroy(struct config *config); /* accepts NULL */

/* What of this host would not do for this configuration: findings of any severity. */
void config_check_host(const struct config *config, struct findings *findings);

/* NULL: not registered. */
const struct config_worker *config_find_worker(const struct config *config, const char *name);
const struct config_type *config_find_type(const struct config_worker *worker, const char *type);
const char *config_manager_words(const struct config *config, const char *type);

/* The entry for `worker`, else that of `default` (for a registered worker), else one with the defaults of
 * nowcast.yaml(5); never NULL. Its `name` tells which it is: the worker's, `default`, or empty. */
const struct config_program *config_find_program(const struct config *config, const char *worker);

/* `state_directory`/`name`; NC_ERR_LIMIT when it would not fit into a socket address. */
enum nc_err config_state_path(
	const struct config *config, const char *name, struct buffer *out, struct error *error);

/*
 * Make the state directory when it is absent (0700, or 02750 with `state group`), and refuse one that
 * belongs to somebody else or that others may enter (promises.md, S1, S2).
 */
enum nc_err config_prepare_state(const struct config *config, struct error *error);

/* `2 h`, `90 s`, `5 min`, `1 d`, `250 ms`, a bare number of seconds: in milliseconds. */
bool duration_parse(const char *text, int64_t *ret_ms);

/* `100 MB`, `64 MiB`, `500 kB`, a bare number of bytes: in bytes. */
bool size_parse(const char *text, int64_t *ret_bytes);

/* Replace each `<arguments[N]>` and `<worker>` in a success/failure template. NC_ERR_INVALID: another
 * name in it, or no such argument. */
enum nc_err config_type_from_template(const char *template, const char *worker,
	char *const *arguments, size_t count, struct buffer *out, struct error *error);

/* Names inside the state directory. */
#define STATE_BROKER_DOOR     "broker.sock" /* runners and the scheduler speak to the broker here */
#define STATE_BROKER_NET      "manager.ipc" /* nng: the broker listens, the manager dials */
#define STATE_MANAGER_DOOR    "manager.sock" /* operators' questions (part C) */
#define STATE_SUPERVISOR_DOOR "supervisor.sock"
#define STATE_LAUNCHES        "launches" /* one directory a launch: its output */
#define STATE_CLAIMS          "claims"   /* one file a launch each: core/work/claim.h, */
#define STATE_ENDS            "ends"     /* exit_record.h, */
#define STATE_SPOOL           "spool"    /* spool.h */

#endif
