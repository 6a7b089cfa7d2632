#include "core/data/suggest.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum {
	LONGEST = 64
};

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Optimal string alignment distance (Damerau-Levenshtein with each letter moved once at most). */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned d[LONGEST + 1][LONGEST + 1];

	for (size_t i = 0; i <= a_len; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= b_len; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		for (size_t j = 1; j <= b_len; j++) {
			unsigned change = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			d[i][j] = smaller(smaller(d[i - 1][j], d[i][j - 1]) + 1, change);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = smaller(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[a_len][b_len];
}

const char *suggest(const char *typed, const char *const *candidates, size_t count)
{
	size_t typed_len = strlen(typed);
	const char *best = NULL;
	unsigned best_distance = 0;

	if (typed_len > LONGEST)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const char *candidate = candidates[i];
		size_t len = candidate != NULL ? strlen(candidate) : 0;
		unsigned d;

		if (len == 0 || len > LONGEST)
			continue;
		d = strcasecmp(typed, candidate) == 0 ? 0
						      : distance(typed, typed_len, candidate, len);
		/* A third of the letters, and one at least: `slep`, `rotate_log`. */
		if (d > len / 3 + (len < 3))
			continue;
		if (best == NULL || d < best_distance) {
			best = candidate;
			best_distance = d;
		}
	}
	return best;
}
