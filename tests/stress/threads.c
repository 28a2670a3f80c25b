/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/threads.c - a slot outlives the threads that used it
 *
 * Idea      Threads start, allocate from a cache and by kmalloc, hand half of it to threads
 *           after them, and end; also while one prefills and returns sheaves, and while the
 *           caches are shrunk. Objects that ended threads left must be found again: held
 *           memory stays within a bound, and at the end the cache is empty.
 * Argument  seconds to run.
 */
#include "stress.h"

#define STARTERS 4
#define OBJECTS 60
#define TABLE 512
#define BOUND (48ul << 20)

struct object {
	uint64_t token;
	bool typed;
	char rest[180];
};

static _Atomic(struct object *) table[TABLE];
static struct kmem_cache *cache;

static struct object *make_object(uint64_t r)
{
	struct object *o = r % 2 ? kmem_cache_alloc(cache, GFP_KERNEL)
				 : kmalloc(sizeof(*o) + r % 1000, GFP_KERNEL);

	MUST(o);
	o->typed = r % 2;
	o->token = (uintptr_t)o ^ 0x5173;
	return o;
}

static void drop_object(struct object *o)
{
	if (!o)
		return;
	MUST(o->token == ((uintptr_t)o ^ 0x5173));
	o->token = 0;
	if (o->typed)
		kmem_cache_free(cache, o);
	else
		kfree(o);
}

static void by_sheaf(void)
{
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(cache, GFP_KERNEL, 8);

	MUST(sheaf);
	for (int i = 0; i < 4; i++) {
		struct object *o = kmem_cache_alloc_from_sheaf(cache, GFP_KERNEL, sheaf);

		MUST(o);
		o->typed = true;
		o->token = (uintptr_t)o ^ 0x5173;
		drop_object(o);
	}
	kmem_cache_return_sheaf(cache, GFP_KERNEL, sheaf);
}

static void *short_life(void *seed)
{
	uint64_t random = random_seed((uintptr_t)seed);
	struct object *mine[OBJECTS];

	for (int i = 0; i < OBJECTS; i++)
		mine[i] = make_object(next_random(&random));
	if (random % 4 == 0)
		by_sheaf();
	for (int i = 0; i < OBJECTS; i++) {
		if (i % 2)
			drop_object(mine[i]);
		else
			drop_object(atomic_exchange(&table[next_random(&random) % TABLE], mine[i]));
	}
	step_done();
	return NULL;
}

static void *start_short_lives(void *number)
{
	uintptr_t seed = (uintptr_t)number << 40;

	while (!stopped()) {
		pthread_t thread[8];

		for (int i = 0; i < 8; i++)
			MUST(pthread_create(&thread[i], NULL, short_life, (void *)seed++) == 0);
		for (int i = 0; i < 8; i++)
			pthread_join(thread[i], NULL);
	}
	return NULL;
}

static void shrink_and_watch(void)
{
	kmem_cache_shrink(cache);
	MUST_FOR(bytes_held() <= BOUND, bytes_held());
}

int main(int argc, char **argv)
{
	cache = kmem_cache_create("threads", sizeof(struct object), NULL, SLAB_NO_MERGE);
	MUST(cache);
	run_for(seconds_asked(argc, argv), STARTERS, start_short_lives, shrink_and_watch);
	for (int i = 0; i < TABLE; i++)
		drop_object(table[i]);
	MUST(kmem_cache_shrink(cache) == 0);
	kmem_cache_destroy(cache);
	return finish(1 << 20);
}
