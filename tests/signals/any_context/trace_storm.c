/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/trace_storm.c - callbacks that allocate, at every event, under a storm
 *
 * Idea      Four threads, each with a timer of its own at 2.5 kHz, allocate and free. The handlers and
 *           two callbacks do the same. The callbacks run at every event; one is registered with
 *           STELE_TRACE_NESTED. They come and go meanwhile, and sheaves are taken away. Each
 *           block is signed and checked: an object given out twice has a wrong sign.
 * Argument  seconds to run.
 */
#include "../../stress/stress.h"
#include <errno.h>
#include <signal.h>
#include <stele/page.h>
#include <stele/trace.h>

#define THREADS 4
#define TABLE 512
/* An emulator or a sanitizer takes longer for a handler, with callbacks in each other, than others
 * for a period. */
#ifdef __SANITIZE_THREAD__
#define SLOWNESS 100
#else
#define SLOWNESS (STELE_TEST_EMULATED ? 20 : 2)
#endif
#define PERIOD_NS (SLOWNESS * 200000)

struct object {
	uint64_t sign;
	uint32_t size;
	bool typed;
	unsigned char last[];
};

/* One table for threads and handlers, one for the callbacks. */
static _Atomic(struct object *) table[TABLE], in_callbacks[TABLE];
static struct kmem_cache *cache;
static atomic_ulong handled, called, called_deep, events_seen[16];
static __thread uint64_t thread_random, handler_random, callback_random;
static __thread volatile int depth;

static uint64_t sign_of(const struct object *o)
{
	return (uintptr_t)o * 31 + o->size;
}

static struct object *sign(struct object *o, uint32_t size, bool typed)
{
	o->size = size;
	o->typed = typed;
	o->sign = sign_of(o);
	memset(o->last, (int)(size & 255), size - sizeof(*o));
	return o;
}

static void check(const struct object *o)
{
	MUST(o->sign == sign_of(o));
	for (size_t i = 0; i < o->size - sizeof(*o); i += i < 64 ? 1 : 31)
		MUST_FOR(o->last[i] == (o->size & 255), i);
}

static void drop(struct object *o, bool nolock)
{
	if (!o)
		return;
	check(o);
	o->sign = 0;
	if (o->typed)
		kmem_cache_free(cache, o);
	else if (nolock)
		kfree_nolock(o);
	else
		kfree(o);
}

/* ---- what the callbacks do ---- */

static void allocate_again(uint64_t *random)
{
	uint64_t r = next_random(random);
	uint32_t size = (uint32_t)(sizeof(struct object) + (r >> 8) % (r % 16 ? 300 : 6000));
	struct object *o = kmalloc_nolock(size, 0, NUMA_NO_NODE);

	MUST_FOR(o, size);
	drop(atomic_exchange(&in_callbacks[(r >> 40) % TABLE], sign(o, size, false)), true);
}

static void on_event(const struct stele_trace_event *event, void *arg)
{
	atomic_ulong *count = arg;
	int saved = depth++;

	MUST_FOR(saved < STELE_TRACE_DEPTH, saved);
	MUST(stele_trace_name(event->event));
	atomic_fetch_add(&events_seen[__builtin_ctz(event->event)], 1);
	if (!callback_random)
		callback_random = random_seed((uintptr_t)&callback_random);
	allocate_again(&callback_random);
	atomic_fetch_add(count, 1);
	depth = saved;
}

/* ---- threads and handlers ---- */

static struct object *make(uint64_t r)
{
	uint32_t size = (uint32_t)(sizeof(struct object) + (r >> 8) % (r % 32 ? 400 : 40000));
	struct object *o;

	if (r % 4 == 0)
		o = kmem_cache_alloc(cache, GFP_ATOMIC);
	else
		o = kmalloc(size, GFP_ATOMIC);
	MUST_FOR(o, size);
	return sign(o, r % 4 == 0 ? 160 : size, r % 4 == 0);
}

#define BULK 400 /* more than the sheaves of a slot: these come from the barn and go there */

