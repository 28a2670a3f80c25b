/* SPDX-License-Identifier: MIT */
/*
 * tests/ticks.h - the same steps in threads and in the handlers that interrupt them
 *
 * Idea      Each thread has a timer of its own. The test defines step(), and calls it in its threads;
 *           here it is called in the handler, four times a tick. Each of the two has its own state
 *           of the random numbers, so neither waits for the other.
 * Failure   false, for the test to say where.
 */
#ifndef TESTS_TICKS_H
#define TESTS_TICKS_H

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS 200000

static atomic_ulong in_handler; /* ticks */
static __thread uint64_t thread_random, handler_random;

static void step(uint64_t *random);

static void on_tick(int signal)
{
	int saved = errno;

	(void)signal;
	for (int i = 0; i < 4; i++)
		step(&handler_random);
	atomic_fetch_add(&in_handler, 1);
	errno = saved;
}

/* Once, before the first thread ticks. */
static inline bool catch_ticks(void)
{
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };

	return sigaction(SIGRTMIN, &action, NULL) == 0;
}

/* Interrupts the calling thread from now on; its random state must be there already. */
static inline bool tick_here(timer_t *timer)
{
	struct itimerspec period = { { 0, PERIOD_NS }, { 0, PERIOD_NS } };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	return timer_create(CLOCK_MONOTONIC, &event, timer) == 0 &&
	       timer_settime(*timer, 0, &period, NULL) == 0;
}

#endif
