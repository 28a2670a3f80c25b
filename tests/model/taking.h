/* SPDX-License-Identifier: MIT */
/*
 * tests/model/taking.h - percpu/take.h and percpu/close.h for models: users, takers, the CPU set's writer
 *
 * Idea      Two slots with a line of words each. A user makes steps on slot 0, which it shows at its
 *           first use; a taker marks and takes; a cold look pauses slot 0 and empties it; the writer
 *           closes, empties and opens. The kernel may refuse a barrier. All of it but the steps is
 *           shipped: these are assembly, and restated (tests/model/slot.h).
 * Broken    TAKE_BARRIER  no barrier: a step commits over what was taken
 *           TAKE_TAKERS   two takers: one drops what the other has marked, or both empty a slot
 *           TAKE_PAUSE    a cold look without a pause: plain exchanges beside steps
 *           TAKE_OPEN     the writer opens whatever is not shown, a paused slot too
 *           TAKE_REFUSED  a refused barrier is not noticed
 */
#ifndef STELE_TESTS_MODEL_TAKING_H
#define STELE_TESTS_MODEL_TAKING_H

#define STELE_SLOT_SHIFT 7
#define STELE_SLOTS_OFFSET 1280u
#define STELE_SLOTS_MAX 64
#include "slot.h"
#include "percpu/close.h"

#define LINE 32u /* of words, in each slot */
enum { HERE };	 /* the user's slot */

struct stele_slots stele_slots;
struct stele_system stele_system_facts;
static uint64_t slot_bytes[SLOTS << STELE_SLOT_SHIFT >> 3] __attribute__((aligned(128)));
static _Atomic uint32_t taking;

/* The model defines these, so that a checker can follow the choice. */
static bool may_be_refused(void);     /* a barrier, by the kernel */
static bool shows_at_first_use(void); /* a user its slot */

static inline word_t *word_of(unsigned slot, enum stele_word which)
{
	return word_at(slot_memory(slot) + LINE, which);
}

int stele_os_membarrier(void)
{
#ifdef BROKEN_TAKE_REFUSED
	const int refused = 0;
#else
	const int refused = -1;
#endif

	if (may_be_refused() && model_chance(8))
		return refused;
#ifndef BROKEN_TAKE_BARRIER
	model_membarrier();
#endif
	return 0;
}

static inline bool try_taking(void)
{
#ifdef BROKEN_TAKE_TAKERS
	return true;
#else
	uint32_t no = 0;

	return cas_acquire(&taking, &no, 1);
#endif
}

/* As the library's lock. Where that waits, a checker follows another order of the same steps. */
bool stele_begin_taking(enum effort effort)
{
#if MODEL_NATIVE
	while (effort == EFFORT_WAITING && !try_taking())
		sched_yield();
	return effort == EFFORT_WAITING || try_taking();
#else
	bool done = try_taking();

	__VERIFIER_assume(done || effort != EFFORT_WAITING);
	return done;
#endif
}

void stele_end_taking(void)
{
	store_release(&taking, 0);
}

/* In the fallback; here are sequences. */
void stele_take_locked(uint64_t line, const struct stele_words *which, enum effort effort,
		       uint64_t *found)
{
	(void)line, (void)which, (void)effort, (void)found;
	model_assert(false);
}

/* ---- steps on slot HERE ---- */

/* The committing store of a step. An exchange, as a checker takes two plain ones for a mistake. */
static inline void commit(word_t *word, uint64_t value)
{
	atomic_exchange_explicit(word, value, memory_order_relaxed);
}

/* As stele_slot_come_up(): the words are filled already. */
static inline void come_up(void)
{
	word_t *entry = slot_entry(HERE);

	if (shows_at_first_use() && load_acquire(entry) == slot_unused())
		show_first(entry, slot_unused(), slot_memory(HERE));
}

static inline bool enter(void)
{
	come_up();
	STELE_POINT("model:enter");
	if (!step_enter(&slots[HERE]))
		return false;
	if (slot_is_shown(HERE))
		return true;
	step_leave(&slots[HERE]);
	return false;
}

static inline uint64_t pop(void)
{
	word_t *word = word_of(HERE, WORD_MAIN);
	uint64_t top, object;

	if (!enter())
		return 0;
	top = load_relaxed(word);
	object = *(uint64_t *)(uintptr_t)(top - 8);
	STELE_POINT("model:pop");
	if (object)
		commit(word, top - 8);
	step_leave(&slots[HERE]);
	return object;
}

