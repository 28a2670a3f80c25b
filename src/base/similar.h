/* SPDX-License-Identifier: MIT */
/*
 * base/similar.h - which name may have been meant
 *
 * Idea      The number of single edits (a character more, less or another, two neighbours swapped)
 *           between what was written and each name; few edits are a typo, more are another word.
 *           Capitals count as small letters, '-' as '_'.
 * Context   any: no malloc, 100 bytes of stack.
 * Tests     tests/unit/base/test_similar.c
 */
#ifndef STELE_BASE_SIMILAR_H
#define STELE_BASE_SIMILAR_H

#include <stdbool.h>
#include <stddef.h>

/* Names longer than this are similar to nothing. */
#define STELE_SIMILAR_LEN 31

/* Edits from the @n characters at @written to @name; UINT_MAX when one of them is too long. */
unsigned stele_edits(const char *written, size_t n, const char *name);

/* Whether so many edits of @n characters are a typo: one in three, and two at most. */
bool stele_is_typo(unsigned edits, size_t n);

#endif
