/*
 * What a check of a file found: a list of errors, warnings and notes, each with its place and a stable
 * short name that the man page of `check` explains.
 *
 * Depends on core/data.
 */
#ifndef NOWCAST_CORE_DATA_FINDING_H
#define NOWCAST_CORE_DATA_FINDING_H

#include <stdbool.h>
#include <stddef.h>

#include "core/data/buffer.h"
#include "core/data/error.h"

enum severity {
	SEVERITY_ERROR,   /* the file cannot be used */
	SEVERITY_WARNING, /* it can, but this is most likely not meant */
	SEVERITY_NOTE,    /* worth knowing */
	SEVERITY_COUNT
};

struct finding {
	enum severity severity;
	const char *name;      /* a constant: `unknown-key`, `bad-value`, ... */
	char *file;            /* as people name it */
	unsigned line, column; /* 0: the whole file */
	char *text;            /* what is wrong and what would be right */
};

struct findings {
	struct finding *items;
	size_t count, capacity;
	bool failed; /* out of memory: at least one is missing */
};

void findings_init(struct findings *findings);
void findings_finish(struct findings *findings); /* accepts a zeroed struct */

/* `findings` NULL: nothing is kept. */
void findings_add(struct findings *findings, enum severity severity, const char *name,
	const char *file, unsigned line, unsigned column, const char *format, ...) NC_PRINTF(7, 8);

size_t findings_count(const struct findings *findings, enum severity severity);
/* The first error, or NULL. */
const struct finding *findings_first_error(const struct findings *findings);

/* `error`, `warning`, `note` */
const char *severity_name(enum severity severity);

/* Append `FILE:LINE:COLUMN: severity: text [name]`, without a newline; no place when line is 0. */
void finding_print(const struct finding *finding, struct buffer *out);

#endif
