/* SPDX-License-Identifier: MIT */
/*
 * malloc/new.c - C++ operators new and delete, under their ABI names
 *
 * Idea      Written in C, so that the drop-in does not pull in the C++ library. Where the caller has
 *           one, its new-handler is called and std::bad_alloc thrown through it (cxx_library.c).
 * Context   any, while there is memory. A call that finds none may look a function up in the C++ library,
 *           which takes the loader's lock (cxx_library.c), and calls the program's new-handler.
 * Failure   the throwing forms: new-handler until it gives memory, then bad_alloc; without
 *           a C++ library abort(). The nothrow forms: NULL. An alignment that is no power of two
 *           is refused at once.
 * Tests     tests/preload/cxx.cc  tests/preload/cxx_host.c
 */
#include "malloc/malloc.h"
#include "base/basics.h"
#include "base/fmt.h"
#include "cache/fast.h"
#include "kmalloc/kmalloc.h"
#include "slab/checks.h"
#include "trace/trace.h"
#include <stdlib.h>

#define DEFAULT_ALIGN 16

typedef void (*new_handler)(void);
typedef new_handler get_handler(void);

/* The program's handler, or NULL. */
static new_handler handler_of(const void *site)
{
	get_handler *get = (get_handler *)stele_cxx_find(STELE_CXX_GET_NEW_HANDLER, site);

	return get ? get() : NULL;
}

/* A C++ library that is linked into a plugin has no more than the plugin needs. That is its own operator
 * new at least, which fails as ours did, and throws. */
static void *fail_by_library(size_t size, size_t align, const void *site)
{
	stele_cxx_fn form = stele_cxx_find(align ? STELE_CXX_NEW_ALIGNED : STELE_CXX_NEW, site);

	if (!form)
		return NULL;
	return align ? ((void *(*)(size_t, size_t))form)(size, align)
		     : ((void *(*)(size_t))form)(size);
}

/* Throws, or what the C++ library has found after all. */
static void *fail(size_t size, size_t align, const void *site)
{
	stele_cxx_fn throw_bad_alloc = stele_cxx_find(STELE_CXX_THROW_BAD_ALLOC, site);
	void *p;

	if (throw_bad_alloc)
		throw_bad_alloc();
	p = fail_by_library(size, align, site);
	if (p)
		return p;
	stele_say("stele: operator new(%zu): out of memory\n", size);
	abort();
}

/* The fast step for small sizes has failed. */
static inline void *allocate_object(size_t size, const void *site)
{
	return stele_likely(size < stele_hot.small_end) ? stele_malloc_slow(size, site)
							: stele_malloc_above(size, site);
}

static void *allocate(size_t size, size_t align, const void *site)
{
	if (align <= DEFAULT_ALIGN)
		return allocate_object(size, site);
	return stele_is_pow2(align) ? stele_malloc_aligned(align, size, site) : NULL;
}

/* The same where objects are checked: only the counterpart of the call may free the object. */
static void *allocate_watched(size_t size, size_t align, const void *site, enum track_kind kind)
{
	void *p;

	if (align <= DEFAULT_ALIGN)
		return stele_malloc_as(kind, size, site);
	p = allocate(size, align, site);
	stele_watch_taken(p, size, site, kind);
	return p;
}

static inline void *allocate_for(size_t size, size_t align, const void *site, enum track_kind kind)
{
	return watching() ? allocate_watched(size, align, site, kind) : allocate(size, align, site);
}

/* @align: 0 for what needs none. */
static void *new_or_throw(size_t size, size_t align, const void *site, enum track_kind kind)
{
	new_handler handler;
	void *p;

	while (!(p = allocate_for(size, align, site, kind))) {
		handler = align & (align - 1) ? NULL : handler_of(site);
		if (!handler)
			return fail(size, align, site);
		handler(); /* may free something, or throw */
	}
	return p;
}

/* Most calls succeed here, unless objects are checked. */
static inline void *allocate_plain(size_t size, const void *site)
{
	return watching() ? NULL : allocate_object(size, site);
}

static __attribute__((noinline)) void *object_slow(size_t size, const void *site)
{
	void *p = allocate_plain(size, site);

	return stele_likely(p) ? p : new_or_throw(size, 0, site, KIND_NEW);
}

