/* SPDX-License-Identifier: MIT */
/*
 * cache/rcu.h - sheaves of objects that readers may still look at (rcu.c)
 */
#ifndef STELE_CACHE_RCU_H
#define STELE_CACHE_RCU_H

#include "slab/kmem_cache.h"

struct name;

/* Pushes @p where it waits for readers. False: not now, or never in this cache. Any context. */
bool stele_rcu_push(struct kmem_cache *s, void *p);
/* Whether a flush may find something; a quick look. */
bool stele_rcu_has_given(struct kmem_cache *s);
/* All that was pushed before waits for readers, or is done. 0, or -errno as
 * stele_pcpu_take_all(). Ordinary threads. */
int stele_rcu_flush(struct kmem_cache *s);
/* Does the same, and waits until all of it is done. */
int stele_rcu_barrier(struct kmem_cache *s);
/* Whether something of @s waits for readers. ORDER(GRACE_ROUND) acquire: if not, it is done. */
static inline bool stele_rcu_waits(const struct kmem_cache *s)
{
	return load_acquire(&s->in_rcu) || load_acquire(&s->slabs) >= SLAB_DYING;
}
/* A sheaf or an object of @s begins to wait. */
static inline void stele_rcu_count(struct kmem_cache *s)
{
	add_relaxed(&s->in_rcu, 1);
}
/* It has ended its wait. The cache may be gone after this call. */
static inline void stele_rcu_uncount(struct kmem_cache *s)
{
	/* ORDER(GRACE_ROUND) release: the sheaf or object is done. */
	atomic_fetch_sub_explicit(&s->in_rcu, 1, memory_order_release);
}
/* Sheaves that wait, for statistics. */
uint64_t stele_rcu_sheaves(void);
void stele_rcu_after_fork(void);

/* Around taking such a sheaf from a slot and giving it: a barrier waits meanwhile. Signals are
 * held back by the caller. False: the sheaf must stay where it is for now. */
bool stele_rcu_hold(struct name *name);
void stele_rcu_let_go(const struct name *name);
void stele_rcu_give_sheaf(struct kmem_cache *s, uint64_t top);

#endif
