/*
 * nowcast simulate: the day rehearsed. Nothing is started: messages are judged by the brain of the manager, on a
 * store in memory, and each worker that it launches is taken to do what it should.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands/rules_file.h"
#include "commands/simulate_internal.h"
#include "core/data/suggest.h"
#include "core/data/yaml.h"
#include "core/decide/rules_flow.h"
#include "core/system/applet.h"
#include "core/system/clock.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"

enum {
	LIMIT_DEFAULT = 10000,
	LIMIT_MOST = 1000000,
	BEGINNINGS_SHOWN = 6,
};

static const struct cli_option simulate_options[] = {
	{ .name = "config_file",
		.kind = CLI_KIND_TEXT,
		.optional = true,
		.help = "Path/name of YAML configuration file for NEMO nowcast; when it is absent, "
			"$NOWCAST_YAML, and without that ./nowcast.yaml" },
	{ .name = "--start",
		.kind = CLI_KIND_TEXT,
		.metavar = "MESSAGE",
		.repeated = true,
		.help = "the message that begins the day: \"WORKER TYPE\", or WORKER alone for its "
			"success; may be given more than once; without it, what the section "
			"scheduled workers launches in the day" },
	{ .name = "--payloads",
		.kind = CLI_KIND_TEXT,
		.metavar = "FILE",
		.help = "YAML file with the payloads of messages: a mapping from WORKER, \"WORKER "
			"TYPE\" or \"WORKER ARGUMENTS\" to the payload" },
	{ .name = "--today",
		.kind = CLI_KIND_DATE,
		.metavar = "DATE",
		.default_date = CLI_DATE_TODAY,
		.help = "the day that is rehearsed, YYYY-MM-DD" },
	{ .name = "--fail",
		.kind = CLI_KIND_TEXT,
		.metavar = "WORKER",
		.repeated = true,
		.help = "this worker fails; may be given more than once" },
	{ .name = "--crash",
		.kind = CLI_KIND_TEXT,
		.metavar = "WORKER",
		.repeated = true,
		.help = "this worker crashes; may be given more than once" },
	{ .name = "--limit",
		.kind = CLI_KIND_INT,
		.metavar = "N",
		.least = 1,
		.most = LIMIT_MOST,
		.default_int = LIMIT_DEFAULT,
		.help = "after this many messages, it is said that the day has no end; default: "
			"10000" },
	{ .name = "--json",
		.kind = CLI_KIND_FLAG,
		.help = "print the story as one JSON object, for programs" },
	CLI_END,
};

static int refuse(const char *words, int status)
{
	(void)fprintf(stderr, "nowcast simulate: %s\n", words);
	return status;
}

static int refuse_error(const struct error *error, int status)
{
	return refuse(error->text, error->code == NC_ERR_NOMEM ? EXIT_FAILED : status);
}

/* --- rules and payloads --- */

static int load_rules(const struct config *config, struct rules **ret_rules)
{
	struct findings findings;
	struct error error = { 0 };
	struct buffer words;
	enum nc_err err;
	int status = EXIT_DONE;

	findings_init(&findings);
	buffer_init(&words);
	err = rules_file_read(config, ret_rules, &findings);
	for (size_t i = 0; err != NC_OK && i < findings.count; i++) {
		if (findings.items[i].severity != SEVERITY_ERROR)
			continue;
		finding_print(&findings.items[i], &words);
		buffer_append_char(&words, '\n');
	}
	(void)fputs(words.data, stderr);
	if (err == NC_ERR_NOT_FOUND) {
		(void)error_set(&error, err,
			"there is no %s, so no worker launches another; next_workers.yaml(5) says "
			"how rules are written",
			config->rules_file);
		status = refuse_error(&error, EXIT_NO_SUCH_THING);
	} else if (err == NC_ERR_NOMEM) {
		status = refuse("out of memory", EXIT_FAILED);
	} else if (err != NC_OK) {
		status = refuse("the rules cannot be used; `nowcast check` says all that is wrong",
			EXIT_BAD_CONFIG);
	}
	findings_finish(&findings);
	buffer_finish(&words);
	return status;
}

static int load_payloads(const struct config *config, const char *file, struct value **ret_payloads)
{
	const struct value *stray;
	struct value *payloads = NULL;
	struct error error = { 0 }, why = { 0 };
	struct buffer text;
	int status = EXIT_DONE;

	buffer_init(&text);
	if (file_read(file, yaml_file_limits.bytes, &text, &error) != NC_OK) {
		status = refuse_error(&error, EXIT_BAD_CONFIG);
	} else if (yaml_read(text.data, text.len, YAML_READ_MERGE_KEYS, &yaml_file_limits,
			   &payloads, &why) != NC_OK) {
		(void)error_set(
			&error, why.code, "%s:%u:%u: %s", file, why.line, why.column, why.text);
		status = refuse_error(&error, EXIT_BAD_CONFIG);
	} else if (!value_is(payloads, VALUE_MAP) && !value_is(payloads, VALUE_NULL)) {
		(void)error_set(&error, NC_ERR_INVALID,
			"%s:1:1: payloads are a mapping from a worker, or a worker and its message "
			"type, to the payload",
			file);
		status = refuse_error(&error, EXIT_BAD_CONFIG);
	} else if ((stray = day_stray_payload(config, payloads)) != NULL) {
		(void)error_set(&error, NC_ERR_INVALID,
			"%s:%u:%u: `%.100s` begins with no worker of the message registry", file,
			value_line(stray), value_column(stray), value_as_text(stray, "?"));
		status = refuse_error(&error, EXIT_BAD_CONFIG);
	}
	buffer_finish(&text);
	if (status == EXIT_DONE)
		*ret_payloads = payloads;
	else
		value_destroy(payloads);
	return status;
}

