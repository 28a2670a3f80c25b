/* SPDX-License-Identifier: MIT */
/*
 * tests/limits/workload.h - every kind of allocation, under any limits
 *
 * Idea      Any request may be refused: NULL is an answer. Memory that was given must be whole
 *           and keep its contents until it is freed, and at the end nothing may be left.
 * Objects   a thing: memory, how it was had, and a number of which every byte checked depends.
 * Threads   a workload has its own things and caches; several may run at once.
 */
#ifndef STELE_TESTS_LIMITS_WORKLOAD_H
#define STELE_TESTS_LIMITS_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stele/page.h>
#include <stele/slab.h>
#include <stele/stats.h>

enum thing_kind {
	THING_NONE,
	THING_CACHE,
	THING_MADE, /* of a cache with constructor and destructor */
	THING_KMALLOC,
	THING_NOLOCK,
	THING_KVMALLOC,
	THING_PAGES,
	THING_EXACT,
	THING_BULK,  /* an array of objects */
	THING_SHEAF, /* a sheaf of objects */
	THING_KINDS
};

#define BULK 16u
#define CACHE_SIZE 200u
#define MADE_SIZE 72u
#define THINGS 48u

struct thing {
	enum thing_kind kind;
	unsigned number;
	void *p;
	size_t size;
	unsigned order;
	void *bulk[BULK];
};

struct workload {
	uint32_t seed;
	unsigned steps;
	struct kmem_cache *cache, *made;
	struct thing things[THINGS];
	unsigned numbers;
	unsigned given, refused; /* requests */
	unsigned wrong;		 /* must be 0 */
};

static inline uint32_t workload_random(struct workload *w)
{
	w->seed = w->seed * 1664525 + 1013904223;
	return w->seed >> 8;
}

static inline void workload_wrong(struct workload *w, const char *what, const struct thing *t)
{
	if (w->wrong++ < 10)
		fprintf(stderr, "wrong: %s: kind %d, %p, %zu bytes\n", what, (int)t->kind, t->p,
			t->size);
}

/* ---- contents ---- */

static inline unsigned char content(unsigned number, size_t i)
{
	return (unsigned char)(number * 131 + i * 7 + (i >> 8) + 1);
}

/* Of large memory every 509th byte is enough; of small memory all, and always the last. */
static inline size_t stride(size_t n)
{
	return n > 4096 ? 509 : 1;
}

static inline void write_content(void *p, size_t n, unsigned number)
{
	for (size_t i = 0; i < n; i += stride(n))
		((unsigned char *)p)[i] = content(number, i);
	if (n)
		((unsigned char *)p)[n - 1] = content(number, n - 1);
}

/* The last byte is known only while the size has not changed. */
static inline bool has_content(const void *p, size_t n, unsigned number, bool with_last)
{
	for (size_t i = 0; i < n; i += stride(n))
		if (((const unsigned char *)p)[i] != content(number, i))
			return with_last ? false : i == n - 1;
	return !with_last || !n || ((const unsigned char *)p)[n - 1] == content(number, n - 1);
}

static inline bool is_zero(const void *p, size_t n)
{
	for (size_t i = 0; i < n; i += stride(n))
		if (((const unsigned char *)p)[i])
			return false;
	return !n || !((const unsigned char *)p)[n - 1];
}

/* ---- the cache with a constructor ---- */

#define MADE_MARK 0x6d616465ull

static inline void thing_make(void *p)
{
	*(uint64_t *)p = MADE_MARK;
}

/* ---- getting ---- */

static inline size_t random_size(struct workload *w)
{
	uint32_t dice = workload_random(w) % 16;
	size_t n = workload_random(w);

	return dice < 9 ? n % 1024 : dice < 14 ? n % 9000 : n % 400000;
}

static inline bool get_bulk(struct workload *w, struct thing *t)
{
	if (!kmem_cache_alloc_bulk(w->cache, GFP_KERNEL, BULK, t->bulk))
		return false;
	t->p = t->bulk;
	t->size = 0;
	for (unsigned i = 0; i < BULK; i++)
		write_content(t->bulk[i], CACHE_SIZE, t->number + i);
	w->numbers += BULK;
	return true;
}

