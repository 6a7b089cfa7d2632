/*
 * nowcast next: what would be launched after a message, by the very rules, with no system running. Nothing is
 * changed and nothing is started.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "applets.h"
#include "commands/rules_file.h"
#include "core/data/json.h"
#include "core/data/suggest.h"
#include "core/data/yaml.h"
#include "core/decide/rules.h"
#include "core/system/applet.h"
#include "core/system/clock.h"
#include "core/system/config.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"

static const struct cli_option next_options[] = {
	{ .name = "config_file",
		.kind = CLI_KIND_TEXT,
		.optional = true,
		.help = "Path/name of YAML configuration file for NEMO nowcast; when it is absent, "
			"$NOWCAST_YAML, and without that ./nowcast.yaml" },
	{ .name = "worker", .kind = CLI_KIND_TEXT, .help = "the worker that reports" },
	{ .name = "type",
		.kind = CLI_KIND_TEXT,
		.help = "the message type that it reports, as one word: 'success 06'" },
	{ .name = "--payload",
		.kind = CLI_KIND_TEXT,
		.metavar = "FILE",
		.help = "the payload of the message, a YAML or JSON file; without it, the message has "
			"none" },
	{ .name = "--checklist",
		.kind = CLI_KIND_TEXT,
		.metavar = "FILE",
		.help = "the checklist before the message, a YAML or JSON file; the payload is merged "
			"into it as the manager does; without it, the checklist is empty" },
	{ .name = "--arguments",
		.kind = CLI_KIND_TEXT,
		.metavar = "ARGS",
		.help = "the arguments that the worker was launched with, as one word: '--run-date "
			"2026-11-24'" },
	{ .name = "--today",
		.kind = CLI_KIND_DATE,
		.metavar = "DATE",
		.default_date = CLI_DATE_TODAY,
		.help = "the day on which the message is taken to arrive, YYYY-MM-DD" },
	{ .name = "--json", .kind = CLI_KIND_FLAG, .help = "print one JSON object, for programs" },
	CLI_END,
};

/* --- the message --- */

struct question {
	struct config *config;
	struct rules *rules;
	const struct config_worker *worker;
	const char *type;
	struct value *payload, *checklist, *launch;
	struct date today;
};

static void question_finish(struct question *question)
{
	value_destroy(question->payload);
	value_destroy(question->checklist);
	value_destroy(question->launch);
	rules_destroy(question->rules);
	config_destroy(question->config);
}

static int out_of_memory(void)
{
	(void)fputs("nowcast next: out of memory\n", stderr);
	return EXIT_FAILED;
}

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* *ret_value stays NULL without a file. */
static int read_file(const char *file, const struct yaml_limits *limits, struct value **ret_value)
{
	struct error error = { 0 };
	struct buffer text;
	enum nc_err err;

	if (file == NULL)
		return EXIT_DONE;
	buffer_init(&text);
	err = file_read(file, limits->bytes, &text, &error);
	if (err == NC_OK)
		err = ends_in(file, ".json")
			      ? json_read(text.data, text.len, limits, ret_value, &error)
			      : yaml_read(text.data, text.len, YAML_READ_MERGE_KEYS, limits,
					ret_value, &error);
	buffer_finish(&text);
	if (err == NC_OK)
		return EXIT_DONE;
	if (error.line > 0)
		(void)fprintf(stderr, "nowcast next: %s:%u:%u: %s\n", file, error.line,
			error.column, error.text);
	else
		(void)fprintf(stderr, "nowcast next: %s cannot be read: %s\n", file, error.text);
	return err == NC_ERR_NOMEM ? EXIT_FAILED : EXIT_NO_SUCH_THING;
}

/* What the part of the checklist becomes, as in the manager: a mapping is merged into a mapping, else it is
 * replaced. */
