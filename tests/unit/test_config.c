/* core/system/config; what it says of broken files is in tests/system/config_errors.py */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/data/yaml.h"
#include "core/system/config.h"
#include "core/system/config_internal.h"
#include "core/system/file.h"
#include "failing_malloc.h"

static const char beginning[] =
	"checklist file: checklist.yaml\n"
	"logging: {version: 1}\n"
	"message registry:\n"
	"  workers:\n"
	"    sleep: {checklist key: sleepyhead, success: slept well, crash: crashed}\n"
	"    awaken: {checklist key: sleepyhead, success 06: woke}\n";

/* The configuration of `beginning` and `more`, as if it were /etc/nowcast/nowcast.yaml. */
static struct config *load(const char *more)
{
	struct config *config = NULL;
	struct error error = { 0 };
	struct buffer text;

	buffer_init(&text);
	buffer_printf(&text, "%s%s", beginning, more);
	if (config_load_text("/etc/nowcast/nowcast.yaml", text.data, text.len, &config, NULL,
		    &error) != NC_OK)
		fail_msg("%s", error.text);
	buffer_finish(&text);
	return config;
}

static char *temporary_directory(void)
{
	const char *parent = getenv("TMPDIR");
	char template[400];

	(void)snprintf(
		template, sizeof(template), "%s/nowcast-XXXXXX", parent != NULL ? parent : "/tmp");
	assert_non_null(mkdtemp(template));
	return strdup(template);
}

/* --- the files that users have --- */

static struct config *load_shared(const char *name)
{
	const char *root = getenv("NOWCAST_TEST_SOURCE_ROOT");
	struct config *config = NULL;
	struct findings findings;
	struct error error = { 0 };
	char path[600];

	(void)snprintf(path, sizeof(path), "%s/../shared/%s", root != NULL ? root : ".", name);
	if (access(path, R_OK) < 0) {
		print_message("%s is not here: nothing tested\n", path);
		return NULL;
	}
	findings_init(&findings);
	if (config_load(path, &config, &findings, &error) != NC_OK)
		fail_msg("%s", error.text);
	assert_int_equal(findings_count(&findings, SEVERITY_WARNING), 0);
	findings_finish(&findings);
	return config;
}

static void loads_the_example_of_the_python_framework(void **state)
{
	struct config *config = load_shared("nemo_nowcast/nowcast.yaml");

	if (config == NULL)
		return;
	assert_string_equal(config->checklist_file, "/logs/nowcast_checklist.yaml");
	assert_string_equal(config->state_directory, "/logs/nowcast-state");
	assert_string_equal(config->rules_name, "nowcast.next_workers");
	assert_string_equal(config->messaging_host, "localhost");
	assert_int_equal(config->manager_port, 4343);
	assert_int_equal(config->workers_port, 4344);
	assert_false(config->tcp_allowed);
	assert_int_equal(config->workers_count, 1);
	assert_int_equal(config->manager_types_count, 5);
	assert_string_equal(config_manager_words(config, "ack"), "message acknowledged");
	assert_null(config_manager_words(config, "nack"));
	config_destroy(config);
}

static void loads_a_whole_deployment(void **state)
{
	struct config *config = load_shared("salishsea/nowcast.yaml");
	const struct config_worker *worker;
	unsigned types = 0;

	if (config == NULL)
		return;
	assert_int_equal(config->workers_count, 41);
	for (unsigned i = 0; i < config->workers_count; i++)
		types += config->workers[i].types_count;
	assert_int_equal(types, 291);
	worker = config_find_worker(config, "make_plots");
	assert_non_null(worker);
	assert_string_equal(worker->checklist_key, "plots");
	assert_string_equal(config_find_type(worker, "failure nemo nowcast publish")->meaning,
		"nemo nowcast publish plots failed");
	assert_null(config_find_type(worker, "failure nemo nowcast published"));
	assert_null(config_find_worker(config, "make_plot"));
	assert_null(config_find_worker(config, "clear_checklist")->checklist_key);
	assert_int_equal(config_find_worker(config, "download_weather")->node, 1040);
	assert_ptr_equal(config->logging, value_map_get(config->tree, "logging"));
	assert_string_equal(value_as_text(value_map_get(config->tree, "file group"), ""), "sallen");
	config_destroy(config);
}

/* --- environment --- */

