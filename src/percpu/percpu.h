/* SPDX-License-Identifier: MIT */
/*
 * percpu/percpu.h - slots, their words, and the steps on them
 *
 * Idea      A slot is what the kernel calls a CPU: mm_cid, else cpu_id, else (without
 *           restartable sequences) a number given to each thread in turn. A cache owns
 *           one line of words at the same offset in every slot:
 *             MAIN   top of the sheaf in use: a pointer to its next free entry. Its value
 *                    says both which sheaf and how full, so comparing it compares both.
 *             SPARE  top of a second sheaf, or 0
 *             RCU    top of a sheaf of objects that wait for readers: pushed to, never popped
 *             LOCK   fallback only: the thread inside (percpu/line.h)
 *           Three sentinels look like a sheaf that is empty and full at once:
 *             EMPTY   nothing here; a sheaf may be attached
 *             REMOTE  another thread is taking this word; nothing may be attached
 *             UNINIT  the slot was never used, or is closed (all such share one block)
 * States    MAIN, RCU: UNINIT -> EMPTY <-> sheaf, any but UNINIT -> REMOTE -> EMPTY
 * Order     SLOT: a sheaf is attached and detached by a step on its own slot. The kernel
 *           orders a slot's memory between the threads that own it one after another;
 *           the fallback's lock does so there. A remote taker stores REMOTE, then runs a
 *           membarrier that aborts every sequence in flight, then looks again.
 * Context   steps: any. stele_pcpu_take_all(): by its effort.
 * Failure   a step that was aborted, or a fallback slot that is busy, gives up; it never
 *           waits. The caller goes the slow way.
 * Tests     tests/unit/percpu/  tests/model/steal.c
 */
#ifndef STELE_PERCPU_PERCPU_H
#define STELE_PERCPU_PERCPU_H

#include "base/basics.h"
#include "base/layout.h"
#include "sync/atomic.h"
#include "sync/stack.h"
#include <stddef.h>

enum stele_word { WORD_MAIN = 0, WORD_SPARE = 8, WORD_RCU = 16, WORD_LOCK = 24 };

/* Steps in every mode, tried again after an interruption. NULL or false: empty, full or busy. The fast
 * ones: percpu/step.h. */
void *stele_pcpu_pop(uint64_t words);
bool stele_pcpu_push(uint64_t words, void *p);

/* Sheaves in all slots: a racy look. */
unsigned stele_pcpu_sheaves(uint64_t words);

/* Whether @p is the object that this slot's sheaf got last. A free of it is then the second one in a
 * row. */
bool stele_pcpu_on_top(uint64_t words, const void *p);

/* The same for WORD_RCU. */
bool stele_pcpu_push_rcu(uint64_t words, void *p);
bool stele_pcpu_on_top_rcu(uint64_t words, const void *p);

/* The current slot's word (a snapshot), and compare-and-store on it. False: it was not @old,
 * or the slot is busy. */
uint64_t stele_pcpu_read(uint64_t words, enum stele_word which);
bool stele_pcpu_cas(uint64_t words, enum stele_word which, uint64_t old, uint64_t new);

/*
 * Detaches MAIN and SPARE of every slot and calls @each(top, arg) for each sheaf found.
 * EFFORT_WAITING waits for the holder of a fallback slot that is busy, but not for long
 * (percpu/take.c). Less effort leaves such a slot alone: the call may have interrupted its holder.
 * 0; -EBUSY, not under EFFORT_WAITING: another thread is taking; another -errno: the system refuses
 * the barrier without which nothing can be taken.
 */
int stele_pcpu_take_all(uint64_t words, enum effort effort, void (*each)(uint64_t, void *),
			void *arg);
/* The same for WORD_RCU, waiting. */
int stele_pcpu_take_rcu(uint64_t words, void (*each)(uint64_t, void *), void *arg);

/* A line of words in every slot: its offset, or 0 when all are taken. Lock-free. */
uint64_t stele_pcpu_alloc(void);
/* No thread uses them any more. A line in which something was left is not given out again. */
void stele_pcpu_free(uint64_t words);

/* The number of this thread's slot just now, for hints and statistics. */
unsigned stele_slot_now(void);