static inline bool cas(enum stele_word which, uint64_t old, uint64_t new)
{
	word_t *word = word_of(HERE, which);
	bool done;

	if (!enter())
		return false;
	done = load_relaxed(word) == old;
	STELE_POINT("model:cas");
	if (done)
		commit(word, new);
	step_leave(&slots[HERE]);
	return done;
}

/* As the slow way does when MAIN is empty: SPARE takes its place. */
static inline void swap_in_spare(void)
{
	uint64_t top = load_relaxed(word_of(HERE, WORD_SPARE));

	if (!stele_is_sheaf(top) || !cas(WORD_SPARE, top, 0))
		return;
	if (!cas(WORD_MAIN, SHEAF_EMPTY, top) && !cas(WORD_SPARE, 0, top))
		sheaf_flush(top);
}

static inline void pop_one(int me)
{
	uint64_t object = pop();

	if (!object)
		return;
	payload_take(&objects[object], me);
	STELE_POINT("model:held");
	payload_leave(&objects[object], me);
	object_give(object);
}

/* ---- takers ---- */

static inline void flush(uint64_t top)
{
	if (stele_is_sheaf(top))
		sheaf_flush(top);
}

/* EFFORT_WAITING: until it is the taker. */
static inline void take(const struct stele_words *which, enum effort effort)
{
	uint64_t found[TAKE_SLOTS][2] = { { 0 } };

	if (!stele_begin_taking(effort))
		return;
	take_marked(LINE, which, 0, SLOTS, found);
	stele_end_taking();
	for (unsigned i = 0; i < SLOTS * 2; i++)
		flush(found[i / 2][i % 2]);
}

/* As empty_cold() of cache/cold.c, which dissolves the sheaves. */
static inline void empty_here(unsigned slot, void *unused)
{
	uint64_t found[3] = { 0 };

	(void)unused;
	empty_line(slot, LINE, EFFORT_USUAL, found);
	for (int i = 0; i < 3; i++)
		flush(found[i]);
}

static inline void empty_without_pause(void)
{
	if (!stele_begin_taking(EFFORT_USUAL))
		return;
	if (slot_is_shown(HERE))
		empty_here(HERE, NULL);
	stele_end_taking();
}

static inline void look(void)
{
#ifdef BROKEN_TAKE_PAUSE
	empty_without_pause();
#else
	empty_paused(HERE, empty_here, NULL);
#endif
}

/* ---- the writer of the CPU set ---- */

static inline void open_for(unsigned slot)
{
#ifdef BROKEN_TAKE_OPEN
	uint64_t seen = load_relaxed(slot_entry(slot));

	if (seen != slot_memory(slot))
		cas_release(slot_entry(slot), &seen, slot_unused());
#else
	open_slot(slot);
#endif
}

/* As empty_dead() of cache/slots.c. */
static inline void empty_dead(unsigned slot)
{
	uint64_t found[3] = { 0 };

	empty_closed(slot, LINE, found);
	for (int i = 0; i < 3; i++)
		flush(found[i]);
}

/* A sheaf with @n objects. */
static inline uint64_t filled(int n)
{
	uint64_t top = sheaf_new();

	for (; n; n--, top += 8)
		*(uint64_t *)(uintptr_t)top = object_take();
	return top;
}

/* Each slot has a full line, and is shown; slot 0 has something to push onto if @rcu. */
static inline void taking_setup(bool rcu)
{
	slots_setup();
	stele_system_facts.mode = STELE_MODE_MM_CID;
	stele_slots.memory = (char *)slot_bytes;
	stele_slots.count = SLOTS;
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		atomic_store(&stele_slots.begun[slot], 1);
		atomic_store(word_of(slot, WORD_RCU), slot || !rcu ? SHEAF_EMPTY : filled(1));
		atomic_store(word_of(slot, WORD_SPARE), slot ? 0 : filled(1));
		atomic_store(word_of(slot, WORD_MAIN), filled(1));
		atomic_store(slot_entry(slot), slot_memory(slot));
	}
	atomic_store(&taking, 0);
}

/* Nobody runs: everything in the slots goes back, then all must be there. */
static inline void taking_check(void)
{
	model_assert(load_relaxed(slot_entry(HERE)) != slot_paused());
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		flush(load_relaxed(word_of(slot, WORD_MAIN)));
		flush(load_relaxed(word_of(slot, WORD_SPARE)));
		flush(load_relaxed(word_of(slot, WORD_RCU)));
	}
	model_assert(load_relaxed(&free_objects) == ((1ull << OBJECTS) - 1) << 1);
	model_assert(load_relaxed(&free_sheaves) == (1ull << SHEAVES) - 1);
}

#endif
