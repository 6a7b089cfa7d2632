/*
 * What a brain does, as a table: each deed with what has to be there before it. For the tests that have something fail
 * in each of them.
 */
#ifndef NOWCAST_TESTS_BRAIN_DEEDS_H
#define NOWCAST_TESTS_BRAIN_DEEDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/decide/brain_internal.h"

#define NOON       INT64_C(1795608000000000000)
#define DAY        (INT64_C(24) * 3600 * 1000000000)
#define ID_1       "019abc00-0000-7000-8000-000000000001"
#define ID_2       "019abc00-0000-7000-8000-000000000002"
#define ID_3       "019abc00-0000-7000-8000-000000000003"
#define TEXT(text) ((char *)(uintptr_t)(text))

/* --- a system --- */

static struct config_type types[] = {
	{ TEXT("success"), TEXT("well") },
	{ TEXT("failure"), TEXT("badly") },
	{ TEXT("need"), TEXT("wants to know") },
	{ TEXT("clear checklist"), TEXT("wants it clear") },
};
#define WORKER(n, key)                                                                             \
	{                                                                                          \
		.name = TEXT(n), .checklist_key = (key), .types = types,                           \
		.types_count = ARRAY_LEN(types)                                                    \
	}
static struct config_worker workers[] = { WORKER("sleep", TEXT("sleepyhead")),
	WORKER("awaken", NULL), WORKER("opens", NULL), WORKER("keeps", NULL), WORKER("a", NULL),
	WORKER("b", NULL), WORKER("next", NULL), WORKER("asks", NULL), WORKER("each", NULL),
	WORKER("refuses", NULL), WORKER("waits", NULL), WORKER("replaces", NULL),
	WORKER("again", NULL) };
static struct config_program programs[] = {
	{ .name = TEXT("refuses"), .if_running = IF_RUNNING_REFUSE },
	{ .name = TEXT("waits"), .if_running = IF_RUNNING_WAIT },
	{ .name = TEXT("replaces"), .if_running = IF_RUNNING_REPLACE },
	{ .name = TEXT("again"), .if_lost = IF_LOST_LAUNCH_AGAIN },
};
static const struct config config = { .workers = workers,
	.workers_count = ARRAY_LEN(workers),
	.programs = programs,
	.programs_count = ARRAY_LEN(programs) };

static const char rules_text[] =
	"sleep:\n"
	"  - {on: success, launch: [awaken --now, 'a \"two words\" <payload[name]>', again]}\n"
	"  - {on: failure, alarm: it sleeps badly}\n"
	"  - {on: crash, launch: \"awaken <launch[reason]>\"}\n"
	"opens: [{on: success, launch: [a, b], hold until all have ended: [a, b], "
	"if one fails: drop, give up after: 4 h}]\n"
	"keeps: [{on: success, hold until all have ended: [a, b success], when given up: release}]\n"
	"a: [{on: <type>, launch: \"next a\"}]\n"
	"b: [{on: <type>, launch: next b, on host: elsewhere}]\n"
	"asks: [{on: success, decide with: [./p, x]}]\n"
	"next: [{on: success, hold until all have ended: [asks, a]}]\n"
	"each: [{on: success, launch: [refuses x, waits x, replaces x]}]\n";

struct fixture {
	struct {
		const char *deed, *fault; /* what is tried; NULL: nothing now */
		unsigned nth;
	} doing;
	struct rules *rules;
	struct store *store;
	struct brain *brain;
	struct value *found;                               /* by a deed that asks */
	char launch[ID_TEXT_SIZE], token[TOKEN_TEXT_SIZE]; /* the last one that is open */
	/* How it was before the deed, and how it is after it. */
	bool is_as_before;
	unsigned char *before, *after;
	size_t before_len, after_len;
	struct value *checklist;
	struct buffer result, notes;
};

typedef enum nc_err deed_function(
	struct fixture *f, struct transaction *ret_transaction, struct error *error);

