/* SPDX-License-Identifier: MIT */
/*
 * cache/flush.c - empties a cache's slots and barns into its slabs
 *
 * Context   flushing: any, but for EFFORT_WAITING. Emptying: ordinary threads; signals are held back,
 *           as what is in hand would be lost with a handler that never comes back.
 * Failure   the system refuses the barrier without which no other slot can be taken from: this
 *           thread's own slot and the barns are emptied all the same.
 * Tests     tests/unit/cache/test_trim.c  tests/contract/test_cache_create.c
 */
#include "cache/chores.h"
#include "cache/broken.h"
#include "cache/sheaves.h"
#include "os/os.h"
#include "page/run.h"
#include "percpu/cpus.h"
#include "percpu/percpu.h"
#include "slab/slabs.h"

static void dissolve_taken(uint64_t top, void *arg)
{
	stele_sheaf_dissolve(arg, top);
}

/* This slot's own sheaves need no barrier. */
static void flush_own_slot(struct kmem_cache *s)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN);
	uint64_t spare = stele_pcpu_read(s->words, WORD_SPARE);

	if (stele_is_sheaf(main) && stele_pcpu_cas(s->words, WORD_MAIN, main, SHEAF_EMPTY))
		stele_sheaf_dissolve(s, main);
	if (stele_is_sheaf(spare) && stele_pcpu_cas(s->words, WORD_SPARE, spare, 0))
		stele_sheaf_dissolve(s, spare);
}

int stele_cache_flush(struct kmem_cache *s, enum effort effort)
{
	int error;

	if (!s->capacity)
		return 0;
	error = stele_pcpu_take_all(s->words, effort, dissolve_taken, s);
	if (error)
		flush_own_slot(s);
	stele_barns_flush(s);
	return error;
}

int stele_cache_empty(struct kmem_cache *s)
{
	/* Until a slot that goes has gone, another thread has its objects in hand. */
	uint64_t signals = STELE_BROKEN_FLUSH_UNHELD ? stele_os_signals_hold()
						     : stele_cpus_read_held();
	int error;

	stele_deferred_retire_all();
	stele_purge_due();
	error = stele_cache_flush(s, EFFORT_WAITING);
	stele_slabs_tidy(s);
	if (!STELE_BROKEN_FLUSH_UNHELD)
		stele_cpus_let_go();
	stele_os_signals_release(signals);
	stele_cpus_catch_up();
	return error;
}
