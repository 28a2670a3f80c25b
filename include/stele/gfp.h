/* SPDX-License-Identifier: MIT */
/*
 * stele/gfp.h - "get free pages" flags: how an allocation may behave
 *
 * Idea      The kernel's names and values, so that code and traces mean the same here.
 * In short  No flag makes the data path take a lock or wait, so GFP_KERNEL is as legal in a signal
 *           handler as GFP_ATOMIC.
 *
 * Bits with an effect here
 *   __GFP_ZERO            the object (its whole bucket, for kmalloc) reads as zero
 *   __GFP_NOWARN          no message when the request fails
 *   __GFP_THISNODE        memory of the named node or none
 *   __GFP_DIRECT_RECLAIM  the caller may wait: mempool_alloc() waits for an element
 *   __GFP_RECLAIM         either bit of it, for pages and for blocks above KMALLOC_MAX_CACHE_SIZE:
 *                         before the call gives NULL, it takes back what caches keep
 *   __GFP_COMP            pages: a compound run, freed as one
 *   __GFP_NOFAIL          never fails on purpose (<stele/fault.h>); fails without memory
 * Bits accepted for source compatibility, without effect on user-space memory
 *   all the others (zones, other reclaim hints, movability, reserves, accounting)
 */
#ifndef STELE_GFP_H
#define STELE_GFP_H

#include <stdbool.h>

typedef unsigned int gfp_t;

/* Zones: every address of a process is as good as any other. */
#define __GFP_DMA ((gfp_t)0x000001u)
#define __GFP_HIGHMEM ((gfp_t)0x000002u)
#define __GFP_DMA32 ((gfp_t)0x000004u)
#define __GFP_MOVABLE ((gfp_t)0x000008u)
#define GFP_ZONEMASK (__GFP_DMA | __GFP_HIGHMEM | __GFP_DMA32 | __GFP_MOVABLE)

#define __GFP_RECLAIMABLE ((gfp_t)0x000010u)
#define __GFP_HIGH ((gfp_t)0x000020u)
#define __GFP_IO ((gfp_t)0x000040u)
#define __GFP_FS ((gfp_t)0x000080u)
#define __GFP_ZERO ((gfp_t)0x000100u)
#define __GFP_DIRECT_RECLAIM ((gfp_t)0x000400u)
#define __GFP_KSWAPD_RECLAIM ((gfp_t)0x000800u)
#define __GFP_WRITE ((gfp_t)0x001000u)
#define __GFP_NOWARN ((gfp_t)0x002000u)
#define __GFP_RETRY_MAYFAIL ((gfp_t)0x004000u)
#define __GFP_NOFAIL ((gfp_t)0x008000u)
#define __GFP_NORETRY ((gfp_t)0x010000u)
#define __GFP_MEMALLOC ((gfp_t)0x020000u)
#define __GFP_COMP ((gfp_t)0x040000u)
#define __GFP_NOMEMALLOC ((gfp_t)0x080000u)
#define __GFP_HARDWALL ((gfp_t)0x100000u)
#define __GFP_THISNODE ((gfp_t)0x200000u)
#define __GFP_ACCOUNT ((gfp_t)0x400000u)

/* Number of the highest bit above, plus one: every valid flag word is below 1 << this. */
#define __GFP_BITS_SHIFT 23
#define __GFP_BITS_MASK ((gfp_t)((1u << __GFP_BITS_SHIFT) - 1u))

#define __GFP_RECLAIM (__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)

/* The combinations that callers use. */
#define GFP_ATOMIC (__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
#define GFP_KERNEL (__GFP_RECLAIM | __GFP_IO | __GFP_FS)
#define GFP_KERNEL_ACCOUNT (GFP_KERNEL | __GFP_ACCOUNT)
#define GFP_NOWAIT (__GFP_KSWAPD_RECLAIM | __GFP_NOWARN)
#define GFP_NOIO (__GFP_RECLAIM)
#define GFP_NOFS (__GFP_RECLAIM | __GFP_IO)
#define GFP_USER (__GFP_RECLAIM | __GFP_IO | __GFP_FS | __GFP_HARDWALL)
#define GFP_DMA __GFP_DMA
#define GFP_DMA32 __GFP_DMA32
#define GFP_HIGHUSER (GFP_USER | __GFP_HIGHMEM)
#define GFP_HIGHUSER_MOVABLE (GFP_HIGHUSER | __GFP_MOVABLE)

/* Which bits say how hard to try, and which say where the memory may come from. */
#define GFP_RECLAIM_MASK                                                                           \
	(__GFP_RECLAIM | __GFP_HIGH | __GFP_IO | __GFP_FS | __GFP_NOWARN | __GFP_RETRY_MAYFAIL |   \
	 __GFP_NOFAIL | __GFP_NORETRY | __GFP_MEMALLOC | __GFP_NOMEMALLOC)
#define GFP_CONSTRAINT_MASK (__GFP_HARDWALL | __GFP_THISNODE)

/* No preferred node. */
#define NUMA_NO_NODE (-1)

/* Whether the flags allow the caller to wait. */
static inline bool gfpflags_allow_blocking(gfp_t gfp)
{
	return (gfp & __GFP_DIRECT_RECLAIM) != 0;
}

#endif /* STELE_GFP_H */
