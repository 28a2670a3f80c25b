/* SPDX-License-Identifier: MIT */
/*
 * slab/look.c - finds what is damaged of an object, and repairs it
 *
 * Idea      A look compares each zone, word by word, with the byte that should fill it. A look
 *           writes nothing. The state of the object tells afterwards whether it was the same all the
 *           time (slab/watch.c). All zones lie in pages that hold bytes of the library as well, but
 *           for the poison of a free object, and the zone behind a short request in a large object.
 *           These are read while no other thread can get the object (slab/object_look.h).
 * Repair    eight bytes at a time, by a compare-and-swap each, and only while the object stays in
 *           the state that was seen. So the bytes stay that its owner writes meanwhile, or that lie
 *           beside the damage.
 * Context   any.
 * Tests     tests/contract/test_debug.c
 */
#include "slab/checks.h"

#define WORD sizeof(uint64_t)

static inline uint64_t word_of(uint8_t byte)
{
	return byte * 0x0101010101010101u;
}

/* A word at any address. */
typedef uint64_t __attribute__((aligned(1), may_alias)) any_word;

static inline STELE_RACY_LOOK uint64_t word_at_any(const uint8_t *p)
{
	return *(const any_word *)(const void *)p;
}

/* Whether all of @n bytes are @wanted. The last word may overlap the one before. */
static STELE_RACY_LOOK bool all_are(const uint8_t *p, size_t n, uint8_t wanted)
{
	uint64_t word = word_of(wanted), bad = 0;
	size_t i = 0;

	if (n < WORD) {
		for (; i < n; i++)
			bad |= p[i] ^ wanted;
		return !bad;
	}
	for (; i + 4 * WORD <= n && !bad; i += 4 * WORD)
		bad = (word_at_any(p + i) ^ word) | (word_at_any(p + i + WORD) ^ word) |
		      (word_at_any(p + i + 2 * WORD) ^ word) |
		      (word_at_any(p + i + 3 * WORD) ^ word);
	for (; i + WORD <= n; i += WORD)
		bad |= word_at_any(p + i) ^ word;
	return !(bad | (word_at_any(p + n - WORD) ^ word));
}

/* The first byte of [p, end) that is not @wanted; @end: none. Objects of other threads are read. */
static STELE_RACY_LOOK uint8_t *first_bad(uint8_t *p, const uint8_t *end, uint8_t wanted)
{
	while (p < end && *p == wanted)
		p++;
	return p;
}

static STELE_RACY_LOOK uint8_t *last_bad(const uint8_t *p, uint8_t *end, uint8_t wanted)
{
	while (end > p && end[-1] == wanted)
		end--;
	return end;
}

STELE_RACY_LOOK void stele_look_at_bytes(struct fault *f, const char *what, const char *how,
					 uint8_t *p, size_t n, uint8_t wanted)
{
	uint8_t *end = p + n, *bad;

	if (stele_likely(all_are(p, n, wanted)) || f->n == DAMAGES_MAX)
		return;
	bad = first_bad(p, end, wanted);
	if (bad == end)
		return;
	f->damage[f->n++] =
		(struct damage){ what, how, bad, last_bad(bad, end, wanted), *bad, wanted };
}

static void look_at_zones(struct fault *f, bool used)
{
	const struct kmem_cache *s = f->s;
	uint8_t byte = used ? BYTE_ZONE_USED : BYTE_ZONE_FREE, *p = f->object;
	uint32_t size = cache_object_size(s);

	if (!zone_of(s)) {
		stele_look_at_bytes(f, "Object padding", "written behind the end of", p + size,
				    s->meta - size, BYTE_PADDING);
		return;
	}
	stele_look_at_bytes(f, "Left Redzone", "written before the start of", p - ZONE_SIZE,
			    ZONE_SIZE, byte);
	if (used)
		stele_look_at_bytes(f, "kmalloc Redzone", "written behind the end of", p + f->asked,
				    size - f->asked, byte);
	stele_look_at_bytes(f, "Right Redzone", "written behind the end of", p + size,
			    s->meta - size, byte);
}

