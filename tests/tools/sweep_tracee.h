/*
 * What the sweeps look at, and change, in a process that stands still in a system call (x86-64).
 */
#ifndef NOWCAST_TESTS_SWEEP_TRACEE_H
#define NOWCAST_TESTS_SWEEP_TRACEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "sweep_calls.h"

enum {
	DETAIL_SIZE = 300
};

/* false: it is gone, or has no such memory. */
bool tracee_peek(pid_t pid, uint64_t address, void *bytes, size_t size);
bool tracee_poke(pid_t pid, uint64_t address, uint64_t value);
bool tracee_get_registers(pid_t pid, struct user_regs_struct *registers);
bool tracee_set_registers(pid_t pid, const struct user_regs_struct *registers);

/* The file behind a descriptor; empty: it is none. */
void tracee_print_descriptor(pid_t pid, uint64_t fd, char out[DETAIL_SIZE]);

/* What a call is about: a file, `thread` or `process`, or the first argument as a number. */
void tracee_print_detail(
	pid_t pid, const struct sweep_call *call, const uint64_t args[6], char out[DETAIL_SIZE]);

#endif
