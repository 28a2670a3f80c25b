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
 *           The second term never raises the peak, because the program used that much lately. While
 *           no frame was wanted again, the frames in use bound this term. So a burst that ends goes
 *           back while the program frees it, even if the program never enters the allocator again.
 *           The third term is room for holes that no request fits in.
 * Shrinking If a program uses less than half of its peak, more than it uses stays only because frames
 *           were wanted again. Frames of huge blocks that nobody touched count as wanted, too. So a
 *           purge asks the system which of them are resident, each time the dirty frames have grown
 *           by SURE and one in DOUBT. The others go back.
 * Time      `dirty_time` is cut into eight ticks. With each tick peak moves towards used by a twelfth
 *           of the distance, wanted loses a twelfth of the frames that lay idle for all of the
 *           tick, and the counts of purged frames lose a twelfth: about half in dirty_time. Where
 *           blocks of many sizes come and go, some frames are always free, but not always the same
 *           ones. So if frames that were purged lately have been faulted in again, wanted loses less,
 *           down to a SLOWEST-th of that share. The clock is the coarse one, read only while more than
 *           `least` is free, by a thread that returns frames or is on a slow path. No thread and
 *           no timer exists: a program that stops calling the allocator's slow paths keeps what it
 *           had then.
 * Objects   the numbers of page/counts.h, which are advice but for the first.
 * Context   any. EFFORT_BOUNDED counts only; the next slow call finds the excess by itself, so no
 *           note has to be left and none can be lost.
 * Bound     each call is a fixed number of steps, and closes and purges so much and no more (close.c,
 *           purge.c).
 * Tests     tests/unit/page/test_purge.c
 */
#include "base/options.h"
#include "os/os.h"
#include "page/areas.h"
#include "page/counts.h"
#include "page/run.h"

#define TICKS 8u      /* in dirty_time */
#define SHARE 12u     /* of what fades per tick: (11/12)^8 is a half */
#define SLOWEST 16u   /* of frames that are always wanted again, one in so many fades */
#define FORGOTTEN 96u /* ticks after which nothing is left */
#define BATCH 64u     /* frames at least that a purge goes below what may stay */
#define ASK 16u	      /* areas: 32 MiB of a burst may stay behind a limit that is new */
#define ASK_SHARE 8u  /* and one mapped area in 8 */
#define SURE 4096u    /* frames: 16 MiB may stay without a question */
#define DOUBT 8u      /* the share of the dirty frames that may be unknown */
#define ENOUGH 16384u /* frames: a call that has closed so many purges none */
#define ABOVE_PEAK 4u /* the share of the peak that holes may cost */

static _Atomic uint64_t ticked; /* ms: the last tick */
/* Whether address space is: asked once in a tick, when it matters, and again when ASK more areas are
 * empty, or fewer, and one in ASK_SHARE besides. */
static _Atomic uint32_t limited, asked_at;

/* ---- what may stay ---- */

static uint64_t least(void)
{
	return (uint64_t)stele_opt.dirty_min / FRAME_SIZE;
}

static uint64_t may_stay(void)
{
	uint64_t used = frames_in_use(), again = load_relaxed(&stele_counts.wanted);
	uint64_t most = STELE_MAX(load_relaxed(&stele_counts.peak), used);
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
		n -= (n + SHARE - 1) / SHARE;
	return n;
}

/* Estimates how many of @n frames stay unused after a purge, from the share of the frames purged
 * lately that were not touched again. */
static uint64_t for_good(uint64_t n)
{
	uint64_t gone = load_relaxed(&stele_counts.gone), back = load_relaxed(&stele_counts.back);

	return n * (gone + back / SLOWEST + 1) / (gone + back + 1);
}

