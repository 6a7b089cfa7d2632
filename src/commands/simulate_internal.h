/*
 * A day rehearsed: the brain of the manager on a store in memory, a clock that goes as far as the next message,
 * and workers that are taken to end as they should. Shared by the simulate*.c files only.
 *
 * Order of calls: day_create(); day_start() or day_follow_schedules() for what begins the day; day_step() until
 * it says that the day is over, each step's event to be finished; day_destroy().
 */
#ifndef NOWCAST_COMMANDS_SIMULATE_INTERNAL_H
#define NOWCAST_COMMANDS_SIMULATE_INTERNAL_H

#include "core/decide/brain.h"
#include "core/system/cli.h"

enum {
	DAY_LAUNCH_SECONDS = 1, /* how long each worker takes */
};

/* What the user says of the workers. All of it stays the caller's. */
struct day_wishes {
	const struct value *payloads; /* a mapping, or NULL */
	const struct cli_args *args;  /* --fail and --crash */
	struct date today;
	int64_t limit; /* of messages */
};

/* --- simulate_report.c: what a worker reports --- */

struct day_report {
	const char *type;            /* the registry's, or a constant */
	const struct value *payload; /* or NULL */
	const char *reason;          /* of a crash or failure, or NULL */
	bool guessed;                /* neither arguments nor payloads say which success */
};

/* `type` NULL: as the wishes and the arguments say. */
void day_choose_report(const struct config *config, const struct day_wishes *wishes,
	const char *worker, char *const *arguments, size_t count, const char *type,
	struct day_report *ret_report);
/* The name of an entry of --payloads that belongs to no registered worker; NULL: there is none. */
const struct value *day_stray_payload(const struct config *config, const struct value *payloads);

/* --- simulate_day.c --- */

struct day;

enum day_kind {
	DAY_MESSAGE, /* of a worker */
	DAY_DUE,     /* of the scheduler; `worker` is the one to launch */
	DAY_GIVE_UP, /* the time of a group is over; no worker */
	DAY_DECIDED, /* a program of `decide with`, which was not run, is taken to say: nothing */
	DAY_KIND_COUNT
};

struct day_event {
	enum day_kind kind;
	int64_t at_ns;
	char *worker; /* of DAY_DECIDED: the program */
	char **arguments;
	size_t arguments_count;
	char *host;
	bool launched; /* else it is the first message */
	struct day_report report;
	struct transaction t;
};
void day_event_finish(struct day_event *event); /* accepts a zeroed struct */

enum day_result {
	DAY_GOES_ON, /* *ret_event is filled */
	DAY_IS_OVER, /* nothing is under way any more */
	DAY_ENDLESS, /* over the limit of messages */
	DAY_FAILED,  /* `error` */
};

enum nc_err day_create(const struct config *config, const struct rules *rules,
	const struct day_wishes *wishes, struct day **ret_day, struct error *error);
void day_destroy(struct day *day); /* accepts NULL */
/* Both may be called more than once. `type`, which is kept: the registry's or a constant; NULL: its success. */
enum nc_err day_start(struct day *day, const char *worker, const char *type, struct error *error);
void day_follow_schedules(struct day *day);
enum day_result day_step(struct day *day, struct day_event *ret_event, struct error *error);

int64_t day_messages(const struct day *day);              /* so far */
int64_t day_under_way(const struct day *day);             /* will come */
int64_t day_runs(const struct day *day, unsigned worker); /* messages of a worker of the registry */
/* What waits, and rule errors: as brain_status(); the caller's. */
struct value *day_status(struct day *day, struct error *error);

/* --- simulate_story.c --- */

struct story {
	const struct config *config;
	struct value *events; /* a list, for JSON; NULL: text is wanted, */
	unsigned width;       /* for a terminal of so many columns */
	struct date date;     /* of the last line; when it changes, it is said */
	int64_t at_ns;        /* of the last event, */
	char last[200];       /* and what it was: `rotate_logs: success` */
};

/* Append what happened to `out`, or to the events. `groups`: those that are open now; NULL: none has changed.
 * false: out of memory. */
bool story_tell(struct story *story, const struct day_event *event, const struct value *groups,
	struct buffer *out);
/* Append the end of it, text or all of the JSON. `status`: as day_status(). false: out of memory. */
bool story_end(struct story *story, const struct day *day, enum day_result result,
	const struct value *status, struct buffer *out);
/* How many messages have found a rule that fails? Of `status`. */
size_t story_rule_errors(const struct value *status);

#endif
