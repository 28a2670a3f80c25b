/* SPDX-License-Identifier: MIT */
/*
 * sync/mutex.h - the lock of the control path: create, destroy, shrink, start
 *
 * Idea      One word holds the futex (the kernel's number of the thread inside, and whether
 *           a thread waits) and the number of the process in which it was taken. The thread inside
 *           inherits the priority of those that wait for it. All signals are held back while a
 *           thread is inside, so that no handler can leave by siglongjmp(), fork, or end the thread
 *           there.
 * Inside    A thread is known by its token (os/task.c), not by the kernel's number, which is given
 *           out again, nor by pthread_self(), which a child of vfork() shares with its parent.
 * States    free: futex 0. held: futex not 0 and the process is this one. abandoned: futex not 0
 *           and another process. It may then be taken, and the thread that takes it is told.
 * Gone      Another process: its child has copied the lock (fork). A child of vfork() that ends or
 *           is killed inside: its parent abandons the lock for it. A thread that has ended
 *           inside: the kernel tells each thread that waits or tries.
 * Leaving   A handler of SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP or SIGSYS can run inside, since
 *           these are not held back (docs/any-context.md says why). If it leaves by siglongjmp(),
 *           the lock stays held until its thread ends: that thread gets -EDEADLK, others wait.
 * Waiting   Signals are held back for WAIT_MS at a time, as the kernel gives the lock to a thread that
 *           sleeps. In between they come in.
 * Context   ordinary threads; never waited for in a signal handler or on the data path.
 * Fork      nobody waits for it before fork(). A child finds it abandoned, unless its thread is
 *           inside (a constructor or destructor forked): then it goes back there and leaves it.
 * Ranks     each has one, and debug builds see to their order (sync/ranks.h, sync/held.h).
 * Failure   where the kernel refuses inheriting futexes, a plain futex is waited for.
 * Tests     tests/unit/sync/test_mutex.c  tests/signals/any_context/
 */
#ifndef STELE_SYNC_MUTEX_H
#define STELE_SYNC_MUTEX_H

#include "sync/atomic.h"

struct stele_mutex {
	_Atomic uint64_t word; /* {process:32, futex:32} */
	_Atomic uint64_t
		owner;	  /* the token of the thread inside, or 0; others' may be out of date */
	uint64_t signals; /* under the lock: the thread's own mask */
	bool abandoned;	  /* under the lock: the last one inside never left */
	uint8_t rank;	  /* fixed: an enum stele_rank */
};

/* For a file that includes sync/ranks.h. */
#define STELE_MUTEX(NAME)                                                                          \
	{                                                                                          \
		.rank = STELE_RANK_##NAME                                                          \
	}

/* 0, or -EDEADLK: this thread is inside already. */
int stele_lock(struct stele_mutex *mutex) __attribute__((warn_unused_result));
bool stele_trylock(struct stele_mutex *mutex); /* any context */
void stele_unlock(struct stele_mutex *mutex);
/* In the child of fork(): true when it was free or is now; false: this thread is inside. */
bool stele_mutex_after_fork(struct stele_mutex *mutex);
/* A child of vfork() is gone: its token, and the kernel's number of it. */
void stele_mutex_thread_gone(uint64_t token, uint32_t thread);

#endif
