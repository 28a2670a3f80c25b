/* SPDX-License-Identifier: MIT */
/*
 * Contract of a thread that stalls in a user's destructor, which a round of grace periods calls.
 * Objects that other threads give to kfree_rcu() are freed all the same, and rcu_max bounds them;
 * their caches end. A barrier over everything waits for the destructor.
 */
#include "rcu/rounds.h"
#include "rcu_stall.h"

/* ---- a destructor that stalls ---- */

/* Slabs of @s and objects of @other, whose destructors and frees one round calls. */
static void put_in_one_round(struct kmem_cache *s, struct kmem_cache *other)
{
	void *p[200];

	for (int i = 0; i < 200; i++)
		p[i] = kmem_cache_alloc(s, 0);
	stalls = true;
	for (int i = 0; i < 200; i++)
		kmem_cache_free(s, p[i]);
	for (int i = 0; i < 500; i++) {
		struct item *given = kmem_cache_alloc(other, 0);

		kfree_rcu(given, rcu);
	}
}

static void stall_in_a_destructor(struct kmem_cache *s, struct kmem_cache *other)
{
	kvfree_rcu_barrier();
	put_in_one_round(s, other);
	kmem_cache_shrink(s);
	wait_until_there();
}

static void a_destructor_that_stalls_stops_no_other(void **state)
{
	struct kmem_cache *s = typesafe("stalls", stall_once);
	struct kmem_cache *other =
		kmem_cache_create("other", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pthread_t barrier;

	(void)state;
	stall_in_a_destructor(s, other);
	/* Objects lay beside the slab in the same round. */
	kmem_cache_destroy(other);
	others_go_on_beside_a_stall();
	start_barrier(&barrier);
	nap_ms(50);
	assert_false(back); /* the destructor runs still */
	others_go_on_beside_a_stall();
	sem_post(&go_on);
	wait_until_back(barrier);
	kmem_cache_destroy(s);
}

static void wait_and_stall_once(void *object)
{
	(void)object;
	if (!atomic_exchange(&stalls, false))
		return;
	kvfree_rcu_barrier();
	stall();
}

/* A barrier gives up on a thread that stands still for five seconds, but not in a destructor. */
static void a_destructor_that_waited_itself_is_waited_for(void **state)
{
	struct kmem_cache *s = typesafe("waits", wait_and_stall_once);
	struct kmem_cache *other =
		kmem_cache_create("other", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pthread_t barrier;

	(void)state;
	stall_in_a_destructor(s, other);
	start_barrier(&barrier);
	nap_ms(7000);
	assert_false(back); /* the destructor runs still */
	sem_post(&go_on);
	wait_until_back(barrier);
	kmem_cache_destroy(other);
	kmem_cache_destroy(s);
}

static void where_no_thread_can_be_made_a_stalled_destructor_stops_no_other(void **state)
{
	(void)state;
	no_threads = true;
	a_destructor_that_stalls_stops_no_other(state);
	no_threads = false;
}

/* ---- in a round of a thread that waits ---- */

static void *destroy_in_thread(void *s)
{
	kmem_cache_destroy(s);
	return s;
}

/* In the round of the thread that destroys @s. */
static pthread_t stall_while_destroying(struct kmem_cache *s, struct kmem_cache *other)
{
	pthread_t thread;

	put_in_one_round(s, other);
	assert_int_equal(pthread_create(&thread, NULL, destroy_in_thread, s), 0);
	wait_until_there();
	return thread;
}

/* The first case: no thread that serves has been made yet. */
static void a_round_of_a_waiter_that_stalls_stops_no_other(void **state)
{
	pthread_t destroyer, barrier;
	struct kmem_cache *other;

	(void)state;
	no_threads = true;
	other = kmem_cache_create("other", sizeof(struct item), NULL, SLAB_NO_MERGE);
	destroyer = stall_while_destroying(typesafe("stalls", stall_once), other);
	assert_int_equal(load_relaxed(&stele_graces[0].served), 0);
	kmem_cache_destroy(other);
	others_go_on_beside_a_stall();
	no_threads = false;
	others_go_on_beside_a_stall();
	start_barrier(&barrier);
	nap_ms(50);
	assert_false(back); /* the destructor runs still */
	sem_post(&go_on);
	wait_until_back(barrier);
	pthread_join(destroyer, NULL);
}

static void several_that_stall_stop_no_other(void **state)
{
	static const char *const names[RUNNER_HANDS - 1] = { "first", "second", "third" };
	struct kmem_cache *s[RUNNER_HANDS - 1];
	struct kmem_cache *other =
		kmem_cache_create("other", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pthread_t barrier;

	(void)state;
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(s); i++) {
		s[i] = typesafe(names[i], stall_once);
		for (int j = 0; j < 100; j++)
			kmem_cache_free(s[i], kmem_cache_alloc(s[i], 0));
		stalls = true;
		kmem_cache_shrink(s[i]);
		while (stalls)
			flood(other);
		wait_until_there();
	}
	others_go_on_beside_a_stall();
	start_barrier(&barrier);
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(s); i++)
		sem_post(&go_on);
	wait_until_back(barrier);
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(s); i++)
		kmem_cache_destroy(s[i]);
	kmem_cache_destroy(other);
}

static int begin_with_stalls(void **state)
{
	(void)state;
	return begin_stalls();
}

/* A thread that was held up while it replaced the runner says too late that no thread serves. */
static void a_runner_serves_whatever_a_late_thread_said(void **state)
{
	struct stele_grace *g = &stele_graces[0];

	(void)state;
	assert_int_equal(stele_runner_start(g), 0);
	assert_false(stele_runner_is_gone(g));
	while (load_relaxed(&stele_runners[0].owner) & OWNER_STARTING)
		nap_ms(1);
	store_relaxed(&g->served, 0);
	assert_int_equal(stele_runner_start(g), 0);
	assert_int_equal(load_relaxed(&g->served), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_round_of_a_waiter_that_stalls_stops_no_other,
				       each_in_half_a_minute),
		cmocka_unit_test_setup(a_destructor_that_stalls_stops_no_other,
				       each_in_half_a_minute),
		cmocka_unit_test_setup(a_destructor_that_waited_itself_is_waited_for,
				       each_in_half_a_minute),
		cmocka_unit_test_setup(
			where_no_thread_can_be_made_a_stalled_destructor_stops_no_other,
			each_in_half_a_minute),
		cmocka_unit_test_setup(several_that_stall_stop_no_other, each_in_half_a_minute),
		cmocka_unit_test_setup(a_runner_serves_whatever_a_late_thread_said,
				       each_in_half_a_minute),
	};

	return cmocka_run_group_tests(tests, begin_with_stalls, NULL);
}
