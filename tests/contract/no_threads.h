/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/no_threads.h - the library can be refused the threads that it makes
 *
 * Idea      Only the library's own threads have attributes. While no_threads is set, each of them
 *           is refused, as under a limit; the test's own threads are made. once_made is called
 *           before the maker of such a thread goes on.
 * Link      with --wrap=pthread_create.
 */
#ifndef STELE_TESTS_CONTRACT_NO_THREADS_H
#define STELE_TESTS_CONTRACT_NO_THREADS_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

static _Atomic bool no_threads;
static _Atomic unsigned threads_made, threads_refused;
static void (*volatile once_made)(void);

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	int error;

	if (attr && no_threads) {
		threads_refused++;
		return EAGAIN;
	}
	threads_made += attr != NULL;
	error = __real_pthread_create(thread, attr, run, arg);
	if (attr && !error && once_made)
		once_made();
	return error;
}

#endif
