/* SPDX-License-Identifier: MIT */
/*
 * slab/watch.h - checks objects when they are taken, given back, or validated (watch.c)
 *
 * Context   any. The cache has some of SLAB_WATCHED, unless a function says otherwise.
 */
#ifndef STELE_SLAB_WATCH_H
#define STELE_SLAB_WATCH_H

#include "slab/layout.h"
#include "slab/report.h"

/* Checks @p, which has just been taken from its slab. False: a write hit it while it was free, which was
 * reported; or a thread that validates has it. The caller then leaves it alone and takes another one. */
bool stele_watch_take(struct kmem_cache *s, void *p);
/* A call that asked for @asked bytes returns @p, or has resized @p to them. @p is any object or
 * large block, checked or not, or NULL. */
void stele_watch_taken(void *p, size_t asked, const void *site, enum track_kind kind);
/* Checks @p before it is given back. False: it must not be; that was reported. */
bool stele_watch_give(struct stele_call call, const struct kmem_cache *s, const struct run *run,
		      void *p);
/* Writes the frame of the report that @p is free already, if the cache has a layout. */
void stele_watch_twice(const struct kmem_cache *s, const struct run *run, void *p);
/* Whether an empty slab, which the caller owns, may end: no thread looks at it, and none will. */
bool stele_watch_may_end(struct kmem_cache *s, struct run *run);
/* A thread that validates begins to look at slabs of @s, and ends. False: another thread looks. Signals
 * are held back, so no handler leaves in between. */
bool stele_watch_begin(struct kmem_cache *s);
void stele_watch_end(struct kmem_cache *s);
/* If the thread that looked is gone, its look ends, and empty slabs end again. In the child of fork()
 * (in_child) it is gone in any case. */
void stele_watch_forget_the_gone(struct kmem_cache *s);
void stele_watch_in_child(struct kmem_cache *s);
/* Checks an empty slab that ends; the caller owns it. */
void stele_watch_last_look(const struct kmem_cache *s, const struct run *run);
/* Checks all of a slab, which other threads may use meanwhile: between stele_watch_begin() and _end().
 * Returns the faults found. */
unsigned stele_watch_slab(struct kmem_cache *s, struct run *run);
/* Reports the stacks of the allocation and the free of the object at @p, if its cache keeps
 * them. */
void stele_watch_tracks(const struct kmem_cache *s, const void *p);
/* The bytes that the allocation asked for. The cache has a layout. */
size_t stele_watch_asked(const struct kmem_cache *s, const void *p);

/* ---- watch_large.c: blocks with pages of their own ---- */
/* Whether large blocks are checked. */
bool stele_watch_large(void);
/* The bytes to take for a block of @size, so that there is room for a red zone behind it. */
size_t stele_watch_room(size_t size);
void stele_watch_large_taken(struct run *run, size_t asked, const void *site, enum track_kind kind);
/* Checks a block before it is freed. False: the block must not be freed now: the ring keeps it, or a
 * thread looks at it and frees it. */
bool stele_watch_large_give(struct stele_call call, struct run *run);
/* The bytes that the allocation asked for; 0: unknown. */
size_t stele_watch_large_asked(const struct run *run);
/* Checks a block of any thread that is in use or kept. Returns the faults found. */
unsigned stele_watch_large_look(struct run *run, struct stele_call call);
/* Checks a block that its owner is about to resize in place, which stele_watch_taken() ends. False: the
 * block has to move: a free would keep one of its size, or a thread looks at it. */
bool stele_watch_large_stays(struct run *run, struct stele_call call);
/* It could not be resized, and is as it was. */
void stele_watch_large_stayed(struct run *run);

#endif
