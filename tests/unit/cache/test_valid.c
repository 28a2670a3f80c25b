/* SPDX-License-Identifier: MIT */
/*
 * Tests of cache/valid.c: each invariant of a cache, a barn and a slot that is broken by hand is named,
 * and all is well otherwise.
 */
#include "cache/valid.h"
#include "cache/caches.h"
#include "cache/sheaves.h"
#include "page/run.h"
#include "percpu/slots.h"

#include "../unit.h"

#include <stele/slab.h>

#define HELD 300

static struct kmem_cache *s;
static unsigned slot; /* that has sheaves of the cache */

static bool find_slot(void)
{
	uint64_t found[3];

	for (slot = 0; slot <= stele_slots.count; slot++)
		if (stele_slot_words(slot, s->words, found) && stele_is_sheaf(found[0]))
			return true;
	return false;
}

/* Sheaves with objects in the slot and in the barn, and an empty one. */
static int fill_cache(void **state)
{
	void *held[HELD];
	uint64_t top;

	(void)state;
	s = kmem_cache_create("valid", 72, 0, SLAB_NO_MERGE, NULL);
	if (!s || !s->capacity || !kmem_cache_alloc_bulk(s, GFP_KERNEL, HELD, held))
		return -1;
	kmem_cache_free_bulk(s, HELD, held);
	top = stele_sheaf_new(s);
	if (!top)
		return -1;
	stele_sheaf_put(s, top, EFFORT_BOUNDED);
	return barn_has(&s->barn.full) && barn_has(&s->barn.empty) && find_slot() ? 0 : -1;
}

static int end_cache(void **state)
{
	(void)state;
	kmem_cache_destroy(s);
	return stele_listed_valid() ? -1 : 0;
}

static void assert_all_whole(void)
{
	assert_null(stele_cache_valid(s));
	assert_null(stele_cache_whole(s));
	assert_null(stele_cache_slot_valid(s, slot));
	assert_null(stele_listed_valid());
	assert_null(stele_caches_valid());
}

/* Named by @question and among all of them, while @field has @value. */
#define assert_found(question, field, value, fault)                                                \
	do {                                                                                       \
		__typeof__(field) right = (field);                                                 \
		assert_all_whole();                                                                \
		(field) = (value);                                                                 \
		assert_string_equal(question, fault);                                              \
		assert_string_equal(stele_listed_valid(), fault);                                  \
		(field) = right;                                                                   \
		assert_all_whole();                                                                \
	} while (0)

#define assert_cache(field, value, fault) assert_found(stele_cache_valid(s), s->field, value, fault)
#define assert_barn(field, value, fault)                                                           \
	assert_found(stele_barn_valid(s, &s->barn), field, value, fault)

static void a_cache_with_half_of_its_sheaves_is_found(void **state)
{
	const char *words = "cache: it has sheaves, and its words are in no slot";
	const char *without = "cache: it has words or facts, and no sheaves";

	(void)state;
	/* Its facts lie beside its words, so those are looked at first. */
	s->fast_recip = s->fast_limit = 0;
	assert_cache(words, 0, words);
	assert_cache(words, s->words + 8, words);
	assert_cache(words, STELE_SLOT_SIZE, words);
	assert_cache(capacity, 0, without);
	assert_cache(capacity, s->sheaf_size / 8,
		     "cache: a sheaf has no room for that many objects");
	assert_cache(sheaf_size, 300, "cache: no sheaf is of that size");
	assert_cache(flags, s->flags | SLAB_NO_SHEAVES, "cache: it has sheaves against its flags");
	assert_cache(flags, s->flags | SLAB_TRACE, "cache: it has sheaves against its flags");
	assert_cache(barn_max, 0, "cache: its barns may keep no sheaf");
	assert_cache(refcount, -1, "cache: it has fewer users than none");
	assert_cache(slabs, 2 * SLAB_DYING + 1,
		     "cache: more slabs wait for readers than there are");
	assert_cache(recip, 1, "cache: the reciprocal is not that of its size");
}

static void words_of_a_cache_without_sheaves_are_found(void **state)
{
	const char *without = "cache: it has words or facts, and no sheaves";
	struct kmem_cache *bare = kmem_cache_create("bare", 72, 0, SLAB_TRACE, NULL);

	(void)state;
	assert_non_null(bare);
	assert_int_equal(bare->capacity, 0);
	assert_found(stele_cache_valid(bare), bare->words, STELE_WORDS_SIZE, without);
	assert_found(stele_barn_valid(bare, &bare->barn), bare->barn.full.head,
		     load_relaxed(&s->barn.full.head),
		     "barn: it has a sheaf of a cache without sheaves");
	kmem_cache_destroy(bare);
}

static struct sheaf *top_of(struct stele_stack *stack)
{
	return (struct sheaf *)stack_node(stele_hot.base,
					  STELE_STACK_INDEX(load_relaxed(&stack->head)));
}

static void a_broken_barn_is_found(void **state)
{
	struct sheaf *full = top_of(&s->barn.full), *empty = top_of(&s->barn.empty);
	const char *wrong = "barn: a sheaf lies on the wrong stack";

	(void)state;
	assert_barn(s->barn.limit, s->barn_max + 1, "barn: it may keep too many sheaves");
	assert_barn(s->barn.overflow, 2, "barn: the overflow is no yes or no");
	assert_barn(full->top, empty->top, "barn: the top of a sheaf is in another one");
	assert_barn(full->top, sheaf_bottom(full), wrong);
	assert_barn(s->barn.empty.head, load_relaxed(&s->barn.full.head), wrong);
	assert_barn(full->depth, 0, "barn: the depth of a sheaf is none");
	assert_barn(full->depth, 1ull << 40, "barn: the depth of a sheaf is none");
	assert_barn(full->bottom, 1, "sheaf: nothing stops a pop at the bottom");
	assert_barn(full->entry[0], full->entry[0] + 8,
		    "sheaf: an entry is no object of the cache");
	assert_barn(empty->entry[s->capacity], 0, "sheaf: nothing stops a push at the end");
	assert_barn(full->link.next, stack_index(stele_hot.base, &full->link),
		    "barn: the stack is a circle");
}

static void a_broken_slot_is_found(void **state)
{
	const char *unfilled = "slot: it is shown, and a word of the cache was not filled in";
	word_t *main = word_at(slot_memory(slot), s->words + WORD_MAIN);
	word_t *rcu = word_at(slot_memory(slot), s->words + WORD_RCU);
	struct sheaf *sheaf = sheaf_of(load_relaxed(main), s->sheaf_size);
	uint64_t past = sheaf_bottom(sheaf) + 8 * (s->capacity + 1ul);

	(void)state;
	assert_true(stele_slot_is_shown(slot));
	assert_found(stele_cache_slot_valid(s, slot), *main, 0, unfilled);
	assert_found(stele_cache_slot_valid(s, slot), *rcu, 0, unfilled);
	assert_found(stele_cache_slot_valid(s, slot), *main, past,
		     "sheaf: the top is outside of the entries");
	assert_found(stele_cache_slot_valid(s, slot), sheaf->bottom, 1,
		     "sheaf: nothing stops a pop at the bottom");
	assert_found(stele_slot_valid(slot, true), *main, SHEAF_UNINIT,
		     "slot: a word is no sheaf and no mark that it may have");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_of_a_cache_without_sheaves_are_found),
		cmocka_unit_test(a_broken_barn_is_found),
		cmocka_unit_test(a_broken_slot_is_found),
		cmocka_unit_test(a_cache_with_half_of_its_sheaves_is_found),
	};

	return cmocka_run_group_tests(tests, fill_cache, end_cache);
}