/* --- what begins the day --- */

static int unknown_worker(const struct config *config, const char *name)
{
	const char **names = calloc(config->workers_count + 1, sizeof(*names));
	const char *near;
	struct error error;

	for (unsigned i = 0; names != NULL && i < config->workers_count; i++)
		names[i] = config->workers[i].name;
	near = names != NULL ? suggest(name, names, config->workers_count) : NULL;
	(void)error_set(&error, NC_ERR_NOT_FOUND,
		"the worker `%.100s` is not in the message registry%s%s%s", name,
		near != NULL ? "; did you mean `" : "", near != NULL ? near : "",
		near != NULL ? "`?" : "");
	free(names);
	return refuse(error.text, EXIT_NO_SUCH_THING);
}

static int unknown_type(const struct config_worker *worker, const char *type)
{
	const char **names = calloc(worker->types_count + 1, sizeof(*names));
	const char *near;
	struct error error;

	for (unsigned i = 0; names != NULL && i < worker->types_count; i++)
		names[i] = worker->types[i].name;
	near = names != NULL ? suggest(type, names, worker->types_count) : NULL;
	(void)error_set(&error, NC_ERR_NOT_FOUND,
		"%s has no message type `%.100s` in the message registry%s%s%s", worker->name, type,
		near != NULL ? "; did you mean `" : "", near != NULL ? near : "",
		near != NULL ? "`?" : "");
	free(names);
	return refuse(error.text, EXIT_NO_SUCH_THING);
}

/* `WORKER TYPE`. */
static int start(struct day *day, const struct config *config, const char *text)
{
	static const char *const always[] = { "crash", "lost" };
	size_t len = strcspn(text, " ");
	char *name = strndup(text, len);
	const char *type = text + len + strspn(text + len, " "), *known = NULL;
	const struct config_worker *worker;
	struct error error = { 0 };
	int status = EXIT_DONE;

	if (name == NULL)
		return refuse("out of memory", EXIT_FAILED);
	worker = config_find_worker(config, name);
	if (worker == NULL)
		status = unknown_worker(config, name);
	free(name);
	if (worker == NULL)
		return status;
	if (config_find_type(worker, type) != NULL)
		known = config_find_type(worker, type)->name;
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		if (strcmp(type, always[i]) == 0)
			known = always[i];
	if (known == NULL && type[0] != '\0')
		return unknown_type(worker, type);
	return day_start(day, worker->name, known, &error) == NC_OK
		       ? EXIT_DONE
		       : refuse_error(&error, EXIT_FAILED);
}

static bool is_launched(const struct flow *flow, const char *worker)
{
	for (size_t i = 0; i < flow->steps_count; i++)
		if (strcmp(flow->steps[i].to, worker) == 0 &&
			strcmp(flow->steps[i].when.from, worker) != 0)
			return true;
	return false;
}

/* Workers that have rules, and that no other one launches. */
static void append_beginnings(const struct config *config, struct buffer *out)
{
	struct value *tree = NULL;
	struct flow flow = { 0 };
	struct buffer text;
	size_t shown = 0;

	buffer_init(&text);
	if (file_read(config->rules_file, yaml_file_limits.bytes, &text, NULL) == NC_OK &&
		yaml_read(text.data, text.len, YAML_READ_ALL_TEXT, &yaml_file_limits, &tree,
			NULL) == NC_OK &&
		flow_read(tree, config, &flow, NULL) == NC_OK) {
		for (unsigned i = 0; i < config->workers_count && shown < BEGINNINGS_SHOWN; i++) {
			const char *name = config->workers[i].name;

			if (value_count(value_map_get(tree, name)) == 0 || is_launched(&flow, name))
				continue;
			buffer_printf(out, "%s%s", shown == 0 ? "; here it may be " : ", ", name);
			shown++;
		}
	}
	flow_finish(&flow);
	value_destroy(tree);
	buffer_finish(&text);
}

static int no_beginning(const struct config *config)
{
	struct buffer words;
	int status;

	buffer_init(&words);
	buffer_append_text(&words, "there are no `scheduled workers`, so say what begins the day: "
				   "--start \"WORKER TYPE\"");
	append_beginnings(config, &words);
	status = refuse(words.data, EXIT_USAGE);
	buffer_finish(&words);
	return status;
}

