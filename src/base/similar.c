/* SPDX-License-Identifier: MIT */
/*
 * base/similar.c - which name may have been meant
 *
 * Idea      The usual table of distances between all beginnings, row by row. A swap looks two rows
 *           back, so three rows are kept.
 * Context   any; see similar.h.
 * Tests     tests/unit/base/test_similar.c
 */
#include "base/similar.h"

#include "base/basics.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t row[STELE_SIMILAR_LEN + 1];

static char plain(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c | 0x20);
	return c == '-' ? '_' : c;
}

/* The distance of the beginnings of i and j characters; @up is the row of i - 1. */
static uint8_t cheapest(const row now, const row up, const row up2, const char *a, const char *b,
			size_t i, size_t j)
{
	bool same = plain(a[i - 1]) == plain(b[j - 1]);
	unsigned best = STELE_MIN(up[j], now[j - 1]) + 1;

	best = STELE_MIN(best, up[j - 1] + (same ? 0u : 1u));
	if (i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) &&
	    plain(a[i - 2]) == plain(b[j - 1]))
		best = STELE_MIN(best, up2[j - 2] + 1u);
	return (uint8_t)best;
}

unsigned stele_edits(const char *written, size_t n, const char *name)
{
	size_t m = strlen(name);
	row rows[3] = { { 0 } };

	if (n > STELE_SIMILAR_LEN || m > STELE_SIMILAR_LEN)
		return UINT_MAX;
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = (uint8_t)j;
	for (size_t i = 1; i <= n; i++) {
		rows[i % 3][0] = (uint8_t)i;
		for (size_t j = 1; j <= m; j++)
			rows[i % 3][j] = cheapest(rows[i % 3], rows[(i + 2) % 3], rows[(i + 1) % 3],
						  written, name, i, j);
	}
	return rows[n % 3][m];
}

bool stele_is_typo(unsigned edits, size_t n)
{
	return edits <= 2 && edits <= n / 3;
}
