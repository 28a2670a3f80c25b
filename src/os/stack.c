/* SPDX-License-Identifier: MIT */
/*
 * os/stack.c - the callers of a call, by frame pointers
 *
 * Idea      Code that was compiled with frame pointers links its frames: each frame holds the
 *           address of its caller's frame, and above that the return address. The library itself
 *           has no frame pointers, so the first link has to be found. The call returns to a known
 *           address, which lies on the stack. Below it our functions have saved the register in
 *           which the caller keeps its frame. The search takes the word there that points to the
 *           nearest plausible frame up the stack.
 * Hints     When a site calls again, its frame lies at the same place, as our functions do not
 *           change. A table keeps the place, and the next call looks there first. An entry is one
 *           word, so of two threads that change it one wins; each entry is checked before it is
 *           used.
 * Bound     The search reads SCAN words for the first link, and follows @most frames. A frame lies
 *           at most FAR bytes from the one before.
 * Safety    The walk reads the stack above this function and nothing else. It asks the system for
 *           each page above the first. An answer is kept only for a thread's own stack, which stays
 *           while the thread runs: it reaches to an end that this file knows, the thread pointer or,
 *           of the first thread, what the kernel put there. On any other stack each walk asks anew,
 *           as another stack with a guard page may lie there by then.
 * Objects   own: for the end of a stack, how many pages below it can be read.
 * Context   any; errno is kept.
 * Failure   Code without frame pointers ends the walk, or puts a wrong address in. The report
 *           leaves out addresses at which there is no code. @site itself is always right.
 * Tests     tests/unit/os/test_stacks.c
 */
#include "os/stack.h"
#include "base/auxv.h"
#include "base/basics.h"
#include "os/os.h"
#include <elf.h>
#include <stdatomic.h>
#include <stdint.h>

#define SCAN 192u
#define NEAR 64u
#define FAR (1ul << 16)
#define PAGE 4096ul

/* Pages of the stack that this walk may read: [low, high). */
struct known {
	uintptr_t low, high;
};

/* ---- the thread's own stack ---- */

#define OWN 64u
#define PAGES_BITS 14 /* 64 MiB */
#define ASKS 16u      /* of one walk for its own stack */

/* {end:50, pages:14}, by a hash of the end. Both are in pages. */
static _Atomic uint64_t own[OWN];

static uintptr_t page_of(uintptr_t p)
{
	return p / PAGE;
}

/* The random bytes that the kernel gives lie above the first thread's frames. */
static uintptr_t first_stack_end(void)
{
	static _Atomic uintptr_t end;
	uintptr_t seen = atomic_load_explicit(&end, memory_order_relaxed);

	if (stele_unlikely(!seen)) {
		seen = stele_auxv(AT_RANDOM) | 1;
		atomic_store_explicit(&end, seen, memory_order_relaxed);
	}
	return seen;
}

/* The thread pointer of the first thread, which lies on no stack; 0: not known. */
static uintptr_t first_thread;

static __attribute__((constructor)) void find_first_thread(void)
{
	if (stele_os_thread() == (uint32_t)stele_os_pid())
		first_thread = (uintptr_t)__builtin_thread_pointer();
}

/* The page in which the thread's own stack ends, if @from may lie on that stack; else 0. */
static uintptr_t own_end(uintptr_t from)
{
	uintptr_t end = (uintptr_t)__builtin_thread_pointer();

	if (!first_thread || end == first_thread)
		end = first_stack_end();
	return end > from && page_of(end) - page_of(from) < 1ul << PAGES_BITS ? page_of(end) : 0;
}

/* Asks for pages below those that can be read, down to @page. The lowest that can be read. */
static uintptr_t ask_down(uintptr_t low, uintptr_t page)
{
	for (unsigned i = 0; i < ASKS && low > page; i++, low--)
		if (!stele_os_is_readable((void *)((low - 1) * PAGE)))
			break;
	return low;
}

/* Whether all from @page to the page @end can be read. */
static bool is_own(uintptr_t page, uintptr_t end)
{
	_Atomic uint64_t *entry = &own[end % OWN];
	uint64_t word = atomic_load_explicit(entry, memory_order_relaxed);
	uintptr_t low = word >> PAGES_BITS == end ? end - word % (1u << PAGES_BITS) : end, now;

	if (stele_likely(page >= low))
		return true;
	now = ask_down(low, page);
	if (now != low)
		atomic_store_explicit(entry, (uint64_t)end << PAGES_BITS | (end - now),
				      memory_order_relaxed);
	return now <= page;
}

static struct known known_around(uintptr_t from)
{
	uintptr_t page = page_of(from), end = own_end(from);

	if (!end || !is_own(page, end))
		end = page;
	return (struct known){ page * PAGE, (end + 1) * PAGE };
}

/* Whether the two words at @p, which lies at or above what is known, can be read. */
static bool can_read(struct known *known, uintptr_t p)
{
	uintptr_t end = p + 2 * sizeof(uintptr_t);

	if (p < known->low || p - known->low > FAR * STELE_STACK_MAX)
		return false;
	while (end > known->high) {
		if (!stele_os_is_readable((void *)known->high))
			return false;
		known->high += PAGE;
	}
	return true;
}

