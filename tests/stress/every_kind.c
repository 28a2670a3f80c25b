/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/every_kind.c - the calls of every_kind.h
 *
 * Idea      Any number of threads make calls of each kind. Each object is signed, and the sign is
 *           looked at before the object is freed.
 * Pool      Its elements exist from the start, and its own allocation gives no more. So threads
 *           wait.
 * Children  A child of fork() makes calls of each kind of the data path, and some that wait.
 */
#include "every_kind.h"
#include "stress.h"

#include "../toy_flavor.h"
#include "base/options.h"
#include "cache/caches.h"
#include "rcu/rcu.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stele/cpu.h>
#include <stele/debug.h>
#include <stele/mempool.h>
#include <stele/page.h>
#include <stele/trace.h>
#include <sys/wait.h>

const char *const kind_names[KINDS] = {
	"kmalloc",
	"large kmalloc",
	"kvmalloc of some areas",
	"much kmalloc at once",
	"kmem_cache_alloc",
	"bulk",
	"alloc_pages",
	"nolock",
	"kfree_rcu",
	"mempool_free",
	"mempool_alloc that waits",
	"kvfree_rcu_barrier",
	"kvfree_rcu_barrier_on_cache",
	"trace",
	"stele_trim",
	"kmem_cache_shrink",
	"kmem_cache_create and destroy",
	"the same, type-stable",
	"stele_cpu_down and up",
	"stats",
	"stele_deferred_barrier",
	"mempool_resize",
	"mempool_create and destroy",
	"stele_slab_validate",
	"a sweep for descriptors",
	"fork",
};

atomic_ulong done[KINDS];
static struct kmem_cache *cache;
static mempool_t pool, sized;
_Thread_local uint64_t dice;

struct thing {
	uint64_t token;
	uint64_t more[5];
	struct kvfree_rcu_head rcu;
};

static void *signed_by_address(void *p)
{
	MUST(p);
	*(uint64_t *)p = (uintptr_t)p * 31;
	return p;
}

static void *unsigned_again(void *p)
{
	MUST(*(uint64_t *)p == (uintptr_t)p * 31);
	*(uint64_t *)p = 0;
	return p;
}

#define HELD 60

/* Through sheaves and slabs: more than one at a time. */
void call_kmalloc(void)
{
	size_t size = 8 + next_random(&dice) % 500;
	void *p[HELD];

	for (int i = 0; i < HELD; i++)
		p[i] = signed_by_address(kmalloc(size, GFP_KERNEL));
	for (int i = 0; i < HELD; i++)
		kfree(unsigned_again(p[i]));
}

/* Blocks of some sizes rest in the slot. */
static void call_large(void)
{
	void *p[4];

	for (int i = 0; i < 4; i++)
		p[i] = signed_by_address(kmalloc(8000 + next_random(&dice) % 100000, GFP_KERNEL));
	for (int i = 0; i < 4; i++)
		kfree(unsigned_again(p[i]));
}

static void call_huge(void)
{
	size_t size = (3u << 20) + next_random(&dice) % (4u << 20);

	kvfree(unsigned_again(signed_by_address(kvmalloc(size, GFP_KERNEL))));
}

/* The memory in slabs rises by more than 2 MiB, and falls. */
static void call_tide(void)
{
	void *p[2 * HELD];

	for (int i = 0; i < 2 * HELD; i++)
		p[i] = signed_by_address(kmalloc(24000, GFP_KERNEL));
	for (int i = 0; i < 2 * HELD; i++)
		kfree(unsigned_again(p[i]));
}

void call_typed(void)
{
	void *p[HELD];

	for (int i = 0; i < HELD; i++)
		p[i] = signed_by_address(kmem_cache_alloc(cache, GFP_KERNEL));
	for (int i = 0; i < HELD; i++)
		kmem_cache_free(cache, unsigned_again(p[i]));
}

static void call_bulk(void)
{
	void *p[4 * HELD];

	MUST(kmem_cache_alloc_bulk(cache, GFP_KERNEL, 4 * HELD, p));
	kmem_cache_free_bulk(cache, 4 * HELD, p);
}

static void call_pages(void)
{
	unsigned order = (unsigned)(next_random(&dice) % 4);
	struct page *page = alloc_pages(GFP_KERNEL, order);

	MUST(page);
	__free_pages(page, order);
}

/* So many that slabs become idle. */
static void call_nolock(void)
{
	size_t size = 8 + next_random(&dice) % 4000;
	void *p[HELD];

	for (int i = 0; i < HELD; i++)
		p[i] = signed_by_address(i % 4 ? kmalloc_nolock(size, 0, NUMA_NO_NODE)
					       : kmem_cache_alloc_nolock(cache, 0, NUMA_NO_NODE));
	for (int i = 0; i < HELD; i++)
		kfree_nolock(unsigned_again(p[i]));
}

void call_rcu(void)
{
	for (int i = 0; i < HELD; i++) {
		struct thing *t = kmalloc(sizeof(*t), GFP_KERNEL);

		MUST(t);
		if (i % 4)
			kfree_rcu(t, rcu);
		else
			kfree_rcu_nolock(t, rcu);
	}
}

static void call_pool(void)
{
	void *p = mempool_alloc(&pool, GFP_NOWAIT);

	if (p)
		mempool_free(p, &pool);
}

static void call_pool_wait(void)
{
	void *p = mempool_alloc(&pool, GFP_KERNEL);

	MUST(p);
	sched_yield();
	mempool_free(p, &pool);
}