/* In messages `@` stands for the id of the last open launch, and `#` for its token. */
struct deed {
	const char *name;
	const char *before[5]; /* messages */
	const char *message;   /* the deed, or */
	deed_function *function;
	deed_function *in_memory; /* before it: what changes no store */
};

static enum nc_err give(
	struct fixture *f, const char *message, struct transaction *t, struct error *error)
{
	char text[600];
	size_t len = 0;

	for (; *message != '\0'; message++) {
		if (*message == '@' || *message == '#')
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
				*message == '@' ? f->launch : f->token);
		else
			text[len++] = *message;
		assert_true(len + 1 < sizeof(text));
	}
	return brain_handle(f->brain, text, len, NOON, t, error);
}

static bool take_ids(void *argument, const struct store_launch *launch)
{
	struct fixture *f = argument;

	memcpy(f->launch, launch->id, sizeof(f->launch));
	memcpy(f->token, launch->token, sizeof(f->token));
	return true;
}

/* --- the deeds --- */

static enum nc_err ask_running(struct fixture *f, struct transaction *t, struct error *error)
{
	(void)t;
	f->found = brain_running(f->brain, error);
	return f->found != NULL ? NC_OK : error->code;
}

static enum nc_err ask_status(struct fixture *f, struct transaction *t, struct error *error)
{
	(void)t;
	f->found = brain_status(f->brain, 0, error);
	return f->found != NULL ? NC_OK : error->code;
}

static enum nc_err ask_deadline(struct fixture *f, struct transaction *t, struct error *error)
{
	int64_t deadline_ns = -1;
	enum nc_err err = brain_next_deadline(f->brain, &deadline_ns, error);

	(void)t;
	assert_true(err == NC_OK ? deadline_ns == NOON + DAY / 6 : deadline_ns == -1);
	return err;
}

static enum nc_err begin_anew(struct fixture *f, struct transaction *t, struct error *error)
{
	struct brain *made = NULL;
	enum nc_err err = brain_create(&config, f->rules, f->store, "boot", &made, error);

	(void)t;
	assert_true((made != NULL) == (err == NC_OK));
	if (err == NC_OK)
		assert_int_equal(value_count(brain_checklist(made)), 1);
	brain_destroy(made);
	return err;
}

static enum nc_err make_again(struct fixture *f, struct transaction *t, struct error *error)
{
	struct brain_launch *launch = calloc(1, sizeof(*launch));
	struct store_launch row;
	enum nc_err err = launch != NULL ? store_find_launch(f->store, f->launch, &row, error)
					 : error_nomem(error);

	if (err == NC_OK) {
		err = brain_launch_from(&row, launch, error);
		store_launch_finish(&row);
	}
	if (err != NC_OK) {
		free(launch);
		return err;
	}
	t->launches = launch;
	t->launches_count = 1;
	return NC_OK;
}

static enum nc_err import(struct fixture *f, struct transaction *t, struct error *error)
{
	struct value *checklist = value_map();

	if (value_map_put(checklist, "new", value_int(5)) != NC_OK) {
		value_destroy(checklist);
		return error_nomem(error);
	}
	return brain_import_checklist(f->brain, checklist, "by a test", t, error);
}

static enum nc_err change(struct fixture *f, const char *name, struct value *value,
	struct transaction *t, struct error *error)
{
	struct value *key = value_text(name);
	enum nc_err err = key != NULL ? brain_change_checklist(f->brain, key, value, t, error)
				      : error_nomem(error);

	value_destroy(key);
	return err;
}

static enum nc_err put(struct fixture *f, struct transaction *t, struct error *error)
{
	struct value *value = value_int(7);
	enum nc_err err = value != NULL ? change(f, "other", value, t, error) : error_nomem(error);

	value_destroy(value);
	return err;
}

static enum nc_err take_out(struct fixture *f, struct transaction *t, struct error *error)
{
	return change(f, "sleepyhead", NULL, t, error);
}

