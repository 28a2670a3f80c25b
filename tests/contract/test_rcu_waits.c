/* SPDX-License-Identifier: MIT */
/*
 * Contract of threads that wait for readers: signals come through to them, a thread that is online is
 * taken offline, a thread that leaves or is cancelled meanwhile holds nobody up. And of a child of
 * fork(), which has no runner yet. The readers are the test's own. Each case has half a minute.
 */
#include "rcu_left.h"
#include "slab/kmem_cache.h"
#include "slab/slabs.h"

#include <sys/wait.h>

/* ---- signals while a thread waits for readers ---- */

/* A grace period that has to interrupt one registered thread, as liburcu's signal flavour does. */
static pthread_t registered;
static _Atomic unsigned asked, answered;

static void answer(int signal)
{
	(void)signal;
	atomic_store(&answered, atomic_load(&asked));
}

static void ask(void)
{
	unsigned now = ++asked;

	for (int i = 0; answered != now; i++) {
		if (i % 10 == 0)
			pthread_kill(registered, SIGUSR2);
		nap_ms(1);
	}
}

static int offline_calls, online_calls;
static _Thread_local bool is_online;

static void go_offline(void)
{
	offline_calls++;
	is_online = false;
}

static void go_online(void)
{
	online_calls++;
	is_online = true;
}

static int ongoing(void)
{
	return is_online;
}

static const struct rcu_flavor_struct asking_flavor = {
	.read_ongoing = ongoing,
	.update_synchronize_rcu = ask,
	.thread_offline = go_offline,
	.thread_online = go_online,
};

static void be_registered(void)
{
	struct sigaction action = { .sa_handler = answer };

	registered = pthread_self();
	assert_int_equal(sigaction(SIGUSR2, &action, NULL), 0);
}

static void a_thread_that_destroys_a_cache_can_be_interrupted(void **state)
{
	(void)state;
	be_registered();
	for (int i = 0; i < 3; i++) {
		struct kmem_cache *s = cache_of("asking", &asking_flavor, NULL);

		kmem_cache_free(s, kmem_cache_alloc(s, 0));
		if (i == 1)
			give(s);
		kmem_cache_destroy(s);
	}
}

static struct kmem_cache *inner;

static void use_and_destroy_inner(void *object)
{
	struct kmem_cache *s = inner;

	(void)object;
	inner = NULL;
	if (!s)
		return;
	kmem_cache_free(s, kmem_cache_alloc(s, 0));
	kmem_cache_destroy(s);
}

/* It is put off while all caches are walked, and waits for readers after that. */
static void a_thread_whose_destructor_destroys_a_cache_can_be_interrupted(void **state)
{
	struct kmem_cache_args args = { .dtor = use_and_destroy_inner };
	struct kmem_cache *outer = kmem_cache_create("outer", 64, &args, SLAB_NO_MERGE);

	(void)state;
	be_registered();
	for (int i = 0; i < 2; i++) {
		inner = cache_of("inner", &asking_flavor, NULL);
		kmem_cache_free(outer, kmem_cache_alloc(outer, 0));
		if (i == 0)
			stele_trim(0);
		else
			kmem_cache_shrink(outer);
		assert_null(inner);
	}
	kmem_cache_destroy(outer);
}

/* As with qsbr: a thread that is online is waited for, so it must not be while it waits. */
static void a_thread_that_is_online_is_taken_offline_for_the_wait(void **state)
{
	struct kmem_cache *s;

	(void)state;
	be_registered();
	s = cache_of("online", &asking_flavor, NULL);
	is_online = true;
	offline_calls = online_calls = 0;
	kmem_cache_free(s, kmem_cache_alloc(s, 0));
	kmem_cache_destroy(s);
	assert_true(offline_calls > 0);
	assert_int_equal(offline_calls, online_calls);
	assert_true(is_online);
	is_online = false;
}

static void *destroy_and_leave(void *arg)
{
	if (!sigsetjmp(out, 1)) {
		may_leave = true;
		kmem_cache_destroy(arg);
	}
	may_leave = false;
	return NULL;
}

