/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/traffic.h - caches that come and go and objects that change hands, while a test
 *                       takes CPUs away
 *
 * Idea      Workers exchange objects of lasting caches through a table, so that the freeing thread
 *           is rarely the one that allocated. Makers create a cache, leave its objects to a worker
 *           to be freed, and destroy it. The test changes the machine beside all this.
 * Conserved an object's every byte says which one it is, from its allocation to its end, so one
 *           handed out twice is seen; every object is freed, and then a cache has no slab left. A
 *           cache that still has objects when it is destroyed says so on standard error, where
 *           the plan of a guest wants nothing ("quiet").
 * Control   traffic_leak: one object of a maker's cache is never freed.
 */
#ifndef STELE_TESTS_LAB_TRAFFIC_H
#define STELE_TESTS_LAB_TRAFFIC_H

#include "../stress/stress.h"

#define LASTING 3
#define TABLE 512
#define BATCH 150
#define WORKERS 4
#define MAKERS 2
#define CHANGES_LEAST 20 /* even if they take longer than the time asked for */

struct thing {
	uint64_t number;
	struct kmem_cache *cache; /* NULL: of kmalloc() */
	size_t size;
};

/* Objects of a maker's cache, for a worker to free. */
struct batch {
	struct kmem_cache *cache;
	void *objects[BATCH];
	atomic_bool freed;
};

static struct kmem_cache *lasting[LASTING];
static _Atomic(struct thing *) table[TABLE];
static _Atomic(struct batch *) offered[MAKERS];
static atomic_ulong numbers, made;
static atomic_bool traffic_leak;

/* ---- objects ---- */

static unsigned char byte_of(const struct thing *t, size_t i)
{
	return (unsigned char)(t->number * 31 + i);
}

static void fill_thing(struct thing *t, struct kmem_cache *cache, size_t size)
{
	*t = (struct thing){ atomic_fetch_add(&numbers, 1), cache, size };
	for (size_t i = sizeof(*t); i < size; i++)
		((unsigned char *)t)[i] = byte_of(t, i);
}

static struct thing *take_thing(uint64_t r)
{
	struct kmem_cache *cache = r % 4 < LASTING ? lasting[r % 4] : NULL;
	size_t size = cache ? kmem_cache_size(cache) : sizeof(struct thing) + r / 4 % 3000;
	struct thing *t = cache ? kmem_cache_alloc(cache, GFP_KERNEL) : kmalloc(size, GFP_KERNEL);

	MUST_FOR(t, size);
	fill_thing(t, cache, size);
	return t;
}

static void give_thing(struct thing *t)
{
	for (size_t i = sizeof(*t); i < t->size; i++)
		MUST_FOR(((unsigned char *)t)[i] == byte_of(t, i), i);
	if (t->cache)
		kmem_cache_free(t->cache, t);
	else
		kfree(t);
}

/* ---- workers ---- */

static void free_batch(struct batch *b, uint64_t r)
{
	if (r % 2)
		kmem_cache_free_bulk(b->cache, BATCH, b->objects);
	else
		for (unsigned i = 0; i < BATCH; i++)
			kmem_cache_free(b->cache, b->objects[i]);
	atomic_store(&b->freed, true);
}

static void *worker(void *number)
{
	uint64_t random = random_seed((uintptr_t)number);

	while (!stopped()) {
		uint64_t r = next_random(&random);
		_Atomic(struct thing *) *place = &table[r % TABLE];
		struct thing *t = atomic_exchange(place, NULL);
		struct batch *b = atomic_exchange(&offered[r % MAKERS], NULL);

		if (b)
			free_batch(b, r >> 20);
		if (t)
			give_thing(t);
		else if ((t = atomic_exchange(place, take_thing(r >> 12))))
			give_thing(t);
		step_done();
	}
	return NULL;
}

/* ---- makers ---- */

static void fill_batch(struct batch *b)
{
	for (unsigned i = 0; i < BATCH; i++) {
		b->objects[i] = kmem_cache_alloc(b->cache, GFP_KERNEL);
		MUST(b->objects[i]);
		fill_thing(b->objects[i], b->cache, kmem_cache_size(b->cache));
	}
}

/* Until a worker has freed it; when all is over nobody will, and the maker does it. */
static void offer(struct batch *b, _Atomic(struct batch *) *place)
{
	atomic_store(place, b);
	while (!atomic_load(&b->freed)) {
		if (stopped() && atomic_exchange(place, NULL))
			free_batch(b, 0);
		nap_ms(1);
	}
}

static void make_cache(uintptr_t number)
{
	size_t size = 40 + atomic_load(&made) * 24 % 1500;
	struct batch b = { .freed = false };
	char name[32];

	snprintf(name, sizeof(name), "maker-%lu", (unsigned long)number);
	b.cache = kmem_cache_create(name, size, 0, SLAB_NO_MERGE, NULL);
	MUST_FOR(b.cache, size);
	if (atomic_exchange(&traffic_leak, false))
		MUST(kmem_cache_alloc(b.cache, GFP_KERNEL));
	fill_batch(&b);
	offer(&b, &offered[number]);
	kmem_cache_destroy(b.cache);
	atomic_fetch_add(&made, 1);
}

static void *maker(void *number)
{
	while (!stopped())
		make_cache((uintptr_t)number - WORKERS);
	return NULL;
}

static void *member(void *number)
{
	return (uintptr_t)number < WORKERS ? worker(number) : maker(number);
}

/* ---- all of it ---- */

/* How often @change was called, beside all of it. */
static unsigned long changes;
static void (*change)(unsigned long);

static void change_once(void)
{
	change(changes++);
	if (changes % 8 == 0)
		kmem_cache_shrink(lasting[changes / 8 % LASTING]);
	if (changes % 32 == 0)
		stele_trim(0);
}

static void traffic_begin(void)
{
	static const char *const names[LASTING] = { "small", "middle", "large" };
	static const size_t sizes[LASTING] = { 48, 320, 2048 };

	for (unsigned i = 0; i < LASTING; i++) {
		lasting[i] = kmem_cache_create(names[i], sizes[i], 0, SLAB_NO_MERGE, NULL);
		MUST(lasting[i]);
	}
}

static void traffic_end(void)
{
	for (unsigned i = 0; i < TABLE; i++)
		if (table[i])
			give_thing(table[i]);
	for (unsigned i = 0; i < LASTING; i++) {
		MUST_FOR(kmem_cache_shrink(lasting[i]) == 0, i);
		kmem_cache_destroy(lasting[i]);
	}
}

/* The whole test but for what is particular; returns main()'s value. */
static int traffic(double seconds, void (*particular)(unsigned long))
{
	int left;

	change = particular;
	rounds_least = CHANGES_LEAST;
	traffic_begin();
	run_for(seconds, WORKERS + MAKERS, member, change_once);
	traffic_end();
	left = finish(1 << 20);
	printf("%lu changes, %lu caches made and destroyed\n", changes, made);
	MUST(made > 0);
	return left;
}

#endif
