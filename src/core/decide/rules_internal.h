/* Shared by the rules_*.c files only: the checked tree of rules. */
#ifndef NOWCAST_CORE_DECIDE_RULES_INTERNAL_H
#define NOWCAST_CORE_DECIDE_RULES_INTERNAL_H

#include <stdbool.h>

#include "core/decide/rules.h"

/* `success <run type>`: one word of a pattern. */
struct pattern_word {
	char *literal;  /* or */
	char *capture;  /* the name */
	char **choices; /* of a capture: one of these; NULL: any word */
	size_t choices_count;
};

struct pattern {
	struct pattern_word *words;
	size_t count;
	unsigned line, column;
};

struct template;

/* `<config[run][<host>]>`: a name, and keys that are templates themselves. */
struct lookup {
	char *name;
	struct template *path;
	size_t path_count;
	char *text; /* as it stands in the file, for messages */
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

struct rule {
	struct pattern *patterns;
	size_t patterns_count;
	struct command *commands;
	size_t commands_count;
	struct template host; /* of `on host`; empty: localhost */
	unsigned line, column;
};

/* The rules after one worker. */
struct rule_list {
	char *worker; /* `any worker` for all */
	struct rule *rules;
	size_t count;
};

struct rules {
	char *name; /* of the file */
	struct rule_list *lists;
	size_t count;
};

#define ANY_WORKER "any worker"

/* --- rules_template.c --- */

enum template_result {
	TEMPLATE_OK,
	TEMPLATE_WRONG,   /* `why` says what */
	TEMPLATE_NOT_YET, /* known to the language, not to this version */
	TEMPLATE_NOMEM,
};

/* Where a placeholder begins at text[0] == '<': its length with both brackets; 0: it does not end. */
size_t placeholder_length(const char *text, size_t len);

enum template_result template_parse(
	const char *text, size_t len, struct template *template, char why[160]);
void template_finish(struct template *template);

/* Words at blanks that stand outside of placeholders and double quotes. */
enum template_result command_parse(const char *text, struct command *command, char why[160]);
void command_finish(struct command *command);
enum template_result pattern_parse(const char *text, struct pattern *pattern, char why[160]);
void pattern_finish(struct pattern *pattern);

/* Call `function` with each lookup in it, nested ones too; false stops. */
typedef bool lookup_function(void *argument, const struct lookup *lookup);
bool template_each_lookup(
	const struct template *template, lookup_function *function, void *argument);

bool pattern_matches(const struct pattern *pattern, const char *type);
/* Put the words that it captures of a type that matches into `captures`, a mapping. NC_ERR_NOMEM */
enum nc_err pattern_capture(
	const struct pattern *pattern, const char *type, struct value *captures);

/* Is it a name that can always stand in a placeholder? */
bool is_builtin_name(const char *name);

/* --- rules_parse.c and rules_check.c --- */

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
};

/* A finding at the place of `at`. */
#define FIND(p, severity, name_, at, ...)                                                          \
	findings_add((p)->findings, severity, name_, (p)->name, value_line(at), value_column(at),  \
		__VA_ARGS__)

/* Begin the entry that `key` names. */
void check_entry(struct parse *p, const struct value *key);
/* Does it match a registered type? */
void check_pattern(struct parse *p, const struct pattern *pattern, const struct value *at);
/* Names that are looked up; false: an error was found. */
bool check_template(struct parse *p, const struct rule *rule, const struct template *template,
	const struct value *at);
/* The same of a command line, and the worker when it is named. */
bool check_command(struct parse *p, const struct rule *rule, const struct command *command,
	const struct value *at);
/* At the end of the entry, with all its rules, used or not: is a success forgotten? */
void check_successes(
	struct parse *p, const struct rule *rules, size_t count, const struct value *key);

#endif
