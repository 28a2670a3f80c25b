/* SPDX-License-Identifier: MIT */
/*
 * tests/model/take.c - percpu/take.h, percpu/show.h: all words of slots are taken, each sheaf once
 *
 * Idea      Two slots. A user pops, moves SPARE to MAIN, puts a sheaf back and pushes onto RCU, by
 *           steps on slot 0, which it shows at its first use. A taker marks and takes words of both
 *           slots. A cold look pauses slot 0 and empties it. The writer of the CPU set closes slot
 *           0, empties it and opens it again. The kernel may refuse a barrier. Each object has one
 *           holder at a time; at the end objects and sheaves are counted. Runs the shipped code.
 * Restated  percpu/close.c, which finds its slot and its lock in the library's tables.
 * Scenes    BOTH    a user of MAIN and SPARE, a taker, a cold look
 *           RCU     a user that pushes onto RCU, a taker of RCU, a cold look
 *           OPEN    a user, a writer that closes and opens, a cold look: all three words
 *           CLOSE   a user, a writer that closes and opens, a taker
 *           REFRESH a user, a writer that finds the slot in use and then gone, a cold look
 *           REFUSED a user, a writer or a cold look whose barrier may be refused
 * Broken    TAKE_BARRIER  no barrier: a step commits over what was taken
 *           TAKE_TAKERS   a taker beside a cold look: one drops what the other has marked
 *           TAKE_PAUSE    a cold look without a pause: plain exchanges beside steps
 *           TAKE_CLOSE    the slot is emptied and then closed: a sheaf stays in it
 *           TAKE_OPEN     the writer opens whatever is not shown, a paused slot too
 *           TAKE_REFUSED  a slot is emptied although the barrier was refused
 */
#define STELE_SLOT_SHIFT 7
#define MODEL_THREADS 3
#define SHEAVES (MODEL_NATIVE ? 8u : 4u)
enum {
	SCENE_NONE,
	SCENE_BOTH,
	SCENE_RCU,
	SCENE_OPEN,
	SCENE_CLOSE,
	SCENE_REFRESH,
	SCENE_REFUSED,
	SCENES
};
#define MODEL_SCENES SCENES
#include "slot.h"
#include "percpu/take.h"

#define LINE 32u /* of words, in each slot */
enum { HERE };	 /* the user's slot */

struct stele_slots stele_slots;
struct stele_system stele_system_facts;
static uint64_t slot_bytes[SLOTS << STELE_SLOT_SHIFT >> 3] __attribute__((aligned(128)));
static _Atomic uint64_t entry; /* of slot HERE */
static _Atomic uint32_t taking;

static word_t *word_of(unsigned slot, enum stele_word which)
{
	return word_at(slot_memory(slot) + LINE, which);
}

static bool may_be_refused(void)
{
	return MODEL_NATIVE || model_scene == SCENE_REFUSED;
}

int stele_os_membarrier(void)
{
	if (may_be_refused() && model_chance(8))
		return -1;
#ifndef BROKEN_TAKE_BARRIER
	model_membarrier();
#endif
	return 0;
}

static bool begin_taking(void)
{
#ifdef BROKEN_TAKE_TAKERS
	return true;
#else
	uint32_t no = 0;

	return cas_acquire(&taking, &no, 1);
#endif
}

static void end_taking(void)
{
	store_release(&taking, 0);
}

/* ---- steps on slot HERE ---- */

/* The committing store of a step. An exchange, as a checker takes two plain ones for a mistake. */
static void commit(word_t *word, uint64_t value)
{
	atomic_exchange_explicit(word, value, memory_order_relaxed);
}

/* As stele_slot_come_up(): the words are filled already. */
static void come_up(void)
{
	if (model_scene != SCENE_BOTH && load_acquire(&entry) == slot_unused())
		show_first(&entry, slot_unused(), slot_memory(HERE));
}

static bool enter(void)
{
	come_up();
	STELE_POINT("model:enter");
	if (!step_enter(&slots[HERE]))
		return false;
	if (load_acquire(&entry) == slot_memory(HERE))
		return true;
	step_leave(&slots[HERE]);
	return false;
}

