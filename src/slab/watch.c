/* SPDX-License-Identifier: MIT */
/*
 * slab/watch.c - checks objects when they are taken, given back, or validated
 *
 * Idea      An object that is taken or given back belongs to one thread. That thread checks the
 *           object, changes the bytes around it, and seals them with a new state. No lock is
 *           needed, so signal handlers and the _nolock calls check as all other calls do. A thread
 *           that validates looks at objects of others: it reports only what it saw while the state
 *           stayed the same. No thread gets an object meanwhile (slab/object_look.h), and of an object
 *           in use the look leaves out the pages that the program may have taken the access from.
 * States    OBJECT_FREE --take--> OBJECT_USED --give--> OBJECT_FREE, each through OBJECT_BUSY. A
 *           free sets the bit of the slab after the state is OBJECT_FREE; an allocation clears the
 *           bit before the state is OBJECT_USED. Of two threads that free the same object, one
 *           makes it BUSY, and the other one reports.
 * Flags     SLAB_CONSISTENCY_CHECKS: each call checks. Without it the calls write zones and poison,
 *           and only a validation looks at them.
 * Faults    at a take: the object is left alone for good, and the caller takes another one. At a
 *           give: the object is repaired and not given back. The kernel does the same, and gives up
 *           the rest of the slab as well; here no damage of an object can reach the bits of the
 *           others.
 * Order     OBJECT_STATE, OBJECT_LOOK, SLAB_LOOK
 * Context   any; validating: ordinary threads.
 * Tests     tests/contract/test_debug.c, tests/contract/test_debug_protected.c,
 *           tests/contract/test_control_left.c, tests/death/debug_*.c
 */
#include "slab/checks.h"
#include "os/os.h"
#include "os/report.h"
#include "percpu/system.h"
#include "percpu/percpu.h"
#include "page/where.h"
#include "slab/bitmap.h"
#include "slab/object.h"
#include "slab/object_look.h"
#include "slab/parts.h"
#include "slab/slab_look.h"
#include "sync/atomic.h"
#include "sync/stack.h"
#include <string.h>

/* Whether a page lies in the object as a whole: its owner may take the access to it away. All other
 * bytes share their page with bytes of the library. */
static bool has_own_page(const struct kmem_cache *s, const void *p)
{
	uintptr_t page = STELE_ALIGN_UP((uintptr_t)p, FRAME_SIZE);

	return page + FRAME_SIZE <= (uintptr_t)p + cache_object_size(s);
}

/* Leaves the damages as they are: most objects have none. */
static void fault_begin(struct fault *f, const struct kmem_cache *s, const struct run *run, void *p,
			struct stele_call call)
{
	f->s = s;
	f->run = run;
	f->object = p;
	f->call = call;
	f->outcome = NULL;
	f->contents = true;
	f->asked = 0;
	f->n = 0;
}

/* The record of an object is damaged. It starts anew with what the slab says. */
static void start_meta_over(const struct kmem_cache *s, void *p, bool used)
{
	struct object_meta *meta = meta_of(s, p);

	meta->asked = cache_object_size(s);
	meta->unused = 0;
	if (s->flags & SLAB_STORE_USER)
		meta->taken = meta->given = (struct track){ 0 };
	meta_seal(s, p, used ? OBJECT_USED : OBJECT_FREE);
}

static __attribute__((noinline, cold)) void report_and_repair(struct fault *f, bool used,
							      uint32_t seen)
{
	bool told = stele_fault_report(f);

	stele_repair(f, seen);
	if (f->object && fault_is_of_record(f))
		start_meta_over(f->s, f->object, used);
	stele_fault_fixed(f, told);
}

/* Checks an object that this thread owns. False: it was damaged. The damage is repaired, and was reported
 * or, at a place that was reported before, counted. */
static bool is_sound(struct stele_call call, const struct kmem_cache *s, const struct run *run,
		     void *p, bool used)
{
	struct fault f;

	fault_begin(&f, s, run, p, call);
	f.outcome = used ? "not freed" : "not handed out";
	stele_look_at_object(&f, used);
	if (stele_likely(!f.n))
		return true;
	report_and_repair(&f, used, load_relaxed(&meta_of(s, p)->state));
	return false;
}

static void trace_call(const struct kmem_cache *s, const struct run *run, const void *p,
		       const char *what)
{
	stele_report("stele: TRACE %s %s %p inuse=%u fp=%p\n", s->name, what, p,
		     stele_objects_used(run), (void *)0);
}

/* ---- take ---- */

static void make_busy(struct object_meta *meta)
{
	store_relaxed(&meta->state, next_state(load_relaxed(&meta->state), OBJECT_BUSY));
	/* ORDER(OBJECT_STATE) release: the object is busy before anything of it changes. */
	fence_release();
}