static void call_barrier(void)
{
	kvfree_rcu_barrier();
}

static void call_barrier_cache(void)
{
	kvfree_rcu_barrier_on_cache(cache);
}

static void count_event(const struct stele_trace_event *event, void *arg)
{
	(void)event;
	atomic_fetch_add((atomic_ulong *)arg, 1);
}

static void call_trace(void)
{
	static atomic_ulong events;
	atomic_ulong mine = 0;
	int error = stele_trace_register(STELE_TRACE_ALL & ~15u, count_event, &events);

	/* Of a victim that never came to removing it, it stays. */
	MUST_FOR(error == 0 || error == -EEXIST || error == -ENOSPC, -error);
	if (error == 0)
		MUST(stele_trace_unregister(count_event, &events) == 0);
	(void)mine;
}

static void call_trim(void)
{
	stele_trim(next_random(&dice) % 2 ? 0 : 1 << 20);
}

static void call_shrink(void)
{
	kmem_cache_shrink(cache);
}

static void live(slab_flags_t flags)
{
	struct kmem_cache *s = kmem_cache_create("lives", 40, 0, flags | SLAB_NO_MERGE, NULL);
	void *p[HELD];

	MUST(s);
	for (int i = 0; i < HELD; i++)
		p[i] = signed_by_address(kmem_cache_alloc(s, GFP_KERNEL));
	for (int i = 0; i < HELD; i++)
		kmem_cache_free(s, unsigned_again(p[i]));
	kmem_cache_destroy(s);
}

static void call_lives(void)
{
	live(0);
}

static void call_lives_typesafe(void)
{
	live(SLAB_TYPESAFE_BY_RCU);
}

static void call_cpus(void)
{
	unsigned cpu = (unsigned)(next_random(&dice) % num_possible_cpus());

	stele_cpu_down(cpu);
	stele_cpu_up(cpu);
}

static int nowhere; /* a file that takes all */

void call_stats(void)
{
	struct stele_stats stats;

	stele_stats_read(&stats);
	MUST_FOR(stats.reports == 0, stats.reports);
	stele_slabinfo_write(nowhere);
}

static void call_deferred(void)
{
	stele_deferred_barrier();
}

/* Of a pool that others resize, too. */
static void call_resize(void)
{
	MUST(mempool_resize(&sized, 1 + (int)(next_random(&dice) % 200)) == 0);
	mempool_free(mempool_alloc(&sized, GFP_NOWAIT), &sized);
}

/* A larger reserve gets more places. */
static void call_pool_lives(void)
{
	mempool_t *p = mempool_create_kmalloc_pool(2, 64);

	MUST(p && mempool_resize(p, 100) == 0);
	mempool_destroy(p);
}

static void call_validate(void)
{
	MUST_FOR(stele_slab_validate() == 0, 0);
}

/* A call that finds no descriptor does this. */
static void call_sweep(void)
{
	stele_cache_try_sweep();
}

static void (*const calls[KINDS])(void) = {
	call_kmalloc,	call_large,   call_huge,	   call_tide,	  call_typed,
	call_bulk,	call_pages,   call_nolock,	   call_rcu,	  call_pool,
	call_pool_wait, call_barrier, call_barrier_cache,  call_trace,	  call_trim,
	call_shrink,	call_lives,   call_lives_typesafe, call_cpus,	  call_stats,
	call_deferred,	call_resize,  call_pool_lives,	   call_validate, call_sweep,
	call_fork,
};

/* It allocates, frees and waits for what it has freed, whatever its parent's threads were at. */
static void be_child(void)
{
	for (unsigned kind = 0; kind < POOL; kind++)
		calls[kind]();
	call_shrink();
	call_lives();
	call_barrier_cache();
	_exit(0);
}

void (*in_child)(void);

void call_fork(void)
{
	int status;
	pid_t pid = fork();

	MUST(pid >= 0);
	if (!pid) {
		in_child();
		be_child();
	}
	while (waitpid(pid, &status, 0) != pid)
		MUST(errno == EINTR);
	MUST_FOR(status == 0, status);
}

void make_call(unsigned kind)
{
	calls[kind]();
	atomic_fetch_add(&done[kind], 1);
}

/* ---- at the start ---- */

void keep_pages(void)
{
	static unsigned kept;

	for (unsigned i = 0; i < 100 && kept < 3000; i++, kept++)
		MUST(alloc_pages(GFP_KERNEL, 0));
}

static uint64_t elements[ELEMENTS][8];

static void *take_element(gfp_t gfp, void *data)
{
	static atomic_uint given;
	unsigned i = atomic_load(&given);

	(void)gfp, (void)data;
	return i < ELEMENTS ? elements[atomic_fetch_add(&given, 1)] : NULL;
}

static void keep_element(void *p, void *data)
{
	(void)p, (void)data;
	MUST(!"an element went back to the pool's own free");
}

void begin_calls(void)
{
	cache = kmem_cache_create("pairs", 72, NULL, SLAB_NO_MERGE);
	MUST(cache);
	stele_opt.rcu_delay = 1;
	stele_opt.mempool_retry = 0;
	MUST(stele_rcu_set_flavor(&toy_flavor) == 0);
	MUST(mempool_init(&pool, ELEMENTS, take_element, keep_element, NULL) == 0);
	MUST(mempool_init_kmalloc_pool(&sized, 2, 64) == 0);
	nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	MUST(nowhere >= 0);
}