static void variables_are_replaced_wherever_they_stand(void **state)
{
	struct config *config;
	const struct value *deployment, *item;

	assert_int_equal(setenv("NOWCAST_TEST_X", "value", 1), 0);
	config = load("# $(NOWCAST.ENV.NOWCAST_TEST_COMMENT) is only talked of\n"
		      "deployment:\n"
		      "  - 'a $(NOWCAST.ENV.NOWCAST_TEST_X)_b $(NOWCAST.ENV.NOWCAST_TEST_X)'\n"
		      "  - {key: [[$(NOWCAST.ENV.NOWCAST_TEST_X)]],\n"
		      "     $(NOWCAST.ENV.NOWCAST_TEST_X): 1}\n"
		      "  - $(OTHER)\n");
	deployment = value_map_get(config->tree, "deployment");
	assert_string_equal(value_as_text(value_at(deployment, 0), ""), "a value_b value");
	assert_int_equal(value_line(value_at(deployment, 0)), 9);
	assert_true(value_is_quoted(value_at(deployment, 0)));
	item = value_map_get(value_at(deployment, 1), "key");
	assert_string_equal(value_as_text(value_at(value_at(item, 0), 0), ""), "value");
	assert_int_equal(value_as_int(value_map_get(value_at(deployment, 1), "value"), 0), 1);
	assert_string_equal(value_as_text(value_at(deployment, 2), ""), "$(OTHER)");
	config_destroy(config);
}

static void a_variable_that_looks_like_another_kind_stays_a_text(void **state)
{
	struct config *config;

	assert_int_equal(setenv("NOWCAST_TEST_X", "null", 1), 0);
	config = load("deployment: $(NOWCAST.ENV.NOWCAST_TEST_X)\n");
	assert_int_equal(value_kind(value_map_get(config->tree, "deployment")), VALUE_TEXT);
	config_destroy(config);
}

static void merge_keys_work_in_files(void **state)
{
	struct config *config = load("common: &common {time limit: 2 h, if running: refuse}\n"
				     "workers:\n"
				     "  sleep: {<<: *common, time limit: 5}\n");
	const struct config_program *program = config_find_program(config, "sleep");

	assert_int_equal(program->time_limit_ms, 5000);
	assert_int_equal(program->if_running, IF_RUNNING_REFUSE);
	config_destroy(config);
}

/* --- names of files --- */

static void names_are_relative_to_the_file(void **state)
{
	struct config *config = load("state directory: ../state\nstate group: forecasters\n");

	assert_string_equal(config->directory, "/etc/nowcast");
	assert_string_equal(config->checklist_file, "/etc/nowcast/checklist.yaml");
	assert_string_equal(config->state_directory, "/etc/nowcast/../state");
	assert_string_equal(config->state_group, "forecasters");
	assert_string_equal(config->rules_file, "/etc/nowcast/next_workers.yaml");
	config_destroy(config);
}

static void a_file_without_directory_is_in_the_current_one(void **state)
{
	struct config *config = NULL;
	char *here = getcwd(NULL, 0);

	assert_int_equal(
		config_load_text("nowcast.yaml", beginning, strlen(beginning), &config, NULL, NULL),
		NC_OK);
	assert_string_equal(config->directory, here);
	assert_string_equal(config->text, beginning);
	assert_int_equal(config->text_len, strlen(beginning));
	free(here);
	config_destroy(config);
}

