/*
 * Runs a command, and counts the calls of its main thread that change something outside of it; kills the
 * whole process at the N-th one, or makes that one fail, for the sweeps in tests/fault.
 *
 *   sweep_tracer [OPTIONS] -- COMMAND [ARGUMENTS]
 *   --report FILE      one line for each call that was counted: `N NAME DETAIL`; then what was done, as
 *                      `killed before N NAME DETAIL`, `failed N NAME DETAIL`, `end STATUS`
 *   --counter FILE     eight bytes, kept up to date: how many calls of any kind there were
 *   --follow NAME[:K]  not the command, but the K-th process that it starts with NAME as first argument;
 *                      reported as `follows NAME ARGUMENT` (its third one)
 *   --all              count also the calls that only read
 *   --kill-before N    SIGKILL, and call N is not made
 *   --kill-after N     SIGKILL when it was made
 *   --fail N --errno E the call is not made and returns that error
 *   --short N          the call reads or writes about half of its bytes
 *   --only NAME        count only the calls of that name
 *   --times N          not only that call fails, but N like it; 0: all, until SIGUSR1 comes
 *
 * Only the main thread is traced: libraries with threads of their own are not slowed, and processes that
 * the command starts run freely. TERM, INT and HUP are passed on to the command. When this program dies,
 * what it traces dies too. Exit status: that of the command, 128+N when signal N ended it; 2: misused.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sweep_calls.h"
#include "sweep_tracee.h"

enum {
	STATUS_MISUSED = 2
};

enum fault {
	FAULT_NONE,
	FAULT_KILL_BEFORE,
	FAULT_KILL_AFTER,
	FAULT_FAIL,
	FAULT_SHORT
};

struct tracer {
	/* What is wanted. */
	const char *follow, *only;
	long follow_which;
	bool all;
	enum fault fault;
	long at, times; /* times 0: until faults are over */
	int error;
	/* What is going on. */
	pid_t root, target; /* target 0: the one to follow has not come yet */
	FILE *report;
	uint64_t *counter;
	long counted, faults;
	const struct sweep_call *like; /* the call that was made to fail first */
	char kind;
	bool failing; /* the call that is going on gets the error at its end */
	/* A vector that was made shorter, to be mended at the end of the call. */
	uint64_t mend_at, mend_value;
};

static volatile sig_atomic_t root_pid, faults_are_over;

static void pass_on(int signo)
{
	int kept = errno;

	if (signo == SIGUSR1)
		faults_are_over = 1;
	else if (root_pid > 0)
		(void)kill((pid_t)root_pid, signo);
	errno = kept;
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)fputs("sweep_tracer: ", stderr);
	(void)vfprintf(stderr, format, list);
	(void)fputs("\n", stderr);
	va_end(list);
	exit(STATUS_MISUSED);
}

static void resume(enum __ptrace_request how, pid_t pid, int signo)
{
	/* ESRCH: it was killed meanwhile, and its end comes by waitpid(). */
	if (ptrace(how, pid, NULL, (void *)(uintptr_t)signo) < 0 && errno != ESRCH)
		die("cannot resume process %d: %s", (int)pid, strerror(errno));
}

/* --- faults --- */

static void kill_now(struct tracer *t, const char *when, const char *what)
{
	(void)fprintf(t->report, "killed %s %s\n", when, what);
	(void)fflush(t->report);
	(void)kill(t->target, SIGKILL);
}

static void make_fail(struct tracer *t, const char *what)
{
	struct user_regs_struct registers;

	if (!tracee_get_registers(t->target, &registers))
		return;
	registers.orig_rax = (unsigned long long)-1;
	if (!tracee_set_registers(t->target, &registers))
		return;
	t->failing = true;
	(void)fprintf(t->report, "failed %s\n", what);
	(void)fflush(t->report);
}

/* At `vector` are `count` of them; `count_at`: where the call finds the count, 0: in a register. */
static bool shorten_vector(struct tracer *t, struct user_regs_struct *registers, uint64_t vector,
	uint64_t count, uint64_t count_at)
{
	struct iovec first;

	if (count == 0 || !tracee_peek(t->target, vector, &first, sizeof(first)))
		return false;
	if (count > 1 && count_at == 0) {
		registers->rdx = 1;
		return tracee_set_registers(t->target, registers);
	}
	if (count > 1) {
		t->mend_at = count_at;
		t->mend_value = count;
		return tracee_poke(t->target, count_at, 1);
	}
	if (first.iov_len < 2)
		return false;
	t->mend_at = vector + offsetof(struct iovec, iov_len);
	t->mend_value = first.iov_len;
	return tracee_poke(t->target, t->mend_at, first.iov_len / 2);
}

static void make_short(
	struct tracer *t, const struct sweep_call *call, const uint64_t args[6], const char *what)
{
	struct user_regs_struct registers;
	struct msghdr message;
	char file[DETAIL_SIZE];
	bool done = false;