/* Half of a sheaf's objects are taken out, the others go back with it. */
static inline bool get_sheaf(struct workload *w, struct thing *t)
{
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(w->cache, GFP_KERNEL, BULK * 2);

	if (!sheaf)
		return false;
	for (unsigned i = 0; i < BULK; i++) {
		t->bulk[i] = kmem_cache_alloc_from_sheaf(w->cache, GFP_KERNEL, sheaf);
		if (!t->bulk[i])
			workload_wrong(w, "a filled sheaf was empty", t);
		else
			write_content(t->bulk[i], CACHE_SIZE, t->number + i);
	}
	kmem_cache_return_sheaf(w->cache, GFP_KERNEL, sheaf);
	t->p = t->bulk;
	w->numbers += BULK;
	return true;
}

static inline void *get_memory(struct workload *w, struct thing *t, gfp_t gfp)
{
	t->order = workload_random(w) % 4;
	switch (t->kind) {
	case THING_CACHE:
		t->size = CACHE_SIZE;
		return w->cache ? kmem_cache_alloc(w->cache, gfp) : NULL;
	case THING_MADE:
		t->size = MADE_SIZE;
		return w->made ? kmem_cache_alloc(w->made, gfp & ~__GFP_ZERO) : NULL;
	case THING_KMALLOC:
		t->size = 1 + random_size(w);
		return kmalloc(t->size, gfp);
	case THING_NOLOCK:
		t->size = 1 + random_size(w) % KMALLOC_MAX_CACHE_SIZE;
		return kmalloc_nolock(t->size, gfp & __GFP_ZERO, NUMA_NO_NODE);
	case THING_KVMALLOC:
		t->size = 1 + random_size(w) * 8;
		return kvmalloc(t->size, gfp);
	case THING_PAGES:
		t->size = PAGE_SIZE << t->order;
		return (void *)__get_free_pages(gfp, t->order);
	default:
		t->size = 1 + random_size(w);
		return alloc_pages_exact(t->size, gfp);
	}
}

static inline bool get_one(struct workload *w, struct thing *t)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | (workload_random(w) % 3 ? 0 : __GFP_ZERO);

	t->p = get_memory(w, t, gfp);
	if (!t->p)
		return false;
	if (t->kind == THING_MADE) {
		if (*(uint64_t *)t->p != MADE_MARK)
			workload_wrong(w, "was not constructed", t);
		write_content((char *)t->p + 8, MADE_SIZE - 8, t->number);
		return true;
	}
	if (gfp & __GFP_ZERO && !is_zero(t->p, t->size))
		workload_wrong(w, "is not zero", t);
	write_content(t->p, t->size, t->number);
	return true;
}

static inline void get_thing(struct workload *w, struct thing *t)
{
	bool many;

	t->kind = THING_CACHE + workload_random(w) % (THING_KINDS - THING_CACHE);
	t->number = w->numbers++;
	many = t->kind == THING_BULK || t->kind == THING_SHEAF;
	if (many && !w->cache)
		t->kind = THING_NONE;
	else if (t->kind == THING_BULK	  ? get_bulk(w, t)
		 : t->kind == THING_SHEAF ? get_sheaf(w, t)
					  : get_one(w, t))
		w->given++;
	else
		w->refused++, t->kind = THING_NONE;
}

/* ---- changing its size ---- */

