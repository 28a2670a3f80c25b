/* SPDX-License-Identifier: MIT */
/*
 * tests/model/slot.h - slots, steps and sheaves for models, without assembly
 *
 * Idea      A restartable sequence is a step that runs alone on its slot and may be aborted
 *           before its one committing store. Here: a thread that wants to run on a slot makes
 *           its turn odd; a turn that is odd already means "scheduled away", and the step is
 *           aborted. Only a remote taker looks at the words without a turn.
 *           The membarrier: it waits for a thread that is inside a turn (in the kernel it would be
 *           aborted: as good, it commits nothing later), and a thread that comes later sees what was
 *           stored before.
 * Objects   HOLDS objects in a pool of bits (slab/bitmap.h); sheaves of CAPACITY from another.
 * Order     SLOT: the kernel orders two threads that run on a CPU in turn; in the fallback the
 *           lock of a line does.
 */
#ifndef STELE_TESTS_MODEL_SLOT_H
#define STELE_TESTS_MODEL_SLOT_H

#ifndef ORDER_SLOT_ENTER
#define ORDER_SLOT_ENTER memory_order_acquire
#endif
#ifndef ORDER_SLOT_LEAVE
#define ORDER_SLOT_LEAVE memory_order_release
#endif

#include "model.h"
#include "arch/contract.h"
#include "slab/bitmap.h"
#include "cache/sheaves.h"

#define CAPACITY 3u
#define SHEAF_BYTES 128u
#ifndef SHEAVES
#define SHEAVES (MODEL_NATIVE ? 8u : 3u)
#endif
#define OBJECTS (MODEL_NATIVE ? 9u : 5u)
#define SLOTS 2

struct slot {
	_Atomic uint32_t turn;	  /* odd: somebody runs here */
	_Atomic uint64_t word[2]; /* MAIN, SPARE */
};
enum { MAIN, SPARE };

/* Line 0 is "none", then the sentinels, then the sheaves. */
static uint64_t slot_heap[(2048 + 8 * SHEAF_BYTES) / 8] __attribute__((aligned(128)));
struct stele_hot stele_hot;
static struct slot slots[SLOTS];
static _Atomic uint64_t free_objects, free_sheaves;
static struct payload objects[10];

static inline void slots_setup(void)
{
	stele_hot.base = (char *)slot_heap;
	for (unsigned i = 0; i < 3; i++)
		*(uint64_t *)(uintptr_t)stele_sentinel(i) = STELE_SHEAF_END;
	for (int i = 0; i < SLOTS; i++) {
		atomic_store(&slots[i].word[MAIN], SHEAF_EMPTY);
		atomic_store(&slots[i].word[SPARE], 0);
	}
	atomic_store(&free_objects, ((1ull << OBJECTS) - 1) << 1); /* 1..OBJECTS */
	atomic_store(&free_sheaves, (1ull << SHEAVES) - 1);
}

/* ---- steps ---- */

static inline bool step_enter(struct slot *slot)
{
	uint32_t turn = load_relaxed(&slot->turn);

	return !(turn & 1) &&
	       atomic_compare_exchange_strong_explicit(&slot->turn, &turn, turn + 1,
						       ORDER_SLOT_ENTER, memory_order_relaxed);
}

static inline void step_leave(struct slot *slot)
{
	atomic_fetch_add_explicit(&slot->turn, 1, ORDER_SLOT_LEAVE);
}

/* A scene may say so of a thread, for a checker's sake. */
static _Thread_local bool never_aborted;

/* An interruption just before the commit. */
static inline bool step_aborted(void)
{
	STELE_POINT("step:commit");
	return !never_aborted && model_chance(8);
}

static inline uint64_t model_pop(struct slot *slot)
{
	uint64_t top, object;

	if (!step_enter(slot))
		return 0;
	top = load_relaxed(&slot->word[MAIN]);
	object = *(uint64_t *)(uintptr_t)(top - 8);
	if (object && step_aborted())
		object = 0;
	else if (object)
		store_relaxed(&slot->word[MAIN], top - 8);
	step_leave(slot);
	return object;
}

static inline bool model_push(struct slot *slot, uint64_t object)
{
	uint64_t top;
	bool done;

	if (!step_enter(slot))
		return false;
	top = load_relaxed(&slot->word[MAIN]);
	done = *(uint64_t *)(uintptr_t)top != STELE_SHEAF_END;
	if (done)
		*(uint64_t *)(uintptr_t)top = object; /* not a commit: above the top */
	done = done && !step_aborted();
	if (done)
		store_relaxed(&slot->word[MAIN], top + 8);
	step_leave(slot);
	return done;
}

static inline bool model_cas(struct slot *slot, int which, uint64_t old, uint64_t new)
{
	bool done;

	if (!step_enter(slot))
		return false;
	done = load_relaxed(&slot->word[which]) == old && !step_aborted();
	if (done)
		store_relaxed(&slot->word[which], new);
	step_leave(slot);
	return done;
}

static inline uint64_t model_read(struct slot *slot, int which)
{
	return load_relaxed(&slot->word[which]);
}

static inline void model_membarrier(void)
{
	for (int i = 0; i < SLOTS; i++) {
		uint32_t turn = atomic_fetch_add_explicit(&slots[i].turn, 0, memory_order_acq_rel);

		while (turn & 1 && load_acquire(&slots[i].turn) == turn)
			STELE_POINT("step:barrier");
	}
}

/* ---- objects and sheaves ---- */

static inline uint64_t object_take(void)
{
	uint64_t got = bits_take(&free_objects, 1);

	return got ? (uint64_t)__builtin_ctzll(got) : 0;
}

static inline void object_give(uint64_t object)
{
	model_assert(bits_give(&free_objects, 1ull << object) == 0);
}

static inline struct sheaf *sheaf_at(unsigned number)
{
	return (struct sheaf *)((char *)slot_heap + 2048 + number * SHEAF_BYTES);
}

/* The top of an empty sheaf that nobody has, or 0. */
static inline uint64_t sheaf_new(void)
{
	uint64_t got = bits_take(&free_sheaves, 1);
	struct sheaf *sheaf;

	if (!got)
		return 0;
	sheaf = sheaf_at((unsigned)__builtin_ctzll(got));
	sheaf->bottom = 0;
	for (unsigned i = 0; i < CAPACITY; i++)
		sheaf->entry[i] = 0;
	sheaf->entry[CAPACITY] = STELE_SHEAF_END;
	return sheaf_bottom(sheaf);
}

/* Gives back the objects of a sheaf, then the sheaf. */
static inline void sheaf_flush(uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, SHEAF_BYTES);
	unsigned number = (unsigned)((char *)sheaf - (char *)sheaf_at(0)) / SHEAF_BYTES;

	for (unsigned i = 0; i < sheaf_count(top, SHEAF_BYTES); i++)
		object_give(sheaf->entry[i]);
	model_assert(bits_give(&free_sheaves, 1ull << number) == 0);
}

/* Nobody runs: everything in the slots goes back, then all must be there. */
static inline void slots_check(void)
{
	for (int i = 0; i < SLOTS * 2; i++) {
		uint64_t top = load_relaxed(&slots[i / 2].word[i % 2]);

		if (stele_is_sheaf(top))
			sheaf_flush(top);
		else
			model_assert(top == (i % 2 == MAIN ? SHEAF_EMPTY : 0));
	}
	model_assert(load_relaxed(&free_objects) == ((1ull << OBJECTS) - 1) << 1);
	model_assert(load_relaxed(&free_sheaves) == (1ull << SHEAVES) - 1);
}

#endif
