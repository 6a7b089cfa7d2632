/* For tests of what lives in a loop: run it until a callback stops it, but never for ever. */
#ifndef NOWCAST_TESTS_UNIT_RUN_LOOP_H
#define NOWCAST_TESTS_UNIT_RUN_LOOP_H

#include "core/system/loop.h"

enum {
	DEADLINE_MS = 10000,
	LATE = 99, /* what run() gives when nobody has stopped it */
};

static inline void fail_late(void *argument)
{
	loop_stop(argument, LATE);
}

/* The status that loop_stop() was given. */
static inline int run(struct loop *loop)
{
	struct loop_timer *timer;
	int status;

	assert_int_equal(
		loop_timer_start(loop, DEADLINE_MS, false, fail_late, loop, &timer, NULL), NC_OK);
	status = loop_run(loop, NULL);
	if (status != LATE)
		loop_timer_cancel(timer);
	return status;
}

#endif
