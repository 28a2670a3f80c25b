/* SPDX-License-Identifier: MIT */
/*
 * tests/rcu/layout.c - src/rcu/flavor.h has liburcu's members where liburcu has them
 *
 * Compiled, not run: the names of one are read through the other.
 */
#include <stddef.h>

#define rcu_flavor_struct stele_flavor_struct
#include "rcu/flavor.h"
#undef rcu_flavor_struct
#include <urcu/flavor.h>

#define SAME(member)                                                                               \
	_Static_assert(offsetof(struct stele_flavor_struct, member) ==                             \
			       offsetof(struct rcu_flavor_struct, member),                         \
		       #member)

SAME(read_ongoing);
SAME(update_synchronize_rcu);
SAME(thread_offline);
SAME(thread_online);

int main(void)
{
	return 0;
}
