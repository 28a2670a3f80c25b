/* SPDX-License-Identifier: MIT */
/*
 * Test of page/heap.c and page/tables.h: a table does not grow over a foreign mapping.
 */
#include "page/tables.h"
#include "pages.h"

#define BLOCKS 300

static void a_mapping_in_the_way_of_a_table_is_left_alone(void **state)
{
	struct stele_stretch *tags = &stele_tables[TABLE_TAGS];
	char *other, *p[BLOCKS];
	int n = 0;

	(void)state;
	other = mmap(tags->start + load_relaxed(&tags->mapped), 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_equal(other, tags->start + load_relaxed(&tags->mapped));
	memset(other, 0x71, 4096);
	while (n < BLOCKS && (p[n] = stele_large_alloc(30 * MIB, 1, false)))
		memset(p[n++], 1, 4096);
	assert_true(n < BLOCKS);
	assert_true(all_bytes(other, 4096, 0x71));
	while (n)
		stele_large_free(stele_run_of(p[--n]));
	p[0] = stele_large_alloc(MIB, 1, false);
	assert_non_null(p[0]);
	stele_large_free(stele_run_of(p[0]));
	munmap(other, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(a_mapping_in_the_way_of_a_table_is_left_alone),
	};

	return small_arena("8g") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
