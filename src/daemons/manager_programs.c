/*
 * Programs that decide (`decide with`, next_workers.yaml(5)): run beside the manager, with their input on
 * standard input, no shell, a time limit. Input and output are memory files: nothing can block on a pipe.
 * A program that this manager does not see ending is run again by the next one; what it said was not done.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/data/utf8.h"
#include "core/system/clock.h"
#include "core/system/sys.h"
#include "core/work/contract.h"
#include "daemons/manager_internal.h"

enum {
	PROGRAMS_MOST = 4, /* at once */
	OUTPUT_MOST = 1 << 20,
	TRY_AGAIN_MS = 5000,
};

struct program_run {
	struct manager *manager;
	int64_t id;
	pid_t pid;
	int output, errors;
	bool timed_out;
	struct loop_timer *limit;
	struct loop_child *watch;
	struct program_run *next;
};

static void destroy_run(struct program_run *run)
{
	loop_timer_cancel(run->limit);
	loop_child_unwatch(run->watch);
	if (run->output >= 0)
		(void)sys_close(run->output);
	if (run->errors >= 0)
		(void)sys_close(run->errors);
	free(run);
}

static void unlink_run(struct program_run *run)
{
	struct program_run **at = &run->manager->programs;

	while (*at != NULL && *at != run)
		at = &(*at)->next;
	if (*at != NULL)
		*at = run->next;
}

static const struct program_run *find_run(const struct manager *m, int64_t id)
{
	const struct program_run *run = m->programs;

	while (run != NULL && run->id != id)
		run = run->next;
	return run;
}

static size_t count_runs(const struct manager *m)
{
	size_t count = 0;

	for (const struct program_run *run = m->programs; run != NULL; run = run->next)
		count++;
	return count;
}

static void start_later(void *argument)
{
	programs_start(argument);
}

/* What it decided, or why not, into the state. */
static void tell(struct manager *m, int64_t id, const char *output, size_t len, const char *reason)
{
	struct transaction t = { 0 };
	struct error error = { 0 };
	enum nc_err err;

	messages_settle(m);
	err = brain_program_ended(m->brain, id, output, len, reason, clock_real_ns(), &t, &error);
	if (!messages_carry_out(m, err, &t, "what a program decided", &error))
		(void)loop_timer_start(
			m->daemon.loop, TRY_AGAIN_MS, false, start_later, m, NULL, NULL);
}

/* --- its end --- */

static bool read_whole(int fd, struct buffer *out)
{
	char bytes[65536];
	ssize_t count;
	off_t offset = 0;

	while ((count = pread(fd, bytes, sizeof(bytes), offset)) > 0) {
		offset += count;
		if (offset > OUTPUT_MOST)
			return false;
		buffer_append(out, bytes, (size_t)count);
	}
	return count == 0 && !out->failed;
}

/* The beginning of what it wrote on standard error, for people. */
static void print_errors(int fd, struct buffer *out)
{
	char bytes[200];
	ssize_t count = pread(fd, bytes, sizeof(bytes) - 1, 0);

	if (count <= 0)
		return;
	bytes[count] = '\0';
	for (ssize_t i = 0; i < count; i++)
		if ((unsigned char)bytes[i] < ' ')
			bytes[i] = ' ';
	utf8_mend(bytes);
	buffer_printf(out, "; it wrote: %s", bytes);
}

static void run_ended(void *argument, pid_t pid, int status, const struct rusage *usage)
{
	struct program_run *run = argument;
	struct manager *m = run->manager;
	struct buffer output, reason;
	bool well = status == 0 && !run->timed_out;

	run->watch = NULL;
	buffer_init(&output);
	buffer_init(&reason);
	if (run->timed_out) {
		buffer_append_text(&reason, "it took longer than its `time limit:`");
	} else if (status != 0) {
		buffer_append_text(&reason, "it ended with ");
		contract_end_words(status, &reason);
	} else if (!read_whole(run->output, &output)) {
		well = false;
		buffer_append_text(&reason, "it printed more than 1 MiB");
	}
	if (!well)
		print_errors(run->errors, &reason);
	unlink_run(run);
	tell(m, run->id, well ? output.data : NULL, output.len,
		reason.failed ? "it failed" : reason.data);
	destroy_run(run);
	buffer_finish(&output);
	buffer_finish(&reason);
	programs_start(m);
}

static void limit_passed(void *argument)
{
	struct program_run *run = argument;

	run->limit = NULL;
	run->timed_out = true;
	(void)sys_kill(-run->pid, SIGKILL);
}

/* --- its beginning --- */

static enum nc_err make_input(const char *text, int *ret_fd, struct error *error)
{
	int fd = memfd_create("nowcast-decide", MFD_CLOEXEC);

	if (fd < 0 || sys_write_all(fd, text, strlen(text)) != 0 || lseek(fd, 0, SEEK_SET) < 0) {
		(void)error_errno(error, errno, "cannot make its input");
		if (fd >= 0)
			(void)sys_close(fd);
		return NC_ERR_SYSTEM;
	}
	*ret_fd = fd;
	return NC_OK;
}

