#include "daemons/manager_checklist.h"

#include "core/data/yaml.h"
#include "core/system/file.h"

/* It grows by parts that each fit into a message, and what was written must be read again: these limits are
 * there for what was put in its place by mistake. */
static const struct yaml_limits checklist_limits = {
	.bytes = 1 << 30,
	.depth = 64,
	.nodes = 100000000,
};

enum nc_err checklist_read(const char *path, struct value **ret_checklist, struct error *error)
{
	struct value *checklist = NULL;
	struct buffer text;
	struct error why = { 0 };
	enum nc_err err;

	buffer_init(&text);
	err = file_read(path, checklist_limits.bytes, &text, error);
	if (err == NC_OK) {
		err = yaml_read(text.data, text.len, YAML_READ_MERGE_KEYS, &checklist_limits,
			&checklist, &why);
		if (err == NC_ERR_NOMEM)
			err = error_nomem(error);
		else if (err != NC_OK)
			err = error_set(error, NC_ERR_INVALID, "%s:%u:%u: %s", path, why.line,
				why.column, why.text);
		else if (!value_is(checklist, VALUE_MAP))
			err = error_set(error, NC_ERR_INVALID,
				"%s holds %s, and a checklist is a mapping", path,
				value_kind_words(value_kind(checklist)));
	}
	buffer_finish(&text);
	if (err != NC_OK) {
		value_destroy(checklist);
		return err;
	}
	*ret_checklist = checklist;
	return NC_OK;
}

enum nc_err checklist_write(const char *path, const struct value *checklist, struct error *error)
{
	struct buffer text;
	enum nc_err err;

	buffer_init(&text);
	yaml_write(checklist, 0, &text);
	err = text.failed ? error_nomem(error)
			  : file_replace(path, text.data, text.len, 0664, error);
	buffer_finish(&text);
	return err;
}
