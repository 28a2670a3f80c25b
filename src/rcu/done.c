/* SPDX-License-Identifier: MIT */
/*
 * rcu/done.c - an object that waited by its own word, and whose grace period is over
 *
 * Idea      The queue has the address of the word alone; the descriptor of its run tells where the
 *           object starts, and of which cache it is.
 * Context   a round (rounds.c).
 * Failure   an object that is free already is reported and counts as no bytes. A damaged one is reported
 *           and kept by the cache that checks it; the objects behind it are done all the same.
 * Tests     tests/contract/test_rcu_free.c
 */
#include "cache/object.h"
#include "cache/rcu.h"
#include "page/run.h"
#include "rcu/rcu.h"
#include "slab/object.h"
#include "slab/checks.h"

uint64_t stele_rcu_head_done(struct stele_grace_link *link)
{
	struct run *run = stele_run_of(link);
	struct kmem_cache *s;
	uint64_t bytes;
	void *p;

	if (!run || run->kind != RUN_SLAB) {
		stele_report_free((struct stele_call){ "kfree_rcu", NULL }, link, STELE_NOT_OURS,
				  NULL);
		return 0;
	}
	bytes = run->size;
	s = run_cache(run);
	p = run_start_of(run, link);
	if (!stele_free("kfree_rcu", p, NULL) && object_is_free(run, p))
		bytes = 0;
	stele_rcu_uncount(s);
	return bytes;
}
