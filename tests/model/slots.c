/* SPDX-License-Identifier: MIT */
/*
 * tests/model/slots.c - percpu/line.h: whoever uses a slot finds the words of every cache in it
 *
 * Idea      One slot and two lines of words, many times over (a step each). One thread sets the
 *           slot up and shows it, one gives out the second line, and whoever finds both the
 *           slot and the line looks at the word. Runs the shipped code.
 * Broken    SLOTS_SHOWN_FIRST  the slot is shown, then filled up to what is known by then
 *           SLOTS_READY        shown without release: its words are older (TSan)
 *           SLOTS_HIGH         begun, then high without sequential consistency: each side may
 *                              miss the other. For a model checker; here it takes luck, so it
 *                              is in no list of tests.
 */
#ifdef BROKEN_SLOTS_READY
#define ORDER_SLOT_READY memory_order_relaxed
#endif
#ifdef BROKEN_SLOTS_HIGH
#define ORDER_SLOT_HIGH memory_order_relaxed
#endif
#include "model.h"
#include "percpu/line.h"
#include "percpu/show.h"

#define LINES 2
enum { UNUSED = 1, MEMORY };

static struct instance {
	_Atomic uint32_t high, given;
	_Atomic uint8_t begun;
	_Atomic uint64_t entry, word[LINES];
	struct payload set_up; /* plain: what setting up wrote */
} instances[MODEL_STEPS];

static void fill(struct instance *in, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		word_fill(&in->word[i], 1);
}

#ifdef BROKEN_SLOTS_SHOWN_FIRST
static void slot_start(struct instance *in)
{
	uint32_t end;

	do {
		end = first_use_of_slot(&in->begun, &in->high);
		fill(in, 0, end);
		STELE_POINT("model:filled");
		show_first(&in->entry, UNUSED, MEMORY);
		STELE_POINT("model:shown");
	} while (load_seq(&in->high) != end);
}

static bool must_fill(struct instance *in)
{
	return load_seq(&in->entry) == MEMORY;
}
#else
/* As slot_start() and line_start() of percpu/slots.c. */
static void slot_start(struct instance *in)
{
	fill(in, 0, first_use_of_slot(&in->begun, &in->high));
	STELE_POINT("model:filled");
	show_first(&in->entry, UNUSED, MEMORY);
}

static bool must_fill(struct instance *in)
{
	return slot_is_begun(&in->begun);
}
#endif

static void line_start(struct instance *in)
{
	first_use_of_line(&in->high, 2);
	if (must_fill(in))
		fill(in, 1, 2);
	STELE_POINT("model:line");
	store_release(&in->given, 1);
}

static void use(struct instance *in)
{
	if (load_acquire(&in->entry) != MEMORY)
		return;
	model_assert(in->set_up.holder == 1);
	model_assert(load_relaxed(&in->word[0]));
	if (load_acquire(&in->given))
		model_assert(load_relaxed(&in->word[1]));
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		struct instance *in = &instances[step];

		if (me == 1) {
			in->set_up.holder = 1;
			slot_start(in);
		} else if (me == 2) {
			line_start(in);
		}
		use(in);
	}
}

static void model_setup(void)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		struct instance *in = &instances[step];

		atomic_store(&in->high, 1);
		atomic_store(&in->begun, 0);
		atomic_store(&in->entry, UNUSED);
		atomic_store(&in->given, 0);
		in->set_up.holder = 0;
		for (int i = 0; i < LINES; i++)
			atomic_store(&in->word[i], 0);
	}
}

static void model_check(void)
{
	for (int step = 0; step < MODEL_STEPS; step++)
		use(&instances[step]);
}
