/* SPDX-License-Identifier: MIT */
/*
 * tests/model/handover.pml - rcu sheaves from slot to queue to slabs, beside barriers and readers
 *
 * Idea      One slot with an rcu sheaf of one object. Two users push an object each; the one that
 *           finds the sheaf full detaches it, queues it (cache/rcu.c), and pushes into an empty one. The
 *           runner sleeps, takes the queue, waits for the reader, and frees (rcu/runner.c). A
 *           barrier, as before the end of a cache, empties the slot, waits for what is in hand,
 *           and for the round that its ticket names (sync/grace.h). A reader may hold object 0.
 *           Another thread says that it calls the runner, and leaves before it has woken it.
 * Checks    the barrier finds every object free that was pushed before it; no object is freed
 *           while the reader holds it; nothing is freed twice; nothing waits for ever.
 * Broken    -DBROKEN_COUNT   a thread that detaches a sheaf is not counted
 *           -DBROKEN_LATE    it is counted after it has detached the sheaf
 *           -DBROKEN_WAIT    the barrier does not wait for the count
 *           -DBROKEN_GRACE   the runner does not wait for the reader
 *           -DBROKEN_TICKET  the barrier waits for the round under way
 *           -DBROKEN_BEGUN   a round is counted after its queue is taken
 *           -DBROKEN_SLEEP   the runner looks at the queue, then says that it sleeps
 *           -DBROKEN_TOLD    a thread that calls the runner says that it is awake, and then wakes it
 *           -DBROKEN_FLUSH   what is taken from the slot is freed, not queued
 * Run       tests/model/run-spin
 */
#define USERS 2
#define ALL 3 /* objects, as bits */

byte slot = 0;		 /* objects in the slot's sheaf; it is full with one */
byte queue = 0, freed = 0; /* objects */
byte pushed = 0;	 /* objects whose push has returned */
byte in_hand = 0;
byte begun = 0, ended = 0;
#define AWAKE 0
#define ASLEEP 1
#define CALLED 2
byte asleep = AWAKE;
bool sleeps = false; /* in the kernel */
bool urgent = false;
bool unlinked = false;	   /* readers that begin now do not find object 0 */
bool reading = false, holds = false;
bool finished = false, runner_gone = false;

inline free(objects)
{
	atomic {
		assert((freed & (objects)) == 0);
		assert(!(holds && ((objects) & 1)));
		freed = freed | (objects)
	}
}

#ifdef BROKEN_TOLD
#define SAID AWAKE
#else
#define SAID CALLED
#endif

/* The look that may have to wake the runner, in two steps. */
inline wake()
{
	if
	:: atomic { asleep != AWAKE -> asleep = SAID }; sleeps = false
	:: atomic { asleep == AWAKE -> skip }
	fi
}

inline put(objects)
{
	atomic { queue = queue | (objects) }
	wake()
}

/* Leaves between the two. */
proctype leaver()
{
	if
	:: atomic { asleep != AWAKE -> asleep = SAID }
	:: atomic { asleep == AWAKE -> skip }
	fi
}

proctype user(byte object)
{
	byte old;
	bool done = false;

	if :: object == 1 -> unlinked = true :: else fi;
	do
	:: done -> break
	:: else ->
		atomic {
			if
			:: slot == 0 -> slot = object; done = true; pushed = pushed | object
			:: else
			fi
		}
		if
		:: !done ->
#ifndef BROKEN_LATE
#ifndef BROKEN_COUNT
			in_hand++;
#endif
#endif
			atomic { old = slot; slot = 0 }
#ifdef BROKEN_LATE
			in_hand++;
#endif
			if :: old != 0 -> put(old) :: else fi;
#ifndef BROKEN_COUNT
			in_hand--
#else
			skip
#endif
		:: else
		fi
	od
}

proctype barrier()
{
	byte want, taken, ticket;

	(pushed != 0);
	want = pushed;
	atomic { taken = slot; slot = 0 }
#ifdef BROKEN_FLUSH
	if :: taken != 0 -> free(taken) :: else fi;
#else
	if :: taken != 0 -> put(taken) :: else fi;
#endif
#ifndef BROKEN_WAIT
	(in_hand == 0);
#endif
#ifdef BROKEN_TICKET
	ticket = begun;
#else
	ticket = begun + 1;
#endif
	urgent = true;
	wake();
	(ended >= ticket);
	assert((freed & want) == want);
	/* What came later, so that the search ends. */
	(pushed == ALL);
	atomic { taken = slot; slot = 0 }
	if :: taken != 0 -> put(taken) :: else fi;
	finished = true;
	urgent = true;
	wake()
}

/* The kernel's part: only if nobody has called meanwhile. */
inline fall_asleep()
{
	atomic { if :: asleep == ASLEEP -> sleeps = true :: else fi }
	(!sleeps)
}

proctype runner()
{
	byte hand, number;
	bool waiting;

	do
	:: freed == ALL && finished -> runner_gone = true; break
	:: else ->
#ifdef BROKEN_SLEEP
		if
		:: queue == 0 && !urgent -> asleep = ASLEEP; fall_asleep()
		:: else
		fi;
#else
		asleep = ASLEEP;
		if
		:: queue == 0 && !urgent -> fall_asleep()
		:: else
		fi;
#endif
		asleep = AWAKE;
		urgent = false;
#ifdef BROKEN_BEGUN
		atomic { hand = queue; queue = 0 }
		begun++;
		number = begun;
#else
		begun++;
		number = begun;
		atomic { hand = queue; queue = 0 }
#endif
#ifndef BROKEN_GRACE
		waiting = reading;
		if :: waiting -> (!reading) :: else fi;
#endif
		if :: hand != 0 -> free(hand) :: else fi;
		hand = 0;
		ended = number
	od
}

proctype reader()
{
	atomic { reading = true; holds = !unlinked }
	/* free() looks whether it holds. */
	atomic { holds = false; reading = false }
}

/* Nothing more can happen: everything must have. */
proctype watch()
{
	timeout -> assert(freed == ALL && runner_gone)
}

init
{
	atomic { run user(1); run user(2); run barrier(); run runner(); run reader(); run leaver();
		 run watch() }
}
