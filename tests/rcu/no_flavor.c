/* SPDX-License-Identifier: MIT */
/*
 * tests/rcu/no_flavor.c - without a flavour nothing is freed early, and the program hears of it
 */
#include "../unit/base/stderr_of.h"
#include <stele/rcu.h>
#include <stele/slab.h>
#include <string.h>

struct item {
	struct kvfree_rcu_head rcu;
	int value;
};

int main(void)
{
	struct item *p = kmalloc(sizeof(*p), GFP_KERNEL), *q = kmalloc(sizeof(*q), GFP_KERNEL);
	static const char says[] = "stele: kfree_rcu: no RCU flavour: link liburcu-memb or call "
				   "stele_rcu_set_flavor(); nothing is freed\n";
	struct stderr_text t;

	if (!p || !q || !stderr_begin(&t))
		return 1;
	kfree_rcu(p, rcu);
	kfree_rcu(q, rcu);
	kvfree_rcu_barrier();
	stderr_end(&t);
	if (strcmp(t.text, says) != 0)
		return 2;
	return kmalloc(sizeof(*p), GFP_KERNEL) == p;
}
