#include "core/system/log_batch.h"

#include <inttypes.h>
#include <string.h>

#include "core/data/json.h"

enum {
	RECORD_LOGGER,
	RECORD_LEVEL,
	RECORD_TIME,
	RECORD_PROCESS,
	RECORD_HOST,
	RECORD_MESSAGE,
	RECORD_BLOCK,
	RECORD_COUNT
};

static const enum value_kind record_kinds[RECORD_COUNT] = {
	[RECORD_LOGGER] = VALUE_TEXT,
	[RECORD_LEVEL] = VALUE_INT,
	[RECORD_TIME] = VALUE_INT,
	[RECORD_PROCESS] = VALUE_INT,
	[RECORD_HOST] = VALUE_TEXT,
	[RECORD_MESSAGE] = VALUE_TEXT,
	[RECORD_BLOCK] = VALUE_BOOL,
};

void log_batch_write_record(const struct log_record *record, struct buffer *out)
{
	struct value *list = value_list();
	bool failed = list == NULL;

	failed |= value_list_append(list, value_text(record->logger)) != NC_OK;
	failed |= value_list_append(list, value_int(record->level)) != NC_OK;
	failed |= value_list_append(list, value_int(record->real_ns)) != NC_OK;
	failed |= value_list_append(list, value_int(record->process_id)) != NC_OK;
	failed |= value_list_append(list, value_text(record->host)) != NC_OK;
	failed |= value_list_append(list, value_text(record->message)) != NC_OK;
	failed |= value_list_append(list, value_bool(record->keep_newlines)) != NC_OK;
	if (failed)
		out->failed = true;
	else
		json_write(list, 0, out);
	value_destroy(list);
}

void log_batch_write(
	const char *source, uint64_t sequence, const char *records, size_t len, struct buffer *out)
{
	buffer_printf(out, "{\"source\": \"%s\", \"sequence\": %" PRIu64 ", \"records\": [", source,
		sequence);
	buffer_append(out, records, len);
	buffer_append_text(out, "]}");
}

static enum nc_err check_record(const struct value *record, size_t index, struct error *error)
{
	if (value_count(record) != RECORD_COUNT || !value_is(record, VALUE_LIST))
		return error_set(error, NC_ERR_INVALID, "record %zu is not a list of %d elements",
			index, RECORD_COUNT);
	for (size_t i = 0; i < RECORD_COUNT; i++) {
		if (!value_is(value_at(record, i), record_kinds[i]))
			return error_set(error, NC_ERR_INVALID,
				"element %zu of record %zu is %s and should be %s", i, index,
				value_kind_words(value_kind(value_at(record, i))),
				value_kind_words(record_kinds[i]));
	}
	if (value_as_int(value_at(record, RECORD_LEVEL), -1) < 0 ||
		value_as_int(value_at(record, RECORD_LEVEL), 0) > 1000)
		return error_set(
			error, NC_ERR_INVALID, "the level of record %zu is not one", index);
	if (value_as_int(value_at(record, RECORD_TIME), 0) <= 0)
		return error_set(error, NC_ERR_INVALID, "the time of record %zu is not one", index);
	return NC_OK;
}

static enum nc_err check_batch(struct log_batch *batch, struct error *error)
{
	int64_t sequence = value_as_int(value_map_get(batch->tree, "sequence"), 0);

	batch->source = value_as_text(value_map_get(batch->tree, "source"), NULL);
	batch->records = value_map_get(batch->tree, "records");
	batch->sequence = (uint64_t)sequence;
	if (!value_is(batch->tree, VALUE_MAP))
		return error_set(error, NC_ERR_INVALID, "a batch is an object, not %s",
			value_kind_words(value_kind(batch->tree)));
	if (!id_is_valid(batch->source))
		return error_set(error, NC_ERR_INVALID, "`source` is not an UUID");
	if (sequence <= 0)
		return error_set(error, NC_ERR_INVALID, "`sequence` is not a number from 1");
	if (!value_is(batch->records, VALUE_LIST))
		return error_set(error, NC_ERR_INVALID, "`records` is not a list");
	for (size_t i = 0; i < value_count(batch->records); i++) {
		enum nc_err err = check_record(value_at(batch->records, i), i, error);

		if (err != NC_OK)
			return err;
	}
	return NC_OK;
}

enum nc_err log_batch_read(
	const char *text, size_t len, struct log_batch *ret_batch, struct error *error)
{
	struct log_batch batch = { 0 };
	enum nc_err err = json_read(text, len, &yaml_message_limits, &batch.tree, error);

	if (err == NC_OK)
		err = check_batch(&batch, error);
	if (err == NC_OK)
		*ret_batch = batch;
	else
		log_batch_finish(&batch);
	return err;
}

void log_batch_finish(struct log_batch *batch)
{
	value_destroy(batch->tree);
	*batch = (struct log_batch){ 0 };
}

size_t log_batch_count(const struct log_batch *batch)
{
	return value_count(batch->records);
}

struct log_record log_batch_at(const struct log_batch *batch, size_t index)
{
	const struct value *record = value_at(batch->records, index);

	return (struct log_record){
		.logger = value_as_text(value_at(record, RECORD_LOGGER), ""),
		.level = (int)value_as_int(value_at(record, RECORD_LEVEL), LEVEL_INFO),
		.real_ns = value_as_int(value_at(record, RECORD_TIME), 0),
		.process_id = value_as_int(value_at(record, RECORD_PROCESS), 0),
		.host = value_as_text(value_at(record, RECORD_HOST), ""),
		.message = value_as_text(value_at(record, RECORD_MESSAGE), ""),
		.keep_newlines = value_as_bool(value_at(record, RECORD_BLOCK), false),
	};
}
