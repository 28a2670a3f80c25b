/* SPDX-License-Identifier: MIT */
/*
 * Tests of percpu/line.h and percpu/take.c: a line whose lock a thread left behind costs others
 * little, and nothing once that thread is gone.
 */
#include "base/options.h"
#include "os/os.h"
#include "percpu/slots.h"
#include "slots.h"

#include "../unit.h"

#include <semaphore.h>

#define FEW 10
#define MANY 1000
#define NO_PATIENCE 1	 /* waits for one more line, when the patience is used up */
#define ALL_PATIENCE 150 /* more waits than takers have patience for, all together */

static uint64_t lines[MANY];
static struct test_sheaf sheaf;

static int start_with_lines(void **state)
{
	if (slots_start(state) != 0)
		return -1;
	for (int i = 0; i < MANY; i++) {
		lines[i] = stele_pcpu_alloc();
		if (!lines[i])
			return -1;
	}
	return 0;
}

/* In the mode of sequences, as a debugger makes it: then lines are locked there, too. */
static void work_by_lock(void)
{
	for (int i = 0; i < 3; i++)
		stele_thread_step_failed();
}

static word_t *lock_of(uint64_t words)
{
	return word_at(slot_memory(stele_slot_locked()) + words, WORD_LOCK);
}

/* ---- waits are counted, where there are points ---- */

#if STELE_DEBUG
static unsigned waits;

static void count_waits(const char *point)
{
	waits += !strcmp(point, "line:waits");
}

static void begin_counting(void)
{
	waits = 0;
	stele_inject = count_waits;
}

static unsigned waits_counted(void)
{
	stele_inject = NULL;
	return waits;
}
#else
static void begin_counting(void) {}

static unsigned waits_counted(void)
{
	return 0;
}
#endif

/* ---- a thread that locks lines ---- */

static sem_t locked, let_go;
static unsigned how_many;
static bool stays;
static uint32_t its_name;

/* As a step that a handler has left: the lock is there, and the sheaf. */
static void *leave_lines_locked(void *unused)
{
	its_name = stele_thread_name();
	work_by_lock();
	for (unsigned i = 0; i < how_many; i++) {
		assert_int_not_equal(stele_pcpu_read(lines[i], WORD_MAIN), SHEAF_UNINIT);
		while (!line_trylock(lock_of(lines[i]), stele_thread_name()))
			;
	}
	sem_post(&locked);
	while (stays && sem_wait(&let_go) != 0)
		;
	return unused;
}

static void unlock_lines(void)
{
	for (unsigned slot = 0; slot <= stele_slots.count; slot++)
		for (unsigned i = 0; i < MANY && slot_memory_begun(slot); i++)
			line_unlock(word_at(slot_memory(slot) + lines[i], WORD_LOCK));
}

/* An emulator's thread lives on for a moment after it was joined. */
static void end_of(pthread_t thread)
{
	sem_post(&let_go);
	pthread_join(thread, NULL);
	while (!stele_thread_is_gone(its_name))
		usleep(1000);
}

static pthread_t lock_lines(unsigned n, bool and_stay)
{
	pthread_t thread;

	sem_init(&locked, 0, 0);
	sem_init(&let_go, 0, 0);
	how_many = n;
	stays = and_stay;
	assert_int_equal(pthread_create(&thread, NULL, leave_lines_locked, NULL), 0);
	while (sem_wait(&locked) != 0)
		;
	if (!and_stay)
		end_of(thread);
	return thread;
}

/* As a control call that walks over all caches. The waits that it takes. */
static unsigned walk(unsigned *taken)
{
	*taken = 0;
	begin_counting();
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(stele_pcpu_take_all(lines[i], EFFORT_WAITING, count_top, taken),
				 0);
	return waits_counted();
}