static bool merge_payload(struct question *question)
{
	const char *key = question->worker->checklist_key;
	struct value *old, *copy;

	if (question->checklist == NULL)
		question->checklist = value_map();
	if (key == NULL || value_is(question->payload, VALUE_NULL))
		return question->checklist != NULL;
	old = value_map_get(question->checklist, key);
	if (value_is(old, VALUE_MAP) && value_is(question->payload, VALUE_MAP))
		return value_map_merge(old, question->payload) == NC_OK;
	copy = value_copy(question->payload);
	return value_map_put(question->checklist, key, copy) == NC_OK;
}

/* `--a "b c" d`: words at blanks, those in double quotes kept together. */
static struct value *split_arguments(const char *text)
{
	struct value *list = value_list();
	bool well = list != NULL;

	while (well) {
		const char *end;
		bool quoted;

		text += strspn(text, " \t\n");
		if (*text == '\0')
			break;
		quoted = *text == '"' && strchr(text + 1, '"') != NULL;
		end = quoted ? strchr(text + 1, '"') : text + strcspn(text, " \t\n");
		well = value_list_append(
			       list, quoted ? value_text_n(text + 1, (size_t)(end - text) - 1)
					    : value_text_n(text, (size_t)(end - text))) == NC_OK;
		text = end + quoted;
	}
	if (well)
		return list;
	value_destroy(list);
	return NULL;
}

static bool make_launch(struct question *question, const char *arguments)
{
	struct value *launch = value_map();

	question->launch = launch;
	return value_map_put(launch, "worker", value_text(question->worker->name)) == NC_OK &&
	       value_map_put(launch, "arguments",
		       split_arguments(arguments != NULL ? arguments : "")) == NC_OK &&
	       value_map_put(launch, "host", value_text("localhost")) == NC_OK &&
	       value_map_put(launch, "date", value_date(question->today)) == NC_OK &&
	       value_map_put(launch, "attempt", value_int(1)) == NC_OK;
}

/* --- may it be asked? --- */

static void say_unknown(const char *what, const char *name, const char *const *names, size_t count)
{
	const char *near = names != NULL ? suggest(name, names, count) : NULL;
	struct buffer text;

	buffer_init(&text);
	buffer_append_text(&text, what);
	cli_append_safe(&text, name);
	if (near != NULL)
		buffer_printf(&text, "; did you mean %s?", near);
	(void)fprintf(stderr, "nowcast next: %s\n", text.data);
	buffer_finish(&text);
}

static int find_worker(struct question *question, const char *name)
{
	const struct config *config = question->config;
	const char **names;

	question->worker = config_find_worker(config, name);
	if (question->worker != NULL)
		return EXIT_DONE;
	names = calloc(config->workers_count + 1, sizeof(*names));
	for (unsigned i = 0; names != NULL && i < config->workers_count; i++)
		names[i] = config->workers[i].name;
	say_unknown("no worker of that name is in the message registry: ", name, names,
		config->workers_count);
	free(names);
	return EXIT_NO_SUCH_THING;
}

static int find_type(struct question *question, const char *type)
{
	const struct config_worker *worker = question->worker;
	const char **names;

	question->type = type;
	if (config_find_type(worker, type) != NULL || strcmp(type, "crash") == 0 ||
		strcmp(type, "lost") == 0)
		return EXIT_DONE;
	names = calloc(worker->types_count + 1, sizeof(*names));
	for (unsigned i = 0; names != NULL && i < worker->types_count; i++)
		names[i] = worker->types[i].name;
	say_unknown("that message type is not registered for the worker: ", type, names,
		worker->types_count);
	free(names);
	return EXIT_NO_SUCH_THING;
}

