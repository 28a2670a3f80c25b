/* SPDX-License-Identifier: MIT */
/*
 * Memory with several nodes: two that are pretended, and a third that gets its memory late (the
 * environment says so, see tests/meson.build). Each test is named by what its user would lose.
 * The tests see the place of addresses; whether pages follow is for a machine with real nodes.
 */
#include "contract.h"

#include "page/heap.h"
#include "percpu/system.h"
#include "cache/prepare.h"
#include "cache/barn.h"
#include "cache/sheaves.h"
#include "cache/walk.h"
#include "page/run.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include <stele/cpu.h>
#include <stele/page.h>
#include <stele/stats.h>
#include <stele/topology.h>

#define NODES 2
#define MANY 500

static int node_of(const void *p)
{
	return page_to_nid(virt_to_page(p));
}

static struct kmem_cache *cache(const char *name)
{
	struct kmem_cache *s = kmem_cache_create(name, 96, NULL, SLAB_NO_MERGE);

	assert_non_null(s);
	return s;
}

static const char *numbered(const char *name, unsigned n)
{
	static char buf[40];

	snprintf(buf, sizeof(buf), "%s-%u", name, n);
	return buf;
}

/* Runs on one CPU, so that the slot and its node stay the same; in the fallback they do anyway. */
static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int some_cpu(void)
{
	static cpu_set_t set;
	int cpu = 0;

	if (!CPU_COUNT(&set))
		sched_getaffinity(0, sizeof(set), &set);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

static int here(void)
{
	stay_on(some_cpu());
	return numa_mem_id();
}

/* A live object, and the pages that are used once it is gone. */
static uint64_t pages_used(void)
{
	stele_trim(0);
	return stele_page_stats().used;
}

/* ---- the node asked for ---- */

typedef void *(*alloc_fn)(struct kmem_cache *s, gfp_t gfp, int node);

static void *of_kmalloc(struct kmem_cache *s, gfp_t gfp, int node)
{
	(void)s;
	return kmalloc_node(200, gfp, node);
}

static void *of_pages(struct kmem_cache *s, gfp_t gfp, int node)
{
	(void)s;
	return kmalloc_node(50000, gfp, node);
}

static void *of_areas(struct kmem_cache *s, gfp_t gfp, int node)
{
	(void)s;
	return kmalloc_node(3 << 20, gfp, node);
}

static void *of_kvmalloc(struct kmem_cache *s, gfp_t gfp, int node)
{
	(void)s;
	return kvmalloc_node_align(3000, 64, gfp, node);
}

static void *of_nolock(struct kmem_cache *s, gfp_t gfp, int node)
{
	(void)s;
	return kmalloc_nolock(200, gfp & __GFP_ZERO, node);
}

static void *of_cache_nolock(struct kmem_cache *s, gfp_t gfp, int node)
{
	return kmem_cache_alloc_nolock(s, gfp & __GFP_ZERO, node);
}

static const struct {
	alloc_fn alloc;
	unsigned count;
	bool takes_thisnode;
} kinds[] = {
	{ kmem_cache_alloc_node, MANY, true },
	{ of_kmalloc, MANY, true },
	{ of_kvmalloc, MANY, true },
	{ of_pages, 20, true },
	{ of_areas, 4, true },
	{ of_nolock, MANY, false },
	{ of_cache_nolock, MANY, false },
};
#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void memory_is_of_the_node_asked_for(void **state)
{
	struct kmem_cache *s = cache("asked");
	void *p[MANY];

	(void)state;
	for (unsigned kind = 0; kind < NR_KINDS; kind++) {
		for (int round = 0; round < 2 * NODES; round++) {
			gfp_t only = round < NODES && kinds[kind].takes_thisnode ? __GFP_THISNODE
										 : 0;
			int node = round % NODES;

			for (unsigned i = 0; i < kinds[kind].count; i++) {
				p[i] = kinds[kind].alloc(s, GFP_KERNEL | only | __GFP_ZERO, node);
				assert_non_null(p[i]);
				assert_int_equal(node_of(p[i]), node);
				assert_true(all_zero(p[i], 0, 96));
				memset(p[i], 0x5a, 96);
			}
			for (unsigned i = 0; i < kinds[kind].count; i++)
				kfree(p[i]);
		}
	}
	kmem_cache_destroy(s);
}

/* Also when the slot's sheaves are full of what others freed there. */
static void a_sheaf_with_other_nodes_objects_deceives_nobody(void **state)
{
	struct kmem_cache *s = cache("mixed");
	int mine = here(), other = !mine;
	void *p[20], *room[20], *q;

	(void)state;
	for (int i = 0; i < 20; i++) {
		room[i] = kmem_cache_alloc(s, GFP_KERNEL);
		p[i] = kmem_cache_alloc_node(s, GFP_KERNEL, other);
		assert_int_equal(node_of(p[i]), other);
	}
	for (int i = 0; i < 20; i++)
		assert_true(stele_pcpu_push(s->words, p[i]));
	for (int i = 0; i < 20; i++) {
		q = i % 2 ? kmem_cache_alloc_node(s, GFP_KERNEL, mine)
			  : kmem_cache_alloc_nolock(s, 0, mine);
		assert_int_equal(node_of(q), mine);
		kmem_cache_free(s, q);
	}
	for (int i = 0; i < 20; i++)
		kmem_cache_free(s, room[i]);
	kmem_cache_destroy(s);
}

static void without_a_wish_memory_comes_from_near(void **state)
{
	struct kmem_cache *s = cache("near");
	int mine = here();
	void *p[MANY];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		p[i] = i % 2 ? kmem_cache_alloc(s, GFP_KERNEL)
			     : kmem_cache_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE);
		assert_int_equal(node_of(p[i]), mine);
	}
	for (int i = 0; i < MANY; i++)
		kmem_cache_free(s, p[i]);
	kmem_cache_destroy(s);
}

