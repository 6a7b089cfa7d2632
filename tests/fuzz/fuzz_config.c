/* Any bytes as a configuration file: refused with a place and words, or loaded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Ask all that can be asked of a configuration without a host. */
static void use(const struct config *config)
{
	struct buffer path;

	buffer_init(&path);
	for (unsigned i = 0; i < config->workers_count; i++) {
		const struct config_worker *worker =
			config_find_worker(config, config->workers[i].name);

		if (worker == NULL || config_find_program(config, worker->name) == NULL)
			abort();
		for (unsigned type = 0; type < worker->types_count; type++)
			if (config_find_type(worker, worker->types[type].name) == NULL)
				abort();
	}
	(void)config_manager_words(config, "ack");
	(void)config_state_path(config, STATE_BROKER_DOOR, &path, NULL);
	buffer_finish(&path);
}

/*
 * Files may have a million values, and a few hundred bytes of aliases are enough for that: too slow for a
 * fuzzer, and fuzz_yaml has them, with smaller limits.
 */
static int has_many_aliases(const uint8_t *bytes, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += bytes[i] == '*';
	return count > 6;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct config *config = NULL;
	struct findings findings;
	struct error error = { 0 };
	enum nc_err err;

	if (has_many_aliases(bytes, size))
		return 0;
	findings_init(&findings);
	err = config_load_text(
		"/fuzz/nowcast.yaml", (const char *)bytes, size, &config, &findings, &error);
	if (err == NC_OK)
		use(config);
	else if (config != NULL || error.text[0] == '\0' ||
		 findings_count(&findings, SEVERITY_ERROR) == 0)
		abort();
	/* Whatever is wrong with a file, libcyaml is not the one to find it. */
	for (size_t i = 0; i < findings.count; i++)
		if (strcmp(findings.items[i].name, "schema") == 0)
			abort();
	config_destroy(config);
	findings_finish(&findings);
	return 0;
}
