/* SPDX-License-Identifier: MIT */
/*
 * Contract of <stele/rcu.h>: kfree_rcu() and its kin, one call at a time. The readers are the
 * test's own (tests/toy_flavor.h).
 *
 * The argument "broken" makes grace periods end at once: then the tests that hold a reader must
 * fail, and a run of that is expected to.
 */
#include "contract.h"
#include "toy_broken.h"
#include "rcu/rcu.h"
#include "slab/object.h"
#include <pthread.h>
#include <signal.h>
#include <stele/page.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct rcu_head {
	void *liburcus[2];
};

struct item {
	unsigned long before[3];
	struct rcu_head rcu;
	unsigned long after[3];
};

struct tail {
	unsigned char before[4088];
	struct kvfree_rcu_head rcu;
};

#include "items.h"

static void nap_a_while(void)
{
	toy_wait_if_broken();
	nap_ms(10);
}

static bool all_of(const void *p, size_t n, int value)
{
	for (size_t i = 0; i < n; i++)
		if (((const unsigned char *)p)[i] != (unsigned char)value)
			return false;
	return true;
}

/* All that was given away is in its slabs. */
static void barrier_and_flush(void)
{
	kvfree_rcu_barrier();
	stele_trim(0);
}

static bool is_free(const void *p)
{
	const struct run *run = stele_run_of(p);

	return !run || run->kind == RUN_NONE || (run->kind == RUN_SLAB && object_is_free(run, p));
}

static void null_and_size_zero_are_no_op(void **state)
{
	struct item *none = NULL, *zero = ZERO_SIZE_PTR;
	uint64_t before = stats_now().reports;

	(void)state;
	kfree_rcu(none, rcu);
	kvfree_rcu(none, rcu);
	kfree_rcu(zero, rcu);
	kfree_rcu_mightsleep(NULL);
	kvfree_rcu_mightsleep(ZERO_SIZE_PTR);
	assert_int_equal(stats_now().reports, before);
}

static void the_argument_is_evaluated_once(void **state)
{
	struct item *p[2] = { kmem_cache_alloc(cache, 0), kmem_cache_alloc(cache, 0) };
	int i = 0;

	(void)state;
	kfree_rcu(p[i++], rcu);
	assert_int_equal(i, 1);
	kfree_rcu(p[i++], rcu);
	barrier_and_flush();
	assert_true(is_free(p[0]) && is_free(p[1]));
}

static void every_size_is_freed_by_the_barrier(void **state)
{
	static const size_t sizes[] = { 8,    16,    24,    64,	    96,	     192,     1000,    4096,
					8192, 32768, 32769, 100000, 1 << 20, 4 << 20, 16 << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct kvfree_rcu_head *p[100];
		size_t n = sizes[i] > 100000 ? 2 : 100;

		for (size_t k = 0; k < n; k++) {
			p[k] = kvmalloc(sizes[i], GFP_KERNEL);
			assert_non_null(p[k]);
			stele_kfree_rcu(p[k], p[k]);
		}
		barrier_and_flush();
		for (size_t k = 0; k < n; k++)
			assert_true(is_free(p[k]));
	}
}

static void the_last_word_before_4096_serves(void **state)
{
	struct tail *p = kmalloc(sizeof(*p), GFP_KERNEL);

	(void)state;
	kfree_rcu(p, rcu);
	barrier_and_flush();
	assert_true(is_free(p));
}

static void objects_of_nolock_and_of_caches_are_taken(void **state)
{
	struct item *a = kmalloc_nolock(sizeof(*a), 0, NUMA_NO_NODE);
	struct kvfree_rcu_head *b = kmalloc_nolock(64, 0, NUMA_NO_NODE);
	struct item *c = kmem_cache_alloc(cache, 0);

	(void)state;
	kfree_rcu(a, rcu);
	stele_kfree_rcu_nolock(b, b);
	kfree_rcu(c, rcu);
	barrier_and_flush();
	assert_true(is_free(a) && is_free(b) && is_free(c));
}

static void mightsleep_needs_no_member(void **state)
{
	void *small = kmalloc(24, GFP_KERNEL), *large = kmalloc(100000, GFP_KERNEL);

	(void)state;
	kfree_rcu_mightsleep(small);
	kvfree_rcu_mightsleep(large);
	barrier_and_flush();
	assert_true(is_free(small) && is_free(large));
}

/* Contract 32: with a reader inside, nothing of what is given away comes back, whatever is
 * allocated. */
