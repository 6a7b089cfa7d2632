/* core/work/worker: what a C worker is written against. The test plays the runner at the other end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/data/json.h"
#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/work/runner.h"
#include "core/work/worker.h"

static const char *const cycles[] = { "06", "12", NULL };
static const struct cli_option options[] = {
	{ .name = "cycle", .kind = CLI_KIND_TEXT, .choices = cycles, .help = "forecast cycle" },
	{ .name = "--run-date",
		.kind = CLI_KIND_DATE,
		.default_date = CLI_DATE_YESTERDAY,
		.help = "Date of the run." },
	{ .name = "--result", .kind = CLI_KIND_INT, .help = "what becomes of it" },
	CLI_END,
};

/* What the worker has seen, for the test to look at. */
static struct {
	enum nc_err need_err, missing_err, tell_err, refused_err;
	char need_text[100], missing_text[sizeof(((struct error *)0)->text)], reply_type[40];
	int64_t reply_number;
} seen;

static enum worker_result work(struct worker *worker, struct value *checklist)
{
	struct value *value = NULL;
	struct error error;
	const char *type = NULL;

	worker_log(worker, LEVEL_INFO, "cycle %s", cli_text(worker_args(worker), "cycle"));
	worker_progress(worker, 0.5);
	worker_progress(worker, 7); /* is none */
	seen.need_err = worker_need(worker, "NEMO run", &value, &error);
	if (seen.need_err == NC_OK)
		snprintf(seen.need_text, sizeof(seen.need_text), "%s",
			value_as_text(value_map_get(value, "host"), "-"));
	value_destroy(value);
	value = NULL;
	seen.missing_err = worker_need(worker, "nothing", &value, &error);
	snprintf(seen.missing_text, sizeof(seen.missing_text), "%s", error.text);
	seen.tell_err = worker_tell(worker, "clear checklist", NULL, &type, &value, &error);
	snprintf(seen.reply_type, sizeof(seen.reply_type), "%s", type != NULL ? type : "-");
	seen.reply_number = value_as_int(value, 0);
	value_destroy(value);
	seen.refused_err = worker_tell(worker, "nonsense", NULL, NULL, NULL, &error);
	if (value_map_put(checklist, "cycle", value_text("06")) != NC_OK)
		return WORKER_FAILURE;
	return (enum worker_result)cli_int(worker_args(worker), "--result");
}

static const char *success(struct worker *worker)
{
	struct date date;
	char day[DATE_TEXT_SIZE];

	if (!cli_date(worker_args(worker), "--run-date", &date))
		return "success";
	return worker_text(worker, "success %s", date_print(date, day));
}

static const char *failure(struct worker *worker)
{
	return worker_text(worker, "failure %s", cli_text(worker_args(worker), "cycle"));
}

static const struct worker_description description = { work, success, failure };
static const struct applet applet = {
	.name = "test_worker",
	.kind = APPLET_WORKER,
	.options = options,
	.worker = &description,
};

/* --- the runner --- */

struct runner_side {
	int fd;
	struct buffer lines; /* all that the worker wrote */
};

/* Each question gets its answer, in order; the rest is only kept. */
static const char *answer_to(const char *line)
{
	if (strstr(line, "\"need\": \"NEMO run\"") != NULL)
		return "{\"payload\": {\"host\": \"salish\"}}\n";
	if (strstr(line, "\"need\"") != NULL)
		return "{\"error\": \"the checklist has no key `nothing`\", \"type\": \"no such checklist key\"}\n";
	if (strstr(line, "\"tell\": \"clear checklist\"") != NULL)
		return "{\"type\": \"checklist cleared\", \"payload\": 42}\n";
	if (strstr(line, "\"tell\"") != NULL)
		return "{\"error\": \"unregistered message type\", \"type\": \"unregistered message type\"}\n";
	return "";
}

static void *be_runner(void *argument)
{
	struct runner_side *side = argument;
	size_t answered = 0;
	char bytes[512];
	ssize_t count;

	while ((count = read(side->fd, bytes, sizeof(bytes))) > 0) {
		char *end;

		buffer_append(&side->lines, bytes, (size_t)count);
		while ((end = memchr(side->lines.data + answered, '\n',
				side->lines.len - answered)) != NULL) {
			char line[512];
			const char *answer;

			snprintf(line, sizeof(line), "%.*s",
				(int)(end - side->lines.data - (ptrdiff_t)answered),
				side->lines.data + answered);
			answered = (size_t)(end - side->lines.data) + 1;
			answer = answer_to(line);
			if (answer[0] != '\0' &&
				write(side->fd, answer, strlen(answer)) != (ssize_t)strlen(answer))
				return NULL;
		}
	}
	return NULL;
}

/* Run the worker with these arguments; its exit status. `lines` gets what it wrote. */
static int run_worker(const char *result, struct buffer *lines)
{
	char *argv[] = { (char *)"test_worker", (char *)"nowcast.yaml", (char *)"06",
		(char *)"--run-date", (char *)"2026-11-24", (char *)"--result",
		(char *)(uintptr_t)result };
	struct config config = { .file = (char *)"nowcast.yaml" };
	struct runner_side side;
	struct applet_cli cli;
	struct cli_args *args = NULL;
	pthread_t thread;
	int fds[2], status;

	memset(&seen, 0, sizeof(seen));
	applet_cli_init(&cli, &applet);
	assert_int_equal(cli_parse(&cli.spec, (int)ARRAY_LEN(argv), argv,
				 date_local(clock_real_ns()), &args, NULL),
		CLI_PARSED);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	side.fd = fds[1];
	buffer_init(&side.lines);
	assert_int_equal(pthread_create(&thread, NULL, be_runner, &side), 0);
	status = worker_child_main(&applet, args, &config, fds[0]);
	close(fds[0]);
	pthread_join(thread, NULL);
	close(fds[1]);
	cli_args_destroy(args);
	*lines = side.lines;
	return status;
}

