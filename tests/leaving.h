/* SPDX-License-Identifier: MIT */
/*
 * tests/leaving.h - a thread leaves a call of the library at a named point, stalls, or dies there
 *
 * Idea      A test names a point (sync/atomic.h) and a way, and makes a call in the thread that
 *           shall go. At the point that thread
 *             jumps   a signal comes, whose handler leaves by siglongjmp()
 *             exits   a signal comes, whose handler ends the thread by pthread_exit()
 *             stalls  the thread stands still until leaving_join()
 *             dies    the thread ends by the bare system call: nothing of it runs any more
 *           The signals are real: where the library holds them back, they strike once they are let
 *           in again.
 * Use       leaving_begin() once; leaving_at() for each case; leaving_thread() runs a call in a
 *           thread of its own, leaving_join() ends the case.
 * Builds    debug only: release has no points. Not with a sanitizer.
 */
#ifndef STELE_TESTS_LEAVING_H
#define STELE_TESTS_LEAVING_H

#include "sync/atomic.h"
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum leaving_way { LEAVING_JUMPS, LEAVING_EXITS, LEAVING_STALLS, LEAVING_DIES, LEAVING_WAYS };
static const char *const leaving_names[LEAVING_WAYS] = { "jumps", "exits", "stalls", "dies" };

#define LEAVING_SIGNAL SIGUSR2

static struct {
	const char *point;
	enum leaving_way way;
	unsigned after;	     /* so many times at the point before that */
	void (*first)(void); /* done at the point, before */
	sem_t there, go_on;
	_Atomic uint32_t fired;
} leaving;

/* One thread at a time. */
static _Thread_local bool leaving_may;
static _Thread_local sigjmp_buf leaving_out;

static inline void leaving_on_signal(int signal)
{
	(void)signal;
	if (leaving.way == LEAVING_EXITS)
		pthread_exit(NULL);
	siglongjmp(leaving_out, 1);
}

static inline void leaving_hook(const char *point)
{
	if (!leaving_may || strcmp(point, leaving.point) != 0 || leaving.after-- > 0)
		return;
	leaving_may = false;
	atomic_fetch_add(&leaving.fired, 1);
	if (leaving.first)
		leaving.first();
	if (leaving.way == LEAVING_DIES)
		syscall(SYS_exit, 0);
	if (leaving.way == LEAVING_STALLS) {
		sem_post(&leaving.there);
		while (sem_wait(&leaving.go_on) != 0)
			;
		return;
	}
	pthread_kill(pthread_self(), LEAVING_SIGNAL);
}

/* The unwinder is loaded by the first thread that exits; not in a handler. */
static inline void *leaving_exit_once(void *arg)
{
	pthread_exit(arg);
}

static inline void leaving_begin(void)
{
	struct sigaction action = { .sa_handler = leaving_on_signal };
	pthread_t thread;

	sem_init(&leaving.there, 0, 0);
	sem_init(&leaving.go_on, 0, 0);
	sigaction(LEAVING_SIGNAL, &action, NULL);
	if (pthread_create(&thread, NULL, leaving_exit_once, NULL) == 0)
		pthread_join(thread, NULL);
}

static inline void leaving_at(const char *point, enum leaving_way way)
{
	leaving.point = point;
	leaving.way = way;
	leaving.after = 0;
	leaving.first = NULL;
	atomic_store(&leaving.fired, 0);
	stele_inject = leaving_hook;
}

static inline void *leaving_body(void *call)
{
	leaving_may = true;
	if (sigsetjmp(leaving_out, 1) == 0)
		((void (*)(void))call)();
	leaving_may = false;
	return NULL;
}

/* False: no thread can be had. A call that stalls is at its point when this returns. */
static inline bool leaving_thread(pthread_t *thread, void (*call)(void))
{
	if (pthread_create(thread, NULL, leaving_body, (void *)call) != 0)
		return false;
	if (leaving.way == LEAVING_STALLS)
		while (sem_wait(&leaving.there) != 0)
			;
	else
		pthread_join(*thread, NULL);
	return true;
}

static inline void leaving_join(pthread_t thread)
{
	stele_inject = NULL;
	if (leaving.way != LEAVING_STALLS)
		return;
	sem_post(&leaving.go_on);
	pthread_join(thread, NULL);
}

#endif
