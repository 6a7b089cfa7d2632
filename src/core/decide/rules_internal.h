/*
 * Shared by the rules_*.c files: the checked tree of rules.
 *
 * Names (captured words, `with`, `for each`) are resolved when the file is read: each has a slot, a number in
 * its rule, so that evaluation searches nothing. Texts are kept in the form that they are printed in.
 */
#ifndef NOWCAST_CORE_DECIDE_RULES_INTERNAL_H
#define NOWCAST_CORE_DECIDE_RULES_INTERNAL_H

#include <stdbool.h>

#include "core/decide/rules.h"

/* --- patterns --- */

/* `success <run type>`: one word of a pattern. */
struct pattern_word {
	char *literal;  /* or */
	char *capture;  /* the name */
	char **choices; /* of a capture: one of these; NULL: any word */
	size_t choices_count;
	unsigned slot; /* of a capture in a rule; NO_SLOT: no one uses it */
};

struct pattern {
	struct pattern_word *words;
	size_t count;
};

#define NO_SLOT (~0u)

/* --- templates --- */

enum filter_kind {
	FILTER_MOVE, /* plus N days, minus N days, + N days, - N days */
	FILTER_AS,
	FILTER_DATE_FROM,
	FILTER_FIRST_OF_MONTH,
	FILTER_LAST_OF_MONTH,
	FILTER_LOWER,
	FILTER_UPPER,
	FILTER_FIRST,
	FILTER_LAST,
	FILTER_ONLY,
	FILTER_LATEST,
	FILTER_EARLIEST,
	FILTER_NAME,
	FILTER_PARENT_NAME,
	FILTER_KIND_COUNT
};

struct filter {
	enum filter_kind kind;
	int64_t days; /* of FILTER_MOVE */
	char *format; /* of FILTER_AS, FILTER_DATE_FROM */
};

enum base {
	BASE_PAYLOAD,
	BASE_CONFIG,
	BASE_CHECKLIST,
	BASE_LAUNCH,
	BASE_TODAY,
	BASE_SLOT, /* a name of the rule */
	BASE_COUNT = BASE_SLOT
};

struct template;
struct declaration;

/* `<config[run][<host>] | first>`: a name, keys that are templates themselves, filters. */
struct lookup {
	enum base base;
	unsigned slot;                         /* of BASE_SLOT */
	const struct declaration *declaration; /* of BASE_SLOT, by `with`; else NULL */
	char *name;
	struct template *path;
	size_t path_count;
	struct filter *filters;
	size_t filters_count;
	char *text; /* as it stands in the file, for messages */
	unsigned line, column;
};

struct template_part {
	char *literal; /* or */
	struct lookup *lookup;
};

/* A text with placeholders. */
struct template
{
	struct template_part *parts;
	size_t count;
	unsigned line, column; /* of the text that it stands in */
};

/* --- values, conditions, commands --- */

enum expression_kind {
	EXPRESSION_TEMPLATE,
	EXPRESSION_LIST,     /* of `values` */
	EXPRESSION_DEPENDING /* on `template`: the value of that key */
};

struct expression {
	enum expression_kind kind;
	struct template template;
	struct expression *values;
	char **keys; /* NULL: `otherwise` */
	size_t count;
};

/* A name of `with`. */
struct declaration {
	char *name;
	unsigned slot;
	struct expression value;
	unsigned line, column;
};

enum operator_kind {
	OPERATOR_TRUE, /* a bare placeholder */
	OPERATOR_IS,
	OPERATOR_ONE_OF,
	OPERATOR_IN,
	OPERATOR_CONTAINS,
	OPERATOR_STARTS,
	OPERATOR_ENDS,
	OPERATOR_SET,
	OPERATOR_LAST_DAY,
	OPERATOR_BEFORE,
	OPERATOR_AFTER,
	OPERATOR_COUNT
};

struct condition {
	enum operator_kind kind;
	bool negated; /* `not`, `is not`, `is missing` */
	struct template left;
	struct template *right;
	size_t right_count;
	unsigned line, column;
};

/* A word of a command line. Words of one `[...]` have the same number; 0: not optional. */
struct command_word {
	struct template template;
	unsigned optional;
};

