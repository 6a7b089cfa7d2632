#include "core/work/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/system/config.h"
#include "core/system/file.h"
#include "core/system/sys.h"
#include "core/work/state_file.h"

/* Which byte of the file each lock is of. */
enum {
	LOCK_RUNNER,
	LOCK_WORKER,
};

/* A file in the directory of claims that is there under no name, or under one that is no claim. */
struct draft {
	int fd;
	bool is_named;
	char name[600]; /* by which it can be linked */
};

/* Some file systems know no files without a name (overlayfs before Linux 6.3). A process that is killed
 * before it has taken the name away leaves an empty file that means nothing. */
static enum nc_err make_named(
	struct draft *draft, const char *directory, const char *id, struct error *error)
{
	int len = snprintf(
		draft->name, sizeof(draft->name), "%s/.%s.%ld", directory, id, (long)getpid());

	if (len < 0 || (size_t)len >= sizeof(draft->name))
		return error_set(error, NC_ERR_LIMIT, "the name is too long: %.200s", directory);
	(void)sys_unlink(draft->name); /* of a process that had this number before */
	draft->fd = sys_open(draft->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (draft->fd < 0)
		return error_errno(error, errno, "cannot create %s", draft->name);
	draft->is_named = true;
	return NC_OK;
}

static enum nc_err make_draft(struct draft *draft, const char *state_directory,
	const char *directory, const char *id, struct error *error)
{
	enum nc_err err = NC_OK;

	draft->fd = sys_open(directory, O_TMPFILE | O_RDWR, 0600);
	if (draft->fd < 0 && errno == ENOENT) {
		err = state_file_make_folder(state_directory, STATE_CLAIMS, error);
		if (err != NC_OK)
			return err;
		draft->fd = sys_open(directory, O_TMPFILE | O_RDWR, 0600);
	}
	if (draft->fd < 0 && errno == EOPNOTSUPP)
		return make_named(draft, directory, id, error);
	if (draft->fd < 0)
		return error_errno(error, errno, "cannot create a claim in %s", directory);
	(void)snprintf(draft->name, sizeof(draft->name), "/proc/self/fd/%d", draft->fd);
	return NC_OK;
}

static enum nc_err lock(int fd, short type, off_t byte, struct error *error)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return error_errno(error, errno, "cannot lock the claim of a launch");
	return NC_OK;
}

static enum nc_err is_locked(int fd, off_t byte, bool *ret_locked, struct error *error)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
	};

	/* Asks who would stand in the way of such a lock. */
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return error_errno(error, errno, "cannot look at the lock of a claim");
	*ret_locked = lock.l_type != F_UNLCK;
	return NC_OK;
}

/* It is locked before it has the name by which others look for it. */
static enum nc_err publish(const struct draft *draft, const char *path, struct error *error)
{
	enum nc_err err = lock(draft->fd, F_WRLCK, LOCK_RUNNER, error);

	if (err != NC_OK)
		return err;
	if (sys_link(draft->name, path) == 0)
		return NC_OK;
	if (errno == EEXIST)
		return error_set(error, NC_ERR_REFUSED, "the launch is claimed: %s", path);
	return error_errno(error, errno, "cannot make %s", path);
}

enum nc_err claim_take(
	const char *state_directory, const char *id, int *ret_fd, struct error *error)
{
	struct draft draft = { .fd = -1 };
	char *directory = NULL;
	struct buffer path;
	enum nc_err err;

	buffer_init(&path);
	err = state_file_path(state_directory, STATE_CLAIMS, id, &path, error);
	if (err == NC_OK && (directory = path_directory(path.data)) == NULL)
		err = error_nomem(error);
	if (err == NC_OK)
		err = make_draft(&draft, state_directory, directory, id, error);
	if (err == NC_OK)
		err = publish(&draft, path.data, error);
	if (draft.is_named)
		(void)sys_unlink(draft.name); /* left, it means nothing */
	if (err == NC_OK)
		*ret_fd = draft.fd;
	else if (draft.fd >= 0)
		(void)sys_close(draft.fd);
	free(directory);
	buffer_finish(&path);
	return err;
}

enum nc_err claim_share(int fd, int *ret_fd, struct error *error)
{
	char name[40];
	enum nc_err err;
	int shared;

	/* A new open file: what is inherited must not be the runner's own. */
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	shared = sys_open(name, O_RDONLY, 0);
	if (shared < 0)
		return error_errno(error, errno, "cannot open the claim of a launch again");
	err = lock(shared, F_RDLCK, LOCK_WORKER, error);
	if (err == NC_OK)
		*ret_fd = shared;
	else
		(void)sys_close(shared);
	return err;
}

static enum nc_err look(int fd, enum claim_state *ret_state, struct error *error)
{
	bool runner = false, worker = false;
	enum nc_err err = is_locked(fd, LOCK_RUNNER, &runner, error);

	if (err == NC_OK)
		err = is_locked(fd, LOCK_WORKER, &worker, error);
	if (err == NC_OK)
		*ret_state = runner ? CLAIM_HELD : worker ? CLAIM_ORPHANED : CLAIM_FREE;
	return err;
}

enum nc_err claim_look(const char *state_directory, const char *id, enum claim_state *ret_state,
	struct error *error)
{
	struct buffer path;
	enum nc_err err;
	int fd;

	buffer_init(&path);
	err = state_file_path(state_directory, STATE_CLAIMS, id, &path, error);
	if (err == NC_OK) {
		fd = sys_open(path.data, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
		if (fd >= 0) {
			err = look(fd, ret_state, error);
			(void)sys_close(fd);
		} else if (errno == ENOENT) {
			*ret_state = CLAIM_NONE;
		} else {
			err = error_errno(error, errno, "cannot open %s", path.data);
		}
	}
	buffer_finish(&path);
	return err;
}

enum nc_err claim_remove(const char *state_directory, const char *id, struct error *error)
{
	return state_file_remove(state_directory, STATE_CLAIMS, id, error);
}
