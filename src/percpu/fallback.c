/* SPDX-License-Identifier: MIT */
/*
 * percpu/fallback.c - the steps under a lock: the fallback, and threads that are stepped
 *
 * Idea      A line of words is locked by the thread's name; a thread that finds it locked gives
 *           up and takes the slow way. A thread that empties a closed slot takes each line's lock
 *           after the slot was closed: a thread that comes later sees that it is.
 * Order     SLOT: percpu/line.h
 * Context   any. A handler that interrupts a holder finds the lock taken, and gives up too.
 * Tests     tests/unit/percpu/test_steps.c  tests/model/line.c
 */
#include "percpu/slots.h"
#include "sync/inject.h"

/* The entry of this thread's slot; NULL: it has no words. */
static __attribute__((noinline, cold)) word_t *entry_come_up(void)
{
	return stele_slot_come_up(stele_slot_locked()) ? slot_entry(stele_slot_locked()) : NULL;
}

/* Locks this thread's line: its address, or 0. */
static inline __attribute__((always_inline)) uint64_t lock_line(uint64_t words)
{
	word_t *entry = slot_entry(stele_slot_locked());
	/* ORDER(SLOT_READY) acquire: its words. */
	uint64_t base = load_acquire(entry), line;

	if (stele_unlikely(!slot_has_sheaves(base))) {
		entry = entry_come_up();
		/* ORDER(SLOT_READY) acquire: its words. */
		base = entry ? load_acquire(entry) : 0;
		if (!base || !slot_has_sheaves(base))
			return 0;
	}
	line = base + words;
	STELE_POINT("fallback:line");
	if (stele_unlikely(!line_trylock(word_at(line, WORD_LOCK), stele_thread_name())))
		return 0;
	if (stele_likely(line_is_shown(entry, base)))
		return line;
	line_unlock(word_at(line, WORD_LOCK));
	return 0;
}

static void *pop_locked(uint64_t line)
{
	uint64_t top = load_relaxed(word_at(line, WORD_MAIN));
	void *p = *(void **)(uintptr_t)(top - 8);

	STELE_POINT("fallback:pop");
	if (p)
		store_relaxed(word_at(line, WORD_MAIN), top - 8);
	return p;
}

static bool push_locked(word_t *word, void *p)
{
	uint64_t top = load_relaxed(word);
	uint64_t *entry = (uint64_t *)(uintptr_t)top;

	if (*entry == STELE_SHEAF_END || entry[-1] == (uint64_t)(uintptr_t)p)
		return false;
	*entry = (uint64_t)(uintptr_t)p;
	STELE_POINT("fallback:push");
	fence_compiler(); /* a handler that interrupts us must find the entry below the top */
	store_relaxed(word, top + 8);
	return true;
}

/* A snapshot, without the lock. */
uint64_t stele_fallback_read(uint64_t words, enum stele_word which)
{
	word_t *entry = slot_entry(stele_slot_locked());

	/* ORDER(SLOT_READY) acquire: its words. */
	if (stele_unlikely(!slot_has_sheaves(load_acquire(entry))))
		entry = entry_come_up();
	return entry ? load_relaxed(word_at(load_acquire(entry), words + which)) : SHEAF_UNINIT;
}

void *stele_fallback_pop(uint64_t words)
{
	uint64_t line = lock_line(words);
	void *p;

	if (!line)
		return NULL;
	p = pop_locked(line);
	line_unlock(word_at(line, WORD_LOCK));
	return p;
}

bool stele_fallback_push(uint64_t words, enum stele_word which, void *p)
{
	uint64_t line = lock_line(words);
	bool done;

	if (!line)
		return false;
	done = push_locked(word_at(line, which), p);
	line_unlock(word_at(line, WORD_LOCK));
	return done;
}

bool stele_fallback_cas(uint64_t words, enum stele_word which, uint64_t old, uint64_t new)
{
	uint64_t line = lock_line(words);
	bool same;

	if (!line)
		return false;
	same = load_relaxed(word_at(line, which)) == old;
	STELE_POINT("fallback:cas");
	if (same)
		store_relaxed(word_at(line, which), new);
	line_unlock(word_at(line, WORD_LOCK));
	return same;
}

bool stele_fallback_on_top(uint64_t words, enum stele_word which, const void *p)
{
	uint64_t line = lock_line(words);
	bool same;

	if (!line)
		return false;
	same = ((uint64_t *)(uintptr_t)load_relaxed(word_at(line, which)))[-1] ==
	       (uint64_t)(uintptr_t)p;
	line_unlock(word_at(line, WORD_LOCK));
	return same;
}
