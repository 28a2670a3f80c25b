/* SPDX-License-Identifier: MIT */
/*
 * tests/model/pagemap.c - page/run.h: a thread that has an address finds its run as it is now
 *
 * Idea      A maker fills a descriptor, maps it, and tells the address with a relaxed store, as
 *           promise 1 of docs/memory-model.md allows. The thread that reads the address looks the
 *           run up and frees it. The slab's state, the page map and the area are the shipped ones.
 * Order     The library has release fences, and the reader a dependency on the address. C11 knows
 *           no dependency, so the reader here has an acquire fence. ThreadSanitizer knows no
 *           fences: there the same order sits on the address.
 * Scenes    FRESH   one makes a run and tells, another frees it
 *           CLAIM   one makes a slab, another claims from it and tells, a third frees
 *           BARN    one makes a slab and puts a sheaf into the barn, another takes it and tells, a
 *                   third frees
 *           REUSE   one frees a run, another makes one of its frame and tells, a third frees
 *           TRIM    one gives the end of its run back and tells, another frees it, a third makes a
 *                   run of that end
 *           EXTEND  one takes the frame behind its run as well and tells, another frees it
 * Broken    PAGEMAP_PUBLISH, PAGEMAP_FREE  either side relaxed (TSan)
 *           PAGEMAP_LATE   the address is told before the map shows it
 *           PAGEMAP_CLAIM  no fence after the claim: the map is seen without its maker
 *           PAGEMAP_BARN   no fence after the sheaf was taken: the same
 *           PAGEMAP_UNMAP  the frames go back before they are off the map
 *           PAGEMAP_TRIM   no fence after the change
 */
#ifdef BROKEN_PAGEMAP_PUBLISH
#define PAGEMAP_FENCE() ((void)0)
#endif
#ifdef BROKEN_PAGEMAP_CLAIM
#define CLAIM_FENCE() ((void)0)
#endif
#ifdef BROKEN_PAGEMAP_BARN
#define BARN_FENCE() ((void)0)
#endif
#ifdef __SANITIZE_THREAD__
#define PAGEMAP_FENCE() ((void)0)
#define CLAIM_FENCE() ((void)0)
#define BARN_FENCE() ((void)0)
#endif
enum {
	SCENE_NONE,
	SCENE_FRESH,
	SCENE_CLAIM,
	SCENE_BARN,
	SCENE_REUSE,
	SCENE_TRIM,
	SCENE_EXTEND,
	SCENES
};
#define MODEL_SCENES SCENES
#include "model.h"
#include "page/run.h"
#include "page/area.h"
#include "slab/partial.h"
#include "cache/sheaves.h"

#if defined(__SANITIZE_THREAD__) && !defined(BROKEN_PAGEMAP_PUBLISH)
#define ORDER_TELL memory_order_release
#else
#define ORDER_TELL memory_order_relaxed
#endif
#if defined(__SANITIZE_THREAD__) && !defined(BROKEN_PAGEMAP_FREE)
#define ORDER_READ memory_order_acquire
#else
#define ORDER_READ memory_order_relaxed
#endif

#define FRAMES 3
#define SHEAF_BYTES 64u

struct stele_hot stele_hot;
static struct {
	struct run run[4]; /* 0: not ours */
	uint64_t sheaf[sizeof(struct sheaf) / 8 + 2] __attribute__((aligned(64)));
} memory __attribute__((aligned(64)));
static _Atomic uint32_t refs[FRAMES];
static struct area area;
static _Atomic uint32_t count;
static struct stele_stack partial, barn;
static _Atomic uint64_t told; /* a frame's number plus one */
static unsigned first_frames; /* of the run that there is in the beginning */

static struct sheaf *the_sheaf(void)
{
	return (struct sheaf *)memory.sheaf;
}

static uintptr_t address_of(unsigned frame)
{
	return (uintptr_t)stele_hot.base + frame * FRAME_SIZE;
}

static unsigned frame_at(uintptr_t address)
{
	return (unsigned)map_index(address);
}

/* ---- what a maker does ---- */

static struct run *fill(unsigned number, unsigned frame, unsigned frames)
{
	struct run *run = &memory.run[number];

	run->base = address_of(frame);
	run->frames = frames;
	run->bytes = frames * FRAME_SIZE;
	run->kind = RUN_LARGE;
	run->tag = 0;
	return run;
}

static void tell(unsigned frame)
{
	atomic_store_explicit(&told, frame + 1, ORDER_TELL);
}

static void make_and_tell(unsigned number, unsigned frame)
{
	struct run *run = fill(number, frame, 1);

#ifdef BROKEN_PAGEMAP_LATE
	tell(frame);
	STELE_POINT("model:told");
	run_map(run);
#else
	run_map(run);
	STELE_POINT("model:mapped");
	tell(frame);
#endif
}

/* One frame of the area, whichever is free below @end. -1: none. */
static int take_frame(void)
{
	int frame;

	if (!area_claim(&count, 1))
		return -1;
	frame = area_take(&area, 1, 1);
	if (frame < 0)
		area_unclaim(&count, 1);
	return frame;
}

/* ---- what a freer does ---- */

static void return_frames(unsigned frame, unsigned frames)
{
	area_return(&area, &count, frame, frames);
}

static void free_run(struct run *run)
{
	unsigned frame = frame_at(run->base), frames = run->frames;

#ifdef BROKEN_PAGEMAP_UNMAP
	return_frames(frame, frames);
	STELE_POINT("model:returned");
	run_unmap(run);
#else
	run_unmap(run);
	STELE_POINT("model:unmapped");
	return_frames(frame, frames);
#endif
}

