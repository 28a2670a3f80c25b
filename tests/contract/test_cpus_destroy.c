/* SPDX-License-Identifier: MIT */
/*
 * A cache is destroyed by a thread that holds the set of slots, while the end of a grace period
 * wants it: neither waits for the other for ever (contract 24, 30, 31).
 */
#include "cpus.h"

#include "../nap.h"
#include "slab/kmem_cache.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define STUCK_S 20 /* a thread that waits that long waits for ever */

static _Atomic bool in_round, go;
static _Atomic unsigned emptied;

/* Here, and in no thread that waits inside the library, SIGALRM gets through and ends the test. */
static void *receive_alarm(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void item_emptied(void *p)
{
	(void)p;
	emptied++;
}

static struct kmem_cache *make_with(const char *name, void (*dtor)(void *), slab_flags_t flags)
{
	struct kmem_cache_args args = { .dtor = dtor };

	return kmem_cache_create(name, sizeof(struct item), &args, flags | SLAB_NO_MERGE);
}

/* With something in it that its destruction has to wait for. */
static void make_and_destroy(const char *name)
{
	struct kmem_cache *s = make_with(name, item_emptied, 0);
	struct item *item = kmem_cache_alloc(s, GFP_KERNEL);

	if (!item)
		wrong++;
	else
		kfree_rcu(item, rcu);
	kmem_cache_destroy(s);
}

/* After a grace period, in the thread that waited for it. */
static void end_late(void *p)
{
	(void)p;
	if (in_round)
		return;
	in_round = true;
	while (!go)
		sched_yield();
	make_and_destroy("of-a-round");
}

/* While that thread is on its way to what this one holds. */
static void destroy_inside(void)
{
	if (go)
		return;
	go = true;
	nap_ms(20);
	make_and_destroy("inside");
}

static void end_inside(void *p)
{
	(void)p;
	destroy_inside();
}

static int step_destroys(unsigned cpu)
{
	(void)cpu;
	destroy_inside();
	return 0;
}

/* Nothing is left when @hold, which destroys a cache inside, has returned. */
static void beside_a_round(void (*hold)(struct kmem_cache *rests))
{
	struct kmem_cache *late = make_with("late", end_late, SLAB_TYPESAFE_BY_RCU);
	struct kmem_cache *rests = make_with("rests", end_inside, 0);
	struct stderr_text t;

	emptied = 0;
	go = in_round = false;
	alarm(STUCK_S);
	assert_true(stderr_begin(&t));
	kmem_cache_free(late, kmem_cache_alloc(late, GFP_KERNEL));
	kmem_cache_free(rests, kmem_cache_alloc(rests, GFP_KERNEL));
	kmem_cache_shrink(late);
	while (!in_round)
		nap_ms(20);
	hold(rests);
	if (!emptied)
		wrong++;
	kmem_cache_destroy(rests);
	kmem_cache_destroy(late);
	stderr_end(&t);
	alarm(0);
	assert_silent(&t);
	assert_int_equal(wrong, 0);
	assert_true(go);
}

static void hold_in_step(struct kmem_cache *rests)
{
	int step = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "destroys", NULL, step_destroys);
	unsigned slot = raw_smp_processor_id();

	(void)rests;
	if (step < 0 || stele_cpu_down(slot) != 0 || stele_cpu_up(slot) != 0)
		wrong++;
	cpuhp_remove_state_nocalls((enum cpuhp_state)step);
}

/* Whichever slot the object rests in. */
static void hold_in_dying_slot(struct kmem_cache *rests)
{
	unsigned slot;

	(void)rests;
	for_each_possible_cpu(slot) if (stele_cpu_down(slot) != 0 || stele_cpu_up(slot) != 0)
		wrong++;
}

static void hold_in_shrink(struct kmem_cache *rests)
{
	kmem_cache_shrink(rests);
}

static void hold_in_walk(struct kmem_cache *rests)
{
	(void)rests;
	stele_trim(0);
}

static void *go_down_and_up(void *slot)
{
	if (stele_cpu_down(*(unsigned *)slot) != 0 || stele_cpu_up(*(unsigned *)slot) != 0)
		wrong++;
	return NULL;
}

static void hold_by_reading(struct kmem_cache *rests)
{
	unsigned slot = num_possible_cpus() - 1;
	pthread_t writer;

	(void)rests;
	cpus_read_lock();
	pthread_create(&writer, NULL, go_down_and_up, &slot);
	nap_ms(20);
	destroy_inside();
	cpus_read_unlock();
	pthread_join(writer, NULL);
}

static void a_destroy_inside_does_not_wait_for_a_thread_that_wants_in(void **state)
{
	pthread_t receiver;

	(void)state;
	assert_int_equal(pthread_create(&receiver, NULL, receive_alarm, NULL), 0);
	beside_a_round(hold_in_step);
	beside_a_round(hold_in_dying_slot);
	beside_a_round(hold_in_shrink);
	beside_a_round(hold_in_walk);
	beside_a_round(hold_by_reading);
	pthread_cancel(receiver);
	pthread_join(receiver, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_destroy_inside_does_not_wait_for_a_thread_that_wants_in),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
