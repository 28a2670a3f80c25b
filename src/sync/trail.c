/* SPDX-License-Identifier: MIT */
#include "sync/trail.h"
#include "base/basics.h"
#include "os/os.h"

/* From the linker: the first and the last byte of the file in memory. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

#define PAGE 4096 /* or a part of one */
#define FRAME_LARGEST (1u << 24)

static bool is_readable(struct trail *trail, uintptr_t word)
{
	uintptr_t page = word & ~(uintptr_t)(PAGE - 1);

	if (page != trail->readable && !stele_os_is_readable((const void *)word))
		return false;
	trail->readable = page;
	return true;
}

static bool is_frame(struct trail *trail)
{
	uintptr_t frame = (uintptr_t)trail->frame;

	return frame && frame % sizeof(uintptr_t) == 0 && is_readable(trail, frame) &&
	       is_readable(trail, frame + sizeof(uintptr_t));
}

/* The words may be others' locals, if they are no frame. */
__attribute__((no_sanitize("address", "thread"))) uintptr_t stele_trail_next(struct trail *trail)
{
	const uintptr_t *frame = trail->frame;
	uintptr_t back;

	if (trail->length++ == TRAIL_LONGEST || !is_frame(trail))
		return 0;
	back = frame[1];
	trail->frame = frame[0] - (uintptr_t)frame < FRAME_LARGEST && frame[0] > (uintptr_t)frame
			       ? (const uintptr_t *)frame[0]
			       : NULL;
	return back;
}

void stele_trail_take(struct trail *trail, uintptr_t *at, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		at[i] = stele_trail_next(trail);
		if (!at[i])
			return;
	}
}

void stele_trail_show(struct stele_out *out, const uintptr_t *at, unsigned n)
{
	for (unsigned i = 0; i < n && at[i]; i++) {
		bool here = at[i] >= (uintptr_t)__ehdr_start && at[i] < (uintptr_t)_end;

		stele_fmt(out, here ? " +" : " ");
		stele_out_ptr(out, (void *)(at[i] - (here ? (uintptr_t)__ehdr_start : 0)));
	}
}