static void fade_all(uint64_t ticks)
{
	uint64_t used = frames_in_use(), most = load_relaxed(&stele_counts.peak),
		 again = load_relaxed(&stele_counts.wanted);
	uint64_t dirty = frames_dirty(),
		 idle = for_good(STELE_MIN(load_relaxed(&stele_counts.lowest), again));

	store_relaxed(&stele_counts.peak, most > used ? used + fade(most - used, ticks) : used);
	store_relaxed(&stele_counts.wanted, again - idle + fade(idle, ticks));
	store_relaxed(&stele_counts.gone, fade(load_relaxed(&stele_counts.gone), ticks));
	store_relaxed(&stele_counts.back, fade(load_relaxed(&stele_counts.back), ticks));
	store_relaxed(&stele_counts.lowest, dirty);
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

static bool limit_may_be_new(void)
{
	uint32_t empty = load_relaxed(&stele_heap.empty),
		 ask = ASK + load_relaxed(&stele_heap.mapped) / ASK_SHARE;

	return load_relaxed(&limited) == LIMIT_UNKNOWN ||
	       empty - load_relaxed(&asked_at) + ask > 2 * ask;
}

static void look_at_limit(void)
{
	store_relaxed(&asked_at, load_relaxed(&stele_heap.empty));
	store_relaxed(&limited, stele_os_space_is_limited() ? LIMIT_SET : LIMIT_NONE);
}

/* Frames that may stay in empty areas. Under a limit of address space others need the room more. */
static uint64_t may_stay_mapped(void)
{
	if (limit_may_be_new())
		look_at_limit();
	return load_relaxed(&limited) == LIMIT_SET ? 0 : may_stay();
}

static void new_tick(void)
{
	stele_purge_tick();
	stele_areas_tick();
	store_relaxed(&limited, LIMIT_UNKNOWN);
}

static void purge_below(uint64_t keep, uint64_t frames, uint64_t closed)
{
	uint64_t more = BATCH + for_good(keep / 8);

	stele_purge_some(keep - STELE_MIN(keep, more), frames, closed);
}

/* Dirty frames that were left when the system was asked last what is resident. */
static _Atomic uint64_t known;

/* Gives back what nobody touched, where the program shrinks (see above). */
static void ask(void)
{
	uint64_t base = least() + frames_in_use() + SURE, dirty = frames_dirty();
	uint64_t touched = STELE_MIN(load_relaxed(&known), dirty);

	store_relaxed(&known, touched);
	if (program_shrinks() && dirty > base && dirty - touched > SURE + touched / DOUBT)
		store_relaxed(&known, stele_purge_untouched(base - base / 8) ? frames_dirty() : 0);
}

/* This thread returned @frames, or has time to look. */
static void look(uint64_t frames)
{
	uint64_t keep, closed = 0;

	if (stele_likely(frames_dirty() <= least() && !stele_areas_many(0)))
		return;
	if (tick())
		new_tick();
	if (stele_areas_many(0) && stele_areas_many(may_stay_mapped()))
		closed = stele_areas_close_some(may_stay_mapped());
	keep = may_stay();
	if (frames_dirty() <= keep)
		ask();
	else if (closed < ENOUGH)
		purge_below(keep, frames, closed);
}

bool stele_purge_is_due(void)
{
	uint64_t dirty = frames_dirty();

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

void stele_frames_returned(uint64_t frames, enum effort effort)
{
	stele_counts_returned(frames);
	if (effort != EFFORT_BOUNDED)
		look(frames);
}

void stele_dirty_returned(uint64_t frames, enum effort effort)
{
	add_relaxed(&stele_counts.frames, frames);
	if (effort != EFFORT_BOUNDED)
		look(frames);
}

/* ---- on request ---- */

static void forget(void)
{
	store_relaxed(&stele_counts.peak, frames_in_use());
	store_relaxed(&stele_counts.wanted, 0);
	store_relaxed(&stele_counts.gone, 0);
	store_relaxed(&stele_counts.back, 0);
}

/* To keep nothing is a wish that also forgets what was learnt. */
void stele_purge(size_t keep_bytes)
{
	uint64_t keep = keep_bytes / FRAME_SIZE;

	if (!keep) {
		forget();
		stele_areas_close_empty();
	}
	if (!keep || frames_dirty() > keep)
		stele_purge_all(keep);
	if (keep)
		return;
	stele_purge_recount();
	forget();
}
