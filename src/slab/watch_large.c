/* SPDX-License-Identifier: MIT */
/*
 * slab/watch_large.c - checks of blocks that have pages of their own
 *
 * Idea      A block has a red zone from the end of the bytes that were asked for to the end of its
 *           pages. Each request is ZONE_MIN bytes longer, so that there is always a zone. The
 *           record about a block lies in its descriptor, where a slab has its bits: out of the
 *           program's reach.
 * Kept      A freed block of up to KEEP_BYTES is filled with poison and waits for a while in a ring
 *           of KEEP_BLOCKS, where a late write is found. It counts as a block that rests
 *           (page/run.h), so a second free of it is refused. A larger block goes at once.
 * Objects   ring: blocks that wait, each in one place. next: the place of the next one, racy.
 * Order     OBJECT_STATE: of a block that another thread takes out of the ring.
 * Context   any.
 * Tests     tests/death/debug_kmalloc.c, tests/preload/faults.cc
 */
#include "os/os.h"
#include "os/report.h"
#include "slab/chosen.h"
#include "base/fmt.h"
#include "slab/look.h"
#include "slab/track.h"
#include "slab/watch.h"
#include <string.h>

#define ZONE_MIN 16u
#define KEEP_BYTES (512ul << 10)
#define KEEP_BLOCKS 8u
#define WATCHED 0x5374656c65426c6bull /* in `watched` of a block that has a record */

struct large_meta {
	uint64_t watched, asked;
	struct track taken, given;
};
_Static_assert(sizeof(struct large_meta) <= sizeof(((struct run *)0)->free), "lies there");

static _Atomic(struct run *) ring[KEEP_BLOCKS];
static _Atomic uint32_t next;

static struct large_meta *large_meta(const struct run *run)
{
	return (struct large_meta *)(void *)((struct run *)run)->free;
}

static bool is_watched_large(const struct run *run)
{
	return (run->kind == RUN_LARGE || run->kind == RUN_HUGE) &&
	       large_meta(run)->watched == WATCHED;
}

bool stele_watch_large(void)
{
	return stele_debug_large() & SLAB_LAYOUT_FLAGS;
}

size_t stele_watch_room(size_t size)
{
	return watching() && size < PTRDIFF_MAX ? size + ZONE_MIN : size;
}

size_t stele_watch_large_asked(const struct run *run)
{
	return is_watched_large(run) ? large_meta(run)->asked : 0;
}

void stele_watch_large_taken(struct run *run, size_t asked, const void *site, enum track_kind kind)
{
	struct large_meta *meta = large_meta(run);

	if (!stele_watch_large() || asked > run->bytes || run_is_own(run) || run_is_pages(run))
		return;
	*meta = (struct large_meta){ .watched = WATCHED,
				     .asked = asked,
				     .taken = stele_track_now(site, kind) };
	memset((char *)run->base + asked, BYTE_ZONE_USED, run->bytes - asked);
}

static void report_large(const struct run *run, struct stele_call call, const struct damage *d,
			 const char *outcome)
{
	const struct large_meta *meta = large_meta(run);
	char place[STELE_OS_PLACE_SIZE] = "?";

	stele_damage_report(run, d);
	stele_track_report("Allocated", &meta->taken);
	stele_track_report("Freed", &meta->given);
	if (call.site)
		stele_os_place(call.site, place);
	stele_report("stele: %s(%p): %zu byte%s %s a block of %zu bytes; %s (called from %s); "
		     "next: watch *(char *)%p\n",
		     call.name, (void *)run->base, damage_size(d), plural(damage_size(d)), d->how,
		     (size_t)meta->asked, outcome, place, (void *)d->from);
	stele_reported();
}

/* Checks a block that is in use, or freed and kept. Returns the faults found. */
static unsigned look_at_large(const struct run *run, struct stele_call call, bool kept)
{
	const struct large_meta *meta = large_meta(run);
	struct fault f = { .run = run };
	uint8_t *p = (uint8_t *)run->base;

	if (kept)
		stele_look_at_bytes(&f, "Poison", "written after the free of", p, run->bytes,
				    BYTE_FREE);
	else
		stele_look_at_bytes(&f, "Redzone", "written behind the end of", p + meta->asked,
				    run->bytes - meta->asked, BYTE_ZONE_USED);
	if (!f.n)
		return 0;
	if (stele_fault_counts())
		report_large(run, call, &f.damage[0], kept ? "it was free" : "repaired");
	stele_repair(&f, 0);
	return f.n;
}

unsigned stele_watch_large_look(struct run *run, struct stele_call call)
{
	return is_watched_large(run) ? look_at_large(run, call, run_rests(run)) : 0;
}

bool stele_watch_large_stays(const struct run *run)
{
	return is_watched_large(run) && run->bytes > KEEP_BYTES;
}

/* The block takes a place in the ring, and the block that was there is freed. */
static void keep_for_a_while(struct run *run)
{
	/* ORDER(OBJECT_STATE) release: its poison and its tracks; acquire: those of the other. */
	struct run *old = exchange_acq_rel(&ring[add_relaxed(&next, 1) % KEEP_BLOCKS], run);

	if (!old)
		return;
	look_at_large(old, (struct stele_call){ "free", NULL }, true);
	large_meta(old)->watched = 0;
	store_relaxed(&old->rests, 0);
	stele_large_free(old);
}

bool stele_watch_large_give(struct stele_call call, struct run *run)
{
	struct large_meta *meta = large_meta(run);

	if (!is_watched_large(run))
		return true;
	look_at_large(run, call, false);
	meta->given = stele_track_now(call.site, KIND_UNKNOWN);
	if (run->bytes > KEEP_BYTES) {
		meta->watched = 0;
		return true;
	}
	store_relaxed(&run->rests, 1);
	memset((void *)run->base, BYTE_FREE, run->bytes);
	keep_for_a_while(run);
	return false;
}
