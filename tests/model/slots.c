/* SPDX-License-Identifier: MIT */
/*
 * tests/model/slots.c - percpu/line.h: a thread finds the words of every cache in its slot
 *
 * Idea      Two slots and three lines of words. Threads set a slot up and show it, others give out a
 *           line, and a thread that finds both a slot and a line looks at the word. Line 0 is there
 *           from the start. Runs the shipped code.
 * Scenes    LINE   one sets a slot up, another gives a line
 *           SLOTS  two set a slot up each, a third gives a line
 *           LINES  one sets a slot up, two give a line each, in either order
 * Broken    SLOTS_SHOWN_FIRST  the slot is shown, then filled up to what is known by then
 *           SLOTS_READY        shown without release: its words are older (TSan)
 *           SLOTS_HIGH         begun, then high without sequential consistency: each side may
 *                              miss the other. For a model checker; here it takes luck, so it
 *                              is in no list of tests.
 *           SLOTS_RAISED       a thread that finds `high` raised by another one reads it relaxed: it
 *                              may find the slot not begun (GenMC)
 */
#ifdef BROKEN_SLOTS_READY
#define ORDER_SLOT_READY memory_order_relaxed
#endif
#ifdef BROKEN_SLOTS_HIGH
#define ORDER_SLOT_HIGH memory_order_relaxed
#endif
#ifdef BROKEN_SLOTS_RAISED
#define ORDER_SLOT_RAISED memory_order_relaxed
#endif
enum { SCENE_NONE, SCENE_LINE, SCENE_SLOTS, SCENE_LINES, SCENES };
#define MODEL_SCENES SCENES
#include "model.h"
#include "percpu/line.h"
#include "percpu/show.h"

#define SLOTS 2
#define LINES 3
#define TIMES (MODEL_NATIVE ? MODEL_STEPS : 1)
enum { UNUSED = 1, MEMORY };

static struct instance {
	_Atomic uint32_t high, given[LINES];
	struct slot {
		_Atomic uint8_t begun;
		_Atomic uint64_t entry, word[LINES];
		struct payload set_up; /* plain: what setting up wrote */
	} slot[SLOTS];
} instances[TIMES];

static void fill(struct slot *slot, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		word_fill(&slot->word[i], 1);
}

#ifdef BROKEN_SLOTS_SHOWN_FIRST
static void slot_start(struct instance *in, struct slot *slot)
{
	uint32_t end;

	do {
		end = first_use_of_slot(&slot->begun, &in->high);
		fill(slot, 0, end);
		STELE_POINT("model:filled");
		show_first(&slot->entry, UNUSED, MEMORY);
		STELE_POINT("model:shown");
	} while (load_seq(&in->high) != end);
}

static bool must_fill(struct slot *slot)
{
	return load_seq(&slot->entry) == MEMORY;
}
#else
/* As slot_start() and line_start() of percpu/slots.c. */
static void slot_start(struct instance *in, struct slot *slot)
{
	fill(slot, 0, first_use_of_slot(&slot->begun, &in->high));
	STELE_POINT("model:filled");
	show_first(&slot->entry, UNUSED, MEMORY);
}

static bool must_fill(struct slot *slot)
{
	return slot_is_begun(&slot->begun);
}
#endif

static void set_up(struct instance *in, int number)
{
	in->slot[number].set_up.holder = 1;
	slot_start(in, &in->slot[number]);
}

static void line_start(struct instance *in, uint32_t line)
{
	first_use_of_line(&in->high, line + 1);
	for (int i = 0; i < SLOTS; i++)
		if (must_fill(&in->slot[i]))
			fill(&in->slot[i], line, line + 1);
	STELE_POINT("model:line");
	store_release(&in->given[line], 1);
}

static void use(struct instance *in)
{
	for (int i = 0; i < SLOTS; i++) {
		struct slot *slot = &in->slot[i];

		if (load_acquire(&slot->entry) != MEMORY)
			continue;
		model_assert(slot->set_up.holder == 1);
		model_assert(load_relaxed(&slot->word[0]));
		for (int line = 1; line < LINES; line++)
			if (load_acquire(&in->given[line]))
				model_assert(load_relaxed(&slot->word[line]));
	}
}

/* By the thread that gives: only what was there before that may be missing. */
static void give_and_use(struct instance *in, uint32_t line)
{
	line_start(in, line);
	if (MODEL_NATIVE)
		use(in);
}

static void play(struct instance *in, int me)
{
	if (me == 1)
		set_up(in, 0);
	else if (me == 2 && model_scene == SCENE_SLOTS)
		set_up(in, 1);
	else if (me == 2)
		give_and_use(in, 1);
	else if (model_scene == SCENE_LINES)
		give_and_use(in, 2);
	else if (model_scene == SCENE_SLOTS)
		give_and_use(in, 1);
	else
		use(in);
}

static void walk(struct instance *in, int me)
{
	if (me <= SLOTS)
		set_up(in, me - 1);
	if (me >= 2)
		line_start(in, (uint32_t)me - 1);
	use(in);
}

static void model_thread(int me)
{
	for (int step = 0; step < TIMES; step++)
		(model_scene == SCENE_NONE ? walk : play)(&instances[step], me);
}

static void model_setup(void)
{
	for (int step = 0; step < TIMES; step++) {
		struct instance *in = &instances[step];

		atomic_store(&in->high, 1);
		for (int i = 0; i < SLOTS; i++) {
			struct slot *slot = &in->slot[i];

			atomic_store(&slot->begun, 0);
			atomic_store(&slot->entry, UNUSED);
			slot->set_up.holder = 0;
			for (int line = 0; line < LINES; line++)
				atomic_store(&slot->word[line], 0);
		}
		for (int line = 0; line < LINES; line++)
			atomic_store(&in->given[line], 0);
	}
}

static void model_check(void)
{
	for (int step = 0; step < TIMES; step++)
		use(&instances[step]);
}
