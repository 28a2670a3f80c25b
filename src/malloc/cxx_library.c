/* SPDX-License-Identifier: MIT */
/*
 * malloc/cxx_library.c - the C++ library of the code that calls operator new
 *
 * Idea      A C program that opens a C++ plugin has no C++ library when the drop-in is bound, and one
 *           later, which only the plugin sees. So its functions are looked up when memory has run out:
 *           first where the drop-in itself was bound, then in what is global by now, then in the
 *           object that called and in what that needs. If the plugin jumped to operator new, that is
 *           the C program; so the usual libraries are asked last, if they are loaded.
 * Linked in a library that is a part of the plugin has no more than the plugin needs. It has an operator new
 *           of its own, which nobody calls, as ours comes first. That fails, too, and throws.
 * Context   ordinary threads: the loader's lock is taken.
 * Failure   NULL: there is none, or the caller's keeps its symbols to itself.
 * Tests     tests/preload/cxx.cc  tests/preload/cxx_host.c
 */
#include "malloc/malloc.h"
#include <dlfcn.h>

/* Bound when the drop-in is, in a program that has the library by then. */
extern void get_new_handler(void) __asm__("_ZSt15get_new_handlerv") __attribute__((weak));
extern void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));

static const struct {
	const char *name;
	void (*bound)(void);
} functions[] = {
	[STELE_CXX_GET_NEW_HANDLER] = { "_ZSt15get_new_handlerv", get_new_handler },
	[STELE_CXX_THROW_BAD_ALLOC] = { "_ZSt17__throw_bad_allocv", throw_bad_alloc },
	[STELE_CXX_NEW_NOTHROW] = { "_ZnwmRKSt9nothrow_t", NULL },
	[STELE_CXX_NEW_ALIGNED_NOTHROW] = { "_ZnwmSt11align_val_tRKSt9nothrow_t", NULL },
	[STELE_CXX_NEW] = { "_Znwm", NULL },
	[STELE_CXX_NEW_ALIGNED] = { "_ZnwmSt11align_val_t", NULL },
};

static bool is_this_library(void *function)
{
	Dl_info its, mine;

	return dladdr(function, &its) && dladdr((const void *)is_this_library, &mine) &&
	       its.dli_fbase == mine.dli_fbase;
}

/* In @file, if it is loaded, and in what it was linked with. */
static void *find_in(const char *file, const char *name)
{
	void *object = dlopen(file, RTLD_LAZY | RTLD_NOLOAD), *found;

	if (!object)
		return NULL;
	found = dlsym(object, name);
	dlclose(object); /* its user keeps it */
	return found;
}

/* In the object that holds @site. */
static void *find_by_caller(const char *name, const void *site)
{
	Dl_info info;

	return dladdr(site, &info) ? find_in(info.dli_fname, name) : NULL;
}

static void *find_by_library(const char *name)
{
	void *found = find_in("libstdc++.so.6", name);

	return found ? found : find_in("libc++.so.1", name);
}

stele_cxx_fn stele_cxx_find(enum stele_cxx which, const void *site)
{
	const char *name = functions[which].name;
	void *found;

	if (functions[which].bound)
		return functions[which].bound;
	found = dlsym(RTLD_NEXT, name);
	if (!found)
		found = find_by_caller(name, site);
	if (!found)
		found = find_by_library(name);
	return found && !is_this_library(found) ? (stele_cxx_fn)found : NULL;
}
