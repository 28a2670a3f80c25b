/* SPDX-License-Identifier: MIT */
/*
 * tests/model/start.c - ORDER(PAGEMAP): who has an object's address finds its descriptor whole
 *
 * Idea      A maker fills a descriptor, shows it in the map, and publishes an object with a
 *           relaxed store, as litmus (A) of the contract allows; whoever reads the pointer
 *           frees it through the map. Many times over, a step each. Follows
 *           stele_run_publish() and run_of_fast().
 * Order     The library has two release fences, and the reader a dependency on the address.
 *           C11 knows no dependency, so the reader here has an acquire fence. ThreadSanitizer
 *           does not know fences: there the same order sits on the pointer.
 * Broken    PAGEMAP_PUBLISH, PAGEMAP_FREE  either side relaxed (TSan)
 *           PAGEMAP_LATE                   the pointer is published before the map shows it
 */
#include "model.h"

#ifdef __SANITIZE_THREAD__
#define ORDER_PUBLISH memory_order_release
#define ORDER_FIND memory_order_acquire
#define FENCE_RELEASE() ((void)0)
#define FENCE_ACQUIRE() ((void)0)
#else
#define ORDER_PUBLISH memory_order_relaxed
#define ORDER_FIND memory_order_relaxed
#define FENCE_RELEASE() fence_release()
#define FENCE_ACQUIRE() fence_acquire()
#endif
#ifdef BROKEN_PAGEMAP_PUBLISH
#undef ORDER_PUBLISH
#undef FENCE_RELEASE
#define ORDER_PUBLISH memory_order_relaxed
#define FENCE_RELEASE() ((void)0)
#endif
#ifdef BROKEN_PAGEMAP_FREE
#undef ORDER_FIND
#undef FENCE_ACQUIRE
#define ORDER_FIND memory_order_relaxed
#define FENCE_ACQUIRE() ((void)0)
#endif

struct descriptor {
	int cache; /* plain, fixed while the run exists */
};

static struct descriptor descriptors[MODEL_STEPS + 1]; /* 0: not ours */
static _Atomic uint32_t map[MODEL_STEPS];
static _Atomic uint32_t object[MODEL_STEPS]; /* 0, or the frame it lies in plus one */
static struct payload payloads[MODEL_STEPS];

static void show(uint32_t frame)
{
	FENCE_RELEASE();
	store_relaxed(&map[frame], frame + 1);
	FENCE_RELEASE();
}

static void publish(uint32_t frame)
{
	atomic_store_explicit(&object[frame], frame + 1, ORDER_PUBLISH);
}

static void make(uint32_t frame)
{
	descriptors[frame + 1].cache = 7;
	payloads[frame].holder = 1;
	STELE_POINT("model:filled");
#ifdef BROKEN_PAGEMAP_LATE
	publish(frame);
	STELE_POINT("model:published");
	show(frame);
#else
	show(frame);
	STELE_POINT("model:shown");
	publish(frame);
#endif
}

static void free_what_is_found(uint32_t at)
{
	uint32_t p = atomic_load_explicit(&object[at], ORDER_FIND), ref;

	if (!p)
		return;
	FENCE_ACQUIRE();
	ref = load_relaxed(&map[p - 1]);
	model_assert(ref);
	model_assert(descriptors[ref].cache == 7);
	model_assert(payloads[p - 1].holder == 1);
}

static void model_thread(int me)
{
	for (uint32_t step = 0; step < MODEL_STEPS; step++) {
		if (me == 1)
			make(step);
		else
			free_what_is_found(step);
	}
}

static void model_setup(void)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		descriptors[step + 1].cache = 0;
		payloads[step].holder = 0;
		atomic_store(&map[step], 0);
		atomic_store(&object[step], 0);
	}
}

static void model_check(void)
{
	for (uint32_t step = 0; step < MODEL_STEPS; step++)
		free_what_is_found(step);
}
