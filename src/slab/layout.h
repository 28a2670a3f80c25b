/* SPDX-License-Identifier: MIT */
/*
 * slab/layout.h - the bytes around an object that is checked (layout.c)
 *
 *     slab:    [head padding | left zone] slot, slot, ... [tail padding]
 *     slot:    object | right zone | record of the object | left zone of the next object
 *
 * Context   any.
 */
#ifndef STELE_SLAB_LAYOUT_H
#define STELE_SLAB_LAYOUT_H

#include "page/run.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "sync/atomic.h"
#include "trace/trace.h"

/* Bytes that say what they are. */
enum {
	BYTE_PADDING = 0x5a,
	BYTE_FREE = 0x6b,
	BYTE_FREE_END = 0xa5,
	BYTE_ZONE_FREE = 0xbb,
	BYTE_ZONE_USED = 0xcc,
};

#define ZONE_SIZE 8u /* to the left; and the least to the right */
#define SLAB_LAYOUT_FLAGS (SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER)
/* A cache with one of them has something to do at each call; without, the bits of the slab tell. */
#define SLAB_WATCHED (SLAB_LAYOUT_FLAGS | SLAB_TRACE)

/* The call that allocated an object, or freed it. */
struct track {
	uint32_t stack;	 /* sync/depot.h */
	uint32_t thread; /* 0: it has not happened */
	uint32_t when;	 /* ms, wraps */
	uint16_t cpu;
	uint16_t kind; /* enum track_kind */
};

/* The family of calls that an object came from. */
enum track_kind { KIND_UNKNOWN, KIND_MALLOC, KIND_NEW, KIND_NEW_ARRAY };

/*
 * OBJECT_STATE: {turn:24, state:8}. Each change takes a new turn, so a thread that looks at an
 * object of others sees that it changed meanwhile. BUSY: one thread is changing it. No single
 * flipped bit makes another state of one.
 */
enum object_state { OBJECT_FREE = 0x0f, OBJECT_BUSY = 0x33, OBJECT_USED = 0x55 };
#define OBJECT_STATE 0xffu
#define OBJECT_TURN 0x100u

struct object_meta {
	_Atomic uint32_t state;
	uint32_t asked; /* bytes, at most the size of the object */
	uint32_t check; /* checksum of all other fields */
	uint32_t unused;
	struct track taken, given; /* with SLAB_STORE_USER only */
};
#define META_SHORT offsetof(struct object_meta, taken)
_Static_assert(sizeof(struct object_meta) == 48 && META_SHORT == 16, "multiples of 16");

static inline struct object_meta *meta_of(const struct kmem_cache *s, const void *p)
{
	return (struct object_meta *)((uintptr_t)p + s->meta);
}

static inline unsigned zone_of(const struct kmem_cache *s)
{
	return s->flags & SLAB_RED_ZONE ? ZONE_SIZE : 0;
}

/* Whether free objects are filled with poison. Constructed and type-stable ones keep their
 * contents. */
static inline bool is_poisoned(const struct kmem_cache *s)
{
	return s->flags & SLAB_POISON && !s->ctor && !(s->flags & SLAB_TYPESAFE_BY_RCU);
}

/* The layout of a cache: {distance of objects, first, meta} for @flags. */
struct layout {
	uint32_t size, first, meta;
};
struct layout stele_layout_for(uint32_t size, uint32_t align, uint32_t flags);

/* A new slab: every object is free. */
void stele_layout_fill(const struct kmem_cache *s, struct run *run);
/* The checksum that the record of the object at @p has in @state. Others may use the object. */
uint32_t stele_meta_sum(const struct kmem_cache *s, const void *p, uint32_t state);
/* Fills the zones around an object, or, without zones, its padding. */
void stele_zones_fill(const struct kmem_cache *s, void *p, uint8_t byte);
void stele_poison_fill(const struct kmem_cache *s, void *p);

/* The word of the state after the next change, to @kind. */
static inline uint32_t next_state(uint32_t state, enum object_state kind)
{
	return ((state & ~OBJECT_STATE) + OBJECT_TURN) | (uint32_t)kind;
}

/* The object changes to @state. Threads that see the state see its record, too. */
static inline void meta_seal(const struct kmem_cache *s, void *p, enum object_state state)
{
	struct object_meta *meta = meta_of(s, p);
	uint32_t next = next_state(load_relaxed(&meta->state), state);

	meta->check = stele_meta_sum(s, p, next);
	/* ORDER(OBJECT_STATE) release */
	store_release(&meta->state, next);
}

/* Whether some cache has a layout. Slow ways of other floors ask before they pass on the details
 * of a call. */
static inline bool watching(void)
{
	return trace_asked(WATCH_OBJECTS);
}

#endif