static void look_at_poison(struct fault *f)
{
	uint32_t size = cache_object_size(f->s);
	uint8_t *p = f->object;

	stele_look_at_bytes(f, "Poison", "written after the free of", p, size - 1, BYTE_FREE);
	stele_look_at_bytes(f, "End Poison", "written after the free of", p + size - 1, 1,
			    BYTE_FREE_END);
}

/* Whether the record of the object has the right checksum. */
static STELE_RACY_LOOK bool meta_is_sound(const struct kmem_cache *s, const void *p)
{
	const struct object_meta *meta = meta_of(s, p);
	uint32_t state = load_relaxed(&((struct object_meta *)meta)->state);

	return meta->check == stele_meta_sum(s, p, state);
}

/* The bytes that the allocation asked for; all of the object, if the record is damaged. */
static STELE_RACY_LOOK uint32_t asked_of(const struct kmem_cache *s, const void *p, bool sound)
{
	uint32_t size = cache_object_size(s);

	return sound ? STELE_MIN(meta_of(s, p)->asked, size) : size;
}

void stele_look_at_object(struct fault *f, bool used)
{
	const struct kmem_cache *s = f->s;
	uint8_t *meta = (uint8_t *)meta_of(s, f->object);
	bool sound = meta_is_sound(s, f->object);

	f->asked = asked_of(s, f->object, sound);
	look_at_zones(f, used);
	if (!used && is_poisoned(s) && f->contents)
		look_at_poison(f);
	if (!sound && f->n < DAMAGES_MAX)
		f->damage[f->n++] = (struct damage){ .what = "Object metadata",
						     .how = "written far behind the end of",
						     .from = meta,
						     .to = meta + s->size - zone_of(s) - s->meta };
}

void stele_look_at_padding(struct fault *f)
{
	const struct kmem_cache *s = f->s;
	const struct run *run = f->run;
	uint8_t *start = (uint8_t *)run->base, *first = (uint8_t *)run->first - zone_of(s);
	uint8_t *end = first + (uint64_t)s->objects * s->size;
	uint8_t *last = start + (uint64_t)run->frames * FRAME_SIZE;

	if (!(s->flags & (SLAB_RED_ZONE | SLAB_POISON)))
		return;
	stele_look_at_bytes(f, "Alignment padding", "written", start, (size_t)(first - start),
			    BYTE_PADDING);
	stele_look_at_bytes(f, "Padding", "written", end, (size_t)(last - end), BYTE_PADDING);
}

/* ---- repair ---- */

static bool is_as_seen(const struct fault *f, uint32_t seen)
{
	return !f->object || load_relaxed(&meta_of(f->s, f->object)->state) == seen;
}

/* The bytes of [from, to) within the word at @at. */
static uint64_t mask_of(const uint8_t *at, const uint8_t *from, const uint8_t *to)
{
	uint64_t mask = ~0ull;

	if (from > at)
		mask &= ~0ull << (size_t)(from - at) * 8;
	if ((size_t)(to - at) < WORD)
		mask &= ~0ull >> (WORD - (size_t)(to - at)) * 8;
	return mask;
}

static void repair_bytes(const struct fault *f, const struct damage *d, uint32_t seen)
{
	uint8_t *at = (uint8_t *)((uintptr_t)d->from & ~(WORD - 1));

	for (; at < d->to; at += WORD) {
		_Atomic uint64_t *word = (_Atomic uint64_t *)(void *)at;
		uint64_t old = load_relaxed(word), mask = mask_of(at, d->from, d->to), new;

		do {
			if (!is_as_seen(f, seen))
				return;
			new = (old & ~mask) | (word_of(d->wanted) & mask);
		} while (!cas_relaxed(word, &old, new));
	}
}

void stele_repair(const struct fault *f, uint32_t seen)
{
	for (unsigned i = 0; i < f->n; i++)
		if (f->damage[i].wanted)
			repair_bytes(f, &f->damage[i], seen);
}
