/* SPDX-License-Identifier: MIT */
/*
 * cache/sizing.c - gives a cache its sheaves: words in every slot, how large, how many rest in barns
 *
 * Context   any, while the cache is made.
 * Failure   no words are left: the cache works without sheaves.
 * Tests     tests/unit/cache/  tests/contract/test_cache_create.c
 */
#include "cache/caches.h"
#include "base/options.h"
#include "cache/sheaves.h"
#include "cache/valid.h"
#include "percpu/percpu.h"
#include "slab/geometry.h"

/* Objects a sheaf holds: some 32 KiB of them, and the block that has room for as many. */
static void set_sheaf(struct kmem_cache *s, unsigned wanted)
{
	unsigned capacity = STELE_MIN(STELE_MAX(32768u / s->size, 2u), 123u), bytes = 256;

	if (wanted)
		capacity = STELE_MIN(STELE_MAX(capacity, wanted), 123u);
	if (capacity > 59 && capacity < 100 && !wanted)
		capacity = 59;
	while (bytes / 8 - SHEAF_OVERHEAD < capacity)
		bytes *= 2;
	s->capacity = (uint16_t)capacity;
	s->sheaf_size = (uint16_t)bytes;
}

static void set_barn(struct kmem_cache *s)
{
	size_t sheaf = (size_t)s->capacity * s->size;

	s->barn_max = (uint32_t)STELE_MAX(stele_opt.barn_max / sheaf, (size_t)1);
	stele_barns_limit(s, (uint32_t)STELE_MIN(STELE_MAX(32768 / sheaf, (size_t)1),
						 (size_t)s->barn_max));
}

static void set_sheaves(struct kmem_cache *s, unsigned wanted)
{
	if (stele_opt.profile == STELE_PROFILE_TINY ||
	    s->flags & (SLAB_NO_SHEAVES | SLAB_DEBUG_FLAGS))
		return;
	s->words = stele_pcpu_alloc();
	if (!s->words)
		return;
	set_sheaf(s, wanted);
	set_barn(s);
	stele_slab_facts(s);
}

/* The cache is complete now. */
void stele_cache_sheaves(struct kmem_cache *s, unsigned wanted)
{
	set_sheaves(s, wanted);
	STELE_SOUND(stele_cache_valid(s));
}
