/* SPDX-License-Identifier: MIT */
/*
 * Contract of slots that come and go (contract 24, 30, 31; stele/cpu.h): what rested in a slot that is
 * taken down is allocated elsewhere, waits for its readers, or goes back; nothing is lost, and
 * no thread that walks, forks or handles a signal meanwhile sees half of it.
 */
#include "../nap.h"
#include "../toy_flavor.h"
#include "base/options.h"
#include "contract.h"
#include "percpu/system.h"
#include "rcu/rcu.h"
#include "cache/cold.h"
#include "cache/rcu.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "sync/inject.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <stele/cpu.h>
#include <stele/stats.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OBJECTS 300
#define CACHES 1000

struct item {
	unsigned long value[5];
	struct kvfree_rcu_head rcu;
};

static void *objects[OBJECTS];
static cpu_set_t allowed;

static struct kmem_cache *make(const char *name)
{
	struct kmem_cache *s = kmem_cache_create(name, sizeof(struct item), 0, SLAB_NO_MERGE, NULL);

	assert_non_null(s);
	return s;
}

static void take_all(struct kmem_cache *s)
{
	for (int i = 0; i < OBJECTS; i++) {
		objects[i] = kmem_cache_alloc(s, GFP_KERNEL);
		assert_non_null(objects[i]);
		sign(objects[i], sizeof(struct item), (size_t)i);
	}
}

static void give_all(struct kmem_cache *s)
{
	for (int i = 0; i < OBJECTS; i++)
		kmem_cache_free(s, objects[i]);
}

/* Silently: no object remains. */
static void destroy(struct kmem_cache *s)
{
	struct stderr_text t;

	STDERR_OF(&t, kmem_cache_destroy(s));
	assert_silent(&t);
}

/* This thread's slot, down; the thread goes on in it. */
static unsigned take_mine_down(void)
{
	unsigned slot = raw_smp_processor_id();

	assert_int_equal(stele_cpu_down(slot), 0);
	assert_false(cpu_online(slot));
	return slot;
}

static void objects_of_a_slot_that_went_can_be_had_again(void **state)
{
	struct kmem_cache *s = make("rested");
	uint64_t slabs;
	unsigned slot;

	(void)state;
	take_all(s);
	give_all(s);
	slabs = load_relaxed(&s->slabs);
	slot = take_mine_down();
	assert_int_equal(stele_pcpu_sheaves(s->words), 0);
	take_all(s);
	assert_true(load_relaxed(&s->slabs) <= slabs);
	for (int i = 0; i < OBJECTS; i++)
		assert_true(signed_by(objects[i], sizeof(struct item), (size_t)i));
	give_all(s);
	assert_int_equal(stele_cpu_up(slot), 0);
	assert_int_equal(kmem_cache_shrink(s), 0);
	destroy(s);
}

static void a_slot_that_comes_back_starts_clean(void **state)
{
	struct kmem_cache *s = make("clean");
	unsigned slot;

	(void)state;
	for (int i = 0; i < 20; i++) {
		take_all(s);
		slot = take_mine_down();
		give_all(s);
		take_all(s);
		assert_int_equal(stele_cpu_up(slot), 0);
		give_all(s);
	}
	assert_int_equal(kmem_cache_shrink(s), 0);
	destroy(s);
}

static void waiting_objects_wait_on_when_their_slot_goes(void **state)
{
	struct kmem_cache *s = make("waits");
	struct item *item = kmem_cache_alloc(s, GFP_KERNEL);
	unsigned slot;

	(void)state;
	item->value[0] = 42;
	toy_read_lock();
	kfree_rcu(item, rcu);
	slot = take_mine_down();
	assert_int_equal(item->value[0], 42);
	assert_int_equal(stele_rcu_sheaves(), 1);
	toy_read_unlock();
	kvfree_rcu_barrier();
	assert_int_equal(stele_rcu_sheaves(), 0);
	assert_int_equal(kmem_cache_shrink(s), 0);
	assert_int_equal(stele_cpu_up(slot), 0);
	destroy(s);
}

static void a_cache_is_made_and_used_while_a_slot_is_down(void **state)
{
	unsigned slot = take_mine_down();
	struct kmem_cache *s = make("meanwhile");

	(void)state;
	take_all(s);
	give_all(s);
	assert_int_equal(stele_cpu_up(slot), 0);
	take_all(s);
	give_all(s);
	slot = take_mine_down();
	destroy(s);
	assert_int_equal(stele_cpu_up(slot), 0);
}

/* ---- many caches, while slots flap ---- */

static _Atomic bool over;
static _Atomic unsigned flaps, wrong;

