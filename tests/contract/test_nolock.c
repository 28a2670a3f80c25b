/* SPDX-License-Identifier: MIT */
/*
 * kmalloc_nolock() and its kin, and what they leave to others. Each test is named by what its
 * user would lose. Called in the middle of other calls: tests/contract/test_interrupted.c.
 */
#include "watched.h"

#include "base/options.h"
#include "page/areas.h"
#include "cache/chores.h"
#include "page/run.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <stele/page.h>

#define ANY NUMA_NO_NODE

/* ---- flags and sizes ---- */

static void strange_flags_are_told_once_and_not_taken_away(void **state)
{
	static struct kmem_cache *s;
	struct stderr_text t;
	void *p = NULL;
	struct page *page = NULL;

	(void)state;
	s = kmem_cache_create("strange", 64, NULL, SLAB_NO_MERGE);
	STDERR_OF(&t, p = kmalloc_nolock(64, __GFP_THISNODE | __GFP_ZERO, 0));
	assert_string_equal(t.text,
			    "stele: kmalloc_nolock: flags 0x200000 are not for this call\n");
	assert_non_null(p);
	kfree_nolock(p);
	/* Told once; the flag still counts: there is no such node to give. */
	STDERR_OF(&t, p = kmalloc_nolock(64, __GFP_THISNODE, 1000));
	assert_silent(&t);
	assert_null(p);
	STDERR_OF(&t, p = kmem_cache_alloc_nolock(s, GFP_ATOMIC, ANY));
	assert_string_equal(t.text,
			    "stele: kmem_cache_alloc_nolock: flags 0x820 are not for this call\n");
	kfree_nolock(p);
	STDERR_OF(&t, page = alloc_pages_nolock(GFP_KERNEL, ANY, 0));
	assert_string_equal(t.text,
			    "stele: alloc_pages_nolock: flags 0xcc0 are not for this call\n");
	assert_non_null(page);
	STDERR_OF(&t, free_pages_nolock(page, 0));
	assert_silent(&t);
	kmem_cache_destroy(s);
}

static void permitted_flags_are_silent(void **state)
{
	struct stderr_text t;
	void *p = NULL;
	struct page *page = NULL;

	(void)state;
	STDERR_OF(&t, {
		p = kmalloc_nolock(64, __GFP_ZERO | __GFP_ACCOUNT | __GFP_NOWARN | __GFP_NOMEMALLOC,
				   0);
		page = alloc_pages_nolock(__GFP_ACCOUNT, ANY, 0);
		kfree_nolock(p);
		free_pages_nolock(page, 0);
		free_pages_nolock(NULL, 0);
		kfree_nolock(NULL);
		kfree_nolock(kmalloc_nolock(0, 0, ANY));
	});
	assert_silent(&t);
	assert_ptr_equal(kmalloc_nolock(0, GFP_KERNEL, ANY), ZERO_SIZE_PTR);
	assert_null(kmalloc_nolock(opaque(KMALLOC_MAX_CACHE_SIZE + 1), 0, ANY));
	assert_null(alloc_pages_nolock(0, ANY, MAX_PAGE_ORDER + 1));
}

static void every_free_takes_every_object(void **state)
{
	struct kmem_cache *s = kmem_cache_create("crossing", 100, NULL, SLAB_NO_MERGE);
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, {
		for (int i = 0; i < MANY; i++) {
			kfree(kmalloc_nolock(100, 0, ANY));
			kfree_nolock(kmalloc(100, GFP_KERNEL));
			kfree_nolock(kmem_cache_alloc(s, 0));
			kfree(kmem_cache_alloc_nolock(s, 0, ANY));
			kmem_cache_free(s, kmem_cache_alloc_nolock(s, 0, ANY));
			__free_pages(alloc_pages_nolock(0, ANY, 0), 0);
			free_pages_nolock(alloc_pages(0, 0), 0);
		}
	});
	assert_silent(&t);
	destroy_empty(s);
}

