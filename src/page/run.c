/* SPDX-License-Identifier: MIT */
/*
 * page/run.c - runs of frames
 *
 * Idea      A run is a row of frames (page/frames.c) with a descriptor (page/descriptors.c), which the
 *           page map leads to.
 * Order     PAGEMAP (page/run.h).
 * Context   any.
 * Failure   NULL; a descriptor that gets no frames goes back.
 * Tests     tests/unit/page/test_run.c
 */
#include "page/run.h"
#include "base/options.h"
#include "page/clear.h"
#include "page/counts.h"
#include "page/frames.h"
#include "page/heap.h"
#include "page/valid.h"

int stele_inject_page_fail;

bool stele_page_fault_injected(void)
{
	if (stele_likely(!stele_inject_page_fail))
		return false;
	if (stele_inject_page_fail < 0)
		return true;
	if (stele_inject_page_fail > 1) {
		stele_inject_page_fail--;
		return false;
	}
	stele_inject_page_fail = -1;
	return true;
}

void stele_run_begin(struct run *run, size_t bytes)
{
	run->bytes = bytes;
	run->frames = (uint32_t)(bytes / FRAME_SIZE);
	run->recip = 0;
	run->tag = 0;
	run->cache = NULL;
}

/* ---- the page map ---- */

void stele_run_publish(struct run *run)
{
	run_map(run);
	STELE_SOUND(stele_run_valid(run));
}

void stele_run_unmap(struct run *run)
{
	run_unmap(run);
	STELE_POINT("run:unmapped");
}

/* ---- runs ---- */

/* With frames; whether they read as zero is not known. */
static struct run *run_with_frames(frames_find *find, unsigned where, unsigned frames,
				   unsigned align)
{
	struct run *run = stele_descriptor_take();
	int64_t frame;

	if (!run)
		return NULL;
	STELE_POINT("run:descriptor");
	frame = find(where, frames, align);
	if (frame < 0) {
		stele_run_return_descriptor(run);
		return NULL;
	}
	run->base = (uintptr_t)area_memory(0) + (uint64_t)frame * FRAME_SIZE;
	stele_run_begin(run, (size_t)frames * FRAME_SIZE);
	return run;
}

struct run *stele_run_take_from(unsigned where, unsigned frames, unsigned align, bool *clean)
{
	struct run *run = NULL;

	if (!stele_page_fault_injected())
		run = run_with_frames(stele_frames_find, where, frames, align);
	if (run)
		*clean = row_taken(frame_of(run->base), frames) == 0;
	return run;
}

/* Its frames are marked dirty from now on; before that they are cleared if they are to be zero. */
static struct run *begin_block(struct run *run, bool zero)
{
	if (!run)
		return NULL;
	if (zero)
		stele_row_zero(frame_of(run->base), run->frames);
	row_taken(frame_of(run->base), run->frames);
	return run;
}

struct run *stele_run_take_block(unsigned where, unsigned frames, unsigned align, bool zero)
{
	if (stele_page_fault_injected())
		return NULL;
	return begin_block(run_with_frames(stele_frames_find, where, frames, align), zero);
}

struct run *stele_run_take_long(unsigned where, unsigned frames, unsigned align, bool zero,
				frames_find *find)
{
	return begin_block(run_with_frames(find, where, frames, align), zero);
}

/* Returns frames that are off the map. */
static void return_frames(uintptr_t base, unsigned frames, enum effort effort)
{
	uint64_t frame = frame_of(base);
	uint32_t number = (uint32_t)(frame / AREA_FRAMES);

	/* Frames that were given back before may have another owner by now. */
	STELE_MUST(area_claimed(load_relaxed(area_count(number))) - 1 < AREA_FRAMES);
	if (stele_opt.init_on_free)
		stele_pages_clear((void *)base, frames * FRAME_SIZE, effort);
	stele_row_return(frame, frames);
	stele_purge_noted(number, (uint32_t)((frame + frames - 1) / AREA_FRAMES));
	stele_frames_returned(frames, effort);
}

void stele_run_return_frames(struct run *run, enum effort effort)
{
	stele_run_unmap(run);
	return_frames(run->base, run->frames, effort);
}

void stele_run_trim(struct run *run, unsigned frames)
{
	unsigned gone = run->frames - frames;
	uintptr_t tail = run->base + frames * FRAME_SIZE;

	run_cut(run, frames);
	return_frames(tail, gone, EFFORT_USUAL);
}

void stele_run_extend(struct run *run, unsigned frames)
{
	row_taken(frame_of(run->base) + run->frames, frames - run->frames);
	run->frames = frames;
	run->bytes = frames * FRAME_SIZE;
	stele_run_publish(run);
}

void stele_run_return(struct run *run)
{
	stele_run_return_frames(run, EFFORT_USUAL);
	stele_run_return_descriptor(run);
}
