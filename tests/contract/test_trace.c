/* SPDX-License-Identifier: MIT */
/*
 * Contract of <stele/trace.h>: every call has its event, once, with what the kernel's has; what a
 * callback may do; when it ends; what is left when nobody is registered.
 */
#include "contract.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <stele/page.h>
#include <stele/trace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "percpu/percpu.h"
#include "percpu/system.h"

#define LOG_MAX 128
#define OBJECTS                                                                                    \
	(STELE_TRACE_KMALLOC | STELE_TRACE_KFREE | STELE_TRACE_KMEM_CACHE_ALLOC |                  \
	 STELE_TRACE_KMEM_CACHE_FREE)
#define PAGES (STELE_TRACE_MM_PAGE_ALLOC | STELE_TRACE_MM_PAGE_FREE)

/* ---- what happened ---- */

static struct log {
	unsigned n;
	struct stele_trace_event event[LOG_MAX];
} seen;

static void record(const struct stele_trace_event *event, void *arg)
{
	struct log *log = arg;

	if (log->n < LOG_MAX)
		log->event[log->n] = *event;
	log->n++;
}

static void listen(unsigned events)
{
	seen.n = 0;
	assert_int_equal(stele_trace_register(events, record, &seen), 0);
}

static void stop(void)
{
	assert_int_equal(stele_trace_unregister(record, &seen), 0);
}

/* The next event in order; they are forgotten by forget(). */
static unsigned next;

static void forget(void)
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

static void expect_no_more(void)
{
	if (next != seen.n)
		fail_msg("%u events, not %u; the next is %s", seen.n, next,
			 stele_trace_name(seen.event[next].event));
	forget();
}

static void expect_alloc(unsigned event, const void *ptr, size_t req, size_t alloc, gfp_t gfp,
			 int node)
{
	const struct stele_trace_event *e = expect(event, ptr);

	assert_int_equal(e->bytes_req, req);
	assert_int_equal(e->bytes_alloc, alloc);
	assert_int_equal(e->gfp_flags, gfp);
	assert_int_equal(e->node, node);
	assert_non_null(e->call_site);
}

static void expect_kfree(const void *p)
{
	assert_non_null(expect(STELE_TRACE_KFREE, p)->call_site);
}

/* ---- each call, once ---- */

static void kmalloc_and_kfree_say_what_the_kernel_says(void **state)
{
	void *p;

	(void)state;
	listen(OBJECTS);
	forget();
	/* Twice: once past an empty sheaf, once where the fast path would have served. */
	for (int i = 0; i < 2; i++) {
		p = kmalloc(100, GFP_ATOMIC);
		assert_non_null(p);
		expect_alloc(STELE_TRACE_KMALLOC, p, 100, ksize(p), GFP_ATOMIC, NUMA_NO_NODE);
		kfree(p);
		expect_kfree(p);
		expect_no_more();
	}
	stop();
}

static void every_call_by_size_is_one_event(void **state)
{
	void *p, *q;

	(void)state;
	listen(OBJECTS);
	forget();
	p = kzalloc(24, GFP_KERNEL);
	expect_alloc(STELE_TRACE_KMALLOC, p, 24, 24, GFP_KERNEL | __GFP_ZERO, NUMA_NO_NODE);
	kfree_sensitive(p);
	expect_kfree(p);
	p = kmalloc_node(3000, GFP_KERNEL, 0);
	expect_alloc(STELE_TRACE_KMALLOC, p, 3000, 3072, GFP_KERNEL, 0);
	kvfree(p);
	expect_kfree(p);
	p = kmalloc_nolock(40, __GFP_ZERO, NUMA_NO_NODE);
	expect_alloc(STELE_TRACE_KMALLOC, p, 40, 48, seen.event[next].gfp_flags, NUMA_NO_NODE);
	kfree_nolock(p);
	expect_kfree(p);
	p = kvmalloc(100, GFP_KERNEL);
	expect_alloc(STELE_TRACE_KMALLOC, p, 100, 112, GFP_KERNEL, NUMA_NO_NODE);
	kvfree_sensitive(p, 100);
	expect_kfree(p);
	p = kmalloc(10, GFP_KERNEL);
	q = krealloc(p, 200, GFP_ATOMIC);
	expect_alloc(STELE_TRACE_KMALLOC, p, 10, 16, GFP_KERNEL, NUMA_NO_NODE);
	expect_alloc(STELE_TRACE_KMALLOC, q, 200, 208, GFP_ATOMIC, NUMA_NO_NODE);
	expect_kfree(p);
	assert_ptr_equal(krealloc(q, 201, GFP_ATOMIC), q);
	assert_ptr_equal(krealloc(q, 0, GFP_ATOMIC), ZERO_SIZE_PTR);
	expect_kfree(q);
	expect_no_more();
	stop();
}

