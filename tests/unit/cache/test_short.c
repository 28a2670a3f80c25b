/* SPDX-License-Identifier: MIT */
/*
 * Tests of cache/short.c and slab/dead.c: in a small arena that objects of one size have filled,
 * objects and blocks of any other size find room as soon as the first are freed, in whatever order
 * that was, and without a trim.
 */
#include "slab/slabs.h"
#include "cache/chores.h"
#include "slab/kmem_cache.h"
#include <stele/page.h>

#include "../unit.h"

#define MIB (1ul << 20)
#define ARENA "16m"
#define LEAST (10 * MIB) /* of 16: classes waste some, and an area is the library's own */
#define MOST (16 * MIB / 32)

static const unsigned sizes[] = { 64, 96, 32, 128, 512, 64, 2048, 5000, 48, 9000, 80, 320, 32 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static struct kmem_cache *caches[SIZES];
static void *objects[MOST];

static unsigned fill(struct kmem_cache *s)
{
	unsigned n = 0;

	while (n < MOST && (objects[n] = kmem_cache_alloc(s, GFP_KERNEL)))
		n++;
	return n;
}

static void shuffle(unsigned n)
{
	static uint32_t seed = 1;

	for (; n > 1; n--) {
		unsigned other = unit_random(&seed) % n;
		void *p = objects[n - 1];

		objects[n - 1] = objects[other];
		objects[other] = p;
	}
}

static void empty(struct kmem_cache *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		kmem_cache_free(s, objects[i]);
}

static void one_size_after_the_other(bool shuffled)
{
	for (unsigned i = 0; i < SIZES; i++) {
		unsigned n = fill(caches[i]);

		if ((size_t)n * sizes[i] < LEAST)
			fail_msg("%u objects of %u bytes, after %u bytes", n, sizes[i],
				 i ? sizes[i - 1] : 0);
		if (shuffled)
			shuffle(n);
		empty(caches[i], n);
	}
}

static void memory_freed_by_one_size_serves_another(void **state)
{
	(void)state;
	one_size_after_the_other(false);
}

static void memory_freed_in_any_order_serves_another_size(void **state)
{
	(void)state;
	one_size_after_the_other(true);
}

/* Large blocks ask from the page floor. */
static void pages_find_room(void **state)
{
	static const size_t blocks[] = { 20000, 300000, 3 * MIB };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		unsigned n = fill(caches[i]);
		size_t bytes = 0;

		shuffle(n);
		empty(caches[i], n);
		for (n = 0; (objects[n] = alloc_pages_exact(blocks[i], GFP_KERNEL)); n++)
			bytes += blocks[i];
		assert_true(bytes >= LEAST / 4 * 3);
		while (n)
			free_pages_exact(objects[--n], blocks[i]);
	}
}

/* A slab that is in use lies above the dead ones, and stays what it was. */
static void a_sweep_spares_objects_in_use(void **state)
{
	struct kmem_cache *s = caches[0];
	unsigned n = fill(s), left = 0;

	(void)state;
	/* One object of every eighth slab stays. */
	for (unsigned i = 0; i < n; i++) {
		if (i % (s->objects * 8) == s->objects - 1)
			objects[left++] = objects[i];
		else
			kmem_cache_free(s, objects[i]);
	}
	kmem_cache_shrink(caches[1]);
	stele_dead_sweep(s);
	for (unsigned i = 0; i < left; i++)
		memset(objects[i], 1, sizes[0]);
	empty(s, left);
	stele_shrink_all(0);
	assert_false(stele_dead_waiting());
	for (unsigned i = 0; i < SIZES; i++)
		assert_int_equal(load_relaxed(&caches[i]->slabs), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_freed_by_one_size_serves_another),
		cmocka_unit_test(memory_freed_in_any_order_serves_another_size),
		cmocka_unit_test(pages_find_room),
		cmocka_unit_test(a_sweep_spares_objects_in_use),
	};
	char name[32] = "short-0";

	setenv("STELE_ARENA_SIZE", ARENA, 1);
	for (unsigned i = 0; i < SIZES; i++) {
		name[6] = (char)('a' + i);
		caches[i] = kmem_cache_create(name, sizes[i], 0, SLAB_NO_MERGE, NULL);
		if (!caches[i])
			return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