	tracee_print_descriptor(t->target, args[0], file);
	/* Counters and signals come whole or not at all. */
	if (strncmp(file, "anon_inode:", strlen("anon_inode:")) == 0 ||
		!tracee_get_registers(t->target, &registers))
		return;
	if (call->bytes == BYTES_IN_THIRD && registers.rdx >= 2) {
		registers.rdx /= 2;
		done = tracee_set_registers(t->target, &registers);
	} else if (call->bytes == BYTES_IN_VECTOR) {
		done = shorten_vector(t, &registers, args[1], args[2], 0);
	} else if (call->bytes == BYTES_IN_MESSAGE &&
		   tracee_peek(t->target, args[1], &message, sizeof(message))) {
		done = shorten_vector(t, &registers, (uint64_t)(uintptr_t)message.msg_iov,
			message.msg_iovlen, args[1] + offsetof(struct msghdr, msg_iovlen));
	}
	if (done) {
		(void)fprintf(t->report, "short %s\n", what);
		(void)fflush(t->report);
	}
}

/* --- calls --- */

/* A full disk is no reason for a socket to fail. */
static char kind_of(const char *detail)
{
	return strncmp(detail, "/memfd:", strlen("/memfd:")) == 0 ? 'm' : detail[0];
}

/* With the compiler's counters (tests/run, `coverage`), what they write at the end is theirs, and must not be spoilt. */
static bool is_counters(const char *detail)
{
	const char *suffix = strrchr(detail, '.');

	return suffix != NULL && strcmp(suffix, ".gcda") == 0;
}

static void call_begins(struct tracer *t, uint64_t number, const uint64_t args[6])
{
	const struct sweep_call *call = sweep_call_find(number, args, t->all);
	char detail[DETAIL_SIZE], what[DETAIL_SIZE + 80];
	bool now;

	if (t->counter != NULL)
		__atomic_add_fetch(t->counter, 1, __ATOMIC_RELAXED);
	if (call == NULL || (t->only != NULL && strcmp(call->name, t->only) != 0))
		return;
	tracee_print_detail(t->target, call, args, detail);
	if (is_counters(detail))
		return;
	t->counted++;
	(void)snprintf(what, sizeof(what), "%ld %s %s", t->counted, call->name, detail);
	(void)fprintf(t->report, "%s\n", what);
	if (t->counted == t->at) {
		t->like = call;
		t->kind = kind_of(detail);
	}
	now = t->like == call && t->kind == kind_of(detail) &&
	      (t->times == 0 || t->faults < t->times);
	if (!now || faults_are_over)
		return;
	t->faults++;
	if (t->fault == FAULT_KILL_BEFORE)
		kill_now(t, "before", what);
	else if (t->fault == FAULT_FAIL)
		make_fail(t, what);
	else if (t->fault == FAULT_SHORT)
		make_short(t, call, args, what);
}

static void call_ends(struct tracer *t)
{
	struct user_regs_struct registers;
	char what[32];

	if (t->failing && tracee_get_registers(t->target, &registers)) {
		registers.rax = (unsigned long long)-t->error;
		(void)tracee_set_registers(t->target, &registers);
	}
	t->failing = false;
	if (t->mend_at != 0)
		(void)tracee_poke(t->target, t->mend_at, t->mend_value);
	t->mend_at = 0;
	if (t->fault == FAULT_KILL_AFTER && t->counted == t->at) {
		(void)snprintf(what, sizeof(what), "%ld", t->counted);
		kill_now(t, "after", what);
	}
}

static void syscall_stop(struct tracer *t, pid_t pid)
{
	struct __ptrace_syscall_info info = { 0 };

	if (pid == t->target && ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0) {
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
			call_begins(t, info.entry.nr, (const uint64_t *)info.entry.args);
		else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
			call_ends(t);
	}
	resume(PTRACE_SYSCALL, pid, 0);
}

/* --- processes --- */

/* Argument `number` among the `count` bytes of a command line; empty: it has no such one. */
static const char *word_of(const char *line, size_t count, int number)
{
	const char *word = line;

	while (number-- > 0 && word < line + count)
		word += strlen(word) + 1;
	return word < line + count ? word : "";
}

/* Is that new program the one to follow? */
static bool is_wanted(struct tracer *t, pid_t pid)
{
	char name[64], line[512];
	size_t count;
	FILE *file;

	if (t->follow == NULL || t->target != 0 || pid == t->root)
		return false;
	(void)snprintf(name, sizeof(name), "/proc/%d/cmdline", (int)pid);
	file = fopen(name, "re");
	if (file == NULL)
		return false;
	count = fread(line, 1, sizeof(line) - 1, file);
	(void)fclose(file);
	line[count] = '\0';
	if (strcmp(word_of(line, count, 1), t->follow) != 0 || --t->follow_which != 0)
		return false;
	/* nowcast WORKER CONFIG ARGUMENTS */
	(void)fprintf(t->report, "follows %s %s\n", t->follow, word_of(line, count, 3));
	(void)fflush(t->report);
	return true;
}

static void new_program(struct tracer *t, pid_t pid)
{
	if (is_wanted(t, pid))
		t->target = pid;
	if (pid == t->target)
		resume(PTRACE_SYSCALL, pid, 0);
	else if (pid == t->root)
		resume(PTRACE_CONT, pid, 0);
	else
		resume(PTRACE_DETACH, pid, 0);
}

