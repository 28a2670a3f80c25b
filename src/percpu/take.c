/* SPDX-License-Identifier: MIT */
/*
 * percpu/take.c - taking what other slots have
 *
 * Idea      By sequence: percpu/steal.h. In the fallback: under the line's lock, whose holder is
 *           inside for a few instructions only.
 * Locks     taking: one taker at a time. With two, the mark that one finds after its barrier
 *           could be the other's, put there after the owner had moved the top: it would take a
 *           top out of date.
 * Fork      A taker that is gone (another thread of the parent, or a child of vfork() that was
 *           killed) leaves marks and pauses. The next taker finds the lock abandoned and clears
 *           them. The sheaf that a mark stood for is lost.
 * Failure   The system refuses the barrier: nothing is taken.
 * Tests     tests/model/steal.c  tests/model/take.c  tests/unit/percpu/
 */
#include "os/os.h"
#include "percpu/take.h"
#include "sync/inject.h"
#include "sync/mutex.h"
#include <errno.h>

static struct stele_mutex taking = STELE_MUTEX(TAKING);

/* ---- the one taker ---- */

/* Every line of every slot from @first on that was begun. */
static inline __attribute__((always_inline)) void
each_line(unsigned first, void (*each)(uint64_t line, uint64_t arg), uint64_t arg)
{
	for (unsigned slot = first; slot <= stele_slots.count; slot++) {
		uint64_t base = slot_memory_begun(slot);
		uint32_t end = load_relaxed(&stele_slots.high);

		for (uint32_t at = 0; base && at < end; at += STELE_WORDS_SIZE)
			each(base + at, arg);
	}
}

static void clear_marks(uint64_t line, uint64_t unused)
{
	(void)unused;
	take_clear_marks(line);
}

/* Ends the work that a taker which is gone had begun. */
static void end_taking(void)
{
	each_line(0, clear_marks, 0);
	stele_slots_end_pauses();
}

bool stele_begin_taking(bool wait)
{
	if (wait ? stele_lock(&taking) != 0 : !stele_trylock(&taking))
		return false;
	if (taking.abandoned)
		end_taking();
	return true;
}

void stele_end_taking(void)
{
	stele_unlock(&taking);
}

/* ---- taking ---- */

/*
 * Fallback: under the line's lock, whose holder is inside for a few instructions only. A holder that
 * stays longer may never come back (a handler left by siglongjmp()): the line is then left alone.
 */
#define WAIT_YIELDS 500

void stele_take_locked(uint64_t line, const struct stele_words *which, bool wait, uint64_t *found)
{
	for (int i = 0; !line_trylock(word_at(line, WORD_LOCK), stele_os_token()); i++) {
		if (!wait || i == WAIT_YIELDS)
			return;
		stele_os_yield();
	}
	for (int i = 0; i < which->n; i++) {
		word_t *word = word_at(line, which->at[i]);

		found[i] = load_relaxed(word);
		store_relaxed(word, nothing_in(which->at[i]));
	}
	line_unlock(word_at(line, WORD_LOCK));
}

static void take_slots(uint64_t words, const struct stele_words *which, unsigned first,
		       unsigned last, bool wait, uint64_t found[TAKE_SLOTS][2])
{
	for (unsigned slot = first; slot < last; slot++) {
		uint64_t base = slot_memory_begun(slot);

		if (base)
			stele_take_locked(base + words, which, wait, found[slot - first]);
	}
}

/* By sequence; and the slot of threads that are stepped, which is the last. */
static int take_both(uint64_t words, const struct stele_words *which, unsigned first, unsigned last,
		     bool wait, uint64_t found[TAKE_SLOTS][2])
{
	unsigned end = STELE_MIN(last, slot_of_stepped());

	take_slots(words, which, end, last, wait, found + (end - first));
	return take_marked(words, which, first, end, found);
}

/* Slots [first, last) of one line. -EAGAIN: there may be more. */
static int take_some(uint64_t words, const struct stele_words *which, unsigned first, unsigned last,
		     bool wait, uint64_t found[TAKE_SLOTS][2])
{
	int error = 0;

	if (!stele_begin_taking(wait))
		return -EBUSY;
	if (slots_by_sequence())
		error = take_both(words, which, first, last, wait, found);
	else
		take_slots(words, which, first, last, wait, found);
	stele_end_taking();
	return error;
}

/* The lock is not held while @each runs: a destructor called there may take sheaves itself. */
static int take_all(uint64_t words, const struct stele_words *which, bool wait,
		    void (*each)(uint64_t, void *), void *arg)
{
	unsigned end = stele_slots.count + 1;

	for (unsigned first = 0; first < end; first += TAKE_SLOTS) {
		unsigned last = STELE_MIN(first + TAKE_SLOTS, end);
		int error;

		do {
			uint64_t found[TAKE_SLOTS][2] = { { 0 } };

			error = take_some(words, which, first, last, wait, found);
			for (unsigned i = 0; i < (last - first) * 2; i++)
				if (stele_is_sheaf(found[i / 2][i % 2]))
					each(found[i / 2][i % 2], arg);
		} while (error == -EAGAIN);
		if (error)
			return error;
	}
	return 0;
}

unsigned stele_pcpu_sheaves(uint64_t words)
{
	unsigned n = 0;

	for (unsigned slot = 0; slot <= stele_slots.count; slot++) {
		uint64_t base = slot_memory_begun(slot);

		for (enum stele_word which = WORD_MAIN; which < WORD_LOCK && base;
		     which += WORD_SPARE)
			n += stele_is_sheaf(load_relaxed(word_at(base + words, which)));
	}
	return n;
}

int stele_pcpu_take_all(uint64_t words, bool wait, void (*each)(uint64_t, void *), void *arg)
{
	return take_all(words, &take_words, wait, each, arg);
}

int stele_pcpu_take_rcu(uint64_t words, void (*each)(uint64_t, void *), void *arg)
{
	return take_all(words, &take_rcu, true, each, arg);
}

/* ---- takers and threads that are gone ---- */

void stele_pcpu_mend(void)
{
	if (stele_begin_taking(false))
		stele_end_taking();
}

static void free_line(uint64_t line, uint64_t mine)
{
	if (load_relaxed(word_at(line, WORD_LOCK)) != mine)
		store_relaxed(word_at(line, WORD_LOCK), 0);
}

static void free_line_of(uint64_t line, uint64_t token)
{
	/* ORDER(SLOT) release: as the thread that is gone would have unlocked it. */
	cas_release(word_at(line, WORD_LOCK), &token, 0);
}

void stele_pcpu_thread_gone(uint64_t token)
{
	/* By sequence one slot has locks. */
	each_line(slots_by_sequence() ? slot_of_stepped() : 0, free_line_of, token);
}

void stele_pcpu_after_fork(void)
{
	each_line(0, free_line, stele_os_token());
	/* Otherwise the taker is the thread that forked: it goes on with its work. */
	if (stele_mutex_after_fork(&taking))
		end_taking();
}
