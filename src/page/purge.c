/* SPDX-License-Identifier: MIT */
/*
 * page/purge.c - giving touched, free frames back to the system
 *
 * Idea      A purger walks the areas from the highest down (page/marks.h): allocations take the
 *           lowest place that fits, so frames far up are wanted last. The purger owns what it
 *           purges: it takes the frames like any taker, or the area if that is empty, tells the
 *           system, marks the frames clean, and returns what it took. Several threads may purge at
 *           once, each in areas of its own. page/keep.c decides how much may stay.
 * Batches   A row is purged by one call, together with clean frames between its dirty ones. Rows of
 *           256 KiB and more go whenever too much is free. A shorter row costs nearly as much per call
 *           and gives less, so SHORT_CALLS of them go per tick at most.
 *           Empty areas beside each other are one row. Where the program shrinks, such a row is unmapped
 *           instead (page/close.c), which saves the call that would do so later. A purger owns one mapped
 *           area in OWNED at most, as other threads pass over the areas that it owns.
 * Untouched All frames of a huge block count as dirty, though the program may have touched few of them. So
 *           a purger asks the system about some pages in the middle of a row. If nobody touched the first
 *           row of a step, the step is UNTOUCHED times as long. page/keep.c may ask for untouched rows
 *           alone, and for rows that are a small mapping of their own. The other rows lose their marks.
 *           They get them again when too much is dirty, or when a tick is over.
 * Bound     one call looks at VISITS areas at most. It purges STEP frames and four times what its caller
 *           returned at most, or UNTOUCHED times that where the first row was not touched, in STEP /
 *           LONG_ROW + SHORT_STEP system calls. The next call goes on where it stopped. stele_purge()
 *           looks at every marked area. If more is to go, it looks at all areas.
 * Context   any. Signals are held back while frames are owned, so that a handler cannot leave with them.
 * Failure   the system refuses, as it does for locked memory: the frames stay dirty, and no thread
 *           tries again for a second, except on request.
 *           If a process forks while another thread purges, the child lacks the frames which that
 *           thread had: one area, or a row of empty areas. A thread that dies meanwhile keeps them.
 * Limits    with system pages larger than a frame only whole free pages are purged.
 * Tests     tests/unit/page/test_purge.c, tests/model/marks.c, tests/model/purge.c
 */
#include "base/options.h"
#include "os/os.h"
#include "page/areas.h"
#include "page/counts.h"
#include "page/dirty.h"
#include "page/marks.h"
#include "page/run.h"
#include "percpu/system.h"

#define LONG_ROW 64u	 /* frames: a call that gives so many is worth it at any time */
#define VISITS 256u	 /* areas in one step */
#define STEP 8192u	 /* frames in one step */
#define UNTOUCHED 4u	 /* times as many, if they were never touched */
#define TOUCHED 8u	 /* steps in which the system is not asked again, if they were */
#define OWNED 8u	 /* the share of the mapped areas that a purger owns at most */
#define ROW_MORE 16u	 /* areas by which a row is longer rather than cut */
#define SHORT_CALLS 256u /* for short rows, in a tick */
#define SHORT_STEP 64u	 /* for short rows, in a step */
#define REFUSED_MS 1000u

_Static_assert(MARKS_MAX >= STELE_ARENA_LARGEST / AREA_SIZE, "a mark for each area");

/* Areas that may have dirty free frames. As much of it is mapped as the arena has areas
 * (page/heap.c). */
static struct marks *area_marks(void)
{
	return (struct marks *)(stele_hot.base + stele_heap.marks_at);
}

static _Atomic uint32_t short_calls; /* left in this tick */
static _Atomic uint32_t short_of;    /* too much is free, and no area is marked */
static _Atomic uint32_t passed_over; /* areas lost their marks, as they were touched */
static _Atomic uint32_t touched;     /* steps in which frames count as touched */
static _Atomic uint64_t refused;     /* ms: the system refused then */

