/* SPDX-License-Identifier: MIT */
/*
 * Tests of slab/layout.c: how much room a checked object takes, and that every layout keeps the
 * alignment and a zone on either side.
 */
#include "slab/checks.h"

#include "../unit.h"

#define FZPU (SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER)

static void objects_take_what_the_decision_record_says(void **state)
{
	(void)state;
	assert_int_equal(stele_layout_for(16, 8, FZPU).size, 80);
	assert_int_equal(stele_layout_for(64, 8, FZPU).size, 128);
	assert_int_equal(stele_layout_for(64, 64, FZPU).size, 128);
	assert_int_equal(stele_layout_for(4096, 4096, FZPU).size, 8192);
}

static void objects_without_checks_take_their_size(void **state)
{
	static const uint32_t none[] = { 0, SLAB_CONSISTENCY_CHECKS, SLAB_TRACE };

	(void)state;
	for (size_t i = 0; i < STELE_ARRAY_SIZE(none); i++) {
		struct layout l = stele_layout_for(100, 32, none[i]);

		assert_int_equal(l.size, 128);
		assert_int_equal(l.first, 0);
		assert_int_equal(l.meta, 0);
	}
}

static void check_layout(uint32_t size, uint32_t align, uint32_t flags)
{
	struct layout l = stele_layout_for(size, align, flags);
	uint32_t zone = flags & SLAB_RED_ZONE ? ZONE_SIZE : 0;
	uint32_t record = flags & SLAB_STORE_USER ? sizeof(struct object_meta) : META_SHORT;

	assert_true(l.first % align == 0 && l.first >= zone);
	assert_true(l.size % align == 0);
	assert_true(l.meta >= size + ZONE_SIZE && l.meta % 8 == 0);
	assert_int_equal(l.meta + record + zone, l.size);
}

static void every_layout_keeps_the_alignment_and_the_zones(void **state)
{
	static const uint32_t flags[] = { SLAB_RED_ZONE, SLAB_POISON, SLAB_STORE_USER, FZPU };

	(void)state;
	for (uint32_t size = 1; size < 600; size++)
		for (uint32_t align = 8; align <= 4096; align *= 2)
			for (size_t i = 0; i < STELE_ARRAY_SIZE(flags); i++)
				check_layout(size, align, flags[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_take_what_the_decision_record_says),
		cmocka_unit_test(objects_without_checks_take_their_size),
		cmocka_unit_test(every_layout_keeps_the_alignment_and_the_zones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
