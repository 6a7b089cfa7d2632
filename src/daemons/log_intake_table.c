/* The files of the spool, in a table that is sorted by their names. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemons/log_intake_internal.h"

/* The place of `name`, or where it would stand. */
static size_t find_place(const struct intake *intake, const char *name)
{
	size_t low = 0, high = intake->entries_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(intake->entries[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct entry *intake_find(const struct intake *intake, const char *name)
{
	size_t at = find_place(intake, name);

	if (at < intake->entries_count && strcmp(intake->entries[at]->name, name) == 0)
		return intake->entries[at];
	return NULL;
}

struct entry *intake_add(struct intake *intake, const char *name)
{
	size_t at = find_place(intake, name);
	struct entry **entries =
		reallocarray(intake->entries, intake->entries_count + 1, sizeof(struct entry *));
	struct entry *entry;

	if (entries == NULL)
		return NULL;
	intake->entries = entries;
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return NULL;
	(void)snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->spool.fd = -1;
	memmove(entries + at + 1, entries + at,
		(intake->entries_count - at) * sizeof(struct entry *));
	entries[at] = entry;
	intake->entries_count++;
	return entry;
}

bool intake_is_same_source(const struct entry *a, const struct entry *b)
{
	return strncmp(a->name, b->name, ID_TEXT_SIZE - 1) == 0;
}

void intake_free_entry(struct entry *entry)
{
	log_spool_close(&entry->spool);
	free(entry);
}

void intake_remove(struct intake *intake, struct entry *entry)
{
	size_t at = find_place(intake, entry->name);

	intake->entries_count--;
	memmove(intake->entries + at, intake->entries + at + 1,
		(intake->entries_count - at) * sizeof(struct entry *));
	if (at < intake->entries_count && intake_is_same_source(intake->entries[at], entry))
		intake->entries[at]->ready = true;
	intake_free_entry(entry);
}

void intake_saw(struct intake *intake, const char *name)
{
	struct entry *entry;

	if (!log_spool_is_name(name))
		return;
	entry = intake_find(intake, name);
	if (entry == NULL)
		entry = intake_add(intake, name);
	if (entry != NULL)
		entry->ready = true;
}

void intake_scan(struct intake *intake)
{
	DIR *directory = opendir(intake->directory);
	const struct dirent *found;

	if (directory == NULL)
		return; /* it was there at the start; somebody has removed it by hand */
	while ((found = readdir(directory)) != NULL)
		intake_saw(intake, found->d_name);
	(void)closedir(directory);
}
