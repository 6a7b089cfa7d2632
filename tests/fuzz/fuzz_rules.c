/*
 * Any bytes as next_workers.yaml; what can be read is applied to a message whose payload is the same bytes. The
 * same input gives the same launches.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/yaml.h"
#include "core/decide/rules.h"

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

static void apply(const struct rules *rules, const char *worker, const char *type,
	const struct value *payload)
{
	struct rules_input input = { .worker = worker,
		.type = type,
		.payload = payload,
		.config = payload,
		.checklist = payload,
		.launch = payload,
		.today = { 2026, 11, 24 } };
	struct rules_decision first = { 0 }, second = { 0 };
	struct error error = { 0 };
	enum nc_err err = rules_apply(rules, &input, &first, &error);

	if (err != rules_apply(rules, &input, &second, &error) || first.count != second.count ||
		(err != NC_OK && (first.count > 0 || error.text[0] == '\0')))
		abort();
	for (size_t i = 0; i < first.count; i++)
		if (strcmp(first.launches[i].worker, second.launches[i].worker) != 0)
			abort();
	rules_decision_finish(&first);
	rules_decision_finish(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct rules *rules = NULL;
	struct value *payload = NULL;
	struct findings findings;
	struct error error = { 0 };

	findings_init(&findings);
	if (rules_read("f.yaml", (const char *)bytes, size, &config, &rules, &findings, &error) ==
		NC_OK) {
		(void)yaml_read((const char *)bytes, size, 0, &yaml_message_limits, &payload, NULL);
		apply(rules, "a", "success", payload);
		apply(rules, "sleep", "success 06", payload);
		apply(rules, "sleep", "crash", payload);
	} else if (error.text[0] == '\0' || findings_first_error(&findings) == NULL) {
		abort();
	}
	findings_finish(&findings);
	value_destroy(payload);
	rules_destroy(rules);
	return 0;
}
