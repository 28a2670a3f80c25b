/* SPDX-License-Identifier: MIT */
/*
 * stele/rcu.h - freeing objects that readers may still look at
 *
 * Idea      A program unlinks an object from where readers find it, and gives it to kfree_rcu().
 *           The library frees the object when every reader that may have found it has left. Grace
 *           periods are liburcu's; its readers need to know nothing of this library.
 * Flavour   The one whose header is included before this one (<urcu.h>, <urcu-bp.h>,
 *           <urcu-qsbr.h>, with its short names); or what stele_rcu_set_flavor() was given; or memb,
 *           if the program links it. A cache may have its own (struct kmem_cache_args).
 * Context   said at each call. "Sleepable": an ordinary thread that holds nothing which a reader
 *           may wait for, and is not reading itself.
 * Memory    The bytes that wait are counted (struct stele_stats). Past STELE_RCU_EXPEDITE bytes a
 *           grace period is asked for at once. Past STELE_RCU_MAX a caller that may sleep waits
 *           until fewer wait: the mightsleep forms however long it takes, kfree_rcu() for
 *           STELE_RCU_WAIT milliseconds per grace period at most, and not while its thread is
 *           reading. Where the process can have no thread, each of them runs the grace period
 *           itself, and then kfree_rcu() waits for as long as readers take, unless STELE_RCU_WAIT
 *           is 0.
 * Order     All that a thread did before the call comes before the grace period. All that readers
 *           did in their sections is over before the object is allocated again.
 * Source    the contract of Linux 7.3. Unlike there, a block of any size has a base that is found
 *           again, an object needs no memory to wait, and rcu_barrier() does not wait for these
 *           frees: kvfree_rcu_barrier() waits for all of them, type-stable slabs included.
 */
#ifndef STELE_RCU_H
#define STELE_RCU_H

#include <stele/compiler.h>
#include <stele/slab.h>

STELE_EXTERN_C_BEGIN

struct rcu_head;	  /* liburcu's; two words, the first of which is used */
struct rcu_flavor_struct; /* liburcu's */

/* One word of an object, for kfree_rcu() and kfree_rcu_nolock(). Not touched before that. */
struct kvfree_rcu_head {
	void *stele_next;
};

/**
 * kfree_rcu - free @p after a grace period
 * @p:     from the kmalloc family or a cache, large blocks included; NULL: nothing happens
 * @field: member of *@p, a struct rcu_head or struct kvfree_rcu_head, less than 4096 bytes from its
 *         start, which the compiler checks
 *
 * Context: any, once the process has used RCU; also within a read section, and with locks held.
 *          The first use starts a thread, so an ordinary thread must make it. The same holds for
 *          the first use in a child of fork().
 * Promise: contract 32 and 34 (docs/contract.md).
 */
#define kfree_rcu(p, field) STELE_KFREE_RCU(stele_kfree_rcu, p, field)

/** kvfree_rcu - kfree_rcu() under its other name. Context: as there. */
#define kvfree_rcu(p, field) kfree_rcu(p, field)

/**
 * kfree_rcu_nolock - kfree_rcu() that never waits and starts nothing
 * @field: as there; a struct kvfree_rcu_head
 *
 * An object that it takes before the first ordinary call in the process is freed after that call.
 * Context: any, a signal handler that interrupted the library included.
 */
#define kfree_rcu_nolock(p, field)                                                                 \
	do {                                                                                       \
		STELE_RCU_TYPE_NOLOCK(p, field);                                                   \
		STELE_KFREE_RCU(stele_kfree_rcu_nolock, p, field);                                 \
	} while (0)

/**
 * kvfree_rcu_mightsleep - free @p after a grace period; it needs no member for it
 * @p: as for kfree_rcu()
 *
 * May wait for a grace period, and free @p before it returns.
 * Context: sleepable.
 */
STELE_API void kvfree_rcu_mightsleep(const void *p);

static inline void kfree_rcu_mightsleep(const void *p)
{
	kvfree_rcu_mightsleep(p);
}

/**
 * kvfree_rcu_barrier - returns when all that was given away before is freed
 *
 * Slabs of type-stable caches that were empty before are given back as well. Not covered: mightsleep
 * calls of other threads that are under way; objects in the hands of a thread that stands still for
 * longer than a second between two steps of giving, as under a debugger; and sheaves in other CPUs'
 * slots while the system refuses membarrier. A qsbr thread that is online is taken offline for the
 * wait.
 * Context: sleepable.
 * Promise: contract 33 (docs/contract.md).
 */
STELE_API void kvfree_rcu_barrier(void);

/** kvfree_rcu_barrier_on_cache - the same for the objects of one cache. Context: sleepable. */
STELE_API void kvfree_rcu_barrier_on_cache(struct kmem_cache *s);

/**
 * stele_rcu_set_flavor - choose the readers of this process
 * @flavor: liburcu's, such as &urcu_qsbr_flavor
 *
 * Return:  0; -EBUSY: another one is in use already; -EINVAL: NULL.
 * Context: control. Before the first use of anything here.
 */
STELE_API int stele_rcu_set_flavor(const struct rcu_flavor_struct *flavor);

/**
 * stele_rcu_suggest_flavor - what files do that include a flavour's header
 *
 * Context: constructors, before main().
 */
STELE_API void stele_rcu_suggest_flavor(const struct rcu_flavor_struct *flavor);

/* Behind the macros. @head: the member's address. Context: see there. */
STELE_API void stele_kfree_rcu(void *p, void *head);
STELE_API void stele_kfree_rcu_nolock(void *p, void *head);

#define STELE_RCU_OFFSET_MAX 4096

#define STELE_KFREE_RCU(call, p, field)                                                            \
	do {                                                                                       \
		STELE_TYPEOF(p) stele_given_ = (p);                                                \
		STELE_RCU_TYPE(stele_given_, field);                                               \
		STELE_RCU_ASSERT(offsetof(STELE_TYPEOF(*stele_given_), field) <                    \
					 STELE_RCU_OFFSET_MAX,                                     \
				 "the member lies 4096 bytes or more from the start");             \
		if (stele_given_)                                                                  \
			call(stele_given_, &stele_given_->field);                                  \
	} while (0)

#ifdef __cplusplus
#define STELE_RCU_ASSERT(what, message) static_assert(what, message)
#define STELE_RCU_TYPE(p, field) ((void)0)
#define STELE_RCU_TYPE_NOLOCK(p, field) ((void)0)
#else
#define STELE_RCU_ASSERT(what, message) _Static_assert(what, message)
/* Another type of member does not compile. */
#define STELE_RCU_TYPE(p, field)                                                                   \
	((void)_Generic(&(p)->field, struct rcu_head * : 0, struct kvfree_rcu_head * : 0))
#define STELE_RCU_TYPE_NOLOCK(p, field) ((void)_Generic(&(p)->field, struct kvfree_rcu_head * : 0))
#endif

/* A flavour's header with its short names was included: those are the readers meant. */
#ifdef rcu_flavor
static __attribute__((constructor, unused)) void stele_rcu_flavor_of_file(void)
{
	stele_rcu_suggest_flavor(&rcu_flavor);
}
#endif

STELE_EXTERN_C_END

#endif
