/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/lock_destructor.c - a destructor creates, shrinks, trims and destroys
 * Idea      Destructors run when a slab is given back. Shrinking, trimming and destroying give
 *           slabs back, and hold locks meanwhile. After kfree_nolock() has emptied a slab, the next
 *           thread that allocates gives it back; that thread may be creating a cache or resizing a
 *           mempool. Each of these calls must come back when a destructor makes it, also for its
 *           own cache and for the one that is being destroyed.
 * Failure   a hang (the alarm), a report, or a destructor that never ran.
 */
#include "../../stress/stress.h"
#include <stele/mempool.h>

#define OBJECTS 2000

static struct kmem_cache *own, *other;
static mempool_t *resized; /* unless NULL, by a destructor, too */
static unsigned calls, inside;

static void create_and_destroy(void)
{
	struct kmem_cache *s = kmem_cache_create("made-inside", 200, 0, SLAB_NO_MERGE, NULL);

	MUST(s);
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	kmem_cache_destroy(s);
}

static void destroy_other(void)
{
	struct kmem_cache *s = other;

	other = NULL;
	kmem_cache_destroy(s);
}

static void destructor(void *p)
{
	(void)p;
	if (inside || calls++ % 100)
		return;
	inside = 1;
	create_and_destroy();
	kmem_cache_shrink(own);
	stele_trim(0);
	destroy_other();
	if (resized)
		MUST(mempool_resize(resized, 3000) == 0);
	inside = 0;
}

static void start(void)
{
	struct kmem_cache_args args = { .dtor = destructor };

	calls = 0;
	own = kmem_cache_create("own", 64, &args, SLAB_NO_MERGE);
	other = kmem_cache_create("other", 72, 0, SLAB_NO_MERGE, NULL);
	MUST(own && other);
	kmem_cache_free(other, kmem_cache_alloc(other, GFP_KERNEL));
}

static void fill_and_free(void)
{
	static void *p[OBJECTS];

	for (int i = 0; i < OBJECTS; i++)
		p[i] = kmem_cache_alloc(own, GFP_KERNEL);
	for (int i = 0; i < OBJECTS; i++)
		kmem_cache_free(own, p[i]);
}

/* A destructor may even destroy its own cache, from within a walk over all of them. */
static void destroy_own(void *p)
{
	struct kmem_cache *s = own;

	(void)p;
	calls++;
	own = NULL;
	kmem_cache_destroy(s);
}

static void trim_destroys_itself(void)
{
	struct kmem_cache_args args = { .dtor = destroy_own };

	calls = 0;
	own = kmem_cache_create("itself", 4096, &args, SLAB_NO_MERGE);
	MUST(own);
	kmem_cache_free(own, kmem_cache_alloc(own, GFP_KERNEL));
	stele_trim(0);
	MUST(calls > 0 && !own);
}

/* Slabs of `own` are empty, and left to the thread that comes next. */
static void leave_to_others(void)
{
	static void *p[OBJECTS];

	start();
	for (int i = 0; i < OBJECTS; i++)
		p[i] = kmem_cache_alloc(own, GFP_KERNEL);
	stele_deferred_barrier();
	calls = 0;
	for (int i = 0; i < OBJECTS; i++)
		kfree_nolock(p[i]);
	MUST(calls == 0);
}

static void create_finds_them(void)
{
	struct kmem_cache *s;

	leave_to_others();
	s = kmem_cache_create("meanwhile", 328, 0, SLAB_NO_MERGE, NULL);
	MUST(s && calls > 0);
	kmem_cache_destroy(s);
	kmem_cache_destroy(own);
}

static void resizing_finds_them(void)
{
	mempool_t *pool = mempool_create_kmalloc_pool(2, 64);

	MUST(pool);
	leave_to_others();
	resized = pool;
	MUST(mempool_resize(pool, 4000) == 0 && calls > 0);
	resized = NULL;
	mempool_destroy(pool);
	kmem_cache_destroy(own);
}

int main(void)
{
	alarm(60);
	start();
	fill_and_free();
	kmem_cache_shrink(own);
	MUST(calls > 0);
	kmem_cache_destroy(own);

	start();
	fill_and_free();
	stele_trim(0);
	MUST(calls > 0);
	kmem_cache_destroy(own);

	start();
	fill_and_free();
	kmem_cache_destroy(own);
	MUST(calls > 0);

	create_finds_them();
	resizing_finds_them();
	trim_destroys_itself();
	step_done();
	return finish(4u << 20);
}
