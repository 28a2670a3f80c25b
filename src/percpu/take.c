/* SPDX-License-Identifier: MIT */
/*
 * percpu/take.c - taking what other slots have
 *
 * Idea      By sequence: percpu/steal.h. In the fallback: under the line's lock, whose holder is
 *           inside for a few instructions only.
 * Patience  A holder that stays longer may be preempted, or its thread has left by a handler's
 *           siglongjmp(), which no other thread can see. All takers together wait in vain PATIENCE
 *           times. Each line gets half of the waits that are left, and at least one. If a taker has
 *           waited for a line in vain, no later taker waits for that line. After a second without a
 *           wait in vain all PATIENCE waits are there again. So a control call that meets many
 *           lines which leaving threads have locked is not much slower than with one. A line whose
 *           holder is gone costs no waiting (percpu/line.h).
 * Locks     taking: one taker at a time. With two, the mark that one finds after its barrier
 *           could be the other's, put there after the owner had moved the top: it would take a
 *           top out of date.
 * Context   under EFFORT_WAITING, and for WORD_RCU: ordinary threads. Else any: the call waits neither for
 *           the lock nor for a holder.
 * Fork      A taker that is gone (another thread of the parent, or a child of vfork() that was
 *           killed) leaves marks and pauses. The next taker finds the lock abandoned and clears
 *           them. The sheaf that a mark stood for is lost.
 * Failure   The system refuses the barrier: nothing is taken.
 * Tests     tests/model/steal.c  tests/model/take.c  tests/unit/percpu/
 */
#include "os/os.h"
#include "percpu/take.h"
#include "sync/atomic.h"
#include "sync/mutex.h"
#include "sync/ranks.h"
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

static void end_pauses(void)
{
	for (unsigned slot = 0; slot < stele_slots.count; slot++)
		show_again(slot_entry(slot), slot_paused(), slot_memory(slot));
}

/* Ends the work that a taker which is gone had begun. */
static void end_taking(void)
{
	each_line(0, clear_marks, 0);
	end_pauses();
}

