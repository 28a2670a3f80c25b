/* SPDX-License-Identifier: MIT */
/* A bad free, by every kind of call: the report names the file and the place in the function that
 * made the call. */
#include "death.h"

#include <dlfcn.h>

/* Bytes from the start of a function to the call in it. */
#define NEAR 2000

/* Not a tail of the function: the call is to return here. */
#define STAY() __asm__ volatile("" ::: "memory")

static char *object;
static struct kmem_cache *cache;

#define CALLER(name, call)                                                                         \
	static __attribute__((noinline)) void name(void)                                           \
	{                                                                                          \
		call;                                                                              \
		STAY();                                                                            \
	}

CALLER(by_kfree, kfree(of_unknown_origin(object + 8)))
CALLER(by_kvfree, kvfree(of_unknown_origin(object + 8)))
CALLER(by_kfree_nolock, kfree_nolock(of_unknown_origin(object + 8)))
CALLER(by_kmem_cache_free, kmem_cache_free(cache, of_unknown_origin(object + 8)))
CALLER(by_null, kmem_cache_free(cache, of_unknown_origin(NULL)))
CALLER(by_null_in_bulk, kmem_cache_free_bulk(cache, 1, (void *[]){ of_unknown_origin(NULL) }))
CALLER(by_free_pages, free_pages((unsigned long)object, 0))
CALLER(by_krealloc, kfree(krealloc(of_unknown_origin(object), 4000, GFP_KERNEL)))

static uintptr_t base(void)
{
	Dl_info info;

	MUST(dladdr((void *)(uintptr_t)by_kfree, &info));
	return (uintptr_t)info.dli_fbase;
}

/* The last report came from @function of this file. */
static void must_name(void (*function)(void))
{
	const char *plus = strchr(death_text.caller, '+');
	uintptr_t at;

	MUST(death_text.callers == 1 && plus);
	MUST(strncmp(death_text.caller, "death_names_the_caller", 22) == 0);
	at = base() + strtoul(plus + 1, NULL, 16);
	MUST(at > (uintptr_t)function && at < (uintptr_t)function + NEAR);
}

static void expect(void (*function)(void), const char *message)
{
	said_begin();
	function();
	stderr_end(&death_text);
	if (!strstr(death_text.text, message))
		fprintf(stderr, "expected: %s\nsaid:     %s\n", message, death_text.text), exit(1);
	must_name(function);
}

int main(void)
{
	cache = kmem_cache_create("own", 64, 0, SLAB_NO_MERGE | SLAB_CONSISTENCY_CHECKS, NULL);
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	MUST(object && kmem_cache_alloc(cache, GFP_KERNEL)); /* the second keeps the slab */
	expect(by_kfree, "kfree(");
	expect(by_kvfree, "kvfree(");
	expect(by_kfree_nolock, "kfree_nolock(");
	expect(by_kmem_cache_free, "not the start of an object in cache 'own'; not freed");
	expect(by_null, "kmem_cache_free(0x0): NULL is no object; not freed");
	expect(by_null_in_bulk, "kmem_cache_free_bulk(0x0): NULL is no object; not freed");
	expect(by_free_pages, "free_pages(");
	kmem_cache_free(cache, object);
	expect(by_krealloc, "object was already free in cache 'own'; not resized");
	return 0;
}
