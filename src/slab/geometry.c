/* SPDX-License-Identifier: MIT */
/*
 * slab/geometry.c - how a cache's objects lie in its slabs
 *
 * Idea      A slab has some 32 objects of a small size, or eight of a large one, in as many frames as
 *           leave little over at the end. All that is fixed when the cache is made.
 * Boot      The library's own caches are filled in at their first use, by one thread, under a lock.
 *           The data path only tries the lock, and goes on without such a cache when another thread
 *           has it.
 * Context   any; waiting for the lock: ordinary threads.
 * Tests     tests/unit/slab/test_slabs.c, tests/unit/slab/test_geometry.c
 */
#include "slab/geometry.h"
#include "base/fmt.h"
#include "base/options.h"
#include "percpu/system.h"
#include "slab/checks.h"
#include "slab/object.h"
#include "slab/valid.h"
#include "sync/mutex.h"
#include "sync/ranks.h"
#include "sync/ready.h"

static struct stele_mutex booting = STELE_MUTEX(BOOT);

/* Frames of a slab: near @target, with little left over at the end. The first object starts at
 * @first. */
static unsigned best_frames(uint32_t size, uint32_t first, unsigned target)
{
	unsigned best = target, best_waste = 0;

	for (unsigned frames = target; frames <= target + target / 2 + 1; frames++) {
		size_t bytes = frames * FRAME_SIZE - STELE_MIN((size_t)first, frames * FRAME_SIZE);
		unsigned waste = bytes < size ? 1024 : (unsigned)(bytes % size * 1024 / bytes);

		if (frames > AREA_FRAMES || bytes / size > SLAB_OBJECTS_MAX)
			break;
		if (frames == target || waste + 16 < best_waste) {
			best = frames;
			best_waste = waste;
		}
	}
	return best;
}

static unsigned target_frames(uint32_t size, bool tiny)
{
	size_t bytes = tiny ? size : size <= 1024 ? (size_t)size * 32 : (size_t)size * 8;
	unsigned frames;

	if (!tiny && size <= 1024)
		bytes = STELE_MAX(bytes, (size_t)8192);
	while (bytes / size > SLAB_OBJECTS_MAX)
		bytes /= 2;
	frames = (unsigned)((bytes + FRAME_SIZE - 1) / FRAME_SIZE);
	frames =
		STELE_MIN(frames, STELE_MAX(32u, (unsigned)((size + FRAME_SIZE - 1) / FRAME_SIZE)));
	while (frames > 1 && frames * FRAME_SIZE / size > SLAB_OBJECTS_MAX)
		frames--;
	return frames;
}

/* Rounds up to whole pages: of a slab that stays, only whole pages can go back to the system. */
static uint16_t whole_pages(unsigned frames)
{
	unsigned page = (unsigned)(stele_system_facts.page_size / FRAME_SIZE);

	return (uint16_t)STELE_ALIGN_UP(frames, page ? page : 1);
}

/* Whether a slab of this layout is as long as the largest run, or, with SLAB_SHORT, longer than one
 * without. */
static bool layout_is_too_long(const struct layout *l, uint32_t plain, uint32_t flags)
{
	size_t bytes = (size_t)l->first + l->size;
	size_t most = flags & SLAB_SHORT ? STELE_ALIGN_UP(plain, FRAME_SIZE) : AREA_SIZE;

	return l->meta && bytes > most;
}

/* The layout that the flags ask for. If there is no room for it, *flags loses these flags. */
static struct layout choose_layout(uint32_t size, uint32_t align, uint32_t *flags)
{
	struct layout plain = stele_layout_for(size, align, 0);
	struct layout l = stele_layout_for(size, align, *flags);

	if (!layout_is_too_long(&l, plain.size, *flags))
		return l;
	*flags &= ~(uint32_t)SLAB_LAYOUT_FLAGS;
	return plain;
}

