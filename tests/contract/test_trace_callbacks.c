/* SPDX-License-Identifier: MIT */
/*
 * Contract of <stele/trace.h>: slow paths are events too, a callback may allocate, and callbacks
 * come and go. Each call once: tests/contract/test_trace.c.
 */
#include "trace_log.h"

#include "arch/rseq.h"
#include "percpu/system.h"

#include <errno.h>
#include <stdlib.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_of_slow_paths_add_up),
		cmocka_unit_test(a_callback_may_allocate_in_the_middle_of_every_slow_path),
		cmocka_unit_test(a_callbacks_own_allocations_are_events_only_when_asked_for),
		cmocka_unit_test(mistakes_have_an_error_code),
		cmocka_unit_test(each_event_has_its_name),
		cmocka_unit_test(a_callback_that_registers_or_removes_is_told_so),
		cmocka_unit_test(several_callbacks_each_get_what_they_asked_for),
		cmocka_unit_test(the_fast_path_is_closed_only_while_somebody_listens_to_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
