/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/place.c: a request for more memory than the machine has is refused, unless the
 * system is told to promise everything.
 *
 * Idea      The machine's memory and its policy are made up (-Wl,--wrap), so that nobody has to
 *           change those of this one.
 */
#include "pages.h"

#include "os/os.h"

#define RAM (2048 * MIB)

static unsigned policy;

uint64_t __wrap_stele_os_ram_bytes(void);
unsigned __wrap_stele_os_overcommit(void);
unsigned __real_stele_os_overcommit(void);

uint64_t __wrap_stele_os_ram_bytes(void)
{
	return RAM;
}

unsigned __wrap_stele_os_overcommit(void)
{
	return policy;
}

static bool granted(size_t bytes)
{
	char *p = stele_large_alloc(bytes, 1, true);

	if (!p)
		return false;
	assert_int_equal(p[0] | p[bytes - 1], 0);
	p[0] = p[bytes - 1] = 1;
	stele_large_free(stele_run_of(p));
	return true;
}

static void more_than_the_machine_has_is_refused(void **state)
{
	(void)state;
	for (policy = 0; policy <= 2; policy += 2) {
		assert_true(granted(RAM));
		assert_false(granted(RAM + 1));
		assert_false(granted(5 * RAM));
	}
}

static void a_system_that_promises_everything_grants_more_than_it_has(void **state)
{
	(void)state;
	policy = STELE_OS_OVERCOMMIT_ALWAYS;
	assert_true(granted(RAM));
	assert_true(granted(RAM + 1));
	assert_true(granted(5 * RAM));
}

/* This system says one of three words. */
static void the_policy_is_read(void **state)
{
	(void)state;
	assert_in_range(__real_stele_os_overcommit(), 0, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(more_than_the_machine_has_is_refused),
		page_test(a_system_that_promises_everything_grants_more_than_it_has),
		page_test(the_policy_is_read),
	};

	return small_arena("64g") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
