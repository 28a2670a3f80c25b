/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/basics.h. Each function is compared with its definition, counted out slowly, at every
 * power of two and its neighbours: that is where such functions go wrong.
 */
#include "base/basics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Calls @check for 2^n - 1, 2^n and 2^n + 1, for every n. */
static void at_edges(void (*check)(uint64_t))
{
	for (unsigned int n = 0; n < 64; n++) {
		check(((uint64_t)1 << n) - 1);
		check((uint64_t)1 << n);
		check(((uint64_t)1 << n) + 1);
	}
	check(UINT64_MAX);
}

static void check_counts(uint64_t x)
{
	unsigned int ones = 0;
	unsigned int lowest = 64;
	unsigned int highest = 0;

	for (unsigned int i = 0; i < 64; i++) {
		if (!(x >> i & 1))
			continue;
		ones++;
		highest = i;
		lowest = lowest == 64 ? i : lowest;
	}
	assert_int_equal(stele_popcount(x), ones);
	assert_int_equal(stele_is_pow2(x), ones == 1);
	if (!x)
		return;
	assert_int_equal(stele_ctz(x), lowest);
	assert_int_equal(stele_clz(x), 63 - highest);
	assert_int_equal(stele_ilog2(x), highest);
}

static void counts_match_their_definition(void **state)
{
	(void)state;
	at_edges(check_counts);
}

static void check_log_up(uint64_t x)
{
	unsigned int n = 0;

	while (n < 64 && (uint64_t)1 << n < x)
		n++;
	assert_int_equal(stele_ilog2_up(x), n);
	if (n < 64)
		assert_true(stele_pow2_up(x) == (uint64_t)1 << n);
}

static void rounding_up_never_gives_less_than_asked(void **state)
{
	(void)state;
	at_edges(check_log_up);
}

static void alignment_is_the_nearest_multiple(void **state)
{
	(void)state;
	for (uint64_t a = 1; a <= 4096; a *= 2) {
		for (uint64_t x = 0; x<3 * a; x += a> 64 ? a / 64 : 1) {
			assert_int_equal(STELE_ALIGN_UP(x, a), (x + a - 1) / a * a);
			assert_int_equal(STELE_ALIGN_DOWN(x, a), x / a * a);
			assert_int_equal(STELE_DIV_UP(x, a), (x + a - 1) / a);
			assert_int_equal(stele_is_aligned(x, a), x % a == 0);
		}
	}
}

static void small_alignment_type_keeps_high_address_bits(void **state)
{
	uint64_t x = 0x7fff12345678abcdULL;
	uint32_t a = 4096;

	(void)state;
	assert_true(STELE_ALIGN_DOWN(x, a) == 0x7fff12345678a000ULL);
	assert_true(STELE_ALIGN_UP(x, a) == 0x7fff12345678b000ULL);
	STELE_STATIC_ASSERT(STELE_ALIGN_UP(5, 4) == 8, "must stay a constant expression");
}

static void low_bits_reach_both_ends(void **state)
{
	volatile unsigned int all = 64; /* folded, a wrong shift could look right */

	(void)state;
	assert_true(stele_low_bits(0) == 0);
	assert_true(stele_low_bits(1) == 1);
	assert_true(stele_low_bits(63) == UINT64_MAX >> 1);
	assert_true(stele_low_bits(all) == UINT64_MAX);
}

static void min_and_max_evaluate_once(void **state)
{
	int calls = 0;

	(void)state;
	assert_int_equal(STELE_MIN(++calls, 7), 1);
	assert_int_equal(calls, 1);
	assert_int_equal(STELE_MAX(++calls, -3), 2);
	assert_int_equal(calls, 2);
}

static void container_is_found_from_its_member(void **state)
{
	struct box {
		char before[5];
		int member;
	} b;

	(void)state;
	assert_ptr_equal(STELE_CONTAINER_OF(&b.member, struct box, member), &b);
	assert_int_equal(STELE_ARRAY_SIZE(b.before), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_match_their_definition),
		cmocka_unit_test(rounding_up_never_gives_less_than_asked),
		cmocka_unit_test(alignment_is_the_nearest_multiple),
		cmocka_unit_test(small_alignment_type_keeps_high_address_bits),
		cmocka_unit_test(low_bits_reach_both_ends),
		cmocka_unit_test(min_and_max_evaluate_once),
		cmocka_unit_test(container_is_found_from_its_member),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
