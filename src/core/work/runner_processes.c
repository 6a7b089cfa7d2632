/* The processes below the runner: the worker, what it started, and what was adopted from it. */
#include "core/work/runner_internal.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/system/sys.h"

static void add_children_of_thread(struct pids *pids, pid_t pid, const char *thread)
{
	char path[80], *text = NULL;
	size_t size = 0;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%ld/task/%.20s/children", (long)pid, thread);
	file = fopen(path, "re");
	if (file == NULL)
		return; /* it has ended meanwhile */
	if (getdelim(&text, &size, '\0', file) > 0) {
		char *next = text;

		while (pids->count < DESCENDANTS_MOST) {
			char *end;
			long child = strtol(next, &end, 10);

			if (end == next || child <= 0)
				break;
			pids->pid[pids->count++] = (pid_t)child;
			next = end;
		}
	}
	free(text);
	(void)fclose(file);
}

/* Any thread of a process may have started some. */
static void add_children(struct pids *pids, pid_t pid)
{
	char path[40];
	const struct dirent *entry;
	DIR *tasks;

	(void)snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	tasks = opendir(path);
	if (tasks == NULL)
		return;
	while ((entry = readdir(tasks)) != NULL) {
		if (entry->d_name[0] != '.')
			add_children_of_thread(pids, pid, entry->d_name);
	}
	(void)closedir(tasks);
}

void processes_children(struct pids *pids)
{
	pids->count = 0;
	add_children(pids, getpid());
}

/* ... and all that is below them. */
static void find_descendants(struct pids *pids)
{
	processes_children(pids);
	for (size_t i = 0; i < pids->count; i++)
		add_children(pids, pids->pid[i]);
}

void processes_reap(const struct runner *r)
{
	struct pids children;

	processes_children(&children);
	for (size_t i = 0; i < children.count; i++) {
		/* The worker is the loop's to reap. It may not be there any more: no harm. */
		if (!r->running || children.pid[i] != r->pid)
			(void)waitpid(children.pid[i], NULL, WNOHANG);
	}
}

void processes_signal(const struct runner *r, int signo)
{
	struct pids pids;

	bool in_group = false;

	find_descendants(&pids);
	for (size_t i = 0; i < pids.count; i++) {
		if (r->group > 0 && getpgid(pids.pid[i]) == r->group)
			in_group =
				true; /* the group as one, so that none of it can fork in between */
		else
			(void)sys_kill(pids.pid[i], signo);
	}
	/* An empty group is not ours any more: its number may be somebody else's. */
	if (in_group)
		(void)sys_kill(-r->group, signo);
}

void process_name(pid_t pid, char *name, size_t size)
{
	char path[40], *end;
	FILE *file;

	(void)snprintf(name, size, "?");
	(void)snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return;
	if (fgets(name, (int)size, file) != NULL && (end = strchr(name, '\n')) != NULL)
		*end = '\0';
	(void)fclose(file);
}
