/* core/system/file */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/system/file.h"

static char directory[64], path[100];

/* What was synced, in its order: a file under its temporary name, one that has its name, a directory. */
static char synced[20];
static int sync_errno; /* of a directory; 0: it goes well */

int fsync(int fd)
{
	size_t count = strlen(synced);
	struct stat status, named;

	assert_int_equal(fstat(fd, &status), 0);
	if (S_ISDIR(status.st_mode)) {
		synced[count] = 'd';
		errno = sync_errno;
		return sync_errno == 0 ? (int)syscall(SYS_fsync, fd) : -1;
	}
	synced[count] = stat(path, &named) == 0 && named.st_ino == status.st_ino ? 'n' : 't';
	return (int)syscall(SYS_fsync, fd);
}

static void begin(void)
{
	snprintf(directory, sizeof(directory), "/tmp/nowcast-file-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/file", directory);
}

static void end(void)
{
	unlink(path);
	/* Fails when a temporary file was left. */
	assert_int_equal(rmdir(directory), 0);
}

static void r12_a_file_is_replaced_whole_whatever_the_umask(void **state)
{
	struct buffer text;
	struct stat status;
	mode_t before = umask(077);

	begin();
	buffer_init(&text);
	assert_int_equal(file_replace(path, "one", 3, 0664, NULL), NC_OK);
	assert_int_equal(file_replace(path, "second", 6, 0664, NULL), NC_OK);
	(void)umask(before);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0664);
	assert_int_equal(file_read(path, 100, &text, NULL), NC_OK);
	assert_string_equal(text.data, "second");
	buffer_finish(&text);
	end();
}

static void r1_the_file_is_synced_before_the_rename_and_the_directory_after_it(void **state)
{
	struct error error;

	begin();
	memset(synced, 0, sizeof(synced));
	assert_int_equal(file_replace(path, "one", 3, 0664, NULL), NC_OK);
	assert_string_equal(synced, "td");
	sync_errno = EIO;
	assert_int_equal(file_replace(path, "two", 3, 0664, &error), NC_ERR_SYSTEM);
	assert_int_equal(error.sys_errno, EIO);
	sync_errno = 0;
	/* A failed one is not tried again (promises.md, R20). */
	assert_string_equal(synced, "tdtd");
	end();
}

static void s5_a_link_is_replaced_and_not_followed(void **state)
{
	struct stat status;
	char target[120];

	begin();
	snprintf(target, sizeof(target), "%s.target", path);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600, NULL), NC_OK);
	assert_int_equal(lstat(path, &status), 0);
	assert_true(S_ISREG(status.st_mode));
	assert_int_equal(access(target, F_OK), -1);
	end();
}

static void what_cannot_be_written_says_why_and_leaves_nothing(void **state)
{
	struct error error;

	begin();
	assert_int_equal(
		file_replace("/no/such/directory/file", "x", 1, 0600, &error), NC_ERR_SYSTEM);
	assert_int_equal(error.sys_errno, ENOENT);
	/* A directory stands in the way of the rename. */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600, &error), NC_ERR_SYSTEM);
	assert_int_equal(rmdir(path), 0);
	end();
}

static void reading_tells_the_kinds_of_trouble_apart(void **state)
{
	struct buffer text;

	begin();
	buffer_init(&text);
	assert_int_equal(file_read(path, 100, &text, NULL), NC_ERR_NOT_FOUND);
	assert_int_equal(file_replace(path, "12345", 5, 0600, NULL), NC_OK);
	assert_int_equal(file_read(path, 4, &text, NULL), NC_ERR_LIMIT);
	assert_int_equal(file_read(directory, 100, &text, NULL), NC_ERR_INVALID);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_read(path, 100, &text, NULL), NC_ERR_INVALID);
	buffer_finish(&text);
	end();
}

static void paths_are_taken_apart_and_joined(void **state)
{
	char *text = path_directory("/a/b.yaml");

	assert_string_equal(text, "/a");
	free(text);
	text = path_directory("b.yaml");
	assert_string_equal(text, ".");
	free(text);
	text = path_join("/a", "b");
	assert_string_equal(text, "/a/b");
	free(text);
	text = path_join("/a", "/b");
	assert_string_equal(text, "/b");
	free(text);
	assert_string_equal(path_base("/a/b"), "b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r12_a_file_is_replaced_whole_whatever_the_umask),
		cmocka_unit_test(
			r1_the_file_is_synced_before_the_rename_and_the_directory_after_it),
		cmocka_unit_test(s5_a_link_is_replaced_and_not_followed),
		cmocka_unit_test(what_cannot_be_written_says_why_and_leaves_nothing),
		cmocka_unit_test(reading_tells_the_kinds_of_trouble_apart),
		cmocka_unit_test(paths_are_taken_apart_and_joined),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
