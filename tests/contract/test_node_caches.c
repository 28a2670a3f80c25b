/* SPDX-License-Identifier: MIT */
/*
 * Caches on several nodes: where freed objects go, and what making, shrinking and destroying a
 * cache does on each node. Each test is named by what its user would lose.
 */
#include "nodes.h"

#include "cache/caches.h"
#include "cache/sheaves.h"
#include "page/run.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "slab/parts.h"

#include <errno.h>
#include <limits.h>
#include <stele/cpu.h>
#include <stele/stats.h>

static const char *numbered(const char *name, unsigned n)
{
	static char buf[40];

	snprintf(buf, sizeof(buf), "%s-%u", name, n);
	return buf;
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

	return run_on_nodes(tests);
}
