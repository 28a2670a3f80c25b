/* SPDX-License-Identifier: MIT */
/*
 * trace/trace.c - the table of callbacks
 *
 * Idea      Eight places, read by every event, changed under a lock. An event asks each place
 *           (trace/entry.h). A thread that is in a callback has a record, in which it counts its
 *           calls. The records tell its own events from those of others, tell the child of a fork
 *           which calls came with it, and show the calls that a dead thread has left.
 * Objects   table. records: found by the thread's number, taken for the outermost call.
 * Order     TRACE, MUTEX.
 * Leaving   All signals are held back from before the record is taken until it is given back, in
 *           the callback as well: no handler can leave the call and its count behind.
 * Context   stele_trace_call(): any, errno kept. Registering: ordinary threads; a removal waits
 *           without the lock, and with signals let in.
 * Failure   an error code. From a callback -EDEADLK: a removal would wait for its own caller.
 *           With more threads in callbacks at a time than there are records an event is lost.
 * Promise   contract 40 (docs/contract.md)
 * Tests     tests/contract/test_trace.c, tests/contract/test_trace_left.c
 */
#include "trace/trace.h"
#include "base/basics.h"
#include "os/os.h"
#include "percpu/percpu.h"
#include "percpu/system.h"
#include "sync/mutex.h"
#include "sync/ranks.h"
#include "trace/entry.h"
#include <errno.h>

#define RECORDS 1024u
#define FUTEX_HALF (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) /* the counts */

_Atomic uint32_t stele_trace_wanted;

static struct stele_mutex lock = STELE_MUTEX(TRACE);
static struct trace_entry table[STELE_TRACE_MAX];
static trace_record_t records[RECORDS];

/* ---- records; the thread's word is the number of its own plus 1, or 0 ---- */

/*
 * The record of this thread, or NULL: it is in no callback. A child of vfork() shares the word with
 * its parent, and may have been killed in a callback. The record then names the child, not the
 * parent.
 */
static trace_record_t *own_record(void)
{
	uint32_t number = *stele_thread_trace();
	trace_record_t *record = number ? &records[number - 1] : NULL;

	return record && trace_thread(load_relaxed(record)) == stele_os_thread() ? record : NULL;
}

static unsigned callback_depth(void)
{
	const trace_record_t *record = own_record();

	return record ? trace_depth(load_relaxed(record)) : 0;
}

/* True: @record was of a thread that is gone. */
static bool clear_if_gone(trace_record_t *record)
{
	uint64_t word = load_relaxed(record);

	return word && stele_os_thread_is_gone(trace_thread(word)) && cas_relaxed(record, &word, 0);
}

static trace_record_t *find_free_record(uint64_t mine, bool clear)
{
	for (unsigned i = 0; i < RECORDS; i++) {
		trace_record_t *record = &records[(trace_thread(mine) + i) % RECORDS];
		uint64_t none = 0;

		if (clear)
			clear_if_gone(record);
		if (!load_relaxed(record) && cas_relaxed(record, &none, mine))
			return record;
	}
	return NULL;
}

static trace_record_t *take_record(void)
{
	uint64_t mine = trace_new_record(stele_os_thread());
	trace_record_t *record = find_free_record(mine, false);

	return record ? record : find_free_record(mine, true);
}

/* ---- an event ---- */

/* A callback may do what a handler may. */
static STELE_NEVER_WAITS void call_place(trace_record_t *record, unsigned place, uint32_t needed,
					 const struct stele_trace_event *event)
{
	struct trace_entry *entry = &table[place];

	if (!trace_enter(record, entry, place, needed))
		return;
	entry->fn(event, entry->arg);
	if (trace_leave(record, entry, place))
		stele_os_futex_wake((_Atomic uint32_t *)record + FUTEX_HALF, INT32_MAX);
}

static bool is_wanted(unsigned place, uint32_t needed)
{
	return (load_relaxed(&table[place].wanted) & needed) == needed;
}

static void call_places(trace_record_t *record, uint32_t needed,
			const struct stele_trace_event *event)
{
	for (unsigned place = 0; place < STELE_TRACE_MAX; place++)
		if (is_wanted(place, needed))
			call_place(record, place, needed, event);
}

/* In a callback, with signals held back: its own events. */
static void call_nested(trace_record_t *record, const struct stele_trace_event *event)
{
	if (trace_depth(load_relaxed(record)) < STELE_TRACE_DEPTH)
		call_places(record, event->event | STELE_TRACE_NESTED, event);
}

static void call_outermost(const struct stele_trace_event *event)
{
	uint32_t *number = stele_thread_trace(), before;
	uint64_t signals = stele_os_signals_hold();
	trace_record_t *record = take_record();

	if (record) {
		before = *number;
		*number = (uint32_t)(record - records) + 1;
		call_places(record, event->event, event);
		*number = before;
		/* ORDER(TRACE) release: as leaving, for the thread that takes the record. */
		store_release(record, 0);
	}
	stele_os_signals_release(signals);
}