/* ---- rows ---- */

static unsigned page_frames(void)
{
	unsigned page = (unsigned)(stele_system_facts.page_size / FRAME_SIZE);

	return page ? page : 1;
}

enum purged { PURGED, TAKEN, REFUSED };

static bool own_row(uint32_t number, struct row row)
{
	unsigned n = row.end - row.first;

	if (!frames_claim(number, n))
		return false;
	/* ORDER(AREA) acquire: the last owners are done. */
	if (take_at(area_at(number), row.first, n))
		return true;
	frames_unclaim(number, n);
	return false;
}

/* An empty area is owned as a whole: a thread that looks for a row of areas sees why (rows.c). */
static enum purged purge_piece(uint32_t number, struct row row)
{
	bool whole = area_take_empty(number, AREA_SOON);
	struct area *area = area_at(number);
	unsigned n = row.end - row.first;
	int error;

	if (!whole && !own_row(number, row))
		return TAKEN;
	STELE_POINT("purge:owned");
	error = stele_os_purge(area_memory(number) + row.first * FRAME_SIZE, n * FRAME_SIZE);
	if (!error)
		stele_dirty_purged(dirty_clear(area, row.first, row.end));
	if (whole)
		stele_areas_return(number, 1);
	else
		frames_return(number, row.first, n);
	return error ? REFUSED : PURGED;
}

/*
 * In pieces where less can be claimed than is free: others are about to take some, or a handler
 * that never came back left a claim without frames.
 */
static enum purged purge_row(uint32_t number, struct row row)
{
	unsigned page = page_frames();
	enum purged result = PURGED;
	struct row piece = row;

	for (; piece.end > row.first && result == PURGED; piece.end = piece.first) {
		uint32_t count = area_claimed(load_relaxed(area_count(number)));
		unsigned room = count < AREA_FRAMES ? (AREA_FRAMES - count) / page * page : 0;

		if (!room)
			return TAKEN;
		piece.first = piece.end - STELE_MIN(room, piece.end - row.first);
		result = purge_piece(number, piece);
	}
	return result;
}

/* ---- the walk ---- */

struct step {
	uint64_t keep;	 /* frames that may stay */
	uint64_t frames; /* that may be purged */
	unsigned calls;	 /* that short rows may have */
	bool refused;
	bool asked;
	bool ask; /* only what was never touched goes */
};

/* The upper end of @row, where all of it is dirty and that is enough. */
static struct row upper_end(struct row row, uint64_t enough)
{
	enough = STELE_ALIGN_UP(enough, (uint64_t)page_frames());
	if (row.dirty == row.end - row.first && row.dirty > enough)
		row.first = row.end - (unsigned)enough;
	return row;
}

/* Frames that this step may still purge. */
static uint64_t excess(const struct step *step)
{
	uint64_t dirty = frames_dirty();

	/* To keep nothing ignores the count, which may be too low. */
	if (!step->keep)
		return step->frames;
	return dirty > step->keep ? STELE_MIN(dirty - step->keep, step->frames) : 0;
}

static bool may_purge(struct step *step, const struct row *row)
{
	if (row->end - row->first >= LONG_ROW)
		return true;
	if (!step->calls)
		return false;
	step->calls--;
	return true;
}

/* Makes empty areas with dirty frames SOON, and takes their marks, from @last on downwards: how many. */
static uint32_t grab_dirty(uint32_t last, uint32_t most)
{
	uint32_t low = zone_of_area(last)->first, n = 0;

	while (n < most && last - low >= n && area_bits(area_at(last - n)->dirty) &&
	       area_take_empty(last - n, AREA_SOON))
		marks_clear(area_marks()->words, last - n++);
	return n;
}

/* Whether a row of areas that is in hand goes, where only untouched ones shall. */
static bool may_go(uint32_t first, uint32_t n)
{
	return stele_areas_are_island(first, n) ||
	       !stele_os_is_resident(area_memory(first), n * AREA_SIZE);
}

