/* Shared by the brain*.c files only. */
#ifndef NOWCAST_CORE_DECIDE_BRAIN_INTERNAL_H
#define NOWCAST_CORE_DECIDE_BRAIN_INTERNAL_H

#include "core/decide/brain.h"

enum {
	FAILED_STARTS_MOST = 20,
	PROGRESS_MOST = 10000,
};

struct brain {
	const struct config *config;
	const struct rules *rules;
	struct store *store;
	char *boot;
	struct value *checklist; /* as it stands in the store; NULL: to be read */
	struct value *progress;  /* from 0 to 1, by launch; of those that say it */
	unsigned failed_starts;  /* since a process last spoke */
};

/* One message, or what takes its place, that is judged. */
struct judgement {
	struct brain *brain;
	const struct message *message;
	struct transaction t;
	int64_t real_ns;
	struct error *error; /* never NULL */
	bool own;            /* the store's transaction is ours alone */
	bool ends_launch;    /* when all is well: that of the message */
	bool lost;           /* ... and nobody knows how */
	bool launch_known;
	struct store_launch launch; /* that of the message, when it is known */
};

/* --- brain.c: around a judgement --- */

enum nc_err judgement_begin(struct judgement *j);
/* `err` as it is so far: commits, or undoes all. Gives the transaction to the caller. */
enum nc_err judgement_end(
	struct judgement *j, enum nc_err err, struct transaction *ret_transaction);

/* Also used for a worker's words that come from elsewhere than a message. */
/* A note that finds no memory is lost: it is talk, and the message must not fail for it. */
void brain_note(struct judgement *j, int level, const char *format, ...) NC_PRINTF(3, 4);
enum nc_err brain_reply(struct judgement *j, const char *type, const struct value *payload);
enum nc_err brain_reply_words(struct judgement *j, const char *type, const char *words);
/* The checklist, read when it is not there. NULL: j->error. */
struct value *brain_read_checklist(struct brain *brain, struct error *error);

/* --- brain_messages.c: the words of workers --- */

enum nc_err brain_handle_typed(struct judgement *j);
/* Log a crash or loss, or the meaning of the type. */
void brain_note_received(struct judgement *j, const struct config_type *type);

/* --- brain_events.c --- */

enum nc_err brain_handle_event(struct judgement *j);

/* --- brain_launches.c --- */

/* Write a launch down, in the store and in the transaction. */
enum nc_err brain_want_launch(
	struct judgement *j, const struct rules_launch *wanted, const char *why);
/* It has ended with `type`: write it down, and let the one go that waited for it. */
enum nc_err brain_close_launch(struct judgement *j, const char *type);
struct value *brain_launch_to_value(const struct brain *brain, const struct store_launch *launch);
/* Those that run are to end, for another that takes their place; those that wait are given up. */
enum nc_err brain_replace_copies(struct judgement *j, const struct value *copies);
/* Open launches of that worker with those arguments, other than `id`: a list. NULL: j->error. */
struct value *brain_copies(
	struct judgement *j, const char *worker, const struct value *arguments, const char *id);

/* --- brain_decide.c: what the rules say, and what that leads to --- */

/* A rule that fails is a note and an alarm. */
enum nc_err brain_consult_rules(struct judgement *j);
/* The rules are not asked; that the worker has ended counts for its groups. */
enum nc_err brain_end_without_rules(struct judgement *j);

/* --- brain_groups.c --- */

/* The groups that the message of `worker` belongs to, and what its end does to them. */
struct affected {
	int64_t *groups; /* still open */
	size_t count;
};
void affected_finish(struct affected *affected);
/* `ends`: count its end. What becomes free or is dropped is in the transaction. */
enum nc_err brain_groups_affected(struct judgement *j, const char *worker, const char *type,
	bool ends, struct affected *ret_affected);
/* Launch it, or hold it for the groups. */
enum nc_err brain_launch_or_hold(struct judgement *j, const struct affected *affected,
	const struct rules_launch *wanted, const char *why);
/* What nothing holds any more. */
enum nc_err brain_release_held(struct judgement *j);
/* Replaces the one that the same rule has open, which then holds nothing of this message either. */
enum nc_err brain_open_group(struct judgement *j, const struct rules_group *group,
	struct affected *affected, const char *why);
struct value *brain_groups_to_value(struct brain *brain, struct error *error);

/* --- brain_programs.c --- */

enum nc_err brain_add_program(
	struct judgement *j, const struct rules_program *program, const struct rules_input *input);

/* --- brain_decide.c, for brain_programs.c too --- */

/* The worker that reported, and its message, may be over: `source`, `type` say which it was. */
enum nc_err brain_carry_decision(struct judgement *j, const struct rules_decision *decision,
	struct affected *affected, const char *source, const char *type);
enum nc_err brain_rule_error(
	struct judgement *j, const char *source, const char *type, const char *words);
/* `ends` of a type: success..., failure..., skipped, crash, lost. */
bool brain_type_is_end(const char *type);

#endif
