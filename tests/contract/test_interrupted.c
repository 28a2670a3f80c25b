/* SPDX-License-Identifier: MIT */
/*
 * Calls of kmalloc_nolock() and kin in the middle of other calls: a hook at every named point of
 * the protocols plays the handler that interrupts a holder there (contract 8, 10), or holds
 * a thread there. Debug builds only: release has no points. Signals at every instruction (contract
 * 7) are in tests/stress/sweep.c and tests/signals/storms/.
 */
#include "watched.h"

#include "../random.h"

#include "cache/chores.h"
#include "slab/kmem_cache.h"
#include "sync/atomic.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <stele/page.h>

#define ANY NUMA_NO_NODE

/* ---- contract 8 and 10: at every point of a holder ---- */

static const size_t handler_sizes[] = { 8, 64, 500, 8192, 32768 };
#define HELD 64
#define POINTS 80
#define WORK 600

static struct {
	struct kmem_cache *s;
	_Atomic(void *) held[HELD];
	unsigned long calls, nulls, points;
	const char *seen[POINTS];
	int depth;
} handler;

static void note_point(const char *point)
{
	unsigned long i = 0;

	while (i < handler.points && strcmp(handler.seen[i], point))
		i++;
	if (i == handler.points && i < POINTS)
		handler.seen[handler.points++] = point;
}

static void handler_pair(size_t size)
{
	void *p = kmalloc_nolock(size, 0, ANY);

	handler.nulls += !p;
	if (p)
		sign(p, size, size);
	if (p && !signed_by(p, size, size))
		handler.nulls++;
	kfree_nolock(p);
}

/* Objects of a cache that has no sheaves live from one interruption to later ones. */
static void handler_slab(unsigned long call)
{
	void *p = call / HELD % 3 ? kmem_cache_alloc_nolock(handler.s, 0, ANY) : NULL;

	kfree_nolock(atomic_exchange(&handler.held[call % HELD], p));
}

/* At every fourth point or so: a thread that is interrupted in each try would never be done. */
static bool dice(void)
{
	static uint64_t seed = 0x9e3779b97f4a7c15;

	return next_random(&seed) >> 20 & 3;
}

static void as_handler(const char *point)
{
	unsigned long call;

	if (handler.depth > 1 || dice())
		return;
	call = handler.calls++;
	handler.depth++;
	note_point(point);
	handler_pair(handler_sizes[call % 5]);
	handler_slab(call);
	if (call % 64 == 0)
		free_pages_nolock(alloc_pages_nolock(0, ANY, call / 64 % 4), call / 64 % 4);
	handler.depth--;
}

static void interrupted_work(struct kmem_cache *s)
{
	static void *mine[WORK];

	for (int i = 0; i < WORK; i++)
		mine[i] = i % 3 ? kmalloc((size_t)(i * 7 % 9000), 0) : kmem_cache_alloc(s, 0);
	for (int i = 0; i < WORK; i++)
		kfree(mine[i * 7 % WORK]);
	kmem_cache_shrink(s);
	stele_deferred_barrier();
	stele_trim(0);
}

static void a_handler_gets_memory_whichever_thread_it_interrupts(void **state)
{
	struct kmem_cache *s = kmem_cache_create("holders", 72, NULL, SLAB_NO_MERGE);
	uint64_t reports = stats_now().reports;

	(void)state;
	handler.s = watched("handlers");
	stele_inject = as_handler;
	for (int i = 0; i < 3; i++)
		interrupted_work(s);
	stele_inject = NULL;
	assert_int_equal(handler.nulls, 0);
	assert_true(handler.points >= 20);
	for (int i = 0; i < HELD; i++)
		kfree_nolock(atomic_load(&handler.held[i]));
	stele_deferred_barrier();
	assert_int_equal(load_relaxed(&handler.s->slabs), 0);
	assert_int_equal(made, unmade);
	assert_int_equal(stats_now().reports, reports);
	kmem_cache_destroy(handler.s);
	kmem_cache_destroy(s);
}

/* ---- destroying beside a thread that retires ---- */

static _Atomic int at_point, let_go;
static _Atomic(const char *) hold_at;
static __thread bool may_hold;

static void hold_a_while(const char *point)
{
	if (!may_hold || strcmp(point, atomic_load(&hold_at)) || atomic_exchange(&at_point, 1))
		return;
	for (int i = 0; i < 40; i++) { /* long enough for a call that does not wait to be over */
		usleep(1000);
		sched_yield();
	}
	atomic_store(&let_go, 1);
}

static void *drain_and_be_held(void *arg)
{
	may_hold = true;
	stele_chores_do(EFFORT_USUAL);
	may_hold = false;
	return arg;
}

static void held_at(const char *point, bool destroy)
{
	struct kmem_cache *s = watched("held");
	struct stderr_text t;
	pthread_t thread;

	stele_deferred_barrier();
	fill(s);
	empty();
	atomic_store(&hold_at, point);
	atomic_store(&at_point, 0);
	atomic_store(&let_go, 0);
	stele_inject = hold_a_while;
	assert_int_equal(pthread_create(&thread, NULL, drain_and_be_held, NULL), 0);
	while (!atomic_load(&at_point))
		sched_yield();
	STDERR_OF(&t, destroy ? kmem_cache_destroy(s) : stele_deferred_barrier());
	assert_int_equal(atomic_load(&let_go), 1);
	assert_silent(&t);
	assert_int_equal(made, unmade);
	pthread_join(thread, NULL);
	stele_inject = NULL;
	if (!destroy)
		kmem_cache_destroy(s);
}

static void a_cache_ends_after_the_thread_that_retires_its_slab(void **state)
{
	(void)state;
	held_at("run:unmapped", true);
	held_at("state:bury", true);
}

static void the_barrier_waits_for_a_thread_that_retires_a_slab(void **state)
{
	(void)state;
	held_at("run:unmapped", false);
	held_at("deferred:taken", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handler_gets_memory_whichever_thread_it_interrupts),
		cmocka_unit_test(a_cache_ends_after_the_thread_that_retires_its_slab),
		cmocka_unit_test(the_barrier_waits_for_a_thread_that_retires_a_slab),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