bool stele_watch_take(struct kmem_cache *s, void *p)
{
	const struct run *run = stele_run_of(p);
	struct object_meta *meta = meta_of(s, p);

	if (s->meta && look_leave(&s->look, (uintptr_t)p))
		return false;
	if (s->flags & SLAB_TRACE)
		trace_call(s, run, p, "alloc");
	if (!s->meta)
		return true;
	if (s->flags & SLAB_CONSISTENCY_CHECKS &&
	    !is_sound((struct stele_call){ "alloc", NULL }, s, run, p, false))
		return false;
	make_busy(meta);
	stele_zones_fill(s, p, BYTE_ZONE_USED);
	meta->asked = cache_object_size(s);
	if (s->flags & SLAB_STORE_USER)
		meta->taken = (struct track){ 0 };
	meta_seal(s, p, OBJECT_USED);
	return true;
}

static void object_taken(const struct kmem_cache *s, void *p, size_t asked, const void *site,
			 enum track_kind kind)
{
	uint32_t size = cache_object_size(s);
	struct object_meta *meta = meta_of(s, p);

	make_busy(meta);
	meta->asked = (uint32_t)STELE_MIN(asked, (size_t)size);
	if (s->flags & SLAB_RED_ZONE)
		memset((char *)p + meta->asked, BYTE_ZONE_USED, size - meta->asked);
	if (s->flags & SLAB_STORE_USER)
		meta->taken = stele_track_now(site, kind);
	meta_seal(s, p, OBJECT_USED);
}

void stele_watch_taken(void *p, size_t asked, const void *site, enum track_kind kind)
{
	struct run *run = p ? stele_run_of(p) : NULL;

	if (!run)
		return;
	if (run->kind != RUN_SLAB)
		stele_watch_large_taken(run, asked, site, kind);
	else if (run_cache(run)->meta)
		object_taken(run_cache(run), p, asked, site, kind);
}

/* ---- give ---- */

static const char *const kind_names[] = { "?", "malloc()", "operator new", "operator new[]" };

/* Reports a free by another family of calls; the object is freed all the same. */
static void check_kind(struct stele_call call, const struct kmem_cache *s, const void *p)
{
	enum track_kind is = meta_of(s, p)->taken.kind, by = stele_track_kind(call.name);

	if (is == by || !is || !by || is > KIND_NEW_ARRAY || !stele_fault_counts())
		return;
	stele_track_report("Allocated", &meta_of(s, p)->taken);
	stele_report_mismatch(call, p, kind_names[is]);
}

/* Makes the object BUSY for this thread. False: it is free, or another thread frees it. */
static bool begin_giving(struct object_meta *meta)
{
	uint32_t state = load_relaxed(&meta->state);

	/* ORDER(OBJECT_STATE) acquire: with what was written about it. */
	return (state & OBJECT_STATE) == OBJECT_USED &&
	       cas_acquire(&meta->state, &state, next_state(state, OBJECT_BUSY));
}

void stele_watch_twice(const struct kmem_cache *s, const struct run *run, void *p)
{
	struct fault f = {
		.s = s, .run = run, .object = p, .contents = s->meta && !has_own_page(s, p)
	};

	if (!s->meta || !stele_fault_counts())
		return;
	stele_last_fault = f;
	stele_fault_frame(&f, "Object already free");
	stele_fault_fix(s, "Object at ", p, " not freed");
}

static void end_giving(struct stele_call call, const struct kmem_cache *s, void *p)
{
	struct object_meta *meta = meta_of(s, p);

	/* ORDER(OBJECT_STATE) release: the object is busy before anything of it changes. */
	fence_release();
	stele_zones_fill(s, p, BYTE_ZONE_FREE);
	stele_poison_fill(s, p);
	if (s->flags & SLAB_STORE_USER)
		meta->given = stele_track_now(call.site, KIND_UNKNOWN);
	meta_seal(s, p, OBJECT_FREE);
}

static bool give_watched(struct stele_call call, const struct kmem_cache *s, const struct run *run,
			 void *p)
{
	if (s->flags & SLAB_CONSISTENCY_CHECKS) {
		if (!is_sound(call, s, run, p, true))
			return false;
		if (s->flags & SLAB_STORE_USER)
			check_kind(call, s, p);
	}
	if (!begin_giving(meta_of(s, p))) {
		stele_watch_twice(s, run, p);
		stele_report_free(call, p, "object was already free", s->name);
		return false;
	}
	end_giving(call, s, p);
	return true;
}

bool stele_watch_give(struct stele_call call, const struct kmem_cache *s, const struct run *run,
		      void *p)
{
	if (s->flags & SLAB_TRACE)
		trace_call(s, run, p, "free");
	return !s->meta || give_watched(call, s, run, p);
}

/* ---- looks from outside ---- */

/* Checks an object of any thread. If it is free, no thread gets it meanwhile (slab/object_look.h). Returns
 * the faults that were there while the object did not change. */
