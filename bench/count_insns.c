/* SPDX-License-Identifier: MIT */
/*
 * bench/count_insns.c - bench-insns PRELOAD N STEPS-PROGRAM [BYTES]: instructions per pair, one by
 *                       one
 *
 * Idea      valgrind offers no restartable sequences, so it counts the fallback. Here the program
 *           runs for real, and we single-step it between the SIGSTOPs of bench-steps.
 * The trap  Each step is a context switch, and a context switch inside a restartable sequence
 *           aborts it: stepped naively, a sequence would start over for ever. So whenever the
 *           rseq area says that a sequence is running, its rseq_cs is cleared before the next
 *           step. The kernel then knows of no sequence and aborts none; the instructions run as
 *           they are. This is safe only because nothing disturbs the child: it has one thread, is
 *           bound to one CPU and gets no signals.
 * Count     The loop, the write and the PLT count as well: they are what the program executes.
 */
#include "bench.h"
#include "traced.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static void bind_to_this_cpu(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	CPU_ZERO(&set);
	CPU_SET(cpu < 0 ? 0 : cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bench_die("sched_setaffinity");
}

static void expect_stop(int status, int signal)
{
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != signal) {
		errno = ECHILD;
		bench_die("the traced program did not stop where it should");
	}
}

/* To the first SIGSTOP. The library's start tries sequences with signals: they go to the program. */
static void run_to_stop(pid_t child)
{
	int status, signal = 0;

	do {
		if (ptrace(PTRACE_CONT, child, NULL, (void *)(long)signal))
			bench_die("PTRACE_CONT");
		status = traced_wait(child);
		signal = WIFSTOPPED(status) ? WSTOPSIG(status) : SIGSTOP;
	} while (signal != SIGSTOP);
	expect_stop(status, SIGSTOP);
}

/* Steps from here to the next SIGSTOP and returns the number of instructions. */
static unsigned long step_to_stop(pid_t child, uintptr_t rseq_cs, unsigned long limit)
{
	unsigned long steps = 0;
	int status;

	for (;;) {
		traced_forget_sequence(child, rseq_cs);
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL))
			bench_die("PTRACE_SINGLESTEP");
		status = traced_wait(child);
		if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP)
			return steps;
		expect_stop(status, SIGTRAP);
		if (++steps > limit) {
			errno = ELOOP;
			bench_die("a pair seems never to end");
		}
	}
}

int main(int argc, char **argv)
{
	char *program[5] = { NULL, NULL, "stop", NULL, NULL };
	unsigned long pairs, once, twice, limit;
	uintptr_t rseq_cs;
	pid_t child;

	if (argc < 4 || argc > 5) {
		errno = EINVAL;
		bench_die("usage: bench-insns PRELOAD N STEPS-PROGRAM [BYTES]");
	}
	pairs = bench_number(argv[2]);
	limit = 10000 * pairs + 100000;
	program[0] = argv[3];
	program[1] = argv[2];
	program[3] = argv[4];
	preload(argv[1]);
	bind_to_this_cpu();
	child = traced_start(program);
	run_to_stop(child);
	rseq_cs = traced_rseq_cs(child);
	once = step_to_stop(child, rseq_cs, limit);
	twice = step_to_stop(child, rseq_cs, limit);
	bench_print("{\"measure\":\"insns\",\"value\":%.3f,\"rseq\":%s}\n",
		    (double)(twice - once) / (double)pairs, rseq_cs ? "true" : "false");
	return 0;
}