/* A process group of its own, signals as new, the directory of the configuration. */
static int spawn(const struct program_run *run, int input, const char *directory, char **argv,
	pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int result;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	result = posix_spawn_file_actions_init(&actions);
	if (result != 0)
		return result;
	result = posix_spawnattr_init(&attributes);
	if (result != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return result;
	}
	if ((result = posix_spawnattr_setflags(&attributes,
		     POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)) ==
			0 &&
		(result = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
		(result = posix_spawnattr_setsigdefault(&attributes, &all)) == 0 &&
		(result = posix_spawn_file_actions_adddup2(&actions, input, 0)) == 0 &&
		(result = posix_spawn_file_actions_adddup2(&actions, run->output, 1)) == 0 &&
		(result = posix_spawn_file_actions_adddup2(&actions, run->errors, 2)) == 0 &&
		(result = posix_spawn_file_actions_addclosefrom_np(&actions, 3)) == 0 &&
		(result = posix_spawn_file_actions_addchdir_np(&actions, directory)) == 0)
		result = posix_spawnp(ret_pid, argv[0], &actions, &attributes, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	return result;
}

/* Pointers into the values; NULL: out of memory, or nothing to run. */
static char **make_argv(const struct value *list)
{
	size_t count = value_count(list);
	char **argv = count > 0 ? calloc(count + 1, sizeof(*argv)) : NULL;

	for (size_t i = 0; argv != NULL && i < count; i++)
		argv[i] = (char *)(uintptr_t)value_as_text(value_at(list, i), "");
	return argv;
}

static enum nc_err start_process(
	struct program_run *run, const struct store_program *program, struct error *error)
{
	struct manager *m = run->manager;
	char **argv = make_argv(program->argv);
	int input = -1, result;
	enum nc_err err =
		argv != NULL ? make_input(program->input, &input, error) : error_nomem(error);

	if (err == NC_OK) {
		run->output = memfd_create("nowcast-decided", MFD_CLOEXEC);
		run->errors = memfd_create("nowcast-errors", MFD_CLOEXEC);
		if (run->output < 0 || run->errors < 0)
			err = error_errno(error, errno, "cannot make its output");
	}
	if (err == NC_OK) {
		result = spawn(run, input, m->daemon.config->directory, argv, &run->pid);
		if (result != 0)
			err = error_errno(error, result, "it cannot be started");
	}
	if (input >= 0)
		(void)sys_close(input);
	free(argv);
	return err;
}

static enum nc_err watch_process(
	struct program_run *run, const struct store_program *program, struct error *error)
{
	struct loop *loop = run->manager->daemon.loop;
	enum nc_err err = loop_timer_start(
		loop, program->time_limit_ms, false, limit_passed, run, &run->limit, error);

	if (err == NC_OK)
		err = loop_child_watch(loop, run->pid, run_ended, run, &run->watch, error);
	/* Unwatched, it would never be heard. */
	if (err != NC_OK) {
		(void)sys_kill(-run->pid, SIGKILL);
		(void)waitpid(run->pid, NULL, 0);
	}
	return err;
}

static void start_one(struct manager *m, const struct store_program *program)
{
	struct program_run *run = calloc(1, sizeof(*run));
	struct error error = { 0 };
	enum nc_err err;

	if (run == NULL) {
		log_error(m->daemon.log, "a program that decides waits: out of memory");
		(void)loop_timer_start(
			m->daemon.loop, TRY_AGAIN_MS, false, start_later, m, NULL, NULL);
		return;
	}
	run->manager = m;
	run->id = program->id;
	run->output = run->errors = -1;
	log_info(m->daemon.log, "asking %s what is next after %s of %s",
		value_as_text(value_at(program->argv, 0), ""), program->type, program->source);
	err = start_process(run, program, &error);
	if (err == NC_OK)
		err = watch_process(run, program, &error);
	if (err != NC_OK) {
		destroy_run(run);
		tell(m, program->id, NULL, 0, error.text);
		return;
	}
	run->next = m->programs;
	m->programs = run;
}

void programs_start(struct manager *m)
{
	struct store_program program = { 0 };
	struct error error = { 0 };
	int64_t after = 0;

	while (count_runs(m) < PROGRAMS_MOST &&
		store_next_program(m->store, after, &program, &error) == NC_OK) {
		after = program.id;
		if (find_run(m, program.id) == NULL)
			start_one(m, &program);
		store_program_finish(&program);
	}
}

void programs_finish(struct manager *m)
{
	while (m->programs != NULL) {
		struct program_run *run = m->programs;

		m->programs = run->next;
		(void)sys_kill(-run->pid, SIGKILL);
		(void)waitpid(run->pid, NULL, 0);
		destroy_run(run);
	}
}
