/* Runners: started, watched, ended. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/sys.h"
#include "core/work/claim.h"
#include "core/work/launch.h"
#include "daemons/manager_internal.h"
#include "daemons/manager_recovery.h"

static void remove_runner(struct runner_child *child)
{
	struct runner_child **at = &child->manager->runners;

	while (*at != NULL && *at != child)
		at = &(*at)->next;
	if (*at != NULL)
		*at = child->next;
	free(child);
}

bool launches_is_ours(const struct manager *m, const char *launch_id)
{
	for (const struct runner_child *child = m->runners; child != NULL; child = child->next)
		if (child->watch != NULL && strcmp(child->launch_id, launch_id) == 0)
			return true;
	return false;
}

void launches_forget(struct manager *m)
{
	struct runner_child *child = m->runners, *next;

	for (; child != NULL; child = next) {
		next = child->next;
		loop_child_unwatch(child->watch);
		free(child);
	}
	m->runners = NULL;
}

static void runner_ended(void *argument, pid_t pid, int status, const struct rusage *usage)
{
	struct runner_child *child = argument;
	struct manager *m = child->manager;
	char id[ID_TEXT_SIZE];

	memcpy(id, child->launch_id, sizeof(id));
	remove_runner(child);
	messages_settle(m);
	recovery_runner_ended(m, id, status);
}

static enum nc_err start_runner(
	struct manager *m, const struct brain_launch *wanted, struct error *error)
{
	struct launch launch = { .worker = wanted->worker,
		.arguments = wanted->arguments,
		.arguments_count = wanted->arguments_count,
		.why = wanted->why,
		.attempt = 1 };
	struct runner_child *child = calloc(1, sizeof(*child));
	enum nc_err err;

	if (child == NULL)
		return error_nomem(error);
	child->manager = m;
	memcpy(child->launch_id, wanted->id, sizeof(child->launch_id));
	memcpy(launch.id, wanted->id, sizeof(launch.id));
	memcpy(launch.token, wanted->token, sizeof(launch.token));
	err = launcher_local.start(
		launcher_local.argument, &launch, m->daemon.config, &child->pid, error);
	if (err != NC_OK) {
		free(child);
		return err;
	}
	log_debug(m->daemon.log, "%s runs in process %d", wanted->worker, (int)child->pid);
	if (loop_child_watch(m->daemon.loop, child->pid, runner_ended, child, &child->watch,
		    error) != NC_OK) {
		/* It runs and will report by itself; its claim tells when it has ended. */
		log_error(m->daemon.log, "%s runs unwatched: %s", wanted->worker, error->text);
		child->watch = NULL;
		recovery_soon(m);
	}
	child->next = m->runners;
	m->runners = child;
	return NC_OK;
}

bool launches_reap_unwatched(struct manager *m)
{
	struct runner_child *child = m->runners, *next;
	bool left = false;

	for (; child != NULL; child = next) {
		next = child->next;
		if (child->watch != NULL)
			continue;
		if (waitpid(child->pid, NULL, WNOHANG) == 0)
			left = true;
		else
			remove_runner(child);
	}
	return left;
}

static void print_command(const struct brain_launch *launch, struct buffer *out)
{
	buffer_append_text(out, launch->worker);
	for (size_t i = 0; i < launch->arguments_count; i++) {
		bool blank = launch->arguments[i][0] == '\0' ||
			     strpbrk(launch->arguments[i], " \t") != NULL;

		buffer_printf(out, blank ? " \"%s\"" : " %s", launch->arguments[i]);
	}
	if (strcmp(launch->host, "localhost") != 0)
		buffer_printf(out, " on %s", launch->host);
}

void launches_make(struct manager *m, const struct brain_launch *launch)
{
	struct transaction t = { 0 };
	struct buffer command;
	struct error error = { 0 };
	enum nc_err err;

	buffer_init(&command);
	print_command(launch, &command);
	if (strcmp(launch->host, "localhost") != 0) {
		err = error_set(&error, NC_ERR_INVALID,
			"launches on other hosts than localhost are not possible yet (%s)",
			launch->host);
	} else {
		log_info(m->daemon.log, "launching %s", command.data);
		err = start_runner(m, launch, &error);
	}
	if (err != NC_OK) {
		log_critical(m->daemon.log, "%s was not launched: %s", command.data, error.text);
		err = brain_launch_failed(
			m->brain, launch->id, error.text, clock_real_ns(), &t, &error);
		(void)messages_carry_out(m, err, &t, "that a launch could not be made", &error);
		if (err != NC_OK)
			recovery_soon(m);
	}
	buffer_finish(&command);
}

/* A process of another launch may have got its number: the claim tells whether the runner lives. */
void launches_end(struct manager *m, const struct brain_end *end)
{
	enum claim_state state = CLAIM_NONE;
	struct error error;

	if (end->pid <= 1)
		return;
	if (claim_look(m->daemon.config->state_directory, end->id, &state, &error) != NC_OK ||
		state != CLAIM_HELD) {
		recovery_soon(m);
		return;
	}
	log_info(m->daemon.log, "ending process %d: another launch takes its place", (int)end->pid);
	if (sys_kill((pid_t)end->pid, SIGTERM) != 0)
		log_warning(m->daemon.log, "process %d cannot be ended", (int)end->pid);
}
