/* SPDX-License-Identifier: MIT */
/*
 * malloc/new.c - C++ operators new and delete, under their ABI names
 *
 * Idea      Written in C, so that the drop-in does not pull in the C++ library. Where a
 *           program has one, its new-handler is called and std::bad_alloc thrown through
 *           weak references to it.
 * Failure   the throwing forms: new-handler until it gives memory, then bad_alloc; without
 *           a C++ library abort(). The nothrow forms: NULL.
 * Tests     tests/malloc/cxx.cc
 */
#include "malloc/malloc.h"
#include "base/fmt.h"
#include "trace/trace.h"
#include <dlfcn.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))
#define DEFAULT_ALIGN 16

typedef void (*new_handler)(void);
extern new_handler get_new_handler(void) __asm__("_ZSt15get_new_handlerv") __attribute__((weak));
extern void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv")
	__attribute__((weak, noreturn));

/* Calls the program's handler, which may free something. False: there is none. */
static int call_handler(void)
{
	new_handler handler = get_new_handler ? get_new_handler() : NULL;

	if (handler)
		handler();
	return handler != NULL;
}

static __attribute__((noreturn)) void fail(size_t size)
{
	if (throw_bad_alloc)
		throw_bad_alloc();
	stele_say("stele: operator new(%zu): out of memory\n", size);
	abort();
}

static void *allocate(size_t size, size_t align)
{
	return align > DEFAULT_ALIGN ? stele_malloc_aligned(align, size, STELE_CALLER)
				     : malloc(size);
}

static void *new_or_throw(size_t size, size_t align)
{
	void *p;

	while (!(p = allocate(size, align)))
		if (!call_handler())
			fail(size);
	return p;
}

/*
 * With a handler, which may throw what must not get out: C cannot catch that, the C++ library
 * can. Its nothrow form calls our throwing one.
 */
static void *null_if_thrown(size_t size, size_t align, const void *tag)
{
	void *(*plain)(size_t, const void *) =
		(void *(*)(size_t, const void *))dlsym(RTLD_NEXT, "_ZnwmRKSt9nothrow_t");
	void *(*aligned)(size_t, size_t, const void *) =
		(void *(*)(size_t, size_t,
			   const void *))dlsym(RTLD_NEXT, "_ZnwmSt11align_val_tRKSt9nothrow_t");

	if (align)
		return aligned ? aligned(size, align, tag) : NULL;
	return plain ? plain(size, tag) : NULL;
}

static void *new_or_null(size_t size, size_t align, const void *tag)
{
	void *p = allocate(size, align);

	if (p || !get_new_handler || !get_new_handler())
		return p;
	return null_if_thrown(size, align, tag);
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
	return new_or_throw(size, 0);
}

void *new_array(size_t size)
{
	return new_or_throw(size, 0);
}

void *new_object_nothrow(size_t size, const void *tag)
{
	return new_or_null(size, 0, tag);
}

void *new_array_nothrow(size_t size, const void *tag)
{
	return new_or_null(size, 0, tag);
}

void *new_object_aligned(size_t size, size_t align)
{
	return new_or_throw(size, align);
}

void *new_array_aligned(size_t size, size_t align)
{
	return new_or_throw(size, align);
}

void *new_object_aligned_nothrow(size_t size, size_t align, const void *tag)
{
	return new_or_null(size, align, tag);
}

void *new_array_aligned_nothrow(size_t size, size_t align, const void *tag)
{
	return new_or_null(size, align, tag);
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
