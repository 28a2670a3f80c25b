/* SPDX-License-Identifier: MIT */
/*
 * tests/model/sheaf.c - cache/miss.c: detach, work, attach; no sheaf or object twice, none lost
 *
 * Idea      Threads wander between two slots, allocate and free; when a step fails they do what
 *           cache/miss.c does: main, spare, barn, slabs. The barn is cache/barn.h's; steps may be
 *           aborted at any time (slot.h). Each object has one holder; at the end all sheaves
 *           and objects are counted.
 * Restated  cache/miss.c is about caches, nodes and statistics as well and stands on a real slot;
 *           here its functions have the same names, and take the slot. The barn is the shipped one.
 * Scenes    DETACH  one refills the slot's sheaf, another frees into it
 *           ATTACH  two bring a sheaf to a slot that has none
 *           HALVES  a full spare and an empty sheaf are made two halves, another frees
 *           BARN    one puts a sheaf into the barn, another takes it
 *           POPPERS one takes a sheaf from the barn while another takes two and puts the first
 *                   back: what was on top is there again, and what was below is not
 * Broken    STACK_PUSH, STACK_POP  the barn's order relaxed: what is in a sheaf is raced for (TSan)
 *           STACK_TAG     the barn's heads have no tag
 *           SHEAF_DETACH  a sheaf is worked on while it is still attached
 *           SHEAF_HALVES  the halves are made before the sheaf is detached
 *           SHEAF_ATTACH  attached without comparing: what somebody else attached is lost
 *           SHEAF_STOW    what was replaced is not put anywhere
 */
#ifdef BROKEN_STACK_PUSH
#define ORDER_STACK_PUSH memory_order_relaxed
#endif
#ifdef BROKEN_STACK_POP
#define ORDER_STACK_POP memory_order_relaxed
#endif
#ifdef BROKEN_STACK_TAG
#define STACK_TAG_STEP 0
#endif
enum { SCENE_NONE, SCENE_DETACH, SCENE_ATTACH, SCENE_HALVES, SCENE_BARN, SCENE_POPPERS, SCENES };
#define MODEL_SCENES SCENES
#include "slot.h"

#define BARN_LIMIT 2

static struct barn barn;

static uint64_t bottom_of(uint64_t top)
{
	return sheaf_bottom(sheaf_of(top, SHEAF_BYTES));
}

static void put(uint64_t top)
{
	struct stele_stack *stack = top == bottom_of(top) ? &barn.empty : &barn.full;

	if (!barn_put(stack, sheaf_of(top, SHEAF_BYTES), top, BARN_LIMIT))
		sheaf_flush(top);
}

static void stow(struct slot *slot, uint64_t top)
{
#ifdef BROKEN_SHEAF_STOW
	(void)put;
	model_cas(slot, SPARE, 0, top);
#else
	if (!model_cas(slot, SPARE, 0, top))
		put(top);
#endif
}

static bool replace_main(struct slot *slot, uint64_t old, uint64_t new)
{
#ifdef BROKEN_SHEAF_ATTACH
	STELE_POINT("model:attach");
	(void)old;
	store_relaxed(&slot->word[MAIN], new);
	return true;
#else
	return model_cas(slot, MAIN, old, new);
#endif
}

static void attach(struct slot *slot, uint64_t old, uint64_t new)
{
	if (!replace_main(slot, old, new))
		stow(slot, new);
	else if (stele_is_sheaf(old))
		stow(slot, old);
}

static uint64_t get_empty(void)
{
	uint64_t top = barn_get(&barn.empty);

	return top ? top : sheaf_new();
}

static bool detach(struct slot *slot, uint64_t top)
{
#ifdef BROKEN_SHEAF_DETACH
	return model_read(slot, MAIN) == top;
#else
	return model_cas(slot, MAIN, top, SHEAF_EMPTY);
#endif
}

static uint64_t empty_in_hand(struct slot *slot, uint64_t *main)
{
	if (stele_is_sheaf(*main) && *main == bottom_of(*main) && detach(slot, *main)) {
		uint64_t top = *main;

		*main = SHEAF_EMPTY;
		return top;
	}
	return get_empty();
}

static void refill(struct slot *slot, uint64_t main)
{
	uint64_t top = empty_in_hand(slot, &main), object;

	if (!top)
		return;
	STELE_POINT("model:detached");
	for (unsigned i = 0; i + 1 < CAPACITY && (object = object_take()); i++) {
		*(uint64_t *)(uintptr_t)top = object;
		top += 8;
	}
	attach(slot, main, top);
}

/* One of @full moves to @empty, the rest is put aside. */
static void attach_halves(struct slot *slot, uint64_t full, uint64_t empty)
{
	uint64_t rest = full - 8;

	*(uint64_t *)(uintptr_t)empty = *(uint64_t *)(uintptr_t)rest;
	attach(slot, SHEAF_EMPTY, empty + 8);
	stow(slot, rest);
}

static bool detach_empty(struct slot *slot, uint64_t main)
{
#ifdef BROKEN_SHEAF_HALVES
	return model_read(slot, MAIN) == main;
#else
	return model_cas(slot, MAIN, main, SHEAF_EMPTY);
#endif
}

