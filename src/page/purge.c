/* SPDX-License-Identifier: MIT */
/*
 * page/purge.c - giving touched, free frames back to the system
 *
 * Idea      Demand-driven: who returns frames and finds more than a budget of them free
 *           and resident, purges from the highest area down, long rows before short ones.
 *           Purging owns what it purges: it takes the frames like any taker, tells the
 *           system, marks them clean, returns them. A call that promises to be short, and
 *           who takes frames, leave it to the next one that returns some or goes slow.
 * Budget    dirty_max, room for the largest block freed, 1/64 of what is in use, and what
 *           experience adds. Frames just purged are `gone` for some takes: a clean frame
 *           taken in that time need not have been purged and is regretted. Who finds the
 *           budget exceeded looks back first: regret since the last time raises it, none
 *           halves what was added. So it is decided by counts of frames, never by a clock,
 *           and a program that frees all it has ends where it began. What stays below the
 *           peak of use costs no peak memory and grows by each regret; what goes beyond
 *           grows by one in DOUBT, up to half the peak. Both end at the option dirty_grow.
 * Objects   counts: frames of runs in use, and frames that are dirty and not in use. Kept
 *           by differences; a race makes them wrong for a moment, a thread that never comes
 *           back for good, and so does the count of all that mends it, if a thread is held up
 *           in between for all of it: until the next one, when all is purged on request.
 *           The rest is advice: an update that is lost in a race is not made again.
 * Context   any; one purger at a time, others go on without.
 * Failure   the system refuses, as it does for locked memory: the frames stay dirty, and
 *           no purge is tried again before there are twice as many.
 * Limits    with system pages larger than a frame only whole free pages are purged.
 * Tests     tests/unit/page/test_purge.c
 */
#include "base/options.h"
#include "os/os.h"
#include "page/heap.h"
#include "page/run.h"
#include "percpu/system.h"

#define HUGE_KEEP_MAX (32ul << 20)
#define MEMORY 64u   /* takes of dirty frames until a purged one is forgotten */
#define DOUBT 128u   /* regrets before the footprint may rise above its peak by one frame */
#define LONG_ROW 16u /* frames: below that a call costs more than faults are saved by it */

/* In use above, dirty and free below: signed, for a frame may be taken before it is counted. */
static _Atomic uint64_t counts;
static _Atomic uint64_t huge_keep;	 /* bytes, for the next huge block */
static _Atomic uint64_t gone, forgotten; /* purged frames times MEMORY */
static _Atomic uint64_t regretted;	 /* purged frames */
static _Atomic uint64_t huge, peak;	 /* frames of huge blocks; in use at most, with those */
static _Atomic uint64_t grown, beyond;	 /* frames added to the budget below the peak, above it */
static _Atomic uint64_t stuck;		 /* frames that could not be purged, twice */
static _Atomic uint64_t purging;	 /* 0, or whoever is at it: {process:32, token:32} */
static _Atomic uint32_t missed;
static _Atomic uint32_t due; /* over budget, and who found it so must not purge */

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

/* Frames were taken: what was purged lately might have served for the clean ones. */
static void look_for_gone(uint64_t clean, uint64_t dirty)
{
	uint64_t seen = load_relaxed(&gone), found = clean * MEMORY;

	if (stele_likely(!seen))
		return;
	found = STELE_MIN(found, seen);
	dirty = STELE_MIN(dirty, seen - found);
	if (!cas_relaxed(&gone, &seen, seen - found - dirty))
		return;
	add_relaxed(&regretted, found / MEMORY);
	add_relaxed(&forgotten, dirty);
}

void stele_dirty_taken(uint64_t frames)
{
	sub_relaxed(&counts, frames);
}

static void dirty_purged(uint64_t frames)
{
	sub_relaxed(&counts, frames);
	add_relaxed(&gone, frames * MEMORY);
}

void stele_dirty_keep(size_t bytes)
{
	uint64_t seen = load_relaxed(&huge_keep);

	if (bytes > HUGE_KEEP_MAX)
		return;
	while (bytes > seen && !cas_relaxed(&huge_keep, &seen, bytes))
		;
}

