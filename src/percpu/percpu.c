/* SPDX-License-Identifier: MIT */
/*
 * percpu/percpu.c - slots, their memory, and the slow forms of the steps
 *
 * Idea      A slot's memory is set up when the slot is first used, by whoever runs there.
 *           Its words go from 0 to EMPTY by compare-and-swap, so that two threads may do
 *           it at once, and a cache created meanwhile is covered from both sides: the
 *           creator raises `high`, then fills the slots that were begun; a slot is begun,
 *           looks at `high`, is filled, and only then shown. So a slot that is shown has
 *           every word that anybody can know of.
 * Closing   A slot whose CPU was taken away shows a second block without sheaves. To close: take
 *           its memory out of slots[] and abort what is in flight; then no step can reach it, and
 *           all words of all caches are emptied without a mark. A slot is shown only over the
 *           first block (compare-and-swap), so that who was about to set it up cannot open it.
 *           Whoever looks at slots from outside looks at all that were begun, shown or not.
 * States    slots[n]: never used -> shown <-> closed -> to be shown at its next use
 * Order     SLOT_READY: slots[] is published with release after its words are filled.
 *           SLOT_HIGH: sequentially consistent on both sides (store one, load the other).
 * Failure   memory for a slot cannot be committed: the slot stays on the shared block and
 *           its threads work without sheaves.
 */
#include "percpu/percpu.h"
#include "base/options.h"
#include "os/os.h"
#include "percpu/nodes.h"
#include "percpu/steal.h"
#include "percpu/system.h"
#include "sync/inject.h"
#include "sync/mutex.h"
#include <errno.h>
#include <string.h>

struct stele_hot stele_hot __attribute__((aligned(64)));

#define FIRST_WORDS STELE_WORDS_SIZE /* line 0 belongs to caches without sheaves: always EMPTY */
#define LINES (STELE_SLOT_SIZE / STELE_WORDS_SIZE)

static char *slots_base;
static unsigned slots_count;
static _Atomic uint32_t high = FIRST_WORDS;    /* who begins a slot fills the words below */
static _Atomic uint8_t begun[STELE_SLOTS_MAX]; /* who adds words fills them in these slots */
static _Atomic uint64_t lines_taken[LINES / 64];

typedef _Atomic uint64_t word_t;

static inline word_t *slots(void)
{
	return (word_t *)(stele_hot.base + STELE_SLOTS_OFFSET);
}

static inline uint64_t dummy(void)
{
	return (uint64_t)(uintptr_t)(stele_hot.base + STELE_DUMMY_OFFSET);
}

/* All its lines are lines of the dummy: each is the one after its own there. */
static inline uint64_t closed(void)
{
	return dummy() + STELE_WORDS_SIZE;
}

static inline word_t *word_at(uint64_t slot_base, uint64_t offset)
{
	return (word_t *)(uintptr_t)(slot_base + offset);
}

static inline uint64_t slot_memory(unsigned slot)
{
	return (uint64_t)(uintptr_t)(slots_base + (size_t)slot * STELE_SLOT_SIZE);
}

static void fill(uint64_t slot_base, uint32_t from, uint32_t to, uint64_t main, uint64_t spare)
{
	for (uint32_t at = from; at < to; at += STELE_WORDS_SIZE) {
		uint64_t zero = 0, none = 0;

		cas_relaxed(word_at(slot_base, at + WORD_MAIN), &zero, main);
		cas_relaxed(word_at(slot_base, at + WORD_RCU), &none, main);
		if (spare)
			store_relaxed(word_at(slot_base, at + WORD_SPARE), spare);
	}
}

/* Makes slot @number usable. */
static __attribute__((noinline, cold)) void slot_start(unsigned number)
{
	uint64_t mine = slot_memory(number), unused = dummy();

	stele_node_of_new_slot(number);
	/* ORDER(SLOT_HIGH) sequentially consistent: begun, then high. Who raises it after this
	 * look finds the slot begun. */
	store_seq(&begun[number], 1);
	STELE_POINT("slot:begun");
	fill(mine, 0, load_seq(&high), SHEAF_EMPTY, 0);
	STELE_POINT("slot:fill");
	/* ORDER(SLOT_READY) release: after its words. Not over a closed one. */
	cas_release(&slots()[number], &unused, mine);
}

