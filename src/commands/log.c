/*
 * nowcast log: the log of the whole system, of one daemon, or of launches, from the files; across rotation,
 * and followed as it grows.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "applets.h"
#include "commands/log_show.h"
#include "core/data/suggest.h"
#include "core/system/applet.h"
#include "core/system/clock.h"
#include "core/system/config.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/system/log_source.h"
#include "core/system/sys.h"
#include "core/work/launch_log.h"

enum {
	LINES_FIRST = 10,     /* before -f goes on */
	TAIL_BYTES = 1 << 20, /* where they are looked for */
	LOOK_MS = 250,        /* at the latest, with -f */
	ID_LEAST = 4,         /* letters of an id that name a launch */
};

static const char *const levels[] = { "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", NULL };

static const struct cli_option log_options[] = {
	{ .name = "config_file",
		.kind = CLI_KIND_TEXT,
		.optional = true,
		.help = "Path/name of YAML configuration file for NEMO nowcast; when it is absent, "
			"$NOWCAST_YAML, and without that ./nowcast.yaml" },
	{ .name = "name",
		.kind = CLI_KIND_TEXT,
		.optional = true,
		.help = "a worker (all of its launches), WORKER@latest, the beginning of the id of a "
			"launch, or a daemon; without it, the log of the system" },
	{ .name = "--follow",
		.short_name = "-f",
		.kind = CLI_KIND_FLAG,
		.help = "show the last lines, and go on with new ones as they come" },
	{ .name = "--lines",
		.short_name = "-n",
		.kind = CLI_KIND_INT,
		.least = 1,
		.most = 1000000,
		.help = "only so many lines, the last ones; with -f, 10 unless it is given" },
	{ .name = "--worker",
		.kind = CLI_KIND_TEXT,
		.help = "only lines of this logger: a worker, or a daemon" },
	{ .name = "--level",
		.kind = CLI_KIND_TEXT,
		.choices = levels,
		.help = "only lines of this level and above" },
	{ .name = "--since",
		.kind = CLI_KIND_TEXT,
		.metavar = "TIME",
		.help = "only lines from then on: 2h, 30min, 3d, or 'YYYY-MM-DD HH:MM'" },
	{ .name = "--grep",
		.kind = CLI_KIND_TEXT,
		.metavar = "TEXT",
		.help = "only lines that contain this text" },
	{ .name = "--json",
		.kind = CLI_KIND_FLAG,
		.help = "print each line as one JSON object, for programs" },
	CLI_END,
};

struct followed {
	char id[ID_TEXT_SIZE];
	struct log_source *source;
};

struct viewer {
	const struct config *config;
	struct log_show show;
	bool follow;
	int64_t since_s;             /* real time; 0: all */
	const char *worker;          /* whose launches; NULL: none */
	const char *id;              /* the beginning of the id of a launch; "": all; NULL: none */
	bool latest;                 /* only the newest one of them */
	char shown_id[ID_TEXT_SIZE]; /* the launch that was begun last */
	struct followed *followed;   /* launches that may write more */
	size_t followed_count;
	int events_fd; /* of inotify, or -1 */
};

static int fail(const char *text, int status)
{
	(void)fprintf(stderr, "nowcast log: %s\n", text);
	return status;
}

/* --- one file --- */

/* Wait until something has happened to files that are watched, or for a moment. */
static void wait_for_more(const struct viewer *viewer)
{
	struct pollfd wait = { .fd = viewer->events_fd, .events = POLLIN };
	char bytes[4096];

	if (poll(&wait, 1, LOOK_MS) <= 0)
		return;
	while (sys_read(viewer->events_fd, bytes, sizeof(bytes)) > 0)
		continue;
}