static void rules_are_a_file_or_the_usual_one(void **state)
{
	static const char *const cases[][2] = {
		{ "nowcast.next_workers", "/etc/nowcast/next_workers.yaml" },
		{ "next_workers", "/etc/nowcast/next_workers.yaml" },
		{ "rules.yaml", "/etc/nowcast/rules.yaml" },
		{ "rules.yml", "/etc/nowcast/rules.yml" },
		{ "../rules", "/etc/nowcast/../rules" },
		{ "/srv/rules.yaml", "/srv/rules.yaml" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct config *config = NULL;
		struct buffer text;

		buffer_init(&text);
		buffer_printf(&text, "%s  next workers module: %s\n", beginning, cases[i][0]);
		assert_int_equal(config_load_text("/etc/nowcast/nowcast.yaml", text.data, text.len,
					 &config, NULL, NULL),
			NC_OK);
		assert_string_equal(config->rules_file, cases[i][1]);
		assert_string_equal(config->rules_name, cases[i][0]);
		config_destroy(config);
		buffer_finish(&text);
	}
}

static void a_state_path_must_fit_a_socket(void **state)
{
	struct config *config = load("state directory: /run/nowcast\n");
	char name[200];
	struct buffer path;
	struct error error;

	buffer_init(&path);
	assert_int_equal(config_state_path(config, STATE_BROKER_DOOR, &path, &error), NC_OK);
	assert_string_equal(path.data, "/run/nowcast/broker.sock");
	memset(name, 'x', sizeof(name));
	name[107 - strlen("/run/nowcast/")] = '\0';
	buffer_clear(&path);
	assert_int_equal(config_state_path(config, name, &path, &error), NC_OK);
	assert_int_equal(path.len, 107);
	name[107 - strlen("/run/nowcast/")] = 'x';
	name[108 - strlen("/run/nowcast/")] = '\0';
	assert_int_equal(config_state_path(config, name, &path, &error), NC_ERR_LIMIT);
	buffer_finish(&path);
	config_destroy(config);
}

/* --- sections --- */

static void a_worker_without_an_entry_has_the_usual_policy(void **state)
{
	struct config *config = load("workers: {sleep: }\n");
	const char *const names[] = { "sleep", "awaken", "nobody" };

	assert_string_equal(config_find_program(config, "sleep")->name, "sleep");
	assert_string_equal(config_find_program(config, "awaken")->name, "");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct config_program *program = config_find_program(config, names[i]);

		assert_int_equal(program->command_count, 0);
		assert_null(program->success);
		assert_int_equal(program->time_limit_ms, 0);
		assert_int_equal(program->grace_time_ms, 10000);
		assert_int_equal(program->retry_times, 0);
		assert_int_equal(program->retry_wait_ms, 60000);
		assert_int_equal(program->retry_at_most_ms, 3600000);
		assert_int_equal(program->retry_after_count, 2);
		assert_string_equal(program->retry_after[0], "75");
		assert_string_equal(program->retry_after[1], "crash");
		assert_int_equal(program->if_running, IF_RUNNING_ALLOW);
		assert_int_equal(program->if_lost, IF_LOST_REPORT);
	}
	config_destroy(config);
}

static void an_entry_says_all_of_it(void **state)
{
	struct config *config =
		load("workers:\n"
		     "  sleep:\n"
		     "    command: [python3, -m, 'a b \"c\\\xc3\xa9', 06, '']\n"
		     "    success: success <arguments[0]>\n"
		     "    failure: failure\n"
		     "    time limit: 2 h\n"
		     "    grace time: 250 ms\n"
		     "    retry: {times: 3, wait: 5 min, at most: 1 d, after: [75, failure]}\n"
		     "    if running: replace\n"
		     "    if lost: launch again\n");
	const struct config_program *program = config_find_program(config, "sleep");

	assert_int_equal(program->command_count, 5);
	assert_string_equal(program->command[2], "a b \"c\\\xc3\xa9");
	assert_string_equal(program->command[3], "06");
	assert_string_equal(program->command[4], "");
	assert_string_equal(program->success, "success <arguments[0]>");
	assert_string_equal(program->failure, "failure");
	assert_int_equal(program->time_limit_ms, 7200000);
	assert_int_equal(program->grace_time_ms, 250);
	assert_int_equal(program->retry_times, 3);
	assert_int_equal(program->retry_wait_ms, 300000);
	assert_int_equal(program->retry_at_most_ms, 86400000);
	assert_string_equal(program->retry_after[1], "failure");
	assert_int_equal(program->if_running, IF_RUNNING_REPLACE);
	assert_int_equal(program->if_lost, IF_LOST_LAUNCH_AGAIN);
	assert_int_equal(program->node, 8);
	config_destroy(config);
}

static void default_is_for_registered_workers_without_an_entry(void **state)
{
	struct config *config = load("workers:\n"
				     "  default:\n"
				     "    command: [run, 'm.<worker>.<worker>', <other>]\n"
				     "    time limit: 1 min\n"
				     "  sleep: {time limit: none}\n");
	const struct config_program *program = config_find_program(config, "awaken");

	assert_string_equal(program->name, "default");
	assert_int_equal(program->command_count, 3);
	assert_string_equal(program->command[1], "m.awaken.awaken");
	assert_string_equal(program->command[2], "<other>");
	assert_int_equal(program->time_limit_ms, 60000);
	assert_string_equal(config_find_program(config, "sleep")->name, "sleep");
	assert_int_equal(config_find_program(config, "sleep")->command_count, 0);
	assert_int_equal(config_find_program(config, "nobody")->command_count, 0);
	assert_int_equal(config_find_program(config, "default")->command_count, 0);
	config_destroy(config);
}