static void lines_left_locked_are_waited_for_once_and_together(void **state)
{
	unsigned taken, few, many;
	pthread_t thread;

	(void)state;
	thread = lock_lines(FEW, true);
	few = walk(&taken);
	assert_true(few <= ALL_PATIENCE);
	assert_true(!STELE_DEBUG || few);
	assert_int_equal(walk(&taken), 0);
	unlock_lines();
	end_of(thread);
	thread = lock_lines(MANY, true);
	many = walk(&taken);
	assert_true(many <= ALL_PATIENCE + MANY * NO_PATIENCE);
	assert_int_equal(walk(&taken), 0);
	unlock_lines();
	end_of(thread);
}

static void lines_of_a_thread_that_is_gone_are_not_waited_for(void **state)
{
	unsigned taken;

	(void)state;
	lock_lines(MANY, false);
	assert_int_equal(walk(&taken), 0);
	for (unsigned slot = 0; slot <= stele_slots.count; slot++)
		for (unsigned i = 0; i < MANY && slot_memory_begun(slot); i++)
			assert_int_equal(
				load_relaxed(word_at(slot_memory(slot) + lines[i], WORD_LOCK)), 0);
}

/* The lines of this thread's slot, all but the first, are free. */
static void a_holder_that_comes_back_has_a_line_as_before(void **state)
{
	unsigned taken = 0;
	int object;

	(void)state;
	work_by_lock();
	assert_true(stele_pcpu_cas(lines[0], WORD_MAIN, SHEAF_EMPTY, sheaf_start(&sheaf)));
	assert_true(line_trylock(lock_of(lines[0]), stele_thread_name()));
	assert_int_equal(stele_pcpu_take_all(lines[0], EFFORT_WAITING, count_top, &taken), 0);
	assert_int_equal(taken, 0);
	assert_int_equal(line_holder(load_relaxed(lock_of(lines[0]))), stele_thread_name());
	assert_true(load_relaxed(lock_of(lines[0])) & LINE_GIVEN_UP);
	assert_false(stele_pcpu_push(lines[0], &object));
	line_unlock(lock_of(lines[0]));
	assert_true(stele_pcpu_push(lines[0], &object));
	assert_ptr_equal(stele_pcpu_pop(lines[0]), &object);
	assert_int_equal(stele_pcpu_take_all(lines[0], EFFORT_WAITING, count_top, &taken), 0);
	assert_int_equal(taken, 1);
}

/* A thread that only looks, as for cold slots, leaves the line as it is. */
static void a_taker_that_must_not_wait_gives_no_line_up(void **state)
{
	unsigned taken = 0;
	pthread_t thread;

	(void)state;
	thread = lock_lines(1, true);
	begin_counting();
	assert_int_equal(stele_pcpu_take_all(lines[0], EFFORT_USUAL, count_top, &taken), 0);
	assert_int_equal(waits_counted(), 0);
	for (unsigned slot = 0; slot <= stele_slots.count; slot++)
		if (slot_memory_begun(slot))
			assert_false(
				load_relaxed(word_at(slot_memory(slot) + lines[0], WORD_LOCK)) &
				LINE_GIVEN_UP);
	unlock_lines();
	end_of(thread);
}

static void a_line_is_given_out_again_once_its_holder_is_gone(void **state)
{
	static uint64_t others[STELE_SLOT_SIZE / STELE_WORDS_SIZE];
	uint64_t left = lines[0];
	pthread_t thread;
	unsigned n = 0;
	bool again = false;

	(void)state;
	thread = lock_lines(1, true);
	stele_pcpu_free(left);
	while ((others[n] = stele_pcpu_alloc()) != 0)
		assert_int_not_equal(others[n++], left);
	end_of(thread);
	lines[0] = stele_pcpu_alloc();
	again = lines[0] == left;
	for (unsigned i = 0; i < n; i++)
		stele_pcpu_free(others[i]);
	assert_true(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_left_locked_are_waited_for_once_and_together),
		cmocka_unit_test(lines_of_a_thread_that_is_gone_are_not_waited_for),
		cmocka_unit_test(a_holder_that_comes_back_has_a_line_as_before),
		cmocka_unit_test(a_taker_that_must_not_wait_gives_no_line_up),
		cmocka_unit_test(a_line_is_given_out_again_once_its_holder_is_gone),
	};

	return cmocka_run_group_tests(tests, start_with_lines, NULL);
}
