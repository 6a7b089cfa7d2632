/*
 * A brain by some rules, with its store in memory, for the tests of core/decide/brain. Include it in one source file of
 * a test program, behind cmocka. What only some of them use is inline, so that none is called unused.
 */
#ifndef NOWCAST_TESTS_RUN_BRAIN_H
#define NOWCAST_TESTS_RUN_BRAIN_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/brain.h"

#define NOON INT64_C(1795608000000000000) /* 2026-11-24, somewhere in the day everywhere */

struct fixture {
	struct rules *rules;
	struct store *store;
	struct brain *brain;
	struct transaction t; /* of the latest message */
	struct error error;
	struct buffer shown; /* for what a test puts into words */
};

/* `rules` NULL: neither rules nor a brain yet. */
static int begin_with(void **state, const struct config *config, const char *rules)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	*state = f;
	buffer_init(&f->shown);
	if (store_open(NULL, &f->store, NULL) != NC_OK)
		return -1;
	if (rules == NULL)
		return 0;
	return rules_read("r.yaml", rules, strlen(rules), config, &f->rules, NULL, NULL) != NC_OK ||
	       brain_create(config, f->rules, f->store, "boot", &f->brain, NULL) != NC_OK;
}

static int end(void **state)
{
	struct fixture *f = *state;

	transaction_finish(&f->t);
	buffer_finish(&f->shown);
	brain_destroy(f->brain);
	store_close(f->store);
	rules_destroy(f->rules);
	free(f);
	return 0;
}

static enum nc_err handle(struct fixture *f, const char *text)
{
	transaction_finish(&f->t);
	return brain_handle(f->brain, text, strlen(text), NOON, &f->t, &f->error);
}

/* Give it a message; the type of its reply. */
static inline const char *tell(struct fixture *f, const char *text)
{
	assert_int_equal(handle(f, text), NC_OK);
	return f->t.reply.type;
}

static inline bool noted(const struct fixture *f, int level, const char *part)
{
	for (size_t i = 0; i < f->t.notes_count; i++)
		if (f->t.notes[i].level == level && strstr(f->t.notes[i].text, part) != NULL)
			return true;
	return false;
}

#endif
