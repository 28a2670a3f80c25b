/* SPDX-License-Identifier: MIT */
/*
 * trace/fault.c - allocations that fail on purpose
 *
 * Idea      The fields of a choice are words that any thread reads. Threads count down by
 *           compare-and-swap: exactly so many allocations fail. Chance is a function of the seed and of
 *           the number of the allocation, so that a run can be repeated.
 * Objects   faults: the two choices. nth_left: the option fail_nth, for the whole process. threads: what
 *           a thread said of itself, by the kernel's number of it; an entry belongs to its thread alone
 *           until that thread is gone. They are no thread-local words, of which dlopen() leaves few.
 * Order     none: a thread that allocates while a choice changes sees some of each.
 * Reports   a line for each of the first LINES failures of a choice.
 * Context   asking: any. Choosing: ordinary threads.
 * Tests     tests/contract/test_fault.c, tests/preload/fault.c
 */
#include "trace/trace.h"
#include "base/fmt.h"
#include "base/options.h"
#include "os/os.h"
#include "percpu/system.h"
#include <errno.h>

#define LINES 10u

struct choice {
	_Atomic uint32_t probability, interval;
	_Atomic int64_t times; /* left; below 0: no limit */
	_Atomic int64_t space; /* left */
	_Atomic uint64_t seed;
	_Atomic size_t min_bytes;
	_Atomic bool only_marked_caches, only_marked_threads, spare_waiting;
	_Atomic uintptr_t require_start, require_end, reject_start, reject_end;
	_Atomic uint32_t lines; /* that may still be written */
	_Atomic uint64_t asked, failed;
};

static struct choice faults[STELE_FAULT_KINDS];
static _Atomic uint64_t nth_left;
static _Atomic bool nth_used;

#define THREADS 256u

struct own_faults {
	_Atomic uint32_t thread; /* 0: free */
	/* Of that thread alone. */
	uint32_t nth; /* which allocation from now fails; 0: none */
	bool marked;
};

static struct own_faults threads[THREADS];
static _Atomic bool threads_used;

static const uint32_t watch_of[STELE_FAULT_KINDS] = { WATCH_FAIL_SLAB, WATCH_FAIL_PAGE };
static const char *const name_of[STELE_FAULT_KINDS] = { "failslab", "fail_page_alloc" };

/* ---- what a thread said of itself ---- */

/* Of this thread; NULL: it said nothing. */
static struct own_faults *own_faults(void)
{
	uint32_t me;

	if (!load_relaxed(&threads_used))
		return NULL;
	me = stele_os_thread();
	for (unsigned i = 0; i < THREADS; i++)
		if (load_relaxed(&threads[(me + i) % THREADS].thread) == me)
			return &threads[(me + i) % THREADS];
	return NULL;
}

/* Takes an entry that is free, or of a thread that is gone. */
static bool take_entry(struct own_faults *entry, uint32_t me)
{
	uint32_t was = load_relaxed(&entry->thread);

	if ((was && !stele_os_thread_is_gone(was)) || !cas_relaxed(&entry->thread, &was, me))
		return false;
	entry->nth = 0;
	entry->marked = false;
	return true;
}

/* The same, from now on with an entry; NULL: too many threads have one. */
static struct own_faults *make_own_faults(void)
{
	struct own_faults *mine = own_faults();
	uint32_t me = stele_os_thread();

	for (unsigned i = 0; !mine && i < THREADS; i++)
		if (take_entry(&threads[(me + i) % THREADS], me))
			mine = &threads[(me + i) % THREADS];
	store_relaxed(&threads_used, true);
	return mine;
}

static bool thread_is_marked(void)
{
	const struct own_faults *mine = own_faults();

	return mine && mine->marked;
}

/* ---- an allocation ---- */

static bool within(const void *site, const _Atomic uintptr_t *start, const _Atomic uintptr_t *end)
{
	uintptr_t at = (uintptr_t)site, first = load_relaxed(start);

	return at - first < load_relaxed(end) - first;
}

static bool site_counts(const struct choice *c, const void *site)
{
	if (load_relaxed(&c->require_end) && !within(site, &c->require_start, &c->require_end))
		return false;
	return !load_relaxed(&c->reject_end) || !within(site, &c->reject_start, &c->reject_end);
}

