/* SPDX-License-Identifier: MIT */
/*
 * os/maps.h - the mappings of this process, from the kernel's list (maps.c); its memory, with care
 */
#ifndef STELE_OS_MAPS_H
#define STELE_OS_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STELE_MAPPING_NAME 32

struct stele_mapping {
	uintptr_t start, end;
	uint64_t device, inode; /* 0: of no file */
	bool readable, writable;
	char name[STELE_MAPPING_NAME]; /* the part of its path behind the last slash */
};

/* Calls @each for every mapping, from the lowest on, until @each answers false. Without /proc there are
 * none. Context: any. */
void stele_os_each_mapping(bool (*each)(const struct stele_mapping *, void *arg), void *arg);

/* Copies memory of this process that may go away meanwhile. Returns the bytes before the first one that
 * cannot be read, or -errno where the system does not do that. Context: any. */
long stele_os_peek(void *to, uintptr_t from, size_t size);

/* A descriptor for stele_os_next_touched(), which stele_os_close() closes; negative: there is none. */
int stele_os_open_touched(void);
/* The first address of [from, to) whose page the system keeps, in memory or in swap space; @to: there is
 * none. All others read as zero, or as their file. @from where the system does not tell. Context: an
 * ordinary thread. */
uintptr_t stele_os_next_touched(int fd, uintptr_t from, uintptr_t to);

#endif
