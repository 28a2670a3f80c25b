/* SPDX-License-Identifier: MIT */
/*
 * slab/damage.c - a fault of an object: what is damaged, its report and its repair
 *
 * Idea      The record of a fault is complete, and copied to where a debugger finds it, before the
 *           first character is written. A report has the kernel's frame: a line for each damage,
 *           the line "BUG" between two rules, the stacks of the allocation and of the free, the
 *           bytes of the object, and the repairs. One line for the reader in a hurry ends it.
 * Once      A place in the program that causes one fault causes many. The first fault of a place is
 *           reported; later ones are only counted (option `debug_all` reports them all). Two faults
 *           have the same place if the kind of damage, the cache, the call that allocated and the
 *           call that noticed are the same.
 * Counted   Tests of the kernel count faults instead: stele_slab_errors_into(), at most 8 threads
 *           at a time.
 * Context   any.
 * Tests     tests/death/debug_*.c, tests/contract/test_debug.c
 */
#include "slab/checks.h"
#include "base/fmt.h"
#include "base/options.h"
#include "os/os.h"
#include "os/report.h"
#include "percpu/system.h"
#include "slab/bitmap.h"
#include "sync/depot.h"
#include <stele/debug.h>

struct fault stele_last_fault;

static _Atomic uint64_t faults;

/* Threads that count their faults. They are few, and so are the thread-local variables that a
 * library may have. */
static struct {
	_Atomic uint32_t thread; /* 0: nobody's */
	_Atomic(int *) to;
} counters[8];

static int *counter_of(uint32_t thread)
{
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(counters); i++)
		if (load_relaxed(&counters[i].thread) == thread)
			return load_relaxed(&counters[i].to);
	return NULL;
}

/* Adds one, if this thread counts. */
static bool counted(void)
{
	int *counter = counter_of(stele_thread_name());

	if (counter)
		++*counter;
	return counter;
}

uint64_t stele_slab_errors(void)
{
	return load_relaxed(&faults);
}

/* @from: the thread that has the place now. */
static bool take_counter(uint32_t from, uint32_t thread, int *to)
{
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(counters); i++) {
		uint32_t now = from;

		if (!cas_relaxed(&counters[i].thread, &now, thread))
			continue;
		store_relaxed(&counters[i].to, to);
		return true;
	}
	return false;
}

void stele_slab_errors_into(int *to)
{
	uint32_t me = stele_thread_name();

	if (!take_counter(me, to ? me : 0, to) && to)
		take_counter(0, me, to);
}

/* ---- once for each place ---- */

#define PLACES 1024u

/* The call that allocated. The rest of its stack is found by search, and may differ. */
static uintptr_t taken_at(const struct fault *f)
{
	const uintptr_t *stack;
	unsigned n;

	if (!f->object || !(f->s->flags & SLAB_STORE_USER))
		return 0;
	stack = stele_depot_get(meta_of(f->s, f->object)->taken.stack, &n);
	return stack ? stack[0] : 0;
}

static bool is_new_place(const struct fault *f)
{
	static _Atomic uint32_t seen[PLACES];
	uint64_t hash = (uintptr_t)f->damage[0].what ^ (uintptr_t)f->s * 3;
	uint32_t key;

	hash = (hash ^ (uintptr_t)f->call.site) * 0x9e3779b97f4a7c15u;
	hash = (hash ^ taken_at(f)) * 0x9e3779b97f4a7c15u;
	key = (uint32_t)(hash >> 32) | 1;
	return exchange_relaxed(&seen[key % PLACES], key) != key || stele_opt.debug_all;
}

/* ---- the frame ---- */

#define ROW 16u
#define BYTES_SHOWN 256u

static void dump_row(const char *label, const uint8_t *p, unsigned n)
{
	char text[128];
	struct stele_out out;

	stele_out_init(&out, text, sizeof(text));
	stele_fmt(&out, "stele: %-9s%p: ", label, (const void *)p);
	for (unsigned i = 0; i < n; i++)
		stele_fmt(&out, "%02x ", p[i]);
	for (unsigned i = n; i < ROW; i++)
		stele_out_str(&out, "   ");
	for (unsigned i = 0; i < n; i++)
		stele_fmt(&out, "%c", p[i] >= ' ' && p[i] < 127 ? p[i] : '.');
	stele_report("%s\n", text);
}

static void dump_bytes(const char *label, const uint8_t *from, const uint8_t *to)
{
	if (to - from > (ptrdiff_t)BYTES_SHOWN)
		to = from + BYTES_SHOWN;
	for (; from < to; from += ROW)
		dump_row(label, from, (unsigned)STELE_MIN((size_t)(to - from), (size_t)ROW));
}

static void dump_object(const struct fault *f)
{
	const struct kmem_cache *s = f->s;
	uint32_t size = cache_object_size(s);
	uint8_t *p = f->object;

	if (zone_of(s))
		dump_bytes("Redzone", p - ZONE_SIZE, p);
	if (f->contents)
		dump_bytes("Object", p, p + size);
	dump_bytes(zone_of(s) ? "Redzone" : "Padding", p + size, p + s->meta);
}

