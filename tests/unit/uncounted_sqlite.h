/*
 * SQLite with memory of its own, that failing_malloc.h (include it before) neither counts nor lets fail: it keeps what it
 * has prepared and read, so leaks of ours are looked for without it. Under the address sanitizer it does nothing.
 */
#ifndef NOWCAST_TESTS_UNCOUNTED_SQLITE_H
#define NOWCAST_TESTS_UNCOUNTED_SQLITE_H

#include <sqlite3.h>

/* From now on; while no database is open. false: it cannot be. */
static bool leave_sqlite_alone(void);

#if FAILING_MALLOC
static void *uncounted_malloc(int size)
{
	return __libc_malloc((size_t)size);
}

static void *uncounted_realloc(void *memory, int size)
{
	return __libc_realloc(memory, (size_t)size);
}

static int uncounted_size(void *memory)
{
	return (int)malloc_usable_size(memory);
}

static int uncounted_round(int size)
{
	return (size + 7) & ~7;
}

static int uncounted_init(void *data)
{
	(void)data;
	return SQLITE_OK;
}

static void uncounted_shutdown(void *data)
{
	(void)data;
}

static bool leave_sqlite_alone(void)
{
	static const sqlite3_mem_methods uncounted = { uncounted_malloc, __libc_free,
		uncounted_realloc, uncounted_size, uncounted_round, uncounted_init,
		uncounted_shutdown, NULL };

	return sqlite3_shutdown() == SQLITE_OK &&
	       sqlite3_config(SQLITE_CONFIG_MALLOC, &uncounted) == SQLITE_OK;
}
#else
static bool leave_sqlite_alone(void)
{
	return true;
}
#endif

#endif
