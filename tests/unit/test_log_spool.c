/* core/system/log_batch, log_spool, log_ship and log_collect: from a process to the files of the aggregator */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/data/yaml.h"
#include "core/system/file.h"
#include "core/system/log_batch.h"
#include "core/system/log_collect.h"
#include "core/system/log_spool.h"

/* 2026-11-24 04:00:00.123456 UTC */
#define SOME_TIME_NS INT64_C(1795492800123456000)

struct fixture {
	char directory[64];
	struct config config;
	struct log *log;
};

static const char section[] =
	"logging:\n"
	"  aggregator:\n"
	"    version: 1\n"
	"    formatters: {f: {format: '%(message)s'}}\n"
	"    handlers:\n"
	"      all: {class: logging.FileHandler, filename: all.log, formatter: f}\n"
	"      some: {class: logging.FileHandler, filename: some.log, formatter: f, level: INFO}\n"
	"    root: {level: DEBUG, handlers: [all, some]}\n"
	"  publisher:\n"
	"    version: 1\n"
	"    handlers: {pub: {class: zmq.log.handlers.PUBHandler}}\n"
	"    root: {level: DEBUG, handlers: [pub]}\n";

static const char rolling_section[] =
	"logging:\n"
	"  aggregator:\n"
	"    version: 1\n"
	"    formatters: {f: {format: '%(message)s'}}\n"
	"    handlers:\n"
	"      all: {class: logging.handlers.RotatingFileHandler, filename: all.log, formatter: f,\n"
	"            maxBytes: 9, backupCount: 5}\n"
	"    root: {level: DEBUG, handlers: [all]}\n"
	"  publisher: {version: 1}\n";

static int set_up(void **state)
{
	const char *parent = getenv("TMPDIR");
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	(void)snprintf(f->directory, sizeof(f->directory), "%s/nowcast-spool-XXXXXX",
		parent != NULL && strlen(parent) < 40 ? parent : "/tmp");
	if (mkdtemp(f->directory) == NULL ||
		yaml_read(section, strlen(section), 0, &yaml_file_limits, &f->config.tree, NULL) !=
			NC_OK)
		return -1;
	f->config.logging = value_map_get(f->config.tree, "logging");
	f->config.directory = f->directory;
	f->config.state_directory = f->directory;
	f->config.file = strdup("nowcast.yaml");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	log_destroy(f->log);
	value_destroy(f->config.tree);
	free(f->config.file);
	if (fork() == 0) {
		execlp("rm", "rm", "-rf", "--", f->directory, (char *)NULL);
		_exit(127);
	}
	(void)wait(NULL);
	free(f);
	return 0;
}

static const char *path_of(const struct fixture *f, const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", f->directory, name);
	return path;
}

static void open_log(struct fixture *f, enum log_mode mode)
{
	struct error error;

	log_destroy(f->log);
	f->log = NULL;
	if (log_create(&f->config, "manager", mode, &f->log, &error) != NC_OK)
		fail_msg("%s", error.text);
}

static void assert_content(const struct fixture *f, const char *name, const char *expected)
{
	struct buffer text;

	buffer_init(&text);
	(void)file_read(path_of(f, name), 1 << 20, &text, NULL);
	assert_string_equal(text.data, expected);
	buffer_finish(&text);
}

/* --- records --- */

static const struct log_record some_record = {
	.logger = "sleep",
	.level = LEVEL_INFO,
	.real_ns = SOME_TIME_NS,
	.process_id = 4711,
	.host = "salish",
	.message = "caf\303\251",
};