static int load_rules(struct question *question)
{
	struct findings findings;
	struct buffer text;
	enum nc_err err;
	int status = EXIT_DONE;

	findings_init(&findings);
	buffer_init(&text);
	err = rules_file_read(question->config, &question->rules, &findings);
	if (err == NC_ERR_NOMEM) {
		status = out_of_memory();
	} else if (err == NC_ERR_NOT_FOUND) {
		(void)fprintf(stderr,
			"nowcast next: there is no %s, so no worker launches another\n",
			question->config->rules_file);
		question->rules = rules_none();
		status = question->rules != NULL ? EXIT_DONE : out_of_memory();
	} else if (err != NC_OK) {
		for (size_t i = 0; i < findings.count; i++) {
			if (findings.items[i].severity != SEVERITY_ERROR)
				continue;
			finding_print(&findings.items[i], &text);
			buffer_append_char(&text, '\n');
		}
		(void)fputs(text.data, stderr);
		status = EXIT_BAD_CONFIG;
	}
	buffer_finish(&text);
	findings_finish(&findings);
	return status;
}

/* --- the answer --- */

static void print_word(struct buffer *out, const char *word)
{
	bool quotes = word[0] == '\0' || strpbrk(word, " \t\n") != NULL;

	buffer_append_text(out, quotes ? "\"" : "");
	cli_append_safe(out, word);
	buffer_append_text(out, quotes ? "\"" : "");
}

static void print_launch(struct buffer *out, const struct rules_launch *launch)
{
	print_word(out, launch->worker);
	for (size_t i = 0; i < launch->arguments_count; i++) {
		buffer_append_char(out, ' ');
		print_word(out, launch->arguments[i]);
	}
	if (strcmp(launch->host, "localhost") != 0) {
		buffer_append_text(out, " on ");
		print_word(out, launch->host);
	}
	buffer_append_char(out, '\n');
}

static void print_duration(struct buffer *out, int64_t ms)
{
	if (ms % (3600 * MS_PER_S) == 0)
		buffer_printf(out, "%" PRId64 " h", ms / (3600 * MS_PER_S));
	else if (ms % MS_PER_S == 0)
		buffer_printf(out, "%" PRId64 " s", ms / MS_PER_S);
	else
		buffer_printf(out, "%" PRId64 " ms", ms);
}

static void print_group(struct buffer *out, const struct rules_group *group)
{
	buffer_append_text(out, "hold until all have ended: ");
	for (size_t i = 0; i < group->members_count; i++) {
		buffer_append_text(out, i > 0 ? ", " : "");
		cli_append_safe(out, group->members[i].worker);
		if (group->members[i].pattern != NULL) {
			buffer_append_char(out, ' ');
			cli_append_safe(out, group->members[i].pattern);
		}
	}
	if (group->drop_if_one_fails)
		buffer_append_text(out, "; if one fails: drop");
	buffer_append_text(out, "; give up after: ");
	print_duration(out, group->give_up_after_ms);
	if (group->release_when_given_up)
		buffer_append_text(out, "; when given up: release");
	buffer_append_char(out, '\n');
}

static void print_text(struct buffer *out, const struct rules_decision *decision)
{
	for (size_t i = 0; i < decision->count; i++)
		print_launch(out, &decision->launches[i]);
	for (size_t i = 0; i < decision->groups_count; i++)
		print_group(out, &decision->groups[i]);
	for (size_t i = 0; i < decision->alarms_count; i++) {
		buffer_append_text(out, "alarm: ");
		cli_append_safe(out, decision->alarms[i].text);
		buffer_append_char(out, '\n');
	}
	for (size_t i = 0; i < decision->programs_count; i++) {
		buffer_append_text(out, "decide with:");
		for (size_t j = 0; j < decision->programs[i].argc; j++) {
			buffer_append_char(out, ' ');
			print_word(out, decision->programs[i].argv[j]);
		}
		buffer_append_char(out, '\n');
	}
}

static void print_json(struct buffer *out, const struct rules_decision *decision)
{
	struct value *value = rules_decision_to_value(decision);

	if (value == NULL)
		out->failed = true;
	else
		json_write(value, JSON_WRITE_INDENT, out);
	buffer_append_char(out, '\n');
	value_destroy(value);
}

