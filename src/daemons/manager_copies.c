/*
 * Copies of the state, every hour and when somebody asks, made in steps between the messages; and what is
 * old enough to be forgotten, a little each minute.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/system/clock.h"
#include "core/system/file.h"
#include "core/system/sys.h"
#include "core/work/claim.h"
#include "core/work/exit_record.h"
#include "daemons/manager_internal.h"

enum {
	MINUTE_MS = 60000,
	COPIES_KEPT = 48,
	STEP_PAGES = 100,
	STEP_MS = 2,
	FORGET_ROWS = 500, /* of each kind, a minute */
	CLAIMS_PER_MINUTE = 1000,
};

#define HOUR_NS            (3600 * NS_PER_S)
#define DAY_NS             (24 * HOUR_NS)
#define KEEP_MESSAGES_DAYS 7
#define KEEP_LAUNCHES_DAYS 90
#define COPIES_DIRECTORY   "backups"

struct copying {
	struct manager *manager;
	struct store_copy *copy;
	char *path;
	struct loop_timer *timer;
	copies_done_function *done;
	void *argument;
};

/* --- one copy --- */

static char *copy_name(const char *directory)
{
	time_t now = (time_t)(clock_real_ns() / NS_PER_S);
	struct tm utc;
	char name[64];

	if (gmtime_r(&now, &utc) == NULL ||
		strftime(name, sizeof(name), "state-%Y%m%dT%H%M%SZ.db", &utc) == 0)
		return NULL;
	return path_join(directory, name);
}

static void finish_copy(struct copying *copying, enum nc_err err, const struct error *error)
{
	struct manager *m = copying->manager;

	m->copying = NULL;
	loop_timer_cancel(copying->timer);
	store_copy_end(copying->copy);
	copying->done(copying->argument, err, copying->path, error);
	free(copying->path);
	free(copying);
}

static void take_step(void *argument)
{
	struct copying *copying = argument;
	struct manager *m = copying->manager;
	struct error error = { 0 };
	bool done = false;
	enum nc_err err;

	copying->timer = NULL;
	/* Nothing may be open in the state while a step reads it. */
	messages_settle(m);
	err = store_copy_step(copying->copy, STEP_PAGES, &done, &error);
	if (err == NC_OK && !done)
		err = loop_timer_start(m->daemon.loop, STEP_MS, false, take_step, copying,
			&copying->timer, &error);
	if (err != NC_OK || done)
		finish_copy(copying, err, &error);
}

enum nc_err copies_make(struct manager *m, const char *directory, copies_done_function *done,
	void *argument, struct error *error)
{
	struct copying *copying;
	enum nc_err err;

	if (m->copying != NULL)
		return error_set(error, NC_ERR_REFUSED, "another copy is being made");
	copying = calloc(1, sizeof(*copying));
	if (copying == NULL)
		return error_nomem(error);
	*copying = (struct copying){ .manager = m, .done = done, .argument = argument };
	copying->path = copy_name(directory);
	err = copying->path != NULL
		      ? store_copy_begin(m->store, copying->path, &copying->copy, error)
		      : error_nomem(error);
	if (err == NC_OK)
		err = loop_timer_start(
			m->daemon.loop, STEP_MS, false, take_step, copying, &copying->timer, error);
	if (err != NC_OK) {
		store_copy_end(copying->copy);
		free(copying->path);
		free(copying);
		return err;
	}
	m->copying = copying;
	return NC_OK;
}

/* --- every hour --- */

static int is_copy(const struct dirent *entry)
{
	return strncmp(entry->d_name, "state-", strlen("state-")) == 0 &&
	       strstr(entry->d_name, ".db") != NULL;
}

/* Their names sort by time. */
static void remove_oldest(struct manager *m, const char *directory)
{
	struct dirent **entries = NULL;
	int count = scandir(directory, &entries, is_copy, alphasort);

	for (int i = 0; i < count; i++) {
		char *path =
			i + COPIES_KEPT < count ? path_join(directory, entries[i]->d_name) : NULL;

		if (path != NULL && sys_unlink(path) != 0)
			log_warning(
				m->daemon.log, "%s cannot be removed: %s", path, strerror(errno));
		free(path);
		free(entries[i]);
	}
	free(entries);
}

