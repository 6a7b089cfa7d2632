#include "core/data/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char empty[1];

void buffer_init(struct buffer *buffer)
{
	*buffer = (struct buffer){ .data = empty };
}

void buffer_finish(struct buffer *buffer)
{
	if (buffer->capacity > 0)
		free(buffer->data);
	buffer_init(buffer);
}

bool buffer_reserve(struct buffer *buffer, size_t extra)
{
	size_t capacity = buffer->capacity > 0 ? buffer->capacity : 64;
	char *data;

	if (buffer->failed || extra > SIZE_MAX / 2 - buffer->len - 1) {
		buffer->failed = true;
		return false;
	}
	if (buffer->len + extra + 1 <= buffer->capacity)
		return true;
	while (capacity < buffer->len + extra + 1)
		capacity *= 2;
	data = realloc(buffer->capacity > 0 ? buffer->data : NULL, capacity);
	if (data == NULL) {
		buffer->failed = true;
		return false;
	}
	if (buffer->capacity == 0)
		data[0] = '\0';
	buffer->data = data;
	buffer->capacity = capacity;
	return true;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t len)
{
	if (len == 0 || !buffer_reserve(buffer, len))
		return;
	memcpy(buffer->data + buffer->len, bytes, len);
	buffer->len += len;
	buffer->data[buffer->len] = '\0';
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text));
}

void buffer_append_char(struct buffer *buffer, char byte)
{
	buffer_append(buffer, &byte, 1);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
	size_t room = buffer->capacity > 0 && !buffer->failed ? buffer->capacity - buffer->len : 0;
	va_list arguments, again;
	int len;

	va_start(arguments, format);
	va_copy(again, arguments);
	/* As a rule there is room; if not, it is known how much is needed. */
	len = vsnprintf(room > 0 ? buffer->data + buffer->len : NULL, room, format, arguments);
	if (len < 0) {
		buffer->failed = true;
	} else if ((size_t)len < room) {
		buffer->len += (size_t)len;
	} else if (buffer_reserve(buffer, (size_t)len)) {
		(void)vsnprintf(buffer->data + buffer->len, (size_t)len + 1, format, again);
		buffer->len += (size_t)len;
	}
	if (buffer->capacity > 0)
		buffer->data[buffer->len] = '\0'; /* what did not fit is no part of it */
	va_end(again);
	va_end(arguments);
}

void buffer_consume(struct buffer *buffer, size_t count)
{
	if (buffer->capacity == 0)
		return;
	if (count > buffer->len)
		count = buffer->len;
	memmove(buffer->data, buffer->data + count, buffer->len - count + 1);
	buffer->len -= count;
}

void buffer_clear(struct buffer *buffer)
{
	buffer_consume(buffer, buffer->len);
}

char *buffer_steal(struct buffer *buffer)
{
	char *data;

	if (buffer->failed || !buffer_reserve(buffer, 0)) {
		buffer_finish(buffer);
		return NULL;
	}
	data = buffer->data;
	buffer_init(buffer);
	return data;
}
