/* SPDX-License-Identifier: MIT */
/*
 * Contract of a destructor that ends its thread by pthread_exit(), inside of a round. The next
 * thread that waits for readers runs rounds, or the library makes a new runner. The readers are the
 * test's own. Each case has half a minute.
 */
#include "rcu/rounds.h"
#include "rcu_left.h"
#include "slab/kmem_cache.h"

static const struct rcu_flavor_struct ending_flavor = {
	.read_ongoing = toy_read_ongoing,
	.update_synchronize_rcu = toy_synchronize,
};

static _Atomic bool exit_in_destructor;

static void end_thread(void *object)
{
	(void)object;
	if (atomic_exchange(&exit_in_destructor, false))
		pthread_exit(NULL);
}

static void *run_a_round(void *arg)
{
	kmem_cache_shrink(arg);
	kvfree_rcu_barrier_on_cache(arg);
	return NULL;
}

static void without_a_runner_a_thread_ended_in_a_round_stops_nobody(void **state)
{
	struct kmem_cache *s, *other;
	struct stderr_text t;
	pthread_t thread;

	(void)state;
	no_threads = true;
	s = cache_of("ending-here", &asking_nobody, end_thread);
	other = cache_of("other-here", &asking_nobody, NULL);
	kmem_cache_free(s, kmem_cache_alloc(s, 0));
	s->ending = true; /* or its slab would be kept, as there is no runner */
	exit_in_destructor = true;
	pthread_create(&thread, NULL, run_a_round, s);
	pthread_join(thread, NULL);
	assert_false(exit_in_destructor);
	give(other);
	kvfree_rcu_barrier_on_cache(other);
	assert_int_equal(load_relaxed(&other->grace->waiting) > s->frames * 4096ul, 0);
	kmem_cache_destroy(other);
	stderr_begin(&t);
	kmem_cache_destroy(s);
	stderr_end(&t);
	no_threads = false;
}

static void a_runner_that_is_ended_is_made_anew(void **state)
{
	struct kmem_cache *s = cache_of("ending", &ending_flavor, end_thread);
	struct kmem_cache *other = cache_of("other", &ending_flavor, NULL);
	struct stderr_text t;

	(void)state;
	give(other);
	kvfree_rcu_barrier_on_cache(other);
	exit_in_destructor = true;
	kmem_cache_free(s, kmem_cache_alloc(s, 0));
	kmem_cache_shrink(s);
	while (exit_in_destructor)
		nap_ms(1);
	give(other);
	kvfree_rcu_barrier_on_cache(other);
	kmem_cache_destroy(other);
	/* Its one slab was in the hands of the thread. */
	stderr_begin(&t);
	kmem_cache_destroy(s);
	stderr_end(&t);
}

static struct stele_grace *served_in_vain;
static _Atomic bool stop;

#define STACKS 16 /* more than the C library keeps */

static void *until_stopped(void *arg)
{
	while (!stop)
		nap_ms(1);
	return arg;
}

/* The C library unmaps stacks of threads that have ended, the runner's among them. */
static void unmap_stacks(void)
{
	pthread_t thread[STACKS];

	stop = false;
	for (int i = 0; i < STACKS; i++)
		pthread_create(&thread[i], NULL, until_stopped, NULL);
	stop = true;
	for (int i = 0; i < STACKS; i++)
		pthread_join(thread[i], NULL);
}

static void wait_until_it_ended(void)
{
	once_made = NULL;
	while (load_relaxed(&runner_of(served_in_vain)->owner))
		nap_ms(1);
	nap_ms(20);
	unmap_stacks();
}

/* A runner that was made, and ended before its maker went on, is not the one that serves. */
static void a_runner_that_is_gone_before_its_maker_goes_on_is_made_anew(void **state)
{
	struct kmem_cache *s = cache_of("ending-at-once", &ending_flavor, end_thread);
	struct kmem_cache *other = cache_of("other-then", &ending_flavor, NULL);
	struct stele_grace *g = s->grace;
	struct stderr_text t;
	uint32_t rounds;
	double end;

	(void)state;
	served_in_vain = g;
	for (int i = 0; i < 2; i++) {
		once_made = i ? wait_until_it_ended : NULL;
		exit_in_destructor = true;
		s->ending = true; /* or its slab would be kept while there is no runner */
		kmem_cache_free(s, kmem_cache_alloc(s, 0));
		kmem_cache_shrink(s);
		stele_rcu_serve(g);
		while (exit_in_destructor || load_relaxed(&runner_of(g)->owner))
			nap_ms(1);
	}
	rounds = load_relaxed(&g->done);
	for (int i = 0; i < 300; i++)
		give(other);
	for (end = seconds() + 8; load_relaxed(&g->done) == rounds && seconds() < end;)
		nap_ms(1);
	assert_true(load_relaxed(&g->done) != rounds);
	kvfree_rcu_barrier_on_cache(other);
	kmem_cache_destroy(other);
	/* Its slabs were in the hands of the threads. */
	stderr_begin(&t);
	kmem_cache_destroy(s);
	stderr_end(&t);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_a_runner_a_thread_ended_in_a_round_stops_nobody,
				       each_in_half_a_minute),
		cmocka_unit_test_setup(a_runner_that_is_ended_is_made_anew, each_in_half_a_minute),
		cmocka_unit_test_setup(a_runner_that_is_gone_before_its_maker_goes_on_is_made_anew,
				       each_in_half_a_minute),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	stele_heap_start();
	return cmocka_run_group_tests(tests, begin, end);
}
