/* SPDX-License-Identifier: MIT */
/*
 * tests/any_context/lock_destructor.c - a destructor creates, shrinks, trims and destroys
 *
 * Idea      Destructors run when a slab is given back: by shrinking, trimming and destroying, which
 *           hold locks. Whatever a destructor calls of that kind must come back, its own cache and
 *           the one that is being destroyed included.
 * Failure   a hang (the alarm), a report, or a destructor that never ran.
 */
#include "../stress/stress.h"

#define OBJECTS 2000

static struct kmem_cache *own, *other;
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

	trim_destroys_itself();
	step_done();
	return finish(4u << 20);
}
