/*
 * The evaluator: the rules stand before the first line `---`, and behind it the values that a message is judged by,
 * as YAML: payload, configuration, checklist and launch at once.
 */
#include <stdint.h>

#include "fuzz_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char line[] = "\n---\n";
	const char *text = (const char *)bytes;
	const char *end = size > 0 ? memmem(text, size, line, sizeof(line) - 1) : NULL;
	size_t rules_len = end != NULL ? (size_t)(end - text) + 1 : size;
	size_t values_from = end != NULL ? rules_len + 4 : size;
	struct rules *rules = NULL;
	struct value *values = NULL;
	struct rules_decision decision = { 0 };

	if (rules_read("f.yaml", text, rules_len, &config, &rules, NULL, NULL) == NC_OK) {
		(void)yaml_read(text + values_from, size - values_from, YAML_READ_MERGE_KEYS,
			&yaml_message_limits, &values, NULL);
		apply(rules, "a", "success", values);
		apply(rules, "a", "success 06", values);
		apply(rules, "sleep", "success 06", values);
	}
	/* What a program of `decide with` could have printed. */
	if (rules_decision_from_json(text, size, &config, &decision, NULL) == NC_OK)
		rules_decision_finish(&decision);
	value_destroy(values);
	rules_destroy(rules);
	return 0;
}
