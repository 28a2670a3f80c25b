/* SPDX-License-Identifier: MIT */
/*
 * A thread dies by the bare system call inside a control call: its slots, its caches, their slabs and
 * the memory of cold slots stay in reach of all others.
 */
#include "../leaving.h"
#include "base/options.h"
#include "cache/chores.h"
#include "cache/caches.h"
#include "contract.h"
#include "percpu/cpus.h"
#include "percpu/system.h"
#include "slab/kmem_cache.h"
#include "slab/object_look.h"

#include <stele/cpu.h>
#include <stele/debug.h>
#include <sys/wait.h>

#define CACHES 200

static void do_nothing(struct kmem_cache *s, void *arg)
{
	(void)s, (void)arg;
}

static void walk_all_caches(void)
{
	stele_cache_each(do_nothing, NULL);
}

static struct {
	unsigned n;
	const struct kmem_cache *cache[CACHES];
	int references[CACHES];
} seen;

static void note(struct kmem_cache *s, void *arg)
{
	(void)arg;
	if (seen.n == CACHES)
		return;
	seen.cache[seen.n] = s;
	seen.references[seen.n++] = s->refcount;
}

static void compare(struct kmem_cache *s, void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < seen.n; i++)
		if (seen.cache[i] == s && s->refcount != seen.references[i])
			fail_msg("%s has %d references, not %d", s->name_at, s->refcount,
				 seen.references[i]);
}

static void dies_at(const char *point, unsigned after, void (*call)(void))
{
	pthread_t thread;

	leaving_at(point, LEAVING_DIES);
	leaving.after = after;
	assert_true(leaving_thread(&thread, call));
	leaving_join(thread);
	assert_int_equal(atomic_load(&leaving.fired), 1);
}

static void a_walker_that_died_pins_no_cache(void **state)
{
	(void)state;
	seen.n = 0;
	stele_cache_each(note, NULL);
	assert_true(seen.n > 2);
	for (unsigned after = 0; after < 3; after++)
		dies_at("walk:at", after, walk_all_caches);
	stele_cache_each(compare, NULL);
}

static void lives(struct kmem_cache *s, void *arg)
{
	*(bool *)arg |= seen.cache[0] == s;
}

static unsigned number_of_cache(const struct kmem_cache *s)
{
	for (unsigned i = 0; i < seen.n; i++)
		if (seen.cache[i] == s)
			return i;
	return seen.n;
}

/* Destroying walks, and so does what comes first after the death. */
static void a_cache_that_a_walker_died_at_can_be_destroyed(void **state)
{
	struct kmem_cache *s = kmem_cache_create("left", 64, NULL, SLAB_NO_MERGE);
	bool there = false;

	(void)state;
	assert_non_null(s);
	seen.n = 0;
	stele_cache_each(note, NULL);
	assert_true(number_of_cache(s) < seen.n);
	dies_at("walk:at", number_of_cache(s), walk_all_caches);
	kmem_cache_destroy(s);
	seen.cache[0] = s;
	stele_cache_each(lives, &there);
	assert_false(there);
}

static void slots_go_and_come_after_a_walker_died(void **state)
{
	unsigned slot = stele_cpus_possible() - 1;

	(void)state;
	dies_at("walk:at", 0, walk_all_caches);
	if (num_online_cpus() > 1 && cpu_online(slot))
		assert_int_equal(stele_cpu_down(slot), 0);
	if (!cpu_online(slot))
		assert_int_equal(stele_cpu_up(slot), 0);
}

static unsigned looks;

static void count_looks(const char *point)
{
	looks += !strcmp(point, "cpus:looking");
}

static void slots_are_looked_at_after_the_looker_died(void **state)
{
	(void)state;
	dies_at("cpus:looking", 0, stele_cold_look);
	stele_inject = count_looks;
	stele_cold_look();
	stele_inject = NULL;
	assert_int_equal(looks, 1);
}

/* ---- validations ---- */

