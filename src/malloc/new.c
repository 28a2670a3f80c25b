/* SPDX-License-Identifier: MIT */
/*
 * malloc/new.c - C++ operators new and delete, under their ABI names
 *
 * Idea      Written in C, so that the drop-in does not pull in the C++ library. Where the caller has
 *           one, its new-handler is called and std::bad_alloc thrown through it (cxx_library.c).
 * Failure   the throwing forms: new-handler until it gives memory, then bad_alloc; without
 *           a C++ library abort(). The nothrow forms: NULL. An alignment that is no power of two
 *           is refused at once.
 * Tests     tests/preload/cxx.cc  tests/preload/cxx_host.c
 */
#include "malloc/malloc.h"
#include "base/bits.h"
#include "base/fmt.h"
#include "trace/trace.h"
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))
#define DEFAULT_ALIGN 16

typedef void (*new_handler)(void);
typedef new_handler get_handler(void);

/* The program's handler, or NULL. */
static new_handler handler_of(const void *site)
{
	get_handler *get = (get_handler *)stele_cxx_find(STELE_CXX_GET_NEW_HANDLER, site);

	return get ? get() : NULL;
}

static __attribute__((noreturn)) void fail(size_t size, const void *site)
{
	stele_cxx_fn throw_bad_alloc = stele_cxx_find(STELE_CXX_THROW_BAD_ALLOC, site);

	if (throw_bad_alloc)
		throw_bad_alloc();
	stele_say("stele: operator new(%zu): out of memory\n", size);
	abort();
}

static void *allocate(size_t size, size_t align, const void *site)
{
	if (align <= DEFAULT_ALIGN)
		return malloc(size);
	return stele_is_pow2(align) ? stele_malloc_aligned(align, size, site) : NULL;
}

/* @align: 0 for what needs none. */
static void *new_or_throw(size_t size, size_t align, const void *site)
{
	new_handler handler;
	void *p;

	while (!(p = allocate(size, align, site))) {
		handler = align & (align - 1) ? NULL : handler_of(site);
		if (!handler)
			fail(size, site);
		handler(); /* may free something, or throw */
	}
	return p;
}

/*
 * With a handler, which may throw what must not get out: C cannot catch that, the C++ library
 * can. Its nothrow form calls our throwing one.
 */
static void *null_if_thrown(size_t size, size_t align, const void *tag, const void *site)
{
	stele_cxx_fn form =
		stele_cxx_find(align ? STELE_CXX_NEW_ALIGNED_NOTHROW : STELE_CXX_NEW_NOTHROW, site);

	if (!form)
		return NULL;
	if (align)
		return ((void *(*)(size_t, size_t, const void *))form)(size, align, tag);
	return ((void *(*)(size_t, const void *))form)(size, tag);
}

static void *new_or_null(size_t size, size_t align, const void *tag, const void *site)
{
	void *p = allocate(size, align, site);

	return p || !handler_of(site) ? p : null_if_thrown(size, align, tag, site);
}

/* A name of the C++ ABI for a function of ours. */
#define ABI(name) __asm__(name) EXPORT

void *new_object(size_t size) ABI("_Znwm");
void *new_array(size_t size) ABI("_Znam");
void *new_object_nothrow(size_t size, const void *tag) ABI("_ZnwmRKSt9nothrow_t");
void *new_array_nothrow(size_t size, const void *tag) ABI("_ZnamRKSt9nothrow_t");
void *new_object_aligned(size_t size, size_t align) ABI("_ZnwmSt11align_val_t");
void *new_array_aligned(size_t size, size_t align) ABI("_ZnamSt11align_val_t");
void *new_object_aligned_nothrow(size_t size, size_t align, const void *tag)
	ABI("_ZnwmSt11align_val_tRKSt9nothrow_t");
void *new_array_aligned_nothrow(size_t size, size_t align, const void *tag)
	ABI("_ZnamSt11align_val_tRKSt9nothrow_t");
void delete_object(void *p) ABI("_ZdlPv");
void delete_array(void *p) ABI("_ZdaPv");
void delete_object_sized(void *p, size_t size) ABI("_ZdlPvm");
void delete_array_sized(void *p, size_t size) ABI("_ZdaPvm");
void delete_object_nothrow(void *p, const void *tag) ABI("_ZdlPvRKSt9nothrow_t");
void delete_array_nothrow(void *p, const void *tag) ABI("_ZdaPvRKSt9nothrow_t");
void delete_object_aligned(void *p, size_t align) ABI("_ZdlPvSt11align_val_t");
void delete_array_aligned(void *p, size_t align) ABI("_ZdaPvSt11align_val_t");
void delete_object_sized_aligned(void *p, size_t size, size_t align) ABI("_ZdlPvmSt11align_val_t");
void delete_array_sized_aligned(void *p, size_t size, size_t align) ABI("_ZdaPvmSt11align_val_t");
void delete_object_aligned_nothrow(void *p, size_t align, const void *tag)
	ABI("_ZdlPvSt11align_val_tRKSt9nothrow_t");
void delete_array_aligned_nothrow(void *p, size_t align, const void *tag)
	ABI("_ZdaPvSt11align_val_tRKSt9nothrow_t");

void *new_object(size_t size)
{
	return new_or_throw(size, 0, STELE_CALLER);
}

void *new_array(size_t size)
{
	return new_or_throw(size, 0, STELE_CALLER);
}

void *new_object_nothrow(size_t size, const void *tag)
{
	return new_or_null(size, 0, tag, STELE_CALLER);
}

void *new_array_nothrow(size_t size, const void *tag)
{
	return new_or_null(size, 0, tag, STELE_CALLER);
}

void *new_object_aligned(size_t size, size_t align)
{
	return new_or_throw(size, align, STELE_CALLER);
}

void *new_array_aligned(size_t size, size_t align)
{
	return new_or_throw(size, align, STELE_CALLER);
}

void *new_object_aligned_nothrow(size_t size, size_t align, const void *tag)
{
	return new_or_null(size, align, tag, STELE_CALLER);
}

void *new_array_aligned_nothrow(size_t size, size_t align, const void *tag)
{
	return new_or_null(size, align, tag, STELE_CALLER);
}

void delete_object(void *p)
{
	free(p);
}

void delete_array(void *p)
{
	free(p);
}

void delete_object_sized(void *p, size_t size)
{
	(void)size;
	free(p);
}

void delete_array_sized(void *p, size_t size)
{
	(void)size;
	free(p);
}

void delete_object_nothrow(void *p, const void *tag)
{
	(void)tag;
	free(p);
}

void delete_array_nothrow(void *p, const void *tag)
{
	(void)tag;
	free(p);
}

void delete_object_aligned(void *p, size_t align)
{
	(void)align;
	free(p);
}

void delete_array_aligned(void *p, size_t align)
{
	(void)align;
	free(p);
}

void delete_object_sized_aligned(void *p, size_t size, size_t align)
{
	(void)size, (void)align;
	free(p);
}

void delete_array_sized_aligned(void *p, size_t size, size_t align)
{
	(void)size, (void)align;
	free(p);
}

void delete_object_aligned_nothrow(void *p, size_t align, const void *tag)
{
	(void)align, (void)tag;
	free(p);
}

void delete_array_aligned_nothrow(void *p, size_t align, const void *tag)
{
	(void)align, (void)tag;
	free(p);
}