static void own_buckets_are_events_by_size(void **state)
{
	kmem_buckets *b = kmem_buckets_create("traced", 0, 0, 0, NULL);
	void *p, *q;

	(void)state;
	assert_non_null(b);
	listen(OBJECTS);
	forget();
	p = kmem_buckets_alloc(b, 100, GFP_ATOMIC);
	expect_alloc(STELE_TRACE_KMALLOC, p, 100, 128, GFP_ATOMIC, NUMA_NO_NODE);
	q = kmem_buckets_valloc(b, 100000, GFP_KERNEL);
	expect_alloc(STELE_TRACE_KMALLOC, q, 100000, ksize(q), GFP_KERNEL, NUMA_NO_NODE);
	kfree(p);
	expect_kfree(p);
	kvfree(q);
	expect_kfree(q);
	expect_no_more();
	stop();
	kmem_buckets_destroy(b);
}

static void every_call_for_a_cache_is_one_event(void **state)
{
	struct kmem_cache *s = kmem_cache_create("traced", 100, NULL, SLAB_NO_MERGE);
	void *p;

	(void)state;
	listen(OBJECTS);
	forget();
	p = kmem_cache_alloc(s, GFP_ATOMIC);
	expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, p, 100, 104, GFP_ATOMIC, NUMA_NO_NODE);
	assert_string_equal(seen.event[0].name, "traced");
	kmem_cache_free(s, p);
	assert_string_equal(expect(STELE_TRACE_KMEM_CACHE_FREE, p)->name, "traced");
	p = kmem_cache_alloc_node(s, GFP_KERNEL, 0);
	expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, p, 100, 104, GFP_KERNEL, 0);
	kfree(p);
	expect_kfree(p);
	assert_null(kmem_cache_alloc_node(s, __GFP_THISNODE, 1000));
	expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, NULL, 100, 104, __GFP_THISNODE, 1000);
	p = kmem_cache_zalloc(s, GFP_KERNEL);
	expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, p, 100, 104, GFP_KERNEL | __GFP_ZERO,
		     NUMA_NO_NODE);
	kmem_cache_free(s, p);
	expect(STELE_TRACE_KMEM_CACHE_FREE, p);
	expect_no_more();
	stop();
	kmem_cache_destroy(s);
}

static void bulk_is_one_event_for_each_object(void **state)
{
	struct kmem_cache *s = kmem_cache_create("traced", 64, NULL, SLAB_NO_MERGE);
	void *p[40];

	(void)state;
	listen(OBJECTS);
	forget();
	assert_true(kmem_cache_alloc_bulk(s, GFP_KERNEL, 40, p));
	for (int i = 0; i < 40; i++)
		expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, p[i], 64, 64, GFP_KERNEL, NUMA_NO_NODE);
	kmem_cache_free_bulk(s, 20, p);
	kfree_bulk(20, p + 20);
	for (int i = 0; i < 20; i++)
		expect(STELE_TRACE_KMEM_CACHE_FREE, p[i]);
	for (int i = 20; i < 40; i++)
		expect_kfree(p[i]);
	expect_no_more();
	stop();
	kmem_cache_destroy(s);
}

static void a_users_sheaf_reports_each_object_taken_from_it(void **state)
{
	struct kmem_cache *s = kmem_cache_create("traced", 64, NULL, SLAB_NO_MERGE);
	struct slab_sheaf *sheaf;
	void *p;

	(void)state;
	listen(OBJECTS);
	forget();
	sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 10);
	expect_no_more();
	p = kmem_cache_alloc_from_sheaf(s, GFP_ATOMIC, sheaf);
	expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, p, 64, 64, GFP_ATOMIC, NUMA_NO_NODE);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	expect_no_more();
	kmem_cache_free(s, p);
	expect(STELE_TRACE_KMEM_CACHE_FREE, p);
	expect_no_more();
	stop();
	kmem_cache_destroy(s);
}