bool stele_begin_taking(enum effort effort)
{
	if (effort == EFFORT_WAITING ? stele_lock(&taking) != 0 : !stele_trylock(&taking))
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

#define PATIENCE 50
#define PATIENCE_MS 1000 /* after which it is whole again */
#define SPINS 500	 /* the first wait for a line: its holder may be running */
#define YIELDS 4	 /* the next ones; later ones are naps */

static unsigned vain;	 /* under `taking`: how often takers have waited in vain of late */
static uint64_t vain_ms; /* the last time */

static unsigned waits_for_a_line(void)
{
	if (vain && stele_os_ms() - vain_ms >= PATIENCE_MS)
		vain = 0;
	return 1 + (PATIENCE - vain) / 2;
}

static void give_up(word_t *lock, uint64_t seen, unsigned waited)
{
	line_give_up(lock, seen);
	vain = STELE_MIN(vain + waited, (unsigned)PATIENCE);
	vain_ms = stele_os_ms();
}

static void wait_for_line(unsigned waited)
{
	STELE_POINT("line:waits");
	if (!waited)
		for (volatile unsigned i = 0; i < SPINS; i++)
			;
	else if (waited <= YIELDS)
		stele_os_yield();
	else
		stele_os_nap();
}

/* False: another thread is inside, and under EFFORT_WAITING it has stayed there for long. */
static bool lock_line(word_t *lock, enum effort effort)
{
	unsigned most = effort == EFFORT_WAITING ? waits_for_a_line() : 0;

	for (unsigned waited = 0; !line_trylock(lock, stele_thread_name());) {
		uint64_t seen = load_relaxed(lock);

		if (!seen || stele_line_holder_is_gone(lock, seen))
			continue;
		if (seen & LINE_GIVEN_UP)
			return false;
		if (waited == most) {
			if (effort == EFFORT_WAITING)
				give_up(lock, seen, waited);
			return false;
		}
		wait_for_line(waited++);
	}
	return true;
}

/* Fallback: under the line's lock. A line whose holder stays inside is left alone. */
void stele_take_locked(uint64_t line, const struct stele_words *which, enum effort effort,
		       uint64_t *found)
{
	if (!lock_line(word_at(line, WORD_LOCK), effort))
		return;
	for (int i = 0; i < which->n; i++) {
		word_t *word = word_at(line, which->at[i]);

		found[i] = load_relaxed(word);
		store_relaxed(word, nothing_in(which->at[i]));
	}
	line_unlock(word_at(line, WORD_LOCK));
}

static void take_slots(uint64_t words, const struct stele_words *which, unsigned first,
		       unsigned last, enum effort effort, uint64_t found[TAKE_SLOTS][2])
{
	for (unsigned slot = first; slot < last; slot++) {
		uint64_t base = slot_memory_begun(slot);

		if (base)
			stele_take_locked(base + words, which, effort, found[slot - first]);
	}
}

/* By sequence; and the slot of threads that are stepped, which is the last. */
static int take_both(uint64_t words, const struct stele_words *which, unsigned first, unsigned last,
		     enum effort effort, uint64_t found[TAKE_SLOTS][2])
{
	unsigned end = STELE_MIN(last, slot_of_stepped());

	take_slots(words, which, end, last, effort, found + (end - first));
	return take_marked(words, which, first, end, found);
}

/* Slots [first, last) of one line. -EAGAIN: there may be more. */
static int take_some(uint64_t words, const struct stele_words *which, unsigned first, unsigned last,
		     enum effort effort, uint64_t found[TAKE_SLOTS][2])
{
	int error = 0;

	if (!stele_begin_taking(effort))
		return -EBUSY;
	if (slots_by_sequence())
		error = take_both(words, which, first, last, effort, found);
	else
		take_slots(words, which, first, last, effort, found);
	stele_end_taking();
	return error;
}

/* The lock is not held while @each runs: a destructor called there may take sheaves itself. */
static int take_all(uint64_t words, const struct stele_words *which, enum effort effort,
		    void (*each)(uint64_t, void *), void *arg)
{
	unsigned end = stele_slots.count + 1;

	for (unsigned first = 0; first < end; first += TAKE_SLOTS) {
		unsigned last = STELE_MIN(first + TAKE_SLOTS, end);
		int error;

		do {
			uint64_t found[TAKE_SLOTS][2] = { { 0 } };

			error = take_some(words, which, first, last, effort, found);
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

int stele_pcpu_take_all(uint64_t words, enum effort effort, void (*each)(uint64_t, void *),
			void *arg)
{
	return take_all(words, &take_words, effort, each, arg);
}

int stele_pcpu_take_rcu(uint64_t words, void (*each)(uint64_t, void *), void *arg)
{
	return take_all(words, &take_rcu, EFFORT_WAITING, each, arg);
}

/* ---- takers and threads that are gone ---- */

void stele_pcpu_mend(void)
{
	if (stele_begin_taking(EFFORT_USUAL))
		stele_end_taking();
}

/* In a child of fork(), whose thread has another name than in its parent, @before. */
static void free_line(uint64_t line, uint64_t before)
{
	word_t *lock = word_at(line, WORD_LOCK);
	uint64_t seen = load_relaxed(lock);

	if (seen && (line_holder(seen) == before || line_holder(seen) == stele_thread_name()))
		store_relaxed(lock, stele_thread_name());
	else if (seen)
		store_relaxed(lock, 0);
}

static void free_line_of(uint64_t line, uint64_t thread)
{
	word_t *lock = word_at(line, WORD_LOCK);
	uint64_t seen = load_relaxed(lock);

	while (line_holder(seen) == thread && !line_free_gone(lock, seen))
		seen = load_relaxed(lock);
}

void stele_pcpu_thread_gone(uint32_t thread)
{
	/* By sequence one slot has locks. */
	each_line(slots_by_sequence() ? slot_of_stepped() : 0, free_line_of, thread);
}

void stele_pcpu_after_fork(void)
{
	uint32_t before = stele_thread_rename();

	each_line(0, free_line, before);
	/* Otherwise the taker is the thread that forked: it goes on with its work. */
	if (stele_mutex_after_fork(&taking))
		end_taking();
}