static uint64_t pop(void)
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

static bool cas(enum stele_word which, uint64_t old, uint64_t new)
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
static void swap_in_spare(void)
{
	uint64_t top = load_relaxed(word_of(HERE, WORD_SPARE));

	if (!stele_is_sheaf(top) || !cas(WORD_SPARE, top, 0))
		return;
	if (!cas(WORD_MAIN, SHEAF_EMPTY, top) && !cas(WORD_SPARE, 0, top))
		sheaf_flush(top);
}

static void pop_one(int me)
{
	uint64_t object = pop();

	if (!object)
		return;
	payload_take(&objects[object], me);
	STELE_POINT("model:held");
	payload_leave(&objects[object], me);
	object_give(object);
}

static bool push_rcu(uint64_t object)
{
	word_t *word = word_of(HERE, WORD_RCU);
	uint64_t top;
	bool done;

	if (!enter())
		return false;
	top = load_relaxed(word);
	done = *(uint64_t *)(uintptr_t)top != STELE_SHEAF_END;
	if (done)
		*(uint64_t *)(uintptr_t)top = object; /* not a commit: above the top */
	STELE_POINT("model:push");
	if (done)
		commit(word, top + 8);
	step_leave(&slots[HERE]);
	return done;
}

/* As replace() of the rcu sheaf: another one takes the place of what is there. */
static void replace_rcu(void)
{
	uint64_t old = load_relaxed(word_of(HERE, WORD_RCU)), new = sheaf_new();

	if (!new)
		return;
	if ((old != SHEAF_EMPTY && !stele_is_sheaf(old)) || !cas(WORD_RCU, old, new))
		sheaf_flush(new);
	else if (stele_is_sheaf(old))
		sheaf_flush(old);
}

static void give_rcu(void)
{
	uint64_t object = object_take();

	if (object && !push_rcu(object))
		object_give(object);
}

static void user(int me)
{
	pop_one(me);
	swap_in_spare();
	if (!MODEL_NATIVE)
		return;
	give_rcu();
	if (!model_choice(4))
		replace_rcu();
}

/* ---- takers ---- */

static void flush(uint64_t top)
{
	if (stele_is_sheaf(top))
		sheaf_flush(top);
}

static void take(const struct stele_words *which)
{
	uint64_t found[TAKE_SLOTS][2] = { { 0 } };

	if (!begin_taking())
		return;
	take_marked(LINE, which, 0, SLOTS, found);
	end_taking();
	for (unsigned i = 0; i < SLOTS * 2; i++)
		flush(found[i / 2][i % 2]);
}

static void empty_here(void)
{
	uint64_t found[3] = { 0 };

	take_unreached(slot_memory(HERE) + LINE, found);
	for (int i = 0; i < 3; i++)
		flush(found[i]);
}

/* As pause_slot() of percpu/close.c. */
static bool pause(void)
{
#ifdef BROKEN_TAKE_PAUSE
	return true;
#else
	if (!show_pause(&entry, slot_memory(HERE), slot_paused()))
		return false;
#ifdef BROKEN_TAKE_REFUSED
	stele_os_membarrier();
	return true;
#else
	if (stele_os_membarrier() == 0)
		return true;
	show_again(&entry, slot_paused(), slot_memory(HERE));
	return false;
#endif
#endif
}

static void look(void)
{
	if (!begin_taking())
		return;
	if (pause()) {
		empty_here();
		show_again(&entry, slot_paused(), slot_memory(HERE));
	}
	end_taking();
}

/* ---- the writer of the CPU set ---- */

/* As close_slot() of percpu/close.c. */
static bool close_slot(void)
{
	uint64_t was = show_close(&entry, slot_closed());
	bool refused;

	STELE_POINT("model:hidden");
	refused = was == slot_memory(HERE) && stele_os_membarrier() != 0;
#ifdef BROKEN_TAKE_REFUSED
	refused = false;
#endif
	if (refused)
		show_unclose(&entry, slot_closed(), was);
	return !refused;
}

