/*
 * What a program writes, line by line into the log: its standard output at INFO, its standard error at
 * WARNING, under the logger of its name.
 *
 *	program_output_open(&output, ...);         ret_fd is for the program; close it once it runs
 *	program_output_close(&output);             takes what is left in the pipe
 *
 * Depends on core/system/log, loop.
 */
#ifndef NOWCAST_DAEMONS_SUPERVISOR_OUTPUT_H
#define NOWCAST_DAEMONS_SUPERVISOR_OUTPUT_H

#include "core/data/buffer.h"
#include "core/system/log.h"
#include "core/system/loop.h"

struct program_output {
	int fd; /* our end of the pipe, or -1 */
	struct loop_fd *watch;
	struct log **log;   /* the supervisor's, which a reload replaces */
	const char *logger; /* stays the caller's */
	int level;
	struct buffer line; /* what has no end yet */
};

/* A struct that nothing was opened in; what follows accepts it. */
void program_output_init(struct program_output *output);
/* After program_output_init() or program_output_close(). */
enum nc_err program_output_open(struct program_output *output, struct loop *loop, struct log **log,
	const char *logger, int level, int *ret_fd, struct error *error);
void program_output_close(struct program_output *output);

#endif
