/*
 * A growing string of bytes.
 *
 * Invariants: `data` is never NULL after buffer_init() and always ends in a NUL that is not counted in
 * `len`. When memory runs out, the buffer keeps what it had, further appends do nothing and `failed` is
 * set: so a sequence of appends needs one check, at its end.
 *
 *	struct buffer out;
 *	buffer_init(&out);
 *	buffer_printf(&out, "%d workers", n);
 *	if (out.failed) ...
 *	buffer_finish(&out);
 *
 * Depends on core/data/error.h only.
 */
#ifndef NOWCAST_CORE_DATA_BUFFER_H
#define NOWCAST_CORE_DATA_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/data/error.h"

struct buffer {
	char *data;
	size_t len;
	size_t capacity; /* 0: `data` is a constant and not ours */
	bool failed;
};

void buffer_init(struct buffer *buffer);
/* Free the memory; the buffer is then as after buffer_init(). Accepts a zeroed struct. */
void buffer_finish(struct buffer *buffer);

void buffer_append(struct buffer *buffer, const void *bytes, size_t len);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_char(struct buffer *buffer, char byte);
void buffer_printf(struct buffer *buffer, const char *format, ...) NC_PRINTF(2, 3);

/* Take `count` bytes away from the front (all when there are fewer). */
void buffer_consume(struct buffer *buffer, size_t count);
/* Forget what is in it; the memory and `failed` stay. */
void buffer_clear(struct buffer *buffer);
/* Room for `extra` more bytes. false: out of memory, and `failed` is set. */
bool buffer_reserve(struct buffer *buffer, size_t extra);

/* Hand the text over: the caller frees it. NULL when `failed`. The buffer is then empty and usable. */
char *buffer_steal(struct buffer *buffer);

#endif