struct command {
	struct command_word *words;
	size_t count;
	unsigned line, column;
};

/* --- steps --- */

struct step;

/* Of `launch`: one of the two. */
struct item {
	struct command *command;
	struct step *step;
};

struct member {
	char *worker;
	char *pattern; /* as written, or NULL */
};

struct hold {
	struct member *members;
	size_t count;
	bool drop_if_one_fails;
	int64_t give_up_after_ms;
	bool release_when_given_up;
	unsigned line, column;
};

struct program {
	struct template *words;
	size_t count;
	int64_t time_limit_ms;
	unsigned line, column;
};

struct step {
	char *each_name; /* of `for each`, or NULL */
	unsigned each_slot;
	struct expression each;
	struct declaration *with;
	size_t with_count;
	struct condition *when;
	size_t when_count;
	struct item *launch;
	size_t launch_count;
	struct step *first_of;
	size_t first_of_count;
	struct template host; /* of `on host`; empty: that of the step around it */
	struct hold *hold;    /* or NULL */
	struct template *alarm;
	struct program *program;
	unsigned line, column;
};

struct rule {
	struct pattern *patterns;
	size_t patterns_count;
	char *same_as; /* of `same as after`; then there is nothing else */
	size_t same_as_list;
	struct step step;
	bool stop;
	unsigned number; /* from 1, in its list */
	unsigned line, column;
};

/* The rules after one worker. */
struct rule_list {
	char *worker; /* `any worker` for all */
	struct rule *rules;
	size_t count;
	bool faulty; /* an error was found in it: it hides what its rules are meant for */
	unsigned line, column;
};

struct rules {
	char *name; /* of the file */
	struct rule_list *lists;
	size_t count;
	size_t *by_worker; /* positions in `lists`, in the order of the workers' names */
	char **workers;    /* that are registered, in order */
	size_t workers_count;
	bool faulty; /* `same as after` leads to nothing: only while it is read */
};

#define ANY_WORKER "any worker"

/* Limits: nobody needs so much, and without them a small file could take all memory or time. */
enum {
	NESTED_MOST = 16,        /* look-ups in look-ups: each level takes a part of the stack */
	PATTERN_WORDS_MOST = 64, /* nobody has types of so many */
	SLOTS_MOST = 200,        /* names in one rule: one may need the next, and so on */
	SAME_MOST = 16,          /* `same as after` from one to the next */
	WORK_MOST = 100000,      /* look-ups, rounds and values that one message may take */
	LAUNCHES_MOST = 10000,   /* of one message */
	TEXT_MOST = 128 * 1024,  /* bytes of one text, and so of one argument */
};

/* --- memory: rules_free.c --- */

void filter_finish(struct filter *filter);
void lookup_destroy(struct lookup *lookup);
void template_finish(struct template *template);
void expression_finish(struct expression *expression);
void condition_finish(struct condition *condition);
void command_finish(struct command *command);
void pattern_finish(struct pattern *pattern);
void hold_destroy(struct hold *hold);
void program_destroy(struct program *program);
void step_finish(struct step *step);
void rule_finish(struct rule *rule);

/* --- reading --- */

/* A name that is in force, and its slot. */
struct scope_name {
	const char *name;
	const struct declaration *declaration; /* of `with`, else NULL */
};

struct parse {
	const char *name; /* of the file */
	const struct config *config;
	struct findings *findings;
	struct rules *rules;
	/* Whose rules are read: a registered worker, or any. Else they are never asked, and their entry has
	 * its warning: what they launch is not looked at. */
	const struct config_worker *worker;
	bool any_worker;
	bool nomem;
	bool flow_item; /* the item that is read stands behind a comma: YAML may have cut it off */
	/* The names in force in the rule that is read; the innermost is last, and its position is its slot. */
	struct scope_name scope[SLOTS_MOST];
	size_t scope_count;
};

/* A finding at the place of `at`. */
void rules_error(struct parse *p, const struct value *at, const char *name, const char *format, ...)
	NC_PRINTF(4, 5);
void rules_error_at(struct parse *p, unsigned line, unsigned column, const char *name,
	const char *format, ...) NC_PRINTF(5, 6);