static void nothing_returns_while_a_reader_is_inside(void **state)
{
	enum { MANY = 2000 };
	struct item *held[MANY];
	unsigned char bytes[sizeof(struct item)];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		held[i] = kmem_cache_alloc(cache, 0);
		memset(held[i], 0x5a, sizeof(*held[i]));
	}
	memset(bytes, 0x5a, sizeof(bytes));
	toy_read_lock();
	for (int i = 0; i < MANY; i++)
		kfree_rcu(held[i], rcu);
	for (int round = 0; round < 50; round++) {
		struct item *p[200];

		for (int i = 0; i < 200; i++) {
			p[i] = kmem_cache_alloc(cache, 0);
			memset(p[i], 0xa5, sizeof(*p[i]));
		}
		for (int i = 0; i < 200; i++)
			kfree_rcu(p[i], rcu);
		if (round % 10 == 0)
			nap_a_while();
	}
	for (int i = 0; i < MANY; i++)
		assert_memory_equal(held[i], bytes, sizeof(*held[i]));
	toy_read_unlock();
	barrier_and_flush();
	for (int i = 0; i < MANY; i++)
		assert_true(is_free(held[i]));
	assert_int_equal(kmem_cache_shrink(cache), 0);
}

/* Without sheaves objects wait by their own word, and only that is written. */
static void without_sheaves_only_the_head_is_written(void **state)
{
	struct kmem_cache *plain = kmem_cache_create("plain", sizeof(struct item), NULL,
						     SLAB_CONSISTENCY_CHECKS | SLAB_NO_MERGE);
	struct item *p[300];

	(void)state;
	assert_non_null(plain);
	toy_read_lock();
	for (int i = 0; i < 300; i++) {
		p[i] = kmem_cache_alloc(plain, 0);
		memset(p[i], i, sizeof(*p[i]));
		kfree_rcu(p[i], rcu);
	}
	for (int i = 0; i < 300; i++) {
		assert_true(all_of(p[i]->before, sizeof(p[i]->before), i));
		assert_true(all_of(p[i]->after, sizeof(p[i]->after), i));
		assert_true(all_of(&p[i]->rcu.liburcus[1], sizeof(void *), i));
		assert_false(is_free(p[i]));
	}
	toy_read_unlock();
	kvfree_rcu_barrier_on_cache(plain);
	destroy_empty(plain);
}

static void without_memory_for_a_sheaf_the_object_waits_all_the_same(void **state)
{
	struct kmem_cache *fresh =
		kmem_cache_create("fresh", sizeof(struct item), NULL, SLAB_NO_MERGE);
	struct item *p = kmem_cache_alloc(fresh, 0);
	void *headless = kmem_cache_alloc(fresh, 0);

	(void)state;
	assert_true(p && headless);
	toy_read_lock();
	stele_inject_page_fail = -1;
	kfree_rcu(p, rcu);
	stele_inject_page_fail = 0;
	assert_false(is_free(p));
	toy_read_unlock();
	stele_inject_page_fail = -1;
	kfree_rcu_mightsleep(headless);
	stele_inject_page_fail = 0;
	barrier_and_flush();
	destroy_empty(fresh);
}

/* ---- what is reported, and how ---- */

static void bad_pointers_are_reported_by_name(void **state)
{
	struct item *p = kmalloc(sizeof(*p), GFP_KERNEL), *in = (struct item *)((char *)p + 8);
	struct item on_stack, *foreign = &on_stack;
	void *pages = (void *)__get_free_pages(GFP_KERNEL, 4);
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, kfree_rcu(foreign, rcu));
	assert_says(&t, "stele: kfree_rcu(0x");
	assert_says(&t, "): not a pointer of this allocator, or already free; not freed\n");
	STDERR_OF(&t, kfree_rcu(in, rcu));
	assert_says(&t, "): not the start of an object in cache 'kmalloc-");
	STDERR_OF(&t, kfree_rcu_mightsleep(pages));
	assert_says(&t, "stele: kfree_rcu_mightsleep(0x");
	assert_says(&t, "): pages of alloc_pages(); not freed\n");
	STDERR_OF(&t, stele_kfree_rcu_nolock(foreign, foreign));
	assert_says(&t, "stele: kfree_rcu_nolock(0x");
	free_pages((unsigned long)pages, 4);
	kfree(p);
}