static void watch_directory(const struct viewer *viewer, const char *path)
{
	char *directory = path_directory(path);

	/* Without it we look every now and then. */
	if (directory != NULL && viewer->events_fd >= 0)
		(void)inotify_add_watch(viewer->events_fd, directory,
			IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
	free(directory);
}

/* Show what there is now. EXIT_DONE, or what went wrong has been said. */
static int show_source(struct viewer *viewer, struct log_source *source, bool to_end)
{
	struct error error;
	const char *line;
	enum nc_err err;
	size_t len;

	while ((err = log_source_next(source, to_end, &line, &len, &error)) == NC_OK &&
		!viewer->show.failed)
		log_show_line(&viewer->show, line, len);
	if (err != NC_OK && err != NC_ERR_NOT_FOUND)
		return fail(error.text, EXIT_FAILED);
	return viewer->show.failed ? EXIT_FAILED : EXIT_DONE;
}

/* --- the system --- */

static int show_file(struct viewer *viewer, const char *path)
{
	const struct log_source_from from = {
		.old_files = !viewer->follow || viewer->since_s > 0,
		.since_s = viewer->since_s,
		.last_bytes = viewer->follow && viewer->since_s == 0 ? TAIL_BYTES : 0,
	};
	struct log_source *source = NULL;
	struct error error;
	int status;

	if (log_source_create(path, &from, &source, &error) != NC_OK)
		return fail(error.text, EXIT_FAILED);
	watch_directory(viewer, path);
	status = show_source(viewer, source, !viewer->follow);
	log_show_flush(&viewer->show);
	while (viewer->follow && status == EXIT_DONE && !viewer->show.failed) {
		wait_for_more(viewer);
		status = show_source(viewer, source, false);
		log_show_flush(&viewer->show);
	}
	log_source_destroy(source);
	return viewer->show.failed ? EXIT_FAILED : status;
}

static int show_system(struct viewer *viewer)
{
	struct error error;
	char *path = NULL;
	int status;

	if (log_main_file(viewer->config, &path, &error) != NC_OK)
		return fail(error.text,
			error.code == NC_ERR_NOT_FOUND ? EXIT_NO_SUCH_THING : EXIT_BAD_CONFIG);
	status = show_file(viewer, path);
	free(path);
	return status;
}

/* --- launches --- */

static bool is_meant(const struct viewer *viewer, const struct launch_log *log)
{
	if (viewer->worker != NULL && strcmp(log->worker, viewer->worker) != 0)
		return false;
	return viewer->id == NULL || strncmp(log->id, viewer->id, strlen(viewer->id)) == 0;
}

/* The newest one, or the only one. SIZE_MAX: none. */
static size_t find_last(const struct viewer *viewer, const struct launch_logs *logs)
{
	for (size_t i = logs->count; i-- > 0;) {
		if (is_meant(viewer, &logs->items[i]))
			return i;
	}
	return SIZE_MAX;
}

static int begin_launch(struct viewer *viewer, const struct launch_log *log)
{
	const struct log_source_from from = { 0 };
	struct followed *followed =
		reallocarray(viewer->followed, viewer->followed_count + 1, sizeof(*followed));
	struct error error;

	if (followed == NULL)
		return fail("out of memory", EXIT_FAILED);
	viewer->followed = followed;
	followed += viewer->followed_count;
	if (log_source_create(log->path, &from, &followed->source, &error) != NC_OK)
		return fail(error.text, EXIT_FAILED);
	memcpy(followed->id, log->id, sizeof(followed->id));
	memcpy(viewer->shown_id, log->id, sizeof(viewer->shown_id));
	viewer->followed_count++;
	watch_directory(viewer, log->path);
	return EXIT_DONE;
}

static void end_launch(struct viewer *viewer, size_t index)
{
	log_source_destroy(viewer->followed[index].source);
	viewer->followed_count--;
	memmove(viewer->followed + index, viewer->followed + index + 1,
		(viewer->followed_count - index) * sizeof(*viewer->followed));
}

/* What each of them has by now. One that has ended is left when all of it is shown; the newest one of those
 * that may be followed by others stays. */
static int show_followed(struct viewer *viewer, bool for_ever)
{
	size_t i = 0;

	while (i < viewer->followed_count) {
		const struct followed *one = &viewer->followed[i];
		bool newest = i + 1 == viewer->followed_count;
		/* First the question, then the last look. */
		bool stays =
			viewer->follow &&
			((for_ever && newest) ||
				launch_log_is_running(viewer->config->state_directory, one->id));
		int status = show_source(viewer, one->source, !stays);

		if (status != EXIT_DONE)
			return status;
		if (stays)
			i++;
		else
			end_launch(viewer, i);
	}
	return EXIT_DONE;
}

/* Begin with those that were not there before, and show what all have. */
static int show_launches(struct viewer *viewer, const struct launch_logs *logs, bool for_ever)
{
	size_t last = find_last(viewer, logs);
	int status = EXIT_DONE;

	for (size_t i = 0; i < logs->count && status == EXIT_DONE && !viewer->show.failed; i++) {
		const struct launch_log *log = &logs->items[i];

		if (!is_meant(viewer, log) || strcmp(log->id, viewer->shown_id) <= 0 ||
			(viewer->latest && i != last))
			continue;
		status = begin_launch(viewer, log);
		if (status == EXIT_DONE)
			status = show_followed(viewer, for_ever);
	}
	return status == EXIT_DONE ? show_followed(viewer, for_ever) : status;
}

/* The launches of a worker go on for ever; one launch ends. */
static int show_worker(struct viewer *viewer)
{
	bool for_ever = viewer->follow && !viewer->latest;
	char *any = path_join(viewer->config->state_directory, STATE_LAUNCHES "/any");
	bool again;
	int status;

	if (any != NULL)
		watch_directory(viewer, any); /* where new ones come */
	free(any);
	do {
		struct launch_logs logs = { 0 };
		struct error error;

		if (launch_logs_find(viewer->config->state_directory, &logs, &error) != NC_OK)
			return fail(error.text, EXIT_FAILED);
		status = show_launches(viewer, &logs, for_ever);
		launch_logs_finish(&logs);
		log_show_flush(&viewer->show);
		again = (for_ever || viewer->followed_count > 0) && status == EXIT_DONE &&
			!viewer->show.failed;
		if (again)
			wait_for_more(viewer);
	} while (again);
	while (viewer->followed_count > 0)
		end_launch(viewer, 0);
	free(viewer->followed);
	return viewer->show.failed ? EXIT_FAILED : status;
}

/* --- what was asked for --- */

static bool is_daemon(const char *name)
{
	const struct applet *applet = applet_find(name);

	return applet != NULL && applet->kind == APPLET_DAEMON;
}

static int no_such_thing(const struct viewer *viewer, const char *name)
{
	const char *nearest;
	const char **names = calloc(viewer->config->workers_count + 1U, sizeof(*names));

	if (names == NULL)
		return fail("out of memory", EXIT_FAILED);
	for (unsigned i = 0; i < viewer->config->workers_count; i++)
		names[i] = viewer->config->workers[i].name;
	nearest = suggest(name, names, viewer->config->workers_count);
	(void)fprintf(stderr,
		"nowcast log: there is no log of %s: it is no daemon, and no worker or launch of "
		"which there is one%s%s%s\n",
		name, nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
		nearest != NULL ? "?" : "");
	free(names);
	return EXIT_NO_SUCH_THING;
}

/* Which launches are meant by `name`? EXIT_DONE: they are in `viewer`. */
static int choose_launches(struct viewer *viewer, char *name)
{
	struct launch_logs logs = { 0 };
	struct error error;
	char *at = strchr(name, '@');
	int status = EXIT_DONE;
	size_t last;

	if (at != NULL && strcmp(at, "@latest") == 0) {
		viewer->latest = true;
		*at = '\0';
	}
	if (launch_logs_find(viewer->config->state_directory, &logs, &error) != NC_OK)
		return fail(error.text, EXIT_FAILED);
	viewer->worker = name;
	last = find_last(viewer, &logs);
	if (last == SIZE_MAX && strlen(name) >= ID_LEAST) {
		viewer->worker = NULL;
		viewer->id = name;
		viewer->latest = true;
		last = find_last(viewer, &logs);
		for (size_t i = 0; i < last && last != SIZE_MAX; i++) {
			if (is_meant(viewer, &logs.items[i]))
				status = EXIT_USAGE;
		}
		if (status == EXIT_USAGE)
			(void)fprintf(stderr,
				"nowcast log: the ids of several launches begin with %s: give more "
				"of it\n",
				name);
	}
	/* A worker that was not launched yet may be waited for. */
	if (last == SIZE_MAX && config_find_worker(viewer->config, name) != NULL) {
		viewer->worker = name;
		viewer->id = NULL;
		if (viewer->follow && at == NULL)
			viewer->latest = false;
		else
			status = no_such_thing(viewer, name);
	} else if (last == SIZE_MAX) {
		status = no_such_thing(viewer, name);
	}
	launch_logs_finish(&logs);
	return status;
}

static bool read_since(const char *text, int64_t *ret_since_s)
{
	static const char *const forms[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d" };
	int64_t ms;

	if (duration_parse(text, &ms)) {
		*ret_since_s = clock_real_ns() / NS_PER_S - ms / MS_PER_S;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, forms[i], &tm);

		if (end == NULL || *end != '\0')
			continue;
		*ret_since_s = (int64_t)mktime(&tm);
		return *ret_since_s > 0;
	}
	return false;
}

static int read_options(struct viewer *viewer, const struct cli_args *args)
{
	struct log_show *show = &viewer->show;
	const char *no_colour = getenv("NO_COLOR");
	const char *level = cli_text(args, "--level");
	const char *since = cli_text(args, "--since");
	struct tm tm;
	time_t seconds;

	viewer->follow = cli_flag(args, "--follow");
	show->logger = cli_text(args, "--worker");
	show->text = cli_text(args, "--grep");
	show->json = cli_flag(args, "--json");
	show->colour = !show->json && isatty(STDOUT_FILENO) != 0 &&
		       (no_colour == NULL || *no_colour == '\0');
	show->last = (size_t)cli_int(args, "--lines");
	if (level != NULL)
		(void)log_level_parse(level, &show->level);
	if (since == NULL) {
		if (viewer->follow && show->last == 0)
			show->last = LINES_FIRST;
		return EXIT_DONE;
	}
	if (!read_since(since, &viewer->since_s))
		return fail("--since takes a time, as in 2h, 30min, 3d, or '2026-11-24 04:00'",
			EXIT_USAGE);
	seconds = (time_t)viewer->since_s;
	if (localtime_r(&seconds, &tm) == NULL ||
		strftime(show->since, sizeof(show->since), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		show->since[0] = '\0';
	return EXIT_DONE;
}

/* What was asked for, to its end. */
static int show(struct viewer *viewer, const char *name)
{
	char *copy;
	int status;

	if (name == NULL)
		return show_system(viewer);
	if (is_daemon(name)) {
		if (viewer->show.logger == NULL)
			viewer->show.logger = name;
		return show_system(viewer);
	}
	copy = strdup(name);
	if (copy == NULL)
		return fail("out of memory", EXIT_FAILED);
	status = choose_launches(viewer, copy);
	if (status == EXIT_DONE)
		status = show_worker(viewer);
	free(copy);
	return status;
}

static int run(const struct cli_args *args)
{
	const char *file = cli_text(args, "config_file");
	const char *name = cli_text(args, "name");
	struct viewer viewer = { .events_fd = -1 };
	struct config *config;
	int status;

	/* The configuration is the word that ends in `.yaml`; the name stands in front of it or behind. */
	if (file != NULL && !text_ends_in_yaml(file)) {
		const char *first = file;

		if (name != NULL && !text_ends_in_yaml(name))
			return fail("one name at a time; a configuration file ends in .yaml",
				EXIT_USAGE);
		file = name;
		name = first;
	}
	config = applet_load_config("log", applet_config_file(file), &status);
	if (config == NULL)
		return status;
	viewer.config = config;
	log_show_init(&viewer.show);
	status = read_options(&viewer, args);
	if (status == EXIT_DONE) {
		if (viewer.follow)
			viewer.events_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		status = show(&viewer, name);
	}
	if (viewer.events_fd >= 0)
		(void)sys_close(viewer.events_fd);
	log_show_finish(&viewer.show);
	config_destroy(config);
	return status;
}

static int log_run(const struct applet *self, int argc, char **argv)
{
	struct cli_args *args = NULL;
	int status = EXIT_FAILED;

	if (applet_parse(self, argc, argv, &args, &status))
		status = run(args);
	cli_args_destroy(args);
	return status;
}

const struct applet applet_log = {
	.name = "log",
	.kind = APPLET_COMMAND,
	.summary = "show the log of the system, of a daemon, or of launches",
	.description =
		"Show log lines from the files: of the whole system, of one daemon, of all "
		"launches of a worker, or of one launch (what its worker printed and logged). Old "
		"files are read too, also compressed ones.",
	.options = log_options,
	.run = log_run,
};