/* All names that options give must be registered: else they do nothing, and nobody notices. */
static int check_names(const struct config *config, const struct cli_args *args, const char *option)
{
	const char *name;

	for (size_t i = 0; (name = cli_text_at(args, option, i)) != NULL; i++)
		if (config_find_worker(config, name) == NULL)
			return unknown_worker(config, name);
	return EXIT_DONE;
}

static int begin(struct day *day, const struct config *config, const struct cli_args *args)
{
	const char *text;
	int status = check_names(config, args, "--fail");

	if (status == EXIT_DONE)
		status = check_names(config, args, "--crash");
	if (status != EXIT_DONE)
		return status;
	if (!cli_given(args, "--start")) {
		if (config->schedules_count == 0)
			return no_beginning(config);
		day_follow_schedules(day);
	}
	for (size_t i = 0; status == EXIT_DONE && (text = cli_text_at(args, "--start", i)) != NULL;
		i++)
		status = start(day, config, text);
	return status;
}

/* --- the day --- */

/* One step, told; *ret_result is as of day_step(). */
static bool tell_step(struct day *day, struct story *story, struct buffer *out,
	enum day_result *ret_result, struct error *error)
{
	struct day_event event = { 0 };
	struct value *status = NULL;
	bool well = true;

	*ret_result = day_step(day, &event, error);
	if (*ret_result != DAY_GOES_ON)
		return *ret_result != DAY_FAILED;
	if (event.t.groups_changed) {
		status = day_status(day, error);
		well = status != NULL;
	}
	if (well && !story_tell(story, &event, value_map_get(status, "groups"), out)) {
		(void)error_nomem(error);
		well = false;
	}
	value_destroy(status);
	day_event_finish(&event);
	return well;
}

/* What has been told so far is shown at once: a day can be long. */
static int tell_day(struct day *day, struct story *story)
{
	enum day_result result = DAY_GOES_ON;
	struct value *status = NULL;
	struct error error = { 0 };
	struct buffer out;
	int code = EXIT_DONE;

	buffer_init(&out);
	while (result == DAY_GOES_ON && code == EXIT_DONE) {
		if (!tell_step(day, story, &out, &result, &error))
			code = refuse_error(&error, EXIT_FAILED);
		else if (out.len > 0)
			code = applet_show(&out);
		buffer_clear(&out);
	}
	if (code == EXIT_DONE) {
		status = day_status(day, &error);
		if (status == NULL || !story_end(story, day, result, status, &out))
			code = refuse("out of memory", EXIT_FAILED);
		else
			code = applet_show(&out);
	}
	if (code == EXIT_DONE && result == DAY_ENDLESS)
		code = EXIT_FAILED;
	else if (code == EXIT_DONE && story_rule_errors(status) > 0)
		code = EXIT_BAD_CONFIG;
	value_destroy(status);
	buffer_finish(&out);
	return code;
}

static int rehearse(const struct config *config, const struct rules *rules,
	const struct value *payloads, const struct cli_args *args)
{
	struct day_wishes wishes = {
		.payloads = payloads, .args = args, .limit = cli_int(args, "--limit")
	};
	struct story story = { .config = config, .width = applet_terminal_width(STDOUT_FILENO) };
	struct day *day = NULL;
	struct error error = { 0 };
	int status;

	(void)cli_date(args, "--today", &wishes.today);
	if (cli_flag(args, "--json")) {
		story.events = value_list();
		if (story.events == NULL)
			return refuse("out of memory", EXIT_FAILED);
	}
	if (day_create(config, rules, &wishes, &day, &error) != NC_OK)
		status = refuse_error(&error, EXIT_FAILED);
	else
		status = begin(day, config, args);
	if (status == EXIT_DONE)
		status = tell_day(day, &story);
	value_destroy(story.events);
	day_destroy(day);
	return status;
}

static int simulate(const struct config *config, const struct cli_args *args)
{
	struct rules *rules = NULL;
	struct value *payloads = NULL;
	int status = load_rules(config, &rules);

	if (status == EXIT_DONE && cli_given(args, "--payloads"))
		status = load_payloads(config, cli_text(args, "--payloads"), &payloads);
	if (status == EXIT_DONE)
		status = rehearse(config, rules, payloads, args);
	value_destroy(payloads);
	rules_destroy(rules);
	return status;
}

static int simulate_run(const struct applet *self, int argc, char **argv)
{
	struct cli_args *args = NULL;
	struct config *config;
	int status;

	if (!applet_parse(self, argc, argv, &args, &status))
		return status;
	config = applet_load_config(
		"simulate", applet_config_file(cli_text(args, "config_file")), &status);
	if (config != NULL)
		status = simulate(config, args);
	config_destroy(config);
	cli_args_destroy(args);
	return status;
}

const struct applet applet_simulate = {
	.name = "simulate",
	.kind = APPLET_COMMAND,
	.summary = "rehearse the day: what would follow what, with nothing started",
	.description =
		"Rehearse the day of a nowcast system with no process started. From the first "
		"message on, each worker that the rules launch is taken to succeed, and what it "
		"reports is judged by the very code of the manager, on a clock of its own. "
		"Printed is who reports what, which rule launches what, what waits for what, what "
		"never ran, and how the day ends.",
	.options = simulate_options,
	.run = simulate_run,
};
