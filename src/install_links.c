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

static bool this_binary(char path[PATH_MAX])
{
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (len < 0) {
		(void)fprintf(stderr, "nowcast: cannot find out where this binary is: %s\n",
			strerror(errno));
		return false;
	}
	path[len] = '\0';
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

/* A command of this name on PATH that is not in `directory` and not ours; false: none. */
static bool hides(const char *name, const char *directory, const char *binary, char found[PATH_MAX])
{
	const char *path = getenv("PATH");
	char here[PATH_MAX];

	if (path == NULL || realpath(directory, here) == NULL)
		return false;
	while (*path != '\0') {
		size_t len = strcspn(path, ":");
		struct stat status;
		int size = snprintf(found, PATH_MAX, "%.*s/%s", (int)len, path, name);

		path += len + (path[len] == ':');
		if (len == 0 || size < 0 || size >= PATH_MAX)
			continue;
		if (stat(found, &status) < 0 || !S_ISREG(status.st_mode) || access(found, X_OK) < 0)
			continue;
		if (leads_to(found, binary))
			continue;
		return true;
	}
	return false;
}

static int make_link(const char *directory, const char *name, const char *binary)
{
	char *path = path_join(directory, name);
	int status = EXIT_DONE;

	if (path == NULL) {
		(void)fprintf(stderr, "nowcast: out of memory\n");
		return EXIT_FAILED;
	}
	if (leads_to(path, binary)) {
		(void)printf("%s is there\n", path);
	} else if (symlink(binary, path) == 0) {
		(void)printf("%s\n", path);
	} else {
		(void)fprintf(stderr, "nowcast: cannot make the link %s: %s\n", path,
			errno == EEXIST ? "something else has that name" : strerror(errno));
		status = EXIT_FAILED;
	}
	free(path);
	return status;
}

int install_links(const char *directory, bool all)
{
	char binary[PATH_MAX], found[PATH_MAX];
	int status = EXIT_DONE;
	size_t skipped = 0;

	if (!this_binary(binary))
		return EXIT_FAILED;
	for (size_t i = 0; i < applets_count; i++) {
		const char *name = applets[i]->name;
		int one;

		if (!all && hides(name, directory, binary, found)) {
			(void)printf("skipped %s: it would hide %s\n", name, found);
			skipped++;
			continue;
		}
		one = make_link(directory, name, binary);
		if (one != EXIT_DONE)
			status = one;
	}
	if (skipped > 0)
		(void)printf("%zu skipped; --all makes them too\n", skipped);
	return fflush(stdout) == 0 ? status : EXIT_FAILED;
}

int remove_links(const char *directory)
{
	char binary[PATH_MAX];
	int status = EXIT_DONE;

	if (!this_binary(binary))
		return EXIT_FAILED;
	for (size_t i = 0; i < applets_count; i++) {
		char *path = path_join(directory, applets[i]->name);

		if (path == NULL)
			return EXIT_FAILED;
		if (leads_to(path, binary)) {
			if (sys_unlink(path) == 0) {
				(void)printf("removed %s\n", path);
			} else {
				(void)fprintf(stderr, "nowcast: cannot remove %s: %s\n", path,
					strerror(errno));
				status = EXIT_FAILED;
			}
		}
		free(path);
	}
	return fflush(stdout) == 0 ? status : EXIT_FAILED;
}
