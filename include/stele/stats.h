/* SPDX-License-Identifier: MIT */
/*
 * stele/stats.h - how much memory the library holds, and how to give it back
 *
 * Context   ordinary threads; not in a signal handler. Figures are racy snapshots.
 */
#ifndef STELE_STATS_H
#define STELE_STATS_H

#include <stddef.h>
#include <stdint.h>

#include <stele/compiler.h>

STELE_EXTERN_C_BEGIN

struct stele_stats {
	uint64_t slab_bytes;	  /* address space of slabs */
	uint64_t slab_free_bytes; /* part of it: objects that are free and lie in no sheaf */
	uint64_t large_bytes;	  /* allocations that have pages of their own */
	uint64_t large_count;
	/* Free pages that are still resident, and blocks that rest in slots. */
	uint64_t dirty_free_bytes;
	uint64_t areas;	  /* pieces of 2 MiB of address space that were opened; some may be empty */
	uint64_t reports; /* bad frees reported */
	uint64_t sheaves; /* arrays of free objects, all of them */
	/*
	 * Sheaves that are neither in a slot nor in a barn: a call is using them, or a thread left a
	 * call in a signal handler by longjmp() or by its end, and they are lost. A sheaf holds at
	 * most 123 objects.
	 */
	uint64_t sheaves_out;
	uint64_t
		rcu_bytes; /* waiting for grace periods, without sheaves that are still being filled */
	uint64_t rcu_bytes_most; /* the highest value so far */
	uint64_t rcu_rounds;	 /* grace periods asked for so far, approximately */
};

/** stele_stats_read - fill @stats with the present figures */
STELE_API void stele_stats_read(struct stele_stats *stats);

/* Of one memory node, by address: where a node is full, the system takes pages of another. */
struct stele_node_stats {
	uint64_t slab_bytes, slab_free_bytes, large_bytes, areas; /* as above */
};

/** stele_node_stats_read - the same of one node. 0, or -EINVAL when it has no memory here */
STELE_API int stele_node_stats_read(int node, struct stele_node_stats *stats);

/**
 * stele_slabinfo_write - write every cache to @fd in the format of /proc/slabinfo 2.1
 *
 * Objects resting in sheaves count as active, as in the kernel.
 */
STELE_API void stele_slabinfo_write(int fd);

/**
 * stele_trim - give cached memory back to the system
 * @keep_bytes: free pages that may stay resident
 *
 * Empties the sheaves of every slot and cache, frees empty slabs, returns free pages.
 * Return:  bytes given back, approximately.
 */
STELE_API size_t stele_trim(size_t keep_bytes);

STELE_EXTERN_C_END

#endif
