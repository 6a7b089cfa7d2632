/*
 * nowcast check: everything that can be said of a configuration without starting anything. All problems are
 * listed, not the first. Each finding has a stable short name, which nowcast-check(1) explains.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "applets.h"
#include "commands/rules_file.h"
#include "core/data/json.h"
#include "core/decide/rules.h"
#include "core/system/applet.h"
#include "core/system/config.h"
#include "core/system/exit_status.h"
#include "core/system/file.h"
#include "core/system/log.h"

enum {
	NAMES_SHOWN = 8,
};

static const struct cli_option check_options[] = {
	{ .name = "config_file",
		.kind = CLI_KIND_TEXT,
		.optional = true,
		.help = "Path/name of YAML configuration file for NEMO nowcast; when it is absent, "
			"$NOWCAST_YAML, and without that ./nowcast.yaml" },
	{ .name = "--strict",
		.kind = CLI_KIND_FLAG,
		.help = "exit status 8 for warnings too, not only for errors" },
	{ .name = "--json",
		.kind = CLI_KIND_FLAG,
		.help = "print the findings as one JSON object, for programs" },
	CLI_END,
};

/* --- rules --- */

/* A deployment that has its rules as Python functions would run without any. */
static void say_no_rules(const struct config *config, const char *shown, struct findings *findings)
{
	const struct value *registry = value_map_get(config->tree, "message registry");
	const struct value *at = value_map_get(registry, "next workers module");
	bool is_module = strcmp(path_base(config->rules_file), path_base(config->rules_name)) != 0;

	if (is_module && at != NULL)
		findings_add(findings, SEVERITY_WARNING, "python-rules", config->file,
			value_line(at), value_column(at),
			"`%.100s` is a Python module, which cannot be used, and there is no %s in its "
			"place, so no worker launches another; next_workers.yaml(5) says how rules "
			"are written",
			config->rules_name, shown);
	else
		findings_add(findings, SEVERITY_NOTE, "no-rules", config->file, value_line(at),
			value_column(at), "there is no %s, so no worker launches another", shown);
}

static void check_rules(const struct config *config, struct findings *findings)
{
	char *shown = rules_file_shown(config);
	struct rules *rules = NULL;
	enum nc_err err = rules_file_read(config, &rules, findings);

	if (err == NC_ERR_NOMEM || shown == NULL)
		findings->failed = true;
	else if (err == NC_ERR_NOT_FOUND)
		say_no_rules(config, shown, findings);
	rules_destroy(rules);
	free(shown);
}

/* --- programs --- */

static bool has_program(const struct config *config, const char *worker)
{
	const struct applet *applet = applet_find(worker);

	return config_find_program(config, worker)->command_count > 0 ||
	       (applet != NULL && applet->kind == APPLET_WORKER);
}

/* One note for all of them: a deployment of the Python framework has dozens before it is moved. */
static void check_programs(const struct config *config, struct findings *findings)
{
	const struct value *registry = value_map_get(config->tree, "message registry");
	const struct value *workers = value_map_get(registry, "workers"), *first = NULL;
	struct buffer names;
	size_t count = 0;

	buffer_init(&names);
	for (unsigned i = 0; i < config->workers_count; i++) {
		if (has_program(config, config->workers[i].name))
			continue;
		if (first == NULL)
			first = value_map_key_at(workers, i);
		if (count < NAMES_SHOWN)
			buffer_printf(
				&names, "%s%s", count == 0 ? "" : ", ", config->workers[i].name);
		count++;
	}
	if (count > NAMES_SHOWN)
		buffer_printf(&names, " and %zu more", count - NAMES_SHOWN);
	if (names.failed)
		findings->failed = true;
	else if (count > 0)
		findings_add(findings, SEVERITY_NOTE, "no-program", config->file, value_line(first),
			value_column(first),
			"%zu of %u workers cannot be launched: neither built in nor given a "
			"`command` in the section `workers` (an entry `default` there would do "
			"for all): %s",
			count, config->workers_count, names.data);
	buffer_finish(&names);
}

/* --- the report --- */

/* In the order of the file; what concerns no line stays where it was, behind the rest of its file. */
static bool comes_before(const struct finding *a, const struct finding *b)
{
	if (strcmp(a->file, b->file) != 0 || a->line == 0)
		return false;
	return b->line == 0 || a->line < b->line || (a->line == b->line && a->column < b->column);
}

/* Insertion sort: stable, and findings are few and nearly in order. */
static void sort_findings(struct findings *findings)
{
	for (size_t i = 1; i < findings->count; i++) {
		struct finding finding = findings->items[i];
		size_t to = i;

		while (to > 0 && comes_before(&finding, &findings->items[to - 1])) {
			findings->items[to] = findings->items[to - 1];
			to--;
		}
		findings->items[to] = finding;
	}
}