/* Areas that were never touched cost the system little: a step that begins with such ones may be longer. */
static void lengthen(struct step *step, uint32_t first, uint32_t n)
{
	uint32_t left = load_relaxed(&touched);

	if (step->asked || excess(step) < step->frames)
		return;
	step->asked = true;
	if (left)
		store_relaxed(&touched, left - 1);
	else if (stele_os_is_resident(area_memory(first), n * AREA_SIZE))
		store_relaxed(&touched, TOUCHED);
	else
		step->frames *= UNTOUCHED;
}

/* Where the program shrinks, a row that is half as long again goes as a whole. A purger that stops keeps no
 * more than a share of the areas from others. */
static uint32_t areas_to_go(const struct step *step, bool shrinks)
{
	uint64_t most = excess(step) / AREA_FRAMES, all = load_relaxed(&stele_heap.mapped) / OWNED;

	if (shrinks && excess(step) % AREA_FRAMES)
		most++;
	if (shrinks)
		most += STELE_MIN(most / 2, ROW_MORE);
	return (uint32_t)STELE_MIN(most, all ? all : 1);
}

/* Empty areas from @last on downwards, by one call. False: the system refuses. */
static bool purge_empty(uint32_t last, struct step *step)
{
	bool shrinks = program_shrinks();
	uint32_t n = grab_dirty(last, areas_to_go(step, shrinks));
	uint32_t first = last + 1 - n;
	uint64_t dirty = stele_areas_dirty(first, n);

	if (!n)
		return true;
	STELE_POINT("purge:owned");
	lengthen(step, first, n);
	if (step->ask && !may_go(first, n)) {
		stele_areas_return(first, n);
		return true;
	}
	if (!stele_areas_give_row(first, n, shrinks))
		return false;
	step->frames -= STELE_MIN(step->frames, dirty);
	if (step->frames < AREA_FRAMES)
		step->frames = 0;
	return true;
}

/* False: the step is over, and dirty frames may be left. */
static bool purge_area(uint32_t number, struct step *step)
{
	struct row row;
	uint64_t most;

	if (area_is_full(number))
		return true;
	if (!purge_empty(number, step)) {
		step->refused = true;
		return false;
	}
	if (step->ask)
		return excess(step);
	for (unsigned from = 0; (most = excess(step));) {
		if (!next_row(area_at(number), page_frames(), &from, &row))
			return true;
		if (!may_purge(step, &row))
			continue;
		row = upper_end(row, most);
		if (purge_row(number, row) == REFUSED) {
			step->refused = true;
			return false;
		}
		step->frames -= STELE_MIN(step->frames, row.dirty);
	}
	return false;
}

static bool refused_lately(void)
{
	uint64_t then = load_relaxed(&refused);

	return stele_unlikely(then) && stele_os_ms() - then < REFUSED_MS;
}

/* Takes @most of what is left in this tick. */
static unsigned take_calls(unsigned most)
{
	uint32_t seen = load_relaxed(&short_calls), mine;

	do
		mine = STELE_MIN(seen, most);
	while (mine && !cas_relaxed(&short_calls, &seen, seen - mine));
	return mine;
}

/* Purges area after area, the highest marked one first, @most areas. */
static void walk(struct step *step, uint32_t highest, uint32_t most)
{
	while (most-- && excess(step) && !step->refused) {
		uint32_t number = marks_take(area_marks(), highest);

		if (number == MARKS_NONE) {
			store_relaxed(&short_of, 1);
			return;
		}
		STELE_POINT("purge:area");
		if (!purge_area(number, step))
			marks_add(area_marks(), number);
	}
}

/* The same with signals held back, of the marked areas. */
static void walk_held(struct step *step, uint32_t highest)
{
	uint64_t signals = stele_os_signals_hold();

	stele_areas_in_hand(1);
	walk(step, highest, VISITS);
	stele_areas_in_hand(-1);
	if (step->refused)
		store_relaxed(&refused, stele_os_ms());
	stele_os_signals_release(signals);
}

