/* SPDX-License-Identifier: MIT */
/*
 * percpu/fallback.c - the steps under a lock: the fallback, and threads that are stepped
 *
 * Idea      A line of words is locked by the thread's name; a thread that finds it locked gives
 *           up and takes the slow way. A thread that empties a closed slot takes each line's lock
 *           after the slot was closed: a thread that comes later sees that it is.
 * Short     The first try of a step calls nothing, so it saves no registers: a thread that is new, a
 *           slot that is not shown and a line that is locked all look like "not now". Then the step
 *           prepares what can be prepared, and is tried once more.
 * Order     SLOT: percpu/line.h
 * Context   any. A handler that interrupts a holder finds the lock taken, and gives up too.
 * Tests     tests/unit/percpu/test_steps.c  tests/model/line.c
 */
#include "percpu/slots.h"
#include "sync/atomic.h"

/* This thread's entry; NULL: it has no slot or no name yet. */
static inline __attribute__((always_inline)) word_t *own_entry(void)
{
	unsigned slot = stele_tls.slot;

	if (stele_unlikely(!stele_tls.name))
		return NULL;
	if (slots_by_sequence())
		return slot_entry(slot_of_stepped());
	return stele_likely(slot) ? slot_entry(slot - 1) : NULL;
}

/* Locks this thread's line: its address, or 0. */
static inline __attribute__((always_inline)) uint64_t lock_own_line(uint64_t words)
{
	word_t *entry = own_entry();
	uint64_t base, line;

	if (stele_unlikely(!entry))
		return 0;
	/* ORDER(SLOT_READY) acquire: its words. */
	base = load_acquire(entry);
	line = base + words;
	STELE_POINT("fallback:line");
	if (stele_unlikely(!slot_has_sheaves(base)) ||
	    stele_unlikely(!line_trylock(word_at(line, WORD_LOCK), stele_tls.name)))
		return 0;
	if (stele_likely(line_is_shown(entry, base)))
		return line;
	line_unlock(word_at(line, WORD_LOCK));
	return 0;
}

/* True: something was missing, and is there now. */
static bool slot_prepare(void)
{
	word_t *entry = own_entry();
	unsigned slot;

	/* ORDER(SLOT_READY) acquire: its words. */
	if (entry && slot_has_sheaves(load_acquire(entry)))
		return false;
	stele_thread_name();
	slot = stele_slot_locked();
	/* ORDER(SLOT_READY) acquire: its words. */
	return slot_has_sheaves(load_acquire(slot_entry(slot))) || stele_slot_come_up(slot);
}

/* A snapshot, without the lock. */
uint64_t stele_fallback_read(uint64_t words, enum stele_word which)
{
	word_t *entry = own_entry();

	/* ORDER(SLOT_READY) acquire: its words. */
	if (stele_unlikely(!entry || !slot_has_sheaves(load_acquire(entry)))) {
		slot_prepare();
		entry = own_entry();
	}
	return load_relaxed(word_at(load_acquire(entry), words + which));
}

static inline void *pop_locked(uint64_t line)
{
	uint64_t top = load_relaxed(word_at(line, WORD_MAIN));
	void *p = *(void **)(uintptr_t)(top - 8);

	STELE_POINT("fallback:pop");
	if (p)
		store_relaxed(word_at(line, WORD_MAIN), top - 8);
	line_unlock(word_at(line, WORD_LOCK));
	return p;
}

static inline bool push_locked(uint64_t line, enum stele_word which, void *p)
{
	word_t *word = word_at(line, which);
	uint64_t top = load_relaxed(word);
	uint64_t *entry = (uint64_t *)(uintptr_t)top;
	bool done = *entry != STELE_SHEAF_END && entry[-1] != (uint64_t)(uintptr_t)p;

	if (done) {
		*entry = (uint64_t)(uintptr_t)p;
		STELE_POINT("fallback:push");
		fence_compiler(); /* a handler that interrupts us must find the entry below the top */
		store_relaxed(word, top + 8);
	}
	line_unlock(word_at(line, WORD_LOCK));
	return done;
}

static __attribute__((noinline, cold)) void *pop_prepared(uint64_t words)
{
	uint64_t line = slot_prepare() ? lock_own_line(words) : 0;

	return line ? pop_locked(line) : NULL;
}

void *stele_fallback_pop(uint64_t words)
{
	uint64_t line = lock_own_line(words);

	return stele_likely(line) ? pop_locked(line) : pop_prepared(words);
}

static __attribute__((noinline, cold)) bool push_prepared(uint64_t words, enum stele_word which,
							  void *p)
{
	uint64_t line = slot_prepare() ? lock_own_line(words) : 0;

	return line && push_locked(line, which, p);
}

bool stele_fallback_push(uint64_t words, enum stele_word which, void *p)
{
	uint64_t line = lock_own_line(words);

	return stele_likely(line) ? push_locked(line, which, p) : push_prepared(words, which, p);
}

/* The same for steps that a slow way makes. */
static uint64_t lock_prepared(uint64_t words)
{
	uint64_t line = lock_own_line(words);

	return !line && slot_prepare() ? lock_own_line(words) : line;
}

bool stele_fallback_cas(uint64_t words, enum stele_word which, uint64_t old, uint64_t new)
{
	uint64_t line = lock_prepared(words);
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
	uint64_t line = lock_prepared(words);
	bool same;

	if (!line)
		return false;
	same = ((uint64_t *)(uintptr_t)load_relaxed(word_at(line, which)))[-1] ==
	       (uint64_t)(uintptr_t)p;
	line_unlock(word_at(line, WORD_LOCK));
	return same;
}