static void pages_are_reported_with_their_order(void **state)
{
	size_t page = PAGE_SIZE;
	unsigned long address;
	void *p;

	(void)state;
	listen(OBJECTS | PAGES);
	forget();
	address = __get_free_pages(GFP_ATOMIC, 2);
	assert_int_equal(seen.event[0].order, 2);
	assert_int_equal(seen.event[0].bytes_alloc, 4 * page);
	assert_int_equal(seen.event[0].gfp_flags, GFP_ATOMIC);
	expect(STELE_TRACE_MM_PAGE_ALLOC, (void *)address);
	free_pages(address, 2);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_FREE, (void *)address)->order, 2);
	p = kmalloc(300000, GFP_KERNEL);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_ALLOC, p)->gfp_flags, GFP_KERNEL);
	expect_alloc(STELE_TRACE_KMALLOC, p, 300000, ksize(p), GFP_KERNEL, NUMA_NO_NODE);
	kfree(p);
	expect_kfree(p);
	expect(STELE_TRACE_MM_PAGE_FREE, p);
	expect_no_more();
	stop();
}

/* A tracer that pairs addresses must be able to follow a block that grows and moves. */
static void a_large_block_that_changes_is_freed_and_allocated(void **state)
{
	char *p = kvmalloc(3u << 20, GFP_KERNEL), *wall, *q;

	(void)state;
	wall = kvmalloc(3u << 20, GFP_KERNEL);
	listen(OBJECTS | PAGES);
	forget();
	q = kvrealloc(p, 9u << 20, GFP_KERNEL);
	assert_non_null(q);
	assert_ptr_not_equal(q, p);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_ALLOC, q)->bytes_alloc, 9u << 20);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_FREE, p)->bytes_alloc, 3u << 20);
	expect_kfree(p);
	expect_alloc(STELE_TRACE_KMALLOC, q, 9u << 20, 9u << 20, GFP_KERNEL, NUMA_NO_NODE);
	assert_ptr_equal(kvrealloc(q, 5u << 20, GFP_KERNEL), q);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_FREE, q)->bytes_alloc, 9u << 20);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_ALLOC, q)->bytes_alloc, 5u << 20);
	expect_no_more();
	stop();
	kvfree(q);
	kvfree(wall);
}

