/* SPDX-License-Identifier: MIT */
/*
 * A program may take all access from pages that it was given, and no call of the library dies of
 * it: a thread may still read memory that others have freed, but never such a page.
 *
 * Threads allocate and free. Meanwhile this thread empties the cache, takes many pages, and takes
 * the access from them. In debug builds a thread is held before each read of memory that it does
 * not own, until that is done.
 */
#include "contract.h"
#include "sync/atomic.h"

#include "../protect.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stele/page.h>
#include <time.h>

#define SIZE 24000 /* two in a sheaf: every other call goes to the barn */
#define OBJECTS 12
#define THREADS 3
#define PAGES 1200

static struct kmem_cache *cache;
static char *pages[PAGES];
static atomic_bool stop;
static _Thread_local bool may_be_held;

static void *allocate_and_free(void *arg)
{
	void *p[OBJECTS];

	may_be_held = arg;
	while (!atomic_load(&stop)) {
		for (int i = 0; i < OBJECTS; i++)
			p[i] = kmem_cache_alloc(cache, GFP_KERNEL);
		for (int i = 0; i < OBJECTS; i++)
			kmem_cache_free(cache, p[i]);
	}
	return arg;
}

static void give_all_back(void)
{
	if (!pages[0])
		return;
	assert_true(pages_protect(pages, PAGES, PROT_READ | PROT_WRITE));
	for (int i = 0; i < PAGES; i++)
		free_pages((unsigned long)pages[i], 0);
	pages[0] = NULL;
}

/* The access is back before the next time. */
static void take_all_access(void)
{
	give_all_back();
	kmem_cache_shrink(cache);
	for (int i = 0; i < PAGES; i++) {
		pages[i] = (char *)__get_free_pages(GFP_KERNEL, 0);
		assert_non_null(pages[i]);
	}
	assert_true(pages_protect(pages, PAGES, PROT_NONE));
}

static pthread_t start_thread(void *held)
{
	pthread_t thread;

	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, allocate_and_free, held), 0);
	return thread;
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* They are preempted anywhere. */
static void threads_that_allocate_read_no_page_of_the_program(void **state)
{
	double end = seconds_now() + 2, round;
	pthread_t thread[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		thread[i] = start_thread(NULL);
	while (seconds_now() < end) {
		take_all_access();
		for (round = seconds_now() + 0.004; seconds_now() < round;)
			sched_yield();
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	give_all_back();
}

#if STELE_DEBUG
static atomic_bool held, go_on;
static _Atomic(const char *) hold_at;
static atomic_bool armed;

static void hold_there(const char *point)
{
	if (!atomic_load(&armed) || !may_be_held || strcmp(point, hold_at))
		return;
	atomic_store(&armed, false);
	atomic_store(&held, true);
	while (!atomic_load(&go_on))
		sched_yield();
	atomic_store(&go_on, false);
}

/* False: it does not come there, in this mode. */
static bool held_in_time(void)
{
	for (double end = seconds_now() + 1; !atomic_load(&held) && seconds_now() < end;)
		sched_yield();
	return !atomic_exchange(&armed, false) || atomic_load(&held);
}

static void let_go(void)
{
	atomic_store(&held, false);
	atomic_store(&go_on, true);
}

static unsigned hold_each_time(const char *point, unsigned times)
{
	unsigned n = 0;

	hold_at = point;
	for (; n < times; n++) {
		atomic_store(&armed, true);
		if (!held_in_time())
			break;
		while (!atomic_load(&held))
			sched_yield();
		take_all_access();
		let_go();
	}
	return n;
}

static void no_read_without_ownership_reaches_a_page_of_the_program(void **state)
{
	pthread_t thread;

	(void)state;
	stele_inject = hold_there;
	thread = start_thread(cache);
	assert_int_equal(hold_each_time("stack:read", 40), 40);
	assert_int_equal(hold_each_time("barn:depth", 40), 40);
	assert_int_equal(hold_each_time("partial:look", 40), 40);
	/* Where sequences are interrupted, or slots do without: not at all. */
	hold_each_time("slot:entry", 20);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	stele_inject = NULL;
	give_all_back();
}
#endif

static int setup(void **state)
{
	(void)state;
	cache = kmem_cache_create("protected", SIZE, 0, SLAB_NO_MERGE, NULL);
	return cache ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	kmem_cache_destroy(cache);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(threads_that_allocate_read_no_page_of_the_program),
#if STELE_DEBUG
	cmocka_unit_test(no_read_without_ownership_reaches_a_page_of_the_program),
#endif
};

int main(void)
{
	return cmocka_run_group_tests(tests, setup, teardown);
}
