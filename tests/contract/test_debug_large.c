/* SPDX-License-Identifier: MIT */
/*
 * Checked blocks that have pages of their own: other threads free them while one validates.
 */
#include "contract.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stele/debug.h>
#include <stele/trace.h>

#include "sync/atomic.h"

#define KEPT 100000u	     /* bytes: a freed block of this size waits for a while */
#define AT_ONCE (700u << 10) /* a freed block of this size goes at once */

/* ---- threads ---- */

#define VALIDATIONS 300

static _Atomic bool over;
static _Atomic unsigned damaged;

static bool has_only(const unsigned char *p, size_t n, unsigned char byte)
{
	return *p == byte && memcmp(p, p + 1, n - 1) == 0;
}

/* Sizes from 40 KiB to 1 MiB, so that pages change their owners. */
static void *use_blocks(void *arg)
{
	unsigned char byte = (unsigned char)(uintptr_t)arg;

	for (size_t n = 40000 + byte; !atomic_load(&over); n = 40000 + n * 7 % 1000000) {
		unsigned char *p = kvmalloc(n, GFP_KERNEL);

		memset(p, byte, n);
		damaged += !has_only(p, n, byte);
		kvfree(p);
	}
	return NULL;
}

static void a_validation_changes_no_block_of_another_thread(void **state)
{
	pthread_t threads[3];
	struct stderr_text t;
	long faults = 0;

	(void)state;
	assert_true(stderr_begin(&t));
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, use_blocks, (void *)(i + 1));
	for (int i = 0; i < VALIDATIONS; i++)
		faults += stele_slab_validate();
	atomic_store(&over, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	stderr_end(&t);
	assert_silent(&t);
	assert_int_equal(faults, 0);
	assert_int_equal(damaged, 0);
}

/* ---- at one point ---- */

#if STELE_DEBUG
static void *freed;

static void free_it(const char *point)
{
	if (!freed || strcmp(point, "watch:looks") != 0)
		return;
	kfree(freed);
	freed = NULL;
}

static void a_block_can_be_freed_while_it_is_looked_at(void **state)
{
	static const size_t sizes[] = { KEPT, AT_ONCE };
	struct stderr_text t;

	(void)state;
	for (int i = 0; i < 2; i++) {
		uint64_t before = stele_page_stats().used;

		freed = kvmalloc(sizes[i], GFP_KERNEL);
		assert_true(stele_page_stats().used > before);
		stele_inject = free_it;
		STDERR_OF(&t, stele_slab_validate());
		stele_inject = NULL;
		assert_silent(&t);
		assert_null(freed);
		if (sizes[i] == AT_ONCE)
			assert_int_equal(stele_page_stats().used, before);
	}
	assert_int_equal(stele_slab_validate(), 0);
}
#endif

/* ---- events ---- */

static void count_calls(const struct stele_trace_event *event, void *arg)
{
	(void)event;
	++*(unsigned *)arg;
}

static void the_free_of_a_checked_block_is_an_event(void **state)
{
	unsigned frees = 0;

	(void)state;
	assert_int_equal(stele_trace_register(STELE_TRACE_KFREE, count_calls, &frees), 0);
	kfree(kmalloc(KEPT, GFP_KERNEL));
	kfree(kmalloc(AT_ONCE, GFP_KERNEL));
	assert_int_equal(stele_trace_unregister(count_calls, &frees), 0);
	assert_int_equal(frees, 2);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_validation_changes_no_block_of_another_thread),
#if STELE_DEBUG
	cmocka_unit_test(a_block_can_be_freed_while_it_is_looked_at),
#endif
	cmocka_unit_test(the_free_of_a_checked_block_is_an_event),
};

int main(int argc, char **argv)
{
	(void)argc;
	if (!getenv("STELE_DEBUG")) {
		setenv("STELE_DEBUG", "FZPU", 1);
		execv("/proc/self/exe", argv);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