static bool passes_filters(const struct choice *c, const struct fault_call *call)
{
	if (load_relaxed(&c->only_marked_threads) && !thread_is_marked())
		return false;
	if (load_relaxed(&c->only_marked_caches) && !call->marked)
		return false;
	if (load_relaxed(&c->spare_waiting) && call->gfp & __GFP_DIRECT_RECLAIM)
		return false;
	return call->bytes >= load_relaxed(&c->min_bytes) && site_counts(c, call->site);
}

/* True: one of those that were left is this one's. */
static bool count_down(_Atomic int64_t *left)
{
	int64_t n = load_relaxed(left);

	while (n > 0)
		if (cas_relaxed(left, &n, n - 1))
			return true;
	return n < 0;
}

/* True: there was room for @bytes. */
static bool spend(_Atomic int64_t *space, size_t bytes)
{
	int64_t left = load_relaxed(space);

	while (left > 0 && (uint64_t)left > bytes)
		if (cas_relaxed(space, &left, left - (int64_t)bytes))
			return true;
	return false;
}

/* A number that looks like chance: a mix of all bits of the seed and of the place in the row. */
static uint32_t percent(uint64_t seed, uint64_t number)
{
	uint64_t x = (seed + number) * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
	x = (x ^ x >> 29) * 0xd6e8feb86659fd93u;
	return (uint32_t)((x >> 32) % 100);
}

static bool chosen_by_chance(struct choice *c, const struct fault_call *call)
{
	uint32_t probability = load_relaxed(&c->probability), interval;
	uint64_t number;

	if (!probability || !passes_filters(c, call))
		return false;
	number = add_relaxed(&c->asked, 1) + 1;
	if (!load_relaxed(&c->times) || spend(&c->space, call->bytes))
		return false;
	interval = load_relaxed(&c->interval);
	if (interval > 1 && number % interval)
		return false;
	return percent(load_relaxed(&c->seed), number) < probability && count_down(&c->times);
}

static bool chosen_by_number(void)
{
	struct own_faults *mine = own_faults();
	uint64_t left = load_relaxed(&nth_left);

	if (mine && mine->nth && !--mine->nth)
		return true;
	while (left)
		if (cas_relaxed(&nth_left, &left, left - 1))
			return left == 1 &&
			       (!stele_opt.fail_of || stele_opt.fail_of == stele_os_pid());
	return false;
}

static void say_failure(enum stele_fault_kind kind, const struct fault_call *call)
{
	_Atomic uint32_t *lines = &faults[kind].lines;
	uint32_t left = load_relaxed(lines);
	char place[STELE_OS_PLACE_SIZE];

	do {
		if (!left || stele_opt.quiet || call->gfp & __GFP_NOWARN)
			return;
	} while (!cas_relaxed(lines, &left, left - 1));
	stele_say("stele: %s: forcing a failure: %zu bytes of %s (called from %s)%s\n",
		  name_of[kind], call->bytes, call->name ? call->name : "pages",
		  stele_os_place(call->site, place), left > 1 ? "" : "; the last such line");
}

/* To the tool that counts: which allocation it was. It looks at this process, and lets it go on. */
static void tell_tool(const struct fault_call *call)
{
	char text[128];
	struct stele_out out;

	if (!stele_opt.fail_fd)
		return;
	stele_out_init(&out, text, sizeof(text));
	stele_fmt(&out, "%u %p %zu %s\n", stele_os_thread(), call->site, call->bytes,
		  call->name ? call->name : "pages");
	stele_os_write(stele_opt.fail_fd, text, out.len);
	stele_os_stop();
}

bool stele_fault_hits(enum stele_fault_kind kind, const struct fault_call *call)
{
	bool by_number;
	int saved;

	if (call->gfp & __GFP_NOFAIL)
		return false;
	by_number = load_relaxed(&nth_used) && chosen_by_number();
	if (!by_number && !chosen_by_chance(&faults[kind], call))
		return false;
	add_relaxed(&faults[kind].failed, 1);
	saved = errno;
	say_failure(kind, call);
	if (by_number)
		tell_tool(call);
	errno = saved;
	return true;
}

bool stele_fault_hits_pages(size_t bytes, gfp_t gfp, const void *site)
{
	const struct fault_call call = { .bytes = bytes, .gfp = gfp, .site = site };

	return stele_fault_hits(STELE_FAULT_PAGE, &call);
}

/* ---- choosing ---- */

