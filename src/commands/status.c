/* nowcast status: what the system does, and whether it is well. */
#include <stdlib.h>
#include <string.h>

#include "commands/manager_order.h"
#include "commands/supervisor_client.h"
#include "core/system/clock.h"
#include "core/system/exit_status.h"

enum {
	LOOK_BACK_S = 24 * 3600,
};

struct status {
	struct manager_order *order;
	struct value *supervisor, *manager; /* their answers; NULL: not reached */
	struct error supervisor_error, manager_error;
	bool well;
};

/* --- asking, and is it well? --- */

static bool is_running(const struct value *program)
{
	return strcmp(supervisor_text(program, "state"), "running") == 0 &&
	       value_as_text(value_map_get(program, "alarm"), NULL) == NULL;
}

static bool supervisor_is_well(const struct status *s)
{
	const struct value *programs = value_map_get(s->supervisor, "programs");
	bool well = s->supervisor != NULL;

	for (size_t i = 0; i < value_count(programs); i++)
		well = well && is_running(value_at(programs, i));
	return well;
}

/* What was lost or crashed, and alarms, count for a day. */
static bool has_recent(const struct value *list, const char *time_key, bool crashes_only)
{
	int64_t since = clock_real_ns() / NS_PER_S - LOOK_BACK_S;

	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *item = value_at(list, i);
		const char *end = value_as_text(value_map_get(item, "end"), "");

		if (value_as_int(value_map_get(item, time_key), 0) < since)
			continue;
		if (!crashes_only || strcmp(end, "crash") == 0 || strcmp(end, "lost") == 0)
			return true;
	}
	return false;
}

static bool manager_is_well(const struct status *s)
{
	const struct value *manager = value_map_get(s->manager, "manager");

	return s->manager != NULL &&
	       value_as_bool(value_map_get(manager, "state can be written"), false) &&
	       !has_recent(value_map_get(s->manager, "alarms"), "at", false) &&
	       !has_recent(value_map_get(s->manager, "failed"), "ended", true);
}

static void ask_all(struct status *s)
{
	int ignored;

	if (supervisor_ask(s->order->config, SUPERVISOR_STATUS, NULL, &s->supervisor, &ignored,
		    &s->supervisor_error) != NC_OK)
		s->supervisor = NULL;
	if (manager_ask_quietly(s->order->config, manager_question("status"), &s->manager,
		    &s->manager_error) != EXIT_DONE)
		s->manager = NULL;
	s->well = supervisor_is_well(s) && manager_is_well(s);
}

/* --- for people --- */

static void print_command(const struct value *launch, struct buffer *out)
{
	const struct value *arguments = value_map_get(launch, "arguments");

	buffer_append_text(out, value_as_text(value_map_get(launch, "worker"), ""));
	for (size_t i = 0; i < value_count(arguments); i++)
		buffer_printf(out, " %s", value_as_text(value_at(arguments, i), ""));
	if (value_as_bool(value_map_get(launch, "by hand"), false))
		buffer_append_text(out, " (by hand)");
}

static void print_supervisor(const struct status *s, struct buffer *out)
{
	const struct value *programs = value_map_get(s->supervisor, "programs");

	if (s->supervisor == NULL) {
		buffer_printf(out, "supervisor: not reached: %s%s\n", s->supervisor_error.text,
			s->supervisor_error.code == NC_ERR_CLOSED
				? "; `nowcast up` starts the system"
				: "");
		return;
	}
	for (size_t i = 0; i < value_count(programs); i++) {
		const struct value *program = value_at(programs, i);
		const char *alarm = value_as_text(value_map_get(program, "alarm"), NULL);
		int64_t pid = value_as_int(value_map_get(program, "pid"), 0);

		buffer_printf(out, "%-16s %-9s", supervisor_text(program, "name"),
			supervisor_text(program, "state"));
		if (pid > 0)
			buffer_printf(out, " process %lld", (long long)pid);
		if (alarm != NULL)
			buffer_printf(out, "  ALARM: %s", alarm);
		buffer_append_char(out, '\n');
	}
}

static void print_launches(const struct value *launches, struct buffer *out)
{
	for (size_t i = 0; i < value_count(launches); i++) {
		const struct value *launch = value_at(launches, i);
		const struct value *progress = value_map_get(launch, "progress");

		buffer_printf(out, "%-9s ", value_as_text(value_map_get(launch, "state"), ""));
		manager_print_time(value_as_int(value_map_get(launch, "since"), 0), out);
		buffer_append_text(out, "  ");
		print_command(launch, out);
		if (progress != NULL)
			buffer_printf(out, "  %.0f %%", 100 * value_as_float(progress, 0));
		buffer_printf(out, "  [%s]\n", value_as_text(value_map_get(launch, "why"), ""));
	}
}

