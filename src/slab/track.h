/* SPDX-License-Identifier: MIT */
/*
 * slab/track.h - who allocated an object, and who freed it (track.c)
 */
#ifndef STELE_SLAB_TRACK_H
#define STELE_SLAB_TRACK_H

#include "slab/layout.h"

/* A track of this thread and this moment. @site: where its call returns to, or NULL. */
struct track stele_track_now(const void *site, enum track_kind kind);
/* Writes "Allocated in ..." or "Freed in ...", and the callers; nothing if it has not happened. */
void stele_track_report(const char *what, const struct track *track);
/* The family of the call that is named in a report. */
enum track_kind stele_track_kind(const char *call);

#endif
