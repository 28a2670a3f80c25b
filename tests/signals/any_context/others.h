/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/others.h - as if there were other threads, and this were a child of a
 * fork
 * Idea      Some paths run only when another thread is inside of a lock, waits for one, or was
 *           inside when this process was forked. So the test writes into the words of the locks
 *           what they would say then. The data path waits for no lock; the pretended thread need
 *           never run.
 * States    inside: a lock is held, in this process, by a thread that is not there.
 *           waiting: the thread that leaves the lock finds that another one waits.
 *           forked: this process has another number, so that what was held is nobody's.
 */
#ifndef TESTS_ANY_CONTEXT_OTHERS_H
#define TESTS_ANY_CONTEXT_OTHERS_H

#include "arch/contract.h"
#include "percpu/percpu.h"
#include "sync/mutex.h"
#include "trap.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct others {
	uint32_t thread; /* alive, but none of this process */
	struct stele_hot *hot;
	struct stele_mutex *taking, *list;
	_Atomic(_Atomic uint32_t *) *number;
};

/* Without the C library, as the allocator shall not know: a process that sleeps as long as this
 * lives. */
static inline uint32_t others_sleeper(void)
{
	long number = syscall(SYS_fork);

	MUST(number >= 0);
	if (number)
		return (uint32_t)number;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static inline struct others others_find(void)
{
	return (struct others){
		.thread = others_sleeper(),
		.hot = trap_symbol("stele_hot"),
		.taking = trap_symbol("taking"),
		.list = trap_symbol("stele_list_lock"),
		.number = trap_symbol("number"),
	};
}

static inline uint64_t others_word(const struct others *others)
{
	_Atomic uint32_t *number = *others->number;

	return (number ? (uint64_t)*number << 32 : 0) | others->thread;
}

static inline void other_enters(const struct others *others, _Atomic uint64_t *word)
{
	uint64_t free = *word, held = others_word(others);

	/* Memory left by another process is free, too. */
	MUST(!(uint32_t)free || free >> 32 != held >> 32);
	*word = held;
}

static inline void other_leaves(_Atomic uint64_t *word)
{
	*word = 0;
}

/* @mutex is held by this thread, or nothing happens. */
static inline void other_waits(const struct others *others, struct stele_mutex *mutex)
{
	uint64_t word = mutex->word;

	if ((uint32_t)word && (word & FUTEX_TID_MASK) != others->thread)
		mutex->word = word | FUTEX_WAITERS;
}

/* The words of one cache, in each slot that is in use, that say "empty": a taker's mark. */
static inline void others_mark(const struct others *others, uint64_t words)
{
	uint64_t base = (uint64_t)(uintptr_t)others->hot->base + STELE_SENTINELS_OFFSET;
	uint64_t *slots = (uint64_t *)(others->hot->base + STELE_SLOTS_OFFSET);
	uint64_t empty = base + 8, remote = base + 16 + 8;

	for (unsigned i = 0; i < STELE_SLOTS_MAX && slots[i]; i++) {
		_Atomic uint64_t *word = (_Atomic uint64_t *)(uintptr_t)(slots[i] + words);

		atomic_compare_exchange_strong(word, &(uint64_t){ empty }, remote);
	}
}

/* The number is asked for anew; @page: in a new place. */
static inline void others_fork(const struct others *others, bool page)
{
	_Atomic uint32_t *number = *others->number;

	if (!number)
		return;
	*number = 0;
	if (!page)
		return;
	*others->number = NULL;
	MUST(munmap((void *)number, 4096) == 0);
}

#endif