static void watch_chosen(void)
{
	bool nth = load_relaxed(&nth_used);

	for (int kind = 0; kind < STELE_FAULT_KINDS; kind++) {
		bool on = nth || load_relaxed(&faults[kind].probability);

		stele_trace_watch(on ? watch_of[kind] : 0, on ? 0 : watch_of[kind]);
	}
}

static void choose(struct choice *c, const struct stele_fault *how)
{
	store_relaxed(&c->probability, 0); /* nothing fails by half a choice */
	store_relaxed(&c->interval, how->interval);
	store_relaxed(&c->times, how->times);
	store_relaxed(&c->space, (int64_t)STELE_MIN(how->space, (uint64_t)INT64_MAX));
	store_relaxed(&c->seed, how->seed);
	store_relaxed(&c->min_bytes, how->min_order ? stele_os_page_size() << how->min_order : 0);
	store_relaxed(&c->only_marked_caches, how->only_marked_caches);
	store_relaxed(&c->only_marked_threads, how->only_marked_threads);
	store_relaxed(&c->spare_waiting, how->spare_waiting);
	store_relaxed(&c->require_start, how->require_start);
	store_relaxed(&c->require_end, how->require_end);
	store_relaxed(&c->reject_start, how->reject_start);
	store_relaxed(&c->reject_end, how->reject_end);
	store_relaxed(&c->lines, how->silent ? 0 : LINES);
	store_relaxed(&c->asked, 0);
	store_relaxed(&c->failed, 0);
	store_relaxed(&c->probability, how->probability);
}

int stele_fault_set(enum stele_fault_kind kind, const struct stele_fault *how)
{
	static const struct stele_fault none;

	how = how ? how : &none;
	if ((unsigned)kind >= STELE_FAULT_KINDS || how->probability > 100 || how->times < -1 ||
	    how->min_order > 30)
		return -EINVAL;
	choose(&faults[kind], how);
	watch_chosen();
	return 0;
}

void stele_fault_read(enum stele_fault_kind kind, struct stele_fault_counts *counts)
{
	*counts = (struct stele_fault_counts){ 0 };
	if ((unsigned)kind >= STELE_FAULT_KINDS)
		return;
	counts->asked = load_relaxed(&faults[kind].asked);
	counts->failed = load_relaxed(&faults[kind].failed);
}

int stele_fault_thread(bool marked)
{
	struct own_faults *mine = marked ? make_own_faults() : own_faults();

	if (mine)
		mine->marked = marked;
	return mine || !marked ? 0 : -ENOSPC;
}

int stele_fault_nth(unsigned int n)
{
	struct own_faults *mine = n ? make_own_faults() : own_faults();
	uint32_t left = mine ? mine->nth : 0;

	if (mine)
		mine->nth = n;
	if (mine && n && !exchange_relaxed(&nth_used, true)) {
		for (int kind = 0; kind < STELE_FAULT_KINDS; kind++)
			store_relaxed(&faults[kind].lines, LINES);
		watch_chosen();
	}
	return mine || !n ? (int)left : -ENOSPC;
}

/* 0 stands for "without a limit" there. */
static int times_of_option(int times)
{
	return times ? times : -1;
}

void stele_fault_by_options(void)
{
	const struct stele_options *o = &stele_opt;
	static _Atomic bool done;
	const struct stele_fault slab = { .probability = (unsigned)o->failslab,
					  .interval = (unsigned)o->failslab_interval,
					  .times = times_of_option(o->failslab_times),
					  .space = o->failslab_space,
					  .seed = (uint64_t)o->fail_seed,
					  .spare_waiting = o->fail_spare_waiting };
	const struct stele_fault page = { .probability = (unsigned)o->fail_page_alloc,
					  .interval = (unsigned)o->fail_page_alloc_interval,
					  .times = times_of_option(o->fail_page_alloc_times),
					  .space = o->fail_page_alloc_space,
					  .seed = (uint64_t)o->fail_seed,
					  .min_order = (unsigned)o->fail_page_alloc_order,
					  .spare_waiting = o->fail_spare_waiting };

	if ((!slab.probability && !page.probability && !o->fail_nth) ||
	    exchange_relaxed(&done, true))
		return;
	choose(&faults[STELE_FAULT_SLAB], &slab);
	choose(&faults[STELE_FAULT_PAGE], &page);
	store_relaxed(&nth_left, (uint64_t)o->fail_nth);
	store_relaxed(&nth_used, o->fail_nth != 0);
	watch_chosen();
}
