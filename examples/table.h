/* SPDX-License-Identifier: MIT */
/*
 * examples/table.h - a hash table whose readers take no lock: what both examples offer
 *
 * Shared    nulls_table.c and rcu_table.c answer it, table_stress.c uses and doubts it.
 * Threads   those that read or change have said rcu_register_thread().
 */
#ifndef EXAMPLES_TABLE_H
#define EXAMPLES_TABLE_H

#include <stdbool.h>

/* The part of an entry that a reader may look at while it holds the entry; it does not change
 * meanwhile. */
struct content {
	unsigned long key;
	unsigned long serial; /* how often the key was added before */
	unsigned long sum;    /* table_sum() of the two */
};

static inline unsigned long table_sum(unsigned long key, unsigned long serial)
{
	return (key * 0x9e3779b97f4a7c15UL) ^ (serial << 17) ^ (serial >> 3);
}

bool table_create(void);
void table_destroy(void);

/* False: no memory. The key must not be there; adding and removing a key is one thread's
 * business. */
bool table_add(unsigned long key, unsigned long serial);

/* False: it is not there. */
bool table_remove(unsigned long key);

/* The entry of a key, held until it is put; or NULL. One at a time. */
const struct content *table_get(unsigned long key);
void table_put(const struct content *content);

/* Called where another thread may come in between: the stress makes it happen. */
void table_point(void);

#endif
