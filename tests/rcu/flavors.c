/* SPDX-License-Identifier: MIT */
/*
 * Grace periods of liburcu itself: each flavour, chosen for a cache and for the process, with
 * threads that know liburcu only; with the shared library and the public headers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <urcu/urcu-bp.h>
#include <urcu/urcu-mb.h>
#include <urcu/urcu-memb.h>
#include <urcu/urcu-qsbr.h>

#include <stele/rcu.h>
#include <stele/stats.h>

/* One header of liburcu declares one of them. */
extern const struct rcu_flavor_struct urcu_memb_flavor, urcu_mb_flavor, urcu_qsbr_flavor,
	urcu_bp_flavor;

struct item {
	unsigned long value;
	struct rcu_head rcu;
};

struct named {
	const char *name;
	const struct rcu_flavor_struct *flavor;
};

static const struct named flavors[] = {
	{ "memb", &urcu_memb_flavor },
	{ "mb", &urcu_mb_flavor },
	{ "qsbr", &urcu_qsbr_flavor },
	{ "bp", &urcu_bp_flavor },
};

#define NR_FLAVORS (sizeof(flavors) / sizeof(flavors[0]))
#define LIVE 0x11f3ul
#define DEAD 0xdeadul

static int threads_now(void)
{
	DIR *dir = opendir("/proc/self/task");
	int n = -2;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* First of all: a process that uses no RCU has no thread of it. */
static void without_a_use_there_is_no_thread(void **state)
{
	struct kmem_cache *s = kmem_cache_create("plain", 64, NULL, 0);
	struct item *none = NULL;

	(void)state;
	kmem_cache_free(s, kmem_cache_alloc(s, 0));
	kfree(kmalloc(100, GFP_KERNEL));
	kfree_rcu(none, rcu);
	kvfree_rcu_barrier();
	kmem_cache_destroy(s);
	stele_trim(0);
	assert_int_equal(threads_now(), 1);
}

/* ---- readers hold what they look at ---- */

static _Atomic(struct item *) shared;
static _Atomic bool stop, inside;
static _Atomic unsigned long looked, wrong;

static void look(const struct rcu_flavor_struct *flavor)
{
	struct item *p;

	flavor->read_lock();
	p = atomic_load(&shared);
	if (p) {
		for (int i = 0; i < 50; i++)
			wrong += *(volatile unsigned long *)&p->value != LIVE;
		looked++;
	}
	flavor->read_unlock();
	flavor->read_quiescent_state();
}

static void *read_on(void *arg)
{
	const struct rcu_flavor_struct *flavor = arg;

	flavor->register_thread();
	while (!stop)
		look(flavor);
	flavor->unregister_thread();
	return NULL;
}

/* Objects are overwritten by their next owner at once, before they are published. */
static void replace_many(struct kmem_cache *s, int rounds)
{
	for (int i = 0; i < rounds || !looked; i++) {
		struct item *p = kmem_cache_alloc(s, 0), *old;

		p->value = DEAD;
		p->value = LIVE;
		old = atomic_exchange(&shared, p);
		if (old)
			kfree_rcu(old, rcu);
		if (i % 4096 == 0) {
			struct item *other = kmem_cache_alloc(s, 0);

			other->value = DEAD;
			kmem_cache_free(s, other);
		}
	}
}

static void readers_are_waited_for(void **state)
{
	(void)state;
	for (size_t f = 0; f < NR_FLAVORS; f++) {
		struct kmem_cache_args args = { .rcu_flavor = flavors[f].flavor };
		struct kmem_cache *s = kmem_cache_create(flavors[f].name, 64, &args, 0);
		pthread_t reader[2];

		assert_non_null(s);
		stop = false;
		looked = wrong = 0;
		for (int i = 0; i < 2; i++)
			pthread_create(&reader[i], NULL, read_on, (void *)flavors[f].flavor);
		replace_many(s, 100000);
		stop = true;
		for (int i = 0; i < 2; i++)
			pthread_join(reader[i], NULL);
		assert_int_equal(wrong, 0);
		kfree(atomic_exchange(&shared, NULL));
		kvfree_rcu_barrier_on_cache(s);
		assert_int_equal(kmem_cache_shrink(s), 0);
		kmem_cache_destroy(s);
	}
}

/* ---- one reader holds for long: nothing of it comes back (contract 32) ---- */

static void *hold(void *arg)
{
	const struct rcu_flavor_struct *flavor = arg;

	flavor->register_thread();
	flavor->read_lock();
	inside = true;
	while (!stop)
		usleep(1000);
	flavor->read_unlock();
	flavor->unregister_thread();
	return NULL;
}

enum { HELD = 1000 };

static void give_and_turn_over(struct kmem_cache *s, struct item **held)
{
	for (int i = 0; i < HELD; i++)
		kfree_rcu(held[i], rcu);
	for (int i = 0; i < 100000; i++) {
		struct item *p = kmem_cache_alloc(s, 0);

		p->value = DEAD;
		if (i % 50 == 0)
			kfree_rcu(p, rcu);
		else
			kmem_cache_free(s, p);
	}
	usleep(50000);
	for (int i = 0; i < HELD; i++)
		assert_int_equal(held[i]->value, LIVE);
}

static void a_reader_that_stays_keeps_all_it_may_see(void **state)
{
	(void)state;
	for (size_t f = 0; f < NR_FLAVORS; f++) {
		struct kmem_cache_args args = { .rcu_flavor = flavors[f].flavor };
		struct kmem_cache *s = kmem_cache_create(flavors[f].name, 64, &args, 0);
		struct item *held[HELD];
		pthread_t reader;

		stop = inside = false;
		for (int i = 0; i < HELD; i++) {
			held[i] = kmem_cache_alloc(s, 0);
			held[i]->value = LIVE;
		}
		pthread_create(&reader, NULL, hold, (void *)flavors[f].flavor);
		while (!inside)
			usleep(100);
		give_and_turn_over(s, held);
		stop = true;
		pthread_join(reader, NULL);
		kmem_cache_destroy(s);
	}
}

/* ---- readers in signal handlers: memb, mb, bp ---- */

static const struct rcu_flavor_struct *handlers_flavor;

static void read_in_handler(int signal)
{
	(void)signal;
	look(handlers_flavor);
}

static void readers_may_be_signal_handlers(void **state)
{
	const struct itimerspec often = { { 0, 200000 }, { 0, 200000 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };

	(void)state;
	for (size_t f = 0; f < NR_FLAVORS; f++) {
		struct kmem_cache_args args = { .rcu_flavor = flavors[f].flavor };
		struct kmem_cache *s;
		timer_t timer;

		if (!strcmp(flavors[f].name, "qsbr"))
			continue; /* its readers say when they are not one */
		s = kmem_cache_create(flavors[f].name, 64, &args, 0);
		handlers_flavor = flavors[f].flavor;
		handlers_flavor->register_thread();
		looked = wrong = 0;
		signal(SIGUSR2, read_in_handler);
		assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
		timer_settime(timer, 0, &often, NULL);
		replace_many(s, 200000);
		timer_delete(timer);
		signal(SIGUSR2, SIG_IGN);
		assert_int_equal(wrong, 0);
		kfree(atomic_exchange(&shared, NULL));
		kmem_cache_destroy(s);
		handlers_flavor->unregister_thread();
	}
}

/* ---- destroy right after kfree_rcu (contract 33) ---- */

static void *create_give_destroy(void *arg)
{
	const struct rcu_flavor_struct *flavor = arg;
	struct kmem_cache_args args = { .rcu_flavor = flavor };
	unsigned seed = (unsigned)(uintptr_t)&args;
	char name[32], typesafe_name[32];

	snprintf(name, sizeof(name), "brief-%p", arg);
	snprintf(typesafe_name, sizeof(typesafe_name), "brief-ts-%p", arg);
	for (int round = 0; round < 30; round++) {
		struct kmem_cache *s = kmem_cache_create(name, 96, &args, 0);
		struct kmem_cache *t =
			kmem_cache_create(typesafe_name, 96, &args, SLAB_TYPESAFE_BY_RCU);
		int n = rand_r(&seed) % 300;

		for (int i = 0; i <= n; i++) {
			struct item *p = kmem_cache_alloc(s, 0), *q = kmem_cache_alloc(t, 0);

			kfree_rcu(p, rcu);
			if (i % 2)
				kmem_cache_free(t, q);
			else
				kfree_rcu(q, rcu);
		}
		if (round % 3)
			usleep(rand_r(&seed) % 3000);
		kmem_cache_destroy(s);
		kmem_cache_destroy(t);
	}
	return NULL;
}

/* A cache with something left would say so, and stay in the list with its objects. */
static void destroy_after_kfree_rcu_finds_everything_back(void **state)
{
	struct stele_stats before, after;
	pthread_t thread[NR_FLAVORS], reader;

	(void)state;
	stop = false;
	stele_trim(0);
	stele_stats_read(&before);
	pthread_create(&reader, NULL, read_on, (void *)&urcu_memb_flavor);
	for (size_t f = 0; f < NR_FLAVORS; f++)
		pthread_create(&thread[f], NULL, create_give_destroy, (void *)flavors[f].flavor);
	for (size_t f = 0; f < NR_FLAVORS; f++)
		pthread_join(thread[f], NULL);
	stop = true;
	pthread_join(reader, NULL);
	stele_trim(0);
	stele_stats_read(&after);
	assert_true(after.slab_bytes <= before.slab_bytes + (1 << 16));
	assert_int_equal(after.reports, before.reports);
	assert_int_equal(after.rcu_bytes, 0);
}

/* ---- fork ---- */

static void in_child(struct kmem_cache *s, struct kmem_cache *t)
{
	alarm(20);
	for (int i = 0; i < 1000; i++) {
		struct item *p = kmem_cache_alloc(s, 0);

		kfree_rcu(p, rcu);
	}
	kvfree_rcu_barrier();
	if (kmem_cache_shrink(s) || kmem_cache_shrink(t))
		_exit(3);
	kmem_cache_destroy(s);
	kmem_cache_destroy(t);
	_exit(0);
}

static void waiting_objects_are_freed_on_both_sides_of_a_fork(void **state)
{
	struct kmem_cache *s = kmem_cache_create("fork", 64, NULL, SLAB_NO_MERGE);
	struct kmem_cache *t = kmem_cache_create("fork-ts", 64, NULL, SLAB_TYPESAFE_BY_RCU);

	(void)state;
	assert_true(s && t);
	for (int round = 0; round < 50; round++) {
		int status;
		pid_t child;

		for (int i = 0; i < 2000; i++) {
			struct item *p = kmem_cache_alloc(s, 0), *q = kmem_cache_alloc(t, 0);

			kfree_rcu(p, rcu);
			kfree_rcu(q, rcu);
		}
		child = fork();
		if (child == 0)
			in_child(s, t);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	kmem_cache_destroy(s);
	kmem_cache_destroy(t);
}

static void the_process_has_memb_and_keeps_it(void **state)
{
	(void)state;
	assert_int_equal(stele_rcu_set_flavor(&urcu_bp_flavor), -EBUSY);
	assert_int_equal(stele_rcu_set_flavor(&urcu_memb_flavor), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_use_there_is_no_thread),
		cmocka_unit_test(readers_are_waited_for),
		cmocka_unit_test(a_reader_that_stays_keeps_all_it_may_see),
		cmocka_unit_test(readers_may_be_signal_handlers),
		cmocka_unit_test(destroy_after_kfree_rcu_finds_everything_back),
		cmocka_unit_test(waiting_objects_are_freed_on_both_sides_of_a_fork),
		cmocka_unit_test(the_process_has_memb_and_keeps_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