/* The slot's spare if it is of use, as cache/miss.c asks. */
static bool attach_spare(struct slot *slot, uint64_t main, bool with_objects)
{
	uint64_t top = model_read(slot, SPARE);

	if (!stele_is_sheaf(top) || (top != bottom_of(top)) != with_objects ||
	    !model_cas(slot, SPARE, top, 0))
		return false;
	if (with_objects && stele_is_sheaf(main) && sheaf_count(top, SHEAF_BYTES) == CAPACITY &&
	    detach_empty(slot, main))
		attach_halves(slot, top, main);
	else
		attach(slot, main, top);
	return true;
}

static void provide_filled(struct slot *slot)
{
	uint64_t main = model_read(slot, MAIN), top;

	if (stele_is_sheaf(main) && main != bottom_of(main))
		return;
	if (attach_spare(slot, main, true))
		return;
	top = barn_get(&barn.full);
	if (top)
		attach(slot, main, top);
	else
		refill(slot, main);
}

static void provide_room(struct slot *slot)
{
	uint64_t main = model_read(slot, MAIN), top;

	if (stele_is_sheaf(main) && sheaf_count(main, SHEAF_BYTES) < CAPACITY)
		return;
	if (attach_spare(slot, main, false))
		return;
	top = get_empty();
	if (top)
		attach(slot, main, top);
}

/* Where this thread happens to run now. */
static struct slot *here(void)
{
	return &slots[model_choice(SLOTS)];
}

static uint64_t allocate(int me)
{
	uint64_t object = model_pop(here());

	if (!object) {
		provide_filled(here());
		object = model_pop(here());
	}
	if (!object)
		object = object_take();
	if (object)
		payload_take(&objects[object], me);
	return object;
}

static void release(uint64_t object, int me)
{
	payload_leave(&objects[object], me);
	if (model_push(here(), object))
		return;
	provide_room(here());
	if (!model_push(here(), object))
		object_give(object);
}

static uint64_t filled(unsigned n)
{
	uint64_t top = sheaf_new(), object;

	while (n-- && (object = object_take())) {
		*(uint64_t *)(uintptr_t)top = object;
		top += 8;
	}
	return top;
}

static void get_and_use(int me)
{
	uint64_t top = barn_get(&barn.full);

	if (!top)
		return;
	payload_take(&objects[*(uint64_t *)(uintptr_t)(top - 8)], me);
	STELE_POINT("model:got");
	payload_leave(&objects[*(uint64_t *)(uintptr_t)(top - 8)], me);
	put(top);
}

static void get_two_put_one(int me)
{
	uint64_t first = barn_get(&barn.full), second = barn_get(&barn.full);

	if (first)
		put(first);
	if (second)
		payload_take(&objects[*(uint64_t *)(uintptr_t)(second - 8)], me);
	STELE_POINT("model:second");
	if (second)
		payload_leave(&objects[*(uint64_t *)(uintptr_t)(second - 8)], me);
	if (second)
		put(second);
}

static void play(int me)
{
	struct slot *slot = &slots[0];

	never_aborted = model_scene == SCENE_ATTACH && me == 2;
	if (me > 2)
		return;
	switch (model_scene) {
	case SCENE_DETACH:
		if (me == 1)
			refill(slot, model_read(slot, MAIN));
		else if (!model_push(slot, OBJECTS))
			object_give(OBJECTS);
		break;
	case SCENE_ATTACH:
		refill(slot, SHEAF_EMPTY);
		break;
	case SCENE_HALVES:
		if (me == 1)
			attach_spare(slot, model_read(slot, MAIN), true);
		else if (!model_push(slot, OBJECTS))
			object_give(OBJECTS);
		break;
	case SCENE_BARN:
		if (me == 1)
			put(filled(1));
		else
			get_and_use(me);
		break;
	case SCENE_POPPERS:
		(me == 1 ? get_and_use : get_two_put_one)(me);
		break;
	}
}

static void walk(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		uint64_t a = allocate(me), b = model_choice(2) ? allocate(me) : 0;

		STELE_POINT("model:hold");
		if (a)
			release(a, me);
		if (b)
			release(b, me);
	}
}

static void model_thread(int me)
{
	never_aborted = false;
	(model_scene == SCENE_NONE ? walk : play)(me);
}

/* In some scenes thread 2 has one object in hand, the last. */
static void model_setup(void)
{
	slots_setup();
	if (model_scene == SCENE_DETACH || model_scene == SCENE_HALVES) {
		atomic_fetch_and(&free_objects, ~(1ull << OBJECTS));
		atomic_store(&slots[0].word[MAIN], sheaf_new());
	}
	if (model_scene == SCENE_HALVES)
		atomic_store(&slots[0].word[SPARE], filled(CAPACITY));
	if (model_scene == SCENE_POPPERS) {
		put(filled(1));
		put(filled(1));
	}
}

static void model_check(void)
{
	uint64_t top;

	while ((top = barn_get(&barn.full)) || (top = barn_get(&barn.empty)))
		sheaf_flush(top);
	slots_check();
}
