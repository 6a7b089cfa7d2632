#include "core/data/finding.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/utf8.h"

static const char *const severity_names[] = {
	[SEVERITY_ERROR] = "error",
	[SEVERITY_WARNING] = "warning",
	[SEVERITY_NOTE] = "note",
};
static_assert(ARRAY_LEN(severity_names) == SEVERITY_COUNT, "name every severity");

const char *severity_name(enum severity severity)
{
	return severity_names[severity];
}

void findings_init(struct findings *findings)
{
	*findings = (struct findings){ 0 };
}

void findings_finish(struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		free(findings->items[i].file);
		free(findings->items[i].text);
	}
	free(findings->items);
	findings_init(findings);
}

static bool make_room(struct findings *findings)
{
	size_t capacity = findings->capacity > 0 ? 2 * findings->capacity : 8;
	struct finding *items;

	if (findings->count < findings->capacity)
		return true;
	items = reallocarray(findings->items, capacity, sizeof(*items));
	if (items == NULL)
		return false;
	findings->items = items;
	findings->capacity = capacity;
	return true;
}

void findings_add(struct findings *findings, enum severity severity, const char *name,
	const char *file, unsigned line, unsigned column, const char *format, ...)
{
	struct finding finding = { severity, name, NULL, line, column, NULL };
	va_list arguments;

	if (findings == NULL)
		return;
	va_start(arguments, format);
	if (vasprintf(&finding.text, format, arguments) < 0)
		finding.text = NULL;
	va_end(arguments);
	if (finding.text != NULL)
		utf8_mend(finding.text);
	finding.file = strdup(file);
	if (finding.text == NULL || finding.file == NULL || !make_room(findings)) {
		free(finding.text);
		free(finding.file);
		findings->failed = true;
		return;
	}
	findings->items[findings->count++] = finding;
}

size_t findings_count(const struct findings *findings, enum severity severity)
{
	size_t count = 0;

	for (size_t i = 0; i < findings->count; i++)
		count += findings->items[i].severity == severity;
	return count;
}

const struct finding *findings_first_error(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		if (findings->items[i].severity == SEVERITY_ERROR)
			return &findings->items[i];
	return NULL;
}

void finding_print(const struct finding *finding, struct buffer *out)
{
	buffer_append_text(out, finding->file);
	if (finding->line > 0)
		buffer_printf(out, ":%u:%u", finding->line, finding->column);
	buffer_printf(out, ": %s: %s [%s]", severity_name(finding->severity), finding->text,
		finding->name);
}