static void print_failed(const struct value *failed, struct buffer *out)
{
	for (size_t i = 0; i < value_count(failed); i++) {
		const struct value *launch = value_at(failed, i);
		const char *reason = value_as_text(value_map_get(launch, "reason"), NULL);

		buffer_append_text(out, "failed    ");
		manager_print_time(value_as_int(value_map_get(launch, "ended"), 0), out);
		buffer_append_text(out, "  ");
		print_command(launch, out);
		buffer_printf(out, "  %s%s%s\n", value_as_text(value_map_get(launch, "end"), ""),
			reason != NULL ? ": " : "", reason != NULL ? reason : "");
	}
}

static void print_groups(const struct value *groups, struct buffer *out)
{
	for (size_t i = 0; i < value_count(groups); i++) {
		const struct value *group = value_at(groups, i);
		const struct value *waits = value_map_get(group, "waits for");
		const struct value *holds = value_map_get(group, "holds");

		buffer_printf(out, "group     %lld %s",
			(long long)value_as_int(value_map_get(group, "group"), 0),
			value_as_text(value_map_get(group, "rule"), ""));
		for (size_t k = 0; k < value_count(waits); k++)
			buffer_printf(out, "%s%s", k == 0 ? " waits for: " : ", ",
				value_as_text(value_at(waits, k), ""));
		for (size_t k = 0; k < value_count(holds); k++)
			buffer_printf(out, "%s%s", k == 0 ? "; holds: " : ", ",
				value_as_text(value_at(holds, k), ""));
		buffer_append_char(out, '\n');
	}
}

static void print_alarms(const struct value *alarms, struct buffer *out)
{
	for (size_t i = 0; i < value_count(alarms); i++) {
		const struct value *alarm = value_at(alarms, i);

		buffer_printf(out, "%-10s", value_as_text(value_map_get(alarm, "kind"), ""));
		manager_print_time(value_as_int(value_map_get(alarm, "at"), 0), out);
		buffer_printf(out, "  %s\n", value_as_text(value_map_get(alarm, "text"), ""));
	}
}

static void print_manager(const struct status *s, struct buffer *out)
{
	const struct value *manager = value_map_get(s->manager, "manager");

	if (s->manager == NULL) {
		buffer_printf(out, "manager: not reached: %s\n", s->manager_error.text);
		return;
	}
	if (!value_as_bool(value_map_get(manager, "state can be written"), true))
		buffer_append_text(out, "the state cannot be written: see the log\n");
	print_launches(value_map_get(s->manager, "launches"), out);
	print_groups(value_map_get(s->manager, "groups"), out);
	print_failed(value_map_get(s->manager, "failed"), out);
	print_alarms(value_map_get(s->manager, "alarms"), out);
}

/* --- for programs --- */

static void print_json(const struct status *s)
{
	struct value *all = s->manager != NULL ? value_copy(s->manager) : value_map();

	if (value_map_put(all, "well", value_bool(s->well)) != NC_OK ||
		value_map_put(all, "supervisor",
			s->supervisor != NULL ? value_copy(s->supervisor) : value_null()) !=
			NC_OK ||
		(s->manager == NULL && value_map_put(all, "manager", value_null()) != NC_OK)) {
		value_destroy(all);
		all = NULL;
	}
	manager_order_json(s->order, all);
	value_destroy(all);
}

static int status_run(const struct applet *self, int argc, char **argv)
{
	struct manager_order order;
	struct status s = { .order = &order };
	int status;

	if (!manager_order_begin(&order, self, argc, argv, &status))
		return status;
	if (order.count > 0)
		return manager_order_finish(
			&order, manager_order_fail(&order, EXIT_USAGE, "it takes no name: %s",
					order.words[0]));
	ask_all(&s);
	if (order.json) {
		print_json(&s);
	} else {
		print_supervisor(&s, &order.out);
		print_manager(&s, &order.out);
		buffer_append_text(
			&order.out, s.well ? "all is well\n" : "something is not well\n");
	}
	value_destroy(s.supervisor);
	value_destroy(s.manager);
	return manager_order_finish(&order, s.well ? EXIT_DONE : EXIT_NOT_WELL);
}

static const struct cli_option status_options[] = {
	MANAGER_ORDER_OPTIONS("The configuration file."),
	CLI_END,
};

const struct applet applet_status = {
	.name = "status",
	.kind = APPLET_COMMAND,
	.summary = "say what the system does, and whether it is well",
	.description =
		"Show the daemons and programs, the launches that run, wait or are wanted, the "
		"groups that hold launches, what failed in the last day, and the alarms. The exit "
		"status is 3 when something is not well: a daemon or program that is not "
		"running, a manager that does not answer or cannot write its state, an alarm, or "
		"a worker that crashed or was lost within a day.",
	.options = status_options,
	.run = status_run,
};
