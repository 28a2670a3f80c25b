/* SPDX-License-Identifier: MIT */
/*
 * cache/sheaves.c - sheaves as objects: made, emptied into slabs, dissolved
 *
 * Idea      Sheaves are read by threads that do not own them, so the slabs that they are objects of
 *           stay for good (slab/kept.c).
 * Order     CACHE_BOOT
 * Context   any.
 * Tests     tests/unit/cache/test_sheaf.c
 */
#include "cache/sheaves.h"
#include "arch/contract.h"
#include "base/valid.h"
#include "percpu/percpu.h"
#include "slab/slabs.h"
#include "slab/geometry.h"
#include "slab/object.h"
#include "slab/parts.h"
#include "sync/ready.h"
#include <errno.h>
#include <string.h>

/* Sheaves are objects of these, which have none themselves. */
static struct kmem_cache sheaf_caches[3];
static _Atomic uint32_t sheaf_caches_ready;

/* True: they are ready. */
static __attribute__((noinline, cold)) bool boot_sheaf_caches(enum effort effort)
{
	if (stele_slab_boot_begin(&sheaf_caches_ready, effort)) {
		for (unsigned i = 0; i < 3; i++)
			stele_slab_boot(&sheaf_caches[i], "stele-sheaf", 256u << i, 256u << i,
					SLAB_NO_MERGE | SLAB_NO_SHEAVES | SLAB_KEPT |
						SLAB_SPARABLE | SLAB_OWN);
		/* ORDER(CACHE_BOOT) release: the caches are filled in. */
		stele_slab_boot_end(&sheaf_caches_ready);
	}
	return ready_look(&sheaf_caches_ready);
}

/* Of sheaves of @bytes. NULL: it is not there yet, and another thread fills it in, for
 * which EFFORT_WAITING waits. */
static struct kmem_cache *sheaf_cache(unsigned bytes, enum effort effort)
{
	/* ORDER(CACHE_BOOT) acquire: the caches are filled in. */
	if (stele_unlikely(!ready_look(&sheaf_caches_ready)) && !boot_sheaf_caches(effort))
		return NULL;
	return &sheaf_caches[__builtin_ctz(bytes) - 8];
}

int stele_sheaf_nodes_make(void)
{
	int error = 0;

	for (unsigned bytes = 256; !error && bytes <= 1024; bytes *= 2) {
		struct kmem_cache *s = sheaf_cache(bytes, EFFORT_WAITING);

		error = s ? stele_cache_nodes_make(s) : -EDEADLK;
	}
	return error;
}

bool stele_is_sheaf_cache(const struct kmem_cache *s)
{
	return s >= sheaf_caches && s < sheaf_caches + 3;
}

uint64_t stele_sheaf_new(struct kmem_cache *s)
{
	struct kmem_cache *of = sheaf_cache(s->sheaf_size, EFFORT_USUAL);
	struct sheaf *sheaf = of ? stele_slabs_take_one(of, stele_node_here(), EFFORT_BOUNDED)
				 : NULL;

	if (!sheaf)
		return 0;
	sheaf->bottom = 0;
	memset(sheaf->entry, 0, s->capacity * sizeof(sheaf->entry[0]));
	sheaf->entry[s->capacity] = STELE_SHEAF_END;
	return sheaf_bottom(sheaf);
}

/* ---- whether a sheaf holds together ---- */

static const struct kmem_cache *cache_of_sheaves(const struct kmem_cache *s)
{
	return &sheaf_caches[__builtin_ctz(s->sheaf_size) - 8];
}

static bool is_object_in_use(const struct kmem_cache *s, const void *p)
{
	const struct run *run = stele_run_of(p);

	return run && run->kind == RUN_SLAB && run->cache == s && run_has_object_at(run, p) &&
	       !object_is_free(run, p);
}

const char *stele_sheaf_frame_valid(const struct kmem_cache *s, uint64_t top)
{
	const struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);

	STELE_HOLDS(top % sizeof(uint64_t) == 0 && sheaf_count(top, s->sheaf_size) <= s->capacity,
		    "sheaf: the top is outside of the entries");
	STELE_HOLDS(is_object_in_use(cache_of_sheaves(s), sheaf),
		    "sheaf: its memory is no sheaf's, or was given back");
	STELE_HOLDS(!sheaf->bottom, "sheaf: nothing stops a pop at the bottom");
	STELE_HOLDS(sheaf->entry[s->capacity] == STELE_SHEAF_END,
		    "sheaf: nothing stops a push at the end");
	return NULL;
}

/* A free object that rests in a sheaf is in use as far as its slab knows. */
static const char *entry_fault(const struct kmem_cache *s, const void *p)
{
	const struct run *run = stele_run_of(p);

	if (s->flags & SLAB_RUNS) {
		STELE_HOLDS(run && run->kind == RUN_LARGE && run->base == (uintptr_t)p &&
				    run_rests(run),
			    "sheaf: an entry is no block that rests");
		return NULL;
	}
	STELE_HOLDS(run && run->kind == RUN_SLAB && run->cache == s && run_has_object_at(run, p),
		    "sheaf: an entry is no object of the cache");
	STELE_HOLDS(!object_is_free(run, p), "sheaf: an entry is free in its slab as well");
	return NULL;
}

const char *stele_sheaf_valid(const struct kmem_cache *s, uint64_t top)
{
	const struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	const char *fault = stele_sheaf_frame_valid(s, top);

	for (unsigned i = 0; !fault && i < sheaf_count(top, s->sheaf_size); i++)
		fault = entry_fault(s, (const void *)(uintptr_t)sheaf->entry[i]);
	return fault;
}

/* ---- the end of one ---- */

void stele_sheaf_destroy(struct kmem_cache *s, uint64_t top)
{
	STELE_SOUND(stele_sheaf_frame_valid(s, top));
	/* The sheaf was made, so the cache that it comes from is ready. */
	stele_slabs_give_one(&sheaf_caches[__builtin_ctz(s->sheaf_size) - 8],
			     sheaf_of(top, s->sheaf_size), EFFORT_USUAL);
}

uint64_t stele_sheaf_flush(struct kmem_cache *s, uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	unsigned n = sheaf_count(top, s->sheaf_size);

	STELE_SOUND(stele_sheaf_frame_valid(s, top));
	stele_slabs_give(s, sheaf->entry, n);
	if (n)
		SHEAF_EVENT(SHEAF_FLUSH, "sheaf_flush", s, sheaf, n);
	return sheaf_bottom(sheaf);
}

void stele_sheaf_dissolve(struct kmem_cache *s, uint64_t top)
{
	stele_sheaf_destroy(s, stele_sheaf_flush(s, top));
}

void stele_sheaf_dissolve_both(struct kmem_cache *s, const uint64_t found[2])
{
	for (int i = 0; i < 2; i++)
		if (stele_is_sheaf(found[i]))
			stele_sheaf_dissolve(s, found[i]);
}
