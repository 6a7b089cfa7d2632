#include "core/data/utf8.h"

#include <string.h>

/* Length of the well-formed sequence at `text` (RFC 3629), or 0. */
static size_t utf8_sequence(const unsigned char *text, size_t len)
{
	unsigned char first = text[0], least = 0x80, most = 0xbf;
	size_t need;

	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		need = 2;
	else if (first >= 0xe0 && first <= 0xef)
		need = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		need = 4;
	else
		return 0;
	/* No overlong forms, surrogates, or code points above U+10FFFF. */
	if (first == 0xe0)
		least = 0xa0;
	else if (first == 0xed)
		most = 0x9f;
	else if (first == 0xf0)
		least = 0x90;
	else if (first == 0xf4)
		most = 0x8f;
	if (len < need || text[1] < least || text[1] > most)
		return 0;
	for (size_t i = 2; i < need; i++)
		if (text[i] < 0x80 || text[i] > 0xbf)
			return 0;
	return need;
}

bool utf8_is_valid(const char *text, size_t len, size_t *ret_at)
{
	size_t at = 0;

	while (at < len) {
		size_t step = utf8_sequence((const unsigned char *)text + at, len - at);

		if (step == 0) {
			if (ret_at != NULL)
				*ret_at = at;
			return false;
		}
		at += step;
	}
	return true;
}

void utf8_mend(char *text)
{
	size_t len = strlen(text), start = 0, bad;

	while (!utf8_is_valid(text + start, len - start, &bad)) {
		text[start + bad] = '?';
		start += bad + 1;
	}
}

void utf8_make_line(char *text)
{
	utf8_mend(text);
	for (char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
}
