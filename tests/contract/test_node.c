/* SPDX-License-Identifier: MIT */
/*
 * Memory of the node that the caller asks for, and what serves when that node is full. Each test is
 * named by what its user would lose.
 */
#include "nodes.h"

#include "cache/sheaves.h"
#include "slab/parts.h"
#include "page/run.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"

#include <limits.h>
#include <stele/stats.h>

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

static struct page *take_all_pages(int node, gfp_t gfp)
{
	struct page *taken = NULL, *page;

	while ((page = alloc_pages_node(node, gfp | __GFP_THISNODE, 0))) {
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

/* No more areas for @node than it has. Returns the end that its stretch had. */
static uint32_t closed(unsigned node)
{
	struct stele_zone *zone = &stele_heap.zones[node];
	uint32_t end = zone->end;

	zone->end = load_relaxed(&zone->high);
	return end;
}

/* Objects that were freed rest in sheaves, so their slabs are the last memory of the node. */
static void a_call_that_names_a_full_node_takes_back_what_caches_keep(void **state)
{
	struct kmem_cache *keeps = cache("keeps"), *wants = cache("wants");
	int node = here();
	struct page *taken;
	void *p[MANY];
	uint32_t end;

	(void)state;
	stele_trim(0);
	for (int i = 0; i < MANY; i++)
		assert_non_null(p[i] = kmem_cache_alloc(keeps, GFP_KERNEL));
	for (int i = 0; i < MANY; i++)
		kmem_cache_free(keeps, p[i]);
	end = closed((unsigned)node);
	taken = take_all_pages(node, 0); /* which takes nothing back */
	p[0] = kmem_cache_alloc_node(wants, GFP_KERNEL | __GFP_THISNODE, node);
	assert_non_null(p[0]);
	assert_int_equal(node_of(p[0]), node);
	kmem_cache_free(wants, p[0]);
	give_pages(taken);
	stele_heap.zones[node].end = end;
	kmem_cache_destroy(keeps);
	kmem_cache_destroy(wants);
}

static void a_full_node_is_helped_out_unless_the_caller_wants_no_other(void **state)
{
	struct kmem_cache *s = cache("full");

	(void)state;
	stele_trim(0);
	for (int node = 0; node < NODES; node++) {
		uint32_t end = closed((unsigned)node);
		struct page *taken = take_all_pages(node, GFP_KERNEL);
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
	taken = take_all_pages(mine, GFP_KERNEL);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_of_the_node_asked_for),
		cmocka_unit_test(a_sheaf_with_other_nodes_objects_deceives_nobody),
		cmocka_unit_test(without_a_wish_memory_comes_from_near),
		cmocka_unit_test(a_number_that_is_no_node_is_served_from_near),
		cmocka_unit_test(a_resized_object_is_on_the_right_node),
		cmocka_unit_test(a_call_that_names_a_full_node_takes_back_what_caches_keep),
		cmocka_unit_test(a_full_node_is_helped_out_unless_the_caller_wants_no_other),
		cmocka_unit_test(without_a_node_this_thread_s_node_is_meant),
		cmocka_unit_test(free_objects_in_another_nodes_barn_are_memory),
	};

	return run_on_nodes(tests);
}