static void mark_all(void)
{
	store_relaxed(&short_of, 0);
	for (unsigned node = 0; node < stele_nodes.count; node++)
		marks_all(area_marks(), stele_heap.zones[node].first,
			  load_relaxed(&stele_heap.zones[node].high));
}

/* False: no area was passed over since all were marked. */
static bool mark_passed_over(void)
{
	if (!load_relaxed(&passed_over))
		return false;
	store_relaxed(&passed_over, 0);
	mark_all();
	return true;
}

void stele_purge_some(uint64_t keep, uint64_t returned, uint64_t closed)
{
	struct step step = { .keep = keep ? keep : 1, .frames = STEP + 4 * returned };
	uint32_t highest = areas_below(AREA_NONE);

	if (highest == AREA_NONE || refused_lately())
		return;
	if (!marks_any(area_marks(), highest) && !mark_passed_over()) {
		store_relaxed(&short_of, 1);
		return;
	}
	step.frames -= STELE_MIN(closed, STEP);
	step.calls = take_calls(SHORT_STEP);
	walk_held(&step, highest);
	add_relaxed(&short_calls, step.calls);
}

bool stele_purge_untouched(uint64_t keep)
{
	struct step step = { .keep = keep, .frames = UINT64_MAX, .asked = true, .ask = true };
	uint32_t highest = areas_below(AREA_NONE);

	if (highest == AREA_NONE || refused_lately() || !marks_any(area_marks(), highest))
		return true;
	walk_held(&step, highest);
	store_relaxed(&passed_over, 1);
	return !marks_any(area_marks(), highest);
}

/* Rows that were passed over get another look, and so do areas whose purger never came back. */
void stele_purge_tick(void)
{
	store_relaxed(&short_calls, SHORT_CALLS);
	if (load_relaxed(&short_of))
		mark_all();
}

void stele_purge_noted(uint32_t first, uint32_t last)
{
	for (uint32_t number = first; number <= last; number++)
		marks_add(area_marks(), number);
}

/* ---- on request ---- */

static uint64_t dirty_by_counting(void)
{
	uint64_t n = 0;

	for (uint32_t number = areas_below(AREA_NONE); number != AREA_NONE;
	     number = areas_below(number)) {
		struct area *area = area_at(number);

		if (area_claimed(load_relaxed(area_count(number))) > AREA_FRAMES)
			continue; /* of a huge block, or closed */
		for (unsigned w = 0; w < AREA_WORDS; w++)
			n += stele_popcount(load_relaxed(&area->dirty[w]) &
					    ~load_relaxed(&area->used[w]));
	}
	return n;
}

/*
 * A thread that left between returning frames and counting them has made the count wrong. It is made
 * anew where it stands still meanwhile. A thread that is held up in between all the while is
 * counted twice, until the next time.
 */
void stele_purge_recount(void)
{
	uint64_t seen = stele_counts_look();

	stele_counts_mend(seen, dirty_by_counting());
}

/* Where something may stay, the marked areas are most often enough. */
void stele_purge_all(uint64_t keep)
{
	struct step step = {
		.keep = keep, .frames = UINT64_MAX, .calls = UINT32_MAX, .asked = true
	};
	uint32_t highest = areas_below(AREA_NONE);
	uint64_t signals = stele_os_signals_hold();

	stele_areas_in_hand(1);
	if (keep && highest != AREA_NONE)
		walk(&step, highest, highest + 1);
	for (uint32_t number = highest; number != AREA_NONE && excess(&step);
	     number = areas_below(number))
		purge_area(number, &step);
	stele_areas_in_hand(-1);
	stele_os_signals_release(signals);
	store_relaxed(&refused, step.refused ? stele_os_ms() : 0);
}