static void schedules_are_split_into_words(void **state)
{
	struct config *config = load("scheduled workers:\n"
				     "  - nowcast.workers.sleep:\n"
				     "      every: day\n"
				     "      at: '04:05'\n"
				     "      cmd line opts: '  06  --run-date 2026-11-24 '\n"
				     "  - awaken: {every: day, at: 15:15}\n");

	assert_int_equal(config->schedules_count, 2);
	assert_string_equal(config->schedules[0].worker, "sleep");
	assert_string_equal(config->schedules[0].at, "04:05");
	assert_int_equal(config->schedules[0].at_hour, 4);
	assert_int_equal(config->schedules[0].at_minute, 5);
	assert_int_equal(config->schedules[0].arguments_count, 3);
	assert_string_equal(config->schedules[0].arguments[0], "06");
	assert_string_equal(config->schedules[0].arguments[2], "2026-11-24");
	assert_string_equal(config->schedules[1].at, "15:15");
	assert_int_equal(config->schedules[1].at_hour, 15);
	assert_int_equal(config->schedules[1].arguments_count, 0);
	config_destroy(config);
}

static void empty_sections_are_as_absent_ones(void **state)
{
	struct config *config = load("zmq:\nscheduled workers:\nworkers:\nsupervisor:\n"
				     "slack notifications:\nrun: {enabled hosts: }\npython:\n");

	assert_int_equal(config->schedules_count, 0);
	assert_int_equal(config->programs_count, 0);
	assert_string_equal(config->messaging_host, "localhost");
	config_destroy(config);
}

static void the_supervisor_has_its_usual_times_without_a_section(void **state)
{
	struct config *config = load("");

	assert_int_equal(config->supervisor.restart_wait_ms, 500);
	assert_int_equal(config->supervisor.restart_at_most_ms, 60000);
	assert_int_equal(config->supervisor.ready_time_ms, 30000);
	assert_int_equal(config->supervisor.stop_time_ms, 10000);
	assert_int_equal(config->supervisor.programs_count, 0);
	config_destroy(config);
}

static void the_programs_of_the_supervisor_are_bound(void **state)
{
	struct config *config = load(
		"supervisor:\n"
		"  programs:\n"
		"    feed: {command: [python3, feed.py, 7], ready: {port: 5555}, stop time: 3}\n"
		"    second: {command: [sh, x], after: feed, ready: {file: run/ready}}\n"
		"    third: {command: [x], after: [feed, manager], ready: descriptor}\n"
		"    fourth: {command: [x]}\n"
		"  stop time: 1 min\n"
		"  ready time: 5 s\n"
		"  restart: {wait: 200 ms, at most: 10 s}\n");
	const struct config_supervisor *section = &config->supervisor;
	const struct config_supervised *feed = &section->programs[0];

	assert_int_equal(section->restart_wait_ms, 200);
	assert_int_equal(section->restart_at_most_ms, 10000);
	assert_int_equal(section->programs_count, 4);
	assert_string_equal(feed->name, "feed");
	assert_int_equal(feed->command_count, 3);
	assert_string_equal(feed->command[2], "7");
	assert_int_equal(feed->ready, CONFIG_READY_PORT);
	assert_int_equal(feed->ready_port, 5555);
	assert_int_equal(feed->stop_time_ms, 3000);
	assert_int_equal(feed->ready_time_ms, 5000);
	assert_int_equal(feed->after_count, 0);
	assert_int_equal(feed[1].ready, CONFIG_READY_FILE);
	assert_string_equal(feed[1].ready_file, "run/ready");
	assert_string_equal(feed[1].after[0], "feed");
	assert_int_equal(feed[1].stop_time_ms, 60000);
	assert_int_equal(feed[2].ready, CONFIG_READY_DESCRIPTOR);
	assert_int_equal(feed[2].after_count, 2);
	assert_int_equal(feed[3].ready, CONFIG_READY_NONE);
	config_destroy(config);
}