static void stopped(struct tracer *t, pid_t pid, int status)
{
	enum __ptrace_request how = pid == t->target ? PTRACE_SYSCALL : PTRACE_CONT;
	int signo = WSTOPSIG(status), event = status >> 16;

	if (signo == (SIGTRAP | 0x80))
		syscall_stop(t, pid);
	else if (event == PTRACE_EVENT_EXEC)
		new_program(t, pid);
	else if (event == PTRACE_EVENT_STOP && signo != SIGTRAP)
		resume(PTRACE_LISTEN, pid, 0); /* stopped by a signal, until one wakes it up */
	else if (event != 0)
		resume(how, pid, 0);
	else
		resume(how, pid, signo);
}

/* Until the command has ended: its exit status. */
static int watch(struct tracer *t)
{
	int status, code;
	pid_t pid;

	for (;;) {
		pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			die("waitpid: %s", strerror(errno));
		if (WIFSTOPPED(status)) {
			stopped(t, pid, status);
			continue;
		}
		if (pid != t->target && pid != t->root)
			continue;
		code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		if (pid == t->target)
			(void)fprintf(t->report, "end %d\n", code);
		(void)fflush(t->report);
		if (pid == t->root)
			return code;
	}
}

static void start(struct tracer *t, char **command)
{
	unsigned long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC;
	int gate[2];
	char byte;

	if (t->follow != NULL)
		options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
	if (pipe2(gate, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	t->root = fork();
	if (t->root == 0) {
		(void)close(gate[1]);
		if (read(gate[0], &byte, 1) != 1)
			_exit(STATUS_MISUSED);
		(void)execvp(command[0], command);
		(void)fprintf(stderr, "sweep_tracer: %s: %s\n", command[0], strerror(errno));
		_exit(127);
	}
	if (t->root < 0 || ptrace(PTRACE_SEIZE, t->root, NULL, (void *)options) < 0)
		die("cannot trace: %s", strerror(errno));
	root_pid = t->root;
	t->target = t->follow == NULL ? t->root : 0;
	if (write(gate[1], "x", 1) != 1)
		die("the command is gone");
	(void)close(gate[0]);
	(void)close(gate[1]);
}

/* --- the command line --- */

static uint64_t *map_counter(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *map = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(uint64_t)) == 0)
		map = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	(void)close(fd);
	return map;
}

static void set_fault(struct tracer *t, enum fault fault, const char *number)
{
	t->fault = fault;
	t->at = strtol(number, NULL, 10);
	if (t->at < 1)
		die("calls are counted from 1, and this is %s", number);
}

static void set_follow(struct tracer *t, char *name)
{
	char *colon = strchr(name, ':');

	t->follow = name;
	if (colon != NULL) {
		*colon = '\0';
		t->follow_which = strtol(colon + 1, NULL, 10);
	}
}

static char **read_options(struct tracer *t, int argc, char **argv)
{
	static const struct option options[] = { { "report", 1, NULL, 'r' },
		{ "counter", 1, NULL, 'c' }, { "follow", 1, NULL, 'f' }, { "all", 0, NULL, 'a' },
		{ "kill-before", 1, NULL, FAULT_KILL_BEFORE },
		{ "kill-after", 1, NULL, FAULT_KILL_AFTER }, { "fail", 1, NULL, FAULT_FAIL },
		{ "short", 1, NULL, FAULT_SHORT }, { "errno", 1, NULL, 'e' },
		{ "only", 1, NULL, 'n' }, { "times", 1, NULL, 't' }, { 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			t->report = fopen(optarg, "we");
			if (t->report == NULL)
				die("%s: %s", optarg, strerror(errno));
			break;
		case 'c':
			t->counter = map_counter(optarg);
			break;
		case 'f':
			set_follow(t, optarg);
			break;
		case 'a':
			t->all = true;
			break;
		case 'e':
			t->error = (int)strtol(optarg, NULL, 10);
			break;
		case 'n':
			t->only = optarg;
			break;
		case 't':
			t->times = strtol(optarg, NULL, 10);
			break;
		case '?':
			exit(STATUS_MISUSED);
		default:
			set_fault(t, (enum fault)option, optarg);
		}
	}
	if (optind >= argc || t->report == NULL)
		die("usage: sweep_tracer --report FILE [OPTIONS] -- COMMAND [ARGUMENTS]");
	if (t->fault == FAULT_FAIL && t->error <= 0)
		die("--fail needs an --errno");
	return argv + optind;
}

int main(int argc, char **argv)
{
	static const int passed_on[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	struct tracer t = { .follow_which = 1, .times = 1 };
	struct sigaction action = { .sa_handler = pass_on, .sa_flags = SA_RESTART };
	char **command = read_options(&t, argc, argv);

	start(&t, command);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
		if (sigaction(passed_on[i], &action, NULL) < 0)
			die("sigaction: %s", strerror(errno));
	}
	return watch(&t);
}