void rules_warning_at(struct parse *p, unsigned line, unsigned column, const char *name,
	const char *format, ...) NC_PRINTF(5, 6);
/* `; did you mean `X`?`, or nothing. The text is valid until the next call with the same `buffer`. */
const char *rules_suggest(
	const char *typed, const char *const *candidates, size_t count, char buffer[120]);

/* Behind what is not of the kind that it must be. */
#define CUT_BY_YAML                                                                                \
	"; in [...] a comma ends an item and brackets are YAML's: what has either in it is "       \
	"written as a block list, one item a line"

/* An array with room for one more, the new element zeroed; NULL: out of memory, which is noted, and `array` is
 * as it was. */
void *grow(struct parse *p, void *array, size_t count, size_t size);
/* NULL: out of memory, which is noted. */
char *keep_text(struct parse *p, const char *text, size_t len);
/* Without blanks at both ends. */
const char *trim(const char *text, size_t *len);
/* `%.*s` of a text that is to be quoted: its length, or what is shown of it. */
int shown_length(size_t len);

/*
 * All readers: false when something was wrong, which has then been said, or when memory ran out. What they
 * have filled by then is the owner's to free, whether true or false.
 */
bool filter_parse(struct parse *p, const struct value *at, const char *text, size_t len,
	struct filter *filter);
/* Where a placeholder begins at text[0] == '<': its length with both brackets; 0: it does not end. */
size_t placeholder_length(const char *text, size_t len);
bool template_parse(struct parse *p, const struct value *at, const char *text, size_t len,
	struct template *template);
/* The whole of a text. */
bool template_parse_value(
	struct parse *p, const struct value *at, const char *what, struct template *template);
bool template_has_lookup(const struct template *template);

/* Words at blanks that stand outside of placeholders and double quotes. */
bool command_parse(struct parse *p, const struct value *at, struct command *command);
bool pattern_parse(
	struct parse *p, const struct value *at, const char *text, struct pattern *pattern);
bool condition_parse(struct parse *p, const struct value *at, struct condition *condition);
bool expression_parse(struct parse *p, const struct value *value, const char *what,
	struct expression *expression);
bool step_parse(struct parse *p, const struct value *map, bool is_rule, struct step *step);
/* The keys of a step that are about what happens beside the launches. */
bool hold_parse(struct parse *p, const struct value *map, struct step *step);
bool program_parse(struct parse *p, const struct value *map, struct step *step);
bool alarm_parse(struct parse *p, const struct value *at, struct step *step);

/* Put a name in force; NO_SLOT: it cannot be, which has been said. `declaration` of `with`, else NULL. */
unsigned scope_add(struct parse *p, const struct value *at, const char *name,
	const struct declaration *declaration);
/* NO_SLOT: there is no such name. */
unsigned scope_find(const struct parse *p, const char *name);
/* The names go out of force. */
void scope_leave(struct parse *p, size_t count_before);

/* Call `function` with each lookup in it, nested ones too; false stops. */
typedef bool lookup_function(void *argument, const struct lookup *lookup);
bool template_each_lookup(
	const struct template *template, lookup_function *function, void *argument);
bool expression_each_lookup(
	const struct expression *expression, lookup_function *function, void *argument);

bool pattern_matches(const struct pattern *pattern, const char *type);
/* Is the text a pattern at all? NC_ERR_NOMEM. */
enum nc_err rules_pattern_is_one(const char *pattern, bool *ret_is_one);
/* The position of a name that can always stand in a placeholder; BASE_COUNT: it is none. */
enum base base_find(const char *name);
extern const char *const base_names[BASE_COUNT];

/* --- rules_check.c: against the message registry --- */

/* Begin the entry that `key` names. */
void check_entry(struct parse *p, const struct value *key);
/* Does it match a registered type? */
void check_pattern(struct parse *p, const struct pattern *pattern, const struct value *at);
/* The worker to launch, when it is named. */
void check_command(struct parse *p, const struct command *command, const struct value *at);
void check_member(struct parse *p, const struct member *member, const struct pattern *pattern,
	const struct value *at);
/* A chain of `with` names that ends where it began. */
bool check_declarations(struct parse *p, const struct step *step);
/* When all lists are there: `same as after`, and forgotten successes. */
void check_references(struct parse *p);
void check_successes(struct parse *p);

