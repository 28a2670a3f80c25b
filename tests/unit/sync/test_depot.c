/* SPDX-License-Identifier: MIT */
/*
 * Tests of sync/depot.c: a stack comes back whole under its number, also when threads put at once.
 */
#include "sync/depot.h"

#include "../unit.h"

#include <pthread.h>
#include <string.h>

#define STACKS 2000u
#define THREADS 4

static void make_stack(uintptr_t *stack, unsigned i)
{
	for (unsigned k = 0; k < 8; k++)
		stack[k] = i * 31 + k;
}

static bool is_stack(uint32_t number, unsigned i)
{
	uintptr_t wanted[8];
	unsigned n;
	const uintptr_t *found = stele_depot_get(number, &n);

	make_stack(wanted, i);
	return found && n == 1 + i % 8 && memcmp(found, wanted, n * sizeof(*wanted)) == 0;
}

static void *put_all(void *wrong)
{
	uintptr_t stack[8];

	for (unsigned i = 0; i < STACKS; i++) {
		uint32_t number;

		make_stack(stack, i);
		number = stele_depot_put(stack, 1 + i % 8);
		if (!is_stack(number, i))
			*(bool *)wrong = true;
	}
	return NULL;
}

static void a_stack_has_one_number(void **state)
{
	uintptr_t stack[8];
	uint32_t number;

	(void)state;
	make_stack(stack, 7);
	number = stele_depot_put(stack, 8);
	assert_true(number && stele_depot_put(stack, 8) == number);
	assert_true(stele_depot_put(stack, 7) != number);
}

static void threads_put_the_same_stacks(void **state)
{
	pthread_t threads[THREADS];
	bool wrong[THREADS] = { false };

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_all, &wrong[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_false(wrong[i]);
	}
}

static void a_wrong_number_has_no_stack(void **state)
{
	unsigned n;

	(void)state;
	assert_null(stele_depot_get(0, &n));
	assert_null(stele_depot_get(~0u, &n));
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stack_has_one_number),
		cmocka_unit_test(threads_put_the_same_stacks),
		cmocka_unit_test(a_wrong_number_has_no_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
