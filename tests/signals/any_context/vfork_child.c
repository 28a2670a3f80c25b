/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/vfork_child.c - a child of vfork() allocates beside its parent's
 * threads
 *
 * Idea      Threads and the child each allocate, write who they are into the block, and look
 *           again before they free it: a block with two owners shows. The child runs in the
 *           parent's memory, so its counts are there for the parent to read. Then children that
 *           are killed at any moment; then the parent's own area, after a child that ran on
 *           another processor; then handlers that run in a child before it has done anything.
 * Control   "raw": the same children by the bare system call. By restartable sequences a block
 *           must then be seen with two owners (or the process must die of it), else this test
 *           could not fail. Without them (STELE_RSEQ=0) nothing may happen.
 * Runs      with the drop-in preloaded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 3
#define BLOCKS 64
#define CHILD_ROUNDS 30000
#define SECONDS 3
#define RAW_SECONDS 20 /* at most; the first block with two owners ends it */

static atomic_bool stop;
static atomic_ulong wrong, rounds_of_children;
static unsigned killed_children;

struct owner {
	uint64_t name;
	uint64_t dice;
	uint64_t *block[BLOCKS];
};

static void check(const uint64_t *block, uint64_t name)
{
	if (block && (block[0] != name || block[3] != (uintptr_t)block))
		atomic_fetch_add(&wrong, 1);
}

static void one_round(struct owner *me)
{
	uint64_t **at;

	me->dice = me->dice * 6364136223846793005ull + 1442695040888963407ull;
	at = &me->block[me->dice >> 58];
	check(*at, me->name);
	free(*at);
	*at = malloc(40);
	if (*at) {
		(*at)[0] = me->name;
		(*at)[3] = (uintptr_t)*at;
	}
}

static void free_all(struct owner *me)
{
	for (int i = 0; i < BLOCKS; i++) {
		check(me->block[i], me->name);
		free(me->block[i]);
	}
}

static void *hammer(void *arg)
{
	struct owner me = { .name = (uintptr_t)arg, .dice = (uintptr_t)arg };

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		one_round(&me);
	free_all(&me);
	return NULL;
}

static __attribute__((noinline)) void in_child(uint64_t name, int rounds)
{
	struct owner me = { .name = name, .dice = name };

	for (int i = 0; i < rounds; i++)
		one_round(&me);
	free_all(&me);
	atomic_fetch_add(&rounds_of_children, (unsigned long)rounds);
}

static __attribute__((noinline)) pid_t child_by_vfork(uint64_t name, int rounds)
{
	pid_t pid = vfork();

	if (pid == 0) {
		in_child(name, rounds);
		_exit(0);
	}
	return pid;
}

#if defined(__x86_64__)
static __attribute__((noinline)) pid_t child_by_raw_call(uint64_t name, int rounds)
{
	long pid = SYS_vfork;

	__asm__ volatile("syscall" : "+a"(pid) : : "rcx", "r11", "memory");
	if (pid == 0) {
		in_child(name, rounds);
		_exit(0);
	}
	return (pid_t)pid;
}
#else
static pid_t child_by_raw_call(uint64_t name, int rounds)
{
	return child_by_vfork(name, rounds);
}
#endif

static void must(bool so, const char *what)
{
	if (so)
		return;
	fprintf(stderr, "not so: %s (%lu wrong)\n", what, atomic_load(&wrong));
	_exit(1);
}

static void children_for(int seconds, pid_t (*child)(uint64_t, int))
{
	time_t end = time(NULL) + seconds;
	struct owner me = { .name = 99, .dice = 99 };

	for (uint64_t name = 1000; time(NULL) < end && !atomic_load(&wrong); name++) {
		int status = -1;
		pid_t pid = child(name, CHILD_ROUNDS);

		must(pid > 0 && waitpid(pid, &status, 0) == pid, "a child is made and ends");
		must(status == 0, "a child ends well");
		for (int i = 0; i < 1000; i++)
			one_round(&me);
	}
	free_all(&me);
}

/* The parent sleeps until its child is gone, so somebody else has to do it. */
static void *kill_child(void *arg)
{
	_Atomic pid_t *pid = arg;

	while (!atomic_load(&stop)) {
		pid_t victim = atomic_exchange(pid, 0);

		if (victim)
			kill(victim, SIGKILL);
		usleep(300);
	}
	return NULL;
}

