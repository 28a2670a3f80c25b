/* SPDX-License-Identifier: MIT */
/*
 * tests/real_time.h - a thread with a scheduling policy and a priority of its own
 *
 * Failure   where SCHED_FIFO is refused nothing can be shown; the caller says so and fails.
 */
#ifndef STELE_TESTS_REAL_TIME_H
#define STELE_TESTS_REAL_TIME_H

#include <pthread.h>
#include <sched.h>

/* 0, or the error of pthread_create(). */
static inline int create_scheduled(pthread_t *thread, int policy, int priority,
				   void *(*body)(void *), void *arg)
{
	struct sched_param param = { .sched_priority = priority };
	pthread_attr_t attributes;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attributes, policy);
	pthread_attr_setschedparam(&attributes, &param);
	error = pthread_create(thread, &attributes, body, arg);
	pthread_attr_destroy(&attributes);
	return error;
}

#endif
