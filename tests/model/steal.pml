/* SPDX-License-Identifier: MIT */
/*
 * tests/model/steal.pml - remote take against sequences in flight, every interleaving
 *
 * Idea      One slot with one sheaf of two objects. Two users run on the slot in turn: a step is
 *           a read and a commit, and a thread that starts one aborts the other's (`current`). The
 *           membarrier sets `current` to nobody. Takers do not run there; they mark the word,
 *           run the barrier, and look again (percpu/steal.h); where the barrier is refused they
 *           put the sheaf back.
 * Checks    an object is never in two of: a user's hands, the slabs. At the end each is in one
 *           place, the sheaf in the slot included.
 * Broken    -DBROKEN_EMPTY    the mark is EMPTY
 *           -DBROKEN_BARRIER  no barrier
 *           -DBROKEN_FINISH   taken without looking again
 *           -DBROKEN_TAKERS   two takers at once
 * Run       tests/model/run-spin
 */
#define EMPTY 0
#define REMOTE 1
#define BOTTOM 10 /* tops are BOTTOM + objects in the sheaf */
#define CAPACITY 2
#define STEPS 2

#ifdef BROKEN_EMPTY
#define MARK EMPTY
#else
#define MARK REMOTE
#endif

byte word = BOTTOM + CAPACITY;
byte entry[CAPACITY];
byte current = 0; /* whose step is in flight on the slot */
bool held[CAPACITY], in_slabs[CAPACITY];
bool sheaf_gone = false;
bool taking = false;
byte done = 0;

inline to_slabs(o)
{
	assert(!held[o] && !in_slabs[o]);
	in_slabs[o] = true
}

inline flush(top)
{
	assert(!sheaf_gone);
	sheaf_gone = true;
	if :: top > BOTTOM -> to_slabs(entry[0]) :: else fi;
	if :: top > BOTTOM + 1 -> to_slabs(entry[1]) :: else fi
}

/* The committing store, unless the step was aborted. */
inline commit(new, ok)
{
	atomic {
		if
		:: current == _pid -> word = new; ok = true; current = 0
		:: else -> ok = false
		fi
	}
}

inline begin(seen)
{
	atomic { current = _pid; seen = word }
}

proctype user()
{
	byte top, object, steps = 0;
	bool ok, have = false;

	do
	:: steps < STEPS && !have ->
		/* pop */
		steps++;
		begin(top);
		if
		:: top > BOTTOM ->
			object = entry[top - BOTTOM - 1];
			atomic {
				commit(top - 1, ok);
				if
				:: ok -> assert(!held[object] && !in_slabs[object]);
					held[object] = true; have = true
				:: else
				fi
			}
		:: else
		fi
	:: have ->
		/* push, or to the slabs */
		begin(top);
		if
		:: top >= BOTTOM && top < BOTTOM + CAPACITY ->
			atomic { if :: current == _pid -> entry[top - BOTTOM] = object :: else fi };
			atomic {
				commit(top + 1, ok);
				if :: ok -> held[object] = false; have = false :: else fi
			}
		:: else
		fi;
		if
		:: have -> atomic { held[object] = false; to_slabs(object); have = false }
		:: else
		fi
	:: steps < STEPS && !have ->
		/* detach, work, attach or flush */
		steps++;
		begin(top);
		if
		:: top >= BOTTOM ->
			commit(EMPTY, ok);
			if
			:: ok ->
				begin(object);
				ok = false;
				if :: object == EMPTY -> commit(top, ok) :: else fi;
				if :: !ok -> d_step { flush(top) } :: else fi
			:: else
			fi
		:: else
		fi
	:: steps >= STEPS && !have -> break
	od;
	done++
}

proctype taker()
{
	byte top;
	bool marked = false;

#ifndef BROKEN_TAKERS
	atomic { !taking -> taking = true };
#endif
again:
	top = word;
	if
	:: top >= BOTTOM ->
		atomic { marked = (word == top); if :: marked -> word = MARK :: else fi };
		if
		:: marked -> /* the barrier is refused: as if nothing had been */
			atomic { if :: word == MARK -> word = top :: else fi }
		:: marked ->
#ifndef BROKEN_BARRIER
			current = 0;
#endif
			atomic {
#ifdef BROKEN_FINISH
				marked = true;
#else
				marked = (word == MARK);
#endif
				if :: marked -> word = EMPTY; flush(top) :: else fi
			};
			if :: !marked -> goto again :: else fi
		:: else -> goto again
		fi
	:: else
	fi;
	taking = false;
	done++
}

init {
	byte i = 0;

	atomic {
		entry[0] = 0; entry[1] = 1;
		run user(); run user(); run taker(); run taker()
	};
	done == 4;
	assert(word == EMPTY || word >= BOTTOM);
	assert((word >= BOTTOM) == !sheaf_gone);
	do
	:: i < CAPACITY ->
		assert(!held[i]);
		assert(in_slabs[i] == !((word > BOTTOM && entry[0] == i) ||
					(word > BOTTOM + 1 && entry[1] == i)));
		i++
	:: else -> break
	od
}
