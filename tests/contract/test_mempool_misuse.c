/* SPDX-License-Identifier: MIT */
/*
 * Reserves: each mistake is reported, and nothing is lost; and the option mempool_debug. Each
 * test is named by its user's loss.
 */
#include "pools.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>

static void a_wrong_size_is_told(void **state)
{
	mempool_t *pool = pool_of(2), other = { 0 };
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, assert_int_equal(mempool_resize(pool, 0), -EINVAL));
	assert_says(&t, "0 elements: not from 1 to 2097087");
	STDERR_OF(&t, assert_int_equal(mempool_resize(pool, -7), -EINVAL));
	assert_says(&t, "stele: mempool_resize(");
	STDERR_OF(&t, assert_int_equal(mempool_init(&other, -1, source_alloc, source_free, &source),
				       -EINVAL));
	assert_says(&t, "-1 elements: not from 0 to");
	STDERR_OF(&t,
		  assert_int_equal(mempool_init(&other, 1, NULL, source_free, &source), -EINVAL));
	assert_says(&t, "no callback to allocate");
	STDERR_OF(&t,
		  assert_int_equal(mempool_init(&other, 1, source_alloc, NULL, &source), -EINVAL));
	assert_says(&t, "no callback to free");
	assert_int_equal(pool->min_nr, 2);
	done_with(pool);
}

static void write_ones(void *p)
{
	memset(p, 1, 8);
}

/* Makes every call with @pool, which is not a pool. Each message begins with the call's name. */
static void assert_no_pool(mempool_t *pool, const char *what)
{
	void *object = kmalloc(64, GFP_KERNEL), *p = NULL;
	struct stderr_text t;
	char said[128];
	int error = 0;

#define ASSERT_SAYS(name, statement)                                                               \
	do {                                                                                       \
		STDERR_OF(&t, statement);                                                          \
		snprintf(said, sizeof(said), "stele: " name ": %s\n", what);                       \
		assert_string_equal(t.text, said);                                                 \
		assert_int_equal(t.callers, 1);                                                    \
		assert_non_null(strstr(t.caller, "mempool_misuse"));                               \
	} while (0)
	ASSERT_SAYS("mempool_alloc", p = mempool_alloc(pool, GFP_KERNEL));
	assert_null(p);
	ASSERT_SAYS("mempool_alloc", p = mempool_alloc_timeout(pool, GFP_KERNEL, NULL));
	assert_null(p);
	ASSERT_SAYS("mempool_alloc_preallocated", p = mempool_alloc_preallocated(pool));
	assert_null(p);
	ASSERT_SAYS("mempool_alloc_noreserve", p = mempool_alloc_noreserve(pool, GFP_KERNEL));
	assert_null(p);
	ASSERT_SAYS("mempool_alloc_bulk", error = mempool_alloc_bulk(pool, &p, 1));
	assert_int_equal(error, -EINVAL);
	ASSERT_SAYS("mempool_free", mempool_free(object, pool));
	ASSERT_SAYS("mempool_free_bulk", error = (int)mempool_free_bulk(pool, &object, 1));
	assert_int_equal(error, 0);
	ASSERT_SAYS("mempool_resize", error = mempool_resize(pool, 4));
	assert_int_equal(error, -EINVAL);
	ASSERT_SAYS("stele_mempool_cancellable", stele_mempool_cancellable(pool, true));
#undef ASSERT_SAYS
	assert_false(mempool_initialized(pool));
	assert_int_equal(stele_mempool_curr_nr(pool), 0);
	mempool_free(NULL, pool);
	mempool_exit(pool);
	kfree(object); /* nobody else has */
}

static void a_pointer_to_no_pool_is_reported_and_nothing_is_lost(void **state)
{
	mempool_t pool = { 0 };
	struct stderr_text t;
	char what[80];
	int error;

	(void)state;
	assert_no_pool(NULL, "0x0 is not a pool");
	STDERR_OF(&t, error = mempool_init_kmalloc_pool(NULL, 1, 64));
	assert_int_equal(error, -EINVAL);
	assert_string_equal(t.text, "stele: mempool_init: 0x0 is not a pool\n");
	snprintf(what, sizeof(what), "%p is not a pool, or not any more", (void *)&pool);
	assert_no_pool(&pool, what);
	assert_int_equal(mempool_init_kmalloc_pool(&pool, 1, 64), 0);
	mempool_exit(&pool);
	assert_no_pool(&pool, what);
}

