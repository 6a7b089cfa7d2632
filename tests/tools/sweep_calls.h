/*
 * The system calls that the sweeps of tests/fault count: those that change something outside of the
 * process, or take something away that exists once (the end of a child).
 */
#ifndef NOWCAST_TESTS_SWEEP_CALLS_H
#define NOWCAST_TESTS_SWEEP_CALLS_H

#include <stdbool.h>
#include <stdint.h>

enum sweep_bytes {
	BYTES_NONE,
	BYTES_IN_THIRD,   /* call(fd, bytes, count, ...) */
	BYTES_IN_VECTOR,  /* call(fd, vector, count, ...) */
	BYTES_IN_MESSAGE, /* call(fd, message, ...) */
};

struct sweep_call {
	long number;
	const char *name;
	int text;        /* which argument is the name of a file, from 1; 0: none */
	bool descriptor; /* the first argument is one */
	bool changes;    /* else it only reads, and counts when all are counted */
	enum sweep_bytes bytes;
};

/* NULL: not one that is counted. `all`: also those that only read. */
const struct sweep_call *sweep_call_find(uint64_t number, const uint64_t args[6], bool all);

#endif