static void a_number_that_is_no_node_is_served_from_near(void **state)
{
	static const int numbers[] = { -1, -2, INT_MIN, 2, 3, 63, 64, 65, 1000, INT_MAX };
	struct kmem_cache *s = cache("odd");

	(void)state;
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		for (unsigned kind = 0; kind < NR_KINDS; kind++) {
			void *p = kinds[kind].alloc(s, GFP_KERNEL, numbers[i]);

			assert_non_null(p);
			kfree(p);
			if (numbers[i] < 0 || !kinds[kind].takes_thisnode)
				continue;
			p = kinds[kind].alloc(s, GFP_KERNEL | __GFP_THISNODE, numbers[i]);
			assert_null(p);
		}
	}
	kmem_cache_destroy(s);
}

static void *kvrealloc_for(void *p, size_t size, gfp_t gfp, int node)
{
	return kvrealloc_node_align(p, size, 1, gfp, node);
}

static void *krealloc_for(void *p, size_t size, gfp_t gfp, int node)
{
	return krealloc_node_align(p, size, 1, gfp, node);
}

/* From @had to @size bytes: it moves to the node it has to be on, and else stays. */
static void resized(void *(*resize)(void *, size_t, gfp_t, int), size_t had, size_t size)
{
	size_t kept = STELE_MIN(had, size);
	void *p = kmalloc_node(had, GFP_KERNEL, 0), *q;

	sign(p, had, 7);
	assert_null(resize(p, size, GFP_KERNEL | __GFP_THISNODE, 3));
	q = resize(p, size, GFP_KERNEL | __GFP_THISNODE, 1);
	assert_int_equal(node_of(q), 1);
	assert_true(signed_by(q, kept, 7));
	p = resize(q, kept, GFP_KERNEL, 0);
	assert_int_equal(node_of(p), 1);
	p = resize(p, kept, GFP_KERNEL | __GFP_THISNODE, NUMA_NO_NODE);
	assert_int_equal(node_of(p), 1);
	kvfree(p);
}

