/* SPDX-License-Identifier: MIT */
/*
 * slab/watch.h - checks of objects that are taken from their slab, given back, or looked at (watch.c)
 *
 * Context   any. The cache has some of SLAB_DEBUG_FLAGS, unless a function says otherwise.
 */
#ifndef STELE_SLAB_WATCH_H
#define STELE_SLAB_WATCH_H

#include "slab/layout.h"
#include "slab/report.h"

/* @p has just been taken from its slab. False: it was written to while it was free. It is reported,
 * and the caller leaves it alone and takes another one. */
bool stele_watch_take(const struct kmem_cache *s, void *p);
/* A call that asked for so many bytes gives @p to its caller, or (resized) has it so large now. Any
 * object or large block, or NULL: one that nothing watches is left alone. */
void stele_watch_taken(void *p, size_t asked, const void *site, enum track_kind kind);
/* Before @p is given back. False: it is not to be; that was reported. */
bool stele_watch_give(struct stele_call call, const struct kmem_cache *s, const struct run *run,
		      void *p);
/* It is free already: the frame of the report, for a cache that has a layout. */
void stele_watch_twice(const struct kmem_cache *s, const struct run *run, void *p);
/* Whether an empty slab, which the caller owns, may end: no thread looks at it. Then none will. */
bool stele_watch_may_end(struct kmem_cache *s, struct run *run);
/* A thread that validates begins to look at slabs of @s, and ends. */
void stele_watch_begin(struct kmem_cache *s);
void stele_watch_end(struct kmem_cache *s);
/* An empty slab ends, and the caller owns it. */
void stele_watch_last_look(const struct kmem_cache *s, const struct run *run);
/* All of a slab, which other threads may use meanwhile. Faults found. */
unsigned stele_watch_slab(const struct kmem_cache *s, const struct run *run);
/* Who allocated and freed the object at @p, in lines of their own; nothing in a cache that does not
 * know. Any cache. */
void stele_watch_tracks(const struct kmem_cache *s, const void *p);
/* Bytes that were asked for. The cache has a layout. */
size_t stele_watch_asked(const struct kmem_cache *s, const void *p);

/* ---- watch_large.c: blocks with pages of their own ---- */
/* Whether they are checked. */
bool stele_watch_large(void);
/* The bytes to take for a block of @size, so that there is room for a red zone behind it. */
size_t stele_watch_room(size_t size);
void stele_watch_large_taken(struct run *run, size_t asked, const void *site, enum track_kind kind);
/* Before it is freed. False: it is not to be; that was reported, or it is kept for a while. */
bool stele_watch_large_give(struct stele_call call, struct run *run);
/* Bytes that were asked for; 0: it is not known. */
size_t stele_watch_large_asked(const struct run *run);
/* Faults of a block, in use or kept. */
unsigned stele_watch_large_look(struct run *run, struct stele_call call);
/* Whether a block stays where it is when it is resized: one that would not be kept when it is freed. */
bool stele_watch_large_stays(const struct run *run);

#endif
