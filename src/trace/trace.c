/* SPDX-License-Identifier: MIT */
/*
 * trace/trace.c - the table of callbacks
 *
 * Idea      Eight places, read by every event, changed under a lock. An event asks each place
 *           (trace/entry.h). A word of the thread says which callbacks it is in: the depth, and
 *           for each place how often, so that a callback's own events can be told from others,
 *           and the child of a fork knows which calls came with it.
 * Objects   table. Under the lock: fn of a place, whose NULL says that it is free.
 * Order     TRACE, MUTEX.
 * Context   stele_trace_call(): any, errno kept. Registering: ordinary threads.
 * Failure   an error code. From a callback -EDEADLK: a removal would wait for its own caller.
 * Tests     tests/contract/test_trace.c
 */
#include "trace/trace.h"
#include "os/os.h"
#include "percpu/percpu.h"
#include "percpu/system.h"
#include "sync/held.h"
#include "sync/mutex.h"
#include "trace/entry.h"
#include <errno.h>

_Atomic uint32_t stele_trace_wanted;

static struct stele_mutex lock = STELE_MUTEX(TRACE);
static struct trace_entry table[STELE_TRACE_MAX];

/* The thread's word: three bits for each place, the depth above them. */
#define PLACE_BITS 3
#define DEPTH_SHIFT 24
_Static_assert(STELE_TRACE_MAX *PLACE_BITS <= DEPTH_SHIFT, "a count for each place");
_Static_assert(STELE_TRACE_DEPTH < 1 << PLACE_BITS, "a count holds the deepest");

static uint32_t in_callbacks(unsigned place)
{
	return 1u << DEPTH_SHIFT | 1u << place * PLACE_BITS;
}

static unsigned depth(void)
{
	return *stele_thread_trace() >> DEPTH_SHIFT;
}

/* ---- an event ---- */

/* A callback may do what a handler may. */
static STELE_NEVER_WAITS void call_place(unsigned place, const struct stele_trace_event *event)
{
	struct trace_entry *entry = &table[place];
	volatile uint32_t *mine = stele_thread_trace();

	/* A handler in between leaves the word as it found it. */
	*mine += in_callbacks(place);
	fence_compiler();
	if (trace_enter(entry, event->event))
		entry->fn(event, entry->arg);
	if (trace_leave(entry))
		stele_os_futex_wake(&entry->running, INT32_MAX);
	fence_compiler();
	*mine -= in_callbacks(place);
}

void stele_trace_call(const struct stele_trace_event *event)
{
	uint32_t needed = event->event;
	int saved = errno;

	if (depth() >= STELE_TRACE_DEPTH)
		return;
	if (depth())
		needed |= STELE_TRACE_NESTED;
	for (unsigned place = 0; place < STELE_TRACE_MAX; place++)
		if ((load_relaxed(&table[place].wanted) & needed) == needed)
			call_place(place, event);
	errno = saved;
}

void stele_trace_of_cache(uint32_t event, const void *ptr, const char *name, unsigned objects,
			  size_t bytes)
{
	stele_trace_call(&(const struct stele_trace_event){ .event = event,
							    .ptr = ptr,
							    .name = name,
							    .objects = objects,
							    .bytes_alloc = bytes });
}

/* ---- changing the table, under the lock ---- */

static int find(stele_trace_fn fn, void *arg)
{
	for (int place = 0; place < STELE_TRACE_MAX; place++)
		if (table[place].fn == fn && table[place].arg == arg)
			return place;
	return -1;
}

/* What is asked for by anyone, and whether the fast paths may be used. */
static void apply(void)
{
	uint32_t all = 0;

	for (unsigned place = 0; place < STELE_TRACE_MAX; place++)
		all |= load_relaxed(&table[place].wanted);
	store_relaxed(&stele_trace_wanted, all & STELE_TRACE_ALL);
	stele_fast_path(!(all & TRACE_FAST));
}

static int add(unsigned int events, stele_trace_fn fn, void *arg)
{
	int place = find(NULL, NULL);

	if (find(fn, arg) >= 0)
		return -EEXIST;
	if (place < 0)
		return -ENOSPC;
	table[place].fn = fn;
	table[place].arg = arg;
	trace_show(&table[place], events);
	apply();
	return 0;
}

static void wait_for_calls(struct trace_entry *entry)
{
	uint32_t running;

	while ((running = trace_running(entry)) != 0)
		stele_os_futex_wait(&entry->running, running);
}

static void forget(struct trace_entry *entry)
{
	entry->arg = NULL;
	entry->fn = NULL;
}

int stele_trace_register(unsigned int events, stele_trace_fn fn, void *arg)
{
	int error;

	if (!fn || !(events & STELE_TRACE_ALL) || events & ~(STELE_TRACE_ALL | STELE_TRACE_NESTED))
		return -EINVAL;
	if (depth())
		return -EDEADLK;
	error = stele_lock(&lock);
	if (error)
		return error;
	error = add(events, fn, arg);
	stele_unlock(&lock);
	return error;
}

int stele_trace_unregister(stele_trace_fn fn, void *arg)
{
	int place, error;

	if (depth())
		return -EDEADLK;
	error = stele_lock(&lock);
	if (error)
		return error;
	place = fn ? find(fn, arg) : -1;
	if (place >= 0) {
		trace_hide(&table[place]);
		apply();
		wait_for_calls(&table[place]);
		forget(&table[place]);
	}
	stele_unlock(&lock);
	return place < 0 ? -ENOENT : 0;
}

const char *stele_trace_name(unsigned int event)
{
	static const char *const names[] = {
		"kmem:kmalloc",		"kmem:kfree",	      "kmem:kmem_cache_alloc",
		"kmem:kmem_cache_free", "kmem:mm_page_alloc", "kmem:mm_page_free",
		"kmem:sheaf_refill",	"kmem:sheaf_flush",   "kmem:barn_get",
		"kmem:barn_put",	"kmem:slab_new",      "kmem:slab_free",
	};

	_Static_assert(STELE_TRACE_ALL == (1u << STELE_ARRAY_SIZE(names)) - 1, "a name for each");
	return stele_is_pow2(event) && event & STELE_TRACE_ALL ? names[stele_ilog2(event)] : NULL;
}

void stele_trace_after_fork(void)
{
	uint32_t mine = *stele_thread_trace();

	for (unsigned place = 0; place < STELE_TRACE_MAX; place++)
		store_relaxed(&table[place].running,
			      mine >> place * PLACE_BITS & ((1u << PLACE_BITS) - 1));
	if (!stele_mutex_after_fork(&lock))
		return; /* a handler of this thread forked: it goes back into the change */
	for (unsigned place = 0; place < STELE_TRACE_MAX; place++)
		if (!load_relaxed(&table[place].wanted))
			forget(&table[place]); /* who added or removed it is gone */
	apply();
}
