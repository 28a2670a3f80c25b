/* SPDX-License-Identifier: MIT */
/*
 * tests/growth/counted.h - the system calls and the page faults of each kind of call
 *
 * Idea      A child makes a world, and calls of each kind in it, in turns. Its parent stops it at
 *           each system call and counts those that it makes while `place` is INSIDE. The child asks
 *           the kernel how many page faults its thread had. Both count that one thread and no
 *           other. The worlds are of one size, of 4 times and of 16 times that.
 * Grows     A kind grows if a call costs, on average, more than MORE times as much in the largest
 *           world as in the smallest one, and CHANCE more. No call may cost more than LONGEST.
 * Control   calls madvise() for each block of its own, and touches the block. The test fails unless
 *           both counts of the control grow.
 * Limits    Where the kernel does not let a parent trace its child, the test fails. Looks at cold
 *           slots, rounds of decay and purges come as the clock says. A call that makes one counts
 *           as long as it is. The first WARM rounds do not count.
 * Output    a line per kind: the average and the longest call in each world; then what is wrong, or "ok".
 */
#ifndef STELE_TESTS_GROWTH_COUNTED_H
#define STELE_TESTS_GROWTH_COUNTED_H

#include "../nap.h"
#include "kind.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCALES 3
#define MOST_KINDS 24
#define WARM 6
#define ROUNDS 24
#define MORE 1.5
#define CHANCE 4 /* a step of the work left by others, or the like */
#define LONGEST 2000
#define BLOCKS 8 /* of the control, in a world of size 1 */
#define BLOCK 4096ul
#define AT_CALL (SIGTRAP | 0x80)

enum counted { CALLS, FAULTS, COUNTED };
static const char *const counted_names[COUNTED] = { "system calls", "page faults" };
static const unsigned scales[SCALES] = { 1, 4, 16 };

struct cost {
	unsigned long calls, all, longest;
};

static struct shared {
	_Atomic enum place { BEFORE, INSIDE, AFTER } place;
	_Atomic bool refused;
	unsigned long calls; /* the parent's answer */
	struct cost costs[SCALES][MOST_KINDS][COUNTED];
} * shared;

/* ---- the child ---- */

static unsigned long faults_now(void)
{
	struct rusage usage;

	MUST(getrusage(RUSAGE_THREAD, &usage) == 0);
	return (unsigned long)usage.ru_minflt;
}

static void add(struct cost *cost, unsigned long n)
{
	cost->calls++;
	cost->all += n;
	if (n > cost->longest)
		cost->longest = n;
}

/* The parent answers at the system call that follows AFTER. */
static void counted_call(void (*call)(void), struct cost *cost)
{
	unsigned long before, faults;

	atomic_store(&shared->place, BEFORE);
	raise(SIGSTOP);
	before = faults_now();
	atomic_store(&shared->place, INSIDE);
	call();
	atomic_store(&shared->place, AFTER);
	faults = faults_now() - before;
	if (cost) {
		add(&cost[CALLS], shared->calls);
		add(&cost[FAULTS], faults);
	}
}

static char *blocks;
static unsigned long blocks_all;

static void control(void)
{
	for (unsigned long i = 0; i < blocks_all; i++) {
		MUST(madvise(blocks + i * BLOCK, BLOCK, MADV_DONTNEED) == 0);
		blocks[i * BLOCK] = 1;
	}
}

