/* SPDX-License-Identifier: MIT */
/*
 * tests/model/hotplug.pml - a slot goes and comes beside users of a cache that is made and
 * destroyed, every interleaving
 *
 * Idea      One slot, one cache of one object, two users. A user's step finds the slot's entry, then
 *           commits unless it was aborted (`current`); or, with -DFALLBACK, locks the line and looks
 *           again. A writer closes the slot, empties it and opens it, twice. A third thread makes
 *           the cache, and destroys it when nobody uses it any more: it may be shrunk, leaves the list, every slot
 *           is emptied while the set is kept as it is, and its words are gone.
 * Checks    the object is in one place; nothing is in a slot while it is closed and emptied; nobody
 *           touches words that are not there; nothing remains of a cache that is destroyed.
 * Broken    -DBROKEN_BARRIER  closed without a barrier
 *           -DBROKEN_START    a slot is shown over a closed entry
 *           -DBROKEN_EARLY    the cache is listed before it has its words
 *           -DBROKEN_UNHELD   shrunk and destroyed without keeping the set
 *           -DBROKEN_SHOWN    emptied only where slots are shown
 *           -DBROKEN_LOOK     (with FALLBACK) no second look under the line's lock
 * Run       tests/model/run-spin
 */
#define NEVER 0
#define SHOWN 1
#define CLOSED 2
#define ROUNDS 2

byte slot = NEVER;
byte current = 0; /* whose step is in flight on the slot */
bool word = false; /* the object rests in the slot */
bool in_slabs = false, held = false;
bool locked = false; /* the line, in the fallback */
bool ready = false, listed = false, walking = false;
bool writing = false;
byte readers = 0, users_done = 0, done = 0;

inline to_slabs()
{
	d_step { assert(!held && !in_slabs); in_slabs = true }
}

/* The slot's first use. */
inline slot_start()
{
	if
	:: slot == NEVER ->
#ifdef BROKEN_START
		slot = SHOWN
#else
		atomic { if :: slot == NEVER -> slot = SHOWN :: else fi }
#endif
	:: else
	fi
}

inline pop_or_push(from, to)
{
	slot_start();
#ifdef FALLBACK
	base = slot;
	atomic { if :: base == SHOWN && !locked -> locked = true; mine = true :: else fi };
	if
	:: mine ->
#ifndef BROKEN_LOOK
		if :: slot != base -> mine = false; locked = false :: else fi
#endif
	:: else
	fi;
	if
	:: mine ->
		atomic { assert(ready); if :: from -> from = false; to = true :: else fi };
		locked = false; mine = false
	:: else
	fi
#else
	atomic { current = _pid; base = slot };
	atomic {
		if
		:: base == SHOWN && current == _pid && from ->
			assert(ready); from = false; to = true; current = 0
		:: else
		fi
	}
#endif
}

proctype user()
{
	byte base, rounds = 0;
	bool mine = false, have = false;

	(listed && ready);
	do
	:: rounds < ROUNDS ->
		rounds++;
		pop_or_push(word, have);
		if :: have -> held = true :: else fi;
		atomic { if :: !have && in_slabs -> in_slabs = false; have = true; held = true :: else fi };
		if
		:: have ->
			/* given back: the object is nobody's the moment it is in the slot */
			held = false;
			pop_or_push(have, word);
			if :: have -> have = false; to_slabs() :: else fi
		:: else
		fi
	:: else -> break
	od;
	users_done++;
	done++
}

/* The sheaves of the slot come into a hand. */
inline take_from_slot(hand)
{
#ifdef FALLBACK
	atomic { !locked -> locked = true };
#endif
	atomic { assert(ready); hand = word; word = false };
#ifdef FALLBACK
	locked = false;
#endif
}

proctype writer()
{
	byte rounds = 0;
	bool hand = false;

	do
	:: rounds < 2 ->
		rounds++;
		writing = true;
		readers == 0;
		slot = CLOSED;
#ifndef BROKEN_BARRIER
		current = 0;
#endif
		/* slab:dead: a walk over the list, which keeps the cache from leaving it */
		atomic { !walking -> walking = true };
		if
		:: listed ->
			take_from_slot(hand);
			if :: hand -> to_slabs(); hand = false :: else fi;
			assert(!word)
		:: else
		fi;
		walking = false;
		assert(slot == CLOSED);
		slot = NEVER;
		writing = false
	:: else -> break
	od;
	done++
}

/* The set stays as it is. */
inline keep()
{
	do
	:: atomic { readers++; }
		if :: !writing -> break :: else -> readers--; !writing fi
	od
}

/* Nobody uses the cache: the object is in its slab afterwards. */
inline shrink(in_hand)
{
	true;
#ifndef BROKEN_UNHELD
	keep();
#endif
	take_from_slot(in_hand);
	if :: in_hand -> to_slabs(); in_hand = false :: else fi;
	assert(in_slabs);
#ifndef BROKEN_UNHELD
	readers--;
#endif
	true
}

proctype maker()
{
	bool hand = false;

#ifdef BROKEN_EARLY
	listed = true;
	atomic { ready = true; in_slabs = true };
#else
	atomic { ready = true; in_slabs = true };
	listed = true;
#endif
	users_done == 2;
	if
	:: shrink(hand)
	:: true
	fi;
	/* destroy */
	atomic { !walking -> walking = true };
	listed = false;
	walking = false;
#ifndef BROKEN_UNHELD
	keep();
#endif
#ifdef BROKEN_SHOWN
	if :: slot == SHOWN -> take_from_slot(hand) :: else fi;
#else
	take_from_slot(hand);
#endif
	if :: hand -> to_slabs() :: else fi;
	assert(in_slabs);
	ready = false;
#ifndef BROKEN_UNHELD
	readers--;
#endif
	done++
}

init {
	atomic { run user(); run user(); run writer(); run maker() };
	done == 4;
	assert(!word && !held && in_slabs)
}