static void a_resized_object_is_on_the_right_node(void **state)
{
	static const size_t sizes[][2] = {
		{ 100, 90 },	 { 100, 100 },	       { 100, 3000 },	     { 50000, 40000 },
		{ 5000, 60000 }, { 3 << 20, 2900000 }, { 3 << 20, 4 << 20 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		resized(krealloc_for, opaque(sizes[i][0]), opaque(sizes[i][1]));
		resized(kvrealloc_for, opaque(sizes[i][0]), opaque(sizes[i][1]));
	}
}

/* ---- a node that is full ---- */

static struct page *take_all_pages(int node)
{
	struct page *taken = NULL, *page;

	while ((page = alloc_pages_node(node, GFP_KERNEL | __GFP_THISNODE, 0))) {
		assert_int_equal(page_to_nid(page), node);
		*(struct page **)page_address(page) = taken;
		taken = page;
	}
	return taken;
}

static void give_pages(struct page *taken)
{
	struct page *next;

	for (; taken; taken = next) {
		next = *(struct page **)page_address(taken);
		__free_page(taken);
	}
}

/* No more areas for @node than it has; what was before. */
static uint32_t closed(unsigned node)
{
	struct stele_zone *zone = &stele_heap.zones[node];
	uint32_t end = zone->end;

	zone->end = load_relaxed(&zone->high);
	return end;
}

static void a_full_node_is_helped_out_unless_the_caller_wants_no_other(void **state)
{
	struct kmem_cache *s = cache("full");

	(void)state;
	stele_trim(0);
	for (int node = 0; node < NODES; node++) {
		uint32_t end = closed((unsigned)node);
		struct page *taken = take_all_pages(node);
		void *p;

		assert_null(kmem_cache_alloc_node(s, GFP_KERNEL | __GFP_THISNODE, node));
		assert_null(kmalloc_node(60000, GFP_KERNEL | __GFP_THISNODE, node));
		p = kmem_cache_alloc_node(s, GFP_KERNEL, node);
		assert_int_equal(node_of(p), !node);
		kmem_cache_free(s, p);
		p = kmalloc_node(60000, GFP_KERNEL, node);
		assert_int_equal(node_of(p), !node);
		kfree(p);
		p = kmem_cache_alloc(s, GFP_KERNEL);
		assert_non_null(p);
		kmem_cache_free(s, p);
		give_pages(taken);
		stele_heap.zones[node].end = end;
		kmem_cache_shrink(s);
	}
	kmem_cache_destroy(s);
}

/* Small or large: nobody named is the node of this thread. */
static void without_a_node_this_thread_s_node_is_meant(void **state)
{
	static const size_t sizes[] = { 96, 4000, 60000, 3 << 20 };
	struct kmem_cache *s = cache("only-here");
	int mine = here();
	struct page *taken;
	void **rest[4];
	uint32_t end;

	(void)state;
	stele_trim(0);
	end = closed((unsigned)mine);
	taken = take_all_pages(mine);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void **p;

		/* All objects in slabs and sheaves are of this node. */
		rest[i] = NULL;
		while ((p = kmalloc(sizes[i], GFP_KERNEL | __GFP_THISNODE))) {
			assert_int_equal(node_of(p), mine);
			*p = rest[i];
			rest[i] = p;
		}
		assert_null(kmalloc_node(sizes[i], GFP_KERNEL | __GFP_THISNODE, NUMA_NO_NODE));
	}
	assert_null(kmem_cache_alloc(s, GFP_KERNEL | __GFP_THISNODE));
	assert_null(kmem_cache_alloc_node(s, GFP_KERNEL | __GFP_THISNODE, NUMA_NO_NODE));
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		give_list(rest[i]);
	give_pages(taken);
	stele_heap.zones[mine].end = end;
	kmem_cache_destroy(s);
}