static void a_bad_pointer_is_told_and_kept(void **state)
{
	static char foreign[64];
	struct kmem_cache *s =
		kmem_cache_create("careful", 64, NULL, SLAB_NO_MERGE | SLAB_CONSISTENCY_CHECKS);
	char *p = kmem_cache_alloc(s, 0), *q = kmem_cache_alloc(s, 0), *large = kmalloc(100000, 0);
	struct page *page = alloc_pages(0, 1);
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, kfree_nolock((char *)unseen(foreign)));
	assert_says(&t, "not a pointer of this allocator, or already free; not freed\n");
	STDERR_OF(&t, kfree_nolock((char *)unseen(p + 8)));
	assert_says(&t, "not the start of an object in cache 'careful'; not freed\n");
	kfree_nolock(p);
	STDERR_OF(&t, kfree_nolock(unseen(p)));
	assert_says(&t, "object was already free in cache 'careful'; not freed\n");
	STDERR_OF(&t, kfree_nolock(page_address(page)));
	assert_says(&t, "pages of alloc_pages(); not freed\n");
	STDERR_OF(&t, free_pages_nolock(page, 0));
	assert_says(&t, "stele: free_pages_nolock(");
	assert_says(&t, "allocated with another size; not freed\n");
	STDERR_OF(&t, free_pages_nolock(page, MAX_PAGE_ORDER + 1));
	assert_says(&t, "order too large; not freed\n");
	STDERR_OF(&t, {
		kfree_nolock(large);
		kfree_nolock(large);
	});
	assert_string_equal(t.text, "stele: large_kmalloc is not supported by kfree_nolock()\n");
	assert_true(ksize(large) >= 100000);
	kfree(large);
	free_pages_nolock(page, 1);
	STDERR_OF(&t, free_pages_nolock(page, 1));
	assert_says(&t, "not the start of pages that are allocated; not freed\n");
	kfree_nolock(q);
	kmem_cache_destroy(s);
}

static void errno_is_the_programs(void **state)
{
	void *p;

	(void)state;
	errno = ERANGE;
	p = kmalloc_nolock(300, __GFP_ZERO, ANY);
	kfree_nolock(p);
	free_pages_nolock(alloc_pages_nolock(0, ANY, 3), 3);
	memory_gone();
	assert_null(alloc_pages_nolock(0, ANY, 0));
	memory_back();
	stele_deferred_barrier();
	assert_int_equal(errno, ERANGE);
}

/* ---- pages ---- */

static void pages_are_aligned_and_zero(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++)
		for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++) {
			struct page *page = alloc_pages_nolock(0, ANY, order);
			size_t bytes = PAGE_SIZE << order;
			char *p = page_address(page);

			assert_non_null(page);
			assert_int_equal((uintptr_t)p % bytes, 0);
			assert_true(all_zero(p, 0, bytes));
			memset(p, 0xaa, bytes);
			free_pages_nolock(page, order);
		}
	stele_deferred_barrier();
}

static void freed_pages_are_purged_by_others(void **state)
{
	enum { BLOCKS = 64 };
	struct page *page[BLOCKS];
	size_t budget = stele_opt.dirty_min, time = stele_opt.dirty_time;

	(void)state;
	/* Nothing may stay: the rest depends on the clock and on earlier requests. */
	stele_opt.dirty_min = 0;
	stele_opt.dirty_time = 0;
	for (int i = 0; i < BLOCKS; i++) {
		page[i] = alloc_pages_nolock(0, ANY, 5);
		assert_non_null(page[i]);
		memset(page_address(page[i]), 1, PAGE_SIZE << 5);
	}
	stele_purge(0);
	for (int i = 0; i < BLOCKS; i++)
		free_pages_nolock(page[i], 5);
	/* All of it is still there, however small the budget. */
	assert_true(stele_dirty_free() * FRAME_SIZE >= (uint64_t)BLOCKS * (PAGE_SIZE << 5));
	assert_true(stele_purge_is_due());
	stele_deferred_barrier();
	assert_true(stele_dirty_free() * FRAME_SIZE < (uint64_t)BLOCKS * (PAGE_SIZE << 5) / 4);
	stele_opt.dirty_min = budget;
	stele_opt.dirty_time = time;
	assert_false(stele_purge_is_due());
}

/* ---- what is deferred ---- */

