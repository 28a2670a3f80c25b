/* SPDX-License-Identifier: MIT */
/*
 * tests/model/sheaf.c - cache/attach.h: detach, work, attach; no sheaf or object twice, none lost
 *
 * Idea      Threads wander between two slots, allocate and free; when a step fails they do what
 *           cache/attach.h does, which is the shipped code: main, spare, barn, slabs. So is the barn
 *           (cache/sheaves.h). Steps may be aborted at any time (slot.h). Each object has one holder;
 *           at the end all sheaves and objects are counted.
 * Restated  what cache/attach.c and cache/barns.c add: nodes, limits that adapt, statistics.
 * Scenes    DETACH  one refills the slot's sheaf, another frees into it
 *           ATTACH  two bring a sheaf to a slot that has none
 *           HALVES  a full spare and an empty sheaf are made two halves, another frees
 *           BARN    one puts a sheaf into the barn, another takes it
 *           POPPERS one takes a sheaf from the barn while another takes two and puts the first
 *                   back: the same sheaf is on top again, with another one below
 * Broken    STACK_PUSH, STACK_POP  the barn's order relaxed: a race for a sheaf's objects (TSan)
 *           STACK_TAG     the barn's heads have no tag
 *           SHEAF_DETACH  a sheaf is worked on while it is still attached
 *           SHEAF_ATTACH  attached without comparing: another thread's sheaf is lost
 *           SHEAF_STOW    the replaced sheaf is not put anywhere
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
#include "cache/attach.h"

#ifdef BROKEN_SHEAF_DETACH
#define BROKEN_DETACHING 1
#else
#define BROKEN_DETACHING 0
#endif
#ifdef BROKEN_SHEAF_ATTACH
#define BROKEN_ATTACHING 1
#else
#define BROKEN_ATTACHING 0
#endif
#ifdef BROKEN_SHEAF_STOW
#define BROKEN_STOWING 1
#else
#define BROKEN_STOWING 0
#endif

#define BARN_LIMIT 2

static struct kmem_cache cache = { .capacity = CAPACITY, .sheaf_size = SHEAF_BYTES };

/* Where this thread happens to run now. */
static struct slot *here(void)
{
	return &slots[model_scene == SCENE_NONE ? model_choice(SLOTS) : 0];
}

/* ---- what cache/attach.h asks for ---- */

uint64_t stele_pcpu_read(uint64_t words, enum stele_word which)
{
	(void)words;
	return model_read(here(), which == WORD_SPARE ? SPARE : MAIN);
}

bool stele_pcpu_cas(uint64_t words, enum stele_word which, uint64_t old, uint64_t new)
{
	struct slot *slot = here();

	(void)words;
	if (BROKEN_DETACHING && which == WORD_MAIN && new == SHEAF_EMPTY)
		return model_read(slot, MAIN) == old;
	STELE_POINT("model:cas");
	if (BROKEN_ATTACHING && which == WORD_MAIN && new != SHEAF_EMPTY) {
		store_relaxed(&slot->word[MAIN], new);
		return true;
	}
	return model_cas(slot, which == WORD_SPARE ? SPARE : MAIN, old, new);
}

void stele_pcpu_mend(void) {}

static void put(uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, SHEAF_BYTES);
	struct barn *barn = &cache.barn;

	if (!barn_put(top == sheaf_bottom(sheaf) ? &barn->empty : &barn->full, sheaf, top,
		      BARN_LIMIT))
		sheaf_flush(top);
}

void stele_sheaf_put(struct kmem_cache *s, uint64_t top, enum effort effort)
{
	(void)s, (void)effort;
	if (!BROKEN_STOWING)
		put(top);
}

uint64_t stele_sheaf_get_empty(struct kmem_cache *s)
{
	uint64_t top = barn_get(&s->barn.empty);

	return top ? top : sheaf_new();
}

uint64_t stele_sheaf_get_filled(struct kmem_cache *s)
{
	return barn_get(&s->barn.full);
}

static uint64_t sheaf_with_room(struct kmem_cache *s, uint64_t main, enum effort effort)
{
	(void)main, (void)effort;
	return stele_sheaf_get_empty(s);
}

static unsigned sheaf_fill(struct kmem_cache *s, uint64_t top)
{
	uint64_t object;
	unsigned n = 0;

	for (; n + 1u < s->capacity && (object = object_take()); n++)
		((uint64_t *)(uintptr_t)top)[n] = object;
	return n;
}

/* ---- the model ---- */

static uint64_t allocate(int me)
{
	uint64_t object = model_pop(here());

	if (!object) {
		slot_provide_filled(&cache, EFFORT_USUAL);
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
	slot_provide_room(&cache, EFFORT_USUAL);
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
	uint64_t top = barn_get(&cache.barn.full);

	if (!top)
		return;
	payload_take(&objects[*(uint64_t *)(uintptr_t)(top - 8)], me);
	STELE_POINT("model:got");
	payload_leave(&objects[*(uint64_t *)(uintptr_t)(top - 8)], me);
	put(top);
}

static void get_two_put_one(int me)
{
	uint64_t first = barn_get(&cache.barn.full), second = barn_get(&cache.barn.full);

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
			sheaf_refill(&cache, model_read(slot, MAIN));
		else if (!model_push(slot, OBJECTS))
			object_give(OBJECTS);
		break;
	case SCENE_ATTACH:
		sheaf_refill(&cache, SHEAF_EMPTY);
		break;
	case SCENE_HALVES:
		if (me == 1)
			slot_provide_filled(&cache, EFFORT_USUAL);
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

	while ((top = barn_get(&cache.barn.full)) || (top = barn_get(&cache.barn.empty)))
		sheaf_flush(top);
	slots_check();
}