static void *flap(void *arg)
{
	unsigned slot = num_possible_cpus() - 1;

	(void)arg;
	while (!over) {
		if (stele_cpu_down(slot) != 0 || stele_cpu_up(slot) != 0)
			wrong++;
		flaps++;
	}
	return NULL;
}

static void use(struct kmem_cache *s)
{
	void *p[40];

	for (int i = 0; i < 40; i++) {
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		if (p[i])
			sign(p[i], sizeof(struct item), (size_t)i);
		else
			wrong++;
	}
	for (int i = 0; i < 40; i++) {
		if (!signed_by(p[i], sizeof(struct item), (size_t)i))
			wrong++;
		kmem_cache_free(s, p[i]);
	}
}

static void *come_and_go(void *arg)
{
	unsigned rounds = STELE_TEST_EMULATED ? 5 : 60;

	(void)arg;
	for (unsigned i = 0; i < rounds || !flaps; i++) {
		struct kmem_cache *s =
			kmem_cache_create("flapping", sizeof(struct item), 0, SLAB_NO_MERGE, NULL);

		use(s);
		if (kmem_cache_shrink(s) != 0)
			wrong++;
		use(s);
		kmem_cache_destroy(s);
	}
	return NULL;
}

static void caches_come_and_go_while_slots_do(void **state)
{
	pthread_t flapper, user[3];
	struct stele_stats before, after;
	struct stderr_text t;

	(void)state;
	stele_opt.quiet = 1;
	over = false;
	stele_stats_read(&before);
	assert_true(stderr_begin(&t));
	pthread_create(&flapper, NULL, flap, NULL);
	for (int i = 0; i < 3; i++)
		pthread_create(&user[i], NULL, come_and_go, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(user[i], NULL);
	over = true;
	pthread_join(flapper, NULL);
	stderr_end(&t);
	stele_opt.quiet = 0;
	stele_stats_read(&after);
	assert_silent(&t);
	assert_int_equal(wrong, 0);
	assert_true(flaps > 0);
	assert_int_equal(after.reports, before.reports);
	assert_int_equal(num_online_cpus(), num_possible_cpus());
}

static void a_thousand_caches_lose_nothing(void **state)
{
	static struct kmem_cache *caches[CACHES];
	unsigned slot;
	char name[32];

	(void)state;
	for (int i = 0; i < CACHES; i++) {
		snprintf(name, sizeof(name), "thousand-%d", i);
		caches[i] = make(name);
		use(caches[i]);
	}
	slot = take_mine_down();
	for (int i = 0; i < CACHES; i += 2)
		use(caches[i]);
	assert_int_equal(stele_cpu_up(slot), 0);
	for (int i = 0; i < CACHES; i++) {
		use(caches[i]);
		assert_int_equal(kmem_cache_shrink(caches[i]), 0);
		destroy(caches[i]);
	}
	assert_int_equal(wrong, 0);
}

/* ---- in the middle of it ---- */

static struct kmem_cache *inner;
static _Thread_local bool within;

static void allocate_within(void)
{
	void *p;

	if (within)
		return;
	within = true;
	p = kmem_cache_alloc(inner, GFP_KERNEL);
	if (!p)
		wrong++;
	kfree(kmalloc(300, GFP_KERNEL));
	kmem_cache_free(inner, p);
	within = false;
}

static int step_allocates(unsigned cpu)
{
	(void)cpu;
	allocate_within();
	return 0;
}

#if STELE_DEBUG
static _Atomic bool hooked;
static _Thread_local bool within_jump;
static _Atomic unsigned points;

static const char *left_at;
static sigjmp_buf back;

static void never_come_back(int signal)
{
	(void)signal;
	siglongjmp(back, 1);
}

/* A signal there. */
static void leave_at(const char *point)
{
	if (!left_at || strcmp(point, left_at) != 0)
		return;
	left_at = NULL;
	raise(SIGUSR1);
}

/* Not every time: a step that is tried again until nobody came between must get through. */
static void point_allocates(const char *point)
{
	static _Thread_local unsigned seed;

	if (within_jump)
		leave_at(point);
	if (!hooked)
		return;
	points++;
	seed = seed * 1664525 + 1013904223;
	if (seed >> 16 & 1)
		allocate_within();
}

/* The pointer is set before there are other threads, and stays. */
static void hook(bool on)
{
	hooked = on;
}

static void hook_start(void)
{
	stele_inject = point_allocates;
}

static bool hook_was_called(void)
{
	return points > 0;
}

static void walk(void)
{
	stele_trim(0);
}

static int no_step(unsigned cpu)
{
	(void)cpu;
	return 0;
}

static void step_comes_and_goes(void)
{
	int step = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "jumped", no_step, no_step);

	if (step > 0)
		cpuhp_remove_state((enum cpuhp_state)step);
}