/* The run of the address that was told. NULL: none was told yet. */
static struct run *find(void)
{
	uint64_t frame = atomic_load_explicit(&told, ORDER_READ);
	struct run *run;

	if (!frame)
		return NULL;
#if !defined(__SANITIZE_THREAD__) && !defined(BROKEN_PAGEMAP_FREE)
	fence_acquire();
#endif
	run = stele_run_of((void *)address_of((unsigned)frame - 1));
	model_assert(run);
	model_assert(run->base == address_of((unsigned)frame - 1));
	model_assert(run->bytes == run->frames * FRAME_SIZE);
	return run;
}

static void find_and_free(void)
{
	struct run *run = find();

	if (run)
		free_run(run);
}

/* ---- a slab that one makes and another allocates from ---- */

static void make_slab(void)
{
	struct run *run = fill(1, 0, 1);

	store_relaxed(&run->free[0], 1);
	state_start(&run->state, 1);
	run_map(run);
	STELE_POINT("model:mapped");
	stack_push(&partial, stele_hot.base, &run->link);
}

static void claim_and_tell(void)
{
	struct partial_look look = partial_look(&partial, stele_hot.base);

	if (look.slab && state_claim(&look.slab->state, look.state, 1) &&
	    bits_take(&memory.run[1].free[0], 1))
		tell(0);
}

static void make_sheaf(void)
{
	uint64_t top = sheaf_bottom(the_sheaf());

	run_map(fill(1, 0, 1));
	*(uint64_t *)(uintptr_t)top = address_of(0);
	barn_put(&barn, the_sheaf(), top + 8, 1);
}

static void take_sheaf_and_tell(void)
{
	if (barn_get(&barn))
		tell(0);
}

/* ---- runs that change ---- */

static void trim_and_tell(void)
{
	struct run *run = &memory.run[1];

	run_cut(run, 1);
	return_frames(1, 1);
#ifndef BROKEN_PAGEMAP_TRIM
	run_changed();
#endif
	tell(0);
}

static void extend_and_tell(void)
{
	struct run *run = &memory.run[1];

	if (!area_claim(&count, 1))
		return;
	if (take_at(&area, 1, 1)) {
		run->frames = 2;
		run->bytes = 2 * FRAME_SIZE;
		run_map(run);
	} else {
		area_unclaim(&count, 1);
	}
	tell(0);
}

static void make_in_free_frame(unsigned number, bool telling)
{
	int frame = take_frame();

	/* Natively most threads would come too early, and a checker follows both. */
	for (int tries = 0; MODEL_NATIVE && frame < 0 && tries < 1000; tries++) {
		STELE_POINT("model:none-free");
		frame = take_frame();
	}
	if (frame < 0)
		return;
	if (telling)
		make_and_tell(number, (unsigned)frame);
	else
		run_map(fill(number, (unsigned)frame, 1));
}

static void first_thread(void)
{
	switch (model_scene) {
	case SCENE_CLAIM:
		make_slab();
		break;
	case SCENE_BARN:
		make_sheaf();
		break;
	case SCENE_REUSE:
		free_run(&memory.run[1]);
		break;
	case SCENE_TRIM:
		trim_and_tell();
		break;
	case SCENE_EXTEND:
		extend_and_tell();
		break;
	default:
		make_and_tell(1, 0);
	}
}

static void second_thread(void)
{
	if (model_scene == SCENE_CLAIM)
		claim_and_tell();
	else if (model_scene == SCENE_BARN)
		take_sheaf_and_tell();
	else if (model_scene == SCENE_REUSE || model_scene == SCENE_TRIM)
		make_in_free_frame(2, model_scene == SCENE_REUSE);
	else
		find_and_free();
}

static void model_thread(int me)
{
	if (me == 1)
		first_thread();
	else if (me == 2)
		second_thread();
	else if (model_scene > SCENE_FRESH && model_scene != SCENE_EXTEND)
		find_and_free();
}

/* A run in the beginning, of as many frames; the first two of the area are then taken. */
static void stage(unsigned frames)
{
	first_frames = frames;
	for (unsigned i = 0; i < frames; i++)
		model_assert(take_frame() == (int)i);
	if (frames)
		run_map(fill(1, 0, frames));
}

static void model_setup(void)
{
	stele_hot.base = (char *)&memory;
	stele_hot.first = (char *)&memory;
	stele_hot.span = FRAMES * FRAME_SIZE;
	stele_hot.refs = (char *)refs;
	for (unsigned i = 0; i < FRAMES; i++)
		store_relaxed(&refs[i], 0);
	store_relaxed(&area.used[0], 0);
	store_relaxed(&count, AREA_OPEN);
	store_relaxed(&partial.head, 0);
	store_relaxed(&barn.head, 0);
	store_relaxed(&told, 0);
	stage(model_scene == SCENE_TRIM
		      ? 2
		      : model_scene == SCENE_REUSE || model_scene == SCENE_EXTEND);
	if (model_scene == SCENE_FRESH || model_scene == SCENE_CLAIM || model_scene == SCENE_BARN ||
	    model_scene == SCENE_NONE)
		model_assert(take_frame() == 0);
}

/* A frame that is on the map is taken, and its run is there. */
static void model_check(void)
{
	uint64_t used = load_relaxed(&area.used[0]);

	for (unsigned i = 0; i < FRAMES; i++) {
		struct run *run = stele_run_of((void *)address_of(i));

		if (!run)
			continue;
		model_assert(used >> i & 1);
		model_assert(i - frame_at(run->base) < run->frames);
	}
	model_assert(area_claimed(load_relaxed(&count)) == (unsigned)__builtin_popcountll(used));
}