/* Free objects are memory, wherever they rest. */
static void free_objects_in_another_nodes_barn_are_memory(void **state)
{
	struct kmem_cache *s = cache("resting");
	unsigned other = !here(), n = 0;
	void *p[MANY], *kept;
	uint64_t top = stele_sheaf_new(s);

	(void)state;
	kept = kmem_cache_alloc_node(s, GFP_KERNEL, (int)other);
	for (unsigned i = 0; i < 5; i++, top += 8)
		*(void **)(uintptr_t)top = kmem_cache_alloc_node(s, GFP_KERNEL, (int)other);
	barn_put(&cache_barn(s, other)->full, sheaf_of(top, s->sheaf_size), top, 10);
	memory_gone();
	while (n < MANY && (p[n] = n % 2 ? kmem_cache_alloc(s, GFP_KERNEL)
					 : kmem_cache_alloc_nolock(s, 0, NUMA_NO_NODE)))
		n++;
	memory_back();
	assert_true(n >= 5 && n < MANY);
	assert_int_equal(barn_get(&cache_barn(s, other)->full), 0);
	while (n)
		kmem_cache_free(s, p[--n]);
	kmem_cache_free(s, kept);
	kmem_cache_destroy(s);
}

/* ---- freeing ---- */

static void an_object_freed_on_another_node_goes_home(void **state)
{
	struct kmem_cache *s = cache("home");
	int other = !here();
	void *p[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		p[i] = kmem_cache_alloc_node(s, GFP_KERNEL, other);
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	kmem_cache_free(s, p[0]);
	kfree(p[1]);
	kfree_nolock(p[2]);
	kmem_cache_free_bulk(s, 2, p + 3);
	for (int i = 0; i < 5; i++)
		assert_true(object_is_free(stele_run_of(p[i]), p[i]));
	assert_false(object_is_free(stele_run_of(p[5]), p[5]));
	kmem_cache_free(s, p[5]);
	kmem_cache_destroy(s);
}

/* Its slab is on the list of its node, whichever thread freed it, and wherever. */
static void a_slab_is_found_again_by_its_own_node(void **state)
{
	struct kmem_cache *s = cache("listed");
	int other = !here();
	void *p[MANY] = { NULL }, *again;
	unsigned n;

	(void)state;
	for (n = 0; n < s->objects; n++)
		p[n] = kmem_cache_alloc_node(s, GFP_KERNEL, other);
	kmem_cache_free(s, p[0]);
	again = kmem_cache_alloc_node(s, GFP_KERNEL | __GFP_THISNODE, other);
	assert_ptr_equal(again, p[0]);
	for (unsigned i = 0; i < n; i++)
		kmem_cache_free(s, p[i]);
	kmem_cache_destroy(s);
}

static void a_barn_holds_objects_of_its_node(void **state)
{
	struct kmem_cache *s = cache("sorted");
	unsigned mine = (unsigned)here(), count = 0;
	uint64_t top = stele_sheaf_new(s), got;

	(void)state;
	for (unsigned i = 0; i < 10; i++, top += 8)
		*(void **)(uintptr_t)top =
			kmem_cache_alloc_node(s, GFP_KERNEL, (int)(i % 3 ? mine : !mine));
	stele_sheaf_put(s, top, EFFORT_USUAL);
	got = barn_get(&cache_barn(s, mine)->full);
	count = sheaf_count(got, s->sheaf_size);
	assert_int_equal(count, 6);
	while (count)
		assert_int_equal(
			node_of((void *)(uintptr_t)sheaf_of(got, s->sheaf_size)->entry[--count]),
			mine);
	stele_sheaf_put(s, got, EFFORT_USUAL);
	kmem_cache_destroy(s);
}

/* ---- shrinking, destroying ---- */

static void a_cache_leaves_nothing_on_any_node(void **state)
{
	static void *p[NODES][MANY];
	uint64_t before = pages_used();
	struct kmem_cache *s = cache("leaves");

	(void)state;
	for (int node = 0; node < NODES; node++)
		for (int i = 0; i < MANY; i++)
			p[node][i] = kmem_cache_alloc_node(s, GFP_KERNEL, node);
	for (int node = 0; node < NODES; node++)
		for (int i = 0; i < MANY; i++)
			kmem_cache_free(s, p[node][i]);
	assert_int_equal(kmem_cache_shrink(s), 0);
	assert_int_equal(load_relaxed(&s->slabs), 0);
	for (int node = 0; node < NODES; node++)
		p[node][0] = kmem_cache_alloc_node(s, GFP_KERNEL, node);
	assert_int_equal(kmem_cache_shrink(s), 1);
	for (int node = 0; node < NODES; node++)
		kmem_cache_free(s, p[node][0]);
	kmem_cache_destroy(s);
	assert_int_equal(pages_used(), before);
}

static void a_live_object_of_any_node_is_told_at_the_end(void **state)
{
	struct stderr_text t;

	(void)state;
	for (int node = 0; node < NODES; node++) {
		struct kmem_cache *s = cache("alive");
		void *p = kmem_cache_alloc_node(s, GFP_KERNEL, node);

		STDERR_OF(&t, kmem_cache_destroy(s));
		assert_says(&t, "BUG alive: Objects remaining on kmem_cache_destroy()");
		kmem_cache_free(s, p);
	}
}

static void the_sums_of_the_nodes_are_the_whole(void **state)
{
	struct kmem_cache *s = cache("counted");
	struct stele_stats all;
	struct stele_node_stats before, now, sum = { 0 };
	void *p = kmem_cache_alloc_node(s, GFP_KERNEL, 1), *large;

	(void)state;
	assert_int_equal(stele_node_stats_read(1, &before), 0);
	large = kmalloc_node(3 << 20, GFP_KERNEL, 1);
	assert_int_equal(stele_node_stats_read(1, &now), 0);
	assert_int_equal(now.large_bytes - before.large_bytes, 3 << 20);
	assert_true(now.slab_bytes > now.slab_free_bytes);
	for (int node = 0; node < NODES; node++) {
		assert_int_equal(stele_node_stats_read(node, &now), 0);
		sum.slab_bytes += now.slab_bytes;
		sum.large_bytes += now.large_bytes;
		sum.areas += now.areas;
	}
	stele_stats_read(&all);
	assert_int_equal(sum.slab_bytes, all.slab_bytes);
	assert_int_equal(sum.large_bytes, all.large_bytes);
	assert_int_equal(sum.areas, all.areas);
	assert_int_equal(stele_node_stats_read(2, &now), -EINVAL);
	assert_int_equal(stele_node_stats_read(-1, &now), -EINVAL);
	assert_int_equal(stele_node_stats_read(64, &now), -EINVAL);
	kfree(large);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

/* ---- making ---- */

/* The lists of a cache for its nodes are made with it, or it is not made. */
static void a_cache_that_cannot_have_its_nodes_is_not_made(void **state)
{
	struct stderr_text t;
	struct kmem_cache *s[200];
	unsigned failed = 0, n = 0;

	(void)state;
	for (int at = 1; n < 200; at = at % 3 + 1) {
		STDERR_OF(&t, {
			stele_inject_page_fail = at;
			s[n] = kmem_cache_create(numbered("partly", n), 96, NULL, SLAB_NO_MERGE);
			memory_back();
		});
		if (!s[n]) {
			assert_says(&t, "failed with error -12");
			s[n] = cache(numbered("partly", n));
			failed++;
		}
		assert_true(cache_has_node(s[n++], 1));
	}
	assert_true(failed > 3);
	while (n)
		kmem_cache_destroy(s[--n]);
}

static void lacks_node_2(struct kmem_cache *s, void *arg)
{
	*(unsigned *)arg += !cache_has_node(s, 2);
}

static unsigned caches_without(void)
{
	unsigned n = 0;

	stele_cache_each(lacks_node_2, &n);
	return n;
}

static void preparing_a_nonexistent_node_does_nothing(void **state)
{
	static const int numbers[] = { -2, -1, 3, 64, INT_MIN, INT_MAX };
	unsigned without = caches_without();

	(void)state;
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		assert_int_equal(stele_nodes_prepare(numbers[i]), 0);
	assert_int_equal(caches_without(), without);
	assert_null(kmalloc_node(100, GFP_KERNEL | __GFP_THISNODE, 2));
}

/* With memory for so many new slabs. */
static int prepare_with(unsigned slabs)
{
	int error;

	stele_inject_page_fail = (int)slabs + 1;
	error = stele_nodes_prepare(2);
	memory_back();
	if (error)
		assert_int_equal(error, -ENOMEM);
	return error;
}

/* No CPU comes before what its node needs is there. */
static int come_without_memory(unsigned slot)
{
	int error;

	memory_gone();
	error = stele_cpu_up(slot);
	memory_back();
	return error;
}

/* More than what earlier tests needed: the memory of that is kept for the next caches. */
#define WAITING 400u

/* Last: from here on there are three. Refused at each of its allocations in turn. */
static void a_new_node_is_prepared_in_the_end(void **state)
{
	struct kmem_cache *s[WAITING];
	unsigned without, left, refused = 0;
	void *p;

	(void)state;
	for (unsigned i = 0; i < WAITING; i++)
		s[i] = cache(numbered("waits", i));
	without = left = caches_without();
	assert_true(without >= WAITING);
	assert_int_equal(stele_cpu_down(1), 0);
	assert_int_equal(come_without_memory(1), -ENOMEM);
	while (prepare_with(refused % 2) != 0) {
		assert_true(caches_without() <= left);
		left = caches_without();
		/* Meanwhile everything works, with or without. */
		p = kmem_cache_alloc_node(s[refused % WAITING], GFP_KERNEL | __GFP_THISNODE, 2);
		assert_int_equal(node_of(p), 2);
		kmem_cache_free(s[refused % WAITING], p);
		assert_true(++refused < 100);
	}
	assert_true(refused > 2);
	for (int node = 0; node <= 2; node++)
		assert_int_equal(stele_nodes_prepare(node), 0);
	assert_int_equal(caches_without(), 0);
	for (unsigned i = 0; i < WAITING; i++) {
		p = kmem_cache_alloc_node(s[i], GFP_KERNEL | __GFP_THISNODE, 2);
		assert_int_equal(node_of(p), 2);
		kmem_cache_free(s[i], p);
		kmem_cache_destroy(s[i]);
	}
	assert_int_equal(stele_cpu_up(1), 0);
	s[0] = cache("after");
	assert_true(cache_has_node(s[0], 2));
	kmem_cache_destroy(s[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_of_the_node_asked_for),
		cmocka_unit_test(a_sheaf_with_other_nodes_objects_deceives_nobody),
		cmocka_unit_test(without_a_wish_memory_comes_from_near),
		cmocka_unit_test(a_number_that_is_no_node_is_served_from_near),
		cmocka_unit_test(a_resized_object_is_on_the_right_node),
		cmocka_unit_test(a_full_node_is_helped_out_unless_the_caller_wants_no_other),
		cmocka_unit_test(without_a_node_this_thread_s_node_is_meant),
		cmocka_unit_test(free_objects_in_another_nodes_barn_are_memory),
		cmocka_unit_test(an_object_freed_on_another_node_goes_home),
		cmocka_unit_test(a_slab_is_found_again_by_its_own_node),
		cmocka_unit_test(a_barn_holds_objects_of_its_node),
		cmocka_unit_test(a_cache_leaves_nothing_on_any_node),
		cmocka_unit_test(a_live_object_of_any_node_is_told_at_the_end),
		cmocka_unit_test(the_sums_of_the_nodes_are_the_whole),
		cmocka_unit_test(a_cache_that_cannot_have_its_nodes_is_not_made),
		cmocka_unit_test(preparing_a_nonexistent_node_does_nothing),
		cmocka_unit_test(a_new_node_is_prepared_in_the_end),
	};

	stele_heap_start();
	if (stele_nodes.count != 3 || load_relaxed(&stele_nodes.memory) != 3) {
		fputs("this test wants STELE_NODES=3 STELE_NODES_LATE=1\n", stderr);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
