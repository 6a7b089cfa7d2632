/*
 * Preloaded into a process (LD_PRELOAD), it makes the N-th allocation of the main thread fail, for the error
 * sweep of tests/fault:
 *
 *   NOWCAST_ALLOC_PROCESS  only in a process that has this as its first argument (`manager`)
 *   NOWCAST_ALLOC_FAIL_AT  the number of the allocation, from 1; 0: only count
 *   NOWCAST_ALLOC_ONWARD   1: that one and the next 9
 *   NOWCAST_ALLOC_COUNT    a file: eight bytes, kept up to date: how many there were
 *
 * Threads of libraries are left alone: some of them end the process when they have no memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	ONWARD = 10
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *bytes, size_t size);

static uint64_t *counter;
static uint64_t fail_at, fail_to;

static uint64_t number_of(const char *name)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
	const char *process = getenv("NOWCAST_ALLOC_PROCESS");
	const char *file = getenv("NOWCAST_ALLOC_COUNT");
	void *map;
	int fd;

	if (process == NULL || file == NULL || argc < 2 || strcmp(argv[1], process) != 0)
		return;
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*counter)) < 0)
		abort();
	map = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		abort();
	(void)close(fd);
	fail_at = number_of("NOWCAST_ALLOC_FAIL_AT");
	fail_to = fail_at + (number_of("NOWCAST_ALLOC_ONWARD") != 0 ? ONWARD : 1);
	counter = map;
}

static int must_fail(void)
{
	uint64_t number;

	if (counter == NULL || gettid() != getpid())
		return 0;
	number = ++*counter;
	if (number < fail_at || number >= fail_to || fail_at == 0)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return must_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *bytes, size_t size)
{
	return must_fail() ? NULL : __libc_realloc(bytes, size);
}