void stele_trace_call(const struct stele_trace_event *event)
{
	trace_record_t *record;
	int saved = errno;

	record = own_record();
	if (record)
		call_nested(record, event);
	else
		call_outermost(event);
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

static int find_shown(stele_trace_fn fn, void *arg)
{
	for (int place = 0; place < STELE_TRACE_MAX; place++)
		if (load_relaxed(&table[place].wanted) && table[place].fn == fn &&
		    table[place].arg == arg)
			return place;
	return -1;
}

/* A place that is hidden and that no thread is in. No thread comes in later, as it stays hidden. */
static int find_free(void)
{
	for (int place = 0; place < STELE_TRACE_MAX; place++) {
		unsigned i = 0;

		if (load_relaxed(&table[place].wanted))
			continue;
		while (i < RECORDS && !trace_is_inside(trace_call_off(&records[i], (unsigned)place),
						       (unsigned)place))
			i++;
		if (i == RECORDS)
			return place;
	}
	return -1;
}

/* Replaces the bits of @mask. Callers with other masks may do so at the same time. */
static uint32_t replace_wanted(uint32_t mask, uint32_t bits)
{
	uint32_t word = load_relaxed(&stele_trace_wanted), new;

	do
		new = (word & ~mask) | bits;
	while (!cas_relaxed(&stele_trace_wanted, &word, new));
	return new;
}

void stele_trace_watch(uint32_t on, uint32_t off)
{
	bool open;

	/* Another thread may change other bits meanwhile: the last one to look is right. */
	do {
		open = !(replace_wanted(on | off, on) & WATCH_ALL);
		stele_fast_path(FAST_WATCH, open);
	} while (open == !!(load_relaxed(&stele_trace_wanted) & WATCH_ALL));
}

/* Adds up the events that any place asks for, and opens or closes the fast paths. */
static void apply(void)
{
	uint32_t all = 0;

	for (unsigned place = 0; place < STELE_TRACE_MAX; place++)
		all |= load_relaxed(&table[place].wanted);
	replace_wanted(STELE_TRACE_ALL, all & STELE_TRACE_ALL);
	stele_fast_path(FAST_TRACE, !(all & TRACE_FAST));
}

static int add(unsigned int events, stele_trace_fn fn, void *arg)
{
	int place = find_free();

	if (find_shown(fn, arg) >= 0)
		return -EEXIST;
	if (place < 0)
		return -ENOSPC;
	table[place].fn = fn;
	table[place].arg = arg;
	trace_show(&table[place], events);
	apply();
	return 0;
}

#define LOOK_MS 50 /* how long a removal sleeps before it looks whether the thread still lives */

/* Until the calls of @place that are under way in @record are over, or their thread is gone. */
static void wait_for_record(trace_record_t *record, unsigned place)
{
	uint64_t word = trace_call_off(record, place);
	uint32_t thread = trace_thread(word);

	while (trace_is_inside(word, place) && trace_thread(word) == thread) {
		stele_os_futex_wait_ms((_Atomic uint32_t *)record + FUTEX_HALF, (uint32_t)word,
				       LOOK_MS);
		/* ORDER(TRACE) sequentially consistent, as in trace_call_off(). */
		if (load_seq(record) == word)
			clear_if_gone(record);
		word = load_seq(record);
	}
}

static void wait_for_calls(unsigned place)
{
	for (unsigned i = 0; i < RECORDS; i++)
		wait_for_record(&records[i], place);
}

int stele_trace_register(unsigned int events, stele_trace_fn fn, void *arg)
{
	int error;

	if (!fn || !(events & STELE_TRACE_ALL) || events & ~(STELE_TRACE_ALL | STELE_TRACE_NESTED))
		return -EINVAL;
	if (callback_depth())
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

	if (callback_depth())
		return -EDEADLK;
	error = stele_lock(&lock);
	if (error)
		return error;
	place = fn ? find_shown(fn, arg) : -1;
	if (place >= 0) {
		trace_hide(&table[place]);
		apply();
	}
	stele_unlock(&lock);
	if (place < 0)
		return -ENOENT;
	wait_for_calls((unsigned)place);
	return 0;
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

/* This thread's own record stays, under the number that the thread has now. */
void stele_trace_after_fork(void)
{
	uint32_t number = *stele_thread_trace();

	for (uint32_t i = 0; i < RECORDS; i++) {
		uint64_t word = load_relaxed(&records[i]);

		if (word)
			store_relaxed(&records[i],
				      i + 1 == number
					      ? trace_new_record(stele_os_thread()) | (uint32_t)word
					      : 0);
	}
	if (stele_mutex_after_fork(&lock))
		apply(); /* the thread that changed the table is gone */
}