static void read_a_little(void)
{
	if (cpus_read_trylock())
		cpus_read_unlock();
	stele_cold_look();
}

/* Whether a handler that came at @point, and left for good, came there. */
static bool jump_out(const char *point, void (*work)(void))
{
	left_at = point;
	within_jump = true;
	if (sigsetjmp(back, 1) == 0)
		work();
	within_jump = false;
	return !left_at;
}

/* ThreadSanitizer keeps signals, and delivers them where they are held back. */
static __attribute__((unused)) void a_handler_that_never_comes_back_leaves_no_reader(void **state)
{
	(void)state;
	signal(SIGUSR1, never_come_back);
	assert_true(jump_out("cpus:counted", walk));
	assert_int_equal(stele_cpu_up(take_mine_down()), 0);
	assert_true(jump_out("cpus:counted", step_comes_and_goes));
	assert_int_equal(stele_cpu_up(take_mine_down()), 0);
	for (int i = 0; i < 2; i++)
		assert_true(jump_out("cpus:looking", read_a_little));
	assert_int_equal(stele_cpu_up(take_mine_down()), 0);
	signal(SIGUSR1, SIG_DFL);
}
#else
static void hook(bool on)
{
	(void)on;
}

static void hook_start(void) {}

static bool hook_was_called(void)
{
	return true;
}
#endif

static void steps_and_handlers_may_allocate_at_every_point(void **state)
{
	int prepare, online;
	unsigned slot;

	(void)state;
	inner = make("inner");
	use(inner);
	prepare =
		cpuhp_setup_state(CPUHP_BP_PREPARE_DYN, "prepare", step_allocates, step_allocates);
	online = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "online", step_allocates, step_allocates);
	assert_true(prepare > 0 && online > 0);
	hook(true);
	for (int i = 0; i < 10; i++) {
		use(inner);
		slot = take_mine_down();
		use(inner);
		assert_int_equal(stele_cpu_up(slot), 0);
	}
	hook(false);
	assert_true(hook_was_called());
	cpuhp_remove_state((enum cpuhp_state)online);
	cpuhp_remove_state((enum cpuhp_state)prepare);
	assert_int_equal(wrong, 0);
	destroy(inner);
}

/* ---- caches destroyed by a thread that holds the set, while a grace period's end wants it ---- */

#define STUCK_S 20 /* a thread that waits that long waits for ever */

static _Atomic bool in_round, go;
static _Atomic unsigned emptied;

/* Here, and in no thread that waits inside the library, SIGALRM gets through and ends the test. */
static void *receive_alarm(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void item_emptied(void *p)
{
	(void)p;
	emptied++;
}

static struct kmem_cache *make_with(const char *name, void (*dtor)(void *), slab_flags_t flags)
{
	struct kmem_cache_args args = { .dtor = dtor };

	return kmem_cache_create(name, sizeof(struct item), &args, flags | SLAB_NO_MERGE);
}

/* With something in it that its destruction has to wait for. */
static void make_and_destroy(const char *name)
{
	struct kmem_cache *s = make_with(name, item_emptied, 0);
	struct item *item = kmem_cache_alloc(s, GFP_KERNEL);

	if (!item)
		wrong++;
	else
		kfree_rcu(item, rcu);
	kmem_cache_destroy(s);
}

/* After a grace period, in the thread that waited for it. */
static void end_late(void *p)
{
	(void)p;
	if (in_round)
		return;
	in_round = true;
	while (!go)
		sched_yield();
	make_and_destroy("of-a-round");
}

/* While that thread is on its way to what this one holds. */
static void destroy_inside(void)
{
	if (go)
		return;
	go = true;
	nap_ms(20);
	make_and_destroy("inside");
}

static void end_inside(void *p)
{
	(void)p;
	destroy_inside();
}

static int step_destroys(unsigned cpu)
{
	(void)cpu;
	destroy_inside();
	return 0;
}

/* Nothing is left when @hold, which destroys a cache inside, has returned. */
static void beside_a_round(void (*hold)(struct kmem_cache *rests))
{
	struct kmem_cache *late = make_with("late", end_late, SLAB_TYPESAFE_BY_RCU);
	struct kmem_cache *rests = make_with("rests", end_inside, 0);
	struct stderr_text t;

	emptied = 0;
	go = in_round = false;
	alarm(STUCK_S);
	assert_true(stderr_begin(&t));
	kmem_cache_free(late, kmem_cache_alloc(late, GFP_KERNEL));
	kmem_cache_free(rests, kmem_cache_alloc(rests, GFP_KERNEL));
	kmem_cache_shrink(late);
	while (!in_round)
		nap_ms(20);
	hold(rests);
	if (!emptied)
		wrong++;
	kmem_cache_destroy(rests);
	kmem_cache_destroy(late);
	stderr_end(&t);
	alarm(0);
	assert_silent(&t);
	assert_int_equal(wrong, 0);
	assert_true(go);
}

static void hold_in_step(struct kmem_cache *rests)
{
	int step = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "destroys", NULL, step_destroys);
	unsigned slot = raw_smp_processor_id();

	(void)rests;
	if (step < 0 || stele_cpu_down(slot) != 0 || stele_cpu_up(slot) != 0)
		wrong++;
	cpuhp_remove_state_nocalls((enum cpuhp_state)step);
}