static __attribute__((noinline)) void *array_slow(size_t size, const void *site)
{
	void *p = allocate_plain(size, site);

	return stele_likely(p) ? p : new_or_throw(size, 0, site, KIND_NEW_ARRAY);
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

/* The table by size and one pop, as malloc() has them. NULL: the slow way. */
static inline __attribute__((always_inline)) void *new_fast(size_t size)
{
	void *p;

	if (stele_unlikely(size >= stele_hot.small_end))
		return NULL;
	p = pcpu_pop(size_words()[size]);
	if (stele_likely(p))
		probe_kmalloc(p, size);
	return p;
}

static void *new_or_null(size_t size, size_t align, const void *tag, const void *site,
			 enum track_kind kind)
{
	void *p = align ? NULL : new_fast(size);

	if (!p)
		p = allocate_for(size, align, site, kind);
	return p || !handler_of(site) ? p : null_if_thrown(size, align, tag, site);
}

/* Reports a delete of another size; the object is freed all the same. */
static void check_size(struct stele_call call, const void *p, size_t size)
{
	const struct run *run = stele_run_of(p);
	size_t asked = 0;

	if (run && run->kind == RUN_SLAB && run_has_object_at(run, p) && run_cache(run)->meta)
		asked = stele_watch_asked(run_cache(run), p);
	if (asked && asked != size)
		stele_report_size(call, p, size, asked);
}

/* Where objects are checked: reports name the operator. */
static __attribute__((noinline, cold)) void delete_watched(const char *name, void *p, size_t size,
							   const void *site)
{
	if (!p || stele_boot_has(p))
		return;
	if (size)
		check_size((struct stele_call){ name, site }, p, size);
	stele_free(name, p, site);
}

/* @size: 0 where it is not known. */
static inline __attribute__((always_inline)) void delete_by(const char *name, void *p, size_t size,
							    const void *site)
{
	probe_kfree(p);
	if (stele_likely(slab_free_fast(p)))
		return;
	if (watching())
		delete_watched(name, p, size, site);
	else
		stele_free_slow(p, site);
}

#define DELETE "operator delete"
#define DELETE_ARRAY "operator delete[]"

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
	void *p = new_fast(size);

	return stele_likely(p) ? p : object_slow(size, STELE_CALLER);
}

void *new_array(size_t size)
{
	void *p = new_fast(size);

	return stele_likely(p) ? p : array_slow(size, STELE_CALLER);
}

void *new_object_nothrow(size_t size, const void *tag)
{
	return new_or_null(size, 0, tag, STELE_CALLER, KIND_NEW);
}

void *new_array_nothrow(size_t size, const void *tag)
{
	return new_or_null(size, 0, tag, STELE_CALLER, KIND_NEW_ARRAY);
}

void *new_object_aligned(size_t size, size_t align)
{
	return new_or_throw(size, align, STELE_CALLER, KIND_NEW);
}

void *new_array_aligned(size_t size, size_t align)
{
	return new_or_throw(size, align, STELE_CALLER, KIND_NEW_ARRAY);
}

void *new_object_aligned_nothrow(size_t size, size_t align, const void *tag)
{
	return new_or_null(size, align, tag, STELE_CALLER, KIND_NEW);
}

void *new_array_aligned_nothrow(size_t size, size_t align, const void *tag)
{
	return new_or_null(size, align, tag, STELE_CALLER, KIND_NEW_ARRAY);
}

void delete_object(void *p)
{
	delete_by(DELETE, p, 0, STELE_CALLER);
}

void delete_array(void *p)
{
	delete_by(DELETE_ARRAY, p, 0, STELE_CALLER);
}

void delete_object_sized(void *p, size_t size)
{
	delete_by(DELETE, p, size, STELE_CALLER);
}

void delete_array_sized(void *p, size_t size)
{
	delete_by(DELETE_ARRAY, p, size, STELE_CALLER);
}

void delete_object_nothrow(void *p, const void *tag)
{
	(void)tag;
	delete_by(DELETE, p, 0, STELE_CALLER);
}

void delete_array_nothrow(void *p, const void *tag)
{
	(void)tag;
	delete_by(DELETE_ARRAY, p, 0, STELE_CALLER);
}

void delete_object_aligned(void *p, size_t align)
{
	(void)align;
	delete_by(DELETE, p, 0, STELE_CALLER);
}

void delete_array_aligned(void *p, size_t align)
{
	(void)align;
	delete_by(DELETE_ARRAY, p, 0, STELE_CALLER);
}

void delete_object_sized_aligned(void *p, size_t size, size_t align)
{
	(void)align;
	delete_by(DELETE, p, size, STELE_CALLER);
}

void delete_array_sized_aligned(void *p, size_t size, size_t align)
{
	(void)align;
	delete_by(DELETE_ARRAY, p, size, STELE_CALLER);
}

void delete_object_aligned_nothrow(void *p, size_t align, const void *tag)
{
	(void)align, (void)tag;
	delete_by(DELETE, p, 0, STELE_CALLER);
}

void delete_array_aligned_nothrow(void *p, size_t align, const void *tag)
{
	(void)align, (void)tag;
	delete_by(DELETE_ARRAY, p, 0, STELE_CALLER);
}
