/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/classes.c - the caches behind kmalloc, and their start
 *
 * Idea      The caches are static, because no memory can be allocated before they exist. A
 *           constructor makes them, or a thread that allocates before the constructor has run.
 * States    started: false -> true, unless there was no memory even for that.
 * Order     KMALLOC_BOOT: kmalloc/table.h; READY.
 * Context   any. Only the start itself waits, and only one thread for another, which inherits
 *           its priority. Signals are held back meanwhile.
 * Tests     tests/contract/test_kmalloc.c
 */
#include "kmalloc/kmalloc.h"
#include "cache/caches.h"
#include "base/fmt.h"
#include "slab/kmem_cache.h"

#include "page/run.h"
#include "sync/mutex.h"
#include "sync/ranks.h"
#include "sync/ready.h"

struct kmem_cache stele_kmalloc_caches[STELE_NR_CLASSES];
struct kmem_cache stele_own_cache;
_Atomic uint8_t stele_class_table[STELE_TABLE_ENTRIES];

static _Atomic uint32_t started;
/* A child that finds it abandoned starts anew. */
static struct stele_mutex starting = STELE_MUTEX(CLASSES);

/* The kernel writes powers of two from 1024 on as 1k, 2k, ... */
static void name_class(struct stele_out *out, size_t size)
{
	if (size >= 1024 && stele_is_pow2(size))
		stele_fmt(out, "kmalloc-%zuk", size / 1024);
	else
		stele_fmt(out, "kmalloc-%zu", size);
}

static void boot_class(unsigned int cls)
{
	size_t size = stele_class_size(cls);
	size_t align = size & -size;
	char name[16];
	struct stele_out out;

	stele_out_init(&out, name, sizeof(name));
	name_class(&out, size);
	stele_cache_boot(&stele_kmalloc_caches[cls], name, (uint32_t)size, (uint32_t)align,
			 SLAB_KMALLOC);
}

/* Smallest class for the sizes of @entry that is a multiple of @granule. */
static unsigned int smallest_class(unsigned int entry, unsigned int granule)
{
	size_t size = (size_t)entry * STELE_TABLE_STEP;
	unsigned int cls = 0;

	while (stele_class_size(cls) < size || stele_class_size(cls) % granule)
		cls++;
	return cls;
}

static bool start_classes(unsigned int granule)
{
	unsigned int cls;

	if (stele_heap_start() != 0)
		return false;
	for (cls = 0; cls < STELE_NR_CLASSES; cls++)
		boot_class(cls);
	stele_cache_boot(&stele_own_cache, "stele-own", STELE_OWN_MAX, 64,
			 SLAB_NO_MERGE | SLAB_NO_SHEAVES | SLAB_OWN);
	stele_resting_boot();
	table_fill(stele_class_table, STELE_TABLE_ENTRIES, smallest_class, granule);
	return true;
}

void stele_kmalloc_init(unsigned int granule)
{
	/* Refused: the start itself has called, which must not wait for itself. */
	if (ready_look(&started) || stele_lock(&starting) != 0)
		return;
	if (!load_relaxed(&started) && start_classes(granule ? granule : KMALLOC_MIN_SIZE))
		ready_say(&started, 1); /* all caches and the table are there */
	stele_unlock(&starting);
}

/* Before threads and handlers, where the loader gives the chance. Only here may a lock be taken. */
static __attribute__((constructor)) void start_early(void)
{
	stele_kmalloc_init(0);
	if (!ready_look(&started))
		return;
	stele_cache_list(stele_kmalloc_caches, STELE_NR_CLASSES);
	stele_resting_list();
}