/* Whichever slot the object rests in. */
static void hold_in_dying_slot(struct kmem_cache *rests)
{
	unsigned slot;

	(void)rests;
	for_each_possible_cpu(slot) if (stele_cpu_down(slot) != 0 || stele_cpu_up(slot) != 0)
		wrong++;
}

static void hold_in_shrink(struct kmem_cache *rests)
{
	kmem_cache_shrink(rests);
}

static void hold_in_walk(struct kmem_cache *rests)
{
	(void)rests;
	stele_trim(0);
}

static void *go_down_and_up(void *slot)
{
	if (stele_cpu_down(*(unsigned *)slot) != 0 || stele_cpu_up(*(unsigned *)slot) != 0)
		wrong++;
	return NULL;
}

static void hold_by_reading(struct kmem_cache *rests)
{
	unsigned slot = num_possible_cpus() - 1;
	pthread_t writer;

	(void)rests;
	cpus_read_lock();
	pthread_create(&writer, NULL, go_down_and_up, &slot);
	nap_ms(20);
	destroy_inside();
	cpus_read_unlock();
	pthread_join(writer, NULL);
}

static void a_destroy_inside_does_not_wait_for_a_thread_that_wants_in(void **state)
{
	pthread_t receiver;

	(void)state;
	assert_int_equal(pthread_create(&receiver, NULL, receive_alarm, NULL), 0);
	beside_a_round(hold_in_step);
	beside_a_round(hold_in_dying_slot);
	beside_a_round(hold_in_shrink);
	beside_a_round(hold_in_walk);
	beside_a_round(hold_by_reading);
	pthread_cancel(receiver);
	pthread_join(receiver, NULL);
}

/* ---- fork ---- */

static int in_child(struct kmem_cache *s)
{
	unsigned slot = num_possible_cpus() - 1;

	use(s);
	if (stele_cpu_watch(false) != 0)
		return 2;
	if (cpu_online(slot) && stele_cpu_down(slot) != 0)
		return 3;
	if (stele_cpu_up(slot) != 0)
		return 4;
	if (num_online_cpus() != num_possible_cpus())
		return 5;
	use(s);
	kmem_cache_shrink(s);
	return wrong ? 6 : 0;
}

static __attribute__((unused)) void a_child_goes_on_whatever_was_under_way(void **state)
{
	struct kmem_cache *s = make("forked");
	pthread_t flapper;
	int status;

	(void)state;
	stele_opt.quiet = 1;
	over = false;
	pthread_create(&flapper, NULL, flap, NULL);
	for (int i = 0; i < (STELE_TEST_EMULATED ? 5 : 60); i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(in_child(s));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	over = true;
	pthread_join(flapper, NULL);
	stele_opt.quiet = 0;
	assert_int_equal(wrong, 0);
	destroy(s);
}

/* ---- what the system does ---- */

/* The threads of this process. */
#define THREADS_MOST 64

static int threads(int numbers[THREADS_MOST])
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) && n < THREADS_MOST)
		if (atoi(entry->d_name))
			numbers[n++] = atoi(entry->d_name);
	closedir(dir);
	return n;
}

/* A thread of that list may have ended since. */
static void set_cpus_of(const int numbers[], int n, const cpu_set_t *set)
{
	for (int i = 0; i < n; i++)
		if (sched_setaffinity(numbers[i], sizeof(*set), set) != 0)
			assert_int_equal(errno, ESRCH);
}

static void set_cpus(const cpu_set_t *set)
{
	int numbers[THREADS_MOST], n = threads(numbers);

	set_cpus_of(numbers, n, set);
}

