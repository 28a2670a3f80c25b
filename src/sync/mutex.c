/* SPDX-License-Identifier: MIT */
/*
 * sync/mutex.c - the control path's lock
 *
 * Order     MUTEX: unlock releases, lock acquires. Where the kernel passes the lock on, both have
 *           touched the word in that order before and after its call.
 * Tests     tests/unit/sync/test_mutex.c  tests/unit/sync/test_mutex_kernel.c
 */
#include "sync/mutex.h"
#include "os/os.h"
#include "sync/held.h"
#include "sync/holder.h"
#include "sync/atomic.h"
#include "sync/ranks.h"
#include <errno.h>
#include <linux/futex.h>

#if STELE_DEBUG
void (*volatile stele_inject)(const char *point);
#endif

/* The half that the kernel knows is the low one, wherever that lies. */
#define FUTEX_HALF (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

#define WAIT_MS 50 /* for so long a thread that waits holds its signals back */

static _Atomic uint32_t *futex_of(struct stele_mutex *mutex)
{
	return (_Atomic uint32_t *)&mutex->word + FUTEX_HALF;
}

static bool is_held(uint64_t word)
{
	return holder_is_of(word, stele_os_process());
}

static bool is_inside(struct stele_mutex *mutex)
{
	return is_held(load_relaxed(&mutex->word)) &&
	       load_relaxed(&mutex->owner) == stele_os_token();
}

static bool enter(struct stele_mutex *mutex, uint64_t me)
{
	return holder_enter(&mutex->word, stele_os_process(), me, &mutex->abandoned);
}

static bool take_over_lock(struct stele_mutex *mutex, uint64_t seen, uint64_t me)
{
	return holder_take_over(&mutex->word, seen, me, &mutex->abandoned);
}

/* The kernel has passed the lock to this thread. */
static void was_passed(struct stele_mutex *mutex)
{
	/* ORDER(MUTEX) acquire: pairs with the last touch before stele_os_futex_unlock(). */
	mutex->abandoned = load_acquire(&mutex->word) & FUTEX_OWNER_DIED;
	and_relaxed(&mutex->word, ~(uint64_t)FUTEX_OWNER_DIED);
}

/* Sleeps by a plain futex until a thread has left, or it is time for signals; from then on every
 * leaving wakes one. */
static void wait_plainly(struct stele_mutex *mutex, uint32_t *slept)
{
	uint64_t seen = load_relaxed(&mutex->word), marked = seen | FUTEX_WAITERS;

	if (!is_held(seen))
		return;
	if (seen == marked || cas_relaxed(&mutex->word, &seen, marked))
		stele_os_futex_wait_ms(futex_of(mutex), (uint32_t)marked, WAIT_MS);
	*slept = FUTEX_WAITERS;
}

/* A thread that is gone had our number. */
static bool is_recycled(uint64_t seen, uint64_t me)
{
	return !(((uint32_t)seen ^ (uint32_t)me) & FUTEX_TID_MASK);
}

/* The lock was seen held. True: this thread has it now, as the holder is gone or has just left. */
static bool try_held(struct stele_mutex *mutex, uint64_t seen, uint64_t me)
{
	int error = is_recycled(seen, me) ? -ESRCH : stele_os_futex_trylock(futex_of(mutex));
	uint64_t now = load_relaxed(&mutex->word);

	if (error == 0)
		was_passed(mutex);
	/* The kernel may have marked that a thread waits, before it found that none is inside. */
	return error == 0 || (error == -ESRCH && !((now ^ seen) & ~(uint64_t)FUTEX_WAITERS) &&
			      take_over_lock(mutex, now, me));
}

/* Waits for a while. True: this thread has the lock. @slept: FUTEX_WAITERS once it has slept by a plain
 * futex, else 0. */
