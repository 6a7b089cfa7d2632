/* core/system/log: formats, levels and routing, files, rotation */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/data/yaml.h"
#include "core/system/clock.h"
#include "core/system/file.h"
#include "core/system/log_internal.h"
#include "failing_malloc.h"

/* 2026-11-24 04:00:00.123456 UTC */
#define SOME_TIME_NS INT64_C(1795492800123456000)

struct fixture {
	char directory[64];
	struct config config;
	struct log *log;
};

static void set_section(struct fixture *f, const char *text)
{
	struct error error;

	value_destroy(f->config.tree);
	f->config.tree = NULL;
	if (yaml_read(text, strlen(text), 0, &yaml_file_limits, &f->config.tree, &error) != NC_OK)
		fail_msg("%u:%u: %s", error.line, error.column, error.text);
	f->config.logging = value_map_get(f->config.tree, "logging");
}

static int set_up(void **state)
{
	const char *parent = getenv("TMPDIR");
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	(void)snprintf(f->directory, sizeof(f->directory), "%s/nowcast-log-XXXXXX",
		parent != NULL && strlen(parent) < 40 ? parent : "/tmp");
	if (mkdtemp(f->directory) == NULL)
		return -1;
	f->config.directory = f->directory;
	f->config.state_directory = f->directory;
	f->config.file = strdup("nowcast.yaml");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	log_destroy(f->log);
	value_destroy(f->config.tree);
	free(f->config.file);
	(void)snprintf(command, sizeof(command), "%s", f->directory);
	if (fork() == 0) {
		execlp("rm", "rm", "-rf", "--", command, (char *)NULL);
		_exit(127);
	}
	(void)wait(NULL);
	free(f);
	return 0;
}

/* The content of a file of the fixture's directory; "" when there is none. */
static const char *content(const struct fixture *f, const char *name)
{
	static char text[65536];
	struct buffer buffer;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", f->directory, name);
	buffer_init(&buffer);
	(void)file_read(path, sizeof(text) - 1, &buffer, NULL);
	(void)snprintf(text, sizeof(text), "%s", buffer.data);
	buffer_finish(&buffer);
	return text;
}