static void a_record_is_read_as_it_was_written(void **state)
{
	struct log_record block = some_record, read;
	char bytes[512];
	uint64_t number;
	size_t size, at;

	block.keep_newlines = true;
	block.message = "a\nb";
	block.logger = "";
	at = log_batch_size(&some_record);
	assert_int_equal(at % 8, 0);
	log_batch_write(&some_record, 7, bytes);
	log_batch_write(&block, 8, bytes + at);
	assert_int_equal(log_batch_read(bytes, sizeof(bytes), &read, &number, &size, NULL), NC_OK);
	assert_int_equal(size, at);
	assert_int_equal(number, 7);
	assert_string_equal(read.logger, "sleep");
	assert_string_equal(read.host, "salish");
	assert_string_equal(read.message, some_record.message);
	assert_int_equal(read.level, LEVEL_INFO);
	assert_int_equal(read.process_id, 4711);
	assert_true(read.real_ns == SOME_TIME_NS);
	assert_false(read.keep_newlines);
	assert_int_equal(
		log_batch_read(bytes + at, sizeof(bytes) - at, &read, &number, &size, NULL), NC_OK);
	assert_int_equal(number, 8);
	assert_string_equal(read.logger, "");
	assert_string_equal(read.message, "a\nb");
	assert_true(read.keep_newlines);
}

static void what_is_no_record_is_refused(void **state)
{
	struct log_record read;
	char bytes[512], changed[512];
	size_t len = log_batch_size(&some_record), size;
	uint64_t number;

	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(
		log_batch_read(bytes, sizeof(bytes), &read, &number, &size, NULL), NC_ERR_SYNTAX);
	log_batch_write(&some_record, 7, bytes);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(
			log_batch_read(bytes, cut, &read, &number, &size, NULL), NC_ERR_LIMIT);
	/* A bit in a text or a number makes another record; in a length or an end, none. */
	for (size_t i = 0; i < len; i++) {
		memcpy(changed, bytes, sizeof(bytes));
		changed[i] = (char)(changed[i] ^ 0x80);
		if (log_batch_read(changed, len, &read, &number, &size, NULL) != NC_OK)
			continue;
		assert_int_equal(size, len);
		assert_string_not_equal(read.host, "");
	}
	bytes[len - 1] = 'x';
	assert_int_equal(log_batch_read(bytes, len, &read, &number, &size, NULL), NC_ERR_SYNTAX);
}

/* --- the spool --- */

/* The name of the N-th file of the spool, in the order of names; false: there are not so many. */
static bool spool_file(const struct fixture *f, int index, char name[256])
{
	struct dirent **entries;
	int count = scandir(path_of(f, STATE_LOG_SPOOL), &entries, NULL, alphasort);
	bool found = false;

	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.' && index-- == 0) {
			(void)snprintf(name, 256, STATE_LOG_SPOOL "/%.200s", entries[i]->d_name);
			found = true;
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return found;
}

static struct log_spool open_spool(const struct fixture *f, int index)
{
	struct log_spool spool;
	struct error error;
	char name[256];

	assert_true(spool_file(f, index, name));
	assert_true(log_spool_is_name(path_base(name)));
	if (log_spool_open(path_of(f, name), &spool, &error) != NC_OK)
		fail_msg("%s", error.text);
	return spool;
}

/* Check the numbers and texts of the records that are there: *number is the next one. */
static void read_numbered(struct log_spool *spool, uint64_t *number)
{
	struct buffer bytes;
	size_t at = 0;

	buffer_init(&bytes);
	assert_int_equal(log_spool_read(spool, 1 << 20, &bytes, NULL), NC_OK);
	while (at < bytes.len) {
		struct log_record record;
		uint64_t this_one;
		size_t size;
		char text[24];

		assert_int_equal(log_batch_read(bytes.data + at, bytes.len - at, &record, &this_one,
					 &size, NULL),
			NC_OK);
		assert_int_equal(this_one, *number);
		(void)snprintf(text, sizeof(text), "%d", (int)*number);
		assert_string_equal(record.message, text);
		assert_string_equal(record.logger, "manager");
		(*number)++;
		at += size;
	}
	buffer_finish(&bytes);
}

