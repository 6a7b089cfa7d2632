/* Shared by brain.c and brain_launches.c only. */
#ifndef NOWCAST_CORE_DECIDE_BRAIN_INTERNAL_H
#define NOWCAST_CORE_DECIDE_BRAIN_INTERNAL_H

#include "core/decide/brain.h"

enum table_state {
	TABLE_WANTED,
	TABLE_STARTED,
	TABLE_RUNNING
};

/* A launch that has not ended. */
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
/* A new row with that id; NULL: out of memory. The pointer holds until the next call. */
struct table_row *table_add(struct table *table, const char *id, const char *worker,
	struct value *arguments, const char *host);
void table_remove(struct table *table, struct table_row *row);
/* The row as people see it; NULL: out of memory. */
struct value *table_row_to_value(const struct table_row *row);
/* Rows of that worker with those arguments, other than `id`: a list of what table_row_to_value() gives. */
struct value *table_copies(const struct table *table, const char *worker,
	const struct value *arguments, const char *id);

#endif