static unsigned frames_of_layout(const struct layout *l)
{
	bool tiny = stele_opt.profile == STELE_PROFILE_TINY;
	unsigned frames = best_frames(l->size, l->first, target_frames(l->size, tiny));

	while (frames * FRAME_SIZE < (size_t)l->first + l->size)
		frames++;
	return frames;
}

/* Each field is stored once: a cache may be booted by a thread that is late (sync/ready.h). */
void stele_slab_geometry(struct kmem_cache *s, uint32_t size, uint32_t align, uint32_t flags)
{
	struct layout layout = choose_layout(size, align, &flags);
	uint32_t lowbit, run_align;
	unsigned frames = frames_of_layout(&layout);

	store_relaxed(&s->object_size, size);
	s->align = align;
	s->flags = flags;
	s->size = layout.size;
	s->first = layout.first;
	s->meta = layout.meta;
	if (layout.meta)
		stele_trace_watch(WATCH_OBJECTS, 0);
	s->recip = ~0ull / s->size + 1;
	s->frames = flags & SLAB_KEPT ? whole_pages(frames) : (uint16_t)frames;
	s->objects = (uint32_t)((s->frames * FRAME_SIZE - s->first) / s->size);
	/* A checked object is aligned as was asked for, and no more. */
	lowbit = s->meta ? align : s->size & -s->size;
	run_align = STELE_MAX(lowbit, align) / FRAME_SIZE;
	s->run_align = (uint16_t)STELE_MIN(STELE_MAX(run_align, 1u), AREA_FRAMES / 2);
}

/*
 * The 32-bit test for the start of an object. With recip = (2^32 + e) / size, 0 <= e < size, and
 * q objects before the last, a distance of k sizes gives k * e, at most q * e: the limit is one
 * more. No other distance may come below it:
 *   k sizes + r, 0 < r < size     r * recip + k * e: from recip to 2^32 - recip + (q + 1) * e
 *   negative, by less than a size   at least recip - e
 *   negative, by one size           2^32 - e; 0 if e is 0, so nothing may lie behind the last
 *   negative, by more               (size - tail) * recip - 2 * e, if the tail is as long
 * So (q + 1) * e < recip will do; where the tail is nearly an object, (q + 2) * e.
 */
void stele_slab_facts(struct kmem_cache *s)
{
	uint64_t recip = ((1ull << 32) + s->size - 1) / s->size, e = recip * s->size - (1ull << 32);
	uint32_t tail = (uint32_t)(s->frames * FRAME_SIZE % s->size);
	uint32_t steps = s->objects + (tail > s->size / 2);

	if (steps * e >= recip || (!e && tail) || recip >> 32)
		return;
	s->fast_recip = (uint32_t)recip;
	s->fast_limit = (uint32_t)((s->objects - 1) * e + 1);
	*facts_at(s->words) = (struct object_facts){
		.recip = s->fast_recip,
		.limit = s->fast_limit,
		.size = s->size,
	};
}

void stele_cache_name(struct kmem_cache *s, const char *name)
{
	struct stele_out out = { .buf = s->name, .size = sizeof(s->name) };

	stele_out_str(&out, name);
	s->name_at = s->name;
}

void stele_slab_boot(struct kmem_cache *s, const char *name, uint32_t size, uint32_t align,
		     uint32_t flags)
{
	stele_cache_name(s, name);
	s->refcount = 1;
	s->is_static = true;
	stele_slab_geometry(s, size, align, flags);
	STELE_SOUND(stele_geometry_valid(s));
}

bool stele_slab_boot_begin(_Atomic uint32_t *ready, enum effort effort)
{
	if (effort == EFFORT_WAITING ? stele_lock(&booting) != 0 : !stele_trylock(&booting))
		return false;
	if (!load_relaxed(ready))
		return true;
	stele_unlock(&booting);
	return false;
}

void stele_slab_boot_end(_Atomic uint32_t *ready)
{
	ready_say(ready, 1);
	stele_unlock(&booting);
}
