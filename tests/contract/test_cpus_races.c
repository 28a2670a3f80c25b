/* SPDX-License-Identifier: MIT */
/*
 * Contract 24, 29 and 30: a slot goes while a cache is created, destroyed or shrunk. The test holds
 * one of two threads at each named point of its call in turn: the thread that changes the slots, or
 * the one that creates, destroys or shrinks. The other thread makes its own call meanwhile.
 * Controls  with STELE_BROKEN_LIST_EARLY or STELE_BROKEN_FLUSH_UNHELD in cache/broken.h set, this
 *           program must fail.
 */
#include "../toy_flavor.h"
#include "base/options.h"
#include "contract.h"
#include "rcu/rcu.h"
#include "cache/chores.h"
#include "cache/caches.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "sync/atomic.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stele/cpu.h>
#include <sys/wait.h>
#include <time.h>

#define OBJECTS 200
#define HELD_MS 30 /* if a thread does not wait for the held one, it shows so by then */

/* ---- one is held, the other runs ---- */

static struct {
	const char *point;
	_Atomic bool reached;
	sem_t arrived, go;
} held;
static _Thread_local bool may_be_held;

static void hold_at_point(const char *point)
{
	if (!may_be_held || strcmp(point, held.point) != 0 || atomic_exchange(&held.reached, true))
		return;
	sem_post(&held.arrived);
	while (sem_wait(&held.go) != 0)
		;
}

static void (*held_work)(void);
static void (*free_work)(void);

static void *run_held(void *arg)
{
	(void)arg;
	may_be_held = true;
	held_work();
	may_be_held = false;
	sem_post(&held.arrived);
	return NULL;
}

static sem_t free_done;

static void *run_free(void *arg)
{
	(void)arg;
	free_work();
	sem_post(&free_done);
	return NULL;
}

/* Whether @work came to @point, and @other ran while it was held there, or as far as it could. */
static bool meet(const char *point, void (*work)(void), void (*other)(void))
{
	struct timespec until;
	pthread_t a, b;

	held.point = point;
	held.reached = false;
	sem_init(&held.arrived, 0, 0);
	sem_init(&held.go, 0, 0);
	sem_init(&free_done, 0, 0);
	held_work = work;
	free_work = other;
	assert_int_equal(pthread_create(&a, NULL, run_held, NULL), 0);
	sem_wait(&held.arrived);
	assert_int_equal(pthread_create(&b, NULL, run_free, NULL), 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += HELD_MS * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	sem_timedwait(&free_done, &until);
	sem_post(&held.go);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	return held.reached;
}

/* ---- what they do ---- */

static struct kmem_cache *cache;
static unsigned slot;
static _Atomic unsigned wrong, left;

struct item {
	unsigned long value[7];
	struct kvfree_rcu_head rcu;
};

static void create(void)
{
	cache = kmem_cache_create("raced", sizeof(struct item), 0, SLAB_NO_MERGE, NULL);
	if (!cache)
		wrong++;
}

/* Objects that rest in MAIN and SPARE of whatever slot this thread runs in, @waiting of them in
 * RCU. */
static void rest_in_slot(struct kmem_cache *s, int waiting)
{
	struct item *p[OBJECTS];

	for (int i = 0; i < OBJECTS; i++) {
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		if (!p[i])
			wrong++;
		memset(p[i], i, sizeof(*p[i]));
	}
	for (int i = 0; i < OBJECTS; i++) {
		if (i < waiting)
			kfree_rcu(p[i], rcu);
		else
			kmem_cache_free(s, p[i]);
	}
}

/* In the slot that is then taken down. */
static void leave_objects(void)
{
	rest_in_slot(cache, 10);
	slot = raw_smp_processor_id();
}

static void destroy_cache(void)
{
	kmem_cache_destroy(cache);
}

static void create_use_destroy(void)
{
	struct kmem_cache *s =
		kmem_cache_create("beside", sizeof(struct item), 0, SLAB_NO_MERGE, NULL);

	if (!s)
		wrong++;
	rest_in_slot(s, 10);
	kmem_cache_destroy(s);
}

static void shrink_cache(void)
{
	left = (unsigned)kmem_cache_shrink(cache);
}

static void down(void)
{
	if (stele_cpu_down(slot) != 0)
		wrong++;
}

static void up(void)
{
	if (stele_cpu_up(slot) != 0)
		wrong++;
}

/* A cache that anybody can find is complete, words and all. */
static void look_at(struct kmem_cache *s, void *arg)
{
	(void)arg;
	if (!s->size || !s->objects || !s->frames || !s->words != !s->capacity)
		wrong++;
	if (s->words && stele_pcpu_read(s->words, WORD_MAIN) == 0)
		wrong++;
}

static void down_look_up(void)
{
	down();
	stele_cache_each(look_at, NULL);
	up();
	stele_cache_each(look_at, NULL);
}

/* ---- contract 29: a cache is made while a slot goes and comes ---- */

static void no_cache_is_seen_before_it_is_complete(void **state)
{
	static const char *const points[] = { "slot:high", "cache:making", "cache:complete",
					      "cache:listed" };
	unsigned reached = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		slot = raw_smp_processor_id();
		reached += meet(points[i], create, down_look_up);
		leave_objects();
		assert_int_equal(wrong, 0);
		destroy_cache();
	}
	assert_true(reached >= 3);
}

