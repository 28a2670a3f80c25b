/* SPDX-License-Identifier: MIT */
/*
 * page/tables.h - the parts of the heap that grow
 *
 * Idea      Each part has its place from the start, and is mapped piece by piece (sync/stretch.h).
 */
#ifndef STELE_PAGE_TABLES_H
#define STELE_PAGE_TABLES_H

#include "sync/stretch.h"

/* Tables that are indexed by a frame or an area, and tables of entries that are handed out one by
 * one. Each may grow. */
enum stele_table {
	TABLE_TAGS,
	TABLE_REFS,
	TABLE_COUNTS,
	TABLE_AREAS,
	TABLE_RUNS,
	TABLE_SLOTS,
	TABLE_BITS, /* of all areas that there can be: mapped as a whole */
	TABLES
};

extern struct stele_stretch stele_tables[TABLES] __attribute__((visibility("hidden")));

#endif
