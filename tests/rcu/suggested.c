/* SPDX-License-Identifier: MIT */
/*
 * tests/rcu/suggested.c - a file that includes a flavour's header gets that flavour
 *
 * Links bp alone, so that memb cannot be had.
 */
#define URCU_API_MAP
#include <urcu/urcu-bp.h>

#include <stele/rcu.h>
#include <stele/slab.h>
#include <stele/stats.h>
#include <stdio.h>

struct item {
	struct rcu_head rcu;
};

int main(void)
{
	struct kmem_cache *s = kmem_cache_create("bp", 64, NULL, SLAB_TYPESAFE_BY_RCU);
	struct item *p = s ? kmem_cache_alloc(s, 0) : NULL;
	struct stele_stats stats;

	if (!p)
		return 1;
	kfree_rcu(p, rcu);
	kmem_cache_destroy(s);
	stele_stats_read(&stats);
	return stats.rcu_bytes || !stats.rcu_rounds;
}
