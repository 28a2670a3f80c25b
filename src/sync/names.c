/* SPDX-License-Identifier: MIT */
/* sync/names.c - room for more names, where a table is full; the theory is in sync/names.h */
#include "sync/names.h"
#include "os/map.h"
#include "os/os.h"

_Static_assert(sizeof(struct names_part) == 4096, "a page");

/* A handler that never came back would take the part along: signals are held back. */
bool stele_names_room(struct names *names)
{
	uint64_t signals;
	void *part;

	if (names_bury(names))
		return true;
	signals = stele_os_signals_hold();
	part = stele_os_map_anywhere(sizeof(struct names_part));
	if (part)
		names_add(names, part);
	stele_os_signals_release(signals);
	return part;
}