/* The memory of a slot that may have something in it, else 0. */
static uint64_t memory_begun(unsigned slot)
{
	return load_seq(&begun[slot]) ? slot_memory(slot) : 0;
}

/* A line was given out: its words exist in every slot before anyone can use them. */
static void line_start(uint32_t line)
{
	uint32_t end = line + STELE_WORDS_SIZE, old = load_seq(&high);

	fill(dummy(), line, end + STELE_WORDS_SIZE, SHEAF_UNINIT, SHEAF_UNINIT);
	while (end > old && !atomic_compare_exchange_weak(&high, &old, end))
		;
	STELE_POINT("slot:high");
	/* ORDER(SLOT_HIGH) sequentially consistent: high, then begun. */
	for (unsigned slot = 0; slot < slots_count; slot++)
		if (load_seq(&begun[slot]))
			fill(slot_memory(slot), line, end, SHEAF_EMPTY, 0);
}

/* The steps find the shared block also where the system told of fewer processors than there are:
 * as many as cost no second page. */
#define SLOTS_AT_LEAST 512u

void stele_pcpu_init(char *memory, unsigned count)
{
	slots_base = memory;
	slots_count = count;
	for (unsigned i = 0; i < 3; i++)
		*(uint64_t *)(uintptr_t)stele_sentinel(i) = STELE_SHEAF_END;
	for (unsigned slot = 0; slot < STELE_MAX(count, SLOTS_AT_LEAST); slot++)
		store_relaxed(&slots()[slot], dummy());
	fill(dummy(), 0, FIRST_WORDS + STELE_WORDS_SIZE, SHEAF_UNINIT, SHEAF_UNINIT);
	or_relaxed(&lines_taken[0], 1);
}

uint64_t stele_pcpu_alloc(void)
{
	for (unsigned i = 0; i < LINES / 64; i++) {
		uint64_t taken = load_relaxed(&lines_taken[i]);

		while (~taken) {
			unsigned bit = (unsigned)__builtin_ctzll(~taken);
			uint64_t offset = (i * 64ull + bit) * STELE_WORDS_SIZE;

			if (!cas_relaxed(&lines_taken[i], &taken, taken | 1ull << bit))
				continue;
			line_start((uint32_t)offset);
			return offset;
		}
	}
	return 0;
}

static bool word_is_free(uint64_t value)
{
	return !value || value == SHEAF_EMPTY;
}

/* Nothing was left in any slot: by who was refused a barrier, or never came back to a lock. */
static bool line_is_free(uint64_t words)
{
	for (unsigned slot = 0; slot < slots_count; slot++) {
		uint64_t base = memory_begun(slot), line = base + words;

		if (base && !(word_is_free(load_relaxed(word_at(line, WORD_MAIN))) &&
			      word_is_free(load_relaxed(word_at(line, WORD_SPARE))) &&
			      word_is_free(load_relaxed(word_at(line, WORD_RCU))) &&
			      !load_relaxed(word_at(line, WORD_LOCK))))
			return false;
	}
	return true;
}

void stele_pcpu_free(uint64_t words)
{
	uint64_t line = words / STELE_WORDS_SIZE;

	if (!line_is_free(words))
		return; /* a sheaf there has the size that the old cache gave it */
	and_release(&lines_taken[line / 64], ~(1ull << line % 64));
}

static bool by_sequence(void)
{
	return stele_system_facts.mode != STELE_MODE_FALLBACK;
}

/* Slot numbers are below the count but for a thread that is not registered: no division here. */
unsigned stele_slot_now(void)
{
	unsigned slot = by_sequence() ? step_slot(stele_rseq.id) : stele_thread_slot();

	return stele_likely(slot < slots_count) ? slot : 0;
}

/* In the fallback: another slot than this closed one. False: there is none. */
static bool move_to_open_slot(unsigned slot)
{
	for (unsigned i = 1; i < slots_count; i++) {
		unsigned other = (slot + i) % slots_count;

		if (load_acquire(&slots()[other]) != closed()) {
			stele_thread_move(other);
			return true;
		}
	}
	return false;
}