static void an_object_given_twice_is_reported(void **state)
{
	struct item *p = kmem_cache_alloc(cache, 0);
	struct kvfree_rcu_head *large = kmalloc(200000, GFP_KERNEL), *between;
	struct stderr_text t;

	(void)state;
	toy_read_lock();
	kfree_rcu(p, rcu);
	STDERR_OF(&t, kfree_rcu(p, rcu));
	assert_says(&t, "): object was already given to kfree_rcu in cache 'items'; not freed\n");
	stele_kfree_rcu(large, large);
	between = kmalloc(100000, GFP_KERNEL);
	stele_kfree_rcu(between, between);
	STDERR_OF(&t, stele_kfree_rcu(large, large));
	assert_says(&t, "): object was already given to kfree_rcu; not freed\n");
	toy_read_unlock();
	barrier_and_flush();
	STDERR_OF(&t, kfree_rcu(p, rcu));
	assert_says(&t, "already free");
}

/* A large block that waits is nobody's to free or resize: else it is freed for its next owner. */
static void a_large_block_that_was_given_is_not_freed_by_hand(void **state)
{
	struct kvfree_rcu_head *p, *next, *other;
	struct stderr_text t;

	(void)state;
	for (size_t size = 100000; size <= 4 << 20; size *= 40) {
		p = kmalloc(size, GFP_KERNEL);
		toy_read_lock();
		stele_kfree_rcu(p, p);
		STDERR_OF(&t, kfree(p));
		assert_says(&t, "stele: kfree(");
		assert_says(&t, "): object was already given to kfree_rcu; not freed\n");
		STDERR_OF(&t, kvfree(p));
		assert_says(&t, "already given to kfree_rcu");
		STDERR_OF(&t, next = krealloc(p, size / 2, GFP_KERNEL));
		assert_says(&t, "already given to kfree_rcu; not resized");
		assert_null(next);
		next = kmalloc(size, GFP_KERNEL);
		assert_ptr_not_equal(next, p);
		toy_read_unlock();
		kvfree_rcu_barrier();
		other = kmalloc(size, GFP_KERNEL);
		assert_ptr_not_equal(other, next);
		kfree(next);
		STDERR_OF(&t, kfree(other));
		assert_silent(&t);
	}
	assert_int_equal(stats_now().rcu_bytes, 0);
}

static void given_twice_without_sheaves_is_reported_and_ends(void **state)
{
	struct kmem_cache *plain = kmem_cache_create("plain2", sizeof(struct item), NULL,
						     SLAB_CONSISTENCY_CHECKS | SLAB_NO_MERGE);
	struct item *p = NULL, *q = kmem_cache_alloc(plain, 0);
	struct item *keeps_the_slab = kmem_cache_alloc(plain, 0);
	struct stderr_text t = { .len = 0 };

	(void)state;
	toy_read_lock();
	/* The first time the runner may come in between and take what was given. Then it waits. */
	for (int i = 0; i < 2 && !t.len; i++) {
		p = kmem_cache_alloc(plain, 0);
		kfree_rcu(p, rcu);
		STDERR_OF(&t, kfree_rcu(p, rcu));
	}
	assert_says(&t, "): object was already given to kfree_rcu in cache 'plain2'; not freed\n");
	kfree_rcu(q, rcu);
	kfree_rcu(p, rcu); /* not seen: it is not the last one */
	stderr_begin(&t);
	toy_read_unlock();
	barrier_and_flush();
	stderr_end(&t);
	assert_says(&t, "was already free");
	kmem_cache_free(plain, keeps_the_slab);
	kmem_cache_destroy(plain);
}

/* ---- any context ---- */

static struct item *in_handler[3];

static void give_in_handler(int signal)
{
	(void)signal;
	for (int i = 0; i < 3; i++)
		stele_kfree_rcu_nolock(in_handler[i], &in_handler[i]->rcu);
}

static void a_handler_may_give(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		in_handler[i] = kmem_cache_alloc(cache, 0);
	signal(SIGUSR1, give_in_handler);
	raise(SIGUSR1);
	barrier_and_flush();
	for (int i = 0; i < 3; i++)
		assert_true(is_free(in_handler[i]));
}

/* ---- flavours ---- */

static _Atomic uint64_t other_periods;

static int other_ongoing(void)
{
	return 0;
}

static void other_synchronize(void)
{
	atomic_fetch_add(&other_periods, 1);
}

static const struct rcu_flavor_struct other_flavor = {
	.read_ongoing = other_ongoing,
	.update_synchronize_rcu = other_synchronize,
};

