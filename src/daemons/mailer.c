#include "daemons/mailer.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "core/system/log_mail.h"
#include "core/system/sys.h"

enum {
	/* After one that ended without having sent all, or could not be started. */
	AGAIN_MS = 60000,
};

static void look(void *argument);

static void look_later(struct mailer *mailer)
{
	if (mailer->timer == NULL)
		(void)loop_timer_start(
			mailer->loop, AGAIN_MS, false, look, mailer, &mailer->timer, NULL);
}

static void on_end(void *argument, pid_t pid, int status, const struct rusage *usage)
{
	struct mailer *mailer = argument;

	mailer->child = NULL;
	if (status != 0)
		look_later(mailer);
	else
		look(mailer);
}

/* Signals as a new process expects them. 0, or an errno. */
static int spawn(const struct mailer *mailer, pid_t *ret_pid)
{
	char *const argv[] = { (char *)(uintptr_t) "nowcast", (char *)(uintptr_t) "send_mail",
		mailer->file, NULL };
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int result = posix_spawnattr_init(&attributes);

	if (result != 0)
		return result;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	result = posix_spawnattr_setflags(
		&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	if (result == 0)
		result = posix_spawnattr_setsigmask(&attributes, &none);
	if (result == 0)
		result = posix_spawnattr_setsigdefault(&attributes, &all);
	if (result == 0)
		result = posix_spawn(ret_pid, "/proc/self/exe", NULL, &attributes, argv, environ);
	(void)posix_spawnattr_destroy(&attributes);
	return result;
}

static bool somebody_sends(const struct mailer *mailer)
{
	int fd = -1;
	enum nc_err err = log_mail_lock(mailer->spool, &fd, NULL);

	if (err == NC_OK)
		(void)sys_close(fd);
	return err == NC_ERR_REFUSED;
}

static void look(void *argument)
{
	struct mailer *mailer = argument;
	pid_t pid;

	mailer->timer = NULL;
	if (mailer->spool == NULL || mailer->child != NULL || log_mail_waiting(mailer->spool) == 0)
		return;
	/* Should that one end before its work is done, its own daemon or we will find what is left. */
	if (somebody_sends(mailer) || spawn(mailer, &pid) != 0 ||
		loop_child_watch(mailer->loop, pid, on_end, mailer, &mailer->child, NULL) != NC_OK)
		look_later(mailer);
}

static void on_change(void *argument, unsigned events)
{
	struct mailer *mailer = argument;
	char space[4096];

	while (sys_read(mailer->fd, space, sizeof(space)) > 0)
		continue;
	loop_timer_cancel(mailer->timer);
	look(mailer);
}

static void unwatch(struct mailer *mailer)
{
	loop_unwatch(mailer->watch);
	if (mailer->loop != NULL && mailer->fd >= 0)
		(void)sys_close(mailer->fd);
	free(mailer->file);
	free(mailer->spool);
	mailer->watch = NULL;
	mailer->fd = -1;
	mailer->file = mailer->spool = NULL;
}

enum nc_err mailer_start(
	struct mailer *mailer, struct loop *loop, const struct config *config, struct error *error)
{
	enum nc_err err;

	unwatch(mailer); /* a sender that runs goes on, and is reaped */
	if (!log_mail_is_used(config))
		return NC_OK;
	mailer->loop = loop;
	mailer->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (mailer->fd < 0)
		return error_errno(error, errno, "cannot watch for mail");
	err = log_mail_spool(config, &mailer->spool, error);
	mailer->file = strdup(config->file);
	if (err == NC_OK && mailer->file == NULL)
		err = error_nomem(error);
	if (err == NC_OK &&
		inotify_add_watch(mailer->fd, mailer->spool, IN_MOVED_TO | IN_ONLYDIR) < 0)
		err = error_errno(error, errno, "cannot watch %s for mail", mailer->spool);
	if (err == NC_OK)
		err = loop_watch(
			loop, mailer->fd, LOOP_READ, on_change, mailer, &mailer->watch, error);
	if (err == NC_OK)
		look(mailer); /* what was left by an earlier run */
	else
		unwatch(mailer);
	return err;
}

void mailer_stop(struct mailer *mailer)
{
	/* The sender that runs ends with us (PR_SET_PDEATHSIG), or with its work. */
	loop_child_unwatch(mailer->child);
	loop_timer_cancel(mailer->timer);
	unwatch(mailer);
	memset(mailer, 0, sizeof(*mailer));
}
