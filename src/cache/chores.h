/* SPDX-License-Identifier: MIT */
/*
 * cache/chores.h - giving back memory that caches do not need
 *
 * Idea      A call that must be short leaves such work to the next one that may take its time
 *           (chores.c). A program that shrinks takes its caches with it (decay.c); a slot that no
 *           thread seems to use is emptied (cold.c), and so is one that goes (slots.c). A call that
 *           finds no memory takes back what it can (short.c). All of them empty caches by flush.c.
 * Context   any, but for what is said otherwise.
 */
#ifndef STELE_CACHE_CHORES_H
#define STELE_CACHE_CHORES_H

#include "base/basics.h"
#include "slab/kmem_cache.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- chores.c: work that calls have left ---- */

bool stele_chores_due(void);
/* Some of it, unless another thread does it. EFFORT_BOUNDED: no system call. */
void stele_chores_do(enum effort effort);
/* From now on slabs that are made and retired count here (slab/hooks.h). Idempotent. */
void stele_chores_watch_slabs(void);

/* ---- decay.c: a program that shrinks ---- */

/* The slabs have gained or lost @frames. stele_decay_shrunk() also begins a round if it is time;
 * stele_decay_lowered() only counts, and leaves that to the next stele_decay_shrunk(). */
void stele_decay_grown(unsigned frames);
void stele_decay_lowered(unsigned frames);
void stele_decay_shrunk(unsigned frames);
/* Whether a round through the caches is under way. stele_decay_go_on() does a bounded part of it. */
bool stele_decay_pending(void);
void stele_decay_go_on(void);

/* ---- cold.c: slots that no thread seems to use ---- */

/* A slab was made: perhaps it is time for a look at slots that no thread uses. */
void stele_cold_note(void);
bool stele_cold_due(void);
void stele_cold_look(void);
void stele_cold_after_fork(void);
/* A child of vfork() is gone: gives back the look that it had taken. @thread: the kernel's number. */
void stele_cold_thread_gone(uint32_t thread);

/* ---- slots.c: slots that come and go ---- */

/* Tells the floor of slots what to do when one comes or goes. Once, before anything happens. */
void stele_slots_watch(void);

/* ---- short.c: memory that caches give up before a call answers NULL ---- */

/* Gives the page floor the function to call when it is short of memory. Once, before anything
 * happens. */
void stele_cache_watch_memory(void);
/* @alloc(s, where) said NULL: takes back what caches do not need, and calls it again. Any context. */
void *stele_cache_alloc_short(struct kmem_cache *s, unsigned where,
			      void *(*alloc)(struct kmem_cache *s, unsigned where));

/* ---- flush.c: empties a cache's slots and barns into its slabs ---- */

/* Empties every slot and the barns. If another thread takes from slots: EFFORT_WAITING, which is
 * for ordinary threads, waits for it; any other effort gives -EBUSY. Other errors as in
 * stele_pcpu_take_all(). */
int stele_cache_flush(struct kmem_cache *s, enum effort effort);
/* The same, with all that calls have put off, and tidies the stacks, while no slot goes. Ordinary
 * threads. */
int stele_cache_empty(struct kmem_cache *s);

/* ---- shrink.c ---- */

/* Flushes every cache and purges; what malloc_trim() does. */
void stele_shrink_all(size_t keep_bytes);

#endif