static void a_cache_may_have_readers_of_its_own(void **state)
{
	struct kmem_cache_args args = { .rcu_flavor = &other_flavor };
	struct kmem_cache *s = kmem_cache_create("others", sizeof(struct item), &args, 0);
	struct item *p = kmem_cache_alloc(s, 0), *q = kmem_cache_alloc(cache, 0);

	(void)state;
	assert_true(p && q);
	toy_read_lock(); /* holds up its own flavour only */
	kfree_rcu(q, rcu);
	kfree_rcu(p, rcu);
	kvfree_rcu_barrier_on_cache(s);
	assert_true(is_free(p));
	assert_false(is_free(q));
	assert_true(other_periods > 0);
	toy_read_unlock();
	kmem_cache_destroy(s);
	barrier_and_flush();
	assert_int_equal(stele_rcu_set_flavor(&other_flavor), -EBUSY);
	assert_int_equal(stele_rcu_set_flavor(NULL), -EINVAL);
	assert_int_equal(stele_rcu_set_flavor(&toy_flavor), 0);
}

static void waiting_bytes_are_counted(void **state)
{
	struct stele_stats before, during, after;
	struct item *p;

	(void)state;
	kvfree_rcu_barrier();
	before = stats_now();
	toy_read_lock();
	for (int i = 0; i < 1000; i++) {
		p = kmem_cache_alloc(cache, 0);
		kfree_rcu(p, rcu);
	}
	during = stats_now();
	toy_read_unlock();
	barrier_and_flush();
	after = stats_now();
	assert_int_equal(before.rcu_bytes, 0);
	assert_true(during.rcu_bytes >= (1000 - 123) * sizeof(*p));
	assert_true(during.rcu_bytes <= 1000 * sizeof(*p));
	assert_int_equal(after.rcu_bytes, 0);
	assert_true(after.rcu_bytes_most >= during.rcu_bytes);
	assert_true(after.rcu_rounds > before.rcu_rounds);
}

/* A cache that checks keeps the object that is damaged, and only that one. */
static void objects_behind_a_damaged_one_are_freed(void **state)
{
	struct kmem_cache *s = kmem_cache_create("damaged", sizeof(struct item), NULL,
						 SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE);
	uint64_t before = load_relaxed(&stele_graces[0].waiting);
	struct item *p[3];

	(void)state;
	assert_non_null(s);
	for (int i = 0; i < 3; i++)
		p[i] = kmem_cache_alloc(s, 0);
	((volatile char *)p[1])[sizeof(struct item)] ^= 0x55;
	for (int i = 0; i < 3; i++)
		kfree_rcu(p[i], rcu);
	barrier_and_flush();
	assert_true(is_free(p[0]) && !is_free(p[1]) && is_free(p[2]));
	assert_int_equal(load_relaxed(&s->in_rcu), 0);
	assert_int_equal(load_relaxed(&stele_graces[0].waiting), before);
	kmem_cache_free(s, p[1]); /* it was repaired */
	kmem_cache_destroy(s);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest held[] = {
		cmocka_unit_test(nothing_returns_while_a_reader_is_inside),
	};
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_and_size_zero_are_no_op),
		cmocka_unit_test(the_argument_is_evaluated_once),
		cmocka_unit_test(every_size_is_freed_by_the_barrier),
		cmocka_unit_test(the_last_word_before_4096_serves),
		cmocka_unit_test(objects_of_nolock_and_of_caches_are_taken),
		cmocka_unit_test(mightsleep_needs_no_member),
		cmocka_unit_test(nothing_returns_while_a_reader_is_inside),
		cmocka_unit_test(without_sheaves_only_the_head_is_written),
		cmocka_unit_test(without_memory_for_a_sheaf_the_object_waits_all_the_same),
		cmocka_unit_test(bad_pointers_are_reported_by_name),
		cmocka_unit_test(an_object_given_twice_is_reported),
		cmocka_unit_test(waiting_bytes_are_counted),
		cmocka_unit_test(a_large_block_that_was_given_is_not_freed_by_hand),
		cmocka_unit_test(given_twice_without_sheaves_is_reported_and_ends),
		cmocka_unit_test(objects_behind_a_damaged_one_are_freed),
		cmocka_unit_test(a_handler_may_give),
		cmocka_unit_test(a_cache_may_have_readers_of_its_own),
	};

	if (argc > 1 && !strcmp(argv[1], "broken")) {
		toy_broken = true;
		return cmocka_run_group_tests(held, begin, end);
	}
	return cmocka_run_group_tests(tests, begin, end);
}
