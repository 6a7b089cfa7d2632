#include "core/system/log_flusher.h"

static void flush(void *argument)
{
	struct log_flusher *flusher = argument;

	flusher->timer = NULL;
	(void)log_flush(*flusher->log, LOG_FLUSHER_MS);
}

static void look(void *argument)
{
	struct log_flusher *flusher = argument;

	/* Without memory for a timer the lines wait for the next one, or for the end. */
	if (flusher->timer == NULL && log_is_waiting(*flusher->log))
		(void)loop_timer_start(flusher->loop, LOG_FLUSHER_MS, false, flush, flusher,
			&flusher->timer, NULL);
}

void log_flusher_start(struct log_flusher *flusher, struct loop *loop, struct log **log)
{
	*flusher = (struct log_flusher){ .loop = loop, .log = log };
	loop_before_wait(loop, look, flusher);
}
