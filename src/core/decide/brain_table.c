/* The table of launches that have not ended. In memory: it dies with the manager. */
#include <stdlib.h>
#include <string.h>

#include "core/decide/brain_internal.h"

static void row_finish(struct table_row *row)
{
	free(row->worker);
	free(row->host);
	value_destroy(row->arguments);
	value_destroy(row->progress);
}

void table_finish(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		row_finish(&table->rows[i]);
	free(table->rows);
	*table = (struct table){ 0 };
}

struct table_row *table_find(const struct table *table, const char *id)
{
	for (size_t i = 0; id != NULL && i < table->count; i++)
		if (strcmp(table->rows[i].id, id) == 0)
			return &table->rows[i];
	return NULL;
}

struct table_row *table_add(struct table *table, const char *id, const char *worker,
	struct value *arguments, const char *host)
{
	struct table_row row = { .arguments = arguments };

	memcpy(row.id, id, strlen(id) < ID_TEXT_SIZE ? strlen(id) : ID_TEXT_SIZE - 1);
	row.worker = strdup(worker);
	row.host = strdup(host);
	if (table->count == table->capacity) {
		size_t capacity = table->capacity > 0 ? 2 * table->capacity : 16;
		struct table_row *rows = reallocarray(table->rows, capacity, sizeof(*rows));

		if (rows != NULL) {
			table->rows = rows;
			table->capacity = capacity;
		}
	}
	if (row.worker == NULL || row.host == NULL || arguments == NULL ||
		table->count == table->capacity) {
		row_finish(&row);
		return NULL;
	}
	table->rows[table->count] = row;
	return &table->rows[table->count++];
}

void table_remove(struct table *table, struct table_row *row)
{
	size_t after = table->count - (size_t)(row - table->rows) - 1;

	row_finish(row);
	memmove(row, row + 1, after * sizeof(*row));
	table->count--;
}

void table_forget_by_hand(struct table *table, size_t most)
{
	size_t by_hand = 0;

	for (size_t i = 0; i < table->count; i++)
		by_hand += table->rows[i].by_hand;
	/* The oldest come first. */
	for (size_t i = 0; by_hand > most && i < table->count;) {
		if (!table->rows[i].by_hand) {
			i++;
			continue;
		}
		table_remove(table, &table->rows[i]);
		by_hand--;
	}
}

struct value *table_row_to_value(const struct table_row *row)
{
	static const char *const state_names[] = {
		[TABLE_WANTED] = "wanted",
		[TABLE_STARTED] = "started",
		[TABLE_RUNNING] = "running",
	};
	struct value *map = value_map();

	if (value_map_put(map, "launch", value_text(row->id)) != NC_OK ||
		value_map_put(map, "worker", value_text(row->worker)) != NC_OK ||
		value_map_put(map, "arguments", value_copy(row->arguments)) != NC_OK ||
		value_map_put(map, "host", value_text(row->host)) != NC_OK ||
		value_map_put(map, "pid", value_int(row->pid)) != NC_OK ||
		value_map_put(map, "since", value_int(row->since_ns / 1000000000)) != NC_OK ||
		value_map_put(map, "by hand", value_bool(row->by_hand)) != NC_OK ||
		value_map_put(map, "state", value_text(state_names[row->state])) != NC_OK ||
		(row->progress != NULL &&
			value_map_put(map, "progress", value_copy(row->progress)) != NC_OK)) {
		value_destroy(map);
		return NULL;
	}
	return map;
}

struct value *table_copies(const struct table *table, const char *worker,
	const struct value *arguments, const char *id)
{
	struct value *copies = value_list();

	for (size_t i = 0; copies != NULL && i < table->count; i++) {
		const struct table_row *row = &table->rows[i];

		if (strcmp(row->worker, worker) != 0 || strcmp(row->id, id) == 0 ||
			!value_equal(row->arguments, arguments))
			continue;
		if (value_list_append(copies, table_row_to_value(row)) != NC_OK) {
			value_destroy(copies);
			return NULL;
		}
	}
	return copies;
}
