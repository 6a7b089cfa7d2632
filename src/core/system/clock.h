/*
 * The one place that gives the time (promises.md, "Clock"). Waiting is done on the monotonic clock;
 * the real one is for showing, for dates and for schedules.
 *
 * Tests set it: NOWCAST_TEST_CLOCK_OFFSET_S in the environment, seconds added to the real clock.
 *
 * Depends on core/data.
 */
#ifndef NOWCAST_CORE_SYSTEM_CLOCK_H
#define NOWCAST_CORE_SYSTEM_CLOCK_H

#include <stdint.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define MS_PER_S  INT64_C(1000)

int64_t clock_real_ns(void); /* since the epoch */
int64_t clock_mono_ms(void); /* since some moment before */

#endif