static void the_environment_file_counts_more_than_the_environment(void **state)
{
	char *directory = temporary_directory();
	char *file = path_join(directory, "nowcast.yaml"),
	     *environment = path_join(directory, "nowcast.env");
	static const char variables[] =
		"export NOWCAST_TEST_Y=file\nNOWCAST_TEST_Z=$NOWCAST_TEST_X\n";
	struct config *config = NULL;
	struct error error = { 0 };
	struct buffer text;

	assert_int_equal(setenv("NOWCAST_TEST_X", "value", 1), 0);
	assert_int_equal(setenv("NOWCAST_TEST_Y", "process", 1), 0);
	assert_int_equal(setenv("NOWCAST_TEST_DIR", directory, 1), 0);
	buffer_init(&text);
	buffer_printf(&text,
		"%sx: $(NOWCAST.ENV.NOWCAST_TEST_Y) $(NOWCAST.ENV.NOWCAST_TEST_Z)\n"
		"supervisor: {environment file: $(NOWCAST.ENV.NOWCAST_TEST_DIR)/nowcast.env}\n",
		beginning);
	assert_int_equal(file_replace(file, text.data, text.len, 0644, NULL), NC_OK);
	assert_int_equal(
		file_replace(environment, variables, strlen(variables), 0644, NULL), NC_OK);
	if (config_load(file, &config, NULL, &error) != NC_OK)
		fail_msg("%s", error.text);
	assert_string_equal(value_as_text(value_map_get(config->tree, "x"), ""), "file value");
	assert_string_equal(environment_file_get(&config->environment, "NOWCAST_TEST_Z"), "value");
	config_destroy(config);
	/* What comes with a launch has its variables in the environment of the process. */
	assert_int_equal(setenv("NOWCAST_TEST_Z", "given", 1), 0);
	assert_int_equal(config_load_text(file, text.data, text.len, &config, NULL, NULL), NC_OK);
	assert_string_equal(value_as_text(value_map_get(config->tree, "x"), ""), "process given");
	config_destroy(config);
	buffer_finish(&text);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(unlink(environment), 0);
	assert_int_equal(rmdir(directory), 0);
	free(file);
	free(environment);
	free(directory);
}

static void messaging_is_another_name_of_zmq(void **state)
{
	struct config *config = load("messaging: {host: forecast.example, tcp: allowed,\n"
				     "            ports: {manager: 1, workers: '65535'}}\n");

	assert_string_equal(config->messaging_host, "forecast.example");
	assert_int_equal(config->manager_port, 1);
	assert_int_equal(config->workers_port, 65535);
	assert_true(config->tcp_allowed);
	config_destroy(config);
}

/* --- errors --- */

static void the_first_error_comes_with_its_place(void **state)
{
	struct config *config = NULL;
	struct findings findings;
	struct error error = { 0 };
	static const char text[] = "checklist file: [a]\nlogging: b\n";

	findings_init(&findings);
	assert_int_equal(config_load_text("x.yaml", text, strlen(text), &config, &findings, &error),
		NC_ERR_INVALID);
	assert_null(config);
	assert_int_equal(error.code, NC_ERR_INVALID);
	assert_int_equal(error.line, 1);
	assert_int_equal(error.column, 17);
	assert_string_equal(error.text, "x.yaml:1:17: `checklist file` must be a text, not a list");
	assert_int_equal(findings_count(&findings, SEVERITY_ERROR), 3);
	findings_finish(&findings);
}

static void the_code_says_what_kind_of_error_it_is(void **state)
{
	static const struct {
		const char *text;
		enum nc_err code;
	} cases[] = {
		{ "a: [", NC_ERR_SYNTAX },
		{ "a: 1\na: 2\n", NC_ERR_INVALID },
		{ "", NC_ERR_INVALID },
	};
	struct config *config = NULL;
	struct error error;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(config_load_text("x.yaml", cases[i].text, strlen(cases[i].text),
					 &config, NULL, &error),
			cases[i].code);
	assert_int_equal(config_load("/nowhere/x.yaml", &config, NULL, &error), NC_ERR_NOT_FOUND);
	assert_string_equal(error.text, "/nowhere/x.yaml: there is no such file");
	assert_null(config);
}

static void a_file_that_its_group_may_write_is_read(void **state)
{
	char *directory = temporary_directory(), *path = path_join(directory, "x.yaml");
	struct config *config = NULL;
	struct findings findings;

	findings_init(&findings);
	assert_int_equal(file_replace(path, beginning, strlen(beginning), 0664, NULL), NC_OK);
	assert_int_equal(config_load(path, &config, &findings, NULL), NC_OK);
	config_check_host(config, &findings);
	assert_int_equal(findings_count(&findings, SEVERITY_ERROR), 0);
	for (size_t i = 0; i < findings.count; i++)
		if (strcmp(findings.items[i].name, "writable-by-group") == 0)
			goto found;
	fail_msg("no finding `writable-by-group`");
found:
	findings_finish(&findings);
	config_destroy(config);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
	free(path);
	free(directory);
}

