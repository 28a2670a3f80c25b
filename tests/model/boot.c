/* SPDX-License-Identifier: MIT */
/*
 * tests/model/boot.c - sync/ready.h, kmalloc/table.h: one thread sets up, others find it ready finds all
 *
 * Idea      The heap's state goes from none over starting to ready; one thread wins. Then the
 *           caches are filled in and the table names them, its entry 1 last: a thread that takes a
 *           cache by computing its number has looked at entry 1. A third thing is needed by two threads
 *           at once; one of them fills it in under a lock, which the other one only tries. Many
 *           times over, a step each. Runs the shipped code.
 * Restated  Picking the thread which starts the heap: here by a word of its own.
 *           stele_slab_boot_begin() and stele_slab_boot_end(), which are their few calls in
 *           order: the mutex above sync/holder.h needs a system to sleep in.
 * Broken    READY_SAY      ready is stored relaxed: a thread that sees it does not see the heap (TSan)
 *           READY_LOOK     and the same where it is read (TSan)
 *           TABLE_NAME     the table is stored relaxed: a thread that computes a number does not see the cache
 *                          (TSan)
 *           TABLE_WHOLE    and the same where entry 1 is read (TSan)
 *           BOOT_LAST      entry 1 is not the last: the number leads to an empty cache
 *           BOOT_AGAIN     a thread that has the lock does not look again whether the thing is
 *                          there: it writes below a thread that uses it already
 *           BOOT_BOTH      two fill the thing in without a lock
 */
#ifdef BROKEN_READY_SAY
#define ORDER_READY_SAY memory_order_relaxed
#endif
#ifdef BROKEN_READY_LOOK
#define ORDER_READY_LOOK memory_order_relaxed
#endif
#ifdef BROKEN_TABLE_NAME
#define ORDER_TABLE_NAME memory_order_relaxed
#endif
#ifdef BROKEN_TABLE_WHOLE
#define ORDER_TABLE_WHOLE memory_order_relaxed
#endif
#ifdef BROKEN_BOOT_LAST
#define TABLE_LAST 2u
#endif
#include "model.h"
#include "kmalloc/table.h"
#include "sync/holder.h"
#include "sync/ready.h"

#define CLASSES 2
enum { NONE, STARTING, READY };

static struct instance {
	_Atomic uint32_t starting, state, there;
	int heap; /* plain, fixed when ready */
	_Atomic uint8_t table[CLASSES + 1];
	int cache[CLASSES]; /* plain, fixed once the table names it */
	_Atomic uint64_t lock;
	volatile int third; /* plain, fixed once it is there */
} instances[MODEL_STEPS];

static _Thread_local struct instance *booted;

static void heap_start(struct instance *in, int me)
{
	uint32_t none = NONE;

	if (!cas_relaxed(&in->starting, &none, STARTING))
		return;
	model_assert(in->heap == 0);
	in->heap = me;
	STELE_POINT("model:starting");
	ready_say(&in->state, READY);
}

static unsigned class_for(unsigned entry, unsigned unused)
{
	(void)unused;
	STELE_POINT("model:boots");
	booted->cache[entry - 1] = (int)entry + 7;
	STELE_POINT("model:booted");
	return entry - 1;
}

static void boot(struct instance *in)
{
	booted = in;
	table_fill(in->table, CLASSES + 1, class_for, 0);
}

#ifdef BROKEN_BOOT_BOTH
#define FILLS_ALONE(in, word, abandoned) ((void)(word), (void)(abandoned), true)
#else
#define FILLS_ALONE(in, word, abandoned) holder_enter(&(in)->lock, 1, word, abandoned)
#endif

static bool must_fill(struct instance *in)
{
#ifdef BROKEN_BOOT_AGAIN
	(void)in;
	return true;
#else
	return !load_relaxed(&in->there);
#endif
}

/* As the library's own caches are, by the data path (slab/geometry.c). */
static void fill_third(struct instance *in, int me)
{
	uint64_t word = 1ull << 32 | (uint32_t)me;
	bool abandoned;

	if (ready_look(&in->there))
		return;
	STELE_POINT("model:fills");
	if (!FILLS_ALONE(in, word, &abandoned))
		return;
	if (must_fill(in)) {
		STELE_POINT("model:alone");
		in->third = 1;
		STELE_POINT("model:between");
		in->third = 2;
		ready_say(&in->there, 1);
	}
	holder_leave(&in->lock, word);
}

static void use(struct instance *in)
{
	unsigned cls = table_class(&in->table[CLASSES]);

	if (ready_look(&in->state) == READY)
		model_assert(in->heap);
	if (cls)
		model_assert(cls == CLASSES);
	if (table_is_whole(in->table))
		model_assert(in->cache[CLASSES - 1] == CLASSES + 7);
	if (ready_look(&in->there))
		model_assert(in->third == 2);
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		struct instance *in = &instances[step];

		if (me != 3)
			fill_third(in, me);
		if (MODEL_NATIVE)
			use(in);
		heap_start(in, me);
		if (me == 1)
			boot(in);
		if (MODEL_NATIVE || me == 3)
			use(in);
	}
}

static void model_setup(void)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		struct instance *in = &instances[step];

		atomic_store(&in->starting, NONE);
		atomic_store(&in->state, NONE);
		atomic_store(&in->there, 0);
		atomic_store(&in->lock, 0);
		in->heap = in->third = 0;
		for (int entry = 0; entry <= CLASSES; entry++)
			atomic_store(&in->table[entry], 0);
		for (int cls = 0; cls < CLASSES; cls++)
			in->cache[cls] = 0;
	}
}

static void model_check(void)
{
	for (int step = 0; step < MODEL_STEPS; step++)
		use(&instances[step]);
}