static void lines_outlive_a_killed_process(void **state)
{
	struct fixture *f = *state;
	struct log_spool spool;
	uint64_t number = 1;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		open_log(f, LOG_MODE_NORMAL);
		for (int i = 1; i <= 5000; i++)
			log_info(f->log, "%d", i);
		(void)kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	for (int i = 0; i < 3; i++) { /* 64, 128 and 256 kB */
		spool = open_spool(f, i);
		assert_true(spool.abandoned);
		assert_int_equal(spool.head.segment, i + 1);
		assert_int_equal(spool.head.first_number, number);
		assert_string_equal(spool.head.name, "manager");
		read_numbered(&spool, &number);
		assert_int_equal(spool.head.next_number, number);
		log_spool_close(&spool);
	}
	assert_int_equal(number, 5001);
}

static void the_owner_wakes_the_aggregator_only_when_it_sleeps(void **state)
{
	struct fixture *f = *state;
	struct log_spool spool;

	open_log(f, LOG_MODE_NORMAL);
	log_info(f->log, "1");
	spool = open_spool(f, 0);
	assert_false(spool.abandoned);
	assert_int_equal(spool.head.asleep, 0);
	assert_int_equal(spool.head.touched, 1);
	assert_int_equal(log_spool_acknowledge(&spool, spool.head.written, 2, NULL), NC_OK);
	assert_int_equal(log_spool_look(&spool, NULL), NC_OK);
	assert_int_equal(spool.head.asleep, 1);
	log_info(f->log, "2");
	assert_int_equal(log_spool_look(&spool, NULL), NC_OK);
	assert_int_equal(spool.head.asleep, 0);
	assert_int_equal(spool.head.acked_number, 2);
	assert_int_equal(spool.head.next_number, 3);
	log_destroy(f->log);
	f->log = NULL;
	assert_int_equal(log_spool_look(&spool, NULL), NC_OK);
	assert_true(spool.abandoned);
	log_spool_close(&spool);
}

static void a_fork_has_a_source_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct log_spool ours, theirs;
	pid_t pid;

	open_log(f, LOG_MODE_NORMAL);
	log_info(f->log, "1");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		log_info(f->log, "1");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	log_info(f->log, "2");
	ours = open_spool(f, 0);
	theirs = open_spool(f, 1);
	if (ours.head.process_id ==
		pid) { /* made in the same millisecond, their names are in any order */
		struct log_spool other = ours;

		ours = theirs;
		theirs = other;
	}
	assert_int_equal(ours.head.process_id, getpid());
	assert_int_equal(ours.head.next_number, 3);
	assert_false(ours.abandoned);
	assert_int_equal(theirs.head.process_id, pid);
	assert_int_equal(theirs.head.next_number, 2);
	assert_true(theirs.abandoned);
	assert_string_not_equal(ours.head.source, theirs.head.source);
	log_spool_close(&ours);
	log_spool_close(&theirs);
}

static void beyond_the_bound_lines_are_counted(void **state)
{
	struct fixture *f = *state;
	struct log_spool spool;
	char *message = malloc(100001), name[256];
	uint64_t kept = 0, bytes = 0, number = 1000;
	int files = 0;

	assert_non_null(message);
	memset(message, 'x', 100000);
	message[100000] = '\0';
	open_log(f, LOG_MODE_NORMAL);
	for (int i = 0; i < 1000; i++)
		log_line(f->log, LEVEL_INFO, "%s", message);
	free(message);
	while (spool_file(f, files, name))
		files++;
	for (int i = 0; i < files; i++) {
		struct stat status;

		spool = open_spool(f, i);
		kept += (spool.head.written - LOG_SPOOL_DATA) / 100000;
		assert_int_equal(fstat(spool.fd, &status), 0);
		bytes += (uint64_t)status.st_size;
		if (i == files - 1) {
			assert_int_equal(spool.head.next_number, 1001);
			assert_int_equal(spool.head.lost_errno, ENOBUFS);
		}
		log_spool_close(&spool);
	}
	assert_in_range(bytes, 50 << 20, 65 << 20);
	assert_in_range(kept, 500, 660);
	/* With room again, the first line that is kept has the number that tells how many are missing. */
	assert_true(spool_file(f, 0, name));
	while (spool_file(f, 0, name) && files-- > 1)
		assert_int_equal(unlink(path_of(f, name)), 0);
	/* It tries again after a while. */
	do {
		(void)poll(NULL, 0, 5);
		log_line(f->log, LEVEL_INFO, "%0100000d", 1);
		number++;
	} while (!spool_file(f, 1, name) && number < 3000);
	spool = open_spool(f, 1);
	assert_int_equal(spool.head.first_number, number);
	assert_int_equal(spool.head.next_number, number + 1);
	log_spool_close(&spool);
}