static void the_set_follows_affinity_where_numbers_do(void **state)
{
	unsigned before = num_online_cpus();
	cpu_set_t one;

	(void)state;
	CPU_ZERO(&one);
	for (int i = 0; CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &allowed))
			CPU_SET(i, &one);
	assert_int_equal(stele_cpu_refresh(), 0);
	set_cpus(&one);
	assert_true(stele_cpu_refresh() >= 0);
	if (stele_system()->mode == STELE_MODE_MM_CID)
		assert_int_equal(num_online_cpus(), 1);
	else
		assert_int_equal(num_online_cpus(), before);
	set_cpus(&allowed);
	assert_true(stele_cpu_refresh() >= 0);
	assert_int_equal(num_online_cpus(), before);
}

static void one_taken_down_stays_down_whatever_the_system_has(void **state)
{
	unsigned slot = take_mine_down();

	(void)state;
	assert_int_equal(stele_cpu_refresh(), 0);
	assert_false(cpu_online(slot));
	assert_int_equal(stele_cpu_up(slot), 0);
}

static void the_watcher_comes_and_goes(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(stele_cpu_watch(true), 0);
		assert_int_equal(stele_cpu_watch(true), 0);
		assert_int_equal(stele_cpu_watch(false), 0);
		assert_int_equal(stele_cpu_watch(false), 0);
	}
}

/* ---- where the watcher runs ---- */

static int one_not_in(const int known[], int n)
{
	int now[THREADS_MOST], count = threads(now);

	for (int i = 0; i < count; i++) {
		bool is_known = false;

		for (int j = 0; j < n; j++)
			is_known |= now[i] == known[j];
		if (!is_known)
			return now[i];
	}
	return 0;
}

/* Else a program that keeps to one processor would be said to run wherever its watcher may. */
static void the_watcher_goes_where_the_others_do(void **state)
{
	int others[THREADS_MOST], n = threads(others), watcher;
	cpu_set_t one, its;

	(void)state;
	CPU_ZERO(&one);
	for (int i = 0; CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &allowed))
			CPU_SET(i, &one);
	assert_int_equal(stele_cpu_watch(true), 0);
	watcher = one_not_in(others, n);
	assert_true(watcher > 0);
	set_cpus_of(others, n, &one);
	for (int i = 0; i < 6000; i++) {
		assert_int_equal(sched_getaffinity(watcher, sizeof(its), &its), 0);
		if (CPU_EQUAL(&its, &one))
			break;
		usleep(10000);
	}
	assert_true(CPU_EQUAL(&its, &one));
	assert_int_equal(stele_cpu_watch(false), 0);
	set_cpus(&allowed);
	assert_true(stele_cpu_refresh() >= 0);
}

static int setup(void **state)
{
	unsigned cpu;

	(void)state;
	hook_start();
	stele_rcu_set_flavor(&toy_flavor);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return -1;
	if (num_possible_cpus() < 2) {
		fprintf(stderr, "one slot is not enough for these tests\n");
		return -1;
	}
	for_each_possible_cpu(cpu) if (!cpu_online(cpu) && stele_cpu_up(cpu) != 0) return -1;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_of_a_slot_that_went_can_be_had_again),
		cmocka_unit_test(a_slot_that_comes_back_starts_clean),
		cmocka_unit_test(waiting_objects_wait_on_when_their_slot_goes),
		cmocka_unit_test(a_cache_is_made_and_used_while_a_slot_is_down),
		cmocka_unit_test(caches_come_and_go_while_slots_do),
		cmocka_unit_test(a_thousand_caches_lose_nothing),
		cmocka_unit_test(steps_and_handlers_may_allocate_at_every_point),
#if STELE_DEBUG && !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(a_handler_that_never_comes_back_leaves_no_reader),
#endif
		cmocka_unit_test(a_destroy_inside_does_not_wait_for_a_thread_that_wants_in),
#ifndef __SANITIZE_THREAD__
		cmocka_unit_test(a_child_goes_on_whatever_was_under_way),
#endif
		cmocka_unit_test(the_set_follows_affinity_where_numbers_do),
		cmocka_unit_test(one_taken_down_stays_down_whatever_the_system_has),
		cmocka_unit_test(the_watcher_comes_and_goes),
	};
	/* An emulator has threads of its own, and affinity that is none. */
	const struct CMUnitTest native[] = {
		cmocka_unit_test(the_watcher_goes_where_the_others_do),
	};
	int failed = cmocka_run_group_tests(tests, setup, NULL);

	return failed || STELE_TEST_EMULATED ? failed : cmocka_run_group_tests(native, NULL, NULL);
}