static int answer(const struct question *question, bool json)
{
	struct rules_input input = { .worker = question->worker->name,
		.type = question->type,
		.payload = question->payload,
		.config = question->config->tree,
		.checklist = question->checklist,
		.launch = question->launch,
		.today = question->today };
	struct rules_decision decision = { 0 };
	struct error error = { 0 };
	struct buffer out;
	int status = EXIT_DONE;
	enum nc_err err = rules_apply(question->rules, &input, &decision, &error);

	if (err == NC_ERR_NOMEM)
		return out_of_memory();
	if (err != NC_OK) {
		(void)fprintf(stderr, "%s\n", error.text);
		return EXIT_BAD_CONFIG;
	}
	buffer_init(&out);
	if (json)
		print_json(&out, &decision);
	else
		print_text(&out, &decision);
	if (out.len > 0 || out.failed)
		status = applet_show(&out);
	else
		(void)fputs("nothing would be launched\n", stderr);
	buffer_finish(&out);
	rules_decision_finish(&decision);
	return status;
}

/* --- the command --- */

/* The words with the configuration file in its place, when none of them names it; to be freed. */
static char **with_config_file(int argc, char **argv, int *ret_argc)
{
	char **words = calloc((size_t)argc + 2, sizeof(*words));
	int first = 1;

	if (words == NULL)
		return NULL;
	while (first < argc && argv[first][0] == '-') {
		bool takes_value = false;

		for (size_t i = 0; next_options[i].name != NULL; i++)
			takes_value =
				takes_value || (strcmp(argv[first], next_options[i].name) == 0 &&
						       next_options[i].kind != CLI_KIND_FLAG);
		first += takes_value ? 2 : 1;
	}
	memcpy(words, argv, (size_t)argc * sizeof(*words));
	*ret_argc = argc;
	if (first >= argc || text_ends_in_yaml(argv[first]))
		return words;
	memmove(words + first + 1, words + first, (size_t)(argc - first) * sizeof(*words));
	words[first] = (char *)applet_config_file(NULL);
	*ret_argc = argc + 1;
	return words;
}

static int ask(const struct cli_args *args)
{
	struct question question = { 0 };
	int status = EXIT_DONE;

	question.config = applet_load_config(
		"next", applet_config_file(cli_text(args, "config_file")), &status);
	if (question.config == NULL)
		return status;
	if (!cli_date(args, "--today", &question.today))
		question.today = date_local(clock_real_ns());
	status = find_worker(&question, cli_text(args, "worker"));
	if (status == EXIT_DONE)
		status = find_type(&question, cli_text(args, "type"));
	if (status == EXIT_DONE)
		status = load_rules(&question);
	if (status == EXIT_DONE)
		status = read_file(
			cli_text(args, "--payload"), &yaml_message_limits, &question.payload);
	if (status == EXIT_DONE)
		status = read_file(
			cli_text(args, "--checklist"), &yaml_file_limits, &question.checklist);
	if (status == EXIT_DONE && (!merge_payload(&question) ||
					   !make_launch(&question, cli_text(args, "--arguments"))))
		status = out_of_memory();
	if (status == EXIT_DONE)
		status = answer(&question, cli_flag(args, "--json"));
	question_finish(&question);
	return status;
}

static int next_run(const struct applet *self, int argc, char **argv)
{
	struct cli_args *args = NULL;
	int status = EXIT_FAILED, count = argc;
	char **words = with_config_file(argc, argv, &count);

	if (words == NULL)
		return out_of_memory();
	if (applet_parse(self, count, words, &args, &status))
		status = ask(args);
	cli_args_destroy(args);
	free(words);
	return status;
}

const struct applet applet_next = {
	.name = "next",
	.kind = APPLET_COMMAND,
	.summary = "say what would be launched after a message",
	.description =
		"Ask the rules of a nowcast system what would be launched after a worker has "
		"reported a message type: one command line each, with the host when it is another "
		"one, then the workers that are to be waited for, and alarms. Nothing is changed, "
		"nothing is started, and no running system is needed.",
	.options = next_options,
	.run = next_run,
};
