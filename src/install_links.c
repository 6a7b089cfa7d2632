#include "install_links.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "applets.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/system/sys.h"

struct places {
	char binary[PATH_MAX];    /* the file that this process runs */
	char directory[PATH_MAX]; /* where the links are, in its real name */
};

static int complain(const char *what, const char *path, const char *why)
{
	(void)fprintf(stderr, "nowcast: %s %s: %s\n", what, path, why);
	return EXIT_FAILED;
}

/* false: said on stderr. */
static bool find_places(const char *directory, struct places *ret_places)
{
	struct stat status;
	ssize_t len =
		readlink("/proc/self/exe", ret_places->binary, sizeof(ret_places->binary) - 1);

	if (len < 0) {
		(void)complain("cannot find out where this binary is, by", "/proc/self/exe",
			strerror(errno));
		return false;
	}
	ret_places->binary[len] = '\0';
	if (access(ret_places->binary, X_OK) < 0) {
		(void)complain("this binary is no longer", ret_places->binary, strerror(errno));
		return false;
	}
	if (realpath(directory, ret_places->directory) == NULL ||
		stat(ret_places->directory, &status) < 0) {
		(void)complain("cannot use the directory", directory, strerror(errno));
		return false;
	}
	if (!S_ISDIR(status.st_mode)) {
		(void)complain("cannot use the directory", directory, strerror(ENOTDIR));
		return false;
	}
	return true;
}

/* Is `path` a link that leads to `binary`? */
static bool leads_to(const char *path, const char *binary)
{
	char target[PATH_MAX];
	struct stat status;

	return lstat(path, &status) == 0 && S_ISLNK(status.st_mode) &&
	       realpath(path, target) != NULL && strcmp(target, binary) == 0;
}

/* Is `found` a program of others, outside of the directory of the links? */
static bool is_other_command(const char *found, const struct places *places)
{
	char *directory = path_directory(found), real[PATH_MAX];
	struct stat status;
	bool other = directory != NULL && realpath(directory, real) != NULL &&
		     strcmp(real, places->directory) != 0 && stat(found, &status) == 0 &&
		     S_ISREG(status.st_mode) && access(found, X_OK) == 0 &&
		     !leads_to(found, places->binary);

	free(directory);
	return other;
}

/* The command on PATH that a link of this name could hide; false: none. */
static bool hides(const char *name, const struct places *places, char found[PATH_MAX])
{
	const char *path = getenv("PATH");

	while (path != NULL && *path != '\0') {
		size_t len = strcspn(path, ":");
		int size = snprintf(found, PATH_MAX, "%.*s/%s", (int)len, path, name);

		path += len + (path[len] == ':');
		if (len > 0 && size > 0 && size < PATH_MAX && is_other_command(found, places))
			return true;
	}
	return false;
}

static int make_link(const char *directory, const char *name, const char *binary)
{
	char *path = path_join(directory, name);
	int status = EXIT_DONE;

	if (path == NULL)
		return complain("cannot make the link", name, strerror(ENOMEM));
	if (leads_to(path, binary))
		(void)printf("%s is there already\n", path);
	else if (symlink(binary, path) == 0)
		(void)printf("%s\n", path);
	else
		status = complain("cannot make the link", path,
			errno == EEXIST ? "something else has that name" : strerror(errno));
	free(path);
	return status;
}

static int finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return complain("cannot write to", "standard output", strerror(errno));
}

int install_links(const char *directory, bool all)
{
	struct places places;
	char found[PATH_MAX];
	size_t skipped = 0;
	int status = EXIT_DONE;

	if (!find_places(directory, &places))
		return EXIT_FAILED;
	for (size_t i = 0; i < applets_count; i++) {
		const char *name = applets[i]->name;

		if (!all && hides(name, &places, found)) {
			(void)printf("skipped %s: it would hide %s\n", name, found);
			skipped++;
		} else if (make_link(directory, name, places.binary) != EXIT_DONE) {
			status = EXIT_FAILED;
		}
	}
	if (skipped > 0)
		(void)printf("%zu skipped; --all makes %s\n", skipped,
			skipped == 1 ? "it, too" : "them, too");
	return finish(status);
}

int remove_links(const char *directory)
{
	struct places places;
	size_t removed = 0;
	int status = EXIT_DONE;

	if (!find_places(directory, &places))
		return EXIT_FAILED;
	for (size_t i = 0; i < applets_count; i++) {
		char *path = path_join(directory, applets[i]->name);

		if (path == NULL) {
			status = complain(
				"cannot remove the link", applets[i]->name, strerror(ENOMEM));
		} else if (leads_to(path, places.binary)) {
			if (sys_unlink(path) == 0) {
				(void)printf("removed %s\n", path);
				removed++;
			} else {
				status = complain("cannot remove", path, strerror(errno));
			}
		}
		free(path);
	}
	if (removed == 0 && status == EXIT_DONE)
		(void)printf("no link in %s leads to this binary\n", directory);
	return finish(status);
}
