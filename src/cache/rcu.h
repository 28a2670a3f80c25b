/* SPDX-License-Identifier: MIT */
/*
 * cache/rcu.h - sheaves of objects that readers may still look at (rcu.c)
 */
#ifndef STELE_CACHE_RCU_H
#define STELE_CACHE_RCU_H

#include "slab/kmem_cache.h"
#include "sync/in_hand.h"

/* Pushes @p where it waits for readers. False: not now, or never in this cache. Any context. */
bool stele_rcu_push(struct kmem_cache *s, void *p);
/* All that was pushed before waits for readers, or is done. 0, or -errno as
 * stele_pcpu_take_all(). Ordinary threads. */
int stele_rcu_flush(struct kmem_cache *s);
/* The same, and then it is done. */
int stele_rcu_barrier(struct kmem_cache *s);
/* Sheaves that wait, for statistics. */
uint64_t stele_rcu_sheaves(void);
void stele_rcu_after_fork(void);

/* Around taking such a sheaf from a slot and giving it: a barrier waits meanwhile. Signals are
 * held back by the caller. False: the sheaf must stay where it is for now. */
bool stele_rcu_hold(struct in_hand_name *name);
void stele_rcu_let_go(const struct in_hand_name *name);
void stele_rcu_give_sheaf(struct kmem_cache *s, uint64_t top);

#endif
