/* SPDX-License-Identifier: MIT */
/*
 * malloc/tsan.c - a program that was built with ThreadSanitizer
 *
 * Idea      The sanitizer has a malloc of its own and knows no other: where its runtime is a library
 *           (gcc), the preloaded drop-in comes before it, and memory that one thread frees and another
 *           one gets looks like a race. So the drop-in tells it of both: a free is a release of the
 *           memory, an allocation an acquire. Each is an event (stele/trace.h), so the fast paths are
 *           closed in such a program, and only there. A runtime that is a part of the program (clang)
 *           keeps its own malloc, and nothing calls the drop-in's.
 * Pieces    A new block may begin in the middle of an old one. So each event releases or acquires
 *           stretches of 64 KiB: all that the block touches.
 * Threads   The sanitizer gives a thread its clock after it has asked the C library for the thread's
 *           stack, and takes the clock away before the C library frees what it kept for the thread.
 *           Both allocate or free, and a thread without a clock must tell nothing. So a thread has
 *           begun with its first event that neither the C library nor the drop-in causes. Until
 *           then the thread tells nothing. The mark is a value under a key of pthread, which the C
 *           library takes away together with the sanitizer's.
 * Limits    A race between threads that free and allocate in the same stretch may go unseen. Use after
 *           free is not reported.
 * Growth    in place or by moving pages has no event in time, so a block that grows is copied.
 * Context   the callback: any.
 * Tests     tests/preload/tsan.c
 */
#include "malloc/malloc.h"
#include "cache/object.h"
#include <dlfcn.h>
#include <elf.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stele/trace.h>

bool stele_grow_by_moving;

#define STRETCH ((uintptr_t)64 << 10)

extern void __tsan_acquire(void *stretch) __attribute__((weak));
extern void __tsan_release(void *stretch) __attribute__((weak));

__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);

/* The drop-in's own copying and clearing are not reported. The program may have its own. */
const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:libstele-malloc\n";
}

/* The memory that a loaded file takes. */
struct object {
	uintptr_t begin, size;
};

static struct object c_library, drop_in;
static pthread_key_t begun;

static bool find_object(const void *address, struct object *object)
{
	const Elf64_Phdr *part;
	const Elf64_Ehdr *head;
	Dl_info info;

	if (!dladdr(address, &info) || !info.dli_fbase)
		return false;
	head = info.dli_fbase;
	part = (const Elf64_Phdr *)((const char *)info.dli_fbase + head->e_phoff);
	object->begin = (uintptr_t)head;
	for (unsigned i = 0; i < head->e_phnum; i++)
		if (part[i].p_type == PT_LOAD && object->size < part[i].p_vaddr + part[i].p_memsz)
			object->size = part[i].p_vaddr + part[i].p_memsz;
	return true;
}

static bool is_in(const struct object *object, const void *site)
{
	return (uintptr_t)site - object->begin < object->size;
}

/* To set the value may allocate: the C library does so in a thread that has not begun. */
static bool has_begun(const void *site)
{
	if (pthread_getspecific(begun))
		return true;
	if (is_in(&c_library, site) || is_in(&drop_in, site))
		return false;
	return !pthread_setspecific(begun, &begun);
}

static void tell(const struct stele_trace_event *event, void *arg)
{
	void (*what)(void *) = event->event == STELE_TRACE_KFREE ? __tsan_release : __tsan_acquire;
	uintptr_t p = (uintptr_t)event->ptr, end = p + stele_usable(event->ptr);

	(void)arg;
	if (!has_begun(event->call_site))
		return;
	for (p &= ~(STRETCH - 1); p < end; p += STRETCH)
		what((void *)p);
}

/* After that of malloc.c, which starts the heap. */
static __attribute__((constructor(102))) void start_telling(void)
{
	if (!__tsan_acquire || !__tsan_release || pthread_key_create(&begun, NULL) ||
	    pthread_setspecific(begun, &begun) || /* this thread has */
	    !find_object((const void *)pthread_getspecific, &c_library) ||
	    !find_object((const void *)start_telling, &drop_in))
		return;
	stele_grow_by_moving = true;
	(void)stele_trace_register(STELE_TRACE_KMALLOC | STELE_TRACE_KFREE | STELE_TRACE_NESTED,
				   tell, NULL);
}
