/* Shared by the brain*.c files only. */
#ifndef NOWCAST_CORE_DECIDE_BRAIN_INTERNAL_H
#define NOWCAST_CORE_DECIDE_BRAIN_INTERNAL_H

#include "core/decide/brain.h"

/* --- brain_table.c: the launches that have not ended --- */

enum table_state {
	TABLE_WANTED,
	TABLE_STARTED,
	TABLE_RUNNING
};

struct table_row {
	char id[ID_TEXT_SIZE];
	char token[TOKEN_TEXT_SIZE]; /* empty: by hand, without one */
	char *worker;
	struct value *arguments; /* a list of texts */
	char *host;
	enum table_state state;
	int64_t pid, since_ns;
	bool by_hand;
	struct value *progress; /* or NULL */
};

struct table {
	struct table_row *rows;
	size_t count, capacity;
};

void table_finish(struct table *table);
struct table_row *table_find(const struct table *table, const char *id);
/* A new row with that id; NULL: out of memory. `arguments` are taken over, also then. The pointer holds
 * until the next call. */
struct table_row *table_add(struct table *table, const char *id, const char *worker,
	struct value *arguments, const char *host);
void table_remove(struct table *table, struct table_row *row);
/* Nobody tells of the end of a runner by hand that was killed: keep at most `most` of them, the latest. */
void table_forget_by_hand(struct table *table, size_t most);
/* The row as people see it; NULL: out of memory. */
struct value *table_row_to_value(const struct table_row *row);
/* Rows of that worker with those arguments, other than `id`: a list of what table_row_to_value() gives. */
struct value *table_copies(const struct table *table, const char *worker,
	const struct value *arguments, const char *id);

/* --- the state --- */

/* A message that was judged. */
struct answered {
	char id[ID_TEXT_SIZE]; /* empty: none yet */
	uint64_t digest;       /* of its bytes */
	char *reply;           /* NULL: it changed nothing, and is judged again */
	size_t reply_len;
};

enum {
	REMEMBERED = 10000,      /* messages, for those that come again (R2) */
	SLOTS_REMEMBERED = 1000, /* of schedules (R18) */
	BY_HAND_MOST = 1000,
	FAILED_STARTS_MOST = 20,
};

struct brain {
	const struct config *config;
	const struct rules *rules;
	struct value *checklist;
	struct table launches;
	struct answered *answered; /* a ring */
	size_t answered_next;
	char *slots[SLOTS_REMEMBERED]; /* a ring */
	size_t slots_next;
	unsigned failed_starts; /* since a process last spoke */
};

/*
 * One message that is judged. What it changes is done as it goes, and noted here, so that
 * judgement_undo() can take it back when memory runs out before the end (R21), without needing any.
 */
struct judgement {
	struct brain *brain;
	const struct message *message;
	struct transaction t;
	int64_t real_ns;
	struct error *error;
	bool ends_launch; /* when all is well: that of the message */

	struct value *checklist_before; /* the whole of it; NULL: not replaced */
	struct value *part_key;         /* NULL: no part of it was replaced */
	struct value *part_before;      /* NULL: there was none */
	bool slot_added;
};

void judgement_undo(struct judgement *j);
void judgement_finish(struct judgement *j); /* what was kept for the undo; the transaction stays */

/* A note that finds no memory is lost: it is talk, and the message must not fail for it. */
void brain_note(struct judgement *j, int level, const char *format, ...) NC_PRINTF(3, 4);
enum nc_err brain_reply(struct judgement *j, const char *type, const struct value *payload);
enum nc_err brain_reply_words(struct judgement *j, const char *type, const char *words);

/* --- brain_launches.c --- */

/* Write a launch down, in the table and in the transaction. */
enum nc_err brain_want_launch(
	struct judgement *j, const struct rules_launch *wanted, const char *why);
/* What do the rules say? A rule that fails is a note. */
enum nc_err brain_consult_rules(struct judgement *j);

/* --- brain_events.c --- */

enum nc_err brain_handle_event(struct judgement *j);

#endif