/* ---- purging ---- */

/* The first frame from @from on whose bit in @words is @set; AREA_FRAMES if none. */
static unsigned next_frame(_Atomic uint64_t *words, unsigned from, bool set)
{
	for (; from < AREA_FRAMES; from = (from / 64 + 1) * 64) {
		uint64_t word = load_relaxed(&words[from / 64]);

		word = (set ? word : ~word) >> from % 64;
		if (word)
			return from + (unsigned)__builtin_ctzll(word);
	}
	return AREA_FRAMES;
}

struct row {
	unsigned first, end, dirty;
};

/*
 * The next row of free frames from @from on, from its first dirty one to its last; clean ones
 * between them cost less than a second call. Whole system pages only. first is AREA_FRAMES
 * when there is none; otherwise @from is moved behind the free frames it lies in.
 */
static struct row next_row(struct area *area, unsigned *from)
{
	unsigned page = (unsigned)(stele_system_facts.page_size / FRAME_SIZE), start, end, first;

	page = page ? page : 1;
	for (; (start = next_frame(area->used, *from, false)) < AREA_FRAMES; *from = end) {
		struct row row = { AREA_FRAMES, 0, 0 };

		end = next_frame(area->used, start, true);
		first = next_frame(area->dirty, start, true);
		for (unsigned at = first; at < end; at = next_frame(area->dirty, row.end, true)) {
			row.end = STELE_MIN(next_frame(area->dirty, at, false), end);
			row.dirty += row.end - at;
		}
		if (first >= end)
			continue;
		row.end = STELE_MIN(STELE_ALIGN_UP(row.end, page), end / page * page);
		row.first = STELE_ALIGN_UP(STELE_MAX(first / page * page, start), page);
		if (row.first >= row.end)
			continue;
		*from = end;
		return row;
	}
	return (struct row){ AREA_FRAMES, AREA_FRAMES, 0 };
}

/* The frames of @row are ours: nobody else changes their bits. */
static void mark_clean(struct area *area, struct row row)
{
	uint64_t purged = 0;

	for (unsigned at = row.first, here; at < row.end; at += here) {
		uint64_t mask;

		here = STELE_MIN(64 - at % 64, row.end - at);
		mask = bits_mask(at % 64, here);
		mask &= and_relaxed(&area->dirty[at / 64], ~mask);
		purged += (uint64_t)__builtin_popcountll(mask);
	}
	dirty_purged(purged);
}

static bool purge_piece(uint32_t number, struct row row)
{
	struct area *area = area_at(number);
	unsigned n = row.end - row.first;

	if (!area_claim(area_count(number), n))
		return false;
	/* ORDER(AREA) acquire: the last owners are done. */
	if (!take_at(area, row.first, n)) {
		area_unclaim(area_count(number), n);
		return false;
	}
	STELE_POINT("purge:owned");
	if (stele_os_purge(area_memory(number) + row.first * FRAME_SIZE, n * FRAME_SIZE) == 0)
		mark_clean(area, row);
	area_return(area, area_count(number), row.first, n);
	return true;
}

/*
 * In pieces where less can be claimed than is free: others are about to take some, or a handler
 * that never came back left a claim without frames.
 */
static void purge_row(uint32_t number, struct row row)
{
	unsigned page = (unsigned)(stele_system_facts.page_size / FRAME_SIZE);
	struct row piece = row;

	page = page ? page : 1;
	for (; piece.end > row.first; piece.end = piece.first) {
		uint32_t count = load_relaxed(area_count(number));
		unsigned room = count < AREA_FRAMES ? (AREA_FRAMES - count) / page * page : 0;

		if (!room)
			return;
		piece.first = piece.end - STELE_MIN(room, piece.end - row.first);
		if (!purge_piece(number, piece))
			return;
	}
}

/* The upper end of @row, where all of it is dirty and that is enough. */
static struct row upper_end(struct row row, uint64_t enough)
{
	uint64_t page = stele_system_facts.page_size / FRAME_SIZE;

