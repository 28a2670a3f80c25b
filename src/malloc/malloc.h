/* SPDX-License-Identifier: MIT */
/*
 * malloc/malloc.h - what the files of the drop-in share
 */
#ifndef STELE_MALLOC_MALLOC_H
#define STELE_MALLOC_MALLOC_H

#include <stddef.h>

/* Memory aligned to @align (a power of two), without touching errno; NULL when there is none.
 * @site: who asked. */
void *stele_malloc_aligned(size_t align, size_t size, const void *site);

#endif