static void bulk(size_t n)
{
	void *p[BULK];

	MUST(kmem_cache_alloc_bulk(cache, GFP_ATOMIC, n, p));
	for (size_t i = 0; i < n; i++)
		sign(p[i], 160, true);
	for (size_t i = 0; i < n; i++)
		check(p[i]);
	kmem_cache_free_bulk(cache, n, p);
}

static void step(uint64_t *random)
{
	uint64_t r = next_random(random);
	_Atomic(struct object *) *slot = &table[(r >> 40) % TABLE];
	struct object *o = atomic_exchange(slot, NULL);

	if (!o)
		o = make(r >> 8);
	else {
		drop(o, false);
		o = NULL;
	}
	drop(atomic_exchange(slot, o), false);
	if (r % 32 == 7)
		bulk(r % 512 == 7 ? BULK : 20);
}

static void on_tick(int signal)
{
	int saved = errno;

	(void)signal;
	/* A handler that takes longer than a tick is interrupted for ever; at the end it must not
	 * be. */
	for (int i = 0; i < 4 && !atomic_load(&stop); i++)
		step(&handler_random);
	atomic_fetch_add(&handled, 1);
	errno = saved;
}

static void *work(void *number)
{
	timer_t timer = timer_here(SIGRTMIN);

	thread_random = random_seed((uintptr_t)number);
	handler_random = random_seed((uintptr_t)number + 100);
	timer_set(timer, PERIOD_NS, PERIOD_NS);
	while (!stopped()) {
		step(&thread_random);
		step_done();
	}
	timer_delete(timer);
	return NULL;
}

/* The callbacks go and come back; sheaves are taken away under everybody's hands. */
static void watch(void)
{
	static int turn;

	if (turn++ % 2) {
		MUST(stele_trace_unregister(on_event, &called) == 0);
		MUST(stele_trace_register(STELE_TRACE_ALL, on_event, &called) == 0);
	} else {
		MUST(stele_trace_unregister(on_event, &called_deep) == 0);
		kmem_cache_shrink(cache);
		stele_trim(1 << 20);
		MUST(stele_trace_register(STELE_TRACE_ALL | STELE_TRACE_NESTED, on_event,
					  &called_deep) == 0);
	}
}

static void every_event_was_seen(void)
{
	for (unsigned i = 0; STELE_TRACE_ALL >> i; i++) {
		printf("%s %lu\n", stele_trace_name(1u << i), events_seen[i]);
		MUST_FOR(events_seen[i], i);
	}
}

/* The machine may be busy: an event that threads cause in each other's way may then take several. */
#define TRIES 10

static bool stormed(void)
{
	bool all = handled > 0 && called > 0 && called_deep > called;

	for (unsigned i = 0; STELE_TRACE_ALL >> i; i++)
		all &= events_seen[i] > 0;
	return all;
}

int main(int argc, char **argv)
{
	double seconds = seconds_asked(argc, argv);
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };

	alarm((unsigned)seconds * (TRIES + 1) + 50);
	cache = kmem_cache_create("storm", 160, NULL, SLAB_NO_MERGE);
	MUST(cache && sigaction(SIGRTMIN, &action, NULL) == 0);
	MUST(stele_trace_register(STELE_TRACE_ALL, on_event, &called) == 0);
	MUST(stele_trace_register(STELE_TRACE_ALL | STELE_TRACE_NESTED, on_event, &called_deep) ==
	     0);
	for (int i = 0; i < TRIES && !stormed(); i++) {
		atomic_store(&stop, false);
		run_for(seconds, THREADS, work, watch);
	}
	MUST(stele_trace_unregister(on_event, &called) == 0);
	MUST(stele_trace_unregister(on_event, &called_deep) == 0);
	for (int i = 0; i < TABLE; i++) {
		drop(table[i], false);
		drop(in_callbacks[i], true);
	}
	printf("%lu signals, %lu and %lu callbacks\n", handled, called, called_deep);
	MUST(stormed());
	every_event_was_seen();
	MUST(kmem_cache_shrink(cache) == 0);
	kmem_cache_destroy(cache);
	return finish(1 << 20);
}
