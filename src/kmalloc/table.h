/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/table.h - which class serves a size: the entries of a byte table, filled in at start
 *
 * Idea      An entry is the number of a class plus one; 0 means that the cache is not there yet. Entry
 *           1 is filled in last: a thread that computes the number of a class, and looks up no entry
 *           of its own, asks that one whether all caches are there.
 * Order     KMALLOC_BOOT: a cache is complete before an entry names it (release). A thread that found
 *           a number in the table reaches the cache through that number (a dependency); one that
 *           computes it acquires entry 1.
 * Context   any; filling in: one thread at a time.
 * Tests     tests/model/boot.c
 */
#ifndef STELE_KMALLOC_TABLE_H
#define STELE_KMALLOC_TABLE_H

#include "sync/atomic.h"

#ifndef ORDER_TABLE_NAME
#define ORDER_TABLE_NAME memory_order_release
#endif
#ifndef ORDER_TABLE_WHOLE
#define ORDER_TABLE_WHOLE memory_order_acquire
#endif
#ifndef TABLE_LAST
#define TABLE_LAST 1u /* the entry that is filled in last */
#endif

/* Entries 1 to @end - 1; the entry of number i names @class_for(i, @arg). */
static inline void table_fill(_Atomic uint8_t *table, unsigned end,
			      unsigned (*class_for)(unsigned entry, unsigned arg), unsigned arg)
{
	for (unsigned i = 1; i < end; i++) {
		unsigned entry = TABLE_LAST == 1 ? end - i : i;

		/* ORDER(KMALLOC_BOOT) release: every cache is complete. */
		atomic_store_explicit(&table[entry], (uint8_t)(class_for(entry, arg) + 1),
				      ORDER_TABLE_NAME);
	}
}

/* The class plus one, or 0. */
static inline unsigned table_class(const _Atomic uint8_t *entry)
{
	/* ORDER(KMALLOC_BOOT) acquire is not needed: the cache is reached through the entry. */
	return load_relaxed(entry);
}

static inline bool table_is_whole(const _Atomic uint8_t *table)
{
	/* ORDER(KMALLOC_BOOT) acquire: the caller does not get its class from the table, so no dependency
	 * orders its reads of the cache. */
	return atomic_load_explicit(&table[1], ORDER_TABLE_WHOLE);
}

#endif
