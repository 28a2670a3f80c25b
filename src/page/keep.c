/* SPDX-License-Identifier: MIT */
/*
 * page/keep.c - how many free, touched frames stay resident
 *
 * Idea      A frame that will soon be used again should stay, any other should go back. Four
 *           numbers decide, all in frames:
 *           used    frames in use now
 *           peak    the most that was in use lately
 *           wanted  frames that were purged and soon had to be faulted in again
 *           least   what the option dirty_min always lets stay
 *           Allowed to stay:   least + min(max(used, wanted), peak - used) + min(wanted, peak / 4).
 *           The second term costs no peak memory: the program had that much lately. Without a sign
 *           of return it is bounded by what is in use, so a burst that ends goes back while it is
 *           being freed, even if the program never enters the allocator again. The third term is
 *           room for holes that no request fits in.
 * Time      `dirty_time` is cut into eight ticks. With each tick peak moves towards used by a twelfth
 *           of the distance, wanted loses a twelfth of the frames that lay idle for all of the
 *           tick, and so does the memory of purged frames: about half in dirty_time. The clock is the
 *           coarse one, read only while more than `least` is free, by a thread that returns frames
 *           or is on a slow path. No thread and no timer exists: a program that stops calling
 *           the allocator's slow paths keeps what it had then.
 * Objects   counts: {used:32, dirty and free:32}, kept by differences. A thread that stops for ever
 *           between a step and its count makes it wrong until the next recount (purge.c). All others
 *           are advice: an update that is lost in a race is not repeated.
 * Context   any. EFFORT_BOUNDED counts only; the next slow call finds the excess by itself, so no
 *           note has to be left and none can be lost.
 * Bound     each call is a fixed number of steps, and closes and purges so much and no more (close.c,
 *           purge.c).
 * Tests     tests/unit/page/test_purge.c
 */
#include "base/options.h"
#include "os/os.h"
#include "page/heap.h"
#include "page/run.h"

#define TICKS 8u      /* in dirty_time */
#define SHARE 12u     /* of what fades per tick: (11/12)^8 is a half */
#define FORGOTTEN 96u /* ticks after which nothing is left */
#define BATCH 64u     /* frames at least that a purge goes below what may stay */
#define ABOVE_PEAK 4u /* the share of the peak that holes may cost */

/* In use above, dirty and free below: signed, for a frame may be taken before it is counted. */
static _Atomic uint64_t counts;
static _Atomic uint64_t huge; /* frames of huge blocks, in use */
static _Atomic uint64_t peak, wanted;
static _Atomic uint64_t gone;	/* purged lately */
static _Atomic uint64_t lowest; /* dirty and free at least, in this tick */
static _Atomic uint64_t ticked; /* ms: the last tick */
static _Atomic uint32_t
	limited; /* whether address space is: asked once in a tick, when it matters */

/* ---- counts ---- */

static int64_t dirty_in_word(uint64_t word)
{
	return (int32_t)(uint32_t)word;
}

static uint64_t used_in_word(uint64_t word)
{
	return (word - (uint64_t)dirty_in_word(word)) >> 32;
}

uint64_t stele_dirty_free(void)
{
	int64_t n = dirty_in_word(load_relaxed(&counts));

	return n > 0 ? (uint64_t)n : 0;
}

static uint64_t in_use(void)
{
	return used_in_word(load_relaxed(&counts)) + load_relaxed(&huge);
}

uint64_t stele_areas_of_node(unsigned node)
{
	return load_relaxed(&stele_heap.zones[node].high) - stele_heap.zones[node].first;
}

static uint64_t areas_opened(void)
{
	uint64_t n = 0;

	for (unsigned node = 0; node < stele_nodes.count; node++)
		n += stele_areas_of_node(node);
	return n;
}

struct stele_page_stats stele_page_stats(void)
{
	return (struct stele_page_stats){
		.used = used_in_word(load_relaxed(&counts)) * FRAME_SIZE,
		.dirty_free = stele_dirty_free() * FRAME_SIZE,
		.areas = areas_opened(),
	};
}

/* ---- what may stay ---- */

static uint64_t least(void)
{
	return (uint64_t)stele_opt.dirty_min / FRAME_SIZE;
}

static uint64_t may_stay(void)
{
	uint64_t used = in_use(), again = load_relaxed(&wanted);
	uint64_t most = STELE_MAX(load_relaxed(&peak), used);
	uint64_t below = STELE_MIN(STELE_MAX(used, again), most - used);

	if (!stele_opt.dirty_time)
		return least();
	return least() + below + STELE_MIN(again, most / ABOVE_PEAK);
}

static uint64_t fade(uint64_t n, uint64_t ticks)
{
	if (ticks >= FORGOTTEN)
		return 0;
	while (ticks--)
		n -= n / SHARE;
	return n;
}