/* What the sections' own checks let through must still be found, and at the user's place. */
static void a_text_that_does_not_fit_the_schema_is_refused_with_its_place(void **state)
{
	struct value *at = value_text("x");
	struct bound *bound = NULL;
	struct error error = { 0 };
	struct normal normal;

	normal_init(&normal);
	normal_open(&normal, '{');
	normal_key(&normal, "checklist file");
	normal_text(&normal, "checklist.yaml");
	assert_int_equal(value_set_origin(at, 30, 7, false, NULL), NC_OK);
	normal_at(&normal, at);
	normal_key(&normal, "manager port");
	normal_text(&normal, "first");
	normal_close(&normal, '}');
	assert_int_equal(bound_load(&normal, &bound, &error), NC_ERR_INVALID);
	assert_null(bound);
	assert_int_equal(error.line, 30);
	assert_int_equal(error.column, 7);
	normal_finish(&normal);
	value_destroy(at);
}

/* --- memory --- */

/* A bit of everything, good and bad. */
static const char varied[] =
	"checklist file: $(NOWCAST.ENV.NOWCAST_LOGS)/c.yaml\n"
	"logging: {version: 1}\n"
	"shedule: 1\n"
	"zmq: {hots: a, ports: {manager: 1}}\n"
	"message registry:\n"
	"  workers: {sleep: {checklist key: a, success: b, 06: }, awaken: {}}\n"
	"scheduled workers:\n"
	"  - a.awakn: {every: day, at: 15:15, cmd line opts: a b}\n"
	"workers:\n"
	"  default: {command: [a, <worker>], success: '<arguments[0]>', retry: {times: 3}}\n"
	"supervisor:\n"
	"  restart: {wait: 1}\n"
	"  programs:\n"
	"    a: {command: [a], after: manager, ready: {file: a}}\n"
	"    b: {command: [b, c], after: [a], ready: {port: 1}}\n"
	"deployment: [a, {b: [$(NOWCAST.ENV.NOWCAST_LOGS)]}, {$(NOWCAST.ENV.NOWCAST_LOGS): 1}]\n";

static enum nc_err load_for_findings(const char *text, struct findings *findings)
{
	struct config *config = NULL;
	enum nc_err err;

	findings_init(findings);
	err = config_load_text("/etc/nowcast.yaml", text, strlen(text), &config, findings, NULL);
	assert_true((err == NC_OK) == (config != NULL));
	config_destroy(config);
	return err;
}

/*
 * Load `text` with the N-th allocation failing, for every N: out of memory is said, or all that is found is
 * what is found otherwise (vasprintf() can do without one of its allocations).
 */
static void load_without_memory(const char *text)
{
	struct findings all, findings;
	enum nc_err wanted = load_for_findings(text, &all);
	bool failed = FAILING_MALLOC;
	long said = 0;

	for (long nth = 1; failed; nth++) {
		enum nc_err err;

		memory_fail_at(nth);
		err = load_for_findings(text, &findings);
		failed = memory_has_failed();
		if (err != NC_ERR_NOMEM && (err != wanted || findings.count != all.count))
			fail_msg("allocation %ld failed: result %d, %zu findings of %zu", nth,
				(int)err, findings.count, all.count);
		said += err == NC_ERR_NOMEM;
		findings_finish(&findings);
		if (memory_outstanding() != 0)
			fail_msg("allocation %ld failed, and %ld were not freed", nth,
				memory_outstanding());
	}
	assert_true(said > 100 || !FAILING_MALLOC);
	findings_finish(&all);
}

static void r21_no_failed_allocation_is_taken_for_a_configuration(void **state)
{
	struct buffer bad;

	load_without_memory(varied);
	buffer_init(&bad);
	buffer_printf(&bad, "%s%s", varied, "state group: [a]\n");
	load_without_memory(bad.data);
	buffer_finish(&bad);
}

/* --- the state directory --- */

struct place_of_state {
	char *directory, *path;
	struct config *config;
};

static struct place_of_state state_in_a_temporary_directory(const char *group)
{
	struct place_of_state place = { .directory = temporary_directory() };
	struct buffer more;

