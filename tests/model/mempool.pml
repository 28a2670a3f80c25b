/* SPDX-License-Identifier: MIT */
/*
 * tests/model/mempool.pml - no wake-up is lost, every interleaving
 *
 * Idea      A pool of MIN elements, which is all there is: its own allocation always fails. Three
 *           threads take, tell of what they took by a plain store, and one of the others, or they
 *           themselves, free it. A thread that finds the reserve empty enters its wish, and takes
 *           when it is told (mempool/wait.h). In place of the third one moves the limit up and
 *           back (-DUP), or down for good (-DDOWN), or brings an element, and stops for ever after any
 *           step of that (-DSTALL).
 *           Stores of the counts may pass later ones of the same thread, as the language allows,
 *           where no fence holds them: `seen` is the view that others have of them.
 * Steps     of mempool/reserve.h: owed, fetched (which frees no place: it was freed when owed),
 *           spoken for, stored, counted. Of mempool/queue.h: each wish is read by itself.
 * Checks    at the end nobody waits (a search for invalid end states), every element is in the
 *           reserve, and as many are counted as there are; no element is in two places.
 * Broken    -DBROKEN_BARRIER  no fence after taking: a freeing thread sees the reserve as it was, full
 *           -DBROKEN_ENQUEUE  the reserve is looked at before the wish is entered
 *           -DBROKEN_TEST     the freer looks for wishes before the element is counted
 *           -DBROKEN_TOLD     a waiter says that it is to be told after it has looked
 *           -DBROKEN_LOOK     no waiter looks by itself when nothing else happens (with STALL)
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
#elif defined(STALL)
#define THREADS 2
#define ALL 2
#else
#define THREADS 3
#define ALL 3
#endif
#define ROUNDS 1
#define NOBODY THREADS

#ifdef STALL
#define FIRST (LIMIT - 1) /* the thread that stops has one */
#else
#define FIRST LIMIT
#endif

byte elements = FIRST; /* counted */
byte places = FIRST;	/* spoken for */
byte seen = FIRST;	/* places, as a thread sees them that was told without a barrier */
byte limit = LIMIT;
byte stored = FIRST;	/* in places */
byte lost;	/* to the pool's own free, which cannot be had again */

bool waits[THREADS], wakened[THREADS];
byte told;	/* elements that wait for a thread that frees them */
byte done;
bool counted;	/* an element was, by some thread */

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

/* In order of number, which stands for the order of arrival. @me: the waiter that looks. */
inline tell(me, mine)
{
	mine = false;
	atomic { left = elements; n = 0 };
	do
	:: n < THREADS && left > 0 ->
		atomic {
			if
			:: waits[n] -> left--;
				if
				:: n == me -> mine = true
				:: else -> wakened[n] = true
				fi
			:: else
			fi;
			n++
		}
	:: else -> break
	od
}

inline wait_in_queue(me)
{
#ifdef BROKEN_ENQUEUE
	wakened[me] = elements > 0;
	waits[me] = true;
#else
	waits[me] = true;
	wakened[me] = true;	/* looks at once */
#endif
	do
	:: wakened[me] ->	/* sleeps until then */
#ifdef BROKEN_TOLD
		tell(me, got);
		wakened[me] = false;
#else
		wakened[me] = false;
		tell(me, got);
#endif
		if
		:: got -> look_and_take(got);
			if
			:: got -> break
			:: else -> wakened[me] = true	/* looks again */
			fi
		:: else
		fi
#if defined(STALL) && !defined(BROKEN_LOOK)
	:: timeout -> wakened[me] = true
#endif
	od;
	fetch();
	waits[me] = false;
	wakened[me] = false;
	tell(NOBODY, got)
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
		tell(NOBODY, got);
		elements++
#else
		atomic { elements++; counted = true };
		drop_surplus();
		tell(NOBODY, got)
#endif
	:: else
	fi
}

inline finish()
{
	atomic {
		done++;
		if
		:: done == ALL ->
			assert(told == 0);
#ifndef STALL
			assert(elements == stored && places == stored);
#ifdef DOWN
			assert(lost == 1 && stored == LIMIT - 1)
#else
			assert(lost == 0 && stored == LIMIT)
#endif
#endif
		:: else
		fi
	}
}

active [THREADS] proctype thread()
{
	bool got;
	byte n, left, round;

	do
	:: round < ROUNDS ->
		allocate(_pid);
		told++;
		/* The first thread that gets to it frees it: this one, or one that is ahead. */
		atomic { told > 0 -> told-- };
		put_back();
		round++
	:: else -> break
	od;
	finish()
}

#ifdef STALL
bool stops;

/* The others need its element where it is the only one. */
#define MAY_STOP (stops && (MIN > 1 || counted))

active proctype hand()
{
	if
	:: stops = true
	:: skip
	fi
}

active proctype victim()
{
	bool got;
	byte n, left;

	{ put_back() } unless { MAY_STOP };
end:	false
}
#endif

#if ALL > THREADS
/* There is no more than before a rise: the own allocation fails. */
active proctype resizer()
{
	bool got;
	byte n, left;

#ifdef DOWN
	limit = limit - 1;
	drop_surplus();
	tell(NOBODY, got);
#else
	limit = limit + 1;
	tell(NOBODY, got);
	limit = limit - 1;
	drop_surplus();
	tell(NOBODY, got);
#endif
	finish()
}
#endif
