/* SPDX-License-Identifier: MIT */
/*
 * examples/nulls_table.c - lock-free lookup over a type-stable cache: freed at once, found safely
 *
 * Shows     SLAB_TYPESAFE_BY_RCU. An entry is freed the moment its last user lets go, and may be
 *           another entry, in another chain, the moment after: no grace period, no memory that
 *           waits. The cache promises a reader only that the memory is still *an entry*.
 * Reader    1 finds an entry by its key, under rcu_read_lock();
 *           2 takes a reference unless there is none left (0: it is free, or about to be);
 *           3 looks at the key again: by now it may be another entry;
 *           4 and where it found nothing, looks at the end of the chain it came out of: each chain
 *             ends in its own number, not in NULL, since an entry may have carried it elsewhere.
 * Writer    fills an entry in that old readers may still look at: hence no kmem_cache_zalloc(), no
 *           memset(); then lets users in (a release that pairs with the acquire of step 2), then
 *           links it. Writers of one chain exclude each other.
 * Build     cc -O2 nulls_table.c table_stress.c -o nulls_table $(pkg-config --cflags --libs stele-kernel) -lurcu -pthread
 * Use       ./nulls_table 5       the stress of table_stress.c for so many seconds
 * Wrong     -DWRONG=1 without step 3, 2 without step 4, 3 with a reference to what had none: the
 *           stress must notice each.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "table.h"

#ifndef WRONG
#define WRONG 0
#endif
enum { NO_SECOND_LOOK = 1, NO_NULLS, NO_ZERO };

#define CHAINS 8

struct entry {
	_Atomic(uintptr_t) next; /* an entry, or the number of the chain: odd */
	atomic_ulong key;	 /* read by threads that hold no reference, too */
	atomic_uint users;	 /* the table is one of them; 0: nobody may come in */
	struct content content;	 /* fixed while there are users */
};

static struct chain {
	pthread_mutex_t lock; /* for writers */
	_Atomic(uintptr_t) first;
} chains[CHAINS];

static struct kmem_cache *cache;

static unsigned int chain_of(unsigned long key)
{
	return (unsigned int)(key % CHAINS);
}

static uintptr_t end_of(unsigned int chain)
{
	return chain * 2 + 1;
}

static bool is_end(uintptr_t link)
{
	return link & 1;
}

bool table_create(void)
{
	unsigned int i;

	cache = kmem_cache_create("nulls_table", sizeof(struct entry), NULL, SLAB_TYPESAFE_BY_RCU);
	for (i = 0; i < CHAINS; i++) {
		pthread_mutex_init(&chains[i].lock, NULL);
		atomic_init(&chains[i].first, end_of(i));
	}
	return cache != NULL;
}

void table_destroy(void)
{
	kmem_cache_destroy(cache);
}

/* ---- references ------------------------------------------------------------------------ */

/* Step 2. The acquire pairs with table_add()'s release: the reader sees the entry filled in. */
static bool take(struct entry *e)
{
	unsigned int users = atomic_load_explicit(&e->users, memory_order_relaxed);

	do {
		if (users == 0 && WRONG != NO_ZERO)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&e->users, &users, users + 1, memory_order_acquire, memory_order_relaxed));
	return true;
}

static void drop(struct entry *e)
{
	if (atomic_fetch_sub_explicit(&e->users, 1, memory_order_release) != 1)
		return;
	atomic_thread_fence(memory_order_acquire);
	kmem_cache_free(cache, e);
}

/* ---- readers --------------------------------------------------------------------------- */

static unsigned long key_of(struct entry *e)
{
	return atomic_load_explicit(&e->key, memory_order_relaxed);
}

/* One walk. @again: nothing was found, and nothing was proven. */
static struct entry *walk(unsigned long key, bool *again)
{
	unsigned int chain = chain_of(key);
	uintptr_t link = atomic_load_explicit(&chains[chain].first, memory_order_acquire);

	*again = false;
	while (!is_end(link)) {
		struct entry *e = (struct entry *)link;

		if (key_of(e) == key) {
			table_point();
			*again = !take(e);
			if (*again || key_of(e) == key || WRONG == NO_SECOND_LOOK)
				return *again ? NULL : e;
			drop(e);
			*again = true;
			return NULL;
		}
		table_point();
		link = atomic_load_explicit(&e->next, memory_order_acquire);
	}
	*again = link != end_of(chain) && WRONG != NO_NULLS;
	return NULL;
}

const struct content *table_get(unsigned long key)
{
	struct entry *e;
	bool again;

	rcu_read_lock();
	do {
		e = walk(key, &again);
	} while (again);
	rcu_read_unlock();
	return e ? &e->content : NULL;
}

void table_put(const struct content *content)
{
	drop((struct entry *)((char *)content - offsetof(struct entry, content)));
}

/* ---- writers --------------------------------------------------------------------------- */

bool table_add(unsigned long key, unsigned long serial)
{
	struct chain *chain = &chains[chain_of(key)];
	struct entry *e = kmem_cache_alloc(cache, GFP_KERNEL);

	if (!e)
		return false;
	e->content = (struct content){ key, serial, table_sum(key, serial) };
	atomic_store_explicit(&e->key, key, memory_order_relaxed);
	pthread_mutex_lock(&chain->lock);
	atomic_store_explicit(&e->next, atomic_load(&chain->first), memory_order_relaxed);
	/* From here on a reader that has waited at this memory may come in. */
	atomic_store_explicit(&e->users, 1, memory_order_release);
	atomic_store_explicit(&chain->first, (uintptr_t)e, memory_order_release);
	pthread_mutex_unlock(&chain->lock);
	return true;
}

/* Takes the entry of a key out of its chain, whose lock is held. */
static struct entry *unlink_key(struct chain *chain, unsigned long key)
{
	_Atomic(uintptr_t) *from = &chain->first;
	uintptr_t link;

	for (link = atomic_load(from); !is_end(link); link = atomic_load(from)) {
		struct entry *e = (struct entry *)link;

		if (key_of(e) == key) {
			atomic_store_explicit(from, atomic_load(&e->next), memory_order_release);
			return e;
		}
		from = &e->next;
	}
	return NULL;
}

bool table_remove(unsigned long key)
{
	struct chain *chain = &chains[chain_of(key)];
	struct entry *e;

	pthread_mutex_lock(&chain->lock);
	e = unlink_key(chain, key);
	pthread_mutex_unlock(&chain->lock);
	if (e)
		drop(e);
	return e != NULL;
}
