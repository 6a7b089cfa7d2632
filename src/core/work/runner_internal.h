/*
 * The runner, inside: one struct, and what its files do for each other.
 *
 *	runner.c            the course: command line, signals, time limit
 *	runner_begin.c      what the manager says to it
 *	runner_start.c      the process of the worker
 *	runner_channel.c    descriptor 3 of the worker
 *	runner_output.c     its standard output and error, followed into the log
 *	runner_system.c     messages to the manager through the broker's door, and their answers
 *	runner_processes.c  the processes below us
 *	runner_end.c        what its end means, the final message, what it left running
 *	runner_retry.c      the next attempt
 *	runner_keep.c       claim, exit record, spool
 */
#ifndef NOWCAST_CORE_WORK_RUNNER_INTERNAL_H
#define NOWCAST_CORE_WORK_RUNNER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "core/system/config.h"
#include "core/system/door.h"
#include "core/system/log.h"
#include "core/system/loop.h"
#include "core/system/message.h"
#include "core/work/contract.h"
#include "core/work/launch.h"
#include "core/work/runner.h"

enum {
	OUTPUT_TAIL_LINES = 20,
	OUTPUT_TAIL_BYTES = 2000, /* of each line, in the report */
	DESCENDANTS_MOST = 1024,  /* in one look; the next look finds the others */
};

/* One file of output, and how far it has been read. */
struct follower {
	int fd;
	int level;
	int64_t offset;
	struct buffer line; /* the beginning of one that has not ended yet */
};

struct runner_output {
	char *directory; /* of this launch, in the state directory */
	struct follower standard, errors;
	int64_t wait_ms;
	struct loop_timer *timer;
	char *tail[OUTPUT_TAIL_LINES]; /* a ring of the last lines, printable */
	size_t tail_count;             /* lines so far */
};

struct runner_channel {
	int fd; /* ours, or -1 */
	unsigned events;
	struct loop_fd *watch; /* NULL: not looked at now */
	struct buffer in, out;
	bool question; /* a `need` or `tell` waits for its answer: nothing else is read */
	bool need;     /* it is a `need` */
	bool skipping; /* to the end of a line that is too long */
	bool ended;    /* nothing more comes */
	bool worker_gone;
	unsigned bad_lines;
};

struct outgoing;

struct runner_system {
	char *path; /* of the broker's door */
	struct door_client *client;
	struct outgoing *first;
	bool asking;    /* the first one is with the broker */
	bool connected; /* it has been answered once */
	bool failing;   /* the last try was in vain, and that was logged */
	int64_t closed_wait_ms, silent_wait_ms;
	struct loop_timer *retry;
	bool stood_by; /* and that was said */
	bool stuck; /* memory ran out for what would go on: it is tried again before the loop waits */
	double progress; /* the newest; it is sent when the timer is over */
	bool progress_waits;
	struct loop_timer *progress_timer;
};

/* A type and a payload that the worker has set for its end. */
struct final {
	char *type;
	struct value *payload;
};

struct runner_end {
	struct final success, failure, skipped; /* the last of each that it wrote */
	int wait_status;
	struct rusage usage;
	int64_t wall_ms;
	bool not_started; /* there was no process */
	bool decided;     /* the final message is composed */
	bool reported;    /* ... and delivered, or given up */
	bool kept;        /* ... is in the spool */
	bool not_kept;    /* ... could not be written there */
	bool delay_logged;
	bool alone;      /* nothing is left that has to be ended */
	bool crash_sent; /* the manager refused the first one */
	char *type;      /* of the final message */
	struct value *report;
	struct loop_timer *poll;
};

struct runner_retry {
	int64_t done;  /* times tried again */
	bool due;      /* an attempt has ended, and the next one will come */
	bool given_up; /* none will come any more */
	struct loop_timer *timer;
};

struct runner {
	const char *name;
	const struct applet *applet; /* built in; NULL: a program */
	const struct config_program *program;
	struct cli_args *args; /* of one built in */
	struct config *config;
	struct launch launch;
	struct log *log;
	struct loop *loop;
	bool debug;

	int claim_fd;          /* held for life; -1: not claimed */
	enum nc_err claim_err; /* why not */
	struct error claim_error;

	pid_t pid;   /* of the worker; 0: not started */
	pid_t group; /* 0: it has none of its own (--debug) */
	bool running;
	int64_t started_ms;
	char reason[560]; /* why it is a crash, or "" */
	bool timed_out;
	int ended_by; /* the signal that was sent to us, or 0 */
	bool ending;  /* TERM was sent */
	bool killing; /* the grace time is over */
	struct loop_timer *limit, *grace;
	int status; /* exit status of the process */

	struct runner_output output;
	struct runner_channel channel;
	struct runner_system system;
	struct runner_end end;
	struct runner_retry retry;
};

/* --- runner.c --- */

/* Say it on the terminal, with the name in front. */
void runner_say(const struct runner *r, const char *format, ...) NC_PRINTF(2, 3);
/* Start the worker, once; what goes wrong is a crash of it. */
void runner_start_worker(struct runner *r);
/* TERM to the worker and all that it started, and KILL after the grace time. */
void runner_end_worker(struct runner *r);

/* --- runner_begin.c --- */

/* Register with the manager and start the worker; by hand one after the other. */
enum nc_err begin(struct runner *r, struct error *error);
/* The next attempt. */
void begin_again(struct runner *r);
/* `retry later` was the answer to the registration. It may say which copies have to end first. */
void begin_must_wait(struct runner *r, const struct message *reply);

/* --- runner_keep.c --- */

