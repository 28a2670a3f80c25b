/* SPDX-License-Identifier: MIT */
/*
 * sync/names.h - a table of the threads that are inside of something, for other threads to look at
 *
 * Idea      A count of threads that one thread leaves too high stays too high for all. So a thread
 *           that goes inside enters its name into a place, and frees the place when it leaves. Other
 *           threads read the places. They can tell a name from the next one, see that its thread is
 *           gone, and free its place.
 * Objects   a place: {turn:31, mark:1, thread:32}; thread 0: free. The turn is raised by each use
 *           of the place: a word that was read stands for one use, also if a later thread has the
 *           same number. The mark belongs to those that read (sync/in_hand.h).
 *           NAMES_PLACES places lie in the table itself. Where all are taken, a thread first frees
 *           those of threads that are gone. If there are none, it adds a part with more places.
 *           A part is never taken away, so a thread may read its places at any time.
 *           is_gone is NULL if the names are not the kernel's numbers, or if the places of dead
 *           threads shall stay taken.
 * Order     IN_HAND: a name is entered by a relaxed compare-and-swap, and its thread passes a fence
 *           before it goes inside. A place is freed with release. A part is added with release and
 *           found with acquire, so a thread that must see a name sees its part.
 * Context   any. Each loss of a place means that another thread got it.
 * Failure   no memory for a part: names_enter() says false.
 * Limits    The number of a thread that died inside may be given to a new thread. Its place is then
 *           free again when that thread enters and leaves by names_leave_all(), or ends.
 * Unlike    the places of mempool/wait.h, which hold a wish beside the name, may be read by a child
 *           of fork() that has not forgotten them, and are as many as threads may wait in order.
 * Tests     tests/model/in_hand.c  tests/model/hotplug.c  tests/unit/sync/test_names.c
 */
#ifndef STELE_SYNC_NAMES_H
#define STELE_SYNC_NAMES_H

#include "sync/atomic.h"
#include <stddef.h>

#ifndef ORDER_IN_HAND_LEAVE
#define ORDER_IN_HAND_LEAVE memory_order_release
#endif
#ifndef NAMES_PLACES
#define NAMES_PLACES 64u
#endif
#ifndef NAMES_MORE
#define NAMES_MORE 511u /* a page with the link */
#endif

#define NAMES_MARK (1ull << 32)
#define NAMES_TURN (1ull << 33)

struct names_part {
	_Atomic(struct names_part *) more;
	_Atomic uint64_t place[NAMES_MORE];
};

struct names {
	bool (*is_gone)(uint32_t thread);
	_Atomic(struct names_part *) more;
	_Atomic uint64_t place[NAMES_PLACES];
};

/* A thread keeps it between entering and leaving. */
struct name {
	_Atomic uint64_t *place; /* NULL: it has not entered */
	uint64_t word;
};

/* The table is full. True: there was room meanwhile (names.c). */
bool stele_names_room(struct names *names);

/* ---- all places ---- */

/* The @i-th one; NULL: there are fewer. */
static inline _Atomic uint64_t *names_at(struct names *names, unsigned i)
{
	struct names_part *part;

	if (i < NAMES_PLACES)
		return &names->place[i];
	i -= NAMES_PLACES;
	/* ORDER(IN_HAND) acquire: the part's places are free. */
	part = load_acquire(&names->more);
	racy_target(part);
	for (; part && i >= NAMES_MORE; i -= NAMES_MORE) {
		part = load_acquire(&part->more);
		racy_target(part);
	}
	return part ? &part->place[i] : NULL;
}

/* ---- one place ---- */

static inline uint64_t name_free_word(uint64_t word)
{
	return word & ~(NAMES_TURN - 1);
}

static inline bool name_take(_Atomic uint64_t *place, uint32_t me, struct name *name)
{
	uint64_t seen = load_relaxed(place), mine = name_free_word(seen) + NAMES_TURN + me;

	if ((uint32_t)seen || !cas_relaxed(place, &seen, mine))
		return false;
	name->place = place;
	name->word = mine;
	return true;
}