/* The cache is lost to its thread, and to nobody else. */
static void a_thread_that_leaves_while_it_destroys_stops_nobody(void **state)
{
	struct kmem_cache *s = kmem_cache_create("lost", 64, NULL, SLAB_TYPESAFE_BY_RCU);
	unsigned long before = left;
	pthread_t thread;

	(void)state;
	leave_on(SIGUSR1);
	kmem_cache_free(s, kmem_cache_alloc(s, 0));
	toy_read_lock();
	pthread_create(&thread, NULL, destroy_and_leave, s);
	while (left == before) {
		nap_ms(50);
		pthread_kill(thread, SIGUSR1);
	}
	pthread_join(thread, NULL);
	toy_read_unlock();
	others_go_on();
	barriers_are_short();
}

static void *destroy_cancelled(void *arg)
{
	struct kmem_cache *s = arg;

	pthread_cancel(pthread_self());
	give(s);
	kvfree_rcu_barrier();
	kmem_cache_destroy(s);
	back = true;
	pthread_testcancel();
	return NULL;
}

static void a_cancelled_thread_comes_back_from_all_of_it(void **state)
{
	pthread_t thread;
	void *result;

	(void)state;
	for (int i = 0; i < 2; i++) {
		no_threads = i;
		back = false;
		pthread_create(&thread, NULL, destroy_cancelled,
			       cache_of("cancelled", &asking_nobody, NULL));
		pthread_join(thread, &result);
		assert_ptr_equal(result, PTHREAD_CANCELED);
		assert_true(back);
	}
	no_threads = false;
}

/* ---- a child of fork() that only allocates and frees: ThreadSanitizer lets it start no thread ---- */

#define WAVE 4000

static void wave(struct kmem_cache *s)
{
	static void *objects[WAVE];

	for (int i = 0; i < WAVE; i++)
		objects[i] = kmem_cache_alloc(s, 0);
	for (int i = 0; i < WAVE; i++)
		kmem_cache_free(s, objects[i]);
}

static void child_in_waves(struct kmem_cache *s)
{
	uint64_t most;

	alarm(30);
	wave(s);
	most = (uint32_t)load_relaxed(&s->slabs);
	for (int i = 0; i < 50; i++)
		wave(s);
	if ((uint32_t)load_relaxed(&s->slabs) > 2 * most + 4)
		_exit(3);
	kmem_cache_shrink(s);
	kvfree_rcu_barrier();
	kmem_cache_shrink(s);
	kvfree_rcu_barrier();
	_exit(load_relaxed(&s->slabs) ? 4 : 0);
}

static void a_child_that_only_allocates_does_not_grow(void **state)
{
	struct kmem_cache *s = kmem_cache_create("prefork", 200, NULL, SLAB_TYPESAFE_BY_RCU);
	int status;
	pid_t child;

	(void)state;
	wave(s);
	child = fork();
	if (child == 0)
		child_in_waves(s);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	kmem_cache_destroy(s);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_thread_that_destroys_a_cache_can_be_interrupted,
				       each_in_half_a_minute),
		cmocka_unit_test_setup(
			a_thread_whose_destructor_destroys_a_cache_can_be_interrupted,
			each_in_half_a_minute),
		cmocka_unit_test_setup(a_thread_that_is_online_is_taken_offline_for_the_wait,
				       each_in_half_a_minute),
		cmocka_unit_test_setup(a_thread_that_leaves_while_it_destroys_stops_nobody,
				       each_in_half_a_minute),
		cmocka_unit_test_setup(a_cancelled_thread_comes_back_from_all_of_it,
				       each_in_half_a_minute),
	};
	static const struct CMUnitTest forking[] = {
		cmocka_unit_test_setup(a_child_that_only_allocates_does_not_grow,
				       each_in_half_a_minute),
	};
	int failed;

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	failed = cmocka_run_group_tests(tests, begin, end);
	return failed		      ? failed
	       : FORKS_BESIDE_THREADS ? cmocka_run_group_tests(forking, begin, end)
				      : 0;
}
