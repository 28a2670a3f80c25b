/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/areas.c and page/heap.c: address space is taken as it is used and goes back, and
 * foreign mappings in between are left alone.
 */
#include "../../proc_kib.h"
#include "base/options.h"
#include "pages.h"
#include "page/place.h"

#include <stdio.h>

#define BLOCKS 300

static unsigned long status(const char *name)
{
	return proc_kib("/proc/self/status", name);
}

static unsigned mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned n = 0;
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static char *take(size_t bytes)
{
	return stele_large_alloc(bytes, 1, false);
}

static void give_back(char *p)
{
	stele_large_free(stele_run_of(p));
}

static uint32_t state_of(uint32_t number)
{
	return load_relaxed(area_count(number));
}

/* Somebody else's mapping, @far areas above the first of those that are closed up to the end. */
static char *map_in_the_way(uint32_t far, size_t bytes)
{
	uint32_t number = load_relaxed(&stele_heap.zones[0].high);
	char *at, *p;

	while (number && state_of(number - 1) == AREA_CLOSED)
		number--;
	at = area_memory(number + far) + 5 * 4096;

	p = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_equal(p, at);
	memset(p, 0x3c, bytes);
	return p;
}

static void memory_costs_address_space_in_proportion(void **state)
{
	unsigned long before = status("VmSize");
	char *p[20];

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_non_null(p[i] = take(MIB));
	assert_in_range(status("VmSize") - before, 16 << 10, 28 << 10);
	for (int i = 0; i < 20; i++)
		give_back(p[i]);
	stele_purge(0);
	assert_true(status("VmSize") <= before + 2048);
}

static void a_big_block_goes_back_at_once(void **state)
{
	unsigned long before = status("VmSize");
	char *p = take(100 * MIB);

	(void)state;
	assert_non_null(p);
	assert_true(status("VmSize") >= before + (100 << 10));
	give_back(p);
	assert_true(status("VmSize") <= before + 2048);
}

static void frames_pass_over_a_mapping_in_the_way(void **state)
{
	char *other = map_in_the_way(1, 8192), *p[BLOCKS];
	uint32_t number = area_of((uintptr_t)other);

	(void)state;
	for (int i = 0; i < 40; i++) {
		p[i] = take(MIB);
		assert_non_null(p[i]);
		assert_true(p[i] + MIB <= area_memory(number) || p[i] >= area_memory(number + 1));
		memset(p[i], 1, MIB);
	}
	assert_int_equal(state_of(number), AREA_FOREIGN);
	assert_true(stele_is_never_given(other));
	assert_true(all_bytes(other, 8192, 0x3c));
	for (int i = 0; i < 40; i++)
		give_back(p[i]);
	stele_purge(0);
	assert_true(all_bytes(other, 8192, 0x3c));
	munmap(other, 8192);
}

static void a_block_passes_over_a_mapping_in_the_way(void **state)
{
	char *other = map_in_the_way(7, 3 * AREA_SIZE), *p;
	uint32_t number = area_of((uintptr_t)other);

	(void)state;
	p = take(20 * MIB);
	assert_non_null(p);
	assert_true(p + 20 * MIB <= area_memory(number) || p >= area_memory(number + 4));
	memset(p, 1, 20 * MIB);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(state_of(number + i), AREA_FOREIGN);
	assert_true(all_bytes(other, 3 * AREA_SIZE, 0x3c));
	give_back(p);
	munmap(other, 3 * AREA_SIZE);
}

static void a_block_does_not_grow_into_a_mapping_in_the_way(void **state)
{
	char *p = take(4 * MIB), *other, *q;
	uint32_t behind = area_of((uintptr_t)p) + 2;

	(void)state;
	stele_purge(0); /* nothing else is open behind it */
	if (state_of(behind) == AREA_CLOSED) {
		other = mmap(area_memory(behind), 4096, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_equal(other, area_memory(behind));
		*other = 77;
		memset(p, 0x1d, 4 * MIB);
		assert_null(stele_large_resize(p, 6 * MIB, false));
		q = stele_large_resize(p, 6 * MIB, true);
		assert_non_null(q);
		assert_true(all_bytes(q, 4 * MIB, 0x1d));
		assert_int_equal(*other, 77);
		munmap(other, 4096);
		p = q;
	}
	give_back(p);
}

/* Blocks that grow in turn: each has to move each time. */
static void moves_leave_no_mappings_behind(void **state)
{
	static char *p[60];
	size_t bytes = 3 * MIB;
	unsigned before, most = 0;

	(void)state;
	stele_purge(0);
	before = mappings();
	for (int i = 0; i < 60; i++) {
		p[i] = take(bytes);
		memset(p[i], i + 1, bytes);
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 60; i++) {
			p[i] = stele_large_resize(p[i], bytes + 3 * MIB, true);
			assert_non_null(p[i]);
			assert_true(all_bytes(p[i], bytes, (unsigned char)(i + 1)));
			memset(p[i] + bytes, i + 1, 3 * MIB);
		}
		bytes += 3 * MIB;
		most = STELE_MAX(most, mappings());
	}
	if (RANGE_IS_OURS)
		assert_true(most <= before + 4 * 60);
	for (int i = 0; i < 60; i++)
		give_back(p[i]);
	if (RANGE_IS_OURS)
		assert_true(mappings() <= before + 50);
}