static bool wait_and_enter(struct stele_mutex *mutex, uint32_t *slept)
{
	uint64_t me = stele_os_own(stele_os_thread()) | *slept, seen;
	int error;

	if (enter(mutex, me))
		return true;
	seen = load_relaxed(&mutex->word);
	if (!is_held(seen))
		return false;
	error = stele_os_futex_lock(futex_of(mutex), WAIT_MS);
	if (error == 0)
		was_passed(mutex);
	else if (error == -ESRCH || is_recycled(seen, me))
		return take_over_lock(mutex, seen, me);
	else if (error != -EAGAIN && error != -EINTR && error != -ETIMEDOUT)
		wait_plainly(mutex, slept);
	return !error;
}

/* By rank: the lock that a child of vfork() entered last. If the child is killed inside, its parent
 * finds the lock here. */
static _Atomic(struct stele_mutex *) of_children[STELE_NR_RANKS];

static void entered(struct stele_mutex *mutex, uint64_t signals, const void *frame)
{
	store_relaxed(&mutex->owner, stele_os_token());
	if (stele_os_in_vfork_child())
		/* ORDER(MUTEX) release: as the child that is killed has entered it. */
		store_release(&of_children[mutex->rank], mutex);
	mutex->signals = signals;
	stele_held_add(mutex, frame);
}

bool stele_trylock(struct stele_mutex *mutex)
{
	uint64_t signals, seen, me;

	if (is_inside(mutex))
		return false;
	signals = stele_os_signals_hold();
	me = stele_os_own(stele_os_thread());
	seen = load_relaxed(&mutex->word);
	if (is_held(seen) ? !try_held(mutex, seen, me) : !enter(mutex, me)) {
		stele_os_signals_release(signals);
		return false;
	}
	entered(mutex, signals, STELE_FRAME);
	return true;
}

/* Between two waits signals come in: the holder may be in a user's function, for as long as it likes.
 * A handler may fork there. */
int stele_lock(struct stele_mutex *mutex)
{
	uint32_t slept = 0;
	uint64_t signals;

	if (is_inside(mutex))
		return -EDEADLK;
	signals = stele_os_signals_hold();
	stele_held_wait(mutex, STELE_FRAME);
	while (!wait_and_enter(mutex, &slept)) {
		stele_os_signals_release(signals);
		signals = stele_os_signals_hold();
	}
	entered(mutex, signals, STELE_FRAME);
	return 0;
}

/* A thread waits, by either kind of futex; or a child leaves what its parent entered. */
static void leave_contended(struct stele_mutex *mutex)
{
	/* ORDER(MUTEX) release: for the thread that the kernel passes it to. */
	or_release(&mutex->word, 0);
	if (stele_os_futex_unlock(futex_of(mutex)) != 0)
		/* ORDER(MUTEX) release */
		and_release(&mutex->word, ~(uint64_t)UINT32_MAX);
	stele_os_futex_wake(futex_of(mutex), 1);
}

void stele_unlock(struct stele_mutex *mutex)
{
	uint64_t signals = mutex->signals, word = load_relaxed(&mutex->word);

	stele_held_remove(mutex);
	store_relaxed(&mutex->owner, 0);
	if (!holder_leave(&mutex->word, word))
		leave_contended(mutex);
	stele_os_signals_release(signals);
}

bool stele_mutex_after_fork(struct stele_mutex *mutex)
{
	/* Between lock and owner nothing was done yet, and after it nothing is left to do. */
	if (load_relaxed(&mutex->owner) == stele_os_token()) {
		store_relaxed(&mutex->word, stele_os_own(stele_os_thread()));
		stele_held_again(mutex);
		return false;
	}
	store_relaxed(&mutex->owner, 0);
	store_relaxed(&mutex->word, 0);
	return true;
}

static void abandon(struct stele_mutex *mutex, uint32_t thread)
{
	if (holder_abandon(&mutex->word, stele_os_process(), thread))
		stele_os_futex_wake(futex_of(mutex), 1);
}

void stele_mutex_thread_gone(uint64_t token, uint32_t thread)
{
	stele_held_gone(thread);
	for (unsigned rank = 0; rank < STELE_NR_RANKS; rank++) {
		/* ORDER(MUTEX) acquire */
		struct stele_mutex *mutex = load_acquire(&of_children[rank]);

		if (mutex && load_relaxed(&mutex->owner) == token)
			abandon(mutex, thread);
	}
}
