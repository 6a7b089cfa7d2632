/*
 * Memory that runs out on demand, for tests: the N-th allocation from now fails, and what was allocated
 * and not freed is counted. Include it in one source file of a test program: it defines malloc() for the
 * whole process. Under the address sanitizer, which needs that for itself, it does nothing and
 * FAILING_MALLOC is 0.
 */
#ifndef NOWCAST_TESTS_FAILING_MALLOC_H
#define NOWCAST_TESTS_FAILING_MALLOC_H

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>

/* From now on the `nth` allocation fails (1: the next one), and no other. */
static void memory_fail_at(long nth);
/* No more failures. true: one has happened. */
static bool memory_has_failed(void);
/* Allocations that were not freed since memory_fail_at(). */
static long memory_outstanding(void);

static long memory_countdown, memory_balance;

static void memory_fail_at(long nth)
{
	memory_balance = 0;
	memory_countdown = nth;
}

static bool memory_has_failed(void)
{
	bool failed = memory_countdown <= 0;

	memory_countdown = 0;
	return failed;
}

static long memory_outstanding(void)
{
	return memory_balance;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAILING_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FAILING_MALLOC 0
#endif
#endif

#ifndef FAILING_MALLOC
#define FAILING_MALLOC 1

/* glibc's own, under its other names. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static bool memory_fails_now(void)
{
	if (memory_countdown > 0 && --memory_countdown == 0) {
		memory_countdown = -1; /* it has happened, and happens no more */
		errno = ENOMEM;
		return true;
	}
	memory_balance++;
	return false;
}

void *malloc(size_t size)
{
	return memory_fails_now() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return memory_fails_now() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	/* Giving a part back does not fail. */
	if (memory != NULL && size <= malloc_usable_size(memory))
		return __libc_realloc(memory, size);
	if (memory_fails_now())
		return NULL;
	if (memory != NULL)
		memory_balance--;
	return __libc_realloc(memory, size);
}

void free(void *memory)
{
	if (memory != NULL)
		memory_balance--;
	__libc_free(memory);
}
#endif

#endif
