/* SPDX-License-Identifier: MIT */
/*
 * cache/inline.c - the words that <stele/inline.h> reads
 *
 * Idea      The fast paths of that header are compiled into programs, which may be older than this
 *           library. So whatever they know of it is compared here when the library is compiled. If one of
 *           these things has to change, the version becomes another one: words of version 1 are then no
 *           longer given, and such programs call the library each time.
 * Also      The steps of that header are those of arch/x86_64/rseq.h. Their meaning (arch/contract.h)
 *           belongs to the version too.
 * Context   any.
 * Tests     tests/contract/test_inline.c, tests/stress/unload.c
 */
#include "arch/contract.h"
#include "base/basics.h"
#include "base/layout.h"
#include "slab/kmem_cache.h"
#include <stele/inline.h>

#define SAME(of, theirs, ours)                                                                     \
	STELE_STATIC_ASSERT(offsetof(struct of, theirs) == offsetof(struct ours, theirs), #theirs)

STELE_STATIC_ASSERT(STELE_INLINE_VERSION == 1, "what follows is version 1");
SAME(stele_inline, base, stele_hot);
SAME(stele_inline, span, stele_hot);
SAME(stele_inline, first, stele_hot);
STELE_STATIC_ASSERT(offsetof(struct stele_inline, area) == offsetof(struct stele_hot, rseq),
		    "area");
SAME(stele_inline_cache, words, kmem_cache);
STELE_STATIC_ASSERT(offsetof(struct kmem_cache, fast_recip) == 8, "recip");
STELE_STATIC_ASSERT(offsetof(struct kmem_cache, fast_limit) == 12, "limit");
STELE_STATIC_ASSERT(STELE_INLINE_TAGS == STELE_TAGS_OFFSET, "tags");
STELE_STATIC_ASSERT(STELE_INLINE_FRAME_SHIFT == FRAME_SHIFT, "frames");
STELE_STATIC_ASSERT(STELE_SLOTS_OFFSET == 262144, "slots");
STELE_STATIC_ASSERT(STELE_SHEAF_END == 1, "the end of a sheaf");

const struct stele_inline *stele_inline_words(unsigned int version)
{
	return version == STELE_INLINE_VERSION ? (const struct stele_inline *)&stele_hot : NULL;
}
