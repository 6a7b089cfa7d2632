#include "sweep_tracee.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

bool tracee_peek(pid_t pid, uint64_t address, void *bytes, size_t size)
{
	struct iovec here = { bytes, size }, there = { (void *)(uintptr_t)address, size };

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

bool tracee_poke(pid_t pid, uint64_t address, uint64_t value)
{
	struct iovec here = { &value, sizeof(value) };
	struct iovec there = { (void *)(uintptr_t)address, sizeof(value) };

	return process_vm_writev(pid, &here, 1, &there, 1, 0) == (ssize_t)sizeof(value);
}

static void print_text(pid_t pid, uint64_t address, char out[DETAIL_SIZE])
{
	size_t n = 0;

	while (n < DETAIL_SIZE - 1 && tracee_peek(pid, address + n, &out[n], 1) && out[n] != '\0') {
		if (out[n] < ' ' || out[n] > '~')
			out[n] = '?';
		n++;
	}
	out[n] = '\0';
}

void tracee_print_descriptor(pid_t pid, uint64_t fd, char out[DETAIL_SIZE])
{
	char name[64];
	ssize_t count;

	(void)snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)pid, (int)fd);
	count = readlink(name, out, DETAIL_SIZE - 1);
	out[count > 0 ? count : 0] = '\0';
}

/* Libraries start threads, we start processes. */
static void print_child(
	pid_t pid, const struct sweep_call *call, const uint64_t args[6], char out[DETAIL_SIZE])
{
	uint64_t flags = args[0];

	if (call->number == SYS_clone3 && !tracee_peek(pid, args[0], &flags, sizeof(flags)))
		flags = 0;
	(void)snprintf(out, DETAIL_SIZE, "%s", (flags & CLONE_THREAD) != 0 ? "thread" : "process");
}

/* What the call is about: a file, for a person who reads the report. */
void tracee_print_detail(
	pid_t pid, const struct sweep_call *call, const uint64_t args[6], char out[DETAIL_SIZE])
{
	out[0] = '\0';
	if (call->text > 0)
		print_text(pid, args[call->text - 1], out);
	else if (call->descriptor)
		tracee_print_descriptor(pid, args[0], out);
	else if (call->number == SYS_clone || call->number == SYS_clone3)
		print_child(pid, call, args, out);
	else
		(void)snprintf(out, DETAIL_SIZE, "%d", (int)args[0]);
}

bool tracee_get_registers(pid_t pid, struct user_regs_struct *registers)
{
	return ptrace(PTRACE_GETREGS, pid, NULL, registers) == 0;
}

bool tracee_set_registers(pid_t pid, const struct user_regs_struct *registers)
{
	return ptrace(PTRACE_SETREGS, pid, NULL, registers) == 0;
}
