/* SPDX-License-Identifier: MIT */
/*
 * examples/rcu_table.c - lock-free lookup, and kfree_rcu() for what readers may still look at
 *
 * Shows     kfree_rcu(). An entry that was unlinked stays what it is until every reader that may
 *           have found it has left; readers hold nothing but their read section, count nothing,
 *           and look once. nulls_table.c is the other way: there an entry is freed at once.
 * Which     this one, unless entries come and go so fast that what waits matters, or are held for
 *           long (a reader here must not sleep while it looks at one).
 * Build     cc -O2 rcu_table.c table_stress.c -o rcu_table $(pkg-config --cflags --libs stele-kernel) -lurcu -pthread
 * Use       ./rcu_table 5         the stress of table_stress.c for so many seconds
 * Wrong     -DWRONG=1 frees without waiting for readers: the stress must notice.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <pthread.h>
#include <stddef.h>

#include "table.h"

#ifndef WRONG
#define WRONG 0
#endif
enum { NO_GRACE = 1 };

#define CHAINS 8

struct entry {
	struct entry __rcu *next;
	struct content content; /* fixed from its publication to its end */
	struct rcu_head rcu;
};

static struct chain {
	pthread_mutex_t lock; /* for writers */
	struct entry __rcu *first;
} chains[CHAINS];

static struct kmem_cache *cache;

static struct chain *chain_of(unsigned long key)
{
	return &chains[key % CHAINS];
}

bool table_create(void)
{
	unsigned int i;

	cache = KMEM_CACHE(entry, SLAB_NO_MERGE);
	for (i = 0; i < CHAINS; i++)
		pthread_mutex_init(&chains[i].lock, NULL);
	return cache != NULL;
}

/* Waits until all entries that kfree_rcu() was given are free. */
void table_destroy(void)
{
	kmem_cache_destroy(cache);
}

const struct content *table_get(unsigned long key)
{
	struct entry *e;

	rcu_read_lock();
	for (e = rcu_dereference(chain_of(key)->first); e; e = rcu_dereference(e->next)) {
		if (e->content.key == key)
			return &e->content; /* table_put() ends the section */
		table_point();
	}
	rcu_read_unlock();
	return NULL;
}

void table_put(const struct content *content)
{
	(void)content;
	rcu_read_unlock();
}

bool table_add(unsigned long key, unsigned long serial)
{
	struct chain *chain = chain_of(key);
	struct entry *e = kmem_cache_alloc(cache, GFP_KERNEL);

	if (!e)
		return false;
	e->content = (struct content){ key, serial, table_sum(key, serial) };
	pthread_mutex_lock(&chain->lock);
	RCU_INIT_POINTER(e->next, chain->first);
	rcu_assign_pointer(chain->first, e);
	pthread_mutex_unlock(&chain->lock);
	return true;
}

bool table_remove(unsigned long key)
{
	struct chain *chain = chain_of(key);
	struct entry **from = &chain->first;
	struct entry *e;

	pthread_mutex_lock(&chain->lock);
	while (*from && (*from)->content.key != key)
		from = &(*from)->next;
	e = *from;
	if (e)
		rcu_assign_pointer(*from, e->next);
	pthread_mutex_unlock(&chain->lock);
	if (e && WRONG == NO_GRACE)
		kmem_cache_free(cache, e);
	else
		kfree_rcu(e, rcu);
	return e != NULL;
}
