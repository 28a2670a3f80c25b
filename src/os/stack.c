/* SPDX-License-Identifier: MIT */
/*
 * os/stack.c - who called? By frame pointers, as far as there are some
 *
 * Idea      Code that was compiled with frame pointers links its frames: each has the address of its
 *           caller's, and above that the address to which it returns. The library itself has none, so
 *           the first link has to be found. The call returns to a known address, which is on the stack;
 *           below it our functions have saved the register in which the caller keeps its frame. Of the
 *           words there the nearest one is taken that leads up the stack to something like a frame.
 * Bound     SCAN words are looked at for the first link, and @most frames are followed. A frame may be
 *           FAR bytes from the one before.
 * Safety    Nothing is read but the stack above this function. A page that no walk of this thread has
 *           read before is asked for by a system call, once; a walk that begins outside of the pages
 *           known so far (another stack) forgets them.
 * Context   any; errno is kept.
 * Failure   code without frame pointers ends the walk, or puts a wrong address in, which the report
 *           leaves out if no code is there. @site itself is always right.
 * Tests     tests/unit/os/test_stack.c
 */
#include "os/stack.h"
#include "base/bits.h"
#include "os/os.h"

#define SCAN 192u
#define NEAR 64u
#define FAR (1ul << 16)
#define PAGE 4096ul

/* Pages of this thread's stack that can be read: [low, high). */
static __thread struct {
	uintptr_t low, high;
} known;

static void know_page_of(uintptr_t p)
{
	if (p - known.low < known.high - known.low)
		return;
	known.low = p & ~(PAGE - 1);
	known.high = known.low + PAGE;
}

/* Whether the two words at @p, which lies at or above what is known, can be read. */
static bool can_read(uintptr_t p)
{
	uintptr_t end = p + 2 * sizeof(uintptr_t);

	if (p < known.low || p - known.low > FAR * STELE_STACK_MAX)
		return false;
	while (end > known.high) {
		if (!stele_os_is_readable((void *)known.high))
			return false;
		known.high += PAGE;
	}
	return true;
}

static __attribute__((no_sanitize("address", "thread"))) uintptr_t stack_word(uintptr_t p)
{
	return *(const volatile uintptr_t *)p;
}

/* Whether code may be there: addresses of the stack and of the first page are none. */
static bool may_be_code(uintptr_t p)
{
	return p >= PAGE && p < 1ul << 47 && p - known.low >= known.high - known.low;
}

/* Whether a frame record may lie at @p, above @above. */
static bool may_be_frame(uintptr_t p, uintptr_t above)
{
	uintptr_t next;

	if (p % sizeof(uintptr_t) || p - above >= FAR || !can_read(p))
		return false;
	next = stack_word(p);
	return (!next || (next > p && next % sizeof(uintptr_t) == 0)) &&
	       may_be_code(stack_word(p + sizeof(uintptr_t)));
}

/* Where @site is on the stack, within SCAN words from @from: [low, high]. It is the return address, and
 * may also lie below it, in what our functions have saved. */
struct places {
	uintptr_t low, high; /* 0: nowhere */
};

/* The end of the words that are looked at: all of them can be read. */
static uintptr_t readable_end(uintptr_t from)
{
	uintptr_t end = from + SCAN * sizeof(uintptr_t);

	return can_read(end - 2 * sizeof(uintptr_t)) ? end : known.high;
}

/* It lies not far behind what was saved of it, so a longer stretch without it ends the search. */
static struct places find_places(uintptr_t from, uintptr_t site)
{
	uintptr_t end = readable_end(from);
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

/* The frame of the caller, of the words that our functions have saved; 0: it has none. */
static uintptr_t first_frame(uintptr_t from, struct places places)
{
	uintptr_t best = 0;

	for (uintptr_t p = from; p < places.high; p += sizeof(uintptr_t)) {
		uintptr_t word = stack_word(p);

		if (word > p && (!best || word < best) && may_be_frame(word, places.low))
			best = word;
	}
	return best;
}

static unsigned follow_frames(uintptr_t frame, uintptr_t *out, unsigned n, unsigned most)
{
	while (frame && n < most) {
		uintptr_t next = stack_word(frame);

		out[n++] = stack_word(frame + sizeof(uintptr_t));
		frame = may_be_frame(next, frame + 1) ? next : 0;
	}
	return n;
}

/* Its own frame begins with what the register held before, which may be the caller's frame. */
__attribute__((noinline)) unsigned stele_os_stack(const void *site, uintptr_t *out, unsigned most)
{
	uintptr_t from = (uintptr_t)__builtin_frame_address(0);

	out[0] = (uintptr_t)site;
	if (most < 2)
		return 1;
	know_page_of(from);
	return follow_frames(first_frame(from, find_places(from, (uintptr_t)site)), out, 1, most);
}