static void open_slot(void)
{
#ifdef BROKEN_TAKE_OPEN
	uint64_t seen = load_relaxed(&entry);

	if (seen != slot_memory(HERE))
		cas_release(&entry, &seen, slot_unused());
#else
	show_open(&entry, slot_closed(), slot_unused());
#endif
}

/* Waits where the library does; a checker follows another order of the same steps. */
static void wait_to_take(void)
{
#if MODEL_NATIVE
	while (!begin_taking())
		sched_yield();
#else
	__VERIFIER_assume(begin_taking());
#endif
}

static void check_is_empty(void)
{
	model_assert(load_relaxed(word_of(HERE, WORD_MAIN)) == SHEAF_EMPTY);
	model_assert(load_relaxed(word_of(HERE, WORD_RCU)) == SHEAF_EMPTY);
	model_assert(load_relaxed(word_of(HERE, WORD_SPARE)) == 0);
}

/* The taker while it closes and while it empties, not in between. */
static void go_and_come(void)
{
	bool closed;

#ifdef BROKEN_TAKE_CLOSE
	wait_to_take();
	empty_here();
	end_taking();
#endif
	wait_to_take();
	closed = close_slot();
	end_taking();
	STELE_POINT("model:closed");
	if (!closed)
		return;
#ifndef BROKEN_TAKE_CLOSE
	wait_to_take();
	empty_here();
	end_taking();
#endif
	STELE_POINT("model:emptied");
	check_is_empty();
	open_slot();
}

/* As stele_cpu_refresh(): a slot that is in use comes online, one whose CPU is gone goes. */
static void refresh(void)
{
	if (load_acquire(&entry) == slot_memory(HERE))
		open_slot();
	STELE_POINT("model:refreshed");
	go_and_come();
}

/* ---- scenes ---- */

static void first_thread(int me)
{
	if (model_scene == SCENE_RCU)
		give_rcu();
	else if (model_scene == SCENE_BOTH)
		user(me);
	else
		pop_one(me);
}

static void second_thread(void)
{
	if (model_scene == SCENE_BOTH)
		take(&take_words);
	else if (model_scene == SCENE_RCU)
		take(&take_rcu);
	else if (model_scene == SCENE_REFRESH)
		refresh();
	else
		go_and_come();
}

static void third_thread(void)
{
	if (model_scene == SCENE_CLOSE)
		take(&take_words);
	else
		look();
}

static void walk(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me == 1)
			user(me);
		else if (model_choice(2))
			take(model_choice(2) ? &take_words : &take_rcu);
		else if (me == 2)
			refresh();
		else
			look();
	}
}

static void model_thread(int me)
{
	if (model_scene == SCENE_NONE)
		walk(me);
	else if (me == 1)
		first_thread(me);
	else
		(me == 2 ? second_thread : third_thread)();
}

/* A sheaf with @n objects. */
static uint64_t filled(int n)
{
	uint64_t top = sheaf_new();

	for (; n; n--, top += 8)
		*(uint64_t *)(uintptr_t)top = object_take();
	return top;
}

static void model_setup(void)
{
	slots_setup();
	stele_slots.memory = (char *)slot_bytes;
	stele_slots.count = SLOTS;
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		atomic_store(&stele_slots.begun[slot], 1);
		atomic_store(word_of(slot, WORD_RCU),
			     slot || model_scene == SCENE_BOTH ? SHEAF_EMPTY : filled(1));
		atomic_store(word_of(slot, WORD_SPARE), slot ? 0 : filled(1));
		atomic_store(word_of(slot, WORD_MAIN), filled(1));
	}
	atomic_store(&entry, slot_memory(HERE));
	atomic_store(&taking, 0);
}

static void model_check(void)
{
	model_assert(load_relaxed(&entry) != slot_closed());
	model_assert(load_relaxed(&entry) != slot_paused());
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		flush(load_relaxed(word_of(slot, WORD_MAIN)));
		flush(load_relaxed(word_of(slot, WORD_SPARE)));
		flush(load_relaxed(word_of(slot, WORD_RCU)));
	}
	model_assert(load_relaxed(&free_objects) == ((1ull << OBJECTS) - 1) << 1);
	model_assert(load_relaxed(&free_sheaves) == (1ull << SHEAVES) - 1);
}