/*
 * A slot whose CPU goes away (percpu/hotplug.c): closed, no step reaches its words, and its threads
 * work without sheaves; in the fallback they take another. Ordinary threads.
 */
int stele_slot_close(unsigned slot); /* 0; -errno: the system refuses the barrier; as before */
void stele_slot_open(unsigned slot); /* it will be shown when it is used */
bool stele_slot_is_shown(unsigned slot);
bool stele_slot_is_closed(unsigned slot);
/* MAIN, SPARE and RCU of one line of a closed slot, which are then empty. The caller passes over
 * values that are no sheaf. In the fallback a line that is locked for good stays as it is. */
void stele_slot_empty(unsigned slot, uint64_t words, uint64_t found[3]);

/*
 * The same for a slot that no thread seems to use, in any context: closes it (in the fallback locks
 * each line for itself), calls @each, which may call stele_slot_empty_held(), and opens it. False:
 * another thread is taking.
 */
bool stele_slot_empty_cold(unsigned slot, void (*each)(unsigned slot, void *arg), void *arg);
void stele_slot_empty_held(unsigned slot, uint64_t words, uint64_t found[3]);
/* Adds to @sum at most @most words of @slot, from the offset *@at on, and moves that offset. True:
 * the last word was among them. A sum over all words, from offset 0 and sum 0 on, differs from an
 * earlier one if a sheaf was used, attached or detached meanwhile. It is 0 when the slot has no
 * sheaf. */
bool stele_slot_sum(unsigned slot, uint32_t *at, unsigned most, uint64_t *sum);

/* The slots' memory, if it is mapped as slots come into use; NULL: all of it is mapped. */
struct stele_stretch;
extern struct stele_stretch *stele_slot_room;

/* Returns NULL, or the invariant that is broken (base/valid.h): whether all words of a slot are sheaves or
 * marks. At any moment. @marked: another thread may be taking, or has left or died while it took. */
const char *stele_slot_valid(unsigned slot, bool marked);
/* MAIN, SPARE and RCU of one line, as they are. False: no thread has used the slot yet. */
bool stele_slot_words(unsigned slot, uint64_t words, uint64_t found[3]);

/* Where slots live; called once by the page floor's start. */
void stele_pcpu_init(char *slots_base, unsigned slots);

/* The thread of which this is the kernel's number is gone: frees the lines that it had locked. */
void stele_pcpu_thread_gone(uint32_t thread);

/* In the child of fork(): slots held by threads that are gone are free again. */
void stele_pcpu_after_fork(void);

/* ---- sheaves ---- */

/*
 * A sheaf is a stack of free objects that moves as a whole: a block of 256, 512 or 1024 bytes, aligned
 * to its size. All code passes its top (a pointer to the next free entry): this one word names the
 * sheaf and says how full it is.
 *
 *   link | saved top | depth | 0 | entry 0 ... entry capacity-1 | END
 *
 * The 0 stops a pop, the END (STELE_SHEAF_END of arch/contract.h) stops a push. A sheaf is in a slot's MAIN
 * or SPARE, in the barn, or in one thread's hands; never in two. Its entries travel with it. Sheaves
 * are read without ownership (the link and depth in cache/sheaves.h, entries in percpu/steps.c), so
 * their slabs stay for good (slab/kept.c).
 */

struct sheaf {
	struct stele_link link; /* barn */
	uint64_t top;		/* while in the barn */
	_Atomic uint64_t depth; /* sheaves below and this one, as of its push; read racily */
	uint64_t bottom;	/* always 0 */
	uint64_t entry[];
};

#define SHEAF_OVERHEAD 5 /* words that are not entries */

static inline struct sheaf *sheaf_of(uint64_t top, unsigned bytes)
{
	return (struct sheaf *)(uintptr_t)(top & ~(uint64_t)(bytes - 1));
}

static inline uint64_t sheaf_bottom(struct sheaf *sheaf)
{
	return (uint64_t)(uintptr_t)sheaf->entry;
}

static inline unsigned sheaf_count(uint64_t top, unsigned bytes)
{
	return (unsigned)((top - sheaf_bottom(sheaf_of(top, bytes))) / 8);
}

