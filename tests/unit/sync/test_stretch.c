/* SPDX-License-Identifier: MIT */
/*
 * Tests of sync/stretch.h: memory that was asked for can be used, whichever thread mapped it, and a
 * neighbour ends it.
 */
#include "sync/stretch.h"

#include "../unit.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM (64 * STELE_MAP_UNIT)

static struct stele_stretch s;
static _Atomic uint32_t wrong;

static int begin(void **state)
{
	char *p = stele_os_find_room(2 * ROOM);

	(void)state;
	s.start = p + ROOM / 2;
	s.room = ROOM;
	return p && stretch_begin(&s, STELE_MAP_UNIT) == 0 ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	return munmap(s.start, ROOM + STELE_MAP_UNIT);
}

static void a_mapping_grows_as_needed_and_no_further_than_its_room(void **state)
{
	(void)state;
	for (size_t need = 1; need <= ROOM; need += 3 * STELE_MAP_UNIT / 2) {
		assert_int_equal(stretch_reach(&s, need, need + need / 8), 0);
		assert_true(load_relaxed(&s.mapped) >= need);
		memset(s.start, 1, need);
	}
	assert_int_equal(stretch_reach(&s, ROOM, 2 * ROOM), 0);
	assert_int_equal(stretch_reach(&s, ROOM + 1, ROOM + 1), -ENOMEM);
}

/* A thread that stopped between the call and the note, or is not in this child of fork(). */
static void a_mapping_that_was_not_noted_is_found(void **state)
{
	(void)state;
	for (size_t units = 2; units < 60; units += 7) {
		size_t known = load_relaxed(&s.mapped);

		/* Asking how far it reaches may have made it longer than is known. */
		if (stele_os_extend(s.start, known, units * STELE_MAP_UNIT) != 0)
			stele_os_extend(s.start, known + STELE_MAP_UNIT, units * STELE_MAP_UNIT);
		assert_true(stele_os_is_one_mapping(s.start, units * STELE_MAP_UNIT));
		assert_int_equal(stretch_reach(&s, (units + units % 3) * STELE_MAP_UNIT, 0), 0);
		memset(s.start, 2, (units + units % 3) * STELE_MAP_UNIT);
	}
}

static void *ask(void *arg)
{
	for (size_t at = (uintptr_t)arg; at < ROOM; at += 4096 * (2 + (uintptr_t)arg)) {
		if (stretch_reach(&s, at + 1, at + at / 8) != 0)
			add_relaxed(&wrong, 1);
		else
			s.start[at] = 1;
	}
	return NULL;
}

static void nobody_is_refused_while_there_is_room(void **state)
{
	(void)state;
	meet_inside_steps(true);
	for (int round = 0; round < 50; round++) {
		in_threads(6, ask);
		assert_int_equal(end(NULL), 0);
		assert_int_equal(begin(NULL), 0);
	}
	meet_inside_steps(false);
	assert_int_equal(wrong, 0);
}

static void a_mapping_in_the_way_ends_a_stretch_unharmed(void **state)
{
	char *other = mmap(s.start + 4 * STELE_MAP_UNIT, STELE_MAP_UNIT, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_equal(other, s.start + 4 * STELE_MAP_UNIT);
	memset(other, 8, STELE_MAP_UNIT);
	assert_int_equal(stretch_reach(&s, 6 * STELE_MAP_UNIT, 8 * STELE_MAP_UNIT), -ENOMEM);
	assert_true(load_relaxed(&s.mapped) <= 4 * STELE_MAP_UNIT);
	assert_int_equal(stretch_reach(&s, 4 * STELE_MAP_UNIT, 8 * STELE_MAP_UNIT), 0);
	memset(s.start, 1, 4 * STELE_MAP_UNIT);
	assert_true(all_bytes(other, STELE_MAP_UNIT, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_mapping_grows_as_needed_and_no_further_than_its_room, begin, end),
		cmocka_unit_test_setup_teardown(a_mapping_that_was_not_noted_is_found, begin, end),
		cmocka_unit_test_setup_teardown(nobody_is_refused_while_there_is_room, begin, end),
		cmocka_unit_test_setup_teardown(a_mapping_in_the_way_ends_a_stretch_unharmed, begin,
						end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