static enum nc_err launch_fails(struct fixture *f, struct transaction *t, struct error *error)
{
	return brain_launch_failed(f->brain, f->launch, "no such host", NOON, t, error);
}

static enum nc_err runner_ends(struct fixture *f, struct transaction *t, struct error *error)
{
	return brain_runner_ended(f->brain, f->launch, "runner killed", NOON, t, error);
}

static enum nc_err launch_is_lost(struct fixture *f, struct transaction *t, struct error *error)
{
	return brain_launch_lost(f->brain, f->launch, "another boot", NOON, t, error);
}

static enum nc_err launch_is_claimed(struct fixture *f, struct transaction *t, struct error *error)
{
	(void)t;
	return brain_launch_claimed(f->brain, f->launch, NOON, error);
}

static enum nc_err unknown_is_lost(struct fixture *f, struct transaction *t, struct error *error)
{
	return brain_launch_lost(f->brain, ID_3, "another boot", NOON, t, error);
}

/* As often as it takes for the rules not to be asked any more. */
static enum nc_err many_fail(struct fixture *f, struct transaction *t, struct error *error)
{
	enum nc_err err = NC_OK;

	for (int i = 0; err == NC_OK && i < FAILED_STARTS_MOST; i++) {
		transaction_finish(t);
		err = brain_launch_failed(f->brain, ID_3, "no such host", NOON, t, error);
	}
	return err;
}

static enum nc_err make_progress(struct fixture *f, struct transaction *t, struct error *error)
{
	return give(f, "{source: awaken, event: progress, launch: @, token: #, payload: 0.5}", t,
		error);
}

static enum nc_err forget_checklist(struct fixture *f, struct transaction *t, struct error *error)
{
	(void)t;
	(void)error;
	brain_rollback(f->brain);
	return NC_OK;
}

static enum nc_err time_passes(struct fixture *f, struct transaction *t, struct error *error)
{
	return brain_time_passed(f->brain, NOON + DAY, t, error);
}

static enum nc_err group_is_released(struct fixture *f, struct transaction *t, struct error *error)
{
	return brain_end_group(f->brain, "opens#1", true, NOON, t, error);
}

static enum nc_err group_is_dropped(struct fixture *f, struct transaction *t, struct error *error)
{
	return brain_end_group(f->brain, "1", false, NOON, t, error);
}

static enum nc_err program_decides(struct fixture *f, struct transaction *t, struct error *error)
{
	static const char output[] =
		"{\"next\": [{\"worker\": \"next\", \"args\": [\"p\"]}], \"alarms\": [\"look\"]}";

	return brain_program_ended(f->brain, 1, output, strlen(output), NULL, NOON, t, error);
}

static enum nc_err program_fails(struct fixture *f, struct transaction *t, struct error *error)
{
	return brain_program_ended(f->brain, 1, NULL, 0, "exit status 1", NOON, t, error);
}

static enum nc_err program_babbles(struct fixture *f, struct transaction *t, struct error *error)
{
	return brain_program_ended(f->brain, 1, "{", 1, NULL, NOON, t, error);
}

#define SLEPT              "{source: sleep, type: success, payload: {name: x, b: {c: 2}}, id: " ID_1 "}"
#define SAYS(worker, type) "{source: " worker ", type: " type ", payload: null}"
#define HAND(worker, id, pid)                                                                      \
	"{source: " worker ", event: started, launch: " id                                         \
	", token: t, payload: {arguments: [x], pid: " pid ", host: here}}"
#define REPORT(worker, type, id, token)                                                            \
	"{source: " worker ", type: " type ", payload: null, launch: " id ", token: " token        \
	", report: {reason: x, attempt: 2, arguments: [y]}, id: " ID_2 "}"
#define DUE(worker)                                                                                \
	"{source: scheduler, event: due, payload: {worker: " worker                                \
	", schedule: s, slot: noon, arguments: [x]}, id: " ID_1 "}"

