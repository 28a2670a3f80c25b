/* SPDX-License-Identifier: MIT */
/*
 * cache/nolock.h - the flags that the _nolock calls take
 */
#ifndef STELE_CACHE_NOLOCK_H
#define STELE_CACHE_NOLOCK_H

#include "base/bits.h"
#include "base/warn.h"
#include <stele/gfp.h>

#define NOLOCK_FLAGS (__GFP_ZERO | __GFP_ACCOUNT | __GFP_NOWARN | __GFP_NOMEMALLOC)

/*
 * Any other bit could ask for waiting or reclaim, which these calls never do. The fast ways serve
 * no call with such a bit. So they need not ask for a node either: __GFP_THISNODE is such a bit.
 */
static inline bool nolock_permits(gfp_t gfp)
{
	return stele_likely(!(gfp & ~NOLOCK_FLAGS));
}

#define NOLOCK_WARN_FLAGS(call, gfp)                                                               \
	do {                                                                                       \
		if (!nolock_permits(gfp))                                                          \
			STELE_WARN_ONCE("stele: " call ": flags 0x%x are not for this call\n",     \
					(gfp) & ~NOLOCK_FLAGS);                                    \
	} while (0)

#endif