static STELE_RACY_LOOK unsigned look_at_one(const struct kmem_cache *s, const struct run *run,
					    unsigned i)
{
	void *p = object_at(run, i);
	bool is_free = object_is_free(run, p), used;
	uint32_t state, kind;
	struct fault f;

	fault_begin(&f, s, run, p, (struct stele_call){ "validate", NULL });
	f.outcome = "repaired";

	/* ORDER(OBJECT_LOOK) acquire: of a free object, its owner is done with its pages. */
	fence_acquire();
	/* ORDER(OBJECT_STATE) acquire: with what was written about it before. */
	state = load_acquire(&meta_of(s, p)->state);
	kind = state & OBJECT_STATE;
	if (kind == OBJECT_BUSY)
		return 0;
	used = kind == OBJECT_USED || (kind != OBJECT_FREE && !is_free);
	f.contents = (!used && is_free) || !has_own_page(s, p);
	stele_look_at_object(&f, used);
	/* ORDER(OBJECT_STATE) acquire: the looks at the object come before this look at its state. */
	fence_acquire();
	if (stele_likely(!f.n) || load_relaxed(&meta_of(s, p)->state) != state)
		return 0;
	if (fault_is_of_record(&f))
		used = !object_is_free(run, p);
	report_and_repair(&f, used, state);
	return f.n;
}

static unsigned look_between(const struct kmem_cache *s, const struct run *run)
{
	struct fault f;

	fault_begin(&f, s, run, NULL, (struct stele_call){ "validate", NULL });
	f.outcome = "repaired";
	stele_look_at_padding(&f);
	if (f.n)
		report_and_repair(&f, false, 0);
	return f.n;
}

/* It was left to this thread while it looked. The slab stays, as its cache is looked at. */
static void give_left(struct kmem_cache *s, struct run *run, unsigned i)
{
	bool idle;

	bits_give(&run->free[i / 64], 1ull << i % 64);
	STELE_POINT("look:bits-given");
	if (state_give_keep(&run->state, 1, run->objects, &idle) == GIVE_LIST)
		cache_list_slab(s, run);
}

static unsigned look_at_noted(struct kmem_cache *s, struct run *run, unsigned i)
{
	unsigned found;

	look_note(&s->look, (uintptr_t)object_at(run, i));
	found = look_at_one(s, run, i);
	STELE_POINT("look:seen");
	if (look_end(&s->look))
		give_left(s, run, i);
	return found;
}

unsigned stele_watch_slab(struct kmem_cache *s, struct run *run)
{
	unsigned found = s->meta ? look_between(s, run) : 0;

	for (unsigned i = 0; s->meta && i < run->objects; i++)
		found += look_at_noted(s, run, i);
	return found;
}

bool stele_watch_may_end(struct kmem_cache *s, struct run *run)
{
	return slab_hide(&run->watched, s, &s->looked_at);
}

/* Ends the look of a thread that is gone, in its place: the caller has taken over its name. */
static void end_left_look(struct kmem_cache *s)
{
	uint64_t object = look_end_left(&s->look);
	struct run *run = object ? stele_run_of((void *)(uintptr_t)object) : NULL;

	if (run)
		give_left(s, run, object_number(run, object));
}

/* Takes the place of @seen, which looks no more. */
static bool begin_instead(struct kmem_cache *s, uint32_t seen)
{
	if (!slab_look_begin(&s->looked_at, seen, stele_thread_name()))
		return false;
	end_left_look(s);
	return true;
}

bool stele_watch_begin(struct kmem_cache *s)
{
	uint32_t me = stele_thread_name(), seen = load_relaxed(&s->looked_at);

	if (seen && seen != me && !stele_thread_is_gone(seen))
		return false;
	if (!begin_instead(s, seen))
		return false;
	STELE_POINT("watch:begun");
	return true;
}

void stele_watch_end(struct kmem_cache *s)
{
	slab_look_end(&s->looked_at, stele_thread_name());
}

/* Whether @seen looks no more: it is gone; it is this thread, which left by a jump; or the cache is
 * being destroyed, which no thread may validate any more. */
static bool validation_is_over(const struct kmem_cache *s, uint32_t seen)
{
	return s->ending || seen == stele_thread_name() || stele_thread_is_gone(seen);
}

void stele_watch_forget_the_gone(struct kmem_cache *s)
{
	uint32_t seen = load_relaxed(&s->looked_at);
	uint64_t signals;

	if (stele_likely(!seen) || !validation_is_over(s, seen))
		return;
	signals = stele_os_signals_hold();
	if (begin_instead(s, seen))
		stele_watch_end(s);
	stele_os_signals_release(signals);
}

void stele_watch_in_child(struct kmem_cache *s)
{
	if (stele_likely(!load_relaxed(&s->looked_at)))
		return;
	end_left_look(s);
	store_relaxed(&s->looked_at, 0);
}

/* No thread can get an object of the slab. */
void stele_watch_last_look(const struct kmem_cache *s, const struct run *run)
{
	if (!(s->flags & SLAB_CONSISTENCY_CHECKS))
		return;
	look_between(s, run);
	for (unsigned i = 0; i < run->objects; i++)
		look_at_one(s, run, i);
}

/* ---- answers ---- */

void stele_watch_tracks(const struct kmem_cache *s, const void *p)
{
	if (!s->meta || !(s->flags & SLAB_STORE_USER))
		return;
	stele_track_report("Allocated", &meta_of(s, p)->taken);
	stele_track_report("Freed", &meta_of(s, p)->given);
}

size_t stele_watch_asked(const struct kmem_cache *s, const void *p)
{
	uint32_t size = cache_object_size(s);

	return STELE_MIN(meta_of(s, p)->asked, size);
}
