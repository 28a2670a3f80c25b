/* SPDX-License-Identifier: MIT */
/*
 * kmalloc_nolock() and kfree_nolock() as a user meets them: their refusals, and a handler that
 * uses them. tests/contract/test_nolock.c has the work that they leave to other calls.
 */
#include "contract.h"

#include <pthread.h>
#include <signal.h>

static void nolock_refuses_what_it_cannot_promise(void **state)
{
	struct stderr_text t;
	void *p;

	(void)state;
	STDERR_OF(&t, {
		assert_null(kmalloc_nolock(opaque(KMALLOC_MAX_CACHE_SIZE + 1), 0, NUMA_NO_NODE));
		assert_null(kmalloc_nolock(opaque(SIZE_MAX), 0, NUMA_NO_NODE));
		p = kmalloc_nolock(64, __GFP_ZERO | __GFP_ACCOUNT | __GFP_NOWARN | __GFP_NOMEMALLOC,
				   NUMA_NO_NODE);
	});
	assert_silent(&t);
	kfree_nolock(p);
	STDERR_OF(&t, p = kmalloc_nolock(64, GFP_KERNEL, NUMA_NO_NODE));
	assert_says(&t, "kmalloc_nolock");
	assert_non_null(p);
	kfree_nolock(p);
	STDERR_OF(&t, kfree_nolock(kmalloc_nolock(64, GFP_KERNEL, NUMA_NO_NODE)));
	assert_silent(&t);
}

static void nolock_memory_is_memory(void **state)
{
	(void)state;
	for (size_t n = 1; n <= KMALLOC_MAX_CACHE_SIZE; n += 1 + n / 3) {
		char *p = kmalloc_nolock(n, __GFP_ZERO, NUMA_NO_NODE);
		char *q = kmalloc_nolock(n, 0, 0);

		assert_true(all_zero(p, 0, n));
		assert_true(ksize(q) >= n);
		memset(p, 0xbb, n);
		memset(q, 0xcc, n);
		kfree_nolock(p);
		kfree(q);
	}
}

static void nolock_does_not_free_large_memory(void **state)
{
	struct stderr_text t;
	char *p = kmalloc(50000, GFP_KERNEL);

	(void)state;
	sign(p, 50000, 1);
	STDERR_OF(&t, kfree_nolock(p));
	assert_says(&t, "large_kmalloc is not supported by kfree_nolock()");
	assert_true(signed_by(p, 50000, 1));
	assert_true(ksize(p) >= 50000);
	kfree(p);
}

static void nolock_takes_the_next_bucket_before_it_gives_up(void **state)
{
	void *kept = kmalloc(80, GFP_KERNEL), *spare = kmalloc(80, GFP_KERNEL), **list, *p;

	(void)state;
	kfree(spare);
	memory_gone();
	list = take_all_of_size(64);
	p = kmalloc_nolock(64, __GFP_ZERO, NUMA_NO_NODE);
	memory_back();
	assert_non_null(p);
	assert_int_equal(ksize(p), 80);
	assert_true(all_zero(p, 0, 64));
	kfree_nolock(p);
	kfree(kept);
	give_list(list);
}

static void nolock_at_the_end_is_null(void **state)
{
	void **list, *p;

	(void)state;
	memory_gone();
	list = take_all_of_size(32768);
	p = kmalloc_nolock(32768, 0, NUMA_NO_NODE);
	memory_back();
	assert_null(p);
	give_list(list);
}

static volatile sig_atomic_t handled, handler_failed;

static void handler(int signal)
{
	char *p = kmalloc_nolock(200, __GFP_ZERO, NUMA_NO_NODE);
	char *q = kmalloc(200, GFP_ATOMIC);

	(void)signal;
	if (!p || !q || p == q || p[199])
		handler_failed = 1;
	else
		memset(p, 1, 200);
	kfree_nolock(p);
	kfree(q);
	handled++;
}

static _Atomic bool stop;

static void *send_signals(void *arg)
{
	pthread_t target = *(pthread_t *)arg;

	while (!stop)
		pthread_kill(target, SIGUSR1);
	return NULL;
}

/* Contract 7 in the small: handlers that allocate what the interrupted code allocates. */
static void a_handler_may_allocate_what_it_interrupted(void **state)
{
	pthread_t self = pthread_self(), sender;
	struct sigaction action = { .sa_handler = handler };
	static char *p[300];

	(void)state;
	sigaction(SIGUSR1, &action, NULL);
	stop = false;
	assert_int_equal(pthread_create(&sender, NULL, send_signals, &self), 0);
	for (int round = 0; handled < 2000 && round < 100000; round++) {
		for (size_t i = 0; i < 300; i++) {
			p[i] = kmalloc(200, GFP_KERNEL);
			*(size_t *)(void *)p[i] = i;
		}
		for (size_t i = 0; i < 300; i++) {
			assert_int_equal(*(size_t *)(void *)p[i], i);
			kfree(p[i]);
		}
	}
	stop = true;
	pthread_join(sender, NULL);
	signal(SIGUSR1, SIG_DFL);
	assert_true(handled > 0);
	assert_false(handler_failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nolock_refuses_what_it_cannot_promise),
		cmocka_unit_test(nolock_memory_is_memory),
		cmocka_unit_test(nolock_does_not_free_large_memory),
		cmocka_unit_test(nolock_takes_the_next_bucket_before_it_gives_up),
		cmocka_unit_test(nolock_at_the_end_is_null),
		cmocka_unit_test(a_handler_may_allocate_what_it_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
