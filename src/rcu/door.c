/* SPDX-License-Identifier: MIT */
/*
 * rcu/door.c - grace periods for the floors below, once this floor is there
 *
 * Idea      Caches ask for grace periods through a table of pointers (sync/grace.h), which this file
 *           fills in before main(). A static link takes this file along with each call that a program
 *           can make of this floor: the public calls about flavours are here, and kfree_rcu() calls
 *           stele_rcu_serve().
 * Context   as said in sync/grace.h.
 * Failure   no flavour: -EINVAL. Where no thread can be made, each waiter runs the rounds.
 * Tests     tests/contract/test_typesafe.c  tests/contract/test_rcu_grace.c
 */
#include "rcu/rcu.h"
#include "rcu/rounds.h"
#include <errno.h>
#include <stele/rcu.h>

int stele_rcu_set_flavor(const struct rcu_flavor_struct *flavor)
{
	return stele_flavor_choose(flavor);
}

void stele_rcu_suggest_flavor(const struct rcu_flavor_struct *flavor)
{
	stele_flavor_suggest(flavor);
}

static int start_for(const void *flavor, struct stele_grace **grace)
{
	struct stele_grace *g;
	int error = stele_flavor_grace(flavor, &g);

	if (error)
		return error;
	error = stele_runner_start(g);
	*grace = g;
	return error == -EINVAL ? error : 0;
}

int stele_rcu_serve(struct stele_grace *g)
{
	return stele_runner_start(g);
}

static const struct stele_grace_runner door = { .start = start_for,
						.barrier = stele_runner_barrier,
						.serve = stele_rcu_serve };

static __attribute__((constructor(101))) void open_door(void)
{
	stele_grace_runner = &door;
}
