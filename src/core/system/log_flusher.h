/*
 * Ships the lines of a burst soon, in a process with a loop: before the loop waits it looks whether lines wait
 * for company (log_is_waiting()), and then flushes them LOG_FLUSHER_MS later. Without any, nothing wakes up.
 *
 * Depends on core/system/log, loop.
 */
#ifndef NOWCAST_CORE_SYSTEM_LOG_FLUSHER_H
#define NOWCAST_CORE_SYSTEM_LOG_FLUSHER_H

#include "core/system/log.h"
#include "core/system/loop.h"

enum {
	LOG_FLUSHER_MS = 200
};

struct log_flusher {
	struct loop *loop;
	struct log **log; /* the owner's, who may replace it */
	struct loop_timer *timer;
};

/* From now until the loop is destroyed; it takes the loop's loop_before_wait(). */
void log_flusher_start(struct log_flusher *flusher, struct loop *loop, struct log **log);

#endif