static char *copies_directory(struct manager *m)
{
	return path_join(m->daemon.config->state_directory, COPIES_DIRECTORY);
}

static void hourly_done(
	void *argument, enum nc_err err, const char *path, const struct error *error)
{
	struct manager *m = argument;
	char *directory = copies_directory(m);

	if (err != NC_OK) {
		log_error(
			m->daemon.log, "the copy of the state could not be made: %s", error->text);
	} else {
		log_debug(m->daemon.log, "the state was copied to %s", path);
		if (directory != NULL)
			remove_oldest(m, directory);
	}
	free(directory);
}

static void make_hourly(struct manager *m)
{
	char *directory = copies_directory(m);
	struct error error = { 0 };

	m->next_copy_ns = clock_real_ns() + HOUR_NS;
	if (directory == NULL || (sys_mkdir(directory, 0700) != 0 && errno != EEXIST))
		log_error(m->daemon.log, "the directory for copies of the state cannot be made: %s",
			strerror(errno));
	else if (copies_make(m, directory, hourly_done, m, &error) != NC_OK)
		log_error(m->daemon.log, "the copy of the state could not be made: %s", error.text);
	free(directory);
}

/* --- what is old --- */

/* Claims and exit records stop a runner that comes late: a day after the end there is none. */
static void forget_claims(struct manager *m, int64_t now_ns)
{
	const char *state = m->daemon.config->state_directory;
	char *directory = path_join(state, "claims");
	DIR *entries = directory != NULL ? opendir(directory) : NULL;
	struct dirent *entry;
	unsigned looked = 0;

	while (entries != NULL && looked < CLAIMS_PER_MINUTE &&
		(entry = readdir(entries)) != NULL) {
		enum claim_state held = CLAIM_HELD;
		struct stat status;

		if (!id_is_valid(entry->d_name))
			continue;
		looked++;
		if (fstatat(dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
			(int64_t)status.st_mtim.tv_sec * NS_PER_S > now_ns - DAY_NS ||
			claim_look(state, entry->d_name, &held, NULL) != NC_OK ||
			held != CLAIM_FREE)
			continue;
		(void)exit_record_remove(state, entry->d_name, NULL);
		(void)claim_remove(state, entry->d_name, NULL);
	}
	if (entries != NULL)
		(void)closedir(entries);
	free(directory);
}

static void minute(void *argument)
{
	struct manager *m = argument;
	int64_t now_ns = clock_real_ns();
	const struct store_retention retention = {
		.messages_before_ns = now_ns - KEEP_MESSAGES_DAYS * DAY_NS,
		.launches_before_ns = now_ns - KEEP_LAUNCHES_DAYS * DAY_NS,
		.most = FORGET_ROWS,
	};
	struct error error = { 0 };
	size_t rows;
	enum nc_err err;

	messages_settle(m);
	err = store_forget_old(m->store, &retention, &rows, &error);
	if (err != NC_OK)
		messages_trouble(m, err, &error);
	/* Messages of workers by hand that came while nobody listened. */
	recovery_look(m);
	if (now_ns < m->next_copy_ns && m->next_copy_ns - now_ns <= HOUR_NS)
		return;
	make_hourly(m);
	forget_claims(m, now_ns);
}

bool copies_begin(struct manager *m)
{
	struct error error = { 0 };

	m->next_copy_ns = clock_real_ns() + HOUR_NS;
	if (loop_timer_start(
		    m->daemon.loop, MINUTE_MS, true, minute, m, &m->minute_timer, &error) == NC_OK)
		return true;
	log_critical(m->daemon.log, "%s", error.text);
	return false;
}

void copies_finish(struct manager *m)
{
	struct error error = { 0 };

	loop_timer_cancel(m->minute_timer);
	m->minute_timer = NULL;
	if (m->copying != NULL) {
		(void)error_set(&error, NC_ERR_CLOSED, "the manager ends");
		finish_copy(m->copying, NC_ERR_CLOSED, &error);
	}
}
