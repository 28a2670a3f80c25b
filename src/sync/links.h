/* SPDX-License-Identifier: MIT */
/*
 * sync/links.h - what a thing has in it to lie on a stack, on a list of notes, or in a queue
 *
 * Idea      Descriptors, sheaves and caches have these in them; the headers of the protocols
 *           (stack.h, later.h, grace.h) say what is done with them.
 */
#ifndef STELE_SYNC_LINKS_H
#define STELE_SYNC_LINKS_H

#include <stdatomic.h>
#include <stdint.h>

/* ---- stack.h ---- */

struct stele_link {
	_Atomic uint64_t next; /* index of the node below; racy readers discard it */
};

struct stele_stack {
	_Atomic uint64_t head; /* {tag:28, index:36} */
};

/* ---- later.h ---- */

struct stele_later {
	struct stele_link link;
	_Atomic uint32_t noted;
};

/* ---- grace.h ---- */

/* Below an object's own first word: of a kvfree_rcu_head or an rcu_head. */
struct stele_grace_link {
	_Atomic(struct stele_grace_link *) next;
};

struct stele_grace_call;
/* Called after the grace period by the runner; the bytes that it was put there with. */
typedef uint64_t stele_grace_done(struct stele_grace_call *call);

struct stele_grace_call {
	struct stele_grace_link link;
	_Atomic(stele_grace_done *) done; /* not NULL while it waits; the function clears it */
};

#endif
