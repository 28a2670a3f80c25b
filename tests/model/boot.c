/* SPDX-License-Identifier: MIT */
/*
 * tests/model/boot.c - ORDER(START), ORDER(KMALLOC_BOOT): one sets up, whoever finds it ready
 *                      finds all of it
 *
 * Idea      The heap's state goes from none over starting to ready; one thread wins. Then the
 *           caches are filled and the table names them, its entry 1 last: who takes a cache by
 *           computing its number has looked at entry 1. Many times over, a step each.
 * Restated  stele_heap_start(), fill_table() and stele_cache_for() are little else than mapping memory
 *           and making caches; the few stores and loads between that are repeated here.
 * Broken    START          ready is stored relaxed: who sees it does not see the heap (TSan)
 *           KMALLOC_BOOT   so is the table: who computes a number does not see the cache (TSan)
 *           BOOT_LAST      entry 1 is not the last: the number leads to an empty cache
 */
#ifdef BROKEN_START
#define ORDER_START memory_order_relaxed
#else
#define ORDER_START memory_order_release
#endif
#ifdef BROKEN_KMALLOC_BOOT
#define ORDER_KMALLOC_BOOT memory_order_relaxed
#else
#define ORDER_KMALLOC_BOOT memory_order_release
#endif
#include "model.h"

#define CLASSES 3
enum { NONE, STARTING, READY };

static struct instance {
	_Atomic uint32_t state;
	int heap; /* plain, fixed when ready */
	_Atomic uint8_t table[CLASSES];
	int cache[CLASSES]; /* plain, fixed once the table names it */
} instances[MODEL_STEPS];

static void heap_start(struct instance *in, int me)
{
	uint32_t none = NONE;

	if (!cas_acquire(&in->state, &none, STARTING))
		return;
	model_assert(in->heap == 0);
	in->heap = me;
	STELE_POINT("model:starting");
	atomic_store_explicit(&in->state, READY, ORDER_START);
}

static void name_class(struct instance *in, int cls)
{
	in->cache[cls] = cls + 7;
	STELE_POINT("model:booted");
	atomic_store_explicit(&in->table[cls], (uint8_t)(cls + 1), ORDER_KMALLOC_BOOT);
}

static void boot(struct instance *in)
{
#ifdef BROKEN_BOOT_LAST
	for (int cls = 0; cls < CLASSES; cls++)
#else
	for (int cls = CLASSES - 1; cls >= 0; cls--)
#endif
		name_class(in, cls);
}

static void use(struct instance *in)
{
	if (load_acquire(&in->state) == READY)
		model_assert(in->heap);
	if (load_acquire(&in->table[0]))
		model_assert(in->cache[CLASSES - 1] == CLASSES - 1 + 7);
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		struct instance *in = &instances[step];

		heap_start(in, me);
		if (me == 1)
			boot(in);
		use(in);
	}
}

static void model_setup(void)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		struct instance *in = &instances[step];

		atomic_store(&in->state, NONE);
		in->heap = 0;
		for (int cls = 0; cls < CLASSES; cls++) {
			atomic_store(&in->table[cls], 0);
			in->cache[cls] = 0;
		}
	}
}

static void model_check(void)
{
	for (int step = 0; step < MODEL_STEPS; step++)
		use(&instances[step]);
}
