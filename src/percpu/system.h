/* SPDX-License-Identifier: MIT */
/*
 * percpu/system.h - what this system gives, how the mode is chosen, and the words of each thread
 *
 * Context   any, but for stele_system_choose() and stele_fast_path(). stele_system() starts the floor
 *           when needed.
 * Tests     tests/unit/percpu/test_system.c
 */
#ifndef STELE_PERCPU_SYSTEM_H
#define STELE_PERCPU_SYSTEM_H

#include "base/basics.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- facts ---- */

enum stele_mode {
	STELE_MODE_FALLBACK = 0, /* slots by thread, one trylock each */
	STELE_MODE_CPU_ID = 1,	 /* restartable sequences, slot = cpu_id */
	STELE_MODE_MM_CID = 2,	 /* restartable sequences, slot = mm_cid */
};

struct stele_system {
	int mode;	      /* enum stele_mode */
	unsigned slots;	      /* how many slots can exist */
	size_t page_size;     /* of the system, or as the option page_size pretends */
	size_t arena_bytes;   /* addresses for objects; mapped as they are used */
	int own_registration; /* 1: Stele registers threads for rseq itself */
	const char *why;      /* one sentence about the mode */
};

const struct stele_system *stele_system(void);
extern struct stele_system stele_system_facts __attribute__((visibility("hidden")));

/* ---- choice ---- */

/* The thread's rseq area as the kernel defines it; Stele writes rseq_cs only. */
struct rseq_area {
	uint32_t cpu_id_start;
	int32_t cpu_id; /* negative: not registered */
	uint64_t rseq_cs;
	uint32_t flags;
	uint32_t node_id;
	uint32_t mm_cid;
	uint32_t end;
};

/* The thread-pointer offsets of the area and of the slot id in it; used by slots.c and steps.c. */
struct stele_rseq {
	long area;
	long id;
};
extern struct stele_rseq stele_rseq __attribute__((visibility("hidden")));

/* Chooses the mode; once, before any slot is used. */
void stele_system_choose(void);

/* Reasons to close the fast paths, which are open while there is none. */
#define FAST_TRACE 1u /* callbacks that want to see every call */
#define FAST_WATCH 2u /* other work for the slow paths (trace/trace.h) */

/* Gives a reason (@open is false) or takes it back, by one store. While the fast paths are closed,
 * every fast step gives up. Each reason has one caller at a time. Code that runs after the return
 * sees the change. */
void stele_fast_path(uint32_t reason, bool open);

/* ---- this thread ---- */

/* The start of an area that is never registered, as far as a step that gives up looks at it. */
struct stele_dead_area {
	uint32_t trace; /* nothing of the area: the trace floor's word */
	int32_t cpu_id;
	uint64_t rseq_cs;
};

struct stele_tls {
	struct rseq_area area;
	struct stele_dead_area dead;
	uint32_t slot;	 /* in the fallback: plus one; 0: not yet given */
	uint32_t name;	 /* the kernel's number of it; 0: not asked */
	uint32_t cpus;	 /* the CPU set's (percpu/cpus.c) */
	uint16_t failed; /* steps that were interrupted every time they were tried, in a row */
	uint16_t locked; /* so many steps more are done by lock */
};
extern __thread struct stele_tls stele_tls
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* A word of this thread that belongs to the trace floor; 0 at first. */
uint32_t *stele_thread_trace(void);

/* Registers this thread where Stele does so itself. True if it can now run sequences. */
int stele_thread_register(void);

/* Around vfork(), whose child has this thread's thread-local variables: the first in the child, the
 * second in the parent once it is alone again. */
void stele_thread_begin_vfork(void);
void stele_thread_end_vfork(void);

/* The two words of this thread that other floors count in, in one; and back as they were. */
uint64_t stele_thread_words(void);
void stele_thread_words_back(uint64_t words);

/* Half of this thread's token (os/os.h), never 0: for words that have a process number as well. */
uint32_t stele_thread_token(void);

/* This thread's fallback slot. */
unsigned stele_thread_first_slot(void);
static inline unsigned stele_thread_slot(void)
{
	uint32_t slot = stele_tls.slot;

	return stele_likely(slot) ? slot - 1 : stele_thread_first_slot();
}
/* From now on its fallback slot is this one. */
void stele_thread_move(unsigned slot);

/* The name by which it locks lines and keeps the set of CPUs: the kernel's number. */
uint32_t stele_thread_ask_name(void);
static inline uint32_t stele_thread_name(void)
{
	uint32_t name = stele_tls.name;

	return stele_likely(name) ? name : stele_thread_ask_name();
}
/* In the child of a fork, by each floor that needs it: asks the kernel again. The number that the
 * thread had in the parent. */
uint32_t stele_thread_rename(void);
/* Whether a thread that has entered this name somewhere is gone. A child that ran no fork handlers
 * cannot tell, and says no: it knows its own thread by the number in its parent. */
bool stele_thread_is_gone(uint32_t name);
/* Waits for a moment. False: that thread is gone. */
bool stele_thread_nap(uint32_t name);

/* Whether this thread does its next step by lock, because its sequences never end (percpu/steps.c).
 * The slow form of a step tells it by the two functions below: one for a step that was interrupted
 * at each try, one for a step that was done. */
static inline bool stele_thread_is_stepped(void)
{
	if (stele_likely(!stele_tls.locked))
		return false;
	stele_tls.locked--;
	return true;
}
void stele_thread_step_failed(void);
void stele_thread_step_done(void);

/* A word of this thread that belongs to percpu/cpus.c; 0 at first. */
uint32_t *stele_thread_cpus(void);

#endif