/* The thread in @seen left by a jump, or is gone. False: another thread was faster. */
static inline bool name_free(_Atomic uint64_t *place, uint64_t seen)
{
	/* ORDER(IN_HAND) release: as its thread would have freed it. */
	return atomic_compare_exchange_strong_explicit(place, &seen, name_free_word(seen),
						       ORDER_IN_HAND_LEAVE, memory_order_relaxed);
}

/* ---- entering and leaving ---- */

static inline bool names_try(struct names *names, uint32_t me, struct name *name)
{
	_Atomic uint64_t *place;

	for (unsigned i = 0; i < NAMES_PLACES; i++)
		if (name_take(&names->place[(me + i) % NAMES_PLACES], me, name))
			return true;
	for (unsigned i = NAMES_PLACES; (place = names_at(names, i)); i++)
		if (name_take(place, me, name))
			return true;
	return false;
}

/* @me is the thread's name, not 0. False: no place can be had, and leaving does nothing. */
static inline bool names_enter(struct names *names, uint32_t me, struct name *name)
{
	name->place = NULL;
	name->word = 0;
	while (!names_try(names, me, name))
		if (!stele_names_room(names))
			return false;
	return true;
}

static inline void names_leave(const struct name *name)
{
	uint64_t seen = name->word, left = name_free_word(seen);

	/* ORDER(IN_HAND) release: others see the work of the thread inside. */
	while (name->place && (seen & ~NAMES_MARK) == name->word &&
	       !atomic_compare_exchange_weak_explicit(name->place, &seen, left, ORDER_IN_HAND_LEAVE,
						      memory_order_relaxed))
		;
}

/* Frees each place with this name, of the caller's own. */
static inline void names_leave_all(struct names *names, uint32_t me)
{
	_Atomic uint64_t *place;

	for (unsigned i = 0; (place = names_at(names, i)); i++) {
		uint64_t seen = load_relaxed(place);

		while ((uint32_t)seen == me && !name_free(place, seen))
			seen = load_relaxed(place);
	}
}

/* ---- looks ---- */

/* Whether any thread is inside; a look. */
static inline bool names_are_held(struct names *names)
{
	_Atomic uint64_t *place;

	for (unsigned i = 0; (place = names_at(names, i)); i++)
		if ((uint32_t)load_relaxed(place))
			return true;
	return false;
}

/* How many threads are inside, but for those that are gone: their places are free then. */
static inline uint32_t names_count(struct names *names)
{
	_Atomic uint64_t *place;
	uint32_t n = 0;

	for (unsigned i = 0; (place = names_at(names, i)); i++) {
		/* ORDER(IN_HAND) acquire: the work of a thread that has left. */
		uint64_t seen = load_acquire(place);

		if ((uint32_t)seen &&
		    !(names->is_gone && names->is_gone((uint32_t)seen) && name_free(place, seen)))
			n++;
	}
	return n;
}

/* ---- room ---- */

/* Frees the places of threads that are gone. True: there was one. */
static inline bool names_bury(struct names *names)
{
	_Atomic uint64_t *place;
	bool any = false;

	for (unsigned i = 0; names->is_gone && (place = names_at(names, i)); i++) {
		uint64_t seen = load_relaxed(place);

		STELE_POINT("names:buries");
		if (!(uint32_t)seen || (names->is_gone((uint32_t)seen) && name_free(place, seen)))
			any = true;
	}
	return any;
}

/* @part is zeroed. */
static inline void names_add(struct names *names, struct names_part *part)
{
	_Atomic(struct names_part *) *end = &names->more;
	struct names_part *seen = NULL;

	/* ORDER(IN_HAND) release: the places; acquire: those of a part that was added before. */
	while (!cas_acq_rel(end, &seen, part)) {
		end = &seen->more;
		seen = NULL;
	}
}

/* In the child of a fork, which has one thread. The turn too: a thread that forked inside does not
 * take the place for its own. */
static inline void names_after_fork(struct names *names)
{
	_Atomic uint64_t *place;

	for (unsigned i = 0; (place = names_at(names, i)); i++) {
		uint64_t seen = load_relaxed(place);

		if ((uint32_t)seen)
			store_relaxed(place, name_free_word(seen) + NAMES_TURN);
	}
}

#endif
