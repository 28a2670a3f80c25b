/* SPDX-License-Identifier: MIT */
/*
 * sync/ranks.c - what is done in the child of a fork, in the order of the ranks
 *
 * Idea      The floors above say what their locks need there; the order is the table's alone.
 * Context   asking: at start, or under a lock. In the child: its one thread.
 * Tests     tests/unit/sync/test_ranks.c
 */
#include "sync/ranks.h"

static void (*works[STELE_NR_RANKS])(void);

void stele_rank_in_child(enum stele_rank rank, void (*work)(void))
{
	works[rank] = work;
}

void stele_ranks_after_fork(void)
{
	for (int rank = STELE_NR_RANKS - 1; rank > STELE_RANK_NONE; rank--)
		if (works[rank])
			works[rank]();
}
