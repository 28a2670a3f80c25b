/* SPDX-License-Identifier: MIT */
/*
 * slab/hooks.c - the table as it is while no floor above has filled it in
 *
 * Tests     tests/unit/slab/, which have nothing above
 */
#include "slab/hooks.h"

static void nothing_grown(unsigned frames)
{
	(void)frames;
}

static void nothing_shrunk(unsigned frames, enum effort effort)
{
	(void)frames, (void)effort;
}

static bool nothing_starved(enum effort effort)
{
	(void)effort;
	return false;
}

static const struct slab_hooks nothing = { nothing_grown, nothing_shrunk, nothing_starved };

_Atomic(const struct slab_hooks *) stele_slab_hooks = &nothing;
