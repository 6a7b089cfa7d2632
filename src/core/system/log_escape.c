/*
 * Texts from outside in log lines: nothing in them can forge a line or command a terminal.
 */
#include <inttypes.h>
#include <string.h>

#include "core/system/log_internal.h"

/* The character that starts at `text`: its length in bytes and code point; length 0: not UTF-8. */
static size_t utf8_decode(const char *text, uint32_t *ret_point)
{
	const unsigned char *t = (const unsigned char *)text;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t point;
	size_t len;

	if (t[0] < 0x80) {
		*ret_point = t[0];
		return 1;
	}
	if (t[0] >= 0xf5 || t[0] < 0xc2)
		return 0;
	len = t[0] >= 0xf0 ? 4 : t[0] >= 0xe0 ? 3 : 2;
	point = t[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((t[i] & 0xc0) != 0x80) /* the text's end, too */
			return 0;
		point = point << 6 | (t[i] & 0x3fU);
	}
	if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return 0;
	*ret_point = point;
	return len;
}

void log_escape(const char *text, bool keep_newlines, struct buffer *out)
{
	const char *plain = text; /* not yet appended */

	for (;;) {
		uint32_t point = 0;
		bool control;
		size_t len;

		while (*text >= ' ' && *text < 0x7f) /* most of any text */
			text++;
		if (*text == '\0')
			break;
		len = utf8_decode(text, &point);
		control = point < 0x20 || (point >= 0x7f && point < 0xa0);
		if (len > 0 && point != 0x2028 && point != 0x2029 &&
			(!control || point == '\t' || (point == '\n' && keep_newlines))) {
			text += len;
			continue;
		}
		buffer_append(out, plain, (size_t)(text - plain));
		if (len == 0) {
			buffer_printf(out, "\\x%02x", (unsigned char)*text);
			len = 1;
		} else if (point == '\n') {
			buffer_append_text(out, "\\n");
		} else if (point == '\r') {
			buffer_append_text(out, "\\r");
		} else if (point < 0x100) {
			buffer_printf(out, "\\x%02" PRIx32, point);
		} else {
			buffer_printf(out, "\\u%04" PRIx32, point);
		}
		text += len;
		plain = text;
	}
	buffer_append(out, plain, (size_t)(text - plain));
}

void log_escape_json(const char *text, struct buffer *out)
{
	const char *plain = text; /* not yet appended */

	buffer_append_char(out, '"');
	while (*text != '\0') {
		uint32_t point = 0xfffd;
		size_t len = utf8_decode(text, &point);

		if (len > 0 && point >= 0x20 && point != '"' && point != '\\' &&
			(point < 0x7f || point >= 0xa0) && point != 0x2028 && point != 0x2029) {
			text += len;
			continue;
		}
		buffer_append(out, plain, (size_t)(text - plain));
		if (point == '"' || point == '\\')
			buffer_printf(out, "\\%c", (char)point);
		else if (point == '\n')
			buffer_append_text(out, "\\n");
		else
			buffer_printf(out, "\\u%04" PRIx32, point);
		text += len > 0 ? len : 1;
		plain = text;
	}
	buffer_append(out, plain, (size_t)(text - plain));
	buffer_append_char(out, '"');
}