#define CHECKED 500 /* objects, in several slabs */

static struct kmem_cache *checked;
static void *objects[CHECKED];

static void fill_checked(void)
{
	checked = kmem_cache_create("checked", 200, NULL, SLAB_RED_ZONE);
	assert_non_null(checked);
	for (int i = 0; i < CHECKED; i++)
		objects[i] = kmem_cache_alloc(checked, GFP_KERNEL);
}

static void validate(void)
{
	validate_slab_cache(checked);
}

/* Frees all objects and destroys the cache. The messages of these calls are in @t. */
static void end_checked(struct stderr_text *t)
{
	STDERR_OF(t, for (int i = 0; i < CHECKED; i++) kmem_cache_free(checked, objects[i]);
		  kmem_cache_destroy(checked));
}

static void slabs_end_after_a_thread_left_that_validated(void **state)
{
	static const enum leaving_way ways[] = { LEAVING_JUMPS, LEAVING_EXITS, LEAVING_DIES };
	struct stderr_text t;
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 3; i++) {
		fill_checked();
		leaving_at("watch:begun", ways[i]);
		assert_true(leaving_thread(&thread, validate));
		leaving_join(thread);
		assert_int_equal(atomic_load(&leaving.fired), 1);
		end_checked(&t);
		assert_silent(&t);
	}
}

/* A signal that the library does not hold back: its handler jumps out of the validation. */
static void fault(void)
{
	pthread_kill(pthread_self(), SIGTRAP);
}

static void validate_and_fault(const char *point)
{
	fill_checked();
	leaving_at(point, LEAVING_JUMPS);
	leaving.first = fault;
	leaving_body((void *)validate);
	stele_inject = NULL;
	assert_int_equal(atomic_load(&leaving.fired), 1);
}

static sem_t has_left, may_end;

static void *leave_and_live(void *point)
{
	validate_and_fault(point);
	sem_post(&has_left);
	while (sem_wait(&may_end) != 0)
		;
	return point;
}

static const char *const left_at[] = { "watch:begun", "look:noted" };

/* This thread destroys the cache, or shrinks it first. */
static void slabs_end_after_this_thread_left_by_a_fault(void **state)
{
	struct stderr_text t;

	(void)state;
	for (int i = 0; i < 4; i++) {
		validate_and_fault(left_at[i / 2]);
		for (int j = 0; i % 2 && j < CHECKED; j++)
			kmem_cache_free(checked, objects[j]);
		if (i % 2) {
			assert_int_equal(kmem_cache_shrink(checked), 0);
			for (int j = 0; j < CHECKED; j++)
				objects[j] = kmem_cache_alloc(checked, GFP_KERNEL);
		}
		end_checked(&t);
		assert_silent(&t);
	}
}

static void slabs_end_while_a_thread_lives_that_left_by_a_fault(void **state)
{
	struct stderr_text t;
	pthread_t thread;

	(void)state;
	sem_init(&has_left, 0, 0);
	sem_init(&may_end, 0, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&thread, NULL, leave_and_live, (void *)left_at[i]),
				 0);
		while (sem_wait(&has_left) != 0)
			;
		end_checked(&t);
		sem_post(&may_end);
		pthread_join(thread, NULL);
		assert_silent(&t);
	}
}

/* ---- the object that a validation looks at ---- */

#define FEW 8

static struct kmem_cache *few;
static void *some[FEW];

static void validate_few(void)
{
	validate_slab_cache(few);
}

/* All of them, while the object that is looked at cannot be had. */
static void take_some(void)
{
	for (int i = 0; i < FEW; i++)
		assert_non_null(some[i] = kmem_cache_alloc(few, GFP_KERNEL));
}

static void free_some(void)
{
	for (int i = 0; i < FEW; i++)
		kmem_cache_free(few, some[i]);
}

