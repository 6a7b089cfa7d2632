#include "commands/rules_file.h"

#include <stdlib.h>
#include <string.h>

#include "core/data/yaml.h"
#include "core/system/file.h"

char *rules_file_shown(const struct config *config)
{
	size_t len = strlen(config->directory);
	const char *rest = config->rules_file;
	char *directory, *shown;

	if (strncmp(rest, config->directory, len) != 0 || rest[len] != '/')
		return strdup(rest);
	if (strchr(config->file, '/') == NULL)
		return strdup(rest + len + 1);
	directory = path_directory(config->file);
	shown = directory != NULL ? path_join(directory, rest + len + 1) : NULL;
	free(directory);
	return shown;
}

enum nc_err rules_file_read(
	const struct config *config, struct rules **ret_rules, struct findings *findings)
{
	char *shown = rules_file_shown(config);
	struct error error = { 0 };
	struct buffer text;
	enum nc_err err;

	if (shown == NULL)
		return NC_ERR_NOMEM;
	buffer_init(&text);
	err = file_read(config->rules_file, yaml_file_limits.bytes, &text, &error);
	if (err == NC_OK)
		err = rules_read(shown, text.data, text.len, config, ret_rules, findings, &error);
	else if (err != NC_ERR_NOT_FOUND && err != NC_ERR_NOMEM)
		findings_add(findings, SEVERITY_ERROR, "unreadable", shown, 0, 0,
			"the rules cannot be read: %s", error.text);
	buffer_finish(&text);
	free(shown);
	return err;
}
