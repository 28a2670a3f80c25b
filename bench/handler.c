/* SPDX-License-Identifier: MIT */
/*
 * bench/handler.c - bench-handler slowdown|nolock [BATCHES]: what allocating in handlers costs
 *
 * Slowdown  A loop of malloc and free (16 to 1024 bytes, 1000 alive) runs without signals, with an
 *           empty handler at 20 kHz, and with one that does four pairs of its own, in turn. Each
 *           is timed by the thread's own clock. The time beyond that of a
 *           quiet loop, divided by the signals, is the cost of one signal. A working signal should cost an
 *           empty one and its four pairs (measured as calls, between the batches) and no more.
 *           The value is what is left over, in per cent of the quiet loop's time at 20 kHz.
 * Nolock    pairs of kmalloc_nolock() and kfree_nolock(), divided by pairs of kmalloc() and
 *           kfree(); 64 bytes, batches in turn.
 * Units     medians over the batches.
 */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stele/slab.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LIVE 1000
#define STEPS 1000000u
#define CALLS 20000u
#define PAIRS 2000000u
#define OBJECT 64u
#define HANDLER_PAIRS 4
#define PERIOD_NS 50000
#define RATE 20000.0

struct batch {
	double quiet, empty, working; /* ns of the loop */
	double empty_signals, working_signals;
	double own; /* ns of what the handler does, when called */
};

static void *live[LIVE];
static uint64_t loop_random = 1, handler_random = 2;
static volatile unsigned long signals;
static timer_t timer;

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void on_nothing(int signal)
{
	(void)signal;
	signals++;
}

static void on_work(int signal)
{
	(void)signal;
	signals++;
	for (int i = 0; i < HANDLER_PAIRS; i++)
		free(bench_alloc(bench_between(&handler_random, 16, 1024)));
}

static void every(long period_ns)
{
	struct itimerspec period = { { 0, period_ns }, { 0, period_ns } };

	if (timer_settime(timer, 0, &period, NULL))
		bench_die("timer_settime");
}

static void make_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		bench_die("timer_create");
}

static void loop(unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		void **place = &live[bench_between(&loop_random, 0, LIVE - 1)];

		free(*place);
		*place = bench_alloc(bench_between(&loop_random, 16, 1024));
	}
}

/* The loop's time with @handler at work, or without signals; how many came. */
static double timed(void (*handler)(int), double *came)
{
	struct sigaction action = { .sa_handler = handler ? handler : SIG_IGN,
				    .sa_flags = SA_RESTART };
	double start;

	if (sigaction(SIGRTMIN, &action, NULL))
		bench_die("sigaction");
	signals = 0;
	every(handler ? PERIOD_NS : 0);
	start = cpu_ns();
	loop(STEPS);
	start = cpu_ns() - start;
	every(0);
	*came = (double)signals;
	return start;
}

static double own_cost(void)
{
	double start = cpu_ns();

	for (unsigned i = 0; i < CALLS; i++)
		on_work(0);
	return (cpu_ns() - start) / CALLS;
}

static double left_over(const struct batch *b)
{
	double empty = (b->empty - b->quiet) / b->empty_signals;
	double working = (b->working - b->quiet) / b->working_signals;

	return (working - empty - b->own) * RATE / 1e9 * 100;
}

static void slowdown(unsigned long batches)
{
	double value[BENCH_MAX_BATCHES], own[BENCH_MAX_BATCHES], cost[BENCH_MAX_BATCHES], none;

	make_timer();
	loop(STEPS);
	for (unsigned long i = 0; i < batches; i++) {
		struct batch b;

		b.quiet = timed(NULL, &none);
		b.empty = timed(on_nothing, &b.empty_signals);
		b.working = timed(on_work, &b.working_signals);
		b.own = own_cost();
		if (!b.empty_signals || !b.working_signals) {
			errno = ETIME;
			bench_die("no signal came");
		}
		value[i] = left_over(&b);
		own[i] = b.own;
		cost[i] = (b.empty - b.quiet) / b.empty_signals;
	}
	bench_print("{\"measure\":\"handler\",\"value\":%.4f,\"own_ns\":%.1f,\"empty_ns\":%.1f}\n",
		    bench_median(value, batches), bench_median(own, batches),
		    bench_median(cost, batches));
}

static double plain_pairs(void)
{
	double start = cpu_ns();

	for (unsigned i = 0; i < PAIRS; i++) {
		void *p = kmalloc(OBJECT, GFP_ATOMIC);

		if (!p)
			bench_die("kmalloc");
		*(volatile unsigned long *)p = 1;
		kfree(p);
	}
	return (cpu_ns() - start) / PAIRS;
}

static double nolock_pairs(void)
{
	double start = cpu_ns();

	for (unsigned i = 0; i < PAIRS; i++) {
		void *p = kmalloc_nolock(OBJECT, 0, NUMA_NO_NODE);

		if (!p)
			bench_die("kmalloc_nolock");
		*(volatile unsigned long *)p = 1;
		kfree_nolock(p);
	}
	return (cpu_ns() - start) / PAIRS;
}

static void nolock(unsigned long batches)
{
	double plain[BENCH_MAX_BATCHES], without[BENCH_MAX_BATCHES], ns;

	plain_pairs();
	nolock_pairs();
	for (unsigned long i = 0; i < batches; i++) {
		plain[i] = plain_pairs();
		without[i] = nolock_pairs();
	}
	ns = bench_median(without, batches);
	bench_print("{\"measure\":\"nolock\",\"value\":%.4f,\"ns\":%.3f}\n",
		    ns / bench_median(plain, batches), ns);
}

int main(int argc, char **argv)
{
	unsigned long batches = argc > 2 ? bench_number(argv[2]) : 5;

	if (argc < 2 || !batches || batches > BENCH_MAX_BATCHES) {
		errno = EINVAL;
		bench_die("usage: bench-handler slowdown|nolock [BATCHES]");
	}
	if (strcmp(argv[1], "nolock") == 0)
		nolock(batches);
	else
		slowdown(batches);
	return 0;
}