static void report_tracks(const struct fault *f)
{
	const struct object_meta *meta = meta_of(f->s, f->object);

	if (!(f->s->flags & SLAB_STORE_USER) || fault_is_of_record(f)) {
		stele_report("stele: object allocation/free stack trace missing\n");
		return;
	}
	stele_track_report("Allocated", &meta->taken);
	stele_track_report("Freed", &meta->given);
}

static void report_its_slab(const struct kmem_cache *s, const struct run *run)
{
	stele_report("stele: Slab %p objects=%u used=%u fp=%p flags=%s\n", (void *)run->base,
		     s->objects, stele_objects_used(run), (void *)0,
		     s->flags & SLAB_TYPESAFE_BY_RCU ? "typesafe" : "slab");
}

#define DOUBLE_RULE "============================================================================="
#define RULE "-----------------------------------------------------------------------------"

void stele_fault_frame(const struct fault *f, const char *message)
{
	const struct kmem_cache *s = f->s;

	stele_report("stele: " DOUBLE_RULE "\n");
	stele_report("stele: BUG %s (%s): %s\n", s->name,
		     stele_reports() ? "Tainted: [B]=BAD_PAGE" : "Not tainted", message);
	stele_report("stele: " RULE "\n");
	if (f->object && s->meta)
		report_tracks(f);
	report_its_slab(s, f->run);
	if (!f->object)
		return;
	stele_report("stele: Object %p @offset=%td fp=%p\n", f->object,
		     (ptrdiff_t)((uintptr_t)f->object - f->run->base), (void *)0);
	if (s->meta)
		dump_object(f);
}

/* ---- the lines around it ---- */

void stele_damage_report(const struct run *run, const struct damage *d)
{
	size_t offset = (size_t)((uintptr_t)d->from - run->base);

	if (d->wanted)
		stele_report("stele: [%s overwritten] %p-%p @offset=%zu. First byte 0x%x instead "
			     "of 0x%x\n",
			     d->what, (void *)d->from, (void *)(d->to - 1), offset, d->found,
			     d->wanted);
	else
		stele_report("stele: [%s overwritten] %p-%p @offset=%zu\n", d->what,
			     (void *)d->from, (void *)(d->to - 1), offset);
}

/* What, where, and what to try next. */
static void report_in_short(const struct fault *f)
{
	const struct damage *d = &f->damage[0];
	char place[STELE_OS_PLACE_SIZE] = "";

	if (f->call.site)
		stele_os_place(f->call.site, place);
	stele_report("stele: %s(%p): %zu byte%s %s an object of %u bytes in cache '%s'; "
		     "%s%s%s%s; next: watch *(char *)%p\n",
		     f->call.name, f->object, damage_size(d), plural(damage_size(d)), d->how,
		     f->asked, f->s->name, f->outcome, f->call.site ? " (called from " : "", place,
		     f->call.site ? ")" : "", (void *)d->from);
}

unsigned stele_objects_used(const struct run *run)
{
	unsigned free = state_free(&((struct run *)run)->state);

	return run->objects - STELE_MIN(free, (unsigned)run->objects);
}

bool stele_fault_counts(void)
{
	add_relaxed(&faults, 1);
	return !counted();
}

bool stele_fault_report(const struct fault *f)
{
	bool new_place = false;

	for (unsigned i = 0; i < f->n; i++)
		new_place = stele_fault_counts();
	if (!new_place || !is_new_place(f))
		return false;
	stele_last_fault = *f;
	for (unsigned i = 0; i < f->n; i++)
		stele_damage_report(f->run, &f->damage[i]);
	stele_fault_frame(f, f->object ? "Object corrupt" : "Padding overwritten");
	return true;
}

void stele_fault_fix(const struct kmem_cache *s, const char *what, const void *p, const char *how)
{
	if (!counted())
		stele_report("stele: FIX %s: %s%p%s\n", s->name, what, p, how);
}

static void report_padding_in_short(const struct fault *f)
{
	const struct damage *d = &f->damage[0];

	stele_report("stele: %s: %zu byte%s written between the objects of cache '%s'; %s; "
		     "next: watch *(char *)%p\n",
		     f->call.name, damage_size(d), plural(damage_size(d)), f->s->name, f->outcome,
		     (void *)d->from);
}

void stele_fault_fixed(const struct fault *f, bool told)
{
	for (unsigned i = 0; i < f->n; i++) {
		const struct damage *d = &f->damage[i];

		if (!counted() && told)
			stele_report("stele: FIX %s: Restoring %s %p-%p=0x%x\n", f->s->name,
				     d->what, (void *)d->from, (void *)(d->to - 1), d->wanted);
	}
	if (!told)
		return;
	if (f->object)
		report_in_short(f);
	else
		report_padding_in_short(f);
	stele_reported();
}
