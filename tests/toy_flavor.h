/* SPDX-License-Identifier: MIT */
/*
 * tests/toy_flavor.h - readers and grace periods in a few lines of C11
 *
 * Idea      What stele/rcu.h asks of a flavour, so that the tests run where there is no liburcu,
 *           under ThreadSanitizer, and with grace periods that the test can see, hold and break. A
 *           reader notes the epoch it began in; a grace period raises the epoch and waits for all
 *           that noted an older one.
 * Broken    toy_broken: a grace period ends at once (tests/contract/toy_broken.h waits for one).
 */
#ifndef STELE_TESTS_TOY_FLAVOR_H
#define STELE_TESTS_TOY_FLAVOR_H

#include "rcu/flavor.h"
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define TOY_READERS 64

static _Atomic uint64_t toy_epoch = 1;
static _Atomic uint64_t toy_reader[TOY_READERS]; /* {epoch, depth:16}; depth 0: not reading */
static _Atomic uint32_t toy_registered;
static _Atomic uint64_t toy_periods; /* ended */
static _Atomic bool toy_broken;
static _Thread_local _Atomic uint64_t *toy_mine;

#define TOY_DEPTH 0xffffull

/* Before a thread's first read, if handlers of it read as well. */
static inline void toy_register(void)
{
	if (!toy_mine)
		toy_mine = &toy_reader[atomic_fetch_add(&toy_registered, 1) % TOY_READERS];
}

/* One store each: a handler that comes before it leaves the word as it found it. */
static inline void toy_read_lock(void)
{
	uint64_t mine;

	toy_register();
	mine = atomic_load(toy_mine);
	atomic_store(toy_mine, mine & TOY_DEPTH ? mine + 1 : atomic_load(&toy_epoch) << 16 | 1);
}

static inline void toy_read_unlock(void)
{
	atomic_store(toy_mine, atomic_load(toy_mine) - 1);
}

static int toy_read_ongoing(void)
{
	return toy_mine && atomic_load(toy_mine) & TOY_DEPTH;
}

/* Whether this one reads since before @epoch. */
static inline bool toy_is_older(int reader, uint64_t epoch)
{
	uint64_t seen = atomic_load(&toy_reader[reader]);

	return seen & TOY_DEPTH && seen >> 16 < epoch;
}

static void toy_synchronize(void)
{
	uint64_t epoch = atomic_fetch_add(&toy_epoch, 1) + 1;

	for (int i = 0; i < TOY_READERS && !toy_broken; i++)
		while (toy_is_older(i, epoch))
			sched_yield();
	atomic_fetch_add(&toy_periods, 1);
}

/* In the child of a fork by a thread that does not read: the others are not there. */
static inline void toy_forget_readers(void)
{
	for (int i = 0; i < TOY_READERS; i++)
		atomic_store(&toy_reader[i], 0);
}

static const struct rcu_flavor_struct toy_flavor = {
	.read_ongoing = toy_read_ongoing,
	.update_synchronize_rcu = toy_synchronize,
};

#endif