static void other_files_are_no_spool(void **state)
{
	static const char *const names[] = { "", "x.spool", "0190a6a0-0000-7000-8000-000000000001-",
		"0190a6a0-0000-7000-8000-000000000001-00001.spool",
		"0190a6a0-0000-7000-8000-000000000001-00000a.spool",
		"0190a6a0-0000-7000-8000-00000000000g-000001.spool",
		"0190a6a0-0000-7000-8000-000000000001-000001.spool.new",
		"../90a6a0-0000-7000-8000-000000000001-000001.spool" };
	struct fixture *f = *state;
	struct log_spool spool;
	struct log_spool_head head;
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_false(log_spool_is_name(names[i]));
	assert_true(log_spool_is_name("0190a6a0-0000-7000-8000-000000000001-000001.spool"));
	assert_int_equal(log_spool_open(path_of(f, "none"), &spool, NULL), NC_ERR_NOT_FOUND);
	assert_int_equal(symlink("/etc/passwd", path_of(f, "link")), 0);
	assert_int_equal(log_spool_open(path_of(f, "link"), &spool, NULL), NC_ERR_SYSTEM);
	fd = open(path_of(f, "file"), O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(log_spool_open(path_of(f, "file"), &spool, NULL), NC_ERR_SYNTAX);
	/* A head that says more than the file has. */
	memset(&head, 0, sizeof(head));
	memcpy(head.magic, LOG_SPOOL_MAGIC, 8);
	(void)snprintf(head.source, sizeof(head.source), "0190a6a0-0000-7000-8000-000000000001");
	head.size = 1 << 20;
	head.written = head.acked = LOG_SPOOL_DATA;
	assert_int_equal(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
	assert_int_equal(log_spool_open(path_of(f, "file"), &spool, NULL), NC_ERR_SYNTAX);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(log_spool_open(path_of(f, "file"), &spool, NULL), NC_OK);
	log_spool_close(&spool);
	head.written = (1 << 20) + 1;
	assert_int_equal(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
	assert_int_equal(log_spool_open(path_of(f, "file"), &spool, NULL), NC_ERR_SYNTAX);
	assert_int_equal(close(fd), 0);
}

/* --- the aggregator's files --- */

static void log_three(struct fixture *f)
{
	log_line(f->log, LEVEL_INFO, "one");
	log_line(f->log, LEVEL_DEBUG, "two");
	log_line(f->log, LEVEL_INFO, "three");
}

/* Bytes at the end of a file of the fixture, as a process that was killed has left them. */
static void append(const struct fixture *f, const char *name, const char *text, size_t len)
{
	int fd = open(path_of(f, name), O_WRONLY | O_APPEND | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(close(fd), 0);
}

static void lines_are_collected_and_then_written(void **state)
{
	struct fixture *f = *state;
	struct log_place places[LOG_PLACES_MOST];

	open_log(f, LOG_MODE_AGGREGATOR);
	log_line(f->log, LEVEL_INFO, "own");
	assert_content(f, "all.log", "");
	assert_int_equal(log_collect_write(f->log, false), LOG_COLLECTED_WRITTEN);
	assert_content(f, "all.log", "own\n");
	log_line(f->log, LEVEL_INFO, "at once");
	assert_content(f, "all.log", "own\nat once\n");
	log_collect_begin(f->log);
	log_three(f);
	assert_content(f, "all.log", "own\nat once\n");
	log_collect_places(f->log, places);
	assert_int_equal(places[0].size, 12);
	assert_int_equal(places[1].size, 12);
	assert_int_equal(places[2].inode, 0);
	assert_int_equal(log_collect_write(f->log, true), LOG_COLLECTED_WRITTEN);
	assert_content(f, "all.log", "own\nat once\none\ntwo\nthree\n");
	assert_content(f, "some.log", "own\nat once\none\nthree\n");
}

#define ALL_LINES  "one\ntwo\nthree\n"
#define SOME_LINES "one\nthree\n"

/*
 * A batch was written to so many bytes of each file when the process was killed. After the recovery each
 * line is there once, and the own lines of the new process stand behind. (In a fork: a log that is
 * destroyed would write.)
 */
static void recover(struct fixture *f, size_t all, size_t some, const char *rotated_to)
{
	struct log_place places[LOG_PLACES_MOST];
	char name[512];

	(void)unlink(path_of(f, "all.log"));
	if (rotated_to != NULL)
		(void)unlink(path_of(f, rotated_to));
	(void)unlink(path_of(f, "some.log"));
	append(f, "all.log", "old\n", 4);
	append(f, "some.log", "old\n", 4);
	open_log(f, LOG_MODE_AGGREGATOR);
	log_line(f->log, LEVEL_INFO, "own");
	log_collect_places(f->log, places); /* as of the process before */
	append(f, "all.log", ALL_LINES, all);
	append(f, "some.log", SOME_LINES, some);
	(void)snprintf(name, sizeof(name), "%s", path_of(f, "all.log"));
	if (rotated_to != NULL)
		assert_int_equal(rename(name, path_of(f, rotated_to)), 0);
	log_collect_mark(f->log);
	log_three(f);
	log_reopen(f->log);
	log_collect_recover(f->log, places);
	assert_int_equal(log_collect_write(f->log, true), LOG_COLLECTED_WRITTEN);
}

static void a_batch_under_way_is_completed(void **state)
{
	struct fixture *f = *state;

	for (size_t all = 0; all <= strlen(ALL_LINES); all++) {
		for (size_t some = 0; some <= strlen(SOME_LINES); some += 5) {
			recover(f, all, some, NULL);
			assert_content(f, "all.log", "old\n" ALL_LINES "own\n");
			assert_content(f, "some.log", "old\n" SOME_LINES "own\n");
		}
	}
}

static void a_batch_under_way_is_completed_in_the_rotated_file(void **state)
{
	struct fixture *f = *state;

	/* Also when one batch has rolled it over often. */
	static const char *const names[] = { "all.log.1", "all.log.40" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (size_t all = 0; all <= strlen(ALL_LINES); all++) {
			recover(f, all, 0, names[i]);
			assert_content(f, names[i], "old\n" ALL_LINES);
			assert_content(f, "all.log", "own\n");
			assert_content(f, "some.log", "old\n" SOME_LINES "own\n");
		}
	}
}

static void what_is_not_ours_behind_a_batch_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct log_place places[LOG_PLACES_MOST];

	append(f, "all.log", "old\n", 4);
	open_log(f, LOG_MODE_AGGREGATOR);
	log_line(f->log, LEVEL_INFO, "own");
	log_collect_places(f->log, places);
	append(f, "all.log", "one\nother words\nand ha", 22);
	log_collect_mark(f->log);
	log_three(f);
	log_collect_recover(f->log, places);
	assert_int_equal(log_collect_write(f->log, true), LOG_COLLECTED_WRITTEN);
	assert_content(f, "all.log", "old\none\nother words\nand ha\ntwo\nthree\nown\n");
}

static void a_file_that_is_removed_meanwhile_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct log_place places[LOG_PLACES_MOST];

	open_log(f, LOG_MODE_AGGREGATOR);
	assert_int_equal(log_collect_write(f->log, false), LOG_COLLECTED_WRITTEN);
	log_collect_begin(f->log);
	log_three(f);
	log_collect_places(f->log, places);
	assert_int_equal(unlink(path_of(f, "all.log")), 0);
	assert_int_equal(log_collect_write(f->log, false), LOG_COLLECTED_WRITTEN);
	assert_content(f, "all.log", ALL_LINES);
}

static void a_file_is_rolled_over_within_a_batch_at_its_size(void **state)
{
	struct fixture *f = *state;
	struct log_place places[LOG_PLACES_MOST];

	value_destroy(f->config.tree);
	assert_int_equal(yaml_read(rolling_section, strlen(rolling_section), 0, &yaml_file_limits,
				 &f->config.tree, NULL),
		NC_OK);
	f->config.logging = value_map_get(f->config.tree, "logging");
	append(f, "all.log", "old\n", 4);
	open_log(f, LOG_MODE_AGGREGATOR);
	log_three(f);
	log_collect_places(f->log, places);
	assert_int_equal(log_collect_write(f->log, false), LOG_COLLECTED_WRITTEN);
	assert_content(f, "all.log.2", "old\none\n");
	assert_content(f, "all.log.1", "two\n");
	assert_content(f, "all.log", "three\n");
	/* The process was killed behind it, before that was acknowledged. */
	open_log(f, LOG_MODE_AGGREGATOR);
	log_collect_mark(f->log);
	log_three(f);
	log_collect_recover(f->log, places);
	assert_int_equal(log_collect_write(f->log, false), LOG_COLLECTED_WRITTEN);
	assert_content(f, "all.log.2", "old\none\n");
	assert_content(f, "all.log.1", "two\n");
	assert_content(f, "all.log", "three\n");
}

static void a_full_disk_is_waited_for(void **state)
{
	struct fixture *f = *state;
	char name[512];

	(void)snprintf(name, sizeof(name), "%s", path_of(f, "all.log"));
	assert_int_equal(symlink("/dev/full", name), 0);
	open_log(f, LOG_MODE_AGGREGATOR);
	log_three(f);
	assert_int_equal(log_collect_write(f->log, false), LOG_COLLECTED_NO_ROOM);
	log_line(f->log, LEVEL_INFO, "four"); /* waits behind the others */
	assert_content(f, "some.log", SOME_LINES "four\n");
	assert_int_equal(unlink(name), 0);
	log_reopen(f->log);
	assert_int_equal(log_collect_write(f->log, false), LOG_COLLECTED_WRITTEN);
	assert_content(f, "all.log", ALL_LINES "four\n");
	assert_content(f, "some.log", SOME_LINES "four\n");
}

int main(void)
{
#define WITH_FILES(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_read_as_it_was_written),
		cmocka_unit_test(what_is_no_record_is_refused),
		WITH_FILES(lines_outlive_a_killed_process),
		WITH_FILES(the_owner_wakes_the_aggregator_only_when_it_sleeps),
		WITH_FILES(a_fork_has_a_source_of_its_own),
		WITH_FILES(beyond_the_bound_lines_are_counted),
		WITH_FILES(other_files_are_no_spool),
		WITH_FILES(lines_are_collected_and_then_written),
		WITH_FILES(a_batch_under_way_is_completed),
		WITH_FILES(a_batch_under_way_is_completed_in_the_rotated_file),
		WITH_FILES(what_is_not_ours_behind_a_batch_is_left_alone),
		WITH_FILES(a_file_that_is_removed_meanwhile_is_made_anew),
		WITH_FILES(a_file_is_rolled_over_within_a_batch_at_its_size),
		WITH_FILES(a_full_disk_is_waited_for),
	};

	return cmocka_run_group_tests_name("log_spool", tests, NULL, NULL);
}