static char *path_of(const struct fixture *f, const char *name)
{
	static char path[128];

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

static void record(struct fixture *f, const char *logger, int level, const char *message)
{
	log_record(f->log, &(struct log_record){ .logger = logger,
				   .level = level,
				   .real_ns = SOME_TIME_NS,
				   .process_id = 4711,
				   .host = "salish",
				   .message = message });
}

/* One file `log` at all levels, of a format. */
#define SECTION(format)                                                                            \
	"logging:\n"                                                                               \
	"  version: 1\n"                                                                           \
	"  formatters: {f: {format: '" format "'}}\n"                                              \
	"  handlers: {file: {class: logging.FileHandler, filename: log, formatter: f}}\n"          \
	"  root: {level: DEBUG, handlers: [file]}\n"

/* --- formats --- */

static const struct log_view some_view = {
	.logger = "make_plots",
	.level = LEVEL_WARNING,
	.real_ns = SOME_TIME_NS,
	.start_ns = SOME_TIME_NS - 1500 * NS_PER_MS,
	.process_id = 4711,
	.process_name = "manager",
	.host = "salish",
	.message = "h\303\251llo",
};

static void check_format(const char *format, const char *date_format, const char *expected)
{
	struct log_format *parsed = NULL;
	struct buffer out;
	struct error error;

	buffer_init(&out);
	if (log_format_create(format, date_format, &parsed, NULL, &error) != NC_OK)
		fail_msg("%s: %s", format, error.text);
	log_format_apply(parsed, &some_view, &out);
	assert_string_equal(out.data, expected);
	log_format_destroy(parsed);
	buffer_finish(&out);
}

static void prints_every_field(void **state)
{
	check_format(LOG_USUAL_FORMAT, NULL,
		"2026-11-24 04:00:00,123 WARNING [make_plots] h\303\251llo");
	check_format("%(logger_name)s %(process)d %(processName)s %(hostname)s %(levelno)s", NULL,
		"make_plots 4711 manager salish 30");
	check_format("%(created)f %(msecs)d %(msecs)03d %(msecs)s %(relativeCreated)d", NULL,
		"1795492800.123456 123 123 123.0 1500");
	check_format("%(asctime)s", "%d%b%y %H:%M", "24Nov26 04:00");
	check_format("100%% of %(threadName)s", NULL, "100% of MainThread");
	check_format("%(lineno)d %(filename)s", NULL, "0 -");
	check_format("", NULL, "");
}

static void widths_and_precisions_count_characters(void **state)
{
	check_format("[%(levelname)-10s]", NULL, "[WARNING   ]");
	check_format("[%(levelname)10s]", NULL, "[   WARNING]");
	check_format("[%(levelname).4s]", NULL, "[WARN]");
	check_format("[%(message)6s]", NULL, "[ h\303\251llo]");
	check_format("[%(message).2s]", NULL, "[h\303\251]");
	check_format("[%(process)8d] [%(process)-8d] [%(process)08d] [%(process)+d]", NULL,
		"[    4711] [4711    ] [00004711] [+4711]");
	check_format("[%(process)x] [%(created).1f] [%(levelno)5.1f]", NULL,
		"[1267] [1795492800.1] [ 30.0]");
}

static void a_wrong_format_is_refused_with_what_would_be_right(void **state)
{
	static const struct {
		const char *format, *words;
	} cases[] = {
		{ "%(asctme)s", "did you mean %(asctime)" },
		{ "%(nothing_like_it)s", "there are asctime" },
		{ "%(message)d", "write %(message)s" },
		{ "%(message)", "write %(message)s" },
		{ "%(process)", "write %(process)d" },
		{ "%(message", "closing parenthesis" },
		{ "%s", "%(message)s" },
		{ "100%", "%% for a percent sign" },
		{ "%(message)r", "write %(message)s" },
		{ "%(created)x", "%(created)f" },
		{ "%(message)99999999999s", "1000 characters" },
		{ "%(message)*s", "not a conversion" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct log_format *format = NULL;
		struct error error = { 0 };

		assert_int_equal(log_format_create(cases[i].format, NULL, &format, NULL, &error),
			NC_ERR_INVALID);
		assert_null(format);
		if (strstr(error.text, cases[i].words) == NULL)
			fail_msg("%s: %s", cases[i].format, error.text);
	}
}

static void check_escape(const char *text, bool keep_newlines, const char *expected)
{
	struct buffer out;

	buffer_init(&out);
	log_escape(text, keep_newlines, &out);
	assert_string_equal(out.data, expected);
	buffer_finish(&out);
}

static void control_characters_cannot_forge_a_line(void **state)
{
	check_escape("a\nb\rc\td", false, "a\\nb\\rc\td");
	check_escape("\033[2J\007\177", false, "\\x1b[2J\\x07\\x7f");
	check_escape("\302\205 \342\200\250 \342\200\251", false, "\\x85 \\u2028 \\u2029");
	check_escape("caf\303\251 \360\237\214\212", false, "caf\303\251 \360\237\214\212");
	check_escape("\377 \303( \355\240\200 \300\257 \303", false,
		"\\xff \\xc3( \\xed\\xa0\\x80 \\xc0\\xaf \\xc3");
	check_escape("\340\200\257", false, "\\xe0\\x80\\xaf"); /* an overlong slash */
	check_escape("a\nb\rc", true, "a\nb\\rc");
}

/* --- levels and routing --- */

static void levels_have_names_and_numbers(void **state)
{
	int level = -1;

	assert_true(log_level_parse("WARNING", &level));
	assert_int_equal(level, LEVEL_WARNING);
	assert_true(log_level_parse("fatal", &level));
	assert_int_equal(level, LEVEL_CRITICAL);
	assert_true(log_level_parse("100", &level));
	assert_int_equal(level, LEVEL_OFF);
	assert_false(log_level_parse("LOUD", &level));
	assert_false(log_level_parse("-1", &level));
	assert_false(log_level_parse("", &level));
	assert_string_equal(log_level_name(LEVEL_ERROR), "ERROR");
	assert_null(log_level_name(15));
}

static void loggers_rule_over_the_names_below_them(void **state)
{
	struct fixture *f = *state;

	set_section(f,
		"logging:\n"
		"  version: 1\n"
		"  formatters: {f: {format: '%(levelname)s %(name)s %(message)s'}}\n"
		"  handlers:\n"
		"    all: {class: logging.FileHandler, filename: all, formatter: f}\n"
		"    own: {class: logging.FileHandler, filename: own, formatter: f, level: ERROR}\n"
		"    off: {class: logging.FileHandler, filename: never, formatter: f, level: 100}\n"
		"  root: {level: INFO, handlers: [all, off]}\n"
		"  loggers:\n"
		"    a: {level: DEBUG, handlers: [own]}\n"
		"    a.b: {level: WARNING, propagate: false, handlers: [own]}\n"
		"    quiet: {level: ERROR}\n");
	open_log(f, LOG_MODE_NORMAL);
	record(f, "manager", LEVEL_DEBUG, "no: root is at INFO");
	record(f, "manager", LEVEL_INFO, "1");
	record(f, "a", LEVEL_DEBUG, "2");
	record(f, "a.x.y", LEVEL_DEBUG, "3");
	record(f, "a.x.y", LEVEL_ERROR, "4");
	record(f, "a.b", LEVEL_INFO, "no: a.b is at WARNING");
	record(f, "a.b.c", LEVEL_ERROR, "5");
	record(f, "ab", LEVEL_DEBUG, "no: ab is not below a");
	record(f, "quiet.one", LEVEL_WARNING, "no: quiet is at ERROR");
	record(f, "quiet.one", 45, "6");
	assert_string_equal(content(f, "all"), "INFO manager 1\nDEBUG a 2\nDEBUG a.x.y 3\n"
					       "ERROR a.x.y 4\nLevel 45 quiet.one 6\n");
	assert_string_equal(content(f, "own"), "ERROR a.x.y 4\nERROR a.b.c 5\n");
	assert_string_equal(content(f, "never"), "");
	assert_true(log_has_handlers(f->log, "a.b"));
	assert_false(log_has_handlers(f->log, "quiet"));
	assert_false(log_is_enabled(f->log, "a.b", LEVEL_INFO));
	assert_false(log_is_enabled(f->log, "a.b", LEVEL_WARNING)); /* the handler is at ERROR */
	assert_true(log_is_enabled(f->log, "a.b", LEVEL_ERROR));
	assert_true(log_is_enabled(f->log, "a", LEVEL_DEBUG)); /* by root's handler */
}

static void a_line_of_our_own_has_our_name_and_any_length(void **state)
{
	struct fixture *f = *state;
	static char longest[100000];
	struct stat status;

	memset(longest, 'x', sizeof(longest) - 1);
	set_section(f, SECTION("%(levelname)s [%(name)s] %(message)s"));
	open_log(f, LOG_MODE_NORMAL);
	log_info(f->log, "running in process %d", 4711);
	log_line(NULL, LEVEL_ERROR, "to nobody");
	assert_string_equal(content(f, "log"), "INFO [manager] running in process 4711\n");
	log_debug(f->log, "%s", longest);
	assert_int_equal(stat(path_of(f, "log"), &status), 0);
	assert_int_equal(status.st_size,
		strlen("INFO [manager] running in process 4711\nDEBUG [manager] \n") +
			sizeof(longest) - 1);
}

static void a_block_keeps_its_lines(void **state)
{
	struct fixture *f = *state;

	set_section(f, SECTION("%(message)s"));
	open_log(f, LOG_MODE_NORMAL);
	log_record(f->log, &(struct log_record){ .logger = "checklist",
				   .level = LEVEL_INFO,
				   .message = "checklist:\n  a: 1\033",
				   .keep_newlines = true });
	record(f, "checklist\nERROR", LEVEL_INFO, "one\ntwo");
	assert_string_equal(content(f, "log"), "checklist:\n  a: 1\\x1b\none\\ntwo\n");
}

static void debug_writes_to_the_console_only(void **state)
{
	struct fixture *f = *state;

	set_section(f, SECTION("%(message)s"));
	open_log(f, LOG_MODE_DEBUG);
	assert_true(log_is_enabled(f->log, "manager", LEVEL_DEBUG));
	assert_int_not_equal(access(path_of(f, "log"), F_OK), 0);
}

/* --- files --- */

static void a_new_file_has_its_mode_whatever_the_umask(void **state)
{
	struct fixture *f = *state;
	mode_t before = umask(0077);
	struct stat status;

	set_section(f, SECTION("%(message)s"));
	open_log(f, LOG_MODE_NORMAL);
	(void)umask(before);
	assert_int_equal(stat(path_of(f, "log"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0664);
}

static void what_stands_in_a_file_stays(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(file_replace(path_of(f, "log"), "old\n", 4, 0640, NULL), NC_OK);
	set_section(f, "logging:\n  version: 1\n"
		       "  handlers: {file: {class: logging.FileHandler, filename: log, mode: w}}\n"
		       "  root: {level: DEBUG, handlers: [file]}\n");
	open_log(f, LOG_MODE_NORMAL);
	record(f, "manager", LEVEL_INFO, "new");
	assert_string_equal(content(f, "log"), "old\nnew\n");
}

static void a_file_that_was_renamed_or_removed_is_made_anew(void **state)
{
	struct fixture *f = *state;
	char old_name[128];

	set_section(f, SECTION("%(message)s"));
	open_log(f, LOG_MODE_NORMAL);
	record(f, "manager", LEVEL_INFO, "1");
	(void)snprintf(old_name, sizeof(old_name), "%s", path_of(f, "log.old"));
	assert_int_equal(rename(path_of(f, "log"), old_name), 0);
	log_reopen(f->log);
	record(f, "manager", LEVEL_INFO, "2");
	assert_string_equal(content(f, "log.old"), "1\n");
	assert_string_equal(content(f, "log"), "2\n");
	/* Without being told: a line in a file that has no name any more is written again. */
	assert_int_equal(unlink(path_of(f, "log")), 0);
	record(f, "manager", LEVEL_INFO, "3");
	assert_string_equal(content(f, "log"), "3\n");
}

static void a_file_that_cannot_be_made_anew_is_written_on(void **state)
{
	struct fixture *f = *state;
	char old_name[128];

	set_section(f, SECTION("%(message)s"));
	open_log(f, LOG_MODE_NORMAL);
	(void)snprintf(old_name, sizeof(old_name), "%s", path_of(f, "log.old"));
	assert_int_equal(rename(path_of(f, "log"), old_name), 0);
	assert_int_equal(mkdir(path_of(f, "log"), 0700), 0); /* in the way */
	log_reopen(f->log);
	record(f, "manager", LEVEL_INFO, "1");
	assert_string_equal(content(f, "log.old"), "1\n");
}

static void a_full_device_is_survived_and_the_loss_counted(void **state)
{
	struct fixture *f = *state;

	set_section(f, SECTION("%(levelname)s %(message)s"));
	assert_int_equal(symlink("/dev/full", path_of(f, "log")), 0);
	open_log(f, LOG_MODE_NORMAL);
	record(f, "manager", LEVEL_INFO, "1");
	record(f, "manager", LEVEL_INFO, "2");
	assert_int_equal(unlink(path_of(f, "log")), 0);
	log_reopen(f->log);
	record(f, "manager", LEVEL_INFO, "3");
	record(f, "manager", LEVEL_INFO, "4");
	assert_string_equal(content(f, "log"),
		"INFO 3\nERROR 2 log lines could not be written here: No space left on device\n"
		"INFO 4\n");
}

static int sync_errno; /* 0: it works */

int __wrap_sys_fdatasync(int fd);
int __wrap_sys_fdatasync(int fd)
{
	(void)fd;
	errno = sync_errno;
	return sync_errno != 0 ? -1 : 0;
}

static void r15_a_sync_that_fails_is_told_once_each_time(void **state)
{
	static const char told[] =
		"ERROR log lines here may not outlive a power failure: Input/output error\n";
	struct fixture *f = *state;
	char expected[400];

	set_section(f, SECTION("%(levelname)s %(message)s"));
	open_log(f, LOG_MODE_NORMAL);
	sync_errno = EIO;
	record(f, "manager", LEVEL_INFO, "1"); /* is not synced */
	record(f, "manager", LEVEL_ERROR, "2");
	record(f, "manager", LEVEL_ERROR, "3");
	sync_errno = 0;
	record(f, "manager", LEVEL_ERROR, "4");
	sync_errno = EIO;
	record(f, "manager", LEVEL_ERROR, "5");
	sync_errno = 0;
	(void)snprintf(expected, sizeof(expected),
		"INFO 1\nERROR 2\n%sERROR 3\nERROR 4\nERROR 5\n%s", told, told);
	assert_string_equal(content(f, "log"), expected);
}

static void what_follows_a_torn_line_stands_on_a_line_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, tight;

	set_section(f, SECTION("%(message)s"));
	open_log(f, LOG_MODE_NORMAL);
	record(f, "manager", LEVEL_INFO, "123456789");
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	tight = before;
	tight.rlim_cur = 15; /* as if the disk were full then */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	record(f, "manager", LEVEL_INFO, "abcdefghi");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	record(f, "manager", LEVEL_INFO, "next");
	assert_string_equal(content(f, "log"),
		"123456789\nabcde\nnext\n"
		"1 log line could not be written here: No space left on device\n");
}

static void a_file_that_cannot_be_opened_is_named_with_its_place(void **state)
{
	struct fixture *f = *state;
	struct log *log = NULL;
	struct error error;

	set_section(f, "logging:\n  version: 1\n  handlers:\n"
		       "    file: {class: logging.FileHandler, filename: no/such/log}\n");
	assert_int_equal(
		log_create(&f->config, "manager", LOG_MODE_NORMAL, &log, &error), NC_ERR_SYSTEM);
	assert_null(log);
	assert_non_null(strstr(error.text, "nowcast.yaml:4:11: the handler file cannot open"));
	assert_non_null(strstr(error.text, "No such file or directory"));
}

/* --- the section --- */

static void check_finding(struct fixture *f, const char *section, const char *expected)
{
	struct findings findings;
	struct buffer text;
	bool found = false;

	findings_init(&findings);
	buffer_init(&text);
	set_section(f, section);
	log_check(&f->config, &findings);
	for (size_t i = 0; i < findings.count; i++) {
		finding_print(&findings.items[i], &text);
		buffer_append_char(&text, '\n');
	}
	found = strstr(text.data, expected) != NULL;
	if (!found)
		print_error("%s\nnot found in\n%s\n", expected, text.data);
	assert_true(found);
	buffer_finish(&text);
	findings_finish(&findings);
}

static void every_problem_of_the_section_is_found_with_its_place(void **state)
{
	struct fixture *f = *state;

	check_finding(f, "logging: {}\n", "1:10: error: `logging` has no version");
	check_finding(f, "logging: [1]\n", "1:10: error: `logging` must be a mapping, not a list");
	check_finding(f, "logging: {version: 2}\n", "1:20: error: the version of `logging` must");
	check_finding(f, "logging: {version: 1, handler: {}}\n",
		"1:23: warning: `logging` has no key handler; did you mean handlers?");
	check_finding(f,
		"logging:\n  version: 1\n  handlers:\n    c: {class: logging.StreamHandlr}\n",
		"4:16: error: the handler c has the class logging.StreamHandlr, which is not known "
		"here; did you mean logging.StreamHandler? [unknown-handler-class]");
	check_finding(f, "logging:\n  version: 1\n  handlers:\n    c: {class: cloud.Handler}\n",
		"there are logging.StreamHandler, .FileHandler");
	check_finding(f, "logging:\n  version: 1\n  handlers:\n    c: {level: INFO}\n",
		"4:8: error: the handler c has no class");
	check_finding(f,
		"logging:\n  version: 1\n  handlers:\n"
		"    c: {class: logging.StreamHandler, formatter: simpel}\n"
		"  formatters: {simple: {format: '%(message)s'}}\n",
		"4:50: error: the handler c names the formatter simpel, which is not under "
		"`formatters`; did you mean simple?");
	check_finding(f,
		"logging:\n  version: 1\n  formatters:\n    s:\n      format: '%(asctme)s'\n",
		"5:15: error: in the formatter s: there is no field %(asctme) in a log record; did "
		"you mean %(asctime)?");
	check_finding(f, "logging:\n  version: 1\n  root:\n    level: INF\n",
		"4:12: error: the level of `root` is INF: did you mean INFO");
	check_finding(f,
		"logging:\n  version: 1\n  root:\n    handlers: [consol]\n"
		"  handlers: {console: {class: logging.StreamHandler}}\n",
		"4:16: error: `root` names the handler consol, which is not under `handlers`; did "
		"you mean console?");
	check_finding(f,
		"logging:\n  version: 1\n"
		"  handlers: {c: {class: logging.StreamHandler, stream: ext://sys.stdin}}\n",
		"3:56: error: the stream of the handler c is ext://sys.stdin");
	check_finding(f, "logging:\n  version: 1\n  handlers: {c: {class: logging.FileHandler}}\n",
		"3:17: error: the handler c has no file");
	check_finding(f,
		"logging:\n  version: 1\n  handlers:\n"
		"    c: {class: logging.handlers.RotatingFileHandler, filename: f, backupCount: "
		"x}\n",
		"4:80: error: backupCount of the handler c must be a whole number");
	check_finding(f,
		"logging:\n  version: 1\n  filters: {work: {name: worker}}\n"
		"  root: {filters: [wrk]}\n",
		"4:20: error: `root` names the filter wrk, which is not under `filters`; did you "
		"mean work?");
	check_finding(f, "logging:\n  version: 1\n  root: {filters: work}\n",
		"3:19: error: `filters` of `root` must be a list of names, not a text");
	check_finding(f, "logging:\n  version: 1\n  filters: {f: {'()': my.filter}}\n",
		"3:23: error: the filter f is made by a Python function");
	check_finding(f, "logging:\n  aggregator: {version: 1}\n",
		"2:3: error: `logging` has a part `aggregator`, so it needs a part `publisher`");
	check_finding(f, "logging:\n  version: 1\n  loggers: {a: {propagate: 'maybe'}}\n",
		"3:28: error: propagate of the logger a must be true or false, not a text");
	check_finding(f, "logging:\n  version: 1\n  formatters: {f: {format: [x]}}\n",
		"3:28: error: format of the formatter f must be a text, not a list [wrong-kind]");
	check_finding(f, "logging:\n  version: 1\n  formatters: {f: {'()': my.factory}}\n",
		"3:26: error: the formatter f is made by a Python function");
	check_finding(f, "logging:\n  version: 1\n  formatters: {f: {class: my.Formatter}}\n",
		"3:27: error: the formatter f is of the Python class my.Formatter");
	check_finding(f, "logging:\n  version: 1\n  formatters: {f: {style: '{'}}\n",
		"3:27: error: the style of the formatter f is not `%`");
	check_finding(f, "logging:\n  version: 1\n  formatters: {f: {format: '%(lineno)d'}}\n",
		"3:28: warning: in the formatter f: %(lineno) is known to Python programs only");
	check_finding(f, "logging:\n  version: 1\n  handlers: {h: {'()': my.Handler}}\n",
		"3:24: error: the handler h is made by a Python function");
	check_finding(f, "logging:\n  version: 1\n  handlers: {h: }\n",
		"error: the handler h is empty; give its `class:`");
	check_finding(f, "logging:\n  version: 1\n  handlers: {h: {class: [x]}}\n",
		"3:25: error: class of the handler h must be a text, not a list");
	check_finding(f, "logging:\n  version: 1\n  root: {handlers: console}\n",
		"3:20: error: `handlers` of `root` must be a list of names, as in [console], not");
	check_finding(f, "logging:\n  version: 1\n  root: {handlers: [[a]]}\n",
		"3:21: error: `handlers` of `root` must be a list of names");
	check_finding(f, "logging:\n  version: 1\n  root: {level: [DEBUG]}\n",
		"3:17: error: the level of `root` must be a name or a number");
	check_finding(f, "logging:\n  version: 1\n  incremental: true\n",
		"3:16: error: `incremental: true` is not supported");
	check_finding(f, "logging:\n  version: 1\n  loggers: [a]\n",
		"3:12: error: `loggers` must be a mapping, not a list");
}

static void what_has_no_effect_is_said(void **state)
{
	struct fixture *f = *state;

#define HANDLER(class, more)                                                                       \
	"logging:\n  version: 1\n  handlers:\n    h: {class: " class ", " more "}\n"
	check_finding(f, HANDLER("logging.FileHandler", "filename: f, mode: w"),
		"4:56: warning: `mode: w` of the handler h has no effect");
	check_finding(f, HANDLER("logging.FileHandler", "filename: f, encoding: latin-1"),
		"4:60: warning: `encoding: latin-1` of the handler h has no effect");
	check_finding(f, HANDLER("logging.handlers.RotatingFileHandler", "filename: f"),
		"4:8: note: the handler h has no `backupCount`: its file is never rotated");
	check_finding(f, HANDLER("nowcast.JsonFile", "filename: f, formatter: x"),
		"the formatter of the handler h has no effect");
	check_finding(f,
		HANDLER("logging.handlers.TimedRotatingFileHandler",
			"filename: f, when: H, atTime: '04:00'"),
		"`atTime` of the handler h has an effect only with `when: midnight`");
	check_finding(f, HANDLER("nowcast.Journal", "address: no/journal"),
		"4:8: note: the handler h writes to the journal, which is not there");
	check_finding(f,
		HANDLER("logging.handlers.SMTPHandler",
			"mailhost: h, fromaddr: a@b, toaddrs: a@b, subject: s, credentials: [u, p]"),
		"the password of the handler h is sent without encryption");
	check_finding(f, HANDLER("logging.StreamHandler", "level: INFO"),
		"4:5: note: no logger uses the handler h");
	check_finding(f, HANDLER("zmq.log.handlers.PUBHandler", "level: INFO"),
		"4:8: warning: the handler h sends lines to the log aggregator, but `logging` has "
		"no");
	check_finding(f,
		"logging:\n  publisher: {version: 1}\n  aggregator:\n    version: 1\n    "
		"handlers:\n"
		"      h: {class: zmq.log.handlers.PUBHandler}\n",
		"6:10: warning: the handler h sends lines to the log aggregator, which has them");
}

static void wrong_keys_of_handlers_are_named(void **state)
{
	struct fixture *f = *state;

#define ROTATING "logging.handlers.RotatingFileHandler"
#define TIMED    "logging.handlers.TimedRotatingFileHandler"
#define SYSLOG   "logging.handlers.SysLogHandler"
#define SMTP     "logging.handlers.SMTPHandler"
#define MAIL     "mailhost: h, fromaddr: a@b, toaddrs: a@b, subject: s"
	check_finding(f, HANDLER(ROTATING, "filename: f, backupCount: 1, maxBytes: 10 parsecs"),
		"maxBytes of the handler h must be a size, as in 500 kB, 100 MB");
	check_finding(f, HANDLER(TIMED, "filename: f, when: fortnight"),
		"`when` of the handler h is fortnight; it can be S, M, H, D, midnight, or W0");
	check_finding(f, HANDLER(TIMED, "filename: f, when: W7"), "`when` of the handler h is W7");
	check_finding(f, HANDLER(TIMED, "filename: f, interval: 0"),
		"the interval of the handler h must be a number from 1 to 10000");
	check_finding(f, HANDLER(TIMED, "filename: f, when: midnight, atTime: '24:00'"),
		"`atTime` of the handler h must be a time of day in quotes");
	check_finding(f, HANDLER(SYSLOG, "facility: lokal0"),
		"the facility of the handler h is lokal0: did you mean local0?");
	check_finding(f, HANDLER(SYSLOG, "facility: 128"),
		"facility of the handler h must be a text, not an integer");
	check_finding(f, HANDLER(SYSLOG, "address: [localhost]"),
		"`address` of the handler h must be a host, or a host and a port");
	check_finding(f, HANDLER(SYSLOG, "address: [localhost, 70000]"), "must be a host, or");
	check_finding(f, HANDLER(SYSLOG, "socktype: 'ext://socket.SOCK_STREAM'"),
		"the socktype ext://socket.SOCK_STREAM of the handler h is not supported");
	check_finding(f, HANDLER(SMTP, "fromaddr: a@b, toaddrs: a@b, subject: s"),
		"the handler h has no `mailhost`; give it");
	check_finding(f, HANDLER(SMTP, "mailhost: 'h/x', fromaddr: a@b, toaddrs: a@b, subject: s"),
		"`mailhost` of the handler h must be a host");
	check_finding(f, HANDLER(SMTP, "mailhost: h, fromaddr: a@b, subject: s"),
		"the handler h has nobody to send to");
	check_finding(f,
		HANDLER(SMTP, "mailhost: h, fromaddr: a@b, toaddrs: ['x y', ''], subject: s"),
		"`toaddrs` of the handler h must be addresses");
	check_finding(f, HANDLER(SMTP, "mailhost: h, fromaddr: 'a b', toaddrs: a@b, subject: s"),
		"`fromaddr` of the handler h must be an address");
	check_finding(f,
		HANDLER(SMTP, "mailhost: h, fromaddr: a@b, toaddrs: a@b, subject: \"a\\nb\""),
		"`subject` of the handler h must be one line");
	check_finding(f, HANDLER(SMTP, MAIL ", credentials: [user]"),
		"`credentials` of the handler h must be a list of a user and a password");
	check_finding(f, HANDLER(SMTP, MAIL ", credentials: [u, p], secure: [key.pem]"),
		"a key or certificate of our own in `secure` of the handler h is not supported");
	check_finding(f, HANDLER(SMTP, MAIL ", timeout: soon"),
		"timeout of the handler h must be a number of seconds");
}

/* R21: a section is read whole, or memory is said to be out. */
static void no_failed_allocation_is_taken_for_a_section(void **state)
{
	struct fixture *f = *state;
	bool failed = FAILING_MALLOC;
	long said = 0;

	set_section(f, "logging:\n"
		       "  version: 1\n"
		       "  formatters: {f: {format: '%(asctime)s %(message)s', datefmt: '%Y'}}\n"
		       "  filters: {work: {name: worker}}\n"
		       "  handlers:\n"
		       "    a: {class: logging.StreamHandler, formatter: f, filters: [work]}\n"
		       "    b: {class: " ROTATING ", filename: b, maxBytes: 1 MB, backupCount: 2}\n"
		       "    c: {class: " TIMED ", filename: c, when: midnight}\n"
		       "    d: {class: nowcast.JsonFile, filename: d, backupCount: 1}\n"
		       "    e: {class: " SYSLOG ", address: [localhost, 514]}\n"
		       "    g: {class: nowcast.Journal}\n"
		       "    h: {class: " SMTP ", " MAIL ", credentials: [u, p]}\n"
		       "  loggers: {x: {handlers: [a, b], filters: [work]}}\n"
		       "  root: {level: DEBUG, handlers: [a, b, c, d, e, g, h]}\n");
	for (long nth = 1; failed; nth++) {
		struct log_setup *setup = NULL;
		struct error error;
		enum nc_err err;

		memory_fail_at(nth);
		err = log_setup_load(&f->config, LOG_MODE_NORMAL, &setup, &error);
		failed = memory_has_failed();
		if (err != NC_OK && err != NC_ERR_NOMEM)
			fail_msg("allocation %ld failed: %s", nth, error.text);
		if (err == NC_OK && (setup->handlers_count != 7 || setup->loggers_count != 2))
			fail_msg("allocation %ld failed: a part of the section", nth);
		said += err == NC_ERR_NOMEM;
		log_setup_destroy(setup);
		if (memory_outstanding() != 0)
			fail_msg("allocation %ld failed, and %ld were not freed", nth,
				memory_outstanding());
	}
	assert_true(said > 50 || !FAILING_MALLOC);
}

/* --- filters, forms, secrets --- */

static void filters_let_loggers_pass_by_name(void **state)
{
	struct fixture *f = *state;

	set_section(f,
		"logging:\n"
		"  version: 1\n"
		"  filters: {work: {name: worker}, all: {}}\n"
		"  handlers:\n"
		"    own: {class: logging.FileHandler, filename: own, filters: [work, all]}\n"
		"    all: {class: logging.FileHandler, filename: all}\n"
		"  root: {level: DEBUG, handlers: [own, all]}\n"
		"  loggers: {manager: {filters: [work]}}\n");
	open_log(f, LOG_MODE_NORMAL);
	record(f, "worker", LEVEL_INFO, "1");
	record(f, "worker.sleep", LEVEL_INFO, "2");
	record(f, "workers", LEVEL_INFO, "3");
	record(f, "manager", LEVEL_INFO, "no: its own filter");
	record(f, "manager.part", LEVEL_INFO, "4");
	assert_string_equal(content(f, "own"), "1\n2\n");
	assert_string_equal(content(f, "all"), "1\n2\n3\n4\n");
}

static void a_json_file_has_one_object_a_line(void **state)
{
	struct fixture *f = *state;

	set_section(f, "logging:\n"
		       "  version: 1\n"
		       "  handlers: {j: {class: nowcast.JsonFile, filename: log, backupCount: 7}}\n"
		       "  root: {level: DEBUG, handlers: [j]}\n");
	open_log(f, LOG_MODE_NORMAL);
	record(f, "make_plots", 15, "say \"hi\" \\ \n\033 h\303\251 \377\342\200\250");
	assert_string_equal(content(f, "log"),
		"{\"time\": \"2026-11-24T04:00:00.123456+00:00\", \"level\": \"Level 15\", "
		"\"logger\": \"make_plots\", "
		"\"message\": \"say \\\"hi\\\" \\\\ \\n\\u001b h\303\251 \\ufffd\\u2028\", "
		"\"process\": 4711, \"host\": \"salish\"}\n");
}

/* S4 */
static void a_secret_is_in_no_line(void **state)
{
	struct fixture *f = *state;
	struct buffer out;

	assert_int_equal(setenv("SOME_API_TOKEN", "tok\\en\tvalue", 1), 0);
	set_section(f, SECTION("%(message)s"));
	open_log(f, LOG_MODE_NORMAL);
	log_info(f->log, "with tok\\en\tvalue, and again tok\\en\tvalue");
	log_info(f->log, "without");
	assert_string_equal(content(f, "log"), "with ***, and again ***\nwithout\n");
	buffer_init(&out);
	secrets_mask(log_secrets(f->log), "a status: tok\\en\tvalue", &out);
	assert_string_equal(out.data, "a status: ***");
	buffer_finish(&out);
	assert_null(log_secrets(NULL));
	assert_int_equal(unsetenv("SOME_API_TOKEN"), 0);
}

/* --- files that are rolled over by their writers --- */

static void put(const struct fixture *f, const char *name, const char *text)
{
	assert_int_equal(file_replace(path_of(f, name), text, strlen(text), 0640, NULL), NC_OK);
}

static void a_file_is_rolled_over_at_its_size(void **state)
{
	struct fixture *f = *state;

	set_section(f,
		"logging:\n"
		"  version: 1\n"
		"  handlers: {r: {class: logging.handlers.RotatingFileHandler, filename: log,\n"
		"                 maxBytes: 20 B, backupCount: 2}}\n"
		"  root: {level: DEBUG, handlers: [r]}\n");
	open_log(f, LOG_MODE_NORMAL);
	record(f, "m", LEVEL_INFO, "longer than a file may be");
	record(f, "m", LEVEL_INFO, "123456789");
	record(f, "m", LEVEL_INFO, "abcdefgh");
	assert_string_equal(content(f, "log.1"), "longer than a file may be\n");
	assert_string_equal(content(f, "log"), "123456789\nabcdefgh\n");
	record(f, "m", LEVEL_INFO, "x");
	record(f, "m", LEVEL_INFO, "1234567890123456789");
	assert_string_equal(content(f, "log"), "1234567890123456789\n");
	assert_string_equal(content(f, "log.1"), "x\n");
	assert_string_equal(content(f, "log.2"), "123456789\nabcdefgh\n");
	assert_int_not_equal(access(path_of(f, "log.3"), F_OK), 0);
}

static void a_file_that_cannot_be_rolled_over_goes_on_and_says_so_once(void **state)
{
	struct fixture *f = *state;

	set_section(f,
		"logging:\n"
		"  version: 1\n"
		"  handlers: {r: {class: logging.handlers.RotatingFileHandler, filename: log,\n"
		"                 maxBytes: 10, backupCount: 1}}\n"
		"  root: {level: DEBUG, handlers: [r]}\n");
	assert_int_equal(mkdir(path_of(f, "log.1"), 0700), 0);
	open_log(f, LOG_MODE_NORMAL);
	record(f, "m", LEVEL_INFO, "123456789");
	record(f, "m", LEVEL_INFO, "abcdefghi");
	record(f, "m", LEVEL_INFO, "last");
	assert_non_null(strstr(content(f, "log"),
		"123456789\nabcdefghi\n"
		"the log file could not be rolled over, and goes on: cannot rename "));
	assert_non_null(strstr(content(f, "log"), "Is a directory\nlast\n"));
}

/* 2026-11-24 04:00:00 UTC, a Tuesday */
#define TUESDAY_S (SOME_TIME_NS / NS_PER_S)

static void a_time_to_roll_over_is_found(void **state)
{
	struct log_when when = { .kind = WHEN_INTERVAL, .interval_s = 3600 };

	assert_int_equal(log_when_next(&when, TUESDAY_S), TUESDAY_S + 3600);
	when = (struct log_when){ .kind = WHEN_DAILY, .days = 1, .at_s = 86400, .utc = true };
	assert_int_equal(log_when_next(&when, TUESDAY_S), TUESDAY_S + INT64_C(20) * 3600);
	assert_int_equal(log_when_next(&when, TUESDAY_S + INT64_C(20) * 3600),
		TUESDAY_S + INT64_C(44) * 3600);
	when.at_s = 4 * 3600;
	assert_int_equal(log_when_next(&when, TUESDAY_S - 1), TUESDAY_S);
	assert_int_equal(log_when_next(&when, TUESDAY_S), TUESDAY_S + 86400);
	when.days = 3;
	assert_int_equal(log_when_next(&when, TUESDAY_S), TUESDAY_S + 3 * 86400);
	/* W1 ends with Tuesday, W0 with the Monday after it. */
	when = (struct log_when){ .kind = WHEN_WEEKLY, .days = 7, .weekday = 1, .at_s = 86400 };
	assert_int_equal(log_when_next(&when, TUESDAY_S), TUESDAY_S + INT64_C(20) * 3600);
	when.weekday = 0;
	assert_int_equal(
		log_when_next(&when, TUESDAY_S), TUESDAY_S + INT64_C(20) * 3600 + 6 * 86400);
	when.weekday = 1;
	when.at_s = 3 * 3600;
	assert_int_equal(log_when_next(&when, TUESDAY_S), TUESDAY_S - 3600 + 7 * 86400);
}

static void midnight_is_midnight_when_the_clocks_change(void **state)
{
	/* 2026-03-08 00:00 in Vancouver; that day has 23 hours. */
	const int64_t day_s = 1772956800;
	const struct log_when when = { .kind = WHEN_DAILY, .days = 1, .at_s = 86400 };

	assert_int_equal(setenv("TZ", "America/Vancouver", 1), 0);
	tzset();
	assert_int_equal(log_when_next(&when, day_s + 60), day_s + INT64_C(23) * 3600);
	assert_int_equal(log_when_next(&when, day_s - 60), day_s);
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
}

static void age(const struct fixture *f, const char *name, int64_t real_s)
{
	const struct timespec times[2] = { { .tv_sec = real_s }, { .tv_sec = real_s } };

	assert_int_equal(utimensat(AT_FDCWD, path_of(f, name), times, 0), 0);
}

static void a_file_is_rolled_over_at_its_time_under_its_name(void **state)
{
	struct fixture *f = *state;

	set_section(f,
		"logging:\n"
		"  version: 1\n"
		"  handlers: {t: {class: logging.handlers.TimedRotatingFileHandler,\n"
		"                 filename: log, when: midnight, utc: true, backupCount: 2}}\n"
		"  root: {level: DEBUG, handlers: [t]}\n");
	put(f, "log", "of Tuesday\n");
	put(f, "log.2026-11-22", "of Sunday\n");
	put(f, "log.2026-11-23.1", "of Monday\n");
	put(f, "log.2026-11-2x", "something else\n");
	age(f, "log", TUESDAY_S);
	open_log(f, LOG_MODE_NORMAL);
	record(f, "m", LEVEL_INFO, "of today");
	record(f, "m", LEVEL_INFO, "too");
	assert_string_equal(content(f, "log"), "of today\ntoo\n");
	assert_string_equal(content(f, "log.2026-11-24"), "of Tuesday\n");
	assert_string_equal(content(f, "log.2026-11-23.1"), "of Monday\n");
	assert_string_equal(content(f, "log.2026-11-2x"), "something else\n");
	assert_int_not_equal(access(path_of(f, "log.2026-11-22"), F_OK), 0);
	/* Python would remove the file of that name. */
	age(f, "log", TUESDAY_S);
	open_log(f, LOG_MODE_NORMAL);
	record(f, "m", LEVEL_INFO, "more");
	assert_string_equal(content(f, "log.2026-11-24"), "of Tuesday\n");
	assert_string_equal(content(f, "log.2026-11-24.1"), "of today\ntoo\n");
	assert_int_not_equal(access(path_of(f, "log.2026-11-23.1"), F_OK), 0);
}

enum {
	ROLL_WRITERS = 4,
	ROLL_LINES = 2000,
};

static void write_rolling(struct fixture *f, int writer)
{
	open_log(f, LOG_MODE_NORMAL);
	for (int i = 0; i < ROLL_LINES; i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "%d %d", writer, i);
		record(f, "m", LEVEL_INFO, text);
	}
}

/* R15, R16: several processes write a file and roll it over. */
static void writers_that_roll_over_lose_no_line(void **state)
{
	struct fixture *f = *state;
	static unsigned char seen[ROLL_WRITERS][ROLL_LINES];
	int files = 0;

	set_section(f,
		"logging:\n"
		"  version: 1\n"
		"  handlers: {r: {class: logging.handlers.RotatingFileHandler, filename: log,\n"
		"                 maxBytes: 1 kB, backupCount: 1000}}\n"
		"  root: {level: DEBUG, handlers: [r]}\n");
	memset(seen, 0, sizeof(seen));
	for (int writer = 0; writer < ROLL_WRITERS; writer++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			write_rolling(f, writer);
			_exit(0);
		}
	}
	for (int writer = 0; writer < ROLL_WRITERS; writer++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	for (;; files++) {
		char name[32];
		char *text, *line;

		(void)snprintf(name, sizeof(name), files > 0 ? "log.%d" : "log", files);
		text = strdup(content(f, name));
		assert_non_null(text);
		if (*text == '\0' && files > 0) {
			free(text);
			break;
		}
		for (char *rest = text; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
			int writer = -1, number = -1;

			assert_int_equal(sscanf(line, "%d %d", &writer, &number), 2);
			assert_in_range(writer, 0, ROLL_WRITERS - 1);
			assert_in_range(number, 0, ROLL_LINES - 1);
			seen[writer][number]++;
		}
		free(text);
	}
	assert_true(files > 20);
	for (int writer = 0; writer < ROLL_WRITERS; writer++) {
		for (int i = 0; i < ROLL_LINES; i++)
			assert_int_equal(seen[writer][i], 1);
	}
}

/* --- rotation --- */

static void rotation_keeps_so_many_files(void **state)
{
	struct fixture *f = *state;
	struct stat status;

	for (int i = 1; i <= 4; i++) {
		char text[8];

		(void)snprintf(text, sizeof(text), "%d", i);
		put(f, "log", text);
		assert_int_equal(log_file_rotate(path_of(f, "log"), 2, NULL), NC_OK);
	}
	assert_string_equal(content(f, "log"), "");
	assert_string_equal(content(f, "log.1"), "4");
	assert_string_equal(content(f, "log.2"), "3");
	assert_int_not_equal(access(path_of(f, "log.3"), F_OK), 0);
	assert_int_equal(stat(path_of(f, "log"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0664);
}

static void rotation_after_a_kill_half_way_loses_no_file(void **state)
{
	struct fixture *f = *state;

	/* What stands between two renames: log.1 is log.2 already, log is still log. */
	put(f, "log", "new");
	put(f, "log.2", "1");
	put(f, "log.3", "2");
	assert_int_equal(log_file_rotate(path_of(f, "log"), 3, NULL), NC_OK);
	assert_string_equal(content(f, "log.1"), "new");
	assert_string_equal(content(f, "log.2"), "1");
	assert_string_equal(content(f, "log.3"), "2");
}

static void rotation_of_what_is_no_file_is_refused(void **state)
{
	struct fixture *f = *state;
	struct error error;

	assert_int_equal(log_file_rotate(path_of(f, "log"), 3, &error), NC_ERR_NOT_FOUND);
	assert_int_equal(mkdir(path_of(f, "log"), 0700), 0);
	assert_int_equal(log_file_rotate(path_of(f, "log"), 3, &error), NC_ERR_INVALID);
}

static void rotation_that_cannot_be_done_leaves_the_file(void **state)
{
	struct fixture *f = *state;
	struct error error;

	put(f, "log", "new");
	assert_int_equal(mkdir(path_of(f, "log.1"), 0700), 0); /* rename() will not replace it */
	assert_int_equal(log_file_rotate(path_of(f, "log"), 1, &error), NC_ERR_SYSTEM);
	assert_non_null(strstr(error.text, "cannot rename"));
	assert_string_equal(content(f, "log"), "new");
}

static void the_files_to_rotate_are_those_of_used_rotating_handlers(void **state)
{
	struct fixture *f = *state;
	struct log_files *files;
	struct log_file_info info;

	set_section(f, "logging:\n"
		       "  aggregator:\n"
		       "    version: 1\n"
		       "    handlers:\n"
		       "      a: {class: logging.handlers.RotatingFileHandler, filename: a, "
		       "backupCount: 7}\n"
		       "      w: {class: logging.handlers.WatchedFileHandler, filename: w}\n"
		       "    root: {handlers: [a, w]}\n"
		       "  publisher:\n"
		       "    version: 1\n"
		       "    handlers:\n"
		       "      b: {class: logging.handlers.RotatingFileHandler, filename: b}\n"
		       "      again: {class: logging.handlers.RotatingFileHandler, filename: a}\n"
		       "      unused: {class: logging.handlers.RotatingFileHandler, filename: u}\n"
		       "    root: {handlers: [again]}\n"
		       "    loggers: {checklist: {handlers: [b]}}\n");
	assert_int_equal(log_files_create(&f->config, &files, NULL), NC_OK);
	assert_true(log_files_at(files, 0, &info));
	assert_string_equal(info.path, path_of(f, "a"));
	assert_int_equal(info.backup_count, 7);
	assert_true(log_files_at(files, 1, &info));
	assert_string_equal(info.path, path_of(f, "b"));
	assert_string_equal(info.handler, "b");
	assert_false(log_files_at(files, 2, &info));
	log_files_destroy(files);
}

enum {
	WRITERS = 4,
	LINES = 10000,
	ROTATIONS_MOST = 400
};

static void write_numbered_lines(struct fixture *f, int writer)
{
	struct log *log;

	if (log_create(&f->config, "writer", LOG_MODE_NORMAL, &log, NULL) != NC_OK)
		_exit(1);
	for (int i = 0; i < LINES; i++)
		log_info(log, "%d %d", writer, i);
	_exit(0); /* nothing is left to be done: each line is with the kernel */
}

/* Count the lines of a file into `seen`. */
static void count_lines(const char *path, unsigned char seen[WRITERS][LINES])
{
	FILE *file = fopen(path, "r");
	char line[64];

	if (file == NULL)
		return;
	while (fgets(line, sizeof(line), file) != NULL) {
		int writer = -1, number = -1;
		char end = 0;

		assert_int_equal(sscanf(line, "%d %d%c", &writer, &number, &end), 3);
		assert_int_equal(end, '\n');
		assert_in_range(writer, 0, WRITERS - 1);
		assert_in_range(number, 0, LINES - 1);
		seen[writer][number]++;
	}
	assert_int_equal(fclose(file), 0);
}

static void no_line_is_lost_torn_or_doubled_by_rotation(void **state)
{
	static unsigned char seen[WRITERS][LINES];
	struct fixture *f = *state;
	int running = WRITERS, rotations = 0;

	set_section(f, SECTION("%(message)s"));
	open_log(f, LOG_MODE_NORMAL);
	for (int i = 0; i < WRITERS; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			write_numbered_lines(f, i);
	}
	while (running > 0) {
		int status;
		pid_t ended = waitpid(-1, &status, WNOHANG);

		assert_true(ended >= 0);
		if (ended > 0) {
			assert_int_equal(status, 0);
			running--;
		} else if (rotations < ROTATIONS_MOST) {
			assert_int_equal(
				log_file_rotate(path_of(f, "log"), ROTATIONS_MOST, NULL), NC_OK);
			rotations++;
		}
	}
	assert_true(rotations > 3);
	for (int i = 0; i <= rotations; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), i > 0 ? "log.%d" : "log", i);
		count_lines(path_of(f, name), seen);
	}
	for (int i = 0; i < WRITERS; i++) {
		for (int k = 0; k < LINES; k++)
			assert_int_equal(seen[i][k], 1);
	}
}

int main(void)
{
#define WITH_FILES(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_every_field),
		cmocka_unit_test(widths_and_precisions_count_characters),
		cmocka_unit_test(a_wrong_format_is_refused_with_what_would_be_right),
		cmocka_unit_test(control_characters_cannot_forge_a_line),
		cmocka_unit_test(levels_have_names_and_numbers),
		WITH_FILES(loggers_rule_over_the_names_below_them),
		WITH_FILES(a_line_of_our_own_has_our_name_and_any_length),
		WITH_FILES(a_block_keeps_its_lines),
		WITH_FILES(debug_writes_to_the_console_only),
		WITH_FILES(a_new_file_has_its_mode_whatever_the_umask),
		WITH_FILES(what_stands_in_a_file_stays),
		WITH_FILES(a_file_that_was_renamed_or_removed_is_made_anew),
		WITH_FILES(a_file_that_cannot_be_made_anew_is_written_on),
		WITH_FILES(a_full_device_is_survived_and_the_loss_counted),
		WITH_FILES(r15_a_sync_that_fails_is_told_once_each_time),
		WITH_FILES(what_follows_a_torn_line_stands_on_a_line_of_its_own),
		WITH_FILES(a_file_that_cannot_be_opened_is_named_with_its_place),
		WITH_FILES(every_problem_of_the_section_is_found_with_its_place),
		WITH_FILES(what_has_no_effect_is_said),
		WITH_FILES(wrong_keys_of_handlers_are_named),
		WITH_FILES(no_failed_allocation_is_taken_for_a_section),
		WITH_FILES(filters_let_loggers_pass_by_name),
		WITH_FILES(a_json_file_has_one_object_a_line),
		WITH_FILES(a_secret_is_in_no_line),
		WITH_FILES(a_file_is_rolled_over_at_its_size),
		WITH_FILES(a_file_that_cannot_be_rolled_over_goes_on_and_says_so_once),
		cmocka_unit_test(a_time_to_roll_over_is_found),
		cmocka_unit_test(midnight_is_midnight_when_the_clocks_change),
		WITH_FILES(a_file_is_rolled_over_at_its_time_under_its_name),
		WITH_FILES(writers_that_roll_over_lose_no_line),
		WITH_FILES(rotation_keeps_so_many_files),
		WITH_FILES(rotation_after_a_kill_half_way_loses_no_file),
		WITH_FILES(rotation_of_what_is_no_file_is_refused),
		WITH_FILES(rotation_that_cannot_be_done_leaves_the_file),
		WITH_FILES(the_files_to_rotate_are_those_of_used_rotating_handlers),
		WITH_FILES(no_line_is_lost_torn_or_doubled_by_rotation),
	};

	if (setenv("TZ", "UTC", 1) != 0)
		return 1;
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