static void print_text(const char *file, const struct findings *findings, struct buffer *out)
{
	buffer_clear(out);
	for (size_t i = 0; i < findings->count; i++) {
		finding_print(&findings->items[i], out);
		buffer_append_char(out, '\n');
	}
	buffer_printf(out, "%s: ", file);
	for (int severity = 0; severity < SEVERITY_COUNT; severity++) {
		size_t count = findings_count(findings, (enum severity)severity);

		buffer_printf(out, "%s%zu %s%s", severity == 0 ? "" : ", ", count,
			severity_name((enum severity)severity), count == 1 ? "" : "s");
	}
	buffer_append_char(out, '\n');
}

static struct value *finding_value(const struct finding *finding)
{
	struct value *map = value_map();
	bool well =
		value_map_put(map, "severity", value_text(severity_name(finding->severity))) ==
			NC_OK &&
		value_map_put(map, "name", value_text(finding->name)) == NC_OK &&
		value_map_put(map, "file", value_text(finding->file)) == NC_OK &&
		value_map_put(map, "line",
			finding->line > 0 ? value_int(finding->line) : value_null()) == NC_OK &&
		value_map_put(map, "column",
			finding->line > 0 ? value_int(finding->column) : value_null()) == NC_OK &&
		value_map_put(map, "text", value_text(finding->text)) == NC_OK;

	if (well)
		return map;
	value_destroy(map);
	return NULL;
}

static void print_json(const char *file, const struct findings *findings, struct buffer *out)
{
	static const char *const plurals[] = { "errors", "warnings", "notes" };
	struct value *report = value_map(), *list = value_list();
	bool well = true;

	for (size_t i = 0; i < findings->count; i++)
		well = value_list_append(list, finding_value(&findings->items[i])) == NC_OK && well;
	well = value_map_put(report, "file", value_text(file)) == NC_OK && well;
	for (int severity = 0; severity < SEVERITY_COUNT; severity++)
		well = value_map_put(report, plurals[severity],
			       value_int((int64_t)findings_count(
				       findings, (enum severity)severity))) == NC_OK &&
		       well;
	well = value_map_put(report, "findings", list) == NC_OK && well;
	if (well)
		json_write(report, JSON_WRITE_INDENT, out);
	else
		out->failed = true;
	buffer_append_char(out, '\n');
	value_destroy(report);
}

/* --- the command --- */

/* false: out of memory. */
static bool check(const char *file, struct findings *findings)
{
	struct config *config = NULL;
	enum nc_err err = config_load(file, &config, findings, NULL);

	if (err == NC_OK) {
		log_check(config, findings);
		check_programs(config, findings);
		config_check_host(config, findings);
		check_rules(config, findings);
		config_destroy(config);
	}
	sort_findings(findings);
	return err != NC_ERR_NOMEM && !findings->failed;
}

static int exit_status(const struct findings *findings, bool strict)
{
	if (findings_count(findings, SEVERITY_ERROR) > 0 ||
		(strict && findings_count(findings, SEVERITY_WARNING) > 0))
		return EXIT_BAD_CONFIG;
	return EXIT_DONE;
}

static int check_run(const struct applet *self, int argc, char **argv)
{
	struct cli_args *args = NULL;
	struct findings findings;
	struct buffer out;
	const char *file;
	int status = EXIT_FAILED;

	if (!applet_parse(self, argc, argv, &args, &status))
		return status;
	findings_init(&findings);
	buffer_init(&out);
	file = applet_config_file(cli_text(args, "config_file"));
	if (check(file, &findings)) {
		if (cli_flag(args, "--json"))
			print_json(file, &findings, &out);
		else
			print_text(file, &findings, &out);
		status = exit_status(&findings, cli_flag(args, "--strict"));
	}
	if (out.len == 0)
		out.failed = true; /* there is always a last line */
	if (applet_show(&out) != EXIT_DONE)
		status = EXIT_FAILED;
	buffer_finish(&out);
	findings_finish(&findings);
	cli_args_destroy(args);
	return status;
}

const struct applet applet_check = {
	.name = "check",
	.kind = APPLET_COMMAND,
	.summary = "say what is wrong with a configuration file, before anything starts",
	.description =
		"Read the configuration file of a nowcast system and the rules that it names, and "
		"list all that is wrong with them: errors, with which nothing would start; "
		"warnings, for what is most likely not meant; notes, for what is worth knowing. "
		"Each is said with its file, line and column. Also listed is what of this host "
		"would not do for it. Nothing is changed and nothing is started.",
	.options = check_options,
	.run = check_run,
};
