/*
 * Exit statuses of every entry point. Documented in nowcast(1); do not change a number.
 */
#ifndef NOWCAST_CORE_SYSTEM_EXIT_STATUS_H
#define NOWCAST_CORE_SYSTEM_EXIT_STATUS_H

enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_WELL = 3, /* `nowcast status` */
	EXIT_NO_SUCH_THING = 4,
	EXIT_UNREACHABLE = 5, /* the manager cannot be reached */
	EXIT_TIME_LIMIT = 6,
	EXIT_REFUSED = 7,
	EXIT_BAD_CONFIG = 8,
	EXIT_TRY_AGAIN = 75, /* state held by another manager; of a worker: try again */
	EXIT_SKIPPED = 77,   /* of a worker */
	EXIT_STATE_DAMAGED = 78,
	EXIT_SIGNAL_BASE = 128, /* + N: ended by signal N */
};

#endif
