#include "core/system/id.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "core/system/clock.h"

static enum nc_err random_bytes(uint8_t *bytes, size_t count, struct error *error)
{
	ssize_t got;

	do {
		got = getrandom(bytes, count, 0);
	} while (got < 0 && errno == EINTR);
	if (got != (ssize_t)count)
		return error_errno(error, got < 0 ? errno : EIO, "cannot get random bytes");
	return NC_OK;
}

enum nc_err id_make(char text[ID_TEXT_SIZE], struct error *error)
{
	uint64_t ms = (uint64_t)(clock_real_ns() / NS_PER_MS);
	uint8_t b[16];
	enum nc_err err = random_bytes(b, sizeof(b), error);

	if (err != NC_OK)
		return err;
	for (int i = 0; i < 6; i++)
		b[i] = (uint8_t)(ms >> (40 - 8 * i));
	b[6] = (uint8_t)(0x70 | (b[6] & 0x0f));
	b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
	(void)snprintf(text, ID_TEXT_SIZE,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		b[15]);
	return NC_OK;
}

enum nc_err token_make(char text[TOKEN_TEXT_SIZE], struct error *error)
{
	uint8_t bytes[(TOKEN_TEXT_SIZE - 1) / 2];
	enum nc_err err = random_bytes(bytes, sizeof(bytes), error);

	if (err != NC_OK)
		return err;
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return NC_OK;
}

bool id_is_valid(const char *text)
{
	if (text == NULL || strlen(text) != ID_TEXT_SIZE - 1)
		return false;
	for (int i = 0; i < ID_TEXT_SIZE - 1; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return false;
		} else if (strchr("0123456789abcdef", text[i]) == NULL) {
			return false;
		}
	}
	return true;
}

bool token_is_equal(const char *a, const char *b)
{
	unsigned char difference = 0;
	size_t len = strlen(a);

	if (strlen(b) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		difference |= (unsigned char)(a[i] ^ b[i]);
	return difference == 0;
}
