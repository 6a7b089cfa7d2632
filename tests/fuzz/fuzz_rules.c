/*
 * Any bytes as next_workers.yaml. What can be read is printed and read again, which gives the same; and it is
 * applied to a message whose payload is the same bytes.
 */
#include <stdint.h>

#include "fuzz_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void print_again(const struct rules *rules)
{
	struct buffer first, second;
	struct rules *reread = NULL;

	buffer_init(&first);
	buffer_init(&second);
	if (rules_print(rules, &first, NULL) != NC_OK ||
		rules_read("g.yaml", first.data, first.len, &config, &reread, NULL, NULL) !=
			NC_OK ||
		rules_print(reread, &second, NULL) != NC_OK || strcmp(first.data, second.data) != 0)
		abort();
	rules_destroy(reread);
	buffer_finish(&first);
	buffer_finish(&second);
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
		print_again(rules);
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
