/* SPDX-License-Identifier: MIT */
/*
 * sync/stretch.h - a mapping that grows at its end, by several threads at once
 *
 * Idea      mremap() enlarges the mapping in place. A thread whose attempt fails asks how far the
 *           mapping reaches: another thread may have enlarged it, and stopped before it said so. So a
 *           thread that stops anywhere holds up nobody, and a child of fork() goes on where its
 *           parent was. Mapped memory stays mapped: it may be read at any time.
 *           Where mremap() is refused (a filter, valgrind) a mapping is made at the end. A thread
 *           that is late cannot know then whose mapping is there, and has nothing until `mapped` says.
 * Objects   mapped: the stretch has at least as many bytes; grows only.
 * Order     STRETCH: the bytes were mapped before `mapped` counts them.
 * Context   any.
 * Failure   -ENOMEM: the system refuses, or something that is not ours is in the way.
 * Tests     tests/unit/sync/test_stretch.c, tests/model/stretch.c
 */
#ifndef STELE_SYNC_STRETCH_H
#define STELE_SYNC_STRETCH_H

#include "base/basics.h"
#include "os/map.h"
#include "sync/atomic.h"
#include <errno.h>

#ifndef ORDER_STRETCH_SAY
#define ORDER_STRETCH_SAY memory_order_release
#endif

struct stele_stretch {
	char *start; /* fixed at start */
	size_t room; /* fixed at start: it never has more */
	_Atomic size_t mapped;
};

/* Maps the first @size bytes. 0 or -errno. At start. */
static inline int stretch_begin(struct stele_stretch *s, size_t size)
{
	int error = stele_os_map_apart(s->start, size);

	store_relaxed(&s->mapped, error ? 0 : size);
	return error;
}

static inline void stretch_say(struct stele_stretch *s, size_t size)
{
	size_t seen = load_relaxed(&s->mapped);

	STELE_POINT("stretch:mapped");
	/* ORDER(STRETCH) release: the bytes were mapped before. */
	while (seen < size &&
	       !atomic_compare_exchange_weak_explicit(&s->mapped, &seen, size, ORDER_STRETCH_SAY,
						      memory_order_relaxed))
		;
}

static inline bool stretch_grow(struct stele_stretch *s, size_t old, size_t size)
{
	if (stele_os_extend(s->start, old, size) != 0)
		return false;
	stretch_say(s, size);
	return true;
}

/* Our attempt failed: whether the mapping has @need bytes by now. */
static inline bool stretch_has(struct stele_stretch *s, size_t need)
{
	/* ORDER(STRETCH) acquire */
	if (need <= load_acquire(&s->mapped))
		return true;
	if (!stele_os_is_one_mapping(s->start, need))
		return false;
	stretch_say(s, need);
	return true;
}

/* One attempt from where the mapping is known to end. True: it reaches further than was known. */
static inline bool stretch_step(struct stele_stretch *s, size_t old, size_t need, size_t want)
{
	if ((want > need && stretch_grow(s, old, want)) || stretch_grow(s, old, need) ||
	    stretch_has(s, need) || stretch_has(s, old + STELE_MAP_UNIT))
		return true;
	if (stele_os_map_apart(s->start + old, need - old) != 0)
		return false;
	stretch_say(s, need);
	return true;
}

/* Has @need bytes afterwards, and @want if they can be had. 0 or -ENOMEM. */
static inline int stretch_reach(struct stele_stretch *s, size_t need, size_t want)
{
	/* ORDER(STRETCH) acquire: the bytes that are noted as mapped are mapped. */
	size_t old = load_acquire(&s->mapped);

	if (stele_likely(need <= old))
		return 0;
	need = STELE_ALIGN_UP(need, STELE_MAP_UNIT);
	want = STELE_MIN(STELE_ALIGN_UP(want, STELE_MAP_UNIT), s->room);
	if (need > s->room)
		return -ENOMEM;
	/* ORDER(STRETCH) acquire: the bytes that are counted are mapped. */
	for (; old < need; old = load_acquire(&s->mapped))
		if (!stretch_step(s, old, need, want) && need > load_acquire(&s->mapped))
			return -ENOMEM;
	return 0;
}

#endif
