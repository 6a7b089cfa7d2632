/* Shared by the rules_flow*.c files only. */
#ifndef NOWCAST_CORE_DECIDE_RULES_FLOW_INTERNAL_H
#define NOWCAST_CORE_DECIDE_RULES_FLOW_INTERNAL_H

#include "core/decide/rules_flow.h"

/* --- rules_flow_words.c --- */

/* A part of a text that belongs to somebody else. */
struct span {
	const char *text;
	size_t len;
};

bool span_is(struct span span, const char *text);
bool span_equal(struct span a, struct span b);
/* Without the blanks around it. */
struct span span_trim(struct span span);

/* The next word of *rest, which is moved behind it: it ends at a blank that is outside of `<...>`. false: there
 * is none. */
bool span_next_word(struct span *rest, struct span *ret_word);

/* Does a pattern match a type? `name` (may be NULL): the word that it captures under that name, an empty span
 * when there is none. */
bool flow_pattern_matches(
	const char *pattern, const char *type, const struct span *name, struct span *ret_captured);
/* Does a pattern capture a word under that name? */
bool flow_pattern_captures(const char *pattern, struct span name);

/* `<run type> is one of forecast, forecast2`: a condition that needs to know one name only. */
struct flow_condition {
	struct span name;
	struct span operation, operand;
	bool negated;
};

/* false: the condition is of another kind. */
bool flow_condition_read(const char *text, struct flow_condition *ret_condition);
bool flow_condition_holds(const struct flow_condition *condition, struct span value);

/* --- rules_flow_when.c --- */

struct flow_walk {
	const struct value *tree;
	const struct config *config;
	struct flow *flow;
	unsigned visits;
	enum nc_err err; /* NC_OK as long as the walk goes on */
	/* Whose rules: */
	const char *from;
	const struct config_worker *worker; /* NULL: not registered, or any */
	const char *same_as;
	/* The rule in hand: */
	const struct value *patterns; /* a text, or a list of them */
};

/* A step, and the steps that it is in. */
struct flow_scope {
	const struct flow_scope *outer;
	const struct value *step;
	bool otherwise; /* an alternative of `first of` that is not the first */
};

/* A text and a list of them alike: how many, and which. */
size_t flow_items_count(const struct value *value);
const struct value *flow_item_at(const struct value *value, size_t index);

/* A copy of a text that may be NULL; false: out of memory. */
bool flow_copy_text(const char *text, char **ret_text);

/* What the rule in hand and the steps around say; `at` is its place. false: out of memory. It is to be finished
 * in both cases. */
bool flow_when_init(const struct flow_walk *walk, const struct flow_scope *scope,
	const struct value *at, struct flow_when *ret_when);
void flow_when_finish(struct flow_when *when);

#endif