static const struct deed deeds[] = {
	/* messages */
	{ "success", .message = SLEPT },
	{ "success, merged", { "{source: sleep, type: success, payload: {a: 1, name: y}}" },
		SLEPT },
	{ "success, replacing", { "{source: sleep, type: success, payload: [1]}" },
		"{source: sleep, type: success, payload: {name: z}}" },
	{ "success, checklist unread", { SLEPT },
		"{source: sleep, type: success, payload: {name: z}}",
		.in_memory = forget_checklist },
	{ "payload dropped",
		.message = "{source: awaken, type: success, payload: [1], id: " ID_1 "}" },
	{ "alarm", .message = "{source: sleep, type: failure, payload: null, id: " ID_1 "}" },
	{ "rule error", .message = SAYS("sleep", "success") },
	{ "need", { SLEPT }, "{source: sleep, type: need, payload: sleepyhead, id: " ID_2 "}" },
	{ "need of nothing", { SLEPT }, "{source: sleep, type: need, payload: it}" },
	{ "need of no key", .message = "{source: sleep, type: need, payload: [1]}" },
	{ "clear", { SLEPT },
		"{source: sleep, type: clear checklist, payload: null, id: " ID_2 "}" },
	{ "again", { SLEPT }, SLEPT },
	{ "another's id", { SLEPT }, "{source: sleep, type: success, id: " ID_1 ", payload: 1}" },
	{ "bad", .message = "[1" },
	{ "bad id", .message = "{source: sleep, type: success, payload: 1, id: " ID_1 ID_2 "}" },
	{ "unregistered", .message = SAYS("nobody", "success") },
	{ "unregistered type", .message = SAYS("sleep", "sucess") },
	{ "stale", { SLEPT }, REPORT("again", "success", "@", "wrong") },
	{ "over", { HAND("a", ID_1, "7"), REPORT("a", "success", ID_1, "t") },
		"{source: a, type: failure, payload: null, launch: " ID_1 ", token: t}" },
	{ "stale event", { HAND("a", ID_1, "7"), REPORT("a", "success", ID_1, "t") },
		HAND("a", ID_1, "7") },
	/* the ends of launches */
	{ "report", { SLEPT }, REPORT("again", "success", "@", "'#'") },
	{ "crash by hand", .message = REPORT("sleep", "crash", ID_1, "t") },
	{ "crash", { HAND("sleep", ID_1, "7") }, REPORT("sleep", "crash", ID_1, "t") },
	{ "report, one waits", { HAND("waits", ID_1, "7"), SAYS("each", "success") },
		REPORT("waits", "success", ID_1, "t") },
	/* events */
	{ "by hand", .message = HAND("sleep", ID_1, "7") },
	{ "started", { SLEPT },
		"{source: again, event: started, launch: @, token: '#', payload: {pid: 7}}" },
	{ "second copy", { HAND("sleep", ID_1, "7") }, HAND("sleep", ID_2, "8") },
	{ "copy refused", { HAND("refuses", ID_1, "7") }, HAND("refuses", ID_2, "8") },
	{ "copy waits", { HAND("waits", ID_1, "7") }, HAND("waits", ID_2, "8") },
	{ "copy replaces", { HAND("replaces", ID_1, "7"), SAYS("each", "success") },
		HAND("replaces", ID_2, "8") },
	{ "no event", .message = "{source: sleep, event: stopped}" },
	{ "version", .message = "{source: message_broker, event: version}" },
	{ "event of nobody", .message = "{source: nobody, event: started}" },
	{ "progress", { HAND("awaken", ID_1, "7") },
		"{source: awaken, event: progress, launch: @, token: t, payload: 0.7}" },
	{ "progress of two", { HAND("awaken", ID_1, "7") },
		"{source: awaken, event: progress, launch: @, token: t, payload: 0.7}",
		.in_memory = make_progress },
	{ "due", .message = DUE("awaken") },
	{ "due again",
		{ "{source: scheduler, event: due, payload: {worker: awaken, schedule: s, "
		  "slot: noon}}" },
		DUE("awaken") },
	{ "due for nobody", .message = DUE("nobody") },
	{ "due without a slot", .message = "{source: scheduler, event: due, payload: {}}" },
	/* copies */
	{ "launch of copies",
		{ HAND("refuses", ID_1, "7"), HAND("waits", ID_2, "8"),
			HAND("replaces", ID_3, "9") },
		SAYS("each", "success") },
	{ "launch of copies again",
		{ HAND("refuses", ID_1, "7"), HAND("waits", ID_2, "8"), HAND("replaces", ID_3, "9"),
			SAYS("each", "success") },
		SAYS("each", "success") },
	/* groups */
	{ "opens", .message = SAYS("opens", "success") },
	{ "opens again", { SAYS("opens", "success"), SAYS("a", "success") },
		SAYS("opens", "success") },
	{ "holds", { SAYS("opens", "success"), SAYS("keeps", "success") }, SAYS("a", "success") },
	{ "drops", { SAYS("opens", "success"), SAYS("a", "success"), SAYS("keeps", "success") },
		SAYS("b", "failure") },
	{ "releases",
		{ SAYS("opens", "success"), SAYS("a", "success"), SAYS("keeps", "success"),
			SAYS("a", "failure") },
		SAYS("b", "success") },
	{ "given up",
		{ SAYS("keeps", "success"), SAYS("b", "success"), SAYS("opens", "success"),
			SAYS("a", "success") },
		.function = time_passes },
	{ "released by hand", { SAYS("opens", "success"), SAYS("a", "success") },
		.function = group_is_released },
	{ "dropped by hand", { SAYS("opens", "success"), SAYS("b", "success") },
		.function = group_is_dropped },
	{ "deadline", { SAYS("keeps", "success"), SAYS("opens", "success") },
		.function = ask_deadline },
	/* programs that decide */
	{ "asks", .message = "{source: asks, type: success, payload: [1], id: " ID_1 "}" },
	{ "asks without an id", { SLEPT }, SAYS("asks", "success") },
	{ "decided", { SAYS("asks", "success") }, .function = program_decides },
	{ "decided, releases",
		{ SAYS("next", "success"), SAYS("a", "success"), SAYS("asks", "success") },
		.function = program_decides },
	{ "undecided", { SAYS("asks", "success") }, .function = program_fails },
	{ "nonsense", { SAYS("asks", "success") }, .function = program_babbles },
	/* what the daemon has seen */
	{ "start failed", { HAND("sleep", ID_1, "7") }, .function = launch_fails },
	{ "many starts failed", { HAND("sleep", ID_1, "7") }, .function = launch_fails,
		.in_memory = many_fail },
	{ "runner ended", { HAND("waits", ID_1, "7"), SAYS("each", "success") },
		.function = runner_ends },
	{ "runner with progress ended", { HAND("awaken", ID_1, "7") }, .function = runner_ends,
		.in_memory = make_progress },
	{ "lost", { HAND("sleep", ID_1, "7") }, .function = launch_is_lost },
	{ "lost, again", { SLEPT }, .function = launch_is_lost },
	{ "lost, unknown", .function = unknown_is_lost },
	{ "claimed", { SLEPT }, .function = launch_is_claimed },
	{ "made again", { SLEPT }, .function = make_again },
	/* operators */
	{ "import", { SLEPT }, .function = import },
	{ "put", { SLEPT }, .function = put },
	{ "take out", { SLEPT }, .function = take_out },
	{ "running", { SLEPT }, .function = ask_running, .in_memory = make_progress },
	{ "status",
		{ SAYS("opens", "success"), SAYS("a", "success"),
			REPORT("sleep", "crash", ID_1, "t"),
			"{source: sleep, type: failure, payload: null, id: " ID_3 "}" },
		.function = ask_status },
	{ "a new brain", { SLEPT }, .function = begin_anew },
};

#endif
