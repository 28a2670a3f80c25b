/* SPDX-License-Identifier: MIT */
/*
 * malloc/malloc.h - what the files of the drop-in share
 */
#ifndef STELE_MALLOC_MALLOC_H
#define STELE_MALLOC_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* Function @name under a name that no other library can replace. */
#if __has_attribute(copy)
#define STELE_HERE(name)                                                                           \
	static __typeof__(name) name##_here __attribute__((alias(#name), copy(name)))
#else
#define STELE_HERE(name) static __typeof__(name) name##_here __attribute__((alias(#name)))
#endif

/* Memory aligned to @align (a power of two), without touching errno; NULL when there is none.
 * @site: the caller. */
void *stele_malloc_aligned(size_t align, size_t size, const void *site);

/* ---- cxx_library.c: functions of the caller's C++ library ---- */
enum stele_cxx {
	STELE_CXX_GET_NEW_HANDLER, /* void (*(void))(void) */
	STELE_CXX_THROW_BAD_ALLOC, /* void (void), which does not come back */
	STELE_CXX_NEW_NOTHROW,	   /* void *(size_t, const void *), which calls our throwing one */
	STELE_CXX_NEW_ALIGNED_NOTHROW, /* void *(size_t, size_t, const void *) */
};
typedef void (*stele_cxx_fn)(void);
/* @site: an address in the code that called operator new. NULL: not to be had. */
stele_cxx_fn stele_cxx_find(enum stele_cxx which, const void *site);

/* ---- tsan.c ---- */
/* A block that grows is moved, by an allocation and a free. Fixed at start. */
extern bool stele_grow_by_moving;

/* ---- boot.c: for calls from inside the start ---- */
/* @align: a power of two. The memory is zero. */
void *stele_boot_alloc(size_t align, size_t size);
/* One piece is no longer needed. */
void stele_boot_free(void);
bool stele_boot_has(const void *p);
/* Of a piece that it has. */
size_t stele_boot_size(const void *p);

#endif