	place.path = path_join(place.directory, "state");
	buffer_init(&more);
	buffer_printf(&more, "state directory: %s\n", place.path);
	if (group != NULL)
		buffer_printf(&more, "state group: %s\n", group);
	place.config = load(more.data);
	buffer_finish(&more);
	return place;
}

static void leave(struct place_of_state *place)
{
	(void)unlink(place->path);
	(void)rmdir(place->path);
	assert_int_equal(rmdir(place->directory), 0);
	config_destroy(place->config);
	free(place->path);
	free(place->directory);
}

static mode_t mode_of(const char *path)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	return status.st_mode & 07777;
}

static void refused_with(const struct config *config, const char *words)
{
	struct error error = { 0 };

	assert_int_equal(config_prepare_state(config, &error), NC_ERR_REFUSED);
	if (strstr(error.text, words) == NULL)
		fail_msg("`%s` is not in `%s`", words, error.text);
}

static void s2_the_state_directory_is_made_for_us_alone(void **state)
{
	struct place_of_state place = state_in_a_temporary_directory(NULL);
	mode_t before = umask(0);

	assert_int_equal(config_prepare_state(place.config, NULL), NC_OK);
	assert_int_equal(mode_of(place.path), 0700);
	assert_int_equal(config_prepare_state(place.config, NULL), NC_OK);
	(void)umask(before);
	leave(&place);
}

static void s2_with_a_state_group_that_group_may_enter(void **state)
{
	struct place_of_state place = state_in_a_temporary_directory("root");
	mode_t before = umask(077);

	if (geteuid() == 0) {
		assert_int_equal(config_prepare_state(place.config, NULL), NC_OK);
		assert_int_equal(mode_of(place.path), 02750);
		assert_int_equal(chmod(place.path, 0770), 0);
		refused_with(place.config, "0770");
	} else {
		print_message("only root may give a directory to a group: nothing tested\n");
	}
	(void)umask(before);
	leave(&place);
}

static void s2_a_state_directory_that_is_open_to_others_is_refused(void **state)
{
	struct place_of_state place = state_in_a_temporary_directory(NULL);

	assert_int_equal(mkdir(place.path, 0700), 0);
	assert_int_equal(chmod(place.path, 0750), 0);
	refused_with(place.config, "chmod 0700");
	assert_int_equal(chmod(place.path, 0701), 0);
	refused_with(place.config, "0701");
	leave(&place);
}

static void s5_a_state_directory_that_is_a_link_or_a_file_is_refused(void **state)
{
	struct place_of_state place = state_in_a_temporary_directory(NULL);

	assert_int_equal(symlink(place.directory, place.path), 0);
	refused_with(place.config, "symbolic link");
	assert_int_equal(unlink(place.path), 0);
	assert_int_equal(file_replace(place.path, "", 0, 0600, NULL), NC_OK);
	refused_with(place.config, "not a directory");
	leave(&place);
}

static void s2_a_state_directory_of_somebody_else_is_refused(void **state)
{
	struct place_of_state place = state_in_a_temporary_directory(NULL);

	if (geteuid() == 0) {
		assert_int_equal(mkdir(place.path, 0700), 0);
		assert_int_equal(chown(place.path, 65534, 65534), 0);
		refused_with(place.config, "65534");
	} else {
		print_message("only root may give a directory away: nothing tested\n");
	}
	leave(&place);
}

static void a_state_group_that_does_not_exist_is_named(void **state)
{
	struct place_of_state place = state_in_a_temporary_directory("no-such-group");
	struct error error = { 0 };

	assert_int_equal(config_prepare_state(place.config, &error), NC_ERR_INVALID);
	assert_non_null(strstr(error.text, "no-such-group"));
	leave(&place);
}

/* --- small languages --- */

static void durations_have_units(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{ "0", 0 },
		{ "90", 90000 },
		{ "90 s", 90000 },
		{ "250ms", 250 },
		{ "5 min", 300000 },
		{ "2 h", 7200000 },
		{ "36500 d", INT64_C(36500) * 86400000 },
	};
	static const char *const bad[] = { "", " ", "h", "-1", "+1 s", "1.5 h", "2 hours",
		"1 h 5 min", "36501 d", "99999999999999999999", "5 ", "1\n" };
	int64_t ms;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(duration_parse(good[i].text, &ms));
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (duration_parse(bad[i], &ms))
			fail_msg("`%s` was taken as a duration", bad[i]);
}

