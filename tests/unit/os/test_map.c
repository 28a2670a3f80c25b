/* SPDX-License-Identifier: MIT */
/*
 * Tests of os/map.c: nothing of somebody else's is replaced, a mapping grows and tells its length,
 * a move that is refused leaves both blocks.
 */
#include "os/map.h"
#include "base/options.h"

#include "../unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1ul << 20)

/* @size bytes where nothing is mapped, and nothing on both sides. */
static char *free_place(size_t size)
{
	char *p = stele_os_find_room(size + 8 * MIB);

	assert_non_null(p);
	return (char *)(((uintptr_t)p + 4 * MIB) & ~(MIB - 1));
}

static bool is_mapped(char *p)
{
	unsigned char resident;

	return mincore(p, 1, &resident) == 0;
}

static void a_mapping_is_not_replaced(void **state)
{
	char *p = free_place(MIB);

	(void)state;
	assert_int_equal(stele_os_map(p + 65536, 65536), 0);
	memset(p + 65536, 7, 65536);
	assert_int_equal(stele_os_map(p, MIB), -EEXIST);
	assert_int_equal(stele_os_map_readable(p + 65536, 4096), -EEXIST);
	assert_true(all_bytes(p + 65536, 65536, 7));
	assert_false(is_mapped(p));
	assert_false(is_mapped(p + 2 * 65536));
	assert_int_equal(stele_os_unmap(p, MIB), 0);
	assert_false(is_mapped(p + 65536));
}

static void readable_pages_become_writable(void **state)
{
	char *p = free_place(MIB);

	(void)state;
	assert_int_equal(stele_os_map_readable(p, MIB), 0);
	assert_true(all_bytes(p, MIB, 0));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(stele_os_map_writable(p + 65536, 65536), 0);
		memset(p + 65536, 3, 65536);
	}
	assert_true(all_bytes(p + 2 * 65536, MIB - 2 * 65536, 0));
	stele_os_unmap(p, MIB);
}

static void a_mapping_grows_in_place_and_tells_its_length(void **state)
{
	char *p = free_place(MIB);

	(void)state;
	assert_int_equal(stele_os_map(p, 65536), 0);
	p[0] = 5;
	assert_int_equal(stele_os_extend(p, 65536, 3 * 65536), 0);
	p[3 * 65536 - 1] = 6;
	/* A thread that does not know of it. */
	assert_int_equal(stele_os_extend(p, 65536, 2 * 65536), -ENOMEM);
	assert_true(stele_os_is_one_mapping(p, 2 * 65536));
	assert_false(stele_os_is_one_mapping(p, 4 * 65536));
	assert_int_equal(p[0], 5);
	stele_os_unmap(p, MIB);
}

