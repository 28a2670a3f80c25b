/* SPDX-License-Identifier: MIT */
/*
 * Tests of os/clock.c: the time is the kernel's, and mostly had without entering it.
 */
#include "os/os.h"

#include "../unit.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t ms_of(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct timespec asked(clockid_t which)
{
	struct timespec now;

	assert_int_equal(syscall(SYS_clock_gettime, which, &now), 0);
	return now;
}

static void the_time_is_the_kernels(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t before = ms_of(asked(CLOCK_MONOTONIC)), now = ms_of(stele_os_now());

		assert_true(before <= now && now <= ms_of(asked(CLOCK_MONOTONIC)));
		before = ms_of(asked(CLOCK_MONOTONIC_COARSE));
		now = stele_os_ms();
		assert_true(before <= now && now <= ms_of(asked(CLOCK_MONOTONIC_COARSE)));
	}
}

/* A process that ends when it asks the kernel for the time. */
static int no_call(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { .len = 4, .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
		return 1;
	return stele_os_ms() && stele_os_ms() ? 0 : 2;
}

static void milliseconds_are_had_without_a_system_call(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	if (STELE_TEST_EMULATED || !getauxval(AT_SYSINFO_EHDR))
		return;
	pid = fork();
	if (pid == 0)
		_exit(no_call());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void errno_is_kept(void **state)
{
	(void)state;
	errno = 4711;
	stele_os_ms();
	stele_os_now();
	assert_int_equal(errno, 4711);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_time_is_the_kernels),
		cmocka_unit_test(milliseconds_are_had_without_a_system_call),
		cmocka_unit_test(errno_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
