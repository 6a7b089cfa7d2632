/* What the fuzzers of the rules share: a registry, and messages that are judged twice. */
#ifndef NOWCAST_TESTS_FUZZ_RULES_H
#define NOWCAST_TESTS_FUZZ_RULES_H

#include <stdlib.h>
#include <string.h>

#include "core/data/json.h"
#include "core/data/yaml.h"
#include "core/decide/rules.h"

static struct config_type types[] = {
	{ (char *)"success", (char *)"went well" },
	{ (char *)"success 06", (char *)"went well at six" },
	{ (char *)"failure", (char *)"went badly" },
};
static struct config_worker workers[] = {
	{ .name = (char *)"a", .types = types, .types_count = ARRAY_LEN(types) },
	{ .name = (char *)"sleep", .types = types, .types_count = ARRAY_LEN(types) },
};
static const struct config config = { .workers = workers, .workers_count = ARRAY_LEN(workers) };

static char *decision_text(const struct rules_decision *decision)
{
	struct value *value = rules_decision_to_value(decision);
	struct buffer out;

	buffer_init(&out);
	json_write(value, 0, &out);
	value_destroy(value);
	return buffer_steal(&out);
}

/* The same input gives the same decision; a failure has its words and decides nothing. */
static void apply(
	const struct rules *rules, const char *worker, const char *type, const struct value *value)
{
	struct rules_input input = { .worker = worker,
		.type = type,
		.payload = value,
		.config = value,
		.checklist = value,
		.launch = value,
		.today = { 2026, 11, 24 } };
	struct rules_decision first = { 0 }, second = { 0 };
	struct error error = { 0 };
	enum nc_err err = rules_apply(rules, &input, &first, &error);
	char *first_text, *second_text;

	if (err != NC_OK &&
		(error.text[0] == '\0' || first.count + first.groups_count + first.alarms_count +
							  first.programs_count >
						  0))
		abort();
	if (err != rules_apply(rules, &input, &second, &error))
		abort();
	first_text = decision_text(&first);
	second_text = decision_text(&second);
	if (first_text == NULL || second_text == NULL || strcmp(first_text, second_text) != 0)
		abort();
	free(first_text);
	free(second_text);
	rules_decision_finish(&first);
	rules_decision_finish(&second);
}

#endif
