/* SPDX-License-Identifier: MIT */
/*
 * tests/model/mempool.pml - no wake-up is lost, every interleaving
 *
 * Idea      A pool of MIN elements, which is all there is: its own allocation always fails. Three
 *           threads take, tell of what they took by a plain store, and one of the others, or they
 *           themselves, free it. Threads that find the reserve empty become newcomers of the queue,
 *           whose lock everybody only tries (mempool/wait.h). In place of the third one moves the limit up and
 *           back (-DUP), or down for good (-DDOWN).
 *           Stores of the counts may pass later ones of the same thread, as the language allows,
 *           where no fence holds them: `held` is the view that others have of them.
 * Steps     of mempool/reserve.h: owed, fetched (which frees no place: it was freed when owed),
 *           spoken for, stored, counted.
 * Checks    at the end nobody waits (a search for invalid end states), every element is in the
 *           reserve, and as many are counted as there are; no element is in two places.
 * Broken    -DBROKEN_BARRIER  no fence after taking: who frees sees the reserve as it was, full
 *           -DBROKEN_ENQUEUE  the reserve is looked at before the waiter is a newcomer
 *           -DBROKEN_TEST     the freer looks for waiters before the element is counted
 *           -DBROKEN_KICK     a freer who finds the lock held leaves no word
 * Run       tests/model/run-spin, with MIN 0, 1 and 2
 */
#ifndef MIN
#define MIN 1
#endif
#if MIN == 0 /* a pool of none has one, like one of one */
#define LIMIT 1
#else
#define LIMIT MIN
#endif
#if defined(UP) || defined(DOWN)
#define THREADS 2
#define ALL 3 /* with the resizer */
#else
#define THREADS 3
#define ALL 3
#endif
#define ROUNDS 1

byte elements = LIMIT; /* counted */
byte places = LIMIT;	/* spoken for */
byte seen = LIMIT;	/* places, as a thread sees them that was told without a barrier */
byte limit = LIMIT;
byte stored = LIMIT;	/* in places */
byte lost;	/* to the pool's own free, which cannot be had again */

byte waiting;
bool queued[THREADS], served[THREADS];
bool locked, kicked;
byte told;	/* elements that wait for somebody who frees them */
byte done;

inline look_and_take(ok)
{
	atomic {
		if
		:: elements > 0 -> elements--; places--; ok = true;
#ifdef BROKEN_BARRIER
			skip	/* `seen` follows later, or never before the element is told of */
#else
			seen = places
#endif
		:: else -> ok = false
		fi
	}
}

inline fetch()
{
	atomic { assert(stored > 0); stored-- }
}

/* Under the lock: in order of number, which stands for the order of arrival. */
inline serve()
{
	n = 0;
	do
	:: n < THREADS ->
		if
		:: queued[n] ->
			look_and_take(got);
			if
			:: got -> fetch();
				atomic { queued[n] = false; waiting--; served[n] = true }
			:: else
			fi
		:: else
		fi;
		n++
	:: else -> break
	od
}

inline kick()
{
	do
	:: waiting == 0 -> break
	:: else ->
#ifndef BROKEN_KICK
		kicked = true;
#endif
		atomic {
			if
			:: locked -> got = false
			:: else -> locked = true; got = true
			fi
		};
		if
		:: !got -> break
		:: else
		fi;
		kicked = false;
		serve();
		locked = false;
		if
		:: kicked
		:: else -> break
		fi
	od
}

inline wait_in_queue(me)
{
#ifdef BROKEN_ENQUEUE
	some = elements > 0;
	waiting++;
	queued[me] = true;
#else
	waiting++;
	queued[me] = true;
	some = elements > 0;
#endif
	if
	:: some -> kick()
	:: else
	fi;
	served[me];	/* sleeps until then */
	served[me] = false
}

inline allocate(me)
{
	look_and_take(got);
	if
	:: got -> fetch()
	:: else -> wait_in_queue(me)
	fi
}

/* What a falling limit leaves above it. */
inline drop_surplus()
{
	do
	:: atomic { places > limit && elements > 0 -> elements--; places--; seen = places };
		fetch();
		lost++
	:: else -> break
	od
}

inline put_back()
{
	/* The counts as this thread sees them. */
	atomic {
		if
#ifdef BROKEN_BARRIER
		:: seen >= limit -> lost++; got = false
#endif
		:: places < limit -> places++; got = true
		:: places >= limit -> lost++; got = false
		fi
	};
	if
	:: got ->
		atomic { stored++; assert(stored <= limit + THREADS) };
#ifdef BROKEN_TEST
		some = waiting > 0;
		elements++;
#else
		elements++;
		drop_surplus();
		some = waiting > 0;
#endif
		if
		:: some -> kick()
		:: else
		fi
	:: else
	fi
}

inline finish()
{
	atomic {
		done++;
		if
		:: done == ALL ->
			assert(waiting == 0 && told == 0);
			assert(elements == stored && places == stored);
#ifdef DOWN
			assert(lost == 1 && stored == LIMIT - 1)
#else
			assert(lost == 0 && stored == LIMIT)
#endif
		:: else
		fi
	}
}

active [THREADS] proctype thread()
{
	bool got, some;
	byte n, round;

	do
	:: round < ROUNDS ->
		allocate(_pid);
		told++;
		/* Whoever gets to it first frees it: this thread, or one that is ahead. */
		atomic { told > 0 -> told-- };
		put_back();
		round++
	:: else -> break
	od;
	finish()
}

#if ALL > THREADS
/* What was there before a rise is all there is: the own allocation fails. */
active proctype resizer()
{
	bool got;
	byte n;

#ifdef DOWN
	limit = limit - 1;
	drop_surplus();
	kick();
#else
	limit = limit + 1;
	kick();
	limit = limit - 1;
	drop_surplus();
	kick();
#endif
	finish()
}
#endif
