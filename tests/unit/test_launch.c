/*
 * core/work/launch
 *
 * The launcher starts /proc/self/exe, which is this test: called as `nowcast ...` it plays the runner, and
 * writes down what it was given.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/data/error.h"
#include "core/system/file.h"
#include "core/work/launch.h"

static const char config_text[] =
	"checklist file: checklist.yaml\n"
	"logging:\n"
	"  version: 1\n"
	"  root: {level: INFO}\n"
	"message registry:\n"
	"  manager: {ack: message acknowledged}\n"
	"  next workers module: next_workers.yaml\n"
	"  workers:\n"
	"    sleep: {checklist key: s, success: slept, failure: did not}\n";

static char directory[] = "/tmp/nowcast-test-launch-XXXXXX";

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			count++;
	}
	return count;
}

/* In the new process. */
static int be_runner(int argc, char **argv)
{
	const char *out_name = getenv("TEST_LAUNCH_OUT");
	int descriptors = count_descriptors();
	struct config *config = NULL;
	struct launch launch = { 0 };
	struct error error;
	sigset_t mask;
	enum nc_err err;
	bool closed;
	FILE *out;

	err = launch_receive(&launch, &error);
	if (err == NC_OK)
		err = launch_load_config(&launch, &config, &error);
	closed = fcntl(LAUNCH_FD, F_GETFD) < 0;
	out = out_name != NULL ? fopen(out_name, "w") : NULL;
	if (out == NULL)
		return 1;
	(void)fprintf(out, "err %d\nargv", err);
	for (int i = 0; i < argc; i++)
		(void)fprintf(out, " <%s>", argv[i]);
	(void)fprintf(out, "\n");
	if (err == NC_OK) {
		(void)fprintf(out, "id %s token %s worker %s why <%s> attempt %d by hand %d\n",
			launch.id, launch.token, launch.worker, launch.why, (int)launch.attempt,
			launch.by_hand);
		for (size_t i = 0; i < launch.arguments_count; i++)
			(void)fprintf(out, "argument <%s>\n", launch.arguments[i]);
		(void)fprintf(out, "file %s text %s\n", config->file, config->text);
		(void)fprintf(out, "state %s version %s\n", launch.state_directory, launch.version);
	}
	(void)sigprocmask(SIG_BLOCK, NULL, &mask);
	(void)fprintf(out, "TERM blocked %d PIPE ignored %d leader %d of others %s\n",
		sigismember(&mask, SIGTERM), signal(SIGPIPE, SIG_DFL) == SIG_IGN,
		getsid(0) == getpid(),
		getenv("NOWCAST_READY_FD") != NULL || getenv("NOWCAST_LAUNCH") != NULL ? "there"
										       : "absent");
	(void)fprintf(out, "descriptors %d, third closed %d\n", descriptors, closed);
	launch_finish(&launch);
	config_destroy(config);
	return fclose(out) == 0 ? 0 : 1;
}

static void make_launch(struct launch *launch, char **arguments, size_t count)
{
	*launch = (struct launch){ .arguments = arguments, .arguments_count = count, .attempt = 2 };
	launch->worker = (char *)(uintptr_t) "sleep";
	launch->why = (char *)(uintptr_t) "success of awaken";
	assert_int_equal(id_make(launch->id, NULL), NC_OK);
	assert_int_equal(token_make(launch->token, NULL), NC_OK);
}

