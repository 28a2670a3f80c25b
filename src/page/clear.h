/* SPDX-License-Identifier: MIT */
/*
 * page/clear.h - clears pages for the options init_on_alloc and init_on_free (clear.c)
 *
 * Context   any; the caller owns the pages.
 */
#ifndef STELE_PAGE_CLEAR_H
#define STELE_PAGE_CLEAR_H

#include "base/basics.h"
#include <stddef.h>

/* Frames, a whole number of them. EFFORT_BOUNDED: without a system call. */
void stele_pages_clear(void *p, size_t bytes, enum effort effort);

#endif
