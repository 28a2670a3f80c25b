/* SPDX-License-Identifier: MIT */
/*
 * Tests of sync/mutex.c and the kernel: a waiter lends its priority; where the kernel refuses futexes
 * with owners, plain ones do as well.
 */
#include "../../real_time.h"
#include "one_mutex.h"
#include "os/os.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- priority ---- */

/* As the kernel uses it just now: below 0 for real-time, -1 - priority. */
static int effective_priority(uint32_t thread)
{
	char path[64], line[512] = "";
	const char *at;
	int priority = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%u/stat", thread);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	at = strrchr(line, ')');
	assert_non_null(at);
	assert_int_equal(sscanf(at + 1,
				" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %d",
				&priority),
			 1);
	return priority;
}

#define PRIORITY 7

static void a_waiter_lends_its_priority(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(stele_lock(&mutex), 0);
	assert_true(effective_priority(stele_os_thread()) >= 0);
	if (create_scheduled(&thread, SCHED_FIFO, PRIORITY, lock_once, NULL) != 0)
		fail_msg("SCHED_FIFO is refused here: nothing can be shown");
	while (effective_priority(stele_os_thread()) != -1 - PRIORITY)
		usleep(1000); /* for ever, if the lock does not lend it: the test's time limit */
	stele_unlock(&mutex);
	pthread_join(thread, NULL);
	assert_true(effective_priority(stele_os_thread()) >= 0);
}

/* ---- kernels and sandboxes that refuse futexes with owners ---- */

/* No emulator runs a filter of system calls. */
static int refuse_inheriting(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FUTEX_CMD_MASK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_LOCK_PI, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_UNLOCK_PI, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void plain_futexes_do_as_well(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (STELE_TEST_EMULATED)
		return;
	pid = fork();
	if (pid == 0) {
		alarm(50);
		if (refuse_inheriting() != 0)
			_exit(2);
		guarded = 0;
		in_threads(THREADS, count_up);
		_exit(guarded != (long)THREADS * ROUNDS || is_held());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_futexes_do_as_well),
	};
	const struct CMUnitTest native[] = {
		cmocka_unit_test(a_waiter_lends_its_priority),
	};

	if (cmocka_run_group_tests(tests, NULL, NULL) != 0)
		return 1;
	return NATIVE ? cmocka_run_group_tests(native, NULL, NULL) : 0;
}