static void a_free_leaves_the_slab_and_the_bytes_alone(void **state)
{
	struct kmem_cache *s = watched("deferred");
	uint64_t slabs;

	(void)state;
	stele_deferred_barrier();
	fill(s);
	slabs = load_relaxed(&s->slabs);
	assert_true(slabs > 3);
	empty();
	assert_true(stele_chores_due());
	assert_int_equal(load_relaxed(&s->slabs), slabs);
	assert_int_equal(unmade, 0);
	for (int i = 0; i < MANY; i++) {
		assert_true(object_is_free(stele_run_of(objects[i]), objects[i]));
		assert_true(signed_by(objects[i], WATCHED_SIZE, (size_t)i));
	}
	stele_deferred_barrier();
	assert_false(stele_chores_due());
	assert_int_equal(load_relaxed(&s->slabs), 0);
	assert_int_equal(unmade, made);
	kmem_cache_destroy(s);
}

static void the_next_ordinary_call_does_it(void **state)
{
	struct kmem_cache *s = watched("ordinary"), *other = watched("other");

	(void)state;
	stele_deferred_barrier();
	fill(s);
	empty();
	assert_int_equal(unmade, 0);
	kmem_cache_free(other, kmem_cache_alloc(other, 0)); /* no sheaves: always the slow way */
	assert_int_equal(load_relaxed(&s->slabs), 0);
	assert_false(stele_chores_due());
	kmem_cache_destroy(s);
	kmem_cache_destroy(other);
}

static void an_idle_slab_serves_before_a_new_one(void **state)
{
	struct kmem_cache *s = watched("again");
	unsigned made_once;

	(void)state;
	fill(s);
	made_once = made;
	for (int i = 0; i < 50; i++) {
		empty();
		fill(s);
	}
	assert_int_equal(made, made_once);
	assert_int_equal(unmade, 0);
	stele_deferred_barrier(); /* every note is out of date */
	assert_int_equal(unmade, 0);
	for (int i = 0; i < MANY; i++)
		assert_true(signed_by(objects[i], WATCHED_SIZE, (size_t)i));
	empty();
	stele_deferred_barrier();
	assert_int_equal(unmade, made);
	kmem_cache_destroy(s);
}

static void a_note_about_a_former_slab_is_harmless(void **state)
{
	struct kmem_cache *s = watched("former"), *next;
	void *p;

	(void)state;
	fill(s);
	empty();
	fill(s);
	for (int i = 0; i < MANY; i++) /* ordinary: retired at once, the first of them drains */
		kmem_cache_free(s, objects[i]);
	kmem_cache_destroy(s);
	next = watched("latter");
	p = kmem_cache_alloc_nolock(next, 0, ANY);
	stele_deferred_barrier();
	assert_int_equal(unmade, 0);
	kfree_nolock(p);
	kmem_cache_destroy(next);
	assert_int_equal(unmade, made);
}

static void shrink_and_destroy_count_idle_slabs(void **state)
{
	struct kmem_cache *s = watched("idle");
	struct stderr_text t;

	(void)state;
	fill(s);
	empty();
	assert_int_equal(kmem_cache_shrink(s), 0);
	fill(s);
	empty();
	STDERR_OF(&t, kmem_cache_destroy(s));
	assert_silent(&t);
	assert_int_equal(unmade, made);
}

/* With sheaves and barns: whatever route each object takes, none is lost. */
static void nothing_is_lost_by_any_route(void **state)
{
	static void *held[4000];
	struct kmem_cache *s = kmem_cache_create("routes", 24, NULL, SLAB_NO_MERGE);
	uint32_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 400000; i++) {
		seed = seed * 1664525 + 1013904223;
		void **p = &held[(seed >> 8) % (i / 50000 % 2 ? 4000 : 300)];

		if (!*p)
			*p = seed >> 31 ? kmem_cache_alloc(s, 0)
					: kmem_cache_alloc_nolock(s, 0, ANY);
		else if (seed >> 30 & 1)
			*p = (kfree_nolock(*p), NULL);
		else
			*p = (kmem_cache_free(s, *p), NULL);
	}
	for (unsigned i = 0; i < 4000; i++)
		kfree_nolock(held[i] ? held[i] : NULL);
	stele_deferred_barrier();
	destroy_empty(s);
}

/* ---- no memory ---- */

