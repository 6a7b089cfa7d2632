/*
 * The one loop of a process: epoll over descriptors, timers, signals, children, and what other threads
 * post. Everything but loop_post() belongs to the thread that runs the loop, and callbacks run there,
 * one after another; a callback may add and remove anything, itself too.
 *
 * loop_create() blocks the signals that are asked for with loop_signal() from then on; in a process
 * that will use nng it must come before the first nng call (facts.md, B: its threads inherit the mask).
 *
 * Depends on core/data, core/system/clock.
 */
#ifndef NOWCAST_CORE_SYSTEM_LOOP_H
#define NOWCAST_CORE_SYSTEM_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "core/data/error.h"

struct loop;
struct loop_fd;
struct loop_timer;
struct loop_child;

/* Blocks TERM, INT, HUP, CHLD, USR1, USR2 and PIPE in the calling thread. */
enum nc_err loop_create(struct loop **ret_loop, struct error *error);
/* Accepts NULL. What was posted is still called; everything registered goes. */
void loop_destroy(struct loop *loop);

/* Run until loop_stop(); returns its status, or -1 with `error` when epoll itself fails. Does not begin when that was
 * called before. */
int loop_run(struct loop *loop, struct error *error);
void loop_stop(struct loop *loop, int status);

enum {
	LOOP_READ = 1,
	LOOP_WRITE = 2,
	LOOP_HANGUP = 4
};
typedef void loop_fd_function(void *argument, unsigned events);
/* The descriptor stays the caller's and must be unwatched before it is closed. */
enum nc_err loop_watch(struct loop *loop, int fd, unsigned events, loop_fd_function *function,
	void *argument, struct loop_fd **ret_watch, struct error *error);
enum nc_err loop_watch_change(struct loop_fd *watch, unsigned events, struct error *error);
void loop_unwatch(struct loop_fd *watch); /* accepts NULL */

typedef void loop_function(void *argument);
/* Called each time before the loop waits: for what is to be looked at when something has happened, and
 * costs no wake-ups while nothing does. At most four, until the loop is destroyed; the latest is called
 * first. */
void loop_before_wait(struct loop *loop, loop_function *function, void *argument);

/* Once after `delay_ms` on the monotonic clock, or every `delay_ms` when `repeat`. A timer that has
 * fired once is gone: do not cancel it afterwards. */
enum nc_err loop_timer_start(struct loop *loop, int64_t delay_ms, bool repeat,
	loop_function *function, void *argument, struct loop_timer **ret_timer,
	struct error *error);
void loop_timer_cancel(struct loop_timer *timer); /* accepts NULL */

typedef void loop_signal_function(void *argument, int signo);
enum nc_err loop_signal(struct loop *loop, int signo, loop_signal_function *function,
	void *argument, struct error *error);

/* When `pid`, a child of ours, has ended: it is reaped, and told with its wait status and use of time
 * and memory. The watch is then gone. */
typedef void loop_child_function(void *argument, pid_t pid, int status, const struct rusage *usage);
enum nc_err loop_child_watch(struct loop *loop, pid_t pid, loop_child_function *function,
	void *argument, struct loop_child **ret_child, struct error *error);
void loop_child_unwatch(struct loop_child *child); /* accepts NULL; the child is not reaped then */

/*
 * From any thread, also from a callback of nng: run `function` in the loop's thread soon. Does not block
 * (a short mutex) and needs no memory: the caller owns `post`, which may not be posted again before the
 * function has been called.
 */
struct loop_post {
	loop_function *function;
	void *argument;
	struct loop_post *next; /* the loop's */
};
void loop_post(struct loop *loop, struct loop_post *post);

#endif
