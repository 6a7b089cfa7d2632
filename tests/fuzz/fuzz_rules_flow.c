/*
 * Any bytes as next_workers.yaml: its flow. The types that a step follows are registered for its worker, and the
 * short forms of its texts are not longer than they are.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/yaml.h"
#include "core/decide/rules_flow.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

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

static void check_short(const char *text)
{
	struct buffer out;

	if (text == NULL)
		return;
	buffer_init(&out);
	flow_short_print(text, &out);
	if (!out.failed && out.len > strlen(text))
		abort();
	buffer_finish(&out);
}

static void check_when(const struct flow_when *when)
{
	const struct config_worker *worker = config_find_worker(&config, when->from);
	struct buffer out;

	for (size_t i = 0; i < when->types_count; i++)
		if (worker == NULL || (config_find_type(worker, when->types[i]) == NULL &&
					      strcmp(when->types[i], "crash") != 0 &&
					      strcmp(when->types[i], "lost") != 0))
			abort();
	buffer_init(&out);
	flow_types_print(worker, (const char *const *)when->types, when->types_count, &out);
	if ((out.len == 0) != (when->types_count == 0))
		abort();
	buffer_finish(&out);
	check_short(when->condition);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct value *tree = NULL;
	struct flow flow = { 0 };
	struct error error = { 0 };

	if (yaml_read((const char *)bytes, size, YAML_READ_ALL_TEXT, &yaml_file_limits, &tree,
		    NULL) == NC_OK) {
		if (flow_read(tree, &config, &flow, &error) != NC_OK &&
			(error.text[0] == '\0' || flow.steps_count > 0 || flow.groups_count > 0))
			abort();
		for (size_t i = 0; i < flow.steps_count; i++) {
			check_when(&flow.steps[i].when);
			check_short(flow.steps[i].to);
			check_short(flow.steps[i].arguments);
		}
		for (size_t i = 0; i < flow.groups_count; i++)
			check_when(&flow.groups[i].when);
		flow_finish(&flow);
	}
	value_destroy(tree);
	return 0;
}
