/* SPDX-License-Identifier: MIT */
/*
 * sync/depot.c - stacks, each kept once under a number
 *
 * Idea      A program has few different stacks and many objects. The table keeps each stack for
 *           good, and an object has the number of its stack. One addition appends an entry. The
 *           thread fills the entry in, and one compare-and-swap puts it in front of its hash chain.
 *           No entry is changed or removed after that.
 * Objects   an entry: {next, hash, n, callers}; its number is its place, in units of 8 bytes. Two
 *           threads may put the same stack at the same time: then it is there twice, which costs
 *           room.
 * Room      DEPOT_BYTES of address space, mapped at the first use; only what is used costs memory. The
 *           heads of the chains lie at its start.
 * Order     DEPOT: an entry is complete before a chain leads to it.
 * Context   any; errno is kept. A lost race means that another thread has put a stack.
 * Failure   no room, or no mapping: number 0.
 * Tests     tests/unit/sync/test_depot.c
 */
#include "sync/depot.h"
#include "os/map.h"
#include "sync/atomic.h"
#include <stddef.h>
#include <string.h>

#define BUCKETS 4096u
#define UNIT 8u
#define DEPOT_BYTES (64ul << 20)
#define CALLERS_MAX 64u

struct entry {
	uint32_t next; /* number of the next one of the chain; 0: none */
	uint32_t hash;
	uint64_t n;
	uintptr_t caller[];
};

static _Atomic(char *) room;
static _Atomic uint64_t used; /* bytes of entries; may go beyond the end */
#define CHAINS_BYTES (BUCKETS * sizeof(uint32_t))

/* Maps the room, once: of two threads one wins, and the other gives its own back. */
static char *map_room(void)
{
	char *mine = stele_os_find_room(DEPOT_BYTES), *none = NULL;

	if (!mine || stele_os_map(mine, DEPOT_BYTES) != 0)
		return NULL;
	/* ORDER(DEPOT) release: this thread's room is mapped; acquire: another thread's is. */
	if (cas_acq_rel(&room, &none, mine))
		return mine;
	stele_os_unmap(mine, DEPOT_BYTES);
	return none;
}

static char *find_room(void)
{
	/* ORDER(DEPOT) acquire */
	char *at = load_acquire(&room);

	return at ? at : map_room();
}

static struct entry *entry_at(char *at, uint32_t number)
{
	return (struct entry *)(at + (uint64_t)number * UNIT);
}

static uint32_t hash_of(const uintptr_t *stack, unsigned n)
{
	uint64_t hash = n;

	for (unsigned i = 0; i < n; i++)
		hash = (hash ^ stack[i]) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(hash >> 32);
}

/* The number of such a stack in the chain that begins with @number; else 0. */
static uint32_t find_in_chain(char *at, uint32_t number, uint32_t hash, const uintptr_t *stack,
			      unsigned n)
{
	while (number) {
		const struct entry *e = entry_at(at, number);

		if (e->hash == hash && e->n == n &&
		    memcmp(e->caller, stack, n * sizeof(*stack)) == 0)
			break;
		number = e->next;
	}
	return number;
}

/* A new entry, which no chain has yet; 0: no room. */
static uint32_t make_entry(char *at, uint32_t hash, const uintptr_t *stack, unsigned n)
{
	uint64_t bytes = sizeof(struct entry) + n * sizeof(*stack), place;
	struct entry *e;

	if (load_relaxed(&used) + bytes + CHAINS_BYTES > DEPOT_BYTES)
		return 0;
	place = add_relaxed(&used, bytes) + CHAINS_BYTES; /* so number 0 is none */
	if (place + bytes > DEPOT_BYTES)
		return 0;
	e = (struct entry *)(at + place);
	e->hash = hash;
	e->n = n;
	memcpy(e->caller, stack, n * sizeof(*stack));
	return (uint32_t)(place / UNIT);
}

uint32_t stele_depot_put(const uintptr_t *stack, unsigned n)
{
	char *at = find_room();
	uint32_t hash = hash_of(stack, n), first, number;
	_Atomic uint32_t *chain;

	if (!at || n > CALLERS_MAX)
		return 0;
	chain = (_Atomic uint32_t *)(void *)at + hash % BUCKETS;
	/* ORDER(DEPOT) acquire: the entries of the chain are complete. */
	first = load_acquire(chain);
	number = find_in_chain(at, first, hash, stack, n);
	if (number)
		return number;
	number = make_entry(at, hash, stack, n);
	if (!number)
		return 0;
	do
		entry_at(at, number)->next = first;
	/* ORDER(DEPOT) release: the entry is complete; acquire: so are those behind it. */
	while (!cas_acq_rel(chain, &first, number));
	return number;
}

const uintptr_t *stele_depot_get(uint32_t number, unsigned *n)
{
	/* ORDER(DEPOT) acquire */
	char *at = load_acquire(&room);
	const struct entry *e;

	*n = 0;
	if (!at || (uint64_t)number * UNIT < CHAINS_BYTES ||
	    (uint64_t)number * UNIT - CHAINS_BYTES + sizeof(*e) > load_relaxed(&used))
		return NULL;
	e = entry_at(at, number);
	if (!e->n || e->n > CALLERS_MAX)
		return NULL;
	*n = (unsigned)e->n;
	return e->caller;
}