/* The first object of a slab that is free (@used: in use), and is taken (freed) during the look. */
static void leave_a_look(enum leaving_way way, bool used)
{
	struct stderr_text t;
	pthread_t thread;

	few = kmem_cache_create("few", 2000, NULL, SLAB_RED_ZONE | SLAB_POISON);
	assert_non_null(few);
	take_some();
	if (!used)
		free_some();
	leaving_at("look:noted", way);
	assert_true(leaving_thread(&thread, validate_few));
	if (used)
		free_some();
	take_some();
	free_some();
	leaving_join(thread);
	assert_int_equal(atomic_load(&leaving.fired), 1);
	validate_few();
	STDERR_OF(&t, kmem_cache_destroy(few)); /* which reports an object that is lost */
	assert_silent(&t);
}

static void a_look_that_is_left_loses_no_object(void **state)
{
	(void)state;
	for (int way = 0; way < LEAVING_WAYS; way++) {
		leave_a_look((enum leaving_way)way, false);
		leave_a_look((enum leaving_way)way, true);
	}
}

static void assert_not_had(bool used)
{
	uintptr_t looked_at;
	pthread_t thread;

	few = kmem_cache_create("few", 2000, NULL, SLAB_RED_ZONE | SLAB_POISON);
	assert_non_null(few);
	take_some();
	if (!used)
		free_some();
	leaving_at("look:noted", LEAVING_STALLS);
	assert_true(leaving_thread(&thread, validate_few));
	looked_at = load_relaxed(&few->look);
	if (used)
		free_some();
	take_some();
	for (int i = 0; i < FEW; i++)
		assert_int_not_equal((uintptr_t)some[i], looked_at);
	assert_int_equal(load_relaxed(&few->look), looked_at | LOOK_LEFT);
	leaving_join(thread);
	free_some();
	kmem_cache_destroy(few);
}

static void an_object_is_not_had_while_it_is_looked_at(void **state)
{
	(void)state;
	assert_not_had(false);
	assert_not_had(true);
}

static void slabs_end_in_a_child_that_was_forked_beside_a_validation(void **state)
{
	struct stderr_text t;
	pthread_t thread;
	pid_t child;
	int status;

	(void)state;
	fill_checked();
	leaving_at("look:noted", LEAVING_STALLS);
	assert_true(leaving_thread(&thread, validate));
	kmem_cache_free(checked, objects[0]); /* the look has it */
	child = fork();
	if (!child) {
		objects[0] = kmem_cache_alloc(checked, GFP_KERNEL);
		end_checked(&t);
		_exit(t.text[0] != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	leaving_join(thread);
	assert_int_equal(status, 0);
	objects[0] = kmem_cache_alloc(checked, GFP_KERNEL);
	end_checked(&t);
	assert_silent(&t);
}

static int start_with_caches(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	struct sigaction action = { .sa_handler = leaving_on_signal };

	(void)state;
	leaving_begin();
	sigaction(SIGTRAP, &action, NULL);
	for (int i = 0; i < 4; i++)
		if (!kmem_cache_create(names[i], 64, NULL, SLAB_NO_MERGE))
			return -1;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_walker_that_died_pins_no_cache),
		cmocka_unit_test(a_cache_that_a_walker_died_at_can_be_destroyed),
		cmocka_unit_test(slots_go_and_come_after_a_walker_died),
		cmocka_unit_test(slots_are_looked_at_after_the_looker_died),
		cmocka_unit_test(slabs_end_after_a_thread_left_that_validated),
		cmocka_unit_test(slabs_end_after_this_thread_left_by_a_fault),
		cmocka_unit_test(slabs_end_while_a_thread_lives_that_left_by_a_fault),
		cmocka_unit_test(a_look_that_is_left_loses_no_object),
		cmocka_unit_test(an_object_is_not_had_while_it_is_looked_at),
		cmocka_unit_test(slabs_end_in_a_child_that_was_forked_beside_a_validation),
	};

	return cmocka_run_group_tests(tests, start_with_caches, NULL);
}