/* Start it, wait for it, and give what it wrote down. */
static void start_and_read(const struct launch *launch, struct buffer *out)
{
	struct config config = { .text = (char *)(uintptr_t)config_text,
		.text_len = strlen(config_text),
		.state_directory = (char *)(uintptr_t) "/var/lib/state" };
	char path[80], file[80];
	struct error error = { 0 };
	int status = -1;
	pid_t pid = -1;

	(void)snprintf(path, sizeof(path), "%s/out", directory);
	(void)snprintf(file, sizeof(file), "%s/nowcast.yaml", directory);
	config.file = file;
	assert_int_equal(setenv("TEST_LAUNCH_OUT", path, 1), 0);
	assert_int_equal(setenv("NOWCAST_READY_FD", "9", 1), 0);
	assert_int_equal(setenv("NOWCAST_LAUNCH", "x", 1), 0);
	if (launcher_local.start(launcher_local.argument, launch, &config, &pid, &error) != NC_OK)
		fail_msg("%s", error.text);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(file_read(path, 1 << 20, out, NULL), NC_OK);
	assert_int_equal(unlink(path), 0);
}

static void assert_has(const struct buffer *out, const char *text)
{
	if (strstr(out->data, text) == NULL)
		fail_msg("no `%s` in:\n%s", text, out->data);
}

static void a_launch_arrives_whole(void **state)
{
	char *arguments[] = { (char *)(uintptr_t) "--sleep-time", (char *)(uintptr_t) "2 \"x\"\n\\",
		(char *)(uintptr_t) "", (char *)(uintptr_t) "\xf0\x9f\x98\x80", NULL };
	struct launch launch;
	struct buffer out;
	char expected[200];

	buffer_init(&out);
	make_launch(&launch, arguments, 4);
	start_and_read(&launch, &out);
	assert_has(&out, "err 0\n");
	(void)snprintf(expected, sizeof(expected),
		"id %s token %s worker sleep why <success of awaken> attempt 2 by hand 0\n",
		launch.id, launch.token);
	assert_has(&out, expected);
	assert_has(&out, "argument <--sleep-time>\nargument <2 \"x\"\n\\>\nargument <>\n"
			 "argument <\xf0\x9f\x98\x80>\n");
	assert_has(&out, config_text);
	assert_has(&out, "state /var/lib/state version " NOWCAST_VERSION "\n");
	(void)snprintf(expected, sizeof(expected),
		"argv <nowcast> <sleep> <%s/nowcast.yaml> <--sleep-time>", directory);
	assert_has(&out, expected);
	buffer_finish(&out);
}

static void the_new_process_starts_clean(void **state)
{
	char *arguments[] = { NULL };
	struct launch launch;
	struct buffer out;
	sigset_t block, before;
	int stray =
		open("/dev/null", O_RDONLY); /* without O_CLOEXEC, as a careless library would */

	(void)sigemptyset(&block);
	(void)sigaddset(&block, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &block, &before);
	(void)signal(SIGPIPE, SIG_IGN);
	buffer_init(&out);
	make_launch(&launch, arguments, 0);
	start_and_read(&launch, &out);
	assert_has(&out, "TERM blocked 0 PIPE ignored 0 leader 1 of others absent\n");
	assert_has(&out, "descriptors 4, third closed 1\n");
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)close(stray);
	buffer_finish(&out);
}

static void an_argument_that_is_not_utf8_is_refused(void **state)
{
	char *arguments[] = { (char *)(uintptr_t) "\xff", NULL };
	struct config config = { .text = (char *)(uintptr_t) "",
		.file = (char *)(uintptr_t) "x.yaml",
		.state_directory = (char *)(uintptr_t) "/x" };
	struct launch launch;
	pid_t pid = -1;

	make_launch(&launch, arguments, 1);
	assert_int_equal(launcher_local.start(NULL, &launch, &config, &pid, NULL), NC_ERR_INVALID);
	assert_int_equal(pid, -1);
}

/* As a daemon whose binary was replaced by an upgrade: start a launch when the file is gone. */
static int launch_without_binary(const char *binary)
{
	char *arguments[] = { NULL };
	struct launch launch;
	struct buffer out;

	if (unlink(binary) != 0)
		return 1;
	buffer_init(&out);
	make_launch(&launch, arguments, 0);
	start_and_read(&launch, &out);
	assert_has(&out, "err 0\n");
	buffer_finish(&out);
	return 0;
}

