#include "core/system/clock.h"

#include <stdlib.h>
#include <time.h>

#include "core/data/value.h"

static int64_t test_offset_s(void)
{
	const char *text = getenv("NOWCAST_TEST_CLOCK_OFFSET_S");
	int64_t offset_s;

	return text != NULL && text_to_int64(text, &offset_s) ? offset_s : 0;
}

/* clock_gettime() fails only for a bad clock or a bad pointer. */
int64_t clock_real_ns(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec + test_offset_s()) * NS_PER_S + now.tv_nsec;
}

int64_t clock_mono_ms(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}