static inline void resize_thing(struct workload *w, struct thing *t)
{
	size_t n = 1 + random_size(w) * (t->kind == THING_KVMALLOC ? 8 : 1), kept;
	void *p = t->kind == THING_KVMALLOC ? kvrealloc(t->p, n, GFP_KERNEL | __GFP_NOWARN)
					    : krealloc(t->p, n, GFP_KERNEL | __GFP_NOWARN);

	if (!p) { /* refused: the old one is as it was */
		w->refused++;
		if (!has_content(t->p, t->size, t->number, true))
			workload_wrong(w, "a refused realloc changed it", t);
		return;
	}
	w->given++;
	kept = n < t->size ? n : t->size;
	t->p = p;
	/* The bytes that were written depend on the size then; within one kind of stride all
	 * agree. */
	if (stride(n) == stride(t->size) && !has_content(p, kept, t->number, kept == t->size))
		workload_wrong(w, "realloc lost its contents", t);
	t->size = n;
	write_content(p, n, t->number);
}

/* ---- giving back ---- */

static inline void put_many(struct workload *w, struct thing *t)
{
	for (unsigned i = 0; i < BULK; i++)
		if (!has_content(t->bulk[i], CACHE_SIZE, t->number + i, true))
			workload_wrong(w, "one of many changed", t);
	kmem_cache_free_bulk(w->cache, BULK, t->bulk);
}

static inline void put_one(struct workload *w, struct thing *t)
{
	switch (t->kind) {
	case THING_CACHE:
		kmem_cache_free(w->cache, t->p);
		break;
	case THING_MADE:
		kmem_cache_free(w->made, t->p);
		break;
	case THING_KMALLOC:
		kfree(t->p);
		break;
	case THING_NOLOCK:
		kfree_nolock(t->p);
		break;
	case THING_KVMALLOC:
		kvfree(t->p);
		break;
	case THING_PAGES:
		free_pages((unsigned long)t->p, t->order);
		break;
	default:
		free_pages_exact(t->p, t->size);
	}
}

static inline void put_thing(struct workload *w, struct thing *t)
{
	size_t from = t->kind == THING_MADE ? 8 : 0;

	if (t->kind == THING_BULK || t->kind == THING_SHEAF) {
		put_many(w, t);
	} else {
		if (!has_content((char *)t->p + from, t->size - from, t->number, true))
			workload_wrong(w, "the contents changed", t);
		if (from && *(uint64_t *)t->p != MADE_MARK)
			workload_wrong(w, "its mark changed", t);
		put_one(w, t);
	}
	t->kind = THING_NONE;
}

/* ---- all of it ---- */

static inline void workload_step(struct workload *w)
{
	struct thing *t = &w->things[workload_random(w) % THINGS];

	if (t->kind == THING_NONE)
		get_thing(w, t);
	else if ((t->kind == THING_KMALLOC || t->kind == THING_KVMALLOC) && workload_random(w) % 2)
		resize_thing(w, t);
	else
		put_thing(w, t);
}

/* Runs @w->steps steps from @w->seed. The counts are in @w. */
static inline void workload_run(struct workload *w)
{
	struct kmem_cache_args args = { .ctor = thing_make };
	char plain[32], made[32];

	snprintf(plain, sizeof(plain), "plain-%u", w->seed);
	snprintf(made, sizeof(made), "made-%u", w->seed);
	w->cache = kmem_cache_create(plain, CACHE_SIZE, 0, SLAB_NO_MERGE, NULL);
	w->made = kmem_cache_create(made, MADE_SIZE, &args, 0);
	w->refused += !w->cache + !w->made;
	for (unsigned i = 0; i < w->steps; i++) {
		workload_step(w);
		if (i % 512 == 511 && w->cache)
			kmem_cache_shrink(w->cache);
	}
	for (unsigned i = 0; i < THINGS; i++)
		if (w->things[i].kind != THING_NONE)
			put_thing(w, &w->things[i]);
	kmem_cache_destroy(w->cache);
	kmem_cache_destroy(w->made);
}

/* Bytes of slabs and large memory that are held after all was freed and trimmed. The end must show
 * as much as the start; with several nodes that is what the library's own caches have for each
 * node. */
static inline uint64_t held_after_trim(void)
{
	struct stele_stats stats;

	stele_trim(0);
	stele_stats_read(&stats);
	return stats.slab_bytes + stats.large_bytes;
}

#endif
