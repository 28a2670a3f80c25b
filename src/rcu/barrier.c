/* SPDX-License-Identifier: MIT */
/*
 * rcu/barrier.c - kvfree_rcu_barrier() and its kin: objects that were given before are freed
 *
 * Idea      Sheaves and objects that wait are given to the queues; each queue's runner answers once
 *           all that was in it has been freed. A process that never used a grace period has nothing
 *           to wait for.
 * Bound     A barrier over all caches visits only those of which objects were ever given to
 *           kfree_rcu().
 * Context   ordinary threads.
 * Tests     tests/contract/test_rcu_free.c, tests/contract/test_rcu_waits.c
 */
#include "cache/rcu.h"
#include "cache/caches.h"
#include "sync/grace.h"
#include <stele/rcu.h>

static void flush(struct kmem_cache *s, void *arg)
{
	(void)arg;
	stele_rcu_flush(s);
}

void kvfree_rcu_barrier(void)
{
	if (!stele_grace_used())
		return;
	stele_cache_each_that(stele_rcu_has_given, flush, NULL);
	for (int i = 0; i < STELE_GRACES; i++)
		if (i == 0 || stele_graces[i].flavor)
			stele_grace_runner->barrier(&stele_graces[i], NULL);
}

void kvfree_rcu_barrier_on_cache(struct kmem_cache *s)
{
	if (stele_grace_used())
		stele_rcu_barrier(s);
}