/* This thread's slot is not shown. True: now it is, or another one will do. */
static __attribute__((noinline, cold)) bool slot_come_up(unsigned slot)
{
	if (load_acquire(&slots()[slot]) == closed()) {
		if (by_sequence() || !move_to_open_slot(slot))
			return false;
		slot = stele_thread_slot();
	}
	if (load_acquire(&slots()[slot]) == dummy())
		slot_start(slot);
	return true;
}

/* Whether this thread's slot can hold sheaves; sets it up at its first use. */
static bool slot_usable(void)
{
	unsigned slot;

	if (by_sequence() && stele_unlikely(step_area(stele_rseq.area)->cpu_id < 0) &&
	    !stele_thread_register())
		return false;
	slot = stele_slot_now();
	/* Both blocks lie side by side. */
	if (stele_unlikely(load_acquire(&slots()[slot]) - dummy() <= STELE_WORDS_SIZE))
		return slot_come_up(slot);
	return true;
}

/* ---- the fallback: a line of words is locked by the thread's token ---- */

static bool line_trylock(word_t *lock)
{
	uint64_t free = 0;

	/* ORDER(SLOT) acquire: the line as its last holder left it. */
	return cas_acquire(lock, &free, stele_thread_token());
}

static void line_unlock(word_t *lock)
{
	/* ORDER(SLOT) release */
	store_release(lock, 0);
}

/*
 * Locks this thread's line: its address, or 0. One who empties a closed slot takes each lock after
 * it was closed: whoever comes later sees that it is.
 */
