/* SPDX-License-Identifier: MIT */
/*
 * slab/layout.c - the bytes around an object that is checked
 *
 * Idea      The red zone to the left of an object is the end of the slot before it, so an alignment
 *           does not cost a whole unit of it in each slot. Only the first object of a slab stands
 *           off the start of the slab. The alignment may leave bytes over: they are red zone to the right
 *           of the object, so every byte around an object is checked. The record about an object
 *           has a checksum, by which a write that jumps over the zone is found as well.
 * Bytes     as in the kernel: slab/checks.h.
 * Without   SLAB_RED_ZONE there are no zones: the bytes behind an object are padding, which is
 *           checked all the same. Caches with a constructor, and type-stable ones, keep the
 *           contents of free objects.
 * Context   any.
 * Decision  docs/decisions/0015-debug-layout.md
 * Tests     tests/unit/slab/test_layout.c, tests/contract/test_debug.c
 */
#include "slab/checks.h"
#include <string.h>

struct layout stele_layout_for(uint32_t size, uint32_t align, uint32_t flags)
{
	struct layout l = { .size = (uint32_t)STELE_ALIGN_UP(size, align) };
	uint32_t zone = flags & SLAB_RED_ZONE ? ZONE_SIZE : 0;
	uint32_t kept = flags & SLAB_STORE_USER ? sizeof(struct object_meta) : META_SHORT;

	if (!(flags & SLAB_LAYOUT_FLAGS))
		return l;
	l.first = (uint32_t)STELE_ALIGN_UP(zone, align);
	l.size = (uint32_t)STELE_ALIGN_UP(size, 8u) + ZONE_SIZE + kept + zone;
	l.size = (uint32_t)STELE_ALIGN_UP(l.size, STELE_MAX(align, 8u));
	l.meta = l.size - zone - kept;
	return l;
}

STELE_RACY_LOOK uint32_t stele_meta_sum(const struct kmem_cache *s, const void *p, uint32_t state)
{
	const struct object_meta *meta = meta_of(s, p);
	const uint64_t *word = (const uint64_t *)&meta->taken;
	unsigned n = s->flags & SLAB_STORE_USER ? 2 * sizeof(struct track) / sizeof(*word) : 0;
	uint64_t sum = (uint64_t)(uintptr_t)p ^ ((uint64_t)state << 32 | meta->asked) ^
		       (uint64_t)meta->unused << 17;

	for (unsigned i = 0; i < n; i++)
		sum = (sum ^ word[i]) * 0x9e3779b97f4a7c15u;
	sum *= 0x9e3779b97f4a7c15u;
	return (uint32_t)(sum >> 32);
}

void stele_zones_fill(const struct kmem_cache *s, void *p, uint8_t byte)
{
	uint32_t size = cache_object_size(s);

	if (s->flags & SLAB_RED_ZONE)
		memset((char *)p - ZONE_SIZE, byte, ZONE_SIZE);
	else
		byte = BYTE_PADDING;
	memset((char *)p + size, byte, s->meta - size);
}

void stele_poison_fill(const struct kmem_cache *s, void *p)
{
	uint32_t size = cache_object_size(s);

	if (!is_poisoned(s))
		return;
	memset(p, BYTE_FREE, size - 1);
	((uint8_t *)p)[size - 1] = BYTE_FREE_END;
}

void stele_layout_fill(const struct kmem_cache *s, struct run *run)
{
	unsigned zone = zone_of(s);
	uintptr_t end = run->first + (uint64_t)s->objects * s->size - zone;

	memset((void *)run->base, BYTE_PADDING, run->first - zone - run->base);
	memset((void *)end, BYTE_PADDING, run->base + (uint64_t)run->frames * FRAME_SIZE - end);
	for (unsigned i = 0; i < s->objects; i++) {
		char *p = object_at(run, i);
		struct object_meta *meta = meta_of(s, p);

		memset(meta, 0, s->size - zone - s->meta);
		meta->asked = cache_object_size(s);
		stele_zones_fill(s, p, BYTE_ZONE_FREE);
		stele_poison_fill(s, p);
		meta_seal(s, p, OBJECT_FREE);
	}
}