static const char *const down_points[] = { "cpus:writing", "slot:hidden", "hotplug:down",
					   "cpus:in-hand" };
static const char *const up_points[] = { "cpus:writing", "hotplug:up" };
#define DOWN_POINTS (sizeof(down_points) / sizeof(down_points[0]))
#define UP_POINTS (sizeof(up_points) / sizeof(up_points[0]))

static void a_cache_comes_and_goes_at_every_step_of_a_slot(void **state)
{
	(void)state;
	create(); /* so that there is something to empty */
	for (unsigned i = 0; i < DOWN_POINTS; i++) {
		leave_objects();
		assert_true(meet(down_points[i], down, create_use_destroy));
		assert_true(meet(up_points[i % UP_POINTS], up, create_use_destroy));
		assert_int_equal(wrong, 0);
	}
	destroy_cache();
}

/* ---- contract 30: a cache is destroyed before, while and after its slot goes ---- */

static void destroyed(const char *point, void (*work)(void), void (*other)(void))
{
	struct stderr_text t;

	assert_true(stderr_begin(&t));
	if (!meet(point, work, other))
		wrong++;
	stderr_end(&t);
	assert_silent(&t);
	assert_int_equal(wrong, 0);
}

static void nothing_remains_of_a_cache_destroyed_while_its_slot_goes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DOWN_POINTS; i++) {
		create();
		leave_objects();
		destroyed(down_points[i], down, destroy_cache);
		up();
	}
	for (unsigned i = 0; i < UP_POINTS; i++) {
		create();
		leave_objects();
		down();
		rest_in_slot(cache, 10);
		destroyed(up_points[i], up, destroy_cache);
	}
}

static void nothing_remains_when_the_slot_goes_while_it_is_destroyed(void **state)
{
	static const char *const points[] = { "slabs:bits-given", "bits:given", "cpus:counted" };
	unsigned reached = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		struct stderr_text t;

		create();
		leave_objects();
		assert_true(stderr_begin(&t));
		reached += meet(points[i], destroy_cache, down);
		stderr_end(&t);
		assert_silent(&t);
		assert_int_equal(wrong, 0);
		up();
	}
	assert_true(reached >= 2);
}

/* ---- contract 24: a shrink with no user finds everything ---- */

static void a_shrink_beside_a_slot_that_goes_leaves_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DOWN_POINTS; i++) {
		create();
		rest_in_slot(cache, 0);
		slot = raw_smp_processor_id();
		assert_true(meet(down_points[i], down, shrink_cache));
		assert_int_equal(left, 0);
		assert_int_equal(wrong, 0);
		up();
		destroy_cache();
	}
}

static int setup(void **state)
{
	unsigned cpu;
	cpu_set_t set;

	(void)state;
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set); /* so that a slot is the same a moment later */
	stele_rcu_set_flavor(&toy_flavor);
	for_each_possible_cpu(cpu) if (!cpu_online(cpu) && stele_cpu_up(cpu) != 0) return -1;
	return num_possible_cpus() < 2 ? -1 : 0;
}

/* ---- a fork beside a look at cold slots, which closes one for a moment ---- */

#define LOOKS 8 /* at each slot, sixteen at a time */

static void look_at_cold_slots(void)
{
	rest_in_slot(cache, 0);
	slot = stele_slot_now();
	for (unsigned i = 0; i < LOOKS * ((num_possible_cpus() + 15) / 16); i++)
		stele_cold_look();
}

static void fork_and_ask(void)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(stele_slot_is_closed(slot));
	if (waitpid(child, &status, 0) != child || status != 0)
		wrong++;
}

static void a_child_has_the_slot_open_that_was_looked_at(void **state)
{
	(void)state;
	create();
	assert_true(meet("cpus:cold", look_at_cold_slots, fork_and_ask));
	assert_false(stele_slot_is_closed(slot));
	kmem_cache_destroy(cache);
	assert_int_equal(wrong, 0);
}

/* A floor with a mistake may hang the tests after the one that fails: the first failure is the last. */
static int run_until_one_fails(const struct CMUnitTest *tests, size_t n)
{
	int failed = 0;

	for (size_t i = 0; i < n && !failed; i++) {
		const struct CMUnitTest one[] = { tests[i] };

		failed = cmocka_run_group_tests_name(one->name, one, setup, NULL);
	}
	return failed;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_cache_is_seen_before_it_is_complete),
		cmocka_unit_test(a_cache_comes_and_goes_at_every_step_of_a_slot),
		cmocka_unit_test(nothing_remains_of_a_cache_destroyed_while_its_slot_goes),
		cmocka_unit_test(nothing_remains_when_the_slot_goes_while_it_is_destroyed),
		cmocka_unit_test(a_shrink_beside_a_slot_that_goes_leaves_nothing),
		cmocka_unit_test(a_child_has_the_slot_open_that_was_looked_at),
	};
	size_t n = sizeof(tests) / sizeof(tests[0]);

	stele_inject = hold_at_point; /* before there are other threads */
	return run_until_one_fails(tests, FORKS_BESIDE_THREADS ? n : n - 1);
}