static void a_neighbour_ends_the_growth_and_is_no_part_of_it(void **state)
{
	char *p = free_place(MIB), *other;

	(void)state;
	assert_int_equal(stele_os_map(p, 65536), 0);
	other = mmap(p + 65536, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_equal(other, p + 65536);
	memset(other, 9, 65536);
	assert_true(stele_os_extend(p, 65536, 2 * 65536) != 0);
	assert_false(stele_os_is_one_mapping(p, 2 * 65536));
	assert_true(all_bytes(other, 65536, 9));
	stele_os_unmap(p, MIB);
}

static void a_move_takes_the_pages_along(void **state)
{
	char *from = free_place(MIB), *to;

	(void)state;
	assert_int_equal(stele_os_map(from, MIB), 0);
	memset(from, 0x55, MIB);
	to = free_place(2 * MIB);
	assert_int_equal(stele_os_map(to, 2 * MIB), 0);
	memset(to, 1, 2 * MIB);
	assert_int_equal(stele_os_move(from, MIB, to, 2 * MIB), 0);
	assert_true(all_bytes(to, MIB, 0x55));
	assert_true(all_bytes(to + MIB, MIB, 0));
	assert_false(is_mapped(from));
	assert_true(stele_os_is_one_mapping(to, 2 * MIB));
	stele_os_unmap(to, 2 * MIB + STELE_MAP_UNIT);
}

/* Two mappings at the source, of which the kernel could move one. */
static void a_refused_move_leaves_both(void **state)
{
	char *from = free_place(MIB), *to;

	(void)state;
	assert_int_equal(stele_os_map(from, MIB), 0);
	memset(from, 0x66, MIB);
	assert_int_equal(mprotect(from + MIB / 2, MIB / 2, PROT_READ), 0);
	to = free_place(2 * MIB);
	assert_int_equal(stele_os_map(to, 2 * MIB), 0);
	assert_int_equal(stele_os_move(from, MIB, to, 2 * MIB), -ENOMEM);
	assert_true(all_bytes(from, MIB, 0x66));
	memset(to, 1, 2 * MIB);
	stele_os_unmap(from, MIB);
	stele_os_unmap(to, 2 * MIB);
}

static void a_target_that_is_lost_is_told(void **state)
{
	char *from = free_place(MIB), *to;

	(void)state;
	assert_int_equal(stele_os_map(from, MIB), 0);
	memset(from, 0x77, MIB);
	assert_int_equal(mprotect(from + MIB / 2, MIB / 2, PROT_READ), 0);
	to = free_place(2 * MIB);
	/* As if another thread had mapped this after the kernel had unmapped the target. */
	assert_ptr_equal(mmap(to + MIB, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
			 to + MIB);
	assert_int_equal(stele_os_move(from, MIB, to, 2 * MIB), STELE_OS_TARGET_LOST);
	assert_true(is_mapped(to + MIB));
	assert_true(all_bytes(from, MIB, 0x77));
	stele_os_unmap(from, MIB);
	stele_os_unmap(to, 2 * MIB);
}

struct neighbour {
	char *at;
	_Atomic bool stop;
	_Atomic unsigned made, refused;
};

static void *map_and_unmap(void *arg)
{
	struct neighbour *n = arg;

	while (!n->stop) {
		int error = stele_os_map(n->at, STELE_MAP_UNIT);

		n->refused += error == -EEXIST;
		n->made += !error;
		if (!error)
			stele_os_unmap(n->at, STELE_MAP_UNIT);
	}
	return NULL;
}

/* Another thread that maps the memory behind the target is never told that something is there. */
static void a_refused_move_does_not_touch_the_pages_behind(void **state)
{
	char *from = free_place(MIB), *to;
	struct neighbour n = { 0 };
	pthread_t thread;

	(void)state;
	assert_int_equal(stele_os_map(from, MIB), 0);
	assert_int_equal(mprotect(from + MIB / 2, MIB / 2, PROT_READ), 0);
	to = free_place(4 * MIB);
	assert_int_equal(stele_os_map(to, 2 * MIB), 0);
	n.at = to + 2 * MIB;
	assert_int_equal(pthread_create(&thread, NULL, map_and_unmap, &n), 0);
	for (unsigned moves = 0; moves < 3000 || n.made < 3000; moves++)
		assert_int_equal(stele_os_move(from, MIB, to, 2 * MIB), -ENOMEM);
	n.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(n.refused, 0);
	stele_os_unmap(from, MIB);
	stele_os_unmap(to, 2 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapping_is_not_replaced),
		cmocka_unit_test(readable_pages_become_writable),
		cmocka_unit_test(a_mapping_grows_in_place_and_tells_its_length),
		cmocka_unit_test(a_neighbour_ends_the_growth_and_is_no_part_of_it),
		cmocka_unit_test(a_move_takes_the_pages_along),
		cmocka_unit_test(a_refused_move_leaves_both),
		cmocka_unit_test(a_target_that_is_lost_is_told),
		cmocka_unit_test(a_refused_move_does_not_touch_the_pages_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