static void a_success_writes_its_lines_in_order_and_its_type_last(void **state)
{
	struct buffer lines;

	assert_int_equal(run_worker("0", &lines), EXIT_DONE);
	assert_string_equal(lines.data,
		"{\"log\": 20, \"message\": \"cycle 06\"}\n"
		"{\"progress\": 0.5}\n"
		"{\"need\": \"NEMO run\"}\n"
		"{\"need\": \"nothing\"}\n"
		"{\"tell\": \"clear checklist\", \"payload\": null}\n"
		"{\"tell\": \"nonsense\", \"payload\": null}\n"
		"{\"type\": \"success 2026-11-24\", \"payload\": {\"cycle\": \"06\"}}\n");
	buffer_finish(&lines);
}

static void answers_come_back_and_refusals_are_told_apart(void **state)
{
	struct buffer lines;

	(void)run_worker("0", &lines);
	assert_int_equal(seen.need_err, NC_OK);
	assert_string_equal(seen.need_text, "salish");
	assert_int_equal(seen.missing_err, NC_ERR_NOT_FOUND);
	assert_string_equal(seen.missing_text, "the checklist has no key `nothing`");
	assert_int_equal(seen.tell_err, NC_OK);
	assert_string_equal(seen.reply_type, "checklist cleared");
	assert_int_equal(seen.reply_number, 42);
	assert_int_equal(seen.refused_err, NC_ERR_REFUSED);
	buffer_finish(&lines);
}

static void a_failure_has_its_type_and_no_payload(void **state)
{
	struct buffer lines;

	assert_int_equal(run_worker("1", &lines), EXIT_FAILED);
	assert_non_null(strstr(lines.data, "{\"type\": \"failure 06\", \"payload\": null}\n"));
	buffer_finish(&lines);
}

static void try_again_and_skipped_are_exit_statuses(void **state)
{
	struct buffer lines;

	assert_int_equal(run_worker("2", &lines), EXIT_TRY_AGAIN);
	assert_non_null(strstr(lines.data, "{\"type\": \"failure 06\""));
	buffer_finish(&lines);
	assert_int_equal(run_worker("3", &lines), EXIT_SKIPPED);
	assert_null(strstr(lines.data, "\"type\""));
	buffer_finish(&lines);
}

static void without_its_runner_questions_are_answered_by_an_error(void **state)
{
	char *argv[] = { (char *)"test_worker", (char *)"nowcast.yaml", (char *)"06" };
	struct config config = { .file = (char *)"nowcast.yaml" };
	struct applet_cli cli;
	struct cli_args *args = NULL;
	int fds[2];

	applet_cli_init(&cli, &applet);
	assert_int_equal(cli_parse(&cli.spec, 3, argv, date_local(clock_real_ns()), &args, NULL),
		CLI_PARSED);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	/* Its end of reading is over: questions can be written, and nobody answers. */
	shutdown(fds[0], SHUT_RD);
	assert_int_equal(worker_child_main(&applet, args, &config, fds[0]), EXIT_DONE);
	assert_int_equal(seen.need_err, NC_ERR_CLOSED);
	assert_int_equal(seen.tell_err, NC_ERR_CLOSED);
	close(fds[0]);
	close(fds[1]);
	cli_args_destroy(args);
}

static void the_default_of_a_date_is_yesterday_and_the_help_says_so(void **state)
{
	struct date today = { 2026, 3, 1 }, date = { 0 };
	char *argv[] = { (char *)"test_worker", (char *)"nowcast.yaml", (char *)"12" };
	struct applet_cli cli;
	struct cli_args *args = NULL;
	struct buffer help;

	applet_cli_init(&cli, &applet);
	assert_int_equal(cli_parse(&cli.spec, 3, argv, today, &args, NULL), CLI_PARSED);
	assert_true(cli_date(args, "--run-date", &date));
	assert_int_equal(date_compare(date, (struct date){ 2026, 2, 28 }), 0);
	buffer_init(&help);
	cli_help(&cli.spec, today, 200, &help);
	assert_non_null(strstr(
		help.data, "Date of the run. Use YYYY-MM-DD format. Defaults to 2026-02-28."));
	assert_non_null(strstr(help.data, "{06,12}"));
	buffer_finish(&help);
	cli_args_destroy(args);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_success_writes_its_lines_in_order_and_its_type_last),
		cmocka_unit_test(answers_come_back_and_refusals_are_told_apart),
		cmocka_unit_test(a_failure_has_its_type_and_no_payload),
		cmocka_unit_test(try_again_and_skipped_are_exit_statuses),
		cmocka_unit_test(without_its_runner_questions_are_answered_by_an_error),
		cmocka_unit_test(the_default_of_a_date_is_yesterday_and_the_help_says_so),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
