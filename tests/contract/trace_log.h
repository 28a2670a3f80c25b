/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/trace_log.h - what the tests of <stele/trace.h> share: a log of events, and counts
 * of them
 *
 * Idea      listen() logs each event; expect() takes the next one, and expect_no_more() says that
 *           there is no other. count() is a callback that adds events up, from many threads.
 * Included  by one file of a program.
 */
#ifndef STELE_TESTS_CONTRACT_TRACE_LOG_H
#define STELE_TESTS_CONTRACT_TRACE_LOG_H

#include "contract.h"

#include <stdatomic.h>

#include <stele/trace.h>

#define LOG_MAX 128
#define OBJECTS                                                                                    \
	(STELE_TRACE_KMALLOC | STELE_TRACE_KFREE | STELE_TRACE_KMEM_CACHE_ALLOC |                  \
	 STELE_TRACE_KMEM_CACHE_FREE)
#define PAGES (STELE_TRACE_MM_PAGE_ALLOC | STELE_TRACE_MM_PAGE_FREE)

static struct log {
	unsigned n;
	struct stele_trace_event event[LOG_MAX];
} seen;

static inline void record(const struct stele_trace_event *event, void *arg)
{
	struct log *log = arg;

	if (log->n < LOG_MAX)
		log->event[log->n] = *event;
	log->n++;
}

static inline void listen(unsigned events)
{
	seen.n = 0;
	assert_int_equal(stele_trace_register(events, record, &seen), 0);
}

static inline void stop(void)
{
	assert_int_equal(stele_trace_unregister(record, &seen), 0);
}

/* The next event in order; they are forgotten by forget(). */
static unsigned next;

static inline void forget(void)
{
	next = seen.n = 0;
}

static const struct stele_trace_event *expect(unsigned event, const void *ptr)
{
	const struct stele_trace_event *e = &seen.event[next];

	if (next >= seen.n)
		fail_msg("no %s", stele_trace_name(event));
	next++;
	if (e->event != event)
		fail_msg("%s, not %s", stele_trace_name(e->event), stele_trace_name(event));
	assert_ptr_equal(e->ptr, ptr);
	return e;
}

static inline void expect_no_more(void)
{
	if (next != seen.n)
		fail_msg("%u events, not %u; the next is %s", seen.n, next,
			 stele_trace_name(seen.event[next].event));
	forget();
}

static inline void expect_alloc(unsigned event, const void *ptr, size_t req, size_t alloc,
				gfp_t gfp, int node)
{
	const struct stele_trace_event *e = expect(event, ptr);

	assert_int_equal(e->bytes_req, req);
	assert_int_equal(e->bytes_alloc, alloc);
	assert_int_equal(e->gfp_flags, gfp);
	assert_int_equal(e->node, node);
	assert_non_null(e->call_site);
}

static inline void expect_kfree(const void *p)
{
	assert_non_null(expect(STELE_TRACE_KFREE, p)->call_site);
}

/* ---- how often it happened ---- */

struct counts {
	atomic_ulong events[16];
	atomic_ulong objects[16];
	atomic_ulong bytes[16];
	atomic_ulong nested; /* allocations made in callbacks */
};

static inline unsigned number_of(unsigned event)
{
	return (unsigned)__builtin_ctz(event);
}

static inline void count(const struct stele_trace_event *event, void *arg)
{
	struct counts *c = arg;
	unsigned i = number_of(event->event);

	atomic_fetch_add(&c->events[i], 1);
	atomic_fetch_add(&c->objects[i], event->objects);
	atomic_fetch_add(&c->bytes[i], event->bytes_alloc);
}

#define EVENTS(c, kind) ((c)->events[__builtin_ctz(STELE_TRACE_##kind)])
#define OBJECTS_OF(c, kind) ((c)->objects[__builtin_ctz(STELE_TRACE_##kind)])
#define BYTES_OF(c, kind) ((c)->bytes[__builtin_ctz(STELE_TRACE_##kind)])

#endif
