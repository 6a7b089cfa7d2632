/* Have Graphviz make the picture: a child that reads one file without a name and writes another. */
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands/graph_view.h"
#include "core/system/sys.h"

enum {
	PICTURE_MOST = 64 << 20, /* bytes; a wall-filling one has 200 kB */
	CHUNK = 64 << 10,
};

/* What the child reads, writes, and complains into. Files, not pipes: nobody waits for anybody. */
struct dot_files {
	int in, out, err;
};

static void close_files(struct dot_files *files)
{
	int *fds[] = { &files->in, &files->out, &files->err };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (*fds[i] >= 0)
			(void)sys_close(*fds[i]);
		*fds[i] = -1;
	}
}

static enum nc_err open_files(
	const struct buffer *source, struct dot_files *files, struct error *error)
{
	files->in = memfd_create("graph", MFD_CLOEXEC);
	files->out = memfd_create("picture", MFD_CLOEXEC);
	files->err = memfd_create("complaint", MFD_CLOEXEC);
	if (files->in < 0 || files->out < 0 || files->err < 0)
		return error_errno(error, errno, "no file in memory for the picture");
	if (sys_write_all(files->in, source->data, source->len) < 0 ||
		lseek(files->in, 0, SEEK_SET) < 0)
		return error_errno(error, errno, "the graph cannot be handed to `dot`");
	return NC_OK;
}

static enum nc_err read_file(int fd, struct buffer *out, struct error *error)
{
	ssize_t size = 1;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return error_errno(error, errno, "what `dot` has made cannot be read");
	while (size > 0) {
		if (out->len > PICTURE_MOST)
			return error_set(error, NC_ERR_LIMIT, "`dot` makes more than %d bytes",
				PICTURE_MOST);
		if (!buffer_reserve(out, CHUNK))
			return error_nomem(error);
		size = sys_read(fd, out->data + out->len, CHUNK);
		if (size < 0)
			return error_errno(error, errno, "what `dot` has made cannot be read");
		out->len += (size_t)size;
		out->data[out->len] = '\0';
	}
	return NC_OK;
}

static int prepare(posix_spawn_file_actions_t *actions, const struct dot_files *files)
{
	const int fds[] = { files->in, files->out, files->err };
	int code = 0;

	for (int i = 0; i < 3 && code == 0; i++)
		code = posix_spawn_file_actions_adddup2(actions, fds[i], i);
	return code;
}

/* 0, or the error number. */
static int spawn(const struct dot_files *files, pid_t *ret_pid)
{
	char dot[] = "dot", format[] = "-Tsvg";
	char *const argv[] = { dot, format, NULL };
	posix_spawn_file_actions_t actions;
	int code = posix_spawn_file_actions_init(&actions);

	if (code != 0)
		return code;
	code = prepare(&actions, files);
	if (code == 0)
		code = posix_spawnp(ret_pid, dot, &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return code;
}

static enum nc_err wait_for(pid_t pid, const struct dot_files *files, struct error *error)
{
	struct buffer said;
	struct error ignored;
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_errno(error, errno, "the end of `dot` cannot be seen");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return NC_OK;
	buffer_init(&said);
	(void)read_file(files->err, &said, &ignored);
	if (WIFSIGNALED(status))
		(void)error_set(error, NC_ERR_REFUSED,
			"`dot` was ended by signal %d; `--format dot` gives what it was to draw",
			WTERMSIG(status));
	else
		(void)error_set(error, NC_ERR_REFUSED,
			"`dot` ended with status %d and made no picture; it says: %.200s",
			WEXITSTATUS(status), said.len > 0 ? said.data : "nothing");
	buffer_finish(&said);
	return NC_ERR_REFUSED;
}

enum nc_err graph_run_dot(const struct buffer *source, struct buffer *out, struct error *error)
{
	struct dot_files files = { -1, -1, -1 };
	enum nc_err err = open_files(source, &files, error);
	pid_t pid = -1;
	int code;

	if (err == NC_OK) {
		code = spawn(&files, &pid);
		if (code == ENOENT)
			err = error_set(error, NC_ERR_NOT_FOUND,
				"the picture is laid out by the program `dot`, which is not "
				"installed; it comes with Graphviz (on Debian: apt install graphviz); "
				"`--format text` needs nothing");
		else if (code != 0)
			err = error_errno(error, code, "`dot` cannot be started");
	}
	if (err == NC_OK)
		err = wait_for(pid, &files, error);
	if (err == NC_OK)
		err = read_file(files.out, out, error);
	close_files(&files);
	return err;
}
