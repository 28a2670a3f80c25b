/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/control.c - everything of the control path beside everything else of it
 *
 * Idea      Each thread makes random control calls: caches are made, merged, used, shrunk and
 *           destroyed, barriers waited for, callbacks registered, steps installed, slots taken down
 *           and brought up, statistics read, memory given back; beside them others allocate and
 *           free from caches that stay. None may wait for ever (the test's own time limit), a
 *           cache whose objects were all freed is destroyed without a word, and at the end nothing
 *           is left. The whole of it is said to be allowed in docs/cpus.md and docs/locks.md.
 * Argument  seconds to run.
 */
#include "said.h"
#include "stress.h"

#include "../toy_flavor.h"
#include "base/options.h"
#include "page/run.h"
#include "rcu/rcu.h"

#include <errno.h>
#include <fcntl.h>
#include <stele/cpu.h>
#include <stele/trace.h>

#define CONTROLLERS 4
#define WORKERS 2
#define LASTING 3
#define HELD 64

static struct kmem_cache *lasting[LASTING];
static int nowhere;

struct thing {
	uint64_t token;
	struct kvfree_rcu_head rcu;
};

/* ---- control ---- */

static void use_some(struct kmem_cache *s, unsigned n)
{
	void *p[HELD];
	unsigned got = 0;

	while (got < n && (p[got] = kmem_cache_alloc(s, GFP_KERNEL))) {
		memset(p[got], (int)got, kmem_cache_size(s));
		got++;
	}
	while (got-- > 0) {
		MUST(*(unsigned char *)p[got] == (unsigned char)got);
		kmem_cache_free(s, p[got]);
	}
}

static void cache_lives(uint64_t random)
{
	static const slab_flags_t flags[] = { 0, SLAB_NO_MERGE, SLAB_HWCACHE_ALIGN,
					      SLAB_TYPESAFE_BY_RCU, SLAB_CONSISTENCY_CHECKS };
	struct kmem_cache *s = kmem_cache_create("comes-and-goes", 24 + random % 300, 0,
						 flags[random / 512 % 5], NULL);

	MUST(s);
	use_some(s, 1 + (unsigned)(random >> 20) % HELD);
	if (random >> 40 & 1)
		kmem_cache_shrink(s);
	use_some(s, 1);
	kmem_cache_destroy(s);
}

static void given_to_readers(uint64_t random)
{
	struct kmem_cache *s =
		kmem_cache_create("given", sizeof(struct thing), 0, SLAB_NO_MERGE, NULL);
	struct thing *t;

	MUST(s);
	for (unsigned i = 0; i < random % HELD; i++) {
		t = kmem_cache_alloc(s, GFP_KERNEL);
		MUST(t);
		kfree_rcu(t, rcu);
	}
	if (random >> 40 & 1)
		kvfree_rcu_barrier_on_cache(s);
	else if (random >> 41 & 1)
		kvfree_rcu_barrier();
	kmem_cache_destroy(s);
}

static void slot_flaps(uint64_t random)
{
	unsigned cpu = (unsigned)(random % num_possible_cpus());
	int error = stele_cpu_down(cpu);

	MUST_FOR(error == 0 || error == -EINVAL || error == -EBUSY, -error);
	error = stele_cpu_up(cpu);
	MUST_FOR(error == 0 || error == -EINVAL, -error);
}

static int step_with_cache(unsigned int cpu)
{
	struct kmem_cache *s = kmem_cache_create("of-a-step", 40 + cpu % 8, 0, 0, NULL);

	if (s)
		use_some(s, 2);
	kmem_cache_destroy(s);
	return 0;
}

static void step_lives(uint64_t random)
{
	int state = cpuhp_setup_state(random & 1 ? CPUHP_BP_PREPARE_DYN : CPUHP_AP_ONLINE_DYN,
				      "test:step", step_with_cache, step_with_cache);

	MUST_FOR(state > 0 || state == -ENOSPC, -state);
	if (state > 0)
		cpuhp_remove_state((enum cpuhp_state)state);
}

static void count_a_call(const struct stele_trace_event *event, void *arg)
{
	(void)event;
	atomic_fetch_add((atomic_ulong *)arg, 1);
}

static void trace_lives(uint64_t random)
{
	atomic_ulong events = 0;
	int error = stele_trace_register(1u << random % 8, count_a_call, &events);

	MUST_FOR(error == 0 || error == -ENOSPC, -error);
	if (error)
		return;
	use_some(lasting[0], 8);
	MUST(stele_trace_unregister(count_a_call, &events) == 0);
}

static void looks(uint64_t random)
{
	struct stele_stats stats;
	int came;

	cpus_read_lock();
	stele_stats_read(&stats);
	MUST(num_online_cpus() > 0);
	cpus_read_unlock();
	if (random % 8 == 0)
		stele_slabinfo_write(nowhere);
	came = stele_cpu_refresh();
	MUST_FOR(came >= 0, -came);
}

static void gives_back(uint64_t random)
{
	kmem_cache_shrink(lasting[random % LASTING]);
	stele_deferred_barrier();
	if (random >> 40 & 1)
		stele_trim(0);
}

static void *make_control_calls(void *arg)
{
	static void (*const calls[])(uint64_t) = { cache_lives, cache_lives, given_to_readers,
						   slot_flaps,	step_lives,  trace_lives,
						   looks,	gives_back };
	uint64_t random = random_seed((uintptr_t)arg);

	while (!stopped()) {
		calls[next_random(&random) % 8](next_random(&random) >> 8);
		step_done();
	}
	return NULL;
}

/* ---- data ---- */

static void *work_on_lasting(void *arg)
{
	uint64_t random = random_seed((uintptr_t)arg + 100);
	void *held[HELD] = { NULL };

	while (!stopped()) {
		unsigned i = (unsigned)(next_random(&random) % HELD);

		if (held[i])
			kfree(held[i]);
		held[i] = i % 4 ? kmem_cache_alloc(lasting[i % LASTING], GFP_KERNEL)
				: kmalloc_nolock(64 + i, 0, NUMA_NO_NODE);
	}
	for (int i = 0; i < HELD; i++)
		kfree(held[i]);
	return NULL;
}

static void *either(void *arg)
{
	return (uintptr_t)arg < CONTROLLERS ? make_control_calls(arg) : work_on_lasting(arg);
}

int main(int argc, char **argv)
{
	double seconds = seconds_asked(argc, argv);
	unsigned cpu;

	said_begin();
	MUST(stele_heap_start() == 0);
	stele_opt.quiet = 1; /* names that are taken, slots that are down already */
	nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	MUST(nowhere >= 0 && stele_rcu_set_flavor(&toy_flavor) == 0);
	for (unsigned i = 0; i < LASTING; i++) {
		lasting[i] = kmem_cache_create("lasting", 100 * (i + 1), 0, SLAB_NO_MERGE, NULL);
		MUST(lasting[i]);
	}
	run_for(seconds, CONTROLLERS + WORKERS, either, NULL);
	for_each_possible_cpu(cpu) if (!cpu_online(cpu)) stele_cpu_up(cpu);
	kvfree_rcu_barrier();
	for (unsigned i = 0; i < LASTING; i++) {
		MUST(kmem_cache_shrink(lasting[i]) == 0);
		kmem_cache_destroy(lasting[i]);
	}
	MUST(!said_anything());
	return finish(4 << 20);
}