static void make_control(unsigned scale)
{
	blocks_all = (unsigned long)scale * BLOCKS;
	blocks = mmap(NULL, blocks_all * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	MUST(blocks != MAP_FAILED);
}

/* The control is the kind behind the last one. */
static void one_round(const struct kind *kinds, size_t n, int round, struct cost (*costs)[COUNTED])
{
	for (size_t kind = 0; kind <= n; kind++) {
		if (kind < n && (unsigned)round % kinds[kind].every)
			continue;
		nap_ms(2); /* looks at cold slots become due */
		counted_call(kind < n ? kinds[kind].call : control,
			     round < WARM ? NULL : costs[kind]);
	}
}

static __attribute__((noreturn)) void child(const struct kind *kinds, size_t n, unsigned scale,
					    void (*make_world)(unsigned),
					    struct cost (*costs)[COUNTED])
{
	shared->refused = ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0;
	if (shared->refused)
		_exit(1);
	make_world(scale);
	make_control(scale);
	raise(SIGSTOP);
	for (int round = 0; round < WARM + ROUNDS; round++)
		one_round(kinds, n, round, costs);
	_exit(0);
}

/* ---- the parent ---- */

/* Lets the child go on until it stops. Returns the signal that stopped it, or 0 if it ended. Other
 * signals reach the child. */
static int next_stop(pid_t pid, enum __ptrace_request how)
{
	int status, signal = 0;

	do {
		MUST(ptrace(how, pid, NULL, (void *)(intptr_t)signal) == 0);
		MUST(waitpid(pid, &status, 0) == pid);
		signal = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
	} while (signal && signal != SIGSTOP && signal != AT_CALL);
	MUST(signal || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	return signal;
}

/* The kernel stops the child when it enters a system call, and when it leaves it. */
static unsigned long count_calls(pid_t pid)
{
	unsigned long stops = 0;

	for (;;) {
		MUST(next_stop(pid, PTRACE_SYSCALL) == AT_CALL);
		if (shared->place == AFTER)
			return stops / 2;
		stops += shared->place == INSIDE;
	}
}

static bool count_world(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0) == pid);
	if (!WIFSTOPPED(status)) {
		printf("growth: %s\n",
		       shared->refused
			       ? "the kernel lets no parent trace its child: nothing was counted"
			       : "no world was made");
		return false;
	}
	MUST(ptrace(PTRACE_SETOPTIONS, pid, NULL,
		    (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) == 0);
	while (next_stop(pid, PTRACE_CONT) == SIGSTOP)
		shared->calls = count_calls(pid);
	return true;
}

static double average(int world, size_t kind, enum counted what)
{
	const struct cost *cost = &shared->costs[world][kind][what];

	return cost->calls ? (double)cost->all / (double)cost->calls : 0;
}

static bool grows(size_t kind, enum counted what)
{
	return average(SCALES - 1, kind, what) > average(0, kind, what) * MORE + CHANCE;
}

static bool is_too_long(size_t kind, enum counted what)
{
	bool yes = false;

	for (int i = 0; i < SCALES; i++)
		yes |= shared->costs[i][kind][what].longest > LONGEST;
	return yes;
}

static void print_row(const char *name, size_t kind, enum counted what)
{
	printf("%-26s", name);
	for (int i = 0; i < SCALES; i++)
		printf(" %7.1f %5lu", average(i, kind, what), shared->costs[i][kind][what].longest);
	printf("%s%s\n", grows(kind, what) ? "  grows" : "",
	       is_too_long(kind, what) ? "  too long" : "");
}

static bool judge(const struct kind *kinds, size_t n, enum counted what)
{
	bool good = grows(n, what);

	printf("%s, average and longest of a call, in worlds of size 1, 4, 16\n",
	       counted_names[what]);
	for (size_t kind = 0; kind < n; kind++) {
		print_row(kinds[kind].name, kind, what);
		good &= !grows(kind, what) && !is_too_long(kind, what);
	}
	print_row("the control", n, what);
	return good;
}

/* What main() returns. */
static int count_kinds(const struct kind *kinds, size_t n, void (*make_world)(unsigned scale))
{
	bool good = true;

	MUST(n < MOST_KINDS);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	MUST(shared != MAP_FAILED);
	for (int i = 0; i < SCALES; i++) {
		pid_t pid = fork();

		MUST(pid >= 0);
		if (pid == 0)
			child(kinds, n, scales[i], make_world, shared->costs[i]);
		if (!count_world(pid))
			return 1;
	}
	for (int what = 0; what < COUNTED; what++)
		good &= judge(kinds, n, (enum counted)what);
	puts(good ? "ok" : "growth: not as it should be");
	return !good;
}

#endif