static void failures_have_no_address_and_nothing_freed_is_no_event(void **state)
{
	struct stderr_text t;
	long other;

	(void)state;
	listen(OBJECTS);
	forget();
	assert_null(kmalloc(opaque((size_t)1 << 40), GFP_KERNEL | __GFP_NOWARN));
	assert_int_equal(expect(STELE_TRACE_KMALLOC, NULL)->bytes_req, (size_t)1 << 40);
	assert_ptr_equal(kmalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	kfree(NULL);
	kfree(ZERO_SIZE_PTR);
	STDERR_OF(&t, kfree(&other));
	expect_no_more();
	stop();
}

/* ---- the caller, and what is still there ---- */

static __attribute__((noinline)) void *call_from_here(void **freed)
{
	void *p = kmalloc(64, GFP_KERNEL);

	kfree(kmalloc(32, GFP_KERNEL));
	*freed = p; /* not a tail call */
	return p;
}

static bool is_in(const void *site, void *function)
{
	return (uintptr_t)site - (uintptr_t)function < 512;
}

static void the_call_site_is_the_callers(void **state)
{
	void *p, *again;

	(void)state;
	listen(OBJECTS);
	forget();
	p = call_from_here(&again);
	assert_int_equal(seen.n, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(is_in(seen.event[i].call_site, (void *)(uintptr_t)call_from_here));
	stop();
	kfree(p);
}

static void look_inside(const struct stele_trace_event *event, void *arg)
{
	if (event->event & (STELE_TRACE_KFREE | STELE_TRACE_KMEM_CACHE_FREE))
		*(unsigned *)arg += *(const volatile unsigned *)event->ptr;
}

static void an_object_is_whole_when_its_free_is_reported(void **state)
{
	unsigned sum = 0, *p = kmalloc(64, GFP_KERNEL);

	(void)state;
	assert_int_equal(stele_trace_register(OBJECTS, look_inside, &sum), 0);
	*p = 77;
	kfree(p);
	assert_int_equal(stele_trace_unregister(look_inside, &sum), 0);
	assert_int_equal(sum, 77);
}

/* ---- the slow paths ---- */

struct counts {
	atomic_ulong events[16];
	atomic_ulong objects[16];
	atomic_ulong bytes[16];
	atomic_ulong nested; /* allocations made in callbacks */
};

static unsigned number_of(unsigned event)
{
	return (unsigned)__builtin_ctz(event);
}

static void count(const struct stele_trace_event *event, void *arg)
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
#define MANY 20000

/* Through every slow path: grow, shrink from the other end, flush. */
static void grow_and_shrink(struct kmem_cache *s)
{
	static void *p[MANY];

	for (int i = 0; i < MANY; i++) {
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		assert_non_null(p[i]);
		memset(p[i], i & 255, 64);
	}
	for (int i = 0; i < MANY; i++) {
		for (int at = 0; at < 64; at++)
			assert_int_equal(((unsigned char *)p[i])[at], i & 255);
		kmem_cache_free(s, p[i]);
	}
}

static void events_of_slow_paths_add_up(void **state)
{
	struct kmem_cache *s = kmem_cache_create("adds_up", 64, NULL, SLAB_NO_MERGE);
	struct counts c = { 0 };

	(void)state;
	assert_int_equal(stele_trace_register(STELE_TRACE_ALL, count, &c), 0);
	grow_and_shrink(s);
	kmem_cache_shrink(s);
	assert_int_equal(stele_trace_unregister(count, &c), 0);
	assert_int_equal(EVENTS(&c, KMEM_CACHE_ALLOC), MANY);
	assert_int_equal(EVENTS(&c, KMEM_CACHE_FREE), MANY);
	assert_int_equal(EVENTS(&c, KMALLOC) + EVENTS(&c, KFREE), 0);
	/* Slabs of objects, and of sheaves. */
	assert_true(EVENTS(&c, SLAB_NEW) > MANY / 512);
	assert_true(OBJECTS_OF(&c, SLAB_NEW) >= MANY);
	assert_true(EVENTS(&c, SLAB_FREE) > 0 && EVENTS(&c, SLAB_FREE) <= EVENTS(&c, SLAB_NEW) + 1);
	assert_int_equal(EVENTS(&c, SLAB_NEW), EVENTS(&c, MM_PAGE_ALLOC));
	assert_int_equal(BYTES_OF(&c, SLAB_NEW), BYTES_OF(&c, MM_PAGE_ALLOC));
	assert_int_equal(BYTES_OF(&c, SLAB_FREE), BYTES_OF(&c, MM_PAGE_FREE));
	/* Nearly all objects came by refills; all that came went back by flushes or alone. */
	assert_true(OBJECTS_OF(&c, SHEAF_REFILL) > MANY / 2);
	assert_true(EVENTS(&c, SHEAF_FLUSH) > 0 && EVENTS(&c, BARN_PUT) > 0);
	kmem_cache_destroy(s);
}

/* The case of the discussion: a probe in the middle of a slow path allocates again. */
static void allocate_again(const struct stele_trace_event *event, void *arg)
{
	static _Thread_local unsigned turn;
	struct counts *c = arg;
	size_t size = 16 + turn++ * 37 % 3000;
	unsigned char *p = kmalloc_nolock(size, 0, NUMA_NO_NODE), *q;

	q = kmalloc_nolock(64, __GFP_ZERO, NUMA_NO_NODE);
	if (p && q && p != q) {
		memset(p, 0xa5, size);
		for (int i = 0; i < 64; i++)
			if (q[i])
				abort();
		memset(q, 0x5a, 64);
		if (p[0] != 0xa5 || p[size - 1] != 0xa5)
			abort();
		atomic_fetch_add(&c->nested, 1);
	}
	kfree_nolock(p);
	kfree_nolock(q);
	count(event, arg);
}

static void a_callback_may_allocate_in_the_middle_of_every_slow_path(void **state)
{
	static const unsigned events[] = {
		STELE_TRACE_SHEAF_REFILL,  STELE_TRACE_SHEAF_FLUSH,  STELE_TRACE_BARN_GET,
		STELE_TRACE_BARN_PUT,	   STELE_TRACE_SLAB_NEW,     STELE_TRACE_SLAB_FREE,
		STELE_TRACE_MM_PAGE_ALLOC, STELE_TRACE_MM_PAGE_FREE, STELE_TRACE_ALL,
	};
	struct kmem_cache *s = kmem_cache_create("again", 64, NULL, SLAB_NO_MERGE);

	(void)state;
	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		struct counts c = { 0 };

		assert_int_equal(stele_trace_register(events[i], allocate_again, &c), 0);
		for (int round = 0; round < 3; round++) {
			grow_and_shrink(s);
			grow_and_shrink(s);
			kmem_cache_shrink(s);
		}
		assert_int_equal(stele_trace_unregister(allocate_again, &c), 0);
		if (!c.nested)
			fail_msg("%s: never", events[i] == STELE_TRACE_ALL
						      ? "all"
						      : stele_trace_name(events[i]));
		assert_int_equal(EVENTS(&c, KMALLOC), 0);
	}
	kmem_cache_destroy(s);
}

/* ---- callbacks inside of callbacks ---- */

static void free_and_allocate(const struct stele_trace_event *event, void *arg)
{
	count(event, arg);
	if (event->event == STELE_TRACE_KMALLOC)
		kfree_nolock(kmalloc_nolock(64, 0, NUMA_NO_NODE));
}

static unsigned long events_of_one_kmalloc(unsigned events)
{
	struct counts c = { 0 };
	void *p;

	assert_int_equal(stele_trace_register(events, free_and_allocate, &c), 0);
	p = kmalloc(64, GFP_KERNEL);
	assert_int_equal(stele_trace_unregister(free_and_allocate, &c), 0);
	kfree(p);
	return EVENTS(&c, KMALLOC);
}

static void a_callbacks_own_allocations_are_events_only_when_asked_for(void **state)
{
	(void)state;
	assert_int_equal(events_of_one_kmalloc(STELE_TRACE_KMALLOC), 1);
	assert_int_equal(events_of_one_kmalloc(STELE_TRACE_KMALLOC | STELE_TRACE_NESTED),
			 STELE_TRACE_DEPTH);
}

/* ---- registering ---- */

static void mistakes_have_an_error_code(void **state)
{
	int arg[STELE_TRACE_MAX];

	(void)state;
	assert_int_equal(stele_trace_register(0, record, NULL), -EINVAL);
	assert_int_equal(stele_trace_register(STELE_TRACE_NESTED, record, NULL), -EINVAL);
	assert_int_equal(stele_trace_register(1u << 20, record, NULL), -EINVAL);
	assert_int_equal(stele_trace_register(~0u, record, NULL), -EINVAL);
	assert_int_equal(stele_trace_register(STELE_TRACE_ALL, NULL, NULL), -EINVAL);
	assert_int_equal(stele_trace_unregister(record, NULL), -ENOENT);
	assert_int_equal(stele_trace_unregister(NULL, NULL), -ENOENT);
	for (int i = 0; i < STELE_TRACE_MAX; i++)
		assert_int_equal(stele_trace_register(STELE_TRACE_KFREE, count, &arg[i]), 0);
	assert_int_equal(stele_trace_register(STELE_TRACE_KFREE, count, &arg[3]), -EEXIST);
	assert_int_equal(stele_trace_register(STELE_TRACE_KFREE, record, NULL), -ENOSPC);
	for (int i = 0; i < STELE_TRACE_MAX; i++)
		assert_int_equal(stele_trace_unregister(count, &arg[i]), 0);
	assert_int_equal(stele_trace_unregister(count, &arg[0]), -ENOENT);
}

static void each_event_has_its_name(void **state)
{
	(void)state;
	assert_string_equal(stele_trace_name(STELE_TRACE_KMALLOC), "kmem:kmalloc");
	assert_string_equal(stele_trace_name(STELE_TRACE_MM_PAGE_FREE), "kmem:mm_page_free");
	assert_string_equal(stele_trace_name(STELE_TRACE_SLAB_FREE), "kmem:slab_free");
	assert_null(stele_trace_name(0));
	assert_null(stele_trace_name(3));
	assert_null(stele_trace_name(STELE_TRACE_NESTED));
}

static int from_inside[2];

static void change_the_table(const struct stele_trace_event *event, void *arg)
{
	(void)event;
	from_inside[0] = stele_trace_register(STELE_TRACE_KFREE, record, &seen);
	from_inside[1] = stele_trace_unregister(change_the_table, arg);
	errno = 0;
}

static void a_callback_that_registers_or_removes_is_told_so(void **state)
{
	(void)state;
	assert_int_equal(stele_trace_register(STELE_TRACE_KFREE, change_the_table, NULL), 0);
	errno = 4711;
	kfree(kmalloc(8, GFP_KERNEL));
	assert_int_equal(errno, 4711);
	assert_int_equal(from_inside[0], -EDEADLK);
	assert_int_equal(from_inside[1], -EDEADLK);
	assert_int_equal(stele_trace_unregister(change_the_table, NULL), 0);
}

static void several_callbacks_each_get_what_they_asked_for(void **state)
{
	struct counts frees = { 0 }, all = { 0 };

	(void)state;
	assert_int_equal(stele_trace_register(STELE_TRACE_KFREE, count, &frees), 0);
	assert_int_equal(stele_trace_register(OBJECTS, count, &all), 0);
	kfree(kmalloc(8, GFP_KERNEL));
	assert_int_equal(stele_trace_unregister(count, &all), 0);
	kfree(kmalloc(8, GFP_KERNEL));
	assert_int_equal(stele_trace_unregister(count, &frees), 0);
	assert_int_equal(EVENTS(&frees, KFREE), 2);
	assert_int_equal(EVENTS(&frees, KMALLOC), 0);
	assert_int_equal(EVENTS(&all, KFREE), 1);
	assert_int_equal(EVENTS(&all, KMALLOC), 1);
}

/* ---- the switch ---- */

static bool fast_path_open(void)
{
	return stele_hot.rseq == stele_rseq.area && step_area(stele_hot.rseq)->cpu_id >= 0;
}

static void the_fast_path_is_closed_only_while_somebody_listens_to_it(void **state)
{
	bool has_one = stele_system()->mode == STELE_MODE_MM_CID;

	(void)state;
	kfree(kmalloc(8, GFP_KERNEL));
	assert_int_equal(has_one && fast_path_open(), has_one);
	listen(STELE_TRACE_SLAB_NEW | STELE_TRACE_BARN_PUT);
	assert_int_equal(has_one && fast_path_open(), has_one);
	assert_int_equal(stele_trace_register(STELE_TRACE_KFREE, count, NULL), 0);
	assert_false(has_one && fast_path_open());
	assert_int_equal(stele_trace_unregister(count, NULL), 0);
	assert_int_equal(has_one && fast_path_open(), has_one);
	stop();
	assert_int_equal(has_one && fast_path_open(), has_one);
}

/* ---- threads ---- */

#define THREADS 4
#define PAIRS 20000

static void *pairs(void *arg)
{
	struct kmem_cache *s = arg;

	for (int i = 0; i < PAIRS; i++) {
		kfree(kmalloc((size_t)(i % 2000), GFP_KERNEL));
		kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	}
	return NULL;
}

static void run_threads(void *(*work)(void *), void *arg, void (*meanwhile)(void))
{
	pthread_t thread[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, work, arg), 0);
	if (meanwhile)
		meanwhile();
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

static void threads_lose_no_event_and_see_none_twice(void **state)
{
	struct kmem_cache *s = kmem_cache_create("counted", 48, NULL, SLAB_NO_MERGE);
	struct counts c = { 0 };
	unsigned long zero = THREADS * (PAIRS / 2000); /* kmalloc(0) is none */

	(void)state;
	assert_int_equal(stele_trace_register(OBJECTS, count, &c), 0);
	run_threads(pairs, s, NULL);
	assert_int_equal(stele_trace_unregister(count, &c), 0);
	assert_int_equal(EVENTS(&c, KMALLOC), THREADS * PAIRS - zero);
	assert_int_equal(EVENTS(&c, KFREE), THREADS * PAIRS - zero);
	assert_int_equal(EVENTS(&c, KMEM_CACHE_ALLOC), THREADS * PAIRS);
	assert_int_equal(EVENTS(&c, KMEM_CACHE_FREE), THREADS * PAIRS);
	kmem_cache_destroy(s);
}

static atomic_bool enough;

static void *pairs_until_enough(void *arg)
{
	(void)arg;
	while (!atomic_load(&enough))
		kfree(kmalloc(40, GFP_KERNEL));
	return NULL;
}

/* The argument of a callback is its own until unregister returns, and nobody's after. */
struct lent {
	unsigned magic; /* plain: a callback that runs on is a data race */
	atomic_ulong calls;
};
#define LENT 0x1ea5ed

static void use_lent(const struct stele_trace_event *event, void *arg)
{
	struct lent *lent = arg;

	(void)event;
	if (lent->magic != LENT)
		abort();
	sched_yield();
	if (lent->magic != LENT)
		abort();
	atomic_fetch_add(&lent->calls, 1);
}

static void come_and_go(void)
{
	unsigned long calls = 0;

	for (int i = 0; i < 300 || (!calls && i < 100000); i++) {
		struct lent lent = { .magic = LENT };

		assert_int_equal(stele_trace_register(OBJECTS, use_lent, &lent), 0);
		for (int spin = 0; spin < 20 && !atomic_load(&lent.calls); spin++)
			sched_yield();
		assert_int_equal(stele_trace_unregister(use_lent, &lent), 0);
		lent.magic = 0;
		calls += atomic_load(&lent.calls);
	}
	atomic_store(&enough, true);
	assert_true(calls > 0);
}

static void after_unregister_no_thread_is_in_the_callback(void **state)
{
	(void)state;
	atomic_store(&enough, false);
	run_threads(pairs_until_enough, NULL, come_and_go);
}

/* ---- fork ---- */

static atomic_int inside, leave;

static void stay_inside(const struct stele_trace_event *event, void *arg)
{
	(void)event, (void)arg;
	atomic_store(&inside, 1);
	while (!atomic_load(&leave))
		sched_yield();
}

static void *enter(void *arg)
{
	(void)arg;
	kfree(kmalloc(8, GFP_KERNEL));
	return NULL;
}

/* 0: as it should be. */
static int child_of_fork(void)
{
	struct log *log = &seen;

	alarm(20);
	log->n = 0;
	kfree(kmalloc(8, GFP_KERNEL));
	if (log->n != 2)
		return 1;
	if (stele_trace_unregister(record, log) || stele_trace_unregister(stay_inside, NULL))
		return 2;
	kfree(kmalloc(8, GFP_KERNEL));
	return log->n == 2 ? 0 : 3;
}

static void a_child_keeps_callbacks_and_waits_for_no_thread_that_is_gone(void **state)
{
	pthread_t thread;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(stele_trace_register(STELE_TRACE_KFREE, stay_inside, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, enter, NULL), 0);
	while (!atomic_load(&inside))
		sched_yield();
	listen(STELE_TRACE_KMALLOC | STELE_TRACE_KFREE);
	pid = fork();
	if (pid == 0) {
		atomic_store(&leave, 1);
		_exit(child_of_fork());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	atomic_store(&leave, 1);
	pthread_join(thread, NULL);
	stop();
	assert_int_equal(stele_trace_unregister(stay_inside, NULL), 0);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kmalloc_and_kfree_say_what_the_kernel_says),
		cmocka_unit_test(every_call_by_size_is_one_event),
		cmocka_unit_test(own_buckets_are_events_by_size),
		cmocka_unit_test(every_call_for_a_cache_is_one_event),
		cmocka_unit_test(bulk_is_one_event_for_each_object),
		cmocka_unit_test(a_users_sheaf_reports_each_object_taken_from_it),
		cmocka_unit_test(pages_are_reported_with_their_order),
		cmocka_unit_test(a_large_block_that_changes_is_freed_and_allocated),
		cmocka_unit_test(failures_have_no_address_and_nothing_freed_is_no_event),
		cmocka_unit_test(the_call_site_is_the_callers),
		cmocka_unit_test(an_object_is_whole_when_its_free_is_reported),
		cmocka_unit_test(events_of_slow_paths_add_up),
		cmocka_unit_test(a_callback_may_allocate_in_the_middle_of_every_slow_path),
		cmocka_unit_test(a_callbacks_own_allocations_are_events_only_when_asked_for),
		cmocka_unit_test(mistakes_have_an_error_code),
		cmocka_unit_test(each_event_has_its_name),
		cmocka_unit_test(a_callback_that_registers_or_removes_is_told_so),
		cmocka_unit_test(several_callbacks_each_get_what_they_asked_for),
		cmocka_unit_test(the_fast_path_is_closed_only_while_somebody_listens_to_it),
		cmocka_unit_test(threads_lose_no_event_and_see_none_twice),
		cmocka_unit_test(after_unregister_no_thread_is_in_the_callback),
		cmocka_unit_test(a_child_keeps_callbacks_and_waits_for_no_thread_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
