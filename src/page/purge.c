/* SPDX-License-Identifier: MIT */
/*
 * page/purge.c - giving touched, free frames back to the system
 *
 * Idea      Demand-driven: who returns frames and finds more than a budget of them free
 *           and resident, purges from the highest area down until half the budget is
 *           left. Purging owns what it purges: it takes the frames like any taker, tells
 *           the system, marks them clean, returns them.
 * Objects   dirty_free: frames that are dirty and not in use. Kept by differences; a race
 *           can make it wrong for a moment, never for good.
 * Context   any; one purger at a time, others go on without.
 * Failure   the system refuses: the frames stay dirty.
 * Limits    with system pages larger than a frame only whole free pages are purged.
 */
#include "base/options.h"
#include "page/heap.h"
#include "page/run.h"
#include "percpu/system.h"

#define HUGE_KEEP_MAX (32ul << 20)

static _Atomic int64_t dirty_free;
static _Atomic uint64_t huge_keep; /* bytes, for the next huge block */
static _Atomic uint32_t purging, missed;

uint64_t stele_dirty_free(void)
{
	int64_t n = load_relaxed(&dirty_free);

	return n > 0 ? (uint64_t)n : 0;
}

void stele_dirty_taken(uint64_t frames)
{
	sub_relaxed(&dirty_free, (int64_t)frames);
}

void stele_dirty_keep(size_t bytes)
{
	uint64_t seen = load_relaxed(&huge_keep);

	if (bytes > HUGE_KEEP_MAX)
		return;
	while (bytes > seen && !cas_relaxed(&huge_keep, &seen, bytes))
		;
}

/* Frames of free system pages only: each group of @group frames all in @mask, or none. */
static uint64_t whole_pages(uint64_t mask, unsigned group)
{
	uint64_t whole = 0;

	for (unsigned bit = 0; bit < 64; bit += group) {
		uint64_t page = bits_mask(bit, group);

		if ((mask & page) == page)
			whole |= page;
	}
	return whole;
}

/* Purges the set runs of @mask in word @w; true if the system took all of them. */
static bool purge_runs(uint32_t number, unsigned w, uint64_t mask)
{
	bool done = true;

	while (mask) {
		unsigned bit = (unsigned)__builtin_ctzll(mask);
		uint64_t rest = ~(mask >> bit);
		unsigned n = rest ? (unsigned)__builtin_ctzll(rest) : 64;
		char *p = area_memory(number) + (w * 64ul + bit) * FRAME_SIZE;

		n = n > 64 - bit ? 64 - bit : n;
		done &= stele_os_purge(p, n * FRAME_SIZE) == 0;
		mask &= ~bits_mask(bit, n);
	}
	return done;
}

/* Purges what is free and dirty in one word of an area. */
static void purge_word(uint32_t number, unsigned w)
{
	struct area *area = area_at(number);
	unsigned group = (unsigned)(stele_system_facts.page_size / FRAME_SIZE);
	uint64_t used = load_relaxed(&area->used[w]), dirty = load_relaxed(&area->dirty[w]), mask;
	unsigned n;

	if (!(dirty & ~used))
		return;
	mask = whole_pages(~used, group ? group : 1);
	if (group <= 1)
		mask &= dirty;
	n = (unsigned)__builtin_popcountll(mask);
	if (!(mask & dirty) || !area_claim(area_count(number), n))
		return;
	/* ORDER(AREA) acquire: the last owners are done. */
	if (!cas_acquire(&area->used[w], &used, used | mask)) {
		area_unclaim(area_count(number), n);
		return;
	}
	STELE_POINT("purge:owned");
	if (purge_runs(number, w, mask)) {
		dirty = and_relaxed(&area->dirty[w], ~mask);
		stele_dirty_taken((uint64_t)__builtin_popcountll(dirty & mask));
	}
	and_release(&area->used[w], ~mask);
	area_unclaim(area_count(number), n);
}

/* An area without any user goes back in one call. */
static void purge_whole(uint32_t number)
{
	struct area *area = area_at(number);
	unsigned dirty = 0;

	for (unsigned w = 0; w < AREA_WORDS; w++)
		dirty += (unsigned)__builtin_popcountll(load_relaxed(&area->dirty[w]));
	if (!dirty || !area_take_whole(area_count(number), AREA_HUGE))
		return;
	if (stele_os_purge(area_memory(number), AREA_SIZE) == 0) {
		dirty = 0;
		for (unsigned w = 0; w < AREA_WORDS; w++)
			dirty += (unsigned)__builtin_popcountll(
				atomic_exchange_explicit(&area->dirty[w], 0, memory_order_relaxed));
		stele_dirty_taken(dirty);
	}
	area_return_whole(area_count(number));
}

/* One pass from the highest area down, until no more than @keep frames are left. */
static void purge_pass(uint64_t keep)
{
	for (uint32_t number = load_relaxed(&stele_heap.areas_high); number-- > 0;) {
		uint32_t count = load_relaxed(area_count(number));

		if (stele_dirty_free() <= keep)
			break;
		if (count == 0)
			purge_whole(number);
		else if (count < AREA_FRAMES)
			for (unsigned w = 0; w < AREA_WORDS; w++)
				purge_word(number, w);
	}
}

/*
 * Who finds a purge under way leaves a note and goes on; the purger looks for it after it is
 * done, or frames freed behind its back would stay when nobody frees again.
 */
void stele_purge(size_t keep_bytes)
{
	uint32_t idle;

	do {
		idle = 0;
		if (!cas_acquire(&purging, &idle, 1)) {
			store_seq(&missed, 1);
			return;
		}
		store_seq(&missed, 0);
		purge_pass(keep_bytes / FRAME_SIZE);
		store_seq(&purging, 0);
	} while (load_seq(&missed) && stele_dirty_free() * FRAME_SIZE > keep_bytes);
}

void stele_dirty_returned(uint64_t frames)
{
	uint64_t now = (uint64_t)(add_relaxed(&dirty_free, (int64_t)frames) + (int64_t)frames);
	uint64_t budget =
		stele_opt.dirty_max + load_relaxed(&huge_keep) + stele_page_stats().used / 64;

	if (stele_unlikely((int64_t)now > 0 && now * FRAME_SIZE > budget))
		stele_purge(budget / 2);
}

/* The purger may be a thread that the child does not have. */
void stele_page_after_fork(void)
{
	store_relaxed(&purging, 0);
	store_relaxed(&missed, 0);
}
