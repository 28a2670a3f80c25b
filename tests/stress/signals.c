/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/signals.c - every call that may be made in a handler is made in one
 *
 * Idea      Each thread has a timer of its own at 5 kHz. Threads and handlers run the same
 *           steps on one table: typed and by size, with and without _nolock, in bulk, resized.
 *           Objects carry a token; an object given out twice has a wrong one.
 * Argument  seconds to run.
 */
#include "stress.h"
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

#define THREADS 3
#define TABLE 256
#define PERIOD_NS 200000

struct object {
	uint64_t token;
	uint32_t size;
	bool typed;
	unsigned char last[];
};

static _Atomic(struct object *) table[TABLE];
static struct kmem_cache *cache;
static atomic_ulong in_handler;
static __thread uint64_t thread_random, handler_random;

static void sign(struct object *o, uint32_t size, bool typed)
{
	o->size = size;
	o->typed = typed;
	o->token = (uintptr_t)o * 31 + size;
	memset(o->last, (int)(size & 255), size - sizeof(*o));
}

static void check(const struct object *o)
{
	MUST(o->token == (uintptr_t)o * 31 + o->size);
	for (size_t i = 0; i < o->size - sizeof(*o); i += i < 64 ? 1 : 31)
		MUST_FOR(o->last[i] == (o->size & 255), i);
}

static struct object *make(uint64_t r)
{
	uint32_t size = (uint32_t)(sizeof(struct object) + (r >> 8) % (r % 32 ? 400 : 20000));
	bool typed = r % 4 == 0;
	struct object *o;

	if (typed)
		o = kmem_cache_alloc(cache, GFP_ATOMIC);
	else if (r % 4 == 1)
		o = kmalloc_nolock(size, 0, NUMA_NO_NODE);
	else
		o = kmalloc(size, GFP_ATOMIC);
	MUST_FOR(o, size);
	sign(o, typed ? 160 : size, typed);
	return o;
}

static void drop(struct object *o, uint64_t r)
{
	if (!o)
		return;
	check(o);
	o->token = 0;
	if (o->typed && r % 2)
		kmem_cache_free(cache, o);
	else if (o->size < 4096 && r % 4 == 2)
		kfree_nolock(o);
	else
		kfree(o);
}

static void bulk(void)
{
	void *p[20];

	MUST(kmem_cache_alloc_bulk(cache, GFP_ATOMIC, 20, p));
	for (int i = 0; i < 20; i++)
		sign(p[i], 160, true);
	for (int i = 0; i < 20; i++)
		check(p[i]);
	kmem_cache_free_bulk(cache, 20, p);
}

static struct object *resize(struct object *o, uint64_t r)
{
	uint32_t size = (uint32_t)(sizeof(*o) + r % 3000);

	check(o);
	o = krealloc(o, size, GFP_ATOMIC);
	MUST_FOR(o, size);
	sign(o, size, false);
	return o;
}

static void step(uint64_t *random)
{
	uint64_t r = next_random(random);
	_Atomic(struct object *) *slot = &table[(r >> 40) % TABLE];
	struct object *o = atomic_exchange(slot, NULL);

	if (o && !o->typed && r % 8 == 0)
		o = resize(o, r >> 8);
	else if (o) {
		drop(o, r >> 8);
		o = NULL;
	} else
		o = make(r >> 8);
	drop(atomic_exchange(slot, o), r >> 16);
	if (r % 32 == 7)
		bulk();
}

static void on_tick(int signal)
{
	int saved = errno;

	(void)signal;
	for (int i = 0; i < 4; i++)
		step(&handler_random);
	atomic_fetch_add(&in_handler, 1);
	errno = saved;
}

static timer_t tick_here(void)
{
	struct itimerspec period = { { 0, PERIOD_NS }, { 0, PERIOD_NS } };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	MUST(timer_settime(timer, 0, &period, NULL) == 0);
	return timer;
}

static void *work(void *number)
{
	timer_t timer;

	thread_random = random_seed((uintptr_t)number);
	handler_random = random_seed((uintptr_t)number + 100);
	timer = tick_here();
	while (!stopped()) {
		step(&thread_random);
		step_done();
	}
	timer_delete(timer);
	return NULL;
}

/* Sheaves are taken away under the handlers' hands. */
static void watch(void)
{
	kmem_cache_shrink(cache);
	stele_trim(1 << 20);
}

int main(int argc, char **argv)
{
	double seconds = seconds_asked(argc, argv);
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };

	alarm((unsigned)seconds * 4 + 50);
	cache = kmem_cache_create("signals", 160, NULL, SLAB_NO_MERGE);
	MUST(cache && sigaction(SIGRTMIN, &action, NULL) == 0);
	run_for(seconds, THREADS, work, watch);
	for (int i = 0; i < TABLE; i++)
		drop(table[i], 1);
	printf("%lu signals\n", in_handler);
	MUST(in_handler > 0);
	MUST(kmem_cache_shrink(cache) == 0);
	kmem_cache_destroy(cache);
	return finish(1 << 20);
}
