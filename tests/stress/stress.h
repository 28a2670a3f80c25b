/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/stress.h - what the stress programs share
 *
 * Idea      Threads run a function until the time is over; whatever is wrong ends the process
 *           at once, so that a core shows all threads at that moment. At the end the library
 *           must have seen no bad free.
 */
#ifndef TESTS_STRESS_STRESS_H
#define TESTS_STRESS_STRESS_H

#include "../nap.h"
#include "../random.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stele/slab.h>
#include <stele/stats.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Programs that are built like a user's see nothing of the inside. */
#if __has_include("cache/valid.h")
#include "cache/valid.h"
#define WHAT_IS_BROKEN() stele_caches_valid()
#define WHAT_IS_BROKEN_WHERE_THREADS_LEFT() stele_listed_valid()
#else
#define WHAT_IS_BROKEN() NULL
#define WHAT_IS_BROKEN_WHERE_THREADS_LEFT() NULL
#endif

#define MUST(what) ((what) ? (void)0 : wrong(__FILE__, __LINE__, #what, 0))
#define MUST_FOR(what, value)                                                                      \
	((what) ? (void)0 : wrong(__FILE__, __LINE__, #what, (unsigned long)(value)))
#define MAX_THREADS 16

static atomic_bool stop;
static atomic_ulong steps;

static inline __attribute__((noreturn)) void wrong(const char *file, int line, const char *what,
						   unsigned long value)
{
	char text[300];
	int n = snprintf(text, sizeof(text), "%s:%d: not so: %s (%lu, %#lx)\n", file, line, what,
			 value, value);

	if (write(STDERR_FILENO, text, (size_t)n) == n)
		abort();
	_exit(2);
}

static inline bool stopped(void)
{
	return atomic_load_explicit(&stop, memory_order_relaxed);
}

static inline void step_done(void)
{
	atomic_fetch_add_explicit(&steps, 1, memory_order_relaxed);
}

static inline double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The first argument; 2 when absent. */
static inline double seconds_asked(int argc, char **argv)
{
	return argc > 1 ? atof(argv[1]) : 2;
}

/* Of @watch below, however long they take: a machine may be busy. */
static unsigned rounds_least;

/* Runs @work in @n threads, and @watch every 20 ms here, until the time is over. */
static inline void run_for(double seconds, unsigned n, void *(*work)(void *), void (*watch)(void))
{
	double end = seconds_now() + seconds;
	pthread_t thread[MAX_THREADS];

	MUST(n <= MAX_THREADS);
	for (uintptr_t i = 0; i < n; i++)
		MUST(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
	for (unsigned round = 0; round < rounds_least || seconds_now() < end; round++) {
		nap_ms(20);
		if (watch)
			watch();
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
}

/* ---- timers of one thread ---- */

/* For @signal to interrupt the calling thread, once it is set. */
static inline timer_t timer_here(int signal)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal };
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	return timer;
}

static inline void timer_set(timer_t timer, long first_ns, long period_ns)
{
	struct itimerspec spec = { { 0, period_ns }, { 0, first_ns } };

	MUST(timer_settime(timer, 0, &spec, NULL) == 0);
}

/* ---- at the end ---- */

/* All bytes that the library keeps from the system, handed out or not. */
static inline uint64_t bytes_held(void)
{
	struct stele_stats stats;

	stele_stats_read(&stats);
	return stats.slab_bytes + stats.large_bytes + stats.dirty_free_bytes;
}

static inline void must_be_no_fault(const char *fault)
{
	if (fault)
		wrong(__FILE__, __LINE__, fault, 0);
}

/* When all threads have ended. */
static inline void must_be_valid(void)
{
	must_be_no_fault(WHAT_IS_BROKEN());
}

/* The same where calls were left in the middle, which may have had frames or a slab in hand: all but
 * those. */
static inline void rest_must_be_valid(void)
{
	must_be_no_fault(WHAT_IS_BROKEN_WHERE_THREADS_LEFT());
}

/* Last: steps were made, no bad free was seen, and little is left when nothing is live. */
static inline int finish(uint64_t left_at_most)
{
	struct stele_stats stats;
	uint64_t held;

	/* With what rests in slots and barns, and without. */
	must_be_valid();
	stele_trim(0);
	stele_stats_read(&stats);
	held = bytes_held();
	printf("%lu steps, %lu bad frees, %lu KiB held\n", steps, (unsigned long)stats.reports,
	       (unsigned long)held >> 10);
	MUST(steps > 0);
	MUST_FOR(stats.reports == 0, stats.reports);
	MUST_FOR(held <= left_at_most, held);
	must_be_valid();
	return 0;
}

#endif
