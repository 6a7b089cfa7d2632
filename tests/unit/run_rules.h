/*
 * Rules as texts, and what comes of them as texts, for the tests of core/decide/rules. Include it in one source
 * file of a test program, behind cmocka.
 */
#ifndef NOWCAST_TESTS_RUN_RULES_H
#define NOWCAST_TESTS_RUN_RULES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/yaml.h"
#include "core/decide/rules.h"

static struct config_type sleep_types[] = {
	{ (char *)"success", (char *)"slept well" },
	{ (char *)"success 06", (char *)"slept till six" },
	{ (char *)"success 12", (char *)"slept till noon" },
	{ (char *)"failure", (char *)"slept badly" },
};
static struct config_type awaken_types[] = { { (char *)"success", (char *)"awoke" } };
static struct config_worker workers[] = {
	{ .name = (char *)"sleep", .types = sleep_types, .types_count = ARRAY_LEN(sleep_types) },
	{ .name = (char *)"awaken", .types = awaken_types, .types_count = ARRAY_LEN(awaken_types) },
};
static const struct config config = { .workers = workers, .workers_count = ARRAY_LEN(workers) };

/* What else a message is judged by; NULL: nothing. */
static const char *config_text, *checklist_text, *launch_text;

static struct value *read_value(const char *text)
{
	struct value *value = NULL;
	struct error error = { 0 };

	if (text == NULL)
		return NULL;
	if (yaml_read(text, strlen(text), 0, &yaml_message_limits, &value, &error) != NC_OK)
		fail_msg("%s", error.text);
	return value;
}

static void print_decision(const struct rules_decision *decision, struct buffer *out)
{
	for (size_t i = 0; i < decision->count; i++) {
		const struct rules_launch *launch = &decision->launches[i];

		buffer_printf(out, "%s%s", out->len > 0 ? "; " : "", launch->worker);
		if (strcmp(launch->host, "localhost") != 0)
			buffer_printf(out, "@%s", launch->host);
		for (size_t j = 0; j < launch->arguments_count; j++)
			buffer_printf(out, " {%s}", launch->arguments[j]);
	}
	for (size_t i = 0; i < decision->groups_count; i++) {
		const struct rules_group *group = &decision->groups[i];

		buffer_printf(out, "%shold %s:", out->len > 0 ? "; " : "", group->rule);
		for (size_t j = 0; j < group->members_count; j++)
			buffer_printf(out, " {%s%s%s}", group->members[j].worker,
				group->members[j].pattern != NULL ? " " : "",
				group->members[j].pattern != NULL ? group->members[j].pattern : "");
		buffer_printf(out, " %s %lld %s", group->drop_if_one_fails ? "drop" : "go on",
			(long long)group->give_up_after_ms,
			group->release_when_given_up ? "release" : "drop");
	}
	for (size_t i = 0; i < decision->alarms_count; i++)
		buffer_printf(
			out, "%salarm %s", out->len > 0 ? "; " : "", decision->alarms[i].text);
	for (size_t i = 0; i < decision->programs_count; i++) {
		buffer_printf(out, "%sdecide %lld", out->len > 0 ? "; " : "",
			(long long)decision->programs[i].time_limit_ms);
		for (size_t j = 0; j < decision->programs[i].argc; j++)
			buffer_printf(out, " {%s}", decision->programs[i].argv[j]);
	}
}

/* What the rules decide after sleep's `type`, one command line each, joined by `; `; or the error. */
static const char *launches(const char *rules_text, const char *type, const char *payload_text)
{
	static char result[20000];
	struct rules *rules = NULL;
	struct rules_decision decision = { 0 };
	struct value *payload = read_value(payload_text), *whole = read_value(config_text);
	struct value *checklist = read_value(checklist_text), *launch = read_value(launch_text);
	struct buffer out;
	struct error error = { 0 };
	struct rules_input input = { .worker = "sleep",
		.type = type,
		.payload = payload,
		.config = whole,
		.checklist = checklist,
		.launch = launch,
		.today = { 2026, 11, 24 } };

	buffer_init(&out);
	if (rules_read("r.yaml", rules_text, strlen(rules_text), &config, &rules, NULL, &error) !=
			NC_OK ||
		rules_apply(rules, &input, &decision, &error) != NC_OK)
		buffer_append_text(&out, error.text);
	else
		print_decision(&decision, &out);
	rules_decision_finish(&decision);
	value_destroy(payload);
	value_destroy(whole);
	value_destroy(checklist);
	value_destroy(launch);
	rules_destroy(rules);
	(void)snprintf(result, sizeof(result), "%s", out.data);
	buffer_finish(&out);
	return result;
}

/* What one rule decides that has this below its `on: success`: lines, indented by 4. */
__attribute__((unused)) static const char *decides(const char *keys, const char *payload_text)
{
	struct buffer text;
	const char *result;

	buffer_init(&text);
	buffer_printf(&text, "sleep:\n  - on: success\n%s", keys);
	result = launches(text.data, "success", payload_text);
	buffer_finish(&text);
	return result;
}

/* The findings, as `severity name line:column`, joined by `; `; but `but` (may be NULL). */
static const char *found_but(const char *rules_text, const char *but)
{
	static char result[4000];
	struct rules *rules = NULL;
	struct findings findings;
	struct buffer out;

	findings_init(&findings);
	buffer_init(&out);
	(void)rules_read(
		"r.yaml", rules_text, strlen(rules_text), &config, &rules, &findings, NULL);
	for (size_t i = 0; i < findings.count; i++) {
		if (but != NULL && strcmp(findings.items[i].name, but) == 0)
			continue;
		buffer_printf(&out, "%s%s %s %u:%u", out.len > 0 ? "; " : "",
			severity_name(findings.items[i].severity), findings.items[i].name,
			findings.items[i].line, findings.items[i].column);
	}
	(void)snprintf(result, sizeof(result), "%s", out.data);
	rules_destroy(rules);
	findings_finish(&findings);
	buffer_finish(&out);
	return result;
}

/* Most rules here are not for each success, which is not what they are about. */
__attribute__((unused)) static const char *found(const char *rules_text)
{
	return found_but(rules_text, "unmatched-success");
}

#endif
