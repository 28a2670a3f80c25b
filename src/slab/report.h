/* SPDX-License-Identifier: MIT */
/*
 * slab/report.h - bad pointers and warnings (report.c)
 *
 * Context   any.
 */
#ifndef STELE_SLAB_REPORT_H
#define STELE_SLAB_REPORT_H

#include <stddef.h>
#include <stdint.h>

struct kmem_cache;

#define STELE_OWN "an object of the library itself"
#define STELE_NOT_OURS "not a pointer of this allocator, or already free"
#define STELE_GIVEN "object was already given to kfree_rcu"

/* A call as a report names it. @site: the address it returns to; NULL: not known. */
struct stele_call {
	const char *name;
	const void *site;
};

/* Says what is wrong with freeing @p and counts it; dies if the option says so. */
void stele_report_free(struct stele_call call, const void *p, const char *what, const char *cache);
/* The same for a free that only shows when its sheaf comes back: the call is not known any more. It is
 * at the end of a deep chain of calls, and needs less stack. */
void stele_report_late(const void *p, const char *cache);
/* The same for changing its size. */
void stele_report_resize(struct stele_call call, const void *p, const char *what,
			 const char *cache);
/* The same for kmem_cache_free() with the wrong cache. */
void stele_report_cache(const void *p, const char *owner, const char *given, const void *site);
/* A destroyed cache was used, and debug builds know it still. NULL, for a call that wanted an
 * object. */
void *stele_report_destroyed(struct stele_call call, const struct kmem_cache *s);
/* The object came from another family of calls; it is freed all the same. */
void stele_report_mismatch(struct stele_call call, const void *p, const char *came_from);
/* A sized delete names another size than the allocation did; the object is freed all the same. */
void stele_report_size(struct stele_call call, const void *p, size_t given, size_t asked);
/* After a report: it is counted, and ends the program if the option says so. */
void stele_reported(void);
uint64_t stele_reports(void);

#endif