/* From the top alone, so a sheaf that is in use elsewhere may be asked about. */
static inline bool sheaf_is_empty(uint64_t top, unsigned bytes)
{
	return sheaf_count(top, bytes) == 0;
}

static inline bool sheaf_is_full(uint64_t top, unsigned bytes, unsigned capacity)
{
	return sheaf_count(top, bytes) == capacity;
}

/* ---- where a word has no sheaf ---- */

static inline uint64_t stele_sentinel(unsigned number)
{
	return (uint64_t)(uintptr_t)stele_hot.base + STELE_SENTINELS_OFFSET + number * 16 + 8;
}
#define SHEAF_EMPTY stele_sentinel(0)
#define SHEAF_REMOTE stele_sentinel(1)
#define SHEAF_UNINIT stele_sentinel(2)

/* True for a word that is a sheaf, not 0 and not a sentinel. */
static inline bool stele_is_sheaf(uint64_t top)
{
	return top && top - SHEAF_EMPTY > 2 * 16;
}

/* Whether a slot's word may be replaced by a sheaf: it has one, or could have. Not when a taker has
 * marked it, nor before the slot's first use. */
static inline bool word_attachable(uint64_t word)
{
	return stele_is_sheaf(word) || word == SHEAF_EMPTY;
}

/* For a thread that finds REMOTE: its taker may be gone (a child that ran no fork handlers). Never
 * waits. */
void stele_pcpu_mend(void);

/* The same for a caller that has time to mend the mark of a taker that is gone. The answer is still
 * no; the caller's next look finds the word mended. */
static inline bool word_attachable_mend(uint64_t word)
{
	if (stele_unlikely(word == SHEAF_REMOTE))
		stele_pcpu_mend();
	return word_attachable(word);
}

/* ---- memory nodes ---- */

/*
 * Idea      `count` is 1 if memory has one node, or if the system refuses a call that several nodes
 *           need. Then no code reads anything else. Otherwise slots are CPU numbers, and a slot
 *           has its CPU's node. In the fallback a slot has the node on which it was first used.
 *           A node without memory stands for the nearest one that has some.
 * Choice    `count` is 1 as well if the process started with a memory policy: numactl has the last
 *           word.
 * Objects   memory: bits are only ever set. A slot's node: read racily; an old value costs time.
 * Context   any, but for stele_nodes_choose() and stele_nodes_look(): one at a time.
 * Tests     tests/unit/percpu/test_nodes.c
 */

struct stele_nodes {
	unsigned count;		 /* nodes have numbers below; fixed at start */
	bool pretended;		 /* by the option: nothing is asked of the system */
	_Atomic uint64_t memory; /* a bit for each that has some */
};
extern struct stele_nodes stele_nodes __attribute__((visibility("hidden")));

static inline bool nodes_several(void)
{
	return stele_unlikely(stele_nodes.count > 1);
}

static inline bool node_has_memory(unsigned node)
{
	return node < stele_nodes.count && load_relaxed(&stele_nodes.memory) >> node & 1;
}

/* At start: how many nodes there are. */
void stele_nodes_choose(void);

/* The same, once the mode of the slots is chosen. */
void stele_nodes_start(void);
/* There is room for those below @count only, or (1) for none apart. At start. */
void stele_nodes_keep(unsigned count);

/* Looks again at CPUs and memory; the nodes that have memory now. */
uint64_t stele_nodes_look(void);
/* @node, found by it, may be taken from. */
void stele_node_shown(unsigned node);

/* One of the other nodes that have memory, the nearest to @node first. A *which of 0 asks for the
 * first; each call raises it. -1 after the last. */
int stele_node_farther(unsigned node, unsigned *which);
/* @node, or the nearest that has memory. */
unsigned stele_node_with_memory(unsigned node);

unsigned stele_node_of_cpu(unsigned cpu);

/* A fallback slot is used for the first time. */
void stele_node_of_new_slot(unsigned slot);

/* The node that this slot takes memory from. */
unsigned stele_node_of_slot(unsigned slot);
unsigned stele_node_here_slow(void); /* slots.c */

/* The node that this thread's slot takes memory from. */
static inline unsigned stele_node_here(void)
{
	return nodes_several() ? stele_node_here_slow() : 0;
}

#endif