static __attribute__((noinline)) pid_t child_to_kill(_Atomic pid_t *shown, uint64_t name)
{
	pid_t pid = vfork();

	if (pid == 0) {
		atomic_store(shown, (pid_t)syscall(SYS_getpid));
		in_child(name, 1 << 30);
		_exit(0);
	}
	return pid;
}

static void kill_children(int seconds)
{
	static _Atomic pid_t victim;
	time_t end = time(NULL) + seconds;
	struct owner me = { .name = 98, .dice = 98 };
	pthread_t killer;

	must(pthread_create(&killer, NULL, kill_child, &victim) == 0, "a thread");
	for (uint64_t name = 1u << 20; time(NULL) < end && !atomic_load(&wrong); name++) {
		pid_t pid = child_to_kill(&victim, name);

		must(pid > 0 && waitpid(pid, NULL, 0) == pid, "a child is made and killed");
		killed_children++;
		for (int i = 0; i < 1000; i++)
			one_round(&me);
	}
	atomic_store(&stop, true);
	pthread_join(killer, NULL);
	free_all(&me);
}

static void threads_beside(void (*work)(int, pid_t (*)(uint64_t, int)), int seconds,
			   pid_t (*child)(uint64_t, int))
{
	pthread_t thread[THREADS];

	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < THREADS; i++)
		must(pthread_create(&thread[i], NULL, hammer, (void *)(i + 1)) == 0, "a thread");
	work(seconds, child);
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

static void killing(int seconds, pid_t (*unused)(uint64_t, int))
{
	(void)unused;
	kill_children(seconds);
}

/* ---- where the parent is, afterwards ---- */

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

static bool pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

static uint32_t cpu_in_area(void)
{
	const char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	return *(const volatile uint32_t *)(area + 4);
}

static __attribute__((noinline)) pid_t idle_child(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static __attribute__((noinline)) void child_elsewhere(volatile uint32_t *there, bool with_child)
{
	pid_t pid = vfork();

	if (pid == 0) {
		pin(1);
		free(malloc(40));
		if (with_child)
			waitpid(idle_child(), NULL, 0);
		*there = cpu_in_area();
		_exit(0);
	}
	must(pid > 0 && waitpid(pid, NULL, 0) == pid, "a child is made and ends");
}

static bool usr2_alone_is_blocked(void)
{
	uint64_t mask = 0;

	return syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &mask, sizeof(mask)) == 0 &&
	       mask == 1ull << (SIGUSR2 - 1);
}

static __attribute__((noinline)) pid_t child_that_looks(volatile bool *so)
{
	pid_t pid = vfork();

	if (pid == 0) {
		*so = usr2_alone_is_blocked();
		_exit(0);
	}
	return pid;
}

static void signals_are_let_in_as_before(void)
{
	volatile bool so = false;
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_SETMASK, &set, &before);
	waitpid(child_that_looks(&so), NULL, 0);
	must(so, "a child has its parent's mask");
	must(usr2_alone_is_blocked(), "and the parent has it again");
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void the_area_is_the_parents_again(bool fallback)
{
	cpu_set_t before;
	volatile uint32_t there = 77;

	if (!&__rseq_size || !__rseq_size)
		return;
	sched_getaffinity(0, sizeof(before), &before);
	for (int with_child = 0; with_child < 2 && pin(1) && pin(0); with_child++) {
		child_elsewhere(&there, with_child);
		must(cpu_in_area() == 0, "the parent is where it was");
		must(there == 1 || fallback, "the child knew its processor");
	}
	sched_setaffinity(0, sizeof(before), &before);
}

/* ---- signals ---- */

#define RSEQ_UNREGISTER 1
#if defined(__x86_64__)
#define RSEQ_SIGNATURE 0x53053053
#else
#define RSEQ_SIGNATURE 0xd428bc00
#endif

static pid_t signalled;
static atomic_uint handled_in_child, not_true;

/* Whether the kernel has this thread's area; it has afterwards what it had before. */
static bool kernel_has(char *area)
{
	for (unsigned size = 32; size <= 256; size += 32)
		if (syscall(SYS_rseq, area, size, RSEQ_UNREGISTER, RSEQ_SIGNATURE) == 0) {
			syscall(SYS_rseq, area, size, 0, RSEQ_SIGNATURE);
			return true;
		}
	return false;
}

