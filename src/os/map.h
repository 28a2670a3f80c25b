/* SPDX-License-Identifier: MIT */
/*
 * os/map.h - mappings at addresses that the caller chooses
 *
 * Idea      A mapping is made where nothing is, or not at all: a foreign mapping is never replaced.
 *           A mapping can grow in place, in one step of the kernel's, and its length can be asked
 *           for.
 * Context   any. errno is kept.
 * Tests     tests/unit/os/test_map.c
 */
#ifndef STELE_OS_MAP_H
#define STELE_OS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A multiple of every system's page size. */
#define STELE_MAP_UNIT 65536ul

/* Maps [p, p+size), readable and writable. 0; -EEXIST: something is there; another -errno. */
int stele_os_map(void *p, size_t size);
/* The same, for memory whose length is asked for: such a mapping never becomes one with another's. */
int stele_os_map_apart(void *p, size_t size);
/* Makes a mapping of ours such a one. */
void stele_os_set_apart(void *p, size_t size);
/* Maps [p, p+size), so that the pages can be read only, and cost no promise of memory. */
int stele_os_map_readable(void *p, size_t size);
/* Makes a part of the latter writable. Idempotent. 0 or -errno. */
int stele_os_map_writable(void *p, size_t size);
/* Maps @size bytes, readable and writable, where the system wants. NULL: it refuses. */
void *stele_os_map_anywhere(size_t size);
/* Where the system would map @size bytes by itself, or NULL. Nothing stays mapped. */
char *stele_os_find_room(size_t size);
/* 0; -errno, and all is as it was: at the limit of mappings none can be divided. */
int stele_os_unmap(void *p, size_t size);

/*
 * Moves the pages of [from, from+old) to @to, where [to, to+size) is mapped and size > old.
 * 0: @from is not mapped any more, and [to, to+size) is one mapping, in which the bytes beyond @old
 * read as zero. In all other cases @from is as it was. -errno: [to, to+size) is mapped and still
 * ours. STELE_OS_TARGET_LOST: [to, to+size) is not ours any more.
 */
#define STELE_OS_TARGET_LOST 1
int stele_os_move(void *from, size_t old, void *to, size_t size);

/* Enlarges the mapping that begins at or before @p and ends at p+old, in place. 0 or -errno. */
int stele_os_extend(void *p, size_t old, size_t size);

/* Whether [p, p+size) is within one mapping that was set apart. That may become STELE_MAP_UNIT
 * longer. False too where the system cannot tell such a mapping from another's. */
bool stele_os_is_one_mapping(void *p, size_t size);

#endif
