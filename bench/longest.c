/* SPDX-License-Identifier: MIT */
/*
 * bench/longest.c - bench-longest [LIMIT]: the longest kmalloc_nolock() in instructions
 *
 * Idea      A child calls kmalloc_nolock() over and over, between two breakpoints of its own; the
 *           parent steps through each call and counts. The work goes through what makes a call
 *           long: refills, new slabs, many slabs with one free object each, slabs that went while
 *           they were listed. Not counted: a call that had to open a new area of the arena.
 * Sequence  As in count_insns.c: rseq_cs is cleared before each step, or a sequence would start
 *           over for ever.
 * Failure   exit 1 when a call takes more than LIMIT instructions.
 */
#include "bench.h"
#include "traced.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stele/slab.h>
#include <stele/stats.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 4000
#define MEASURED 40
#define STEPS_MAX 1000000ul

/* What the child tells the parent. */
struct told {
	char work[32];
	size_t size;
	bool new_area;
};
static struct told *told;

/* The parent looks for the address of the second one. */
void longest_end_mark(void);

static __attribute__((noinline)) void *measured(size_t size)
{
	void *p;

	__asm__ volatile("int3" ::: "memory");
	p = kmalloc_nolock(size, 0, NUMA_NO_NODE);
	__asm__ volatile(".globl longest_end_mark\nlongest_end_mark: int3" ::: "memory");
	return p;
}

/* ---- the child ---- */

static void *many[MANY], *kept[MEASURED];

static uint64_t areas(void)
{
	struct stele_stats stats;

	stele_stats_read(&stats);
	return stats.areas;
}

static void measure(const char *work, size_t size, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t before = areas();

		kept[i] = measured(size);
		told->new_area = areas() != before;
		told->size = size;
		snprintf(told->work, sizeof(told->work), "%s", work);
	}
	for (unsigned i = 0; i < count; i++)
		kfree(kept[i]);
}

static void fill(size_t size, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		many[i] = kmalloc(size, GFP_KERNEL);
}

static void drop(unsigned first, unsigned step, unsigned count)
{
	for (unsigned i = first; i < count; i += step) {
		kfree(many[i]);
		many[i] = NULL;
	}
	stele_trim(64 << 20);
}

/* Objects enough for some hundred slabs of the smaller sizes. */
static unsigned enough(size_t size)
{
	return size <= 1024 ? MANY : MANY / 8;
}

static void work_at(size_t size)
{
	unsigned n = enough(size);

	measure("fresh", size, MEASURED);
	fill(size, n);
	measure("new slabs", size, MEASURED);
	for (unsigned step = 64; step >= 4; step /= 4) {
		drop(1, step, n);
		measure("few free in each slab", size, MEASURED);
		drop(0, 1, n);
		fill(size, n);
	}
	/* All are listed, then all but the last few go. */
	drop(0, 7, n);
	drop(0, 1, n - n / 16);
	measure("slabs that went", size, MEASURED);
	drop(0, 1, n);
}

static int child(void)
{
	static const size_t sizes[] = { 8, 64, 200, 1024, 4096, 32768 };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		work_at(sizes[i]);
	return 0;
}

/* ---- the parent ---- */

static uintptr_t address_of_child(pid_t pid)
{
	errno = 0;
	return (uintptr_t)ptrace(PTRACE_PEEKUSER, pid,
				 (void *)offsetof(struct user_regs_struct, rip), NULL);
}

static uintptr_t path[STEPS_MAX];

/* From behind the first mark to the second one. */
static unsigned long step_call(pid_t pid, uintptr_t rseq_cs)
{
	unsigned long steps = 0;

	for (;;) {
		traced_forget_sequence(pid, rseq_cs);
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL))
			bench_die("PTRACE_SINGLESTEP");
		if (!WIFSTOPPED(traced_wait(pid)))
			bench_die("the child did not stop");
		path[steps] = address_of_child(pid);
		if (path[steps] == (uintptr_t)longest_end_mark)
			return steps;
		if (++steps == STEPS_MAX)
			bench_die("a call seems never to end");
	}
}

struct longest {
	unsigned long steps, calls;
	struct told where;
};

/* For whoever wants to know what it did: one address a line, less the library's. */
static void write_path(unsigned long steps)
{
	const char *name = getenv("LONGEST_PATH");
	FILE *f = name ? fopen(name, "w") : NULL;

	for (unsigned long i = 0; f && i < steps; i++)
		fprintf(f, "%#lx\n", (unsigned long)path[i]);
	if (f)
		fclose(f);
}

static bool next_stop(pid_t pid)
{
	if (ptrace(PTRACE_CONT, pid, NULL, NULL))
		bench_die("PTRACE_CONT");
	return WIFSTOPPED(traced_wait(pid));
}

/* The call before this stop is over, and the child has said what it was. */
static void account(struct longest *longest, unsigned long steps)
{
	if (!steps || told->new_area)
		return;
	longest->calls++;
	if (steps <= longest->steps)
		return;
	longest->steps = steps;
	longest->where = *told;
	write_path(steps);
}

static struct longest trace(pid_t pid)
{
	struct longest longest = { 0 };
	uintptr_t rseq_cs = traced_rseq_cs(pid);
	unsigned long steps = 0;

	while (next_stop(pid)) {
		account(&longest, steps);
		steps = step_call(pid, rseq_cs);
		/* Over the second mark. */
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) || !WIFSTOPPED(traced_wait(pid)))
			bench_die("the second mark");
	}
	return longest;
}

int main(int argc, char **argv)
{
	unsigned long limit = argc > 1 ? bench_number(argv[1]) : 0;
	struct longest longest;
	pid_t pid;

	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		bench_die("mmap");
	pid = fork();
	if (pid < 0)
		bench_die("fork");
	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
			bench_die("PTRACE_TRACEME");
		_exit(child());
	}
	if (!WIFSTOPPED(traced_wait(pid)))
		bench_die("the child did not start");
	longest = trace(pid);
	bench_print("{\"measure\":\"longest-nolock\",\"value\":%lu,\"work\":\"%s\",\"size\":%zu,"
		    "\"calls\":%lu}\n",
		    longest.steps, longest.where.work, longest.where.size, longest.calls);
	return limit && longest.steps > limit;
}