static void a_cache_with_a_constructor_is_refused(void **state)
{
	struct kmem_cache *s = kmem_cache_create("constructed", 64, 0, 0, write_ones);
	mempool_t pool = { 0 };
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, assert_int_equal(mempool_init_slab_pool(&pool, 1, s), -EINVAL));
	assert_says(&t, "the cache has a constructor");
	kmem_cache_destroy(s);
}

static void elements_that_stay_out_are_told(void **state)
{
	mempool_t *pool = pool_of(3);
	void *p = mempool_alloc(pool, GFP_KERNEL);
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, mempool_destroy(pool));
	assert_says(&t, "1 of 3 elements have not come back");
	assert_int_equal(atomic_load(&source.out), 1);
	source_free(p, &source);
}

static void cleared_elements_are_not_promised(void **state)
{
	mempool_t *pool = pool_of(1);
	struct stderr_text t;
	void *p = NULL;

	(void)state;
	source_gives(1); /* told although there is memory now */
	STDERR_OF(&t, p = mempool_alloc(pool, GFP_KERNEL | __GFP_ZERO));
	assert_non_null(p);
	assert_says(&t, "__GFP_ZERO is not for pools");
	mempool_free(p, pool);
	done_with(pool);
}

static void a_foreign_or_misaligned_element_harms_nothing(void **state)
{
	struct kmem_cache *s = kmem_cache_create("pooled", 96, 0, SLAB_NO_MERGE, NULL);
	mempool_t pool = { 0 };
	struct stderr_text t;
	char *foreign = kmalloc(96, GFP_KERNEL);

	(void)state;
	assert_int_equal(mempool_init_slab_pool(&pool, 1, s), 0);
	STDERR_OF(&t, mempool_free(foreign, &pool));
	assert_says(&t, "kmem_cache_free(");
	STDERR_OF(&t, mempool_free(foreign + 8, &pool));
	assert_says(&t, "kmem_cache_free(");
	mempool_exit(&pool);
	kmem_cache_destroy(s);
	kfree(foreign);
}

/* An element that an allocation callback made up is not freed into the cache, and not lost
 * either. */
static void *made_up;

static void *make_up(gfp_t gfp, void *cache)
{
	(void)gfp, (void)cache;
	return made_up;
}

static void a_callback_that_makes_elements_up_harms_nothing(void **state)
{
	struct kmem_cache *s = kmem_cache_create("made-up", 96, 0, SLAB_NO_MERGE, NULL);
	char *own = kmem_cache_alloc(s, GFP_KERNEL), *foreign = kmalloc(96, GFP_KERNEL);
	char *wrong[] = { foreign, own + 8, foreign + 1 };
	mempool_t pool = { 0 };
	struct stderr_text t;

	(void)state;
	memset(own, 1, 96);
	memset(foreign, 2, 96);
	for (int i = 0; i < 3; i++) {
		made_up = wrong[i];
		assert_int_equal(mempool_init(&pool, 1, make_up, mempool_free_slab, s), 0);
		STDERR_OF(&t, mempool_exit(&pool));
		assert_says(&t, "kmem_cache_free(");
	}
	for (int i = 0; i < 96; i++)
		assert_true(own[i] == 1 && foreign[i] == 2);
	kmem_cache_free(s, own);
	kfree(foreign);
	kmem_cache_destroy(s);
}

/* ---- the option mempool_debug ---- */

static void debug_sees_a_wrong_element(void **state)
{
	struct kmem_cache *s = kmem_cache_create("watched", 96, 0, SLAB_NO_MERGE, NULL);
	mempool_t pool = { 0 };
	struct stderr_text t;
	unsigned char *p, *foreign = kmalloc(96, GFP_KERNEL);

	(void)state;
	stele_opt.mempool_debug = 1;
	assert_int_equal(mempool_init_slab_pool(&pool, 2, s), 0);
	p = mempool_alloc_preallocated(&pool);
	assert_int_equal(p[0], 0x5a);
	STDERR_OF(&t, mempool_free(foreign, &pool));
	assert_says(&t, "not an element of the pool");
	STDERR_OF(&t, mempool_free(p + 8, &pool));
	assert_says(&t, "not an element of the pool");
	assert_int_equal(t.callers, 1);
	STDERR_OF(&t, assert_int_equal(mempool_free_bulk(&pool, (void *[]){ foreign }, 1), 0));
	assert_says(&t, "stele: mempool_free_bulk(");
	assert_says(&t, "not an element of the pool");
	assert_int_equal(t.callers, 1);
	mempool_free(p, &pool);
	assert_int_equal(unseen(p)[0], 0x6b);
	STDERR_OF(&t, mempool_free(p, &pool));
	assert_says(&t, "the element is in the reserve already");
	unseen(p)[40] = 7;
	STDERR_OF(&t, assert_ptr_equal(mempool_alloc_preallocated(&pool), p));
	assert_says(&t, "BUG: mempool element poison mismatch");
	assert_says(&t, " size 96");
	assert_says(&t, "0x6b 0x7 0x6b");
	mempool_free(p, &pool);
	STDERR_OF(&t, mempool_exit(&pool));
	assert_silent(&t);
	stele_opt.mempool_debug = 0;
	kmem_cache_destroy(s);
	kfree(foreign);
}