static void fade_all(uint64_t ticks)
{
	uint64_t used = in_use(), most = load_relaxed(&peak), again = load_relaxed(&wanted);
	uint64_t dirty = stele_dirty_free(), idle = STELE_MIN(load_relaxed(&lowest), again);

	store_relaxed(&peak, most > used ? used + fade(most - used, ticks) : used);
	store_relaxed(&wanted, again - idle + fade(idle, ticks));
	store_relaxed(&gone, fade(load_relaxed(&gone), ticks));
	store_relaxed(&lowest, dirty);
}

static uint64_t tick_ms(void)
{
	uint64_t ms = (uint64_t)stele_opt.dirty_time / TICKS;

	return ms ? ms : 1;
}

/* Whether a tick is over, or several; only one thread is told. */
static bool tick(void)
{
	uint64_t last = load_relaxed(&ticked), ticks = (stele_os_ms() - last) / tick_ms();

	if (!ticks || !cas_relaxed(&ticked, &last, last + ticks * tick_ms()))
		return false;
	fade_all(ticks);
	return true;
}

enum { LIMIT_UNKNOWN, LIMIT_NONE, LIMIT_SET };

/* Frames that may stay in empty areas. Under a limit of address space others need the room more. */
static uint64_t may_stay_mapped(void)
{
	if (load_relaxed(&limited) == LIMIT_UNKNOWN)
		store_relaxed(&limited, stele_os_space_is_limited() ? LIMIT_SET : LIMIT_NONE);
	return load_relaxed(&limited) == LIMIT_SET ? 0 : may_stay();
}

static void new_tick(void)
{
	stele_purge_tick();
	stele_areas_tick();
	store_relaxed(&limited, LIMIT_UNKNOWN);
}

/* This thread returned @frames, or has time to look. */
static void look(uint64_t frames)
{
	uint64_t keep, closed = 0;

	if (stele_likely(stele_dirty_free() <= least() && !stele_areas_many(0)))
		return;
	if (tick())
		new_tick();
	if (stele_areas_many(0) && stele_areas_many(may_stay_mapped()))
		closed = stele_areas_close_some(may_stay_mapped());
	keep = may_stay();
	if (stele_dirty_free() > keep)
		stele_purge_some(keep - STELE_MIN(keep, BATCH + keep / 8), frames, closed);
}

bool stele_purge_is_due(void)
{
	uint64_t dirty = stele_dirty_free();

	if (stele_unlikely(stele_areas_many(0)) && stele_areas_many(may_stay_mapped()))
		return true;
	return stele_unlikely(dirty > least()) &&
	       (dirty > may_stay() || stele_os_ms() - load_relaxed(&ticked) >= tick_ms());
}

void stele_purge_due(void)
{
	look(0);
}

/* ---- what is told ---- */

/* Clean frames were taken: those that were purged lately would have served. */
static void look_for_gone(uint64_t clean)
{
	uint64_t seen = load_relaxed(&gone), again = STELE_MIN(clean, seen);

	if (stele_unlikely(again) && cas_relaxed(&gone, &seen, seen - again))
		add_relaxed(&wanted, again);
}

static void note_low(uint64_t word)
{
	int64_t dirty = dirty_in_word(word);

	if (dirty < (int64_t)load_relaxed(&lowest))
		store_relaxed(&lowest, dirty > 0 ? (uint64_t)dirty : 0);
}

static void note_peak(uint64_t all)
{
	if (all > load_relaxed(&peak))
		store_relaxed(&peak, all);
}

void stele_frames_taken(uint64_t frames, uint64_t dirty)
{
	uint64_t more = (frames << 32) - dirty;

	note_low(add_relaxed(&counts, more) + more);
	look_for_gone(frames - dirty);
}

void stele_frames_returned(uint64_t frames, enum effort effort)
{
	uint64_t before = sub_relaxed(&counts, (frames << 32) - frames);

	note_peak(used_in_word(before) + load_relaxed(&huge));
	if (effort != EFFORT_BOUNDED)
		look(frames);
}

void stele_huge_taken(uint64_t frames, uint64_t dirty)
{
	note_low(sub_relaxed(&counts, dirty) - dirty);
	note_peak(add_relaxed(&huge, frames) + frames + used_in_word(load_relaxed(&counts)));
	look_for_gone(frames - STELE_MIN(dirty, frames));
}

void stele_huge_returned(uint64_t frames)
{
	sub_relaxed(&huge, frames);
}

void stele_dirty_returned(uint64_t frames, enum effort effort)
{
	add_relaxed(&counts, frames);
	if (effort != EFFORT_BOUNDED)
		look(frames);
}

void stele_dirty_purged(uint64_t frames)
{
	sub_relaxed(&counts, frames);
	add_relaxed(&gone, frames);
}

void stele_keep_nothing(void)
{
	store_relaxed(&peak, in_use());
	store_relaxed(&wanted, 0);
	store_relaxed(&gone, 0);
}

uint64_t stele_counts_look(void)
{
	return load_relaxed(&counts);
}

void stele_counts_mend(uint64_t seen, uint64_t dirty)
{
	uint64_t wrong = dirty - (uint64_t)dirty_in_word(seen);

	if (wrong)
		cas_relaxed(&counts, &seen, seen + wrong);
}