	enough = STELE_ALIGN_UP(enough, page ? page : 1);
	if (row.dirty == row.end - row.first && row.dirty > enough)
		row.first = row.end - (unsigned)enough;
	return row;
}

/*
 * One pass from the highest area down, until no more than @keep frames are left. To keep nothing
 * is not left to the count: who left between returning frames and counting them made it too low.
 */
static void purge_pass(uint64_t keep, unsigned shortest)
{
	for (uint32_t number = areas_below(AREA_NONE); number != AREA_NONE;
	     number = areas_below(number)) {
		if (load_relaxed(area_count(number)) >= AREA_FRAMES)
			continue;
		for (unsigned from = 0; !keep || stele_dirty_free() > keep;) {
			uint64_t excess = keep ? stele_dirty_free() - keep : AREA_FRAMES;
			struct row row = next_row(area_at(number), &from);

			if (row.first == AREA_FRAMES)
				break;
			if (row.end - row.first >= shortest)
				purge_row(number, upper_end(row, excess));
		}
	}
}

static int64_t dirty_by_counting(void)
{
	uint64_t n = 0;

	for (uint32_t number = areas_below(AREA_NONE); number != AREA_NONE;
	     number = areas_below(number)) {
		struct area *area = area_at(number);

		if (load_relaxed(area_count(number)) > AREA_FRAMES)
			continue; /* of a huge block */
		for (unsigned w = 0; w < AREA_WORDS; w++)
			n += (uint64_t)__builtin_popcountll(load_relaxed(&area->dirty[w]) &
							    ~load_relaxed(&area->used[w]));
	}
	return (int64_t)n;
}

/*
 * Whoever left between returning frames and counting them has made the count wrong. It is made
 * anew where it stands still meanwhile. A thread that is held up in between all the while is
 * counted twice, until the next time.
 */
static void count_anew(void)
{
	uint64_t seen = load_relaxed(&counts);
	int64_t wrong = dirty_by_counting() - dirty_in_word(seen);

	if (wrong)
		cas_relaxed(&counts, &seen, seen + (uint64_t)wrong);
}

/*
 * Signals are held back while one purges, or a handler could leave and nobody would ever purge
 * again. A child finds the number of another process there, and takes it for nobody's.
 */
static bool begin_purging(uint64_t *signals)
{
	uint64_t me = stele_os_own(stele_thread_token()), seen = load_relaxed(&purging);

	if (seen && seen >> 32 == me >> 32)
		return false;
	*signals = stele_os_signals_hold();
	if (cas_acquire(&purging, &seen, me))
		return true;
	stele_os_signals_release(*signals);
	return false;
}

/*
 * Who finds a purge under way leaves a note and goes on; the purger looks for it after it is
 * done, or frames freed behind its back would stay when nobody frees again.
 */
static void purge_to(uint64_t keep)
{
	uint64_t signals, left;

	do {
		if (!begin_purging(&signals)) {
			store_seq(&missed, 1);
			return;
		}
		store_seq(&missed, 0);
		purge_pass(keep, LONG_ROW);
		purge_pass(keep, 1);
		if (!keep)
			count_anew();
		left = stele_dirty_free();
		store_relaxed(&stuck, left > keep ? 2 * left : 0);
		store_seq(&purging, 0);
		stele_os_signals_release(signals);
	} while (load_seq(&missed) && stele_dirty_free() > keep);
}

/* ---- the budget ---- */

/* Frames that may stay by experience while @used are in use. */
static uint64_t learnt_at(uint64_t used)
{
	uint64_t most = load_relaxed(&peak), all = used + load_relaxed(&huge);
	uint64_t below = most > all ? most - all : 0;
	uint64_t above = STELE_MIN(load_relaxed(&beyond), used / 2);

	below = STELE_MIN(below, load_relaxed(&grown));
	return below + above;
}

/* And without it. */
static uint64_t plain_at(uint64_t used)
{
	uint64_t bytes = (uint64_t)stele_opt.dirty_max + load_relaxed(&huge_keep);

	return bytes / FRAME_SIZE + used / 64;
}