/* The second cache is merged into the first, whose objects are larger from then on. */
static void debug_goes_on_with_the_size_that_the_cache_had(void **state)
{
	struct kmem_cache *small = kmem_cache_create("sixty", 60, 0, 0, NULL), *large;
	struct stderr_text t;
	mempool_t *pool;
	unsigned char *p;

	(void)state;
	stele_opt.mempool_debug = 1;
	pool = mempool_create_slab_pool(4, small);
	assert_non_null(pool);
	large = kmem_cache_create("sixty-four", 64, 0, 0, NULL);
	assert_ptr_equal(large, small);
	STDERR_OF(&t, p = mempool_alloc_preallocated(pool));
	assert_silent(&t);
	mempool_free(p, pool);
	unseen(p)[59] = 7; /* the last byte of a small one */
	STDERR_OF(&t, assert_ptr_equal(mempool_alloc_preallocated(pool), p));
	assert_says(&t, " size 60");
	mempool_free(p, pool);
	STDERR_OF(&t, mempool_destroy(pool));
	assert_silent(&t);
	stele_opt.mempool_debug = 0;
	kmem_cache_destroy(large);
	kmem_cache_destroy(small);
}

static void fail_no_more(int signal)
{
	(void)signal;
	stele_opt.fail_mempool_alloc = 0;
}

static void debug_knows_an_element_that_was_never_in_the_reserve(void **state)
{
	struct itimerval soon = { .it_value = { .tv_usec = 20000 } };
	struct sigaction action = { .sa_handler = fail_no_more };
	struct stderr_text t;
	mempool_t *pool;
	void *p, *q = NULL;

	(void)state;
	stele_opt.mempool_debug = 1;
	stele_opt.mempool_retry = 5;
	pool = mempool_create_kmalloc_pool(1, 64);
	p = mempool_alloc_preallocated(pool);
	stele_opt.fail_mempool_alloc = 1;
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	STDERR_OF(&t, q = mempool_alloc(pool, GFP_KERNEL));
	assert_null(strstr(t.text, "poison mismatch"));
	stele_opt.mempool_debug = 0;
	stele_opt.mempool_retry = 0;
	mempool_free(q, pool);
	mempool_free(p, pool);
	mempool_destroy(pool);
}

static void *always_the_same(gfp_t gfp, void *data)
{
	(void)gfp;
	return data;
}

static void to_nowhere(void *p, void *data)
{
	assert_ptr_equal(p, data);
}

static void debug_does_not_fill_a_pool_with_one_element(void **state)
{
	mempool_t pool = { 0 };
	struct stderr_text t;
	char element[8];

	(void)state;
	stele_opt.mempool_debug = 1;
	STDERR_OF(&t, assert_int_equal(mempool_init(&pool, 2, always_the_same, to_nowhere, element),
				       -ENOMEM));
	assert_says(&t, "the element is in the reserve already");
	stele_opt.mempool_debug = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_size_is_told),
		cmocka_unit_test(a_cache_with_a_constructor_is_refused),
		cmocka_unit_test(a_pointer_to_no_pool_is_reported_and_nothing_is_lost),
		cmocka_unit_test(elements_that_stay_out_are_told),
		cmocka_unit_test(cleared_elements_are_not_promised),
		cmocka_unit_test(a_foreign_or_misaligned_element_harms_nothing),
		cmocka_unit_test(a_callback_that_makes_elements_up_harms_nothing),
		cmocka_unit_test(debug_sees_a_wrong_element),
		cmocka_unit_test(debug_goes_on_with_the_size_that_the_cache_had),
		cmocka_unit_test(debug_knows_an_element_that_was_never_in_the_reserve),
		cmocka_unit_test(debug_does_not_fill_a_pool_with_one_element),
	};

	return cmocka_run_group_tests(tests, no_timer, NULL);
}