static void null_means_that_both_buckets_are_empty(void **state)
{
	(void)state;
	for (size_t size = KMALLOC_MIN_SIZE; size <= KMALLOC_MAX_CACHE_SIZE;
	     size = kmalloc_size_roundup(size + 1)) {
		size_t next = size < KMALLOC_MAX_CACHE_SIZE ? kmalloc_size_roundup(size + 1) : 0;
		void *kept = next ? kmalloc(next, 0) : NULL,
		     *spare = next ? kmalloc(next, 0) : NULL;
		void **list, **larger, *p;

		kfree(spare);
		memory_gone();
		list = take_all_of_size(size);
		p = kmalloc_nolock(size, __GFP_ZERO, ANY);
		if (next) {
			assert_non_null(p);
			assert_int_equal(ksize(p), next);
			assert_true(all_zero(p, 0, size));
			larger = take_all_of_size(next);
			assert_null(kmalloc_nolock(size, 0, ANY));
			give_list(larger);
			kfree_nolock(p);
		} else {
			assert_null(p);
		}
		memory_back();
		give_list(list);
		kfree(kept);
	}
}

/* Every frame that the arena may have is in slabs that are idle: they are what is left. */
static void memory_in_idle_slabs_is_memory(void **state)
{
	struct kmem_cache *s = watched("holder");
	uint32_t end[STELE_NODES_MAX];
	struct page *taken = NULL, *page;
	void *p = NULL;

	(void)state;
	stele_trim(0);
	fill(s);
	for (unsigned node = 0; node < stele_nodes.count; node++) {
		end[node] = stele_heap.zones[node].end;
		stele_heap.zones[node].end = load_relaxed(&stele_heap.zones[node].high);
	}
	while ((page = alloc_pages_nolock(0, ANY, 0))) {
		*(struct page **)page_address(page) = taken;
		taken = page;
	}
	for (int i = 0; i < 2; i++) { /* the second time from slabs that became idle */
		void **list = take_all_of_size(96), **other = take_all_of_size(112);

		if (i)
			empty();
		/* It leaves them alone, also with a flag that it warns of. */
		assert_null(alloc_pages_nolock(GFP_KERNEL, ANY, 0));
		p = kmalloc_nolock(96, 0, ANY);
		if (i)
			assert_non_null(p);
		else
			assert_null(p);
		kfree_nolock(p);
		give_list(list);
		give_list(other);
	}
	for (; taken; taken = page) {
		page = *(struct page **)page_address(taken);
		free_pages_nolock(taken, 0);
	}
	for (unsigned node = 0; node < stele_nodes.count; node++)
		stele_heap.zones[node].end = end[node];
	kmem_cache_destroy(s);
}

/* ---- several ---- */

static void *call_barrier(void *arg)
{
	for (int i = 0; i < 200; i++) {
		void *p = kmem_cache_alloc_nolock(arg, 0, ANY);

		kfree_nolock(p);
		stele_deferred_barrier();
	}
	return NULL;
}

static void barriers_may_meet(void **state)
{
	struct kmem_cache *s =
		kmem_cache_create("meeting", 200, NULL, SLAB_NO_MERGE | SLAB_CONSISTENCY_CHECKS);
	pthread_t thread[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, call_barrier, s), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(load_relaxed(&s->slabs), 0);
	kmem_cache_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strange_flags_are_told_once_and_not_taken_away),
		cmocka_unit_test(permitted_flags_are_silent),
		cmocka_unit_test(every_free_takes_every_object),
		cmocka_unit_test(a_bad_pointer_is_told_and_kept),
		cmocka_unit_test(errno_is_the_programs),
		cmocka_unit_test(pages_are_aligned_and_zero),
		cmocka_unit_test(freed_pages_are_purged_by_others),
		cmocka_unit_test(a_free_leaves_the_slab_and_the_bytes_alone),
		cmocka_unit_test(the_next_ordinary_call_does_it),
		cmocka_unit_test(an_idle_slab_serves_before_a_new_one),
		cmocka_unit_test(a_note_about_a_former_slab_is_harmless),
		cmocka_unit_test(shrink_and_destroy_count_idle_slabs),
		cmocka_unit_test(nothing_is_lost_by_any_route),
		cmocka_unit_test(null_means_that_both_buckets_are_empty),
		cmocka_unit_test(memory_in_idle_slabs_is_memory),
		cmocka_unit_test(barriers_may_meet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
