/*
 * What went wrong, for the caller to show: library code returns it and prints nothing.
 *
 * A function that can fail returns an enum nc_err and takes, last, a `struct error *` that it fills on
 * failure and leaves untouched on success. The caller owns the struct; NULL is allowed everywhere and
 * means that the text is not wanted.
 *
 * Depends on core/data/utf8.
 */
#ifndef NOWCAST_CORE_DATA_ERROR_H
#define NOWCAST_CORE_DATA_ERROR_H

enum nc_err {
	NC_OK = 0,
	NC_ERR_NOMEM,     /* memory exhausted; the object is as it was before the call */
	NC_ERR_SYNTAX,    /* outside text that is not of its form */
	NC_ERR_INVALID,   /* well formed, but not a value that may stand there */
	NC_ERR_LIMIT,     /* over a limit that we set */
	NC_ERR_NOT_FOUND, /* no such thing */
	NC_ERR_SYSTEM,    /* a system call failed; its errno is kept */
	NC_ERR_REFUSED,   /* the other side said no */
	NC_ERR_TIMEOUT,   /* the time for it is over */
	NC_ERR_CLOSED,    /* the other side is gone */
	NC_ERR_COUNT
};

struct error {
	enum nc_err code;
	int sys_errno;         /* of NC_ERR_SYSTEM, else 0 */
	unsigned line, column; /* from 1; 0: the error has no place in a text */
	char text[480];        /* one line of UTF-8 without its end; cut when longer */
};

#define NC_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))

/* Fill `error` (may be NULL) and return `code`, so that a caller can `return error_set(...)`. */
enum nc_err error_set(struct error *error, enum nc_err code, const char *format, ...)
	NC_PRINTF(3, 4);

/* The same with a place in a text. */
enum nc_err error_at(struct error *error, enum nc_err code, unsigned line, unsigned column,
	const char *format, ...) NC_PRINTF(5, 6);

/* NC_ERR_SYSTEM; ": " and the words for `sys_errno` are put after the text. */
enum nc_err error_errno(struct error *error, int sys_errno, const char *format, ...)
	NC_PRINTF(3, 4);

/* NC_ERR_NOMEM with its words. */
static inline enum nc_err error_nomem(struct error *error)
{
	(void)error_set(error, NC_ERR_NOMEM, "out of memory");
	return NC_ERR_NOMEM;
}

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
