/* SPDX-License-Identifier: MIT */
/*
 * malloc/aligned.c - posix_memalign, aligned_alloc and their relatives
 *
 * Idea      a size rounded up to a multiple of its alignment has a class that is aligned, too. So such
 *           a call takes the same table and the same pop as malloc(). A large alignment gets a run.
 * Context   any, as in malloc.c.
 * Errors    NULL with errno ENOMEM; EINVAL for an alignment that is no power of two. memalign() rounds
 *           it up instead. posix_memalign() returns the error and keeps errno.
 * Source    POSIX.1-2024, C23, and glibc for memalign(), valloc(), pvalloc() and the __libc_ names.
 * Tests     tests/preload/
 */
#include "kmalloc/kmalloc.h"
#include "malloc/malloc.h"
#include "page/run.h"
#include "percpu/percpu.h"
#include "percpu/step.h"
#include "trace/trace.h"
#include <malloc.h>
#include <stdlib.h>

static __attribute__((noinline)) void *aligned_slow(size_t align, size_t size, const void *site)
{
	size_t rounded;

	size = size ? size : 1;
	if (align > PTRDIFF_MAX || size > PTRDIFF_MAX - align)
		return NULL;
	if (!stele_malloc_start())
		return stele_malloc_unstarted(STELE_MAX(align, (size_t)MALLOC_GRANULE), size);
	rounded = size;
	if (align > MALLOC_GRANULE)
		rounded = STELE_ALIGN_UP(rounded, align);
	if (rounded <= KMALLOC_MAX_CACHE_SIZE)
		return stele_malloc_small(stele_cache_for(rounded), size, site);
	return stele_malloc_large(size, align, false, site);
}

/* A size that is a multiple of its alignment has a class that is, too. */
void *stele_malloc_aligned(size_t align, size_t size, const void *site)
{
	size_t rounded = STELE_ALIGN_UP(size, align); /* 0 also if that is too much */
	void *p;

	if (stele_unlikely(!rounded || rounded >= stele_hot.small_end))
		return aligned_slow(align, size, site);
	p = pcpu_pop(size_words()[rounded]);
	if (stele_unlikely(!p))
		return aligned_slow(align, size, site);
	probe_kmalloc(p, size);
	return p;
}

static bool power_of_two(size_t n)
{
	return n && !(n & (n - 1));
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	void *p;

	if (!power_of_two(align) || align % sizeof(void *))
		return EINVAL;
	p = stele_malloc_aligned(align, size, STELE_CALLER);
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	if (!power_of_two(align)) {
		errno = EINVAL;
		return NULL;
	}
	return checked(stele_malloc_aligned(align, size, STELE_CALLER));
}

/* As glibc has it: any alignment, rounded up. */
EXPORT void *memalign(size_t align, size_t size)
{
	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	align = stele_pow2_up(align ? align : 1);
	return checked(stele_malloc_aligned(align, size, STELE_CALLER));
}

EXPORT void *valloc(size_t size)
{
	return checked(stele_malloc_aligned(stele_page_size(), size, STELE_CALLER));
}

EXPORT void *pvalloc(size_t size)
{
	size_t page = stele_page_size();

	if (size > PTRDIFF_MAX - page)
		return no_memory();
	size = size ? STELE_ALIGN_UP(size, page) : page;
	return checked(stele_malloc_aligned(page, size, STELE_CALLER));
}

/* ---- the C library's own names for them, as in malloc.c ---- */

STELE_HERE(memalign);
STELE_HERE(valloc);
STELE_HERE(pvalloc);

void *__libc_memalign(size_t align, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);

EXPORT void *__libc_memalign(size_t align, size_t size)
{
	return memalign_here(align, size);
}

EXPORT void *__libc_valloc(size_t size)
{
	return valloc_here(size);
}

EXPORT void *__libc_pvalloc(size_t size)
{
	return pvalloc_here(size);
}