/* A sequence of a handler would be aborted by nobody where the area is not what it says. */
static void look_at_area(int number)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	(void)number;
	if (syscall(SYS_getpid) == signalled)
		return;
	atomic_fetch_add(&handled_in_child, 1);
	if ((int32_t)cpu_in_area() >= 0 && !kernel_has(area))
		atomic_fetch_add(&not_true, 1);
	free(malloc(40));
}

/* The terminal's signals go to all of a group: a child has one pending before it first runs. */
static void signal_the_group(int seconds)
{
	time_t end = time(NULL) + seconds;

	signal(SIGUSR1, SIG_IGN);
	while (time(NULL) < end)
		kill(0, SIGUSR1);
	_exit(0);
}

static int under_signals(int seconds)
{
	pid_t sender, pid;

	setpgid(0, 0);
	signalled = getpid();
	signal(SIGUSR1, look_at_area);
	sender = fork();
	if (sender == 0)
		signal_the_group(seconds);
	for (pid = 0; waitpid(sender, NULL, WNOHANG) == 0;) {
		pid = idle_child();
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	printf("%u signals handled in children\n", atomic_load(&handled_in_child));
	return atomic_load(&handled_in_child) && !atomic_load(&not_true) ? 0 : 1;
}

/* A thread that the kernel does not know: nor does it afterwards, and the area says so. */
static void *not_registered(void *arg)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
	long error = -1;

	for (unsigned size = 32; error != 0 && size <= 256; size += 32)
		error = syscall(SYS_rseq, area, size, RSEQ_UNREGISTER, RSEQ_SIGNATURE);
	waitpid(idle_child(), NULL, 0);
	*(bool *)arg = error == 0 && ((int32_t)cpu_in_area() < 0 || kernel_has(area));
	return NULL;
}

static void an_area_is_not_more_than_the_kernel_knows(void)
{
	bool so = false;
	pthread_t thread;

	if (!&__rseq_size || !__rseq_size)
		return;
	must(pthread_create(&thread, NULL, not_registered, &so) == 0, "a thread");
	pthread_join(thread, NULL);
	must(so, "an area is registered if it says so");
}

static void handlers_in_children(int seconds)
{
	int status = -1;
	pid_t pid;

	if (!&__rseq_size || !__rseq_size)
		return;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		exit(under_signals(seconds));
	must(pid > 0 && waitpid(pid, &status, 0) == pid, "a process");
	must(status == 0, "a handler in a child finds an area that the kernel has");
}

/* ---- the control ---- */

/* More threads than processors: else each may keep its own for as long as the test runs. */
static void crowd(void)
{
	cpu_set_t allowed, two;

	must(sched_getaffinity(0, sizeof(allowed), &allowed) == 0, "processors");
	CPU_ZERO(&two);
	for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&two) < 2; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			CPU_SET(cpu, &two);
	must(sched_setaffinity(0, sizeof(two), &two) == 0, "two of them");
}

/* Children without help, in a process that may die of it. */
static bool raw_children_do_harm(int seconds)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		/* Double frees are reported, each by a line. */
		must(freopen("/dev/null", "w", stderr) != NULL, "nobody listens");
		alarm(RAW_SECONDS * 2);
		crowd();
		threads_beside(children_for, seconds, child_by_raw_call);
		_exit(atomic_load(&wrong) != 0);
	}
	must(waitpid(pid, &status, 0) == pid, "the process ends");
	printf("bare vfork: status %x\n", (unsigned)status);
	return status != 0;
}

int main(int argc, char **argv)
{
	const char *rseq = getenv("STELE_RSEQ");
	bool fallback = rseq && rseq[0] == '0';

	if (argc > 1 && !strcmp(argv[1], "raw"))
		return raw_children_do_harm(fallback ? SECONDS : RAW_SECONDS) == fallback;
	alarm(60);
	signals_are_let_in_as_before();
	the_area_is_the_parents_again(fallback);
	an_area_is_not_more_than_the_kernel_knows();
	if (!fallback)
		handlers_in_children(SECONDS);
	threads_beside(children_for, SECONDS, child_by_vfork);
	must(atomic_load(&wrong) == 0, "no block has two owners");
	must(atomic_load(&rounds_of_children) > 0, "children did something");
	threads_beside(killing, SECONDS, child_by_vfork);
	must(atomic_load(&wrong) == 0, "no block has two owners after children were killed");
	must(killed_children > 0, "children were killed");
	printf("%lu rounds in children, %u killed\n", atomic_load(&rounds_of_children),
	       killed_children);
	return 0;
}
