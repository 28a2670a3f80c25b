/* SPDX-License-Identifier: MIT */
/*
 * cache/free.h - freeing any pointer, when the fast step did not serve (free.c)
 *
 * Context   any.
 */
#ifndef STELE_CACHE_FREE_H
#define STELE_CACHE_FREE_H

#include "base/effort.h"
#include <stdbool.h>
#include <stddef.h>

struct kmem_cache;
struct run;

/*
 * False: @p was bad and has been reported under the name of @call. NULL is the caller's to test.
 * @site: the caller, for the event kfree and for the report; NULL where the library frees an object of
 * its own.
 */
bool stele_free(const char *call, void *p, const void *site);
/* The same after the fast step failed. EFFORT_BOUNDED: short, unless it is traced; not for large runs. */
bool stele_free_any(const char *call, void *p, const void *site, enum effort effort);
/* kmem_cache_free() after its fast step failed. NULL @site: as above. */
void stele_free_into(struct kmem_cache *s, void *p, const void *site);
/* Whether @p, the start of an object in @run, is seen to be free: a look, which misses many. */
bool stele_seen_free(const struct run *run, const void *p);
/* Whether @p lies in an object of the library's own, which is reported then. */
bool stele_refuse_own(const char *call, const void *p, const void *site);
size_t stele_usable(const void *p);

#endif