static void templates_take_arguments_and_the_worker(void **state)
{
	char one[] = "06", two[] = "<worker>";
	char *const arguments[] = { one, two };
	struct buffer out;

	buffer_init(&out);
	assert_int_equal(
		config_type_from_template("success <arguments[0]> <arguments[1]> of <worker>!",
			"sleep", arguments, 2, &out, NULL),
		NC_OK);
	assert_string_equal(out.data, "success 06 <worker> of sleep!");
	buffer_finish(&out);
}

static void templates_refuse_what_they_do_not_know(void **state)
{
	static const char *const bad[] = { "<arguments[2]>", "<arguments[]>", "<arguments[0]", "<",
		"<workers>", "<arguments[-1]>", "<arguments[99999]>", "<date>" };
	char one[] = "06", two[] = "07";
	char *const arguments[] = { one, two };
	struct buffer out;
	struct error error;

	buffer_init(&out);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (config_type_from_template(bad[i], "w", arguments, 2, &out, &error) !=
			NC_ERR_INVALID)
			fail_msg("`%s` was taken as a template", bad[i]);
	assert_int_equal(config_type_from_template("<arguments[0]>", "w", NULL, 0, &out, &error),
		NC_ERR_INVALID);
	buffer_finish(&out);
}

static int set_environment(void **state)
{
	return setenv("NOWCAST_LOGS", "/logs", 1) || setenv("NOWCAST_ENV", "/env", 1);
}

static void file_systems_of_other_hosts_are_known_by_their_number(void **state)
{
	assert_string_equal(config_network_file_system(0x6969), "NFS");
	assert_string_equal(config_network_file_system(0xff534d42), "CIFS");
	/* As a machine gives it whose f_type is a signed number. */
	assert_string_equal(config_network_file_system((unsigned long)(int)0xff534d42), "CIFS");
	assert_null(config_network_file_system(0xef53));     /* ext4 */
	assert_null(config_network_file_system(0x01021994)); /* tmpfs */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_the_example_of_the_python_framework),
		cmocka_unit_test(loads_a_whole_deployment),
		cmocka_unit_test(variables_are_replaced_wherever_they_stand),
		cmocka_unit_test(a_variable_that_looks_like_another_kind_stays_a_text),
		cmocka_unit_test(merge_keys_work_in_files),
		cmocka_unit_test(names_are_relative_to_the_file),
		cmocka_unit_test(a_file_without_directory_is_in_the_current_one),
		cmocka_unit_test(rules_are_a_file_or_the_usual_one),
		cmocka_unit_test(a_state_path_must_fit_a_socket),
		cmocka_unit_test(a_worker_without_an_entry_has_the_usual_policy),
		cmocka_unit_test(an_entry_says_all_of_it),
		cmocka_unit_test(default_is_for_registered_workers_without_an_entry),
		cmocka_unit_test(schedules_are_split_into_words),
		cmocka_unit_test(empty_sections_are_as_absent_ones),
		cmocka_unit_test(the_supervisor_has_its_usual_times_without_a_section),
		cmocka_unit_test(the_programs_of_the_supervisor_are_bound),
		cmocka_unit_test(the_environment_file_counts_more_than_the_environment),
		cmocka_unit_test(messaging_is_another_name_of_zmq),
		cmocka_unit_test(the_first_error_comes_with_its_place),
		cmocka_unit_test(the_code_says_what_kind_of_error_it_is),
		cmocka_unit_test(a_file_that_its_group_may_write_is_read),
		cmocka_unit_test(a_text_that_does_not_fit_the_schema_is_refused_with_its_place),
		cmocka_unit_test(r21_no_failed_allocation_is_taken_for_a_configuration),
		cmocka_unit_test(s2_the_state_directory_is_made_for_us_alone),
		cmocka_unit_test(s2_with_a_state_group_that_group_may_enter),
		cmocka_unit_test(s2_a_state_directory_that_is_open_to_others_is_refused),
		cmocka_unit_test(s5_a_state_directory_that_is_a_link_or_a_file_is_refused),
		cmocka_unit_test(s2_a_state_directory_of_somebody_else_is_refused),
		cmocka_unit_test(a_state_group_that_does_not_exist_is_named),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(templates_take_arguments_and_the_worker),
		cmocka_unit_test(templates_refuse_what_they_do_not_know),
		cmocka_unit_test(file_systems_of_other_hosts_are_known_by_their_number),
	};

	return cmocka_run_group_tests_name("config", tests, set_environment, NULL);
}
