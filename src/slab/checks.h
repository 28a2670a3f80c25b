/* SPDX-License-Identifier: MIT */
/*
 * slab/checks.h - bad pointers and damaged objects: how they are found and reported
 *
 * Idea      Every build reports a bad pointer (report.c). A cache with some of SLAB_WATCHED also has
 *           bytes around each object (layout.c) that are looked at when the object is taken, given
 *           back or validated (watch.c, look.c). Damage is a fault, which is reported and repaired
 *           (fault.c). A track says who allocated an object, and who freed it (track.c).
 * Layout    slab:    [head padding | left zone] slot, slot, ... [tail padding]
 *           slot:    object | right zone | record of the object | left zone of the next object
 * Context   any. The cache has some of SLAB_WATCHED, unless a function says otherwise.
 */
#ifndef STELE_SLAB_CHECKS_H
#define STELE_SLAB_CHECKS_H

#include "page/run.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "sync/atomic.h"
#include "trace/trace.h"
#include <stddef.h>
#include <stdint.h>

/* ---- report.c ---- */

#define STELE_OWN "an object of the library itself"
#define STELE_NOT_OURS "not a pointer of this allocator, or already free"
#define STELE_GIVEN "object was already given to kfree_rcu"

/* A call as a report names it. @site: the address it returns to; NULL: not known. */
struct stele_call {
	const char *name;
	const void *site;
};

/* Says what is wrong with freeing @p and counts it; dies if the option says so. */
void stele_report_free(struct stele_call call, const void *p, const char *what, const char *cache);
/* The same for a free that only shows when its sheaf comes back: the call is not known any more. It is
 * at the end of a deep chain of calls, and needs less stack. */
void stele_report_late(const void *p, const char *cache);
/* The same for changing its size. */
void stele_report_resize(struct stele_call call, const void *p, const char *what,
			 const char *cache);
/* The same for a call that names the wrong cache. */
void stele_report_cache(struct stele_call call, const void *p, const char *owner,
			const char *given);
/* A destroyed cache was used, and debug builds know it still. NULL, for a call that wanted an
 * object. */
void *stele_report_destroyed(struct stele_call call, const struct kmem_cache *s);
/* The object came from another family of calls; it is freed all the same. */
void stele_report_mismatch(struct stele_call call, const void *p, const char *came_from);
/* A sized delete names another size than the allocation did; the object is freed all the same. */
void stele_report_size(struct stele_call call, const void *p, size_t given, size_t asked);

/* ---- layout.c ---- */

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

/* ---- watch.c ---- */

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
/* Checks all of a slab, which other threads may use meanwhile. The caller is between
 * stele_watch_begin() and _end(). Returns the number of faults. */
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
/* The number of the stack that allocated a block in use. False: the block is not checked. */
bool stele_watch_large_track(const struct run *run, uint32_t *stack);
/* Checks a block of any thread that is in use or kept. Returns the faults found. */
unsigned stele_watch_large_look(struct run *run, struct stele_call call);
/* Checks a block that its owner is about to resize in place, which stele_watch_taken() ends. False: the
 * block has to move: a free would keep one of its size, or a thread looks at it. */
bool stele_watch_large_stays(struct run *run, struct stele_call call);
/* It could not be resized, and is as it was. */
void stele_watch_large_stayed(struct run *run);

/* ---- track.c, without a cache ---- */

/* "stele: @what in PLACE", and a line for each further caller of the stack with that number. */
void stele_stack_report(const char *what, uint32_t number);
/* Whether a caller in the stack is in a file, or at a place, that @names has, with ':' between them. */
bool stele_stack_is_named(uint32_t number, const char *names);

/* ---- fault.c ---- */

/* A stretch of bytes that do not hold what they should. */
struct damage {
	const char *what; /* "Right Redzone" */
	const char *how;  /* "written behind the end of" */
	uint8_t *from, *to;
	uint8_t found, wanted;
};

static inline size_t damage_size(const struct damage *d)
{
	return (size_t)(d->to - d->from);
}

#define DAMAGES_MAX 6u

/* Filled in before anything is written. */
struct fault {
	const struct kmem_cache *s;
	const struct run *run;
	void *object; /* NULL: of the slab */
	struct stele_call call;
	const char *outcome; /* "not freed" */
	bool contents;	     /* the object's own bytes may be read */
	uint32_t asked;
	unsigned n;
	struct damage damage[DAMAGES_MAX];
};

/* Whether the record of the object is damaged itself. It is looked at last, and has no byte that it
 * should hold. */
static inline bool fault_is_of_record(const struct fault *f)
{
	return f->n && !f->damage[f->n - 1].wanted;
}

/* The one that was reported last, for a debugger. */
extern struct fault stele_last_fault __attribute__((visibility("hidden")));

/* Objects of a slab that are in use, or rest in sheaves: a look, which may change at once. */
unsigned stele_objects_used(const struct run *run);
/* Writes the line of one damage in a slab or a block. */
void stele_damage_report(const struct run *run, const struct damage *d);
/* Writes the frame of a report: the line "BUG", and all that is known of the object. */
void stele_fault_frame(const struct fault *f, const char *message);
/* Reports or counts a fault that has damages. True: it was reported. */
bool stele_fault_report(const struct fault *f);
/* After the repair: writes a line for each damage and the last line, if the fault was reported. */
void stele_fault_fixed(const struct fault *f, bool told);
/* Writes the line of a repair that restores no bytes. */
void stele_fault_fix(const struct kmem_cache *s, const char *what, const void *p, const char *how);
/* Counts a fault that has no damages. True: the caller reports it. */
bool stele_fault_counts(void);

/* ---- look.c ---- */

/* Adds to @f what is damaged of its object, which is in use or free (@used). Reads only. */
void stele_look_at_object(struct fault *f, bool used);
/* The same of the padding around the objects of its slab. */
void stele_look_at_padding(struct fault *f);
/* The same of [@p, @p + @n), which should be full of @wanted. */
void stele_look_at_bytes(struct fault *f, const char *what, const char *how, uint8_t *p, size_t n,
			 uint8_t wanted);
/* Writes the bytes that should be there while the object, which others may use, stays in @seen. */
void stele_repair(const struct fault *f, uint32_t seen);

/* ---- track.c ---- */

/* A track of this thread and this moment. @site: where its call returns to, or NULL. */
struct track stele_track_now(const void *site, enum track_kind kind);
/* Writes "Allocated in ..." or "Freed in ...", and the callers; nothing if it has not happened. */
void stele_track_report(const char *what, const struct track *track);
/* The family of the call that is named in a report. */
enum track_kind stele_track_kind(const char *call);

#endif