static void a_binary_that_is_gone_from_the_disk_still_launches(void **state)
{
	struct buffer binary;
	char path[80];
	int status = -1;
	pid_t pid;

	(void)snprintf(path, sizeof(path), "%s/binary", directory);
	buffer_init(&binary);
	assert_int_equal(file_read("/proc/self/exe", 256 << 20, &binary, NULL), NC_OK);
	assert_int_equal(file_replace(path, binary.data, binary.len, 0700, NULL), NC_OK);
	buffer_finish(&binary);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)execl(path, path, directory, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Run launch_receive() with `fd` as descriptor 3, in this process; what was there is put back. */
static enum nc_err receive_from(int fd)
{
	int saved = fcntl(LAUNCH_FD, F_DUPFD_CLOEXEC, 10);
	struct launch launch = { 0 };
	enum nc_err err;

	if (fd >= 0)
		assert_int_equal(dup2(fd, LAUNCH_FD), LAUNCH_FD);
	else
		(void)close(LAUNCH_FD);
	err = launch_receive(&launch, NULL);
	launch_finish(&launch);
	if (saved >= 0) {
		(void)dup2(saved, LAUNCH_FD);
		(void)close(saved);
	} else {
		(void)close(LAUNCH_FD);
	}
	return err;
}

static int memory_file(const char *text, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	if (seals != 0)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static void without_a_sealed_file_it_is_a_launch_by_hand(void **state)
{
	int sockets[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int open_file = memory_file("nowcast launch 1 00000000002\n{}", 0);
	int other = memory_file("something else that is sealed, and long enough", ALL_SEALS);

	assert_int_equal(receive_from(-1), NC_ERR_NOT_FOUND);
	assert_int_equal(receive_from(null), NC_ERR_NOT_FOUND);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(receive_from(sockets[0]), NC_ERR_NOT_FOUND);
	assert_int_equal(receive_from(open_file), NC_ERR_NOT_FOUND);
	assert_int_equal(receive_from(other), NC_ERR_NOT_FOUND);
	(void)close(null);
	(void)close(sockets[0]);
	(void)close(sockets[1]);
	(void)close(open_file);
	(void)close(other);
}

static void a_sealed_file_that_is_damaged_is_an_error_and_not_by_hand(void **state)
{
	static const char *const texts[] = {
		"nowcast launch 1 00000000002\n{}", "nowcast launch 1 99999999999\n{}",
		"nowcast launch 1 -0000000001\n{}", "nowcast launch 1 xxxxxxxxxxx\n{}",
		"nowcast launch 1 00000000003\n[1]",
		"nowcast launch 1 00000000027\n{\"id\": \"../../etc/passwd\"}  ",
		"nowcast launch 2 00000000002\n{}", /* of another version */
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		int fd = memory_file(texts[i], ALL_SEALS);
		enum nc_err err = receive_from(fd);

		assert_int_not_equal(err, NC_OK);
		assert_int_not_equal(err, NC_ERR_NOT_FOUND);
		(void)close(fd);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_launch_arrives_whole),
		cmocka_unit_test(the_new_process_starts_clean),
		cmocka_unit_test(a_binary_that_is_gone_from_the_disk_still_launches),
		cmocka_unit_test(an_argument_that_is_not_utf8_is_refused),
		cmocka_unit_test(without_a_sealed_file_it_is_a_launch_by_hand),
		cmocka_unit_test(a_sealed_file_that_is_damaged_is_an_error_and_not_by_hand),
	};
	int result;

	if (strcmp(argv[0], "nowcast") == 0)
		return be_runner(argc, argv);
	if (argc == 2 && strlen(argv[1]) < sizeof(directory)) {
		memcpy(directory, argv[1], strlen(argv[1]) + 1);
		return launch_without_binary(argv[0]);
	}
	if (mkdtemp(directory) == NULL)
		return 1;
	result = cmocka_run_group_tests_name("launch", tests, NULL, NULL);
	(void)rmdir(directory);
	return result;
}