/* Claim the launch; what comes of it is in the runner until there is a log to say it to. */
void keep_claim(struct runner *r, const char *state_directory);
/* EXIT_DONE: go on if r->claim_err is NC_OK; else, and else, the exit status of this process. */
int keep_claim_status(const struct runner *r);
/* The final message and what is known of the end: before it is sent for the first time. */
void keep_final(struct runner *r, const char *type, const char *bytes, size_t len);
/* After each try in vain: if it could not be kept before, perhaps it can be now (R20). */
void keep_final_later(struct runner *r, const char *bytes, size_t len);
/* It was answered: nothing of this launch is needed any more. */
void keep_forget(struct runner *r);

/* --- runner_retry.c --- */

/* Is the worker tried again after this end of an attempt? */
bool retry_is_due(const struct runner *r, enum contract_end how);
/* Say so; `end`: how the attempt ended. When nothing of it is left, retry_wait(). */
void retry_announce(struct runner *r, const char *end);
void retry_wait(struct runner *r);
/* No further attempt; when one was due, the last one is reported. */
void retry_cancel(struct runner *r);

/* --- runner_start.c --- */

/* Fork (with only one thread in this process), and exec for a program. What goes wrong in the child is in
 * r->reason, and the child ends with 126 or 127. */
enum nc_err start_process(struct runner *r, struct error *error);
/* COMMAND CONFIG ARGS of a program; NULL: out of memory. */
char **start_make_argv(const struct runner *r);
void start_free_argv(char **argv); /* accepts NULL */

/* --- runner_output.c --- */

/* Make the files; *ret_out and *ret_err are for the worker, and the caller's. */
enum nc_err output_open(struct runner *r, int *ret_out, int *ret_err, struct error *error);
void output_start(struct runner *r);
/* The worker has ended: read what is still there. */
void output_read_last(struct runner *r);
/* The last lines, as a list; NULL: out of memory. */
struct value *output_tail(const struct runner *r);
/* `keep`: somebody still writes into them. */
void output_close(struct runner *r, bool keep);
/* Close it, and forget all of it, for another attempt. */
void output_reset(struct runner *r);
/* UTF-8 without control characters: other bytes become \xNN. NULL: out of memory. */
char *text_make_printable(const char *bytes, size_t len);

/* --- runner_channel.c --- */

/* *ret_worker_end is the worker's, and the caller's to close. */
enum nc_err channel_open(struct runner *r, int *ret_worker_end, struct error *error);
enum nc_err channel_start(struct runner *r, struct error *error);
/* The worker has ended: take what it wrote, then close. */
void channel_finish(struct runner *r);
/* Close it, and forget all of it, for another attempt. */
void channel_reset(struct runner *r);

/* --- runner_system.c --- */

enum outgoing_kind {
	OUTGOING_STARTED,
	OUTGOING_PROGRESS,
	OUTGOING_NEED,
	OUTGOING_TELL,
	OUTGOING_FINAL
};

/* NC_OK and the manager's answer, or NC_ERR_TIMEOUT: nobody answered in time. */
typedef void sent_function(struct runner *r, enum nc_err err, const struct message *reply);

enum nc_err system_open(struct runner *r, struct error *error);
/*
 * Queue a message, sent after those before it and again until it is answered, at most for `most_ms`
 * (0: without limit). `type` NULL: the event is that of `kind`. `payload` and `report` stay the
 * caller's; NULL is null. NC_ERR_LIMIT: too large; NC_ERR_NOMEM, NC_ERR_SYSTEM: `done` is not called.
 */
enum nc_err system_send(struct runner *r, enum outgoing_kind kind, const char *type,
	const struct value *payload, const struct value *report, int64_t most_ms,
	sent_function *done, struct error *error);
/* How long to try, with a worker that waits for the answer. */
int64_t system_patience_ms(const struct runner *r);
void system_send_started(struct runner *r, sent_function *done);
void system_send_progress(struct runner *r, double number);
/*
 * Memory is short, and there is no way back: what was begun has to be done. Waits for a moment; the caller tries
 * again, for ever, and nothing else goes on meanwhile (promises.md, R4, R21).
 */
void system_stand_by(struct runner *r, const char *why);
/* Forget the questions whose answers nobody waits for any more. */
void system_drop_questions(struct runner *r);
void system_close(struct runner *r);
/* Does this reply say no? */
bool reply_is_refusal(const struct message *reply);
/* The words of the message registry for a type of this worker; never NULL. */
const char *type_words(const struct runner *r, const char *type);
/* A worker that is registered, and not with this type? (One that is not registered at all is the
 * manager's to refuse.) */
bool type_is_unregistered(const struct runner *r, const char *type);

/* --- runner_processes.c --- */

struct pids {
	pid_t pid[DESCENDANTS_MOST];
	size_t count;
};

/* Our children: the worker while it lives, and what we adopted as subreaper. */
void processes_children(struct pids *pids);
void process_name(pid_t pid, char *name, size_t size);
/* Signal the worker, its group, and everything below it. */
void processes_signal(const struct runner *r, int signo);
/* Reap what was adopted and has ended. */
void processes_reap(const struct runner *r);

/* --- runner_end.c --- */

void end_worker_ended(struct runner *r, int wait_status, const struct rusage *usage);
/* There is no process to end: a crash, with the reason that is set. */
void end_not_started(struct runner *r);
/* Stop waiting for the delivery of the final message. */
void end_give_up(struct runner *r);
/* An attempt has ended, and no other will come: it is the end. */
void end_report_last(struct runner *r);
/* Forget an attempt. */
void end_reset(struct runner *r);
void end_finish(struct runner *r);

#endif