/* Is it registered? */
bool rules_know_worker(const struct rules *rules, const char *worker);

/* --- the list of a worker; NULL: it has none --- */
const struct rule_list *rules_find_list(const struct rules *rules, const char *worker);
bool rules_sort(struct rules *rules);

/* --- printing --- */

/* `<payload[a] | first>`, as it would be written. */
void template_print(const struct template *template, struct buffer *out);
void filter_print(const struct filter *filter, struct buffer *out);
extern const char *const operator_words[OPERATOR_COUNT];

/* --- evaluation --- */

struct evaluation {
	const struct rules *rules;
	const struct rules_input *input;
	const struct rule *rule;
	const char *list;                      /* whose rule it is */
	const struct value *slots[SLOTS_MOST]; /* NULL: not computed */
	struct value *today, *null;
	struct value **made; /* values that are in none of the input */
	size_t made_count, made_capacity;
	size_t work;
	struct rules_decision *decision;
	size_t groups_before; /* of the rule that is worked */
	struct error *error;
};

/* Fail with the place, and the rule behind it. */
enum nc_err eval_fail(struct evaluation *e, enum nc_err code, unsigned line, unsigned column,
	const char *format, ...) NC_PRINTF(5, 6);
/* Count `work`; NC_ERR_LIMIT when it is too much. */
enum nc_err eval_work(struct evaluation *e, size_t work, unsigned line, unsigned column);
/* Keep a value that was made until the end; NULL (out of memory) is taken too. */
enum nc_err eval_keep(struct evaluation *e, struct value *value, const struct value **ret_value);

/* The value of a look-up, with its filters. NC_ERR_NOT_FOUND: there is nothing. */
enum nc_err eval_lookup(
	struct evaluation *e, const struct lookup *lookup, const struct value **ret_value);
/* A template that is a single placeholder keeps the type of its value; else a text. */
enum nc_err eval_template(
	struct evaluation *e, const struct template *template, const struct value **ret_value);
/* Append it as text. */
enum nc_err eval_print(struct evaluation *e, const struct template *template, struct buffer *out);
/* The same into a new text, which the caller frees. */
enum nc_err eval_text(struct evaluation *e, const struct template *template, char **ret_text);
enum nc_err eval_expression(
	struct evaluation *e, const struct expression *expression, const struct value **ret_value);
enum nc_err eval_condition(
	struct evaluation *e, const struct condition *condition, bool *ret_holds);
enum nc_err eval_filter(struct evaluation *e, const struct lookup *lookup,
	const struct filter *filter, const struct value **value);
/* A date, or a text of its form. */
enum nc_err eval_date(struct evaluation *e, const struct value *value, const char *text,
	unsigned line, unsigned column, struct date *ret_date);
enum nc_err eval_command(struct evaluation *e, const struct command *command, const char *host);
enum nc_err eval_hold(struct evaluation *e, const struct hold *hold);
enum nc_err eval_alarm(struct evaluation *e, const struct template *alarm);
enum nc_err eval_program(struct evaluation *e, const struct program *program);

/* A list, a set or a mapping. */
bool is_many(const struct value *value);
/* A scalar as conditions compare it and texts show it: truth values as true and false, the rest as written.
 * NC_ERR_INVALID: it is a collection. */
enum nc_err print_plain(const struct value *value, struct buffer *out);
/* `a mapping`, `the text `x``: of a value that is not what it should be. */
const char *describe(const struct value *value, char buffer[100]);

/* Dates and formats: rules_format.c */
void format_print(const char *format, struct date date, struct buffer *out);
/* NC_ERR_SYNTAX: the text is not of the form; NC_ERR_INVALID: no such day. */
enum nc_err format_read(const char *format, const char *text, struct date *ret_date);
enum format_problem {
	FORMAT_GOOD,
	FORMAT_NOTHING, /* none of its letters means a part of a date */
	FORMAT_LETTERS, /* letters that look like a part of a date and are none */
	FORMAT_NO_DAY   /* for reading: it does not say which day */
};
enum format_problem format_judge(const char *format, bool for_reading);

#endif
