#include "core/work/exit_record.h"

#include <string.h>

#include "core/data/json.h"
#include "core/system/config.h"
#include "core/work/state_file.h"

enum {
	RECORD_MOST = 4 << 20,
};

static bool is_of_launch(const struct value *record, const char *id)
{
	return id != NULL && value_is(record, VALUE_MAP) &&
	       strcmp(value_as_text(value_map_get(record, "launch"), ""), id) == 0;
}

enum nc_err exit_record_write(const char *state_directory, const char *id,
	const struct value *record, struct error *error)
{
	struct buffer text;
	enum nc_err err;

	if (!is_of_launch(record, id))
		return error_set(error, NC_ERR_INVALID, "the exit record is of another launch");
	buffer_init(&text);
	json_write(record, 0, &text);
	buffer_append_char(&text, '\n');
	err = text.failed ? error_nomem(error)
			  : state_file_write(
				    state_directory, STATE_ENDS, id, text.data, text.len, error);
	buffer_finish(&text);
	return err;
}

enum nc_err exit_record_read(
	const char *state_directory, const char *id, struct value **ret_record, struct error *error)
{
	struct value *record = NULL;
	struct buffer text;
	enum nc_err err;

	buffer_init(&text);
	err = state_file_read(state_directory, STATE_ENDS, id, RECORD_MOST, &text, error);
	if (err == NC_OK)
		err = json_read(text.data, text.len, &yaml_file_limits, &record, error);
	if (err == NC_OK && !is_of_launch(record, id))
		err = error_set(error, NC_ERR_INVALID,
			"%s/" STATE_ENDS "/%s is not the exit record of that launch",
			state_directory, id);
	buffer_finish(&text);
	if (err == NC_OK)
		*ret_record = record;
	else
		value_destroy(record);
	return err;
}

enum nc_err exit_record_remove(const char *state_directory, const char *id, struct error *error)
{
	return state_file_remove(state_directory, STATE_ENDS, id, error);
}