/* Looks back at the time since the last call. */
static void learn(uint64_t used)
{
	uint64_t regret = atomic_exchange_explicit(&regretted, 0, memory_order_relaxed);
	uint64_t in_vain = atomic_exchange_explicit(&forgotten, 0, memory_order_relaxed) / MEMORY;
	uint64_t below = load_relaxed(&grown), above = load_relaxed(&beyond);
	uint64_t all = used + load_relaxed(&huge);
	uint64_t most = load_relaxed(&peak), limit = (uint64_t)stele_opt.dirty_grow / FRAME_SIZE;
	uint64_t above_limit = STELE_MIN(most / 2, limit);

	above += regret / DOUBT;
	above -= STELE_MIN(above, in_vain / DOUBT);
	if (regret) {
		below = STELE_MIN(below + regret, limit);
	} else {
		below /= 2;
		if (most > all)
			store_relaxed(&peak, most - (most - all) / 4);
	}
	store_relaxed(&grown, below);
	store_relaxed(&beyond, STELE_MIN(above, above_limit));
}

/* More is free than may stay, as it seems before looking back. */
static void over_budget(uint64_t used)
{
	uint64_t plain = plain_at(used), more;

	learn(used);
	more = learnt_at(used);
	if (stele_dirty_free() > plain + more)
		purge_to(plain / 2 + more - more / 4);
}

static void look_at_budget(uint64_t word, enum stele_purging when)
{
	int64_t dirty = dirty_in_word(word);
	uint64_t used = used_in_word(word);

	if (stele_likely(dirty <= (int64_t)(plain_at(used) + learnt_at(used)) ||
			 dirty <= (int64_t)load_relaxed(&stuck)))
		return;
	if (when == PURGE_LATER)
		store_relaxed(&due, 1);
	else
		over_budget(used);
}

void stele_frames_taken(unsigned frames, unsigned dirty)
{
	uint64_t more = ((uint64_t)frames << 32) - dirty, before = add_relaxed(&counts, more);

	look_for_gone(frames - dirty, dirty);
	if (frames > dirty)
		look_at_budget(before + more, PURGE_LATER);
}

static void note_peak(uint64_t all)
{
	if (all > load_relaxed(&peak))
		store_relaxed(&peak, all);
}

void stele_huge_taken(uint64_t frames)
{
	note_peak(add_relaxed(&huge, frames) + frames + used_in_word(load_relaxed(&counts)));
}

void stele_huge_returned(uint64_t frames)
{
	sub_relaxed(&huge, frames);
}

void stele_frames_returned(unsigned frames, enum stele_purging when)
{
	uint64_t less = ((uint64_t)frames << 32) - frames;
	uint64_t before = sub_relaxed(&counts, less);

	note_peak(used_in_word(before) + load_relaxed(&huge));
	look_at_budget(before - less, when);
}

void stele_dirty_returned(uint64_t frames, enum stele_purging when)
{
	look_at_budget(add_relaxed(&counts, frames) + frames, when);
}

/* Asked for: what was learnt is forgotten, too. */
void stele_purge(size_t keep_bytes)
{
	uint64_t keep = keep_bytes / FRAME_SIZE;

	store_relaxed(&peak, used_in_word(load_relaxed(&counts)) + load_relaxed(&huge));
	store_relaxed(&grown, 0);
	store_relaxed(&beyond, 0);
	purge_to(keep);
	store_relaxed(&gone, 0);
	store_relaxed(&regretted, 0);
}

bool stele_purge_is_due(void)
{
	return load_relaxed(&due);
}

/* Off before the look: who returns frames after it sets it again. */
void stele_purge_due(void)
{
	if (atomic_exchange_explicit(&due, 0, memory_order_relaxed))
		stele_dirty_returned(0, PURGE_NOW);
}

void stele_page_thread_gone(unsigned token)
{
	uint64_t seen = stele_os_own(token);

	cas_relaxed(&purging, &seen, 0);
}

/* The purger may be a thread that the child does not have. */
void stele_page_after_fork(void)
{
	store_relaxed(&purging, 0);
	store_relaxed(&missed, 0);
}