/* Blocks that grow and shrink, a page at either end of which is touched. Some are replaced. */
static void blocks_that_grow_and_shrink_leave_no_mappings_behind(void **state)
{
	enum { MIXED = 300 };
	static char *p[MIXED];
	int time = stele_opt.dirty_time;
	uint32_t seed = 8;
	unsigned before;

	(void)state;
	stele_purge(0);
	stele_opt.dirty_time = 3600000; /* nothing is forgotten meanwhile */
	before = mappings();
	for (int i = 0; i < MIXED; i++)
		assert_non_null(p[i] = take(2200000));
	for (int i = 0; i < 10 * MIXED; i++) {
		size_t bytes = 2100000 + unit_random(&seed) % 4880 * 4096;
		char *q = stele_large_resize(p[i % MIXED], bytes, true);

		assert_non_null(q);
		q[0] = q[bytes - 1] = 1;
		p[i % MIXED] = q;
		if (unit_random(&seed) % 8)
			continue;
		give_back(q);
		bytes = 2100000 + unit_random(&seed) % 4880 * 8192;
		assert_non_null(p[i % MIXED] = take(bytes));
	}
	for (int i = 0; i < MIXED; i++)
		give_back(p[i]);
	stele_opt.dirty_time = time;
	if (RANGE_IS_OURS) {
		printf("mappings: %u, then %u; mapped %lu, resident %lu KiB\n", before, mappings(),
		       status("VmSize"), status("VmRSS"));
		assert_true(mappings() <= before + 50);
		assert_true((uint64_t)load_relaxed(&stele_heap.mapped) * (AREA_SIZE >> 10) <=
			    2 * status("VmRSS") + (256 << 10));
	}
	stele_purge(0);
}

/* The search reads one word for many areas: its steps are counted by the hints that it finds. */
static void freed_blocks_are_found_again_at_once(void **state)
{
	static char *p[BLOCKS];

	(void)state;
	for (int i = 0; i < BLOCKS; i++)
		assert_non_null(p[i] = take(AREA_SIZE + 4096));
	for (int i = BLOCKS - 1; i >= 0; i -= 3) {
		char *old = p[i];

		give_back(p[i]);
		p[i] = take(AREA_SIZE + 4096);
		assert_ptr_equal(p[i], old);
	}
	for (int i = 0; i < BLOCKS; i++)
		give_back(p[i]);
}

#define THREADS 4
static _Atomic uint32_t wrong;

/* Areas are opened and closed under each other's hands. */
static void *open_and_close(void *arg)
{
	uint32_t seed = 1 + (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < 300; i++) {
		size_t bytes = (1 + unit_random(&seed) % 5) * MIB - 4096 * (unit_random(&seed) % 3);
		char *p = stele_large_alloc(bytes, 1, true), *q;

		if (!p || p[0] || p[bytes - 1])
			add_relaxed(&wrong, 1);
		if (!p)
			continue;
		memset(p, (int)seed | 1, 4096);
		memset(p + bytes - 4096, (int)seed | 1, 4096);
		q = stele_large_resize(p, bytes + 3 * MIB, true);
		p = q ? q : p;
		if (p[0] != (char)(seed | 1) || p[bytes - 1] != (char)(seed | 1))
			add_relaxed(&wrong, 1);
		give_back(p);
		if (i % 8 == (int)(uintptr_t)arg)
			stele_purge(0);
	}
	return NULL;
}

static void areas_come_and_go_under_each_others_hands(void **state)
{
	(void)state;
	meet_inside_steps(true);
	in_threads(THREADS, open_and_close);
	meet_inside_steps(false);
	assert_int_equal(wrong, 0);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
	assert_false(stele_areas_busy());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(memory_costs_address_space_in_proportion),
		page_test(a_big_block_goes_back_at_once),
		page_test(frames_pass_over_a_mapping_in_the_way),
		page_test(a_block_passes_over_a_mapping_in_the_way),
		page_test(a_block_does_not_grow_into_a_mapping_in_the_way),
		page_test(moves_leave_no_mappings_behind),
		page_test(blocks_that_grow_and_shrink_leave_no_mappings_behind),
		page_test(freed_blocks_are_found_again_at_once),
		page_test(areas_come_and_go_under_each_others_hands),
	};

	return small_arena("8g") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