static inline __attribute__((always_inline)) uint64_t lock_line(uint64_t words)
{
	word_t *shown = &slots()[stele_thread_slot()];
	uint64_t base = load_acquire(shown), line = base + words;

	STELE_POINT("fallback:line");
	if (!line_trylock(word_at(line, WORD_LOCK)))
		return 0;
	/* ORDER(SLOT) as the emptier's unlock was acquired: it had closed the slot before. */
	if (stele_likely(load_relaxed(shown) == base))
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

static void *fallback_pop(uint64_t words)
{
	uint64_t line = lock_line(words);
	void *p;

	if (!line)
		return NULL;
	p = pop_locked(line);
	line_unlock(word_at(line, WORD_LOCK));
	return p;
}

static bool fallback_push(uint64_t words, enum stele_word which, void *p)
{
	uint64_t line = lock_line(words);
	bool done;

	if (!line)
		return false;
	done = push_locked(word_at(line, which), p);
	line_unlock(word_at(line, WORD_LOCK));
	return done;
}

static bool fallback_cas(uint64_t words, enum stele_word which, uint64_t old, uint64_t new)
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

static bool fallback_on_top(uint64_t words, enum stele_word which, const void *p)
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

/* ---- steps in every mode ---- */

/* How often a step is tried again after an interruption before the slow way is taken. */
#define STEP_TRIES 3

/* Whether this slot's word has @bound (0 below, END above) next to its top: no use to try again. */
static bool at_bound(uint64_t words, enum stele_word which, int entry, uint64_t bound)
{
	volatile uint64_t *top = (volatile uint64_t *)(uintptr_t)stele_pcpu_read(words, which);

	return top[entry] == bound;
}

void *stele_pcpu_pop(uint64_t words)
{
	if (!slot_usable())
		return NULL;
	if (!by_sequence())
		return fallback_pop(words);
	for (int i = 0; i < STEP_TRIES; i++) {
		void *p = step_pop_any(stele_hot.base, stele_rseq.area, stele_rseq.id, words);

		if (p || at_bound(words, WORD_MAIN, -1, 0))
			return p;
	}
	return NULL;
}

/* The steps address their word by its offset: a line's MAIN is at the line's own. */
static bool push_to(uint64_t words, enum stele_word which, void *p)
{
	if (!slot_usable())
		return false;
	if (!by_sequence())
		return fallback_push(words, which, p);
	for (int i = 0; i < STEP_TRIES; i++) {
		if (step_push_any(stele_hot.base, stele_rseq.area, stele_rseq.id, words + which, p))
			return true;
		if (at_bound(words, which, 0, STELE_SHEAF_END))
			return false;
	}
	return false;
}

bool stele_pcpu_push(uint64_t words, void *p)
{
	return push_to(words, WORD_MAIN, p);
}

bool stele_pcpu_push_rcu(uint64_t words, void *p)
{
	return push_to(words, WORD_RCU, p);
}

/*
 * By sequence a look is enough: an entry below a top is free, so it cannot be the pointer of a
 * caller who owns it; and where others have moved the top meanwhile, they cannot have put it there.
 */
static bool on_top_of(uint64_t words, enum stele_word which, const void *p)
{
	uint64_t top;

	if (!slot_usable())
		return false;
	if (!by_sequence())
		return fallback_on_top(words, which, p);
	top = stele_pcpu_read(words, which);
	return ((volatile uint64_t *)(uintptr_t)top)[-1] == (uint64_t)(uintptr_t)p &&
	       stele_pcpu_read(words, which) == top; /* still a sheaf, not memory in use again */
}

bool stele_pcpu_on_top(uint64_t words, const void *p)
{
	return on_top_of(words, WORD_MAIN, p);
}

bool stele_pcpu_on_top_rcu(uint64_t words, const void *p)
{
	return on_top_of(words, WORD_RCU, p);
}

uint64_t stele_pcpu_read(uint64_t words, enum stele_word which)
{
	if (!slot_usable())
		return SHEAF_UNINIT;
	return load_relaxed(word_at(load_acquire(&slots()[stele_slot_now()]), words + which));
}

bool stele_pcpu_cas(uint64_t words, enum stele_word which, uint64_t old, uint64_t new)
{
	enum step_result result = STEP_ABORTED;

	if (!slot_usable())
		return false;
	if (!by_sequence())
		return fallback_cas(words, which, old, new);
	STELE_POINT("slot:cas");
	for (int i = 0; i < STEP_TRIES && result == STEP_ABORTED; i++)
		result = step_cas(stele_hot.base, stele_rseq.area, stele_rseq.id, words + which,
				  old, new);
	return result == STEP_DONE;
}

/* ---- taking other slots' sheaves ---- */

#define TAKE_SLOTS 16 /* slots per membarrier; bounds the frame */
/* What is taken in one go; no word twice, or a mark would be taken for the sheaf under it. */
struct words {
	int n;
	enum stele_word at[2];
};
static const struct words take_words = { 2, { WORD_MAIN, WORD_SPARE } };
static const struct words take_rcu = { 1, { WORD_RCU } };

static uint64_t nothing(enum stele_word which)
{
	return which == WORD_SPARE ? 0 : SHEAF_EMPTY;
}

/*
 * Fallback: under the line's lock, whose holder is inside for a few instructions only. One who
 * stays longer may never come back (a handler left by siglongjmp()): the line is then left alone.
 */
#define WAIT_YIELDS 500

static void take_locked(uint64_t line, const struct words *which, bool wait, uint64_t *found)
{
	for (int i = 0; !line_trylock(word_at(line, WORD_LOCK)); i++) {
		if (!wait || i == WAIT_YIELDS)
			return;
		stele_os_yield();
	}
	for (int i = 0; i < which->n; i++) {
		word_t *word = word_at(line, which->at[i]);

		found[i] = load_relaxed(word);
		store_relaxed(word, nothing(which->at[i]));
	}
	line_unlock(word_at(line, WORD_LOCK));
}

/* Puts REMOTE in place of a sheaf; its top, or 0. */
static uint64_t mark_remote(word_t *word)
{
	uint64_t top = load_relaxed(word);

	while (stele_is_sheaf(top) && !steal_mark(word, &top, SHEAF_REMOTE))
		;
	return stele_is_sheaf(top) ? top : 0;
}

/*
 * The barrier was refused (a program may put on a filter at any time): nothing can be taken.
 * A sequence that read the old value before the mark may commit over either, as if nothing
 * had been: the sheaf is what it was.
 */
static void put_back(uint64_t words, const struct words *which, unsigned first, unsigned last,
		     uint64_t found[TAKE_SLOTS][2])
{
	for (unsigned slot = first; slot < last; slot++) {
		uint64_t line = slot_memory(slot) + words;

		for (int i = 0; i < which->n; i++) {
			uint64_t remote = SHEAF_REMOTE;

			if (found[slot - first][i])
				cas_release(word_at(line, which->at[i]), &remote,
					    found[slot - first][i]);
			found[slot - first][i] = 0;
		}
	}
}

/* Slots [first, last) of one line by sequence. -EAGAIN: some slot has to be tried again. */
static int take_marked(uint64_t words, const struct words *which, unsigned first, unsigned last,
		       uint64_t found[TAKE_SLOTS][2])
{
	bool any = false;
	int error = 0;

	for (unsigned slot = first; slot < last; slot++) {
		uint64_t base = memory_begun(slot), line = base + words;

		for (int i = 0; base && i < which->n; i++) {
			found[slot - first][i] = mark_remote(word_at(line, which->at[i]));
			any |= found[slot - first][i] != 0;
		}
	}
	STELE_POINT("take:marked");
	if (any)
		error = stele_os_membarrier();
	if (error)
		put_back(words, which, first, last, found);
	if (error || !any)
		return error;
	for (unsigned slot = first; slot < last; slot++) {
		uint64_t line = slot_memory(slot) + words;

		for (int i = 0; i < which->n; i++) {
			uint64_t *top = &found[slot - first][i];

			if (*top && !steal_finish(word_at(line, which->at[i]), SHEAF_REMOTE,
						  nothing(which->at[i]))) {
				*top = 0;
				error = -EAGAIN;
			}
		}
	}
	return error;
}

static void take_slots(uint64_t words, const struct words *which, unsigned first, unsigned last,
		       bool wait, uint64_t found[TAKE_SLOTS][2])
{
	for (unsigned slot = first; slot < last; slot++) {
		uint64_t base = memory_begun(slot);

		if (base)
			take_locked(base + words, which, wait, found[slot - first]);
	}
}

/*
 * One taker at a time (percpu/steal.h). With two, the mark that one finds after its barrier could
 * be the other's, put there after the owner had moved the top: it would take a top out of date.
 */
static struct stele_mutex taking = STELE_MUTEX(TAKING);

static void for_each_line(void (*each)(uint64_t line, uint64_t arg), uint64_t arg)
{
	for (unsigned slot = 0; slot < slots_count; slot++) {
		uint64_t base = memory_begun(slot);

		for (uint32_t at = 0; base && at < load_relaxed(&high); at += STELE_WORDS_SIZE)
			each(base + at, arg);
	}
}

/* A taker's mark stands there for good when the taker is gone; what it stood for is lost. */
static void clear_mark(uint64_t line, uint64_t unused)
{
	(void)unused;
	for (enum stele_word which = WORD_MAIN; which < WORD_LOCK; which += WORD_SPARE) {
		uint64_t remote = SHEAF_REMOTE;

		cas_relaxed(word_at(line, which), &remote, nothing(which));
	}
}

static unsigned cold; /* under `taking`: a slot that is closed for a moment, plus one; else 0 */

/* One that was shown before: its words are complete, those of new caches too, as it is begun. */
static void show_again(unsigned slot)
{
	uint64_t now = closed();

	/* ORDER(SLOT_READY) release */
	cas_release(&slots()[slot], &now, slot_memory(slot));
}

/* What a taker who is gone had begun. */
static void end_taking(void)
{
	for_each_line(clear_mark, 0);
	if (cold)
		show_again(cold - 1);
	cold = 0;
}

static bool begin_taking(bool wait)
{
	if (wait ? stele_lock(&taking) != 0 : !stele_trylock(&taking))
		return false;
	if (taking.abandoned)
		end_taking();
	return true;
}

/* Slots [first, last) of one line. -EAGAIN: there may be more. */
static int take_some(uint64_t words, const struct words *which, unsigned first, unsigned last,
		     bool wait, uint64_t found[TAKE_SLOTS][2])
{
	int error = 0;

	if (!begin_taking(wait))
		return -EBUSY;
	if (by_sequence())
		error = take_marked(words, which, first, last, found);
	else
		take_slots(words, which, first, last, wait, found);
	stele_unlock(&taking);
	return error;
}

/* The lock is not held while @each runs: a destructor called there may take sheaves itself. */
static int take_all(uint64_t words, const struct words *which, bool wait,
		    void (*each)(uint64_t, void *), void *arg)
{
	for (unsigned first = 0; first < slots_count; first += TAKE_SLOTS) {
		unsigned last = STELE_MIN(first + TAKE_SLOTS, slots_count);
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

	for (unsigned slot = 0; slot < slots_count; slot++) {
		uint64_t base = memory_begun(slot);

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

/* ---- slots that come and go ---- */

bool stele_slot_is_shown(unsigned slot)
{
	return load_acquire(&slots()[slot]) == slot_memory(slot);
}

bool stele_slot_is_closed(unsigned slot)
{
	return load_acquire(&slots()[slot]) == closed();
}

/* Under `taking`, so that no mark is anywhere. */
static int close_slot(unsigned slot)
{
	uint64_t now = closed(), was = atomic_exchange(&slots()[slot], now);
	int error = 0;

	STELE_POINT("slot:hidden");
	/* ORDER(SLOT) the barrier ends every step that had found the slot's memory. */
	if (was == slot_memory(slot) && by_sequence())
		error = stele_os_membarrier();
	if (error)
		cas_release(&slots()[slot], &now, was);
	return error;
}

int stele_slot_close(unsigned slot)
{
	int error;

	if (!begin_taking(true))
		return -EDEADLK;
	error = close_slot(slot);
	stele_unlock(&taking);
	return error;
}

void stele_slot_open(unsigned slot)
{
	uint64_t now = closed();

	/* ORDER(SLOT_READY) its words are complete since it was begun. */
	cas_release(&slots()[slot], &now, dummy());
}

/* Under `taking`; by sequence the slot is closed. */
static void empty_line(unsigned slot, uint64_t words, bool wait, uint64_t found[3])
{
	uint64_t line = memory_begun(slot) + words;

	if (line == words)
		return;
	if (by_sequence()) {
		for (int i = 0; i < 3; i++) {
			enum stele_word which = (enum stele_word)(i * WORD_SPARE);
			word_t *word = word_at(line, which);

			/* ORDER(SLOT) the barrier has made the owner's stores visible. */
			found[i] = atomic_exchange(word, nothing(which));
		}
	} else {
		take_locked(line, &take_words, wait, found);
		take_locked(line, &take_rcu, wait, found + 2);
	}
}

void stele_slot_empty(unsigned slot, uint64_t words, uint64_t found[3])
{
	if (!begin_taking(true))
		return;
	empty_line(slot, words, true, found);
	stele_unlock(&taking);
}

/* In the fallback each line is locked for itself; a closed slot would lose its threads to others. */
static int close_for_a_moment(unsigned slot)
{
	return by_sequence() ? close_slot(slot) : 0;
}

bool stele_slot_empty_cold(unsigned slot, void (*each)(unsigned, void *), void *arg)
{
	if (!stele_slot_is_shown(slot) || !begin_taking(false))
		return false;
	cold = slot + 1;
	if (stele_slot_is_shown(slot) && close_for_a_moment(slot) == 0) {
		each(slot, arg);
		show_again(slot);
	}
	cold = 0;
	stele_unlock(&taking);
	return true;
}

void stele_slot_empty_held(unsigned slot, uint64_t words, uint64_t found[3])
{
	empty_line(slot, words, false, found);
}

uint64_t stele_slot_signature(unsigned slot)
{
	uint64_t base = memory_begun(slot), sum = 0;
	uint32_t end = load_relaxed(&high);

	for (uint32_t at = 0; base && at < end; at += 8) {
		uint64_t word = load_relaxed(word_at(base, at));

		if (at % STELE_WORDS_SIZE != WORD_LOCK && stele_is_sheaf(word))
			sum = (sum << 5 | sum >> 59) + word;
	}
	return sum;
}

void stele_pcpu_mend(void)
{
	if (begin_taking(false))
		stele_unlock(&taking);
}

static void free_line(uint64_t line, uint64_t mine)
{
	if (load_relaxed(word_at(line, WORD_LOCK)) != mine)
		store_relaxed(word_at(line, WORD_LOCK), 0);
}

static void free_line_of(uint64_t line, uint64_t token)
{
	cas_release(word_at(line, WORD_LOCK), &token, 0);
}

void stele_pcpu_thread_gone(unsigned token)
{
	if (!by_sequence())
		for_each_line(free_line_of, token);
}

void stele_pcpu_after_fork(void)
{
	for_each_line(free_line, stele_thread_token());
	/* Else something in the taker forked: what it has begun is its own. */
	if (stele_mutex_after_fork(&taking))
		end_taking();
}