static __attribute__((no_sanitize("address", "thread"))) uintptr_t stack_word(uintptr_t p)
{
	return *(const volatile uintptr_t *)p;
}

/* Whether code may be there: not in the stack, and not in the first page. */
static bool may_be_code(struct known *known, uintptr_t p)
{
	return p >= PAGE && p < 1ul << 47 && p - known->low >= known->high - known->low;
}

/* Whether a frame record may lie at @p, above @above. */
static bool may_be_frame(struct known *known, uintptr_t p, uintptr_t above)
{
	uintptr_t next;

	if (p % sizeof(uintptr_t) || p - above >= FAR || !can_read(known, p))
		return false;
	next = stack_word(p);
	return (!next || (next > p && next % sizeof(uintptr_t) == 0)) &&
	       may_be_code(known, stack_word(p + sizeof(uintptr_t)));
}

/* Where @site is on the stack, within SCAN words from @from: [low, high]. It is the return address;
 * copies may lie below it, where our functions have saved it. */
struct places {
	uintptr_t low, high; /* 0: nowhere */
};

/* The end of the words to look at; all of them can be read. */
static uintptr_t readable_end(struct known *known, uintptr_t from)
{
	uintptr_t end = from + SCAN * sizeof(uintptr_t);

	return can_read(known, end - 2 * sizeof(uintptr_t)) ? end : known->high;
}

/* The return address lies near its saved copies, so a longer stretch without it ends the search. */
static struct places find_places(struct known *known, uintptr_t from, uintptr_t site)
{
	uintptr_t end = readable_end(known, from);
	struct places places = { 0, 0 };

	for (uintptr_t p = from; p < end; p += sizeof(p)) {
		if (stele_likely(stack_word(p) != site))
			continue;
		places.low = places.low ? places.low : p;
		places.high = p;
		end = STELE_MIN(end, p + NEAR * sizeof(p));
	}
	return places;
}

/* The place of the caller's frame among the words that our functions have saved; 0: it has none. The
 * frame lies above the return address; below it are frames of ours. */
static uintptr_t first_frame(struct known *known, uintptr_t from, struct places places)
{
	uintptr_t best = 0, at = 0;

	for (uintptr_t p = from; p < places.high; p += sizeof(uintptr_t)) {
		uintptr_t word = stack_word(p);

		if (word > p && (!best || word < best) && may_be_frame(known, word, places.high)) {
			best = word;
			at = p;
		}
	}
	return at;
}

/* ---- where it was found before ---- */

#define HINTS 256u
#define NONE 255u
_Static_assert(SCAN < NONE, "places fit in a byte, in words");

/* {site:48, its place:8, the place of the frame:8}: from the caller of this file, in words. */
static _Atomic uint64_t hints[HINTS];

static _Atomic uint64_t *hint_of(uintptr_t site)
{
	return &hints[(site ^ site >> 8) % HINTS];
}

/* The first frame in *frame, if all is where it was when this site called before. */
static bool frame_by_hint(struct known *known, uintptr_t from, uintptr_t site, uintptr_t *frame)
{
	uint64_t hint = atomic_load_explicit(hint_of(site), memory_order_relaxed);
	uintptr_t place = from + (hint >> 8 & 255) * sizeof(uintptr_t);
	unsigned at = hint & 255;

	if (hint >> 16 != site || !can_read(known, place) || stack_word(place) != site)
		return false;
	*frame = at == NONE ? 0 : stack_word(from + at * sizeof(uintptr_t));
	return at == NONE || (*frame > place && may_be_frame(known, *frame, place));
}

static uintptr_t frame_by_search(struct known *known, uintptr_t from, uintptr_t site)
{
	struct places places = find_places(known, from, site);
	uintptr_t at = first_frame(known, from, places);
	uint64_t hint = (uint64_t)site << 16 | (places.low - from) / sizeof(uintptr_t) << 8 |
			(at ? (at - from) / sizeof(uintptr_t) : NONE);

	if (places.low)
		atomic_store_explicit(hint_of(site), hint, memory_order_relaxed);
	return at ? stack_word(at) : 0;
}

static unsigned follow_frames(struct known *known, uintptr_t frame, uintptr_t *out, unsigned n,
			      unsigned most)
{
	while (frame && n < most) {
		uintptr_t next = stack_word(frame);

		out[n] = stack_word(frame + sizeof(uintptr_t));
		n = out[n] == out[0] ? 1 : n + 1; /* so far they were the library's own */
		frame = may_be_frame(known, next, frame + 1) ? next : 0;
	}
	return n;
}

/* Its own frame begins with what the register held before, which may be the caller's frame. */
__attribute__((noinline)) unsigned stele_os_stack(const void *site, uintptr_t *out, unsigned most)
{
	uintptr_t from = (uintptr_t)__builtin_frame_address(0), frame;
	struct known known = known_around(from);

	out[0] = (uintptr_t)site;
	if (most < 2)
		return 1;
	if (stele_unlikely(!frame_by_hint(&known, from, (uintptr_t)site, &frame)))
		frame = frame_by_search(&known, from, (uintptr_t)site);
	return follow_frames(&known, frame, out, 1, most);
}
