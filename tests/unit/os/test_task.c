/* SPDX-License-Identifier: MIT */
/*
 * Tests of os/task.c: tokens and process numbers, also where their counts are near the end.
 */
#include "os/os.h"

#include "../unit.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8

static uint64_t token[THREADS];

static void *tell(void *arg)
{
	token[(uintptr_t)arg] = stele_os_token();
	if (stele_os_token() != token[(uintptr_t)arg])
		abort();
	return NULL;
}

static void no_token_is_given_twice(void)
{
	uint64_t mine = stele_os_token();

	in_threads(THREADS, tell);
	for (int i = 0; i < THREADS; i++) {
		assert_int_not_equal(token[i], 0);
		assert_int_not_equal((uint32_t)token[i], 0); /* for a word's half */
		assert_int_not_equal(token[i], mine);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(token[i], token[j]);
	}
}

static void a_token_is_a_thread_s_own(void **state)
{
	(void)state;
	no_token_is_given_twice();
}

/* A count of 32 bits would give 0, then those of threads that live. */
static void tokens_do_not_come_again_after_four_thousand_million(void **state)
{
	uint64_t early = stele_os_token();

	(void)state;
	atomic_store(&stele_os_tokens, UINT32_MAX - THREADS / 2ull);
	no_token_is_given_twice();
	for (int i = 0; i < THREADS; i++)
		assert_true(token[i] > UINT32_MAX - (uint64_t)THREADS);
	assert_int_equal(stele_os_token(), early);
	assert_true(early < UINT32_MAX - (uint64_t)THREADS);
}

static void a_child_of_vfork_has_its_own_and_its_parent_has_its_own_again(void **state)
{
	uint64_t mine = stele_os_token(), child, grandchild;

	(void)state;
	assert_false(stele_os_in_vfork_child());
	stele_os_token_of_child();
	child = stele_os_token();
	assert_true(stele_os_in_vfork_child());
	stele_os_token_of_child();
	grandchild = stele_os_token();
	assert_true(child != mine && grandchild != child && grandchild != mine);
	stele_os_token_back(child);
	assert_true(stele_os_in_vfork_child());
	stele_os_token_back(mine);
	assert_false(stele_os_in_vfork_child());
	assert_int_equal(stele_os_token(), mine);
}

/* The child of a child, and so on: each has a number, none has its parent's, none has 0. */
static int generations(int n, uint32_t before)
{
	uint32_t mine = stele_os_process();
	int status = 1;
	pid_t pid;

	if (mine == 0 || mine == before || mine != stele_os_process())
		return 1;
	if (n == 0)
		return 0;
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		_exit(generations(n - 1, mine));
	return waitpid(pid, &status, 0) == pid ? status : 1;
}

static __attribute__((unused)) void no_process_is_number_0(void **state)
{
	(void)state;
	stele_os_process();
	atomic_store(&stele_os_processes, UINT32_MAX - 3);
	assert_int_equal(generations(8, 0), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_token_is_a_thread_s_own),
	cmocka_unit_test(tokens_do_not_come_again_after_four_thousand_million),
	cmocka_unit_test(a_child_of_vfork_has_its_own_and_its_parent_has_its_own_again),
/* An emulator does not wipe memory in a child. */
#if !STELE_TEST_EMULATED
	cmocka_unit_test(no_process_is_number_0),
#endif
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
